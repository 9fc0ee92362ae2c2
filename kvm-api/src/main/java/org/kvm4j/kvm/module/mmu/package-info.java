/** Nested page tables built from memory slots. */
@NullMarked
package org.kvm4j.kvm.module.mmu;

import org.jspecify.annotations.NullMarked;
