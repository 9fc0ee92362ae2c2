package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_regs}: offsets in bytes. The argument of {@code KVM_GET_REGS} and {@code
 * KVM_SET_REGS}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmRegs {

  /** Size in bytes. */
  public static final int SIZEOF = 144;

  /** {@code rax}: u64. */
  public static final int RAX = 0;

  /** {@code rbx}: u64. */
  public static final int RBX = 8;

  /** {@code rcx}: u64. */
  public static final int RCX = 16;

  /** {@code rdx}: u64. */
  public static final int RDX = 24;

  /** {@code rsi}: u64. */
  public static final int RSI = 32;

  /** {@code rdi}: u64. */
  public static final int RDI = 40;

  /** {@code rsp}: u64. */
  public static final int RSP = 48;

  /** {@code rbp}: u64. */
  public static final int RBP = 56;

  /** {@code r8}: u64. */
  public static final int R8 = 64;

  /** {@code r9}: u64. */
  public static final int R9 = 72;

  /** {@code r10}: u64. */
  public static final int R10 = 80;

  /** {@code r11}: u64. */
  public static final int R11 = 88;

  /** {@code r12}: u64. */
  public static final int R12 = 96;

  /** {@code r13}: u64. */
  public static final int R13 = 104;

  /** {@code r14}: u64. */
  public static final int R14 = 112;

  /** {@code r15}: u64. */
  public static final int R15 = 120;

  /** {@code rip}: u64. */
  public static final int RIP = 128;

  /** {@code rflags}: u64. */
  public static final int RFLAGS = 136;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_regs", SIZEOF)
          .field("rax", RAX, 8, "u64")
          .field("rbx", RBX, 8, "u64")
          .field("rcx", RCX, 8, "u64")
          .field("rdx", RDX, 8, "u64")
          .field("rsi", RSI, 8, "u64")
          .field("rdi", RDI, 8, "u64")
          .field("rsp", RSP, 8, "u64")
          .field("rbp", RBP, 8, "u64")
          .field("r8", R8, 8, "u64")
          .field("r9", R9, 8, "u64")
          .field("r10", R10, 8, "u64")
          .field("r11", R11, 8, "u64")
          .field("r12", R12, 8, "u64")
          .field("r13", R13, 8, "u64")
          .field("r14", R14, 8, "u64")
          .field("r15", R15, 8, "u64")
          .field("rip", RIP, 8, "u64")
          .field("rflags", RFLAGS, 8, "u64")
          .build();

  private KvmRegs() {}
}
