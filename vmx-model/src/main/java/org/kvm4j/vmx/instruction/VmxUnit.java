package org.kvm4j.vmx.instruction;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.VirtualizationUnit;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.vmx.entry.VmEntryFailure;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * The VMX of one logical processor: VMXON to INVVPID, as instructions ({@link #execute}) and as the
 * plain methods behind them, which a hypervisor in Java calls.
 *
 * <p>The plain methods leave out what concerns an instruction alone (mode, CPL, operands, RFLAGS)
 * and return how it ended: {@link InstructionError#SUCCESS}, {@link InstructionError#FAIL_INVALID}
 * or the error number of VMfailValid, which then also is in the VM-instruction error field.
 *
 * <p>Source: SDM ch. 31 "VMX Instruction Reference".
 */
public final class VmxUnit implements VirtualizationUnit {
  /** The current-VMCS pointer when there is no current VMCS. */
  public static final long NO_VMCS = -1;

  /** What {@link #vmread(long)} returned is in here. */
  public long value;

  /**
   * The hypervisor is Java code that runs on no emulated processor: what VM exits load from the
   * host state and only a hypervisor on the processor could see may be left out.
   */
  public boolean hostedByJava;

  public VmxUnit(Cpu cpu, VmxCapabilities capabilities) {
    throw new UnsupportedOperationException("not built yet");
  }

  public VmxCapabilities capabilities() {
    throw new UnsupportedOperationException("not built yet");
  }

  /** The current VMCS, or null. */
  public @Nullable Vmcs current() {
    throw new UnsupportedOperationException("not built yet");
  }

  /** Why the last VM entry failed; null if it did not. */
  public @Nullable VmEntryFailure lastFailure() {
    throw new UnsupportedOperationException("not built yet");
  }

  /** Enters VMX root operation. Control registers and IA32_FEATURE_CONTROL are the caller's. */
  public int vmxon(long pa) {
    throw new UnsupportedOperationException("not built yet");
  }

  public int vmxoff() {
    throw new UnsupportedOperationException("not built yet");
  }

  public int vmclear(long pa) {
    throw new UnsupportedOperationException("not built yet");
  }

  public int vmptrld(long pa) {
    throw new UnsupportedOperationException("not built yet");
  }

  /** The current-VMCS pointer; {@link #NO_VMCS} if there is none. */
  public long vmptrst() {
    throw new UnsupportedOperationException("not built yet");
  }

  /** VMREAD by encoding; the value is then in {@link #value}. */
  public int vmread(long encoding) {
    throw new UnsupportedOperationException("not built yet");
  }

  /** VMWRITE by encoding. */
  public int vmwrite(long encoding, long value) {
    throw new UnsupportedOperationException("not built yet");
  }

  /** VMREAD of a field that exists, by its ordinal ({@code Vmcs.GUEST_RIP}), without any check. */
  public long get(int ordinal) {
    throw new UnsupportedOperationException("not built yet");
  }

  /** VMWRITE of a field that exists, by its ordinal, without any check. */
  public void set(int ordinal, long value) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * VM entry. After {@link InstructionError#SUCCESS} either the processor is in non-root operation
   * ({@code cpu.guest != null}: let it run) or a VM exit has already happened ({@code cpu.guest ==
   * null}): a VM-entry failure (bit 31 of the exit reason), or an exit before the first
   * instruction.
   */
  public int vmlaunch() {
    throw new UnsupportedOperationException("not built yet");
  }

  /** VM entry with a launched VMCS; see {@link #vmlaunch}. */
  public int vmresume() {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * INVEPT.
   *
   * @param type 1 single-context, 2 all-context
   * @param eptp bits 63:0 of the descriptor
   */
  public int invept(long type, long eptp) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * INVVPID.
   *
   * @param type 0 individual-address, 1 single-context, 2 all-context, 3 single-context retaining
   *     globals
   * @param vpid bits 63:0 of the descriptor
   * @param linear bits 127:64 of the descriptor
   */
  public int invvpid(long type, long vpid, long linear) {
    throw new UnsupportedOperationException("not built yet");
  }

  @Override
  public void execute(Instruction i) {
    throw new UnsupportedOperationException("not built yet");
  }

  @Override
  public boolean inVmxOperation() {
    throw new UnsupportedOperationException("not built yet");
  }

  @Override
  public long cr0FixedOnes() {
    throw new UnsupportedOperationException("not built yet");
  }

  @Override
  public long cr4FixedOnes() {
    throw new UnsupportedOperationException("not built yet");
  }

  @Override
  public boolean readMsr(int index, long[] out) {
    throw new UnsupportedOperationException("not built yet");
  }

  @Override
  public boolean writeMsr(int index, long value) {
    throw new UnsupportedOperationException("not built yet");
  }
}
