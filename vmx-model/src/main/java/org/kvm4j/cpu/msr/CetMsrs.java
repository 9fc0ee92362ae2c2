package org.kvm4j.cpu.msr;

import static org.kvm4j.cpu.msr.MsrRows.canonical;
import static org.kvm4j.cpu.msr.MsrRows.with;
import static org.kvm4j.cpu.msr.MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR;
import static org.kvm4j.cpu.msr.MsrTable.IA32_PL0_SSP;
import static org.kvm4j.cpu.msr.MsrTable.IA32_S_CET;
import static org.kvm4j.cpu.msr.MsrTable.IA32_U_CET;
import static org.kvm4j.cpu.msr.MsrTable.isCetControl;
import static org.kvm4j.cpu.msr.MsrTable.isSsp;

import org.kvm4j.cpu.profile.Feature;

/** Control-flow enforcement. */
final class CetMsrs {
  private CetMsrs() {}

  static void add(MsrRows rows) {
    String source = "Control-flow Enforcement Technology (CET) MSRs";
    Msr.Presence any = with(Feature.CET_SS, Feature.CET_IBT);
    Msr.Presence shadowStacks = with(Feature.CET_SS);
    rows.add(
        IA32_U_CET,
        "IA32_U_CET",
        source,
        any,
        c -> c.msr.uCet,
        cetControl((c, v) -> c.msr.uCet = v));
    rows.add(
        IA32_S_CET,
        "IA32_S_CET",
        source,
        any,
        c -> c.msr.sCet,
        cetControl((c, v) -> c.msr.sCet = v));
    for (int n = 0; n < 4; n++) {
      int level = n;
      rows.add(
          IA32_PL0_SSP + n,
          "IA32_PL" + n + "_SSP",
          source,
          shadowStacks,
          c -> c.msr.plSsp[level],
          (c, v) -> {
            if (!isSsp(c, v)) {
              return false;
            }
            c.msr.plSsp[level] = v;
            return true;
          });
    }
    rows.add(
        IA32_INTERRUPT_SSP_TABLE_ADDR,
        "IA32_INTERRUPT_SSP_TABLE_ADDR",
        source,
        model -> model.has(Feature.CET_SS) && model.has(Feature.LM),
        c -> c.msr.interruptSspTable,
        canonical((c, v) -> c.msr.interruptSspTable = v));
  }

  private static Msr.Writer cetControl(MsrRows.Setter setter) {
    return (c, v) -> {
      if (!isCetControl(c, v)) {
        return false;
      }
      setter.set(c, v);
      c.updateMode();
      return true;
    };
  }
}
