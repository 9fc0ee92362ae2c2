package org.kvm4j.machine;

import org.jspecify.annotations.Nullable;

/** What the host's processor says of itself by CPUID. */
public final class HostProcessor {
  private static final @Nullable CodeSpace SPACE = CodeSpace.get();

  private static final int VENDOR_LEAF = 0;
  private static final int[] LEAF1 = cpuid(1);
  private static final int[] LEAF7 = cpuid(0)[0] >= 7 ? cpuid(7) : new int[4];
  private static final int[] EXTENDED1 = cpuid(0x80000001);

  private HostProcessor() {}

  /** Whether it is one of AMD's Zen processors. */
  public static boolean isZen() {
    // "AuthenticAMD": EBX, EDX, ECX.
    int[] vendor = cpuid(VENDOR_LEAF);
    int family = (LEAF1[0] >> 8 & 15) + (LEAF1[0] >> 20 & 0xff);
    return vendor[1] == 0x68747541
        && vendor[3] == 0x69746e65
        && vendor[2] == 0x444d4163
        && family >= 0x17;
  }

  /**
   * Whether LAHF and SAHF can be used in 64-bit mode, which the first such processors could not.
   */
  public static boolean hasLahf() {
    return hasAmdEcx(0);
  }

  /** A bit of CPUID.1:ECX. */
  public static boolean hasEcx(int bit) {
    return (LEAF1[2] >> bit & 1) != 0;
  }

  /** A bit of CPUID.(EAX=7,ECX=0):EBX. */
  public static boolean hasExtendedEbx(int bit) {
    return (LEAF7[1] >> bit & 1) != 0;
  }

  /** A bit of CPUID.(EAX=7,ECX=0):ECX. */
  public static boolean hasExtendedEcx(int bit) {
    return (LEAF7[2] >> bit & 1) != 0;
  }

  /** A bit of CPUID.80000001H:ECX. */
  public static boolean hasAmdEcx(int bit) {
    return (EXTENDED1[2] >> bit & 1) != 0;
  }

  /** EAX, EBX, ECX and EDX of a leaf's first subleaf; zeros where code cannot be run. */
  private static int[] cpuid(int leaf) {
    int[] result = new int[4];
    if (SPACE == null) {
      return result;
    }
    for (int register = 0; register < 4; register++) {
      Assembler a = new Assembler();
      a.set32(Assembler.RAX, leaf);
      a.set32(Assembler.RCX, 0);
      a.emit(0x0f);
      a.emit(0xa2); // cpuid
      int[] from = {Assembler.RAX, Assembler.RBX, Assembler.RCX, Assembler.RDX};
      a.move(Assembler.RAX, from[register]);
      a.emit(0xc3);
      result[register] = (int) SPACE.once(a.bytes());
    }
    return result;
  }
}
