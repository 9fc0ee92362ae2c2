package org.kvm4j.cpu;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.semantics.Handlers;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.vmx.entry.EntryChecks;
import org.kvm4j.vmx.instruction.VmxUnit;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * One logical processor, whole: registers and memory ({@link #cpu}), the engine that runs code
 * ({@link #engine}), and VMX ({@link #vmx}).
 */
public final class LogicalProcessor implements AutoCloseable {
  static {
    Handlers.load();
    EntryChecks.load();
  }

  public final Cpu cpu;
  public final Interpreter engine;
  public final VmxUnit vmx;

  /** A processor after reset. */
  public LogicalProcessor(CpuModel model, PhysicalMemory memory, Platform platform) {
    this.cpu = new Cpu(model, memory, platform);
    this.engine = new Interpreter(cpu, new Decoder(model.features()));
    this.vmx = new VmxUnit(cpu, VmxCapabilities.of(model));
    cpu.virtualization = vmx;
  }

  // ---- signals from outside, by any thread

  /**
   * INIT. It takes effect between instructions: outside of VMX operation the processor is
   * initialised, in non-root operation it exits, in root operation and in the wait-for-SIPI state
   * of a guest it stays pending.
   */
  public void init() {
    cpu.requestInit();
  }

  /**
   * A start-up IPI, of no effect on a processor that does not wait for one.
   *
   * @param vector the page that execution begins at, 0 to 255
   */
  public void startUp(int vector) {
    cpu.requestStartUp(vector);
  }

  /** A non-maskable interrupt: it stays pending until it can be delivered. */
  public void nmi() {
    cpu.request(Cpu.REQUEST_NMI);
  }

  /** Makes a run of {@link #engine} come back. */
  public void kick() {
    cpu.request(Cpu.REQUEST_KICK);
  }

  /** Takes the processor out of the machine; it must not be running. */
  @Override
  public void close() {
    engine.close();
  }
}
