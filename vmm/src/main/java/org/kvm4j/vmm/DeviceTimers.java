package org.kvm4j.vmm;

import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.device.Timer;

/** Timers of the host's clock for devices: one thread calls them all back. */
final class DeviceTimers implements Function<Runnable, Timer>, AutoCloseable {

  private final ScheduledThreadPoolExecutor executor;
  private final Consumer<Throwable> failed;

  /**
   * @param failed takes what goes wrong in a device
   */
  DeviceTimers(Consumer<Throwable> failed) {
    this.failed = failed;
    executor =
        new ScheduledThreadPoolExecutor(
            1,
            task -> {
              Thread thread = new Thread(task, "device-timers");
              thread.setDaemon(true);
              return thread;
            });
    executor.setRemoveOnCancelPolicy(true);
    executor.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
  }

  @Override
  public Timer apply(Runnable callback) {
    Runnable guarded =
        () -> {
          try {
            callback.run();
          } catch (RuntimeException | Error e) {
            failed.accept(e);
          }
        };
    return new Timer() {
      private @Nullable Future<?> next;

      @Override
      public synchronized void set(long delayNanos) {
        if (next != null) {
          next.cancel(false);
        }
        next =
            delayNanos < 0 || executor.isShutdown()
                ? null
                : executor.schedule(guarded, delayNanos, TimeUnit.NANOSECONDS);
      }
    };
  }

  /** Waits until no device is being called back, and will not be. */
  @Override
  public void close() {
    executor.shutdown();
    boolean interrupted = false;
    while (true) {
      try {
        if (executor.awaitTermination(1, TimeUnit.MINUTES)) {
          break;
        }
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }
}
