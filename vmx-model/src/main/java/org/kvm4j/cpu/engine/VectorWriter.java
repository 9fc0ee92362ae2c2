package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.objectweb.asm.MethodVisitor;

/**
 * Writes the bytecode of an instruction with XMM or YMM registers, which are kept in {@link Cpu}:
 * the frequent ones of SSE2 as calls of {@link org.kvm4j.cpu.semantics.SseOperations}, all others
 * as the interpreter does them, which takes and gives general registers in {@link Cpu} but leaves
 * the region's variables alone.
 */
final class VectorWriter {
  private static final String CPU = StateWriter.CPU;
  private static final String OPERATIONS = "org/kvm4j/cpu/semantics/SseOperations";

  private final RegionWriter w;
  private final MethodVisitor v;
  private final Instruction i;
  private final InstructionWriter operands;

  VectorWriter(RegionWriter w, Instruction i, InstructionWriter operands) {
    this.w = w;
    this.v = w.visitor();
    this.i = i;
    this.operands = operands;
  }

  /** Whether an instruction is one of these, with operands that can be written. */
  static boolean isVector(Instruction i) {
    boolean any = false;
    for (int kind : new int[] {i.kind0, i.kind1, i.kind2, i.kind3}) {
      switch (kind) {
        case OperandKind.XMM, OperandKind.YMM -> any = true;
        case OperandKind.NONE, OperandKind.IMMEDIATE, OperandKind.GPR, OperandKind.MEMORY -> {}
        default -> {
          return false;
        }
      }
    }
    return any
        && !i.endsBlock
        && i.opcode != Opcode.MASKMOVDQU
        && i.opcode != Opcode.VMASKMOVDQU
        && (!hasFlags(i) || comparison(i.opcode) != null);
  }

  private static boolean hasFlags(Instruction i) {
    return (i.opcode.definedFlags | i.opcode.undefinedFlags | i.opcode.testedFlags) != 0;
  }

  /** Writes it. */
  void write() {
    w.faulting();
    if (i.vex || !frequent()) {
      asInterpreted();
    }
  }

  /** General registers go to where the interpreter finds them, and one may come from there. */
  private void asInterpreted() {
    operands.giveRegisters();
    w.interpretInPlace();
    if (i.kind0 == OperandKind.GPR) {
      w.takeRegister(i.reg0);
    }
    if (i.kind0 == OperandKind.MEMORY) {
      v.visitInsn(ICONST_1);
      w.stored = true;
    }
  }

  // ---- the frequent ones ----

  private boolean frequent() {
    switch (i.opcode) {
      case MOVAPS, MOVAPD, MOVDQA -> move(true);
      case MOVUPS, MOVUPD, MOVDQU -> move(false);
      case MOVSD -> moveScalar(8);
      case MOVSS -> moveScalar(4);
      case MOVQ, MOVD -> moveLow();
      case ANDPS, ANDPD, PAND -> packed("and");
      case ANDNPS, ANDNPD, PANDN -> packed("andNot");
      case ORPS, ORPD, POR -> packed("or");
      case XORPS, XORPD, PXOR -> packed("xor");
      case CVTSI2SD -> fromInteger("integerToDouble");
      case CVTSI2SS -> fromInteger("integerToSingle");
      case CVTSD2SS -> scalar("narrow", 8);
      case CVTSS2SD -> scalar("widen", 4);
      case CVTTSD2SI -> toInteger();
      default -> {
        String compares = comparison(i.opcode);
        if (compares != null) {
          compare(compares);
          return true;
        }
        return arithmetic();
      }
    }
    return true;
  }

  private void begin() {
    w.pushCpu();
    w.call(OPERATIONS, "begin", "(L" + CPU + ";)V");
  }

  private void pushLow(int register) {
    w.pushCpu();
    w.push(register);
    w.call(OPERATIONS, "low", "(L" + CPU + ";I)J");
  }

  /** Pushes the low bytes of the second operand. */
  private void pushSource(int size) {
    if (i.kind1 == OperandKind.XMM) {
      pushLow(i.reg1);
    } else {
      operands.pushMemory(size);
    }
  }

  /** Fetches 16 bytes of memory. */
  private void fetch(boolean aligned) {
    w.pushCpu();
    operands.address();
    w.push(aligned ? 1 : 0);
    w.call(OPERATIONS, "fetch", "(L" + CPU + ";JZ)V");
  }

  private void move(boolean aligned) {
    begin();
    if (i.kind0 == OperandKind.MEMORY) {
      w.pushCpu();
      operands.address();
      w.push(i.reg1);
      w.push(aligned ? 1 : 0);
      w.call(OPERATIONS, "store", "(L" + CPU + ";JIZ)V");
      v.visitInsn(ICONST_1);
      w.stored = true;
    } else if (i.kind1 == OperandKind.MEMORY) {
      fetch(aligned);
      w.pushCpu();
      w.push(i.reg0);
      w.call(OPERATIONS, "setFetched", "(L" + CPU + ";I)V");
    } else {
      w.pushCpu();
      w.push(i.reg0);
      w.push(i.reg1);
      w.call(OPERATIONS, "copy", "(L" + CPU + ";II)V");
    }
  }

  private void moveScalar(int size) {
    begin();
    if (i.kind0 == OperandKind.MEMORY) {
      storeLow(size);
      return;
    }
    w.pushCpu();
    w.push(i.reg0);
    pushSource(size);
    // A load zeroes the rest of the register, a move between registers keeps it.
    String set = i.kind1 == OperandKind.MEMORY ? "setOnly" : size == 8 ? "setLow" : "setLowest";
    w.call(OPERATIONS, set, "(L" + CPU + ";IJ)V");
  }

  private void storeLow(int size) {
    w.pushMmu();
    operands.address();
    pushLow(i.reg1);
    operands.store(size);
  }

  /** MOVD and MOVQ. */
  private void moveLow() {
    begin();
    if (i.kind0 == OperandKind.MEMORY) {
      storeLow(i.size0);
    } else if (i.kind0 == OperandKind.GPR) {
      pushLow(i.reg1);
      operands.setGeneral(i.reg0, i.size0);
    } else {
      w.pushCpu();
      w.push(i.reg0);
      if (i.kind1 == OperandKind.GPR) {
        operands.pushGeneral(i.reg1, i.size1);
      } else {
        pushSource(i.size1 == 4 ? 4 : 8);
      }
      w.call(OPERATIONS, "setOnly", "(L" + CPU + ";IJ)V");
    }
  }

  private void scalar(String operation, int size) {
    begin();
    w.pushCpu();
    w.push(i.reg0);
    pushSource(size);
    w.call(OPERATIONS, operation, "(L" + CPU + ";IJ)V");
  }

  private void packed(String operation) {
    begin();
    boolean memory = i.kind1 == OperandKind.MEMORY;
    if (memory) {
      fetch(true);
    }
    w.pushCpu();
    w.push(i.reg0);
    for (int word = 0; word < 2; word++) {
      w.pushCpu();
      w.push(memory ? word : i.reg1);
      String name = memory ? "fetched" : word == 0 ? "low" : "high";
      w.call(OPERATIONS, name, "(L" + CPU + ";I)J");
    }
    w.call(OPERATIONS, operation, "(L" + CPU + ";IJJ)V");
  }

  private void fromInteger(String operation) {
    begin();
    w.pushCpu();
    w.push(i.reg0);
    if (i.kind1 == OperandKind.GPR) {
      operands.pushGeneral(i.reg1, i.size1);
    } else {
      operands.pushMemory(i.size1);
    }
    operands.extend(i.size1);
    w.call(OPERATIONS, operation, "(L" + CPU + ";IJ)V");
  }

  private void toInteger() {
    begin();
    w.pushCpu();
    pushSource(8);
    w.call(OPERATIONS, i.size0 == 8 ? "doubleToLong" : "doubleToInt", "(L" + CPU + ";J)J");
    operands.setGeneral(i.reg0, i.size0);
  }

  /** The comparison that sets flags, or null. */
  private static @Nullable String comparison(Opcode opcode) {
    return switch (opcode) {
      case COMISD, UCOMISD -> "compareDouble";
      case COMISS, UCOMISS -> "compareSingle";
      default -> null;
    };
  }

  private void compare(String operation) {
    begin();
    w.pushCpu();
    w.push(i.reg0);
    pushSource(operation.equals("compareDouble") ? 8 : 4);
    w.push(i.opcode == Opcode.COMISD || i.opcode == Opcode.COMISS ? 1 : 0);
    w.call(OPERATIONS, operation, "(L" + CPU + ";IJZ)V");
    w.setSettled();
  }

  private boolean arithmetic() {
    String name = i.opcode.name();
    String operation =
        switch (name.substring(0, name.length() - 2)) {
          case "ADD" -> "add";
          case "SUB" -> "subtract";
          case "MUL" -> "multiply";
          case "DIV" -> "divide";
          case "MIN" -> "min";
          case "MAX" -> "max";
          case "SQRT" -> "squareRoot";
          default -> "";
        };
    if (operation.isEmpty()) {
      return false;
    }
    switch (name.substring(name.length() - 2)) {
      case "SD" -> scalar(operation + "Double", 8);
      case "SS" -> scalar(operation + "Single", 4);
      case "PD" -> packed(operation + "Doubles");
      case "PS" -> packed(operation + "Singles");
      default -> {
        return false;
      }
    }
    return true;
  }
}
