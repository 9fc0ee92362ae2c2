package org.kvm4j.cpu.engine;

import java.util.HexFormat;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.testing.SystemMachine;

/** Code for an engine to run on a {@link SystemMachine}. */
final class Code {
  private Code() {}

  /** An engine for the machine's processor. */
  static Interpreter engine(SystemMachine m) {
    return new Interpreter(m.cpu, new Decoder(m.cpu.model.features()));
  }

  /** Puts code, in hexadecimal, at an address, as a device would. */
  static void put(SystemMachine m, long address, String hex) {
    byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
    m.memory.deviceWrite(address, bytes, 0, bytes.length);
  }

  /** Puts code where the processor is. */
  static void put(SystemMachine m, String hex) {
    put(m, m.cpu.seg[Cpu.CS].base + m.cpu.rip, hex);
  }
}
