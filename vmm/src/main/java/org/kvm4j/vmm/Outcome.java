package org.kvm4j.vmm;

import java.util.HexFormat;

/** What an exit leads to. */
public sealed interface Outcome {

  /** The guest goes on. */
  Outcome RESUME = new Resume();

  /** The guest goes on. */
  record Resume() implements Outcome {}

  /**
   * The guest goes on with what it read from a port.
   *
   * @param data size * count bytes
   */
  @SuppressWarnings("ArrayRecordComponent") // Made, used once, dropped.
  record PortData(byte[] data) implements Outcome {
    @Override
    public String toString() {
      return "PortData[" + HexFormat.ofDelimiter(" ").formatHex(data) + "]";
    }
  }

  /**
   * The guest goes on with what it read from a device's memory.
   *
   * @param value little endian
   */
  record MmioData(long value) implements Outcome {}

  /** This processor does not run on; others may. */
  record Halt() implements Outcome {}

  /**
   * The machine stops.
   *
   * @param ending why
   */
  record End(Ending ending) implements Outcome {}
}
