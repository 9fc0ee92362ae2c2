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

  // Jcc falls through to Op.next, an EndOp.

  /** SF differs from OF. */
  private static boolean less(Cpu c) {
    long aux = c.flagAux;
    return (c.flagResult ^ aux << 63 ^ aux ^ aux << 1) < 0;
  }

  static final class Jo extends Direct {
    Jo(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.of() ? go(c) : stay(c);
    }
  }

  static final class Jno extends Direct {
    Jno(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return !c.of() ? go(c) : stay(c);
    }
  }

  static final class Jbe extends Direct {
    Jbe(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagAux < 0 || c.flagResult == 0 ? go(c) : stay(c);
    }
  }

  static final class Ja extends Direct {
    Ja(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagAux >= 0 && c.flagResult != 0 ? go(c) : stay(c);
    }
  }

  static final class Js extends Direct {
    Js(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return (c.flagResult ^ c.flagAux << 63) < 0 ? go(c) : stay(c);
    }
  }

  static final class Jns extends Direct {
    Jns(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return (c.flagResult ^ c.flagAux << 63) >= 0 ? go(c) : stay(c);
    }
  }

  static final class Jp extends Direct {
    Jp(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.pf() ? go(c) : stay(c);
    }
  }

  static final class Jnp extends Direct {
    Jnp(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return !c.pf() ? go(c) : stay(c);
    }
  }

  static final class Jl extends Direct {
    Jl(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return less(c) ? go(c) : stay(c);
    }
  }

  static final class Jge extends Direct {
    Jge(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return !less(c) ? go(c) : stay(c);
    }
  }

  static final class Jle extends Direct {
    Jle(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagResult == 0 || less(c) ? go(c) : stay(c);
    }
  }

  static final class Jg extends Direct {
    Jg(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagResult != 0 && !less(c) ? go(c) : stay(c);
    }
  }

  /** The branch for a condition, 0 to 15. */
  static Direct jcc(Interpreter engine, int condition) {
    return switch (condition) {
      case 0 -> new Jo(engine);
      case 1 -> new Jno(engine);
      case 2 -> new Jb(engine);
      case 3 -> new Jae(engine);
      case 4 -> new Jz(engine);
      case 5 -> new Jnz(engine);
      case 6 -> new Jbe(engine);
      case 7 -> new Ja(engine);
      case 8 -> new Js(engine);
      case 9 -> new Jns(engine);
      case 10 -> new Jp(engine);
      case 11 -> new Jnp(engine);
      case 12 -> new Jl(engine);
      case 13 -> new Jge(engine);
      case 14 -> new Jle(engine);
      default -> new Jg(engine);
    };
  }

  static final class Jz extends Direct {
    Jz(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagResult == 0 ? go(c) : stay(c);
    }
  }

  static final class Jnz extends Direct {
    Jnz(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagResult != 0 ? go(c) : stay(c);
    }
  }

  static final class Jb extends Direct {
    Jb(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagAux < 0 ? go(c) : stay(c);
    }
  }

  static final class Jae extends Direct {
    Jae(Interpreter engine) {
      super(engine);
    }

    @Override
    @Nullable Op exec(Cpu c) {
      return c.flagAux >= 0 ? go(c) : stay(c);
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
