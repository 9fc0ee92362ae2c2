package org.kvm4j.cpu.engine;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * Which blocks become one region: the first, and those that direct branches lead to from there and
 * that have been executed, also in other pages. A small function takes the place of its call.
 */
final class RegionPlan {
  static final int MOST_BLOCKS = 40;
  static final int MOST_INSTRUCTIONS = 200;

  /** Instructions of a function that takes the place of its call. */
  private static final int MOST_IN_PLACE = 60;

  /** Calls within one another whose functions take their place. */
  private static final int MOST_DEPTH = 3;

  /** One block of the region. */
  static final class Part {
    final Block block;
    final Instruction[] instructions;

    /** The operations of the instructions. */
    final Op[] ops;

    /** What follows in line. */
    final Op end;

    /** Where the block's page is from the region's first page, in linear memory. */
    final long page;

    /** The call whose place the function takes that this is a part of; null if there is none. */
    final @Nullable Part call;

    /** Number of the block in the region; -1 if nothing leads there. */
    int number = -1;

    /** Index of the first instruction in the region. */
    int first;

    /** Where a direct branch goes, or null if that is not in the region. */
    @Nullable Part taken;

    /** What follows in line, or is returned to; null if that is not in the region. */
    @Nullable Part after;

    /** Of a call, the beginning of the function that takes its place; null if none does. */
    @Nullable Part callee;

    Part(
        Block block, long page, Instruction[] instructions, Op[] ops, Op end, @Nullable Part call) {
      this.block = block;
      this.page = page;
      this.instructions = instructions;
      this.ops = ops;
      this.end = end;
      this.call = call;
    }

    Instruction last() {
      return instructions[instructions.length - 1];
    }

    Op lastOp() {
      return ops[ops.length - 1];
    }

    int offset() {
      return block.offset & 0xffff;
    }

    /** Where the block is from the begin of the region's first page. */
    long at() {
      return page + offset();
    }

    /** Where an instruction of the block is from the begin of the region's first page. */
    long at(Op op) {
      return page + (op.offset & 0xffff);
    }

    boolean isInPageOf(Part other) {
      return page == other.page && block.page == other.block.page;
    }

    private int depth() {
      return call == null ? 0 : call.depth() + 1;
    }

    private boolean returns() {
      return lastOp() instanceof BranchOps.Ret64;
    }

    /** Where a return leads to if it is from a function that takes its call's place. */
    @Nullable Part caller() {
      return call == null || !returns() ? null : call.after;
    }
  }

  /** In an order in which only what loops goes back. */
  final List<Part> parts = new ArrayList<>();

  /** For {@link Region#kinds}. */
  byte[] kinds = {};

  private final Decoder decoder;
  private final PhysicalMemory memory;
  private final long firstPage;
  private final int most;

  /** Whether indirect branches are tracked. */
  final boolean tracked;

  private final List<Part> found = new ArrayList<>();
  private int instructions;

  /**
   * @param firstPage linear address of the page of {@code first}
   * @param most blocks
   */
  RegionPlan(Decoder decoder, PhysicalMemory memory, Block first, long firstPage, int most) {
    this.decoder = decoder;
    this.memory = memory;
    this.firstPage = firstPage;
    this.most = most;
    this.tracked = (first.modeKey & Cpu.KEY_BRANCH_TRACKING) != 0;
    if (!collect(first, 0, null)) {
      return;
    }
    for (int k = 0; k < found.size(); k++) {
      Part p = found.get(k);
      if (isCall(p.last()) && p.after != null) {
        putInPlace(p);
      }
    }
    order();
  }

  /**
   * Finds the blocks of one function, or of what a region begins with.
   *
   * @param page of the first, from the region's first page
   * @param call the call whose place it takes, or null
   * @return whether there are any; with a call, whether they are all that has been executed of it
   */
  private boolean collect(Block first, long page, @Nullable Part call) {
    int begin = found.size();
    int before = instructions;
    boolean whole = add(first, page, call) != null;
    for (int k = begin; whole && k < found.size(); k++) {
      whole = follow(found.get(k), begin) || call == null;
      whole &= call == null || instructions - before <= MOST_IN_PLACE;
    }
    if (!whole) {
      instructions = before;
      found.subList(begin, found.size()).clear();
    }
    return whole;
  }

  private void putInPlace(Part p) {
    if (p.depth() >= MOST_DEPTH) {
      return;
    }
    Block target;
    long page;
    if (isDirect(p.last())) {
      long offset = p.block.end + p.last().immediate;
      target = find(p, offset);
      page = p.page + (offset & -CodePage.SIZE);
    } else {
      target = BranchOps.lastCalled(p.lastOp());
      if (target == null || !isUsed(target) || target.modeKey != p.block.modeKey) {
        return;
      }
      if (tracked && !TrackedOps.begins(target)) {
        // The tracker finds out about it.
        return;
      }
      page = target.rip - (target.offset & 0xffff) - firstPage;
    }
    int begin = found.size();
    if (target != null && collect(target, page, p)) {
      p.callee = found.get(begin);
    }
  }

  /**
   * Finds what follows a block.
   *
   * @param begin where those of its function begin in the list
   * @return whether all that has been executed is in the region
   */
  private boolean follow(Part p, int begin) {
    Instruction i = p.last();
    int end = p.block.end;
    boolean jump = i.opcode == Opcode.JMP_NEAR && i.kind0 == OperandKind.RELATIVE;
    boolean whole = true;
    if (isDirect(i) && i.opcode != Opcode.CALL_NEAR) {
      p.taken = part(p, end + i.immediate, begin);
      whole = p.taken != null || isCold(p, end + i.immediate);
    }
    if (!jump && (isDirect(i) || isCall(i) || !InLine.endsBlock(i))) {
      p.after = isCall(i) && end == CodePage.SIZE ? null : part(p, end, begin);
      whole &= p.after != null || isCold(p, end);
    } else if (!jump) {
      whole &= p.returns();
    }
    return whole;
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

  /**
   * Whether nothing has been executed at what follows a block or its branch leads to.
   *
   * @param offset from the begin of its page
   */
  private boolean isCold(Part from, long offset) {
    return offset != CodePage.SIZE && find(from, offset) == null;
  }

  /**
   * The block that follows one or that its branch leads to, if it has been executed.
   *
   * @param offset from the begin of its page
   */
  private @Nullable Block find(Part from, long offset) {
    Block b;
    if (offset >= 0 && offset < CodePage.SIZE) {
      b = from.block.page.find((int) offset, from.block.modeKey);
    } else {
      b = from.lastOp() instanceof BranchOps.Direct d ? d.far() : null;
      if (b != null && (!isUsed(b) || b.rip != firstPage + from.page + offset)) {
        b = null;
      }
    }
    return b == null || b.isCold() ? null : b;
  }

  /** Whether the jump cache has a block that it has given. */
  private static boolean isUsed(Block b) {
    return b.epoch != 0;
  }

  private @Nullable Part part(Part from, long offset, int begin) {
    long page = from.page + (offset & -CodePage.SIZE);
    Block b = find(from, offset);
    for (int k = begin; k < found.size(); k++) {
      Part p = found.get(k);
      if (p.page == page && p.block == b) {
        return p;
      }
    }
    return b == null ? null : add(b, page, from.call);
  }

  private @Nullable Part add(Block b, long page, @Nullable Part call) {
    if (found.size() >= most || instructions >= MOST_INSTRUCTIONS) {
      return null;
    }
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
    ByteBuffer bank = memory.bank(b.page.hpa);
    if (bank == null) {
      return null;
    }
    int base = (int) b.page.hpa & PhysicalMemory.BANK_MASK;
    Instruction[] decoded = new Instruction[b.count];
    int at = b.offset & 0xffff;
    for (int k = 0; k < decoded.length; k++) {
      decoded[k] = decoder.decode(bank, base + at, base + CodePage.SIZE, 8);
      at += decoded[k].length;
    }
    if (at != b.end) {
      return null;
    }
    Part p = new Part(b, page, decoded, ops, op, call);
    found.add(p);
    instructions += b.count;
    return p;
  }

  /** Numbers the blocks, those before others that lead there, but for loops. */
  private void order() {
    List<Part> last = new ArrayList<>();
    visit(found.get(0), last);
    int index = 0;
    for (int k = last.size() - 1; k >= 0; k--) {
      Part p = last.get(k);
      p.number = parts.size();
      p.first = index;
      index += p.instructions.length;
      parts.add(p);
    }
    kinds = new byte[index];
  }

  /** Lists a block after all that it leads to. */
  private static void visit(Part p, List<Part> list) {
    p.number = 0; // seen
    // What is visited last comes next in the order.
    Part[] next = {p.taken, p.caller(), p.after, p.callee};
    for (Part n : next) {
      if (n != null && n.number < 0) {
        visit(n, list);
      }
    }
    list.add(p);
  }
}
