package org.kvm4j.cpu.msr;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.CpuModel;

/** A model-specific register: a row of {@link MsrTable}. */
public final class Msr {
  /** Reads it. */
  @FunctionalInterface
  interface Reader {
    long read(Cpu cpu);
  }

  /** Writes it; false refuses the value, which is #GP(0). */
  @FunctionalInterface
  interface Writer {
    boolean write(Cpu cpu, long value);
  }

  /** Whether a processor has it. */
  @FunctionalInterface
  interface Presence {
    boolean on(CpuModel model);
  }

  /** The value of ECX. */
  public final int index;

  /** The SDM's name. */
  public final String name;

  /** Where the rules come from: a section's title. */
  public final String source;

  /** Of a register that can be written alone. */
  static final Reader WRITE_ONLY = cpu -> 0;

  private final Presence presence;
  private final Reader reader;
  private final Writer writer;

  Msr(int index, String name, String source, Presence presence, Reader reader, Writer writer) {
    this.index = index;
    this.name = name;
    this.source = source;
    this.presence = presence;
    this.reader = reader;
    this.writer = writer;
  }

  /** Whether a processor of this model has the register. */
  public boolean isOn(CpuModel model) {
    return presence.on(model);
  }

  /** Whether RDMSR works; a register that is only written is #GP(0) to read. */
  public boolean isReadable() {
    return reader != WRITE_ONLY;
  }

  /** What RDMSR gives; 0 if it is not readable. */
  public long read(Cpu cpu) {
    return reader.read(cpu);
  }

  /** What WRMSR does; false if it refuses the value. */
  public boolean write(Cpu cpu, long value) {
    return writer.write(cpu, value);
  }

  @Override
  public String toString() {
    return "%s (%#x)".formatted(name, index);
  }
}
