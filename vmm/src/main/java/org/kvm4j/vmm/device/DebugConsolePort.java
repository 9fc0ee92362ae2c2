package org.kvm4j.vmm.device;

/**
 * Port 0xe9, where Bochs has its debug console: a byte written is a byte of output, and reading
 * gives 0xe9, by which a guest knows that it is there.
 */
public final class DebugConsolePort extends ByteDevice {

  /** Its port. */
  public static final int PORT = 0xe9;

  private final Uart16550.Sink sink;

  /**
   * @param sink where the output goes
   */
  public DebugConsolePort(Uart16550.Sink sink) {
    this.sink = sink;
  }

  @Override
  protected int readByte(int offset) {
    return PORT;
  }

  @Override
  protected void writeByte(int offset, int value) {
    sink.accept(value);
  }
}
