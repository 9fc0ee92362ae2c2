package org.kvm4j.cpu.msr;

import static org.kvm4j.cpu.msr.MsrRows.bits;
import static org.kvm4j.cpu.msr.MsrRows.constant;
import static org.kvm4j.cpu.msr.MsrRows.with;
import static org.kvm4j.cpu.msr.MsrTable.IA32_MC0_CTL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_MCG_CAP;
import static org.kvm4j.cpu.msr.MsrTable.IA32_MCG_CTL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_MCG_STATUS;

import org.kvm4j.cpu.profile.Feature;

/** Machine checks. */
final class MachineCheckMsrs {
  /** IA32_MCG_CAP.MCG_CTL_P. */
  private static final long MCG_CTL_P = 1 << 8;

  private MachineCheckMsrs() {}

  static void add(MsrRows rows) {
    String source = "Machine-Check MSRs";
    rows.add(0, "IA32_P5_MC_ADDR", source, with(Feature.MCE), c -> 0, MsrRows::ignore);
    rows.add(1, "IA32_P5_MC_TYPE", source, with(Feature.MCE), c -> 0, MsrRows::ignore);
    rows.add(
        IA32_MCG_CAP,
        "IA32_MCG_CAP",
        source,
        with(Feature.MCA),
        c -> constant(c, IA32_MCG_CAP, 0),
        MsrRows::refuse);
    rows.add(
        IA32_MCG_STATUS,
        "IA32_MCG_STATUS",
        source,
        with(Feature.MCA),
        c -> c.msr.mcgStatus,
        bits(7, (c, v) -> c.msr.mcgStatus = v));
    rows.add(
        IA32_MCG_CTL,
        "IA32_MCG_CTL",
        source,
        model ->
            model.has(Feature.MCA)
                && (model.msrs().getOrDefault(IA32_MCG_CAP, 0L) & MCG_CTL_P) != 0,
        c -> c.msr.mcgCtl,
        (c, v) -> {
          if (v != 0 && v != -1) {
            return false;
          }
          c.msr.mcgCtl = v;
          return true;
        });
    String[] names = {"CTL", "STATUS", "ADDR", "MISC"};
    for (int n = 0; n < 32; n++) {
      int bank = n;
      for (int kind = 0; kind < 4; kind++) {
        int at = n * 4 + kind;
        boolean control = kind == 0;
        rows.add(
            IA32_MC0_CTL + at,
            "IA32_MC" + n + "_" + names[kind],
            source,
            model ->
                model.has(Feature.MCA)
                    && bank < (model.msrs().getOrDefault(IA32_MCG_CAP, 0L) & 0xff),
            c -> c.msr.mcBanks[at],
            (c, v) -> {
              // All ones or zeros for CTL, only zeros for the rest.
              if (v != 0 && !(control && v == -1)) {
                return false;
              }
              c.msr.mcBanks[at] = v;
              return true;
            });
      }
    }
  }
}
