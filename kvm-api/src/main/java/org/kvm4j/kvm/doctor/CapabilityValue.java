package org.kvm4j.kvm.doctor;

/**
 * One row of the capability table: what {@code KVM_CHECK_EXTENSION} gives.
 *
 * @param name as in the kernel's headers
 * @param number what the ioctl is asked with
 * @param value on {@code /dev/kvm}: 0 if the kernel does not have it
 * @param vmValue on a VM, which may know better; the same as {@code value} if VMs cannot be asked
 */
public record CapabilityValue(String name, int number, int value, int vmValue) {}
