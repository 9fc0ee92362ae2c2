package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_fpu}: offsets in bytes. The argument of {@code KVM_GET_FPU} and {@code
 * KVM_SET_FPU}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmFpu {

  /** Size in bytes. */
  public static final int SIZEOF = 416;

  /** {@code fpr}: u8[8][16]. */
  public static final int FPR = 0;

  /** {@code fcw}: u16. */
  public static final int FCW = 128;

  /** {@code fsw}: u16. */
  public static final int FSW = 130;

  /** {@code ftwx}: u8. */
  public static final int FTWX = 132;

  /** {@code pad1}: u8. */
  public static final int PAD1 = 133;

  /** {@code last_opcode}: u16. */
  public static final int LAST_OPCODE = 134;

  /** {@code last_ip}: u64. */
  public static final int LAST_IP = 136;

  /** {@code last_dp}: u64. */
  public static final int LAST_DP = 144;

  /** {@code xmm}: u8[16][16]. */
  public static final int XMM = 152;

  /** {@code mxcsr}: u32. */
  public static final int MXCSR = 408;

  /** {@code pad2}: u32. */
  public static final int PAD2 = 412;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_fpu", SIZEOF)
          .field("fpr", FPR, 128, "u8[8][16]")
          .field("fcw", FCW, 2, "u16")
          .field("fsw", FSW, 2, "u16")
          .field("ftwx", FTWX, 1, "u8")
          .field("pad1", PAD1, 1, "u8")
          .field("last_opcode", LAST_OPCODE, 2, "u16")
          .field("last_ip", LAST_IP, 8, "u64")
          .field("last_dp", LAST_DP, 8, "u64")
          .field("xmm", XMM, 256, "u8[16][16]")
          .field("mxcsr", MXCSR, 4, "u32")
          .field("pad2", PAD2, 4, "u32")
          .build();

  private KvmFpu() {}
}
