package org.kvm4j.cpu.engine;

import static org.objectweb.asm.Opcodes.*;

import org.objectweb.asm.Label;
import org.objectweb.asm.MethodVisitor;

/** Writes the test of a condition on lazy flags: of the operands where that is simpler. */
final class ConditionWriter {
  private static final String CPU = "org/kvm4j/cpu/core/Cpu";

  private static final int BELOW = 1;
  private static final int EQUAL = 2;
  private static final int BELOW_OR_EQUAL = 3;
  private static final int SIGN = 4;
  private static final int LESS = 6;
  private static final int LESS_OR_EQUAL = 7;

  private final RegionWriter w;
  private final MethodVisitor v;

  ConditionWriter(RegionWriter w) {
    this.w = w;
    this.v = w.visitor();
  }

  /** Jumps if a condition, 0 to 15, holds. */
  void jump(int condition, Label to) {
    int kind = w.kind();
    boolean negated = (condition & 1) != 0;
    int test = condition >> 1;
    boolean done =
        kind > 0
            && switch (LazyFlags.operation(kind)) {
              case LazyFlags.SUB -> afterSub(test, LazyFlags.size(kind), negated, to);
              case LazyFlags.LOGIC -> afterLogic(test, LazyFlags.size(kind), negated, to);
              case LazyFlags.ADD -> afterAdd(test, LazyFlags.size(kind), negated, to);
              case LazyFlags.INC, LazyFlags.DEC, LazyFlags.SHL, LazyFlags.SHR, LazyFlags.SAR ->
                  ofResult(kind, test, negated, to);
              default -> false;
            };
    if (!done) {
      settled(condition, test, negated, to);
    }
  }

  private void settled(int condition, int test, boolean negated, Label to) {
    w.settled();
    w.pushCpu();
    switch (test) {
      case EQUAL:
        v.visitFieldInsn(GETFIELD, CPU, "flagResult", "J");
        zero(negated, to);
        return;
      case BELOW:
        v.visitFieldInsn(GETFIELD, CPU, "flagAux", "J");
        negative(negated, to);
        return;
      default:
        w.push(condition);
        v.visitMethodInsn(INVOKEVIRTUAL, CPU, "condition", "(I)Z", false);
        v.visitJumpInsn(IFNE, to);
    }
  }

  /** Jumps if the long on the stack is 0. */
  private void zero(boolean negated, Label to) {
    v.visitInsn(LCONST_0);
    v.visitInsn(LCMP);
    v.visitJumpInsn(negated ? IFNE : IFEQ, to);
  }

  /** Jumps if the long on the stack is below 0. */
  private void negative(boolean negated, Label to) {
    v.visitInsn(LCONST_0);
    v.visitInsn(LCMP);
    v.visitJumpInsn(negated ? IFGE : IFLT, to);
  }

  /** Makes a number of a size a signed one. */
  private void signed(int size) {
    switch (size) {
      case 1 -> {
        v.visitInsn(L2I);
        v.visitInsn(I2B);
        v.visitInsn(I2L);
      }
      case 2 -> {
        v.visitInsn(L2I);
        v.visitInsn(I2S);
        v.visitInsn(I2L);
      }
      case 4 -> {
        v.visitInsn(L2I);
        v.visitInsn(I2L);
      }
      default -> {}
    }
  }

  /** Makes signed comparison one of unsigned numbers. */
  private void unsigned(int size) {
    if (size == 8) {
      v.visitLdcInsn(Long.MIN_VALUE);
      v.visitInsn(LXOR);
    }
  }

  private boolean afterSub(int test, int size, boolean negated, Label to) {
    switch (test) {
      case EQUAL:
        operands(size, false);
        if (size == 4) {
          v.visitJumpInsn(negated ? IF_ICMPNE : IF_ICMPEQ, to);
        } else {
          v.visitInsn(LCMP);
          v.visitJumpInsn(negated ? IFNE : IFEQ, to);
        }
        return true;
      case BELOW:
      case BELOW_OR_EQUAL:
        operands(size, true);
        compare(size, test == BELOW_OR_EQUAL, negated, to);
        return true;
      case LESS:
      case LESS_OR_EQUAL:
        if (size == 4) {
          operands(size, false);
        } else {
          w.pushA();
          signed(size);
          w.pushB();
          signed(size);
        }
        compare(size, test == LESS_OR_EQUAL, negated, to);
        return true;
      case SIGN:
        w.pushA();
        w.pushB();
        v.visitInsn(LSUB);
        return result(test, size, negated, to);
      default:
        return false;
    }
  }

  /** Pushes A and B: as ints if they are of 32 bits. */
  private void operands(int size, boolean unsigned) {
    w.pushA();
    operand(size, unsigned);
    w.pushB();
    operand(size, unsigned);
  }

  private void operand(int size, boolean unsigned) {
    if (size == 4) {
      v.visitInsn(L2I);
      if (unsigned) {
        v.visitLdcInsn(Integer.MIN_VALUE);
        v.visitInsn(IXOR);
      }
    } else if (unsigned) {
      unsigned(size);
    }
  }

  private void compare(int size, boolean orEqual, boolean negated, Label to) {
    if (size != 4) {
      v.visitInsn(LCMP);
      compare(orEqual, negated, to);
    } else if (orEqual) {
      v.visitJumpInsn(negated ? IF_ICMPGT : IF_ICMPLE, to);
    } else {
      v.visitJumpInsn(negated ? IF_ICMPGE : IF_ICMPLT, to);
    }
  }

  private void compare(boolean orEqual, boolean negated, Label to) {
    if (orEqual) {
      v.visitJumpInsn(negated ? IFGT : IFLE, to);
    } else {
      v.visitJumpInsn(negated ? IFGE : IFLT, to);
    }
  }

  /** CF and OF are 0. */
  private boolean afterLogic(int test, int size, boolean negated, Label to) {
    switch (test) {
      case EQUAL:
      case BELOW_OR_EQUAL:
        w.pushA();
        return result(EQUAL, size, negated, to);
      case BELOW:
        if (negated) {
          v.visitJumpInsn(GOTO, to);
        }
        return true;
      case SIGN:
      case LESS:
        w.pushA();
        return result(SIGN, size, negated, to);
      case LESS_OR_EQUAL:
        w.pushA();
        signed(size);
        v.visitInsn(LCONST_0);
        v.visitInsn(LCMP);
        compare(true, negated, to);
        return true;
      default:
        return false;
    }
  }

  private boolean afterAdd(int test, int size, boolean negated, Label to) {
    if (test == BELOW && size == 8) {
      w.pushA();
      w.pushB();
      v.visitInsn(LADD);
      unsigned(8);
      w.pushA();
      unsigned(8);
      v.visitInsn(LCMP);
      compare(false, negated, to);
      return true;
    }
    if (test != EQUAL && test != SIGN) {
      return false;
    }
    w.pushA();
    w.pushB();
    v.visitInsn(LADD);
    return result(test, size, negated, to);
  }

  /** Tests a result on the stack, of a size, that may have garbage above it. */
  private boolean result(int test, int size, boolean negated, Label to) {
    if (size == 4) {
      v.visitInsn(L2I);
      v.visitJumpInsn(test == EQUAL ? (negated ? IFNE : IFEQ) : (negated ? IFGE : IFLT), to);
      return true;
    }
    signed(size);
    if (test == EQUAL) {
      zero(negated, to);
    } else {
      negative(negated, to);
    }
    return true;
  }

  private boolean ofResult(int kind, int test, boolean negated, Label to) {
    if (test != EQUAL && test != SIGN) {
      return false;
    }
    int size = LazyFlags.size(kind);
    w.pushA();
    switch (LazyFlags.operation(kind)) {
      case LazyFlags.INC -> {
        v.visitInsn(LCONST_1);
        v.visitInsn(LADD);
      }
      case LazyFlags.DEC -> {
        v.visitInsn(LCONST_1);
        v.visitInsn(LSUB);
      }
      case LazyFlags.SHL -> {
        w.pushB();
        v.visitInsn(L2I);
        v.visitInsn(LSHL);
      }
      case LazyFlags.SHR -> {
        w.pushB();
        v.visitInsn(L2I);
        v.visitInsn(LUSHR);
      }
      default -> {
        signed(size);
        w.pushB();
        v.visitInsn(L2I);
        v.visitInsn(LSHR);
      }
    }
    return result(test, size, negated, to);
  }
}
