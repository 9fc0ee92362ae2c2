package org.kvm4j.vmm.device;

/** Port 0x80: keeps the last byte written, as the display of a diagnostic card does. */
public final class PostPort extends ByteDevice {

  /** Its port. */
  public static final int PORT = 0x80;

  private volatile int last;
  private volatile boolean written;

  @Override
  protected int readByte(int offset) {
    return last;
  }

  @Override
  protected void writeByte(int offset, int value) {
    last = value;
    written = true;
  }

  /** The last code, 0 to 255; -1 if there was none. */
  public int lastCode() {
    return written ? last : -1;
  }
}
