package org.kvm4j.vmm.memory;

/**
 * A range of guest-physical addresses and what it is.
 *
 * <p>Source: ACPI Specification 6.4, section 15, "System Address Map Interfaces".
 *
 * @param address of the first byte
 * @param size in bytes
 * @param type {@link #RAM} or {@link #RESERVED}, as in a BIOS' E820 map
 */
public record MemoryRange(long address, long size, int type) {

  /** Memory that the guest may use. */
  public static final int RAM = 1;

  /** Addresses that the guest must leave alone. */
  public static final int RESERVED = 2;

  /** The first address past the range. */
  public long end() {
    return address + size;
  }
}
