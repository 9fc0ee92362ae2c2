package org.kvm4j.vmx.exit;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;

/**
 * The register state of the guest on its way between the processor and the guest-state area.
 *
 * <p>Source: SDM 28.3 "Saving Guest State", 27.3.2 "Loading Guest State".
 */
public final class GuestState {
  /** Bits of CR0 that neither VM entry nor VM exit changes: reserved ones, ET, NW and CD. */
  public static final long CR0_KEPT =
      0xffff_ffff_0000_0000L
          | 0x1ff8_0000L
          | 0x2_0000L
          | 0xffc0L
          | ControlBits.CR0_ET
          | ControlBits.CR0_NW
          | ControlBits.CR0_CD;

  /**
   * What is saved of access rights. SDM 28.3.2: "Bits 31:17 and 11:8 in the access-rights field are
   * always cleared".
   */
  static final long SAVED_RIGHTS = 0x1_f0ff;

  private GuestState() {}

  /**
   * Saves what VM exits save, but RIP, RSP, RFLAGS and the non-register state.
   *
   * <p>Source: SDM 28.3.1 "Saving Control Registers, Debug Registers, and MSRs", 28.3.2 "Saving
   * Segment Registers and Descriptor-Table Registers", 28.3.3 "Saving RIP, RSP, RFLAGS, and SSP".
   *
   * @param exitControls the VM-exit controls
   * @param secondary the secondary controls in force
   */
  static void saveRegisters(Cpu cpu, long[] v, int exitControls, int secondary) {
    v[Vmcs.GUEST_CR0] = cpu.cr0;
    v[Vmcs.GUEST_CR3] = cpu.cr3;
    v[Vmcs.GUEST_CR4] = cpu.cr4;
    v[Vmcs.GUEST_SYSENTER_CS] = cpu.msr.sysenterCs & 0xffffffffL;
    v[Vmcs.GUEST_SYSENTER_ESP] = cpu.msr.sysenterEsp;
    v[Vmcs.GUEST_SYSENTER_EIP] = cpu.msr.sysenterEip;
    if ((exitControls & Controls.VM_EXIT_SAVE_DEBUG_CONTROLS) != 0) {
      v[Vmcs.GUEST_DR7] = cpu.dr7;
      v[Vmcs.GUEST_IA32_DEBUGCTL] = cpu.msr.debugCtl;
    }
    if ((exitControls & Controls.VM_EXIT_SAVE_IA32_PAT) != 0) {
      v[Vmcs.GUEST_IA32_PAT] = cpu.msr.pat;
    }
    if ((exitControls & Controls.VM_EXIT_SAVE_IA32_EFER) != 0) {
      v[Vmcs.GUEST_IA32_EFER] = cpu.efer;
    }
    if ((exitControls & Controls.VM_EXIT_SAVE_IA32_PERF_GLOBAL_CTRL) != 0) {
      v[Vmcs.GUEST_IA32_PERF_GLOBAL_CTRL] = cpu.counters.globalControl();
    }
    if (cpu.model.has(Feature.PKS)) {
      v[Vmcs.GUEST_IA32_PKRS] = cpu.pkrs & 0xffffffffL;
    }
    if (cpu.model.has(Feature.CET_SS)) {
      v[Vmcs.GUEST_S_CET] = cpu.msr.sCet;
      v[Vmcs.GUEST_SSP] = cpu.ssp;
      v[Vmcs.GUEST_INTR_SSP_TABLE] = cpu.msr.interruptSspTable;
    }
    if ((secondary & Controls.SECONDARY_EXEC_ENABLE_EPT) != 0
        && cpu.mmu.context.mode == PagingMode.PAE) {
      long[] pdpte = cpu.mmu.context.pdpte;
      v[Vmcs.GUEST_PDPTR0] = pdpte[0];
      v[Vmcs.GUEST_PDPTR1] = pdpte[1];
      v[Vmcs.GUEST_PDPTR2] = pdpte[2];
      v[Vmcs.GUEST_PDPTR3] = pdpte[3];
    }
    Segment[] seg = cpu.seg;
    for (int s = 0; s < 8; s++) {
      Segment d = seg[s];
      v[Vmcs.GUEST_ES_SELECTOR + s] = d.selector;
      v[Vmcs.GUEST_ES_LIMIT + s] = d.limit;
      v[Vmcs.GUEST_ES_AR_BYTES + s] = d.ar & SAVED_RIGHTS;
      v[Vmcs.GUEST_ES_BASE + s] = d.base;
    }
    v[Vmcs.GUEST_GDTR_BASE] = cpu.gdtBase;
    v[Vmcs.GUEST_GDTR_LIMIT] = cpu.gdtLimit;
    v[Vmcs.GUEST_IDTR_BASE] = cpu.idtBase;
    v[Vmcs.GUEST_IDTR_LIMIT] = cpu.idtLimit;
  }

  /**
   * Loads what VM entries load, but RIP, RSP, RFLAGS and the non-register state. The caller updates
   * the mode.
   *
   * <p>Source: SDM 27.3.2.1 "Loading Guest Control Registers, Debug Registers, and MSRs", 27.3.2.2
   * "Loading Guest Segment Registers and Descriptor-Table Registers", 27.3.2.4 "Loading
   * Page-Directory-Pointer-Table Entries".
   */
  public static void loadRegisters(Cpu cpu, long[] v, int entryControls, int secondary) {
    cpu.cr0 = v[Vmcs.GUEST_CR0] & ~CR0_KEPT | cpu.cr0 & CR0_KEPT;
    cpu.cr3 = v[Vmcs.GUEST_CR3];
    cpu.cr4 = v[Vmcs.GUEST_CR4];
    if ((entryControls & Controls.VM_ENTRY_LOAD_DEBUG_CONTROLS) != 0) {
      cpu.dr7 = v[Vmcs.GUEST_DR7] & ~0xd000L | 0x400;
      cpu.msr.debugCtl = v[Vmcs.GUEST_IA32_DEBUGCTL];
    }
    cpu.msr.sysenterCs = v[Vmcs.GUEST_SYSENTER_CS];
    cpu.msr.sysenterEsp = v[Vmcs.GUEST_SYSENTER_ESP];
    cpu.msr.sysenterEip = v[Vmcs.GUEST_SYSENTER_EIP];
    if ((entryControls & Controls.VM_ENTRY_LOAD_IA32_EFER) != 0) {
      cpu.efer = v[Vmcs.GUEST_IA32_EFER];
    } else {
      boolean ia32e = (entryControls & Controls.VM_ENTRY_IA32E_MODE) != 0;
      long efer = cpu.efer & ~ControlBits.EFER_LMA;
      if ((cpu.cr0 & ControlBits.CR0_PG) != 0) {
        efer &= ~ControlBits.EFER_LME;
        if (ia32e) {
          efer |= ControlBits.EFER_LME;
        }
      }
      cpu.efer = ia32e ? efer | ControlBits.EFER_LMA : efer;
    }
    if ((entryControls & Controls.VM_ENTRY_LOAD_IA32_PAT) != 0) {
      cpu.msr.pat = v[Vmcs.GUEST_IA32_PAT];
    }
    if ((entryControls & Controls.VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL) != 0) {
      cpu.counters.setGlobalControl(v[Vmcs.GUEST_IA32_PERF_GLOBAL_CTRL]);
    }
    if ((entryControls & Controls.VM_ENTRY_LOAD_IA32_PKRS) != 0) {
      cpu.pkrs = (int) v[Vmcs.GUEST_IA32_PKRS];
    }
    if ((entryControls & Controls.VM_ENTRY_LOAD_CET_STATE) != 0) {
      cpu.msr.sCet = v[Vmcs.GUEST_S_CET];
      cpu.ssp = v[Vmcs.GUEST_SSP];
      cpu.msr.interruptSspTable = v[Vmcs.GUEST_INTR_SSP_TABLE];
    }
    if ((secondary & Controls.SECONDARY_EXEC_ENABLE_EPT) != 0) {
      long[] pdpte = cpu.mmu.context.pdpte;
      pdpte[0] = v[Vmcs.GUEST_PDPTR0];
      pdpte[1] = v[Vmcs.GUEST_PDPTR1];
      pdpte[2] = v[Vmcs.GUEST_PDPTR2];
      pdpte[3] = v[Vmcs.GUEST_PDPTR3];
    }
    Segment[] seg = cpu.seg;
    for (int s = 0; s < 8; s++) {
      Segment d = seg[s];
      d.selector = (int) v[Vmcs.GUEST_ES_SELECTOR + s];
      d.limit = v[Vmcs.GUEST_ES_LIMIT + s];
      d.ar = (int) v[Vmcs.GUEST_ES_AR_BYTES + s];
      d.base = v[Vmcs.GUEST_ES_BASE + s];
    }
    cpu.gdtBase = v[Vmcs.GUEST_GDTR_BASE];
    cpu.gdtLimit = (int) v[Vmcs.GUEST_GDTR_LIMIT];
    cpu.idtBase = v[Vmcs.GUEST_IDTR_BASE];
    cpu.idtLimit = (int) v[Vmcs.GUEST_IDTR_LIMIT];
    cpu.cpl = seg[Cpu.SS].dpl();
  }
}
