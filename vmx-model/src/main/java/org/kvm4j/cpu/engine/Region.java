package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.DeviceAccess;
import org.kvm4j.cpu.core.NestedFault;

/**
 * Blocks as one method of the JVM's: what {@link Translator} makes a class of. Entered at its first
 * block alone.
 */
abstract class Region {
  final Interpreter engine;

  /** The operations that stand for the instructions, block after block. */
  final Op[] ops;

  /** What follows each block in line. */
  final Op[] ends;

  /** The kind of the lazy flags before each instruction; {@link #DYNAMIC} if a variable has it. */
  final byte[] kinds;

  static final byte DYNAMIC = -1;

  /** A block of it was overwritten: it must not be entered any more, nor gone on with. */
  boolean dead;

  /** The blocks. */
  final Block[] blocks;

  /** Instructions: what one way through it, without loops, can take of the budget at most. */
  final int count;

  /** Index of the instruction that is executed by the interpreter, or faults. */
  int at;

  Region(Interpreter engine, Op[] ops, Op[] ends, byte[] kinds, Block[] blocks, int count) {
    this.count = count;
    this.engine = engine;
    this.blocks = blocks;
    this.ops = ops;
    this.ends = ends;
    this.kinds = kinds;
  }

  /**
   * Whether it may be entered: it looks at the budget and at {@link Cpu#attention} in loops only.
   */
  final boolean isReady(Cpu c) {
    return c.countdown >= count && c.attention == 0;
  }

  /**
   * Runs it.
   *
   * @param expected the block that the guest's call returns to that this is in, or null
   * @param depth how many of the guest's calls are calls of the JVM's now
   * @return what comes next, as for {@link Op#exec}
   */
  final @Nullable Op enter(Cpu c, @Nullable Block expected, int depth) {
    try {
      return run(c, expected, depth);
    } catch (CpuException | NestedFault | DeviceAccess e) {
      if (engine.at == null) {
        engine.at = ops[at];
      }
      throw e;
    }
  }

  /** Its code. Called by {@link #enter} alone. */
  abstract @Nullable Op run(Cpu c, @Nullable Block expected, int depth);

  /** Whether a loop may go on. */
  static boolean mayLoop(long left, long count, Cpu c) {
    return left >= count && c.attention == 0;
  }

  /**
   * An instruction faults; registers and the budget are in {@link Cpu} already.
   *
   * @param index of the instruction
   * @param kind of the lazy flags, where a variable has it
   */
  final void fault(Cpu c, int index, int kind, long a, long b) {
    at = index;
    int k = kinds[index];
    LazyFlags.settle(c, k == DYNAMIC ? kind : k, a, b);
  }

  /** An instruction as the interpreter does it. */
  final @Nullable Op interpret(Cpu c, int index) {
    at = index;
    return ops[index].exec(c);
  }

  /**
   * An instruction as the interpreter does it, after which the region may go on. A repeated one
   * takes of the budget what it likes: the region goes on only with enough for all of it.
   *
   * @return null to go on, else what comes next
   */
  final @Nullable Op pass(Cpu c, int index) {
    Op op = ops[index];
    Op following = op.next;
    return goOn(c, interpret(c, index), following);
  }

  /**
   * An instruction that changes neither registers nor flags of the region's, which it keeps in its
   * variables meanwhile, as the interpreter does it.
   *
   * @return 0 to go on, else the way out, for {@link #exit}
   */
  final int passInPlace(Cpu c, int index) {
    Op following = ops[index].next;
    Op next = interpret(c, index);
    if (next == null) {
      return exitCode(DISPATCH, 0);
    }
    return next == following && mayGoOn(c) ? 0 : exitCode(NEXT, index);
  }

  /**
   * After what may have changed all state.
   *
   * @return null if what was expected comes next and the region may go on with it, else what comes
   *     next
   */
  private @Nullable Op goOn(Cpu c, @Nullable Op next, @Nullable Op expected) {
    return next == expected && mayGoOn(c) ? null : next == null ? LEAVE : next;
  }

  private boolean mayGoOn(Cpu c) {
    return !dead && isReady(c);
  }

  // Ways out that share one end: what comes next.

  /** What follows a block in line. */
  static final int END = 0;

  /** What a direct branch leads to. */
  static final int TAKE = 1;

  /** The operation after an instruction. */
  static final int NEXT = 2;

  /** A block. */
  static final int BLOCK = 3;

  /** What is at RIP, which {@link Cpu} has. */
  static final int DISPATCH = 4;

  /**
   * For {@link #exit}.
   *
   * @param what {@link #END} and the others
   * @param number of the block or index of the instruction
   */
  static int exitCode(int what, int number) {
    return number << 3 | what;
  }

  /**
   * The region is left; registers and the budget are in {@link Cpu} already.
   *
   * @param code what comes next
   * @param kind of the lazy flags
   */
  final @Nullable Op exit(Cpu c, int code, int kind, long a, long b) {
    LazyFlags.settle(c, kind, a, b);
    int number = code >> 3;
    return switch (code & 7) {
      case END -> follow(c, ends[number]);
      case TAKE -> take(c, number);
      case NEXT -> ops[number].next;
      case BLOCK -> blocks[number];
      default -> null;
    };
  }

  private static @Nullable Op follow(Cpu c, Op end) {
    return end instanceof EndOp e ? e.follow(c) : end;
  }

  /** A direct branch is taken. */
  final @Nullable Op take(Cpu c, int index) {
    return ((BranchOps.Direct) ops[index]).take(c);
  }

  private static final int MOST_CALLS = 100;

  /**
   * A direct near call whose return address is on the stack already.
   *
   * @param index of the call
   * @param block number of the block that the call returns to
   * @return what comes next; null if that is this block, and the region may go on with it
   */
  final @Nullable Op call(Cpu c, int index, int block, int depth) {
    return call(c, take(c, index), blocks[block], depth);
  }

  /**
   * An indirect near call whose return address is on the stack already.
   *
   * @param rip the target, which is canonical
   * @param block number of the block that the call returns to
   * @return as {@link #call}
   */
  final @Nullable Op callTo(Cpu c, long rip, int block, int depth) {
    return call(c, BranchOps.indirect(engine, c, rip), blocks[block], depth);
  }

  /** As {@link #callTo}, where indirect branches are tracked; the tracker has heard of it. */
  final @Nullable Op callToTracked(Cpu c, long rip, int block, int depth) {
    Op to = TrackedOps.arrive(c, BranchOps.indirect(engine, c, rip));
    return call(c, to, blocks[block], depth);
  }

  /**
   * A guest's call as one of the JVM's: regions one after the other, until it returns.
   *
   * @param next the block that was called, or null
   */
  private @Nullable Op call(Cpu c, @Nullable Op next, Block expected, int depth) {
    if (depth < MOST_CALLS) {
      while (next != expected && next instanceof Block b) {
        Region r = b.region;
        if (r == null || !r.isReady(c)) {
          break;
        }
        next = r.enter(c, expected, depth + 1);
      }
    }
    return goOn(c, next, expected);
  }

  /**
   * Goes on with a block in another page, if that is where it was.
   *
   * @param block number of the block
   * @param rip the block's
   */
  final boolean reaches(int block, long rip) {
    return engine.isCurrent(blocks[block], rip);
  }

  /**
   * An indirect near jump.
   *
   * @param rip the target, which is canonical
   */
  final @Nullable Op jump(Cpu c, long rip) {
    return BranchOps.indirect(engine, c, rip);
  }

  /** As {@link #jump}, where indirect branches are tracked; the tracker has heard of it. */
  final @Nullable Op jumpTracked(Cpu c, long rip) {
    return TrackedOps.arrive(c, BranchOps.indirect(engine, c, rip));
  }

  /**
   * A near return, for which nothing is left to do but to find out what comes next.
   *
   * @param index of the return
   * @param rip what was on the stack
   * @param expected the block that is returned to if nobody has changed that, or null
   */
  final @Nullable Op ret(Cpu c, int index, long rip, @Nullable Block expected) {
    if (expected != null && engine.isCurrent(expected, rip)) {
      return expected;
    }
    if (!c.isCanonical(rip)) {
      // As if nothing had happened.
      at = index;
      c.r[Cpu.RSP] -= 8;
      throw c.gp(0);
    }
    return BranchOps.indirect(engine, c, rip);
  }

  /** What the dispatcher goes on with where there is nothing known. */
  private static final Op LEAVE =
      new Op() {
        @Override
        @Nullable Op exec(Cpu c) {
          return null;
        }
      };
}
