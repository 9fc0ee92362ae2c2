package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Mmu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;

/**
 * Instructions that read their first operand, compute and write it back, locked or not. The fault
 * of a memory operand is the write's and comes first; registers and flags change only when the
 * store is done.
 */
public final class Update {
  private Update() {}

  /** What is computed: a result of {@code size} bytes, and lazy flags. */
  @FunctionalInterface
  public interface Operation {
    long apply(Cpu cpu, int size, long a, long b);
  }

  /**
   * The handler of an instruction that is an {@link Operation} on its first operand, and the second
   * if there is one. Engines look into it, to have forms of their own.
   */
  public static final class Updating implements Handler {
    /** What it computes. */
    public final Operation operation;

    /** Whether the result goes to the first operand; otherwise it only sets flags. */
    public final boolean writes;

    private final boolean binary;

    private Updating(Operation operation, boolean binary, boolean writes) {
      this.operation = operation;
      this.binary = binary;
      this.writes = writes;
    }

    @Override
    public void execute(Cpu cpu, Instruction i) {
      if (writes) {
        operand0(cpu, i, operation, binary ? Operands.read1(cpu, i) : 0);
      } else {
        long a = Operands.read0(cpu, i);
        operation.apply(cpu, i.size0, a, Operands.read1(cpu, i));
      }
    }
  }

  /** A handler for {@code operation} on two operands, of which only the flags remain. */
  static Handler compare(Operation operation) {
    return new Updating(operation, true, false);
  }

  /** A handler for {@code operation} on the first and the second operand. */
  static Handler binary(Operation operation) {
    return new Updating(operation, true, true);
  }

  /** A handler for {@code operation} on the first operand alone. */
  static Handler unary(Operation operation) {
    return new Updating(operation, false, true);
  }

  /**
   * Updates the first operand.
   *
   * @return what it was, zero-extended
   */
  static long operand0(Cpu cpu, Instruction i, Operation operation, long b) {
    int size = i.size0;
    if (i.kind0 == OperandKind.MEMORY) {
      long linear = Operands.linear(cpu, i, size, true);
      return memory(cpu, linear, size, i.lock, operation, b);
    }
    long a = Operands.read0(cpu, i);
    Operands.write0(cpu, i, operation.apply(cpu, size, a, b));
    return a;
  }

  /**
   * Updates memory.
   *
   * @return what it was, zero-extended
   */
  public static long memory(
      Cpu cpu, long linear, int size, boolean lock, Operation operation, long b) {
    Mmu mmu = cpu.mmu;
    mmu.probeWrite(linear, size);
    long flagResult = cpu.flagResult;
    long flagAux = cpu.flagAux;
    long a = mmu.read(linear, size);
    if (!lock || !mmu.isRam(linear, size)) {
      store(cpu, linear, size, operation.apply(cpu, size, a, b), flagResult, flagAux);
      return a;
    }
    while (true) {
      long next = operation.apply(cpu, size, a, b);
      long found = mmu.compareAndExchange(linear, size, a, next);
      if (found == a) {
        return a;
      }
      a = found;
      cpu.flagResult = flagResult;
      cpu.flagAux = flagAux;
    }
  }

  /** Stores a result that was computed already; if that fails, the flags are as they were. */
  static void store(Cpu cpu, long linear, int size, long value, long flagResult, long flagAux) {
    try {
      cpu.mmu.write(linear, size, value);
    } catch (RuntimeException e) {
      cpu.flagResult = flagResult;
      cpu.flagAux = flagAux;
      throw e;
    }
  }

  /**
   * Puts a value into memory in one locked access.
   *
   * @return what was there, zero-extended
   */
  public static long exchange(Cpu cpu, long linear, int size, long value) {
    Mmu mmu = cpu.mmu;
    mmu.probeWrite(linear, size);
    long old = mmu.read(linear, size);
    if (!mmu.isRam(linear, size)) {
      mmu.write(linear, size, value);
      return old;
    }
    while (true) {
      long found = mmu.compareAndExchange(linear, size, old, value);
      if (found == old) {
        return old;
      }
      old = found;
    }
  }
}
