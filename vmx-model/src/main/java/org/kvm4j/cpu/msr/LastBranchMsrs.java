package org.kvm4j.cpu.msr;

import static org.kvm4j.cpu.msr.MsrRows.any;
import static org.kvm4j.cpu.msr.MsrRows.bits;
import static org.kvm4j.cpu.msr.MsrTable.MSR_LASTBRANCH_0_FROM_IP;
import static org.kvm4j.cpu.msr.MsrTable.MSR_LASTBRANCH_0_TO_IP;
import static org.kvm4j.cpu.msr.MsrTable.MSR_LASTBRANCH_TOS;
import static org.kvm4j.cpu.msr.MsrTable.MSR_LBR_SELECT;

/**
 * Last branches: registers that the models have by their number, and that Linux takes to be there
 * where there are performance counters. They keep what is written.
 */
final class LastBranchMsrs {
  private static final String SOURCE =
      "Last Branch, Call Stack, Interrupt, and Exception Recording";

  private LastBranchMsrs() {}

  static void add(MsrRows rows) {
    int core = 4;
    rows.add(
        MSR_LBR_SELECT,
        "MSR_LBR_SELECT",
        SOURCE,
        model -> model.lastBranches() > core,
        c -> c.msr.lastBranchSelect,
        bits(0x3ff, (c, v) -> c.msr.lastBranchSelect = v));
    rows.add(
        MSR_LASTBRANCH_TOS,
        "MSR_LASTBRANCH_TOS",
        SOURCE,
        model -> model.lastBranches() > 0,
        c -> c.msr.lastBranchTop,
        any((c, v) -> c.msr.lastBranchTop = v & c.model.lastBranches() - 1));
    for (int n = 0; n < 32; n++) {
      int k = n;
      Msr.Presence presence = model -> k < model.lastBranches() && model.lastBranches() > core;
      lastBranch(
          rows,
          MSR_LASTBRANCH_0_FROM_IP + n,
          "MSR_LASTBRANCH_" + k + "_FROM_IP",
          k,
          true,
          presence);
      lastBranch(
          rows, MSR_LASTBRANCH_0_TO_IP + n, "MSR_LASTBRANCH_" + k + "_TO_IP", k, false, presence);
    }
    for (int n = 0; n < core; n++) {
      Msr.Presence presence = model -> model.lastBranches() == core;
      lastBranch(rows, 0x40 + n, "MSR_LASTBRANCH_" + n + "_FROM_IP (Core 2)", n, true, presence);
      lastBranch(rows, 0x60 + n, "MSR_LASTBRANCH_" + n + "_TO_IP (Core 2)", n, false, presence);
    }
  }

  private static void lastBranch(
      MsrRows rows, int index, String name, int k, boolean from, Msr.Presence presence) {
    rows.add(
        index,
        name,
        SOURCE,
        presence,
        c -> (from ? c.msr.lastBranchFrom : c.msr.lastBranchTo)[k],
        any((c, v) -> (from ? c.msr.lastBranchFrom : c.msr.lastBranchTo)[k] = v));
  }
}
