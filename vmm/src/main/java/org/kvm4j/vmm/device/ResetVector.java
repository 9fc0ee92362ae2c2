package org.kvm4j.vmm.device;

/**
 * Where a processor starts after a reset and after INIT, 16 bytes below 4 GB and below 1 MB: code
 * that tells the machine by a port that it has come, and the port.
 *
 * <p>Source: SDM 10.1.4 "First Instruction Executed".
 */
public final class ResetVector extends ByteDevice {

  /** Its port. */
  public static final int PORT = 0x60c;

  /** The page that its code is in, at the end of 4 GB. */
  public static final long PAGE = 0xffff_f000L;

  /** Where the code is below 1 MB. */
  public static final long LOW = 0xf_fff0;

  /** Where it is in its page. */
  public static final int OFFSET = 0xff0;

  private final Runnable reached;

  /**
   * @param reached a processor has come here
   */
  public ResetVector(Runnable reached) {
    this.reached = reached;
  }

  /** The code, for real mode. */
  public static byte[] code() {
    return new byte[] {
      (byte) 0xba,
      (byte) PORT,
      PORT >> 8, // mov dx, port
      (byte) 0xee, // out dx, al
      (byte) 0xfa, // cli
      (byte) 0xf4, // hlt
      (byte) 0xeb,
      (byte) 0xfd // jmp to the hlt
    };
  }

  @Override
  protected int readByte(int offset) {
    return 0xff;
  }

  @Override
  protected void writeByte(int offset, int value) {
    reached.run();
  }
}
