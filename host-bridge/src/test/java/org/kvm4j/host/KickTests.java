package org.kvm4j.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmRun;

class KickTests {
  /** jmp to itself. */
  private static final byte[] SPIN = {(byte) 0xeb, (byte) 0xfe};

  @Test
  @Timeout(60)
  void a_kick_ends_a_run_that_would_never_end() throws Exception {
    try (RealMachine m = new RealMachine(SPIN)) {
      int kicks = 500;
      AtomicInteger id = new AtomicInteger();
      AtomicInteger ended = new AtomicInteger();
      List<String> surprises = new ArrayList<>();
      Thread vcpu =
          new Thread(
              () -> {
                id.set(m.kernel.gettid());
                while (ended.get() < kicks) {
                  int result = m.run();
                  if (result != Errno.EINTR.result() || m.exitReason() != Exits.KVM_EXIT_INTR) {
                    surprises.add(result + ", exit reason " + m.exitReason());
                  }
                  ended.incrementAndGet();
                }
              });
      vcpu.start();
      while (ended.get() < kicks) {
        int before = ended.get();
        // A kick outside of KVM_RUN is lost: kick until one is not.
        while (ended.get() == before && vcpu.isAlive()) {
          if (id.get() != 0) {
            int result = m.kernel.kick(id.get());
            assertTrue(result == 0 || result == Errno.ESRCH.result(), "" + result);
          }
          LockSupport.parkNanos(20_000);
        }
      }
      vcpu.join();
      assertEquals(List.of(), surprises);
    }
  }

  @Test
  @Timeout(60)
  void immediate_exit_then_a_kick_misses_no_run() throws Exception {
    try (RealMachine m = new RealMachine(SPIN)) {
      int rounds = 500;
      AtomicInteger id = new AtomicInteger();
      AtomicInteger round = new AtomicInteger();
      AtomicInteger answered = new AtomicInteger();
      Thread vcpu =
          new Thread(
              () -> {
                id.set(m.kernel.gettid());
                for (int i = 1; i <= rounds; i++) {
                  while (m.run() == 0) {
                    // exits of another kind: none here
                  }
                  m.run.putByte(KvmRun.IMMEDIATE_EXIT, (byte) 0);
                  answered.set(i);
                  while (round.get() < i) {
                    Thread.yield();
                  }
                }
              });
      vcpu.start();
      while (id.get() == 0) {
        Thread.yield();
      }
      for (int i = 1; i <= rounds; i++) {
        m.run.putByte(KvmRun.IMMEDIATE_EXIT, (byte) 1);
        assertEquals(0, m.kernel.kick(id.get()));
        while (answered.get() < i) {
          Thread.yield(); // for ever if one kick were lost: the time limit tells
        }
        round.set(i);
      }
      vcpu.join();
    }
  }

  @Test
  void a_dead_thread_and_no_thread_give_ESRCH() throws Exception {
    try (Kernel kernel = RealMachine.kernelOrSkip()) {
      AtomicInteger id = new AtomicInteger();
      Thread thread = new Thread(() -> id.set(kernel.gettid()));
      thread.start();
      thread.join();
      int result = 0;
      for (int i = 0; i < 1000 && result == 0; i++) { // join comes a little before its real end
        result = kernel.kick(id.get());
        Thread.sleep(1);
      }
      assertEquals(Errno.ESRCH.result(), result);
      assertEquals(Errno.ESRCH.result(), kernel.kick(0));
      assertEquals(Errno.ESRCH.result(), kernel.kick(-1));
      assertEquals(Errno.ESRCH.result(), kernel.kick(1)); // not of this process
    }
  }

  @Test
  @Timeout(60)
  void kicks_do_not_disturb_the_JVM() throws Exception {
    try (Kernel kernel = RealMachine.kernelOrSkip()) {
      AtomicBoolean stop = new AtomicBoolean();
      AtomicInteger id = new AtomicInteger();
      CountDownLatch done = new CountDownLatch(1);
      List<Throwable> failures = new ArrayList<>();
      Object monitor = new Object();
      Thread worker =
          new Thread(
              () -> {
                id.set(kernel.gettid());
                try {
                  long sum = 0;
                  while (!stop.get()) {
                    List<byte[]> garbage = new ArrayList<>();
                    for (int i = 0; i < 100; i++) {
                      garbage.add(new byte[4096]);
                    }
                    sum += garbage.size();
                    LockSupport.parkNanos(1000);
                    synchronized (monitor) {
                      monitor.wait(1);
                    }
                    Thread.sleep(0, 1000);
                    sum += new java.io.File("/proc/self/status").length();
                  }
                  assertTrue(sum > 0);
                } catch (Throwable e) {
                  failures.add(e);
                } finally {
                  done.countDown();
                }
              });
      worker.start();
      while (id.get() == 0) {
        Thread.yield();
      }
      for (int i = 0; i < 20_000; i++) {
        assertEquals(0, kernel.kick(id.get()));
        if (i % 100 == 0) {
          LockSupport.parkNanos(100_000);
        }
      }
      System.gc();
      stop.set(true);
      done.await();
      assertEquals(List.of(), failures);
    }
  }
}
