/**
 * The interrupt chips and timers that the emulated module has in itself: PIC, I/O APIC, local APIC,
 * PIT, and the routes between them.
 *
 * <p>{@link org.kvm4j.kvm.module.irqchip.InterruptChips} stands before them and holds the one lock
 * of them all; the chips themselves know nothing of threads.
 */
@NullMarked
package org.kvm4j.kvm.module.irqchip;

import org.jspecify.annotations.NullMarked;
