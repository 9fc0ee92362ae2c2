/** Floating-point arithmetic of the x87 FPU: 80-bit numbers, exactly rounded. */
@NullMarked
package org.kvm4j.cpu.fpu;

import org.jspecify.annotations.NullMarked;
