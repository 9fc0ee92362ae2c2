package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * What flags become of the operands that are kept, with values worked out by hand.
 *
 * <p>Source: SDM volume 2, "Flags Affected" of each instruction.
 */
final class LazyFlagsTests {
  private final Cpu cpu = SystemMachine.long64(0).cpu;

  /** The flags after an operation, of those that it defines; all were set, or none, before. */
  private int settle(int before, int operation, int size, long a, long b) {
    cpu.setLazyFlags(before);
    LazyFlags.settle(cpu, LazyFlags.kind(operation, size), a, b);
    return cpu.lazyFlags();
  }

  private void expect(int flags, int operation, int size, long a, long b) {
    assertEquals(flags, settle(0, operation, size, a, b));
    assertEquals(flags, settle(Flags.ARITHMETIC, operation, size, a, b));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 4, 8})
  void theyAreThoseOfTheOperationAtItsSize(int size) {
    long ones = -1L >>> 64 - 8 * size;
    long sign = ones ^ ones >>> 1;
    int evenUnlessByte = size == 1 ? 0 : Flags.PF;
    expect(Flags.CF | Flags.ZF | Flags.AF | Flags.PF, LazyFlags.ADD, size, ones, 1);
    expect(Flags.OF | Flags.SF | Flags.AF | evenUnlessByte, LazyFlags.ADD, size, sign - 1, 1);
    expect(Flags.CF | Flags.SF | Flags.AF | Flags.PF, LazyFlags.SUB, size, 0, 1);
    expect(Flags.ZF | Flags.PF, LazyFlags.SUB, size, sign, sign);
    expect(Flags.SF | evenUnlessByte, LazyFlags.LOGIC, size, sign, 0);
    // Shifts leave AF undefined.
    assertEquals(
        Flags.CF | Flags.OF, settle(0, LazyFlags.SHL, size, sign | 1, 1) & ~Flags.AF, "SHL");
    assertEquals(
        Flags.OF | evenUnlessByte, settle(0, LazyFlags.SHR, size, sign, 1) & ~Flags.AF, "SHR");
    assertEquals(
        Flags.CF | Flags.SF | Flags.PF,
        settle(0, LazyFlags.SAR, size, sign | 1, 1) & ~Flags.AF,
        "SAR");
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 4, 8})
  void incAndDecKeepTheCarry(int size) {
    long ones = -1L >>> 64 - 8 * size;
    for (int carry : new int[] {0, Flags.CF}) {
      assertEquals(
          carry | Flags.ZF | Flags.AF | Flags.PF, settle(carry, LazyFlags.INC, size, ones, 0));
      assertEquals(
          carry | Flags.SF | Flags.AF | Flags.PF, settle(carry, LazyFlags.DEC, size, 0, 0));
    }
  }

  /** CF and OF are set where the product is not as wide as the operands. */
  @Test
  void imulTellsWhetherTheProductFits() {
    int wide = Flags.CF | Flags.OF;
    assertEquals(wide, settle(0, LazyFlags.IMUL, 4, 1 << 30, 2) & wide);
    assertEquals(0, settle(wide, LazyFlags.IMUL, 8, 1 << 30, 2) & wide);
    assertEquals(wide, settle(0, LazyFlags.IMUL, 8, 1L << 62, 2) & wide);
    assertEquals(0, settle(wide, LazyFlags.IMUL, 4, 0xffff_ffffL, 2) & wide, "-1 by 2");
  }

  @Test
  void flagsThatAreSettledStay() {
    assertEquals(0, LazyFlags.operation(LazyFlags.SETTLED));
    for (int flags : new int[] {0, Flags.ARITHMETIC, Flags.CF | Flags.SF}) {
      cpu.setLazyFlags(flags);
      LazyFlags.settle(cpu, LazyFlags.SETTLED, -1, 1);
      assertEquals(flags, cpu.lazyFlags());
    }
  }
}
