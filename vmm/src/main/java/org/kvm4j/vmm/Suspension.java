package org.kvm4j.vmm;

import java.util.function.BooleanSupplier;
import java.util.function.IntSupplier;
import org.kvm4j.kvm.Vcpu;

/**
 * Sleep state S3: the vCPUs' threads come together and wait for an event that wakes the machine;
 * then the first one's does what firmware does on waking, and all go on.
 */
final class Suspension {

  private final IntSupplier threads;
  private final BooleanSupplier running;
  private final Steps steps;

  private volatile boolean requested;
  private boolean woken;
  private int arrived;
  private long sleeps;

  /** What is done while no vCPU runs, by the first one's thread. */
  interface Steps {
    /** All have stopped. */
    void asleep();

    /** The machine has power again: sets the processors to where they go on. */
    void wake();
  }

  /**
   * @param threads how many threads run vCPUs
   * @param running whether the machine has neither ended nor been reset
   */
  Suspension(IntSupplier threads, BooleanSupplier running, Steps steps) {
    this.threads = threads;
    this.running = running;
    this.steps = steps;
  }

  /** Asks the vCPUs' threads to come to {@link #sleep}; the caller kicks them. */
  synchronized void request() {
    woken = false;
    requested = true;
  }

  /** Whether they are asked to. */
  boolean isRequested() {
    return requested;
  }

  /** An event that wakes the machine. Any thread may call. */
  synchronized void wake() {
    woken = true;
    notifyAll();
  }

  /** Nobody is to sleep any more. No vCPU's thread runs. */
  synchronized void cancel() {
    requested = false;
    woken = false;
    arrived = 0;
  }

  /** The machine has ended, or is reset: nobody waits any more. */
  synchronized void ended() {
    notifyAll();
  }

  /** A vCPU's thread: comes back when the machine is awake again, or has ended. */
  void sleep(Vcpu vcpu) {
    long mine;
    synchronized (this) {
      mine = sleeps;
      arrived++;
      notifyAll();
      if (vcpu.id() != 0) {
        await(() -> sleeps != mine);
        return;
      }
      await(() -> arrived >= threads.getAsInt());
    }
    if (running.getAsBoolean()) {
      steps.asleep();
      synchronized (this) {
        await(() -> woken);
      }
    }
    if (running.getAsBoolean()) {
      steps.wake();
    }
    synchronized (this) {
      arrived = 0;
      requested = false;
      sleeps++;
      notifyAll();
    }
  }

  /** Waits with the lock held. */
  private void await(BooleanSupplier until) {
    boolean interrupted = false;
    while (!until.getAsBoolean() && running.getAsBoolean()) {
      try {
        wait();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
