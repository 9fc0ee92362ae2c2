package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;

/**
 * Near branches in 64-bit and flat 32-bit code. A direct branch within its page keeps a link to the
 * target block; others go through the jump cache.
 */
final class BranchOps {
  private BranchOps() {}

  /** A branch with one direct target. */
  abstract static class Direct extends Op {
    final Interpreter engine;

    /**
     * The target's offset from the start of this op's page; outside of 0..4095 it is another page.
     */
    int target;

    @Nullable Block taken;

    /** The block that the jump cache gave last for a target in another page. */
    private @Nullable Block far;

    Direct(Interpreter engine) {
      this.engine = engine;
    }

    /** The block that a target in another page was last. */
    final @Nullable Block far() {
      return far;
    }

    final @Nullable Op take(Cpu c) {
      Block t = taken;
      if (t != null) {
        return t;
      }
      long rip = c.r[Cpu.CODE_BASE] + target & c.ripMask;
      if ((target & ~0xfff) == 0) {
        return engine.leave(this, rip);
      }
      t = far;
      if (t != null && engine.isCurrent(t, rip)) {
        return t;
      }
      t = engine.jump(rip);
      far = t;
      return t != null ? t : engine.leave(this, rip);
    }

    /** Takes the branch, and begins with the block that it leads to. */
    final @Nullable Op go(Cpu c) {
      return take(c) instanceof Block b ? b.exec(c) : null;
    }

    /** Does not take the branch, and begins with the block that follows. */
    final @Nullable Op stay(Cpu c) {
      return next instanceof EndOp end ? end.exec(c) : next;
    }

    @Override
    void link(Block t) {
      if ((target & ~0xfff) == 0) {
        taken = t;
      }
    }

    @Override
    void unlink() {
      taken = null;
      far = null;
    }
  }

  static final class Jmp extends Direct {
    Jmp(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return go(c);
    }
  }

  /** A conditional branch. It falls through to {@link Op#next}, an EndOp. */
  abstract static class Conditional extends Direct {
    /** Whether it is taken where its condition does not hold. */
    final boolean negated;

    Conditional(Interpreter engine, boolean negated) {
      super(engine);
      this.negated = negated;
    }
  }

  /** SF differs from OF. */
  private static boolean less(Cpu c) {
    long aux = c.flagAux;
    return (c.flagResult ^ aux << 63 ^ aux ^ aux << 1) < 0;
  }

  /** If OF. */
  static final class Jo extends Conditional {
    Jo(Interpreter engine, boolean negated) {
      super(engine, negated);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.of() != negated ? go(c) : stay(c);
    }
  }

  /** If CF. */
  static final class Jb extends Conditional {
    Jb(Interpreter engine, boolean negated) {
      super(engine, negated);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return (c.flagAux < 0) != negated ? go(c) : stay(c);
    }
  }

  /** If ZF. */
  static final class Jz extends Conditional {
    Jz(Interpreter engine, boolean negated) {
      super(engine, negated);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return (c.flagResult == 0) != negated ? go(c) : stay(c);
    }
  }

  /** If CF or ZF. */
  static final class Jbe extends Conditional {
    Jbe(Interpreter engine, boolean negated) {
      super(engine, negated);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return (c.flagAux < 0 || c.flagResult == 0) != negated ? go(c) : stay(c);
    }
  }

  /** If SF. */
  static final class Js extends Conditional {
    Js(Interpreter engine, boolean negated) {
      super(engine, negated);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return ((c.flagResult ^ c.flagAux << 63) < 0) != negated ? go(c) : stay(c);
    }
  }

  /** If PF. */
  static final class Jp extends Conditional {
    Jp(Interpreter engine, boolean negated) {
      super(engine, negated);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.pf() != negated ? go(c) : stay(c);
    }
  }

  /** If SF differs from OF. */
  static final class Jl extends Conditional {
    Jl(Interpreter engine, boolean negated) {
      super(engine, negated);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return less(c) != negated ? go(c) : stay(c);
    }
  }

  /** If ZF, or SF differs from OF. */
  static final class Jle extends Conditional {
    Jle(Interpreter engine, boolean negated) {
      super(engine, negated);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return (c.flagResult == 0 || less(c)) != negated ? go(c) : stay(c);
    }
  }

  /** The branch for a condition, 0 to 15, of which each odd one negates the one before. */
  static Direct jcc(Interpreter engine, int condition) {
    boolean negated = (condition & 1) != 0;
    return switch (condition >> 1) {
      case 0 -> new Jo(engine, negated);
      case 1 -> new Jb(engine, negated);
      case 2 -> new Jz(engine, negated);
      case 3 -> new Jbe(engine, negated);
      case 4 -> new Js(engine, negated);
      case 5 -> new Jp(engine, negated);
      case 6 -> new Jl(engine, negated);
      default -> new Jle(engine, negated);
    };
  }

  static final class Call64 extends Direct {
    Call64(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP] - 8;
      c.mmu.write64(sp, ripAfter(c));
      c.r[Cpu.RSP] = sp;
      return take(c);
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  static final class Call32 extends Direct {
    Call32(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP] - 4 & 0xffffffffL;
      c.mmu.write32(sp, (int) ripAfter(c));
      c.r[Cpu.RSP] = sp;
      return take(c);
    }
  }

  /** An indirect transfer: through the jump cache, or with a canonical target to the dispatcher. */
  static @Nullable Block indirect(Interpreter engine, Cpu c, long rip) {
    Block known = engine.jump(rip);
    if (known == null) {
      c.rip = rip;
    }
    return known;
  }

  static void checkTarget(Cpu c, long rip) {
    if (!c.isCanonical(rip)) {
      throw c.gp(0);
    }
  }

  static final class Ret64 extends Op {
    final Interpreter engine;

    Ret64(Interpreter engine) {
      this.engine = engine;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP];
      long rip = c.mmu.read64(sp);
      checkTarget(c, rip);
      c.r[Cpu.RSP] = sp + 8;
      return indirect(engine, c, rip);
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  /** RET imm16: pops so many bytes more. */
  static final class RetImm64 extends Op {
    final Interpreter engine;
    int more;

    RetImm64(Interpreter engine) {
      this.engine = engine;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP];
      long rip = c.mmu.read64(sp);
      checkTarget(c, rip);
      c.r[Cpu.RSP] = sp + 8 + more;
      return indirect(engine, c, rip);
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  static final class Ret32 extends Op {
    final Interpreter engine;

    Ret32(Interpreter engine) {
      this.engine = engine;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP] & 0xffffffffL;
      long rip = c.mmu.read32(sp) & 0xffffffffL;
      c.r[Cpu.RSP] = sp + 4 & 0xffffffffL;
      return indirect(engine, c, rip);
    }
  }

  static final class JmpReg64 extends Op {
    final Interpreter engine;
    byte src;

    JmpReg64(Interpreter engine) {
      this.engine = engine;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long rip = c.r[src];
      checkTarget(c, rip);
      return indirect(engine, c, rip);
    }
  }

  static final class JmpMem64 extends MemOp {
    final Interpreter engine;

    JmpMem64(Interpreter engine) {
      this.engine = engine;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long rip = c.mmu.read64(address(c));
      checkTarget(c, rip);
      return indirect(engine, c, rip);
    }
  }

  /** The block that an indirect call has called last; null if it has not, or has another form. */
  static @Nullable Block lastCalled(Op op) {
    Op call = op instanceof TrackedOps.Branch b ? b.plain : op;
    return call instanceof CallReg64 r ? r.last : call instanceof CallMem64 m ? m.last : null;
  }

  static final class CallReg64 extends Op {
    final Interpreter engine;
    byte src;
    private @Nullable Block last;

    CallReg64(Interpreter engine) {
      this.engine = engine;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long rip = c.r[src];
      checkTarget(c, rip);
      long sp = c.r[Cpu.RSP] - 8;
      c.mmu.write64(sp, ripAfter(c));
      c.r[Cpu.RSP] = sp;
      last = indirect(engine, c, rip);
      return last;
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  static final class CallMem64 extends MemOp {
    final Interpreter engine;
    private @Nullable Block last;

    CallMem64(Interpreter engine) {
      this.engine = engine;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long rip = c.mmu.read64(address(c));
      checkTarget(c, rip);
      long sp = c.r[Cpu.RSP] - 8;
      MoveOps.checkStack(c, sp);
      c.mmu.write64(sp, ripAfter(c));
      c.r[Cpu.RSP] = sp;
      last = indirect(engine, c, rip);
      return last;
    }
  }
}
