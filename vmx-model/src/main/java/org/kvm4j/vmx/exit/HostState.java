package org.kvm4j.vmx.exit;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;

/**
 * Loading the host-state area into the processor, at VM exit and at VM-entry failure.
 *
 * <p>Source: SDM 28.5 "Loading Host State".
 */
public final class HostState {
  private static final int NON_CODE =
      Segment.P
          | Segment.S
          | Segment.WRITABLE_OR_READABLE
          | Segment.ACCESSED
          | Segment.DB
          | Segment.G;
  private static final int CODE = Segment.P | Segment.S | 11 | Segment.G;
  private static final int BUSY_TSS = Segment.P | 11;

  private HostState() {}

  /**
   * Loads the host state.
   *
   * @return false if the PDPTEs of a PAE host are not valid: a VMX abort
   */
  public static boolean load(Cpu cpu, long[] v) {
    int controls = (int) v[Vmcs.VM_EXIT_CONTROLS];
    boolean host64 = (controls & Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE) != 0;

    // 28.5.1 "Loading Host Control Registers, Debug Registers, MSRs".
    cpu.cr0 = v[Vmcs.HOST_CR0] & ~GuestState.CR0_KEPT | cpu.cr0 & GuestState.CR0_KEPT;
    cpu.cr3 = v[Vmcs.HOST_CR3];
    long cr4 = v[Vmcs.HOST_CR4];
    cpu.cr4 = host64 ? cr4 | ControlBits.CR4_PAE : cr4 & ~ControlBits.CR4_PCIDE;
    cpu.dr7 = 0x400;
    cpu.msr.debugCtl = 0;
    cpu.msr.sysenterCs = v[Vmcs.HOST_IA32_SYSENTER_CS];
    cpu.msr.sysenterEsp = v[Vmcs.HOST_IA32_SYSENTER_ESP];
    cpu.msr.sysenterEip = v[Vmcs.HOST_IA32_SYSENTER_EIP];
    if ((controls & Controls.VM_EXIT_LOAD_IA32_EFER) != 0) {
      cpu.efer = v[Vmcs.HOST_IA32_EFER];
    } else {
      long both = ControlBits.EFER_LMA | ControlBits.EFER_LME;
      cpu.efer = host64 ? cpu.efer | both : cpu.efer & ~both;
    }
    if ((controls & Controls.VM_EXIT_LOAD_IA32_PAT) != 0) {
      cpu.msr.pat = v[Vmcs.HOST_IA32_PAT];
    }
    if ((controls & Controls.VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) != 0) {
      cpu.counters.setGlobalControl(v[Vmcs.HOST_IA32_PERF_GLOBAL_CTRL]);
    }
    if ((controls & Controls.VM_EXIT_LOAD_IA32_PKRS) != 0) {
      cpu.pkrs = (int) v[Vmcs.HOST_IA32_PKRS];
    }
    if ((controls & Controls.VM_EXIT_LOAD_CET_STATE) != 0) {
      cpu.msr.sCet = v[Vmcs.HOST_S_CET];
      cpu.ssp = v[Vmcs.HOST_SSP];
      cpu.msr.interruptSspTable = v[Vmcs.HOST_INTR_SSP_TABLE];
    }

    // 28.5.2 "Loading Host Segment and Descriptor-Table Registers".
    Segment[] seg = cpu.seg;
    seg[Cpu.CS].set(
        (int) v[Vmcs.HOST_CS_SELECTOR], 0, 0xffffffffL, CODE | (host64 ? Segment.L : Segment.DB));
    data(seg[Cpu.SS], (int) v[Vmcs.HOST_SS_SELECTOR], 0);
    data(seg[Cpu.DS], (int) v[Vmcs.HOST_DS_SELECTOR], 0);
    data(seg[Cpu.ES], (int) v[Vmcs.HOST_ES_SELECTOR], 0);
    data(seg[Cpu.FS], (int) v[Vmcs.HOST_FS_SELECTOR], v[Vmcs.HOST_FS_BASE]);
    data(seg[Cpu.GS], (int) v[Vmcs.HOST_GS_SELECTOR], v[Vmcs.HOST_GS_BASE]);
    seg[Cpu.TR].set((int) v[Vmcs.HOST_TR_SELECTOR], v[Vmcs.HOST_TR_BASE], 0x67, BUSY_TSS);
    seg[Cpu.LDTR].set(0, 0, 0, Segment.UNUSABLE);
    cpu.gdtBase = v[Vmcs.HOST_GDTR_BASE];
    cpu.gdtLimit = 0xffff;
    cpu.idtBase = v[Vmcs.HOST_IDTR_BASE];
    cpu.idtLimit = 0xffff;

    // 28.5.3 "Loading Host RIP, RSP, RFLAGS, and SSP".
    cpu.rip = v[Vmcs.HOST_RIP];
    cpu.r[Cpu.RSP] = v[Vmcs.HOST_RSP];
    cpu.setRflags(2);

    cpu.cpl = 0;
    cpu.mmu.vpid = 0;
    cpu.mmu.context.leaveNonRoot();
    cpu.updateMode();

    // 28.5.4 "Checking and Loading Host Page-Directory-Pointer-Table Entries".
    return cpu.mmu.context.mode != PagingMode.PAE || cpu.mmu.loadPdptes(cpu.cr3);
  }

  private static void data(Segment segment, int selector, long base) {
    segment.set(
        selector, base, 0xffffffffL, selector == 0 ? NON_CODE | Segment.UNUSABLE : NON_CODE);
  }
}
