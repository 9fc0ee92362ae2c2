package org.kvm4j.cpu.engine;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.cet.BranchTracking;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.DeviceAccess;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.NestedFault;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.event.DebugUnit;
import org.kvm4j.cpu.event.EventDelivery;
import org.kvm4j.cpu.event.PendingEvents;
import org.kvm4j.ept.memory.Bank;
import org.kvm4j.ept.memory.CodeMark;
import org.kvm4j.ept.memory.CodeWriteListener;
import org.kvm4j.ept.memory.HostMemory;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.tlb.TlbEntry;
import org.kvm4j.machine.CodeSpace;
import org.kvm4j.machine.HostProcessor;

/**
 * Engine T0: runs decoded blocks of chained operations, delivers what they throw, and looks at
 * events between them.
 *
 * <p>Blocks are keyed by physical page, offset and mode, and are dropped exactly when a store, of
 * this processor or from outside, overlaps them. Where single-stepping, a breakpoint, the shadow of
 * STI or MOV SS or EFLAGS.RF matter, instructions run one at a time.
 */
public final class Interpreter {
  /** Instructions of one block at most. */
  static final int BLOCK_LIMIT = 64;

  /** A power of two. */
  private static final int JUMP_CONTEXTS = 8;

  /**
   * How often a page may have no code any more and then some again. A store by another processor
   * that is under way while the page is marked may not be told of: code that is overwritten again
   * and again is not to meet that each time.
   */
  static final int MOST_EMPTIED = 4;

  // Powers of two.
  private static final int FEW_RECENT_PAGES = 32;
  private static final int RECENT_PAGES = 1024;

  /** Pages of decoded code kept before all are dropped. */
  private static final int PAGE_LIMIT = 16384;

  // What decoded code takes of the heap, in bytes, roughly: a page, a block, and an instruction.
  private static final int PAGE_SIZE = 4000;
  private static final int BLOCK_SIZE = 200;
  private static final int INSTRUCTION_SIZE = 80;
  private static final int MACHINE_USE_SIZE = 60;
  private static final int MACHINE_INSTRUCTION_SIZE = 8;

  /** What the decoded code of all processors of a machine may take of the heap, in bytes. */
  private static final long HEAP_SHARE = Runtime.getRuntime().maxMemory() / 4;

  /** What one processor may keep in any case, in bytes. */
  private static final long LEAST_SHARE = 1 << 20;

  /** Stores by others that are kept one by one, until all code is dropped instead. */
  static final int FOREIGN_LIMIT = 1024;

  /** Why {@link #run} came back. */
  public enum Stop {
    /** {@link Cpu#left}: a VM exit, or shutdown in root operation. */
    LEFT,
    /** The instruction budget is used up. */
    BUDGET,
    /** {@link Cpu#activity} is not active, and nothing is pending that would change it. */
    INACTIVE,
    /** {@link Cpu#REQUEST_KICK} was pending. */
    KICKED,
    /** Devices have accesses to carry out or to answer: {@link Platform#endInstruction}. */
    DEVICE
  }

  private final Cpu cpu;
  private final Decoder decoder;
  private final PhysicalMemory memory;
  private final OpFactory factory;

  /** As {@link Platform#portsWantAlone} says. */
  private final boolean portsWantAlone;

  /** By page number: keys that differ in high bits alone would share buckets. */
  private final HashMap<Long, CodePage> pages = new HashMap<>();

  /** What the decoded code takes of the heap since all was dropped, in bytes. */
  private long kept;

  private long heapShare = HEAP_SHARE;

  /**
   * Stores by others to pages that hold decoded code: address and length. Whoever uses it locks it.
   */
  private final ArrayDeque<long[]> foreignWrites = new ArrayDeque<>();

  /** There were too many to keep them; locked as they are. */
  private boolean foreignOverflow;

  private final CodeWriteListener listener =
      new CodeWriteListener() {
        @Override
        public void codeWritten(long hpa, int length) {
          foreignWrite(hpa, length);
        }

        @Override
        public void codeMarked(long hpaPage) {
          cpu.mmu.tlb.dropWriteTags(hpaPage);
        }
      };

  private boolean ownWrite;
  private @Nullable Thread runner;

  // The jump cache: RIP to block, for the current fetch context. A slot is good if its block says
  // that it was put in at this RIP (Block.rip) since the context changed (Block.epoch).
  // The number of slots is a power of two, and grows as they are fought for.
  private @Nullable Block[] jumpBlock = JumpSlots.NONE;

  /** How many blocks have driven out others from the slots since there were more of them. */
  private int driven;

  /** What the current epochs are of. */
  private JumpContext jumpContext;

  /** The epoch of blocks in pages that are not global. */
  private long jumpEpoch;

  /** The epoch of blocks in global pages. */
  private long jumpGlobalEpoch;

  /** That context and those before it: a system call and its return go to and fro. */
  private final JumpContext[] jumpContexts = new JumpContext[JUMP_CONTEXTS];

  private int nextJumpContext = 1;
  private long lastEpoch;

  /** Pages of {@link #pages} by the low bits of their numbers; more slots once there are many. */
  private @Nullable CodePage[] recentPages = new CodePage[FEW_RECENT_PAGES];

  /** The branch that has just left for a target without a link. */
  private @Nullable Op leaving;

  private @Nullable CodePage leavingPage;
  private long leavingTo;

  /** The page of the block that runs; where {@link #leave} comes from. */
  private @Nullable CodePage current;

  /** Blocks decoded since the processor was made. */
  private long blocksDecoded;

  public Interpreter(Cpu cpu, Decoder decoder) {
    this.cpu = cpu;
    this.decoder = decoder;
    this.memory = cpu.mmu.memory;
    this.factory = new OpFactory(this);
    this.portsWantAlone = cpu.platform.portsWantAlone();
    cpu.mmu.codeWrites = this::ownCodeWritten;
    memory.addCodeWriteListener(listener);
    Arrays.setAll(jumpContexts, k -> new JumpContext());
    jumpContext = jumpContexts[0];
    Integer after = Integer.getInteger("org.kvm4j.cpu.translate");
    if (after != null) {
      translate(after, null);
    }
    after = Integer.getInteger("org.kvm4j.cpu.machine");
    if (after != null) {
      makeMachineCode(after);
    }
  }

  /** Takes this processor's ear from the memory; it must not run any more. */
  public void close() {
    memory.removeCodeWriteListener(listener);
    leaveAll();
  }

  /** For tests: what the decoded code of the machine may take of the heap. */
  void setHeapShare(long bytes) {
    heapShare = bytes;
  }

  /** For tests: what the decoded code takes of the heap, roughly, in bytes. */
  long kept() {
    return kept;
  }

  /** For tests: stores by others that have not been looked at. */
  int foreignWrites() {
    synchronized (foreignWrites) {
      return foreignWrites.size();
    }
  }

  /** Blocks decoded so far; grows again when code is overwritten or dropped. */
  public long blocksDecoded() {
    return blocksDecoded;
  }

  // ---- running ----

  /**
   * Runs until a VM exit, a request that the caller serves, or the end of the budget.
   *
   * @param budget instructions to retire at most, where the delivery of an event counts as one, and
   *     so do iterations of a repeated instruction, or pages of them as 64
   */
  public Stop run(long budget) {
    cpu.left = false;
    violator = null;
    cpu.begin(budget);
    runner = Thread.currentThread();
    try {
      return loop();
    } finally {
      runner = null;
    }
  }

  private Stop loop() {
    Cpu c = cpu;
    if (again) {
      // Answers are there, or the budget had been used up: before anything else happens.
      // Unless user space has gone elsewhere since.
      stepOne(c.rip == c.instructionRip ? waiting : null);
      if (c.left) {
        return Stop.LEFT;
      }
    }
    while (true) {
      if (device) {
        device = false;
        return Stop.DEVICE;
      }
      if (c.isAtBound()) {
        c.counters.update();
      }
      if (c.attention != 0
          || c.requests() != 0
          || c.pendingDebug != 0
          || c.activity != Cpu.ACTIVE
          || (c.guest != null && c.guest.windowPending())) {
        Stop stop = boundary();
        if (stop != null) {
          return stop;
        }
      }
      if (c.left) {
        return Stop.LEFT;
      }
      if (c.countdown <= 0) {
        if (c.isAtBound()) {
          continue;
        }
        return Stop.BUDGET;
      }
      c.repeating = false;
      if (mustStep()) {
        stepOne();
        if (c.left) {
          return Stop.LEFT;
        }
        continue;
      }
      chain();
      if (c.left) {
        return Stop.LEFT;
      }
    }
  }

  /**
   * Executes operation after operation until one does not know what comes next. A method of its
   * own, and a short one, so that the JVM compiles it early, and once.
   */
  private void chain() {
    Cpu c = cpu;
    Op op = null;
    try {
      op = lookup();
      if (op == null) {
        return;
      }
      if (op instanceof Block b && (b.count > c.countdown || TrackedOps.stops(c, b))) {
        // The budget ends inside the block: the rest goes one by one, so that it ends exactly. Or
        // the tracker waits for an instruction that is not there.
        stepOne();
        return;
      }
      do {
        Op following = op.exec(c);
        if (following == null) {
          return;
        }
        op = following;
      } while (true);
    } catch (CpuException e) {
      fault(culprit(op), e);
    } catch (NestedFault e) {
      boolean inRegion = at != null;
      Op culprit = culprit(op);
      nestedFault(culprit, e);
      if (culprit != null && !inRegion) {
        noteDevice(culprit, e);
      }
    } catch (DeviceAccess e) {
      rewind(culprit(op));
      stepOne();
    }
  }

  /** Null until an operation has touched what EPT does not map. */
  private @Nullable DeviceSites deviceSites;

  /** An operation of the page that runs has thrown: the next time it may ask before. */
  private void noteDevice(Op op, NestedFault e) {
    CodePage page = current;
    Translation t = e.translation;
    if (page != null && t.outcome == Translation.EPT_VIOLATION) {
      int offset = op.offset & 0xffff;
      DeviceSites sites = deviceSites;
      if (sites == null) {
        sites = new DeviceSites();
        deviceSites = sites;
      }
      if (!page.isDevice(offset) && sites.isOften(page.hpa | offset, t.gpa)) {
        page.setDevice(offset);
      }
    }
  }

  /** For tests: whether the instruction at a host-physical address is known to touch devices. */
  boolean isDevice(long hpa) {
    CodePage page = pages.get(hpa >>> 12);
    return page != null && page.isDevice((int) hpa & 0xfff);
  }

  private @Nullable Instruction violator;

  /** An operation would have thrown an EPT violation, of an access within one page. */
  void violated(Op op, Instruction i) {
    nestedFault(op, cpu.mmu.lastNestedFault());
    violator = cpu.left ? i : null;
  }

  /**
   * The instruction that the last {@link #run} ended with, if that was a {@linkplain
   * Instruction#isPlainMove plain move} to or from one page that EPT does not map, and known for
   * such accesses; else null. Nobody changes it.
   */
  public @Nullable Instruction violator() {
    return violator;
  }

  /** The instruction that threw: in a region that is another than what the dispatcher executed. */
  private @Nullable Op culprit(@Nullable Op op) {
    Op inRegion = at;
    at = null;
    return inRegion != null ? inRegion : op;
  }

  // ---- regions ----

  /** The instruction of a region that threw. */
  @Nullable Op at;

  /** The translator, where there is one. */
  private @Nullable Translator translator;

  /** How often a block is executed before it is translated. */
  int heat = -1;

  /** Executions of a block, within {@link CompilerShare#PACE}, until it is translated. */
  private static final int HOT = 1000;

  /** Executions of a hot block until it asks again. */
  private static final int ASK_AGAIN = 500;

  /** Has the hottest code that is decoded from now on translated to bytecode of the JVM's. */
  public void translate() {
    translate(HOT, CompilerShare.ALL);
  }

  /**
   * Has code that is decoded from now on translated to bytecode of the JVM's.
   *
   * @param after how many executions of a block; 0 for all code at once
   * @param share what regions are paid from; null for all regions at once
   */
  void translate(int after, @Nullable CompilerShare share) {
    codeSpace = null;
    translator = new Translator(this, decoder, memory, share);
    heat = after;
  }

  // ---- machine code ----

  /** Executions of a block until it is made machine code. */
  private static final int WARM = 4;

  /** Memory for machine code, if it is to be made. */
  private @Nullable CodeSpace codeSpace;

  /** Machine code of the host's, once there is any. */
  @SuppressWarnings("NullAway") // no block has machine code without it
  MachineEngine machine;

  /** What processors share of it. */
  @SuppressWarnings("NullAway") // there with the code space
  private SharedCode sharedCode;

  /** Machine code is to be left: all code is to go, once nothing of it runs. */
  private volatile boolean leavesMachineCode;

  /**
   * Has warm 64-bit code that is decoded from now on made machine code of the host's.
   *
   * @param shared with which processors
   * @return false if this host or JVM does not allow it
   */
  public boolean makeMachineCode(SharedCode shared) {
    return makeMachineCode(WARM, shared);
  }

  /** Loads what {@link #makeMachineCode} needs of the host, once for all processors. */
  public static void loadMachineCode() {
    if (HostMemory.IN_USE) {
      CodeSpace.get();
    }
  }

  /** As {@link #makeMachineCode(int, SharedCode)}, for a processor that shares it with none. */
  boolean makeMachineCode(int after) {
    return makeMachineCode(after, new SharedCode(memory));
  }

  /**
   * As {@link #makeMachineCode(SharedCode)}.
   *
   * @param after how many executions of a block; 0 for all code at once
   */
  boolean makeMachineCode(int after, SharedCode shared) {
    sharedCode = shared;
    codeSpace = HostMemory.IN_USE ? CodeSpace.get() : null;
    if (codeSpace == null || !HostProcessor.hasLahf()) {
      codeSpace = null;
      return false;
    }
    heat = after;
    return true;
  }

  private MachineEngine machine(CodeSpace space) {
    MachineEngine made = machine;
    if (made == null) {
      made = new MachineEngine(this, cpu, decoder, space, sharedCode);
      machine = made;
    }
    return made;
  }

  /** A block's machine code is used from now on. */
  void used(int instructions) {
    kept += MACHINE_USE_SIZE + instructions * MACHINE_INSTRUCTION_SIZE;
  }

  /**
   * By any thread: machine code is to be left, so that the room that it takes can be given back.
   */
  void leaveMachineCode() {
    leavesMachineCode = true;
    cpu.request(Cpu.REQUEST_CODE);
  }

  /** For tests: how many chunks of memory machine code may take. */
  void setMachineChunks(int most) {
    machine.setMostChunks(most);
  }

  /** Blocks made machine code so far. */
  public long machineBlocks() {
    return machine == null ? 0 : machine.made();
  }

  long jumpEpoch() {
    return jumpEpoch;
  }

  long jumpGlobalEpoch() {
    return jumpGlobalEpoch;
  }

  /** Whether the jump cache would have a block at a RIP now. */
  boolean isCachedAt(Block b, long rip) {
    return isCached(b, rip);
  }

  /** The page of the block that runs. */
  void setCurrent(CodePage page) {
    current = page;
  }

  /** Regions of code translated so far. */
  public long regions() {
    return translator == null ? 0 : translator.regions();
  }

  /** A block of the page that {@link Cpu#CODE_BASE} is of has been executed often. */
  void hot(Block b) {
    if (codeSpace != null) {
      machine(codeSpace).translate(b);
      return;
    }
    if (translator == null) {
      return;
    }
    if (!translator.isFrequent(b)) {
      // Once more, though not as a block that has never been executed.
      b.heat = heat - 1;
    } else if (translator.isTimeForOne()) {
      cpu.mmu.keepTables();
      translator.translate(b, cpu.r[Cpu.CODE_BASE]);
    } else {
      b.heat = ASK_AGAIN;
    }
  }

  /** Whether instructions have to run one at a time. */
  private boolean mustStep() {
    return DebugUnit.slow(cpu) || (cpu.guest != null && cpu.guest.steps());
  }

  /** Whether an instruction has to run by itself wherever it stands. */
  boolean runsAlone(Instruction i) {
    return portsWantAlone && InLine.accessesPort(i);
  }

  /** Executes one instruction with everything that debugging and shadows ask for. */
  private void stepOne() {
    stepOne(null);
  }

  /**
   * As {@link #stepOne()}, for an instruction that has been decoded.
   *
   * @param known the one at RIP, by {@link #single(Instruction)}; null to decode it
   */
  void stepOne(@Nullable GenericOp known) {
    Cpu c = cpu;
    int flags = c.flagsRest;
    int shadow = c.shadow;
    GuestMode g = c.guest;
    GenericOp op = null;
    boolean done = true;
    again = false;
    waiting = null;
    c.alone = true;
    c.platform.beginInstruction();
    try {
      if (DebugUnit.instructionBreakpoint(c)) {
        c.charge(1);
        return;
      }
      if (g != null && g.steps()) {
        // A repeated instruction is over with its first iteration.
        c.attention = 1;
      }
      long rip = c.rip & c.ripMask;
      c.instructionRip = rip;
      leaving = null;
      op = known != null ? known : single(rip);
      c.r[Cpu.CODE_BASE] = rip;
      c.countdown--;
      BranchTracking.check(c, op.instruction);
      Op after = op.exec(c);
      if (c.waiting) {
        c.waiting = false;
        done = false;
        again = true;
        waiting = op;
        rewind(op);
        return;
      }
      if (c.left || c.guest != g) {
        // After VM entry everything is the guest's.
        return;
      }
      if (after != null) {
        c.rip = op.ripAfter(c);
      }
      DebugUnit.retired(c, op.instruction, flags, shadow);
      if (g != null) {
        g.monitorTrap();
      }
    } catch (CpuException e) {
      fault(op, e);
    } catch (NestedFault e) {
      nestedFault(op, e);
    } catch (DeviceAccess e) {
      done = false;
      again = true;
      waiting = op;
      rewind(op);
    } finally {
      c.alone = false;
      device |= c.platform.endInstruction(done);
    }
  }

  /** The instruction is to be carried out by itself, and again once devices have answered. */
  private boolean again;

  /** That instruction; null if devices have to answer its fetch. */
  private @Nullable GenericOp waiting;

  /** Devices have something to do before the next instruction. */
  private boolean device;

  /** Has an instruction be taken up again that could not access a device. */
  private void rewind(@Nullable Op op) {
    Cpu c = cpu;
    if (op != null) {
      c.instructionRip = op.rip(c);
      c.rip = c.instructionRip;
      if (!(op instanceof Block)) {
        c.countdown += op.remaining + 1;
      }
    }
    leaving = null;
  }

  /** Forgets that an instruction waits for devices: what is at RIP now is another. */
  public void forgetWaiting() {
    again = false;
    device = false;
  }

  /**
   * Looks at everything that may come between instructions.
   *
   * @return why to stop, or null to go on
   */
  private @Nullable Stop boundary() {
    Cpu c = cpu;
    c.attention = 0;
    int requests = c.requests();
    if (requests != 0 && (requests & Cpu.REQUEST_CODE) != 0) {
      c.clearRequest(Cpu.REQUEST_CODE);
      if (leavesMachineCode) {
        leaveAll();
      }
      drainForeignWrites();
    }
    // It is for the look that follows.
    c.clearRequest(Cpu.REQUEST_TIMER);
    c.delivering = true;
    try {
      PendingEvents.serve(c);
    } catch (CpuException e) {
      fault(null, e);
    } catch (NestedFault e) {
      nestedFault(null, e);
    } finally {
      c.delivering = false;
    }
    if (c.left) {
      return Stop.LEFT;
    }
    if ((requests & Cpu.REQUEST_KICK) != 0) {
      c.clearRequest(Cpu.REQUEST_KICK);
      return Stop.KICKED;
    }
    if (c.activity != Cpu.ACTIVE) {
      return Stop.INACTIVE;
    }
    // What could not be served now is looked at again where that may change: at every dispatch.
    return null;
  }

  private void fault(@Nullable Op op, CpuException e) {
    Cpu c = cpu;
    if (op != null) {
      c.instructionRip = op.rip(c);
      c.rip = c.instructionRip;
      if (!(op instanceof Block)) {
        c.countdown += op.remaining + 1;
      }
      if (e.nonCanonical && op.usesStackSegment()) {
        e.vector = Vector.SS;
      }
    } else {
      c.instructionRip = c.rip;
    }
    leaving = null;
    c.charge(1);
    boolean before = c.delivering;
    c.delivering = true;
    try {
      EventDelivery.exception(c, e);
    } catch (NestedFault n) {
      nestedFault(null, n);
    } finally {
      c.delivering = before;
    }
  }

  private void nestedFault(@Nullable Op op, NestedFault e) {
    Cpu c = cpu;
    c.faultLength = op == null || op instanceof Block ? 0 : op.length;
    if (op != null) {
      c.instructionRip = op.rip(c);
      c.rip = c.instructionRip;
      if (!(op instanceof Block)) {
        c.countdown += op.remaining + 1;
      }
    } else {
      c.instructionRip = c.rip;
    }
    leaving = null;
    GuestMode g = c.guest;
    if (g == null) {
      throw new IllegalStateException("EPT fault outside of non-root operation: " + e);
    }
    g.nestedFault(e);
  }

  // ---- finding code ----

  /** The block at RIP, decoded if need be; null if it was executed or faulted already. */
  private @Nullable Op lookup() {
    Cpu c = cpu;
    long rip = c.rip & c.ripMask;
    freshenJumpCache();
    Block[] cache = jumpBlock;
    Block b = cache[JumpSlots.of(rip, cache)];
    if (b == null || !isCached(b, rip)) {
      b = find(rip);
      if (b == null) {
        return null;
      }
      keep(b);
    }
    c.r[Cpu.CODE_BASE] = rip - (b.offset & 0xffff);
    Op from = leaving;
    if (from != null) {
      leaving = null;
      if (b.page == leavingPage && rip == leavingTo) {
        from.link(b);
        b.addIncoming(from);
      }
    }
    current = b.page;
    return b;
  }

  /** Puts a block, whose RIP and epoch are set, into the jump cache. */
  private void keep(Block b) {
    Block[] cache = jumpBlock;
    Block other = cache[JumpSlots.of(b.rip, cache)];
    if (other != null && other != b && other.epoch != 0) {
      driven++;
    }
    if (JumpSlots.tooFew(cache, driven)) {
      driven = 0;
      cache = JumpSlots.more(cache);
      jumpBlock = cache;
    }
    cache[JumpSlots.of(b.rip, cache)] = b;
  }

  /** Whether a block that the jump cache took is the one at a RIP still. */
  private boolean isCached(Block b, long rip) {
    return b.rip == rip && (b.epoch == jumpEpoch || b.epoch == jumpGlobalEpoch);
  }

  /** What the jump cache is of. */
  JumpContext context() {
    return jumpContext;
  }

  /** Follows a change of what it depends on which block is at a RIP. */
  void freshenJumpCache() {
    Cpu c = cpu;
    JumpContext context = jumpContext;
    if (context.isOf(c)) {
      return;
    }
    leaving = null;
    context = knownContext();
    if (context == null) {
      context = jumpContexts[nextJumpContext];
      nextJumpContext = nextJumpContext + 1 & jumpContexts.length - 1;
      long globalEpoch = knownGlobalEpoch();
      context.set(c, ++lastEpoch, globalEpoch != 0 ? globalEpoch : ++lastEpoch);
    }
    jumpContext = context;
    jumpEpoch = context.epoch;
    jumpGlobalEpoch = context.globalEpoch;
  }

  private @Nullable JumpContext knownContext() {
    for (JumpContext known : jumpContexts) {
      if (known.isOf(cpu)) {
        return known;
      }
    }
    return null;
  }

  /** The epoch of global pages' blocks in what is a new context for others; 0 for a new one. */
  private long knownGlobalEpoch() {
    for (JumpContext known : jumpContexts) {
      if (known.hasGlobalsOf(cpu)) {
        return known.globalEpoch;
      }
    }
    return 0;
  }

  /**
   * For an indirect branch: the block at a target, if it is known in the current context.
   *
   * @return null if the dispatcher has to look; nothing has changed then
   */
  @Nullable Block jump(long rip) {
    Block[] cache = jumpBlock;
    Block b = cache[JumpSlots.of(rip, cache)];
    if (b != null && isCached(b, rip)) {
      cpu.r[Cpu.CODE_BASE] = rip - (b.offset & 0xffff);
      current = b.page;
      return b;
    }
    return null;
  }

  /**
   * The block at RIP, after what may have changed everything, if nothing is to be looked at before
   * it and it is known.
   *
   * @return null if the dispatcher has to look
   */
  @Nullable Block resume() {
    Cpu c = cpu;
    if (!InLine.isQuiet(c) || mustStep()) {
      return null;
    }
    freshenJumpCache();
    return jump(c.rip & c.ripMask);
  }

  /** As {@link #jump}, for a block that it gave before: whether it is the one at a target still. */
  boolean isCurrent(Block b, long rip) {
    if (!isCached(b, rip)) {
      return false;
    }
    cpu.r[Cpu.CODE_BASE] = rip - (b.offset & 0xffff);
    current = b.page;
    return true;
  }

  /** A direct branch without a link yet: asks the dispatcher to run the target, and to link it. */
  @Nullable Op leave(Op from, long target) {
    cpu.rip = target;
    leaving = from;
    leavingPage = current;
    leavingTo = target;
    return null;
  }

  /** The block at RIP, decoded if need be; null if an instruction was stepped instead. */
  private @Nullable Block find(long rip) {
    Block b = findWhole(rip);
    if (b == null) {
      stepOne();
    }
    return b;
  }

  /** The block at RIP, decoded if need be; null if instructions have to run one at a time there. */
  private @Nullable Block findWhole(long rip) {
    Cpu c = cpu;
    long linear = fetchLinear(rip, 1);
    TlbEntry e = c.mmu.fetchEntry(linear);
    boolean global = e != null && e.global;
    int inPage = (int) linear & 0xfff;
    if (e == null || jumpContext.csLimit - rip < 4096 - inPage + 15 && c.codeSize != 8) {
      // Device memory, or the segment's limit is near: one instruction at a time.
      return null;
    }
    CodePage page = page(e.hpa);
    Block b = page.find(inPage, c.modeKey);
    if (b == null) {
      if (isFull()) {
        forgetAll();
        page = page(e.hpa);
      }
      b = decode(page, e, inPage);
      if (b == null) {
        return null;
      }
      if (codeSpace != null && sharedCode.isThere() && machine(codeSpace).useKnown(b)) {
        b.heat = 0;
      } else if (b.heat == 0) {
        c.r[Cpu.CODE_BASE] = rip - inPage;
        hot(b);
      }
    }
    b.rip = rip;
    b.epoch = global ? jumpGlobalEpoch : jumpEpoch;
    return b;
  }

  /** The linear address of a fetch, checked against the code segment. */
  private long fetchLinear(long rip, int length) {
    return InstructionFetch.linear(cpu, rip, length);
  }

  private CodePage page(long hpa) {
    int recent = (int) (hpa >>> 12) & recentPages.length - 1;
    CodePage p = recentPages[recent];
    if (p != null && p.hpa == hpa) {
      return p;
    }
    p = pages.get(hpa >>> 12);
    if (p == null) {
      if (pages.size() >= PAGE_LIMIT) {
        forgetAll();
      }
      kept += PAGE_SIZE;
      p = new CodePage(this, hpa);
      pages.put(hpa >>> 12, p);
      if (pages.size() > FEW_RECENT_PAGES && recentPages.length < RECENT_PAGES) {
        recentPages = new CodePage[RECENT_PAGES];
        recent = (int) (hpa >>> 12) & RECENT_PAGES - 1;
      }
    }
    recentPages[recent] = p;
    return p;
  }

  /**
   * Whether all decoded code is to be dropped before more is: a guest that makes code without end
   * must not use up the heap.
   */
  private boolean isFull() {
    return isFull(kept);
  }

  /** Whether that is so of what decoded or machine code takes of the heap, in bytes. */
  boolean isFull(long bytes) {
    return bytes > LEAST_SHARE && bytes > heapShare / Math.max(1, memory.codeWriteListenerCount());
  }

  /** Forgets all decoded code, and has other processors forget what they share with this one. */
  public void dropAll() {
    if (machine != null) {
      machine.retire();
    }
    leaveAll();
  }

  /** Forgets what this processor has decoded, and the machine code that it shares. */
  private void leaveAll() {
    leavesMachineCode = false;
    forgetAll();
    if (machine != null) {
      machine.leave();
    }
  }

  /** Forgets what this processor has decoded. */
  private void forgetAll() {
    kept = 0;
    for (CodePage p : pages.values()) {
      p.dropRegions();
      unmark(p);
    }
    pages.clear();
    Arrays.fill(recentPages, null);
    leaving = null;
    jumpBlock = JumpSlots.NONE;
    driven = 0;
    if (machine != null) {
      machine.forget();
    }
  }

  /** Before code is read from a page: from then on this hears of stores to it. */
  private void mark(CodePage page) {
    CodeMark mark = page.mark;
    if (mark == null || mark.isForgotten()) {
      page.mark = memory.markCode(page.hpa);
      if (codeSpace != null && sharedCode.isThere()) {
        machine(codeSpace).marked(page.hpa);
      }
    }
  }

  private void unmark(CodePage page) {
    CodeMark mark = page.mark;
    if (mark != null) {
      page.mark = null;
      mark.clear();
    }
  }

  // ---- decoding ----

  private int decodeMode() {
    return cpu.codeSize | (cpu.protectedMode ? 0 : Decoder.REAL_MODE);
  }

  /**
   * What a block is decoded to, again and again: so its operations come one after the other in the
   * heap, without anything between them, which is what flat code lives by.
   */
  private final @Nullable Instruction[] decoded = new Instruction[BLOCK_LIMIT];

  /** Decodes a block; null if its first instruction is not in memory. */
  private @Nullable Block decode(CodePage page, TlbEntry e, int start) {
    Cpu c = cpu;
    Block b = decode(page, e.bank, e.offset, start);
    return b == null && start < CodePage.SIZE ? decodeCrossing(e, start) : b;
  }

  /**
   * The block at an offset of a page in the current mode, decoded if need be.
   *
   * @return null if there is none that lies in that page alone, or no room for it
   */
  @Nullable Block block(long hpa, int offset, int modeKey) {
    if (cpu.modeKey != modeKey || isFull() || pages.size() >= PAGE_LIMIT) {
      return null;
    }
    CodePage page = page(hpa);
    Block b = page.find(offset, modeKey);
    if (b != null) {
      return b;
    }
    Bank bank = memory.bankOfPage(hpa);
    int base = (int) hpa & PhysicalMemory.BANK_MASK;
    return bank == null ? null : decode(page, bank.buffer(), base, offset);
  }

  /** Decodes a block; null if not one instruction ends in the page. */
  private @Nullable Block decode(CodePage page, ByteBuffer bank, int base, int start) {
    Cpu c = cpu;
    mark(page);
    int n = 0;
    int at = start;
    while (n < BLOCK_LIMIT && at < 4096) {
      Instruction i = decoded[n];
      if (i == null) {
        i = new Instruction();
        decoded[n] = i;
      }
      i = decoder.decode(bank, base + at, base + 4096, decodeMode(), i);
      if (i == Instruction.PAST_LIMIT) {
        break;
      }
      if (n > 0 && runsAlone(i)) {
        // In a block of its own it is found again when it is stepped.
        break;
      }
      n++;
      at += i.length;
      if (InLine.endsBlock(i)) {
        break;
      }
    }
    if (n == 0) {
      return null;
    }
    blocksDecoded++;
    kept += BLOCK_SIZE + n * INSTRUCTION_SIZE;
    Block b = new Block(page, start, c.modeKey);
    b.count = n;
    b.remaining = (short) n;
    Op last = b;
    int offset = start;
    for (int k = 0; k < n; k++) {
      Instruction i = Objects.requireNonNull(decoded[k]);
      boolean device = page.isDevice(offset) && i.isPlainMove();
      Op op = device ? new DeviceMove(page, i) : factory.make(i, offset, c);
      op.offset = (short) offset;
      op.length = (byte) i.length;
      op.remaining = (short) (n - 1 - k);
      last.next = op;
      last = op;
      offset += i.length;
    }
    // What a branch that is not taken goes on to, too; what transfers control by itself never gets
    // there.
    last.next = new EndOp(this, offset);
    b.end = offset;
    page.add(b);
    return b;
  }

  /**
   * Decodes the one instruction at RIP that begins at the end of a page and goes on in the next.
   *
   * @return null if that is no memory
   */
  private @Nullable Block decodeCrossing(TlbEntry e, int start) {
    Cpu c = cpu;
    int here = CodePage.SIZE - start;
    TlbEntry e2 = c.mmu.fetchEntry(fetchLinear(c.rip + here & c.ripMask, 1));
    if (e2 == null) {
      return null;
    }
    // The first page is asked for again, as all may have been dropped.
    CodePage second = page(e2.hpa);
    CodePage first = page(e.hpa);
    mark(second);
    mark(first);
    byte[] bytes = new byte[Decoder.MAXIMUM_LENGTH];
    int there = bytes.length - here;
    e.bank.get(e.offset + start, bytes, 0, here);
    e2.bank.get(e2.offset, bytes, here, there);
    Instruction i = decoder.decode(bytes, 0, bytes.length, decodeMode());
    blocksDecoded++;
    kept += BLOCK_SIZE + INSTRUCTION_SIZE;
    Block b = new Block(first, start, c.modeKey);
    b.count = 1;
    b.remaining = 1;
    b.end = start + i.length;
    Op op = factory.make(i, start, c);
    op.offset = (short) start;
    op.length = (byte) i.length;
    op.next = new EndOp(this, b.end);
    b.next = new SecondPage(this, b, second);
    b.next.next = op;
    first.add(b);
    return b;
  }

  /** Whether a fetch at RIP comes from a page; it may fault. */
  boolean isFetchedFrom(CodePage page, long rip) {
    TlbEntry e = cpu.mmu.fetchEntry(fetchLinear(rip, 1));
    return e != null && e.hpa == page.hpa;
  }

  /**
   * The instruction at RIP as one operation that is not kept: for stepping, and where there is no
   * memory.
   */
  private GenericOp single(long rip) {
    Cpu c = cpu;
    freshenJumpCache();
    Block[] cache = jumpBlock;
    Block b = cache[JumpSlots.of(rip, cache)];
    if (b == null || !isCached(b, rip)) {
      // What has faulted will do so the next time, too.
      b = (c.flagsRest & Flags.RF) != 0 ? findWhole(rip) : null;
      if (b != null) {
        keep(b);
      }
    }
    Block whole = b != null && b.end <= CodePage.SIZE ? b : null;
    GenericOp op = whole == null ? null : whole.first;
    if (op == null) {
      Instruction i = decoder.decode(new InstructionFetch(c, rip), decodeMode());
      op = single(i);
      if (whole != null) {
        whole.first = op;
      }
    }
    return op;
  }

  /** An instruction as an operation that stands at RIP by itself. */
  static GenericOp single(Instruction i) {
    GenericOp op = new GenericOp(i);
    op.offset = 0;
    op.length = (byte) i.length;
    op.remaining = 0;
    return op;
  }

  // ---- self-modifying code ----

  private void ownCodeWritten(long hpa, int length) {
    codeWritten(hpa, length);
    // Other processors hear of it as of a store from outside.
    ownWrite = true;
    try {
      memory.notifyCodeWrite(hpa, length);
    } finally {
      ownWrite = false;
    }
  }

  private void foreignWrite(long hpa, int length) {
    if (ownWrite && Thread.currentThread() == runner) {
      return;
    }
    synchronized (foreignWrites) {
      // A processor that does not run looks at none of them, however many come.
      long[] last = foreignWrites.peekLast();
      if (last != null && (last[0] ^ hpa) >>> 12 == 0) {
        long end = Math.max(last[0] + last[1], hpa + length);
        last[0] = Math.min(last[0], hpa);
        last[1] = end - last[0];
      } else if (foreignWrites.size() >= FOREIGN_LIMIT) {
        foreignWrites.clear();
        foreignOverflow = true;
      } else if (!foreignOverflow) {
        foreignWrites.add(new long[] {hpa, length});
      }
    }
    cpu.request(Cpu.REQUEST_CODE);
  }

  private void drainForeignWrites() {
    long[][] writes;
    synchronized (foreignWrites) {
      if (foreignOverflow) {
        foreignOverflow = false;
        forgetAll();
      }
      writes = foreignWrites.toArray(new long[0][]);
      foreignWrites.clear();
    }
    for (long[] w : writes) {
      long hpa = w[0];
      long end = hpa + w[1];
      while (hpa < end) {
        int n = (int) Math.min(end - hpa, 4096 - (hpa & 0xfff));
        codeWritten(hpa, n);
        hpa += n;
      }
    }
  }

  private void codeWritten(long hpa, int length) {
    CodePage p = pages.get(hpa >>> 12);
    if (p == null) {
      return;
    }
    int offset = (int) hpa & 0xfff;
    if (p.covers(offset, length)) {
      p.invalidate(offset, length);
    }
    if (p.isEmpty() && p.emptied < MOST_EMPTIED) {
      p.emptied++;
      unmark(p);
    }
  }
}
