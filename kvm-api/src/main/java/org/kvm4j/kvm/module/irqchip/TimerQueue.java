package org.kvm4j.kvm.module.irqchip;

import java.util.Comparator;
import java.util.TreeSet;
import java.util.function.LongSupplier;

/**
 * What is to happen at given times of a VM's clock. Timers that are due at the same time go off in
 * the order in which they were made. Guarded by the lock of the chips that use it, except for
 * {@link #next}.
 */
public final class TimerQueue {
  /** The time of what is not to happen. */
  public static final long NEVER = Long.MAX_VALUE;

  private final LongSupplier clock;
  private final Runnable earlier;
  private final TreeSet<Timer> armed =
      new TreeSet<>(
          Comparator.<Timer>comparingLong(t -> t.deadline).thenComparingInt(t -> t.order));
  private int timers;
  private volatile long next = NEVER;

  /**
   * @param clock the VM's time in ns
   * @param earlier told when {@link #next} has become earlier
   */
  public TimerQueue(LongSupplier clock, Runnable earlier) {
    this.clock = clock;
    this.earlier = earlier;
  }

  /** The VM's time, in ns. */
  public long now() {
    return clock.getAsLong();
  }

  /** When the first timer is due; {@link #NEVER} if none is armed. Any thread may ask. */
  public long next() {
    return next;
  }

  /** A timer, not armed yet. */
  public Timer timer(Runnable action) {
    return new Timer(timers++, action);
  }

  /** Lets every timer go off that is due. */
  public void expire() {
    long now = now();
    while (next <= now) {
      Timer t = armed.first();
      t.cancel();
      t.action.run();
    }
  }

  private void update() {
    long before = next;
    next = armed.isEmpty() ? NEVER : armed.first().deadline;
    if (next < before) {
      earlier.run();
    }
  }

  /** One thing that is to happen, once each time it is armed. */
  public final class Timer {
    private final int order;
    private final Runnable action;
    private long deadline;

    private Timer(int order, Runnable action) {
      this.order = order;
      this.action = action;
    }

    /**
     * Has it go off at a time, and not at the one before.
     *
     * @param at in ns of the VM's clock
     */
    public void arm(long at) {
      armed.remove(this);
      deadline = at;
      armed.add(this);
      update();
    }

    /** Whether it is to go off. */
    boolean isArmed() {
      return armed.contains(this);
    }

    /** Has it not go off. */
    void cancel() {
      if (armed.remove(this)) {
        update();
      }
    }
  }
}
