package org.kvm4j.cpu.engine;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;

/**
 * Chooses the operation for a decoded instruction: a specialised one for the hot forms, {@link
 * GenericOp} for all others.
 */
final class OpFactory {
  private final Interpreter engine;

  OpFactory(Interpreter engine) {
    this.engine = engine;
  }

  /**
   * @param offset of the instruction in its page
   * @param c in the mode that the code is decoded for
   */
  Op make(Instruction i, int offset, Cpu c) {
    if (engine.runsAlone(i)) {
      return new AloneOp(engine, i);
    }
    Op op = i.lock ? null : fast(i, offset, c);
    if (op == null) {
      op = further(i, offset, c);
    }
    if (op != null) {
      return op;
    }
    return SystemJump.is(i.opcode) ? new SystemJump(engine, i, offset) : new GenericOp(i);
  }

  /** Forms that are less hot: they find out more when they execute. */
  private static @Nullable Op further(Instruction i, int offset, Cpu c) {
    Op op = i.lock ? null : furtherRegisters(i);
    boolean wide = c.codeSize == 8;
    if (op != null || !wide && !isFlat32(c)) {
      return op;
    }
    if (wide && i.operandSize == 8) {
      if (i.opcode == Opcode.PUSHF) {
        return new FlagOps.Pushf64();
      }
      if (i.opcode == Opcode.POPF) {
        return new FlagOps.Popf64();
      }
    }
    MemOp m = UpdateOps.memory(i);
    if (m == null) {
      m = PartOps.memory(i);
    }
    if (m == null) {
      m = ScanOps.memory(i);
    }
    return m != null && address(m, i, offset, wide) ? m : null;
  }

  private static @Nullable Op furtherRegisters(Instruction i) {
    switch (i.opcode) {
      case CLI:
        return new FlagOps.Cli(i);
      case STI:
        return new FlagOps.Sti(i);
      case PREFETCH:
      case PREFETCHW:
      case PREFETCHNTA:
      case PREFETCHT0:
      case PREFETCHT1:
      case PREFETCHT2:
        return new RegisterOps.Nop();
      default:
        break;
    }
    Op op = PartOps.registers(i);
    if (op == null) {
      op = UpdateOps.registers(i);
    }
    return op != null ? op : ScanOps.registers(i);
  }

  private static boolean isFlat32(Cpu c) {
    return c.codeSize == 4 && c.flat && c.stackMask == 0xffffffffL;
  }

  private @Nullable Op fast(Instruction i, int offset, Cpu c) {
    boolean wide = c.codeSize == 8;
    boolean flat32 = isFlat32(c);
    Op cet = cet(i, c);
    if (cet != null) {
      return cet;
    }
    if (!wide && !flat32) {
      return registers(i);
    }
    switch (i.opcode) {
      case JMP_NEAR:
      case CALL_NEAR:
      case RET_NEAR:
      case JCC:
        return tracked(branch(i, offset, wide, flat32), i, offset, c);
      case PUSH:
      case POP:
        return stack(i, offset, wide);
      case LEAVE:
        return wide && i.operandSize == 8 ? new MoveOps.Leave64() : null;
      default:
        break;
    }
    Op op = registers(i);
    return op != null ? op : memory(i, offset, wide);
  }

  /** What CET makes of the operation of a branch. */
  private static @Nullable Op tracked(@Nullable Op plain, Instruction i, int offset, Cpu c) {
    boolean ret = i.opcode == Opcode.RET_NEAR;
    if (plain == null || c.shadowStack && (ret || i.opcode == Opcode.CALL_NEAR)) {
      return null;
    }
    if (!c.branchTracking || ret || i.kind0 == OperandKind.RELATIVE) {
      return plain;
    }
    plain.offset = (short) offset;
    plain.length = i.length;
    return new TrackedOps.Branch(plain, i.noTrack);
  }

  /** The operation of an instruction that does nothing without CET. */
  private static @Nullable Op cet(Instruction i, Cpu c) {
    return switch (i.opcode) {
      case ENDBR32, ENDBR64 ->
          c.branchTracking && BranchTracking.isEndbranch(i)
              ? new TrackedOps.Endbranch()
              : new RegisterOps.Nop();
      case RDSSP -> c.shadowStack ? null : new RegisterOps.Nop();
      default -> null;
    };
  }

  /** Forms without memory: the same in every mode. */
  private static @Nullable Op registers(Instruction i) {
    if (i.kind0 != OperandKind.GPR) {
      return implied(i);
    }
    int size = i.size0;
    boolean wide = size == 8;
    if (i.kind1 == OperandKind.NONE) {
      RegisterOps.Unary u = RegisterOps.unary(i.opcode, size);
      if (u != null) {
        u.reg = (byte) i.reg0;
        return u;
      }
    }
    if (isShift(i.opcode)) {
      return shift(i, size);
    }
    if (i.opcode == Opcode.IMUL) {
      return multiply(i, size);
    }
    if (size < 4 && i.kind1 != OperandKind.GPR && i.kind1 != OperandKind.IMMEDIATE) {
      if (i.opcode == Opcode.SETCC) {
        MoveOps.SetReg s = new MoveOps.SetReg();
        s.dst = (byte) i.reg0;
        s.condition = (byte) i.condition;
        return s;
      }
      return null;
    }
    if (i.kind1 == OperandKind.GPR && i.kind2 == OperandKind.NONE) {
      MoveOps.RegReg m =
          switch (i.opcode) {
            case MOV ->
                switch (size) {
                  case 8 -> new MoveOps.Mov64();
                  case 4 -> new MoveOps.Mov32();
                  case 2 -> new MoveOps.Mov16();
                  default -> new MoveOps.Mov8();
                };
            case MOVZX ->
                size < 4
                    ? null
                    : i.size1 == 1 ? new MoveOps.ZeroExtend8() : new MoveOps.ZeroExtend16();
            case MOVSX ->
                size < 4
                    ? null
                    : i.size1 == 1
                        ? wide ? new MoveOps.SignExtend8To64() : new MoveOps.SignExtend8To32()
                        : wide ? new MoveOps.SignExtend16To64() : new MoveOps.SignExtend16To32();
            case MOVSXD -> wide && i.size1 == 4 ? new MoveOps.SignExtend32To64() : null;
            case CMOVCC -> cmov(i, size);
            default -> null;
          };
      if (m != null) {
        m.dst = (byte) i.reg0;
        m.src = (byte) i.reg1;
        return m;
      }
      if (i.size1 == size) {
        AluOps.RegReg a = AluOps.regReg(i.opcode, size);
        if (a != null) {
          a.dst = (byte) i.reg0;
          a.src = (byte) i.reg1;
          return a;
        }
      }
      return null;
    }
    if (i.kind1 == OperandKind.IMMEDIATE && i.kind2 == OperandKind.NONE) {
      if (i.opcode == Opcode.MOV && size >= 4) {
        MoveOps.MovImm m = new MoveOps.MovImm();
        m.dst = (byte) i.reg0;
        m.imm = wide ? i.immediate : i.immediate & 0xffffffffL;
        return m;
      }
      AluOps.RegImm a = AluOps.regImm(i.opcode, size);
      if (a != null) {
        a.dst = (byte) i.reg0;
        a.imm = (int) i.immediate;
        return a;
      }
    }
    return null;
  }

  /** Instructions without a register operand that is written out. */
  private static @Nullable Op implied(Instruction i) {
    return switch (i.opcode) {
      case NOP -> new RegisterOps.Nop();
      case CWD ->
          i.operandSize == 8
              ? new RegisterOps.Cqo()
              : i.operandSize == 4 ? new RegisterOps.Cdq() : null;
      case CBW ->
          i.operandSize == 8
              ? new RegisterOps.Cdqe()
              : i.operandSize == 4 ? new RegisterOps.Cwde() : null;
      default -> null;
    };
  }

  private static boolean isShift(Opcode opcode) {
    return switch (opcode) {
      case SHL, SHR, SAR, ROL, ROR -> true;
      default -> false;
    };
  }

  private static @Nullable Op shift(Instruction i, int size) {
    if (i.kind1 == OperandKind.IMMEDIATE) {
      RegisterOps.ShiftImm o = RegisterOps.shiftImm(i.opcode, size);
      if (o != null) {
        o.reg = (byte) i.reg0;
        o.count = (byte) i.immediate;
      }
      return o;
    }
    RegisterOps.Unary o = RegisterOps.shiftCl(i.opcode, size);
    if (o != null) {
      o.reg = (byte) i.reg0;
    }
    return o;
  }

  /** IMUL of two or three operands, without memory. */
  private static @Nullable Op multiply(Instruction i, int size) {
    if (size < 4 || i.kind1 != OperandKind.GPR) {
      return null;
    }
    if (i.kind2 == OperandKind.IMMEDIATE) {
      RegisterOps.RegRegImm o =
          size == 8 ? new RegisterOps.ImulRegRegImm64() : new RegisterOps.ImulRegRegImm32();
      o.dst = (byte) i.reg0;
      o.src = (byte) i.reg1;
      o.imm = (int) i.immediate;
      return o;
    }
    AluOps.RegReg o = size == 8 ? new RegisterOps.ImulRegReg64() : new RegisterOps.ImulRegReg32();
    o.dst = (byte) i.reg0;
    o.src = (byte) i.reg1;
    return o;
  }

  private static MoveOps.@Nullable RegReg cmov(Instruction i, int size) {
    if (size == 8) {
      MoveOps.Cmov64 m = new MoveOps.Cmov64();
      m.condition = (byte) i.condition;
      return m;
    }
    if (size == 4) {
      MoveOps.Cmov32 m = new MoveOps.Cmov32();
      m.condition = (byte) i.condition;
      return m;
    }
    return null;
  }

  private static @Nullable Op memory(Instruction i, int offset, boolean wide) {
    if (i.kind2 != OperandKind.NONE) {
      return null;
    }
    boolean toMemory = i.kind0 == OperandKind.MEMORY;
    if (!toMemory && (i.kind1 != OperandKind.MEMORY || i.kind0 != OperandKind.GPR)) {
      return null;
    }
    MemOp op = toMemory ? toMemory(i) : fromMemory(i);
    if (op == null || !address(op, i, offset, wide)) {
      return null;
    }
    return op;
  }

  private static @Nullable MemOp fromMemory(Instruction i) {
    int size = i.size0;
    boolean wide = size == 8;
    MoveOps.RegMem m =
        switch (i.opcode) {
          case MOV ->
              switch (size) {
                case 8 -> new MoveOps.Load64();
                case 4 -> new MoveOps.Load32();
                case 2 -> new MoveOps.Load16();
                default -> new MoveOps.Load8();
              };
          case MOVZX ->
              size < 4 ? null : i.size1 == 1 ? new MoveOps.LoadZero8() : new MoveOps.LoadZero16();
          case MOVSX ->
              size < 4
                  ? null
                  : i.size1 == 1
                      ? wide ? new MoveOps.LoadSign8To64() : new MoveOps.LoadSign8To32()
                      : wide ? new MoveOps.LoadSign16To64() : new MoveOps.LoadSign16To32();
          case MOVSXD -> wide && i.size1 == 4 ? new MoveOps.LoadSign32To64() : null;
          case CMOVCC -> cmovMemory(i, size);
          case LEA -> wide ? new MoveOps.Lea64() : size == 4 ? new MoveOps.Lea32() : null;
          default -> null;
        };
    if (m != null) {
      m.reg = (byte) i.reg0;
      return m;
    }
    AluOps.RegMem a = AluOps.regMem(i.opcode, size);
    if (a != null) {
      a.reg = (byte) i.reg0;
    }
    return a;
  }

  private static MoveOps.@Nullable RegMem cmovMemory(Instruction i, int size) {
    if (size == 8) {
      MoveOps.CmovMem64 m = new MoveOps.CmovMem64();
      m.condition = (byte) i.condition;
      return m;
    }
    if (size == 4) {
      MoveOps.CmovMem32 m = new MoveOps.CmovMem32();
      m.condition = (byte) i.condition;
      return m;
    }
    return null;
  }

  private static @Nullable MemOp toMemory(Instruction i) {
    int size = i.size0;
    if (i.kind1 == OperandKind.NONE) {
      boolean wide = size == 8;
      if (i.opcode == Opcode.SETCC) {
        MoveOps.SetMem s = new MoveOps.SetMem();
        s.condition = (byte) i.condition;
        return s;
      }
      if (size < 4) {
        return null;
      }
      return switch (i.opcode) {
        case INC -> wide ? new RegisterOps.IncMem64() : new RegisterOps.IncMem32();
        case DEC -> wide ? new RegisterOps.DecMem64() : new RegisterOps.DecMem32();
        default -> null;
      };
    }
    if (i.kind1 == OperandKind.GPR) {
      if (i.opcode == Opcode.MOV) {
        MoveOps.RegMem m =
            switch (size) {
              case 8 -> new MoveOps.Store64();
              case 4 -> new MoveOps.Store32();
              case 2 -> new MoveOps.Store16();
              default -> new MoveOps.Store8();
            };
        m.reg = (byte) i.reg1;
        return m;
      }
      AluOps.RegMem a = AluOps.memReg(i.opcode, size);
      if (a != null) {
        a.reg = (byte) i.reg1;
      }
      return a;
    }
    if (i.kind1 == OperandKind.IMMEDIATE) {
      if (i.opcode == Opcode.MOV) {
        MoveOps.MemImm m =
            switch (size) {
              case 8 -> new MoveOps.StoreImm64();
              case 4 -> new MoveOps.StoreImm32();
              case 1 -> new MoveOps.StoreImm8();
              default -> null;
            };
        if (m != null) {
          m.imm = (int) i.immediate;
        }
        return m;
      }
      AluOps.MemImm a = AluOps.memImm(i.opcode, size);
      if (a != null) {
        a.imm = (int) i.immediate;
      }
      return a;
    }
    return null;
  }

  /** Fills in the address; false if it is not of the fast form. */
  private static boolean address(MemOp op, Instruction i, int offset, boolean wide) {
    if (i.addressSize != (wide ? 8 : 4)) {
      return false;
    }
    if (i.segment == Cpu.CS && !wide && i.opcode != Opcode.LEA) {
      // A flat code segment may be one that is not read, and is not written.
      return false;
    }
    long disp = i.displacement;
    int base = i.base;
    int index = i.index;
    int scale = i.scale;
    if (base == Instruction.RIP) {
      base = Cpu.CODE_BASE;
      disp += offset + i.length;
    }
    if (i.segment >= Cpu.FS && i.opcode != Opcode.LEA) {
      if (!wide || index != Instruction.NO_REGISTER) {
        return false;
      }
      index = i.segment == Cpu.FS ? Cpu.FS_BASE : Cpu.GS_BASE;
      scale = 0;
    }
    if (disp != (int) disp) {
      return false;
    }
    op.base = (byte) base;
    op.index = (byte) index;
    op.scale = (byte) scale;
    op.disp = (int) disp;
    op.stack = i.segment == Cpu.SS;
    return true;
  }

  private @Nullable Op branch(Instruction i, int offset, boolean wide, boolean flat32) {
    if (i.operandSize != (wide ? 8 : 4)) {
      return null;
    }
    if (i.kind0 == OperandKind.RELATIVE) {
      BranchOps.Direct d =
          switch (i.opcode) {
            case JMP_NEAR -> new BranchOps.Jmp(engine);
            case CALL_NEAR -> wide ? new BranchOps.Call64(engine) : new BranchOps.Call32(engine);
            case JCC -> BranchOps.jcc(engine, i.condition);
            default -> null;
          };
      long target = offset + i.length + i.immediate;
      if (d == null || target != (int) target) {
        return null;
      }
      d.target = (int) target;
      return d;
    }
    if (i.opcode == Opcode.RET_NEAR) {
      if (i.kind0 == OperandKind.IMMEDIATE && wide) {
        BranchOps.RetImm64 o = new BranchOps.RetImm64(engine);
        o.more = (int) i.immediate & 0xffff;
        return o;
      }
      if (i.kind0 != OperandKind.NONE) {
        return null;
      }
      return wide ? new BranchOps.Ret64(engine) : flat32 ? new BranchOps.Ret32(engine) : null;
    }
    if (!wide) {
      return null;
    }
    boolean call = i.opcode == Opcode.CALL_NEAR;
    if (i.kind0 == OperandKind.GPR) {
      if (call) {
        BranchOps.CallReg64 o = new BranchOps.CallReg64(engine);
        o.src = (byte) i.reg0;
        return o;
      }
      BranchOps.JmpReg64 o = new BranchOps.JmpReg64(engine);
      o.src = (byte) i.reg0;
      return o;
    }
    if (i.kind0 == OperandKind.MEMORY) {
      MemOp o = call ? new BranchOps.CallMem64(engine) : new BranchOps.JmpMem64(engine);
      return address(o, i, offset, true) ? o : null;
    }
    return null;
  }

  private static @Nullable Op stack(Instruction i, int offset, boolean wide) {
    if (wide && i.operandSize == 8 && i.opcode == Opcode.PUSH) {
      if (i.kind0 == OperandKind.IMMEDIATE) {
        MoveOps.PushImm64 p = new MoveOps.PushImm64();
        p.imm = (int) i.immediate;
        return p;
      }
      if (i.kind0 == OperandKind.MEMORY) {
        MoveOps.PushMem64 p = new MoveOps.PushMem64();
        return address(p, i, offset, true) ? p : null;
      }
    }
    if (i.kind0 != OperandKind.GPR || i.operandSize != (wide ? 8 : 4)) {
      return null;
    }
    if (i.opcode == Opcode.PUSH) {
      if (wide) {
        MoveOps.Push64 p = new MoveOps.Push64();
        p.src = (byte) i.reg0;
        return p;
      }
      MoveOps.Push32 p = new MoveOps.Push32();
      p.src = (byte) i.reg0;
      return p;
    }
    if (wide) {
      MoveOps.Pop64 p = new MoveOps.Pop64();
      p.dst = (byte) i.reg0;
      return p;
    }
    MoveOps.Pop32 p = new MoveOps.Pop32();
    p.dst = (byte) i.reg0;
    return p;
  }
}
