/**
 * PCI: configuration space as data, one bus, the two ways to reach its configuration, base
 * addresses, and message-signalled interrupts. Nothing here knows of KVM.
 */
@NullMarked
package org.kvm4j.vmm.pci;

import org.jspecify.annotations.NullMarked;
