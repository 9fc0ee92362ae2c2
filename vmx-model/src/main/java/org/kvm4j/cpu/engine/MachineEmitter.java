package org.kvm4j.cpu.engine;

import static org.kvm4j.machine.Assembler.*;

import java.util.Arrays;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.ept.tlb.TagTable;
import org.kvm4j.ept.tlb.TlbSpace;
import org.kvm4j.machine.Assembler;

/**
 * What is known while a block is written, and what its instructions have in common: where
 * registers, flags and memory are, and how the block is left.
 *
 * <p>RAX to RBX, RBP to R10 stand for themselves, R12 for RSP; R11 to R15 are in the context, which
 * R15 points to. R11, R13 and R14 are for what is in between. The guest's flags of arithmetic are
 * in the host's where nothing has been in the way since they were set, and else in the context:
 * there before whatever may be left at.
 */
final class MachineEmitter {
  /**
   * The host's register that stands for one of the guest's; {@link Assembler#NONE}: the context.
   */
  static final int[] HOST = {
    RAX, RCX, RDX, RBX, R12, RBP, RSI, RDI, R8, R9, R10, NONE, NONE, NONE, NONE, NONE
  };

  static final int CONTEXT = R15;

  /** The linear address of an access, and behind it the distance to the host's. */
  static final int LINEAR = R13;

  static final int TO_HOST = R14;
  static final int SCRATCH = R11;

  /** Which bits of an address, shifted to slots of the tag table, say its slot. */
  static final int SLOTS = (TlbSpace.SIZE - 1) * TagTable.STRIDE;

  final Assembler a = new Assembler();

  /** The instruction's, in its page. */
  int offset;

  /** The block's, and others behind them. */
  Instruction[] instructions = {};

  int count;

  /** The flags are in the host's. */
  boolean inHost;

  /** The flags are in the context. */
  boolean saved;

  // Ways out: where each jump is that leads there, and what it says.
  int[] outs = new int[64];
  int outCount;

  /** The XMM registers are in the host's. */
  boolean vectors;

  /** Where that was asked, by instruction. */
  final int[] checks = new int[Interpreter.BLOCK_LIMIT];

  void out(int jump, int kind, int index) {
    out(jump, index << MachineBlock.KIND_BITS | kind);
  }

  private void out(int jump, int what) {
    if (outCount == outs.length) {
      outs = Arrays.copyOf(outs, 2 * outCount);
    }
    outs[outCount++] = jump;
    outs[outCount++] = what;
  }

  /**
   * Looks whether something wants to be looked at: in all loops, so where branches lead backwards
   * and where blocks are entered from other pages.
   *
   * @return the jump if something does
   */
  int attention() {
    a.immediate(4, 7, CONTEXT, NONE, MachineContext.ATTENTION, 0);
    return a.jump(NE);
  }

  /**
   * Second looks, by functions that all blocks share, where the first one has not found what it
   * looked for: where each jump is that leads there, which function it is, and what the way out
   * says.
   */
  private int[] looks = new int[48];

  int lookCount;

  /**
   * Where a jump is taken a function looks again; if ZF is set then, code goes on behind the jump,
   * and else is left.
   *
   * @param function where in the context its address is
   * @param kind why code is left
   */
  void lookAgain(int jump, int function, int kind, int index) {
    if (lookCount + 3 > looks.length) {
      looks = Arrays.copyOf(looks, 2 * looks.length);
    }
    looks[lookCount++] = jump;
    looks[lookCount++] = function;
    looks[lookCount++] = index << MachineBlock.KIND_BITS | kind;
  }

  /** Writes those looks. */
  void writeLooks() {
    for (int k = 0; k < lookCount; k += 3) {
      a.bind(looks[k]);
      a.memory(4, 0xff, 2, CONTEXT, looks[k + 1]); // call
      a.bind(a.jump(E), looks[k]);
      out(a.jump(), looks[k + 2]);
    }
  }

  /** Flags are in the context from here on; the host's stay. SCRATCH is overwritten. */
  void save() {
    if (saved) {
      return;
    }
    a.move(SCRATCH, RAX);
    a.emit(0x9f); // lahf
    a.registers(1, 0x0f90, 0, RAX); // seto al
    if (missing != Missing.NOTHING) {
      madeFlags(missing);
      missing = Missing.NOTHING;
      inHost = false;
    }
    a.memory(2, 0x89, RAX, CONTEXT, MachineContext.FLAGS);
    a.move(RAX, SCRATCH);
    saved = true;
  }

  /** Flags are in the host's from here on. SCRATCH is overwritten. */
  void restore() {
    if (missing != Missing.NOTHING) {
      save();
    }
    if (inHost) {
      return;
    }
    a.move(SCRATCH, RAX);
    a.memory(4, 0x0fb7, RAX, CONTEXT, MachineContext.FLAGS); // movzx eax, word
    a.emit(0x04);
    a.emit(0x7f); // add al, 7f: OF
    a.emit(0x9e); // sahf
    a.move(RAX, SCRATCH);
    inHost = true;
  }

  /** CF alone is in the host's from here on. */
  void restoreCarry() {
    if (!inHost) {
      a.memory(4, 0x0fba, 4, CONTEXT, MachineContext.FLAGS); // bt dword, 8
      a.emit(8);
    }
  }

  /** The host's flags are the guest's from here on, and nowhere else. */
  void flagsSet() {
    missing = Missing.NOTHING;
    inHost = true;
    saved = false;
  }

  /** Of the host's flags CF alone is the guest's; the others are in the context. */
  void carryAlone() {
    a.registers(1, 0x0f92, 0, SCRATCH); // setc
    a.memory(1, 0x80, 4, CONTEXT, MachineContext.FLAGS + 1); // and
    a.emit(0xfe);
    a.memory(1, 0x08, SCRATCH, CONTEXT, MachineContext.FLAGS + 1); // or
    inHost = false;
    saved = true;
  }

  static boolean isHost(int guest) {
    return HOST[guest] != NONE;
  }

  static int slot(int guest) {
    return MachineContext.register(guest);
  }

  /** The guest's register, or SCRATCH with its value. */
  int value(int guest) {
    return value(guest, SCRATCH);
  }

  int value(int guest, int scratch) {
    if (isHost(guest)) {
      return HOST[guest];
    }
    a.load(scratch, CONTEXT, slot(guest));
    return scratch;
  }

  /** An instruction whose r/m is a register of the guest's. */
  void rm(int prefix, int size, int opcode, int reg, int guest) {
    if (isHost(guest)) {
      a.registers(prefix, size, opcode, reg, HOST[guest]);
    } else {
      a.memory(prefix, size, opcode, reg, CONTEXT, NONE, 0, slot(guest));
    }
  }

  void rm(int size, int opcode, int reg, int guest) {
    rm(0, size, opcode, reg, guest);
  }

  /** After a write of 4 bytes to a register of the guest's by {@link #rm}: the upper ones are 0. */
  void zeroUpper(int size, int guest) {
    if (size == 4 && !isHost(guest)) {
      a.store32(0, CONTEXT, slot(guest) + 4);
    }
  }

  /** The register that a result is computed in: the guest's, or SCRATCH, for {@link #keep}. */
  static int target(int guest) {
    return isHost(guest) ? HOST[guest] : SCRATCH;
  }

  /** Puts a result from SCRATCH where it belongs. The upper half of SCRATCH is 0 for 4 bytes. */
  void keep(int guest, int size) {
    if (!isHost(guest)) {
      int bytes = size == 4 ? 8 : size;
      a.memory(bytes, bytes == 1 ? 0x88 : 0x89, SCRATCH, CONTEXT, slot(guest));
    }
  }

  static boolean isGpr(int kind) {
    return kind == OperandKind.GPR;
  }

  /** Puts the linear address of the memory operand into LINEAR; false if it has another form. */
  boolean linear(Instruction i, boolean segment) {
    if (i.addressSize != 8) {
      return false;
    }
    long displacement = i.displacement;
    int base = NONE;
    if (i.base == Instruction.RIP) {
      a.load(LINEAR, CONTEXT, MachineContext.CODE_BASE);
      base = LINEAR;
      displacement += offset + i.length;
    } else if (i.base != Instruction.NO_REGISTER) {
      base = value(i.base, LINEAR);
    }
    int index = i.index == Instruction.NO_REGISTER ? NONE : value(i.index, TO_HOST);
    if (displacement == (int) displacement) {
      if (base == NONE && index == NONE) {
        a.set(LINEAR, displacement);
      } else if (base != LINEAR || index != NONE || displacement != 0) {
        a.address(LINEAR, base, index, i.scale, (int) displacement);
      }
    } else if (base == NONE && index == NONE) {
      a.set(LINEAR, displacement);
    } else {
      return false;
    }
    if (segment && i.segment >= Cpu.FS) {
      a.memory(
          8,
          0x03,
          LINEAR,
          CONTEXT,
          i.segment == Cpu.FS ? MachineContext.FS_BASE : MachineContext.GS_BASE);
    }
    return true;
  }

  /**
   * Has the host's address of the memory operand be LINEAR + TO_HOST; where the TLB does not serve
   * the instruction is the interpreter's.
   */
  boolean access(Instruction i, int size, boolean write, int index) {
    save();
    if (!linear(i, true)) {
      return false;
    }
    find(size, write, index);
    return true;
  }

  /** Looks LINEAR up in the TLB. */
  void find(int size, boolean write, int index) {
    if (size == 1) {
      a.move(SCRATCH, LINEAR);
    } else {
      a.address(SCRATCH, LINEAR, NONE, 0, size - 1);
    }
    findPage(write, index);
  }

  /** The same for an access whose last byte SCRATCH is the address of. */
  void findPage(boolean write, int index) {
    a.move(TO_HOST, LINEAR);
    a.registers(8, 0xc1, 5, TO_HOST); // shr
    a.emit(7);
    a.immediate(4, 4, TO_HOST, SLOTS);
    a.memory(8, 0x03, TO_HOST, CONTEXT, MachineContext.TABLE);
    a.immediate(8, 4, SCRATCH, -4096);
    a.memory(8, 0x3b, SCRATCH, TO_HOST, write ? TagTable.WRITE_TAG : 0);
    int function = write ? MachineContext.RECALL_WRITE : MachineContext.RECALL_READ;
    lookAgain(a.jump(NE), function, MachineBlock.INTERPRET, index);
    a.load(TO_HOST, TO_HOST, TagTable.TO_HOST);
    inHost = false;
  }

  /** SCRATCH is the TLB's slot of fetches from LINEAR from here on. */
  static void fetchSlot(Assembler a) {
    a.move(SCRATCH, LINEAR);
    a.registers(8, 0xc1, 5, SCRATCH); // shr
    a.emit(7);
    a.immediate(4, 4, SCRATCH, SLOTS);
    a.memory(8, 0x03, SCRATCH, CONTEXT, MachineContext.FETCH_TABLE);
  }

  /** The interpreter does what goes on in another page than it did. Flags are in the context. */
  void secondPage(long hostPage) {
    a.load(LINEAR, CONTEXT, MachineContext.CODE_BASE);
    a.immediate(8, 0, LINEAR, CodePage.SIZE);
    fetchSlot(a);
    a.memory(8, 0x3b, LINEAR, SCRATCH, TagTable.FETCH_TAG);
    out(a.jump(NE), MachineBlock.INTERPRET, 0);
    a.memory(8, 0x03, LINEAR, SCRATCH, TagTable.TO_HOST);
    a.set(TO_HOST, hostPage);
    a.registers(8, 0x39, TO_HOST, LINEAR); // cmp
    out(a.jump(NE), MachineBlock.INTERPRET, 0);
  }

  /** The interpreter does what is not aligned: it may be locked. */
  void aligned(int size, int index) {
    if (size > 1) {
      a.registers(1, 0xf6, 0, LINEAR); // test
      a.emit(size - 1);
      out(a.jump(NE), MachineBlock.INTERPRET, index);
    }
  }

  /** An instruction whose r/m is the operand that has been found. */
  void mem(int prefix, int size, int opcode, int reg) {
    a.memory(prefix, size, opcode, reg, TO_HOST, LINEAR, 0, 0);
  }

  void mem(int size, int opcode, int reg) {
    mem(0, size, opcode, reg);
  }

  /** What the host's flags lack. */
  enum Missing {
    NOTHING,
    /** AF, which is set. */
    HALF,
    /** And OF, which is CF xor SF. */
    LEFT,
    /** And OF, which is clear. */
    RIGHT
  }

  Missing missing = Missing.NOTHING;

  /** Makes flags in AX, OF in AL and the others in AH, what they are to be. */
  void madeFlags(Missing what) {
    if (what == Missing.LEFT) {
      a.emit(0x88);
      a.emit(0xe0); // mov al, ah
      a.emit(0xc0);
      a.emit(0xe8);
      a.emit(7); // shr al, 7
      a.emit(0x30);
      a.emit(0xe0); // xor al, ah
      a.emit(0x24);
      a.emit(1); // and al, 1
    } else if (what == Missing.RIGHT) {
      a.emit(0xb0);
      a.emit(0); // mov al, 0
    }
    a.emit(0x80);
    a.emit(0xcc);
    a.emit(0x10); // or ah, 10
  }

  /** Finds 8 bytes of the stack. */
  void stack(int displacement, boolean write, int index) {
    save();
    a.address(LINEAR, HOST[Cpu.RSP], NONE, 0, displacement);
    find(8, write, index);
  }
}
