package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.objectweb.asm.Label;
import org.objectweb.asm.MethodVisitor;

/** Writes the bytecode of one instruction of 64-bit mode, if it is one of the frequent ones. */
final class InstructionWriter {
  private static final String CPU = "org/kvm4j/cpu/core/Cpu";
  private static final String MMU = "org/kvm4j/cpu/core/Mmu";
  private static final String ALU = "org/kvm4j/cpu/semantics/Alu";

  private final RegionWriter w;
  private final MethodVisitor v;
  private final Instruction i;

  /** Of the instruction, from the begin of the region's first page. */
  private final long offset;

  InstructionWriter(RegionWriter w, Instruction i, long offset) {
    this.w = w;
    this.v = w.visitor();
    this.i = i;
    this.offset = offset;
  }

  /**
   * Writes it.
   *
   * @return false if it is not one of those; nothing is written then
   */
  boolean write() {
    if (i.lock || i.codeSize != 8) {
      return false;
    }
    if (VectorWriter.isVector(i)) {
      if (hasMemory() && !simple(OperandKind.MEMORY)) {
        return false;
      }
      new VectorWriter(w, i, this).write();
      return true;
    }
    if (!simpleOperands()) {
      return false;
    }
    switch (i.opcode) {
      case NOP, PREFETCH, PREFETCHW, PREFETCHNTA, PREFETCHT0, PREFETCHT1, PREFETCHT2 -> {
        // Whatever their operand is, it is not accessed.
      }
      case ENDBR32, ENDBR64 -> w.endbranch(i);
      case RDSSP -> {
        // There is no shadow stack where code is translated.
      }
      case MOV -> move(false);
      case MOVZX -> move(false);
      case MOVSX, MOVSXD -> move(true);
      case LEA -> {
        if (i.size0 < 4) {
          return false;
        }
        address();
        set0();
      }
      case ADD, SUB, CMP, AND, OR, XOR, TEST -> arithmetic();
      case ADC, SBB -> withCarry();
      case INC, DEC -> increment();
      case NEG, NOT -> negate();
      case SHL, SHR, SAR -> {
        return shift();
      }
      case ROL, ROR -> {
        return rotate();
      }
      case IMUL -> {
        return multiply();
      }
      case CMOVCC -> conditionalMove();
      case SETCC -> setByte();
      case PUSH -> {
        return pushStack();
      }
      case POP -> {
        return popStack();
      }
      case LEAVE -> {
        if (i.operandSize != 8) {
          return false;
        }
        leave();
      }
      case BSWAP -> {
        if (i.size0 < 4) {
          return false;
        }
        reverse();
      }
      case CRC32 -> accumulate();
      case CWD -> {
        return signInto();
      }
      case CBW -> {
        return widen();
      }
      case XCHG -> {
        return exchange();
      }
      default -> {
        return false;
      }
    }
    return true;
  }

  /**
   * Pushes the target of an indirect branch of 64 bits.
   *
   * @return false if it cannot be written; nothing is written then
   */
  boolean target() {
    if (i.codeSize != 8 || i.operandSize != 8 || i.size0 != 8 || !simpleOperands()) {
      return false;
    }
    if (i.kind0 != OperandKind.GPR && i.kind0 != OperandKind.MEMORY) {
      return false;
    }
    operand0();
    return true;
  }

  /** Whether operands are general registers, immediates, and memory by 64-bit addresses. */
  private boolean simpleOperands() {
    return simple(i.kind0) && simple(i.kind1) && simple(i.kind2) && i.kind3 == OperandKind.NONE;
  }

  private boolean hasMemory() {
    return i.kind0 == OperandKind.MEMORY
        || i.kind1 == OperandKind.MEMORY
        || i.kind2 == OperandKind.MEMORY
        || i.kind3 == OperandKind.MEMORY;
  }

  private boolean simple(int kind) {
    return switch (kind) {
      case OperandKind.NONE, OperandKind.GPR, OperandKind.GPR_HIGH, OperandKind.IMMEDIATE -> true;
      case OperandKind.MEMORY ->
          i.addressSize == 8 && i.vectorIndexSize == 0 && i.displacement == (int) i.displacement;
      default -> false;
    };
  }

  // ---- operands ----

  private static long mask(int size) {
    return size == 8 ? -1L : (1L << size * 8) - 1;
  }

  /** Cuts the long on the stack to a size. */
  private void cut(int size) {
    if (size < 8) {
      w.push(mask(size));
      v.visitInsn(LAND);
    }
  }

  /** Pushes the linear address of the memory operand; for LEA without the segment. */
  void address() {
    boolean any = false;
    if (i.base == Instruction.RIP) {
      w.pushCode(i.displacement + offset + i.length);
      any = true;
    } else if (i.base != Instruction.NO_REGISTER) {
      w.register(i.base);
      any = true;
    }
    if (i.index != Instruction.NO_REGISTER) {
      w.register(i.index);
      if (i.scale != 0) {
        w.push(i.scale);
        v.visitInsn(LSHL);
      }
      any = add(any);
    }
    if (i.segment >= Cpu.FS && i.opcode != Opcode.LEA) {
      w.fixedRegister(i.segment == Cpu.FS ? Cpu.FS_BASE : Cpu.GS_BASE);
      any = add(any);
    }
    if (i.base != Instruction.RIP && (i.displacement != 0 || !any)) {
      w.push(i.displacement);
      add(any);
    }
  }

  private boolean add(boolean any) {
    if (any) {
      v.visitInsn(LADD);
    }
    return true;
  }

  /**
   * Loads from the address on the stack, above which is nothing and below which the MMU. Above 32
   * bits the result has the sign, which {@link #load} cuts.
   */
  private void loadRaw(int size) {
    w.load(size);
    if (size == 8) {
      return;
    }
    v.visitInsn(I2L);
  }

  private void load(int size) {
    loadRaw(size);
    if (size == 4) {
      cut(4);
    }
  }

  /** Stores the long on the stack to the address below it, below which is the MMU. */
  void store(int size) {
    if (size < 8) {
      v.visitInsn(L2I);
    }
    w.store(size);
    w.stored = true;
  }

  /** Pushes a register, an immediate or memory, zero-extended from its size. */
  private void operand(int kind, int reg, int size) {
    switch (kind) {
      case OperandKind.GPR -> {
        w.register(reg);
        cut(size);
      }
      case OperandKind.GPR_HIGH -> {
        w.register(reg);
        w.push(8);
        v.visitInsn(LUSHR);
        cut(1);
      }
      case OperandKind.IMMEDIATE -> w.push(i.immediate & mask(size));
      default -> {
        w.faulting();
        w.pushMmu();
        address();
        load(size);
      }
    }
  }

  /** As {@link #operand}, but that anything may be above the size. */
  private void rawOperand(int kind, int reg, int size) {
    switch (kind) {
      case OperandKind.GPR -> w.register(reg);
      case OperandKind.IMMEDIATE -> w.push(i.immediate);
      case OperandKind.MEMORY -> {
        w.faulting();
        w.pushMmu();
        address();
        loadRaw(size);
      }
      default -> operand(kind, reg, size);
    }
  }

  /** As operands of lazy flags are: 32 bits by themselves, others zero-extended. */
  private void flagOperand(int kind, int reg, int size) {
    if (size == 4) {
      rawOperand(kind, reg, size);
    } else {
      operand(kind, reg, size);
    }
  }

  private void operand0() {
    operand(i.kind0, i.reg0, i.size0);
  }

  private void operand1() {
    operand(i.kind1, i.reg1, i.size1);
  }

  /** Pops a register of a size; what is above the size is cut off or kept as the SDM says. */
  private void setRegister(int kind, int reg, int size) {
    if (kind == OperandKind.GPR_HIGH) {
      cut(1);
      w.push(8);
      v.visitInsn(LSHL);
      w.register(reg);
      w.push(~0xff00L);
      v.visitInsn(LAND);
      v.visitInsn(LOR);
    } else if (size < 4) {
      cut(size);
      w.register(reg);
      w.push(~mask(size));
      v.visitInsn(LAND);
      v.visitInsn(LOR);
    } else {
      cut(size);
    }
    w.setRegister(reg);
  }

  private void set0() {
    setRegister(i.kind0, i.reg0, i.size0);
  }

  private boolean toMemory() {
    return i.kind0 == OperandKind.MEMORY;
  }

  // ---- for instructions with other operands, too ----

  /** Pushes the memory operand, zero-extended from a size. */
  void pushMemory(int size) {
    w.pushMmu();
    address();
    load(size);
  }

  /** Pushes a general register, zero-extended from a size. */
  void pushGeneral(int register, int size) {
    operand(OperandKind.GPR, register, size);
  }

  /** Pops a general register of 4 or 8 bytes. */
  void setGeneral(int register, int size) {
    setRegister(OperandKind.GPR, register, size);
  }

  /** Gives the general registers that the operands name to the interpreter. */
  void giveRegisters() {
    if (hasMemory()) {
      give(i.base);
      give(i.index);
    }
    int[] kinds = {i.kind0, i.kind1, i.kind2, i.kind3};
    int[] registers = {i.reg0, i.reg1, i.reg2, i.reg3};
    for (int k = 0; k < kinds.length; k++) {
      if (kinds[k] == OperandKind.GPR) {
        give(registers[k]);
      }
    }
  }

  private void give(int register) {
    if (register >= 0 && register < 16) {
      w.giveRegister(register);
    }
  }

  // ---- moves ----

  private void move(boolean sign) {
    if (toMemory()) {
      w.faulting();
      w.pushMmu();
      address();
      operand(i.kind1, i.reg1, i.size0);
      store(i.size0);
      return;
    }
    if (i.kind1 == OperandKind.IMMEDIATE) {
      w.push(i.immediate);
    } else {
      operand1();
    }
    if (sign) {
      extend(i.size1);
    }
    set0();
  }

  /** Sign-extends the long on the stack from a size. */
  void extend(int size) {
    if (size < 8) {
      v.visitInsn(L2I);
      if (size == 1) {
        v.visitInsn(I2B);
      } else if (size == 2) {
        v.visitInsn(I2S);
      }
      v.visitInsn(I2L);
    }
  }

  private void conditionalMove() {
    int size = i.size0;
    operand1();
    w.popT1();
    Label yes = new Label();
    Label end = new Label();
    new ConditionWriter(w).jump(i.condition, yes);
    if (size == 4) {
      w.register(i.reg0);
      cut(4);
      w.setRegister(i.reg0);
    }
    v.visitJumpInsn(GOTO, end);
    v.visitLabel(yes);
    w.pushT1();
    set0();
    v.visitLabel(end);
  }

  private void setByte() {
    Label yes = new Label();
    Label end = new Label();
    if (toMemory()) {
      // The address first, as it is the same whatever the condition.
      address();
      w.popT2();
    }
    new ConditionWriter(w).jump(i.condition, yes);
    w.push(0L);
    w.popT1();
    v.visitJumpInsn(GOTO, end);
    v.visitLabel(yes);
    w.push(1L);
    w.popT1();
    v.visitLabel(end);
    if (toMemory()) {
      w.faulting();
      w.pushMmu();
      w.pushT2();
      w.pushT1();
      store(1);
    } else {
      w.pushT1();
      set0();
    }
  }

  // ---- arithmetic ----

  /** Pushes the first operand; of memory its address is in T2 then, and it can be written. */
  private void destination() {
    if (!toMemory()) {
      flagOperand(i.kind0, i.reg0, i.size0);
      return;
    }
    w.faulting();
    address();
    w.popT2();
    w.pushMmu();
    w.pushT2();
    w.push(i.size0);
    v.visitMethodInsn(INVOKEVIRTUAL, MMU, "probeWrite", "(JI)V", false);
    w.pushMmu();
    w.pushT2();
    loadRaw(i.size0);
  }

  /** Pops the result into T1 and from there to the first operand. */
  private void result() {
    if (!toMemory()) {
      set0();
      return;
    }
    w.popT1();
    w.pushMmu();
    w.pushT2();
    w.pushT1();
    store(i.size0);
  }

  private void arithmetic() {
    int size = i.size0;
    boolean keeps = i.opcode == Opcode.CMP || i.opcode == Opcode.TEST;
    boolean zero = i.opcode == Opcode.XOR && i.kind0 == i.kind1 && i.reg0 == i.reg1 && !toMemory();
    boolean seen = w.flagsSeen();
    if (zero) {
      if (seen) {
        w.push(0L);
        w.popA();
        w.setKind(LazyFlags.LOGIC, size);
      } else {
        w.setNothing();
      }
      w.push(0L);
      set0();
      return;
    }
    if (!seen) {
      unseen(size, keeps);
      return;
    }
    // What may fault comes before the operands of the older flags are lost.
    if (i.kind1 == OperandKind.MEMORY) {
      flagOperand(i.kind1, i.reg1, size);
      w.popB();
      flagOperand(i.kind0, i.reg0, size);
      w.popA();
    } else {
      if (keeps) {
        flagOperand(i.kind0, i.reg0, size);
      } else {
        destination();
      }
      w.popA();
      flagOperand(i.kind1, i.reg1, size);
      w.popB();
    }
    switch (i.opcode) {
      case ADD -> {
        w.setKind(LazyFlags.ADD, size);
        w.pushA();
        w.pushB();
        v.visitInsn(LADD);
        result();
      }
      case SUB -> {
        w.setKind(LazyFlags.SUB, size);
        w.pushA();
        w.pushB();
        v.visitInsn(LSUB);
        result();
      }
      case CMP -> w.setKind(LazyFlags.SUB, size);
      default -> {
        w.setKind(LazyFlags.LOGIC, size);
        w.pushA();
        w.pushB();
        v.visitInsn(i.opcode == Opcode.OR ? LOR : i.opcode == Opcode.XOR ? LXOR : LAND);
        w.popA();
        if (!keeps) {
          w.pushA();
          result();
        }
      }
    }
  }

  /** Arithmetic whose flags nobody looks at. */
  private void unseen(int size, boolean keeps) {
    if (keeps) {
      if (i.kind0 == OperandKind.MEMORY || i.kind1 == OperandKind.MEMORY) {
        rawOperand(OperandKind.MEMORY, 0, size);
        v.visitInsn(POP2);
      }
      w.setNothing();
      return;
    }
    if (toMemory()) {
      destination();
    } else {
      rawOperand(i.kind0, i.reg0, size);
    }
    rawOperand(i.kind1, i.reg1, size);
    w.setNothing();
    v.visitInsn(
        switch (i.opcode) {
          case ADD -> LADD;
          case SUB -> LSUB;
          case OR -> LOR;
          case XOR -> LXOR;
          default -> LAND;
        });
    result();
  }

  private void withCarry() {
    w.settled();
    if (i.kind1 == OperandKind.MEMORY) {
      operand(i.kind1, i.reg1, i.size0);
      w.popB();
      operand0();
      w.popA();
    } else {
      destination();
      w.popA();
      operand(i.kind1, i.reg1, i.size0);
      w.popB();
    }
    w.pushCpu();
    w.push(i.size0);
    w.pushA();
    w.pushB();
    w.call(ALU, i.opcode == Opcode.ADC ? "adc" : "sbb", "(L" + CPU + ";IJJ)J");
    result();
  }

  private void increment() {
    boolean seen = w.flagsSeen();
    if (seen) {
      w.settledToKeep();
    }
    destination();
    if (seen) {
      w.popA();
      w.setKindOfSome(i.opcode == Opcode.INC ? LazyFlags.INC : LazyFlags.DEC, i.size0);
      w.pushA();
    }
    w.push(1L);
    v.visitInsn(i.opcode == Opcode.INC ? LADD : LSUB);
    result();
  }

  private void negate() {
    destination();
    if (i.opcode == Opcode.NOT) {
      w.push(-1L);
      v.visitInsn(LXOR);
      result();
      return;
    }
    if (w.flagsSeen()) {
      w.popB();
      w.push(0L);
      w.popA();
      w.setKind(LazyFlags.SUB, i.size0);
      w.pushB();
    } else {
      w.setNothing();
    }
    v.visitInsn(LNEG);
    result();
  }

  private boolean shift() {
    int size = i.size0;
    if (size < 4 || i.kind0 != OperandKind.GPR) {
      return false;
    }
    if (i.kind1 != OperandKind.IMMEDIATE) {
      return byAlu();
    }
    int count = (int) i.immediate & (size == 8 ? 63 : 31);
    if (count == 0) {
      operand0();
      set0();
      return true;
    }
    operand0();
    if (w.flagsSeen()) {
      w.popA();
      w.push((long) count);
      w.popB();
      int operation =
          i.opcode == Opcode.SHL
              ? LazyFlags.SHL
              : i.opcode == Opcode.SHR ? LazyFlags.SHR : LazyFlags.SAR;
      w.setKind(operation, size);
      w.pushA();
    } else {
      w.setNothing();
    }
    if (i.opcode == Opcode.SAR) {
      extend(size);
    }
    w.push(count);
    v.visitInsn(i.opcode == Opcode.SHL ? LSHL : i.opcode == Opcode.SHR ? LUSHR : LSHR);
    set0();
    return true;
  }

  private boolean rotate() {
    return i.size0 >= 4 && i.kind0 == OperandKind.GPR && byAlu();
  }

  /** A shift or rotation of a register whose flags are not lazy. */
  private boolean byAlu() {
    w.settled();
    w.pushCpu();
    w.push(i.size0);
    operand0();
    if (i.kind1 == OperandKind.IMMEDIATE) {
      w.push((int) i.immediate);
    } else {
      w.register(i.reg1);
      v.visitInsn(L2I);
    }
    String name =
        switch (i.opcode) {
          case SHL -> "shl";
          case SHR -> "shr";
          case SAR -> "sar";
          case ROL -> "rol";
          default -> "ror";
        };
    w.call(ALU, name, "(L" + CPU + ";IJI)J");
    set0();
    return true;
  }

  private boolean multiply() {
    int size = i.size0;
    if (size < 4 || i.kind0 != OperandKind.GPR || i.kind1 == OperandKind.NONE) {
      return false;
    }
    if (i.kind2 != OperandKind.IMMEDIATE && i.kind2 != OperandKind.NONE) {
      return false;
    }
    if (!w.flagsSeen()) {
      rawOperand(i.kind1, i.reg1, size);
      if (i.kind2 == OperandKind.IMMEDIATE) {
        w.push(i.immediate);
      } else {
        rawOperand(i.kind0, i.reg0, size);
      }
      v.visitInsn(LMUL);
      set0();
      return true;
    }
    // It changes CF and OF alone.
    w.settledToKeep();
    if (i.kind2 == OperandKind.IMMEDIATE) {
      flagOperand(i.kind1, i.reg1, size);
      w.popA();
      w.push(i.immediate);
      w.popB();
    } else {
      flagOperand(i.kind1, i.reg1, size);
      w.popB();
      flagOperand(i.kind0, i.reg0, size);
      w.popA();
    }
    w.setKindOfSome(LazyFlags.IMUL, size);
    w.pushA();
    w.pushB();
    v.visitInsn(LMUL);
    set0();
    return true;
  }

  // ---- the stack ----

  private boolean pushStack() {
    if (i.operandSize != 8
        || i.kind0 != OperandKind.GPR
            && i.kind0 != OperandKind.IMMEDIATE
            && i.kind0 != OperandKind.MEMORY) {
      return false;
    }
    if (i.kind0 == OperandKind.MEMORY) {
      operand0();
      w.popT2();
    }
    w.faulting();
    w.pushMmu();
    w.register(Cpu.RSP);
    w.push(8L);
    v.visitInsn(LSUB);
    v.visitInsn(DUP2);
    w.popT1();
    if (i.kind0 == OperandKind.IMMEDIATE) {
      w.push(i.immediate);
    } else if (i.kind0 == OperandKind.MEMORY) {
      w.pushT2();
    } else {
      w.register(i.reg0);
    }
    store(8);
    w.pushT1();
    w.setRegister(Cpu.RSP);
    return true;
  }

  private boolean popStack() {
    if (i.operandSize != 8 || i.kind0 != OperandKind.GPR) {
      return false;
    }
    w.faulting();
    w.pushMmu();
    w.register(Cpu.RSP);
    load(8);
    w.setRegister(i.reg0);
    if (i.reg0 == Cpu.RSP) {
      return true;
    }
    w.register(Cpu.RSP);
    w.push(8L);
    v.visitInsn(LADD);
    w.setRegister(Cpu.RSP);
    return true;
  }

  private void leave() {
    w.faulting();
    w.pushMmu();
    w.register(Cpu.RBP);
    load(8);
    w.register(Cpu.RBP);
    w.push(8L);
    v.visitInsn(LADD);
    w.setRegister(Cpu.RSP);
    w.setRegister(Cpu.RBP);
  }

  // ---- the accumulator ----

  private boolean signInto() {
    if (i.operandSize < 4) {
      return false;
    }
    w.register(Cpu.RAX);
    extend(i.operandSize);
    w.push(63);
    v.visitInsn(LSHR);
    cut(i.operandSize);
    w.setRegister(Cpu.RDX);
    return true;
  }

  private boolean widen() {
    if (i.operandSize < 4) {
      return false;
    }
    w.register(Cpu.RAX);
    extend(i.operandSize / 2);
    cut(i.operandSize);
    w.setRegister(Cpu.RAX);
    return true;
  }

  private void accumulate() {
    operand1();
    w.popT1();
    w.register(i.reg0);
    v.visitInsn(L2I);
    w.pushT1();
    String size =
        switch (i.size1) {
          case 1 -> "Byte";
          case 2 -> "Word";
          case 4 -> "Doubleword";
          default -> "Quadword";
        };
    w.call("org/kvm4j/cpu/semantics/Crc32c", "accumulate" + size, "(IJ)I");
    v.visitInsn(I2L);
    cut(4);
    w.setRegister(i.reg0);
  }

  private void reverse() {
    w.register(i.reg0);
    if (i.size0 == 8) {
      v.visitMethodInsn(INVOKESTATIC, "java/lang/Long", "reverseBytes", "(J)J", false);
    } else {
      v.visitInsn(L2I);
      v.visitMethodInsn(INVOKESTATIC, "java/lang/Integer", "reverseBytes", "(I)I", false);
      v.visitInsn(I2L);
    }
    set0();
  }

  private boolean exchange() {
    if (i.kind0 != OperandKind.GPR || i.kind1 != OperandKind.GPR || i.size0 < 4) {
      return false;
    }
    operand0();
    operand1();
    set0();
    setRegister(i.kind1, i.reg1, i.size1);
    return true;
  }
}
