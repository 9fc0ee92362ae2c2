package org.kvm4j.cpu.core;

/** What a logical processor sees outside of itself: ports, device memory, time, interrupts. */
public interface Platform {

  /**
   * A read of an I/O port.
   *
   * @param size bytes: 1, 2 or 4
   */
  int portRead(int port, int size);

  /** A write of an I/O port. */
  void portWrite(int port, int size, int value);

  /** A read of physical memory that no RAM backs. */
  long deviceRead(long hpa, int size);

  /** A write of physical memory that no RAM backs. */
  void deviceWrite(long hpa, int size, long value);

  /** The time-stamp counter of the host, before any offset or scaling. */
  long tsc();

  /**
   * Whether {@link #tsc} is {@link System#nanoTime} less a constant, {@link #tscEpoch}, so that
   * whoever knows that can read it elsewhere.
   */
  default boolean isTscOfHost() {
    return false;
  }

  /** What {@link System#nanoTime} was when {@link #tsc} was 0, if {@link #isTscOfHost}. */
  default long tscEpoch() {
    return 0;
  }

  /** Nanoseconds of the clock that the machine was made with. */
  long nanoTime();

  /** A random number for RDRAND and RDSEED. */
  long random();

  /** The vector of the highest-priority interrupt, taken from the controller (INTA); -1 if none. */
  int acknowledgeInterrupt();

  /**
   * Whether an interrupt is there to be acknowledged now, as {@link Cpu#REQUEST_INTERRUPT} said.
   * One that finds none takes the request back.
   */
  default boolean interruptDue() {
    return true;
  }

  /** The end of the interrupt acknowledged last, as a write of the local APIC's EOI register. */
  default void endInterrupt() {}

  /**
   * Sends a fixed, edge-triggered interrupt by the local APIC outside of the processor.
   *
   * @param destination of 32 bits, physical; in xAPIC mode the local APIC takes bits 15:8 for it
   * @param vector 0 to 255
   */
  default void sendInterrupt(int destination, int vector) {}

  /**
   * A performance counter has overflowed that is to interrupt: the local APIC's LVT has an entry.
   */
  default void performanceInterrupt() {}

  /** INIT was carried out outside of VMX operation. */
  default void initialized() {}

  // ---- devices that answer later

  /** An instruction begins that runs by itself: until it ends, devices can be accessed. */
  default void beginInstruction() {}

  /**
   * It is over.
   *
   * @param done false if it has thrown {@link DeviceAccess} and nothing of it has happened
   * @return whether the engine has to be left: devices are asked for answers, or told of writes
   */
  default boolean endInstruction(boolean done) {
    return false;
  }

  /**
   * Whether instructions that access ports always run by themselves: the engine does not try them
   * otherwise. It never changes.
   */
  default boolean portsWantAlone() {
    return false;
  }

  /**
   * Whether a read of a port would be answered now. If not, whoever answers is asked, and the
   * instruction is to be taken up again with nothing of it done ({@link Cpu#waiting}): for what
   * reads most ports that is quicker than {@link DeviceAccess}.
   */
  default boolean portAnswers(int port, int size) {
    return true;
  }

  /**
   * An instruction makes sure that it can access physical memory that no RAM backs.
   *
   * @throws DeviceAccess if it cannot now
   */
  default void probeDevice(long hpa) {}

  // ---- what the processor has of it

  /** Whether a model-specific register is outside: the local APIC's, for one. */
  default boolean hasMsr(int index) {
    return false;
  }

  /** RDMSR of such a register; false for #GP(0). */
  default boolean readMsr(int index, long[] out) {
    return false;
  }

  /** WRMSR of such a register; false for #GP(0). */
  default boolean writeMsr(int index, long value) {
    return false;
  }

  /**
   * CPUID, where it is not the model's alone: what depends on the machine, as the processor's
   * number.
   *
   * @return whether the registers have it
   */
  default boolean cpuid(Cpu cpu) {
    return false;
  }

  /**
   * VM entry has started the VMX-preemption timer.
   *
   * @param ticks of the time-stamp counter until it expires, unsigned
   */
  default void preemptionTimerStarted(long ticks) {}

  /** A value was written to CR8, and the local APIC outside of the processor wants to know. */
  void taskPriorityChanged(int cr8);

  /** A port- and device-less platform: reads give all ones, time stands still. */
  Platform NONE =
      new Platform() {
        @Override
        public int portRead(int port, int size) {
          return -1;
        }

        @Override
        public void portWrite(int port, int size, int value) {}

        @Override
        public long deviceRead(long hpa, int size) {
          return -1;
        }

        @Override
        public void deviceWrite(long hpa, int size, long value) {}

        @Override
        public long tsc() {
          return 0;
        }

        @Override
        public long nanoTime() {
          return 0;
        }

        @Override
        public long random() {
          return 0;
        }

        @Override
        public int acknowledgeInterrupt() {
          return -1;
        }

        @Override
        public void taskPriorityChanged(int cr8) {}
      };
}
