package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.semantics.FlagInstructions;
import org.kvm4j.cpu.semantics.Handlers;

/** What kernels turn interrupts off and on with. */
final class FlagOps {
  private FlagOps() {}

  /** PUSHFQ. */
  static final class Pushf64 extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP] - 8;
      c.mmu.write64(sp, FlagInstructions.image(c) & 0xffffffffL);
      c.r[Cpu.RSP] = sp;
      return next;
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  /** POPFQ. It goes on in line if nothing waited for what it has set. */
  static final class Popf64 extends Op {
    @Override
    @Nullable Op exec(Cpu c) {
      long sp = c.r[Cpu.RSP];
      FlagInstructions.load(c, (int) c.mmu.read64(sp), 8);
      c.r[Cpu.RSP] = sp + 8;
      return InLine.after(this, c);
    }

    @Override
    boolean usesStackSegment() {
      return true;
    }
  }

  /** STI. If nothing waited for it, and what follows is a NOP, nobody sees its shadow. */
  static final class Sti extends Op {
    private final Instruction instruction;

    Sti(Instruction i) {
      instruction = i.copy();
    }

    @Override
    @Nullable Op exec(Cpu c) {
      int before = c.shadow;
      Handlers.of(instruction.opcode).execute(c, instruction);
      if (before == 0 && next instanceof RegisterOps.Nop) {
        int shadow = c.shadow;
        c.shadow = 0;
        if (InLine.isQuiet(c)) {
          return next;
        }
        c.shadow = shadow;
      }
      return InLine.after(this, c);
    }
  }

  /** CLI, which nothing can wait for. */
  static final class Cli extends Op {
    private final Instruction instruction;

    Cli(Instruction i) {
      instruction = i.copy();
    }

    @Override
    @Nullable Op exec(Cpu c) {
      Handlers.of(instruction.opcode).execute(c, instruction);
      return next;
    }
  }
}
