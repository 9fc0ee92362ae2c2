package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_cpuid_entry}: offsets in bytes. A part of {@code struct kvm_cpuid}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmCpuidEntry {

  /** Size in bytes. */
  public static final int SIZEOF = 24;

  /** {@code function}: u32. */
  public static final int FUNCTION = 0;

  /** {@code eax}: u32. */
  public static final int EAX = 4;

  /** {@code ebx}: u32. */
  public static final int EBX = 8;

  /** {@code ecx}: u32. */
  public static final int ECX = 12;

  /** {@code edx}: u32. */
  public static final int EDX = 16;

  /** {@code padding}: u32. */
  public static final int PADDING = 20;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_cpuid_entry", SIZEOF)
          .field("function", FUNCTION, 4, "u32")
          .field("eax", EAX, 4, "u32")
          .field("ebx", EBX, 4, "u32")
          .field("ecx", ECX, 4, "u32")
          .field("edx", EDX, 4, "u32")
          .field("padding", PADDING, 4, "u32")
          .build();

  private KvmCpuidEntry() {}
}
