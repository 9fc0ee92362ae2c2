package org.kvm4j.cpu.msr;

import static org.kvm4j.cpu.msr.MsrRows.constant;
import static org.kvm4j.cpu.msr.MsrRows.with;
import static org.kvm4j.cpu.msr.MsrTable.IA32_MTRRCAP;
import static org.kvm4j.cpu.msr.MsrTable.IA32_MTRR_DEF_TYPE;
import static org.kvm4j.cpu.msr.MsrTable.IA32_MTRR_PHYSBASE0;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PAT;
import static org.kvm4j.cpu.msr.MsrTable.isPat;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.Feature;

/** Memory types: MTRRs and PAT. */
final class MemoryTypeMsrs {
  static final int[] FIXED = {
    0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f
  };

  private static final String[] FIXED_NAMES = {
    "64K_00000",
    "16K_80000",
    "16K_A0000",
    "4K_C0000",
    "4K_C8000",
    "4K_D0000",
    "4K_D8000",
    "4K_E0000",
    "4K_E8000",
    "4K_F0000",
    "4K_F8000"
  };

  private MemoryTypeMsrs() {}

  static void add(MsrRows rows) {
    Msr.Presence mtrr = with(Feature.MTRR);
    String source = "Memory Type Range Registers (MTRRs)";
    int variable = 10;
    rows.add(
        IA32_MTRRCAP,
        "IA32_MTRRCAP",
        source,
        mtrr,
        // WC, fixed ranges, the number of variable ranges.
        c -> constant(c, IA32_MTRRCAP, 0x500 | variable),
        MsrRows::refuse);
    rows.add(
        IA32_MTRR_DEF_TYPE,
        "IA32_MTRR_DEF_TYPE",
        source,
        mtrr,
        c -> c.msr.mtrrDefType,
        (c, v) -> {
          if ((v & ~0xcffL) != 0 || !isMtrrType((int) v & 0xff)) {
            return false;
          }
          c.msr.mtrrDefType = v;
          return true;
        });
    for (int n = 0; n < variable; n++) {
      int k = n;
      rows.add(
          IA32_MTRR_PHYSBASE0 + 2 * n,
          "IA32_MTRR_PHYSBASE" + n,
          source,
          mtrr,
          c -> c.msr.mtrrBase[k],
          (c, v) -> {
            if ((v & 0xf00) != 0 || isBeyondMemory(c, v) || !isMtrrType((int) v & 0xff)) {
              return false;
            }
            c.msr.mtrrBase[k] = v;
            return true;
          });
      rows.add(
          IA32_MTRR_PHYSBASE0 + 2 * n + 1,
          "IA32_MTRR_PHYSMASK" + n,
          source,
          mtrr,
          c -> c.msr.mtrrMask[k],
          (c, v) -> {
            if ((v & 0x7ff) != 0 || isBeyondMemory(c, v)) {
              return false;
            }
            c.msr.mtrrMask[k] = v;
            return true;
          });
    }
    for (int n = 0; n < FIXED.length; n++) {
      int k = n;
      rows.add(
          FIXED[n],
          "IA32_MTRR_FIX" + FIXED_NAMES[n],
          source,
          mtrr,
          c -> c.msr.mtrrFixed[k],
          (c, v) -> {
            for (int shift = 0; shift < 64; shift += 8) {
              if (!isMtrrType((int) (v >>> shift) & 0xff)) {
                return false;
              }
            }
            c.msr.mtrrFixed[k] = v;
            return true;
          });
    }
    rows.add(
        IA32_PAT,
        "IA32_PAT",
        "Page Attribute Table (PAT)",
        with(Feature.PAT),
        c -> c.msr.pat,
        (c, v) -> {
          if (!isPat(v)) {
            return false;
          }
          c.msr.pat = v;
          c.updateMode();
          return true;
        });
  }

  private static boolean isMtrrType(int type) {
    return type == 0 || type == 1 || type >= 4 && type <= 6;
  }

  private static boolean isBeyondMemory(Cpu cpu, long value) {
    return value >>> cpu.model.physicalAddressBits() != 0;
  }
}
