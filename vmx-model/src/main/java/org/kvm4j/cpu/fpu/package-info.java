/** Floating-point arithmetic: of the x87 FPU on 80-bit numbers, of SSE and AVX on smaller ones. */
@NullMarked
package org.kvm4j.cpu.fpu;

import org.jspecify.annotations.NullMarked;
