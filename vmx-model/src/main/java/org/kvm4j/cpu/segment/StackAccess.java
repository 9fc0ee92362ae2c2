package org.kvm4j.cpu.segment;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;

/**
 * A stack that values are pushed on, the current one or that of another privilege level, such that
 * nothing has changed if a push would fault: {@link #reserve} first makes every check. Also pops
 * that do not move the stack pointer until their caller says so.
 */
public final class StackAccess {
  private final Cpu cpu;
  private final Segment segment;
  private final int cpl;
  private final boolean long64;
  private final long mask;

  /** Whether accesses are those of the current privilege level. */
  private final boolean explicit;

  /** The stack pointer as it becomes with what was pushed or popped. */
  public long sp;

  private StackAccess(
      Cpu cpu, Segment segment, long sp, int cpl, boolean long64, boolean explicit) {
    this.cpu = cpu;
    this.segment = segment;
    this.sp = sp;
    this.cpl = cpl;
    this.long64 = long64;
    this.explicit = explicit;
    this.mask = long64 ? -1L : (segment.ar & Segment.DB) != 0 ? 0xffffffffL : 0xffffL;
  }

  /** The current stack. */
  public static StackAccess current(Cpu cpu) {
    return new StackAccess(cpu, cpu.seg[Cpu.SS], cpu.r[Cpu.RSP], cpu.cpl, cpu.codeSize == 8, true);
  }

  /** The stack of another privilege level, 16- or 32-bit by its segment. */
  public static StackAccess of(Cpu cpu, Segment segment, long sp, int cpl) {
    return new StackAccess(cpu, segment, sp, cpl, false, false);
  }

  /** A stack in 64-bit mode. */
  public static StackAccess of64(Cpu cpu, long sp, int cpl) {
    return new StackAccess(cpu, cpu.seg[Cpu.SS], sp, cpl, true, false);
  }

  /** The stack segment. */
  public Segment segment() {
    return segment;
  }

  private long linear(long offset) {
    return long64 ? offset : segment.base + offset & 0xffffffffL;
  }

  /** Whether bytes of a stack in 64-bit mode have canonical addresses. */
  private boolean isCanonical(long pointer, int size) {
    long linear = explicit ? cpu.masked(pointer) : pointer;
    return cpu.isCanonical(linear) && cpu.isCanonical(linear + size - 1);
  }

  private void check(long offset, int size, int error) {
    boolean fits =
        long64 ? isCanonical(offset, size) : segment.allows(offset, size, true, cpu.protectedMode);
    if (!fits) {
      throw cpu.exception(Vector.SS, error);
    }
  }

  /**
   * Makes sure that values can be pushed.
   *
   * @param count how many
   * @param size bytes of each
   * @param error the error code of #SS
   */
  public void reserve(int count, int size, int error) {
    int total = count * size;
    long low = sp - total & mask;
    if (long64 || low + total - 1 <= mask) {
      check(low, total, error);
      probe(linear(low), total, size);
      return;
    }
    for (int k = 1; k <= count; k++) {
      long at = sp - (long) k * size & mask;
      check(at, size, error);
      probe(linear(at), size, size);
    }
  }

  /** Probes a run of values; their alignment is that of the lowest. */
  private void probe(long linear, int total, int size) {
    if (!explicit) {
      cpu.mmu.probeWriteAs(cpl, linear, total);
      return;
    }
    cpu.mmu.probeWrite(linear, size);
    if (total > size) {
      cpu.mmu.probeWriteAs(cpl, linear, total);
    }
  }

  /** Pushes a value that was reserved for. */
  public void push(int size, long value) {
    long next = sp - size;
    long at = linear(next & mask);
    if (explicit) {
      cpu.mmu.write(at, size, value);
    } else {
      cpu.mmu.writeAs(cpl, at, size, value);
    }
    sp = moved(next);
  }

  /** Pops a value, zero-extended; #SS with error code 0 if it is outside of the segment. */
  public long pop(int size) {
    long value = peek(0, size);
    skip(size);
    return value;
  }

  /** Reads {@code size} bytes at a distance above the stack pointer. */
  public long peek(int distance, int size) {
    long at = sp + distance & mask;
    boolean fits =
        long64 ? isCanonical(at, size) : segment.allows(at, size, false, cpu.protectedMode);
    if (!fits) {
      throw cpu.exception(Vector.SS, 0);
    }
    if (explicit) {
      return cpu.mmu.read(linear(at), size);
    }
    long value = cpu.mmu.readAs(cpl, linear(at), size);
    return size == 8 ? value : value & (1L << size * 8) - 1;
  }

  /** Moves the stack pointer up. */
  public void skip(int bytes) {
    sp = moved(sp + bytes);
  }

  private long moved(long next) {
    return mask == 0xffffL ? sp & ~mask | next & mask : next & mask;
  }
}
