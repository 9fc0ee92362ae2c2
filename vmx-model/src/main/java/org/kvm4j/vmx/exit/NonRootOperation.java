package org.kvm4j.vmx.exit;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.NestedFault;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.ept.memory.MemoryCursor;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * VMX non-root operation: what the controls of the current VMCS make of instructions and events,
 * and the VM exits that follow.
 *
 * <p>One object serves a logical processor; VM entry sets it up ({@link #enter}) and installs it as
 * {@link Cpu#guest}. The controls are copies in plain fields; bitmaps are read from memory at each
 * check, as hardware may.
 *
 * <p>Source: SDM ch. 26 "VMX Non-Root Operation", ch. 28 "VM Exits".
 */
public final class NonRootOperation implements GuestMode {
  /** Rules of {@link #instruction}: bits 7:0 the exit reason, bits 15:8 what decides. */
  private static final int ALWAYS = 1 << 8;

  private static final int PRIMARY = 2 << 8;
  private static final int SECONDARY = 3 << 8;
  private static final int SPECIAL = 4 << 8;

  private static final int[] RULE = new int[Opcode.values().length];
  private static final int[] RULE_MASK = new int[RULE.length];

  static {
    rule(Opcode.CPUID, ExitReason.CPUID, ALWAYS, 0);
    rule(Opcode.GETSEC, ExitReason.GETSEC, ALWAYS, 0);
    rule(Opcode.INVD, ExitReason.INVD, ALWAYS, 0);
    rule(Opcode.XSETBV, ExitReason.XSETBV, ALWAYS, 0);
    rule(Opcode.HLT, ExitReason.HLT, PRIMARY, Controls.CPU_BASED_HLT_EXITING);
    rule(Opcode.MWAIT, ExitReason.MWAIT, PRIMARY, Controls.CPU_BASED_MWAIT_EXITING);
    rule(Opcode.MONITOR, ExitReason.MONITOR, PRIMARY, Controls.CPU_BASED_MONITOR_EXITING);
    rule(Opcode.RDPMC, ExitReason.RDPMC, PRIMARY, Controls.CPU_BASED_RDPMC_EXITING);
    rule(Opcode.RDTSC, ExitReason.RDTSC, PRIMARY, Controls.CPU_BASED_RDTSC_EXITING);
    rule(Opcode.RDTSCP, ExitReason.RDTSCP, SPECIAL, 0);
    rule(Opcode.XSAVES, ExitReason.XSAVES, SPECIAL, 0);
    rule(Opcode.XRSTORS, ExitReason.XRSTORS, SPECIAL, 0);
    rule(Opcode.PAUSE, ExitReason.PAUSE, SPECIAL, 0);
    rule(Opcode.UMWAIT, ExitReason.UMWAIT, SPECIAL, 0);
    rule(Opcode.TPAUSE, ExitReason.TPAUSE, SPECIAL, 0);
    rule(Opcode.WBINVD, ExitReason.WBINVD, SECONDARY, Controls.SECONDARY_EXEC_WBINVD_EXITING);
    rule(Opcode.WBNOINVD, ExitReason.WBINVD, SECONDARY, Controls.SECONDARY_EXEC_WBINVD_EXITING);
    rule(Opcode.RDRAND, ExitReason.RDRAND, SECONDARY, Controls.SECONDARY_EXEC_RDRAND_EXITING);
    rule(Opcode.RDSEED, ExitReason.RDSEED, SECONDARY, Controls.SECONDARY_EXEC_RDSEED_EXITING);
    rule(Opcode.VMCALL, ExitReason.VMCALL, ALWAYS, 0);
  }

  private static void rule(Opcode opcode, ExitReason reason, int how, int mask) {
    RULE[opcode.ordinal()] = how | reason.number;
    RULE_MASK[opcode.ordinal()] = mask;
  }

  /** Values of RFLAGS.RF that a VM exit saves: as it is, 0, 1. */
  private static final int RF_KEEP = -1;

  // Bits of watch: what windowPending looks for.
  private static final int WATCH_INTERRUPT_WINDOW = 1;
  private static final int WATCH_NMI_WINDOW = 2;
  private static final int WATCH_TIMER = 4;
  private static final int WATCH_MONITOR_TRAP = 8;

  private final Cpu cpu;
  private final PhysicalMemory memory;
  private final MemoryCursor bitmaps;
  private final MsrLists msrLists;
  private final VirtualApic virtualApic;
  private final int timerShift;
  private final boolean hasEptpIndex;

  /**
   * Set if the hypervisor is Java code: what only code on the processor could see is not loaded.
   */
  public boolean hostedByJava;

  /** Who is told of VM entries and exits, or null. */
  public @Nullable TransitionListener listener;

  private Vmcs vmcs;
  private long[] v;

  private int pin;
  private int primary;
  private int secondary;
  private int exitControls;
  private int entryControls;
  private int exceptionBitmap;
  private long cr0Mask;
  private long cr0Shadow;
  private long cr4Mask;
  private long cr4Shadow;
  private long tscOffset;
  private long tscMultiplier;
  private boolean plainTsc;
  private boolean virtualSpecCtrl;
  private boolean savesDebug;
  private boolean savesEfer;

  /** No exit leaves out what an entry loads. */
  private boolean savesWhatItLoads;

  /** What {@link #watch} is after an entry. */
  private int entryWatch;

  /** The virtual APIC has something to do. */
  private boolean hasVirtualApic;

  /** The guest's registers may stay in the processor after an exit. */
  private boolean mayStayResident;

  /** A bus lock was asserted, and no VM exit has told of it. */
  private boolean busLocked;

  private int watch;
  private long timerEnd;

  private long pauseFirst;
  private long pauseLast;

  private int deliveryType = -1;
  private int deliveryInfo;
  private int deliveryErrorCode;
  private int deliveryLength;

  /** The event whose delivery is in progress was injected by VM entry. */
  private boolean deliveryInjected;

  /** The next delivery is that of the event that VM entry injects. */
  private boolean injecting;

  /** The VMCS whose guest's registers are in the processor still, or null. */
  private @Nullable Vmcs resident;

  private final Vmcs.Deferred deferred = this::saveDeferred;

  /** The abort of the last VM exit, or null. */
  private @Nullable VmxAbort abort;

  public NonRootOperation(Cpu cpu, VmxCapabilities capabilities) {
    this.cpu = cpu;
    this.memory = cpu.mmu.memory;
    this.bitmaps = new MemoryCursor(memory);
    this.msrLists = new MsrLists(cpu);
    this.virtualApic =
        new VirtualApic(memory, cpu.platform, capabilities.physicalAddressReserved());
    this.timerShift = capabilities.preemptionTimerShift();
    this.hasEptpIndex = capabilities.allows(Control.EPT_VIOLATION_VE);
    this.vmcs = new Vmcs(-1);
    this.v = vmcs.v;
  }

  // ---- entry's side ----

  /**
   * Takes the controls of a VMCS over, and begins with what VM entry begins. VM entry calls it
   * after all checks, before it loads guest state.
   *
   * @param changed whether any control field may differ from the last call with the same VMCS
   */
  public void enter(Vmcs vmcs, boolean changed) {
    takeControls(vmcs, changed);
    watch = entryWatch;
    if ((watch & WATCH_TIMER) != 0) {
      long now = cpu.platform.tsc();
      timerEnd = (now >>> timerShift) + v[Vmcs.VMX_PREEMPTION_TIMER_VALUE];
      cpu.platform.preemptionTimerStarted((timerEnd << timerShift) - now);
    }
    if (hasVirtualApic) {
      virtualApic.enter(v, primary, secondary, tertiary(v));
    }
    cpu.mmu.context.apicPage = virtualApic.accessPage();
    cpu.mmu.busLocks = (secondary & Controls.SECONDARY_EXEC_BUS_LOCK_DETECTION) != 0;
    busLocked = false;
    pauseFirst = 0;
    pauseLast = 0;
  }

  private void takeControls(Vmcs vmcs, boolean changed) {
    if (this.vmcs != vmcs || changed) {
      this.vmcs = vmcs;
      v = vmcs.v;
      pin = (int) v[Vmcs.PIN_BASED_VM_EXEC_CONTROL];
      primary = (int) v[Vmcs.CPU_BASED_VM_EXEC_CONTROL];
      secondary = secondary(v);
      exitControls = (int) v[Vmcs.VM_EXIT_CONTROLS];
      entryControls = (int) v[Vmcs.VM_ENTRY_CONTROLS];
      exceptionBitmap = (int) v[Vmcs.EXCEPTION_BITMAP];
      cr0Mask = v[Vmcs.CR0_GUEST_HOST_MASK];
      cr0Shadow = v[Vmcs.CR0_READ_SHADOW];
      cr4Mask = v[Vmcs.CR4_GUEST_HOST_MASK];
      cr4Shadow = v[Vmcs.CR4_READ_SHADOW];
      boolean offset = (primary & Controls.CPU_BASED_USE_TSC_OFFSETTING) != 0;
      tscOffset = offset ? v[Vmcs.TSC_OFFSET] : 0;
      plainTsc = !offset || (secondary & Controls.SECONDARY_EXEC_TSC_SCALING) == 0;
      tscMultiplier = v[Vmcs.TSC_MULTIPLIER];
      virtualSpecCtrl = (tertiary(v) & Controls.TERTIARY_EXEC_SPEC_CTRL) != 0;
      savesDebug = (exitControls & Controls.VM_EXIT_SAVE_DEBUG_CONTROLS) != 0;
      savesEfer = (exitControls & Controls.VM_EXIT_SAVE_IA32_EFER) != 0;
      savesWhatItLoads =
          saves(Controls.VM_EXIT_SAVE_IA32_EFER, Controls.VM_ENTRY_LOAD_IA32_EFER)
              && saves(Controls.VM_EXIT_SAVE_IA32_PAT, Controls.VM_ENTRY_LOAD_IA32_PAT)
              && saves(
                  Controls.VM_EXIT_SAVE_IA32_PERF_GLOBAL_CTRL,
                  Controls.VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL);
      mayStayResident = mayStayResident(v);
      entryWatch = entryWatch();
      hasVirtualApic =
          (primary & Controls.CPU_BASED_TPR_SHADOW) != 0
              || (secondary & Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES) != 0;
      if (!hasVirtualApic) {
        virtualApic.enter(v, primary, secondary, tertiary(v));
      }
    }
    deliveryType = -1;
    abort = null;
  }

  /** What is to be looked at between instructions, by the controls. */
  private int entryWatch() {
    return ((primary & Controls.CPU_BASED_INTR_WINDOW_EXITING) != 0 ? WATCH_INTERRUPT_WINDOW : 0)
        | ((primary & Controls.CPU_BASED_NMI_WINDOW_EXITING) != 0 ? WATCH_NMI_WINDOW : 0)
        | ((pin & Controls.PIN_BASED_VMX_PREEMPTION_TIMER) != 0 ? WATCH_TIMER : 0);
  }

  /** The secondary controls in force: 0 unless they are activated. */
  public static int secondary(long[] v) {
    return (v[Vmcs.CPU_BASED_VM_EXEC_CONTROL]
                & (Controls.CPU_BASED_ACTIVATE_SECONDARY_CONTROLS & 0xffffffffL))
            != 0
        ? (int) v[Vmcs.SECONDARY_VM_EXEC_CONTROL]
        : 0;
  }

  /** The tertiary controls in force: 0 unless they are activated. */
  public static long tertiary(long[] v) {
    return (v[Vmcs.CPU_BASED_VM_EXEC_CONTROL] & Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS) != 0
        ? v[Vmcs.TERTIARY_VM_EXEC_CONTROL]
        : 0;
  }

  /**
   * Whether the registers of the VMCS's guest are in the processor, as its last VM exit left them:
   * then VM entry need not load what was not written since. If they are another guest's, they are
   * saved.
   */
  public boolean isResident(Vmcs vmcs) {
    Vmcs there = resident;
    if (there == vmcs) {
      return true;
    }
    if (there != null) {
      there.complete();
      resident = null;
    }
    return false;
  }

  /** VM entry has loaded guest state and MSRs. */
  public void entered() {
    TransitionListener l = listener;
    if (l != null) {
      l.entered(vmcs);
    }
  }

  /** VM entry is about to deliver the event that it injects. */
  public void inject() {
    injecting = true;
  }

  /** Makes a monitor-trap-flag exit pending on the next instruction boundary. */
  public void pendMonitorTrap() {
    watch |= WATCH_MONITOR_TRAP;
  }

  /** The VM-execution controls of a word, as they are in force. */
  public int controls(ControlWord word) {
    return switch (word) {
      case PIN_BASED -> pin;
      case PROCESSOR_BASED -> primary;
      case SECONDARY -> secondary;
      case VM_EXIT -> exitControls;
      default -> 0;
    };
  }

  /** Whether CR0.PE and CR0.PG may be 0: an unrestricted guest. */
  public boolean unrestrictedGuest() {
    return (secondary & Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST) != 0;
  }

  /** The VMX abort that the last VM exit ended in, in words; "" if in none. */
  public String abortWords() {
    VmxAbort why = abort;
    return why == null
        ? ""
        : why
            + (why == VmxAbort.LOADING_HOST_MSRS
                ? ": MSR 0x%x of the VM-exit MSR-load list cannot be loaded with 0x%x"
                    .formatted(msrLists.failedIndex, msrLists.failedValue)
                : "");
  }

  /** The VMX abort that the last VM exit ended in, or null. */
  public @Nullable VmxAbort abort() {
    return abort;
  }

  // ---- instructions ----

  @Override
  public boolean instruction(Instruction i) {
    int rule = RULE[i.opcode.ordinal()];
    boolean exits =
        switch (rule & 0xff00) {
          case ALWAYS -> true;
          case PRIMARY -> (primary & RULE_MASK[i.opcode.ordinal()]) != 0;
          case SECONDARY -> (secondary & RULE_MASK[i.opcode.ordinal()]) != 0;
          case SPECIAL -> special(i);
          default -> false;
        };
    if (!exits) {
      return false;
    }
    if (i.opcode == Opcode.RDRAND || i.opcode == Opcode.RDSEED) {
      information(InstructionInformation.random(i));
    }
    return instructionExit(i, rule & 0xff, 0);
  }

  @Override
  public boolean isUndefined(Instruction i) {
    int control =
        switch (i.opcode) {
          case RDTSCP, RDPID -> Controls.SECONDARY_EXEC_ENABLE_RDTSCP;
          case INVPCID -> Controls.SECONDARY_EXEC_ENABLE_INVPCID;
          case XSAVES, XRSTORS -> Controls.SECONDARY_EXEC_ENABLE_XSAVES;
          case UMONITOR, UMWAIT, TPAUSE -> Controls.SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE;
          case PCONFIG -> Controls.SECONDARY_EXEC_PCONFIG;
          case VMFUNC -> Controls.SECONDARY_EXEC_ENABLE_VMFUNC;
          default -> 0;
        };
    return control != 0 && (secondary & control) == 0;
  }

  @Override
  public boolean iretUnblocksNmi() {
    // SDM 26.3 "Changes to Instruction Behavior in VMX Non-Root Operation", IRET.
    return (pin & (Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS))
        != Controls.PIN_BASED_NMI_EXITING;
  }

  /** Instructions whose exit depends on more than one bit. */
  private boolean special(Instruction i) {
    switch (i.opcode) {
      case RDTSCP:
        return (primary & Controls.CPU_BASED_RDTSC_EXITING) != 0;
      case UMWAIT:
      case TPAUSE:
        information(InstructionInformation.random(i));
        return (primary & Controls.CPU_BASED_RDTSC_EXITING) != 0;
      case XSAVES:
      case XRSTORS:
        long requested = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffffffffL;
        if ((requested & cpu.xss & v[Vmcs.XSS_EXIT_BITMAP]) == 0) {
          return false;
        }
        information(InstructionInformation.memoryOperand(i));
        return instructionExit(
            i,
            (i.opcode == Opcode.XSAVES ? ExitReason.XSAVES : ExitReason.XRSTORS).number,
            InstructionInformation.displacement(i, true, cpu.rip));
      case PAUSE:
        if ((primary & Controls.CPU_BASED_PAUSE_EXITING) != 0) {
          return true;
        }
        return (secondary & Controls.SECONDARY_EXEC_PAUSE_LOOP_EXITING) != 0
            && cpu.cpl == 0
            && pauseLoop();
      default:
        return false;
    }
  }

  /** SDM 26.1.3 "Instructions That Cause VM Exits Conditionally", PAUSE. */
  private boolean pauseLoop() {
    long now = cpu.platform.tsc();
    if (pauseLast == 0 || now - pauseLast > v[Vmcs.PLE_GAP]) {
      pauseFirst = now;
    } else if (now - pauseFirst > v[Vmcs.PLE_WINDOW]) {
      return true;
    }
    pauseLast = now;
    return false;
  }

  @Override
  public boolean invlpg(Instruction i, long linear) {
    return (primary & Controls.CPU_BASED_INVLPG_EXITING) != 0 && instructionExit(i, 14, linear);
  }

  @Override
  public boolean invpcid(Instruction i, long linear) {
    if ((primary & Controls.CPU_BASED_INVLPG_EXITING) == 0) {
      return false;
    }
    information(InstructionInformation.invalidation(i));
    return instructionExit(i, 58, InstructionInformation.displacement(i, true, cpu.rip));
  }

  @Override
  public boolean descriptorTable(Instruction i) {
    if ((secondary & Controls.SECONDARY_EXEC_DESC) == 0) {
      return false;
    }
    int reason =
        switch (i.opcode) {
          case SGDT, SIDT, LGDT, LIDT -> 46;
          default -> 47;
        };
    information(
        switch (i.opcode) {
          case SGDT -> InstructionInformation.descriptorTable(i, 0);
          case SIDT -> InstructionInformation.descriptorTable(i, 1);
          case LGDT -> InstructionInformation.descriptorTable(i, 2);
          case LIDT -> InstructionInformation.descriptorTable(i, 3);
          case SLDT -> InstructionInformation.segmentRegister(i, 0);
          case STR -> InstructionInformation.segmentRegister(i, 1);
          case LLDT -> InstructionInformation.segmentRegister(i, 2);
          default -> InstructionInformation.segmentRegister(i, 3);
        });
    return instructionExit(
        i, reason, InstructionInformation.displacement(i, i.kind0 == OperandKind.MEMORY, cpu.rip));
  }

  @Override
  public boolean io(
      Instruction i, int port, int size, boolean in, boolean string, boolean rep, long linear) {
    if ((primary & Controls.CPU_BASED_USE_IO_BITMAPS) != 0) {
      if (!ioBitmaps(port, size)) {
        return false;
      }
    } else if ((primary & Controls.CPU_BASED_UNCOND_IO_EXITING) == 0) {
      return false;
    }
    long qualification = size - 1 | (in ? 1 << 3 : 0) | (long) port << 16;
    if (string) {
      qualification |= 1 << 4 | (rep ? 1 << 5 : 0);
      information(InstructionInformation.string(i, in));
      v[Vmcs.GUEST_LINEAR_ADDRESS] = linear;
    } else if (i.kind0 == OperandKind.IMMEDIATE || i.kind1 == OperandKind.IMMEDIATE) {
      qualification |= 1 << 6;
    }
    return instructionExit(i, 30, qualification);
  }

  /** Whether a port of the access is marked in the bitmaps, or the access wraps around. */
  private boolean ioBitmaps(int port, int size) {
    if (port + size > 0x10000) {
      return true;
    }
    for (int p = port; p < port + size; p++) {
      long bitmap = p < 0x8000 ? v[Vmcs.IO_BITMAP_A] : v[Vmcs.IO_BITMAP_B];
      if (isMarked(bitmap, p & 0x7fff)) {
        return true;
      }
    }
    return false;
  }

  @Override
  public boolean movToCr(Instruction i, int cr, int gpr, long value) {
    boolean exits =
        switch (cr) {
          case 0 -> ((value ^ cr0Shadow) & cr0Mask) != 0;
          case 3 -> (primary & Controls.CPU_BASED_CR3_LOAD_EXITING) != 0 && !cr3Target(value);
          case 4 -> ((value ^ cr4Shadow) & cr4Mask) != 0;
          case 8 -> (primary & Controls.CPU_BASED_CR8_LOAD_EXITING) != 0;
          default -> false;
        };
    return exits && instructionExit(i, 28, ExitQualification.crAccess(cr, 0, false, gpr, 0));
  }

  private boolean cr3Target(long value) {
    int count = (int) v[Vmcs.CR3_TARGET_COUNT];
    for (int k = 0; k < count && k < 4; k++) {
      if (v[Vmcs.CR3_TARGET_VALUE0 + k] == value) {
        return true;
      }
    }
    return false;
  }

  @Override
  public boolean movFromCr(Instruction i, int cr, int gpr) {
    boolean exits =
        switch (cr) {
          case 3 -> (primary & Controls.CPU_BASED_CR3_STORE_EXITING) != 0;
          case 8 -> (primary & Controls.CPU_BASED_CR8_STORE_EXITING) != 0;
          default -> false;
        };
    return exits && instructionExit(i, 28, ExitQualification.crAccess(cr, 1, false, gpr, 0));
  }

  @Override
  public boolean clts(Instruction i) {
    return (cr0Mask & cr0Shadow & ControlBits.CR0_TS) != 0
        && instructionExit(i, 28, ExitQualification.crAccess(0, 2, false, 0, 0));
  }

  @Override
  public boolean lmsw(Instruction i, int source, boolean memory, long linear) {
    // LMSW sets PE but never clears it.
    long differs = (source ^ cr0Shadow) & cr0Mask & 0xe;
    boolean setsPe = (cr0Mask & ~cr0Shadow & source & ControlBits.CR0_PE) != 0;
    if (differs == 0 && !setsPe) {
      return false;
    }
    if (memory) {
      v[Vmcs.GUEST_LINEAR_ADDRESS] = linear;
    }
    return instructionExit(i, 28, ExitQualification.crAccess(0, 3, memory, 0, source & 0xffff));
  }

  @Override
  public long readCr0() {
    return cpu.cr0 & ~cr0Mask | cr0Shadow & cr0Mask;
  }

  @Override
  public long readCr4() {
    return cpu.cr4 & ~cr4Mask | cr4Shadow & cr4Mask;
  }

  @Override
  public long writeCr0(long value) {
    return value & ~cr0Mask | cpu.cr0 & cr0Mask;
  }

  @Override
  public long writeCr4(long value) {
    return value & ~cr4Mask | cpu.cr4 & cr4Mask;
  }

  @Override
  public boolean movDr(Instruction i, int dr, int gpr, boolean from) {
    return (primary & Controls.CPU_BASED_MOV_DR_EXITING) != 0
        && instructionExit(i, 29, dr & 7 | (from ? 1 << 4 : 0) | (long) gpr << 8);
  }

  @Override
  public boolean rdmsr(Instruction i, int index) {
    return msrExits(index, 0) && instructionExit(i, 31, 0);
  }

  @Override
  public boolean wrmsr(Instruction i, int index) {
    return msrExits(index, 0x4000) && instructionExit(i, 32, 0);
  }

  /**
   * SDM 25.6.9 "MSR-Bitmap Address".
   *
   * @param first the bit of MSR 0
   */
  private boolean msrExits(int index, int first) {
    if ((primary & Controls.CPU_BASED_USE_MSR_BITMAPS) == 0) {
      return true;
    }
    int low = index & 0x1fff;
    if (index == low) {
      return isMarked(v[Vmcs.MSR_BITMAP], first + low);
    }
    if (index == (low | 0xc000_0000)) {
      return isMarked(v[Vmcs.MSR_BITMAP], first + 0x2000 + low);
    }
    return true;
  }

  /** A bit of a bitmap in memory, whose address is a multiple of 4 KiB. */
  private boolean isMarked(long bitmap, int bit) {
    MemoryCursor c = bitmaps;
    c.begin();
    return (c.readLong(bitmap + (bit >>> 6 << 3)) >>> bit & 1) != 0;
  }

  @Override
  public boolean vmxInstruction(Instruction i, long linear) {
    int reason;
    int info = 0;
    boolean memoryOperand = true;
    switch (i.opcode) {
      case VMCALL -> {
        return instructionExit(i, 18, 0);
      }
      case VMLAUNCH -> {
        return instructionExit(i, 20, 0);
      }
      case VMRESUME -> {
        return instructionExit(i, 24, 0);
      }
      case VMXOFF -> {
        return instructionExit(i, 26, 0);
      }
      case VMFUNC -> {
        return instructionExit(i, 59, 0);
      }
      case VMCLEAR -> {
        reason = 19;
        info = InstructionInformation.memoryOperand(i);
      }
      case VMPTRLD -> {
        reason = 21;
        info = InstructionInformation.memoryOperand(i);
      }
      case VMPTRST -> {
        reason = 22;
        info = InstructionInformation.memoryOperand(i);
      }
      case VMXON -> {
        reason = 27;
        info = InstructionInformation.memoryOperand(i);
      }
      case VMREAD -> {
        reason = 23;
        info = InstructionInformation.vmreadVmwrite(i, true);
        memoryOperand = i.kind0 == OperandKind.MEMORY;
      }
      case VMWRITE -> {
        reason = 25;
        info = InstructionInformation.vmreadVmwrite(i, false);
        memoryOperand = i.kind1 == OperandKind.MEMORY;
      }
      case INVEPT -> {
        reason = 50;
        info = InstructionInformation.invalidation(i);
      }
      case INVVPID -> {
        reason = 53;
        info = InstructionInformation.invalidation(i);
      }
      default -> throw cpu.ud();
    }
    information(info);
    return instructionExit(
        i, reason, InstructionInformation.displacement(i, memoryOperand, cpu.rip));
  }

  // ---- events ----

  @Override
  public boolean exception(
      int vector, boolean hasErrorCode, int errorCode, long payload, boolean software) {
    boolean exits = (exceptionBitmap & 1 << vector) != 0;
    if (vector == Vector.PF
        && (errorCode & (int) v[Vmcs.PAGE_FAULT_ERROR_CODE_MASK])
            != (int) v[Vmcs.PAGE_FAULT_ERROR_CODE_MATCH]) {
      exits = !exits;
    }
    if (!exits) {
      return false;
    }
    int type = InterruptionInfo.HARDWARE_EXCEPTION;
    if (software) {
      type =
          vector == Vector.DB
              ? InterruptionInfo.PRIVILEGED_SOFTWARE_EXCEPTION
              : InterruptionInfo.SOFTWARE_EXCEPTION;
      v[Vmcs.VM_EXIT_INSTRUCTION_LEN] = cpu.rip - cpu.instructionRip & 15;
      cpu.notRetired(1);
    }
    boolean deliversCode = hasErrorCode && (cpu.cr0 & ControlBits.CR0_PE) != 0;
    v[Vmcs.VM_EXIT_INTR_ERROR_CODE] = hasErrorCode ? errorCode & 0xffffffffL : 0;
    long qualification = vector == Vector.PF || vector == Vector.DB ? payload : 0;
    int rf;
    if (software) {
      rf = 0;
    } else if (vector == Vector.DB) {
      // General detect is a fault; breakpoints on instructions and traps keep the flag.
      rf = (payload & 1 << 13) != 0 ? 1 : rfBetweenInstructions();
    } else {
      rf = vector == Vector.MC || vector == Vector.DF ? RF_KEEP : 1;
    }
    boolean unblockedNmi = cpu.iretUnblockedNmi && deliveryType < 0;
    // What raises a double fault is no event delivery any more.
    if (vector == Vector.DF) {
      deliveryType = -1;
    }
    leave(
        0,
        qualification,
        software ? cpu.instructionRip : cpu.rip,
        rf,
        InterruptionInfo.of(type, vector, deliversCode)
            | (unblockedNmi && vector != Vector.DF ? InterruptionInfo.NMI_UNBLOCKING : 0));
    return true;
  }

  @Override
  public boolean nmi() {
    if ((pin & Controls.PIN_BASED_NMI_EXITING) == 0) {
      return false;
    }
    if (cpu.nmiBlocked && (pin & Controls.PIN_BASED_VIRTUAL_NMIS) == 0) {
      return false;
    }
    cpu.clearRequest(Cpu.REQUEST_NMI);
    int info = InterruptionInfo.of(InterruptionInfo.NMI, Vector.NMI, false);
    leave(0, 0, cpu.rip, rfBetweenInstructions(), info);
    cpu.nmiBlocked = true;
    return true;
  }

  @Override
  public boolean interruptExits() {
    return (pin & Controls.PIN_BASED_EXT_INTR_MASK) != 0;
  }

  @Override
  public boolean externalInterrupt() {
    if ((pin & Controls.PIN_BASED_EXT_INTR_MASK) == 0 || cpu.activity >= Cpu.SHUTDOWN) {
      return false;
    }
    int info = 0;
    if ((exitControls & Controls.VM_EXIT_ACK_INTR_ON_EXIT) != 0) {
      int vector = cpu.platform.acknowledgeInterrupt();
      if (vector < 0) {
        cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
        return false;
      }
      cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
      if ((pin & Controls.PIN_BASED_POSTED_INTR) != 0
          && vector == (v[Vmcs.POSTED_INTR_NV] & 0xff)) {
        // 30.6 "Posted-Interrupt Processing".
        cpu.platform.endInterrupt();
        virtualApic.post();
        return false;
      }
      info = InterruptionInfo.of(InterruptionInfo.EXTERNAL_INTERRUPT, vector, false);
    }
    leave(1, 0, cpu.rip, rfBetweenInstructions(), info);
    return true;
  }

  /** RF as the delivery of an interrupt or trap would push it. */
  private int rfBetweenInstructions() {
    return cpu.repeating ? 1 : RF_KEEP;
  }

  @Override
  public boolean steps() {
    return (primary & Controls.CPU_BASED_MONITOR_TRAP_FLAG) != 0;
  }

  @Override
  public boolean windowPending() {
    return watch != 0 && open() != 0
        || virtualApic.hasNews()
            && (apicExits()
                || virtualApic.hasWritten()
                || virtualApic.isPending() && takesVirtualInterrupt());
  }

  @Override
  public boolean isWatching() {
    return watch != 0 || virtualApic.hasNews();
  }

  /** 30.2.2 "Virtual-Interrupt Delivery". */
  private boolean takesVirtualInterrupt() {
    return cpu.activity <= Cpu.HALTED && cpu.shadow == 0 && (cpu.flagsRest & Flags.IF) != 0;
  }

  /**
   * Whether a VM exit of the virtual APIC's is due. One that VM entry has found waits until the
   * processor is out of the shutdown and the wait-for-SIPI state: SDM 27.7.7 "VM Exits Induced by
   * the TPR Threshold".
   */
  private boolean apicExits() {
    return virtualApic.exits() && cpu.activity <= Cpu.HALTED;
  }

  @Override
  public int virtualInterrupt() {
    return virtualApic.isPending() && takesVirtualInterrupt() ? virtualApic.take() : -1;
  }

  @Override
  public boolean afterInstruction() {
    virtualApic.emulateWrite();
    if (!apicExits()) {
      // SDM 26.2 "Other Causes of VM Exits", bus-lock detection.
      return busLocked && boundaryExit(74);
    }
    leave(virtualApic.exitReason(), virtualApic.exitQualification(), cpu.rip, RF_KEEP, 0);
    return true;
  }

  @Override
  public void busLock() {
    busLocked = true;
  }

  /**
   * SDM 26.2 "Other Causes of VM Exits", instruction timeout. There is no internal threshold, and
   * the crystal clock is the time-stamp counter's.
   */
  @Override
  public boolean instructionTimeout(long since) {
    if ((secondary & Controls.SECONDARY_EXEC_NOTIFY_VM_EXITING) == 0
        || cpu.platform.tsc() - since < v[Vmcs.NOTIFY_WINDOW]) {
      return false;
    }
    leave(75, 0, cpu.rip, 1, 0);
    return true;
  }

  @Override
  public boolean virtualizesCr8() {
    return virtualApic.hasTaskPriority();
  }

  @Override
  public int readCr8() {
    return virtualApic.cr8();
  }

  @Override
  public void writeCr8(int value) {
    virtualApic.setCr8(value);
  }

  @Override
  public boolean virtualizesApic(int offset, int size, boolean write) {
    return virtualApic.virtualizes(offset, size, write);
  }

  @Override
  public long readApic(int offset, int size) {
    return virtualApic.read(offset, size);
  }

  @Override
  public void writeApic(int offset, int size, long value) {
    virtualApic.write(offset, size, value);
  }

  @Override
  public boolean readVirtualMsr(int index, long[] out) {
    if (index == MsrTable.IA32_SPEC_CTRL) {
      out[0] = v[Vmcs.IA32_SPEC_CTRL_SHADOW];
      return virtualSpecCtrl;
    }
    if (!virtualApic.virtualizesRead(index)) {
      return false;
    }
    out[0] = virtualApic.readMsr(index);
    return true;
  }

  @Override
  public boolean writeVirtualMsr(int index, long value) {
    if (index == MsrTable.IA32_SPEC_CTRL) {
      if (virtualSpecCtrl) {
        writeSpecCtrl(value);
      }
      return virtualSpecCtrl;
    }
    if (!virtualApic.virtualizesWrite(index)) {
      return false;
    }
    if (!virtualApic.writeMsr(index, value)) {
      throw cpu.gp(0);
    }
    return true;
  }

  /**
   * Bits of the mask keep their value in the register; the shadow has the value as it was written.
   * SDM 26.3 "Changes to Instruction Behavior in VMX Non-Root Operation", WRMSR.
   */
  private void writeSpecCtrl(long value) {
    long before = cpu.msr.spec;
    if (!MsrTable.write(cpu, MsrTable.IA32_SPEC_CTRL, value)) {
      throw cpu.gp(0);
    }
    long mask = v[Vmcs.IA32_SPEC_CTRL_MASK];
    cpu.msr.spec = value & ~mask | before & mask;
    v[Vmcs.IA32_SPEC_CTRL_SHADOW] = value;
  }

  /** The exits of {@link #watch} that are due now. */
  private int open() {
    int due = watch & WATCH_MONITOR_TRAP;
    if (cpu.shadow == 0) {
      if ((cpu.flagsRest & Flags.IF) != 0 && cpu.activity <= Cpu.HALTED) {
        due |= watch & WATCH_INTERRUPT_WINDOW;
      }
      // It wakes a processor from the states that an NMI does, the shutdown state among them: SDM
      // 27.7.6 "NMI-Window Exiting".
      if (!cpu.nmiBlocked && cpu.activity != Cpu.WAIT_FOR_SIPI) {
        due |= watch & WATCH_NMI_WINDOW;
      }
    }
    if ((watch & WATCH_TIMER) != 0
        && cpu.activity != Cpu.WAIT_FOR_SIPI
        && (cpu.platform.tsc() >>> timerShift) - timerEnd >= 0) {
      due |= WATCH_TIMER;
    }
    return due;
  }

  // The order: SDM 26.5.2 "Monitor Trap Flag", 26.5.1 "VMX-Preemption Timer", 26.2 "Other Causes of
  // VM Exits".

  @Override
  public boolean pendingMonitorTrap() {
    return (watch & WATCH_MONITOR_TRAP) != 0 && boundaryExit(37);
  }

  @Override
  public boolean window() {
    int due = watch == 0 ? 0 : open();
    if ((due & WATCH_TIMER) != 0) {
      return boundaryExit(52);
    }
    return (due & WATCH_NMI_WINDOW) != 0 && boundaryExit(8);
  }

  @Override
  public boolean interruptWindow() {
    return watch != 0 && (open() & WATCH_INTERRUPT_WINDOW) != 0 && boundaryExit(7);
  }

  /** An exit between instructions for no event that the guest would have got. */
  private boolean boundaryExit(int reason) {
    leave(reason, 0, cpu.rip, RF_KEEP, 0);
    return true;
  }

  @Override
  public boolean monitorTrap() {
    if (cpu.left) {
      return false;
    }
    virtualApic.emulateWrite();
    if (virtualApic.exits() || busLocked || !steps() && (watch & WATCH_MONITOR_TRAP) == 0) {
      return false;
    }
    return boundaryExit(37);
  }

  @Override
  public boolean taskSwitch(int selector, int source) {
    boolean event = source == 3;
    boolean byInstruction = !event || InterruptionInfo.isSoftware(deliveryType);
    if (byInstruction) {
      v[Vmcs.VM_EXIT_INSTRUCTION_LEN] = event ? deliveryLength : cpu.rip - cpu.instructionRip & 15;
    }
    if (byInstruction && !cpu.delivering) {
      cpu.notRetired(1);
    }
    int rf = event ? deliveredRf() : 0;
    leave(
        9,
        selector & 0xffff | (long) source << 30,
        byInstruction ? cpu.instructionRip : cpu.rip,
        rf,
        0);
    return true;
  }

  @Override
  public boolean tripleFault() {
    deliveryType = -1;
    leave(2, 0, cpu.rip, RF_KEEP, 0);
    return true;
  }

  @Override
  public boolean init() {
    if (cpu.activity == Cpu.WAIT_FOR_SIPI) {
      return false;
    }
    cpu.clearRequest(Cpu.REQUEST_INIT);
    leave(3, 0, cpu.rip, RF_KEEP, 0);
    return true;
  }

  @Override
  public boolean sipi(int vector) {
    if (cpu.activity != Cpu.WAIT_FOR_SIPI) {
      return false;
    }
    leave(4, vector & 0xff, cpu.rip, RF_KEEP, 0);
    return true;
  }

  /**
   * RF as the event whose delivery is in progress would have pushed it, or saved it in the old TSS:
   * faults set it, debug exceptions and what VM entry injects keep it. SDM 28.3.3 "Saving RIP, RSP,
   * RFLAGS, and SSP".
   */
  private int deliveredRf() {
    if (deliveryInjected) {
      return RF_KEEP;
    }
    if (InterruptionInfo.isSoftware(deliveryType)) {
      return 0;
    }
    boolean ofFault =
        deliveryType == InterruptionInfo.HARDWARE_EXCEPTION
            && InterruptionInfo.vector(deliveryInfo) != Vector.DB;
    return ofFault ? 1 : rfBetweenInstructions();
  }

  @Override
  public void nestedFault(NestedFault fault) {
    Translation t = fault.translation;
    if (t.outcome == Translation.EPT_VIOLATION
        || t.outcome == Translation.EPT_MISCONFIGURATION
        || t.outcome == Translation.SPP_EVENT) {
      v[Vmcs.GUEST_PHYSICAL_ADDRESS] = t.gpa;
    }
    int rf = deliveryType < 0 ? 1 : deliveredRf();
    long rip =
        deliveryType < 0 || InterruptionInfo.isSoftware(deliveryType)
            ? cpu.instructionRip
            : cpu.rip;
    if (t.outcome == Translation.EPT_VIOLATION) {
      v[Vmcs.GUEST_LINEAR_ADDRESS] = linearOf(fault);
      forgetViolated(fault);
      leave(48, qualificationOf(t), rip, rf, 0);
    } else if (t.outcome == Translation.APIC_ACCESS) {
      v[Vmcs.GUEST_LINEAR_ADDRESS] = fault.linear;
      v[Vmcs.VM_EXIT_INSTRUCTION_LEN] = cpu.faultLength;
      leave(44, apicAccessQualification(t), rip, rf, 0);
    } else if (t.outcome == Translation.SPP_EVENT) {
      v[Vmcs.GUEST_LINEAR_ADDRESS] = fault.linear;
      leave(66, qualificationOf(t), rip, rf, 0);
    } else if (t.outcome == Translation.LOG_FULL) {
      boolean unblockedNmi = cpu.iretUnblockedNmi && deliveryType < 0;
      leave(62, unblockedNmi ? 1 << 12 : 0, rip, rf, 0);
    } else {
      leave(49, 0, rip, rf, 0);
    }
  }

  /** Of an APIC access, whose type is another in the delivery of an event. */
  private long apicAccessQualification(Translation t) {
    if (deliveryType < 0) {
      return t.qualification;
    }
    boolean physical = (t.qualification & 15 << 12) == Translation.GUEST_PHYSICAL_ACCESS;
    return physical ? 10 << 12 : t.qualification & 0xfff | 3 << 12;
  }

  private static final long LINEAR_VALID = 1 << 7;

  /** The guest-linear address that an EPT violation is reported with. */
  private static long linearOf(NestedFault fault) {
    return (fault.translation.qualification & LINEAR_VALID) != 0 ? fault.linear : 0;
  }

  /** The exit qualification of an EPT violation or an SPP-related event. */
  private long qualificationOf(Translation t) {
    boolean unblockedNmi = cpu.iretUnblockedNmi && deliveryType < 0;
    return t.qualification | (unblockedNmi ? 1 << 12 : 0);
  }

  /** SDM 29.4.3.1 "Operations that Invalidate Cached Mappings": an EPT violation does. */
  private void forgetViolated(NestedFault fault) {
    Translation t = fault.translation;
    boolean linearValid = (t.qualification & LINEAR_VALID) != 0;
    cpu.mmu.tlb.eptViolation(cpu.mmu.space, t.gpa, linearValid, fault.linear);
  }

  // The virtualization-exception information area. SDM 26.5.7.2 "Virtualization-Exception
  // Information".
  private static final int VE_REASON = 0;
  private static final int VE_BUSY = 4;
  private static final int VE_QUALIFICATION = 8;
  private static final int VE_LINEAR = 16;
  private static final int VE_PHYSICAL = 24;
  private static final int VE_EPTP_INDEX = 32;

  /** 26.5.7.1 "Convertible EPT Violations". */
  @Override
  public boolean virtualizes(NestedFault fault) {
    Translation t = fault.translation;
    if ((secondary & Controls.SECONDARY_EXEC_EPT_VIOLATION_VE) == 0
        || t.outcome != Translation.EPT_VIOLATION
        || t.suppressesVe
        || deliveryType >= 0
        || (cpu.cr0 & ControlBits.CR0_PE) == 0) {
      return false;
    }
    long area = v[Vmcs.VE_INFORMATION_ADDRESS];
    if (memory.readInt(area + VE_BUSY) != 0) {
      return false;
    }
    memory.writeInt(area + VE_REASON, ExitReason.EPT_VIOLATION.number);
    memory.writeInt(area + VE_BUSY, -1);
    memory.writeLong(area + VE_QUALIFICATION, qualificationOf(t));
    memory.writeLong(area + VE_LINEAR, linearOf(fault));
    memory.writeLong(area + VE_PHYSICAL, t.gpa);
    memory.writeShort(area + VE_EPTP_INDEX, (short) v[Vmcs.EPTP_INDEX]);
    forgetViolated(fault);
    return true;
  }

  // ---- VM functions. SDM 26.5.6 "VM Functions".

  /** Whether a VM function is enabled; VM functions are. */
  public boolean hasFunction(int number) {
    return (v[Vmcs.VM_FUNCTION_CONTROL] >>> number & 1) != 0;
  }

  /**
   * An entry of the EPTP list.
   *
   * @param index 0 to 511
   */
  public long listedEptp(int index) {
    return memory.readLong(v[Vmcs.EPTP_LIST_ADDRESS] + 8L * index);
  }

  /**
   * EPTP switching: 26.5.6.3 "EPTP Switching".
   *
   * @param index of the EPTP in the list
   */
  public void switchEptp(long eptp, int index) {
    v[Vmcs.EPT_POINTER] = eptp;
    if (hasEptpIndex) {
      v[Vmcs.EPTP_INDEX] = index & 0xffff;
    }
    cpu.mmu.context.eptp = eptp;
    if ((secondary & Controls.SECONDARY_EXEC_ENABLE_VPID) == 0) {
      cpu.mmu.tlb.vmTransitionWithoutVpid();
    }
    cpu.updateMode();
  }

  /** SDM 29.3.6 "Page-Modification Logging". */
  private final class Log implements PagingContext.ModificationLog {
    @Override
    public boolean isFull() {
      return v[Vmcs.GUEST_PML_INDEX] >= PML_ENTRIES;
    }

    @Override
    public void add(long gpa) {
      long index = v[Vmcs.GUEST_PML_INDEX];
      memory.writeLong(v[Vmcs.PML_ADDRESS] + 8 * index, gpa);
      v[Vmcs.GUEST_PML_INDEX] = index - 1 & 0xffff;
    }
  }

  private static final int PML_ENTRIES = 512;

  private final Log log = new Log();

  /** The log of modified pages, if the controls in force have one. */
  public PagingContext.@Nullable ModificationLog log() {
    return (secondary & Controls.SECONDARY_EXEC_ENABLE_PML) != 0 ? log : null;
  }

  // ---- VMCS shadowing. SDM 25.10 "VMCS Types: Ordinary and Shadow", 31.3 "VMX Instructions".

  /**
   * Whether VMREAD or VMWRITE of the guest accesses the shadow VMCS and does not exit.
   *
   * @param encoding the register operand with the field's encoding
   */
  public boolean isShadowed(long encoding, boolean write) {
    if ((secondary & Controls.SECONDARY_EXEC_SHADOW_VMCS) == 0 || encoding >>> 15 != 0) {
      return false;
    }
    long bitmap = v[write ? Vmcs.VMWRITE_BITMAP : Vmcs.VMREAD_BITMAP];
    return !isMarked(bitmap, (int) encoding);
  }

  /** The VMCS link pointer. */
  public long linkPointer() {
    return v[Vmcs.VMCS_LINK_POINTER];
  }

  @Override
  public void deliveryInProgress(
      int type, int vector, boolean hasErrorCode, int errorCode, int length) {
    if (type < 0) {
      if (deliveryType >= 0 && steps() && !cpu.left) {
        // The event was delivered: the trap follows before the handler's first instruction.
        watch |= WATCH_MONITOR_TRAP;
      }
      deliveryType = -1;
      return;
    }
    // INT n in virtual-8086 mode is told of twice, where it is not redirected.
    deliveryInjected =
        injecting || deliveryInjected && type == deliveryType && InterruptionInfo.isSoftware(type);
    injecting = false;
    deliveryType = type;
    deliveryInfo = InterruptionInfo.of(type, vector, hasErrorCode);
    deliveryErrorCode = errorCode;
    deliveryLength = length;
  }

  @Override
  public boolean isTscPlain() {
    return plainTsc && (primary & Controls.CPU_BASED_RDTSC_EXITING) == 0;
  }

  @Override
  public boolean hasTscAux() {
    return (secondary & Controls.SECONDARY_EXEC_ENABLE_RDTSCP) != 0;
  }

  @Override
  public long guestTsc(long hostTsc) {
    if (plainTsc) {
      return hostTsc + tscOffset;
    }
    long high = Math.multiplyHigh(hostTsc, tscMultiplier);
    if (hostTsc < 0) {
      high += tscMultiplier;
    }
    if (tscMultiplier < 0) {
      high += hostTsc;
    }
    return (high << 16 | hostTsc * tscMultiplier >>> 48) + tscOffset;
  }

  // ---- exits ----

  private void information(int info) {
    v[Vmcs.VMX_INSTRUCTION_INFO] = info & 0xffffffffL;
  }

  private boolean instructionExit(Instruction i, int reason, long qualification) {
    v[Vmcs.VM_EXIT_INSTRUCTION_LEN] = i.length;
    cpu.notRetired(1);
    leave(reason, qualification, cpu.instructionRip, 0, 0);
    return true;
  }

  /**
   * A VM exit: records why, saves the guest, loads the host.
   *
   * @param rip what is saved as RIP
   * @param rf what is saved as RFLAGS.RF: 0, 1 or {@link #RF_KEEP}
   * @param intrInfo VM-exit interruption information, 0 for none
   */
  private void leave(int reason, long qualification, long rip, int rf, int intrInfo) {
    Cpu c = cpu;
    long[] f = v;
    boolean host64 = (exitControls & Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE) != 0;

    // 28.2 "Recording VM-Exit Information and Updating VM-Entry Control Fields".
    f[Vmcs.VM_EXIT_REASON] = busLocked ? reason | ExitReason.BUS_LOCK_ASSERTED : reason;
    busLocked = false;
    f[Vmcs.EXIT_QUALIFICATION] = qualification;
    f[Vmcs.VM_EXIT_INTR_INFO] = intrInfo & 0xffffffffL;
    if (deliveryType >= 0) {
      f[Vmcs.IDT_VECTORING_INFO_FIELD] = deliveryInfo & 0xffffffffL;
      f[Vmcs.IDT_VECTORING_ERROR_CODE] = deliveryErrorCode & 0xffffffffL;
      if (InterruptionInfo.isSoftware(deliveryType)) {
        f[Vmcs.VM_EXIT_INSTRUCTION_LEN] = deliveryLength;
      }
      deliveryType = -1;
    } else {
      f[Vmcs.IDT_VECTORING_INFO_FIELD] = 0;
    }
    f[Vmcs.VM_ENTRY_INTR_INFO_FIELD] &= 0x7fffffffL;
    if (unrestrictedGuest()) {
      long before = f[Vmcs.VM_ENTRY_CONTROLS];
      long entry = before & ~(long) Controls.VM_ENTRY_IA32E_MODE;
      entry = c.longMode ? entry | Controls.VM_ENTRY_IA32E_MODE : entry;
      if (entry != before) {
        f[Vmcs.VM_ENTRY_CONTROLS] = entry;
        // IA32_EFER, if it is not saved, has the LMA of before.
        vmcs.checkAgain(Vmcs.VM_ENTRY_CONTROLS);
      }
    }

    // 28.3 "Saving Guest State".
    f[Vmcs.GUEST_RIP] = rip;
    f[Vmcs.GUEST_RSP] = c.r[Cpu.RSP];
    long flags = c.rflags();
    f[Vmcs.GUEST_RFLAGS] =
        rf == RF_KEEP ? flags : rf == 0 ? flags & ~(long) Flags.RF : flags | Flags.RF;
    saveNonRegisterState(reason, intrInfo);
    TransitionListener l = listener;
    if (l != null) {
      l.exited(vmcs);
    }
    if (hostedByJava && staysResident(f)) {
      return;
    }
    resident = null;
    vmcs.defer(null);
    GuestState.saveRegisters(c, f, exitControls, secondary);
    boolean wasLong = c.longMode;

    // 28.4 "Saving MSRs".
    long stores = f[Vmcs.VM_EXIT_MSR_STORE_COUNT];
    if (stores != 0 && msrLists.store(f[Vmcs.VM_EXIT_MSR_STORE_ADDR], stores) != 0) {
      abort(VmxAbort.SAVING_GUEST_MSRS);
      return;
    }
    if (wasLong && !host64) {
      abort(VmxAbort.IA32E_MODE_TO_32BIT_HOST);
      return;
    }
    loadHost(f);
  }

  /**
   * Leaves the guest's registers in the processor where nobody can tell: the hypervisor runs on no
   * emulated processor, nothing is loaded over them, and the next entry would load what is there.
   */
  private boolean staysResident(long[] f) {
    Cpu c = cpu;
    if (!mayStayResident || !savesWhatItLoads && hasChangedUnsaved(f)) {
      return false;
    }
    f[Vmcs.GUEST_CR0] = c.cr0;
    f[Vmcs.GUEST_CR3] = c.cr3;
    f[Vmcs.GUEST_CR4] = c.cr4;
    f[Vmcs.GUEST_CS_AR_BYTES] = c.seg[Cpu.CS].ar & GuestState.SAVED_RIGHTS;
    f[Vmcs.GUEST_CS_BASE] = c.seg[Cpu.CS].base;
    f[Vmcs.GUEST_SS_AR_BYTES] = c.seg[Cpu.SS].ar & GuestState.SAVED_RIGHTS;
    if (savesEfer) {
      f[Vmcs.GUEST_IA32_EFER] = c.efer;
    }
    if (savesDebug) {
      f[Vmcs.GUEST_IA32_DEBUGCTL] = c.msr.debugCtl;
    }
    resident = vmcs;
    vmcs.defer(deferred);
    if ((secondary & Controls.SECONDARY_EXEC_ENABLE_VPID) == 0) {
      cpu.mmu.tlb.vmTransitionWithoutVpid();
    }
    leaveNonRoot();
    return true;
  }

  /** Whether the controls let guest registers stay: no list of MSRs would be loaded over them. */
  private boolean mayStayResident(long[] f) {
    return f[Vmcs.VM_EXIT_MSR_STORE_COUNT] == 0
        && f[Vmcs.VM_EXIT_MSR_LOAD_COUNT] == 0
        && f[Vmcs.VM_ENTRY_MSR_LOAD_COUNT] == 0
        && (savesDebug || (entryControls & Controls.VM_ENTRY_LOAD_DEBUG_CONTROLS) == 0);
  }

  /** Whether a VM exit saves an MSR, or VM entry does not load it. */
  private boolean saves(int exitControl, int entryControl) {
    return (exitControls & exitControl) != 0 || (entryControls & entryControl) == 0;
  }

  /** Whether an MSR that VM entry loads and VM exits do not save is another than was loaded. */
  private boolean hasChangedUnsaved(long[] f) {
    Cpu c = cpu;
    return !saves(Controls.VM_EXIT_SAVE_IA32_EFER, Controls.VM_ENTRY_LOAD_IA32_EFER)
            && c.efer != f[Vmcs.GUEST_IA32_EFER]
        || !saves(Controls.VM_EXIT_SAVE_IA32_PAT, Controls.VM_ENTRY_LOAD_IA32_PAT)
            && c.msr.pat != f[Vmcs.GUEST_IA32_PAT]
        || !saves(
                Controls.VM_EXIT_SAVE_IA32_PERF_GLOBAL_CTRL,
                Controls.VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL)
            && c.counters.globalControl() != f[Vmcs.GUEST_IA32_PERF_GLOBAL_CTRL];
  }

  private void saveDeferred(Vmcs of) {
    // Only one guest's registers are in the processor, and its controls were the last to be
    // entered.
    GuestState.saveRegisters(cpu, of.v, exitControls, secondary);
  }

  /** 28.3.4 "Saving Non-Register State". */
  private void saveNonRegisterState(int reason, int intrInfo) {
    Cpu c = cpu;
    long[] f = v;
    f[Vmcs.GUEST_ACTIVITY_STATE] = c.activity;
    f[Vmcs.GUEST_INTERRUPTIBILITY_INFO] = c.shadow | (c.nmiBlocked ? 8 : 0);
    long pending = 0;
    boolean movSs =
        c.shadow == Cpu.SHADOW_MOV_SS
            && !(reason == 0 && InterruptionInfo.vector(intrInfo) == Vector.DB);
    boolean trap = reason == 37 || reason == 43 || reason == 45 || reason == 56 || reason == 74;
    if (movSs || trap || reason == 3) {
      pending = c.pendingDebug;
      if (movSs && (c.flagsRest & Flags.TF) != 0 && (c.msr.debugCtl & 2) == 0) {
        pending |= 1 << 14;
      }
    }
    f[Vmcs.GUEST_PENDING_DBG_EXCEPTIONS] = pending;
    if ((c.shadow != 0 || c.activity == Cpu.HALTED) && (c.flagsRest & Flags.TF) != 0) {
      // After a single-step trap in the shadow of STI there is blocking without a pending BS, and
      // after one behind HLT the HLT state.
      vmcs.checkAgain(Vmcs.GUEST_PENDING_DBG_EXCEPTIONS);
    }
    if ((pin & Controls.PIN_BASED_VMX_PREEMPTION_TIMER) != 0
        && (exitControls & Controls.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER) != 0) {
      long left = timerEnd - (c.platform.tsc() >>> timerShift);
      f[Vmcs.VMX_PREEMPTION_TIMER_VALUE] = reason == 52 || left < 0 ? 0 : left & 0xffffffffL;
    }
  }

  /** Loads the host state, then the MSRs of the load list: SDM 28.5 and 28.6. */
  private void loadHost(long[] f) {
    Cpu c = cpu;
    leaveNonRoot();
    if ((secondary & Controls.SECONDARY_EXEC_ENABLE_VPID) == 0) {
      cpu.mmu.tlb.vmTransitionWithoutVpid();
    }
    if (!HostState.load(c, f)) {
      abort(VmxAbort.HOST_PDPTES);
      return;
    }
    long loads = f[Vmcs.VM_EXIT_MSR_LOAD_COUNT];
    if (loads != 0 && msrLists.load(f[Vmcs.VM_EXIT_MSR_LOAD_ADDR], loads) != 0) {
      abort(VmxAbort.LOADING_HOST_MSRS);
    }
  }

  /** The non-register state after a VM exit. SDM 28.5.6 "Updating Non-Register State". */
  private void leaveNonRoot() {
    Cpu c = cpu;
    c.guest = null;
    c.left = true;
    c.mmu.context.apicPage = -1;
    c.mmu.busLocks = false;
    c.shadow = 0;
    c.activity = Cpu.ACTIVE;
    c.pendingDebug = 0;
    c.repeating = false;
    c.iretUnblockedNmi = false;
    if ((pin & Controls.PIN_BASED_VIRTUAL_NMIS) != 0) {
      c.nmiBlocked = false;
    }
  }

  /**
   * A VM-entry failure: guest state was not saved and is not; the exit reason has bit 31 set.
   *
   * <p>Source: SDM 27.8 "VM-Entry Failures During or After Loading Guest State".
   *
   * @param nmiBlocked whether NMIs were blocked before VM entry, and are again
   */
  public void entryFailure(Vmcs vmcs, ExitReason reason, long qualification, boolean nmiBlocked) {
    takeControls(vmcs, true);
    v[Vmcs.VM_EXIT_REASON] = reason.number | 1L << 31;
    v[Vmcs.EXIT_QUALIFICATION] = qualification;
    isResident(vmcs);
    vmcs.complete();
    resident = null;
    loadHost(v);
    cpu.nmiBlocked = nmiBlocked;
  }

  /** 28.7 "VMX Aborts": the indicator goes to the region in memory, the processor shuts down. */
  private void abort(VmxAbort why) {
    abort = why;
    vmcs.abort = why.number;
    memory.writeInt(vmcs.address + 4, why.number);
    cpu.guest = null;
    cpu.left = true;
    cpu.activity = Cpu.SHUTDOWN;
    TransitionListener l = listener;
    if (l != null) {
      l.aborted(vmcs, why);
    }
  }

  /** The MSR lists of this processor, for VM entry. */
  public MsrLists msrLists() {
    return msrLists;
  }
}
