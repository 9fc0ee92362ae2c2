package org.kvm4j.cpu.engine;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.semantics.SystemCalls;
import org.kvm4j.ept.memory.Bank;
import org.kvm4j.ept.memory.HostMemory;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.tlb.TlbSpace;
import org.kvm4j.machine.CodeSpace;

/**
 * Blocks of 64-bit code as machine code of the host's, where that is x86-64: makes it, runs it,
 * links it, and forgets it. What machine code cannot do, and whatever faults, is the interpreter's:
 * it is left before that instruction, with all state where the interpreter has it.
 */
final class MachineEngine {
  private final Interpreter engine;
  private final Cpu cpu;
  private final Decoder decoder;
  private final PhysicalMemory memory;
  private final CodeSpace space;
  private final MachineContext context = new MachineContext();
  private final MachineWriter writer;

  /** Of the code that is alive. */
  private int generation = 1;

  private final List<@Nullable MachineBlock> blocks = new ArrayList<>();

  /** What is there of the space, and where the next code goes. */
  private final CodeChunks chunks;

  private final long gate;

  /** What blocks are decoded to, again and again. */
  private final Instruction[] decoded = new Instruction[Interpreter.BLOCK_LIMIT];

  /** The bytes of one that lies across two pages. */
  private final ByteBuffer across =
      ByteBuffer.allocate(Decoder.MAXIMUM_LENGTH).order(ByteOrder.LITTLE_ENDIAN);

  MachineEngine(Interpreter engine, Cpu cpu, Decoder decoder, CodeSpace space) {
    this.engine = engine;
    this.cpu = cpu;
    this.decoder = decoder;
    this.memory = cpu.mmu.memory;
    this.space = space;
    this.chunks = new CodeChunks(space);
    this.writer = new MachineWriter();
    gate = CodeChunks.gate(space);
    Arrays.setAll(decoded, k -> new Instruction());
    context.put(MachineContext.LEAVE, CodeChunks.leave(space));
    context.put(MachineContext.OTHER_JUMP, CodeChunks.otherJump(space));
    context.put(MachineContext.REVALIDATE, CodeChunks.revalidate(space));
    context.put(MachineContext.RECALL_READ, CodeChunks.recall(space, false));
    context.put(MachineContext.RECALL_WRITE, CodeChunks.recall(space, true));
    context.putInt(MachineContext.HOST_MXCSR, 0x1f80);
    cpu.mirrorAttention(context.address + MachineContext.ATTENTION, context);
  }

  /** Blocks made so far. */
  private long made;

  /** No room is left for more code. */
  private boolean full;

  void setMostChunks(int most) {
    chunks.setMost(most);
  }

  long made() {
    return made;
  }

  /** Whether there is no room for more code, and some of what is there is this processor's. */
  boolean isFull() {
    return full && !blocks.isEmpty();
  }

  boolean isAlive(MachineBlock b) {
    return b.generation == generation && b.block.machine == b;
  }

  /** Whether machine code may be run now. */
  boolean mayEnter(Cpu c) {
    if (context.getInt(MachineContext.ATTENTION) != 0) {
      context.putInt(MachineContext.ATTENTION, 0);
      VarHandle.fullFence();
    }
    return c.attention == 0 && !c.mmu.busLocks;
  }

  /** Whether a block's machine code is there and worth beginning with. */
  boolean isReady(MachineBlock b, Cpu c) {
    return b.generation == generation && !b.startsInterpreted && mayEnter(c);
  }

  /** Runs a block, and what it leads to. */
  @Nullable Op enter(Cpu c, MachineBlock b) {
    Block block = b.block;
    if (engine.isCachedAt(block, c.r[Cpu.CODE_BASE] + (block.offset & 0xffff))) {
      remember(b, block.rip, block.epoch);
    }
    return enter(c, b.code + b.nearEntry);
  }

  /** Puts a block into the jump cache. */
  private void remember(MachineBlock b, long rip, long epoch) {
    boolean there = b.jumpSlot != 0 && b.jumpVersion == context.jumpVersion();
    long code = space.address(b.code + b.farEntry);
    if (there) {
      if (MachineContext.has(b.jumpSlot, rip, epoch, code)) {
        return;
      }
      MachineContext.forget(b.jumpSlot, code);
    }
    b.jumpSlot = context.remember(rip, epoch, code, b.hostPage);
    b.jumpVersion = context.jumpVersion();
  }

  private void forgetSlot(MachineBlock b) {
    if (b.jumpSlot != 0 && b.jumpVersion == context.jumpVersion()) {
      MachineContext.forget(b.jumpSlot, space.address(b.code + b.farEntry));
    }
    b.jumpSlot = 0;
  }

  /** Runs machine code from an offset of the space on. */
  @Nullable Op enter(Cpu c, int code) {
    return enterAt(c, space.address(code));
  }

  /**
   * Which instructions of the system's machine code may do.
   *
   * @param level the privilege level
   * @param iopl EFLAGS.IOPL
   * @param quiet nothing waits for EFLAGS.IF
   * @param banked the banks are right
   */
  private static int allowed(int level, int iopl, boolean quiet, boolean banked) {
    int allowed = 0;
    if (level <= iopl) {
      allowed = quiet ? MachineContext.MAY_CLI | MachineContext.MAY_STI : MachineContext.MAY_CLI;
    }
    if (level == 0) {
      allowed |= MachineContext.MAY_SWAPGS;
      return banked && quiet ? allowed | MachineContext.MAY_SYSRET : allowed;
    }
    return banked && level == 3 ? allowed | MachineContext.MAY_SYSCALL : allowed;
  }

  /** What the banks are of, and its epoch. */
  private @Nullable JumpContext banked;

  private long bankedEpoch;
  private long bankedSupervisorEpoch;

  /**
   * Has the banks be right, if it is known where SYSCALL and SYSRET lead, and they do nothing but
   * change the privilege level.
   */
  private boolean setBanks(Cpu c) {
    JumpContext current = engine.context();
    JumpContext other = current.other();
    if (other == null
        || (c.efer & ControlBits.EFER_SCE) == 0
        || (c.cr4 & ControlBits.CR4_CET) != 0
        || c.counters.isEnabled()) {
      return false;
    }
    JumpContext user = c.cpl == 3 ? current : other;
    JumpContext supervisor = c.cpl == 3 ? other : current;
    if (user != banked || user.epoch != bankedEpoch || supervisor.epoch != bankedSupervisorEpoch) {
      banked = user;
      bankedEpoch = user.epoch;
      bankedSupervisorEpoch = supervisor.epoch;
      TlbSpace space = c.mmu.space;
      setBank(MachineContext.USER, space.table(space.user()), user);
      setBank(MachineContext.SUPERVISOR, space.table(space.supervisor), supervisor);
    }
    context.put(MachineContext.CALL_TARGET, c.msr.lstar);
    context.putInt(MachineContext.CALL_KEEPS, (int) ~c.msr.fmask);
    return true;
  }

  private void setBank(int bank, long table, JumpContext of) {
    context.put(bank, table);
    context.put(bank + 8, table);
    context.put(bank + 16, of.epoch);
    context.put(bank + 24, of.globalEpoch);
  }

  /** What the processor may do, also at the other privilege level. */
  private void allow(Cpu c) {
    GuestMode g = c.guest;
    boolean quiet = c.requests() == 0 && (g == null || !g.isWatching());
    boolean banks = setBanks(c);
    context.putInt(MachineContext.ALLOWED, allowed(c.cpl, c.iopl(), quiet, banks));
    if (banks) {
      context.putInt(
          MachineContext.USER + MachineContext.BANKED_ALLOWED, allowed(3, 0, quiet, true));
      context.putInt(
          MachineContext.SUPERVISOR + MachineContext.BANKED_ALLOWED, allowed(0, 0, quiet, true));
    }
    context.putInt(MachineContext.LEVEL, c.cpl);
  }

  /** SYSCALL or SYSRET has been done, perhaps both, with EFLAGS as they were and as they are. */
  private void changeLevel(Cpu c, int level, int flagsBefore) {
    boolean there = level == 0 ? SystemCalls.isCalled(c) : SystemCalls.isReturned(c);
    if (there && ((flagsBefore | c.flagsRest) & Flags.AC) == 0) {
      return;
    }
    if (level == 0) {
      SystemCalls.called(c);
    } else {
      SystemCalls.returned(c, true);
    }
    engine.freshenJumpCache();
  }

  private @Nullable Op enterAt(Cpu c, long code) {
    MachineContext x = context;
    long at = x.address;
    int flagsBefore = c.flagsRest;
    long[] r = c.r;
    for (int k = 0; k < 11; k++) {
      HostMemory.putLong(at + MachineContext.REGISTERS + 8 * k, r[k]);
    }
    for (int k = 11; k < 16; k++) {
      HostMemory.putLong(at + MachineContext.R11 + 8 * (k - 11), r[k]);
    }
    int f = c.lazyFlags();
    HostMemory.putShort(at + MachineContext.FLAGS, (short) (f << 8 & 0xff00 | f >>> 11 & 1));
    HostMemory.putLong(at + MachineContext.COUNTDOWN, c.countdown);
    HostMemory.putLong(at + MachineContext.TABLE, c.mmu.data());
    HostMemory.putLong(at + MachineContext.FETCH_TABLE, c.mmu.fetches());
    HostMemory.putInt(at + MachineContext.FLAGS_REST, c.flagsRest);
    allow(c);
    HostMemory.putLong(at + MachineContext.CODE_BASE, r[Cpu.CODE_BASE]);
    HostMemory.putLong(at + MachineContext.EPOCH, engine.jumpEpoch());
    HostMemory.putLong(at + MachineContext.GLOBAL_EPOCH, engine.jumpGlobalEpoch());
    HostMemory.putLong(at + MachineContext.FS_BASE, r[Cpu.FS_BASE]);
    long gsBase = r[Cpu.GS_BASE];
    HostMemory.putLong(at + MachineContext.GS_BASE, gsBase);
    HostMemory.putLong(at + MachineContext.KERNEL_GS_BASE, c.msr.kernelGsBase);
    HostMemory.putLong(at + MachineContext.TARGET, code);
    CodeSpace.call(at, gate);
    for (int k = 0; k < 11; k++) {
      r[k] = HostMemory.getLong(at + MachineContext.REGISTERS + 8 * k);
    }
    for (int k = 11; k < 16; k++) {
      r[k] = HostMemory.getLong(at + MachineContext.R11 + 8 * (k - 11));
    }
    int flags = HostMemory.getShort(at + MachineContext.FLAGS);
    c.setLazyFlags(flags >>> 8 & 0xd5 | (flags & 1) << 11);
    if (HostMemory.getLong(at + MachineContext.GS_BASE) != gsBase) {
      // By SWAPGS alone.
      c.msr.kernelGsBase = HostMemory.getLong(at + MachineContext.KERNEL_GS_BASE);
      r[Cpu.GS_BASE] = HostMemory.getLong(at + MachineContext.GS_BASE);
      c.seg[Cpu.GS].base = r[Cpu.GS_BASE];
    }
    c.flagsRest = HostMemory.getInt(at + MachineContext.FLAGS_REST);
    c.countdown = HostMemory.getLong(at + MachineContext.COUNTDOWN);
    int level = HostMemory.getInt(at + MachineContext.LEVEL);
    if ((level & MachineContext.CHANGED) != 0) {
      changeLevel(c, level & 3, flagsBefore);
    }
    r[Cpu.CODE_BASE] = HostMemory.getLong(at + MachineContext.CODE_BASE);
    if (x.getInt(MachineContext.VECTORS) != 0) {
      takeVectors(c);
    }
    MachineBlock b = blocks.get(x.getInt(MachineContext.BLOCK));
    return left(c, Objects.requireNonNull(b), x.getInt(MachineContext.EXIT));
  }

  /** What comes next. */
  private @Nullable Op left(Cpu c, MachineBlock b, int exit) {
    engine.setCurrent(b.block.page);
    int index = exit >> MachineBlock.KIND_BITS;
    switch (exit & (1 << MachineBlock.KIND_BITS) - 1) {
      case MachineBlock.INTERPRET:
        return b.crossing != null ? b.crossing : b.ops[index];
      case MachineBlock.TAKE:
        Op taken = take(c, b);
        if (taken instanceof Block to) {
          link(b.takeSite, b.takeStub, to);
        }
        return taken;
      case MachineBlock.TURN:
        return take(c, b);
      case MachineBlock.FOLLOW:
        Op following = b.end instanceof EndOp e ? e.follow(c) : b.end;
        if (following instanceof Block to) {
          link(b.followSite, b.followStub, to);
        }
        return following;
      case MachineBlock.JUMP:
        long rip = context.get(MachineContext.RIP);
        Block known = engine.jump(rip);
        if (known == null) {
          c.rip = rip;
        }
        return known;
      case MachineBlock.VECTORS:
        return giveVectors(c) ? enterAt(c, context.get(MachineContext.RIP)) : b.ops[index];
      default:
        c.rip = b.block.rip(c);
        return null;
    }
  }

  /** Takes the direct branch that a block ends with. */
  private static @Nullable Op take(Cpu c, MachineBlock b) {
    return ((BranchOps.Direct) b.ops[b.ops.length - 1]).take(c);
  }

  // ---- vector registers ----

  private static final VarHandle LONG =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  // In the XSAVE area.
  private static final int MXCSR_AT = 24;
  private static final int XMM_AT = 160;

  /** All exceptions are masked: bits 12:7. */
  private static final int MASKS = 0x1f80;

  /** Gives XMM registers and MXCSR to machine code, if SSE can be used without exceptions. */
  private boolean giveVectors(Cpu c) {
    int mxcsr = (int) INT.get(c.xsaveArea, MXCSR_AT);
    if ((c.cr0 & (ControlBits.CR0_EM | ControlBits.CR0_TS)) != 0
        || (c.cr4 & ControlBits.CR4_OSFXSR) == 0
        || (mxcsr & MASKS) != MASKS
        || (mxcsr & ~0xffff) != 0
        || c.attention != 0) {
      return false;
    }
    context.putInt(MachineContext.MXCSR, mxcsr);
    long at = context.address + MachineContext.XMM;
    for (int k = 0; k < 256; k += 8) {
      HostMemory.putLong(at + k, (long) LONG.get(c.xsaveArea, XMM_AT + k));
    }
    context.putInt(MachineContext.VECTORS, 1);
    return true;
  }

  private void takeVectors(Cpu c) {
    context.putInt(MachineContext.VECTORS, 0);
    INT.set(c.xsaveArea, MXCSR_AT, context.getInt(MachineContext.MXCSR));
    long at = context.address + MachineContext.XMM;
    for (int k = 0; k < 256; k += 8) {
      LONG.set(c.xsaveArea, XMM_AT + k, HostMemory.getLong(at + k));
    }
  }

  // ---- links ----

  /** Has a jump lead to a block, if that is machine code. */
  private void link(int site, int stub, Block to) {
    MachineBlock b = to.machine;
    if (b != null && b.generation == generation) {
      space.write32(site - 4, b.code + b.nearEntry - site);
      b.addIncoming(site, stub);
    }
  }

  /** A block is gone: nothing leads to its code any more. */
  void drop(MachineBlock b) {
    if (b.generation != generation) {
      return;
    }
    for (int k = 0; k < b.incomingCount; k += 2) {
      int site = b.incoming[k];
      space.write32(site - 4, b.incoming[k + 1] - site);
    }
    b.incomingCount = 0;
    forgetSlot(b);
    // Nobody leaves it any more.
    blocks.set(b.number, null);
  }

  /** All code is gone. No machine code runs now. */
  void dropAll() {
    full = false;
    generation++;
    blocks.clear();
    context.forgetJumps();
    chunks.release();
  }

  // ---- making code ----

  /**
   * Makes machine code of a block.
   *
   * @return null if it cannot be
   */
  @Nullable MachineBlock translate(Block block) {
    if ((block.modeKey & 15) != 8
        || (block.modeKey & (Cpu.KEY_SHADOW_STACK | Cpu.KEY_BRANCH_TRACKING)) != 0) {
      return null;
    }
    Op[] ops = new Op[block.count];
    SecondPage crossing = block.next instanceof SecondPage s ? s : null;
    Op before = crossing == null ? block : crossing;
    for (int k = 0; k < ops.length; k++) {
      Op op = before.next;
      while (op instanceof ContinueOp) {
        op = op.next;
        before.next = op;
      }
      if (op == null || op instanceof Resume || op instanceof SecondPage) {
        return null;
      }
      ops[k] = op;
      before = op;
    }
    Op end = before.next;
    Bank bank = memory.bankOfPage(block.page.hpa);
    if (end == null || bank == null) {
      return null;
    }
    int base = (int) block.page.hpa & PhysicalMemory.BANK_MASK;
    int at = block.offset & 0xffff;
    ByteBuffer bytes = bank.buffer();
    int code = base;
    int limit = base + CodePage.SIZE;
    long secondHostPage = 0;
    if (crossing != null) {
      Bank next = memory.bankOfPage(crossing.second.hpa);
      if (next == null) {
        return null;
      }
      int there = (int) crossing.second.hpa & PhysicalMemory.BANK_MASK;
      secondHostPage = next.hostAddress(there);
      int here = CodePage.SIZE - at;
      for (int k = 0; k < Decoder.MAXIMUM_LENGTH; k++) {
        across.put(k, k < here ? bytes.get(base + at + k) : next.buffer().get(there + k - here));
      }
      bytes = across;
      code = -at;
      limit = Decoder.MAXIMUM_LENGTH;
    }
    for (int k = 0; k < ops.length; k++) {
      Instruction i = decoder.decode(bytes, code + at, limit, 8, decoded[k]);
      if (!isOf(ops[k], i, at, k == ops.length - 1)) {
        // Overwritten by another processor, which has not told of it yet.
        return null;
      }
      at += i.length;
    }
    cpu.mmu.keepTables();
    MachineBlock b = new MachineBlock(block, blocks.size(), generation, crossing, ops, end);
    b.hostPage = bank.hostAddress(base);
    b.secondHostPage = secondHostPage;
    int length = writer.write(b, decoded);
    if (length == 0) {
      return null;
    }
    int near = writer.near();
    int where = chunks.take(near, length - near);
    if (where < 0) {
      full = true;
      return null;
    }
    int ways = chunks.far();
    blocks.add(b);
    made++;
    writer.part(ways - near - where);
    space.write(where, writer.code(), 0, near);
    space.write(ways, writer.code(), near, length - near);
    b.code = where;
    if (b.takeSite != 0) {
      b.takeSite += where;
      b.takeStub += ways - near;
    }
    if (b.followSite != 0) {
      b.followSite += where;
      b.followStub += ways - near;
    }
    block.machine = b;
    for (int k = 0; k < ops.length - 1; k++) {
      int entry = writer.continuation(k);
      if (entry > 0) {
        ops[k].next = new ContinueOp(this, b, entry, ops[k]);
      }
    }
    linkKnown(b);
    return b;
  }

  /**
   * Whether an operation can be that of an instruction, as far as machine code relies on it: where
   * it stands, that nothing but the last one leads away, and where that leads to.
   */
  private static boolean isOf(Op op, Instruction i, int offset, boolean last) {
    if ((op.offset & 0xffff) != offset || op.length != i.length || !last && i.isBranch) {
      return false;
    }
    return switch (i.opcode) {
      case JMP_NEAR, CALL_NEAR, JCC ->
          i.kind0 != OperandKind.RELATIVE
              || op instanceof BranchOps.Direct d && d.target == offset + i.length + i.immediate;
      default -> true;
    };
  }

  /** Links what is machine code already. */
  private void linkKnown(MachineBlock b) {
    Op last = b.ops[b.ops.length - 1];
    if (b.takeSite != 0 && last instanceof BranchOps.Direct d && (d.target & ~0xfff) == 0) {
      Block to = b.block.page.find(d.target, b.block.modeKey);
      if (to != null) {
        link(b.takeSite, b.takeStub, to);
      }
    }
    if (b.followSite != 0) {
      Block to = b.block.page.find(b.block.end, b.block.modeKey);
      if (to != null) {
        link(b.followSite, b.followStub, to);
      }
    }
  }
}
