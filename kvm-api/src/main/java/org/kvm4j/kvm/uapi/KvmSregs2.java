package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_sregs2}: offsets in bytes. The argument of {@code KVM_GET_SREGS2} and {@code
 * KVM_SET_SREGS2}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmSregs2 {

  /** Size in bytes. */
  public static final int SIZEOF = 320;

  /** {@code cs}: struct kvm_segment. */
  public static final int CS = 0;

  /** {@code ds}: struct kvm_segment. */
  public static final int DS = 24;

  /** {@code es}: struct kvm_segment. */
  public static final int ES = 48;

  /** {@code fs}: struct kvm_segment. */
  public static final int FS = 72;

  /** {@code gs}: struct kvm_segment. */
  public static final int GS = 96;

  /** {@code ss}: struct kvm_segment. */
  public static final int SS = 120;

  /** {@code tr}: struct kvm_segment. */
  public static final int TR = 144;

  /** {@code ldt}: struct kvm_segment. */
  public static final int LDT = 168;

  /** {@code gdt}: struct kvm_dtable. */
  public static final int GDT = 192;

  /** {@code idt}: struct kvm_dtable. */
  public static final int IDT = 208;

  /** {@code cr0}: u64. */
  public static final int CR0 = 224;

  /** {@code cr2}: u64. */
  public static final int CR2 = 232;

  /** {@code cr3}: u64. */
  public static final int CR3 = 240;

  /** {@code cr4}: u64. */
  public static final int CR4 = 248;

  /** {@code cr8}: u64. */
  public static final int CR8 = 256;

  /** {@code efer}: u64. */
  public static final int EFER = 264;

  /** {@code apic_base}: u64. */
  public static final int APIC_BASE = 272;

  /** {@code flags}: u64. */
  public static final int FLAGS = 280;

  /** {@code pdptrs}: u64[4]. */
  public static final int PDPTRS = 288;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_sregs2", SIZEOF)
          .field("cs", CS, 24, "struct kvm_segment")
          .field("ds", DS, 24, "struct kvm_segment")
          .field("es", ES, 24, "struct kvm_segment")
          .field("fs", FS, 24, "struct kvm_segment")
          .field("gs", GS, 24, "struct kvm_segment")
          .field("ss", SS, 24, "struct kvm_segment")
          .field("tr", TR, 24, "struct kvm_segment")
          .field("ldt", LDT, 24, "struct kvm_segment")
          .field("gdt", GDT, 16, "struct kvm_dtable")
          .field("idt", IDT, 16, "struct kvm_dtable")
          .field("cr0", CR0, 8, "u64")
          .field("cr2", CR2, 8, "u64")
          .field("cr3", CR3, 8, "u64")
          .field("cr4", CR4, 8, "u64")
          .field("cr8", CR8, 8, "u64")
          .field("efer", EFER, 8, "u64")
          .field("apic_base", APIC_BASE, 8, "u64")
          .field("flags", FLAGS, 8, "u64")
          .field("pdptrs", PDPTRS, 32, "u64[4]")
          .build();

  private KvmSregs2() {}
}
