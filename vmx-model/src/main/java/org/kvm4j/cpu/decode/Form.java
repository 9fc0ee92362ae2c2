package org.kvm4j.cpu.decode;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.profile.Feature;

/** One form of an instruction: a line of the opcode maps. */
final class Form {
  /** The forms so far: each form's number is its index in a decoder's table of enabled forms. */
  final int id;

  final Opcode opcode;

  /** The feature that this form needs, or null. */
  final @Nullable Feature feature;

  /** Whether the form also needs AVX: a VEX prefix and vector registers. */
  final boolean needsAvx;

  /** The operands, packed by {@link OperandCode}. */
  final int[] operands;

  /** Whether the operand size is 64 bits in 64-bit mode unless a prefix makes it 16 (d64). */
  final boolean default64;

  /** Whether the operand size is 64 bits in 64-bit mode whatever the prefixes (f64). */
  final boolean force64;

  /** Whether a ModR/M byte follows the opcode. */
  final boolean modrm;

  /** Whether mod of ModR/M is taken as 3 whatever it is: MOV to and from CR and DR. */
  final boolean ignoreMod;

  /** Whether the low four bits of the opcode are a condition. */
  final boolean condition;

  /** Whether VEX.vvvv names an operand; if not, it must be 1111b. */
  final boolean usesV;

  /** What the encoding must be, as one mask of allowed values for each {@link Choice}. */
  final int[] allowed;

  Form(
      int id,
      Opcode opcode,
      @Nullable Feature feature,
      boolean needsAvx,
      int[] operands,
      int traits,
      int[] allowed) {
    this.id = id;
    this.opcode = opcode;
    this.feature = feature;
    this.needsAvx = needsAvx;
    this.operands = operands;
    this.allowed = allowed;
    default64 = (traits & DEFAULT64) != 0;
    force64 = (traits & FORCE64) != 0;
    ignoreMod = (traits & IGNORE_MOD) != 0;
    condition = (traits & CONDITION) != 0;
    boolean fromModrm = Choice.REG.restricts(allowed) || Choice.MOD.restricts(allowed) || ignoreMod;
    boolean fromV = false;
    for (int operand : operands) {
      fromModrm |= OperandCode.usesModrm(OperandCode.method(operand));
      fromV |= OperandCode.usesV(OperandCode.method(operand));
    }
    modrm = fromModrm;
    usesV = fromV;
  }

  static final int DEFAULT64 = 1;
  static final int FORCE64 = 2;
  static final int IGNORE_MOD = 4;
  static final int CONDITION = 8;

  /** What a form can be chosen by, beside the opcode byte. */
  enum Choice {
    /** 0 outside 64-bit mode, 1 in it. */
    MODE(2),
    /** 0 none, 1 for 66, 2 for F3, 3 for F2: the mandatory prefix, or VEX.pp. */
    PREFIX(4),
    /** The field reg of ModR/M. */
    REG(8),
    /** 0 for memory, 1 for a register in ModR/M. */
    MOD(2),
    /** The field r/m of ModR/M. */
    RM(8),
    /** REX.W or VEX.W. */
    W(2),
    /** VEX.L. */
    L(2),
    /** REX.B. */
    B(2);

    final int values;

    Choice(int values) {
      this.values = values;
    }

    int all() {
      return (1 << values) - 1;
    }

    boolean restricts(int[] allowed) {
      return allowed[ordinal()] != all();
    }
  }
}
