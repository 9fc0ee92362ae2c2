package org.kvm4j.cpu.engine;

import static org.kvm4j.cpu.engine.MachineEmitter.*;
import static org.kvm4j.machine.Assembler.*;

import java.util.Arrays;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.machine.Assembler;
import org.kvm4j.machine.HostProcessor;

/**
 * Writes a block as machine code: mostly its own instructions with the registers that stand for the
 * guest's, and a look into the TLB before each access to memory.
 */
final class MachineWriter {
  private final MachineEmitter e = new MachineEmitter();
  private final Assembler a = e.a;
  private final MachineMoves moves = new MachineMoves(e);
  private final MachineArithmetic arithmetic = new MachineArithmetic(e);
  private final MachineBits bits = new MachineBits(e);
  private final MachineShifts shifts = new MachineShifts(e);
  private final MachineBranches branches = new MachineBranches(e);
  private final MachineStrings strings = new MachineStrings(e);
  private final MachineSystem system = new MachineSystem(e, branches);
  private final MachineSse sse = new MachineSse(e);

  private final int[] continuations = new int[2 * Interpreter.BLOCK_LIMIT];

  private int near;

  /**
   * Writes a block, and notes its entries and sites in it.
   *
   * @param decoded its instructions, and others behind them
   * @return the length of {@link #code}; 0 if there is nothing in the block for machine code
   */
  int write(MachineBlock b, Instruction[] decoded) {
    a.clear();
    e.offset = b.offset;
    e.outCount = 0;
    e.lookCount = 0;
    e.instructions = decoded;
    int count = b.count();
    e.count = count;
    int continued = 0;
    e.vectors = false;
    // The far entry: RIP is in LINEAR.
    a.address(TO_HOST, LINEAR, NONE, 0, -e.offset);
    a.store(TO_HOST, CONTEXT, MachineContext.CODE_BASE);
    int attention = e.attention();
    b.nearEntry = a.position();
    a.immediate(8, 5, CONTEXT, NONE, MachineContext.COUNTDOWN, count);
    int late = a.jump(S);
    e.inHost = false;
    e.saved = true;
    e.missing = MachineEmitter.Missing.NOTHING;
    if (b.secondHpa != -1) {
      e.secondPage(b.secondHostPage);
    }
    int written = 0;
    for (int k = 0; k < count; k++) {
      Instruction i = decoded[k];
      int begin = a.position();
      int outsBefore = e.outCount;
      int looksBefore = e.lookCount;
      boolean inHostBefore = e.inHost;
      boolean savedBefore = e.saved;
      MachineEmitter.Missing missingBefore = e.missing;
      if ((b.devices >>> k & 1) == 0 && instruction(i, k)) {
        written++;
      } else {
        a.rewind(begin);
        e.outCount = outsBefore;
        e.lookCount = looksBefore;
        e.inHost = inHostBefore;
        e.saved = savedBefore;
        e.missing = missingBefore;
        e.save();
        if (k == 0) {
          b.startsInterpreted = true;
        }
        e.out(a.jump(), MachineBlock.INTERPRET, k);
        e.inHost = false;
        e.vectors = false;
        if (k < count - 1) {
          continuations[continued++] = k;
          continuations[continued++] = a.position();
        }
      }
      e.offset += i.length;
    }
    if (written == 0) {
      return 0;
    }
    if (!endsItself(decoded[count - 1])) {
      e.save();
      branches.follow();
    }
    b.continuations = Arrays.copyOf(continuations, continued);
    near = a.position();
    a.beginPart();
    e.writeLooks();
    // Ways out.
    a.bind(late);
    a.immediate(8, 0, CONTEXT, NONE, MachineContext.COUNTDOWN, count);
    a.bind(attention);
    a.store32(MachineBlock.ENTRY, CONTEXT, MachineContext.EXIT);
    int tail = a.position();
    a.store32(b.number, CONTEXT, MachineContext.BLOCK);
    a.jumpTo(CONTEXT, MachineContext.LEAVE);
    for (int k = 0; k < e.outCount; k += 2) {
      int stub = a.position();
      int what = e.outs[k + 1];
      a.bind(e.outs[k]);
      int kind = what & (1 << MachineBlock.KIND_BITS) - 1;
      if (kind == MachineBlock.TAKE) {
        b.takeSite = e.outs[k];
        b.takeStub = stub;
      } else if (kind == MachineBlock.FOLLOW) {
        b.followSite = e.outs[k];
        b.followStub = stub;
      }
      // Those for the same way out come one after the other.
      while (k + 2 < e.outCount && e.outs[k + 3] == what) {
        k += 2;
        a.bind(e.outs[k]);
      }
      if (kind == MachineBlock.VECTORS) {
        // Where to go on.
        a.addressOf(SCRATCH, e.checks[what >> MachineBlock.KIND_BITS]);
        a.store(SCRATCH, CONTEXT, MachineContext.RIP);
      }
      if (kind == MachineBlock.JUMP) {
        a.store(LINEAR, CONTEXT, MachineContext.RIP);
      }
      a.store32(what, CONTEXT, MachineContext.EXIT);
      a.bind(a.jump(), tail);
    }
    return a.position();
  }

  /** How long {@link #code} is without its ways out. */
  int near() {
    return near;
  }

  /**
   * Has the ways out, which are behind the rest, go elsewhere: what is executed again and again
   * lies closer together without them.
   *
   * @param distance how far from where they would be behind the rest
   */
  void part(int distance) {
    a.part(distance);
  }

  /** What was written last, until something else is. */
  byte[] code() {
    return a.buffer();
  }

  /** Whether nothing follows the instruction in line that it has not led to itself. */
  private static boolean endsItself(Instruction i) {
    return i.isBranch || InLine.endsBlock(i);
  }

  /** False if the instruction is the interpreter's. */
  private boolean instruction(Instruction i, int index) {
    if (i.lock && i.kind0 != OperandKind.MEMORY) {
      return false;
    }
    if (i.kind0 == OperandKind.GPR_HIGH || i.kind1 == OperandKind.GPR_HIGH) {
      return arithmetic.highByte(i, index);
    }
    switch (i.opcode) {
      case MOV:
        return i.kind1 == OperandKind.CONTROL ? system.readControl(i, index) : moves.move(i, index);
      case MOVZX:
        return moves.extend(i, index, i.size1 == 1 ? 0x0fb6 : 0x0fb7);
      case MOVSX:
        return moves.extend(i, index, i.size1 == 1 ? 0x0fbe : 0x0fbf);
      case MOVSXD:
        return i.size0 == 8 && i.size1 == 4 && moves.extend(i, index, 0x63);
      case LEA:
        return moves.lea(i);
      case ADD:
        return arithmetic.arithmetic(i, index, 0);
      case OR:
        return arithmetic.arithmetic(i, index, 1);
      case ADC:
        return arithmetic.arithmetic(i, index, 2);
      case SBB:
        return arithmetic.arithmetic(i, index, 3);
      case AND:
        return arithmetic.arithmetic(i, index, 4);
      case SUB:
        return arithmetic.arithmetic(i, index, 5);
      case XOR:
        return arithmetic.arithmetic(i, index, 6);
      case CMP:
        return arithmetic.arithmetic(i, index, 7);
      case TEST:
        return arithmetic.test(i, index);
      case INC:
        return arithmetic.unary(i, index, 0xfe, 0);
      case DEC:
        return arithmetic.unary(i, index, 0xfe, 1);
      case NOT:
        return arithmetic.unary(i, index, 0xf6, 2);
      case NEG:
        return arithmetic.unary(i, index, 0xf6, 3);
      case RCL:
        return shifts.shift(i, index, 2);
      case RCR:
        return shifts.shift(i, index, 3);
      case SHL:
        return shifts.shift(i, index, 4);
      case SHR:
        return shifts.shift(i, index, 5);
      case SAR:
        return shifts.shift(i, index, 7);
      case ROL:
        return shifts.shift(i, index, 0);
      case ROR:
        return shifts.shift(i, index, 1);
      case PUSH:
        return moves.push(i, index);
      case POP:
        return moves.pop(i, index);
      case LEAVE:
        return moves.leave(i, index);
      case XCHG:
        return moves.exchange(i, index);
      case CMPXCHG:
        return moves.compareAndExchange(i, index);
      case XADD:
        return moves.exchangeAndAdd(i, index);
      case CMOVCC:
        return moves.conditionalMove(i, index);
      case SETCC:
        return moves.setCondition(i, index);
      case IMUL:
        return i.kind1 == OperandKind.NONE
            ? arithmetic.multiply(i, index, 5)
            : arithmetic.product(i, index);
      case MUL:
        return arithmetic.multiply(i, index, 4);
      case DIV:
        return arithmetic.divide(i, index);
      case BT:
        return bits.bit(i, index, 4, 0x0fa3);
      case BTS:
        return bits.bit(i, index, 5, 0x0fab);
      case BTR:
        return bits.bit(i, index, 6, 0x0fb3);
      case BTC:
        return bits.bit(i, index, 7, 0x0fbb);
      case BSWAP:
        return bits.swap(i);
      case CBW:
        a.registers(i.operandSize, 0x98, 0, 0);
        a.dropLast(); // no ModR/M byte
        return true;
      case CWD:
        a.registers(i.operandSize, 0x99, 0, 0);
        a.dropLast();
        return true;
      case NOP:
      case ENDBR32:
      case ENDBR64:
      case PREFETCH:
      case PREFETCHW:
      case PREFETCHNTA:
      case PREFETCHT0:
      case PREFETCHT1:
      case PREFETCHT2:
        return true;
      case LFENCE:
        return fence(0xe8);
      case MFENCE:
        return fence(0xf0);
      case SFENCE:
        return fence(0xf8);
      case CLC:
        return arithmetic.carry(0xf8);
      case STC:
        return arithmetic.carry(0xf9);
      case CMC:
        return arithmetic.carry(0xf5);
      case JMP_NEAR:
      case CALL_NEAR:
      case JCC:
      case RET_NEAR:
        return i.operandSize == 8 && branches.branch(i, index);
      case STOS:
        return strings.store(i, index);
      case MOVS:
        return strings.move(i, index);
      case CLD:
        return strings.direction(false);
      case STD:
        return strings.direction(true);
      case PUSHF:
        return system.pushFlags(i, index);
      case CLI:
        return system.turnOff(index);
      case STI:
        return system.turnOn(index);
      case RDTSC:
        return system.readTsc(index);
      case RDTSCP:
        return system.readTscAndAux(index);
      case SWAPGS:
        return system.swapGs(index);
      case SYSCALL:
        return system.call(i, index);
      case SYSRET:
        return system.sysret(i, index);
      case LDMXCSR:
        return sse.loadControl(i, index);
      case STMXCSR:
        return sse.storeControl(i, index);
      case CRC32:
        return bits.crc(i, index);
      case CMPXCHG16B:
        return moves.compareAndExchange16(i, index);
      case BSF:
        return bits.scan(i, index, 0, 0x0fbc, true);
      case BSR:
        return bits.scan(i, index, 0, 0x0fbd, true);
      case POPCNT:
        return bits.scan(i, index, 0xf3, 0x0fb8, HostProcessor.hasEcx(23));
      case TZCNT:
        return bits.scan(i, index, 0xf3, 0x0fbc, HostProcessor.hasExtendedEbx(3));
      case LZCNT:
        return bits.scan(i, index, 0xf3, 0x0fbd, HostProcessor.hasAmdEcx(5));
      case SHLD:
        return shifts.shiftDouble(i, index, 0x0fa4);
      case SHRD:
        return shifts.shiftDouble(i, index, 0x0fac);
      default:
        return MachineVectors.is(i) && sse.vector(i, index);
    }
  }

  private boolean fence(int modrm) {
    a.emit(0x0f);
    a.emit(0xae);
    a.emit(modrm);
    return true;
  }
}
