package org.kvm4j.ept.walk;

import java.util.Random;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.nested.EptPointer;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;

/**
 * A small memory full of paging structures that are plausible and often wrong: for each level, of
 * EPT and of the guest, a few pages whose every entry leads on to a page of the next level.
 */
final class RandomTables {
  static final int PAGES = 64;
  private static final int PER_LEVEL = 2;
  private static final int EPT_FIRST = 0;
  private static final int GUEST_FIRST = 5 * PER_LEVEL;
  private static final int SPP_FIRST = GUEST_FIRST + 5 * PER_LEVEL;
  private static final int DATA_FIRST = SPP_FIRST + 4 * PER_LEVEL;

  private static final int[] WIDTHS = {36, 39, 40, 46, 52};

  final Random random;
  final PhysicalMemory memory = new PhysicalMemory(46);
  final PagingContext context = new PagingContext();

  /** How often an entry is spoilt, in percent. */
  private final int spoilt;

  RandomTables(long seed) {
    random = new Random(seed);
    memory.mapAt(0, PAGES * 4096L);
    spoilt = random.nextInt(6);
    randomContext();
    for (int page = SPP_FIRST; page < DATA_FIRST; page++) {
      int level = (page - SPP_FIRST) / PER_LEVEL + 1;
      for (int i = 0; i < 512; i++) {
        memory.writeLong(page * 4096L + i * 8L, sppEntry(level));
      }
    }
    for (int page = 0; page < SPP_FIRST; page++) {
      boolean ept = page < GUEST_FIRST;
      int level = (page - (ept ? EPT_FIRST : GUEST_FIRST)) / PER_LEVEL + 1;
      if (!ept && context.mode == PagingMode.BITS32) {
        for (int i = 0; i < 1024; i++) {
          memory.writeInt(page * 4096L + i * 4L, entry32(level));
        }
      } else {
        for (int i = 0; i < 512; i++) {
          memory.writeLong(page * 4096L + i * 8L, ept ? eptEntry(level, i) : entry64(level));
        }
      }
    }
  }

  private void randomContext() {
    context.mode = PagingMode.values()[random.nextInt(PagingMode.values().length)];
    context.wp = random.nextBoolean();
    context.smep = random.nextBoolean();
    context.smap = random.nextBoolean();
    context.nxe = chance(80);
    context.pse = chance(80);
    context.pge = random.nextBoolean();
    context.pke = random.nextBoolean();
    context.pks = random.nextBoolean();
    context.pkru = sparseBits();
    context.pkrs = sparseBits();
    context.physicalBits = WIDTHS[random.nextInt(WIDTHS.length)];
    context.pse36 = random.nextBoolean();
    context.pages1g = random.nextBoolean();
    context.eptExecuteOnly = random.nextBoolean();
    context.eptPages1g = chance(80);
    context.eptPages2m = chance(80);
    context.eptAdvancedInformation = random.nextBoolean();
    context.modeBasedExecute = random.nextBoolean();
    if (chance(40)) {
      context.hlat = true;
      context.hlatPrefixSize = random.nextInt(2);
      context.hlatp = tableAt(GUEST_FIRST, topLevel()) | random.nextInt(4096);
    }
    context.subPageWrite = chance(60);
    context.sppTable = tableAt(SPP_FIRST, 4);
    context.eptPagingWrite = chance(40);
    context.guestPagingVerification = chance(70);
    context.cr3 = tableAt(GUEST_FIRST, topLevel()) | random.nextInt(4096);
    for (int i = 0; i < 4; i++) {
      context.pdpte[i] = tableAt(GUEST_FIRST, 2) | (chance(90) ? 1 : 0) | random.nextInt(16) << 9;
    }
    if (chance(70)) {
      int levels = chance(70) ? 4 : 5;
      context.eptp = EptPointer.of(tableAt(EPT_FIRST, levels), levels, 6, random.nextBoolean());
      if (random.nextBoolean()) {
        context.eptp |= EptPointer.SUPERVISOR_SHADOW_STACK;
      }
    }
  }

  private int topLevel() {
    return switch (context.mode) {
      case BITS32 -> 2;
      case LEVEL5 -> 5;
      default -> 4;
    };
  }

  /** A register that denies little: each bit is set with probability 1/8. */
  private int sparseBits() {
    int bits = -1;
    for (int i = 0; i < 3; i++) {
      bits &= random.nextInt();
    }
    return bits;
  }

  boolean chance(int percent) {
    return random.nextInt(100) < percent;
  }

  private long tableAt(int first, int level) {
    return (first + (level - 1) * PER_LEVEL + random.nextInt(PER_LEVEL)) * 4096L;
  }

  private long dataPage() {
    return chance(95)
        ? (DATA_FIRST + random.nextInt(PAGES - DATA_FIRST)) * 4096L
        : random.nextLong() & (1L << context.physicalBits) - 4096;
  }

  private long spoil(long entry, int bits) {
    return chance(spoilt) ? entry ^ 1L << random.nextInt(bits) : entry;
  }

  private long entry64(int level) {
    long entry = chance(97) ? 1 : 0;
    entry |= chance(85) ? 2 : 0;
    entry |= chance(85) ? 4 : 0;
    entry |= random.nextLong() & 0xf78;
    if (context.hlat && chance(75)) {
      entry &= ~0x800L;
    }
    boolean leaf = level == 1 || (level == 2 || level == 3 && context.pages1g) && chance(25);
    if (level > 1) {
      entry &= ~0x80L;
    }
    if (leaf && level > 1) {
      int shift = 12 + 9 * (level - 1);
      entry |= 0x80;
      entry |= chance(70) ? 0 : random.nextLong() & (1L << context.physicalBits) - (1L << shift);
      entry |= random.nextBoolean() ? 0x1000 : 0;
    } else {
      entry |= leaf ? dataPage() : tableAt(GUEST_FIRST, level - 1);
    }
    if (context.mode != PagingMode.PAE) {
      entry |= random.nextLong() & 0x7ff0_0000_0000_0000L;
    }
    if (context.nxe && chance(12)) {
      entry |= 1L << 63;
    }
    if (leaf && chance(20)) {
      entry = entry & ~2L | 0x40;
    }
    return spoil(entry, 64);
  }

  private long sppEntry(int level) {
    long entry =
        level == 1
            ? random.nextLong() & 0x5555_5555_5555_5555L
            : tableAt(SPP_FIRST, level - 1) | (chance(95) ? 1 : 0);
    return chance(10) ? entry ^ 1L << random.nextInt(64) : entry;
  }

  private int entry32(int level) {
    int entry = chance(97) ? 1 : 0;
    entry |= chance(85) ? 2 : 0;
    entry |= chance(85) ? 4 : 0;
    entry |= random.nextInt() & 0xf78;
    if (level == 2 && chance(30)) {
      entry |= 0x80;
      entry |= chance(70) ? 0 : random.nextInt() & 0xffc0_0000;
      entry |= chance(50) ? 0x1000 : 0;
      entry |= context.pse36 && chance(50) ? random.nextInt(4) << 13 : 0;
      if (!context.pse) {
        entry &= 0xfff;
        entry |= (int) tableAt(GUEST_FIRST, 1);
      }
    } else {
      entry &= level == 2 ? ~0x80 : -1;
      entry |= (int) (level == 1 ? dataPage() & 0xffff_f000L : tableAt(GUEST_FIRST, 1));
    }
    return (int) spoil(entry, 32);
  }

  private long eptEntry(int level, int index) {
    long entry = chance(99) ? 1 : 0;
    entry |= chance(92) ? 2 : 0;
    entry |= chance(92) ? 4 : 0;
    entry |= chance(92) ? 1 << 10 : 0;
    if ((entry & 1) == 0) {
      entry &= ~2L;
    }
    entry |= random.nextLong() & 0xfff0_0000_0000_0b00L;
    if (context.subPageWrite && level == 1 && chance(15)) {
      entry = entry & ~2L | 1L << 61;
    }
    if (context.guestPagingVerification && chance(60)) {
      entry |= 1L << 58;
    }
    boolean leaf = level == 1 || level <= 3 && chance(12);
    if (!leaf) {
      entry |= tableAt(EPT_FIRST, level - 1);
    } else {
      long[] types = {0, 1, 4, 5, 6, 6, 6, 6};
      entry |= types[random.nextInt(types.length)] << 3;
      entry |= random.nextBoolean() ? 0x40 : 0;
      if (level == 1) {
        entry |= random.nextBoolean() ? 0x80 : 0;
        entry |= index < PAGES && chance(90) ? index * 4096L : dataPage();
      } else {
        entry |= 0x80;
        entry |=
            chance(90)
                ? 0
                : random.nextLong() & (1L << context.physicalBits) - (1L << 12 + 9 * (level - 1));
      }
    }
    return spoil(entry, 64);
  }

  /** An address; canonical or of 32 bits as the mode has it. */
  long linear() {
    long linear = random.nextLong();
    return switch (context.mode) {
      case NONE -> chance(80) ? linear & PAGES * 4096L - 1 : linear & 0xffff_ffffL;
      case BITS32, PAE -> linear & 0xffff_ffffL;
      case LEVEL4 -> linear << 16 >> 16;
      case LEVEL5 -> linear << 7 >> 7;
    };
  }

  byte[] snapshot() {
    byte[] ram = new byte[PAGES * 4096];
    memory.read(0, ram);
    return ram;
  }
}
