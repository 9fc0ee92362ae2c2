package org.kvm4j.cpu.engine;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/**
 * Which blocks become one region: the first, and those of its page that direct branches lead to
 * from there and that have been executed.
 */
final class RegionPlan {
  static final int MOST_BLOCKS = 40;
  static final int MOST_INSTRUCTIONS = 200;

  /** One block of the region. */
  static final class Part {
    final Block block;
    final Instruction[] instructions;

    /** The operations of the instructions. */
    final Op[] ops;

    /** What follows in line. */
    final Op end;

    /** Number of the block in the region. */
    int number;

    /** Index of the first instruction in the region. */
    int first;

    /** Where a direct branch goes, or null if that is not in the region. */
    @Nullable Part taken;

    /** What follows in line, or is returned to; null if that is not in the region. */
    @Nullable Part after;

    Part(Block block, Instruction[] instructions, Op[] ops, Op end) {
      this.block = block;
      this.instructions = instructions;
      this.ops = ops;
      this.end = end;
    }

    Instruction last() {
      return instructions[instructions.length - 1];
    }

    int offset() {
      return block.offset & 0xffff;
    }
  }

  final List<Part> parts = new ArrayList<>();

  /** For {@link Region#kinds}. */
  byte[] kinds = {};

  private final Decoder decoder;
  private final ByteBuffer bank;
  private final int base;
  private int instructions;

  /**
   * @param bank where the page's bytes are, from {@code base} on
   * @param most blocks
   */
  RegionPlan(Decoder decoder, ByteBuffer bank, int base, Block first, int most) {
    this.decoder = decoder;
    this.bank = bank;
    this.base = base;
    if (add(first) != null) {
      for (int k = 0; k < parts.size(); k++) {
        Part p = parts.get(k);
        follow(p, most);
      }
    }
    int index = 0;
    int number = 0;
    for (Part p : parts) {
      p.first = index;
      p.number = number++;
      index += p.instructions.length;
    }
    kinds = new byte[index];
  }

  private void follow(Part p, int most) {
    Instruction i = p.last();
    int end = p.block.end;
    boolean jump = i.opcode == Opcode.JMP_NEAR && i.kind0 == OperandKind.RELATIVE;
    if (isDirect(i) && i.opcode != Opcode.CALL_NEAR) {
      p.taken = part(p.block, end + i.immediate, most);
    }
    if (!jump && (isDirect(i) || isCall(i) || !(i.endsBlock || i.isBranch))) {
      p.after = part(p.block, end, most);
    }
  }

  /** Whether a block ends with a direct near branch that the interpreter has an operation for. */
  private static boolean isDirect(Instruction i) {
    return i.kind0 == OperandKind.RELATIVE
        && i.operandSize == 8
        && (i.opcode == Opcode.JMP_NEAR || i.opcode == Opcode.JCC || i.opcode == Opcode.CALL_NEAR);
  }

  /** Whether a block ends with a near call that the interpreter has an operation for. */
  private static boolean isCall(Instruction i) {
    return i.opcode == Opcode.CALL_NEAR && i.operandSize == 8;
  }

  private @Nullable Part part(Block from, long offset, int most) {
    if (offset < 0 || offset >= CodePage.SIZE) {
      return null;
    }
    for (Part p : parts) {
      if (p.offset() == offset) {
        return p;
      }
    }
    if (parts.size() >= most || instructions >= MOST_INSTRUCTIONS) {
      return null;
    }
    Block b = from.page.find((int) offset, from.modeKey);
    return b == null || b.isCold() ? null : add(b);
  }

  private @Nullable Part add(Block b) {
    Op[] ops = new Op[b.count];
    Op op = b.next;
    for (int k = 0; k < ops.length; k++) {
      if (op == null || op instanceof Resume || op instanceof SecondPage) {
        return null;
      }
      ops[k] = op;
      op = op.next;
    }
    if (!(op instanceof EndOp)) {
      return null;
    }
    Instruction[] decoded = new Instruction[b.count];
    int at = b.offset & 0xffff;
    for (int k = 0; k < decoded.length; k++) {
      decoded[k] = decoder.decode(bank, base + at, base + CodePage.SIZE, 8);
      at += decoded[k].length;
    }
    if (at != b.end) {
      return null;
    }
    Part p = new Part(b, decoded, ops, op);
    parts.add(p);
    instructions += b.count;
    return p;
  }
}
