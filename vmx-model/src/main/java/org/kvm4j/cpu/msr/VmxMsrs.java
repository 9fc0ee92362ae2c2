package org.kvm4j.cpu.msr;

import static org.kvm4j.cpu.msr.MsrRows.constant;
import static org.kvm4j.cpu.msr.MsrRows.with;
import static org.kvm4j.cpu.msr.MsrTable.IA32_FEATURE_CONTROL;
import static org.kvm4j.cpu.msr.MsrTable.IA32_VMX_BASIC;

import org.kvm4j.cpu.profile.Feature;

/** Capabilities of VMX: rows for names and documentation, as accesses go to the unit. */
final class VmxMsrs {
  private static final String[] NAMES = {
    "BASIC",
    "PINBASED_CTLS",
    "PROCBASED_CTLS",
    "EXIT_CTLS",
    "ENTRY_CTLS",
    "MISC",
    "CR0_FIXED0",
    "CR0_FIXED1",
    "CR4_FIXED0",
    "CR4_FIXED1",
    "VMCS_ENUM",
    "PROCBASED_CTLS2",
    "EPT_VPID_CAP",
    "TRUE_PINBASED_CTLS",
    "TRUE_PROCBASED_CTLS",
    "TRUE_EXIT_CTLS",
    "TRUE_ENTRY_CTLS",
    "VMFUNC",
    "PROCBASED_CTLS3",
    "EXIT_CTLS2"
  };

  private VmxMsrs() {}

  static void add(MsrRows rows) {
    rows.add(
        IA32_FEATURE_CONTROL,
        "IA32_FEATURE_CONTROL",
        "Enabling and Entering VMX Operation",
        with(Feature.VMX, Feature.SMX),
        c -> c.msr.featureControl,
        MsrRows::refuse);
    for (int n = 0; n < NAMES.length; n++) {
      int index = IA32_VMX_BASIC + n;
      rows.add(
          index,
          "IA32_VMX_" + NAMES[n],
          "VMX Capability Reporting Facility",
          with(Feature.VMX),
          c -> constant(c, index, 0),
          MsrRows::refuse);
    }
  }
}
