package org.kvm4j.cpu;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.vmx.instruction.VmxUnit;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * One logical processor, whole: registers and memory ({@link #cpu}), the engine that runs code
 * ({@link #engine}), and VMX ({@link #vmx}).
 */
public final class LogicalProcessor implements AutoCloseable {
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

  /** Takes the processor out of the machine; it must not be running. */
  @Override
  public void close() {
    engine.close();
  }
}
