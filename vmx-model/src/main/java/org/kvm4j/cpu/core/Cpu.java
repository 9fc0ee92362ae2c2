package org.kvm4j.cpu.core;

import java.util.concurrent.atomic.AtomicInteger;
import org.kvm4j.cpu.fpu.Float80;
import org.kvm4j.cpu.fpu.SimdFloat;
import org.kvm4j.cpu.fpu.VectorUnit;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.ept.memory.HostMemory;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.PagingMode;

/**
 * The architectural state of one logical processor, as instruction semantics, event delivery and
 * the execution engines see it.
 *
 * <p>Fields are public because every instruction touches them: this class is the register file, not
 * an abstraction over it. What must stay consistent with them (mode, flatness of segments, paging
 * context) is derived by {@link #updateMode()}, which whoever changes CR0, CR4, EFER, a segment
 * register, CPL or EFLAGS.VM/AC must call.
 *
 * <p><b>Flags.</b> OF, SF, ZF, AF, PF and CF are lazy: {@link #flagResult} holds the last result,
 * sign-extended to 64 bits, and {@link #flagAux} the carries out of its bits, so that an
 * instruction stores two words and only who reads a flag computes it:
 *
 * <ul>
 *   <li>ZF: {@code flagResult == 0}
 *   <li>SF: sign of {@code flagResult}, flipped by bit 0 of {@code flagAux} (sign delta)
 *   <li>PF: even parity of {@code (flagResult ^ flagAux >>> 8) & 0xff} (bits 8..15: parity delta)
 *   <li>AF: bit 3 of {@code flagAux}
 *   <li>CF: bit 63 of {@code flagAux}; OF: bit 63 xor bit 62
 * </ul>
 *
 * Bits 1, 2, 4..7 and 16..61 of {@code flagAux} mean nothing.
 */
public final class Cpu {
  public static final int RAX = 0;
  public static final int RCX = 1;
  public static final int RDX = 2;
  public static final int RBX = 3;
  public static final int RSP = 4;
  public static final int RBP = 5;
  public static final int RSI = 6;
  public static final int RDI = 7;

  /** Index of a register that always reads as zero: a memory operand without base or index. */
  public static final int ZERO = 16;

  /**
   * Index of the code base: the value that gives RIP when the offset of an instruction in its page
   * is added. Owned by the execution engine.
   */
  public static final int CODE_BASE = 17;

  /**
   * Index of a copy of the FS base, kept by {@link #updateMode}: an index register of fast
   * operands.
   */
  public static final int FS_BASE = 18;

  /** Index of a copy of the GS base. */
  public static final int GS_BASE = 19;

  public static final int ES = 0;
  public static final int CS = 1;
  public static final int SS = 2;
  public static final int DS = 3;
  public static final int FS = 4;
  public static final int GS = 5;
  public static final int LDTR = 6;
  public static final int TR = 7;

  /** RAX to R15, then {@link #ZERO}, {@link #CODE_BASE}, {@link #FS_BASE} and {@link #GS_BASE}. */
  public final long[] r = new long[20];

  /** While an instruction executes: the address after it. Between instructions: the next one. */
  public long rip;

  /** The address of the instruction that executes. */
  public long instructionRip;

  public long flagResult;
  public long flagAux;

  /** All of RFLAGS but the six lazy ones; bit 1 is set. */
  public int flagsRest = 2;

  /** ES, CS, SS, DS, FS, GS, LDTR, TR. */
  public final Segment[] seg = new Segment[8];

  public long gdtBase;
  public int gdtLimit;
  public long idtBase;
  public int idtLimit;

  public long cr0;
  public long cr2;
  public long cr3;
  public long cr4;

  /** The shadow-stack pointer. */
  public long ssp;

  /** Task priority, bits 3:0 (MOV CR8). The local APIC, where there is one, follows it. */
  public int cr8;

  public long xcr0 = 1;
  public long xss;
  public long efer;
  public int pkru;
  public int pkrs;

  public final long[] dr = new long[4];
  public long dr6 = 0xffff0ff0L;
  public long dr7 = 0x400L;

  /**
   * x87, MMX, SSE and AVX state in the layout of the XSAVE area (512 legacy bytes, header, YMM...).
   */
  public final byte[] xsaveArea = new byte[4096];

  /**
   * Selectors of the last x87 instruction and of its operand. They stay 0 on a processor that
   * deprecates them (CPUID.(EAX=7,ECX=0):EBX[13]); the area above has no place for them.
   */
  public int fpuCs;

  public int fpuDs;

  /** The arithmetic unit of the x87 FPU. It keeps nothing from one instruction to the next. */
  public final Float80 fpu = new Float80();

  /** The arithmetic unit of SSE and AVX. It keeps nothing from one instruction to the next. */
  public final SimdFloat simd = new SimdFloat();

  /** Where vector instructions put their operands. It keeps nothing between instructions. */
  public final VectorUnit vector = new VectorUnit();

  /** Model-specific registers that instructions and events use directly. */
  public final Msrs msr = new Msrs();

  /** The performance counters. */
  public final PerformanceCounters counters;

  /** Current privilege level. In real mode 0, in virtual-8086 mode 3. */
  public int cpl;

  // ---- derived by updateMode ----

  /** Code size of CS in bytes: 2, 4 or 8. */
  public int codeSize = 2;

  /** Mask of the stack pointer: 0xffff, 0xffffffff or all ones. */
  public long stackMask = 0xffff;

  /** Mask of the instruction pointer in the current code size: 0xffffffff below 64-bit mode. */
  public long ripMask = 0xffffffffL;

  /** EFER.LMA: IA-32e mode. */
  public boolean longMode;

  /** CR0.PE and not EFLAGS.VM. */
  public boolean protectedMode;

  /** EFLAGS.VM with CR0.PE. */
  public boolean v86;

  /** CET: calls and returns use a shadow stack at the current privilege level. */
  public boolean shadowStack;

  /** CET: indirect branches are tracked at the current privilege level. */
  public boolean branchTracking;

  /**
   * DS, ES and SS (and CS for reads) need no check and have base 0: true in 64-bit mode, and with
   * flat 4 GiB segments in 32-bit protected mode.
   */
  public boolean flat;

  /**
   * What decoded code depends on besides its bytes: code size (bits 0..3), {@link #flat} (bit 4),
   * 32-bit or 64-bit stack (bits 5..6), real-address or virtual-8086 mode (bit 7), {@link
   * #shadowStack} (bit 8), {@link #branchTracking} (bit 9).
   */
  public int modeKey;

  /** Of {@link #modeKey}: {@link #shadowStack}. */
  public static final int KEY_SHADOW_STACK = 1 << 8;

  /** Of {@link #modeKey}: {@link #branchTracking}. */
  public static final int KEY_BRANCH_TRACKING = 1 << 9;

  /** Upper bits of a pointer that are copies of the next below, but for bit 63: LAM57, LAM48. */
  private static final int LAM57 = 7;

  private static final int LAM48 = 16;

  /** Whether pointers to data may hold metadata now. */
  private boolean masking;

  private int userMetadata;
  private int supervisorMetadata;

  // ---- control of execution ----

  /** Events held off for one instruction: 0, {@link #SHADOW_STI} or {@link #SHADOW_MOV_SS}. */
  public int shadow;

  public static final int SHADOW_STI = 1;
  public static final int SHADOW_MOV_SS = 2;

  /** NMIs are blocked until the next IRET. */
  public boolean nmiBlocked;

  /**
   * An IRET has unblocked NMIs and is not over: if it faults, a VM exit reports so. SDM Vol. 3, "VM
   * Exits Due to IRET" ("NMI unblocking due to IRET").
   */
  public boolean iretUnblockedNmi;

  /**
   * What is at {@link #rip} is a string instruction that was stopped after an iteration other than
   * its last: an event that comes now pushes RF as 1. SDM Vol. 3, "Instruction-Breakpoint Exception
   * Condition". True from the iteration to whatever is executed next.
   */
  public boolean repeating;

  /** Activity state, with the SDM's VMCS encoding: 0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI. */
  public int activity;

  public static final int ACTIVE = 0;
  public static final int HALTED = 1;
  public static final int SHUTDOWN = 2;
  public static final int WAIT_FOR_SIPI = 3;

  /**
   * Set when execution has to leave the engine: a VM exit was taken, or in root operation the
   * processor shut down. The engine returns before the next instruction.
   */
  public boolean left;

  /**
   * Not 0 when something wants to be looked at before the next block. Any thread may set bits
   * through {@link #request(int)}.
   */
  public volatile int attention;

  /** Where machine code looks for {@link #attention}, in the host's memory; 0 if there is none. */
  private volatile long attentionMirror;

  /** Keeps that memory there. */
  private @org.jspecify.annotations.Nullable Object mirrorKeeper;

  /**
   * Has requests be told of in the host's memory, too.
   *
   * @param address of 4 bytes that become 1
   * @param keeper what keeps that memory there
   */
  public void mirrorAttention(long address, Object keeper) {
    mirrorKeeper = keeper;
    attentionMirror = address;
  }

  /** Bits of {@link #attention} and of {@link #requests}. */
  public static final int REQUEST_INTERRUPT = 1;

  public static final int REQUEST_NMI = 2;
  public static final int REQUEST_KICK = 4;
  public static final int REQUEST_CODE = 8;
  public static final int REQUEST_INIT = 16;
  public static final int REQUEST_SIPI = 32;
  public static final int REQUEST_SMI = 64;
  public static final int REQUEST_WINDOW = 128;
  public static final int REQUEST_TIMER = 256;
  public static final int REQUEST_PENDING_DEBUG = 512;

  /** Requests that stay until they are served. */
  private final AtomicInteger requests = new AtomicInteger();

  /** The vector of the start-up IPI that is pending, or -1. */
  private final AtomicInteger startup = new AtomicInteger(-1);

  /**
   * Units of the budget left in this slice; below 0 the engine leaves at the next block. An
   * instruction takes one, and so does what else may go on without end ({@link #charge}). Where no
   * engine runs, as good as unlimited.
   */
  public long countdown = Long.MAX_VALUE / 2;

  /** Units used up before this slice, plus the slice's length: used = this - countdown. */
  public long elapsedBase = countdown;

  /** Units of the slice that are kept back from {@link #countdown}. */
  private long held;

  /** Where {@link #countdown} ends, counters are to be looked at, whatever is left of the slice. */
  private boolean bounded;

  /** Units that did not go to instructions. */
  private long charged;

  /**
   * Pending debug exceptions, as in the VMCS field: bits 0..3, 12 (enabled breakpoint), 14 (BS).
   */
  public long pendingDebug;

  /** Length of the instruction that met a {@link NestedFault}; 0 if it is not known. */
  public int faultLength;

  /** An instruction runs by itself: what has to follow it at once may happen. */
  public boolean alone;

  /** The instruction that runs by itself waits for a device: nothing of it has happened. */
  public boolean waiting;

  /**
   * An event is being delivered that no instruction raises, which cannot be begun again: devices
   * that answer later are not asked.
   */
  public boolean delivering;

  /** The event that is being delivered and those met in its delivery. */
  public final EventTrail trail = new EventTrail();

  /** What the last triple fault came from; null if there was none. */
  public @org.jspecify.annotations.Nullable ShutdownReport lastShutdown;

  /** Linear memory. */
  public final Mmu mmu;

  /** What is outside of the processor. */
  public final Platform platform;

  /** The controls of VMX non-root operation; null in root operation and without VMX. */
  public @org.jspecify.annotations.Nullable GuestMode guest;

  /** VMX or SVM instructions' state; null on a processor without. */
  public @org.jspecify.annotations.Nullable VirtualizationUnit virtualization;

  /** The vendor, CPUID and capabilities of this processor. */
  public final CpuModel model;

  private final CpuException exception = new CpuException();

  public Cpu(CpuModel model, PhysicalMemory memory, Platform platform) {
    this.model = model;
    this.platform = platform;
    for (int i = 0; i < seg.length; i++) {
      seg[i] = new Segment();
    }
    this.counters = new PerformanceCounters(this);
    this.mmu = new Mmu(this, memory);
    reset();
  }

  // ---- reset ----

  /** Power-up state. SDM Vol. 3, "Processor State After Reset" (table 10-1). */
  public void reset() {
    resetCommon(0x60000010L);
    cr8 = 0;
    xcr0 = 1;
    xss = 0;
    pkru = 0;
    pkrs = 0;
    resetFloatingPoint();
    msr.reset();
    counters.reset();
    ssp = 0;
    activity = ACTIVE;
    updateMode();
    mmu.flushAll();
  }

  /**
   * INIT outside of VMX operation: caching, the states that XSAVE manages, the time-stamp counter
   * and MSRs stay, but for those of CET. The bootstrap processor goes to the reset vector, others
   * wait for a start-up IPI. SDM Vol. 3, table 10-1 and "MP Initialization".
   */
  public void init() {
    resetCommon(cr0 & (ControlBits.CR0_CD | ControlBits.CR0_NW) | ControlBits.CR0_ET);
    msr.resetCet();
    ssp = 0;
    activity = (msr.apicBase & Msrs.APIC_BASE_BSP) != 0 ? ACTIVE : WAIT_FOR_SIPI;
    updateMode();
    mmu.flushAll();
  }

  /**
   * A start-up IPI in the wait-for-SIPI state: execution begins at the start of the page that the
   * vector names. SDM Vol. 3, "MP Initialization Protocol Algorithm".
   */
  public void startUp(int vector) {
    seg[CS].set(vector << 8, (long) vector << 12, 0xffff, Segment.REAL_CODE);
    rip = 0;
    activity = ACTIVE;
    updateMode();
  }

  /** What power-up and INIT have in common. */
  private void resetCommon(long cr0) {
    java.util.Arrays.fill(r, 0);
    r[RDX] = model.signature();
    rip = 0xfff0;
    flagsRest = 2;
    flagResult = 1;
    flagAux = 0;
    setLazyFlags(0);
    for (int i = 0; i < 6; i++) {
      seg[i].set(0, 0, 0xffff, Segment.REAL_DATA);
    }
    seg[CS].set(0xf000, 0xffff0000L, 0xffff, Segment.REAL_CODE);
    seg[LDTR].set(0, 0, 0xffff, 0x82);
    seg[TR].set(0, 0, 0xffff, 0x8b);
    gdtBase = 0;
    gdtLimit = 0xffff;
    idtBase = 0;
    idtLimit = 0xffff;
    this.cr0 = cr0;
    cr2 = 0;
    cr3 = 0;
    cr4 = 0;
    efer = 0;
    java.util.Arrays.fill(dr, 0);
    dr6 = 0xffff0ff0L;
    dr7 = 0x400;
    cpl = 0;
    shadow = 0;
    nmiBlocked = false;
    iretUnblockedNmi = false;
    repeating = false;
    pendingDebug = 0;
    left = false;
  }

  /** x87 as after FNINIT, SSE as after reset: FCW 037F (0040 at power-up), MXCSR 1F80. */
  private void resetFloatingPoint() {
    java.util.Arrays.fill(xsaveArea, (byte) 0);
    fpuCs = 0;
    fpuDs = 0;
    xsaveArea[0] = 0x40;
    xsaveArea[24] = (byte) 0x80;
    xsaveArea[25] = 0x1f;
  }

  // ---- derived state ----

  /** Recomputes what follows from control registers, segments, CPL and EFLAGS. */
  public void updateMode() {
    boolean pe = (cr0 & ControlBits.CR0_PE) != 0;
    longMode = (efer & ControlBits.EFER_LMA) != 0;
    v86 = pe && (flagsRest & Flags.VM) != 0;
    protectedMode = pe && !v86;
    int csAr = seg[CS].ar;
    if (longMode && (csAr & Segment.L) != 0) {
      codeSize = 8;
    } else {
      codeSize = (csAr & Segment.DB) != 0 ? 4 : 2;
    }
    ripMask = codeSize == 8 ? -1L : 0xffffffffL;
    int stackSize = codeSize == 8 ? 8 : (seg[SS].ar & Segment.DB) != 0 ? 4 : 2;
    stackMask = stackSize == 8 ? -1L : stackSize == 4 ? 0xffffffffL : 0xffffL;
    flat =
        codeSize == 8
            || (protectedMode
                && seg[CS].base == 0
                && seg[DS].isFlatWritable()
                && seg[ES].isFlatWritable()
                && seg[SS].isFlatWritable());
    modeKey =
        codeSize
            | (flat ? 16 : 0)
            | (stackSize == 8 ? 64 : stackSize == 4 ? 32 : 0)
            | (protectedMode ? 0 : 128);
    updateCet();
    r[FS_BASE] = seg[FS].base;
    r[GS_BASE] = seg[GS].base;
    updateMasking();
    mmu.updateContext();
    if (counters.level != cpl) {
      counters.levelChanged();
    }
  }

  /** Follows CR4.CET, IA32_U_CET and IA32_S_CET in what CET does at this privilege level. */
  private void updateCet() {
    if ((cr4 & ControlBits.CR4_CET) == 0 || !protectedMode) {
      shadowStack = false;
      branchTracking = false;
      return;
    }
    long control = cpl == 3 ? msr.uCet : msr.sCet;
    shadowStack = (control & CetControl.SH_STK_EN) != 0;
    branchTracking = (control & CetControl.ENDBR_EN) != 0;
    modeKey |= (shadowStack ? KEY_SHADOW_STACK : 0) | (branchTracking ? KEY_BRANCH_TRACKING : 0);
  }

  /** Follows CR3 and CR4 in what they say of metadata in pointers. */
  private void updateMasking() {
    masking =
        codeSize == 8
            && (cr3 & (ControlBits.CR3_LAM_U57 | ControlBits.CR3_LAM_U48)
                    | cr4 & ControlBits.CR4_LAM_SUP)
                != 0;
    if (!masking) {
      return;
    }
    userMetadata =
        (cr3 & ControlBits.CR3_LAM_U57) != 0
            ? LAM57
            : (cr3 & ControlBits.CR3_LAM_U48) != 0 ? LAM48 : 0;
    supervisorMetadata =
        (cr4 & ControlBits.CR4_LAM_SUP) == 0
            ? 0
            : (cr4 & ControlBits.CR4_LA57) != 0 ? LAM57 : LAM48;
  }

  /**
   * The linear address that a pointer to data stands for: with linear-address masking, the bits
   * that hold metadata are those of the highest bit of the address, and bit 63 stays. Pointers with
   * bit 63 clear follow CR3, others CR4. It holds for data accesses in 64-bit mode, not for
   * fetches, targets of branches, INVLPG, addresses in descriptors of INVPCID, and the processor's
   * own accesses. SDM Vol. 3, "Linear-Address Masking (LAM)".
   */
  public long masked(long pointer) {
    if (!masking) {
      return pointer;
    }
    int bits = pointer < 0 ? supervisorMetadata : userMetadata;
    return pointer << bits >> bits & Long.MAX_VALUE | pointer & Long.MIN_VALUE;
  }

  /** The paging mode of CR0.PG, CR4.PAE, CR4.LA57 and EFER.LMA. */
  public PagingMode pagingMode() {
    if ((cr0 & ControlBits.CR0_PG) == 0) {
      return PagingMode.NONE;
    }
    if ((cr4 & ControlBits.CR4_PAE) == 0) {
      return PagingMode.BITS32;
    }
    if (!longMode) {
      return PagingMode.PAE;
    }
    return (cr4 & ControlBits.CR4_LA57) != 0 ? PagingMode.LEVEL5 : PagingMode.LEVEL4;
  }

  /** Whether the address is canonical for the current number of linear-address bits (48 or 57). */
  public boolean isCanonical(long linear) {
    int unused = (cr4 & ControlBits.CR4_LA57) != 0 ? 64 - 57 : 64 - 48;
    return linear << unused >> unused == linear;
  }

  /**
   * Whether the address is canonical for the widest paging that the processor has, whatever
   * CR4.LA57 is now: the rule for what is loaded into base registers and MSRs, and for what is
   * invalidated. SDM Vol. 1, "Canonical Addressing".
   */
  public boolean isCanonicalBase(long linear) {
    int unused = 64 - model.linearAddressBits();
    return linear << unused >> unused == linear;
  }

  // ---- flags ----

  public boolean cf() {
    return flagAux < 0;
  }

  public boolean of() {
    return (flagAux ^ flagAux << 1) < 0;
  }

  public boolean zf() {
    return flagResult == 0;
  }

  public boolean sf() {
    return (flagResult < 0) != ((flagAux & 1) != 0);
  }

  public boolean af() {
    return (flagAux & 8) != 0;
  }

  public boolean pf() {
    int v = (int) (flagResult ^ flagAux >>> 8) & 0xff;
    return (Integer.bitCount(v) & 1) == 0;
  }

  /**
   * OF, SF, ZF, AF, PF and CF in their RFLAGS positions. Without branches: nobody predicts them.
   */
  public int lazyFlags() {
    long result = flagResult;
    long aux = flagAux;
    long sign = (result ^ aux << 63) >>> 63;
    long zero = ~(result | -result) >>> 63;
    int odd = Integer.bitCount((int) (result ^ aux >>> 8) & 0xff) & 1;
    long overflow = (aux ^ aux << 1) >>> 63;
    return (int)
        (overflow << 11 | sign << 7 | zero << 6 | (aux & 8) << 1 | (odd ^ 1) << 2 | aux >>> 63);
  }

  /** Sets OF, SF, ZF, AF, PF and CF from their RFLAGS positions; other bits are ignored. */
  public void setLazyFlags(int f) {
    // flagResult is never negative here, so SF is the sign delta. The low byte of it is 0: even
    // parity, so a cleared PF is an odd parity delta.
    flagResult = (~f & Flags.ZF) << 2;
    long carry = f & Flags.CF;
    flagAux =
        carry << 63
            | (carry ^ f >>> 11 & 1) << 62
            | (~f & Flags.PF) << 6
            | (f & Flags.AF) >>> 1
            | f >>> 7 & 1;
  }

  /** Changes CF alone. */
  public void setCf(boolean carry) {
    boolean overflow = of();
    flagAux = flagAux & ~(3L << 62) | (carry ? 1L << 63 : 0) | (carry != overflow ? 1L << 62 : 0);
  }

  /** Changes OF and CF alone. */
  public void setCfOf(boolean carry, boolean overflow) {
    flagAux = flagAux & ~(3L << 62) | (carry ? 1L << 63 : 0) | (carry != overflow ? 1L << 62 : 0);
  }

  /** All of RFLAGS. */
  public long rflags() {
    return (flagsRest | lazyFlags()) & 0xffffffffL;
  }

  /** Sets all of RFLAGS; bit 1 stays set, undefined bits clear. The caller updates the mode. */
  public void setRflags(long value) {
    setLazyFlags((int) value);
    flagsRest = (int) value & Flags.REST | 2;
  }

  /** Whether the condition of Jcc, SETcc or CMOVcc holds. */
  public boolean condition(int condition) {
    boolean v =
        switch (condition >> 1) {
          case 0 -> of();
          case 1 -> cf();
          case 2 -> zf();
          case 3 -> cf() || zf();
          case 4 -> sf();
          case 5 -> pf();
          case 6 -> sf() != of();
          default -> zf() || sf() != of();
        };
    return v != ((condition & 1) != 0);
  }

  public int iopl() {
    return flagsRest >> 12 & 3;
  }

  // ---- exceptions ----

  /** An exception without error code, for the caller to throw. */
  public CpuException exception(int vector) {
    exception.set(vector, false, 0);
    return exception;
  }

  /** An exception with an error code, for the caller to throw. */
  public CpuException exception(int vector, int errorCode) {
    exception.set(vector, true, errorCode);
    return exception;
  }

  public CpuException gp(int errorCode) {
    return exception(Vector.GP, errorCode);
  }

  public CpuException ss(int errorCode) {
    return exception(Vector.SS, errorCode);
  }

  public CpuException np(int errorCode) {
    return exception(Vector.NP, errorCode);
  }

  public CpuException ts(int errorCode) {
    return exception(Vector.TS, errorCode);
  }

  public CpuException ud() {
    return exception(Vector.UD);
  }

  public CpuException nm() {
    return exception(Vector.NM);
  }

  public CpuException de() {
    return exception(Vector.DE);
  }

  /**
   * The fault of a non-canonical address found below segmentation: #GP(0), which the engine turns
   * into #SS(0) for an instruction that used SS.
   */
  public CpuException nonCanonical() {
    exception.set(Vector.GP, true, 0);
    exception.nonCanonical = true;
    return exception;
  }

  /** A page fault; CR2 is loaded when it is delivered. */
  public CpuException pf(long linear, int errorCode) {
    exception.set(Vector.PF, true, errorCode);
    exception.payload = linear;
    return exception;
  }

  /** A debug exception; DR6 is loaded with these bits when it is delivered. */
  public CpuException db(long dr6Bits) {
    exception.set(Vector.DB, false, 0);
    exception.payload = dr6Bits;
    return exception;
  }

  // ---- segmentation ----

  /**
   * The linear address of an access, after every check of segmentation.
   *
   * @param s segment register, {@link #ES}..{@link #GS}
   * @param offset effective address, already truncated to the address size
   * @param size bytes
   * @param write whether it writes
   * @throws CpuException #GP(0), or #SS(0) for SS
   */
  public long linear(int s, long offset, int size, boolean write) {
    if (codeSize == 8) {
      long linear = masked(s >= FS ? seg[s].base + offset : offset);
      if (!isCanonical(linear) || !isCanonical(linear + size - 1)) {
        throw s == SS ? ss(0) : gp(0);
      }
      return linear;
    }
    Segment d = seg[s];
    if (!d.allows(offset & 0xffffffffL, size, write, protectedMode)) {
      throw s == SS ? ss(0) : gp(0);
    }
    return d.base + offset & 0xffffffffL;
  }

  // ---- requests ----

  /** Asks the processor, from any thread, to look at something before its next block. */
  public void request(int bits) {
    int v;
    do {
      v = requests.get();
    } while ((v & bits) != bits && !requests.compareAndSet(v, v | bits));
    attention = 1;
    long mirror = attentionMirror;
    if (mirror != 0) {
      HostMemory.putInt(mirror, 1);
    }
  }

  /** The requests not served yet. */
  public int requests() {
    return requests.get();
  }

  /** Drops requests that were served or withdrawn. */
  public void clearRequest(int bits) {
    int v;
    do {
      v = requests.get();
    } while ((v & bits) != 0 && !requests.compareAndSet(v, v & ~bits));
  }

  /**
   * A start-up IPI, from any thread. One that finds another pending is dropped, as it would find
   * the processor started.
   *
   * @param vector the page that execution begins at, 0 to 255
   */
  public void requestStartUp(int vector) {
    if (startup.compareAndSet(-1, vector & 0xff)) {
      request(REQUEST_SIPI);
    }
  }

  /** INIT, from any thread. A start-up IPI that came before it is of no effect any more. */
  public void requestInit() {
    takeStartUp();
    request(REQUEST_INIT);
  }

  /** The vector of the pending start-up IPI, which is pending no longer; -1 if there is none. */
  public int takeStartUp() {
    clearRequest(REQUEST_SIPI);
    return startup.getAndSet(-1);
  }

  // ---- the budget ----

  /**
   * Takes units of the budget for what is no instruction but may go on without end: an event's
   * delivery, iterations of a repeated instruction.
   */
  public void charge(int units) {
    countdown -= units;
    charged += units;
  }

  /** Instructions that have taken their unit do not retire: they fault, or exit. */
  public void notRetired(int instructions) {
    charged += instructions;
  }

  /** A slice begins. */
  public void begin(long budget) {
    elapsedBase = elapsed() + budget;
    countdown = budget;
    held = 0;
    bounded = false;
    if (counters.isCounting()) {
      counters.update();
    }
  }

  /**
   * Has the counters looked at once so many units are used up, if the slice has so many. SDM Vol.
   * 3, "Generating an Interrupt on Overflow".
   */
  void bound(long units) {
    long left = countdown + held;
    long within = Math.min(left, units);
    elapsedBase += within - countdown;
    countdown = within;
    held = left - within;
    bounded = units <= left;
  }

  /** Whether {@link #countdown} has ended where the counters are to be looked at. */
  public boolean isAtBound() {
    return countdown <= 0 && bounded;
  }

  /**
   * Units of the budget used since power-up, exact between instructions: what virtual time goes by.
   */
  public long elapsed() {
    return elapsedBase - countdown;
  }

  /** Instructions retired since power-up, exact between instructions. */
  public long retired() {
    return elapsed() - charged;
  }
}
