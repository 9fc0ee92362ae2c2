package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.NestedFault;

/**
 * Blocks of one page as one method of the JVM's: what {@link Translator} makes a class of. Entered
 * at its first block alone.
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
  final Op[] blocks;

  /** Instructions: what one way through it, without loops, can take of the budget at most. */
  final int count;

  /** Index of the instruction that is executed by the interpreter, or faults. */
  int at;

  Region(Interpreter engine, Op[] ops, Op[] ends, byte[] kinds, Op[] blocks, int count) {
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

  /** Runs it: what comes next, as for {@link Op#exec}. */
  final @Nullable Op enter(Cpu c) {
    try {
      return run(c);
    } catch (CpuException | NestedFault e) {
      if (engine.at == null) {
        engine.at = ops[at];
      }
      throw e;
    }
  }

  /** Its code. Called by {@link #enter} alone. */
  abstract @Nullable Op run(Cpu c);

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
   * After what may have changed all state.
   *
   * @return null if what was expected comes next and the region may go on with it, else what comes
   *     next
   */
  private @Nullable Op goOn(Cpu c, @Nullable Op next, @Nullable Op expected) {
    return next == expected && !dead && isReady(c) ? null : next == null ? LEAVE : next;
  }

  /** What the interpreter goes on with after an instruction. */
  final @Nullable Op next(int index) {
    return ops[index].next;
  }

  /** A direct branch is taken. */
  final @Nullable Op take(Cpu c, int index) {
    return ((BranchOps.Direct) ops[index]).take(c);
  }

  /**
   * A near call whose return address is on the stack already.
   *
   * @param index of the call
   * @param block number of the block that the call returns to
   * @return what comes next; null if that is this block, and the region may go on with it
   */
  final @Nullable Op call(Cpu c, int index, int block) {
    Op expected = blocks[block];
    return goOn(c, engine.call(take(c, index), c, expected), expected);
  }

  /**
   * A near call that the interpreter makes.
   *
   * @param index of the call
   * @param block number of the block that the call returns to
   * @return as {@link #call}
   */
  final @Nullable Op callBy(Cpu c, int index, int block) {
    Op expected = blocks[block];
    return goOn(c, engine.call(interpret(c, index), c, expected), expected);
  }

  /** A near return, for which nothing is left to do but to find out what comes next. */
  final @Nullable Op ret(Cpu c, long rip) {
    Block expected = engine.expected;
    return expected != null && engine.isCurrent(expected, rip)
        ? expected
        : BranchOps.indirect(engine, c, rip);
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
