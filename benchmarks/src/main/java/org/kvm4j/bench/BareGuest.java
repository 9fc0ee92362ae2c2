package org.kvm4j.bench;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * One of the benchmark guests ({@code benchmarks/guests}) on a processor by itself, in root
 * operation: no hypervisor, no EPT, no devices. It does its rounds for ever.
 */
final class BareGuest implements AutoCloseable {
  private static final int MEMORY = 64 << 20;
  private static final int INFORMATION = 0x9000;
  private static final int PT_LOAD = 1;

  final LogicalProcessor processor;

  /**
   * @param name of the guest: {@code "sieve"}
   */
  BareGuest(String name) {
    PhysicalMemory memory = new PhysicalMemory(40);
    memory.mapAt(0, MEMORY);
    processor = new LogicalProcessor(CpuProfiles.named(CpuProfiles.DEFAULT), memory, Platform.NONE);
    Cpu cpu = processor.cpu;
    cpu.rip = load(memory, name);
    byte[] line = "rounds=0\0".getBytes(StandardCharsets.US_ASCII);
    memory.deviceWrite(INFORMATION + 0x100, line, 0, line.length);
    memory.writeInt(INFORMATION, 4);
    memory.writeInt(INFORMATION + 16, INFORMATION + 0x100);
    // As a multiboot loader leaves the processor.
    cpu.r[Cpu.RAX] = 0x2badb002;
    cpu.r[Cpu.RBX] = INFORMATION;
    cpu.cr0 |= ControlBits.CR0_PE;
    for (int s = 0; s < 6; s++) {
      cpu.seg[s].set(16, 0, 0xffffffff, 0xc093);
    }
    cpu.seg[Cpu.CS].set(8, 0, 0xffffffff, 0xc09b);
    cpu.updateMode();
  }

  /** Executes so many instructions. */
  void run(long instructions) {
    Interpreter.Stop stop = processor.engine.run(instructions);
    if (stop != Interpreter.Stop.BUDGET) {
      throw new IllegalStateException("the guest stopped: " + stop);
    }
  }

  private static long load(PhysicalMemory memory, String name) {
    byte[] bytes;
    try (InputStream in = BareGuest.class.getResourceAsStream("guests/" + name + ".elf")) {
      if (in == null) {
        throw new IllegalArgumentException("no guest " + name);
      }
      bytes = in.readAllBytes();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    ByteBuffer elf = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int at = elf.getInt(28);
    for (int n = elf.getShort(44); n > 0; n--, at += elf.getShort(42)) {
      if (elf.getInt(at) == PT_LOAD) {
        memory.deviceWrite(elf.getInt(at + 12), bytes, elf.getInt(at + 4), elf.getInt(at + 16));
      }
    }
    return elf.getInt(24) & 0xffffffffL;
  }

  @Override
  public void close() {
    processor.close();
  }
}
