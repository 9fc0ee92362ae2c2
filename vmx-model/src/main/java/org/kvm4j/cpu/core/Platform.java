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

  /** Nanoseconds of the clock that the machine was made with. */
  long nanoTime();

  /** A random number for RDRAND and RDSEED. */
  long random();

  /** The vector of the highest-priority interrupt, taken from the controller (INTA); -1 if none. */
  int acknowledgeInterrupt();

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
