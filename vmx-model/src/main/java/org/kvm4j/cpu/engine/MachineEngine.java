package org.kvm4j.cpu.engine;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.msr.TimeStampCounter;
import org.kvm4j.cpu.semantics.SystemCalls;
import org.kvm4j.ept.memory.Bank;
import org.kvm4j.ept.memory.HostMemory;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.tlb.TlbSpace;
import org.kvm4j.machine.CodeSpace;
import org.kvm4j.machine.HostClock;

/**
 * Blocks of 64-bit code as machine code of the host's, where that is x86-64: makes it, runs it,
 * links it, and forgets it. What machine code cannot do, and whatever faults, is the interpreter's:
 * it is left before that instruction, with all state where the interpreter has it.
 */
final class MachineEngine {
  /**
   * How often a block may be made in place of another that does not fit a processor: they may have
   * different pages behind one, and are not to make each other's anew without end.
   */
  private static final int MOST_REPLACED = 8;

  private static final long HOST_CLOCK = HostClock.function();

  private final Interpreter engine;
  private final Cpu cpu;
  private final Decoder decoder;
  private final PhysicalMemory memory;
  private final CodeSpace space;
  private final SharedCode shared;
  private final MachineContext context = new MachineContext();
  private final MachineWriter writer;

  /** The blocks, and those that other processors have made; null if there is no code. */
  private @Nullable MachineStore store;

  /** Of the code that is used. */
  private int generation = 1;

  /** What is used of the store, by number. */
  private @Nullable MachineUse[] uses = {};

  private final long gate;

  /** What blocks are decoded to, again and again. */
  private final Instruction[] decoded = new Instruction[Interpreter.BLOCK_LIMIT];

  MachineEngine(Interpreter engine, Cpu cpu, Decoder decoder, CodeSpace space, SharedCode shared) {
    this.engine = engine;
    this.cpu = cpu;
    this.decoder = decoder;
    this.memory = cpu.mmu.memory;
    this.space = space;
    this.shared = shared;
    this.writer = new MachineWriter();
    gate = CodeChunks.gate(space);
    Arrays.setAll(decoded, k -> new Instruction());
    context.put(MachineContext.LEAVE, CodeChunks.leave(space));
    context.put(MachineContext.OTHER_JUMP, CodeChunks.otherJump(space));
    context.put(MachineContext.REVALIDATE, CodeChunks.revalidate(space));
    context.put(MachineContext.RECALL_READ, CodeChunks.recall(space, false));
    context.put(MachineContext.RECALL_WRITE, CodeChunks.recall(space, true));
    context.put(MachineContext.READ_TSC, CodeChunks.readTsc(space));
    context.put(MachineContext.HOST_CLOCK, HOST_CLOCK);
    context.putInt(MachineContext.HOST_MXCSR, 0x1f80);
    cpu.mirrorAttention(context.address + MachineContext.ATTENTION, context);
  }

  /** Blocks made so far. */
  private long made;

  void setMostChunks(int most) {
    store().setMostChunks(most);
  }

  long made() {
    return made;
  }

  private MachineStore store() {
    MachineStore there = store;
    if (there == null) {
      there = shared.join(engine, space);
      store = there;
    }
    return there;
  }

  boolean isAlive(MachineUse u) {
    return u.generation == generation && u.block.machine == u;
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
  boolean isReady(MachineUse u, Cpu c) {
    return u.generation == generation && !u.code.startsInterpreted && !u.code.dead && mayEnter(c);
  }

  /** Runs a block, and what it leads to. */
  @Nullable Op enter(Cpu c, MachineUse u) {
    Block block = u.block;
    if (engine.isCachedAt(block, c.r[Cpu.CODE_BASE] + (block.offset & 0xffff))) {
      remember(u, block.rip, block.epoch);
    }
    return enter(c, u.code.code + u.code.nearEntry);
  }

  /** Puts a block into the jump cache. */
  private void remember(MachineUse u, long rip, long epoch) {
    boolean there = u.jumpSlot != 0 && u.jumpVersion == context.jumpVersion();
    long code = space.address(u.code.code);
    if (there) {
      if (MachineContext.has(u.jumpSlot, rip, epoch, code)) {
        return;
      }
      MachineContext.forget(u.jumpSlot, code);
    }
    u.jumpSlot = context.remember(rip, epoch, code, u.code.hostPage);
    u.jumpVersion = context.jumpVersion();
  }

  private void forgetSlot(MachineUse u) {
    if (u.jumpSlot != 0 && u.jumpVersion == context.jumpVersion()) {
      MachineContext.forget(u.jumpSlot, space.address(u.code.code));
    }
    u.jumpSlot = 0;
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

  private static final int TSC_AND_AUX = MachineContext.MAY_READ_TSC | MachineContext.MAY_READ_AUX;

  /** What the processor may do, also at the other privilege level. */
  private void allow(Cpu c) {
    GuestMode g = c.guest;
    boolean quiet = c.requests() == 0 && (g == null || !g.isWatching());
    boolean banks = setBanks(c);
    boolean timed = HOST_CLOCK != 0 && TimeStampCounter.isHostClock(c);
    if (timed) {
      context.put(MachineContext.TSC_BEYOND, TimeStampCounter.beyondHost(c));
      context.putInt(MachineContext.TSC_AUX, (int) c.msr.tscAux);
    }
    int time = !timed ? 0 : TimeStampCounter.hasAux(c) ? TSC_AND_AUX : MachineContext.MAY_READ_TSC;
    int userTime = (c.cr4 & ControlBits.CR4_TSD) == 0 ? time : 0;
    context.putInt(
        MachineContext.ALLOWED,
        allowed(c.cpl, c.iopl(), quiet, banks) | (c.cpl == 0 ? time : userTime));
    if (banks) {
      context.putInt(
          MachineContext.USER + MachineContext.BANKED_ALLOWED,
          allowed(3, 0, quiet, true) | userTime);
      context.putInt(
          MachineContext.SUPERVISOR + MachineContext.BANKED_ALLOWED,
          allowed(0, 0, quiet, true) | time);
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

  /** Where machine code goes on. */
  private long next;

  /** That it does, at {@link #next}. */
  private static final Op AGAIN = new Resume((short) 0, 0);

  private @Nullable Op enterAt(Cpu c, long code) {
    next = code;
    Op op;
    do {
      run(c, next);
      op = left(c, context.getInt(MachineContext.BLOCK), context.getInt(MachineContext.EXIT));
    } while (op == AGAIN);
    return op;
  }

  private void run(Cpu c, long code) {
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
    HostMemory.putLong(at + MachineContext.CR2, c.cr2);
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
  }

  /** What comes next. */
  private @Nullable Op left(Cpu c, int number, int exit) {
    int index = exit >> MachineBlock.KIND_BITS;
    int kind = exit & (1 << MachineBlock.KIND_BITS) - 1;
    if (kind == MachineBlock.JUMP) {
      return jump(c);
    }
    if (kind == MachineBlock.VECTORS && giveVectors(c)) {
      next = context.get(MachineContext.RIP);
      return AGAIN;
    }
    MachineUse u = number < uses.length ? uses[number] : null;
    MachineBlock b = u != null ? u.code : store().block(number);
    MachineBlock to = linked(b, kind);
    if (to != null) {
      next = space.address(to.code + to.nearEntry);
      return AGAIN;
    }
    if (u == null) {
      u = use(b);
      if (u == null) {
        return leftUnknown(c, b, kind, index);
      }
    }
    engine.setCurrent(u.block.page);
    if (b.dead && u.block.machine == u) {
      // Nothing is linked to it any more, nor will be: its block is to have other code.
      drop(u);
      u.block.machine = null;
      u.block.heat = 1;
    }
    switch (kind) {
      case MachineBlock.TAKE:
      case MachineBlock.TURN:
        return ((BranchOps.Direct) u.ops[u.ops.length - 1]).take(c);
      case MachineBlock.FOLLOW:
        return u.end instanceof EndOp e ? e.follow(c) : u.end;
      case MachineBlock.ENTRY:
        c.rip = b.offset + c.r[Cpu.CODE_BASE];
        return null;
      default:
        return u.op(index);
    }
  }

  /** The code that a block has been left for, which it is linked to from now on; null if none. */
  private @Nullable MachineBlock linked(MachineBlock b, int kind) {
    return switch (kind) {
      case MachineBlock.TAKE -> store().take(b);
      case MachineBlock.FOLLOW -> store().follow(b);
      default -> null;
    };
  }

  /** What is at {@link MachineContext#RIP}. */
  private @Nullable Op jump(Cpu c) {
    long rip = context.get(MachineContext.RIP);
    Block known = engine.jump(rip);
    if (known == null) {
      c.rip = rip;
    }
    return known;
  }

  /** As {@link #left}, of a block that this processor has not decoded: the dispatcher goes on. */
  private @Nullable Op leftUnknown(Cpu c, MachineBlock b, int kind, int index) {
    long base = c.r[Cpu.CODE_BASE];
    switch (kind) {
      case MachineBlock.TAKE:
      case MachineBlock.TURN:
        c.rip = base + b.target;
        break;
      case MachineBlock.FOLLOW:
        c.rip = base + b.end;
        break;
      case MachineBlock.ENTRY:
        c.rip = base + b.offset;
        break;
      default:
        c.countdown += b.count() - index;
        c.rip = base + b.offsetOf(index);
        break;
    }
    return null;
  }

  // ---- vector registers ----

  private static final VarHandle INT =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

  // In the XSAVE area.
  private static final int MXCSR_AT = 24;
  private static final int XMM_AT = 160;
  private static final int XMM_SIZE = 16 * 16;

  /** All exceptions are masked: bits 12:7. */
  static final int MXCSR_MASKS = 0x1f80;

  /** The bits that there are. */
  static final int MXCSR_DEFINED = 0xffff;

  /** Gives XMM registers and MXCSR to machine code, if SSE can be used without exceptions. */
  private boolean giveVectors(Cpu c) {
    int mxcsr = (int) INT.get(c.xsaveArea, MXCSR_AT);
    if ((c.cr0 & (ControlBits.CR0_EM | ControlBits.CR0_TS)) != 0
        || (c.cr4 & ControlBits.CR4_OSFXSR) == 0
        || (mxcsr & MXCSR_MASKS) != MXCSR_MASKS
        || (mxcsr & ~MXCSR_DEFINED) != 0
        || c.attention != 0) {
      return false;
    }
    context.putInt(MachineContext.MXCSR, mxcsr);
    context.put(MachineContext.XMM, c.xsaveArea, XMM_AT, XMM_SIZE);
    context.putInt(MachineContext.VECTORS, 1);
    return true;
  }

  private void takeVectors(Cpu c) {
    context.putInt(MachineContext.VECTORS, 0);
    INT.set(c.xsaveArea, MXCSR_AT, context.getInt(MachineContext.MXCSR));
    context.get(MachineContext.XMM, c.xsaveArea, XMM_AT, XMM_SIZE);
  }

  // ---- using code ----

  /** A block is gone: nothing leads this processor to its code any more. */
  void drop(MachineUse u) {
    if (u.generation != generation) {
      return;
    }
    forgetSlot(u);
    // Nobody leaves it any more.
    uses[u.code.number] = null;
  }

  /** Nothing of the code is used any more, until it is found again. No machine code runs now. */
  void forget() {
    generation++;
    uses = new MachineUse[0];
    context.forgetJumps();
  }

  /** After {@link #forget}: the code may go once no other processor uses it. */
  void leave() {
    MachineStore there = store;
    if (there != null) {
      store = null;
      there.leave(engine);
    }
  }

  /** Has all processors leave the code. */
  void retire() {
    if (store != null) {
      store.retire();
    }
  }

  /**
   * An instruction has become one that touches devices, or is none any more: its code is to be made
   * anew. Where other processors share that it has no such instructions.
   */
  void replace(long hpa) {
    MachineStore s = store;
    if (s != null && s.isAlone()) {
      s.codeWritten(hpa, 1);
    }
  }

  /** This processor has marked a page. */
  void marked(long hpa) {
    store().check(hpa);
  }

  /** A block's operations, as far as machine code has to do with them. */
  private record Operations(@Nullable SecondPage crossing, Op[] ops, Op end) {

    /** Those of a block; null if it is none any more. */
    static @Nullable Operations of(Block block) {
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
      return end == null ? null : new Operations(crossing, ops, end);
    }

    /** Host-physical address of the page that the one instruction goes on in; -1 if in none. */
    long secondHpa() {
      return crossing == null ? -1 : crossing.second.hpa;
    }

    /** Which are {@link DeviceMove}s: a bit for each. */
    long devices() {
      long devices = 0;
      for (int k = 0; k < ops.length; k++) {
        if (ops[k] instanceof DeviceMove) {
          devices |= 1L << k;
        }
      }
      return devices;
    }

    /** Whether machine code was made from the same instructions, as far as it relies on that. */
    boolean areOf(MachineBlock b) {
      if (ops.length != b.count() || (b.devices & ~devices()) != 0) {
        return false;
      }
      for (int k = 0; k < ops.length; k++) {
        if (ops[k].length != b.lengths[k]) {
          return false;
        }
      }
      Op last = ops[ops.length - 1];
      return secondHpa() == b.secondHpa
          && (b.target < 0 || last instanceof BranchOps.Direct d && d.target == b.target);
    }
  }

  /** This processor's use of a block that it has come to; null if that is of no use. */
  private @Nullable MachineUse use(MachineBlock b) {
    if (b.dead || b.secondHpa != -1) {
      return null;
    }
    Block block = engine.block(b.hpa, b.offset, b.modeKey);
    return block == null ? null : useKnown(block, b);
  }

  /** Whether a block's machine code is there, made by another processor, and is used from now. */
  boolean useKnown(Block block) {
    if (!mayTranslate(block)) {
      return false;
    }
    MachineBlock b = store().find(block.page.hpa, block.offset & 0xffff, block.modeKey);
    return b != null && useKnown(block, b) != null;
  }

  private @Nullable MachineUse useKnown(Block block, MachineBlock b) {
    Operations o = Operations.of(block);
    if (o == null) {
      return null;
    }
    MachineStore s = store();
    synchronized (s) {
      if (b.dead || o.secondHpa() != b.secondHpa) {
        return null;
      }
      if (o.areOf(b) && s.isCurrent(b)) {
        return use(block, b, o);
      }
      s.drop(b);
      return null;
    }
  }

  private MachineUse use(Block block, MachineBlock b, Operations o) {
    if (block.machine != null) {
      drop(block.machine);
    }
    cpu.mmu.keepTables();
    MachineUse u = new MachineUse(b, block, o.crossing, o.ops, o.end, generation);
    if (b.number >= uses.length) {
      uses = Arrays.copyOf(uses, Math.max(b.number + 1, 2 * uses.length));
    }
    uses[b.number] = u;
    block.machine = u;
    for (int k = 0; k < b.continuations.length; k += 2) {
      Op before = o.ops[b.continuations[k]];
      before.next = new ContinueOp(this, u, b.continuations[k + 1], before);
    }
    engine.used(b.count());
    return u;
  }

  // ---- making code ----

  private static boolean mayTranslate(Block block) {
    return (block.modeKey & 15) == 8
        && (block.modeKey & (Cpu.KEY_SHADOW_STACK | Cpu.KEY_BRANCH_TRACKING)) == 0;
  }

  /** Has a block be machine code, if it can be, and there is room for that. */
  void translate(Block block) {
    if (!mayTranslate(block)) {
      return;
    }
    if (block.machine != null) {
      drop(block.machine);
      block.machine = null;
    }
    MachineStore s = store();
    boolean full;
    synchronized (s) {
      full = (engine.isFull(s.kept()) || !translate(block, s)) && !s.isEmpty();
    }
    if (full) {
      s.retire();
    }
  }

  /** False if there is no room for it. */
  private boolean translate(Block block, MachineStore s) {
    Operations o = Operations.of(block);
    if (o == null) {
      return true;
    }
    MachineBlock known = s.find(block.page.hpa, block.offset & 0xffff, block.modeKey);
    if (known != null && !s.isCurrent(known)) {
      s.drop(known);
    } else if (known != null && o.areOf(known)) {
      use(block, known, o);
      return true;
    } else if (known != null && known.replaced == MOST_REPLACED) {
      return true;
    }
    MachineBlock b = decode(block, o, s);
    if (b == null) {
      return true;
    }
    // An instruction that touches devices on one processor may not do so on others.
    b.devices = s.isAlone() ? o.devices() : 0;
    int length = writer.write(b, decoded);
    if (length == 0) {
      return true;
    }
    if (!s.add(b, writer, length)) {
      return false;
    }
    made++;
    use(block, b, o);
    return true;
  }

  /** Decodes a block once more; null if it has been overwritten, or its memory is gone. */
  private @Nullable MachineBlock decode(Block block, Operations o, MachineStore s) {
    Op[] ops = o.ops;
    long hpa = block.page.hpa;
    long secondHpa = o.secondHpa();
    s.mark(hpa);
    Bank bank = memory.bankOfPage(hpa);
    Bank second = bank;
    if (secondHpa != -1) {
      s.mark(secondHpa);
      second = memory.bankOfPage(secondHpa);
    }
    if (bank == null || second == null) {
      return null;
    }
    int begin = block.offset & 0xffff;
    byte[] bytes = new byte[block.end - begin];
    int here = Math.min(bytes.length, CodePage.SIZE - begin);
    int base = (int) hpa & PhysicalMemory.BANK_MASK;
    int secondBase = (int) secondHpa & PhysicalMemory.BANK_MASK;
    // They are read once: others may store to them.
    bank.buffer().get(base + begin, bytes, 0, here);
    if (here < bytes.length) {
      second.buffer().get(secondBase, bytes, here, bytes.length - here);
    }
    ByteBuffer code = ByteBuffer.wrap(bytes);
    byte[] lengths = new byte[ops.length];
    int at = 0;
    for (int k = 0; k < ops.length; k++) {
      Instruction i = decoder.decode(code, at, bytes.length, 8, decoded[k]);
      if (!isOf(ops[k], i, begin + at, k == ops.length - 1)) {
        // Overwritten by another processor, which has not told of it yet.
        return null;
      }
      lengths[k] = i.length;
      at += i.length;
    }
    int target =
        ops[ops.length - 1] instanceof BranchOps.Direct d && (d.target & ~0xfff) == 0
            ? d.target
            : -1;
    return new MachineBlock(
        s.next(),
        block,
        bank.hostAddress(base),
        lengths,
        bytes,
        target,
        secondHpa,
        secondHpa == -1 ? 0 : second.hostAddress(secondBase));
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
}
