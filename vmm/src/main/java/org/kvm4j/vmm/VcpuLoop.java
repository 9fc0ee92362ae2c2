package org.kvm4j.vmm;

import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.RunPage;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Exits;

/**
 * Runs a vCPU on its thread: {@code KVM_RUN}, the exit's handling, and again until the machine
 * stops.
 */
final class VcpuLoop implements Runnable {

  private final Machine machine;
  private final Vcpu vcpu;
  private final ExitHandler handler;
  private final @Nullable ExitStatistics statistics;
  private final @Nullable ExitListener listener;

  /** How the PICs' interrupts come in, if they are the VMM's and this is the processor for them. */
  private final @Nullable ExternalInterrupts external;

  VcpuLoop(
      Machine machine,
      Vcpu vcpu,
      ExitHandler handler,
      @Nullable ExitStatistics statistics,
      @Nullable ExitListener listener,
      @Nullable ExternalInterrupts external) {
    this.machine = machine;
    this.vcpu = vcpu;
    this.handler = handler;
    this.statistics = statistics;
    this.listener = listener;
    this.external = external;
  }

  @Override
  public void run() {
    try {
      machine.entered(vcpu);
      if (listener != null) {
        traced(listener);
      } else if (statistics != null) {
        counted(statistics);
      } else {
        plain();
      }
    } catch (KvmException e) {
      machine.end(Ending.of(Ending.Kind.INTERNAL_ERROR, e.getMessage() + where()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      machine.end(Ending.of(Ending.Kind.INTERRUPTED, "stopped"));
    } catch (RuntimeException | Error e) {
      machine.failed(e);
    }
  }

  /** Whether the processor runs on; with what user space has for it. */
  private boolean runs(RunPage page) {
    if (!machine.runs(vcpu)) {
      return false;
    }
    if (external != null) {
      external.beforeRun(page);
    }
    return true;
  }

  private void plain() throws InterruptedException {
    RunPage page = vcpu.runPage();
    while (runs(page)) {
      int result = vcpu.runRaw();
      if (result < 0 ? !interrupted(result) : !handle(page)) {
        return;
      }
    }
  }

  private void counted(ExitStatistics counters) throws InterruptedException {
    RunPage page = vcpu.runPage();
    long before = System.nanoTime();
    while (runs(page)) {
      int result = vcpu.runRaw();
      long exited = System.nanoTime();
      boolean goesOn = result < 0 ? interrupted(result) : handle(page);
      long after = System.nanoTime();
      if (result < 0) {
        counters.interrupted(exited - before);
      } else {
        counters.exited(page, exited - before, after - exited);
      }
      before = after;
      if (!goesOn) {
        return;
      }
    }
  }

  private void traced(ExitListener sees) throws InterruptedException {
    RunPage page = vcpu.runPage();
    while (runs(page)) {
      long before = System.nanoTime();
      Exit exit = vcpu.run();
      long exited = System.nanoTime();
      Outcome outcome = handler.handleExit(exit);
      sees.exited(vcpu.id(), exit, outcome);
      if (statistics != null) {
        if (exit.reason() < 0) {
          statistics.interrupted(exited - before);
        } else {
          statistics.exited(page, exited - before, System.nanoTime() - exited);
        }
      }
      if (!apply(outcome)) {
        return;
      }
    }
  }

  /** Whether KVM_RUN's error only says to look whether the machine still runs. */
  private static boolean interrupted(int result) {
    if (result == Errno.EINTR.result() || result == Errno.EAGAIN.result()) {
      return true;
    }
    throw new KvmException("KVM_RUN", -result, "");
  }

  /** Handles an exit; false if this vCPU does not run on. */
  private boolean handle(RunPage page) throws InterruptedException {
    switch (page.exitReason()) {
      case Exits.KVM_EXIT_IO:
        handler.handlePort(page);
        return true;
      case Exits.KVM_EXIT_MMIO:
        handler.handleMmio(page);
        return true;
      default:
        return apply(handler.handleExit(Exit.of(page)));
    }
  }

  private boolean apply(Outcome outcome) throws InterruptedException {
    if (outcome instanceof Outcome.PortData read) {
      vcpu.answerIn(read.data());
    } else if (outcome instanceof Outcome.MmioData read) {
      vcpu.answerMmio(read.value());
    } else if (outcome instanceof Outcome.Halt) {
      if (external != null && external.awaitInterrupt(vcpu.runPage(), machine::isAwake)) {
        return true;
      }
      machine.halted();
      return false;
    } else if (outcome instanceof Outcome.End end) {
      Ending ending = end.ending();
      machine.exited(
          ending.orderly() ? ending : Ending.of(ending.kind(), ending.message() + where()));
      return false;
    }
    return true;
  }

  /** The processor's state, for a message about what went wrong. */
  private String where() {
    try {
      return "\n" + CpuDump.describe(vcpu);
    } catch (RuntimeException e) {
      return "";
    }
  }
}
