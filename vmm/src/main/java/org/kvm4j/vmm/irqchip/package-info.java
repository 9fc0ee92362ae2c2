/** The interrupt chips that the kernel does not have: I/O APIC and PICs in user space. */
@NullMarked
package org.kvm4j.vmm.irqchip;

import org.jspecify.annotations.NullMarked;
