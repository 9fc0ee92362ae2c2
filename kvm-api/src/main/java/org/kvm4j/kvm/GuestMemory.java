package org.kvm4j.kvm;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * A VM's memory by guest-physical address: regions that are mapped, made slots of the VM, and read
 * and written here with every access checked.
 *
 * <p>Safe for use by several threads; the bytes themselves are as ordered as {@link UserMemory}
 * makes them.
 */
public final class GuestMemory implements AutoCloseable {

  private record Region(int slot, long start, MappedMemory memory, UserMemory bytes) {
    boolean holds(long address, long length) {
      long offset = address - start;
      return offset >= 0 && offset < memory.size() && length <= memory.size() - offset;
    }
  }

  private final Vm vm;

  /** By ascending address; replaced, never changed. */
  private volatile List<Region> regions = List.of();

  /** Memory of a VM, at first none. */
  public GuestMemory(Vm vm) {
    this.vm = vm;
  }

  /**
   * Maps memory and makes it a slot of the VM.
   *
   * @param slot the slot's number
   * @param guestPhysicalAddress where the guest sees it, a multiple of 4,096
   * @param size in bytes, a multiple of 4,096
   * @param flags {@code KVM_MEM_*}
   * @return the memory, which this object closes
   * @throws KvmException as {@link Vm#setUserMemoryRegion(int, int, long, long, long)} and {@link
   *     MappedMemory#allocate}
   */
  public synchronized MappedMemory add(int slot, long guestPhysicalAddress, long size, int flags) {
    MappedMemory memory = MappedMemory.allocate(vm.kernel(), size);
    try {
      vm.setUserMemoryRegion(slot, flags, guestPhysicalAddress, memory);
    } catch (RuntimeException e) {
      memory.close();
      throw e;
    }
    List<Region> more = new ArrayList<>(regions);
    more.add(new Region(slot, guestPhysicalAddress, memory, memory.memory()));
    more.sort(Comparator.comparingLong(Region::start));
    regions = List.copyOf(more);
    return memory;
  }

  private Region find(long address, long length) {
    List<Region> all = regions;
    for (int i = 0; i < all.size(); i++) {
      Region region = all.get(i);
      if (region.holds(address, length)) {
        return region;
      }
    }
    throw new IllegalArgumentException(
        String.format(
            "no guest memory at %s; there is: %s",
            MemorySlot.range(address, length),
            all.isEmpty()
                ? "none"
                : all.stream()
                    .map(r -> MemorySlot.range(r.start, r.memory.size()))
                    .collect(Collectors.joining(", "))));
  }

  /**
   * Whether all of a range is in one region.
   *
   * @param address guest-physical
   * @param length in bytes
   */
  public boolean holds(long address, long length) {
    for (Region region : regions) {
      if (region.holds(address, length)) {
        return true;
      }
    }
    return false;
  }

  /**
   * A view of memory, whose offset 0 is the address.
   *
   * @param address guest-physical
   * @param length in bytes
   * @throws IllegalArgumentException if it is not all in one region; the message tells which there
   *     are
   */
  public UserMemory view(long address, long length) {
    Region region = find(address, length);
    return region.bytes.slice(address - region.start, length);
  }

  public byte getByte(long address) {
    Region region = find(address, 1);
    return region.bytes.getByte(address - region.start);
  }

  public short getShort(long address) {
    Region region = find(address, 2);
    return region.bytes.getShort(address - region.start);
  }

  public int getInt(long address) {
    Region region = find(address, 4);
    return region.bytes.getInt(address - region.start);
  }

  public long getLong(long address) {
    Region region = find(address, 8);
    return region.bytes.getLong(address - region.start);
  }

  public void putByte(long address, byte value) {
    Region region = find(address, 1);
    region.bytes.putByte(address - region.start, value);
  }

  public void putShort(long address, short value) {
    Region region = find(address, 2);
    region.bytes.putShort(address - region.start, value);
  }

  public void putInt(long address, int value) {
    Region region = find(address, 4);
    region.bytes.putInt(address - region.start, value);
  }

  public void putLong(long address, long value) {
    Region region = find(address, 8);
    region.bytes.putLong(address - region.start, value);
  }

  /** Copies bytes out of guest memory. */
  public void read(long address, byte[] target, int offset, int length) {
    Region region = find(address, length);
    region.bytes.read(address - region.start, target, offset, length);
  }

  /** Copies bytes into guest memory. */
  public void write(long address, byte[] source, int offset, int length) {
    Region region = find(address, length);
    region.bytes.write(address - region.start, source, offset, length);
  }

  /** Copies an array into guest memory. */
  public void write(long address, byte... source) {
    write(address, source, 0, source.length);
  }

  /** Unmaps all regions. The VM's slots stay, and fault when the guest touches them. */
  @Override
  public synchronized void close() {
    for (Region region : regions) {
      region.memory.close();
    }
    regions = List.of();
  }
}
