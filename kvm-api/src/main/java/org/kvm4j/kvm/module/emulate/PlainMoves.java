package org.kvm4j.kvm.module.emulate;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.semantics.Operands;
import org.kvm4j.kvm.module.vendor.ExecutedCode;
import org.kvm4j.kvm.module.vendor.VendorVcpu;

/**
 * What drivers mostly do to device memory: one MOV, MOVZX or MOVSX between a register, or an
 * immediate, and memory. The processor has checked and translated such an access before it exited,
 * so all that is left is the data, and {@link Emulator} need not take over the guest's state.
 *
 * <p>Decoded instructions are kept by their bytes: the same bytes are the same instruction,
 * wherever they come from.
 */
public final class PlainMoves {
  private static final int SLOTS = 64;

  private static final int MAXIMUM_LENGTH = 15;

  private final Decoder decoder;
  private final ByteBuffer bytes =
      ByteBuffer.allocate(2 * Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
  private final @Nullable Known[] known = new Known[SLOTS];

  /**
   * An instruction that was decoded before.
   *
   * @param lowMask which bits of the code's first eight bytes are its own
   * @param highMask which of the next eight
   */
  private record Known(
      long low, long lowMask, long high, long highMask, int codeSize, Instruction instruction) {
    boolean is(ExecutedCode code) {
      return codeSize == code.codeSize
          && (code.low & lowMask) == low
          && (code.high & highMask) == high;
    }
  }

  public PlainMoves(CpuModel model) {
    decoder = new Decoder(model.features());
  }

  /** The instruction that code begins with, if it is such a move; null if it is another. */
  public @Nullable Instruction find(ExecutedCode code) {
    int slot = (int) ((code.low & 0xffffff) * 0x9e3779b1L >>> 26) & SLOTS - 1;
    Known k = known[slot];
    if (k == null || !k.is(code)) {
      k = decode(code);
      known[slot] = k;
    }
    return k.instruction.isPlainMove() ? k.instruction : null;
  }

  private Known decode(ExecutedCode code) {
    bytes.putLong(0, code.low).putLong(Long.BYTES, code.high);
    Instruction i = decoder.decode(bytes, 0, MAXIMUM_LENGTH, code.codeSize);
    long lowMask = mask(i.length);
    long highMask = mask(i.length - Long.BYTES);
    return new Known(code.low & lowMask, lowMask, code.high & highMask, highMask, code.codeSize, i);
  }

  /** The bits of so many bytes, 0 to 8. */
  private static long mask(int count) {
    return count <= 0 ? 0 : count >= Long.BYTES ? -1 : (1L << count * 8) - 1;
  }

  /** Whether a move writes memory. */
  public static boolean isStore(Instruction move) {
    return move.kind0 == OperandKind.MEMORY;
  }

  /** The size of the access to memory, in bytes: 1, 2, 4 or 8. */
  public static int size(Instruction move) {
    return isStore(move) ? move.size0 : move.size1;
  }

  /** Bits 11:0 of the linear address of a move's first byte. */
  public int offsetInPage(VendorVcpu v, Instruction move) {
    Cpu cpu = withPointers(v);
    cpu.rip = v.rip() + move.length;
    long address = Operands.effectiveAddress(cpu, move);
    if (move.codeSize != 8 || move.segment >= Cpu.FS) {
      address += v.segmentBase(move.segment);
    }
    return (int) address & 0xfff;
  }

  /** What a store writes; only the lowest bytes count. */
  public long source(VendorVcpu v, Instruction store) {
    return Operands.read1(withPointers(v), store);
  }

  /** Puts what a load has read, zero-extended, into its register. */
  public void setDestination(VendorVcpu v, Instruction load, long value) {
    Cpu cpu = withPointers(v);
    boolean signed = load.opcode == Opcode.MOVSX || load.opcode == Opcode.MOVSXD;
    Operands.write0(cpu, load, signed ? Operands.signExtend(value, load.size1) : value);
    if (load.kind0 == OperandKind.GPR && load.reg0 == Cpu.RSP) {
      v.setRsp(cpu.r[Cpu.RSP]);
    }
  }

  /** The processor's registers with RSP among them, which entry loads from elsewhere. */
  private static Cpu withPointers(VendorVcpu v) {
    Cpu cpu = v.cpu();
    cpu.r[Cpu.RSP] = v.rsp();
    return cpu;
  }
}
