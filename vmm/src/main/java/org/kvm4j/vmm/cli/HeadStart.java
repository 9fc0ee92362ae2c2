package org.kvm4j.vmm.cli;

import java.util.List;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelProvider;

/**
 * What the emulated kernel is made of, set up beside the command line, which takes as long to be
 * read: on a machine with a second processor a run begins sooner by a third of that.
 */
final class HeadStart {
  /** Of the threads. */
  static final String NAME = "head start";

  private static volatile List<Thread> threads = List.of();

  private HeadStart() {}

  /**
   * Begins, if the arguments are those of a run on the emulated kernel, by all that shows so far.
   */
  static void begin(String[] args) {
    if (!isWorth(args) || Runtime.getRuntime().availableProcessors() < 2) {
      return;
    }
    threads = List.of(start(HeadStart::make), start(HeadStart::load));
  }

  private static Thread start(Runnable part) {
    Thread t = new Thread(part, NAME);
    t.setDaemon(true);
    // Whoever makes one to use it will say what is wrong.
    t.setUncaughtExceptionHandler((failed, e) -> {});
    t.start();
    return t;
  }

  static boolean isWorth(String[] args) {
    List<String> all = List.of(args);
    return all.size() > 1
        && all.get(0).equals("run")
        && !all.contains(Backends.NATIVE)
        && !all.contains("--backend=" + Backends.NATIVE);
  }

  /** What the machine needs of the host. */
  private static void load() {
    for (KernelProvider provider : Kernels.providers()) {
      if (provider.name().equals(Backends.EMULATED)) {
        provider.load();
      }
    }
  }

  /** Makes a machine that nobody uses: then all is there that another one needs. */
  private static void make() {
    try (Kernel kernel = Kernels.open(Backends.EMULATED);
        Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm()) {
      vm.createVcpu(0).close();
    }
  }

  /** The kernels that there are, once the head start is over. */
  static List<KernelProvider> providers() {
    boolean interrupted = false;
    for (Thread t : threads) {
      while (t.isAlive()) {
        try {
          t.join();
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return Kernels.providers();
  }
}
