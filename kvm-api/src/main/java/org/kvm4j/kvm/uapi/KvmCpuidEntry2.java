package org.kvm4j.kvm.uapi;

/**
 * {@code struct kvm_cpuid_entry2}: offsets in bytes. A part of {@code struct kvm_cpuid2}.
 *
 * <p>Source: Linux 6.1 uapi headers, x86-64.
 */
public final class KvmCpuidEntry2 {

  /** Size in bytes. */
  public static final int SIZEOF = 40;

  /** {@code function}: u32. */
  public static final int FUNCTION = 0;

  /** {@code index}: u32. */
  public static final int INDEX = 4;

  /** {@code flags}: u32. */
  public static final int FLAGS = 8;

  /** {@code eax}: u32. */
  public static final int EAX = 12;

  /** {@code ebx}: u32. */
  public static final int EBX = 16;

  /** {@code ecx}: u32. */
  public static final int ECX = 20;

  /** {@code edx}: u32. */
  public static final int EDX = 24;

  /** {@code padding}: u32[3]. */
  public static final int PADDING = 28;

  /** The layout as data. */
  public static final StructLayout LAYOUT =
      StructLayout.of("kvm_cpuid_entry2", SIZEOF)
          .field("function", FUNCTION, 4, "u32")
          .field("index", INDEX, 4, "u32")
          .field("flags", FLAGS, 4, "u32")
          .field("eax", EAX, 4, "u32")
          .field("ebx", EBX, 4, "u32")
          .field("ecx", ECX, 4, "u32")
          .field("edx", EDX, 4, "u32")
          .field("padding", PADDING, 12, "u32[3]")
          .build();

  private KvmCpuidEntry2() {}
}
