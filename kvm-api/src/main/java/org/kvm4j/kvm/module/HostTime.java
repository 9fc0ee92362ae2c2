package org.kvm4j.kvm.module;

import java.time.Instant;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.kvm.module.irqchip.TimerQueue;

/**
 * The host's time. A thread of the VM's own makes timers go off, once there is one; virtual CPUs
 * that halt sleep.
 */
final class HostTime extends VmTime {
  /** Instructions between two looks at the host: far more than any guest notices. */
  private static final long SLICE = 1L << 40;

  private final HostMachine machine;
  private @Nullable Thread thread;
  private volatile boolean closed;

  HostTime(HostMachine machine) {
    this.machine = machine;
  }

  @Override
  public long now() {
    return machine.nanoTime();
  }

  @Override
  boolean isOfHost() {
    return true;
  }

  @Override
  long epoch() {
    return machine.epoch();
  }

  @Override
  public long realTime() {
    Instant now = Instant.now();
    return now.getEpochSecond() * 1_000_000_000 + now.getNano();
  }

  @Override
  synchronized void timersChanged() {
    Thread t = thread;
    if (t == null && !closed) {
      t = new Thread(this::serve, "kvm4j-timers");
      t.setDaemon(true);
      thread = t;
      t.start();
    }
    LockSupport.unpark(t);
  }

  private void serve() {
    while (!closed) {
      long next = timers.next();
      if (next == TimerQueue.NEVER) {
        LockSupport.park(this);
      } else {
        long wait = next - now();
        if (wait > 0) {
          LockSupport.parkNanos(this, wait);
        } else {
          expireTimers();
        }
      }
      // Nobody interrupts this thread; if somebody did, it would wait no more.
      Thread.interrupted();
    }
  }

  /** As in Linux 6.1, KVM_VMX_DEFAULT_PLE_WINDOW. */
  @Override
  int spinWindow() {
    return 4096;
  }

  @Override
  Seat seat(Cpu cpu) {
    return new HostSeat();
  }

  @Override
  public synchronized void close() {
    closed = true;
    LockSupport.unpark(thread);
  }

  private static final class HostSeat extends Seat {
    private boolean awake;

    @Override
    long begin() {
      return SLICE;
    }

    @Override
    boolean mayGoOn() {
      return true;
    }

    @Override
    void join(boolean wants) {}

    @Override
    synchronized void drowse() {
      awake = false;
    }

    @Override
    synchronized boolean sleep() {
      while (!awake) {
        try {
          wait();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return false;
        }
      }
      return true;
    }

    /** Each virtual CPU has a processor of its own. */
    @Override
    boolean isTurnOver() {
      return false;
    }

    @Override
    long waited() {
      return 0;
    }

    @Override
    void yieldTo(Seat other) {
      Thread.yield();
    }

    @Override
    void spend(long nanos) {}

    @Override
    void rest() {}

    @Override
    void giveWay() {
      Thread.yield();
    }

    @Override
    synchronized void wake() {
      awake = true;
      notifyAll();
    }

    @Override
    void close() {}
  }
}
