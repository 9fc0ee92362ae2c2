package org.kvm4j.cpu.engine;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.kvm4j.ept.memory.HostMemory;

/**
 * What machine code and Java share of a processor, in the host's memory: while machine code runs,
 * {@code Cpu}'s fields are here or in the host's registers. R15 holds {@link #address} there.
 *
 * <p>The constants are distances from that address, the hot ones within a byte's reach.
 */
final class MachineContext {
  /** R11 to R15, 8 bytes each: where they always are. */
  static final int R11 = -128;

  /** What is left of the budget. */
  static final int COUNTDOWN = -88;

  /** Where the tags of data accesses are ({@code Mmu.data}). */
  static final int TABLE = -80;

  /** {@code Cpu.CODE_BASE}. */
  static final int CODE_BASE = -72;

  /** Flags of arithmetic: OF in the first byte's bit 0, the second byte as LAHF has it. */
  static final int FLAGS = -64;

  /** Four bytes: whether something wants to be looked at; other threads write it, too. */
  static final int ATTENTION = -56;

  /** Of the jump cache. */
  static final int EPOCH = -48;

  static final int GLOBAL_EPOCH = -40;
  static final int FS_BASE = -32;
  static final int GS_BASE = -24;

  /** Where the jump cache is. */
  static final int JUMPS = -16;

  /** Whether the XMM registers are in the host's: a byte. */
  static final int VECTORS = -8;

  /** Guest's and host's MXCSR, 4 bytes each. */
  static final int MXCSR = 0;

  static final int HOST_MXCSR = 4;

  /** Four bytes: why machine code was left, as {@link MachineBlock} has it. */
  static final int EXIT = 8;

  /** Four bytes: the number of the block that was left. */
  static final int BLOCK = 12;

  /** Where an address is, for ways out that need one. */
  static final int RIP = 16;

  /** The address of the code that leaves. */
  static final int LEAVE = 24;

  /** The address of the code to go to. */
  static final int TARGET = 32;

  /** For what an instruction has to put aside. */
  static final int ASIDE = 40;

  static final int ASIDE2 = 48;

  /** RFLAGS without the flags of arithmetic, 4 bytes. */
  static final int FLAGS_REST = -60;

  /**
   * Four bytes: which instructions of the system's may be done here, {@link #MAY_CLI} and others.
   */
  static final int ALLOWED = -52;

  static final int MAY_CLI = 1;

  /** Nothing waits for EFLAGS.IF. */
  static final int MAY_STI = 2;

  /** The privilege level is 0. */
  static final int MAY_SWAPGS = 4;

  /** The banks are right, and the privilege level is 3. */
  static final int MAY_SYSCALL = 8;

  /** The banks are right, the privilege level is 0, and nothing waits for EFLAGS.IF. */
  static final int MAY_SYSRET = 16;

  /** RDTSC reads the host's clock, and {@link #TSC_BEYOND}. */
  static final int MAY_READ_TSC = 32;

  /** So does RDTSCP, and {@link #TSC_AUX}. */
  static final int MAY_READ_AUX = 64;

  /** IA32_KERNEL_GS_BASE. */
  static final int KERNEL_GS_BASE = 120;

  /** Where the tags of fetches are. */
  static final int FETCH_TABLE = 104;

  /** The address of the function that looks whether an entry of the jump cache holds again. */
  static final int REVALIDATE = 112;

  /** The address of the function that looks at the other entry of a pair in the jump cache. */
  static final int OTHER_JUMP = 96;

  /**
   * The addresses of the functions that look among what has had to give way in the TLB, for loads
   * and for stores.
   */
  static final int RECALL_READ = 80;

  static final int RECALL_WRITE = 88;

  /** The address of the function that reads the time-stamp counter. */
  static final int READ_TSC = 592;

  /** The address of the host's {@code clock_gettime}. */
  static final int HOST_CLOCK = 600;

  /** By how much the time-stamp counter is beyond the host's clock. */
  static final int TSC_BEYOND = 608;

  /** IA32_TSC_AUX, 4 bytes. */
  static final int TSC_AUX = 616;

  static final int CR2 = 624;

  /** RAX to R10, 8 bytes each, while machine code does not run. */
  static final int REGISTERS = 128;

  /** XMM0 to XMM15, 16 bytes each. */
  static final int XMM = 256;

  // What privilege levels 0 and 3 differ in, once more for each: BANKED, 8 bytes each, and ALLOWED.

  static final int SUPERVISOR = 512;
  static final int USER = 552;

  /** What is 8 bytes in a bank, and where else. */
  static final int[] BANKED = {TABLE, FETCH_TABLE, EPOCH, GLOBAL_EPOCH};

  /** Where in a bank {@link #ALLOWED} is. */
  static final int BANKED_ALLOWED = 32;

  private static final int BEFORE = 128;
  private static final int SIZE = BEFORE + CR2 + 8;

  /** Four bytes: which bits of a hash say the place of an entry in the jump cache. */
  static final int JUMP_MASK = 56;

  /** Four bytes: the privilege level, and {@link #CHANGED} if it has been another in between. */
  static final int LEVEL = 60;

  static final int CHANGED = 8;

  /** IA32_LSTAR. */
  static final int CALL_TARGET = 64;

  /** Which flags SYSCALL keeps: what IA32_FMASK lacks. */
  static final int CALL_KEEPS = 72;

  private static final int FIRST_JUMPS = 1024;
  private static final int MOST_JUMPS = 1 << 16;

  /**
   * What an address is multiplied by, so that all of its lower 32 bits have a say in the upper ones
   * of the product: functions begin at multiples of 16, and pages at multiples of 4,096.
   */
  static final int JUMP_HASH = 0x9e37_79b1;

  /** Bytes of an entry of the jump cache: RIP, epoch, code, and where its page is in the host. */
  private static final int JUMP_STRIDE = 32;

  /**
   * What the product is shifted by, so that its upper bits lie where {@link #JUMP_MASK} has them.
   */
  static final int JUMP_SHIFT = Integer.numberOfLeadingZeros(MOST_JUMPS * JUMP_STRIDE - 1);

  /**
   * What tells the addresses of a pair of entries apart, of which a RIP's code may be in either.
   */
  static final int JUMP_PAIR = JUMP_STRIDE;

  private final ByteBuffer memory =
      ByteBuffer.allocateDirect(SIZE + 64).order(ByteOrder.nativeOrder());

  /** The jump cache: RIP to machine code. It has more entries as they are fought for. */
  private ByteBuffer jumps = memory;

  private int jumpSlots;

  /** Which of the caches that there have been it is. */
  private int jumpVersion;

  /** How many have driven out others since there are so many entries. */
  private int driven;

  /** Where it is. */
  final long address = (HostMemory.address(memory) + 63 & -64) + BEFORE;

  /** Where that is in {@link #memory}. */
  private final int origin = (int) (address - HostMemory.address(memory));

  private long jumpTable;

  MachineContext() {
    makeJumps(FIRST_JUMPS);
  }

  private void makeJumps(int slots) {
    jumps = ByteBuffer.allocateDirect(slots * JUMP_STRIDE + 64).order(ByteOrder.nativeOrder());
    jumpTable = HostMemory.address(jumps) + 63 & -64;
    jumpSlots = slots;
    jumpVersion++;
    driven = 0;
    put(JUMPS, jumpTable);
    putInt(JUMP_MASK, (slots - 1) * JUMP_STRIDE);
  }

  long get(int at) {
    return HostMemory.getLong(address + at);
  }

  void put(int at, long value) {
    HostMemory.putLong(address + at, value);
  }

  int getInt(int at) {
    return HostMemory.getInt(address + at);
  }

  /** Copies from here. */
  void get(int at, byte[] to, int offset, int length) {
    memory.get(origin + at, to, offset, length);
  }

  /** Copies to here. */
  void put(int at, byte[] from, int offset, int length) {
    memory.put(origin + at, from, offset, length);
  }

  void putInt(int at, int value) {
    HostMemory.putInt(address + at, value);
  }

  /** Where a general register is while machine code does not run. */
  static int register(int number) {
    return number < 11 ? REGISTERS + 8 * number : R11 + 8 * (number - 11);
  }

  // ---- the jump cache ----

  /** The entry for a RIP, or one of the pair; machine code computes the same. */
  private long entry(long rip) {
    int hash = (int) rip * JUMP_HASH >>> JUMP_SHIFT;
    return jumpTable + (hash & (jumpSlots - 1) * JUMP_STRIDE);
  }

  /** Which of the caches that there have been it is: another one has none of what was put in. */
  int jumpVersion() {
    return jumpVersion;
  }

  /**
   * Puts code into the cache.
   *
   * @return where
   */
  long remember(long rip, long epoch, long code, long hostPage) {
    long at = entry(rip);
    long other = at ^ JUMP_PAIR;
    if (isOf(other, rip)) {
      at = other;
    } else if (isAlive(at) && !isOf(at, rip)) {
      if (isAlive(other)) {
        driven++;
        if (driven > jumpSlots / 4 && jumpSlots < MOST_JUMPS) {
          makeJumps(4 * jumpSlots);
          at = entry(rip);
          other = at ^ JUMP_PAIR;
        }
      }
      // What is there is found in the second place from now on.
      for (int k = 0; k < JUMP_STRIDE; k += Long.BYTES) {
        HostMemory.putLong(other + k, HostMemory.getLong(at + k));
      }
    }
    HostMemory.putLong(at, rip);
    HostMemory.putLong(at + 8, epoch);
    HostMemory.putLong(at + 16, code);
    HostMemory.putLong(at + 24, hostPage);
    return at;
  }

  private static boolean isAlive(long entry) {
    return HostMemory.getLong(entry + 8) != 0;
  }

  private static boolean isOf(long entry, long rip) {
    return HostMemory.getLong(entry) == rip && isAlive(entry);
  }

  /** Whether an entry, or the other of its pair, has some code for a RIP. */
  static boolean has(long entry, long rip, long epoch, long code) {
    return hasItself(entry, rip, epoch, code) || hasItself(entry ^ JUMP_PAIR, rip, epoch, code);
  }

  private static boolean hasItself(long entry, long rip, long epoch, long code) {
    return HostMemory.getLong(entry) == rip
        && HostMemory.getLong(entry + 8) == epoch
        && HostMemory.getLong(entry + 16) == code;
  }

  /** Empties an entry, and the other of its pair, if it leads to some code. */
  static void forget(long entry, long code) {
    forgetItself(entry, code);
    forgetItself(entry ^ JUMP_PAIR, code);
  }

  private static void forgetItself(long entry, long code) {
    if (HostMemory.getLong(entry + 16) == code) {
      HostMemory.putLong(entry + 8, 0);
    }
  }

  /** Empties the jump cache. */
  void forgetJumps() {
    for (int k = 0; k < jumpSlots; k++) {
      HostMemory.putLong(jumpTable + (long) k * JUMP_STRIDE + 8, 0);
    }
  }
}
