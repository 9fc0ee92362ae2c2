package org.kvm4j.kvm.module;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.kvm.module.irqchip.TimerQueue;
import org.kvm4j.kvm.module.pv.HostClock;

/**
 * The time of a VM: its clock, its timers, and when its virtual CPUs run. Each virtual CPU has a
 * {@link Seat} in it.
 *
 * <p>Who holds the interrupt chips' lock may call what is here, but nothing here takes that lock
 * while it holds one of its own.
 */
abstract class VmTime implements HostClock, AutoCloseable {
  /** How long a VM exit takes on the virtual clock, in ns, whoever handles it. */
  static final long EXIT_TIME = 1_000;

  /** The VM's timers. */
  final TimerQueue timers = new TimerQueue(this::now, this::timersChanged);

  /** What makes timers go off that are due. */
  private volatile Runnable expire = () -> {};

  static VmTime of(HostMachine machine) {
    return machine.clock() == MachineClock.HOST
        ? new HostTime(machine)
        : new VirtualTime(machine.instructionTime());
  }

  /** The VM's time in ns. The host's time-stamp counter has as many ticks. */
  @Override
  public abstract long now();

  /** Whether {@link #now} is {@link System#nanoTime} less {@link #epoch}. */
  boolean isOfHost() {
    return false;
  }

  long epoch() {
    return 0;
  }

  /** The first timer is due earlier than it was. */
  abstract void timersChanged();

  /** For how many ticks a guest may spin with PAUSE before it exits. */
  abstract int spinWindow();

  /**
   * Ticks between two PAUSEs of a loop at most: more than KVM's 128, for a processor that is
   * slower.
   */
  int spinGap() {
    return 1000;
  }

  /** A place for a new virtual CPU. */
  abstract Seat seat(Cpu cpu);

  /** Has timers go off by this. */
  final void useTimers(Runnable expire) {
    this.expire = expire;
  }

  final void expireTimers() {
    expire.run();
  }

  @Override
  public abstract void close();

  /** A virtual CPU's place in the VM's time. All but {@link #wake} is for its own thread. */
  abstract static class Seat {
    /**
     * The virtual CPU wants to enter the guest. Timers that are due have gone off when it may.
     *
     * @return for how many instructions at most; 0 if it has been woken before it was its turn
     */
    abstract long begin();

    /** Whether it may enter the guest once more without {@link #begin}. */
    boolean mayGoOn() {
      return false;
    }

    /**
     * This thread runs the virtual CPU, and goes back to user space before it has entered the
     * guest.
     *
     * @param wants whether it would have
     */
    abstract void join(boolean wants);

    /** From now on {@link #sleep} ends when someone wakes the virtual CPU. */
    abstract void drowse();

    /**
     * Has nothing to do until {@link #wake}, or for a while.
     *
     * @return false if the thread was interrupted
     */
    abstract boolean sleep();

    /** Whether {@link #begin} would have to wait for the turns of others. */
    abstract boolean isTurnOver();

    /** How long it has wanted to run and had to wait for the turns of others, in ns. */
    abstract long waited();

    /** Gives the turn to another virtual CPU of the VM, if that waits for one. */
    abstract void yieldTo(Seat other);

    /**
     * The virtual CPU has spent time outside of the guest. The host's clock knows that by itself.
     *
     * @param nanos of the virtual clock, if it is this one's turn
     */
    abstract void spend(long nanos);

    /** The virtual CPU has halted, and user space decides when it goes on. */
    abstract void rest();

    /** The virtual CPU spins: others may do what it waits for. */
    abstract void giveWay();

    /** The virtual CPU has something to look at. Any thread may call. */
    abstract void wake();

    /** The virtual CPU is gone. */
    abstract void close();
  }
}
