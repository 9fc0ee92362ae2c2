/**
 * Virtio devices: split virtqueues over guest memory that is not to be trusted, the two transports
 * (PCI and memory-mapped), and the devices themselves. Nothing here knows of KVM.
 */
@NullMarked
package org.kvm4j.vmm.virtio;

import org.jspecify.annotations.NullMarked;
