package org.kvm4j.vmm;

import java.util.function.BooleanSupplier;
import org.kvm4j.kvm.RunPage;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.vmm.irqchip.PicPair;

/**
 * How the interrupts of PICs in user space come into a processor: by {@code KVM_INTERRUPT} when it
 * takes one, and until then by {@code request_interrupt_window}, which has it exit as soon as it
 * does. Source: Linux 6.1 api.rst, "KVM_INTERRUPT" and "The kvm_run structure".
 */
final class ExternalInterrupts {

  private final Vcpu vcpu;

  @SuppressWarnings("NullAway.Init") // the two know each other
  private PicPair pics;

  /**
   * @param vcpu the processor
   */
  ExternalInterrupts(Vcpu vcpu) {
    this.vcpu = vcpu;
  }

  /** The PICs that this is the way from; before anything else. */
  void connect(PicPair chips) {
    pics = chips;
  }

  /** The processor. */
  Vcpu vcpu() {
    return vcpu;
  }

  /** The PICs' output has gone up. Any thread may call. */
  void raised() {
    try {
      vcpu.kick();
    } catch (IllegalStateException e) {
      // Closed: it does not run.
    }
    nudge();
  }

  /** Has a processor that waits look whether it still should. */
  synchronized void nudge() {
    notifyAll();
  }

  /** Before the processor's thread enters the guest. */
  void beforeRun(RunPage page) {
    boolean due = pics.output();
    if (due && page.readyForInterruptInjection()) {
      vcpu.interrupt(pics.acknowledge());
      due = pics.output();
    }
    page.setRequestInterruptWindow(due);
  }

  /**
   * The processor has halted, and it is user space that wakes it: waits for an interrupt.
   *
   * @param goesOn whether to wait at all
   * @return false if nothing can wake it: it takes no interrupts
   */
  boolean awaitInterrupt(RunPage page, BooleanSupplier goesOn) throws InterruptedException {
    if (!page.ifFlag()) {
      return false;
    }
    synchronized (this) {
      while (!pics.output() && goesOn.getAsBoolean()) {
        wait();
      }
    }
    return true;
  }
}
