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

    Direct(Interpreter engine) {
      this.engine = engine;
    }

    final @Nullable Op take(Cpu c) {
      Block t = taken;
      if (t != null) {
        return t;
      }
      long rip = c.r[Cpu.CODE_BASE] + target & c.ripMask;
      Op known = engine.jump(rip);
      if (known != null && (target & ~0xfff) != 0) {
        return known;
      }
      return engine.leave(this, rip);
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
    }
  }

  static final class Jmp extends Direct {
    Jmp(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return take(c);
    }
  }

  /** Jcc: falls through to {@link Op#next}, an {@link EndOp}. */
  static final class Jcc extends Direct {
    private final int condition;

    Jcc(Interpreter engine, int condition) {
      super(engine);
      this.condition = condition;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.condition(condition) ? take(c) : next;
    }
  }

  static final class Jz extends Direct {
    Jz(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagResult == 0 ? take(c) : next;
    }
  }

  static final class Jnz extends Direct {
    Jnz(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagResult != 0 ? take(c) : next;
    }
  }

  static final class Jb extends Direct {
    Jb(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagAux < 0 ? take(c) : next;
    }
  }

  static final class Jae extends Direct {
    Jae(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagAux >= 0 ? take(c) : next;
    }
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
  private static @Nullable Op indirect(Interpreter engine, Cpu c, long rip) {
    Op known = engine.jump(rip);
    if (known == null) {
      c.rip = rip;
    }
    return known;
  }

  private static void checkTarget(Cpu c, long rip) {
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

  static final class CallReg64 extends Op {
    final Interpreter engine;
    byte src;

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
      return indirect(engine, c, rip);
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  static final class CallMem64 extends MemOp {
    final Interpreter engine;

    CallMem64(Interpreter engine) {
      this.engine = engine;
    }

    @Override
    @Nullable Op exec(Cpu c) {
      long rip = c.mmu.read64(address(c));
      checkTarget(c, rip);
      long sp = c.r[Cpu.RSP] - 8;
      c.mmu.write64(sp, ripAfter(c));
      c.r[Cpu.RSP] = sp;
      return indirect(engine, c, rip);
    }
  }
}
