package org.kvm4j.vmm.device;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Guest-physical addresses that are no memory, and the devices behind them. An address that nobody
 * claims reads as ones and drops what is written.
 *
 * <p>Devices are attached before the machine runs; after that the bus is for use by several threads
 * and allocates nothing.
 */
public final class MmioBus {

  private Range[] ranges = new Range[0];
  private final AtomicLong unclaimed = new AtomicLong();

  private record Range(long first, long size, MmioDevice device, String name) {
    boolean holds(long address, int length) {
      long offset = address - first;
      return Long.compareUnsigned(offset, size) < 0 && length <= size - offset;
    }
  }

  /**
   * Attaches a device.
   *
   * @param first its first guest-physical address
   * @param size in bytes
   * @param name what it is called in messages
   * @throws IllegalArgumentException if it overlaps another, or ends past the last address
   */
  public void attach(long first, long size, MmioDevice device, String name) {
    if (first < 0 || size <= 0 || first + size < 0) {
      throw new IllegalArgumentException(
          String.format("%s: 0x%x bytes at 0x%x are no address range", name, size, first));
    }
    for (Range r : ranges) {
      if (first < r.first + r.size && r.first < first + size) {
        throw new IllegalArgumentException(
            String.format(
                "%s at [0x%x, 0x%x) overlaps %s at [0x%x, 0x%x)",
                name, first, first + size, r.name, r.first, r.first + r.size));
      }
    }
    Range[] more = Arrays.copyOf(ranges, ranges.length + 1);
    more[ranges.length] = new Range(first, size, device, name);
    Arrays.sort(more, (a, b) -> Long.compare(a.first, b.first));
    ranges = more;
  }

  /**
   * A load.
   *
   * @param address guest-physical
   * @param length 1 to 8
   * @return the bytes, little endian, zero-extended
   */
  public long read(long address, int length) {
    int index = find(address, length);
    if (index < 0) {
      unclaimed.incrementAndGet();
      return mask(-1, length);
    }
    Range range = ranges[index];
    return mask(range.device.read(address - range.first, length), length);
  }

  /**
   * A store.
   *
   * @param address guest-physical
   * @param length 1 to 8
   * @param value the bytes, little endian; the low {@code length} count
   */
  public void write(long address, int length, long value) {
    int index = find(address, length);
    if (index < 0) {
      unclaimed.incrementAndGet();
      return;
    }
    Range range = ranges[index];
    range.device.write(address - range.first, length, mask(value, length));
  }

  /** The name of the device that has the address; {@code "no device"} if there is none. */
  public String nameOf(long address) {
    int index = find(address, 1);
    return index < 0 ? "no device" : ranges[index].name;
  }

  /** How many accesses there were to addresses that nobody claims. */
  public long unclaimedAccesses() {
    return unclaimed.get();
  }

  private int find(long address, int length) {
    int low = 0;
    int high = ranges.length - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      Range range = ranges[middle];
      if (range.holds(address, length)) {
        return middle;
      }
      if (Long.compareUnsigned(address, range.first) < 0) {
        high = middle - 1;
      } else {
        low = middle + 1;
      }
    }
    return -1;
  }

  private static long mask(long value, int length) {
    return length >= 8 ? value : value & (1L << (8 * length)) - 1;
  }
}
