package org.kvm4j.kvm.module.vendor;

import java.util.EnumSet;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.NestedFault;
import org.kvm4j.cpu.core.Ordered;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.VmxFeature;
import org.kvm4j.ept.memory.FrameAllocator;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.tlb.TlbEntry;
import org.kvm4j.kvm.module.log.KernelLog;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.explain.VmxTrace;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.instruction.VmxUnit;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** A virtual CPU on VT-x: a hypervisor's use of VMCS, VMLAUNCH and VMRESUME, EPT and VPID. */
public final class VmxVcpu implements VendorVcpu {
  private static final int IA32_SYSENTER_CS = 0x174;
  private static final int IA32_SYSENTER_ESP = 0x175;
  private static final int IA32_SYSENTER_EIP = 0x176;
  private static final int IA32_DEBUGCTL = 0x1d9;
  private static final int IA32_PAT = 0x277;
  private static final int IA32_FS_BASE = 0xc0000100;
  private static final int IA32_GS_BASE = 0xc0000101;

  /** CR0 bits that the guest may change without an exit; the others are the hypervisor's. */
  private static final long CR0_GUEST_OWNED =
      ControlBits.CR0_PE
          | ControlBits.CR0_MP
          | ControlBits.CR0_EM
          | ControlBits.CR0_TS
          | ControlBits.CR0_ET
          | ControlBits.CR0_WP
          | ControlBits.CR0_AM
          | ControlBits.CR0_PG;

  /** CR4 bits that are the hypervisor's, whatever the guest knows of. */
  private static final long CR4_HOST_OWNED = ControlBits.CR4_VMXE | ControlBits.CR4_SMXE;

  /** A TSC multiplier of 1. */
  private static final long ONE = 1L << 48;

  private static final int ACTIVITY_HLT = 1;

  private static final int[] SELECTOR = ordinals("SELECTOR");
  private static final int[] BASE = ordinals("BASE");
  private static final int[] LIMIT = ordinals("LIMIT");
  private static final int[] ACCESS = ordinals("AR_BYTES");

  private static final int[] PDPTE = {
    Vmcs.GUEST_PDPTR0, Vmcs.GUEST_PDPTR1, Vmcs.GUEST_PDPTR2, Vmcs.GUEST_PDPTR3
  };

  private static int[] ordinals(String part) {
    String[] names = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};
    int[] out = new int[names.length];
    for (int i = 0; i < names.length; i++) {
      out[i] = VmcsField.valueOf("GUEST_" + names[i] + "_" + part).ordinal();
    }
    return out;
  }

  private final LogicalProcessor processor;
  private final Cpu cpu;
  private final VmxUnit vmx;
  private final PhysicalMemory memory;
  private final FrameAllocator frames;
  private final long vmxonRegion;
  private final long vmcsRegion;
  private final long msrBitmap;
  private final long hostTable;

  /** The VMCS, which stays the current one. */
  private final Vmcs vmcs;

  /**
   * Its fields by ordinal, to be read where their saving is never {@linkplain Vmcs#isDeferrable
   * deferred}.
   */
  private final long[] field;

  private boolean launched;
  private boolean injecting;

  /** CR4 bits that are the hypervisor's. */
  private long cr4Mask = CR4_HOST_OWNED;

  private int processorControls;
  private String explanation = "";

  /**
   * @param processor in reset state, for this virtual CPU alone
   * @param vpid 1 to 65535
   */
  public VmxVcpu(LogicalProcessor processor, FrameAllocator frames, int vpid) {
    this.processor = processor;
    this.cpu = processor.cpu;
    this.vmx = processor.vmx;
    this.frames = frames;
    this.memory = frames.memory();
    vmxonRegion = frames.allocate();
    vmcsRegion = frames.allocate();
    msrBitmap = frames.allocate();
    hostTable = frames.allocate();
    int revision = (int) vmx.capabilities().basic & 0x7fffffff;
    memory.writeInt(vmxonRegion, revision);
    memory.writeInt(vmcsRegion, revision);
    memory.fill(msrBitmap, 4096, (byte) 0xff);
    bootHost();
    must(vmx.vmxon(vmxonRegion), "VMXON");
    must(vmx.vmclear(vmcsRegion), "VMCLEAR");
    must(vmx.vmptrld(vmcsRegion), "VMPTRLD");
    vmcs = Objects.requireNonNull(vmx.current());
    field = vmcs.v;
    vmx.hostedByJava = true;
    setControls(vpid);
    setHostState();
    reset();
  }

  private void must(int result, String what) {
    if (result != InstructionError.SUCCESS) {
      throw new IllegalStateException(what + " failed: " + InstructionError.of(result));
    }
  }

  /** The processor as a kernel, of 64 bits if it can be, has it before it loads its KVM module. */
  private void bootHost() {
    cpu.msr.featureControl =
        VmxCapabilities.FEATURE_CONTROL_LOCK | VmxCapabilities.FEATURE_CONTROL_VMXON;
    cpu.cr0 =
        ControlBits.CR0_PE
            | ControlBits.CR0_MP
            | ControlBits.CR0_ET
            | ControlBits.CR0_NE
            | ControlBits.CR0_WP
            | ControlBits.CR0_AM
            | ControlBits.CR0_PG;
    cpu.cr3 = hostTable;
    cpu.cr4 = ControlBits.CR4_PAE | ControlBits.CR4_PGE | ControlBits.CR4_VMXE;
    boolean wide = cpu.model.has(Feature.LM);
    cpu.efer =
        wide
            ? ControlBits.EFER_SCE
                | ControlBits.EFER_LME
                | ControlBits.EFER_LMA
                | ControlBits.EFER_NXE
            : ControlBits.EFER_NXE;
    cpu.seg[Cpu.CS].set(0x10, 0, 0xffffffffL, wide ? 0xa09b : 0xc09b);
    cpu.seg[Cpu.SS].set(0x18, 0, 0xffffffffL, 0xc093);
    cpu.seg[Cpu.TR].set(0x40, 0, 0x67, 0x8b);
    cpu.updateMode();
  }

  /** The wanted bits that the processor has, and those that it insists on. */
  private long adjust(ControlWord word, int wanted) {
    VmxCapabilities c = vmx.capabilities();
    return wanted & 0xffffffffL & c.allowed1(word) | c.required1(word);
  }

  private void setControls(int vpid) {
    vmcs.write(
        Vmcs.PIN_BASED_VM_EXEC_CONTROL,
        adjust(
            ControlWord.PIN_BASED,
            Controls.PIN_BASED_EXT_INTR_MASK
                | Controls.PIN_BASED_NMI_EXITING
                | Controls.PIN_BASED_VIRTUAL_NMIS));
    processorControls =
        (int)
            adjust(
                ControlWord.PROCESSOR_BASED,
                Controls.CPU_BASED_HLT_EXITING
                    | Controls.CPU_BASED_MWAIT_EXITING
                    | Controls.CPU_BASED_MONITOR_EXITING
                    | Controls.CPU_BASED_RDPMC_EXITING
                    | Controls.CPU_BASED_CR8_LOAD_EXITING
                    | Controls.CPU_BASED_CR8_STORE_EXITING
                    | Controls.CPU_BASED_UNCOND_IO_EXITING
                    | Controls.CPU_BASED_USE_TSC_OFFSETTING
                    | Controls.CPU_BASED_USE_MSR_BITMAPS
                    | Controls.CPU_BASED_ACTIVATE_SECONDARY_CONTROLS);
    processorControls &=
        ~(Controls.CPU_BASED_CR3_LOAD_EXITING
            | Controls.CPU_BASED_CR3_STORE_EXITING
            | Controls.CPU_BASED_INVLPG_EXITING);
    vmcs.write(Vmcs.CPU_BASED_VM_EXEC_CONTROL, processorControls);
    vmcs.write(
        Vmcs.SECONDARY_VM_EXEC_CONTROL,
        adjust(
            ControlWord.SECONDARY,
            Controls.SECONDARY_EXEC_ENABLE_EPT
                | Controls.SECONDARY_EXEC_ENABLE_VPID
                | Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST
                | Controls.SECONDARY_EXEC_ENABLE_RDTSCP
                | Controls.SECONDARY_EXEC_ENABLE_INVPCID
                | Controls.SECONDARY_EXEC_WBINVD_EXITING
                | Controls.SECONDARY_EXEC_PAUSE_LOOP_EXITING
                | Controls.SECONDARY_EXEC_ENABLE_XSAVES));
    vmcs.write(
        Vmcs.VM_EXIT_CONTROLS,
        adjust(
            ControlWord.VM_EXIT,
            Controls.VM_EXIT_SAVE_DEBUG_CONTROLS
                | Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE
                | Controls.VM_EXIT_SAVE_IA32_PAT
                | Controls.VM_EXIT_LOAD_IA32_PAT
                | Controls.VM_EXIT_SAVE_IA32_EFER
                | Controls.VM_EXIT_LOAD_IA32_EFER
                | Controls.VM_EXIT_LOAD_CET_STATE));
    vmcs.write(
        Vmcs.VM_ENTRY_CONTROLS,
        adjust(
            ControlWord.VM_ENTRY,
            Controls.VM_ENTRY_LOAD_DEBUG_CONTROLS
                | Controls.VM_ENTRY_LOAD_IA32_PAT
                | Controls.VM_ENTRY_LOAD_IA32_EFER
                | Controls.VM_ENTRY_LOAD_CET_STATE));
    vmcs.write(Vmcs.VIRTUAL_PROCESSOR_ID, vpid);
    vmcs.write(Vmcs.MSR_BITMAP, msrBitmap);
    vmcs.write(Vmcs.CR0_GUEST_HOST_MASK, ~CR0_GUEST_OWNED);
    vmcs.write(Vmcs.CR4_GUEST_HOST_MASK, cr4Mask);
    vmcs.write(Vmcs.VMCS_LINK_POINTER, -1L);
  }

  private void setHostState() {
    vmcs.write(Vmcs.HOST_CR0, cpu.cr0);
    vmcs.write(Vmcs.HOST_CR3, cpu.cr3);
    vmcs.write(Vmcs.HOST_CR4, cpu.cr4);
    vmcs.write(Vmcs.HOST_IA32_EFER, cpu.efer);
    vmcs.write(Vmcs.HOST_IA32_PAT, cpu.msr.pat);
    vmcs.write(Vmcs.HOST_CS_SELECTOR, 0x10);
    vmcs.write(Vmcs.HOST_SS_SELECTOR, 0x18);
    vmcs.write(Vmcs.HOST_TR_SELECTOR, 0x40);
    boolean wide = cpu.model.has(Feature.LM);
    vmcs.write(Vmcs.HOST_RIP, wide ? 0xffffffff81000000L : 0xc1000000L);
    vmcs.write(Vmcs.HOST_RSP, wide ? 0xffffc90000000000L : 0xc2000000L);
  }

  @Override
  public Cpu cpu() {
    return cpu;
  }

  @Override
  public void reset() {
    Segment s = new Segment();
    for (int i = Cpu.ES; i <= Cpu.GS; i++) {
      s.set(0, 0, 0xffff, Segment.REAL_DATA);
      setSegment(i, s);
    }
    s.set(0xf000, 0xffff0000L, 0xffff, Segment.REAL_CODE);
    setSegment(Cpu.CS, s);
    s.set(0, 0, 0xffff, 0x82);
    setSegment(Cpu.LDTR, s);
    s.set(0, 0, 0xffff, 0x8b);
    setSegment(Cpu.TR, s);
    setGdt(0, 0xffff);
    setIdt(0, 0xffff);
    setEfer(0);
    setCr0(0x60000010L);
    setCr3(0);
    setCr4(0);
    setRip(0xfff0);
    setRsp(0);
    setRflags(2);
    setDr7(0x400);
    for (int i = 0; i < 4; i++) {
      setPdpte(i, 0);
    }
    vmcs.write(Vmcs.GUEST_SYSENTER_CS, 0);
    vmcs.write(Vmcs.GUEST_SYSENTER_ESP, 0);
    vmcs.write(Vmcs.GUEST_SYSENTER_EIP, 0);
    vmcs.write(Vmcs.GUEST_IA32_DEBUGCTL, 0);
    vmcs.write(Vmcs.GUEST_S_CET, 0);
    vmcs.write(Vmcs.GUEST_SSP, 0);
    vmcs.write(Vmcs.GUEST_INTR_SSP_TABLE, 0);
    vmcs.write(Vmcs.GUEST_IA32_PAT, 0x0007040600070406L);
    vmcs.write(Vmcs.GUEST_INTERRUPTIBILITY_INFO, 0);
    vmcs.write(Vmcs.GUEST_ACTIVITY_STATE, 0);
    vmcs.write(Vmcs.GUEST_PENDING_DBG_EXCEPTIONS, 0);
    vmcs.write(Vmcs.EXCEPTION_BITMAP, 0);
    cancelInjection();
  }

  // ---- state ----

  @Override
  public long rip() {
    return field[Vmcs.GUEST_RIP];
  }

  @Override
  public void setRip(long rip) {
    vmcs.write(Vmcs.GUEST_RIP, rip);
  }

  @Override
  public long rsp() {
    return field[Vmcs.GUEST_RSP];
  }

  @Override
  public void setRsp(long rsp) {
    vmcs.write(Vmcs.GUEST_RSP, rsp);
  }

  @Override
  public long rflags() {
    return field[Vmcs.GUEST_RFLAGS];
  }

  @Override
  public void setRflags(long rflags) {
    vmcs.write(Vmcs.GUEST_RFLAGS, rflags & (Flags.ARITHMETIC | Flags.REST) | 2);
  }

  @Override
  public long cr0() {
    return field[Vmcs.GUEST_CR0] & CR0_GUEST_OWNED | field[Vmcs.CR0_READ_SHADOW] & ~CR0_GUEST_OWNED;
  }

  @Override
  public long cr3() {
    return field[Vmcs.GUEST_CR3];
  }

  @Override
  public long cr4() {
    return field[Vmcs.GUEST_CR4] & ~cr4Mask | field[Vmcs.CR4_READ_SHADOW] & cr4Mask;
  }

  @Override
  public long efer() {
    return field[Vmcs.GUEST_IA32_EFER];
  }

  @Override
  public void setCr0(long cr0) {
    vmcs.write(Vmcs.CR0_READ_SHADOW, cr0);
    long hardware = cr0 & 0xffffffffL | ControlBits.CR0_NE | ControlBits.CR0_ET;
    // Caching is not the guest's business.
    hardware &= ~(ControlBits.CR0_CD | ControlBits.CR0_NW);
    vmcs.write(Vmcs.GUEST_CR0, hardware);
  }

  @Override
  public void setCr3(long cr3) {
    vmcs.write(Vmcs.GUEST_CR3, cr3);
  }

  @Override
  public void setCr4(long cr4) {
    vmcs.write(Vmcs.CR4_READ_SHADOW, cr4);
    vmcs.write(Vmcs.GUEST_CR4, cr4 & ~CR4_HOST_OWNED | ControlBits.CR4_VMXE);
  }

  @Override
  public void setReservedCr4(long bits) {
    long now = cr4();
    cr4Mask = CR4_HOST_OWNED | bits;
    vmcs.write(Vmcs.CR4_GUEST_HOST_MASK, cr4Mask);
    setCr4(now);
  }

  @Override
  public void setEfer(long efer) {
    vmcs.write(Vmcs.GUEST_IA32_EFER, efer);
    long entry = field[Vmcs.VM_ENTRY_CONTROLS];
    boolean longMode = (efer & ControlBits.EFER_LMA) != 0;
    vmcs.write(
        Vmcs.VM_ENTRY_CONTROLS,
        longMode
            ? entry | Controls.VM_ENTRY_IA32E_MODE
            : entry & ~(long) Controls.VM_ENTRY_IA32E_MODE);
  }

  @Override
  public long pdpte(int index) {
    return vmcs.read(PDPTE[index]);
  }

  @Override
  public void setPdpte(int index, long value) {
    vmcs.write(PDPTE[index], value);
  }

  @Override
  public void segment(int s, Segment out) {
    out.set(
        (int) vmcs.read(SELECTOR[s]),
        vmcs.read(BASE[s]),
        vmcs.read(LIMIT[s]),
        (int) vmcs.read(ACCESS[s]));
  }

  @Override
  public long segmentBase(int s) {
    return vmcs.read(BASE[s]);
  }

  @Override
  public void setSegment(int s, Segment in) {
    vmcs.write(SELECTOR[s], in.selector & 0xffff);
    vmcs.write(BASE[s], in.base);
    vmcs.write(LIMIT[s], in.limit);
    vmcs.write(ACCESS[s], in.ar);
  }

  @Override
  public boolean is64Bit() {
    return (field[Vmcs.GUEST_IA32_EFER] & ControlBits.EFER_LMA) != 0
        && (field[Vmcs.GUEST_CS_AR_BYTES] & Segment.L) != 0;
  }

  @Override
  public long linearRip() {
    long rip = field[Vmcs.GUEST_RIP];
    return is64Bit() ? rip : field[Vmcs.GUEST_CS_BASE] + rip & 0xffffffffL;
  }

  @Override
  public int cpl() {
    return (cr0() & ControlBits.CR0_PE) == 0 ? 0 : (int) field[Vmcs.GUEST_SS_AR_BYTES] >> 5 & 3;
  }

  @Override
  public long gdtBase() {
    return vmcs.read(Vmcs.GUEST_GDTR_BASE);
  }

  @Override
  public int gdtLimit() {
    return (int) vmcs.read(Vmcs.GUEST_GDTR_LIMIT);
  }

  @Override
  public void setGdt(long base, int limit) {
    vmcs.write(Vmcs.GUEST_GDTR_BASE, base);
    vmcs.write(Vmcs.GUEST_GDTR_LIMIT, limit & 0xffff);
  }

  @Override
  public long idtBase() {
    return vmcs.read(Vmcs.GUEST_IDTR_BASE);
  }

  @Override
  public int idtLimit() {
    return (int) vmcs.read(Vmcs.GUEST_IDTR_LIMIT);
  }

  @Override
  public void setIdt(long base, int limit) {
    vmcs.write(Vmcs.GUEST_IDTR_BASE, base);
    vmcs.write(Vmcs.GUEST_IDTR_LIMIT, limit & 0xffff);
  }

  @Override
  public long dr7() {
    return vmcs.read(Vmcs.GUEST_DR7);
  }

  @Override
  public void setDr7(long dr7) {
    vmcs.write(Vmcs.GUEST_DR7, dr7 & 0xffffffffL | 0x400);
  }

  private static int msrField(int index) {
    return switch (index) {
      case IA32_SYSENTER_CS -> Vmcs.GUEST_SYSENTER_CS;
      case IA32_SYSENTER_ESP -> Vmcs.GUEST_SYSENTER_ESP;
      case IA32_SYSENTER_EIP -> Vmcs.GUEST_SYSENTER_EIP;
      case IA32_DEBUGCTL -> Vmcs.GUEST_IA32_DEBUGCTL;
      case IA32_PAT -> Vmcs.GUEST_IA32_PAT;
      case IA32_FS_BASE -> BASE[Cpu.FS];
      case IA32_GS_BASE -> BASE[Cpu.GS];
      case MsrTable.IA32_S_CET -> Vmcs.GUEST_S_CET;
      case MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR -> Vmcs.GUEST_INTR_SSP_TABLE;
      default -> -1;
    };
  }

  @Override
  public boolean isSwitchedMsr(int index) {
    return msrField(index) >= 0;
  }

  @Override
  public long switchedMsr(int index) {
    return vmcs.read(msrField(index));
  }

  @Override
  public void setSwitchedMsr(int index, long value) {
    vmcs.write(msrField(index), value);
  }

  @Override
  public long ssp() {
    return vmcs.read(Vmcs.GUEST_SSP);
  }

  @Override
  public void setSsp(long ssp) {
    vmcs.write(Vmcs.GUEST_SSP, ssp);
  }

  @Override
  public int interruptShadow() {
    int info = (int) field[Vmcs.GUEST_INTERRUPTIBILITY_INFO];
    return (info & 1) != 0 ? Cpu.SHADOW_STI : (info & 2) != 0 ? Cpu.SHADOW_MOV_SS : 0;
  }

  @Override
  public void setInterruptShadow(int shadow) {
    long info = field[Vmcs.GUEST_INTERRUPTIBILITY_INFO] & ~3L;
    info |= shadow == Cpu.SHADOW_STI ? 1 : shadow == Cpu.SHADOW_MOV_SS ? 2 : 0;
    vmcs.write(Vmcs.GUEST_INTERRUPTIBILITY_INFO, info);
  }

  @Override
  public boolean nmiMasked() {
    return (field[Vmcs.GUEST_INTERRUPTIBILITY_INFO] & 8) != 0;
  }

  @Override
  public void setNmiMasked(boolean masked) {
    long info = field[Vmcs.GUEST_INTERRUPTIBILITY_INFO] & ~8L;
    vmcs.write(Vmcs.GUEST_INTERRUPTIBILITY_INFO, masked ? info | 8 : info);
  }

  @Override
  public long pendingDebug() {
    return field[Vmcs.GUEST_PENDING_DBG_EXCEPTIONS];
  }

  @Override
  public void setPendingDebug(long value) {
    vmcs.write(Vmcs.GUEST_PENDING_DBG_EXCEPTIONS, value);
  }

  @Override
  public void setTscOffset(long offset) {
    vmcs.write(Vmcs.TSC_OFFSET, offset);
  }

  /** What this cannot do without, whatever the guest. */
  private static final Set<VmxFeature> NEEDED =
      EnumSet.of(
          VmxFeature.TRUE_CTLS,
          VmxFeature.INTR_EXIT,
          VmxFeature.NMI_EXIT,
          VmxFeature.VNMI,
          VmxFeature.VINTR_PENDING,
          VmxFeature.VNMI_PENDING,
          VmxFeature.TSC_OFFSET,
          VmxFeature.HLT_EXIT,
          VmxFeature.MWAIT_EXIT,
          VmxFeature.MONITOR_EXIT,
          VmxFeature.RDPMC_EXIT,
          VmxFeature.CR8_LOAD_EXIT,
          VmxFeature.CR8_STORE_EXIT,
          VmxFeature.CR3_LOAD_NOEXIT,
          VmxFeature.CR3_STORE_NOEXIT,
          VmxFeature.MOVDR_EXIT,
          VmxFeature.IO_EXIT,
          VmxFeature.MSR_BITMAP,
          VmxFeature.SECONDARY_CTLS,
          VmxFeature.EPT,
          VmxFeature.EPT_2MB,
          VmxFeature.INVEPT_SINGLE_CONTEXT,
          VmxFeature.VPID,
          VmxFeature.INVVPID_SINGLE_CONTEXT,
          VmxFeature.UNRESTRICTED_GUEST,
          VmxFeature.EXIT_SAVE_PAT,
          VmxFeature.EXIT_LOAD_PAT,
          VmxFeature.ENTRY_LOAD_PAT);

  /** What a processor's VMX lacks for the module to run guests by it: nothing, if it can. */
  public static Set<VmxFeature> missing(CpuModel model) {
    EnumSet<VmxFeature> missing = EnumSet.copyOf(NEEDED);
    if (model.has(Feature.LM)) {
      missing.add(VmxFeature.ENTRY_IA32E_MODE);
      missing.add(VmxFeature.EXIT_SAVE_EFER);
      missing.add(VmxFeature.EXIT_LOAD_EFER);
      missing.add(VmxFeature.ENTRY_LOAD_EFER);
    }
    missing.removeAll(model.vmxFeatures());
    return missing;
  }

  /** Whether processors of a model can multiply the time-stamp counter. */
  public static boolean canScaleTsc(CpuModel model) {
    return VmxCapabilities.of(model).allows(Control.USE_TSC_SCALING);
  }

  @Override
  public boolean canScaleTsc() {
    return vmx.capabilities().allows(Control.USE_TSC_SCALING);
  }

  @Override
  public void setTscMultiplier(long multiplier) {
    long controls = field[Vmcs.SECONDARY_VM_EXEC_CONTROL];
    long scaling = Controls.SECONDARY_EXEC_TSC_SCALING & 0xffffffffL;
    if (multiplier == ONE) {
      vmcs.write(Vmcs.SECONDARY_VM_EXEC_CONTROL, controls & ~scaling);
    } else {
      vmcs.write(Vmcs.TSC_MULTIPLIER, multiplier);
      vmcs.write(Vmcs.SECONDARY_VM_EXEC_CONTROL, controls | scaling);
    }
  }

  // ---- controls ----

  @Override
  public boolean isHalted() {
    return field[Vmcs.GUEST_ACTIVITY_STATE] == ACTIVITY_HLT;
  }

  @Override
  public void endHalt() {
    if (isHalted()) {
      vmcs.write(Vmcs.GUEST_ACTIVITY_STATE, 0);
    }
  }

  private void control(int bit, boolean on) {
    int now = on ? processorControls | bit : processorControls & ~bit;
    if (now != processorControls) {
      processorControls = now;
      vmcs.write(Vmcs.CPU_BASED_VM_EXEC_CONTROL, now);
    }
  }

  @Override
  public void setExceptionBitmap(int bitmap) {
    vmcs.write(Vmcs.EXCEPTION_BITMAP, bitmap & 0xffffffffL);
  }

  @Override
  public void setInterruptWindow(boolean exiting) {
    control(Controls.CPU_BASED_INTR_WINDOW_EXITING, exiting);
  }

  @Override
  public void setNmiWindow(boolean exiting) {
    control(Controls.CPU_BASED_NMI_WINDOW_EXITING, exiting);
  }

  @Override
  public void setDebugRegisterExiting(boolean exiting) {
    control(Controls.CPU_BASED_MOV_DR_EXITING, exiting);
  }

  @Override
  public void setHltExiting(boolean exiting) {
    control(Controls.CPU_BASED_HLT_EXITING, exiting);
  }

  @Override
  public void setPauseExiting(int window, int gap) {
    vmcs.write(Vmcs.PLE_GAP, gap);
    vmcs.write(Vmcs.PLE_WINDOW, window);
    long controls = field[Vmcs.SECONDARY_VM_EXEC_CONTROL];
    long loops = Controls.SECONDARY_EXEC_PAUSE_LOOP_EXITING & 0xffffffffL;
    long possible = adjust(ControlWord.SECONDARY, (int) loops) & loops;
    vmcs.write(
        Vmcs.SECONDARY_VM_EXEC_CONTROL, window > 0 ? controls | possible : controls & ~loops);
  }

  @Override
  public void setMwaitExiting(boolean exiting) {
    control(Controls.CPU_BASED_MWAIT_EXITING | Controls.CPU_BASED_MONITOR_EXITING, exiting);
  }

  @Override
  public void setUserWait(boolean enabled) {
    long controls = field[Vmcs.SECONDARY_VM_EXEC_CONTROL];
    long wait = Controls.SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE;
    long possible = adjust(ControlWord.SECONDARY, (int) wait) & wait;
    vmcs.write(Vmcs.SECONDARY_VM_EXEC_CONTROL, enabled ? controls | possible : controls & ~wait);
  }

  @Override
  public void setMsrExiting(int index, boolean read, boolean write) {
    int low;
    if ((index & ~0x1fff) == 0) {
      low = 0;
    } else if ((index & ~0x1fff) == 0xc0000000) {
      low = 1024;
    } else {
      return;
    }
    int bit = index & 0x1fff;
    bitmap(low + (bit >> 3), bit & 7, read);
    bitmap(2048 + low + (bit >> 3), bit & 7, write);
  }

  private void bitmap(int offset, int bit, boolean on) {
    byte old = memory.readByte(msrBitmap + offset);
    memory.writeByte(msrBitmap + offset, (byte) (on ? old | 1 << bit : old & ~(1 << bit)));
  }

  @Override
  public void setNestedPointer(long pointer) {
    vmcs.write(Vmcs.EPT_POINTER, pointer);
  }

  @Override
  public void flushNested() {
    vmx.invept(1, field[Vmcs.EPT_POINTER]);
  }

  @Override
  public void flushGuest() {
    vmx.invvpid(1, field[Vmcs.VIRTUAL_PROCESSOR_ID], 0);
  }

  // ---- entry and exit ----

  @Override
  public void inject(int type, int vector, boolean hasErrorCode, int errorCode, int length) {
    long info = 1L << 31 | type << 8 | vector & 0xff;
    if (hasErrorCode && (field[Vmcs.GUEST_CR0] & ControlBits.CR0_PE) != 0) {
      info |= 1 << 11;
      vmcs.write(Vmcs.VM_ENTRY_EXCEPTION_ERROR_CODE, errorCode & 0xffffL);
    }
    if (type >= 4) {
      vmcs.write(Vmcs.VM_ENTRY_INSTRUCTION_LEN, length);
    }
    endHalt();
    vmcs.write(Vmcs.VM_ENTRY_INTR_INFO_FIELD, info);
    injecting = true;
  }

  @Override
  public boolean injecting() {
    return injecting;
  }

  @Override
  public void cancelInjection() {
    vmcs.write(Vmcs.VM_ENTRY_INTR_INFO_FIELD, 0);
    injecting = false;
  }

  @Override
  public void run(long budget, VmExit exit) {
    cpu.left = false;
    int result = launched ? vmx.vmresume() : vmx.vmlaunch();
    if (result != InstructionError.SUCCESS) {
      exit.kind = VmExit.Kind.ENTRY_FAILURE;
      exit.reason = field[Vmcs.VM_INSTRUCTION_ERROR];
      explain(result);
      return;
    }
    launched = true;
    injecting = false;
    while (cpu.guest != null) {
      Interpreter.Stop stop = processor.engine.run(budget);
      if (stop == Interpreter.Stop.LEFT) {
        break;
      }
      // The end of the time slice is the host's timer interrupt.
      cpu.request(Cpu.REQUEST_INTERRUPT);
    }
    exit.requested = cpu.requests() != 0;
    if (exit.requested) {
      cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
    }
    decode(exit);
  }

  /** Says why the entry failed, and logs it. */
  private void explain(int result) {
    explanation = VmxTrace.describe(vmx.current(), result, vmx.lastFailure());
    String told = explanation;
    KernelLog.debug(() -> told);
  }

  private void decode(VmExit exit) {
    long reason = field[Vmcs.VM_EXIT_REASON];
    exit.reason = reason;
    exit.vectoring = false;
    if ((reason & 1L << 31) != 0) {
      exit.kind = VmExit.Kind.ENTRY_FAILURE;
      launched = true;
      explain(InstructionError.SUCCESS);
      return;
    }
    explanation = "";
    exit.instructionLength = (int) field[Vmcs.VM_EXIT_INSTRUCTION_LEN];
    int vectoring = (int) field[Vmcs.IDT_VECTORING_INFO_FIELD];
    if (vectoring < 0) {
      exit.vectoring = true;
      exit.vectoringType = vectoring >> 8 & 7;
      exit.vectoringVector = vectoring & 0xff;
      exit.vectoringHasErrorCode = (vectoring & 1 << 11) != 0;
      exit.vectoringErrorCode = (int) field[Vmcs.IDT_VECTORING_ERROR_CODE];
      exit.vectoringLength = exit.instructionLength;
    }
    switch ((int) reason & 0xffff) {
      case 0 -> {
        int info = (int) field[Vmcs.VM_EXIT_INTR_INFO];
        exit.qualification = field[Vmcs.EXIT_QUALIFICATION];
        exit.vector = info & 0xff;
        exit.hasErrorCode = (info & 1 << 11) != 0;
        exit.errorCode = exit.hasErrorCode ? (int) field[Vmcs.VM_EXIT_INTR_ERROR_CODE] : 0;
        exit.privilegedSoftware = (info >> 8 & 7) == InterruptionInfo.PRIVILEGED_SOFTWARE_EXCEPTION;
        exit.kind = (info >> 8 & 7) == 2 ? VmExit.Kind.NMI : VmExit.Kind.EXCEPTION;
      }
      case 1 -> exit.kind = VmExit.Kind.EXTERNAL_INTERRUPT;
      case 2 -> {
        exit.kind = VmExit.Kind.TRIPLE_FAULT;
        explanation = String.valueOf(processor.cpu.lastShutdown);
      }
      case 3 -> exit.kind = VmExit.Kind.INIT;
      case 4 -> exit.kind = VmExit.Kind.SIPI;
      case 7 -> exit.kind = VmExit.Kind.INTERRUPT_WINDOW;
      case 8 -> exit.kind = VmExit.Kind.NMI_WINDOW;
      case 9 -> {
        exit.kind = VmExit.Kind.TASK_SWITCH;
        exit.qualification = field[Vmcs.EXIT_QUALIFICATION];
      }
      case 10 -> exit.kind = VmExit.Kind.CPUID;
      case 12 -> exit.kind = VmExit.Kind.HLT;
      case 13 -> exit.kind = VmExit.Kind.INVD;
      case 14 -> {
        exit.kind = VmExit.Kind.INVLPG;
        exit.qualification = field[Vmcs.EXIT_QUALIFICATION];
      }
      case 15 -> exit.kind = VmExit.Kind.RDPMC;
      case 16, 51 -> exit.kind = VmExit.Kind.RDTSC;
      case 18 -> exit.kind = VmExit.Kind.HYPERCALL;
      case 19, 20, 21, 22, 23, 24, 25, 26, 27, 50, 53, 59 ->
          exit.kind = VmExit.Kind.VMX_INSTRUCTION;
      case 28 -> {
        long q = field[Vmcs.EXIT_QUALIFICATION];
        exit.kind = VmExit.Kind.CR_ACCESS;
        exit.qualification = q;
        exit.register = (int) q & 15;
        exit.accessType = (int) q >> 4 & 3;
        exit.gpr = (int) q >> 8 & 15;
      }
      case 29 -> {
        long q = field[Vmcs.EXIT_QUALIFICATION];
        exit.kind = VmExit.Kind.DR_ACCESS;
        exit.register = (int) q & 7;
        exit.accessType = (int) q >> 4 & 1;
        exit.gpr = (int) q >> 8 & 15;
      }
      case 30 -> {
        long q = field[Vmcs.EXIT_QUALIFICATION];
        exit.kind = VmExit.Kind.IO;
        exit.qualification = q;
        exit.size = ((int) q & 7) + 1;
        exit.in = (q & 8) != 0;
        exit.string = (q & 16) != 0;
        exit.rep = (q & 32) != 0;
        exit.port = (int) (q >>> 16) & 0xffff;
      }
      case 31 -> exit.kind = VmExit.Kind.RDMSR;
      case 32 -> exit.kind = VmExit.Kind.WRMSR;
      case 36 -> exit.kind = VmExit.Kind.MWAIT;
      case 37 -> exit.kind = VmExit.Kind.MONITOR_TRAP;
      case 39 -> exit.kind = VmExit.Kind.MONITOR;
      case 40 -> exit.kind = VmExit.Kind.PAUSE;
      case 46, 47 -> exit.kind = VmExit.Kind.DESCRIPTOR_TABLE;
      case 48 -> {
        long q = field[Vmcs.EXIT_QUALIFICATION];
        exit.kind = VmExit.Kind.NESTED_VIOLATION;
        exit.qualification = q;
        exit.read = (q & 1) != 0;
        exit.write = (q & 2) != 0;
        exit.fetch = (q & 4) != 0;
        exit.gpa = field[Vmcs.GUEST_PHYSICAL_ADDRESS];
        exit.linearValid = (q & 0x80) != 0;
        exit.translated = (q & 0x100) != 0;
        exit.linear = field[Vmcs.GUEST_LINEAR_ADDRESS];
      }
      case 49 -> {
        exit.kind = VmExit.Kind.NESTED_MISCONFIGURATION;
        exit.gpa = field[Vmcs.GUEST_PHYSICAL_ADDRESS];
      }
      case 52 -> exit.kind = VmExit.Kind.PREEMPTION_TIMER;
      case 54 -> exit.kind = VmExit.Kind.WBINVD;
      case 55 -> exit.kind = VmExit.Kind.XSETBV;
      case 57 -> exit.kind = VmExit.Kind.RDRAND;
      case 58 -> exit.kind = VmExit.Kind.INVPCID;
      case 61 -> exit.kind = VmExit.Kind.RDSEED;
      default -> {
        exit.kind = VmExit.Kind.OTHER;
        exit.qualification = field[Vmcs.EXIT_QUALIFICATION];
      }
    }
  }

  @Override
  public boolean executedCode(ExecutedCode out) {
    long linear = linearRip();
    int inPage = (int) linear & 0xfff;
    if (!vmx.nonRoot().isResident(vmcs) || inPage > 0x1000 - 2 * Long.BYTES) {
      return false;
    }
    TlbEntry page;
    try {
      page = cpu.mmu.fetchEntry(linear);
    } catch (CpuException | NestedFault e) {
      return false;
    }
    if (page == null) {
      return false;
    }
    out.low = Ordered.load64(page.bank, page.offset + inPage);
    out.high = Ordered.load64(page.bank, page.offset + inPage + Long.BYTES);
    out.codeSize = cpu.codeSize;
    return true;
  }

  @Override
  public @Nullable Instruction violator() {
    return processor.engine.violator();
  }

  @Override
  public String explanation() {
    return explanation;
  }

  @Override
  public void close() {
    vmx.vmclear(vmcsRegion);
    vmx.vmxoff();
    processor.close();
    frames.free(vmxonRegion);
    frames.free(vmcsRegion);
    frames.free(msrBitmap);
    frames.free(hostTable);
  }
}
