package org.kvm4j.vmm;

import java.util.concurrent.Executor;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.Consumer;

/** A thread that does a device's work, one piece after the other, while the guest goes on. */
final class DeviceThread implements Executor, AutoCloseable {

  private static final Runnable STOP = () -> {};

  private final LinkedBlockingQueue<Runnable> work = new LinkedBlockingQueue<>();
  private final Consumer<Throwable> failed;
  private final Thread thread;

  /**
   * @param failed takes what goes wrong in the work; no more is done then
   */
  DeviceThread(String name, Consumer<Throwable> failed) {
    this.failed = failed;
    this.thread = new Thread(this::run, name);
    thread.setDaemon(true);
    thread.start();
  }

  @Override
  public void execute(Runnable piece) {
    work.add(piece);
  }

  @SuppressWarnings("ReferenceEquality") // STOP is itself
  private void run() {
    try {
      for (Runnable piece = work.take(); piece != STOP; piece = work.take()) {
        piece.run();
      }
    } catch (InterruptedException e) {
      // Nobody interrupts it but who wants it to end.
    } catch (RuntimeException | Error e) {
      failed.accept(e);
    }
  }

  /** Waits until all that was given to it is done. */
  @Override
  public void close() {
    work.add(STOP);
    boolean interrupted = false;
    while (thread.isAlive()) {
      try {
        thread.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
