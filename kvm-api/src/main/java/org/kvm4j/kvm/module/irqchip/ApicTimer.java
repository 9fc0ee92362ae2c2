package org.kvm4j.kvm.module.irqchip;

/**
 * The timer of a local APIC: one-shot, periodic, or by a deadline of the time-stamp counter.
 * Source: SDM 12.5.4 "APIC Timer"; the bus clock is KVM's, 1 GHz, and so is the shortest period
 * (Linux 6.1 min_timer_period_us).
 */
final class ApicTimer {
  private static final int ONE_SHOT = 0;
  private static final int PERIODIC = 1 << 17;
  private static final int TSC_DEADLINE = 2 << 17;

  /** A guest cannot keep its host busy with shorter ones. */
  private static final long SHORTEST_PERIOD = 200_000;

  private final ApicPage page;
  private final ApicOwner owner;
  private final TimerQueue queue;
  private final TimerQueue.Timer timer;
  private final Runnable expired;

  /** The mode bits that LVT_TIMER has: none before the guest's CPUID is known. */
  private int modeMask;

  private int mode;
  private int divisor = 2;

  /** Of periodic and one-shot mode: the initial count, in ns; 0 if the timer is stopped. */
  private long period;

  /** When the count reaches 0. */
  private long target;

  private long tscDeadline;

  /**
   * @param expired the count has reached 0, or the deadline is there
   */
  ApicTimer(ApicPage page, ApicOwner owner, TimerQueue queue, Runnable expired) {
    this.page = page;
    this.owner = owner;
    this.queue = queue;
    this.expired = expired;
    this.timer = queue.timer(this::expire);
  }

  /** Whether the guest's CPUID has TSC-deadline mode. */
  void setModes(boolean deadline) {
    modeMask = deadline ? PERIODIC | TSC_DEADLINE : PERIODIC;
  }

  int modeMask() {
    return modeMask;
  }

  /** LVT_TIMER was written. */
  void lvtChanged() {
    int now = page.get(ApicPage.LVT_TIMER) & modeMask;
    if (now == mode) {
      return;
    }
    if ((now == TSC_DEADLINE) != (mode == TSC_DEADLINE)) {
      timer.cancel();
      page.set(ApicPage.INITIAL_COUNT, 0);
      period = 0;
      tscDeadline = 0;
    }
    mode = now;
    limit();
  }

  private void limit() {
    if (mode == PERIODIC && period != 0 && period < SHORTEST_PERIOD) {
      period = SHORTEST_PERIOD;
    }
  }

  private long nanos(int count) {
    return (count & 0xffffffffL) * divisor;
  }

  /** The initial count was written. */
  void setInitialCount(int count) {
    if (mode == TSC_DEADLINE) {
      return;
    }
    page.set(ApicPage.INITIAL_COUNT, count);
    period = nanos(count);
    limit();
    start(period);
  }

  /** Starts a one-shot or periodic count that has this long to go. */
  private void start(long remaining) {
    timer.cancel();
    if (period != 0) {
      target = queue.now() + remaining;
      timer.arm(target);
    }
  }

  /** The divide configuration was written. */
  void divideChanged() {
    int old = divisor;
    int bits = page.get(ApicPage.DIVIDE_CONFIGURATION);
    divisor = 1 << ((bits & 3 | (bits & 8) >> 1) + 1 & 7);
    if (divisor == old || period == 0) {
      return;
    }
    period = nanos(page.get(ApicPage.INITIAL_COUNT));
    limit();
    if (timer.isArmed()) {
      long left = Math.max(0, target - queue.now());
      start(left / old * divisor + left % old * divisor / old);
    }
  }

  /** The current count. */
  int currentCount() {
    if (mode == TSC_DEADLINE || page.get(ApicPage.INITIAL_COUNT) == 0 || period == 0) {
      return 0;
    }
    return (int) (Math.max(0, target - queue.now()) % period / divisor);
  }

  /** IA32_TSC_DEADLINE; 0 in the other modes. */
  long tscDeadline() {
    return mode == TSC_DEADLINE ? tscDeadline : 0;
  }

  /** A write of IA32_TSC_DEADLINE; without an effect in the other modes. */
  void setTscDeadline(long value) {
    if (mode == TSC_DEADLINE) {
      tscDeadline = value;
      tscChanged();
    }
  }

  /** The guest's time-stamp counter was set, or the deadline. */
  void tscChanged() {
    if (mode != TSC_DEADLINE) {
      return;
    }
    timer.cancel();
    if (tscDeadline == 0) {
      return;
    }
    long tsc = owner.tsc();
    if (Long.compareUnsigned(tscDeadline, tsc) <= 0) {
      expire();
      return;
    }
    long now = queue.now();
    long wait = owner.nanos(tscDeadline - tsc);
    // What is more than centuries away never comes.
    timer.arm(wait < 0 || wait > TimerQueue.NEVER - 1 - now ? TimerQueue.NEVER - 1 : now + wait);
  }

  private void expire() {
    expired.run();
    switch (mode) {
      case PERIODIC -> {
        // Periods that were missed are not made up for.
        target = Math.max(target + period, queue.now());
        timer.arm(target);
      }
      case ONE_SHOT, TSC_DEADLINE -> tscDeadline = 0;
      default -> {}
    }
  }

  void reset() {
    timer.cancel();
    period = 0;
    tscDeadline = 0;
    lvtChanged();
    divideChanged();
  }

  /** Takes its state from registers that user space has set; the current count goes on. */
  void restore() {
    timer.cancel();
    period = 0;
    lvtChanged();
    divideChanged();
    if (mode != TSC_DEADLINE) {
      period = nanos(page.get(ApicPage.INITIAL_COUNT));
      limit();
      long left = nanos(page.get(ApicPage.CURRENT_COUNT));
      start(left > period || (left == 0 && mode == PERIODIC) ? period : left);
    } else {
      tscChanged();
    }
    page.set(ApicPage.CURRENT_COUNT, 0);
  }
}
