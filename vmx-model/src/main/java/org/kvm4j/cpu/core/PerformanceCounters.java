package org.kvm4j.cpu.core;

import java.util.Arrays;
import org.kvm4j.cpu.profile.CpuModel;

/**
 * The performance counters of architectural performance monitoring, version 2. SDM Vol. 3,
 * "Performance Monitoring", "Architectural Performance Monitoring Version 1" and "Version 2".
 *
 * <p>Nothing counts along with the instructions: the processor knows how many it has retired and
 * what of its budget is used up, and counters take the difference whenever what they count changes
 * ({@link #update}) – by a register, by a privilege level – or somebody reads them. While one
 * counts, the engine's budget ends no later than where it overflows ({@link Cpu#bound}).
 *
 * <p>Counters are numbered as in IA32_PERF_GLOBAL_CTRL: general-purpose ones from 0 on, fixed ones
 * from {@link #FIRST_FIXED} on. Events are instructions retired, and cycles, of which each unit of
 * the budget is one. An instruction counts by the registers and at the privilege level that it
 * begins with.
 */
public final class PerformanceCounters {
  /** The number of the first fixed counter: of instructions retired. */
  public static final int FIRST_FIXED = 32;

  /** Fixed counters: instructions retired, cycles, reference cycles. */
  public static final int FIXED = 3;

  /** General-purpose counters that a processor has at most. */
  public static final int MOST_GENERAL = 8;

  /** Bits of IA32_PERFEVTSELx: those that there are, but AnyThread of later versions. */
  public static final long SELECT_DEFINED = 0xffdf_ffffL;

  /** Bits of IA32_FIXED_CTR_CTRL, likewise. */
  public static final long FIXED_CONTROL_DEFINED = 0xbbb;

  /** Bits of IA32_PERF_GLOBAL_STATUS beside the counters': OvfBuf and CondChgd. */
  public static final long STATUS_OTHERS = 3L << 62;

  /** IA32_DEBUGCTL.FREEZE_LBRS_ON_PMI: the interrupt clears bit 0, LBR. */
  private static final long FREEZE_BRANCHES = 1 << 11;

  /** IA32_DEBUGCTL.FREEZE_PERFMON_ON_PMI. */
  private static final long FREEZE_COUNTERS = 1 << 12;

  /**
   * Bits of IA32_DEBUGCTL that come with the counters. SDM Vol. 3, "Freezing LBR and Performance
   * Counters on PMI".
   */
  public static final long FREEZES = FREEZE_BRANCHES | FREEZE_COUNTERS;

  private static final long RECORD_BRANCHES = 1;

  /** The type of fixed counters in ECX of RDPMC. */
  private static final int TYPE_FIXED = 0x4000;

  private static final int NONE = 63;

  // Bits of IA32_PERFEVTSELx.
  private static final int EVENT = 0xffff;
  private static final long USER = 1 << 16;
  private static final long SYSTEM = 1 << 17;
  private static final long EDGE = 1 << 18;
  private static final long INTERRUPT = 1 << 20;
  private static final long ENABLE = 1 << 22;
  private static final long COUNTER_MASK = 0xffL << 24;

  // Bits of a fixed counter's part of IA32_FIXED_CTR_CTRL.
  private static final int FIXED_SYSTEM = 1;
  private static final int FIXED_USER = 2;
  private static final int FIXED_INTERRUPT = 8;

  // Events with their unit masks.
  private static final int INSTRUCTIONS_RETIRED = 0x00c0;
  private static final int CORE_CYCLES = 0x003c;
  private static final int REFERENCE_CYCLES = 0x013c;

  private final Cpu cpu;
  private final int general;
  private final int bits;

  private final long[] value = new long[FIRST_FIXED + FIXED];
  private final long[] select = new long[MOST_GENERAL];
  private long fixedControl;
  private long globalControl;
  private long status;

  // What follows from the registers and the privilege level.

  /** The privilege level that it follows from. */
  int level;

  /** Counters that count at some privilege level. */
  private long enabled;

  /** Counters that count instructions now, and those that count cycles. */
  private long ofInstructions;

  private long ofCycles;

  /** What the processor had retired and used up when the counters took the difference. */
  private long retired;

  private long elapsed;

  PerformanceCounters(Cpu cpu) {
    this.cpu = cpu;
    this.general = cpu.model.performanceCounters();
    this.bits = cpu.model.performanceCounterBits();
  }

  /** The bits of IA32_PERF_GLOBAL_CTRL that a processor has: one for each counter. */
  public static long defined(CpuModel model) {
    int general = model.performanceCounters();
    return general == 0 ? 0 : (1L << general) - 1 | (1L << FIXED) - 1 << FIRST_FIXED;
  }

  /** Values after reset: general-purpose counters are enabled globally. INIT keeps them all. */
  void reset() {
    Arrays.fill(value, 0);
    Arrays.fill(select, 0);
    fixedControl = 0;
    globalControl = (1L << general) - 1;
    status = 0;
    update();
  }

  // ---- registers

  /**
   * The counter that ECX names for RDPMC: its type in bits 31:16, its index in the others. Without
   * one of such a type or index a number that is none's.
   */
  public static int ofIndex(int ecx) {
    int index = ecx & 0xffff;
    return switch (ecx >>> 16) {
      case 0 -> index < FIRST_FIXED ? index : NONE;
      case TYPE_FIXED -> index < FIXED ? FIRST_FIXED + index : NONE;
      default -> NONE;
    };
  }

  /** Whether there is a counter of a number. */
  public boolean has(int counter) {
    return (defined(cpu.model) >>> counter & 1) != 0;
  }

  /** The bits that a counter has. */
  public long mask() {
    return (1L << bits) - 1;
  }

  /** IA32_PMCx or IA32_FIXED_CTRx. */
  public long read(int counter) {
    update();
    return value[counter];
  }

  public void write(int counter, long v) {
    update();
    value[counter] = v & mask();
    update();
  }

  /** IA32_PERFEVTSELx. */
  public long select(int counter) {
    return select[counter];
  }

  public void setSelect(int counter, long v) {
    select[counter] = v;
    update();
  }

  /** IA32_FIXED_CTR_CTRL. */
  public long fixedControl() {
    return fixedControl;
  }

  public void setFixedControl(long v) {
    fixedControl = v;
    update();
  }

  /** IA32_PERF_GLOBAL_CTRL. */
  public long globalControl() {
    return globalControl;
  }

  public void setGlobalControl(long v) {
    globalControl = v;
    update();
  }

  /** IA32_PERF_GLOBAL_STATUS. */
  public long status() {
    update();
    return status;
  }

  /** IA32_PERF_GLOBAL_OVF_CTRL. */
  public void clearStatus(long bits) {
    update();
    status &= ~bits;
  }

  // ---- counting

  /** The privilege level has changed. */
  void levelChanged() {
    if (enabled != 0) {
      update();
    } else {
      level = cpu.cpl;
    }
  }

  /** Whether a counter is enabled, and counts at some privilege level. */
  public boolean isEnabled() {
    return enabled != 0;
  }

  /** Whether a counter counts now. */
  boolean isCounting() {
    return (ofInstructions | ofCycles) != 0;
  }

  /**
   * Counters take what has happened since they last did, overflow, and count from now on by the
   * registers and at the privilege level as they are now. Between instructions, or where an
   * instruction knows that the budget is exact.
   */
  public void update() {
    long retiredNow = cpu.retired();
    long elapsedNow = cpu.elapsed();
    long overflowed =
        count(ofInstructions, retiredNow - retired) | count(ofCycles, elapsedNow - elapsed);
    retired = retiredNow;
    elapsed = elapsedNow;
    if (overflowed != 0) {
      overflow(overflowed);
    }
    follow();
  }

  /**
   * Adds to counters.
   *
   * @return those that overflow
   */
  private long count(long counters, long by) {
    long overflowed = 0;
    for (long rest = counters; rest != 0; rest &= rest - 1) {
      int n = Long.numberOfTrailingZeros(rest);
      value[n] += by;
      if (value[n] > mask()) {
        value[n] &= mask();
        overflowed |= 1L << n;
      }
    }
    return overflowed;
  }

  private void overflow(long counters) {
    status |= counters;
    for (long rest = counters; rest != 0; rest &= rest - 1) {
      if (interrupts(Long.numberOfTrailingZeros(rest))) {
        if ((cpu.msr.debugCtl & FREEZE_COUNTERS) != 0) {
          globalControl = 0;
        }
        if ((cpu.msr.debugCtl & FREEZE_BRANCHES) != 0) {
          cpu.msr.debugCtl &= ~RECORD_BRANCHES;
        }
        cpu.platform.performanceInterrupt();
        return;
      }
    }
  }

  /** Whether a counter's overflow is told of by an interrupt. */
  private boolean interrupts(int counter) {
    return counter < FIRST_FIXED
        ? (select[counter] & INTERRUPT) != 0
        : (fixed(counter) & FIXED_INTERRUPT) != 0;
  }

  /** A fixed counter's part of IA32_FIXED_CTR_CTRL. */
  private int fixed(int counter) {
    return (int) (fixedControl >>> 4 * (counter - FIRST_FIXED)) & 15;
  }

  /** Finds out what counts now, and how much may happen until one overflows. */
  private void follow() {
    level = cpu.cpl;
    enabled = 0;
    ofInstructions = 0;
    ofCycles = 0;
    long most = Long.MAX_VALUE;
    for (long rest = globalControl; rest != 0; rest &= rest - 1) {
      int n = Long.numberOfTrailingZeros(rest);
      int event = event(n);
      long levels = levels(n);
      if (event == 0 || levels == 0) {
        continue;
      }
      enabled |= 1L << n;
      if ((levels & (level == 0 ? SYSTEM : USER)) != 0) {
        if (event == INSTRUCTIONS_RETIRED) {
          ofInstructions |= 1L << n;
        } else {
          ofCycles |= 1L << n;
        }
        most = Math.min(most, mask() + 1 - value[n]);
      }
    }
    cpu.bound(most);
  }

  /**
   * The event that a counter counts, 0 for none: it may not be enabled, or wait for a number of
   * occurrences in one cycle, which no event has here, or for an edge.
   */
  private int event(int counter) {
    if (counter >= FIRST_FIXED) {
      return counter == FIRST_FIXED ? INSTRUCTIONS_RETIRED : CORE_CYCLES;
    }
    long s = select[counter];
    if ((s & ENABLE) == 0 || (s & (EDGE | COUNTER_MASK)) != 0) {
      return 0;
    }
    return switch ((int) s & EVENT) {
      case INSTRUCTIONS_RETIRED -> INSTRUCTIONS_RETIRED;
      case CORE_CYCLES, REFERENCE_CYCLES -> CORE_CYCLES;
      default -> 0;
    };
  }

  /** The privilege levels that a counter counts at: {@link #SYSTEM}, {@link #USER}. */
  private long levels(int counter) {
    if (counter < FIRST_FIXED) {
      return select[counter] & (SYSTEM | USER);
    }
    int control = fixed(counter);
    return ((control & FIXED_SYSTEM) != 0 ? SYSTEM : 0) | ((control & FIXED_USER) != 0 ? USER : 0);
  }
}
