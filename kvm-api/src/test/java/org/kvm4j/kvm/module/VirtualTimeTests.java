package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.memory.PhysicalMemory;

/** The virtual clock gives turns that depend on the guest alone, not on the host's threads. */
@Timeout(60)
class VirtualTimeTests {
  private static final long TURN = 100_000;

  private VirtualTime time = new VirtualTime(1);
  private final List<ExecutorService> threads = new ArrayList<>();

  /** A virtual CPU with its seat and its thread. */
  private final class Vcpu {
    final Cpu cpu =
        new Cpu(
            CpuProfiles.defaultProfile(),
            new PhysicalMemory(CpuProfiles.defaultProfile().physicalAddressBits()),
            new GuestPlatform(new HostMachine(), time, threads.size()));
    final VmTime.Seat seat = time.seat(cpu);
    volatile boolean woken;
    private final ExecutorService thread = Executors.newSingleThreadExecutor();

    Vcpu() {
      threads.add(thread);
    }

    <T> Future<T> start(Callable<T> work) {
      return thread.submit(work);
    }

    <T> T on(Callable<T> work) throws Exception {
      return thread.submit(work).get();
    }

    void wake() {
      woken = true;
      seat.wake();
    }

    /** Its turn, which one who was woken asks for twice. */
    long begin() {
      long budget = 0;
      while (budget == 0 && !Thread.currentThread().isInterrupted()) {
        budget = seat.begin();
      }
      return budget;
    }

    /** Takes its turn, and works. */
    long work(long units) throws Exception {
      return on(
          () -> {
            long budget = begin();
            cpu.elapsedBase += units;
            return budget;
          });
    }

    long now() throws Exception {
      return on(time::now);
    }

    void join() throws Exception {
      on(
          () -> {
            seat.join(true);
            return null;
          });
    }

    /** Halts, and tells how the sleep ended. */
    Future<Boolean> halt() throws Exception {
      on(
          () -> {
            seat.drowse();
            return null;
          });
      return start(seat::sleep);
    }

    boolean sleep() {
      seat.drowse();
      return seat.sleep();
    }
  }

  @AfterEach
  void stop() throws InterruptedException {
    for (ExecutorService thread : threads) {
      thread.shutdownNow();
      assertTrue(thread.awaitTermination(10, TimeUnit.SECONDS));
    }
  }

  @Test
  void turnsAreOfAsMuchWorkHoweverLongThatTakes() throws Exception {
    time = new VirtualTime(30);
    Vcpu first = new Vcpu();
    Vcpu second = new Vcpu();
    first.join();
    second.join();
    assertEquals(TURN, first.work(TURN - 1));
    assertEquals(30 * (TURN - 1), first.now());
    assertFalse(first.on(first.seat::isTurnOver));
    assertEquals(1, first.work(1));
    assertTrue(first.on(first.seat::isTurnOver));
  }

  @Test
  void the_first_turn_is_the_first_ones_whoever_comes_first() throws Exception {
    Vcpu first = new Vcpu();
    Vcpu second = new Vcpu();
    second.join();
    first.join();
    Future<Long> waits = second.start(second::begin);
    assertEquals(TURN, first.work(TURN));
    assertFalse(waits.isDone());
    Future<Long> later = first.start(first::begin);
    assertEquals(TURN, waits.get());
    second.cpu.elapsedBase += TURN;
    second.thread.execute(second::begin);
    assertEquals(TURN, later.get());
    assertEquals(2 * TURN, first.now());
  }

  @Test
  void a_turn_ends_at_the_same_time_whether_or_not_anybody_waits() throws Exception {
    Vcpu first = new Vcpu();
    Vcpu second = new Vcpu();
    Future<Boolean> sleeps = second.halt();
    assertEquals(TURN, first.work(TURN + 10));
    assertEquals(TURN - 10, first.work(90), "the next turn of the only one that runs");
    second.wake(); // by somebody else's thread
    assertTrue(sleeps.get());
    Future<Long> waits = second.start(second::begin);
    assertEquals(TURN - 100, first.work(TURN - 100));
    Future<Long> after = first.start(first::begin);
    assertEquals(TURN, waits.get());
    assertFalse(after.isDone());
    second.thread.execute(second::sleep);
    assertEquals(TURN, after.get());
  }

  @Test
  void one_that_wakes_another_soon_gives_it_a_short_turn() throws Exception {
    Vcpu first = new Vcpu();
    Vcpu second = new Vcpu();
    Future<Boolean> sleeps = second.halt();
    assertEquals(TURN, first.work(100));
    first.on(
        () -> {
          second.wake();
          return null;
        });
    assertTrue(sleeps.get());
    Future<Long> waits = second.start(second::begin);
    assertEquals(2000, first.work(2000));
    Future<Long> after = first.start(first::begin);
    assertEquals(10_000, waits.get());
    assertFalse(after.isDone());
    second.cpu.elapsedBase += 10_000;
    second.thread.execute(second::begin);
    assertEquals(TURN - 12_100, after.get());
  }

  @Test
  void a_short_turn_that_is_not_wanted_changes_no_other() throws Exception {
    Vcpu first = new Vcpu();
    Vcpu second = new Vcpu();
    Vcpu third = new Vcpu();
    third.join();
    second.join();
    first.work(100);
    first.on(
        () -> {
          second.wake(); // which finds nothing to do
          return null;
        });
    second.thread.execute(second::sleep);
    Future<Long> waits = third.start(third::begin);
    assertEquals(2000, first.work(2000));
    first.thread.execute(first::begin);
    assertEquals(TURN - 2100, waits.get());
  }

  @Test
  void time_spent_outside_of_the_guest_is_its_own_turns() throws Exception {
    Vcpu first = new Vcpu();
    Vcpu second = new Vcpu();
    second.join();
    first.work(100);
    first.on(
        () -> {
          first.seat.spend(1000);
          second.seat.spend(1000); // whose turn it is not
          return null;
        });
    assertEquals(1100, first.now());
    assertEquals(TURN - 1100, first.work(0));
    assertEquals(100, first.cpu.elapsed(), "it is no work of the processor's");
  }

  @Test
  void one_that_was_woken_gets_its_turn_even_if_its_thread_looks_for_work_only_then()
      throws Exception {
    Vcpu first = new Vcpu();
    Vcpu second = new Vcpu();
    second.join();
    first.work(10);
    // The second halted without having been given the turn, and is woken before it looks.
    second.wake();
    second.on(
        () -> {
          second.seat.drowse();
          return null;
        });
    first.work(TURN);
    Future<Long> after = first.start(first::begin);
    Future<Long> now = second.start(second::begin);
    assertTrue(now.get() > 0);
    assertFalse(after.isDone());
    second.thread.execute(second::sleep);
    after.get();
  }

  @Test
  void time_stands_still_while_timers_go_off() throws Exception {
    Vcpu first = new Vcpu();
    Vcpu second = new Vcpu();
    List<Long> seen = Collections.synchronizedList(new ArrayList<>());
    time.useTimers(time.timers::expire);
    Runnable slow =
        () -> {
          // Until this has woken somebody, nobody may go on to what comes next.
          LockSupport.parkNanos(50_000_000);
          seen.add(time.now());
          second.wake();
          LockSupport.parkNanos(50_000_000);
          seen.add(time.now());
          first.wake();
        };
    time.timers.timer(slow).arm(1000);
    time.timers.timer(() -> seen.add(time.now())).arm(2000);
    List<Future<Long>> budgets = new ArrayList<>();
    for (Vcpu vcpu : List.of(first, second)) {
      budgets.add(
          vcpu.start(
              () -> {
                vcpu.seat.drowse();
                while (!vcpu.woken) {
                  vcpu.seat.sleep();
                }
                long budget = vcpu.begin();
                seen.add(time.now());
                vcpu.cpu.elapsedBase += TURN - 1000;
                return budget;
              }));
    }
    assertEquals(1000, budgets.get(1).get(), "it was woken first, and goes until the next timer");
    assertEquals(List.of(1000L, 1000L, 1000L), seen);
  }
}
