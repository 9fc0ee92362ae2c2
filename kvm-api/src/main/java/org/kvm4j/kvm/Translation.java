package org.kvm4j.kvm;

/**
 * What {@code KVM_TRANSLATE} tells of a linear address.
 *
 * @param linearAddress the address asked about
 * @param physicalAddress the guest-physical address that it maps to, if {@code valid}
 * @param valid whether it maps to anything
 * @param writeable as the kernel says; Linux sets it always
 * @param usermode as the kernel says; Linux never sets it
 */
public record Translation(
    long linearAddress, long physicalAddress, boolean valid, boolean writeable, boolean usermode) {}
