package org.kvm4j.vmm.memory;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * The guest's RAM by guest-physical address: from 0 up to {@link #HOLE_START}, and what is more
 * from {@link #HOLE_END} on. The hole between is for devices.
 *
 * <p>The first megabyte is RAM throughout: what a PC has from 640 KB on, video memory and firmware,
 * is memory that nothing else writes. {@link #map} tells the guest to leave it alone.
 */
public final class GuestRam {

  /** Where devices' addresses start, 3 GB. */
  public static final long HOLE_START = 0xc000_0000L;

  /** Where RAM goes on, 4 GB. */
  public static final long HOLE_END = 0x1_0000_0000L;

  /** Where the RAM ends that an operating system may use of the first megabyte: 639 KB. */
  public static final long LOW_END = 0x9_fc00;

  private static final long MEGABYTE = 0x10_0000;

  private final UserMemory low;
  private final @Nullable UserMemory high;
  private final List<MemoryRange> reserved = new ArrayList<>();

  /**
   * @param low RAM from address 0, {@link #lowSize} of the total bytes
   * @param high RAM from {@link #HOLE_END}; null if there is none
   */
  public GuestRam(UserMemory low, @Nullable UserMemory high) {
    this.low = low;
    this.high = high;
  }

  /** How much of so many bytes of memory lies below the hole. */
  public static long lowSize(long total) {
    return Math.min(total, HOLE_START);
  }

  /** How much of so many bytes of memory lies above the hole. */
  public static long highSize(long total) {
    return total - lowSize(total);
  }

  /** Bytes of RAM below the hole. */
  public long lowSize() {
    return low.size();
  }

  /** Bytes of RAM above the hole. */
  public long highSize() {
    return high == null ? 0 : high.size();
  }

  /** Bytes of RAM. */
  public long size() {
    return lowSize() + highSize();
  }

  /**
   * Tells the guest to leave addresses alone that are no RAM.
   *
   * @param range in the hole
   */
  public void reserve(MemoryRange range) {
    if (range.address() < HOLE_START || range.end() > HOLE_END) {
      throw new IllegalArgumentException(range + " is not in the hole");
    }
    if (!reserved.contains(range)) {
      reserved.add(range);
    }
  }

  /** The memory map that the guest is given, by address. */
  public List<MemoryRange> map() {
    List<MemoryRange> map = new ArrayList<>();
    long size = lowSize();
    map.add(new MemoryRange(0, Math.min(size, LOW_END), MemoryRange.RAM));
    if (size > LOW_END) {
      long end = Math.min(size, MEGABYTE);
      map.add(new MemoryRange(LOW_END, end - LOW_END, MemoryRange.RESERVED));
    }
    if (size > MEGABYTE) {
      map.add(new MemoryRange(MEGABYTE, size - MEGABYTE, MemoryRange.RAM));
    }
    map.addAll(reserved);
    if (highSize() > 0) {
      map.add(new MemoryRange(HOLE_END, highSize(), MemoryRange.RAM));
    }
    return map;
  }

  /** Whether all of the range is RAM. */
  public boolean contains(long address, long length) {
    return contains(low, 0, address, length)
        || (high != null && contains(high, HOLE_END, address, length));
  }

  private static boolean contains(UserMemory memory, long base, long address, long length) {
    long offset = address - base;
    return offset >= 0
        && length >= 0
        && offset <= memory.size()
        && length <= memory.size() - offset;
  }

  /**
   * Writes bytes.
   *
   * @throws IndexOutOfBoundsException if any of the range is not RAM
   */
  public void write(long address, byte[] source, int offset, int length) {
    memory(address, length).write(inMemory(address), source, offset, length);
  }

  /** Writes bytes. */
  public void write(long address, byte[] source) {
    write(address, source, 0, source.length);
  }

  /**
   * Reads bytes.
   *
   * @throws IndexOutOfBoundsException if any of the range is not RAM
   */
  public void read(long address, byte[] target, int offset, int length) {
    memory(address, length).read(inMemory(address), target, offset, length);
  }

  /** A copy of so many bytes. */
  public byte[] read(long address, int length) {
    byte[] bytes = new byte[length];
    read(address, bytes, 0, length);
    return bytes;
  }

  /** Sets bytes to 0. */
  public void clear(long address, long length) {
    if (length > 0) {
      memory(address, length).fill(inMemory(address), length, (byte) 0);
    }
  }

  /** Writes a byte. */
  public void putByte(long address, int value) {
    memory(address, 1).putByte(inMemory(address), (byte) value);
  }

  /** Writes two bytes, little endian. */
  public void putShort(long address, int value) {
    memory(address, 2).putShort(inMemory(address), (short) value);
  }

  /** Writes four bytes, little endian. */
  public void putInt(long address, int value) {
    memory(address, 4).putInt(inMemory(address), value);
  }

  /** Writes eight bytes, little endian. */
  public void putLong(long address, long value) {
    memory(address, 8).putLong(inMemory(address), value);
  }

  /** Reads a byte. */
  public int getByte(long address) {
    return memory(address, 1).getByte(inMemory(address)) & 0xff;
  }

  /** Reads two bytes, little endian. */
  public int getShort(long address) {
    return memory(address, 2).getShort(inMemory(address)) & 0xffff;
  }

  /** Reads four bytes, little endian. */
  public int getInt(long address) {
    return memory(address, 4).getInt(inMemory(address));
  }

  /** Reads eight bytes, little endian. */
  public long getLong(long address) {
    return memory(address, 8).getLong(inMemory(address));
  }

  private UserMemory memory(long address, long length) {
    if (contains(low, 0, address, length)) {
      return low;
    }
    if (high != null && contains(high, HOLE_END, address, length)) {
      return high;
    }
    throw new IndexOutOfBoundsException(
        String.format("0x%x bytes at guest-physical 0x%x are not all RAM", length, address));
  }

  private static long inMemory(long address) {
    return address < HOLE_END ? address : address - HOLE_END;
  }
}
