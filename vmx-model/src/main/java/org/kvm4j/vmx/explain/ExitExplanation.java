package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.ept.nested.EptViolation;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.vmx.exit.ExitQualification;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.exit.InstructionInformation;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.instruction.InstructionError;

/**
 * The VM-exit information fields in words.
 *
 * <p>Source: SDM 25.9 "VM-Exit Information Fields", 28.2 "Recording VM-Exit Information and
 * Updating VM-Entry Control Fields".
 */
public final class ExitExplanation {
  private ExitExplanation() {}

  /** The exit-reason field in words: name, kind of cause with the SDM's section, and its flags. */
  public static String reason(int field) {
    ExitReason reason = ExitReason.of(field);
    StringBuilder text = new StringBuilder();
    if (reason == null) {
      text.append("no exit reason has the number ").append(field & ExitReason.BASIC_MASK);
    } else {
      text.append(reason.title)
          .append(
              " (%s, %d; SDM %s \"%s\")"
                  .formatted(reason, reason.number, reason.cause.section, reason.cause.title));
    }
    flag(text, field, 31, "VM-entry failure");
    flag(text, field, 30, "not defined");
    flag(text, field, 29, "from VMX root operation");
    flag(text, field, 28, "a monitor-trap-flag exit is pending");
    flag(text, field, 27, "in enclave mode");
    flag(text, field, 26, "a bus lock was asserted");
    flag(text, field, 25, "a shadow stack is prematurely busy");
    for (int bit = 24; bit >= 16; bit--) {
      flag(text, field, bit, "not defined");
    }
    return text.toString();
  }

  private static void flag(StringBuilder text, int field, int bit, String words) {
    if ((field >>> bit & 1) != 0) {
      text.append("; bit ").append(bit).append(": ").append(words);
    }
  }

  /**
   * The exit qualification in words.
   *
   * @param reason the exit-reason field
   * @param intrInfo the VM-exit interruption-information field
   * @return empty where the reason has none
   */
  public static String qualification(int reason, int intrInfo, long q) {
    ExitReason basic = ExitReason.of(reason);
    if (basic == null) {
      return "";
    }
    ExitQualification decoded = ExitQualification.decode(reason, intrInfo, q);
    if (decoded instanceof ExitQualification.DebugException d) {
      return debugException(d);
    } else if (decoded instanceof ExitQualification.TaskSwitch t) {
      return "to the TSS of selector 0x%x, by %s"
          .formatted(
              t.selector(),
              new String[] {"CALL", "IRET", "JMP", "a task gate in the IDT"}[t.source()]);
    } else if (decoded instanceof ExitQualification.ControlRegister c) {
      return switch (c.type()) {
        case MOV_TO_CR ->
            "MOV CR%d, %s".formatted(c.register(), InstructionInformation.register(c.gpr()));
        case MOV_FROM_CR ->
            "MOV %s, CR%d".formatted(InstructionInformation.register(c.gpr()), c.register());
        case CLTS -> "CLTS";
        case LMSW ->
            "LMSW of 0x%x, %s operand"
                .formatted(c.source() & 0xffff, c.memoryOperand() ? "memory" : "register");
      };
    } else if (decoded instanceof ExitQualification.DebugRegister d) {
      return d.from()
          ? "MOV %s, DR%d".formatted(InstructionInformation.register(d.gpr()), d.register())
          : "MOV DR%d, %s".formatted(d.register(), InstructionInformation.register(d.gpr()));
    } else if (decoded instanceof ExitQualification.Io io) {
      return "%s%s of %d byte%s, port 0x%x%s"
          .formatted(
              io.rep() ? "REP " : "",
              io.in() ? io.string() ? "INS" : "IN" : io.string() ? "OUTS" : "OUT",
              io.size(),
              io.size() == 1 ? "" : "s",
              io.port(),
              io.string() ? "" : io.immediate() ? " (immediate)" : " (in DX)");
    } else if (decoded instanceof ExitQualification.EptViolation) {
      return EptViolation.words(q);
    } else if (decoded instanceof ExitQualification.Sipi s) {
      return "vector 0x%x: execution starts at 0x%x".formatted(s.vector(), s.vector() << 12);
    } else if (decoded instanceof ExitQualification.InvalidGuestState g) {
      return switch (g) {
        case OTHER -> "a failure that the qualification does not tell more of";
        case PDPTE -> "a PDPTE";
        case NMI_INJECTION -> "an NMI was to be injected while there was blocking by MOV SS";
        case LINK_POINTER -> "the VMCS link pointer";
      };
    } else if (decoded instanceof ExitQualification.MsrEntry e) {
      return "entry %d of the VM-entry MSR-load list (from 1)".formatted(e.number());
    }
    return plain(basic, intrInfo, q);
  }

  /** Reasons whose qualification is a number or an address. */
  private static String plain(ExitReason reason, int intrInfo, long q) {
    return switch (reason) {
      case EXCEPTION_NMI ->
          InterruptionInfo.isValid(intrInfo) && InterruptionInfo.vector(intrInfo) == Vector.PF
              ? "the linear address that faulted: 0x%x".formatted(q)
              : "";
      case INVLPG -> "the linear address 0x%x".formatted(q);
      case APIC_ACCESS ->
          "offset 0x%x of the APIC-access page, by %s".formatted(q & 0xfff, apicAccess(q));
      case APIC_WRITE -> "offset 0x%x of the virtual-APIC page".formatted(q & 0xfff);
      case EOI_INDUCED -> "vector 0x%x".formatted(q & 0xff);
      case MWAIT -> "the address range was %s".formatted((q & 1) != 0 ? "armed" : "not armed");
      case GDTR_IDTR,
          LDTR_TR,
          INVEPT,
          INVPCID,
          INVVPID,
          VMCLEAR,
          VMPTRLD,
          VMPTRST,
          VMREAD,
          VMWRITE,
          VMXON,
          XRSTORS,
          XSAVES ->
          "the displacement of the memory operand, %d".formatted(q);
      case NOTIFY ->
          (q & 1) != 0
              ? "the VM context is invalid"
              : "the VM context is valid, go on with VMRESUME";
      case SPP_EVENT ->
          Translation.sppEvent(q) + ((q & 1 << 12) != 0 ? ", NMI unblocking due to IRET" : "");
      case PML_FULL -> (q & 1 << 12) != 0 ? "NMI unblocking due to IRET" : "";
      default -> "";
    };
  }

  private static String apicAccess(long q) {
    return switch ((int) (q >>> 12) & 15) {
      case 0 -> "a data read";
      case 1 -> "a data write";
      case 2 -> "an instruction fetch";
      case 3 -> "event delivery";
      case 4 -> "monitoring of the linear address";
      case 10 -> "a guest-physical access during event delivery";
      case 15 -> "a guest-physical access for an instruction";
      default -> "an access of reserved type " + ((int) (q >>> 12) & 15);
    };
  }

  private static String debugException(ExitQualification.DebugException d) {
    List<String> what = new ArrayList<>();
    for (int k = 0; k < 4; k++) {
      if ((d.breakpoints() >> k & 1) != 0) {
        what.add("B" + k);
      }
    }
    add(what, d.busLock(), "bus lock");
    add(what, d.debugRegister(), "BD (a debug register)");
    add(what, d.singleStep(), "BS (single step)");
    add(what, d.rtm(), "RTM");
    return what.isEmpty() ? "no condition" : String.join(", ", what);
  }

  private static void add(List<String> what, boolean set, String words) {
    if (set) {
      what.add(words);
    }
  }

  /**
   * Interruption information (of an entry, an exit, or of IDT vectoring) in words.
   *
   * @param errorCode said where the field has one; null if it is not known
   */
  public static String interruption(int info, @Nullable Long errorCode) {
    if (!InterruptionInfo.isValid(info)) {
      return "none";
    }
    int vector = InterruptionInfo.vector(info);
    int type = InterruptionInfo.type(info);
    boolean exception =
        type == InterruptionInfo.HARDWARE_EXCEPTION
            || type == InterruptionInfo.SOFTWARE_EXCEPTION
            || type == InterruptionInfo.PRIVILEGED_SOFTWARE_EXCEPTION;
    String name = exception ? Vector.mnemonic(vector) : "";
    return InterruptionInfo.describe(info)
        + (name.startsWith("#") ? " (" + name + ")" : "")
        + (InterruptionInfo.hasErrorCode(info) && errorCode != null
            ? " 0x%x".formatted(errorCode)
            : "");
  }

  /** VM-exit instruction information in words; empty where the exit's reason has none. */
  public static String instruction(int reason, int info) {
    ExitReason basic = ExitReason.of(reason);
    return basic == null ? "" : InstructionInformation.describe(basic, info);
  }

  /** The VM-instruction error field in words. */
  public static String instructionError(int number) {
    if (number == InstructionError.SUCCESS) {
      return "none";
    }
    InstructionError error = InstructionError.of(number);
    return error == null
        ? "no VM-instruction error has the number " + Integer.toUnsignedString(number)
        : error.title;
  }
}
