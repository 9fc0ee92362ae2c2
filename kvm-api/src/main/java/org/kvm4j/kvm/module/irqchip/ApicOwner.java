package org.kvm4j.kvm.module.irqchip;

/**
 * The virtual CPU that a local APIC belongs to. All is called with the chips' lock held, by any
 * thread, and must not wait for anything.
 */
public interface ApicOwner {
  /** Makes the processor look at its local APIC again, be it running or halted. */
  void wake();

  /** An NMI for the processor. */
  void nmi();

  /** A paravirtual kick: ends a HLT without an interrupt (KVM_HC_KICK_CPU). */
  void unhalt();

  /** The guest's time-stamp counter now. */
  long tsc();

  /** How long a number of ticks of the guest's time-stamp counter takes, in ns. */
  long nanos(long ticks);

  /** The guest has read or written its task-priority register. */
  void taskPriorityAccessed(boolean write);

  /** With a split chip: an interrupt that an I/O APIC in user space sent has ended. */
  void endOfInterrupt(int vector);
}
