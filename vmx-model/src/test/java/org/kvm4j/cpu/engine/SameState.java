package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;

/** Two processors that have done the same, in two ways, are in the same state. */
final class SameState {
  private SameState() {}

  /**
   * Compares all that guests can see of a processor, and what it has used up.
   *
   * @param what for messages
   */
  static void check(Cpu a, Cpu b, String what) {
    assertEquals(Long.toHexString(a.rip), Long.toHexString(b.rip), () -> what + ": RIP");
    for (int k = 0; k < 16; k++) {
      int register = k;
      assertEquals(
          Long.toHexString(a.r[k]),
          Long.toHexString(b.r[k]),
          () -> what + ": register " + register);
    }
    assertEquals(
        Long.toHexString(a.rflags()), Long.toHexString(b.rflags()), () -> what + ": RFLAGS");
    assertEquals(a.cpl, b.cpl, () -> what + ": CPL");
    assertEquals(a.modeKey, b.modeKey, () -> what + ": mode");
    for (int s = 0; s < 6; s++) {
      Segment one = a.seg[s];
      Segment other = b.seg[s];
      int segment = s;
      assertEquals(one.selector, other.selector, () -> what + ": selector of " + segment);
      assertEquals(one.base, other.base, () -> what + ": base of " + segment);
      assertEquals(one.limit, other.limit, () -> what + ": limit of " + segment);
      assertEquals(one.ar, other.ar, () -> what + ": access rights of " + segment);
    }
    assertEquals(a.r[Cpu.FS_BASE], b.r[Cpu.FS_BASE], () -> what + ": base of FS");
    assertEquals(a.r[Cpu.GS_BASE], b.r[Cpu.GS_BASE], () -> what + ": base of GS");
    assertEquals(a.msr.kernelGsBase, b.msr.kernelGsBase, () -> what + ": IA32_KERNEL_GS_BASE");
    assertEquals(a.cr2, b.cr2, () -> what + ": CR2");
    assertEquals(a.shadow, b.shadow, () -> what + ": shadow");
    assertEquals(a.activity, b.activity, () -> what + ": activity");
    assertEquals(a.elapsed(), b.elapsed(), () -> what + ": budget");
    assertEquals(a.retired(), b.retired(), () -> what + ": instructions");
    assertEquals(-1, Arrays.mismatch(a.xsaveArea, b.xsaveArea), () -> what + ": vector state");
  }
}
