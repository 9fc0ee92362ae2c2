package org.kvm4j.vmx.instruction;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.VirtualizationUnit;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.semantics.Operands;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.tlb.Tlb;
import org.kvm4j.vmx.entry.VmEntry;
import org.kvm4j.vmx.entry.VmEntryFailure;
import org.kvm4j.vmx.exit.NonRootOperation;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * The VMX of one logical processor: VMXON to INVVPID, as instructions ({@link #execute}) and as the
 * plain methods behind them, which a hypervisor in Java calls.
 *
 * <p>The plain methods leave out what concerns an instruction alone (mode, CPL, operands, RFLAGS)
 * and return how it ended: {@link InstructionError#SUCCESS}, {@link InstructionError#FAIL_INVALID}
 * or the error number of VMfailValid, which then also is in the VM-instruction error field.
 *
 * <p>Source: SDM ch. 31 "VMX Instruction Reference".
 */
public final class VmxUnit implements VirtualizationUnit {
  /** The current-VMCS pointer when there is no current VMCS. */
  public static final long NO_VMCS = -1;

  /** How many VMCSs are kept active; beyond, the oldest goes back to its region in memory. */
  private static final int ACTIVE_LIMIT = 256;

  /** What {@link #vmread(long)} read. */
  public long value;

  /**
   * The hypervisor is Java code that runs on no emulated processor: what VM exits load from the
   * host state and only a hypervisor on the processor could see is left out.
   */
  public boolean hostedByJava;

  private final Cpu cpu;
  private final PhysicalMemory memory;
  private final VmxCapabilities capabilities;
  private final NonRootOperation nonRoot;
  private final VmEntry entry;

  /** By ordinal: the processor has the field. */
  private final boolean[] exists = new boolean[VmcsField.COUNT];

  private final boolean writesReadOnly;
  private final boolean host64;

  private @Nullable VmxObserver observer;

  // Of the instruction that is being executed, for the observer.
  private long operand;
  private long operandValue;
  private int ended;

  private boolean vmxOn;
  private long vmxonPointer = NO_VMCS;
  private final List<Vmcs> active = new ArrayList<>();
  private @Nullable Vmcs current;

  /** A unit outside of VMX operation. The caller makes it the processor's. */
  public VmxUnit(Cpu cpu, VmxCapabilities capabilities) {
    this.cpu = cpu;
    this.memory = cpu.mmu.memory;
    this.capabilities = capabilities;
    this.nonRoot = new NonRootOperation(cpu, capabilities);
    this.entry = new VmEntry(cpu, capabilities, nonRoot);
    for (VmcsField field : VmcsField.values()) {
      exists[field.ordinal()] = field.exists(capabilities);
    }
    writesReadOnly = (capabilities.misc & VmxCapabilities.MISC_VMWRITE_ANY_FIELD) != 0;
    host64 = capabilities.allows(Control.HOST_ADDRESS_SPACE_SIZE);
    long ept = capabilities.eptVpid;
    cpu.mmu.context.eptExecuteOnly = (ept & VmxCapabilities.EPT_EXECUTE_ONLY) != 0;
    cpu.mmu.context.eptPages2m = (ept & VmxCapabilities.EPT_2M) != 0;
    cpu.mmu.context.eptPages1g = (ept & VmxCapabilities.EPT_1G) != 0;
    cpu.mmu.context.eptAdvancedInformation = (ept & VmxCapabilities.EPT_ADVANCED_INFORMATION) != 0;
  }

  public VmxCapabilities capabilities() {
    return capabilities;
  }

  /** The current VMCS, or null. */
  public @Nullable Vmcs current() {
    return current;
  }

  /** What the controls of the current guest make of instructions and events. */
  public NonRootOperation nonRoot() {
    return nonRoot;
  }

  /** Who is told of what happens, or null. */
  public void observe(@Nullable VmxObserver observer) {
    this.observer = observer;
    nonRoot.listener = observer;
  }

  /** Why the last VM entry failed; null if it did not. */
  public @Nullable VmEntryFailure lastFailure() {
    return entry.failure();
  }

  // ---- how instructions end ----

  /** VMfail: the error number goes to the current VMCS, if there is one. */
  private int fail(InstructionError error) {
    return fail(error.number);
  }

  private int fail(int number) {
    Vmcs vmcs = current;
    if (vmcs == null) {
      return InstructionError.FAIL_INVALID;
    }
    vmcs.v[Vmcs.VM_INSTRUCTION_ERROR] = number;
    return number;
  }

  private boolean isRegion(long pa) {
    return (pa & (capabilities.physicalAddressReserved() | 0xfff)) == 0;
  }

  // ---- VMXON, VMXOFF ----

  /** Enters VMX root operation. Control registers and IA32_FEATURE_CONTROL are the caller's. */
  public int vmxon(long pa) {
    if (vmxOn) {
      return fail(InstructionError.VMXON_IN_ROOT);
    }
    if (!isRegion(pa) || memory.readInt(pa) != revision()) {
      return InstructionError.FAIL_INVALID;
    }
    vmxOn = true;
    vmxonPointer = pa;
    current = null;
    return InstructionError.SUCCESS;
  }

  private int revision() {
    return (int) capabilities.basic & 0x7fffffff;
  }

  /** Leaves VMX operation; every active VMCS goes back to its region in memory. */
  public int vmxoff() {
    for (Vmcs vmcs : active) {
      vmcs.store(memory);
    }
    active.clear();
    current = null;
    vmxOn = false;
    vmxonPointer = NO_VMCS;
    return InstructionError.SUCCESS;
  }

  /** The address of the VMXON region; {@link #NO_VMCS} outside of VMX operation. */
  public long vmxonPointer() {
    return vmxonPointer;
  }

  // ---- VMCS maintenance ----

  private @Nullable Vmcs find(long pa) {
    Vmcs vmcs = current;
    if (vmcs != null && vmcs.address == pa) {
      return vmcs;
    }
    for (int k = 0; k < active.size(); k++) {
      vmcs = active.get(k);
      if (vmcs.address == pa) {
        return vmcs;
      }
    }
    return null;
  }

  /** Writes a VMCS to its region in memory and makes it clear. */
  public int vmclear(long pa) {
    if (!isRegion(pa)) {
      return fail(InstructionError.VMCLEAR_INVALID_ADDRESS);
    }
    if (pa == vmxonPointer) {
      return fail(InstructionError.VMCLEAR_VMXON_POINTER);
    }
    Vmcs vmcs = find(pa);
    if (vmcs == null) {
      Vmcs.clear(memory, pa);
    } else {
      vmcs.launched = false;
      vmcs.store(memory);
      active.remove(vmcs);
      if (vmcs == current) {
        current = null;
      }
    }
    return InstructionError.SUCCESS;
  }

  /** Makes a VMCS current. */
  public int vmptrld(long pa) {
    if (!isRegion(pa)) {
      return fail(InstructionError.VMPTRLD_INVALID_ADDRESS);
    }
    if (pa == vmxonPointer) {
      return fail(InstructionError.VMPTRLD_VMXON_POINTER);
    }
    int found = memory.readInt(pa);
    if ((found & 0x7fffffff) != revision()
        || found < 0 && !capabilities.allows(Control.VMCS_SHADOWING)) {
      return fail(InstructionError.VMPTRLD_INCORRECT_REVISION);
    }
    Vmcs vmcs = activate(pa);
    vmcs.revision = found;
    current = vmcs;
    return InstructionError.SUCCESS;
  }

  /** The VMCS at an address, active. */
  private Vmcs activate(long pa) {
    Vmcs vmcs = find(pa);
    if (vmcs == null) {
      if (active.size() >= ACTIVE_LIMIT) {
        Vmcs oldest = active.get(0) == current ? active.get(1) : active.get(0);
        oldest.store(memory);
        active.remove(oldest);
      }
      vmcs = new Vmcs(pa);
      vmcs.load(memory);
      active.add(vmcs);
    }
    return vmcs;
  }

  /** The current-VMCS pointer; {@link #NO_VMCS} if there is none. */
  public long vmptrst() {
    Vmcs vmcs = current;
    return vmcs == null ? NO_VMCS : vmcs.address;
  }

  /** VMREAD by encoding; the value is then in {@link #value}. */
  public int vmread(long encoding) {
    return vmread(current, encoding);
  }

  private int vmread(@Nullable Vmcs vmcs, long encoding) {
    if (vmcs == null) {
      return InstructionError.FAIL_INVALID;
    }
    int ordinal = VmcsField.ordinalOf(encoding);
    if (ordinal < 0 || !exists[ordinal]) {
      return fail(InstructionError.UNSUPPORTED_COMPONENT);
    }
    long read = vmcs.read(ordinal);
    value = (encoding & 1) != 0 ? read >>> 32 : read;
    return InstructionError.SUCCESS;
  }

  /** VMWRITE by encoding. */
  public int vmwrite(long encoding, long value) {
    return vmwrite(current, encoding, value);
  }

  private int vmwrite(@Nullable Vmcs vmcs, long encoding, long value) {
    if (vmcs == null) {
      return InstructionError.FAIL_INVALID;
    }
    int ordinal = VmcsField.ordinalOf(encoding);
    if (ordinal < 0 || !exists[ordinal]) {
      return fail(InstructionError.UNSUPPORTED_COMPONENT);
    }
    if (!writesReadOnly && VmcsField.at(ordinal).isReadOnly()) {
      return fail(InstructionError.VMWRITE_READ_ONLY);
    }
    if ((encoding & 1) != 0) {
      value = vmcs.read(ordinal) & 0xffffffffL | value << 32;
    }
    vmcs.write(ordinal, value);
    return InstructionError.SUCCESS;
  }

  /** Whether the processor has the field with this ordinal. */
  public boolean exists(int ordinal) {
    return exists[ordinal];
  }

  private Vmcs currentOrThrow() {
    Vmcs vmcs = current;
    if (vmcs == null) {
      throw new IllegalStateException("no current VMCS");
    }
    return vmcs;
  }

  /** VMREAD of a field of the current VMCS by its ordinal ({@code Vmcs.GUEST_RIP}), unchecked. */
  public long get(int ordinal) {
    return currentOrThrow().read(ordinal);
  }

  /** VMWRITE of a field of the current VMCS by its ordinal, unchecked. */
  public void set(int ordinal, long value) {
    currentOrThrow().write(ordinal, value);
  }

  // ---- VM entry ----

  /**
   * VM entry. After {@link InstructionError#SUCCESS} either the processor is in non-root operation
   * ({@code cpu.guest != null}: let it run) or a VM exit has already happened ({@code cpu.guest ==
   * null}): a VM-entry failure (bit 31 of the exit reason), or an exit before the first
   * instruction.
   */
  public int vmlaunch() {
    return enter(Opcode.VMLAUNCH);
  }

  /** VM entry with a launched VMCS; see {@link #vmlaunch}. */
  public int vmresume() {
    return enter(Opcode.VMRESUME);
  }

  private int enter(Opcode opcode) {
    Vmcs vmcs = current;
    boolean launch = opcode == Opcode.VMLAUNCH;
    int result;
    VmEntryFailure failure = null;
    if (vmcs == null || vmcs.revision < 0) {
      result = InstructionError.FAIL_INVALID;
    } else if (cpu.shadow == Cpu.SHADOW_MOV_SS) {
      result = fail(InstructionError.ENTRY_MOV_SS);
    } else if (vmcs.launched == launch) {
      result =
          fail(
              launch
                  ? InstructionError.VMLAUNCH_NOT_CLEAR
                  : InstructionError.VMRESUME_NOT_LAUNCHED);
    } else {
      nonRoot.hostedByJava = hostedByJava;
      int error = entry.enter(vmcs, hostedByJava ? host64 : cpu.longMode);
      result = error == 0 ? InstructionError.SUCCESS : fail(error);
      failure = entry.failure();
    }
    if (observer != null && (result != InstructionError.SUCCESS || failure != null)) {
      observer.entryFailed(vmcs, opcode, result, failure);
    }
    return result;
  }

  // ---- INVEPT, INVVPID ----

  /**
   * INVEPT.
   *
   * @param type 1 single-context, 2 all-context
   * @param eptp bits 63:0 of the descriptor
   */
  public int invept(long type, long eptp) {
    if (!isInveptType(type) || type == Tlb.INVEPT_CONTEXT && !entry.isEptp(eptp)) {
      return fail(InstructionError.INVALID_OPERAND);
    }
    cpu.mmu.tlb.invept((int) type, eptp);
    return InstructionError.SUCCESS;
  }

  private boolean isInveptType(long type) {
    return type == Tlb.INVEPT_CONTEXT
            && (capabilities.eptVpid & VmxCapabilities.EPT_INVEPT_SINGLE) != 0
        || type == Tlb.INVEPT_ALL && (capabilities.eptVpid & VmxCapabilities.EPT_INVEPT_ALL) != 0;
  }

  private boolean isInvvpidType(long type) {
    return type >= Tlb.INVVPID_ADDRESS
        && type <= Tlb.INVVPID_CONTEXT_NON_GLOBAL
        && (capabilities.eptVpid & VmxCapabilities.VPID_INDIVIDUAL_ADDRESS << type) != 0;
  }

  /**
   * INVVPID.
   *
   * @param type 0 individual-address, 1 single-context, 2 all-context, 3 single-context retaining
   *     globals
   * @param vpid bits 63:0 of the descriptor
   * @param linear bits 127:64 of the descriptor
   */
  public int invvpid(long type, long vpid, long linear) {
    if (!isInvvpidType(type)
        || vpid >>> 16 != 0
        || type != Tlb.INVVPID_ALL && vpid == 0
        || type == Tlb.INVVPID_ADDRESS && !isCanonical(linear)) {
      return fail(InstructionError.INVALID_OPERAND);
    }
    cpu.mmu.tlb.invvpid((int) type, (int) vpid, linear);
    return InstructionError.SUCCESS;
  }

  private boolean isCanonical(long linear) {
    int unused = 64 - cpu.model.linearAddressBits();
    return linear << unused >> unused == linear;
  }

  // ---- the instructions ----

  @Override
  public void execute(Instruction i) {
    VmxObserver o = observer;
    if (o == null || cpu.guest != null) {
      carryOut(i);
      return;
    }
    operand = 0;
    operandValue = 0;
    try {
      carryOut(i);
    } catch (CpuException e) {
      o.faulted(i.opcode, e.vector);
      throw e;
    }
    if (i.opcode != Opcode.VMLAUNCH && i.opcode != Opcode.VMRESUME) {
      o.executed(i.opcode, operand, operandValue, ended);
    }
  }

  @Override
  public String faultCause(Opcode opcode) {
    return FaultCause.of(cpu, capabilities, vmxOn, opcode);
  }

  private void carryOut(Instruction i) {
    switch (i.opcode) {
      case VMXON -> executeVmxon(i);
      case VMCALL -> executeVmcall(i);
      case VMFUNC -> executeVmfunc(i);
      case INVEPT -> {
        if ((capabilities.eptVpid & VmxCapabilities.EPT_INVEPT) == 0) {
          throw cpu.ud();
        }
        if (mayExecute(i)) {
          operand = Operands.gpr(cpu, i.reg0, operandSize());
          if (isInveptType(operand)) {
            // Only then is the descriptor read.
            long linear = Operands.linear(cpu, i, 16, false);
            operandValue = cpu.mmu.read64(linear);
            cpu.mmu.probeRead(linear + 8, 8);
          }
          end(invept(operand, operandValue));
        }
      }
      case INVVPID -> {
        if ((capabilities.eptVpid & VmxCapabilities.VPID_INVVPID) == 0) {
          throw cpu.ud();
        }
        if (mayExecute(i)) {
          operand = Operands.gpr(cpu, i.reg0, operandSize());
          long address = 0;
          if (isInvvpidType(operand)) {
            long linear = Operands.linear(cpu, i, 16, false);
            operandValue = cpu.mmu.read64(linear);
            address = cpu.mmu.read64(linear + 8);
          }
          end(invvpid(operand, operandValue, address));
        }
      }
      case VMXOFF -> {
        if (mayExecute(i)) {
          end(vmxoff());
        }
      }
      case VMCLEAR -> {
        if (mayExecute(i)) {
          end(vmclear(pointer(i)));
        }
      }
      case VMPTRLD -> {
        if (mayExecute(i)) {
          end(vmptrld(pointer(i)));
        }
      }
      case VMPTRST -> {
        if (mayExecute(i)) {
          long linear = Operands.linear(cpu, i, 8, true);
          operandValue = vmptrst();
          cpu.mmu.write64(linear, operandValue);
          end(InstructionError.SUCCESS);
        }
      }
      case VMREAD -> {
        if (mayAccess(i, i.reg1, false)) {
          executeVmread(i);
        }
      }
      case VMWRITE -> {
        if (mayAccess(i, i.reg0, true)) {
          executeVmwrite(i);
        }
      }
      case VMLAUNCH -> {
        if (mayExecute(i)) {
          endEntry(vmlaunch());
        }
      }
      case VMRESUME -> {
        if (mayExecute(i)) {
          endEntry(vmresume());
        }
      }
      default -> throw cpu.ud();
    }
  }

  /** Protected mode, not virtual-8086 mode, not compatibility mode; else #UD. */
  private void requireMode() {
    if (!cpu.protectedMode || cpu.longMode && cpu.codeSize != 8) {
      throw cpu.ud();
    }
  }

  /**
   * The checks that VMX instructions share, in their order: #UD, the VM exit in non-root operation,
   * #GP(0) for CPL.
   *
   * @return false if a VM exit was taken
   */
  private boolean mayExecute(Instruction i) {
    if (!vmxOn) {
      throw cpu.ud();
    }
    requireMode();
    GuestMode guest = cpu.guest;
    if (guest != null) {
      guest.vmxInstruction(i, 0);
      return false;
    }
    if (cpu.cpl > 0) {
      throw cpu.gp(0);
    }
    return true;
  }

  private void executeVmxon(Instruction i) {
    if ((cpu.cr4 & ControlBits.CR4_VMXE) == 0) {
      throw cpu.ud();
    }
    requireMode();
    if (!vmxOn) {
      VmxCapabilities c = capabilities;
      long needed = VmxCapabilities.FEATURE_CONTROL_LOCK | VmxCapabilities.FEATURE_CONTROL_VMXON;
      if (cpu.cpl > 0
          || (cpu.cr0 & c.cr0Fixed0) != c.cr0Fixed0
          || (cpu.cr0 & ~c.cr0Fixed1) != 0
          || (cpu.cr4 & c.cr4Fixed0) != c.cr4Fixed0
          || (cpu.cr4 & ~c.cr4Fixed1) != 0
          || (cpu.msr.featureControl & needed) != needed) {
        throw cpu.gp(0);
      }
      end(vmxon(pointer(i)));
      return;
    }
    GuestMode guest = cpu.guest;
    if (guest != null) {
      guest.vmxInstruction(i, 0);
      return;
    }
    if (cpu.cpl > 0) {
      throw cpu.gp(0);
    }
    end(fail(InstructionError.VMXON_IN_ROOT));
  }

  private void executeVmcall(Instruction i) {
    if (!vmxOn) {
      throw cpu.ud();
    }
    GuestMode guest = cpu.guest;
    if (guest != null) {
      guest.vmxInstruction(i, 0);
      return;
    }
    requireMode();
    if (cpu.cpl > 0) {
      throw cpu.gp(0);
    }
    end(fail(InstructionError.VMCALL_IN_ROOT));
  }

  private static final int EPTP_SWITCHING = 0;
  private static final int EPTP_LIST_ENTRIES = 512;

  /** SDM 26.5.6.2 "General Operation of the VMFUNC Instruction": of any mode and CPL. */
  private void executeVmfunc(Instruction i) {
    int function = (int) cpu.r[Cpu.RAX];
    GuestMode guest = cpu.guest;
    if (guest == null || guest.isUndefined(i) || function < 0 || function > 63) {
      throw cpu.ud();
    }
    boolean done =
        nonRoot.hasFunction(function)
            && function == EPTP_SWITCHING
            && switchEptp((int) cpu.r[Cpu.RCX]);
    if (!done) {
      guest.vmxInstruction(i, 0);
    }
  }

  private boolean switchEptp(int index) {
    if (index < 0 || index >= EPTP_LIST_ENTRIES) {
      return false;
    }
    long eptp = nonRoot.listedEptp(index);
    if (!entry.isEptp(eptp)) {
      return false;
    }
    nonRoot.switchEptp(eptp, index);
    return true;
  }

  private int operandSize() {
    return cpu.codeSize == 8 ? 8 : 4;
  }

  /** The 64-bit physical address in the memory operand. */
  private long pointer(Instruction i) {
    operand = cpu.mmu.read64(Operands.linear(cpu, i, 8, false));
    return operand;
  }

  /**
   * The VMCS that VMREAD or VMWRITE accesses: the current one, or in non-root operation the shadow
   * VMCS. SDM 25.10 "VMCS Types: Ordinary and Shadow".
   */
  private @Nullable Vmcs accessed() {
    if (cpu.guest == null) {
      return current;
    }
    long pa = nonRoot.linkPointer();
    return pa == NO_VMCS ? null : activate(pa);
  }

  /**
   * Whether VMREAD or VMWRITE goes on: the checks of {@link #mayExecute}, but for the exit of an
   * access to the shadow VMCS.
   *
   * @param field the register with the encoding
   */
  private boolean mayAccess(Instruction i, int field, boolean write) {
    if (cpu.guest == null
        || !vmxOn
        || !nonRoot.isShadowed(Operands.gpr(cpu, field, operandSize()), write)) {
      return mayExecute(i);
    }
    requireMode();
    if (cpu.cpl > 0) {
      throw cpu.gp(0);
    }
    return true;
  }

  private void executeVmread(Instruction i) {
    int size = operandSize();
    operand = Operands.gpr(cpu, i.reg1, size);
    int error = vmread(accessed(), operand);
    if (error == InstructionError.SUCCESS) {
      operandValue = value;
      if (i.kind0 == OperandKind.MEMORY) {
        cpu.mmu.write(Operands.linear(cpu, i, size, true), size, value);
      } else {
        Operands.setGpr(cpu, i.reg0, size, value);
      }
    }
    end(error);
  }

  private void executeVmwrite(Instruction i) {
    Vmcs vmcs = accessed();
    if (vmcs == null) {
      end(InstructionError.FAIL_INVALID);
      return;
    }
    int size = operandSize();
    long source =
        i.kind1 == OperandKind.MEMORY
            ? cpu.mmu.read(Operands.linear(cpu, i, size, false), size)
            : Operands.gpr(cpu, i.reg1, size);
    operand = Operands.gpr(cpu, i.reg0, size);
    operandValue = source;
    end(vmwrite(vmcs, operand, source));
  }

  /** RFLAGS as VMsucceed, VMfailInvalid or VMfailValid sets them. SDM 31.2 "Conventions". */
  private void end(int result) {
    ended = result;
    cpu.setLazyFlags(
        result == InstructionError.SUCCESS
            ? 0
            : result == InstructionError.FAIL_INVALID ? Flags.CF : Flags.ZF);
  }

  private void endEntry(int result) {
    if (result != InstructionError.SUCCESS) {
      end(result);
    }
  }

  // ---- what the rest of the processor asks ----

  @Override
  public boolean inVmxOperation() {
    return vmxOn;
  }

  @Override
  public long cr0FixedOnes() {
    if (!vmxOn) {
      return 0;
    }
    long ones = capabilities.cr0Fixed0;
    return cpu.guest != null && nonRoot.unrestrictedGuest()
        ? ones & ~(ControlBits.CR0_PE | ControlBits.CR0_PG)
        : ones;
  }

  @Override
  public long cr4FixedOnes() {
    return vmxOn ? capabilities.cr4Fixed0 : 0;
  }

  @Override
  public boolean readMsr(int index, long[] out) {
    if (!cpu.model.has(Feature.VMX)) {
      return false;
    }
    if (index == VmxCapabilities.IA32_FEATURE_CONTROL) {
      out[0] = cpu.msr.featureControl;
      return true;
    }
    if (!capabilities.hasMsr(index)) {
      return false;
    }
    out[0] = capabilities.msr(index);
    return true;
  }

  @Override
  public boolean writeMsr(int index, long value) {
    if (index != VmxCapabilities.IA32_FEATURE_CONTROL || !cpu.model.has(Feature.VMX)) {
      return false;
    }
    long defined = VmxCapabilities.FEATURE_CONTROL_LOCK | VmxCapabilities.FEATURE_CONTROL_VMXON;
    if (cpu.model.has(Feature.SMX)) {
      defined |= VmxCapabilities.FEATURE_CONTROL_VMXON_IN_SMX;
    }
    if ((cpu.msr.featureControl & VmxCapabilities.FEATURE_CONTROL_LOCK) != 0
        || (value & ~defined) != 0) {
      return false;
    }
    cpu.msr.featureControl = value;
    return true;
  }
}
