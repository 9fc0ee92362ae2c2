package org.kvm4j.vmm.device;

/**
 * A device whose ports are one byte wide, as on the ISA bus: a wider access is one access for each
 * byte, the lowest first.
 */
public abstract class ByteDevice implements PortDevice {

  /** For devices. */
  protected ByteDevice() {}

  /** The guest reads a byte. */
  protected abstract int readByte(int offset);

  /** The guest writes a byte, 0 to 255. */
  protected abstract void writeByte(int offset, int value);

  @Override
  public final int read(int offset, int size) {
    int value = 0;
    for (int i = 0; i < size; i++) {
      value |= (readByte(offset + i) & 0xff) << (8 * i);
    }
    return value;
  }

  @Override
  public final void write(int offset, int size, int value) {
    for (int i = 0; i < size; i++) {
      writeByte(offset + i, value >>> (8 * i) & 0xff);
    }
  }
}
