package org.kvm4j.ept.walk;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;

/**
 * Address translation a second time, written from the SDM's words and for reading, not for speed:
 * the tables of formats become lists of fields, every condition is asked for by itself, a fault is
 * an exception, and memory is an array of bytes. It shares nothing with the walk but the holder of
 * its inputs.
 */
final class ReferenceWalker {
  enum Kind {
    READ,
    WRITE,
    FETCH
  }

  /** What a walk comes to; fields that the outcome does not define are 0. */
  record Result(
      String outcome,
      long hpa,
      long gpa,
      int pageShift,
      int guestPageShift,
      boolean global,
      int errorCode,
      long qualification,
      boolean structure,
      int guestMemoryType,
      int eptMemoryType) {

    static Result pageFault(int errorCode) {
      return new Result("PAGE_FAULT", 0, 0, 0, 0, false, errorCode, 0, false, 0, 0);
    }

    static Result violation(long gpa, long qualification, boolean structure) {
      return new Result("EPT_VIOLATION", 0, gpa, 0, 0, false, 0, qualification, structure, 0, 0);
    }

    static Result sppEvent(long gpa, long qualification) {
      return new Result("SPP_EVENT", 0, gpa, 0, 0, false, 0, qualification, false, 0, 0);
    }

    static Result misconfiguration(long gpa, boolean structure) {
      return new Result("EPT_MISCONFIGURATION", 0, gpa, 0, 0, false, 0, 0, structure, 0, 0);
    }
  }

  private static final class Stop extends RuntimeException {
    private static final long serialVersionUID = 1L;
    final transient Result result;

    Stop(Result result) {
      super(result.toString(), null, false, false);
      this.result = result;
    }
  }

  /**
   * A translation through EPT.
   *
   * @param updatable whether the processor may set flags of a guest paging structure there
   * @param pagingWrite bit 58 of the leaf
   */
  private record Nested(
      long hpa,
      int shift,
      boolean r,
      boolean w,
      boolean x,
      boolean xu,
      boolean updatable,
      boolean pagingWrite,
      boolean shadowStack,
      int memoryType) {}

  private record Level(int low, int width, int entryBytes) {}

  private final byte[] ram;
  private final PagingContext c;
  private boolean dry;
  private boolean shadowStack;
  private boolean supervisorShadowStack;
  private boolean wouldStore;
  private String by = "";

  /** How many bytes are written. */
  private int length;

  private boolean bySubPages;

  /** Whether all guest paging structures of the walk are in pages with paging-write access. */
  private boolean verified;

  /** Where the EPT entries are that were read by walks in a row. */
  private final Set<Long> eptEntries;

  private boolean changesEpt;

  /**
   * A walker.
   *
   * @param eptEntries receives where the EPT entries are that are read
   */
  ReferenceWalker(byte[] ram, PagingContext context, Set<Long> eptEntries) {
    this.ram = ram;
    this.c = context;
    this.eptEntries = eptEntries;
  }

  /**
   * Whether a guest paging-structure entry that was updated was an EPT entry, too, so that what EPT
   * translates may be another address now.
   */
  boolean changesEpt() {
    return changesEpt;
  }

  /** Whether sub-page write permissions allowed the write of the last walk. */
  boolean bySubPages() {
    return bySubPages;
  }

  /** How HLAT paging took part in the last walk, for statistics. */
  String by() {
    return by;
  }

  Result walk(long linear, int access) {
    by = "";
    bySubPages = false;
    length = (access >> 16 & 0xfff) + 1;
    try {
      return translate(linear, access);
    } catch (Stop stop) {
      return stop.result;
    }
  }

  /** Whether an access succeeds and has nothing to write to any table: what a TLB may let pass. */
  boolean isFree(long linear, int access) {
    dry = true;
    wouldStore = false;
    boolean ok = walk(linear, access).outcome.equals("OK");
    dry = false;
    return ok && !wouldStore && !bySubPages;
  }

  // ---- Memory

  private long load(long hpa, int bytes) {
    long value = 0;
    for (int i = bytes - 1; i >= 0; i--) {
      long at = hpa + i;
      int b = at >= 0 && at < ram.length ? ram[(int) at] & 0xff : 0xff;
      value = value * 256 + b;
    }
    return value;
  }

  private void store(long hpa, int bytes, long value) {
    wouldStore |= load(hpa, bytes) != value;
    if (dry) {
      return;
    }
    for (int i = 0; i < bytes; i++) {
      long at = hpa + i;
      if (at >= 0 && at < ram.length) {
        ram[(int) at] = (byte) (value >> 8 * i);
      }
    }
  }

  private void storeGuest(long hpa, int bytes, long value) {
    changesEpt |= eptEntries.contains(hpa & -8L);
    store(hpa, bytes, value);
  }

  private static boolean bit(long value, int number) {
    return (value >> number & 1) == 1;
  }

  /** Bits high:low of a value, where they stand in it. */
  private static long field(long value, int high, int low) {
    long result = 0;
    for (int i = low; i <= high; i++) {
      if (bit(value, i)) {
        result += 1L << i;
      }
    }
    return result;
  }

  private static boolean any(long value, int high, int low) {
    return field(value, high, low) != 0;
  }

  // ---- Guest paging

  private Result translate(long linear, int access) {
    Kind kind =
        (access & Access.FETCH) != 0
            ? Kind.FETCH
            : (access & Access.WRITE) != 0 ? Kind.WRITE : Kind.READ;
    boolean implicit = (access & Access.IMPLICIT) != 0;
    boolean userMode = (access & Access.USER) != 0 && !implicit;
    boolean update = (access & Access.NO_SIDE_EFFECTS) == 0;
    verified = true;

    shadowStack = (access & Access.SHADOW_STACK) != 0;
    supervisorShadowStack = shadowStack && (access & Access.USER) == 0 && bit(c.eptp, 7);
    if (c.mode == PagingMode.NONE) {
      return last(linear, kind, update, true, true, false, 12, false, 6);
    }

    List<Level> levels = new ArrayList<>();
    long table;
    boolean hlat = false;
    int largest = 99;
    switch (c.mode) {
      case BITS32 -> {
        levels.add(new Level(22, 10, 4));
        levels.add(new Level(12, 10, 4));
        table = field(c.cr3, 31, 12);
      }
      case PAE -> {
        long pdpte = c.pdpte[(int) (field(linear, 31, 30) >> 30)];
        if (!bit(pdpte, 0)) {
          throw fault(kind, userMode, false, false, false, false);
        }
        levels.add(new Level(21, 9, 8));
        levels.add(new Level(12, 9, 8));
        table = field(pdpte, c.physicalBits - 1, 12);
      }
      default -> {
        if (c.mode == PagingMode.LEVEL5) {
          levels.add(new Level(48, 9, 8));
        }
        levels.add(new Level(39, 9, 8));
        levels.add(new Level(30, 9, 8));
        levels.add(new Level(21, 9, 8));
        levels.add(new Level(12, 9, 8));
        hlat = c.hlat && (c.hlatPrefixSize == 0 || bit(linear, 63));
        by = hlat ? " by hlat" : "";
        table = field(hlat ? c.hlatp : c.cr3, c.physicalBits - 1, 12);
      }
    }

    boolean allWritable = true;
    boolean writableAbove = true;
    boolean allUser = true;
    boolean anyNoExecute = false;
    for (int depth = 0; depth < levels.size(); depth++) {
      Level level = levels.get(depth);
      long index = field(linear, level.low + level.width - 1, level.low) >> level.low;
      long entryGpa = table + index * level.entryBytes;
      Nested where = entryAddress(entryGpa, update);
      verified &= where.pagingWrite;
      long entry = load(where.hpa, level.entryBytes);

      if (!bit(entry, 0)) {
        throw fault(kind, userMode, false, false, false, hlat);
      }
      boolean mapsPage = mapsPage(level, entry);
      if (hasReservedBit(level, entry, mapsPage)) {
        throw fault(kind, userMode, true, true, false, hlat);
      }
      if (hlat && bit(entry, 11)) {
        if (!bit(entry, 5) && update) {
          checkUpdate(entryGpa, where);
          storeGuest(where.hpa, level.entryBytes, entry + 32);
        }
        // All over again, by CR3.
        by = " restarted";
        hlat = false;
        largest = level.low;
        table = field(c.cr3, c.physicalBits - 1, 12);
        allWritable = true;
        allUser = true;
        anyNoExecute = false;
        verified = true;
        depth = -1;
        continue;
      }
      writableAbove = allWritable;
      allWritable &= bit(entry, 1);
      allUser &= bit(entry, 2);
      anyNoExecute |= level.entryBytes == 8 && bit(entry, 63);

      if (!mapsPage) {
        if (!bit(entry, 5) && update) {
          checkUpdate(entryGpa, where);
          storeGuest(where.hpa, level.entryBytes, entry + 32);
        }
        table = level.entryBytes == 4 ? field(entry, 31, 12) : field(entry, 51, 12);
        continue;
      }

      boolean keyViolation = keyDenies(entry, allUser, kind, userMode);
      boolean shadowStackPage = writableAbove && !bit(entry, 1) && bit(entry, 6);
      boolean allowed =
          shadowStack
              ? shadowStackPage && allUser == userMode
              : rightsAllow(kind, userMode, implicit, access, allWritable, allUser, anyNoExecute);
      if (keyViolation || !allowed) {
        throw fault(kind, userMode, true, false, keyViolation, false);
      }
      long updated = entry;
      if (!bit(updated, 5)) {
        updated += 32;
      }
      if (kind == Kind.WRITE && !bit(updated, 6)) {
        updated += 64;
      }
      if (updated != entry && update) {
        checkUpdate(entryGpa, where);
        storeGuest(where.hpa, level.entryBytes, updated);
      }
      long page;
      if (level.entryBytes == 4 && level.low == 22) {
        page = field(entry, 31, 22) + (field(entry, 20, 13) >> 13 << 32);
      } else if (level.entryBytes == 4) {
        page = field(entry, 31, 12);
      } else {
        page = field(entry, 51, level.low);
      }
      long gpa = page + field(linear, level.low - 1, 0);
      boolean pat = bit(entry, level.low == 12 ? 7 : 12);
      int patIndex = (pat ? 4 : 0) + (bit(entry, 4) ? 2 : 0) + (bit(entry, 3) ? 1 : 0);
      int type = (int) (field(c.pat, 8 * patIndex + 2, 8 * patIndex) >> 8 * patIndex);
      return last(
          gpa,
          kind,
          update,
          allUser,
          allWritable,
          anyNoExecute,
          Math.min(level.low, largest),
          bit(entry, 8) && c.pge,
          type);
    }
    throw new AssertionError("no leaf");
  }

  private boolean mapsPage(Level level, long entry) {
    return switch (level.low) {
      case 12 -> true;
      case 22 -> bit(entry, 7) && c.pse;
      case 21 -> bit(entry, 7);
      case 30 -> bit(entry, 7) && c.pages1g;
      default -> false;
    };
  }

  private boolean hasReservedBit(Level level, long entry, boolean mapsPage) {
    if (level.entryBytes == 4) {
      if (!mapsPage || level.low == 12) {
        return false;
      }
      int m = c.pse36 ? Math.min(40, c.physicalBits) : 32;
      return any(entry, 21, m - 19);
    }
    if (any(entry, 51, c.physicalBits) || bit(entry, 63) && !c.nxe) {
      return true;
    }
    if (c.mode == PagingMode.PAE && any(entry, 62, 52)) {
      return true;
    }
    return switch (level.low) {
      case 48, 39 -> bit(entry, 7);
      case 30 -> mapsPage ? any(entry, 29, 13) : bit(entry, 7);
      case 21 -> mapsPage && any(entry, 20, 13);
      default -> false;
    };
  }

  /** SDM 4.6.1 "Determination of Access Rights", case by case. */
  private boolean rightsAllow(
      Kind kind,
      boolean userMode,
      boolean implicit,
      int access,
      boolean allWritable,
      boolean allUser,
      boolean anyNoExecute) {
    if (userMode) {
      if (!allUser) {
        return false;
      }
      return switch (kind) {
        case READ -> true;
        case WRITE -> allWritable;
        case FETCH -> !anyNoExecute;
      };
    }
    boolean explicitWithAc = !implicit && (access & Access.AC) != 0;
    if (allUser) {
      return switch (kind) {
        case READ -> !c.smap || explicitWithAc;
        case WRITE -> (!c.smap || explicitWithAc) && (!c.wp || allWritable);
        case FETCH -> !c.smep && !anyNoExecute;
      };
    }
    return switch (kind) {
      case READ -> true;
      case WRITE -> !c.wp || allWritable;
      case FETCH -> !anyNoExecute;
    };
  }

  /** SDM 4.6.2 "Protection Keys". */
  private boolean keyDenies(long entry, boolean userAddress, Kind kind, boolean userMode) {
    boolean longMode = c.mode == PagingMode.LEVEL4 || c.mode == PagingMode.LEVEL5;
    if (!longMode || kind == Kind.FETCH) {
      return false;
    }
    if (userAddress ? !c.pke : !c.pks) {
      return false;
    }
    int register = userAddress ? c.pkru : c.pkrs;
    int key = 0;
    for (int i = 0; i < 4; i++) {
      key += bit(entry, 59 + i) ? 1 << i : 0;
    }
    boolean accessDisable = bit(register, 2 * key);
    boolean writeDisable = bit(register, 2 * key + 1);
    return accessDisable || kind == Kind.WRITE && writeDisable && (userMode || c.wp);
  }

  private Stop fault(
      Kind kind, boolean userMode, boolean present, boolean reserved, boolean key, boolean hlat) {
    int code = present ? 1 : 0;
    code += kind == Kind.WRITE ? 2 : 0;
    code += userMode ? 4 : 0;
    code += reserved ? 8 : 0;
    boolean pae = c.mode != PagingMode.BITS32;
    code += kind == Kind.FETCH && (c.smep || pae && c.nxe) ? 16 : 0;
    code += key ? 32 : 0;
    code += hlat ? 128 : 0;
    code += shadowStack ? 64 : 0;
    return new Stop(Result.pageFault(code));
  }

  // ---- EPT

  private boolean eptFlags() {
    return bit(c.eptp, 6);
  }

  private Nested entryAddress(long gpa, boolean update) {
    if (c.eptp == 0) {
      return new Nested(gpa, 52, true, true, true, true, true, true, false, 6);
    }
    boolean asWrite = eptFlags();
    return nested(gpa, true, asWrite, false, false, update, asWrite ? 3 : 1, true, 0x80);
  }

  private void checkUpdate(long gpa, Nested where) {
    if (!where.updatable) {
      long page = where.shadowStack ? 0x4000 : 0;
      throw new Stop(Result.violation(gpa, 3 + rightsBits(where) + 0x80 + page, true));
    }
  }

  private long rightsBits(Nested n) {
    return (n.r ? 8 : 0) + (n.w ? 16 : 0) + (n.x ? 32 : 0) + (n.xu && c.modeBasedExecute ? 64 : 0);
  }

  private Result last(
      long gpa,
      Kind kind,
      boolean update,
      boolean userAddress,
      boolean readWrite,
      boolean noExecute,
      int shift,
      boolean global,
      int guestType) {
    if (c.eptp == 0) {
      return new Result("OK", gpa, gpa, shift, shift, global, 0, 0, false, guestType, 6);
    }
    long extra = 0x180;
    if (c.eptAdvancedInformation) {
      extra += userAddress ? 0x200 : 0;
      extra += readWrite ? 0x400 : 0;
      extra += noExecute ? 0x800 : 0;
    }
    extra += shadowStack ? 0x2000 : 0;
    boolean userFetch = kind == Kind.FETCH && c.modeBasedExecute && userAddress;
    Nested n =
        nested(
            gpa,
            kind == Kind.READ,
            kind == Kind.WRITE,
            kind == Kind.FETCH && !userFetch,
            userFetch,
            update,
            kind == Kind.READ ? 1 : kind == Kind.WRITE ? 2 : 4,
            false,
            extra);
    return new Result(
        "OK",
        n.hpa,
        gpa,
        Math.min(shift, n.shift),
        shift,
        global,
        0,
        0,
        false,
        guestType,
        n.memoryType);
  }

  /** SDM 29.3.4.2 "Determining an Access's Sub-Page Write Permission". */
  private boolean subPagesAllow(long gpa) {
    long table = field(c.sppTable, 51, 12);
    for (int low = 39; low >= 21; low -= 9) {
      long entry = load(table + (field(gpa, low + 8, low) >> low) * 8, 8);
      if (!bit(entry, 0)) {
        throw new Stop(Result.sppEvent(gpa, 0x800));
      }
      if (any(entry, 11, 1) || any(entry, 63, c.physicalBits)) {
        throw new Stop(Result.sppEvent(gpa, 0));
      }
      table = field(entry, 51, 12);
    }
    long vector = load(table + (field(gpa, 20, 12) >> 12) * 8, 8);
    for (int odd = 1; odd < 64; odd += 2) {
      if (bit(vector, odd)) {
        throw new Stop(Result.sppEvent(gpa, 0));
      }
    }
    boolean all = true;
    for (int i = 0; i < length; i++) {
      long at = field(gpa, 11, 0) + i;
      all &= at > 4095 || bit(vector, 2 * (int) (at / 128));
    }
    return all;
  }

  /** One translation through EPT. */
  private Nested nested(
      long gpa,
      boolean read,
      boolean write,
      boolean fetch,
      boolean userFetch,
      boolean update,
      long kindBits,
      boolean structure,
      long extra) {
    int length = (int) (field(c.eptp, 5, 3) >> 3) + 1;
    if (any(gpa, 63, 12 + 9 * length)) {
      throw new Stop(Result.violation(gpa, kindBits + extra, structure));
    }
    long table = field(c.eptp, 51, 12);
    boolean r = true;
    boolean w = true;
    boolean x = true;
    boolean xu = true;
    boolean readableAbove = true;
    boolean writableAbove = true;
    for (int level = length; level >= 1; level--) {
      int low = 12 + 9 * (level - 1);
      long at = table + (field(gpa, low + 8, low) >> low) * 8;
      eptEntries.add(at);
      long entry = load(at, 8);
      boolean er = bit(entry, 0);
      boolean ew = bit(entry, 1);
      boolean ex = bit(entry, 2);
      boolean exu = bit(entry, 10);
      boolean present = er || ew || ex || c.modeBasedExecute && exu;
      if (!present) {
        throw new Stop(Result.violation(gpa, kindBits + extra, structure));
      }
      boolean mapsPage = level == 1 || level <= 3 && bit(entry, 7);
      boolean bad = ew && !er;
      bad |= !er && !c.eptExecuteOnly;
      bad |= any(entry, 51, c.physicalBits);
      if (mapsPage) {
        int type = (int) (field(entry, 5, 3) >> 3);
        bad |= type == 2 || type == 3 || type == 7;
        bad |= level == 2 && (any(entry, 20, 12) || !c.eptPages2m);
        bad |= level == 3 && (any(entry, 29, 12) || !c.eptPages1g);
        bad |= c.eptPagingWrite && bit(entry, 58) && !er;
      } else {
        bad |= any(entry, 6, 3);
        bad |= level >= 4 && bit(entry, 7);
      }
      if (bad) {
        throw new Stop(Result.misconfiguration(gpa, structure));
      }
      readableAbove = r;
      writableAbove = w;
      r &= er;
      w &= ew;
      x &= ex;
      xu &= exu;
      if (mapsPage) {
        int type = (int) (field(entry, 5, 3) >> 3);
        long hpa = field(entry, 51, low) + field(gpa, low - 1, 0);
        boolean pagingWrite = bit(entry, 58);
        boolean updatable = w || c.eptPagingWrite && pagingWrite && writableAbove;
        boolean stackPage = bit(c.eptp, 7) && bit(entry, 60);
        Nested result = new Nested(hpa, low, r, w, x, xu, updatable, pagingWrite, stackPage, type);
        boolean mayWrite = structure ? updatable : w;
        boolean byShadowStack = supervisorShadowStack && !structure;
        boolean looksUp =
            write
                && !mayWrite
                && !structure
                && !byShadowStack
                && level == 1
                && c.subPageWrite
                && c.eptp != 0
                && bit(entry, 61);
        if (looksUp) {
          bySubPages = subPagesAllow(gpa);
          mayWrite = bySubPages;
        }
        long page = stackPage ? 0x4000 : 0;
        boolean denied =
            byShadowStack
                ? !(readableAbove && er && writableAbove && stackPage)
                : read && !r || write && !mayWrite || fetch && !x || userFetch && !xu;
        if (denied) {
          throw new Stop(
              Result.violation(gpa, kindBits + rightsBits(result) + extra + page, structure));
        }
        if (!structure
            && c.guestPagingVerification
            && c.eptPagingWrite
            && bit(entry, 57)
            && !verified) {
          throw new Stop(
              Result.violation(gpa, kindBits + rightsBits(result) + extra + page + 0x8000, false));
        }
        if (eptFlags() && update) {
          long flags = entry;
          flags += bit(flags, 8) ? 0 : 256;
          flags += write && !bit(flags, 9) ? 512 : 0;
          store(at, 8, flags);
        }
        return result;
      }
      if (eptFlags() && update && !bit(entry, 8)) {
        store(at, 8, entry + 256);
      }
      table = field(entry, 51, 12);
    }
    throw new AssertionError("no leaf");
  }
}
