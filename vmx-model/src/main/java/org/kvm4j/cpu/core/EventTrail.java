package org.kvm4j.cpu.core;

/**
 * An event and those that were met while it was being delivered: what led to a double fault and a
 * triple fault (SDM Vol. 3, "Interrupt 8—Double Fault Exception"). It is for diagnosis alone;
 * nothing the guest sees depends on it.
 */
public final class EventTrail {
  /** More than can follow each other without a shutdown. What is beyond is dropped. */
  private static final int LENGTH = 8;

  /**
   * One event.
   *
   * @param type as in the VMX interruption-information fields: 0 external, 2 NMI, 3 hardware
   *     exception, 4 software interrupt, 5 privileged software exception, 6 software exception
   * @param address the linear address of a #PF
   */
  public record Event(int type, int vector, boolean hasErrorCode, int errorCode, long address) {}

  private final int[] types = new int[LENGTH];
  private final int[] vectors = new int[LENGTH];
  private final boolean[] haveErrorCode = new boolean[LENGTH];
  private final int[] errorCodes = new int[LENGTH];
  private final long[] addresses = new long[LENGTH];
  private int count;

  /** Whether the last event's delivery is not over. */
  private boolean open;

  /** {@link Cpu#elapsed} when the first event began. */
  private long begun;

  /** Whatever was being delivered is not what comes next is met in. */
  public void close() {
    open = false;
  }

  /**
   * The delivery of an event begins, of an exception or by VM entry. One that was broken off by a
   * VM exit (SDM Vol. 3, "Information for VM Exits During Event Delivery") and begins again is the
   * same.
   */
  public void begin(
      Cpu cpu, int type, int vector, boolean hasErrorCode, int errorCode, long address) {
    int last = count - 1;
    if (open
        && begun == cpu.elapsed()
        && types[last] == type
        && vectors[last] == vector
        && errorCodes[last] == errorCode) {
      return;
    }
    open = false;
    add(cpu, type, vector, hasErrorCode, errorCode, address);
  }

  /** An event is met in the delivery of the one before; if there is none, it is the first. */
  public void add(
      Cpu cpu, int type, int vector, boolean hasErrorCode, int errorCode, long address) {
    if (!open) {
      count = 0;
      open = true;
      begun = cpu.elapsed();
    }
    if (count < LENGTH) {
      types[count] = type;
      vectors[count] = vector;
      haveErrorCode[count] = hasErrorCode;
      errorCodes[count] = errorCode;
      addresses[count] = address;
      count++;
    }
  }

  /** The events, the first one first. */
  public Event[] events() {
    Event[] events = new Event[count];
    for (int i = 0; i < count; i++) {
      events[i] = new Event(types[i], vectors[i], haveErrorCode[i], errorCodes[i], addresses[i]);
    }
    return events;
  }
}
