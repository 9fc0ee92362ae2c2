package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.PackedMath.put;
import static org.kvm4j.cpu.semantics.PackedMath.sign;
import static org.kvm4j.cpu.semantics.PackedMath.zero;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Vector instructions across lanes: permutations, broadcasts, insertion and extraction of 128 bits,
 * widening, tests; and those that empty registers. SDM Vol. 2, each instruction's page.
 */
final class VectorPermutes {
  private VectorPermutes() {}

  static void register() {
    for (Opcode opcode : new Opcode[] {Opcode.VPERMD, Opcode.VPERMPS}) {
      Handlers.putVectorOnly(opcode, VectorPermutes::permuteSingles);
    }
    for (Opcode opcode : new Opcode[] {Opcode.VPERMQ, Opcode.VPERMPD}) {
      Handlers.putVectorOnly(opcode, VectorPermutes::permuteWords);
    }
    for (Opcode opcode : new Opcode[] {Opcode.VPERM2F128, Opcode.VPERM2I128}) {
      Handlers.putVectorOnly(opcode, VectorPermutes::permuteHalves);
    }
    for (Opcode opcode : new Opcode[] {Opcode.VINSERTF128, Opcode.VINSERTI128}) {
      Handlers.putVectorOnly(opcode, VectorPermutes::insertHalf);
    }
    for (Opcode opcode : new Opcode[] {Opcode.VEXTRACTF128, Opcode.VEXTRACTI128}) {
      Handlers.putVectorOnly(opcode, VectorPermutes::extractHalf);
    }
    broadcast(8, Opcode.VPBROADCASTB);
    broadcast(16, Opcode.VPBROADCASTW);
    broadcast(32, Opcode.VPBROADCASTD, Opcode.VBROADCASTSS);
    broadcast(64, Opcode.VPBROADCASTQ, Opcode.VBROADCASTSD);
    broadcast(128, Opcode.VBROADCASTF128, Opcode.VBROADCASTI128);
    widen(8, 16, Opcode.PMOVSXBW, Opcode.PMOVZXBW);
    widen(8, 32, Opcode.PMOVSXBD, Opcode.PMOVZXBD);
    widen(8, 64, Opcode.PMOVSXBQ, Opcode.PMOVZXBQ);
    widen(16, 32, Opcode.PMOVSXWD, Opcode.PMOVZXWD);
    widen(16, 64, Opcode.PMOVSXWQ, Opcode.PMOVZXWQ);
    widen(32, 64, Opcode.PMOVSXDQ, Opcode.PMOVZXDQ);
    Handlers.putVector(Opcode.PTEST, (c, i) -> test(c, i, -1));
    Handlers.putVectorOnly(Opcode.VTESTPS, (c, i) -> test(c, i, 0x8000000080000000L));
    Handlers.putVectorOnly(Opcode.VTESTPD, (c, i) -> test(c, i, Long.MIN_VALUE));
    Handlers.putVectorOnly(Opcode.VZEROUPPER, (c, i) -> zeroRegisters(c, 2));
    Handlers.putVectorOnly(Opcode.VZEROALL, (c, i) -> zeroRegisters(c, 0));
    Handlers.put(Opcode.EMMS, VectorPermutes::emms);
  }

  // ---- permutations ----

  private static void permuteSingles(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    for (int at = 0; at < 256; at += 32) {
      put(v.d, at, 32, zero(v.b, 32 * (int) (zero(v.a, at, 32) & 7), 32));
    }
    VectorOperands.write0(cpu, i, v.d);
  }

  private static void permuteWords(Cpu cpu, Instruction i) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    for (int k = 0; k < 4; k++) {
      v.d[k] = v.b[(int) i.immediate >> 2 * k & 3];
    }
    VectorOperands.write0(cpu, i, v.d);
  }

  /** Each half: one of the four halves of both sources, or zero. */
  private static void permuteHalves(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    for (int half = 0; half < 2; half++) {
      int choice = (int) i.immediate >> 4 * half;
      long[] from = (choice & 2) == 0 ? v.a : v.b;
      boolean isZero = (choice & 8) != 0;
      for (int k = 0; k < 2; k++) {
        v.d[2 * half + k] = isZero ? 0 : from[2 * (choice & 1) + k];
      }
    }
    VectorOperands.write0(cpu, i, v.d);
  }

  private static void insertHalf(Cpu cpu, Instruction i) {
    VectorUnit v = VectorOperands.sources(cpu, i);
    int half = (int) i.immediate & 1;
    v.a[2 * half] = v.b[0];
    v.a[2 * half + 1] = v.b[1];
    VectorOperands.write0(cpu, i, v.a);
  }

  private static void extractHalf(Cpu cpu, Instruction i) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.a);
    int half = (int) i.immediate & 1;
    v.d[0] = v.a[2 * half];
    v.d[1] = v.a[2 * half + 1];
    VectorOperands.write0(cpu, i, v.d);
  }

  private static void broadcast(int bits, Opcode... opcodes) {
    for (Opcode opcode : opcodes) {
      Handlers.putVectorOnly(opcode, (c, i) -> broadcast(c, i, bits));
    }
  }

  private static void broadcast(Cpu cpu, Instruction i, int bits) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    int step = Math.min(bits, 64);
    for (int at = 0; at < 256; at += step) {
      put(v.d, at, step, zero(v.b, bits == 128 ? at & 64 : 0, step));
    }
    VectorOperands.write0(cpu, i, v.d);
  }

  // ---- widening ----

  private static void widen(int from, int to, Opcode signed, Opcode unsigned) {
    Handlers.putVector(signed, (c, i) -> widen(c, i, from, to, true));
    Handlers.putVector(unsigned, (c, i) -> widen(c, i, from, to, false));
  }

  private static void widen(Cpu cpu, Instruction i, int from, int to, boolean signed) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    int count = 64 * VectorOperands.words(i) / to;
    for (int k = 0; k < count; k++) {
      put(v.d, k * to, to, signed ? sign(v.b, k * from, from) : zero(v.b, k * from, from));
    }
    VectorOperands.write0(cpu, i, v.d);
  }

  // ---- tests ----

  /** ZF: no bit of the mask is set in both; CF: none is set in the second alone. */
  private static void test(Cpu cpu, Instruction i, long mask) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.b);
    VectorOperands.read0(cpu, i, v.a);
    long both = 0;
    long second = 0;
    for (int k = VectorOperands.words(i) - 1; k >= 0; k--) {
      both |= v.a[k] & v.b[k] & mask;
      second |= ~v.a[k] & v.b[k] & mask;
    }
    cpu.setLazyFlags((both == 0 ? Flags.ZF : 0) | (second == 0 ? Flags.CF : 0));
  }

  // ---- emptying ----

  /** From a word on, of every register that the mode reaches. */
  private static void zeroRegisters(Cpu cpu, int word) {
    for (int register = VectorState.registers(cpu) - 1; register >= 0; register--) {
      VectorState.zeroUpper(cpu, register);
      if (word == 0) {
        VectorState.setXmm(cpu, register, 0, 0);
      }
    }
  }

  /** All tags empty, and TOP 0 as after every MMX instruction. */
  private static void emms(Cpu cpu, Instruction i) {
    VectorOperands.beginMmx(cpu);
    VectorState.enterMmx(cpu);
    X87State.setTags(cpu, 0);
  }
}
