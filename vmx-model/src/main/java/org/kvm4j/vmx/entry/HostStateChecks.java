package org.kvm4j.vmx.entry;

import java.util.List;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.vmx.entry.EntryChecks.CheckBuilder;
import org.kvm4j.vmx.entry.EntryChecks.Section;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;

/** Checks on the host-state area. SDM 27.2.2 to 27.2.4. */
final class HostStateChecks {
  /** Bits of IA32_EFER that are defined: SCE, LME, LMA, NXE. */
  static final long EFER_DEFINED =
      ControlBits.EFER_SCE | ControlBits.EFER_LME | ControlBits.EFER_LMA | ControlBits.EFER_NXE;

  private final List<CheckBuilder> checks;

  private HostStateChecks(List<CheckBuilder> checks) {
    this.checks = checks;
  }

  static void add(List<CheckBuilder> checks) {
    HostStateChecks all = new HostStateChecks(checks);
    all.registers();
    all.segments();
    all.addressSpace();
  }

  private CheckBuilder check(Section section, String id, String statement) {
    CheckBuilder builder = new CheckBuilder(EntryCheck.Group.HOST_STATE, section, id, statement);
    checks.add(builder);
    return builder;
  }

  private void canonical(Section section, VmcsField field) {
    int f = field.ordinal();
    check(section, field + "_CANONICAL", "The field contains a canonical address.")
        .reads(field)
        .passes(c -> c.isCanonical(c.v[f]))
        .nearest(c -> c.nearestCanonical(c.v[f]));
  }

  private void registers() {
    Section s = Section.HOST_REGISTERS;
    check(s, "HOST_CR0_FIXED", "CR0 has no bit that is not supported in VMX operation.")
        .reads(VmcsField.HOST_CR0)
        .passes(
            c ->
                (c.v[Vmcs.HOST_CR0] & c.capabilities.cr0Fixed0) == c.capabilities.cr0Fixed0
                    && (c.v[Vmcs.HOST_CR0] & ~c.capabilities.cr0Fixed1) == 0)
        .nearest(c -> c.v[Vmcs.HOST_CR0] & c.capabilities.cr0Fixed1 | c.capabilities.cr0Fixed0);
    check(s, "HOST_CR4_FIXED", "CR4 has no bit that is not supported in VMX operation.")
        .reads(VmcsField.HOST_CR4)
        .passes(
            c ->
                (c.v[Vmcs.HOST_CR4] & c.capabilities.cr4Fixed0) == c.capabilities.cr4Fixed0
                    && (c.v[Vmcs.HOST_CR4] & ~c.capabilities.cr4Fixed1) == 0)
        .nearest(c -> c.v[Vmcs.HOST_CR4] & c.capabilities.cr4Fixed1 | c.capabilities.cr4Fixed0);
    check(s, "HOST_CR4_CET", "If CR4.CET is 1, CR0.WP is 1.")
        .reads(VmcsField.HOST_CR0, VmcsField.HOST_CR4)
        .passes(
            c ->
                (c.v[Vmcs.HOST_CR4] & ControlBits.CR4_CET) == 0
                    || (c.v[Vmcs.HOST_CR0] & ControlBits.CR0_WP) != 0)
        .nearest(c -> c.v[Vmcs.HOST_CR0] | ControlBits.CR0_WP);
    check(s, "HOST_CR3_WIDTH", "Bits of CR3 beyond the physical-address width are 0.")
        .reads(VmcsField.HOST_CR3)
        .passes(c -> (c.v[Vmcs.HOST_CR3] & c.cr3Reserved()) == 0)
        .nearest(c -> c.v[Vmcs.HOST_CR3] & ~c.cr3Reserved());
    canonical(s, VmcsField.HOST_IA32_SYSENTER_ESP);
    canonical(s, VmcsField.HOST_IA32_SYSENTER_EIP);
    check(
            s,
            "HOST_IA32_PERF_GLOBAL_CTRL_RESERVED",
            "If IA32_PERF_GLOBAL_CTRL is loaded, its reserved bits are 0.")
        .reads(VmcsField.HOST_IA32_PERF_GLOBAL_CTRL, VmcsField.VM_EXIT_CONTROLS)
        .passes(
            c ->
                !c.exit(Controls.VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL)
                    || (c.v[Vmcs.HOST_IA32_PERF_GLOBAL_CTRL] & ~c.perfGlobalDefined) == 0)
        .nearest(c -> c.v[Vmcs.HOST_IA32_PERF_GLOBAL_CTRL] & c.perfGlobalDefined);
    check(
            s,
            "HOST_IA32_PAT_TYPES",
            "If IA32_PAT is loaded, each of its bytes is a memory type: 0, 1, 4, 5, 6 or 7.")
        .reads(VmcsField.HOST_IA32_PAT, VmcsField.VM_EXIT_CONTROLS)
        .passes(
            c -> !c.exit(Controls.VM_EXIT_LOAD_IA32_PAT) || MsrTable.isPat(c.v[Vmcs.HOST_IA32_PAT]))
        .nearest(c -> 0x0007_0406_0007_0406L);
    check(s, "HOST_IA32_EFER_RESERVED", "If IA32_EFER is loaded, its reserved bits are 0.")
        .reads(VmcsField.HOST_IA32_EFER, VmcsField.VM_EXIT_CONTROLS)
        .passes(
            c ->
                !c.exit(Controls.VM_EXIT_LOAD_IA32_EFER)
                    || (c.v[Vmcs.HOST_IA32_EFER] & ~EFER_DEFINED) == 0)
        .nearest(c -> c.v[Vmcs.HOST_IA32_EFER] & EFER_DEFINED);
    check(
            s,
            "HOST_IA32_EFER_LMA",
            "If IA32_EFER is loaded, its LMA and LME each equal the host address-space size.")
        .reads(VmcsField.HOST_IA32_EFER, VmcsField.VM_EXIT_CONTROLS)
        .passes(
            c ->
                !c.exit(Controls.VM_EXIT_LOAD_IA32_EFER)
                    || (c.v[Vmcs.HOST_IA32_EFER] & (ControlBits.EFER_LMA | ControlBits.EFER_LME))
                        == (c.host64() ? ControlBits.EFER_LMA | ControlBits.EFER_LME : 0))
        .nearest(
            c ->
                c.host64()
                    ? c.v[Vmcs.HOST_IA32_EFER] | ControlBits.EFER_LMA | ControlBits.EFER_LME
                    : c.v[Vmcs.HOST_IA32_EFER] & ~(ControlBits.EFER_LMA | ControlBits.EFER_LME));
    check(s, "HOST_IA32_PKRS_RESERVED", "If PKRS is loaded, its bits 63:32 are 0.")
        .reads(VmcsField.HOST_IA32_PKRS, VmcsField.VM_EXIT_CONTROLS)
        .passes(
            c -> !c.exit(Controls.VM_EXIT_LOAD_IA32_PKRS) || c.v[Vmcs.HOST_IA32_PKRS] >>> 32 == 0)
        .nearest(c -> c.v[Vmcs.HOST_IA32_PKRS] & 0xffffffffL);
    check(
            s,
            "HOST_S_CET_BITS",
            "If CET state is loaded, reserved bits of IA32_S_CET are 0, and bits 10 (SUPPRESS) and 11"
                + " (TRACKER) are not both 1.")
        .reads(VmcsField.HOST_S_CET, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> !loadsCet(c) || c.isCet(c.v[Vmcs.HOST_S_CET]))
        .nearest(c -> c.nearestCet(c.v[Vmcs.HOST_S_CET]));
    check(s, "HOST_SSP_ALIGNED", "If CET state is loaded, bits 1:0 of SSP are 0.")
        .reads(VmcsField.HOST_SSP, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> !loadsCet(c) || (c.v[Vmcs.HOST_SSP] & 3) == 0)
        .nearest(c -> c.v[Vmcs.HOST_SSP] & ~3L);
    check(
            s,
            "HOST_INTR_SSP_TABLE_CANONICAL",
            "If CET state is loaded, IA32_INTERRUPT_SSP_TABLE_ADDR is canonical.")
        .reads(VmcsField.HOST_INTR_SSP_TABLE, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> !loadsCet(c) || c.isCanonical(c.v[Vmcs.HOST_INTR_SSP_TABLE]))
        .nearest(c -> c.nearestCanonical(c.v[Vmcs.HOST_INTR_SSP_TABLE]));
  }

  private static boolean loadsCet(EntryContext c) {
    return c.exit(Controls.VM_EXIT_LOAD_CET_STATE);
  }

  private void segments() {
    Section s = Section.HOST_SEGMENTS;
    for (VmcsField field :
        List.of(
            VmcsField.HOST_CS_SELECTOR,
            VmcsField.HOST_SS_SELECTOR,
            VmcsField.HOST_DS_SELECTOR,
            VmcsField.HOST_ES_SELECTOR,
            VmcsField.HOST_FS_SELECTOR,
            VmcsField.HOST_GS_SELECTOR,
            VmcsField.HOST_TR_SELECTOR)) {
      int f = field.ordinal();
      check(s, field + "_RPL_TI", "RPL (bits 1:0) and TI (bit 2) of the selector are 0.")
          .reads(field)
          .passes(c -> (c.v[f] & 7) == 0)
          .nearest(c -> c.v[f] & ~7L);
    }
    check(s, "HOST_CS_SELECTOR_NULL", "The selector of CS is not 0000H.")
        .reads(VmcsField.HOST_CS_SELECTOR)
        .passes(c -> c.v[Vmcs.HOST_CS_SELECTOR] != 0);
    check(s, "HOST_TR_SELECTOR_NULL", "The selector of TR is not 0000H.")
        .reads(VmcsField.HOST_TR_SELECTOR)
        .passes(c -> c.v[Vmcs.HOST_TR_SELECTOR] != 0);
    check(
            s,
            "HOST_SS_SELECTOR_NULL",
            "If the host address-space size is 0, the selector of SS is not 0000H.")
        .reads(VmcsField.HOST_SS_SELECTOR, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> c.host64() || c.v[Vmcs.HOST_SS_SELECTOR] != 0);
    canonical(s, VmcsField.HOST_FS_BASE);
    canonical(s, VmcsField.HOST_GS_BASE);
    canonical(s, VmcsField.HOST_GDTR_BASE);
    canonical(s, VmcsField.HOST_IDTR_BASE);
    canonical(s, VmcsField.HOST_TR_BASE);
  }

  private void addressSpace() {
    Section s = Section.ADDRESS_SPACE_SIZE;
    check(
            s,
            "HOST_OUTSIDE_IA32E",
            "If the processor is outside of IA-32e mode (IA32_EFER.LMA is 0), IA-32e mode guest and"
                + " the host address-space size are 0.")
        .reads(VmcsField.VM_ENTRY_CONTROLS, VmcsField.VM_EXIT_CONTROLS)
        .always()
        .passes(c -> c.hostLongMode || !c.guestIa32e() && !c.host64());
    check(
            s,
            "HOST_IN_IA32E",
            "If the processor is in IA-32e mode (IA32_EFER.LMA is 1), the host address-space size is"
                + " 1.")
        .reads(VmcsField.VM_EXIT_CONTROLS)
        .always()
        .passes(c -> !c.hostLongMode || c.host64())
        .nearest(c -> c.v[Vmcs.VM_EXIT_CONTROLS] | Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE);
    check(s, "HOST_32BIT_GUEST", "If the host address-space size is 0, IA-32e mode guest is 0.")
        .reads(VmcsField.VM_ENTRY_CONTROLS, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> c.host64() || !c.guestIa32e())
        .nearest(c -> c.v[Vmcs.VM_ENTRY_CONTROLS] & ~(long) Controls.VM_ENTRY_IA32E_MODE);
    check(s, "HOST_32BIT_PCIDE", "If the host address-space size is 0, CR4.PCIDE is 0.")
        .reads(VmcsField.HOST_CR4, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> c.host64() || (c.v[Vmcs.HOST_CR4] & ControlBits.CR4_PCIDE) == 0)
        .nearest(c -> c.v[Vmcs.HOST_CR4] & ~ControlBits.CR4_PCIDE);
    check(s, "HOST_32BIT_RIP", "If the host address-space size is 0, bits 63:32 of RIP are 0.")
        .reads(VmcsField.HOST_RIP, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> c.host64() || c.v[Vmcs.HOST_RIP] >>> 32 == 0)
        .nearest(c -> c.v[Vmcs.HOST_RIP] & 0xffffffffL);
    check(s, "HOST_64BIT_PAE", "If the host address-space size is 1, CR4.PAE is 1.")
        .reads(VmcsField.HOST_CR4, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> !c.host64() || (c.v[Vmcs.HOST_CR4] & ControlBits.CR4_PAE) != 0)
        .nearest(c -> c.v[Vmcs.HOST_CR4] | ControlBits.CR4_PAE);
    check(s, "HOST_64BIT_RIP", "If the host address-space size is 1, RIP is canonical.")
        .reads(VmcsField.HOST_RIP, VmcsField.HOST_CR4, VmcsField.VM_EXIT_CONTROLS)
        .passes(c -> !c.host64() || c.isCanonical(c.v[Vmcs.HOST_RIP], c.v[Vmcs.HOST_CR4]));
    for (VmcsField field : List.of(VmcsField.HOST_S_CET, VmcsField.HOST_SSP)) {
      int f = field.ordinal();
      String name = field == VmcsField.HOST_SSP ? "SSP" : "IA32_S_CET";
      check(
              s,
              "HOST_32BIT_" + (field == VmcsField.HOST_SSP ? "SSP" : "S_CET"),
              "If CET state is loaded and the host address-space size is 0, bits 63:32 of "
                  + name
                  + " are 0.")
          .reads(field, VmcsField.VM_EXIT_CONTROLS)
          .passes(c -> !loadsCet(c) || c.host64() || c.v[f] >>> 32 == 0)
          .nearest(c -> c.v[f] & 0xffffffffL);
      check(
              s,
              "HOST_64BIT_" + (field == VmcsField.HOST_SSP ? "SSP" : "S_CET"),
              "If CET state is loaded and the host address-space size is 1, "
                  + name
                  + " is canonical.")
          .reads(field, VmcsField.VM_EXIT_CONTROLS)
          .passes(c -> !loadsCet(c) || !c.host64() || c.isCanonical(c.v[f]))
          .nearest(c -> c.nearestCanonical(c.v[f]));
    }
  }
}
