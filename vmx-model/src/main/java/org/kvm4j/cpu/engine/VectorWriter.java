package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.objectweb.asm.Label;
import org.objectweb.asm.MethodVisitor;

/**
 * Writes the bytecode of an instruction with XMM or YMM registers. The lower halves are variables
 * of the region; the frequent instructions of SSE2 compute with them by Java's arithmetic where
 * that serves, and by {@link org.kvm4j.cpu.semantics.SseOperations} where it does not. All others
 * the interpreter does, which takes and gives the registers that they name in {@link Cpu}.
 */
final class VectorWriter {
  private static final String CPU = StateWriter.CPU;
  private static final String MMU = StateWriter.MMU;
  private static final String OPERATIONS = "org/kvm4j/cpu/semantics/SseOperations";
  private static final String PLAIN = "org/kvm4j/cpu/fpu/PlainFloat";
  private static final String PACKED = "org/kvm4j/cpu/semantics/PackedWords";
  private static final String LANES = "org/kvm4j/cpu/semantics/LaneWords";
  private static final String ROUNDS = "org/kvm4j/cpu/semantics/AesRounds";
  private static final String ORDERED = "org/kvm4j/cpu/core/Ordered";

  // Words of the second source, and of the result.
  private static final int SOURCE = StateWriter.W0;
  private static final int RESULT = StateWriter.W0 + 4;

  private final RegionWriter w;
  private final StateWriter state;
  private final MethodVisitor v;
  private final Instruction i;
  private final InstructionWriter operands;

  VectorWriter(RegionWriter w, Instruction i, InstructionWriter operands) {
    this.w = w;
    this.state = w.state();
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

  /**
   * Registers go to where the interpreter finds them, and the first operand may come from there.
   */
  private void asInterpreted() {
    operands.giveRegisters();
    int[] kinds = {i.kind0, i.kind1, i.kind2, i.kind3};
    int[] registers = {i.reg0, i.reg1, i.reg2, i.reg3};
    for (int k = 0; k < kinds.length; k++) {
      if (isRegister(kinds[k])) {
        state.giveVector(registers[k]);
      }
    }
    w.interpretInPlace();
    if (isRegister(i.kind0)) {
      state.takeVector(i.reg0);
    } else if (i.kind0 == OperandKind.GPR) {
      w.takeRegister(i.reg0);
    } else if (i.kind0 == OperandKind.MEMORY) {
      v.visitInsn(ICONST_1);
      w.stored = true;
    }
  }

  private static boolean isRegister(int kind) {
    return kind == OperandKind.XMM || kind == OperandKind.YMM;
  }

  // ---- the frequent ones ----

  private boolean frequent() {
    switch (i.opcode) {
      case MOVAPS, MOVAPD, MOVDQA -> move(true);
      case MOVUPS, MOVUPD, MOVDQU -> move(false);
      case MOVSD -> moveScalar(8);
      case MOVSS -> moveScalar(4);
      case MOVQ, MOVD -> moveLow();
      case ANDPS, ANDPD, PAND -> logic(LAND);
      case ANDNPS, ANDNPD, PANDN -> logic(NOP);
      case ORPS, ORPD, POR -> logic(LOR);
      case XORPS, XORPD, PXOR -> logic(LXOR);
      case CVTSI2SD -> fromInteger("integerToDouble");
      case CVTSI2SS -> fromInteger("integerToSingle");
      case CVTSD2SS -> scalar("narrow", 8, null);
      case CVTSS2SD -> scalar("widen", 4, null);
      case CVTTSD2SI -> toInteger();
      case MOVHPS, MOVHPD -> moveHalf(1);
      case MOVLPS, MOVLPD -> moveHalf(0);
      default -> {
        if (comparison(i.opcode) != null) {
          compare();
          return true;
        }
        if (words() >= 0) {
          choose(words());
          return true;
        }
        return integers() || arithmetic();
      }
    }
    return true;
  }

  /** Makes sure that SSE can be used. */
  private void begin() {
    Label on = new Label();
    state.mode();
    v.visitJumpInsn(IFGE, on);
    w.pushCpu();
    w.call(OPERATIONS, "begin", "(L" + CPU + ";)V");
    v.visitLabel(on);
  }

  /** Pushes the low bytes of the second operand. */
  private void pushSource(int size) {
    if (i.kind1 == OperandKind.XMM) {
      state.vectorWord(i.reg1, 0);
    } else {
      operands.pushMemory(size);
    }
  }

  private void pushWord(int from, int word) {
    v.visitVarInsn(LLOAD, from + 2 * word);
  }

  private void popWord(int to, int word) {
    v.visitVarInsn(LSTORE, to + 2 * word);
  }

  /** Fetches the 16 bytes of the second operand to the words of {@link #SOURCE}. */
  private void source(boolean aligned) {
    if (i.kind1 == OperandKind.XMM) {
      for (int word = 0; word < 2; word++) {
        state.vectorWord(i.reg1, word);
        popWord(SOURCE, word);
      }
      return;
    }
    Label slow = new Label();
    Label end = new Label();
    operands.address();
    w.popT1();
    find("find128", aligned, slow);
    for (int word = 0; word < 2; word++) {
      pushFound(word);
      w.call(ORDERED, "load64", "(J)J");
      popWord(SOURCE, word);
    }
    v.visitJumpInsn(GOTO, end);
    v.visitLabel(slow);
    w.pushCpu();
    w.pushT1();
    w.push(aligned ? 1 : 0);
    w.call(OPERATIONS, "fetch", "(L" + CPU + ";JZ)V");
    for (int word = 0; word < 2; word++) {
      w.pushCpu();
      w.push(word);
      w.call(OPERATIONS, "fetched", "(L" + CPU + ";I)J");
      popWord(SOURCE, word);
    }
    v.visitLabel(end);
  }

  /** Puts into T2 where the 16 bytes are that the address in T1 leads to. */
  private void find(String method, boolean aligned, Label slow) {
    w.pushMmu();
    w.pushT1();
    w.push(aligned ? 1 : 0);
    w.pushTable();
    v.visitMethodInsn(INVOKEVIRTUAL, MMU, method, "(JZJ)J", false);
    v.visitInsn(DUP2);
    w.popT2();
    w.push(0L);
    v.visitInsn(LCMP);
    v.visitJumpInsn(IFEQ, slow);
  }

  private void pushFound(int word) {
    w.pushT2();
    if (word != 0) {
      w.push(8L);
      v.visitInsn(LADD);
    }
  }

  private void move(boolean aligned) {
    begin();
    if (i.kind0 == OperandKind.MEMORY) {
      Label slow = new Label();
      Label end = new Label();
      operands.address();
      w.popT1();
      find("findToStore128", aligned, slow);
      for (int word = 0; word < 2; word++) {
        pushFound(word);
        state.vectorWord(i.reg1, word);
        w.call(ORDERED, "store64", "(JJ)V");
      }
      v.visitInsn(ICONST_0);
      v.visitJumpInsn(GOTO, end);
      v.visitLabel(slow);
      asInterpreted();
      v.visitLabel(end);
      return;
    }
    source(aligned);
    for (int word = 0; word < 2; word++) {
      pushWord(SOURCE, word);
      state.setVectorWord(i.reg0, word);
    }
  }

  private void moveScalar(int size) {
    begin();
    if (i.kind0 == OperandKind.MEMORY) {
      storeLow(size);
      return;
    }
    pushSource(size);
    if (i.kind1 == OperandKind.MEMORY) {
      // A load zeroes the rest of the register, a move between registers keeps it.
      setOnly();
      return;
    }
    if (size == 4) {
      w.push(0xffffffffL);
      v.visitInsn(LAND);
      state.vectorWord(i.reg0, 0);
      w.push(~0xffffffffL);
      v.visitInsn(LAND);
      v.visitInsn(LOR);
    }
    state.setVectorWord(i.reg0, 0);
  }

  /** Pops the lower word; the other is 0. */
  private void setOnly() {
    state.setVectorWord(i.reg0, 0);
    w.push(0L);
    state.setVectorWord(i.reg0, 1);
  }

  private void storeLow(int size) {
    w.pushMmu();
    operands.address();
    state.vectorWord(i.reg1, 0);
    operands.store(size);
  }

  /** MOVD and MOVQ. */
  private void moveLow() {
    begin();
    if (i.kind0 == OperandKind.MEMORY) {
      storeLow(i.size0);
    } else if (i.kind0 == OperandKind.GPR) {
      state.vectorWord(i.reg1, 0);
      operands.setGeneral(i.reg0, i.size0);
    } else {
      if (i.kind1 == OperandKind.GPR) {
        operands.pushGeneral(i.reg1, i.size1);
      } else {
        pushSource(i.size1 == 4 ? 4 : 8);
      }
      setOnly();
    }
  }

  /**
   * AND, OR, XOR, or AND of the complement.
   *
   * @param operation of the JVM's; NOP for the last
   */
  private void logic(int operation) {
    begin();
    source(true);
    for (int word = 0; word < 2; word++) {
      state.vectorWord(i.reg0, word);
      if (operation == NOP) {
        w.push(-1L);
        v.visitInsn(LXOR);
      }
      pushWord(SOURCE, word);
      v.visitInsn(operation == NOP ? LAND : operation);
      state.setVectorWord(i.reg0, word);
    }
  }

  /** A word to or from memory. */
  private void moveHalf(int word) {
    begin();
    if (i.kind0 == OperandKind.MEMORY) {
      w.pushMmu();
      operands.address();
      state.vectorWord(i.reg1, word);
      operands.store(8);
    } else {
      pushSource(8);
      state.setVectorWord(i.reg0, word);
    }
  }

  /**
   * What chooses words of both operands: 0 and 1 are the first's, 2 and 3 the second's; the low
   * word's number, and from bit 2 on the high one's. -1 if the instruction is none of them.
   */
  private int words() {
    return switch (i.opcode) {
      case UNPCKLPD, PUNPCKLQDQ, MOVLHPS -> 0 | 2 << 2;
      case UNPCKHPD, PUNPCKHQDQ -> 1 | 3 << 2;
      case MOVHLPS -> 3 | 1 << 2;
      case SHUFPD -> (int) i.immediate & 1 | (2 + ((int) i.immediate >> 1 & 1)) << 2;
      default -> -1;
    };
  }

  private void choose(int words) {
    begin();
    source(true);
    for (int word = 0; word < 2; word++) {
      int from = words >> 2 * word & 3;
      if (from < 2) {
        state.vectorWord(i.reg0, from);
      } else {
        pushWord(SOURCE, from - 2);
      }
      popWord(RESULT, word);
    }
    setResult();
  }

  // ---- integers ----

  private boolean integers() {
    String method = PackedMethods.BY_WORD.get(i.opcode);
    if (method != null) {
      begin();
      source(true);
      for (int word = 0; word < 2; word++) {
        state.vectorWord(i.reg0, word);
        pushWord(SOURCE, word);
        w.call(PACKED, method, "(JJ)J");
        state.setVectorWord(i.reg0, word);
      }
      return true;
    }
    method = PackedMethods.SHIFTS.get(i.opcode);
    if (method != null && i.kind1 == OperandKind.IMMEDIATE) {
      begin();
      for (int word = 0; word < 2; word++) {
        state.vectorWord(i.reg0, word);
        w.push(i.immediate & 0xff);
        w.call(PACKED, method, "(JJ)J");
        state.setVectorWord(i.reg0, word);
      }
      return true;
    }
    if (i.opcode == Opcode.PMOVMSKB && i.kind0 == OperandKind.GPR) {
      begin();
      for (int word = 0; word < 2; word++) {
        state.vectorWord(i.reg1, word);
        w.call(PACKED, "signsOfBytes", "(J)J");
      }
      w.push(8);
      v.visitInsn(LSHL);
      v.visitInsn(LOR);
      operands.setGeneral(i.reg0, 8);
      return true;
    }
    return ofBothWords();
  }

  /** What has words of its result that follow from more than one word of a source. */
  private boolean ofBothWords() {
    String round = PackedMethods.ROUNDS.get(i.opcode);
    String low = PackedMethods.UNPACK_LOW.get(i.opcode);
    String unpack = low != null ? low : PackedMethods.UNPACK_HIGH.get(i.opcode);
    String pack = PackedMethods.PACK.get(i.opcode);
    boolean shuffle = i.opcode == Opcode.PSHUFD || i.opcode == Opcode.SHUFPS;
    if (round == null && unpack == null && pack == null && !shuffle && i.opcode != Opcode.PSHUFB) {
      return false;
    }
    begin();
    source(true);
    for (int word = 0; word < 2; word++) {
      String half = word == 0 ? "Low" : "High";
      if (round != null) {
        pushFirst();
        pushSecond();
        w.call(ROUNDS, round + half, "(JJJJ)J");
      } else if (unpack != null) {
        int from = low != null ? 0 : 1;
        state.vectorWord(i.reg0, from);
        pushWord(SOURCE, from);
        w.call(LANES, "unpack" + half + unpack, "(JJ)J");
      } else if (pack != null) {
        pushOneOf(word == 0);
        w.call(LANES, pack, "(JJ)J");
      } else if (shuffle) {
        pushOneOf(word == 0 && i.opcode == Opcode.SHUFPS);
        w.push((int) i.immediate >> 4 * word & 15);
        w.call(LANES, "doublewords", "(JJI)J");
      } else {
        pushFirst();
        pushWord(SOURCE, word);
        w.call(LANES, "bytes", "(JJJ)J");
      }
      popWord(RESULT, word);
    }
    setResult();
    return true;
  }

  private void pushOneOf(boolean first) {
    if (first) {
      pushFirst();
    } else {
      pushSecond();
    }
  }

  private void pushFirst() {
    state.vectorWord(i.reg0, 0);
    state.vectorWord(i.reg0, 1);
  }

  private void pushSecond() {
    pushWord(SOURCE, 0);
    pushWord(SOURCE, 1);
  }

  private void setResult() {
    for (int word = 0; word < 2; word++) {
      pushWord(RESULT, word);
      state.setVectorWord(i.reg0, word);
    }
  }

  // ---- floating point ----

  /**
   * A scalar instruction.
   *
   * @param operation of {@link org.kvm4j.cpu.semantics.SseOperations}
   * @param plain of {@link org.kvm4j.cpu.fpu.PlainFloat}; null if none will do
   */
  private void scalar(String operation, int size, @Nullable String plain) {
    begin();
    pushSource(size);
    popWord(SOURCE, 0);
    Label end = new Label();
    if (plain != null) {
      plain(plain, size == 8 ? "" : "Lower", 1, end);
    }
    generally(operation, 1);
    v.visitLabel(end);
  }

  private void packed(String operation, boolean single, @Nullable String plain) {
    begin();
    source(true);
    Label end = new Label();
    if (plain != null) {
      plain(plain, single ? "Pair" : "", 2, end);
    }
    generally(operation, 2);
    v.visitLabel(end);
  }

  /** Computes as Java does, and goes to the end if that serves. */
  private void plain(String operation, String lanes, int words, Label end) {
    Label slow = new Label();
    String serves =
        switch (operation) {
          case "add" -> "servesSum";
          case "subtract" -> "servesDifference";
          case "multiply" -> "servesProduct";
          default -> "servesQuotient";
        };
    state.mode();
    v.visitJumpInsn(IFLE, slow);
    for (int word = 0; word < words; word++) {
      state.vectorWord(i.reg0, word);
      pushWord(SOURCE, word);
      w.call(PLAIN, operation + lanes, "(JJ)J");
      popWord(RESULT, word);
      state.mode();
      pushWord(RESULT, word);
      state.vectorWord(i.reg0, word);
      pushWord(SOURCE, word);
      w.call(PLAIN, serves + lanes, "(IJJJ)Z");
      v.visitJumpInsn(IFEQ, slow);
    }
    for (int word = 0; word < words; word++) {
      pushWord(RESULT, word);
      state.setVectorWord(i.reg0, word);
    }
    v.visitJumpInsn(GOTO, end);
    v.visitLabel(slow);
  }

  /** Computes with all that may happen. */
  private void generally(String operation, int words) {
    state.giveVector(i.reg0);
    w.pushCpu();
    w.push(i.reg0);
    for (int word = 0; word < words; word++) {
      pushWord(SOURCE, word);
    }
    w.call(OPERATIONS, operation, words == 1 ? "(L" + CPU + ";IJ)V" : "(L" + CPU + ";IJJ)V");
    state.takeVector(i.reg0);
    state.reloadMode();
  }

  private void fromInteger(String operation) {
    begin();
    if (i.kind1 == OperandKind.GPR) {
      operands.pushGeneral(i.reg1, i.size1);
    } else {
      operands.pushMemory(i.size1);
    }
    operands.extend(i.size1);
    if (i.size1 == 4 && operation.equals("integerToDouble")) {
      // Always exact.
      v.visitInsn(L2D);
      v.visitMethodInsn(INVOKESTATIC, "java/lang/Double", "doubleToRawLongBits", "(D)J", false);
      state.setVectorWord(i.reg0, 0);
      return;
    }
    popWord(SOURCE, 0);
    generally(operation, 1);
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

  private void compare() {
    String operation = comparison(i.opcode);
    boolean single = "compareSingle".equals(operation);
    begin();
    pushSource(single ? 4 : 8);
    popWord(SOURCE, 0);
    Label end = new Label();
    if (!single) {
      w.pushCpu();
      state.vectorWord(i.reg0, 0);
      pushWord(SOURCE, 0);
      w.call(OPERATIONS, "comparePlain", "(L" + CPU + ";JJ)Z");
      v.visitJumpInsn(IFNE, end);
    }
    state.giveVector(i.reg0);
    w.pushCpu();
    w.push(i.reg0);
    pushWord(SOURCE, 0);
    w.push(i.opcode == Opcode.COMISD || i.opcode == Opcode.COMISS ? 1 : 0);
    w.call(OPERATIONS, String.valueOf(operation), "(L" + CPU + ";IJZ)V");
    state.reloadMode();
    v.visitLabel(end);
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
    boolean plain =
        switch (operation) {
          case "add", "subtract", "multiply", "divide" -> true;
          default -> false;
        };
    switch (name.substring(name.length() - 2)) {
      case "SD" -> scalar(operation + "Double", 8, plain ? operation : null);
      case "SS" -> scalar(operation + "Single", 4, plain ? operation : null);
      case "PD" -> packed(operation + "Doubles", false, plain ? operation : null);
      case "PS" -> packed(operation + "Singles", true, plain ? operation : null);
      default -> {
        return false;
      }
    }
    return true;
  }
}
