/** One instruction at a time: MMIO, port strings, fallback. */
@NullMarked
package org.kvm4j.kvm.module.emulate;

import org.jspecify.annotations.NullMarked;
