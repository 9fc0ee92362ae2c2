package org.kvm4j.vmm.cli;

import java.util.List;
import org.jspecify.annotations.Nullable;
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
  private static volatile @Nullable Thread thread;

  private HeadStart() {}

  /**
   * Begins, if the arguments are those of a run on the emulated kernel, by all that shows so far.
   */
  static void begin(String[] args) {
    if (!isWorth(args) || Runtime.getRuntime().availableProcessors() < 2) {
      return;
    }
    Thread t = new Thread(HeadStart::make, "head start");
    t.setDaemon(true);
    // Whoever makes one to use it will say what is wrong.
    t.setUncaughtExceptionHandler((failed, e) -> {});
    thread = t;
    t.start();
  }

  static boolean isWorth(String[] args) {
    List<String> all = List.of(args);
    return all.size() > 1
        && all.get(0).equals("run")
        && !all.contains(Backends.NATIVE)
        && !all.contains("--backend=" + Backends.NATIVE);
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
    Thread t = thread;
    boolean interrupted = false;
    while (t != null && t.isAlive()) {
      try {
        t.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    return Kernels.providers();
  }
}
