package org.kvm4j.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;

/**
 * What many idle VMs of the emulated kernel take in one JVM: {@code benchmarks/idle-vms}. Each has
 * 16 MiB of memory, of which it has touched one page of code, and one virtual CPU.
 */
public final class IdleVms {
  private static final int MEMORY = 16 << 20;
  private static final int PAGE = 4096;
  private static final int CODE_AT = 0x1000;

  /** out 0x10, al; jmp to it. */
  private static final String OUT = "e610ebfc";

  /** sti; hlt; jmp to it. */
  private static final String HALT = "fbf4ebfc";

  private IdleVms() {}

  /** How far a VM gets before it is idle. */
  private enum State {
    CREATED("created, its virtual CPU not run yet"),
    RUN("after an exit by OUT"),
    CHIPS("the same, with interrupt chips and timer in the kernel"),
    HALTED("the same, asleep in HLT in a thread of its own");

    final String words;

    State(String words) {
      this.words = words;
    }
  }

  /**
   * @param args how many VMs, and which of the four states, 0 to 3: each wants a JVM of its own
   */
  public static void main(String[] args) throws IOException, InterruptedException {
    int count = Integer.parseInt(args[0]);
    State state = State.values()[Integer.parseInt(args[1])];
    List<Vm> kept = new ArrayList<>();
    try (Kernel kernel = Kernels.open("emulated")) {
      Kvm kvm = Kvm.open(kernel);
      // What the first one loads and compiles is no VM's.
      for (int k = 0; k < 20; k++) {
        kept.add(make(kvm, state));
      }
      settle();
      long heap = heap();
      long resident = resident();
      for (int k = 0; k < count; k++) {
        kept.add(make(kvm, state));
      }
      settle();
      System.out.printf(
          Locale.ROOT,
          "%-56s %6.1f KiB of heap, %6.1f KiB resident beyond the page of code, a VM (%d)%n",
          state.words,
          (heap() - heap) / 1024.0 / count,
          (resident() - resident - (long) count * PAGE) / 1024.0 / count,
          count);
    }
    System.exit(kept.isEmpty() ? 1 : 0);
  }

  private static Vm make(Kvm kvm, State state) {
    Vm vm = kvm.createVm();
    if (state.compareTo(State.CHIPS) >= 0) {
      vm.createIrqchip();
      vm.createPit2(0);
    }
    GuestMemory memory = new GuestMemory(vm);
    memory.add(0, 0, MEMORY, 0);
    memory.write(CODE_AT, HexFormat.of().parseHex(state == State.HALTED ? HALT : OUT));
    Vcpu vcpu = vm.createVcpu(0);
    Sregs sregs = vcpu.getSregs();
    sregs.cs.setRealMode(0);
    vcpu.setSregs(sregs);
    Regs regs = new Regs();
    regs.rip = CODE_AT;
    regs.rflags = 2;
    vcpu.setRegs(regs);
    if (state == State.HALTED) {
      start(vcpu::runRaw);
    } else if (state != State.CREATED) {
      vcpu.runRaw();
    }
    return vm;
  }

  /** Starts a thread: a virtual one where the JVM has these and lets them wait anywhere. */
  private static void start(Runnable task) {
    if (Runtime.version().feature() >= 24) {
      try {
        Thread.class.getMethod("startVirtualThread", Runnable.class).invoke(null, task);
        return;
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(e);
      }
    }
    Thread thread = new Thread(task);
    thread.setDaemon(true);
    thread.start();
  }

  private static void settle() throws InterruptedException {
    Thread.sleep(500);
    for (int k = 0; k < 3; k++) {
      System.gc();
      Thread.sleep(100);
    }
  }

  private static long heap() {
    return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
  }

  /** What the host has given the process, in bytes. */
  private static long resident() throws IOException {
    for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
      if (line.startsWith("VmRSS:")) {
        return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
      }
    }
    throw new IOException("/proc/self/status has no VmRSS");
  }
}
