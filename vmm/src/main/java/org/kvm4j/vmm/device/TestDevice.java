package org.kvm4j.vmm.device;

import java.util.function.IntFunction;
import java.util.function.LongConsumer;

/**
 * What kvm-unit-tests expect of a machine beside its PC's devices, as QEMU's pc-testdev has it: a
 * register that keeps what is written, the same byte by byte, a port that has a page of memory
 * mapped anew, all interrupt lines, and 64 KB of memory that is a device.
 */
public final class TestDevice {

  /** The first port of the register, of the page flush, and of the register by bytes: 4 each. */
  public static final int PORT = 0xe0;

  /** How many ports they take. */
  public static final int PORTS = 12;

  /** The first port of the interrupt lines. */
  public static final int IRQ_PORT = 0x2000;

  /** How many ports they take: one for each line. */
  public static final int IRQ_PORTS = 24;

  /** Where the memory is. */
  public static final long MEMORY = 0xff00_0000L;

  /** How much of it there is. */
  public static final int MEMORY_SIZE = 0x1_0000;

  private static final int FLUSH = 4;
  private static final int BYTES = 8;

  private final byte[] register = new byte[4];
  private final byte[] memory = new byte[MEMORY_SIZE];

  /**
   * The register, the page flush, and the register by bytes.
   *
   * @param flush takes the guest-physical address of a page to map anew
   */
  public PortDevice ports(LongConsumer flush) {
    return new PortDevice() {
      @Override
      public int read(int offset, int size) {
        synchronized (register) {
          int value = 0;
          for (int i = 0; i < size && readable(offset + i); i++) {
            value |= (register[offset + i & 3] & 0xff) << (8 * i);
          }
          return value;
        }
      }

      @Override
      public void write(int offset, int size, int value) {
        if (offset == FLUSH && size == 4) {
          flush.accept(value & 0xffff_f000L);
          return;
        }
        synchronized (register) {
          for (int i = 0; i < size && readable(offset + i); i++) {
            register[offset + i & 3] = (byte) (value >>> (8 * i));
          }
        }
      }
    };
  }

  private static boolean readable(int offset) {
    return offset < FLUSH || offset >= BYTES;
  }

  /**
   * The interrupt lines: a byte written sets one up or, if it is 0, down.
   *
   * @param lines by number
   */
  public static PortDevice lines(IntFunction<InterruptLine> lines) {
    InterruptLine[] all = new InterruptLine[IRQ_PORTS];
    for (int i = 0; i < IRQ_PORTS; i++) {
      all[i] = lines.apply(i);
    }
    return new ByteDevice() {
      @Override
      protected int readByte(int offset) {
        return 0;
      }

      @Override
      protected void writeByte(int offset, int value) {
        all[offset].set(value != 0);
      }
    };
  }

  /** The memory that is a device. */
  public MmioDevice memory() {
    return new MmioDevice() {
      @Override
      public long read(long offset, int length) {
        synchronized (memory) {
          long value = 0;
          for (int i = 0; i < length; i++) {
            value |= (memory[(int) offset + i] & 0xffL) << (8 * i);
          }
          return value;
        }
      }

      @Override
      public void write(long offset, int length, long value) {
        synchronized (memory) {
          for (int i = 0; i < length; i++) {
            memory[(int) offset + i] = (byte) (value >>> (8 * i));
          }
        }
      }
    };
  }
}
