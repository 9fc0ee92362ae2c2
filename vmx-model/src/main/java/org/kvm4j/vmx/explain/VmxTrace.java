package org.kvm4j.vmx.explain;

import java.util.EnumSet;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.ept.nested.EptViolation;
import org.kvm4j.ept.walk.WalkTrace;
import org.kvm4j.vmx.entry.EntryCheck;
import org.kvm4j.vmx.entry.VmEntryFailure;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.exit.VmxAbort;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.instruction.VmxObserver;
import org.kvm4j.vmx.instruction.VmxUnit;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;

/** What VMX does on one processor, in words: a line for each step. */
public final class VmxTrace implements VmxObserver {
  /** What is told. */
  public enum Category {
    /** VMXON to INVVPID, with how they end, but not VMREAD and VMWRITE. */
    VMX,
    /** VMREAD and VMWRITE, with field and value. */
    FIELDS,
    /** VM entries, and those that fail, with the check that does. */
    ENTRIES,
    /** VM exits, with their information fields in words. */
    EXITS,
    /** The walk through both dimensions of paging, for EPT violations and misconfigurations. */
    EPT,
    /** The VMCS of an entry that fails, in the format that {@link VmcsDump} reads. */
    DUMP,
    /**
     * Each check that an entry fails, the first time that one does; and each way in which an
     * instruction of VMX fails, or faults before it looks at its operands, the first time.
     */
    FAILURES;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  private static final String NO_VMCS = "there is no current VMCS";
  private static final String NO_VMCS_FOR_ERROR = NO_VMCS + " to hold an error number";

  private final Cpu cpu;
  private final VmxUnit vmx;
  private final int number;
  private final String model;
  private final Set<Category> categories;
  private final Consumer<String> sink;
  private final Set<String> told = new HashSet<>();

  /**
   * @param cpu the processor
   * @param vmx its VMX
   * @param number its number, which each line begins with
   * @param model the CPU model's name, for dumps
   * @param sink takes the lines, without their ends; called on the processor's thread
   */
  public VmxTrace(
      Cpu cpu,
      VmxUnit vmx,
      int number,
      String model,
      Set<Category> categories,
      Consumer<String> sink) {
    this.cpu = cpu;
    this.vmx = vmx;
    this.number = number;
    this.model = model;
    this.categories = categories.isEmpty() ? Set.of() : EnumSet.copyOf(categories);
    this.sink = sink;
  }

  private void line(String text) {
    sink.accept("cpu " + number + ": " + text);
  }

  /**
   * The words for how an instruction ended. SDM 31.2 "Conventions".
   *
   * @param invalid why, if it is VMfailInvalid
   */
  private static String result(int result, String invalid) {
    return switch (result) {
      case InstructionError.SUCCESS -> "VMsucceed";
      case InstructionError.FAIL_INVALID -> "VMfailInvalid (" + invalid + ")";
      default -> "VMfailValid, error " + result + ": " + ExitExplanation.instructionError(result);
    };
  }

  /** Why an instruction other than a VM entry has ended as VMfailInvalid, which has no number. */
  private String invalid(Opcode opcode, long operand) {
    return switch (opcode) {
      case VMXON -> vmx.inVmxOperation() ? "already in VMX operation" : region(operand);
      case VMCLEAR, VMPTRLD -> region(operand) + "; " + NO_VMCS_FOR_ERROR;
      case VMREAD, VMWRITE -> NO_VMCS;
      default -> NO_VMCS_FOR_ERROR;
    };
  }

  /** What is wrong with a region that was refused. SDM 31.3, VMXON, VMCLEAR and VMPTRLD. */
  private String region(long address) {
    long reserved = vmx.capabilities().physicalAddressReserved();
    if ((address & 0xfff) != 0) {
      return "the address is not aligned to 4 KBytes";
    }
    if ((address & reserved) != 0) {
      return "the address is beyond the %d bits of physical addresses"
          .formatted(Long.numberOfTrailingZeros(reserved));
    }
    if (address == vmx.vmxonPointer()) {
      return "it is the VMXON region";
    }
    return "the revision identifier there is 0x%x, and 0x%x is expected"
        .formatted(cpu.mmu.memory.readInt(address), (int) vmx.capabilities().basic & 0x7fffffff);
  }

  /**
   * Whether the end of an instruction is told as a failure. That of an access to a field which
   * other processors have is not: some hypervisors do not ask before.
   */
  private boolean isFailure(Opcode opcode, long operand, int result) {
    boolean elsewhere =
        result == InstructionError.UNSUPPORTED_COMPONENT.number && VmcsField.of(operand) != null;
    return result != InstructionError.SUCCESS
        && !elsewhere
        && categories.contains(Category.FAILURES)
        && told.add(opcode + " " + result);
  }

  @Override
  public void executed(Opcode opcode, long operand, long value, int result) {
    boolean field = opcode == Opcode.VMREAD || opcode == Opcode.VMWRITE;
    boolean failure = isFailure(opcode, operand, result);
    if (!failure && !categories.contains(field ? Category.FIELDS : Category.VMX)) {
      return;
    }
    // In VMX operation VMXON fails before it reads its operand.
    boolean again =
        opcode == Opcode.VMXON && result != InstructionError.SUCCESS && vmx.inVmxOperation();
    String what =
        switch (opcode) {
          case VMREAD, VMWRITE -> field(opcode, operand, value, result);
          case VMXON, VMCLEAR, VMPTRLD -> again ? "" : " of the region at 0x%x".formatted(operand);
          case VMPTRST -> " = 0x%x".formatted(value);
          case INVEPT -> " of type %d, EPTP 0x%x".formatted(operand, value);
          case INVVPID -> " of type %d, VPID 0x%x".formatted(operand, value);
          default -> "";
        };
    String invalid = result == InstructionError.FAIL_INVALID ? invalid(opcode, operand) : "";
    line(opcode + what + ": " + result(result, invalid));
  }

  private static String field(Opcode opcode, long encoding, long value, int result) {
    VmcsField field = VmcsField.of(encoding);
    String name =
        field == null
            ? " of encoding 0x%x".formatted(encoding)
            : " " + field + ((encoding & 1) != 0 ? " (high)" : "");
    boolean read = opcode == Opcode.VMREAD;
    return read && result != InstructionError.SUCCESS
        ? name
        : name + " = 0x%x".formatted(value) + meaning(field, value);
  }

  /** Fields whose number says little by itself. */
  private static String meaning(@Nullable VmcsField field, long value) {
    if (field == VmcsField.VM_EXIT_REASON) {
      return " (" + ExitReason.describe((int) value) + ")";
    }
    return field == VmcsField.VM_INSTRUCTION_ERROR
        ? " (" + ExitExplanation.instructionError((int) value) + ")"
        : "";
  }

  @Override
  public void faulted(Opcode opcode, int vector) {
    String cause = vector == Vector.UD || vector == Vector.GP ? vmx.faultCause(opcode) : "";
    boolean first =
        !cause.isEmpty()
            && categories.contains(Category.FAILURES)
            && told.add(opcode + " " + cause);
    if (first || categories.contains(Category.VMX)) {
      line(opcode + ": " + Vector.mnemonic(vector) + (cause.isEmpty() ? "" : "; " + cause));
    }
  }

  @Override
  public void entryFailed(
      @Nullable Vmcs vmcs, Opcode opcode, int result, @Nullable VmEntryFailure failure) {
    EntryCheck check = failure == null ? null : failure.check();
    boolean first =
        categories.contains(Category.FAILURES)
            && told.add(check != null ? check.id() : "entry " + result);
    if (first || categories.contains(Category.ENTRIES)) {
      line(opcode + ": " + describe(vmcs, result, failure));
    }
    if (vmcs != null && failure != null && categories.contains(Category.DUMP)) {
      int error =
          result == InstructionError.SUCCESS ? (int) vmcs.read(Vmcs.VM_EXIT_REASON) : result;
      VmcsDump.write(vmcs, model, number, error).lines().forEach(sink);
    }
  }

  /**
   * A failed entry in a line: how it failed, and the check that did.
   *
   * @param vmcs the current VMCS, or null if there is none
   * @param result of VMLAUNCH or VMRESUME; success if the entry ended as a VM exit
   * @param failure the check that failed, or null if it was none of VM entry's
   */
  public static String describe(@Nullable Vmcs vmcs, int result, @Nullable VmEntryFailure failure) {
    String how =
        result == InstructionError.SUCCESS && vmcs != null
            ? ExitReason.describe((int) vmcs.read(Vmcs.VM_EXIT_REASON))
            : result(result, vmcs == null ? NO_VMCS : "the current VMCS is a shadow VMCS");
    return "VM entry failed, " + how + (failure == null ? "" : ": " + failure);
  }

  @Override
  public void entered(Vmcs vmcs) {
    if (!categories.contains(Category.ENTRIES)) {
      return;
    }
    int info = (int) vmcs.read(Vmcs.VM_ENTRY_INTR_INFO_FIELD);
    line(
        "%s: VM entry, RIP 0x%x, RSP 0x%x, RFLAGS 0x%x, CR0 0x%x, CR3 0x%x, CR4 0x%x%s%s"
            .formatted(
                vmcs.launched ? Opcode.VMRESUME : Opcode.VMLAUNCH,
                vmcs.read(Vmcs.GUEST_RIP),
                vmcs.read(Vmcs.GUEST_RSP),
                vmcs.read(Vmcs.GUEST_RFLAGS),
                vmcs.read(Vmcs.GUEST_CR0),
                vmcs.read(Vmcs.GUEST_CR3),
                vmcs.read(Vmcs.GUEST_CR4),
                cpu.activity == Cpu.ACTIVE ? "" : ", activity state " + cpu.activity,
                InterruptionInfo.isValid(info)
                    ? ", injects "
                        + ExitExplanation.interruption(
                            info, vmcs.read(Vmcs.VM_ENTRY_EXCEPTION_ERROR_CODE))
                    : ""));
  }

  @Override
  public void exited(Vmcs vmcs) {
    int reason = (int) vmcs.read(Vmcs.VM_EXIT_REASON);
    long q = vmcs.read(Vmcs.EXIT_QUALIFICATION);
    if (categories.contains(Category.EXITS)) {
      line("VM exit: " + exit(vmcs, reason, q));
    }
    ExitReason basic = ExitReason.of(reason);
    if (categories.contains(Category.EPT)
        && (basic == ExitReason.EPT_VIOLATION
            || basic == ExitReason.EPT_MISCONFIG
            || basic == ExitReason.SPP_EVENT)) {
      walk(vmcs, basic, q).toString().lines().forEach(l -> line("  " + l));
    }
  }

  private static String exit(Vmcs vmcs, int reason, long q) {
    StringBuilder text = new StringBuilder(ExitReason.describe(reason));
    text.append(" at RIP 0x").append(Long.toHexString(vmcs.read(Vmcs.GUEST_RIP)));
    int info = (int) vmcs.read(Vmcs.VM_EXIT_INTR_INFO);
    if (InterruptionInfo.isValid(info)) {
      append(text, ExitExplanation.interruption(info, vmcs.read(Vmcs.VM_EXIT_INTR_ERROR_CODE)));
    }
    ExitReason basic = ExitReason.of(reason);
    append(
        text,
        basic == ExitReason.EPT_VIOLATION
            ? EptViolation.describe(q)
            : ExitExplanation.qualification(reason, info, q));
    if (basic == ExitReason.EPT_VIOLATION
        || basic == ExitReason.EPT_MISCONFIG
        || basic == ExitReason.SPP_EVENT) {
      append(text, "gpa 0x%x".formatted(vmcs.read(Vmcs.GUEST_PHYSICAL_ADDRESS)));
      if (basic == ExitReason.SPP_EVENT
          || basic == ExitReason.EPT_VIOLATION && (q & EptViolation.LINEAR_VALID) != 0) {
        append(text, "linear 0x%x".formatted(vmcs.read(Vmcs.GUEST_LINEAR_ADDRESS)));
      }
    }
    // Of port accesses only strings have it.
    if (basic != ExitReason.IO_INSTRUCTION || (q & 1 << 4) != 0) {
      append(text, ExitExplanation.instruction(reason, (int) vmcs.read(Vmcs.VMX_INSTRUCTION_INFO)));
    }
    int vectoring = (int) vmcs.read(Vmcs.IDT_VECTORING_INFO_FIELD);
    if (InterruptionInfo.isValid(vectoring)) {
      append(
          text,
          "while delivering "
              + ExitExplanation.interruption(vectoring, vmcs.read(Vmcs.IDT_VECTORING_ERROR_CODE)));
    }
    return text.toString();
  }

  private static void append(StringBuilder text, String words) {
    if (!words.isEmpty()) {
      text.append(", ").append(words);
    }
  }

  /**
   * The walk that failed, as memory has it now. The qualification does not tell all of the access:
   * not for what a paging-structure entry was read, and of a misconfiguration nothing.
   */
  private WalkTrace walk(Vmcs vmcs, ExitReason reason, long q) {
    int access = cpu.mmu.lastNestedFault().access;
    boolean linear =
        reason == ExitReason.SPP_EVENT
            || reason == ExitReason.EPT_VIOLATION && (q & EptViolation.LINEAR_VALID) != 0;
    return linear
        ? WalkTrace.of(
            cpu.mmu.memory, cpu.mmu.context, vmcs.read(Vmcs.GUEST_LINEAR_ADDRESS), access)
        : WalkTrace.ofGuestPhysical(
            cpu.mmu.memory, cpu.mmu.context, vmcs.read(Vmcs.GUEST_PHYSICAL_ADDRESS), access);
  }

  @Override
  public void aborted(Vmcs vmcs, VmxAbort why) {
    if (categories.contains(Category.EXITS)) {
      line(vmx.nonRoot().abortWords());
    }
  }
}
