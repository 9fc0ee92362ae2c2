package org.kvm4j.kvm.module.vendor;

import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.vmx.vmcs.Vmcs;

/**
 * A processor that no hypervisor of ours is beneath: state is in its registers, and what the module
 * controls of a guest is nobody's here. VMX is the software's that runs on it.
 */
public final class BareVcpu implements VendorVcpu {
  private static final int IA32_SYSENTER_CS = 0x174;
  private static final int IA32_SYSENTER_ESP = 0x175;
  private static final int IA32_SYSENTER_EIP = 0x176;
  private static final int IA32_DEBUGCTL = 0x1d9;
  private static final int IA32_PAT = 0x277;
  private static final int IA32_FS_BASE = 0xc0000100;
  private static final int IA32_GS_BASE = 0xc0000101;

  private final LogicalProcessor processor;
  private final Cpu cpu;

  /** Registers were set from outside, and what follows from them is not up to date. */
  private boolean changed = true;

  private String explanation = "";

  /**
   * @param processor in reset state
   */
  public BareVcpu(LogicalProcessor processor) {
    this.processor = processor;
    this.cpu = processor.cpu;
  }

  public LogicalProcessor processor() {
    return processor;
  }

  @Override
  public Cpu cpu() {
    return cpu;
  }

  @Override
  public void reset() {
    leaveVmx();
    cpu.reset();
  }

  /** No software that is started anew finds the processor in VMX operation. */
  private void leaveVmx() {
    if (processor.vmx.inVmxOperation()) {
      processor.vmx.vmxoff();
      cpu.guest = null;
      cpu.mmu.vpid = 0;
      cpu.mmu.context.leaveNonRoot();
    }
  }

  /** Which VMX operation it is in, in words; empty if it has no VMX. */
  public String operation() {
    if (!cpu.model.has(Feature.VMX)) {
      return "";
    }
    if (!processor.vmx.inVmxOperation()) {
      return "outside of VMX operation";
    }
    Vmcs vmcs = processor.vmx.current();
    String current =
        vmcs == null ? ", no current VMCS" : ", current VMCS at 0x%x".formatted(vmcs.address);
    return (cpu.guest == null ? "VMX root operation" : "VMX non-root operation") + current;
  }

  // ---- state ----

  @Override
  public long rip() {
    return cpu.rip;
  }

  @Override
  public void setRip(long rip) {
    cpu.rip = rip;
  }

  @Override
  public long rsp() {
    return cpu.r[Cpu.RSP];
  }

  @Override
  public void setRsp(long rsp) {
    cpu.r[Cpu.RSP] = rsp;
  }

  @Override
  public long rflags() {
    return cpu.rflags();
  }

  @Override
  public void setRflags(long rflags) {
    cpu.setRflags(rflags);
    changed = true;
  }

  @Override
  public long cr0() {
    return cpu.cr0;
  }

  @Override
  public long cr3() {
    return cpu.cr3;
  }

  @Override
  public long cr4() {
    return cpu.cr4;
  }

  @Override
  public long efer() {
    return cpu.efer;
  }

  @Override
  public void setCr0(long cr0) {
    cpu.cr0 = cr0 & 0xffffffffL | ControlBits.CR0_ET;
    changed = true;
  }

  @Override
  public void setCr3(long cr3) {
    cpu.cr3 = cr3;
    changed = true;
  }

  /** CR4.VMXE stays set in VMX operation: where it is not, there is none. */
  @Override
  public void setCr4(long cr4) {
    if ((cr4 & ControlBits.CR4_VMXE) == 0) {
      leaveVmx();
    }
    cpu.cr4 = cr4;
    changed = true;
  }

  @Override
  public void setEfer(long efer) {
    cpu.efer = efer;
    changed = true;
  }

  @Override
  public long pdpte(int index) {
    return cpu.mmu.context.pdpte[index];
  }

  @Override
  public void setPdpte(int index, long value) {
    cpu.mmu.context.pdpte[index] = value;
    changed = true;
  }

  @Override
  public void segment(int s, Segment out) {
    Segment d = cpu.seg[s];
    out.set(d.selector, d.base, d.limit, d.ar);
  }

  @Override
  public long segmentBase(int s) {
    return cpu.seg[s].base;
  }

  @Override
  public void setSegment(int s, Segment in) {
    cpu.seg[s].set(in.selector & 0xffff, in.base, in.limit, in.ar);
    changed = true;
  }

  @Override
  public boolean is64Bit() {
    return (cpu.efer & ControlBits.EFER_LMA) != 0 && (cpu.seg[Cpu.CS].ar & Segment.L) != 0;
  }

  @Override
  public long linearRip() {
    return is64Bit() ? cpu.rip : cpu.seg[Cpu.CS].base + cpu.rip & 0xffffffffL;
  }

  @Override
  public int cpl() {
    return (cpu.cr0 & ControlBits.CR0_PE) == 0 ? 0 : cpu.seg[Cpu.SS].dpl();
  }

  @Override
  public long gdtBase() {
    return cpu.gdtBase;
  }

  @Override
  public int gdtLimit() {
    return cpu.gdtLimit;
  }

  @Override
  public void setGdt(long base, int limit) {
    cpu.gdtBase = base;
    cpu.gdtLimit = limit & 0xffff;
  }

  @Override
  public long idtBase() {
    return cpu.idtBase;
  }

  @Override
  public int idtLimit() {
    return cpu.idtLimit;
  }

  @Override
  public void setIdt(long base, int limit) {
    cpu.idtBase = base;
    cpu.idtLimit = limit & 0xffff;
  }

  @Override
  public long dr7() {
    return cpu.dr7;
  }

  @Override
  public void setDr7(long dr7) {
    cpu.dr7 = dr7 & 0xffffffffL | 0x400;
  }

  @Override
  public long ssp() {
    return cpu.ssp;
  }

  @Override
  public void setSsp(long ssp) {
    cpu.ssp = ssp;
    changed = true;
  }

  @Override
  public boolean isSwitchedMsr(int index) {
    return switch (index) {
      case IA32_SYSENTER_CS,
          IA32_SYSENTER_ESP,
          IA32_SYSENTER_EIP,
          IA32_DEBUGCTL,
          IA32_PAT,
          IA32_FS_BASE,
          IA32_GS_BASE,
          MsrTable.IA32_S_CET,
          MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR ->
          true;
      default -> false;
    };
  }

  @Override
  public long switchedMsr(int index) {
    return switch (index) {
      case MsrTable.IA32_S_CET -> cpu.msr.sCet;
      case MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR -> cpu.msr.interruptSspTable;
      case IA32_SYSENTER_CS -> cpu.msr.sysenterCs;
      case IA32_SYSENTER_ESP -> cpu.msr.sysenterEsp;
      case IA32_SYSENTER_EIP -> cpu.msr.sysenterEip;
      case IA32_DEBUGCTL -> cpu.msr.debugCtl;
      case IA32_PAT -> cpu.msr.pat;
      case IA32_FS_BASE -> cpu.seg[Cpu.FS].base;
      case IA32_GS_BASE -> cpu.seg[Cpu.GS].base;
      default -> throw new IllegalArgumentException("MSR %#x".formatted(index));
    };
  }

  @Override
  public void setSwitchedMsr(int index, long value) {
    switch (index) {
      case MsrTable.IA32_S_CET -> cpu.msr.sCet = value;
      case MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR -> cpu.msr.interruptSspTable = value;
      case IA32_SYSENTER_CS -> cpu.msr.sysenterCs = value;
      case IA32_SYSENTER_ESP -> cpu.msr.sysenterEsp = value;
      case IA32_SYSENTER_EIP -> cpu.msr.sysenterEip = value;
      case IA32_DEBUGCTL -> cpu.msr.debugCtl = value;
      case IA32_PAT -> cpu.msr.pat = value;
      case IA32_FS_BASE -> cpu.seg[Cpu.FS].base = value;
      case IA32_GS_BASE -> cpu.seg[Cpu.GS].base = value;
      default -> throw new IllegalArgumentException("MSR %#x".formatted(index));
    }
    changed = true;
  }

  @Override
  public int interruptShadow() {
    return cpu.shadow;
  }

  @Override
  public void setInterruptShadow(int shadow) {
    cpu.shadow = shadow;
  }

  @Override
  public boolean nmiMasked() {
    return cpu.nmiBlocked;
  }

  @Override
  public void setNmiMasked(boolean masked) {
    cpu.nmiBlocked = masked;
  }

  @Override
  public long pendingDebug() {
    return cpu.pendingDebug;
  }

  @Override
  public void setPendingDebug(long value) {
    cpu.pendingDebug = value;
  }

  @Override
  public void setTscOffset(long offset) {
    cpu.msr.tscOffset = offset;
  }

  @Override
  public boolean canScaleTsc() {
    return false;
  }

  @Override
  public void setTscMultiplier(long multiplier) {}

  @Override
  public boolean isHalted() {
    return cpu.activity != Cpu.ACTIVE;
  }

  @Override
  public void endHalt() {} // The processor has ended it.

  @Override
  public void flushNested() {
    cpu.mmu.flushAll();
  }

  @Override
  public void flushGuest() {
    cpu.mmu.flushAll();
  }

  // ---- controls of a guest: there is none ----

  @Override
  public void setExceptionBitmap(int bitmap) {}

  @Override
  public void setInterruptWindow(boolean exiting) {}

  @Override
  public void setNmiWindow(boolean exiting) {}

  @Override
  public void setDebugRegisterExiting(boolean exiting) {}

  @Override
  public void setReservedCr4(long bits) {}

  @Override
  public void setMsrExiting(int index, boolean read, boolean write) {}

  @Override
  public void setHltExiting(boolean exiting) {}

  @Override
  public void setPauseExiting(int window, int gap) {}

  @Override
  public void setMwaitExiting(boolean exiting) {}

  @Override
  public void setUserWait(boolean enabled) {}

  @Override
  public void setNestedPointer(long pointer) {}

  @Override
  public void inject(int type, int vector, boolean hasErrorCode, int errorCode, int length) {}

  @Override
  public boolean injecting() {
    return false;
  }

  @Override
  public void cancelInjection() {}

  // ---- running ----

  /** Makes what follows from registers agree with them. */
  private void update() {
    if (!changed) {
      return;
    }
    changed = false;
    boolean protectedMode = (cpu.cr0 & ControlBits.CR0_PE) != 0;
    cpu.cpl = protectedMode ? cpu.seg[Cpu.SS].dpl() : 0;
    cpu.updateMode();
  }

  @Override
  public void run(long budget, VmExit exit) {
    update();
    explanation = "";
    long end = cpu.elapsed() + budget;
    while (true) {
      Interpreter.Stop stop = processor.engine.run(Math.max(1, end - cpu.elapsed()));
      exit.vectoring = false;
      switch (stop) {
        case DEVICE -> exit.kind = VmExit.Kind.DEVICE;
        case INACTIVE -> exit.kind = VmExit.Kind.HLT;
        case BUDGET, KICKED -> exit.kind = VmExit.Kind.BUDGET;
        case LEFT -> {
          if (cpu.guest != null || cpu.activity != Cpu.SHUTDOWN) {
            // A VM exit, or a failed VM entry: the hypervisor goes on.
            if (end - cpu.elapsed() > 0) {
              continue;
            }
            exit.kind = VmExit.Kind.BUDGET;
          } else {
            exit.kind = VmExit.Kind.TRIPLE_FAULT;
            String abort = processor.vmx.nonRoot().abortWords();
            explanation = abort.isEmpty() ? String.valueOf(cpu.lastShutdown) : abort;
          }
        }
      }
      return;
    }
  }

  @Override
  public boolean executedCode(ExecutedCode out) {
    return false;
  }

  @Override
  public String explanation() {
    return explanation;
  }

  @Override
  public void close() {
    processor.close();
  }
}
