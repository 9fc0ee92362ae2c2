package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.SimdFloat;

/**
 * MXCSR: how an instruction with floating-point elements takes its rounding and masks from it, and
 * enters its exceptions in it. SDM Vol. 1, 10.2.3 "MXCSR Control and Status Register", 11.5.2 "SIMD
 * Floating-Point Exception Conditions"; Vol. 3, 6.15 "Interrupt 19".
 */
final class SimdControl {
  /** The bits of MXCSR that there are. */
  private static final int DEFINED = 0xffff;

  private SimdControl() {}

  static void register() {
    Handlers.putVector(Opcode.LDMXCSR, SimdControl::load);
    Handlers.putVector(Opcode.STMXCSR, SimdControl::store);
  }

  private static void load(Cpu cpu, Instruction i) {
    int value = (int) Operands.read0(cpu, i);
    if ((value & ~DEFINED) != 0) {
      throw cpu.gp(0);
    }
    VectorState.setMxcsr(cpu, value);
  }

  private static void store(Cpu cpu, Instruction i) {
    Operands.write0(cpu, i, VectorState.mxcsr(cpu));
  }

  /** Begins to compute, after all operands are there. */
  static SimdFloat begin(Cpu cpu) {
    SimdFloat f = cpu.simd;
    f.begin(VectorState.mxcsr(cpu));
    return f;
  }

  /**
   * Ends computing: enters the exceptions, and takes one that is not masked before any result. A
   * conversion from or to MMX registers has made the transition to MMX even then (seen on Zen 4
   * processors).
   */
  static void settle(Cpu cpu, Instruction i, SimdFloat f) {
    if (f.isUnmasked() && (i.kind0 == OperandKind.MMX || i.kind1 == OperandKind.MMX)) {
      VectorState.enterMmx(cpu);
    }
    settle(cpu, f);
  }

  /** The same for an instruction without MMX registers. */
  static void settle(Cpu cpu, SimdFloat f) {
    int flags = f.flags();
    if (flags == 0) {
      return;
    }
    VectorState.setMxcsr(cpu, VectorState.mxcsr(cpu) | flags);
    if (f.isUnmasked()) {
      throw (cpu.cr4 & ControlBits.CR4_OSXMMEXCPT) != 0 ? cpu.exception(Vector.XM) : cpu.ud();
    }
  }
}
