package org.kvm4j.cpu.engine;

import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.machine.HostProcessor;

/**
 * Which instructions of SSE machine code does itself, by the same instructions of the host's, whose
 * XMM registers are the guest's: all but those that processors differ in.
 */
final class MachineVectors {
  /**
   * Approximations are each processor's own, and so may be the order of dot products' sums; others
   * have operands that they do not name, or an order of their own.
   */
  private static final Set<Opcode> EXCEPT =
      EnumSet.of(
          Opcode.RCPPS,
          Opcode.RCPSS,
          Opcode.RSQRTPS,
          Opcode.RSQRTSS,
          Opcode.MASKMOVDQU,
          Opcode.DPPS,
          Opcode.DPPD,
          Opcode.MOVNTDQA,
          Opcode.MOVNTDQ,
          Opcode.MOVNTPS,
          Opcode.MOVNTPD,
          Opcode.PCMPESTRI,
          Opcode.PCMPESTRM,
          Opcode.PCMPISTRI,
          Opcode.PCMPISTRM);

  private static final Set<Opcode> SET_FLAGS =
      EnumSet.of(Opcode.COMISS, Opcode.COMISD, Opcode.UCOMISS, Opcode.UCOMISD, Opcode.PTEST);

  /** Those whose 16 bytes of memory may begin anywhere. */
  private static final Set<Opcode> UNALIGNED =
      EnumSet.of(Opcode.MOVUPS, Opcode.MOVUPD, Opcode.MOVDQU, Opcode.LDDQU);

  private MachineVectors() {}

  static boolean setsFlags(Instruction i) {
    return SET_FLAGS.contains(i.opcode);
  }

  static boolean isAligned(Instruction i) {
    return !UNALIGNED.contains(i.opcode);
  }

  /** Whether an instruction is one of these. */
  static boolean is(Instruction i) {
    if (i.vex || i.endsBlock || EXCEPT.contains(i.opcode) || !hostHas(needs(i))) {
      return false;
    }
    boolean any = false;
    for (int kind : new int[] {i.kind0, i.kind1, i.kind2, i.kind3}) {
      switch (kind) {
        case OperandKind.XMM -> any = true;
        case OperandKind.NONE, OperandKind.IMMEDIATE, OperandKind.GPR, OperandKind.MEMORY -> {}
        default -> {
          return false;
        }
      }
    }
    return any;
  }

  /** What a processor needs for an instruction; SSE4.1 added a second form of PEXTRW. */
  static @Nullable Feature needs(Instruction i) {
    return i.opcode == Opcode.PEXTRW && i.opcodeMap == 3 ? Feature.SSE4_1 : i.opcode.feature;
  }

  private static boolean hostHas(@Nullable Feature feature) {
    if (feature == null) {
      return false;
    }
    return switch (feature) {
      // What the first 64-bit processors had. An instruction that MMX has, too, has that feature.
      case SSE, SSE2, MMX -> true;
      case SSE3 -> HostProcessor.hasEcx(0);
      case PCLMULQDQ -> HostProcessor.hasEcx(1);
      case SSSE3 -> HostProcessor.hasEcx(9);
      case SSE4_1 -> HostProcessor.hasEcx(19);
      case SSE4_2 -> HostProcessor.hasEcx(20);
      case AES -> HostProcessor.hasEcx(25);
      case SHA -> HostProcessor.hasExtendedEbx(29);
      case GFNI -> HostProcessor.hasExtendedEcx(8);
      default -> false;
    };
  }

  /** 66, F2 or F3, or 0: part of the opcode. */
  static int prefix(Instruction i) {
    return i.rep ? 0xf3 : i.repne ? 0xf2 : i.operandSizePrefix ? 0x66 : 0;
  }

  /** The opcode with the bytes of its map. */
  static int opcode(Instruction i) {
    int map =
        switch (i.opcodeMap) {
          case 2 -> 0x0f3800;
          case 3 -> 0x0f3a00;
          default -> 0x0f00;
        };
    return map | i.opcodeByte & 0xff;
  }

  /** Whether the first operand is ModR/M.rm. */
  static boolean isFirstInRm(Instruction i) {
    int opcode = i.opcodeByte & 0xff;
    if (i.opcodeMap == 3) {
      return opcode >= 0x14 && opcode <= 0x17;
    }
    if (i.opcodeMap == 2) {
      return false;
    }
    return switch (opcode) {
      case 0x11, 0x13, 0x17, 0x29, 0x71, 0x72, 0x73, 0x7f, 0xd6 -> true;
      case 0x7e -> !i.rep;
      default -> false;
    };
  }
}
