package org.kvm4j.cpu.core;

import java.util.Arrays;
import java.util.HexFormat;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Disassembler;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.FeatureSet;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.Translation;

/**
 * Why a processor shut down: the exceptions before it, the first one's instruction, and what that
 * may have lacked. The words are made when they are asked for.
 */
public final class ShutdownReport {
  private static final int ERROR_CODE_IDT = 2;

  private final CpuModel model;
  private final EventTrail.Event[] events;
  private final int codeSegment;
  private final long rip;
  private final int codeSize;
  private final boolean realMode;
  private final long cr0;
  private final long cr4;

  /** What could be read of the instruction's bytes, without any effect on the machine. */
  private final byte[] code;

  /** Why an instruction of VMX has faulted, if one has. */
  private final String vmxCause;

  /** What is known at a triple fault, before the processor shuts down or leaves its guest. */
  public ShutdownReport(Cpu cpu) {
    model = cpu.model;
    events = cpu.trail.events();
    codeSegment = cpu.seg[Cpu.CS].selector;
    rip = cpu.rip;
    codeSize = cpu.codeSize;
    realMode = !cpu.protectedMode;
    cr0 = cpu.cr0;
    cr4 = cpu.cr4;
    code = code(cpu);
    vmxCause = vmxCause(cpu);
  }

  private String vmxCause(Cpu cpu) {
    VirtualizationUnit vmx = cpu.virtualization;
    if (vmx == null || cpu.guest != null || code.length == 0 || events.length == 0) {
      return "";
    }
    int vector = events[0].vector();
    Instruction i = decode(model.features());
    return events[0].type() == 3
            && (vector == Vector.UD || vector == Vector.GP)
            && i.isValid()
            && i.opcode.feature == Feature.VMX
        ? vmx.faultCause(i.opcode)
        : "";
  }

  private static byte[] code(Cpu cpu) {
    byte[] bytes = new byte[Decoder.MAXIMUM_LENGTH];
    int length = 0;
    Translation translation = new Translation();
    long base = cpu.codeSize == 8 ? 0 : cpu.seg[Cpu.CS].base;
    while (length < bytes.length) {
      long linear = base + (cpu.rip + length & cpu.ripMask);
      if (!cpu.mmu.inspect(linear, Access.FETCH, translation)
          || !cpu.mmu.memory.isBacked(translation.hpa, 1)) {
        break;
      }
      bytes[length++] = cpu.mmu.memory.readByte(translation.hpa);
    }
    return Arrays.copyOf(bytes, length);
  }

  /** One line, such as {@code #UD at RIP 0x1000 (0f 0b: ud2) -> #GP(0x32: IDT entry 6) -> ...}. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < events.length; i++) {
      EventTrail.Event event = events[i];
      // A double fault is not met in a delivery: it is what two exceptions make.
      text.append(i == 0 ? "" : isDoubleFault(event) ? " = " : " -> ").append(describe(event));
      if (i == 0) {
        text.append(" at ").append(where());
      }
    }
    if (!vmxCause.isEmpty()) {
      text.append("; ").append(vmxCause);
    } else if (events.length > 0 && events[0].type() == 3 && events[0].vector() == Vector.UD) {
      text.append(hint());
    }
    return text.toString();
  }

  private static boolean isDoubleFault(EventTrail.Event event) {
    return event.type() == 3 && event.vector() == Vector.DF;
  }

  private static String describe(EventTrail.Event event) {
    String name;
    switch (event.type()) {
      case 0:
        return String.format("interrupt 0x%x", event.vector());
      case 2:
        return "NMI";
      case 4:
        return String.format("INT 0x%x", event.vector());
      default:
        name = Vector.mnemonic(event.vector());
    }
    if (event.vector() == Vector.PF) {
      return String.format("%s(0x%x, CR2 0x%x)", name, event.errorCode(), event.address());
    }
    if (!event.hasErrorCode() || isDoubleFault(event)) {
      return name;
    }
    // SDM Vol. 3, "Error Code": bit 1 says that the index is of the IDT.
    int code = event.errorCode();
    return (code & ERROR_CODE_IDT) != 0
        ? String.format("%s(0x%x: IDT entry %d)", name, code, code >> 3 & 0xff)
        : String.format(code == 0 ? "%s(%d)" : "%s(0x%x)", name, code);
  }

  private String where() {
    String address =
        codeSize == 8
            ? String.format("RIP 0x%x", rip)
            : String.format(codeSize == 2 ? "%04x:%04x" : "%04x:%08x", codeSegment, rip);
    if (code.length == 0) {
      return address + " (no code can be read there)";
    }
    Instruction i = decode(FeatureSet.all());
    String bytes = HexFormat.ofDelimiter(" ").formatHex(code, 0, shown(i));
    return address + " (" + bytes + ": " + Disassembler.disassemble(i, rip) + ")";
  }

  private int shown(Instruction i) {
    return Math.max(1, Math.min(i.length == 0 ? code.length : i.length, code.length));
  }

  private Instruction decode(FeatureSet features) {
    int size = realMode && codeSize != 8 ? codeSize | Decoder.REAL_MODE : codeSize;
    return new Decoder(features).decode(code, 0, code.length, size);
  }

  /** What an instruction that was #UD may have lacked. */
  private String hint() {
    Instruction i = decode(FeatureSet.all());
    if (code.length == 0 || !i.isValid()) {
      return "";
    }
    if (!decode(model.features()).isValid()) {
      Feature feature = i.opcode.feature;
      return feature != null && !model.has(feature)
          ? "; the CPU model has no " + feature
          : i.vex && !model.has(Feature.AVX)
              ? "; the CPU model has no " + Feature.AVX
              : "; the CPU model does not have this instruction";
    }
    if (i.vex) {
      return (cr4 & ControlBits.CR4_OSXSAVE) == 0 ? "; CR4.OSXSAVE is 0" : "";
    }
    if (!uses(i, OperandKind.XMM) && !uses(i, OperandKind.MMX)) {
      return "";
    }
    return (cr0 & ControlBits.CR0_EM) != 0
        ? "; CR0.EM is 1"
        : uses(i, OperandKind.XMM) && (cr4 & ControlBits.CR4_OSFXSR) == 0
            ? "; CR4.OSFXSR is 0"
            : "";
  }

  private static boolean uses(Instruction i, int kind) {
    return i.kind0 == kind || i.kind1 == kind;
  }
}
