package org.kvm4j.ept.nested;

import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.MemoryCursor;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.memory.WordRecord;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.Translation;

/**
 * Walks EPT: guest-physical to host-physical. What it found stands in the public fields until the
 * next walk, so that nothing is allocated; one per CPU.
 *
 * <p>Source: SDM 29.3.2 "EPT Translation Mechanism", SDM 29.3.3 "EPT-Induced VM Exits", SDM 29.3.5
 * "Accessed and Dirty Flags for EPT".
 */
public final class EptWalker {
  /** What {@link #walk} returns if there is no translation. */
  public static final long FAILED = -1;

  private final PhysicalMemory memory;
  private final MemoryCursor cursor;
  private final @Nullable GuestPhysicalCache cache;

  /**
   * The rights of the last address: the logical AND of all entries used, 0 if one was not present.
   * Of an entry of a guest paging structure under EPT paging-write control: with {@link
   * EptEntry#WRITE} where the processor may update it, and {@link EptEntry#PAGING_WRITE} as the
   * leaf has it.
   */
  public long rights;

  /** The last entry read. */
  public long entry;

  /** Log2 of what that entry covers. */
  public int shift;

  /**
   * Of a walk that failed: {@link Translation#EPT_VIOLATION}, {@link
   * Translation#EPT_MISCONFIGURATION}, {@link Translation#SPP_EVENT} or {@link
   * Translation#LOG_FULL}.
   */
  public int outcome;

  /** Of a failed {@link #walkUnverified}: guest-paging verification is the only reason. */
  public boolean failedVerification;

  /** Of a failed walk with {@link Translation#SPP_EVENT}: a miss, not a misconfiguration. */
  public boolean sppMiss;

  /** Tells EPTPs used with EPT paging-write control from others in the cache; no EPTP has it. */
  private static final long WITH_PAGING_WRITE = 1L << 63;

  private PagingContext context = new PagingContext();
  private long eptp;

  /** The EPTP, with what else the cached rights depend on. */
  private long tag;

  private long root;
  private int top;
  private boolean mark;
  private boolean pagingWrite;

  /** The walk is one to an entry of a guest paging structure, under EPT paging-write control. */
  private boolean toEntry;

  /** Bits of a leaf that refuse the access. */
  private long refused;

  /** How many bytes are written; 0 if sub-page write permissions do not apply. */
  private int written;

  private long beyond;
  private long usual;
  private long unusual;

  /** A walker of the tables in a memory that remembers nothing. */
  public EptWalker(PhysicalMemory memory) {
    this(memory, null, null);
  }

  /**
   * A walker of the tables in a memory.
   *
   * @param cache where it remembers where guest paging structures are, or null
   * @param record receives all entries that it reads, or null
   */
  public EptWalker(
      PhysicalMemory memory, @Nullable GuestPhysicalCache cache, @Nullable WordRecord record) {
    this.memory = memory;
    this.cache = cache;
    this.cursor = new MemoryCursor(memory, record);
  }

  /**
   * Prepares for walks under a context. To be called before {@link #walk} whenever the context may
   * have changed.
   *
   * @param context its {@code eptp} is not 0
   * @param setFlags whether accessed and dirty flags are set, if the EPTP enables them
   */
  public void begin(PagingContext context, boolean setFlags) {
    cursor.begin();
    written = 0;
    long eptp = context.eptp;
    this.context = context;
    this.eptp = eptp;
    root = eptp & EptEntry.ADDRESS;
    top = (int) (eptp >>> 3 & 7) * 9 + 12;
    mark = setFlags && (eptp & EptPointer.ACCESSED_DIRTY) != 0;
    pagingWrite = context.eptPagingWrite;
    tag = pagingWrite ? eptp | WITH_PAGING_WRITE : eptp;
    beyond = ~0L << context.physicalBits & EptEntry.ADDRESS;
    usual = mark ? EptEntry.READ | EptEntry.ACCESSED : EptEntry.READ;
    unusual = usual | beyond;
  }

  /**
   * Translates the guest-physical address of a guest paging-structure entry, as {@link #walk} does,
   * or from the cache.
   *
   * @param need {@link EptEntry#READ}, and {@link EptEntry#WRITE} if the EPTP enables accessed and
   *     dirty flags
   */
  public long walkToEntry(long gpa, long need) {
    GuestPhysicalCache known = cache;
    int slot = known == null ? -1 : known.find(gpa, tag, need);
    if (known != null && slot >= 0) {
      rights = known.rights(slot);
      return known.hpa(slot) | gpa & 0xfff;
    }
    return walkToEntryAfresh(gpa, need);
  }

  /** As {@link #walkToEntry}, but not from the cache. */
  public long walkToEntryAfresh(long gpa, long need) {
    toEntry = pagingWrite;
    long hpa = walk(gpa, need);
    if (toEntry) {
      toEntry = false;
      if (hpa != FAILED) {
        rights = rights & ~EptEntry.PAGING_WRITE | entry & EptEntry.PAGING_WRITE;
      }
    }
    if (cache != null) {
      if (hpa == FAILED) {
        cache.invalidate(gpa);
      } else if (mark || (eptp & EptPointer.ACCESSED_DIRTY) == 0) {
        cache.put(gpa, tag, hpa, rights);
      }
    }
    return hpa;
  }

  /**
   * The next walk is for a data write of this many bytes, which sub-page write permissions heed.
   */
  public void heedSubPages(int length) {
    written = length;
  }

  /**
   * As {@link #walk}, for the translation of a linear address some of whose guest paging structures
   * are in no page with paging-write access: it fails where guest paging is to be verified.
   *
   * @param shadowStack as {@link #walkSupervisorShadowStack} instead
   */
  public long walkUnverified(long gpa, long need, boolean shadowStack) {
    failedVerification = false;
    refused = EptEntry.VERIFY_GUEST_PAGING;
    unusual |= EptEntry.VERIFY_GUEST_PAGING;
    long hpa = shadowStack ? walkSupervisorShadowStack(gpa, need) : walk(gpa, need);
    refused = 0;
    unusual &= ~EptEntry.VERIFY_GUEST_PAGING;
    if (failedVerification && cache != null) {
      // Rights that were added since are found at the next try, as after any other violation.
      cache.invalidateAll();
    }
    return hpa;
  }

  /**
   * Translates a guest-physical address and sets accessed and dirty flags.
   *
   * @param need the rights that the access needs, as bits of an EPT entry; a write is one that
   *     includes {@link EptEntry#WRITE}
   * @return the host-physical address or {@link #FAILED}
   */
  public long walk(long gpa, long need) {
    // The way of nearly all walks: entries that are readable, marked, and in order; one comparison
    // tells.
    int at = top;
    long table = root;
    long all = -1;
    if (gpa >>> at + 9 == 0) {
      while (true) {
        long where = table | (gpa >>> at & 0x1ff) << 3;
        long value = cursor.readLong(where);
        if (at == 12) {
          long allowed = all & value;
          if ((value & unusual) == usual
              && (EptEntry.VALID_MEMORY_TYPES >>> (value >>> 3 & 7) & 1) != 0
              && (need & ~allowed) == 0
              && (!mark || (need & EptEntry.WRITE & ~(value >>> 8)) == 0)) {
            rights = allowed;
            entry = value;
            shift = 12;
            return value & EptEntry.ADDRESS | gpa & 0xfff;
          }
          break;
        }
        if ((value & (unusual | 0xf8)) != usual) {
          break;
        }
        all &= value;
        table = value & EptEntry.ADDRESS;
        at -= 9;
      }
    }
    return walkOn(gpa, need, false, at, table, all);
  }

  /**
   * As {@link #walk}, for a supervisor shadow-stack access under supervisor shadow-stack control:
   * reads and writes are allowed to a page whose leaf says so, where no entry denies reads and none
   * but the leaf denies writes.
   *
   * <p>Source: SDM 29.3.3.2 "EPT Violations".
   */
  public long walkSupervisorShadowStack(long gpa, long need) {
    return walkOn(gpa, need, true, top, root, -1);
  }

  /** Goes on with a walk at an entry that is a larger page, or not in order, or not marked. */
  private long walkOn(
      long gpa, long need, boolean shadowStack, int from, long fromTable, long fromAll) {
    long present = context.modeBasedExecute ? EptEntry.ALL | EptEntry.EXECUTE_USER : EptEntry.ALL;
    int at = from;
    if (gpa >>> top + 9 != 0) {
      return absent(0, at);
    }
    long table = fromTable;
    long all = fromAll;
    while (true) {
      long where = table | (gpa >>> at & 0x1ff) << 3;
      long value = cursor.readLong(where);
      if ((value & present) == 0) {
        return absent(value, at);
      }
      boolean leaf = at == 12 || at <= 30 && (value & EptEntry.PAGE) != 0;
      if (leaf ? isBadLeaf(value, at) : (value & (beyond | (at > 30 ? 0xf8 : 0x78))) != 0) {
        return misconfigured(value, at);
      }
      if ((value & EptEntry.READ) == 0
          && ((value & EptEntry.WRITE) != 0
              || !context.eptExecuteOnly
              || leaf && pagingWrite && (value & EptEntry.PAGING_WRITE) != 0)) {
        return misconfigured(value, at);
      }
      long allowed = all & value;
      if (leaf) {
        rights = allowed;
        entry = value;
        shift = at;
        if (shadowStack) {
          if (!isSupervisorShadowStack(all, value)) {
            outcome = Translation.EPT_VIOLATION;
            return FAILED;
          }
        } else {
          if (toEntry && (value & EptEntry.PAGING_WRITE) != 0) {
            // The entries that reference other structures have to allow writes all the same.
            allowed |= all & EptEntry.WRITE;
          }
          if ((need & ~allowed) != 0 && !mayWriteSubPages(gpa)) {
            return FAILED;
          }
        }
        if ((value & refused) != 0) {
          failedVerification = true;
          outcome = Translation.EPT_VIOLATION;
          return FAILED;
        }
        rights = allowed;
      }
      if (mark) {
        long flags =
            leaf && (need & EptEntry.WRITE) != 0
                ? EptEntry.ACCESSED | EptEntry.DIRTY
                : EptEntry.ACCESSED;
        if ((value & flags) != flags) {
          PagingContext.ModificationLog log = context.log;
          if (log != null && log.isFull()) {
            outcome = Translation.LOG_FULL;
            return FAILED;
          }
          if (!memory.compareAndSetLong(where, value, value | flags)) {
            continue;
          }
          entry = value | flags;
          if (log != null && (flags & ~value & EptEntry.DIRTY) != 0) {
            log.add(gpa & -4096L);
          }
        }
      }
      if (leaf) {
        long offset = (1L << at) - 1;
        return value & EptEntry.ADDRESS & ~offset | gpa & offset;
      }
      all = allowed;
      table = value & EptEntry.ADDRESS;
      at -= 9;
    }
  }

  /** Whether a write that the entries of the walk refuse is allowed; else the outcome is set. */
  private boolean mayWriteSubPages(long gpa) {
    outcome = Translation.EPT_VIOLATION;
    if (written == 0 || shift != 12 || (entry & EptEntry.SUB_PAGE_WRITE) == 0) {
      return false;
    }
    SubPages.Outcome found =
        SubPages.look(cursor, context.sppTable, context.physicalBits, gpa, written);
    if (found == SubPages.Outcome.MISS || found == SubPages.Outcome.MISCONFIGURED) {
      outcome = Translation.SPP_EVENT;
      sppMiss = found == SubPages.Outcome.MISS;
    }
    return found == SubPages.Outcome.ALLOWED;
  }

  /**
   * @param above the logical AND of the entries above the leaf
   */
  private static boolean isSupervisorShadowStack(long above, long leaf) {
    return (above & leaf & EptEntry.READ) != 0
        && (above & EptEntry.WRITE) != 0
        && (leaf & EptEntry.SUPERVISOR_SHADOW_STACK) != 0;
  }

  private boolean isBadLeaf(long value, int at) {
    int type = (int) (value >>> EptEntry.MEMORY_TYPE_SHIFT) & 7;
    if ((value & beyond) != 0 || (EptEntry.VALID_MEMORY_TYPES >>> type & 1) == 0) {
      return true;
    }
    return at != 12
        && ((value & EptEntry.ADDRESS & (1L << at) - 1) != 0
            || !(at == 21 ? context.eptPages2m : context.eptPages1g));
  }

  private long absent(long value, int at) {
    entry = value;
    shift = at;
    rights = 0;
    outcome = Translation.EPT_VIOLATION;
    return FAILED;
  }

  private long misconfigured(long value, int at) {
    entry = value;
    shift = at;
    rights = 0;
    outcome = Translation.EPT_MISCONFIGURATION;
    return FAILED;
  }

  /**
   * Bits 6:3 and 14 of the exit qualification of a violation: the rights of the last address, and
   * what its leaf says of shadow stacks.
   */
  public long qualificationRights() {
    long bits = (rights & EptEntry.ALL) << 3;
    if ((context.eptp & EptPointer.SUPERVISOR_SHADOW_STACK) != 0
        && (entry & EptEntry.SUPERVISOR_SHADOW_STACK) != 0
        && EptEntry.isPresent(entry, context.modeBasedExecute)
        && EptEntry.isLeaf(entry, shift)) {
      bits |= EptViolation.SUPERVISOR_SHADOW_STACK_PAGE;
    }
    if (context.modeBasedExecute && (rights & EptEntry.EXECUTE_USER) != 0) {
      bits |= EptViolation.EXECUTABLE_USER;
    }
    return bits;
  }

  /**
   * Whether the page of the last address may be written without a walk that sets its dirty flag.
   */
  public boolean mayWrite() {
    return (rights & EptEntry.WRITE) != 0 && isDirty();
  }

  /** Whether a write to the page of the last address leaves its dirty flag as it is. */
  public boolean isDirty() {
    return (context.eptp & EptPointer.ACCESSED_DIRTY) == 0 || (entry & EptEntry.DIRTY) != 0;
  }
}
