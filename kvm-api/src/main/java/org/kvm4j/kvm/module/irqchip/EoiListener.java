package org.kvm4j.kvm.module.irqchip;

/** What is told of the ends of interrupts: the I/O APIC, in the kernel or in user space. */
interface EoiListener {
  /** Whether the end of an interrupt matters to anyone, should this processor end it. */
  boolean wantsEnd(LocalApic apic, int vector);

  /**
   * A processor has ended an interrupt.
   *
   * @param level whether it was level-triggered
   */
  void ended(LocalApic apic, int vector, boolean level);
}
