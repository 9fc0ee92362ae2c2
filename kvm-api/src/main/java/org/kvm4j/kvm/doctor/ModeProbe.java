package org.kvm4j.kvm.doctor;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmExit;

/** Runs the tiny guest of a mode on a kernel, on a thread of its own, for a limited time. */
final class ModeProbe {
  /** Exits that are timed, at most, once the first was right. */
  private static final int TIMED_EXITS = 500;

  private static final long TIMED_NANOS = 20_000_000;

  /** How many times its limit a guest may take by the clock, if it did not get to run so long. */
  private static final int PATIENCE = 5;

  /** How often to look, in milliseconds. */
  private static final int LOOK_MILLIS = 50;

  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private final Kernel kernel;
  private final GuestMode mode;
  private volatile @Nullable Vcpu vcpu;
  private volatile @Nullable ModeResult result;
  private volatile boolean timeOver;

  private ModeProbe(Kernel kernel, GuestMode mode) {
    this.kernel = kernel;
    this.mode = mode;
  }

  /**
   * Runs it.
   *
   * @param limit how long it may run before it is kicked, and again before it is given up: by its
   *     thread's CPU time, so that a busy machine does not make it look as if it hung. A guest that
   *     gets no CPU time, or waits for something in the kernel, has five times as long by the
   *     clock. One that is given up leaves its thread, a daemon, behind, and must not have its
   *     kernel closed.
   */
  static ModeResult run(Kernel kernel, GuestMode mode, Duration limit) {
    ModeProbe probe = new ModeProbe(kernel, mode);
    Thread thread = new Thread(probe::run, "kvm4j doctor: " + mode.title());
    thread.setDaemon(true);
    thread.start();
    boolean interrupted = !join(thread, limit);
    if (thread.isAlive()) {
      probe.timeOver = true;
      Vcpu running = probe.vcpu;
      if (running != null) {
        try {
          running.kick();
        } catch (IllegalStateException e) {
          // It has just ended, and closed.
        }
      }
      interrupted |= !join(thread, limit);
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    ModeResult result = probe.result;
    return result != null
        ? result
        : new ModeResult(
            mode,
            Outcome.STUCK,
            "no exit within "
                + seconds(limit)
                + ", nor after a kick: the kernel does not let go of it",
            0);
  }

  /** Waits until the thread ends or has run for so long; false if this one is interrupted. */
  private static boolean join(Thread thread, Duration limit) {
    long start = System.nanoTime();
    long ranBefore = cpuNanos(thread);
    try {
      while (true) {
        long waited = System.nanoTime() - start;
        long ran = ranBefore < 0 ? waited : cpuNanos(thread) - ranBefore;
        long left = Math.min(limit.toNanos() - ran, PATIENCE * limit.toNanos() - waited);
        if (left <= 0) {
          return true;
        }
        thread.join(Math.min(LOOK_MILLIS, left / 1_000_000 + 1));
        if (!thread.isAlive()) {
          return true;
        }
      }
    } catch (InterruptedException e) {
      return false;
    }
  }

  /** CPU time that a thread has had, in ns; -1 if the JVM cannot tell, or the thread has ended. */
  private static long cpuNanos(Thread thread) {
    return THREADS.isThreadCpuTimeSupported() && THREADS.isThreadCpuTimeEnabled()
        ? THREADS.getThreadCpuTime(thread.getId())
        : -1;
  }

  private static String seconds(Duration limit) {
    return limit.toMillis() / 1000.0 + " s";
  }

  private void run() {
    ModeResult r;
    try (Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm();
        GuestMemory memory = new GuestMemory(vm);
        Vcpu cpu = prepare(kvm, vm, memory)) {
      vcpu = cpu;
      r = enter(cpu);
    } catch (KvmException e) {
      r = new ModeResult(mode, Outcome.REFUSED, e.getMessage(), 0);
    } catch (RuntimeException | LinkageError e) {
      // A kernel in Java can fail so; it is a bug there, and a fact to report here.
      r = new ModeResult(mode, Outcome.REFUSED, "the backend failed: " + e, 0);
    }
    result = r;
  }

  private Vcpu prepare(Kvm kvm, Vm vm, GuestMemory memory) {
    memory.add(0, 0, GuestMode.MEMORY, 0);
    mode.load(memory);
    Vcpu cpu = vm.createVcpu(0);
    if (kvm.checkExtension(Caps.KVM_CAP_EXT_CPUID) != 0) {
      cpu.setCpuid2(kvm.getSupportedCpuid());
    }
    Sregs sregs = cpu.getSregs();
    Regs regs = GuestMode.entry();
    mode.state(sregs, regs);
    cpu.setSregs(sregs);
    cpu.setRegs(regs);
    return cpu;
  }

  private ModeResult enter(Vcpu cpu) {
    Exit exit = cpu.run();
    while (exit instanceof Exit.Interrupted && !timeOver) {
      exit = cpu.run(); // a signal that was not ours
    }
    if (exit instanceof Exit.Interrupted) {
      return new ModeResult(mode, Outcome.HANG, "no exit until it was kicked" + where(cpu), 0);
    }
    if (!asExpected(exit)) {
      return new ModeResult(mode, Outcome.WRONG_EXIT, describe(exit) + where(cpu), 0);
    }
    return new ModeResult(mode, Outcome.OK, "", time(cpu));
  }

  private boolean asExpected(Exit exit) {
    return exit instanceof Exit.IoOut out
        && out.port() == GuestMode.PORT
        && out.count() == 1
        && out.size() == (mode == GuestMode.REAL ? 2 : 4)
        && (int) out.data().getLittleEndian(0, out.size()) == mode.sum();
  }

  /**
   * Nanoseconds that an exit and the entry after it take, or 0 if the guest ceases to give exits.
   */
  private long time(Vcpu cpu) {
    List<Long> times = new ArrayList<>();
    long start = System.nanoTime();
    long last = start;
    while (times.size() < TIMED_EXITS && last - start < TIMED_NANOS && !timeOver) {
      if (cpu.runRaw() != 0) {
        return 0;
      }
      long now = System.nanoTime();
      times.add(now - last);
      last = now;
    }
    times.sort(null);
    return times.isEmpty() ? 0 : times.get(times.size() / 2);
  }

  private String describe(Exit exit) {
    if (exit instanceof Exit.IoOut out && out.port() == GuestMode.PORT) {
      return String.format(
          "OUT of 0x%x, which should be 0x%x",
          out.data().getLittleEndian(0, out.data().length()), mode.sum());
    }
    if (exit instanceof Exit.Shutdown shutdown) {
      return "KVM_EXIT_SHUTDOWN: a triple fault"
          + (shutdown.diagnosis().isEmpty() ? "" : ", " + shutdown.diagnosis());
    }
    if (exit instanceof Exit.InternalError error) {
      return "KVM_EXIT_INTERNAL_ERROR, suberror "
          + error.suberror()
          + (error.suberror() == 1 ? ": an instruction that the kernel cannot emulate" : "")
          + (error.diagnosis().isEmpty() ? "" : ", " + error.diagnosis());
    }
    if (exit instanceof Exit.FailEntry entry) {
      return String.format(
              "KVM_EXIT_FAIL_ENTRY: the hardware refuses the entry, reason 0x%x",
              entry.hardwareReason())
          + (entry.diagnosis().isEmpty() ? "" : ", " + entry.diagnosis());
    }
    return KvmExit.nameOf(exit.reason()) + ": " + exit;
  }

  private static String where(Vcpu cpu) {
    try {
      long rip = cpu.getRegs().rip;
      return rip == GuestMode.entry().rip
          ? ", at its first instruction"
          : String.format(", at rip 0x%x", rip);
    } catch (KvmException e) {
      return "";
    }
  }
}
