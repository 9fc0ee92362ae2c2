package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.Cpu.ES;
import static org.kvm4j.cpu.core.Cpu.FS;
import static org.kvm4j.cpu.core.Cpu.RAX;
import static org.kvm4j.cpu.core.Cpu.RCX;
import static org.kvm4j.cpu.core.Cpu.RDI;
import static org.kvm4j.cpu.core.Cpu.RSI;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.event.DebugUnit;

/**
 * String instructions in memory. A repeated one updates rSI, rDI and rCX (and the flags) after each
 * iteration, so that a fault in the middle finds them as after the iterations that are done; it
 * stops between iterations when something asks for attention, with RIP still at itself. Runs of
 * MOVS and STOS within pages of plain memory are done at once.
 *
 * <p>With a count of 0 nothing changes, not even the upper halves of registers with 32-bit
 * addresses in 64-bit mode. CMPS reads its second operand, at ES:rDI, first.
 */
final class Strings {
  private static final int PAGE = 4096;

  private Strings() {}

  static void register() {
    Handlers.put(Opcode.MOVS, Strings::movs);
    Handlers.put(Opcode.STOS, Strings::stos);
    Handlers.put(Opcode.LODS, Strings::lods);
    Handlers.put(Opcode.CMPS, Strings::cmps);
    Handlers.put(Opcode.SCAS, Strings::scas);
  }

  // ---- iterations ----

  /** The distance from one element to the next. */
  private static int step(Cpu cpu, int size) {
    return (cpu.flagsRest & Flags.DF) == 0 ? size : -size;
  }

  private static void advance(Cpu cpu, int reg, int addressSize, long distance) {
    Operands.setGpr(cpu, reg, addressSize, cpu.r[reg] + distance);
  }

  private static long source(Cpu cpu, Instruction i, int size) {
    return cpu.linear(i.segment, Operands.gpr(cpu, RSI, i.addressSize), size, false);
  }

  private static long destination(Cpu cpu, Instruction i, int size, boolean write) {
    return cpu.linear(ES, Operands.gpr(cpu, RDI, i.addressSize), size, write);
  }

  /** Whether something wants to be looked at after each iteration. */
  private static boolean watched(Cpu cpu) {
    return cpu.attention != 0 || DebugUnit.stopsIterations(cpu);
  }

  /**
   * After iterations other than the last: whether to stop before the next, so that RIP is that of
   * the instruction again.
   *
   * @param units of the budget that they take
   */
  static boolean interrupted(Cpu cpu, int units) {
    cpu.charge(units);
    if (cpu.countdown >= 0 && !watched(cpu)) {
      return false;
    }
    cpu.rip = cpu.instructionRip;
    cpu.repeating = true;
    return true;
  }

  /** What going on into another page takes of the budget: a unit for each 64 bytes of a page. */
  private static final int PAGE_UNITS = 64;

  /**
   * As {@link #interrupted(Cpu, int)}, of instructions that do many elements at once. What is
   * charged is by where the elements are, so that it is the same whether they were done at once or
   * one by one: nothing, but where what follows is in another page.
   *
   * @param before what RDI was
   */
  private static boolean passed(Cpu cpu, int addressSize, long before) {
    boolean samePage = (Operands.gpr(cpu, RDI, addressSize) ^ before) >>> 12 == 0;
    return interrupted(cpu, samePage ? 0 : PAGE_UNITS);
  }

  /**
   * How many elements, from a first one on, lie in one page and in the address space of offsets.
   *
   * @param linear the first element's linear address
   * @param offset its offset
   * @param limit at most so many
   */
  private static long run(
      long linear, long offset, int size, boolean down, int addressSize, long limit) {
    int inPage = (int) linear & PAGE - 1;
    if (inPage + size > PAGE) {
      return 0;
    }
    int shift = Integer.numberOfTrailingZeros(size);
    long count = down ? (inPage >> shift) + 1 : PAGE - inPage >> shift;
    if (addressSize != 8) {
      long space = addressSize == 2 ? 0x10000 : 0x100000000L;
      count = Math.min(count, down ? (offset >> shift) + 1 : space - offset >> shift);
    }
    return Long.compareUnsigned(count, limit) < 0 ? count : limit;
  }

  /** The linear address in a segment, unchecked. */
  private static long unchecked(Cpu cpu, int segment, long offset) {
    if (cpu.codeSize == 8) {
      return segment >= FS ? cpu.seg[segment].base + offset : offset;
    }
    return cpu.seg[segment].base + offset & 0xffffffffL;
  }

  /** Whether the segment allows access to all bytes of a run. */
  private static boolean allows(
      Cpu cpu, int segment, long offset, long length, boolean down, int size, boolean write) {
    return cpu.codeSize == 8
        || cpu.seg[segment].allows(
            down ? offset - length + size : offset, (int) length, write, cpu.protectedMode);
  }

  /**
   * How many elements from RDI on may be accessed at once, of {@code count} at most; 0 if fewer
   * than two.
   */
  private static long runOfDestination(
      Cpu cpu, Instruction i, int size, boolean down, long count, boolean write) {
    long offset = Operands.gpr(cpu, RDI, i.addressSize);
    long n = run(unchecked(cpu, ES, offset), offset, size, down, i.addressSize, count);
    return n < 2 || !allows(cpu, ES, offset, n * size, down, size, write) ? 0 : n;
  }

  /** The same from RSI on, which is read, and from RDI on. */
  private static long runOfBoth(
      Cpu cpu, Instruction i, int size, boolean down, long count, boolean write) {
    long offset = Operands.gpr(cpu, RSI, i.addressSize);
    long n = run(unchecked(cpu, i.segment, offset), offset, size, down, i.addressSize, count);
    n = runOfDestination(cpu, i, size, down, n, write);
    return n < 2 || !allows(cpu, i.segment, offset, n * size, down, size, false) ? 0 : n;
  }

  // ---- MOVS ----

  private static void movs(Cpu cpu, Instruction i) {
    int size = i.size0;
    int step = step(cpu, size);
    if (!i.rep && !i.repne) {
      move(cpu, i, size, step);
      return;
    }
    int addressSize = i.addressSize;
    while (true) {
      long count = Operands.gpr(cpu, RCX, addressSize);
      if (count == 0) {
        return;
      }
      long before = Operands.gpr(cpu, RDI, addressSize);
      long done = watched(cpu) ? 0 : moveRun(cpu, i, size, step, count);
      if (done == 0) {
        move(cpu, i, size, step);
        done = 1;
      }
      advance(cpu, RCX, addressSize, -done);
      if (done == count || passed(cpu, addressSize, before)) {
        return;
      }
    }
  }

  private static void move(Cpu cpu, Instruction i, int size, int step) {
    long value = cpu.mmu.read(source(cpu, i, size), size);
    cpu.mmu.write(destination(cpu, i, size, true), size, value);
    advance(cpu, RSI, i.addressSize, step);
    advance(cpu, RDI, i.addressSize, step);
  }

  /** Moves a run of elements at once and returns how many; 0 if that is not possible. */
  private static long moveRun(Cpu cpu, Instruction i, int size, int step, long count) {
    int addressSize = i.addressSize;
    boolean down = step < 0;
    long n = runOfBoth(cpu, i, size, down, count, true);
    if (n == 0) {
      return 0;
    }
    long from = unchecked(cpu, i.segment, Operands.gpr(cpu, RSI, addressSize));
    long to = unchecked(cpu, ES, Operands.gpr(cpu, RDI, addressSize));
    long length = n * size;
    int moved;
    if (down) {
      long back = length - size;
      moved = cpu.mmu.moveDown(to - back, from - back, (int) length) ? (int) length : 0;
    } else {
      moved = cpu.mmu.moveUp(to, from, (int) length, size);
    }
    n = moved / size;
    advance(cpu, RSI, addressSize, n * step);
    advance(cpu, RDI, addressSize, n * step);
    return n;
  }

  // ---- STOS ----

  private static void stos(Cpu cpu, Instruction i) {
    int size = i.size0;
    int step = step(cpu, size);
    if (!i.rep && !i.repne) {
      store(cpu, i, size, step);
      return;
    }
    int addressSize = i.addressSize;
    while (true) {
      long count = Operands.gpr(cpu, RCX, addressSize);
      if (count == 0) {
        return;
      }
      long before = Operands.gpr(cpu, RDI, addressSize);
      long done = watched(cpu) ? 0 : storeRun(cpu, i, size, step, count);
      if (done == 0) {
        store(cpu, i, size, step);
        done = 1;
      }
      advance(cpu, RCX, addressSize, -done);
      if (done == count || passed(cpu, addressSize, before)) {
        return;
      }
    }
  }

  /** Eight bytes of the accumulator again and again. */
  private static long pattern(Cpu cpu, int size) {
    return switch (size) {
      case 1 -> (cpu.r[RAX] & 0xff) * 0x0101010101010101L;
      case 2 -> (cpu.r[RAX] & 0xffff) * 0x0001000100010001L;
      case 4 -> (cpu.r[RAX] & 0xffffffffL) * 0x0000000100000001L;
      default -> cpu.r[RAX];
    };
  }

  private static void store(Cpu cpu, Instruction i, int size, int step) {
    cpu.mmu.write(destination(cpu, i, size, true), size, cpu.r[RAX]);
    advance(cpu, RDI, i.addressSize, step);
  }

  /** Stores a run of elements at once and returns how many; 0 if that is not possible. */
  private static long storeRun(Cpu cpu, Instruction i, int size, int step, long count) {
    int addressSize = i.addressSize;
    boolean down = step < 0;
    long n = runOfDestination(cpu, i, size, down, count, true);
    if (n == 0) {
      return 0;
    }
    long to = unchecked(cpu, ES, Operands.gpr(cpu, RDI, addressSize));
    long length = n * size;
    if (!cpu.mmu.fill(down ? to - length + size : to, (int) length, pattern(cpu, size))) {
      return 0;
    }
    advance(cpu, RDI, addressSize, n * step);
    return n;
  }

  // ---- LODS ----

  private static void lods(Cpu cpu, Instruction i) {
    int size = i.size0;
    int step = step(cpu, size);
    boolean repeat = i.rep || i.repne;
    int addressSize = i.addressSize;
    while (true) {
      long count = repeat ? Operands.gpr(cpu, RCX, addressSize) : 1;
      if (count == 0) {
        return;
      }
      Operands.setGpr(cpu, RAX, size, cpu.mmu.read(source(cpu, i, size), size));
      advance(cpu, RSI, addressSize, step);
      if (!repeat) {
        return;
      }
      advance(cpu, RCX, addressSize, -1);
      if (count == 1 || interrupted(cpu, 1)) {
        return;
      }
    }
  }

  // ---- CMPS and SCAS ----

  private static void cmps(Cpu cpu, Instruction i) {
    int size = i.size0;
    int step = step(cpu, size);
    boolean repeat = i.rep || i.repne;
    int addressSize = i.addressSize;
    while (true) {
      long count = repeat ? Operands.gpr(cpu, RCX, addressSize) : 1;
      if (count == 0) {
        return;
      }
      long before = Operands.gpr(cpu, RDI, addressSize);
      if (repeat && count > 2 && !watched(cpu)) {
        long same = sameRun(cpu, i, size, step, count - 1);
        if (same > 0) {
          advance(cpu, RSI, addressSize, same * step);
          advance(cpu, RDI, addressSize, same * step);
          advance(cpu, RCX, addressSize, -same);
          Alu.sub(cpu, size, 0, 0);
          if (passed(cpu, addressSize, before)) {
            return;
          }
          continue;
        }
      }
      long b = cpu.mmu.read(destination(cpu, i, size, false), size);
      long a = cpu.mmu.read(source(cpu, i, size), size);
      Alu.sub(cpu, size, a, b);
      advance(cpu, RSI, addressSize, step);
      advance(cpu, RDI, addressSize, step);
      if (!repeat) {
        return;
      }
      advance(cpu, RCX, addressSize, -1);
      if (count == 1 || (a == b) != i.rep || passed(cpu, addressSize, before)) {
        return;
      }
    }
  }

  private static void scas(Cpu cpu, Instruction i) {
    int size = i.size0;
    int step = step(cpu, size);
    boolean repeat = i.rep || i.repne;
    int addressSize = i.addressSize;
    long a = Operands.gpr(cpu, RAX, size);
    while (true) {
      long count = repeat ? Operands.gpr(cpu, RCX, addressSize) : 1;
      if (count == 0) {
        return;
      }
      long before = Operands.gpr(cpu, RDI, addressSize);
      if (repeat && count > 2 && !watched(cpu)) {
        long over = scanRun(cpu, i, size, step, count - 1);
        if (over > 0) {
          advance(cpu, RDI, addressSize, over * step);
          advance(cpu, RCX, addressSize, -over);
          if (passed(cpu, addressSize, before)) {
            return;
          }
          continue;
        }
      }
      long b = cpu.mmu.read(destination(cpu, i, size, false), size);
      Alu.sub(cpu, size, a, b);
      advance(cpu, RDI, addressSize, step);
      if (!repeat) {
        return;
      }
      advance(cpu, RCX, addressSize, -1);
      if (count == 1 || (a == b) != i.rep || passed(cpu, addressSize, before)) {
        return;
      }
    }
  }

  /**
   * How many elements REPE CMPS finds equal at once, each of which it goes on after; 0 if that
   * cannot be told at once. Flags are what the last equal one leaves, whichever that is.
   */
  private static long sameRun(Cpu cpu, Instruction i, int size, int step, long count) {
    if (!i.rep || step < 0) {
      return 0;
    }
    long n = runOfBoth(cpu, i, size, false, count, false);
    if (n == 0) {
      return 0;
    }
    long from = unchecked(cpu, i.segment, Operands.gpr(cpu, RSI, i.addressSize));
    long to = unchecked(cpu, ES, Operands.gpr(cpu, RDI, i.addressSize));
    return cpu.mmu.same(from, to, (int) n * size) / size;
  }

  /**
   * How many elements a repeated SCAS goes on after at once; 0 if that cannot be told at once. At
   * least one more follows, which sets the flags: so long nobody can see them but an event.
   */
  private static long scanRun(Cpu cpu, Instruction i, int size, int step, long count) {
    if (step < 0 || !i.rep && size != 1) {
      return 0;
    }
    long n = runOfDestination(cpu, i, size, false, count, false);
    if (n == 0) {
      return 0;
    }
    long from = unchecked(cpu, ES, Operands.gpr(cpu, RDI, i.addressSize));
    long length = n * size;
    if (i.rep) {
      long same = cpu.mmu.same(from, (int) length, pattern(cpu, size)) / size;
      if (same > 0) {
        Alu.sub(cpu, size, 0, 0);
      }
      return same;
    }
    long passed = cpu.mmu.find(from, (int) length, (int) cpu.r[RAX] & 0xff);
    if (passed > 0) {
      Alu.sub(cpu, 1, cpu.r[RAX] & 0xff, cpu.mmu.read8(from + passed - 1));
    }
    return passed;
  }
}
