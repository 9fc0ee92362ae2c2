package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.fail;

import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.syscall.Kernel;

/**
 * System instructions in random states, through the whole emulated kernel: whatever a guest does to
 * its tables, KVM_RUN comes back with an exit, the next entry succeeds, and the same guest does the
 * same.
 */
class SystemScenarioTests {
  private static final int SCENARIOS = 2000;
  private static final long PATIENCE_MILLIS = 300;

  @Test
  void randomSystemStatesExitAndNeverFailToEnter() {
    Backend emulated = Backends.all().filter(Backend::isEmulated).findFirst().orElseThrow();
    ScheduledExecutorService watchdog = Executors.newSingleThreadScheduledExecutor();
    try (Kernel kernel = emulated.open();
        SystemScenario.Machine machine = new SystemScenario.Machine(Kvm.open(kernel))) {
      AtomicLong started = new AtomicLong(Long.MAX_VALUE);
      // Some of these guests run in circles.
      watchdog.scheduleWithFixedDelay(
          () -> {
            if (System.currentTimeMillis() - started.get() > PATIENCE_MILLIS) {
              machine.vcpu.kick();
            }
          },
          20,
          20,
          TimeUnit.MILLISECONDS);
      for (int seed = 0; seed < SCENARIOS; seed++) {
        String first = run(machine, seed, started);
        if (first.startsWith("FailEntry")) {
          fail(new SystemScenario(seed) + ": " + first);
        }
        if (seed % 10 == 0 && !first.startsWith("Interrupted")) {
          assertEquals(first, run(machine, seed, started), "again: seed " + seed);
        }
      }
    } finally {
      watchdog.shutdownNow();
    }
  }

  private static String run(SystemScenario.Machine machine, int seed, AtomicLong started) {
    started.set(System.currentTimeMillis());
    try {
      return machine.run(new SystemScenario(seed));
    } finally {
      started.set(Long.MAX_VALUE);
    }
  }
}
