package org.kvm4j.vmx.entry;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.NestedFault;
import org.kvm4j.cpu.event.EventDelivery;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.exit.GuestState;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.exit.MsrLists;
import org.kvm4j.vmx.exit.NonRootOperation;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * VM entry, after the instruction's own checks: checks on the VMCS, loading of guest state and
 * MSRs, event injection.
 *
 * <p>Source: SDM ch. 27 "VM Entries".
 */
public final class VmEntry {
  /** VMfailValid: VM entry with invalid control field(s). */
  public static final int INVALID_CONTROL = 7;

  /** VMfailValid: VM entry with invalid host-state field(s). */
  public static final int INVALID_HOST_STATE = 8;

  /** Fields whose change makes VM entry load registers that are in the processor already. */
  private static final long[] RELOAD_FIELDS = new long[Vmcs.DIRTY_WORDS];

  /** Fields whose change makes {@link NonRootOperation} read its copies again. */
  private static final long[] CONTROL_FIELDS = new long[Vmcs.DIRTY_WORDS];

  static {
    for (VmcsField field : VmcsField.values()) {
      if (field.type == VmcsField.Type.CONTROL) {
        CONTROL_FIELDS[field.ordinal() >> 6] |= 1L << field.ordinal();
      }
      boolean registers =
          switch (field) {
            case GUEST_RIP,
                GUEST_RSP,
                GUEST_RFLAGS,
                GUEST_INTERRUPTIBILITY_INFO,
                GUEST_ACTIVITY_STATE,
                GUEST_PENDING_DBG_EXCEPTIONS,
                VMX_PREEMPTION_TIMER_VALUE ->
                false;
            case VM_ENTRY_CONTROLS,
                VM_EXIT_CONTROLS,
                SECONDARY_VM_EXEC_CONTROL,
                VIRTUAL_PROCESSOR_ID,
                VM_ENTRY_MSR_LOAD_COUNT,
                EPT_POINTER ->
                true;
            default -> field.type == VmcsField.Type.GUEST;
          };
      if (registers) {
        RELOAD_FIELDS[field.ordinal() >> 6] |= 1L << field.ordinal();
      }
    }
  }

  private final Cpu cpu;
  private final EntryContext context;
  private final EntryChecks checks = new EntryChecks();
  private final NonRootOperation nonRoot;
  private @Nullable VmEntryFailure failure;

  public VmEntry(Cpu cpu, VmxCapabilities capabilities, NonRootOperation nonRoot) {
    this.cpu = cpu;
    this.context = new EntryContext(cpu, capabilities);
    this.nonRoot = nonRoot;
  }

  /** Why the last entry failed; null if it did not. */
  public @Nullable VmEntryFailure failure() {
    return failure;
  }

  /** Whether an EPTP would let VM entry pass. */
  public boolean isEptp(long eptp) {
    return ControlChecks.isEptp(context, eptp);
  }

  /**
   * Enters the guest.
   *
   * @param hostLongMode IA32_EFER.LMA of the host
   * @return 0, or {@link #INVALID_CONTROL} or {@link #INVALID_HOST_STATE}, with nothing changed.
   *     After 0 the processor is in non-root operation, or has left it already.
   */
  public int enter(Vmcs vmcs, boolean hostLongMode) {
    EntryContext c = context;
    long[] v = vmcs.v;
    c.v = v;
    c.current = vmcs.address;
    c.hostLongMode = hostLongMode;
    failure = null;
    boolean nmiBlocked = cpu.nmiBlocked;
    boolean verified = vmcs.isVerified();
    EntryCheck failed = checks.run(vmcs, verified, c);
    if (failed != null) {
      vmcs.complete();
      failure = VmEntryFailure.of(failed, c);
      switch (failed.group()) {
        case CONTROL -> {
          return INVALID_CONTROL;
        }
        case HOST_STATE -> {
          return INVALID_HOST_STATE;
        }
        case GUEST_STATE -> {
          nonRoot.entryFailure(
              vmcs, ExitReason.INVALID_GUEST_STATE, failed.qualification(), nmiBlocked);
          return 0;
        }
      }
    }
    boolean controls = !verified && isAnyWritten(vmcs, CONTROL_FIELDS);
    boolean registers = !verified && isAnyWritten(vmcs, RELOAD_FIELDS);
    boolean resident = nonRoot.isResident(vmcs) && !registers;
    if (!resident) {
      vmcs.complete();
    }
    nonRoot.enter(vmcs, controls);
    if (resident) {
      resume(vmcs, controls);
    } else {
      load(v);
    }
    long loads = v[Vmcs.VM_ENTRY_MSR_LOAD_COUNT];
    if (loads != 0) {
      MsrLists lists = nonRoot.msrLists();
      int entry = lists.load(v[Vmcs.VM_ENTRY_MSR_LOAD_ADDR], loads);
      if (entry != 0) {
        failure = VmEntryFailure.ofMsr(entry, lists.failedIndex, lists.failedValue);
        nonRoot.entryFailure(vmcs, ExitReason.MSR_LOAD_FAIL, entry, nmiBlocked);
        return 0;
      }
    }
    nonRoot.entered();
    vmcs.launched = true;
    if (!verified || hostLongMode != vmcs.verifiedInLongMode) {
      vmcs.markVerified(hostLongMode);
    }
    int info = (int) v[Vmcs.VM_ENTRY_INTR_INFO_FIELD];
    if (InterruptionInfo.isValid(info)) {
      inject(v, info);
    }
    return 0;
  }

  private static boolean isAnyWritten(Vmcs vmcs, long[] fields) {
    long written = 0;
    for (int w = 0; w < Vmcs.DIRTY_WORDS; w++) {
      written |= vmcs.dirty[w] & fields[w];
    }
    return written != 0;
  }

  /** 27.3.2 "Loading Guest State". */
  private void load(long[] v) {
    Cpu cpu = this.cpu;
    int secondary = NonRootOperation.secondary(v);
    GuestState.loadRegisters(cpu, v, (int) v[Vmcs.VM_ENTRY_CONTROLS], secondary);
    cpu.setRflags(v[Vmcs.GUEST_RFLAGS]);
    loadRest(v);
    if ((secondary & Controls.SECONDARY_EXEC_ENABLE_VPID) == 0) {
      // 29.4.3 "Invalidating Cached Translation Information".
      cpu.mmu.tlb.vmTransitionWithoutVpid();
    }
    loadTranslation(v);
    if (cpu.mmu.context.eptp == 0 && context.guestPae()) {
      cpu.mmu.loadPdptes(cpu.cr3);
    }
    cpu.updateMode();
  }

  /** What the controls say of the translation of addresses: ch. 29. */
  private void loadTranslation(long[] v) {
    int secondary = NonRootOperation.secondary(v);
    long tertiary = NonRootOperation.tertiary(v);
    PagingContext translation = cpu.mmu.context;
    boolean ept = (secondary & Controls.SECONDARY_EXEC_ENABLE_EPT) != 0;
    boolean vpid = (secondary & Controls.SECONDARY_EXEC_ENABLE_VPID) != 0;
    cpu.mmu.vpid = vpid ? (int) v[Vmcs.VIRTUAL_PROCESSOR_ID] : 0;
    translation.eptp = ept ? v[Vmcs.EPT_POINTER] : 0;
    translation.log = nonRoot.log();
    translation.modeBasedExecute = (secondary & Controls.SECONDARY_EXEC_MODE_BASED_EPT_EXEC) != 0;
    translation.hlat = (tertiary & Controls.TERTIARY_EXEC_ENABLE_HLAT) != 0;
    translation.hlatp = v[Vmcs.HLATP];
    translation.hlatPrefixSize = (int) v[Vmcs.HLAT_PREFIX_SIZE];
    translation.eptPagingWrite = (tertiary & Controls.TERTIARY_EXEC_EPT_PAGING_WRITE) != 0;
    translation.guestPagingVerification =
        (tertiary & Controls.TERTIARY_EXEC_GUEST_PAGING_VERIFICATION) != 0;
    translation.subPageWrite = (secondary & Controls.SECONDARY_EXEC_SUB_PAGE_WRITE) != 0;
    translation.sppTable = v[Vmcs.SPP_TABLE_POINTER];
  }

  /** RIP, RSP and the non-register state. */
  private void loadRest(long[] v) {
    Cpu cpu = this.cpu;
    // 27.3.2.3 "Loading Guest RIP, RSP, RFLAGS, and SSP".
    cpu.rip = v[Vmcs.GUEST_RIP];
    cpu.instructionRip = cpu.rip;
    cpu.r[Cpu.RSP] = v[Vmcs.GUEST_RSP];
    // 27.7 "Special Features of VM Entry".
    int interruptibility = (int) v[Vmcs.GUEST_INTERRUPTIBILITY_INFO];
    cpu.shadow = interruptibility & 3;
    cpu.nmiBlocked = (interruptibility & 8) != 0;
    cpu.activity = (int) v[Vmcs.GUEST_ACTIVITY_STATE];
    long pending = v[Vmcs.GUEST_PENDING_DBG_EXCEPTIONS];
    cpu.pendingDebug = (pending & 0x5000) != 0 && cpu.activity <= Cpu.HALTED ? pending & 0x500f : 0;
    cpu.repeating = false;
    cpu.guest = nonRoot;
    cpu.left = false;
  }

  /**
   * Loading where all other registers are in the processor, as the last VM exit left them.
   *
   * @param changed whether any control may have changed since
   */
  private void resume(Vmcs vmcs, boolean changed) {
    Cpu cpu = this.cpu;
    long[] v = vmcs.v;
    loadRest(v);
    if (changed) {
      loadTranslation(v);
      cpu.updateMode();
    }
    if (vmcs.isDirty(Vmcs.GUEST_RFLAGS)) {
      cpu.setRflags(v[Vmcs.GUEST_RFLAGS]);
      cpu.updateMode();
    } else {
      cpu.flagsRest = cpu.flagsRest & ~Flags.RF | (int) v[Vmcs.GUEST_RFLAGS] & Flags.RF;
    }
    if (cpu.mmu.vpid == 0) {
      cpu.mmu.tlb.vmTransitionWithoutVpid();
    }
  }

  /** 27.6 "Event Injection". */
  private void inject(long[] v, int info) {
    Cpu cpu = this.cpu;
    int type = InterruptionInfo.type(info);
    if (type == InterruptionInfo.OTHER_EVENT) {
      nonRoot.pendMonitorTrap();
      return;
    }
    // 27.7.3 "Delivery of Pending Debug Exceptions after VM Entry".
    boolean keepsPending =
        cpu.shadow == Cpu.SHADOW_MOV_SS
            && (type == InterruptionInfo.SOFTWARE_INTERRUPT
                || type == InterruptionInfo.SOFTWARE_EXCEPTION);
    if (!keepsPending) {
      cpu.pendingDebug = 0;
    }
    cpu.shadow = 0;
    cpu.activity = Cpu.ACTIVE;
    if (type == InterruptionInfo.NMI) {
      cpu.nmiBlocked = true;
    }
    cpu.delivering = true;
    nonRoot.inject();
    try {
      EventDelivery.inject(
          cpu,
          type,
          InterruptionInfo.vector(info),
          InterruptionInfo.hasErrorCode(info),
          (int) v[Vmcs.VM_ENTRY_EXCEPTION_ERROR_CODE],
          (int) v[Vmcs.VM_ENTRY_INSTRUCTION_LEN]);
    } catch (NestedFault fault) {
      nonRoot.nestedFault(fault);
    } finally {
      cpu.delivering = false;
    }
  }
}
