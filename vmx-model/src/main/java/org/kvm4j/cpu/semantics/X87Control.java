package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.Float80;

/**
 * What controls the x87 FPU: control and status words, environment, state, the stack's pointer and
 * tags. SDM Vol. 1, 8.1.10 "Saving the x87 FPU's State", 8.3.12 "x87 FPU Control Instructions";
 * Vol. 2, each instruction's page.
 *
 * <p>In real-address and virtual-8086 mode the pointers are linear addresses, as far as the
 * processor keeps the selectors.
 */
final class X87Control {
  private static final long RESERVED = 0xffff0000L;

  private X87Control() {}

  static void register() {
    Handlers.put(Opcode.WAIT, X87Control::fwait);
    Handlers.put(Opcode.FNOP, (c, i) -> checkPending(c));
    Handlers.put(Opcode.FNENI, (c, i) -> checkAvailable(c));
    Handlers.put(Opcode.FNDISI, (c, i) -> checkAvailable(c));
    Handlers.put(Opcode.FNSETPM, (c, i) -> checkAvailable(c));
    Handlers.put(Opcode.FNINIT, X87Control::fninit);
    Handlers.put(Opcode.FNCLEX, X87Control::fnclex);
    Handlers.put(Opcode.FNSTCW, X87Control::fnstcw);
    Handlers.put(Opcode.FLDCW, X87Control::fldcw);
    Handlers.put(Opcode.FNSTSW, X87Control::fnstsw);
    Handlers.put(Opcode.FNSTENV, X87Control::fnstenv);
    Handlers.put(Opcode.FLDENV, X87Control::fldenv);
    Handlers.put(Opcode.FNSAVE, X87Control::fnsave);
    Handlers.put(Opcode.FRSTOR, X87Control::frstor);
    Handlers.put(Opcode.FINCSTP, (c, i) -> turn(c, 1));
    Handlers.put(Opcode.FDECSTP, (c, i) -> turn(c, -1));
    Handlers.put(Opcode.FFREE, (c, i) -> free(c, i, false));
    Handlers.put(Opcode.FFREEP, (c, i) -> free(c, i, true));
  }

  // ---- availability ----

  /** #NM if there is no FPU to use, or the task's state is not in it. */
  static void checkAvailable(Cpu cpu) {
    if ((cpu.cr0 & (ControlBits.CR0_EM | ControlBits.CR0_TS)) != 0) {
      throw cpu.nm();
    }
  }

  /**
   * The start of an instruction that waits: #NM, or the #MF of an instruction before. Without
   * CR0.NE that is an interrupt controller's matter, and IGNNE# lets execution go on.
   */
  static void checkPending(Cpu cpu) {
    checkAvailable(cpu);
    checkException(cpu);
  }

  private static void checkException(Cpu cpu) {
    if (X87State.isPending(cpu) && (cpu.cr0 & ControlBits.CR0_NE) != 0) {
      throw cpu.exception(Vector.MF);
    }
  }

  private static void fwait(Cpu cpu, Instruction i) {
    long both = ControlBits.CR0_MP | ControlBits.CR0_TS;
    if ((cpu.cr0 & both) == both) {
      throw cpu.nm();
    }
    checkException(cpu);
  }

  // ---- control and status ----

  private static void initialize(Cpu cpu) {
    X87State.setControl(cpu, X87State.DEFAULT_CONTROL);
    X87State.rotate(cpu, -X87State.top(cpu));
    X87State.setStatus(cpu, 0);
    X87State.setTags(cpu, 0);
    X87State.setInstructionPointer(cpu, 0);
    X87State.setDataPointer(cpu, 0);
    X87State.setSelectors(cpu, 0, 0);
    X87State.setOpcode(cpu, 0);
  }

  private static void fninit(Cpu cpu, Instruction i) {
    checkAvailable(cpu);
    initialize(cpu);
  }

  private static void fnclex(Cpu cpu, Instruction i) {
    checkAvailable(cpu);
    int exceptions = X87State.EXCEPTIONS | X87State.STACK_FAULT;
    X87State.setStatus(cpu, X87State.status(cpu) & ~exceptions);
  }

  private static void fnstcw(Cpu cpu, Instruction i) {
    checkAvailable(cpu);
    Operands.write0(cpu, i, X87State.control(cpu));
  }

  private static void fldcw(Cpu cpu, Instruction i) {
    checkPending(cpu);
    X87State.setControl(cpu, (int) Operands.read0(cpu, i));
  }

  private static void fnstsw(Cpu cpu, Instruction i) {
    checkAvailable(cpu);
    Operands.write0(cpu, i, X87State.status(cpu));
  }

  // ---- the stack ----

  private static void turn(Cpu cpu, int by) {
    checkPending(cpu);
    X87State.rotate(cpu, by);
    X87State.setTop(cpu, X87State.top(cpu) + by);
    X87State.setStatus(cpu, X87State.status(cpu) & ~X87State.C1);
  }

  private static void free(Cpu cpu, Instruction i, boolean pop) {
    checkPending(cpu);
    X87State.setEmpty(cpu, i.kind0 == OperandKind.X87 ? i.reg0 : 0);
    if (pop) {
      X87State.pop(cpu);
    }
  }

  // ---- tags ----

  /** The tag word: two bits for each physical register. */
  private static int fullTags(Cpu cpu) {
    int word = 0;
    int top = X87State.top(cpu);
    for (int st = 0; st < 8; st++) {
      word |= tag(cpu, st) << 2 * (top + st & 7);
    }
    return word;
  }

  private static int tag(Cpu cpu, int st) {
    if (X87State.isEmpty(cpu, st)) {
      return 3;
    }
    int e = X87State.exponent(cpu, st);
    long s = X87State.significand(cpu, st);
    if (Float80.isZero(e, s)) {
      return 1;
    }
    boolean normal = (e & 0x7fff) != 0 && (e & 0x7fff) != 0x7fff && s < 0;
    return normal ? 0 : 2;
  }

  private static int abridged(int word) {
    int tags = 0;
    for (int n = 0; n < 8; n++) {
      if ((word >> 2 * n & 3) != 3) {
        tags |= 1 << n;
      }
    }
    return tags;
  }

  // ---- environment ----

  private static boolean isShort(Instruction i) {
    return i.operandSize == 2;
  }

  private static int environmentSize(Instruction i) {
    return isShort(i) ? 14 : 28;
  }

  /** The linear address of the environment or the state, probed. */
  private static long area(Cpu cpu, Instruction i, int size, boolean write) {
    long at = Operands.linear(cpu, i, size, write);
    if (write) {
      cpu.mmu.probeWrite(at, size);
    } else {
      cpu.mmu.probeRead(at, size);
    }
    return at;
  }

  private static void storeEnvironment(Cpu cpu, Instruction i, long at) {
    int control = X87State.control(cpu);
    int status = X87State.status(cpu);
    int tags = fullTags(cpu);
    long ip = X87State.instructionPointer(cpu);
    long dp = X87State.dataPointer(cpu);
    int cs = cpu.fpuCs;
    int ds = cpu.fpuDs;
    int opcode = X87State.opcode(cpu);
    if (!cpu.protectedMode) {
      ip += (long) cs << 4;
      dp += (long) ds << 4;
    }
    if (isShort(i)) {
      cpu.mmu.write16(at, control);
      cpu.mmu.write16(at + 2, status);
      cpu.mmu.write16(at + 4, tags);
      cpu.mmu.write16(at + 6, (int) ip);
      cpu.mmu.write16(at + 8, cpu.protectedMode ? cs : high(ip, 4) | opcode);
      cpu.mmu.write16(at + 10, (int) dp);
      cpu.mmu.write16(at + 12, cpu.protectedMode ? ds : high(dp, 4));
      return;
    }
    cpu.mmu.write32(at, (int) (RESERVED | control));
    cpu.mmu.write32(at + 4, (int) (RESERVED | status));
    cpu.mmu.write32(at + 8, (int) (RESERVED | tags));
    if (cpu.protectedMode) {
      cpu.mmu.write32(at + 12, (int) ip);
      cpu.mmu.write32(at + 16, opcode << 16 | cs);
      cpu.mmu.write32(at + 20, (int) dp);
      cpu.mmu.write32(at + 24, (int) RESERVED | ds);
    } else {
      cpu.mmu.write32(at + 12, (int) (RESERVED | ip & 0xffff));
      cpu.mmu.write32(at + 16, high(ip, 16) | opcode);
      cpu.mmu.write32(at + 20, (int) (RESERVED | dp & 0xffff));
      cpu.mmu.write32(at + 24, high(dp, 16));
    }
  }

  /** Bits 16 and up of a pointer, at bit 12. */
  private static int high(long pointer, int bits) {
    return (int) (pointer >>> 16 & (1 << bits) - 1) << 12;
  }

  private static void loadEnvironment(Cpu cpu, Instruction i, long at) {
    int step = isShort(i) ? 2 : 4;
    int control = cpu.mmu.read16(at);
    int status = cpu.mmu.read16(at + step);
    int tags = cpu.mmu.read16(at + 2 * step);
    long ip;
    long dp;
    int cs = 0;
    int ds = 0;
    int opcode;
    if (cpu.protectedMode) {
      ip = cpu.mmu.read(at + 3 * step, step);
      opcode = isShort(i) ? 0 : cpu.mmu.read16(at + 18);
      dp = cpu.mmu.read(at + 5 * step, step);
      cs = cpu.mmu.read16(at + 4 * step);
      ds = cpu.mmu.read16(at + 6 * step);
    } else {
      int word = (int) cpu.mmu.read(at + 4 * step, step);
      opcode = word;
      ip = cpu.mmu.read16(at + 3 * step) | (word >>> 12 & 0xffffL) << 16;
      dp =
          cpu.mmu.read16(at + 5 * step)
              | (cpu.mmu.read(at + 6 * step, step) >>> 12 & 0xffffL) << 16;
    }
    X87State.rotate(cpu, (status >> 11 & 7) - X87State.top(cpu));
    X87State.setControl(cpu, control);
    X87State.setStatus(cpu, status);
    X87State.setTags(cpu, abridged(tags));
    X87State.setInstructionPointer(cpu, ip);
    X87State.setDataPointer(cpu, dp);
    X87State.setSelectors(cpu, cs, ds);
    X87State.setOpcode(cpu, opcode);
  }

  private static void fnstenv(Cpu cpu, Instruction i) {
    checkAvailable(cpu);
    storeEnvironment(cpu, i, area(cpu, i, environmentSize(i), true));
    X87State.setControl(cpu, X87State.control(cpu) | X87State.EXCEPTIONS);
  }

  private static void fldenv(Cpu cpu, Instruction i) {
    checkPending(cpu);
    loadEnvironment(cpu, i, area(cpu, i, environmentSize(i), false));
  }

  private static void fnsave(Cpu cpu, Instruction i) {
    checkAvailable(cpu);
    int size = environmentSize(i);
    long at = area(cpu, i, size + 80, true);
    storeEnvironment(cpu, i, at);
    for (int st = 0; st < 8; st++) {
      // In words: the area need not be aligned better.
      long to = at + size + 10 * st;
      for (int k = 0; k < 8; k += 2) {
        cpu.mmu.write16(to + k, (int) (X87State.significand(cpu, st) >>> 8 * k));
      }
      cpu.mmu.write16(to + 8, X87State.exponent(cpu, st));
    }
    initialize(cpu);
  }

  private static void frstor(Cpu cpu, Instruction i) {
    checkPending(cpu);
    int size = environmentSize(i);
    long at = area(cpu, i, size + 80, false);
    loadEnvironment(cpu, i, at);
    for (int st = 0; st < 8; st++) {
      long from = at + size + 10 * st;
      long significand = 0;
      for (int k = 6; k >= 0; k -= 2) {
        significand = significand << 16 | cpu.mmu.read16(from + k);
      }
      X87State.setContent(cpu, st, cpu.mmu.read16(from + 8), significand);
    }
  }
}
