package org.kvm4j.cpu.semantics;

import java.util.Arrays;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.VectorUnit;

/**
 * Vector moves of the elements that a mask chooses by their highest bits: masked loads and stores,
 * gathers. An element that is not chosen is not accessed and cannot fault; alignment is not
 * checked. SDM Vol. 2, each instruction's page.
 */
final class MaskedMoves {
  private MaskedMoves() {}

  static void register() {
    for (Opcode opcode : new Opcode[] {Opcode.VMASKMOVPS, Opcode.VPMASKMOVD}) {
      Handlers.putVectorOnly(opcode, (c, i) -> move(c, i, 4));
    }
    for (Opcode opcode : new Opcode[] {Opcode.VMASKMOVPD, Opcode.VPMASKMOVQ}) {
      Handlers.putVectorOnly(opcode, (c, i) -> move(c, i, 8));
    }
    Handlers.putVectorOnly(Opcode.MASKMOVQ, MaskedMoves::storeBytes);
    Handlers.putVector(Opcode.MASKMOVDQU, MaskedMoves::storeBytes);
    for (Opcode opcode :
        new Opcode[] {Opcode.VPGATHERDD, Opcode.VPGATHERDQ, Opcode.VGATHERDPS, Opcode.VGATHERDPD}) {
      Handlers.putVectorOnly(opcode, (c, i) -> gather(c, i, 4));
    }
    for (Opcode opcode :
        new Opcode[] {Opcode.VPGATHERQD, Opcode.VPGATHERQQ, Opcode.VGATHERQPS, Opcode.VGATHERQPD}) {
      Handlers.putVectorOnly(opcode, (c, i) -> gather(c, i, 8));
    }
  }

  private static boolean isChosen(long[] mask, int element, int size) {
    return PackedMath.sign(mask, 8 * size * element, 8 * size) < 0;
  }

  /** The linear address of an element of consecutive ones. */
  private static long linear(Cpu cpu, Instruction i, int element, int size, boolean write) {
    long address = Operands.effectiveAddress(cpu, i) + (long) element * size;
    return cpu.linear(i.segment, Operands.truncate(address, i.addressSize), size, write);
  }

  // ---- loads and stores ----

  private static void move(Cpu cpu, Instruction i, int size) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.c);
    if (i.kind0 == OperandKind.MEMORY) {
      VectorOperands.read2(cpu, i, v.a);
      store(cpu, i, i.size0 / size, size);
    } else {
      for (int k = 0; k < i.size0 / size; k++) {
        long value =
            isChosen(v.c, k, size) ? cpu.mmu.readElement(linear(cpu, i, k, size, false), size) : 0;
        PackedMath.put(v.d, 8 * size * k, 8 * size, value);
      }
      VectorOperands.write0(cpu, i, v.d);
    }
  }

  /** MASKMOVQ, MASKMOVDQU: bytes at DS:rDI. */
  private static void storeBytes(Cpu cpu, Instruction i) {
    VectorUnit v = cpu.vector;
    VectorOperands.read1(cpu, i, v.c);
    VectorOperands.read0(cpu, i, v.a);
    store(cpu, i, i.size0, 1);
    if (i.kind0 == OperandKind.MMX) {
      VectorState.enterMmx(cpu);
    }
  }

  /** Stores elements of the first source, all that are chosen or none. */
  private static void store(Cpu cpu, Instruction i, int count, int size) {
    VectorUnit v = cpu.vector;
    for (int k = 0; k < count; k++) {
      if (isChosen(v.c, k, size)) {
        cpu.mmu.probeElement(linear(cpu, i, k, size, true), size);
      }
    }
    for (int k = 0; k < count; k++) {
      if (isChosen(v.c, k, size)) {
        long value = PackedMath.zero(v.a, 8 * size * k, 8 * size);
        cpu.mmu.writeElement(linear(cpu, i, k, size, true), size, value);
      }
    }
  }

  // ---- gathers ----

  /**
   * Loads elements from lowest to highest. One that faults leaves those before it in the
   * destination, and the mask as it was from there on, so that the instruction can go on. At the
   * end the mask is zero.
   *
   * @param indexSize bytes of an index, 4 or 8
   */
  private static void gather(Cpu cpu, Instruction i, int indexSize) {
    VectorUnit v = cpu.vector;
    int size = i.size1;
    int count = Math.min(i.size0 / size, i.vectorIndexSize / indexSize);
    VectorOperands.read0(cpu, i, v.a);
    VectorOperands.read2(cpu, i, v.c);
    for (int k = 0; k < 4; k++) {
      v.b[k] = VectorState.get(cpu, i.index, k);
    }
    int words = VectorOperands.words(i);
    try {
      for (int k = 0; k < count; k++) {
        int at = 8 * size * k;
        if (isChosen(v.c, k, size)) {
          long index = PackedMath.sign(v.b, 8 * indexSize * k, 8 * indexSize);
          PackedMath.put(v.a, at, 8 * size, load(cpu, i, index, size));
        }
        PackedMath.put(v.c, at, 8 * size, 0);
      }
    } finally {
      set(cpu, i.reg0, words, v.a);
      set(cpu, i.reg2, words, v.c);
    }
    // What the elements do not fill becomes zero, too.
    for (int k = size * count + 7 >> 3; k < words; k++) {
      v.a[k] = 0;
    }
    Arrays.fill(v.c, 0);
    VectorOperands.write0(cpu, i, v.a);
    set(cpu, i.reg2, 2, v.c);
    VectorState.zeroUpper(cpu, i.reg2);
  }

  private static long load(Cpu cpu, Instruction i, long index, int size) {
    long address = cpu.r[i.base] + (index << i.scale) + i.displacement;
    long offset = Operands.truncate(address, i.addressSize);
    return cpu.mmu.readElement(cpu.linear(i.segment, offset, size, false), size);
  }

  private static void set(Cpu cpu, int register, int words, long[] value) {
    for (int k = 0; k < words; k++) {
      VectorState.set(cpu, register, k, value[k]);
    }
  }
}
