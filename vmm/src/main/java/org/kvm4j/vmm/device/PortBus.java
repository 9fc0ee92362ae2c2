package org.kvm4j.vmm.device;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The 65,536 I/O ports and the devices behind them. A port that nobody claims reads as ones, as a
 * bus that nothing drives does, and drops what is written.
 *
 * <p>Devices are attached before the machine runs; after that the bus is for use by several threads
 * and allocates nothing.
 */
public final class PortBus {

  private static final int PORTS = 0x10000;

  private final List<Range> ranges = new ArrayList<>();

  /** For each port 0, or 1 more than the index of its range. */
  private final short[] claimedBy = new short[PORTS];

  private final AtomicLong unclaimed = new AtomicLong();

  private record Range(int first, int count, PortDevice device, String name) {
    int end() {
      return first + count;
    }
  }

  /**
   * Attaches a device.
   *
   * @param first its first port
   * @param count how many ports it has
   * @param name what it is called in messages
   * @throws IllegalArgumentException if a port is claimed already, or there is no such port
   */
  public void attach(int first, int count, PortDevice device, String name) {
    if (first < 0 || count <= 0 || first + count > PORTS) {
      throw new IllegalArgumentException(
          String.format("%s: ports 0x%x to 0x%x do not exist", name, first, first + count - 1));
    }
    for (int port = first; port < first + count; port++) {
      if (claimedBy[port] != 0) {
        throw new IllegalArgumentException(
            String.format(
                "%s: port 0x%x belongs to %s already",
                name, port, ranges.get(claimedBy[port] - 1).name));
      }
    }
    ranges.add(new Range(first, count, device, name));
    for (int port = first; port < first + count; port++) {
      claimedBy[port] = (short) ranges.size();
    }
  }

  /**
   * IN.
   *
   * @param port 0 to 0xffff
   * @param size 1, 2 or 4
   * @return the value, zero-extended
   */
  public int in(int port, int size) {
    int owner = claimedBy[port];
    if (owner == 0 || ranges.get(owner - 1).end() < port + size) {
      return size == 1 ? inUnclaimed() : inBytes(port, size);
    }
    Range range = ranges.get(owner - 1);
    return mask(range.device.read(port - range.first, size), size);
  }

  private int inUnclaimed() {
    unclaimed.incrementAndGet();
    return 0xff;
  }

  /** An access that goes past the end of a device's ports, or starts at none: byte for byte. */
  private int inBytes(int port, int size) {
    int value = 0;
    for (int i = 0; i < size; i++) {
      value |= in(port + i & 0xffff, 1) << (8 * i);
    }
    return value;
  }

  /**
   * OUT.
   *
   * @param port 0 to 0xffff
   * @param size 1, 2 or 4
   * @param value its low {@code size} bytes count
   */
  public void out(int port, int size, int value) {
    int owner = claimedBy[port];
    if (owner == 0 || ranges.get(owner - 1).end() < port + size) {
      if (size == 1) {
        unclaimed.incrementAndGet();
      } else {
        for (int i = 0; i < size; i++) {
          out(port + i & 0xffff, 1, value >>> (8 * i) & 0xff);
        }
      }
      return;
    }
    Range range = ranges.get(owner - 1);
    range.device.write(port - range.first, size, mask(value, size));
  }

  /** The name of the device that has the port; {@code "no device"} if there is none. */
  public String nameOf(int port) {
    int owner = claimedBy[port];
    return owner == 0 ? "no device" : ranges.get(owner - 1).name;
  }

  /** How many bytes were read from or written to ports that nobody claims. */
  public long unclaimedAccesses() {
    return unclaimed.get();
  }

  private static int mask(int value, int size) {
    return size == 4 ? value : value & (1 << (8 * size)) - 1;
  }
}
