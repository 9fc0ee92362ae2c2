package org.kvm4j.cpu.event;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;

/**
 * Delivery of exceptions and interrupts. SDM Vol. 3, ch. 6 "Interrupt and Exception Handling"; Vol.
 * 2, "INT n/INTO/INT3/INT1".
 *
 * <p>None of these throws {@link CpuException}: what goes wrong in delivery is delivered in turn,
 * up to the triple fault. {@link org.kvm4j.cpu.core.NestedFault} passes through with nothing
 * changed, for the engine to hand to {@link org.kvm4j.cpu.core.GuestMode#nestedFault}.
 */
public final class EventDelivery {
  /** Types of events, as in the VMX interruption-information fields. */
  public static final int EXTERNAL = 0;

  public static final int NMI = 2;
  public static final int HARDWARE_EXCEPTION = 3;
  public static final int SOFTWARE_INTERRUPT = 4;
  public static final int PRIVILEGED_SOFTWARE_EXCEPTION = 5;
  public static final int SOFTWARE_EXCEPTION = 6;

  private EventDelivery() {}

  /**
   * Delivers a fault of the instruction at {@link Cpu#instructionRip}: rip goes back there first. A
   * VM exit may be taken instead.
   */
  public static void exception(Cpu cpu, CpuException e) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * Delivers a debug exception of the trap class, to return to {@link Cpu#rip}.
   *
   * @param dr6Bits bits for DR6: 0..3, 13 (BD), 14 (BS), 15 (BT)
   */
  public static void debugTrap(Cpu cpu, long dr6Bits) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * Delivers an external interrupt that was acknowledged, between instructions. External-interrupt
   * exiting is the caller's question, before the acknowledgement.
   */
  public static void interrupt(Cpu cpu, int vector) {
    throw new UnsupportedOperationException("not built yet");
  }

  /** Delivers an NMI between instructions, or takes the VM exit; NMIs are blocked from here on. */
  public static void nmi(Cpu cpu) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * INT n, INT3, INTO, INT1: an event that returns to the next instruction.
   *
   * @param type {@link #SOFTWARE_INTERRUPT}, {@link #SOFTWARE_EXCEPTION} (INT3, INTO) or {@link
   *     #PRIVILEGED_SOFTWARE_EXCEPTION} (INT1)
   * @param length of the instruction
   */
  public static void software(Cpu cpu, int vector, int type, int length) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * Event injection by VM entry. SDM Vol. 3, "Event Injection". The event itself is not subject to
   * the exception bitmap, and loads neither CR2 nor DR6.
   *
   * @param type of the VM-entry interruption-information field, but not "other event"
   * @param length of the instruction, for the types of software events
   */
  public static void inject(
      Cpu cpu, int type, int vector, boolean hasErrorCode, int errorCode, int length) {
    throw new UnsupportedOperationException("not built yet");
  }
}
