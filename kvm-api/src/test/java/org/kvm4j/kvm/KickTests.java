package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.kvm.Refusals.refusal;

import java.util.Objects;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmRun;

/** The kick protocol over a kernel whose guest runs for ever, or exits as often as a test wants. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class KickTests {

  /** KVM_RUN and signals as Linux has them: a signal outside of KVM_RUN is lost. */
  private static final class RunningKernel extends FakeKernel {
    private final Object lock = new Object();
    private int inRun;
    private boolean signal;
    @Nullable Vcpu vcpu;

    /** The guest exits by itself after this many looks; 0: never. */
    int exitAfter;

    RunningKernel() {
      on(Ioctls.KVM_RUN, (fd, argument) -> runGuest());
    }

    @Override
    public int ioctl(int fd, int request, long argument) {
      // Not recorded: it would grow without bound.
      return request == Ioctls.KVM_RUN ? runGuest() : super.ioctl(fd, request, argument);
    }

    private int runGuest() {
      RunPage page = Objects.requireNonNull(vcpu).runPage();
      synchronized (lock) {
        inRun = gettid();
      }
      try {
        if (page.immediateExit()) {
          return Errno.EINTR.result();
        }
        for (int i = 1; ; i++) {
          synchronized (lock) {
            if (signal) {
              page.memory().putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_INTR);
              return Errno.EINTR.result();
            }
          }
          if (i == exitAfter) {
            page.memory().putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_HLT);
            return 0;
          }
          Thread.onSpinWait();
        }
      } finally {
        synchronized (lock) {
          inRun = 0;
          signal = false;
        }
      }
    }

    @Override
    public int kick(int threadId) {
      synchronized (lock) {
        if (inRun == threadId) {
          signal = true;
        }
      }
      return 0;
    }
  }

  private static Vcpu vcpu(RunningKernel kernel) {
    Vcpu vcpu = Kvm.open(kernel).createVm().createVcpu(0);
    kernel.vcpu = vcpu;
    return vcpu;
  }

  @Test
  void aKickBeforeTheRunEndsItAtOnceAndOnlyOnce() {
    RunningKernel kernel = new RunningKernel();
    Vcpu vcpu = vcpu(kernel);
    kernel.exitAfter = 3;
    vcpu.kick();
    vcpu.kick();
    assertInstanceOf(Exit.Interrupted.class, vcpu.run());
    assertInstanceOf(Exit.Hlt.class, vcpu.run());
    assertFalse(vcpu.runPage().immediateExit());
  }

  @Test
  void aKickFromAnotherThreadEndsARun() throws Exception {
    RunningKernel kernel = new RunningKernel();
    Vcpu vcpu = vcpu(kernel);
    AtomicReference<Exit> exit = new AtomicReference<>();
    Thread runner = new Thread(() -> exit.set(vcpu.run()));
    runner.start();
    TimeUnit.MILLISECONDS.sleep(20);
    vcpu.kick();
    runner.join();
    assertInstanceOf(Exit.Interrupted.class, exit.get());
    kernel.exitAfter = 1;
    assertInstanceOf(Exit.Hlt.class, vcpu.run());
  }

  @Test
  void anImmediateExitThatTheUserSetStays() {
    RunningKernel kernel = new RunningKernel();
    Vcpu vcpu = vcpu(kernel);
    vcpu.runPage().setImmediateExit(true);
    assertInstanceOf(Exit.Interrupted.class, vcpu.run());
    assertTrue(vcpu.runPage().immediateExit());
    assertInstanceOf(Exit.Interrupted.class, vcpu.run());
  }

  @Test
  void aRunningVcpuCannotBeClosedAndAClosedOneCannotBeKicked() throws Exception {
    RunningKernel kernel = new RunningKernel();
    Vcpu vcpu = vcpu(kernel);
    CountDownLatch started = new CountDownLatch(1);
    Thread runner =
        new Thread(
            () -> {
              started.countDown();
              vcpu.run();
            });
    runner.start();
    started.await();
    TimeUnit.MILLISECONDS.sleep(20);
    assertTrue(refusal(IllegalStateException.class, vcpu::close).contains("running"));
    vcpu.kick();
    runner.join();
    vcpu.close();
    assertThrows(IllegalStateException.class, vcpu::kick);
  }

  /**
   * Each kick is answered by one interrupted run, whatever it meets: the guest, an exit, or no run.
   */
  @Test
  void noKickIsLostAndNoneCountsTwice() throws Exception {
    for (int exitAfter : new int[] {0, 1, 2, 50}) {
      RunningKernel kernel = new RunningKernel();
      Vcpu vcpu = vcpu(kernel);
      kernel.exitAfter = exitAfter;
      int kicks = 4_000;
      AtomicInteger interrupted = new AtomicInteger();
      AtomicInteger published = new AtomicInteger();
      AtomicInteger seen = new AtomicInteger();
      Thread runner =
          new Thread(
              () -> {
                while (seen.get() < kicks) {
                  if (vcpu.run() instanceof Exit.Interrupted) {
                    interrupted.incrementAndGet();
                    seen.set(published.get());
                  }
                }
              });
      runner.start();
      for (int i = 1; i <= kicks; i++) {
        published.set(i);
        vcpu.kick();
        while (seen.get() < i) {
          // A lost kick ends in the test's time limit.
          Thread.onSpinWait();
        }
        if ((i & 15) == 0) {
          LockSupport.parkNanos(1);
        }
      }
      runner.join();
      assertEquals(kicks, interrupted.get(), "exit after " + exitAfter);
    }
  }

  /** Kicks that nobody waits for may merge, but the last one is never lost. */
  @Test
  void kicksInABurstFromSeveralThreadsAreNotLost() throws Exception {
    RunningKernel kernel = new RunningKernel();
    Vcpu vcpu = vcpu(kernel);
    kernel.exitAfter = 20;
    int kickers = 3;
    int kicks = 5_000;
    AtomicInteger published = new AtomicInteger();
    AtomicInteger seen = new AtomicInteger();
    Thread runner =
        new Thread(
            () -> {
              while (seen.get() < kickers * kicks) {
                if (vcpu.run() instanceof Exit.Interrupted) {
                  seen.set(published.get());
                }
              }
            });
    runner.start();
    Thread[] threads = new Thread[kickers];
    for (int t = 0; t < kickers; t++) {
      threads[t] =
          new Thread(
              () -> {
                for (int i = 0; i < kicks; i++) {
                  published.incrementAndGet();
                  vcpu.kick();
                }
              });
      threads[t].start();
    }
    for (Thread thread : threads) {
      thread.join();
    }
    runner.join();
    assertEquals(kickers * kicks, seen.get());
  }
}
