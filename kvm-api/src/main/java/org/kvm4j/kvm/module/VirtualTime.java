package org.kvm4j.kvm.module;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.kvm.module.irqchip.TimerQueue;
import org.kvm4j.kvm.syscall.KernelOptions;

/**
 * Time that goes by a nanosecond, or as many as are asked for, for each unit of work that the VM's
 * virtual CPUs do. They take turns, so that a run repeats exactly: a turn is over where the time is
 * a multiple of {@link #TURN}, or when its virtual CPU halts or spins. One that wakes another gives
 * it a short turn soon, as it may wait for it. One that is out in user space keeps its turn. What
 * it does outside of the guest takes the time that {@link Seat#spend} tells. While all halt, time
 * goes on from timer to timer.
 *
 * <p>Threads come when the host lets them. So nothing that the guest sees may depend on when one
 * has seen that it was woken: a virtual CPU wants its turn from the moment when another wakes it,
 * until its own thread has found nothing to do; a turn that does nothing takes no time; and turns
 * end at the same times whether anybody waits for the next.
 */
final class VirtualTime extends VmTime {
  /** How long a turn is, in units of work. */
  private static final long TURN = 100_000;

  /** How much of its turn is left to one that wakes another: how long a message takes. */
  private static final long WAKING = 2_000;

  /** How long the first turn of the other is: whoever woke it may wait for its answer. */
  private static final long ANSWER = 10_000;

  /** Nobody else runs while one spins, so it is let spin for this much alone. */
  private static final int SPIN_WINDOW = 200;

  /** Units of work at most where no turn ends and no timer is due. */
  private static final long SLICE = 1L << 40;

  /** How much faster than the host's time the time of halted virtual CPUs goes at most. */
  private static final int IDLE_SPEED = 16;

  /** The longest that one jump of the time takes, in ms of the host's time. */
  private static final long LONGEST_WAIT = 10;

  private final List<TurnSeat> seats = new ArrayList<>();

  /** How long a unit of work takes, in ns. */
  private final int unit;

  /** Whose turn it is; nobody's while all halt. */
  private volatile @Nullable TurnSeat holder;

  /** The time when the turn began, or when the last one ended. */
  private long began;

  /** What the holder's processor had done when the turn began. */
  private long doneBefore;

  /** The last time that is known to threads other than the holder's. */
  private volatile long known;

  /** Timers go off while all halt: whoever they wake goes on when all have. */
  private boolean expiring;

  /**
   * @param unit how long a unit of work takes, in ns
   */
  VirtualTime(int unit) {
    this.unit = unit;
  }

  @Override
  public long now() {
    TurnSeat h = holder;
    return h != null && h.thread == Thread.currentThread() ? exact(h) : known;
  }

  private long exact(TurnSeat h) {
    return began + (h.cpu.elapsed() - doneBefore) * unit;
  }

  @Override
  public long realTime() {
    return KernelOptions.VIRTUAL_EPOCH.getEpochSecond() * 1_000_000_000 + now();
  }

  @Override
  void timersChanged() {
    // Whoever has the turn looks before it enters the guest.
  }

  @Override
  int spinWindow() {
    return SPIN_WINDOW * unit;
  }

  @Override
  int spinGap() {
    return super.spinGap() * unit;
  }

  @Override
  synchronized Seat seat(Cpu cpu) {
    TurnSeat seat = new TurnSeat(cpu);
    seats.add(seat);
    return seat;
  }

  @Override
  public void close() {}

  /** Gives the turn to one, or to nobody. */
  private void give(@Nullable TurnSeat to) {
    TurnSeat from = holder;
    if (from != null) {
      began = exact(from);
    }
    known = began;
    if (from != null && from.wants) {
      from.since = began;
    }
    if (to != null) {
      doneBefore = to.cpu.elapsed();
      to.end = (began / (TURN * unit) + 1) * TURN * unit;
      if (to.called && to != from) {
        to.end = Math.min(to.end, began + ANSWER * unit);
      }
      to.called = false;
      to.waited += began - to.since;
      to.since = began;
    }
    holder = to;
    notifyAll();
  }

  /** The next after one that wants a turn and can take it; null if none does. */
  private @Nullable TurnSeat after(TurnSeat from) {
    return next(seats.indexOf(from) + 1, from);
  }

  /** The same from a place on. */
  private @Nullable TurnSeat next(int at, TurnSeat from) {
    for (int k = 0; k < seats.size(); k++) {
      TurnSeat s = seats.get((at + k) % seats.size());
      // A thread that runs one virtual CPU cannot run another at the same time, and without one
      // none runs.
      if (s.wants && (s == from || (s.thread != null && s.thread != from.thread))) {
        return s;
      }
    }
    return null;
  }

  private final class TurnSeat extends Seat {
    private final Cpu cpu;
    private volatile @Nullable Thread thread;

    /** It runs, or has something to look at. */
    private boolean wants;

    private boolean woken;

    /** One that had the turn has woken it, since its own last turn. */
    private boolean called;

    /** When its turn ends, if others want one. */
    private long end;

    /** Since when it wants a turn. */
    private long since;

    /** How long it has waited for turns. */
    private long waited;

    TurnSeat(Cpu cpu) {
      this.cpu = cpu;
    }

    @Override
    long begin() {
      boolean others;
      synchronized (VirtualTime.this) {
        if (!takeTurn()) {
          return 0;
        }
        others = seats.size() > 1;
        known = exact(this);
      }
      if (timers.next() <= now()) {
        expireTimers();
      }
      long now = now();
      long nanos = Math.min(timers.next(), others ? end : now + SLICE) - now;
      return nanos <= 0 ? 1 : (nanos - 1) / unit + 1;
    }

    /** Waits for the turn; false if it was woken before, or its thread interrupted. */
    private boolean takeTurn() {
      thread = Thread.currentThread();
      TurnSeat h = holder;
      want();
      if (h == null) {
        give(next(0, this));
      } else if (h != this && h.thread == thread) {
        give(this);
      } else if (h == this && exact(this) >= end) {
        TurnSeat next = after(this);
        give(next == null ? this : next);
      }
      while ((holder != this || expiring) && !woken) {
        if (!waitFor(0)) {
          break;
        }
      }
      woken = false;
      return holder == this && !expiring;
    }

    /** It wants a turn, from now on. */
    private void want() {
      if (!wants) {
        wants = true;
        since = now();
      }
    }

    @Override
    boolean isTurnOver() {
      synchronized (VirtualTime.this) {
        return holder == this && exact(this) >= end && after(this) != this;
      }
    }

    @Override
    long waited() {
      return waited;
    }

    @Override
    void yieldTo(Seat other) {
      synchronized (VirtualTime.this) {
        if (holder == this
            && other instanceof TurnSeat to
            && to != this
            && to.wants
            && to.thread != null
            && to.thread != thread) {
          give(to);
        }
      }
    }

    /** Waits for news; false if the thread was interrupted. */
    private boolean waitFor(long millis) {
      try {
        VirtualTime.this.wait(millis);
        return true;
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        return false;
      }
    }

    @Override
    void join(boolean wantsTurn) {
      synchronized (VirtualTime.this) {
        thread = Thread.currentThread();
        wants |= wantsTurn;
      }
    }

    @Override
    void drowse() {
      synchronized (VirtualTime.this) {
        thread = Thread.currentThread();
        woken = false;
      }
    }

    @Override
    boolean sleep() {
      synchronized (VirtualTime.this) {
        if (!woken) {
          idle();
        }
        while (!woken && (holder != null || expiring || timers.next() == TimerQueue.NEVER)) {
          if (!waitFor(0)) {
            return false;
          }
        }
        if (woken) {
          return true;
        }
        long due = timers.next();
        long millis = Math.min((due - began) / 1_000_000 / IDLE_SPEED, LONGEST_WAIT);
        if (millis > 0 && !waitFor(millis)) {
          return false;
        }
        if (woken || holder != null || expiring) {
          return true;
        }
        began = Math.max(began, due);
        known = began;
        expiring = true;
      }
      try {
        expireTimers();
      } finally {
        synchronized (VirtualTime.this) {
          expiring = false;
          VirtualTime.this.notifyAll();
        }
      }
      return true;
    }

    /** Has nothing to do. */
    private void idle() {
      wants = false;
      called = false;
      if (holder == this) {
        give(after(this));
      }
    }

    @Override
    void spend(long nanos) {
      if (holder == this) {
        began += nanos;
      }
    }

    @Override
    void rest() {
      synchronized (VirtualTime.this) {
        drowse();
        idle();
      }
    }

    @Override
    void giveWay() {
      synchronized (VirtualTime.this) {
        TurnSeat next = after(this);
        if (holder == this && next != null && next != this) {
          give(next);
        }
      }
    }

    @Override
    void wake() {
      synchronized (VirtualTime.this) {
        TurnSeat h = holder;
        if (h != null && h != this && h.thread == Thread.currentThread()) {
          h.end = Math.min(h.end, exact(h) + WAKING * unit);
          called = true;
        }
        woken = true;
        want();
        if (holder == null && thread != null) {
          give(this);
        } else {
          VirtualTime.this.notifyAll();
        }
      }
    }

    @Override
    void close() {
      synchronized (VirtualTime.this) {
        wants = false;
        TurnSeat next = after(this);
        seats.remove(this);
        if (holder == this) {
          give(next);
        }
      }
    }
  }
}
