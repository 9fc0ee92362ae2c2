package org.kvm4j.cpu.engine;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.semantics.Alu;

/**
 * How translated code keeps the flags of the last instruction that set them: as that instruction's
 * operands, of which {@link Alu} makes flags once somebody wants them.
 *
 * <p>A kind is an operation and the logarithm of its size in bytes: {@code operation << 2 | log2}.
 */
final class LazyFlags {
  private LazyFlags() {}

  /** The flags are in {@link Cpu}. */
  static final int SETTLED = 0;

  // Operations.
  static final int ADD = 1;
  static final int SUB = 2;

  /** AND, OR, XOR and TEST; the first operand is the result. */
  static final int LOGIC = 3;

  // By a count that is not 0.
  static final int SHL = 4;
  static final int SHR = 5;
  static final int SAR = 6;

  // These keep flags, which are in Cpu.
  static final int INC = 7;
  static final int DEC = 8;
  static final int IMUL = 9;

  /** The kind of an operation on operands of a size. */
  static int kind(int operation, int size) {
    return operation << 2 | Integer.numberOfTrailingZeros(size);
  }

  /** The operation of a kind. */
  static int operation(int kind) {
    return kind >> 2;
  }

  /** The size in bytes of a kind's operands. */
  static int size(int kind) {
    return 1 << (kind & 3);
  }

  /** Puts flags where all others look for them. */
  static void settle(Cpu c, int kind, long a, long b) {
    int size = size(kind);
    switch (operation(kind)) {
      case ADD -> Alu.add(c, size, a, b);
      case SUB -> Alu.sub(c, size, a, b);
      case LOGIC -> Alu.logic(c, size, a);
      case INC -> Alu.inc(c, size, a);
      case DEC -> Alu.dec(c, size, a);
      case SHL -> Alu.shl(c, size, a, (int) b);
      case SHR -> Alu.shr(c, size, a, (int) b);
      case SAR -> Alu.sar(c, size, a, (int) b);
      case IMUL -> {
        if (size == 8) {
          Alu.imul64(c, a, b);
        } else {
          Alu.imul32(c, (int) a, (int) b);
        }
      }
      default -> {
        // SETTLED.
      }
    }
  }
}
