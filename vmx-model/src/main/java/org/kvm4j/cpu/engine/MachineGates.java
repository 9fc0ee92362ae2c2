package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.ept.tlb.TagTable;
import org.kvm4j.machine.Assembler;
import org.kvm4j.machine.HostClock;

/**
 * The functions of machine code that all blocks share: the way in, the way out, the looks at the
 * second place in the jump cache and whether an entry of it holds again, and the one at what has
 * had to give way in the TLB.
 */
final class MachineGates {
  private MachineGates() {}

  /** A function: loads registers and goes to {@link MachineContext#TARGET}. */
  static void writeGate(Assembler a) {
    a.move(CONTEXT, RDI);
    int plain = unlessVectors(a);
    loadVectors(a);
    a.memory(4, 0x0fae, 2, CONTEXT, MachineContext.MXCSR); // ldmxcsr
    a.bind(plain);
    for (int g = 0; g < 11; g++) {
      if (g != Cpu.RDI) {
        a.load(HOST[g], CONTEXT, MachineContext.register(g));
      }
    }
    a.load(RDI, CONTEXT, MachineContext.register(Cpu.RDI));
    a.jumpTo(CONTEXT, MachineContext.TARGET);
  }

  /** Stores registers and returns. */
  static void writeLeave(Assembler a) {
    for (int g = 0; g < 11; g++) {
      a.store(HOST[g], CONTEXT, MachineContext.register(g));
    }
    int plain = unlessVectors(a);
    a.memory(4, 0x0fae, 3, CONTEXT, MachineContext.MXCSR); // stmxcsr
    storeVectors(a);
    a.memory(4, 0x0fae, 2, CONTEXT, MachineContext.HOST_MXCSR);
    a.bind(plain);
    a.emit(0xc3);
  }

  /**
   * A function: has RDX:RAX be the time-stamp counter, that is the host's clock in nanoseconds and
   * what it is beyond that. SCRATCH is overwritten. The stack is aligned here.
   */
  static void writeReadTsc(Assembler a) {
    for (int g : KEPT_FOR_HOST) {
      a.store(HOST[g], CONTEXT, MachineContext.register(g));
    }
    int noneToStore = unlessVectors(a);
    storeVectors(a);
    a.bind(noneToStore);
    a.immediate(8, 5, RSP, 16); // sub
    a.set(RDI, HostClock.MONOTONIC);
    a.move(RSI, RSP);
    a.memory(4, 0xff, 2, CONTEXT, MachineContext.HOST_CLOCK); // call
    a.memory(8, 0x69, RAX, RSP, 0); // imul
    a.emit32(1_000_000_000);
    a.memory(8, 0x03, RAX, RSP, 8);
    a.memory(8, 0x03, RAX, CONTEXT, MachineContext.TSC_BEYOND);
    a.immediate(8, 0, RSP, 16);
    a.move(RDX, RAX);
    a.registers(8, 0xc1, 5, RDX); // shr
    a.emit(32);
    a.registers(4, 0x89, RAX, RAX); // the upper half is 0
    int noneToLoad = unlessVectors(a);
    loadVectors(a);
    a.bind(noneToLoad);
    for (int g : KEPT_FOR_HOST) {
      a.load(HOST[g], CONTEXT, MachineContext.register(g));
    }
    a.emit(0xc3);
  }

  /** Of the registers that stand for the guest's those that a function may overwrite. */
  private static final int[] KEPT_FOR_HOST = {Cpu.RCX, Cpu.RSI, Cpu.RDI, 8, 9, 10};

  /** The jump that is taken where the XMM registers are not in the host's. */
  private static int unlessVectors(Assembler a) {
    a.memory(1, 0x80, 7, CONTEXT, MachineContext.VECTORS);
    a.emit(0);
    return a.jump(E);
  }

  private static void loadVectors(Assembler a) {
    vectors(a, 0x0f10); // movups
  }

  private static void storeVectors(Assembler a) {
    vectors(a, 0x0f11);
  }

  private static void vectors(Assembler a, int opcode) {
    for (int k = 0; k < 16; k++) {
      a.memory(0, 4, opcode, k, CONTEXT, NONE, 0, MachineContext.XMM + 16 * k);
    }
  }

  /**
   * A function: whether what translates an access has had to give way to another page in its slot,
   * and allows it; then ZF is set, and TO_HOST is its slot now. LINEAR is the access' address, and
   * SCRATCH its last byte's page.
   *
   * @param tag where in a slot the tag is
   */
  static void writeRecall(Assembler a, int tag) {
    a.move(TO_HOST, LINEAR);
    a.registers(8, 0x31, SCRATCH, TO_HOST); // xor
    a.immediate(8, 7, TO_HOST, 4095);
    int crosses = a.jump(A);
    a.load(TO_HOST, CONTEXT, MachineContext.TABLE);
    a.immediate(8, 0, TO_HOST, TagTable.VICTIM);
    for (int k = 0; k < TagTable.VICTIMS; k++) {
      a.memory(8, 0x3b, SCRATCH, TO_HOST, tag);
      int no = a.jumpShort(NE);
      a.emit(0xc3);
      a.bindShort(no);
      a.immediate(8, 0, TO_HOST, TagTable.STRIDE);
    }
    a.immediate(8, 7, CONTEXT, 0); // it is not: NE
    a.bind(crosses);
    a.emit(0xc3);
  }

  /**
   * A function: whether the other entry of a pair in the jump cache is for RIP (LINEAR), where one
   * (TO_HOST) is not; then ZF is set. TO_HOST is the other now.
   */
  static void writeOtherJump(Assembler a) {
    a.immediate(8, 6, TO_HOST, MachineContext.JUMP_PAIR); // xor
    a.memory(8, 0x3b, LINEAR, TO_HOST, 0);
    a.emit(0xc3);
  }

  /**
   * A function: whether an entry of the jump cache (TO_HOST) whose epoch has passed holds all the
   * same, since a fetch from RIP (LINEAR) is from the same page; then ZF is set, and the entry is
   * as good as new. SCRATCH is overwritten.
   */
  static void writeRevalidate(Assembler a) {
    a.immediate(8, 7, TO_HOST, NONE, 8, 0);
    int dead = a.jump(E);
    a.store(LINEAR, CONTEXT, MachineContext.ASIDE);
    fetchSlot(a);
    a.immediate(8, 4, LINEAR, -4096);
    a.memory(8, 0x3b, LINEAR, SCRATCH, TagTable.FETCH_TAG);
    int other = a.jump(NE);
    a.memory(8, 0x03, LINEAR, SCRATCH, TagTable.TO_HOST);
    a.memory(8, 0x3b, LINEAR, TO_HOST, 24);
    int moved = a.jump(NE);
    a.load(SCRATCH, CONTEXT, MachineContext.EPOCH);
    a.store(SCRATCH, TO_HOST, 8);
    a.bind(other);
    a.bind(moved);
    a.load(LINEAR, CONTEXT, MachineContext.ASIDE);
    a.emit(0xc3);
    a.bind(dead);
    a.immediate(8, 7, CONTEXT, NONE, MachineContext.JUMPS, 0); // it is not: NE
    a.emit(0xc3);
  }
}
