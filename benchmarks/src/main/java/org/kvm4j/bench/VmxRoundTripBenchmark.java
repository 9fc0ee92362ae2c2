package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.instruction.VmxUnit;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/**
 * A VM entry, an OUT and its VM exit on the emulated processor alone, without a kernel module: what
 * VMRESUME costs.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class VmxRoundTripBenchmark {
  private static final long VMXON_REGION = 0x1000;
  private static final long VMCS_REGION = 0x2000;
  private static final long EPT = 0x4000;
  private static final long CODE = 0x8000;

  /** Whether the hypervisor is Java code, so that the guest's registers may stay where they are. */
  @Param({"true", "false"})
  public boolean hostedByJava;

  private final PhysicalMemory memory = new PhysicalMemory(46);
  private final LogicalProcessor processor =
      new LogicalProcessor(CpuProfiles.defaultProfile(), memory, Platform.NONE);
  private final VmxUnit vmx = processor.vmx;

  /** Enters VMX operation and launches a guest in real mode that does OUT 80H, AL. */
  @Setup
  public void launch() {
    memory.mapAt(0, 1 << 20);
    int revision = (int) vmx.capabilities().basic & 0x7fffffff;
    memory.writeInt(VMXON_REGION, revision);
    memory.writeInt(VMCS_REGION, revision);
    memory.writeLong(EPT, EPT + 0x1000 | 7);
    memory.writeLong(EPT + 0x1000, EPT + 0x2000 | 7);
    memory.writeLong(EPT + 0x2000, 0xb7);
    memory.writeByte(CODE, (byte) 0xe6);
    memory.writeByte(CODE + 1, (byte) 0x80);
    host(processor.cpu);
    vmx.vmxon(VMXON_REGION);
    vmx.vmclear(VMCS_REGION);
    vmx.vmptrld(VMCS_REGION);
    vmx.hostedByJava = hostedByJava;
    fields();
    check(vmx.vmlaunch());
    processor.engine.run(10);
  }

  private static void host(Cpu cpu) {
    cpu.cr0 = 0x80050033L;
    cpu.cr4 = 0x2020;
    cpu.efer = 0xd00;
    cpu.seg[Cpu.CS].set(8, 0, 0xffffffffL, 0xa09b);
    cpu.updateMode();
  }

  private long required(ControlWord word) {
    return vmx.capabilities().required1(word);
  }

  private void fields() {
    vmx.set(Vmcs.PIN_BASED_VM_EXEC_CONTROL, required(ControlWord.PIN_BASED));
    vmx.set(
        Vmcs.CPU_BASED_VM_EXEC_CONTROL,
        required(ControlWord.PROCESSOR_BASED)
            | Controls.CPU_BASED_UNCOND_IO_EXITING
            | 0x8000_0000L);
    vmx.set(
        Vmcs.SECONDARY_VM_EXEC_CONTROL,
        Controls.SECONDARY_EXEC_ENABLE_EPT
            | Controls.SECONDARY_EXEC_ENABLE_VPID
            | Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST);
    vmx.set(
        Vmcs.VM_EXIT_CONTROLS,
        required(ControlWord.VM_EXIT)
            | Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE
            | Controls.VM_EXIT_SAVE_DEBUG_CONTROLS
            | Controls.VM_EXIT_SAVE_IA32_EFER
            | Controls.VM_EXIT_LOAD_IA32_EFER);
    vmx.set(
        Vmcs.VM_ENTRY_CONTROLS,
        required(ControlWord.VM_ENTRY)
            | Controls.VM_ENTRY_LOAD_DEBUG_CONTROLS
            | Controls.VM_ENTRY_LOAD_IA32_EFER);
    vmx.set(Vmcs.VIRTUAL_PROCESSOR_ID, 1);
    vmx.set(Vmcs.EPT_POINTER, EPT | 3 << 3 | 6);
    vmx.set(Vmcs.VMCS_LINK_POINTER, -1);
    vmx.set(Vmcs.HOST_CR0, 0x80050033L);
    vmx.set(Vmcs.HOST_CR4, 0x2020);
    vmx.set(Vmcs.HOST_IA32_EFER, 0xd00);
    vmx.set(Vmcs.HOST_CS_SELECTOR, 8);
    vmx.set(Vmcs.HOST_TR_SELECTOR, 0x20);
    vmx.set(Vmcs.GUEST_CR0, 0x30);
    vmx.set(Vmcs.GUEST_CR4, 0x2000);
    vmx.set(Vmcs.GUEST_DR7, 0x400);
    vmx.set(Vmcs.GUEST_RFLAGS, 2);
    for (int s = Cpu.ES; s <= Cpu.GS; s++) {
      vmx.set(Vmcs.GUEST_ES_LIMIT + s, 0xffff);
      vmx.set(Vmcs.GUEST_ES_AR_BYTES + s, s == Cpu.CS ? 0x9b : 0x93);
    }
    vmx.set(Vmcs.GUEST_LDTR_AR_BYTES, Segment.UNUSABLE);
    vmx.set(Vmcs.GUEST_TR_LIMIT, 0x67);
    vmx.set(Vmcs.GUEST_TR_AR_BYTES, 0x8b);
    vmx.set(Vmcs.GUEST_RIP, CODE);
  }

  private void check(int result) {
    if (result != InstructionError.SUCCESS || vmx.lastFailure() != null) {
      throw new IllegalStateException("VM entry: " + result + ", " + vmx.lastFailure());
    }
  }

  /** VMRESUME, OUT, VM exit; the hypervisor reads why, and sets RIP back. */
  @Benchmark
  public long out() {
    check(vmx.vmresume());
    processor.engine.run(10);
    vmx.set(Vmcs.GUEST_RIP, CODE);
    return vmx.get(Vmcs.EXIT_QUALIFICATION);
  }
}
