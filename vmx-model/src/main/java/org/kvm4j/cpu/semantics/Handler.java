package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;

/**
 * What one instruction does.
 *
 * <p>On entry {@link Cpu#instructionRip} is the instruction's address and {@link Cpu#rip} the
 * address after it. A control transfer sets {@code rip}. An architectural exception is thrown
 * ({@code throw cpu.gp(0)}) before anything visible has changed; the engine then puts {@code rip}
 * back. A VM exit is taken through {@link org.kvm4j.cpu.core.GuestMode}: when it says true, the
 * handler returns at once. A repeated string instruction that stops early for a pending request
 * leaves {@code rip} at {@code instructionRip}, with registers as after the iterations done.
 */
@FunctionalInterface
public interface Handler {
  void execute(Cpu cpu, Instruction i);
}
