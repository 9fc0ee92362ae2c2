package org.kvm4j.cpu.decode;

import java.util.Locale;

/**
 * Writes an instruction in Intel's syntax, for messages and traces, in the manner of GNU objdump's
 * {@code -M intel}: lower case, hexadecimal numbers with 0x, memory with its size.
 */
public final class Disassembler {
  private static final String[] CONDITIONS = {
    "o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"
  };
  private static final String[] WORDS = {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di"};
  private static final String[] LOW = {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"};
  private static final String[] HIGH = {"ah", "ch", "dh", "bh"};
  private static final String[] SEGMENTS = {"es", "cs", "ss", "ds", "fs", "gs"};

  private Disassembler() {}

  /**
   * Writes an instruction whose address is not known: branch targets are relative to its own
   * address, as in {@code jmp $+0x5}.
   *
   * @param instruction the instruction
   */
  public static String disassemble(Instruction instruction) {
    return write(instruction, 0, false);
  }

  /**
   * Writes an instruction at an address.
   *
   * @param instruction the instruction
   * @param address its address, the offset in the code segment
   */
  public static String disassemble(Instruction instruction, long address) {
    return write(instruction, address, true);
  }

  private static String write(Instruction i, long address, boolean absolute) {
    StringBuilder out = new StringBuilder(48);
    if (i.isValid()) {
      if (i.lock) {
        out.append("lock ");
      }
      if (i.isString && (i.rep || i.repne)) {
        boolean compares = i.opcode == Opcode.CMPS || i.opcode == Opcode.SCAS;
        out.append(i.repne ? "repnz " : compares ? "repz " : "rep ");
      }
    }
    if (i.noTrack && isNearIndirect(i)) {
      out.append("notrack ");
    }
    out.append(mnemonic(i));
    boolean bare = !i.isValid() || i.opcode == Opcode.NOP && out.length() > 3;
    for (int n = 0; !bare && n < 4 && kind(i, n) != OperandKind.NONE; n++) {
      out.append(n == 0 ? ' ' : ',');
      operand(out, i, n, address, absolute);
    }
    return out.toString();
  }

  private static boolean isNearIndirect(Instruction i) {
    return (i.opcode == Opcode.CALL_NEAR || i.opcode == Opcode.JMP_NEAR)
        && i.kind0 != OperandKind.RELATIVE;
  }

  private static int kind(Instruction i, int n) {
    return n == 0 ? i.kind0 : n == 1 ? i.kind1 : n == 2 ? i.kind2 : i.kind3;
  }

  private static int size(Instruction i, int n) {
    return n == 0 ? i.size0 : n == 1 ? i.size1 : n == 2 ? i.size2 : i.size3;
  }

  private static int reg(Instruction i, int n) {
    return n == 0 ? i.reg0 : n == 1 ? i.reg1 : n == 2 ? i.reg2 : i.reg3;
  }

  private static String mnemonic(Instruction i) {
    switch (i.opcode) {
      case INVALID:
        return "(bad)";
      case TOO_LONG:
        return "(too long)";
      case PAST_LIMIT:
        return "(incomplete)";
      case JCC:
        return "j" + CONDITIONS[i.condition];
      case SETCC:
        return "set" + CONDITIONS[i.condition];
      case CMOVCC:
        return "cmov" + CONDITIONS[i.condition];
      case CALL_NEAR:
      case CALL_FAR:
        return "call";
      case JMP_NEAR:
      case JMP_FAR:
        return "jmp";
      case RET_NEAR:
        return "ret";
      case RET_FAR:
        return bySize(i, "retfw", "retf", "retfq");
      case IRET:
        return bySize(i, "iretw", "iretd", "iretq");
      case JCXZ:
        return i.addressSize == 2 ? "jcxz" : i.addressSize == 4 ? "jecxz" : "jrcxz";
      case CBW:
        return bySize(i, "cbw", "cwde", "cdqe");
      case CWD:
        return bySize(i, "cwd", "cdq", "cqo");
      case PUSHA:
        return bySize(i, "pushaw", "pushad", "pushad");
      case POPA:
        return bySize(i, "popaw", "popad", "popad");
      case PUSHF:
        return bySize(i, "pushfw", "pushfd", "pushfq");
      case POPF:
        return bySize(i, "popfw", "popfd", "popfq");
      case WAIT:
        return "fwait";
      case NOP:
        if (i.rep && i.opcodeMap == 1 && i.opcodeByte == 0x1e) {
          return i.modrm == 0xfa ? "endbr64" : i.modrm == 0xfb ? "endbr32" : "nop";
        }
        return "nop";
      case INCSSP:
      case RDSSP:
      case WRSS:
      case WRUSS:
        return i.opcode.name().toLowerCase(Locale.ROOT) + (i.size0 == 8 ? "q" : "d");
      case FXSAVE:
      case FXRSTOR:
      case XSAVE:
      case XRSTOR:
      case XSAVEOPT:
      case XSAVEC:
      case XSAVES:
      case XRSTORS:
      case SYSRET:
      case SYSEXIT:
        boolean wide = (i.rex & 8) != 0;
        boolean system = i.opcode == Opcode.SYSRET || i.opcode == Opcode.SYSEXIT;
        String name = i.opcode.name().toLowerCase(Locale.ROOT);
        return !wide ? name : name + (system ? "q" : "64");
      default:
        return i.opcode.name().toLowerCase(Locale.ROOT);
    }
  }

  private static String bySize(Instruction i, String two, String four, String eight) {
    return i.operandSize == 2 ? two : i.operandSize == 4 ? four : eight;
  }

  private static void operand(
      StringBuilder out, Instruction i, int n, long address, boolean absolute) {
    int size = size(i, n);
    int reg = reg(i, n);
    switch (kind(i, n)) {
      case OperandKind.GPR:
        out.append(gpr(reg, size));
        break;
      case OperandKind.GPR_HIGH:
        out.append(HIGH[reg]);
        break;
      case OperandKind.MEMORY:
        pointer(out, i, size);
        memory(out, i);
        break;
      case OperandKind.IMMEDIATE:
        if (i.opcodeMap == 0 && (i.opcodeByte == 0xd0 || i.opcodeByte == 0xd1)) {
          // Shift by one: the 1 is no byte of the instruction.
          out.append('1');
          break;
        }
        boolean second = n > 0 && kind(i, n - 1) == OperandKind.IMMEDIATE;
        hex(out, second ? i.immediate2 : truncate(i.immediate, size));
        break;
      case OperandKind.RELATIVE:
        long target = i.length + i.immediate;
        if (absolute) {
          hex(out, truncate(address + target, i.operandSize));
        } else {
          out.append('$');
          signed(out, target);
        }
        break;
      case OperandKind.FAR_POINTER:
        hex(out, i.immediate2);
        out.append(':');
        hex(out, i.immediate);
        break;
      case OperandKind.SEGMENT:
        out.append(SEGMENTS[reg]);
        break;
      case OperandKind.CONTROL:
        out.append("cr").append(reg);
        break;
      case OperandKind.DEBUG:
        out.append("dr").append(reg);
        break;
      case OperandKind.MMX:
        out.append("mm").append(reg);
        break;
      case OperandKind.XMM:
        out.append("xmm").append(reg);
        break;
      case OperandKind.YMM:
        out.append("ymm").append(reg);
        break;
      case OperandKind.X87:
        boolean top = reg == 0 && (i.kind1 != OperandKind.NONE && isFixedTop(i, n));
        out.append(top ? "st" : "st(" + reg + ")");
        break;
      case OperandKind.STRING_SOURCE:
        pointer(out, i, size);
        out.append(SEGMENTS[i.segment]).append(":[").append(gpr(6, i.addressSize)).append(']');
        break;
      case OperandKind.STRING_DESTINATION:
        pointer(out, i, size);
        out.append("es:[").append(gpr(7, i.addressSize)).append(']');
        break;
      default:
        throw new AssertionError(kind(i, n));
    }
  }

  /** Whether operand n is the stack's top by the opcode, not the register that ModR/M names. */
  private static boolean isFixedTop(Instruction i, int n) {
    boolean toTop = i.opcodeByte != 0xdc && i.opcodeByte != 0xde;
    return toTop == (n == 0);
  }

  private static long truncate(long value, int size) {
    return size >= 8 || size == 0 ? value : value & (1L << 8 * size) - 1;
  }

  private static String gpr(int reg, int size) {
    if (reg >= 8) {
      String name = "r" + reg;
      return size == 8 ? name : name + (size == 4 ? "d" : size == 2 ? "w" : "b");
    }
    switch (size) {
      case 1:
        return LOW[reg];
      case 2:
        return WORDS[reg];
      case 4:
        return "e" + WORDS[reg];
      default:
        return "r" + WORDS[reg];
    }
  }

  private static void pointer(StringBuilder out, Instruction i, int size) {
    switch (size) {
      case 1:
        out.append("BYTE PTR ");
        break;
      case 2:
        out.append("WORD PTR ");
        break;
      case 4:
        out.append("DWORD PTR ");
        break;
      case 6:
        if (i.opcodeMap != 1 || i.opcodeByte != 1) {
          out.append("FWORD PTR ");
        }
        break;
      case 8:
        out.append("QWORD PTR ");
        break;
      case 10:
        if (i.opcodeMap != 1 || i.opcodeByte != 1) {
          out.append("TBYTE PTR ");
        }
        break;
      case 16:
        out.append("XMMWORD PTR ");
        break;
      case 32:
        out.append("YMMWORD PTR ");
        break;
      default:
        break;
    }
  }

  private static void memory(StringBuilder out, Instruction i) {
    boolean noRegisters = i.base == Instruction.NO_REGISTER && i.index == Instruction.NO_REGISTER;
    if (i.segmentOverride >= 0 || noRegisters || i.opcode == Opcode.XLAT) {
      out.append(SEGMENTS[i.segment]).append(':');
    }
    if (noRegisters) {
      hex(out, truncate(i.displacement, i.addressSize));
      return;
    }
    out.append('[');
    boolean any = false;
    if (i.base != Instruction.NO_REGISTER) {
      if (i.base == Instruction.RIP) {
        out.append(i.addressSize == 8 ? "rip" : "eip");
      } else {
        out.append(gpr(i.base, i.addressSize));
      }
      any = true;
    }
    if (i.index != Instruction.NO_REGISTER) {
      if (any) {
        out.append('+');
      }
      if (i.vectorIndexSize != 0) {
        out.append(i.vectorIndexSize == 32 ? "ymm" : "xmm").append(i.index);
      } else {
        out.append(gpr(i.index, i.addressSize));
      }
      if (i.addressSize != 2) {
        out.append('*').append(1 << i.scale);
      }
      any = true;
    }
    int mod = i.modrm >> 6;
    boolean shown = i.displacement != 0 || mod == 1 || mod == 2 || i.base == Instruction.RIP;
    if (shown && i.modrm >= 0 || i.base == Instruction.NO_REGISTER) {
      signed(out, i.displacement);
    }
    out.append(']');
  }

  private static void signed(StringBuilder out, long value) {
    out.append(value < 0 ? '-' : '+');
    hex(out, Math.abs(value));
  }

  private static void hex(StringBuilder out, long value) {
    out.append("0x").append(Long.toHexString(value));
  }
}
