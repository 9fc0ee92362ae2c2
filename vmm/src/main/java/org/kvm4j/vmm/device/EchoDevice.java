package org.kvm4j.vmm.device;

/**
 * A memory-mapped device to try things on: what is written to its data register is kept, and comes
 * out again, oldest first.
 *
 * <table>
 *   <caption>Registers</caption>
 *   <tr><td>0x00</td><td>identity, reads as {@code "ECHO"}</td></tr>
 *   <tr><td>0x08</td><td>data: writing adds 1 to 8 bytes, reading takes them; 0 where there are none</td></tr>
 *   <tr><td>0x10</td><td>how many bytes there are; writing anything drops them all</td></tr>
 * </table>
 */
public final class EchoDevice implements MmioDevice {

  /** Where the reference machine has it. */
  public static final long ADDRESS = 0xd000_0000L;

  /** Size of its range in bytes. */
  public static final long SIZE = 0x1000;

  /** {@code "ECHO"}, little endian. */
  public static final long IDENTITY = 0x4f48_4345L;

  private static final int DATA = 8;
  private static final int COUNT = 16;

  private final byte[] bytes = new byte[256];
  private int head;
  private int count;

  @Override
  public synchronized long read(long offset, int length) {
    if (offset < DATA) {
      return offset + length <= DATA ? IDENTITY >>> (8 * offset) : 0;
    }
    if (offset == DATA) {
      long value = 0;
      for (int i = 0; i < length && count > 0; i++) {
        value |= (bytes[head] & 0xffL) << (8 * i);
        head = (head + 1) % bytes.length;
        count--;
      }
      return value;
    }
    return offset == COUNT ? count : 0;
  }

  @Override
  public synchronized void write(long offset, int length, long value) {
    if (offset == COUNT) {
      count = 0;
    } else if (offset == DATA) {
      for (int i = 0; i < length && count < bytes.length; i++) {
        bytes[(head + count) % bytes.length] = (byte) (value >>> (8 * i));
        count++;
      }
    }
  }
}
