package org.kvm4j.ept.walk;

import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.MemoryCursor;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.memory.WordRecord;
import org.kvm4j.ept.nested.EptEntry;
import org.kvm4j.ept.nested.EptPointer;
import org.kvm4j.ept.nested.EptViolation;
import org.kvm4j.ept.nested.EptWalker;
import org.kvm4j.ept.nested.GuestPhysicalCache;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.GuestEntry;
import org.kvm4j.ept.paging.PageFault;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/**
 * Translates linear addresses to host-physical ones: the guest's paging, each of whose entries is
 * itself found through EPT, if there is EPT. It reads the tables afresh each time; what may be kept
 * is {@link org.kvm4j.ept.tlb.Tlb}'s business.
 *
 * <p>Where the SDM leaves the order to the processor, this one sets the accessed flag of each entry
 * when it goes on to the next, and flags of the leaf only for an access that is allowed; the page
 * fault comes before the EPT violation of the address itself.
 *
 * <p>Nothing is allocated. One per CPU: it keeps what it is about in fields.
 *
 * <p>Source: SDM Chapter 4 "Paging", SDM 29.3 "The Extended Page Table Mechanism (EPT)".
 */
public final class TwoDimensionalWalk {
  private static final int MAY_READ = 1;
  private static final int MAY_WRITE = 2;
  private static final int MAY_FETCH = 4;
  private static final int KEY_DENIES_READ = 8;
  private static final int KEY_DENIES_WRITE = 16;

  private static final long NO_ENTRY = EptWalker.FAILED;

  /** Pages of every size may be cached. */
  private static final int ANY_SIZE = 63;

  /** How an access to a guest paging-structure entry is reported that counts as a write. */
  private static final long READ_WRITE = EptViolation.READ | EptViolation.WRITE;

  private final PhysicalMemory memory;
  private final MemoryCursor cursor;
  private final EptWalker ept;
  private final long[] pdptes = new long[4];

  /**
   * The rights that accesses to guest paging-structure entries need, and how a violation is
   * reported.
   */
  private long entryRights;

  private long entryAccess;

  private long apicPage;

  /** Whether guest-paging verification is enabled. */
  private boolean verifies;

  /** Whether sub-page write permissions apply to the walk. */
  private boolean subPages;

  /** Whether supervisor shadow-stack control is enabled. */
  private boolean supervisorShadowStack;

  /**
   * The logical AND of {@link EptWalker#rights} of all guest paging-structure entries of the walk.
   */
  private long noted;

  /** A walker of tables in a host-physical memory that remembers nothing between walks. */
  public TwoDimensionalWalk(PhysicalMemory memory) {
    this(memory, null, null);
  }

  /**
   * A walker of tables in a host-physical memory for a CPU.
   *
   * @param cache where it keeps the guest-physical mappings of guest paging structures: {@code
   *     Tlb.guestPhysical()}, so that they are invalidated with the rest
   */
  public TwoDimensionalWalk(PhysicalMemory memory, @Nullable GuestPhysicalCache cache) {
    this(memory, cache, null);
  }

  /**
   * @param record receives all entries that a walk reads, which are all it depends on if there is
   *     no cache
   */
  TwoDimensionalWalk(
      PhysicalMemory memory, @Nullable GuestPhysicalCache cache, @Nullable WordRecord record) {
    this.memory = memory;
    this.cursor = new MemoryCursor(memory, record);
    this.ept = new EptWalker(memory, cache, record);
  }

  // ---- Linear addresses

  /**
   * Translates a linear address for an access of one page at most.
   *
   * @param linear the address; canonical, or of 32 bits, which is the caller's to check
   * @param access bits of {@link Access}
   * @param out receives what was found
   * @return whether the outcome is {@link Translation#OK}
   */
  public boolean walk(PagingContext context, long linear, int access, Translation out) {
    cursor.begin();
    cursor.beginRecord();
    return switch (context.mode) {
      case NONE -> walkUnpaged(context, linear, access, out);
      case BITS32 -> walk32(context, linear, access, out);
      case PAE -> {
        long pdpte = context.pdpte[(int) (linear >>> 30) & 3];
        if ((pdpte & GuestEntry.PRESENT) == 0) {
          yield pageFault(context, access, 0, out);
        }
        yield walk64(context, linear, access, out, pdpte, 21, false, ANY_SIZE);
      }
      case LEVEL4 -> walkLevels(context, linear, access, out, 39);
      case LEVEL5 -> walkLevels(context, linear, access, out, 48);
    };
  }

  /** 4- and 5-level paging: HLAT paging or ordinary paging. */
  private boolean walkLevels(
      PagingContext context, long linear, int access, Translation out, int top) {
    return context.isHlat(linear)
        ? walk64(context, linear, access, out, context.hlatp, top, true, ANY_SIZE)
        : walk64(context, linear, access, out, context.cr3, top, false, ANY_SIZE);
  }

  /** Without paging: every linear address is a user-mode, read/write, executable one. */
  private boolean walkUnpaged(PagingContext context, long linear, int access, Translation out) {
    if (context.eptp != 0) {
      begin(context, access);
    }
    out.global = false;
    out.key = -1;
    out.guestPageShift = 12;
    out.guestMemoryType = EptEntry.WRITE_BACK;
    return finish(
        context,
        linear,
        access,
        out,
        MAY_READ | MAY_WRITE | MAY_FETCH,
        12,
        EptViolation.USER_LINEAR | EptViolation.READ_WRITE_LINEAR);
  }

  /**
   * Modes with entries of 8 bytes.
   *
   * @param root refers to the table that {@code top} indexes
   * @param hlat whether this is HLAT paging
   * @param largest log2 of the largest page that may be cached: where HLAT paging was restarted
   */
  private boolean walk64(
      PagingContext context,
      long linear,
      int access,
      Translation out,
      long root,
      int top,
      boolean hlat,
      int largest) {
    boolean nested = context.eptp != 0;
    if (nested) {
      begin(context, access);
    }
    boolean mark = (access & Access.NO_SIDE_EFFECTS) == 0;
    long reserved = ~0L << context.physicalBits & GuestEntry.ADDRESS;
    long table = root & GuestEntry.ADDRESS & ~reserved;
    if (!context.nxe) {
      reserved |= GuestEntry.EXECUTE_DISABLE;
    }
    if (top == 21) {
      reserved |= GuestEntry.PAE_RESERVED;
    }
    // R/W and U/S hold if all entries have them, XD if any has it: gathered inverted, so that one
    // OR does.
    long denied = 0;
    int shift = top;
    // Most entries reference another table and are marked: one comparison tells.
    long usual = mark ? GuestEntry.PRESENT | GuestEntry.ACCESSED : GuestEntry.PRESENT;
    long unusual = usual | reserved | GuestEntry.PAGE_SIZE;
    int ofHlat = 0;
    if (hlat) {
      unusual |= GuestEntry.RESTART;
      ofHlat = PageFault.HLAT;
    }
    while (true) {
      long gpa = table | (linear >>> shift & 0x1ff) << 3;
      long hpa = gpa;
      if (nested) {
        hpa = entryAddress(gpa, out);
        if (hpa == NO_ENTRY) {
          return false;
        }
      }
      long entry = cursor.readLong(hpa);
      if (shift > 12 && (entry & unusual) == usual) {
        denied |= entry ^ (GuestEntry.WRITABLE | GuestEntry.USER);
        table = entry & GuestEntry.ADDRESS;
        shift -= 9;
        continue;
      }
      if ((entry & GuestEntry.PRESENT) == 0) {
        return pageFault(context, access, ofHlat, out);
      }
      boolean leaf =
          shift == 12
              || (entry & GuestEntry.PAGE_SIZE) != 0
                  && (shift == 21 || shift == 30 && context.pages1g);
      long bad =
          leaf
              ? reserved | ((1L << shift) - 1 & ~0x1fffL)
              : shift >= 30 ? reserved | GuestEntry.PAGE_SIZE : reserved;
      if ((entry & bad) != 0) {
        return pageFault(context, access, PageFault.PRESENT | PageFault.RESERVED | ofHlat, out);
      }
      long gathered = denied | entry ^ (GuestEntry.WRITABLE | GuestEntry.USER);
      boolean restarts = hlat && (entry & GuestEntry.RESTART) != 0;
      if (!leaf || restarts) {
        if ((entry & GuestEntry.ACCESSED) == 0 && mark) {
          if (nested) {
            long now = mayMark(gpa, hpa, out);
            if (now != hpa) {
              if (now == NO_ENTRY) {
                return false;
              }
              continue;
            }
          }
          if (!memory.compareAndSetLong(hpa, entry, entry | GuestEntry.ACCESSED)) {
            continue;
          }
        }
        if (restarts) {
          // SDM 4.5.5 "Restart of HLAT Paging": as if there were no HLAT.
          noted = -1;
          return walk64(context, linear, access, out, context.cr3, top, false, shift);
        }
        denied = gathered;
        table = entry & GuestEntry.ADDRESS;
        shift -= 9;
        continue;
      }

      boolean user = (gathered & GuestEntry.USER) == 0;
      int key = top == 21 ? -1 : (int) (entry >>> GuestEntry.PROTECTION_KEY_SHIFT) & 15;
      int rights =
          (access & Access.SHADOW_STACK) != 0
              ? shadowStackRights(context, access, user, isShadowStack(denied, entry), key)
              : rights(
                  context, access, user, (gathered & GuestEntry.WRITABLE) == 0, gathered < 0, key);
      if ((rights & needed(access)) == 0) {
        return rightsFault(context, access, rights, out);
      }
      long flags =
          (access & Access.WRITE) != 0
              ? GuestEntry.ACCESSED | GuestEntry.DIRTY
              : GuestEntry.ACCESSED;
      if ((entry & flags) != flags && mark) {
        if (nested) {
          long now = mayMark(gpa, hpa, out);
          if (now != hpa) {
            if (now == NO_ENTRY) {
              return false;
            }
            continue;
          }
        }
        if (!memory.compareAndSetLong(hpa, entry, entry | flags)) {
          continue;
        }
        entry |= flags;
      }
      if ((entry & GuestEntry.DIRTY) == 0) {
        rights &= ~MAY_WRITE;
      }
      long offset = (1L << shift) - 1;
      int size = Math.min(shift, largest);
      out.global = (entry & GuestEntry.GLOBAL) != 0 && context.pge;
      out.key = user || key < 0 ? key : key + Translation.SUPERVISOR_KEYS;
      out.guestPageShift = size;
      out.guestMemoryType =
          memoryType(context, entry, shift == 12 ? GuestEntry.PAT : GuestEntry.PAT_LARGE);
      return finish(
          context,
          entry & GuestEntry.ADDRESS & ~offset | linear & offset,
          access,
          out,
          rights,
          size,
          (user ? EptViolation.USER_LINEAR : 0)
              | ((gathered & GuestEntry.WRITABLE) == 0 ? EptViolation.READ_WRITE_LINEAR : 0)
              | (gathered < 0 ? EptViolation.EXECUTE_DISABLE_LINEAR : 0));
    }
  }

  /** 32-bit paging: entries of 4 bytes. */
  private boolean walk32(PagingContext context, long linear, int access, Translation out) {
    boolean nested = context.eptp != 0;
    if (nested) {
      begin(context, access);
    }
    boolean mark = (access & Access.NO_SIDE_EFFECTS) == 0;
    long table = context.cr3 & 0xffff_f000L;
    int denied = 0;
    int shift = 22;
    while (true) {
      long gpa = table | (linear >>> shift & 0x3ff) << 2;
      long hpa = gpa;
      if (nested) {
        hpa = entryAddress(gpa, out);
        if (hpa == NO_ENTRY) {
          return false;
        }
      }
      int entry = cursor.readInt(hpa);
      if ((entry & GuestEntry.PRESENT) == 0) {
        return pageFault(context, access, 0, out);
      }
      boolean leaf = shift == 12 || (entry & GuestEntry.PAGE_SIZE) != 0 && context.pse;
      if (leaf && shift == 22 && (entry & GuestEntry.reserved4m(context)) != 0) {
        return pageFault(context, access, PageFault.PRESENT | PageFault.RESERVED, out);
      }
      int gathered = denied | entry ^ (int) (GuestEntry.WRITABLE | GuestEntry.USER);
      if (!leaf) {
        if ((entry & GuestEntry.ACCESSED) == 0 && mark) {
          if (nested) {
            long now = mayMark(gpa, hpa, out);
            if (now != hpa) {
              if (now == NO_ENTRY) {
                return false;
              }
              continue;
            }
          }
          if (!memory.compareAndSetInt(hpa, entry, entry | (int) GuestEntry.ACCESSED)) {
            continue;
          }
        }
        denied = gathered;
        table = entry & 0xffff_f000L;
        shift = 12;
        continue;
      }

      boolean user = (gathered & GuestEntry.USER) == 0;
      boolean writable = (gathered & GuestEntry.WRITABLE) == 0;
      int rights =
          (access & Access.SHADOW_STACK) != 0
              ? shadowStackRights(context, access, user, isShadowStack(denied, entry), -1)
              : rights(context, access, user, writable, false, -1);
      if ((rights & needed(access)) == 0) {
        return rightsFault(context, access, rights, out);
      }
      int flags =
          (int)
              ((access & Access.WRITE) != 0
                  ? GuestEntry.ACCESSED | GuestEntry.DIRTY
                  : GuestEntry.ACCESSED);
      if ((entry & flags) != flags && mark) {
        if (nested) {
          long now = mayMark(gpa, hpa, out);
          if (now != hpa) {
            if (now == NO_ENTRY) {
              return false;
            }
            continue;
          }
        }
        if (!memory.compareAndSetInt(hpa, entry, entry | flags)) {
          continue;
        }
        entry |= flags;
      }
      if ((entry & GuestEntry.DIRTY) == 0) {
        rights &= ~MAY_WRITE;
      }
      long page =
          shift == 12
              ? entry & 0xffff_f000L | linear & 0xfff
              : entry & 0xffc0_0000L | (entry >>> 13 & 0xffL) << 32 | linear & 0x3f_ffff;
      out.global = (entry & GuestEntry.GLOBAL) != 0 && context.pge;
      out.key = -1;
      out.guestPageShift = shift;
      out.guestMemoryType =
          memoryType(context, entry, shift == 12 ? GuestEntry.PAT : GuestEntry.PAT_LARGE);
      return finish(
          context,
          page,
          access,
          out,
          rights,
          shift,
          (user ? EptViolation.USER_LINEAR : 0) | (writable ? EptViolation.READ_WRITE_LINEAR : 0));
    }
  }

  // ---- Guest paging-structure entries

  /**
   * Where the entry at a guest-physical address is, or {@link #NO_ENTRY} with the outcome in out.
   */
  private long entryAddress(long gpa, Translation out) {
    long hpa = ept.walkToEntry(gpa, entryRights);
    if (hpa == EptWalker.FAILED) {
      return entryFailed(gpa, entryAccess, out);
    }
    noted &= ept.rights;
    return (hpa & -0x1000L) == apicPage ? apicAccess(gpa, out) : hpa;
  }

  /** SDM 30.4.6.1 "Guest-Physical Accesses to the APIC-Access Page": never virtualized. */
  private static long apicAccess(long gpa, Translation out) {
    out.outcome = Translation.APIC_ACCESS;
    out.gpa = gpa;
    out.pagingStructureAccess = true;
    out.qualification = Translation.GUEST_PHYSICAL_ACCESS;
    return NO_ENTRY;
  }

  /** Prepares for accesses through EPT. */
  private void begin(PagingContext context, int access) {
    ept.begin(context, (access & Access.NO_SIDE_EFFECTS) == 0);
    apicPage = context.apicPage;
    verifies = context.guestPagingVerification && context.eptPagingWrite;
    subPages = context.subPageWrite;
    noted = -1;
    supervisorShadowStack = (context.eptp & EptPointer.SUPERVISOR_SHADOW_STACK) != 0;
    boolean asWrite = (context.eptp & EptPointer.ACCESSED_DIRTY) != 0;
    entryRights = asWrite ? EptEntry.READ | EptEntry.WRITE : EptEntry.READ;
    entryAccess = asWrite ? READ_WRITE : EptViolation.READ;
  }

  /**
   * Where the entry that was found last may be written, to set its flags: where it is, or elsewhere
   * if what is cached is stale, or {@link #NO_ENTRY} with the outcome in out.
   */
  private long mayMark(long gpa, long hpa, Translation out) {
    if ((ept.rights & EptEntry.WRITE) != 0) {
      return hpa;
    }
    long now = ept.walkToEntryAfresh(gpa, EptEntry.READ | EptEntry.WRITE);
    return now == EptWalker.FAILED ? entryFailed(gpa, READ_WRITE, out) : now;
  }

  private long entryFailed(long gpa, long kind, Translation out) {
    out.outcome = ept.outcome;
    out.gpa = gpa;
    out.pagingStructureAccess = true;
    out.qualification = kind | ept.qualificationRights() | EptViolation.LINEAR_VALID;
    out.suppressesVe = (ept.entry & EptEntry.SUPPRESS_VE) != 0;
    return NO_ENTRY;
  }

  // ---- Rights

  private static int needed(int access) {
    return (access & Access.FETCH) != 0
        ? MAY_FETCH
        : (access & Access.WRITE) != 0 ? MAY_WRITE : MAY_READ;
  }

  /**
   * What the privilege of an access may do with a page.
   *
   * <p>Source: SDM 4.6.1 "Determination of Access Rights", SDM 4.6.2 "Protection Keys".
   *
   * @param user whether the linear address is a user-mode address
   * @param key its protection key, -1 in modes without
   */
  private static int rights(
      PagingContext context,
      int access,
      boolean user,
      boolean writable,
      boolean noExecute,
      int key) {
    boolean userAccess = (access & (Access.USER | Access.IMPLICIT)) == Access.USER;
    int rights = 0;
    if (userAccess) {
      if (user) {
        rights = MAY_READ | (writable ? MAY_WRITE : 0) | (noExecute ? 0 : MAY_FETCH);
      }
    } else {
      if (!user || !context.smap || (access & (Access.AC | Access.IMPLICIT)) == Access.AC) {
        rights = writable || !context.wp ? MAY_READ | MAY_WRITE : MAY_READ;
      }
      if (!noExecute && !(user && context.smep)) {
        rights |= MAY_FETCH;
      }
    }
    return key >= 0 && (user ? context.pke : context.pks)
        ? keyRights(context, userAccess, user, key, rights)
        : rights;
  }

  /**
   * Whether a leaf maps a shadow-stack page: it has R/W clear and D set, where all entries above
   * have R/W set.
   *
   * @param denied what the entries above deny
   */
  private static boolean isShadowStack(long denied, long leaf) {
    return ((denied | leaf) & GuestEntry.WRITABLE) == 0 && (leaf & GuestEntry.DIRTY) != 0;
  }

  /**
   * What a shadow-stack access may do with a page: all, with a shadow-stack page of its own
   * privilege that its protection key does not deny.
   *
   * <p>Source: SDM 4.6.1 "Determination of Access Rights", SDM 4.6.2 "Protection Keys".
   */
  private static int shadowStackRights(
      PagingContext context, int access, boolean user, boolean shadowStack, int key) {
    boolean userAccess = (access & (Access.USER | Access.IMPLICIT)) == Access.USER;
    int rights = shadowStack && user == userAccess ? MAY_READ | MAY_WRITE : 0;
    return key >= 0 && (user ? context.pke : context.pks)
        ? keyRights(context, userAccess, user, key, rights)
        : rights;
  }

  private static int keyRights(
      PagingContext context, boolean userAccess, boolean user, int key, int rights) {
    int key2 = (user ? context.pkru : context.pkrs) >>> 2 * key;
    if ((key2 & 1) != 0) {
      return rights & ~(MAY_READ | MAY_WRITE) | KEY_DENIES_READ | KEY_DENIES_WRITE;
    }
    if ((key2 & 2) != 0 && (userAccess || context.wp)) {
      return rights & ~MAY_WRITE | KEY_DENIES_WRITE;
    }
    return rights;
  }

  private static boolean rightsFault(
      PagingContext context, int access, int rights, Translation out) {
    int code = PageFault.PRESENT;
    if ((access & Access.FETCH) == 0) {
      int denies = (access & Access.WRITE) != 0 ? KEY_DENIES_WRITE : KEY_DENIES_READ;
      if ((rights & denies) != 0) {
        code |= PageFault.PROTECTION_KEY;
      }
    }
    return pageFault(context, access, code, out);
  }

  private static boolean pageFault(PagingContext context, int access, int code, Translation out) {
    int errorCode = code | access & (Access.WRITE | Access.SHADOW_STACK);
    if ((access & (Access.USER | Access.IMPLICIT)) == Access.USER) {
      errorCode |= PageFault.USER;
    }
    if ((access & Access.FETCH) != 0
        && (context.smep || context.nxe && context.mode != PagingMode.BITS32)) {
      errorCode |= PageFault.FETCH;
    }
    out.outcome = Translation.PAGE_FAULT;
    out.errorCode = errorCode;
    out.pagingStructureAccess = false;
    return false;
  }

  private static int memoryType(PagingContext context, long entry, long patBit) {
    int index = (int) (entry >>> 3) & 3 | ((entry & patBit) != 0 ? 4 : 0);
    return (int) (context.pat >>> 8 * index) & 7;
  }

  // ---- The address itself

  private boolean finish(
      PagingContext context,
      long gpa,
      int access,
      Translation out,
      int rights,
      int shift,
      long linearInformation) {
    out.gpa = gpa;
    out.pagingStructureAccess = false;
    if (context.eptp == 0) {
      out.outcome = Translation.OK;
      out.hpa = gpa;
      out.pageShift = shift;
      out.mayRead = (rights & MAY_READ) != 0;
      out.mayWrite = (rights & MAY_WRITE) != 0;
      out.mayFetch = (rights & MAY_FETCH) != 0;
      out.eptMemoryType = EptEntry.WRITE_BACK;
      out.eptIgnorePat = false;
      return true;
    }
    long execute =
        context.modeBasedExecute && (linearInformation & EptViolation.USER_LINEAR) != 0
            ? EptEntry.EXECUTE_USER
            : EptEntry.EXECUTE;
    if (!nested(gpa, access, execute, out)) {
      if (out.outcome == Translation.SPP_EVENT) {
        return false;
      }
      out.qualification |= EptViolation.LINEAR_VALID | EptViolation.TRANSLATED;
      if (context.eptAdvancedInformation) {
        out.qualification |= linearInformation;
      }
      return false;
    }
    out.mayRead &= (rights & MAY_READ) != 0;
    out.mayWrite &= (rights & MAY_WRITE) != 0;
    out.mayFetch &= (rights & MAY_FETCH) != 0;
    out.pageShift = Math.min(out.pageShift, shift);
    return true;
  }

  // ---- Guest-physical addresses

  /**
   * Translates a guest-physical address that is not the translation of a linear one. With
   * mode-based execute control, a fetch is one from a supervisor-mode linear address.
   *
   * @param access {@link Access#WRITE}, {@link Access#FETCH} or neither, and {@link
   *     Access#NO_SIDE_EFFECTS}
   * @param out receives what was found; a violation's qualification has no linear address
   * @return whether the outcome is {@link Translation#OK}
   */
  public boolean nested(PagingContext context, long gpa, int access, Translation out) {
    out.gpa = gpa;
    out.pagingStructureAccess = false;
    out.global = false;
    out.key = -1;
    out.guestPageShift = 12;
    out.guestMemoryType = EptEntry.WRITE_BACK;
    if (context.eptp == 0) {
      out.outcome = Translation.OK;
      out.hpa = gpa;
      out.pageShift = 12;
      out.mayRead = true;
      out.mayWrite = true;
      out.mayFetch = true;
      out.eptMemoryType = EptEntry.WRITE_BACK;
      out.eptIgnorePat = false;
      return true;
    }
    begin(context, access);
    subPages = false;
    return nested(gpa, access, EptEntry.EXECUTE, out);
  }

  private boolean nested(long gpa, int access, long execute, Translation out) {
    long need;
    long kind;
    if ((access & Access.FETCH) != 0) {
      need = execute;
      kind = EptViolation.FETCH;
    } else if ((access & Access.WRITE) != 0) {
      need = EptEntry.WRITE;
      kind = EptViolation.WRITE;
      if (subPages) {
        ept.heedSubPages(Access.length(access));
      }
    } else {
      need = EptEntry.READ;
      kind = EptViolation.READ;
    }
    boolean shadowStack =
        (access & (Access.SHADOW_STACK | Access.USER)) == Access.SHADOW_STACK
            && supervisorShadowStack;
    boolean unverified = verifies && (noted & EptEntry.PAGING_WRITE) == 0;
    long hpa =
        unverified
            ? ept.walkUnverified(gpa, need, shadowStack)
            : shadowStack ? ept.walkSupervisorShadowStack(gpa, need) : ept.walk(gpa, need);
    if (hpa == EptWalker.FAILED) {
      out.outcome = ept.outcome;
      if (out.outcome == Translation.SPP_EVENT) {
        out.qualification = ept.sppMiss ? Translation.SPP_MISS : 0;
        return false;
      }
      out.qualification = kind | ept.qualificationRights();
      if ((access & Access.SHADOW_STACK) != 0) {
        out.qualification |= EptViolation.SHADOW_STACK;
      }
      if (unverified && ept.failedVerification) {
        out.qualification |= EptViolation.GUEST_PAGING_VERIFICATION;
      }
      out.suppressesVe = (ept.entry & EptEntry.SUPPRESS_VE) != 0;
      return false;
    }
    long rights = ept.rights;
    long entry = ept.entry;
    out.outcome = Translation.OK;
    out.hpa = hpa;
    out.pageShift = ept.shift;
    out.mayRead = (rights & EptEntry.READ) != 0;
    out.mayWrite = shadowStack ? ept.isDirty() : ept.mayWrite();
    out.mayFetch = (rights & execute) != 0;
    out.eptMemoryType = (int) (entry >>> EptEntry.MEMORY_TYPE_SHIFT) & 7;
    out.eptIgnorePat = (entry & EptEntry.IGNORE_PAT) != 0;
    return true;
  }

  // ---- PDPTE registers

  /**
   * Reads the four PDPTEs that CR3 refers to, as a processor does that loads its PDPTE registers.
   *
   * <p>Source: SDM 4.4.1 "PDPTE Registers".
   *
   * @param cr3 the value that is going into CR3, or is in it
   * @param out receives the four entries; unchanged unless all are good
   * @param translation receives why not: {@link Translation#EPT_VIOLATION} or {@link
   *     Translation#EPT_MISCONFIGURATION}, which has no linear address, or {@link
   *     Translation#PAGE_FAULT} for a reserved bit, which is a general-protection exception with
   *     error code 0
   * @return whether all are good
   */
  public boolean loadPdptes(PagingContext context, long cr3, long[] out, Translation translation) {
    cursor.begin();
    long gpa = cr3 & 0xffff_ffe0L;
    long hpa = gpa;
    if (context.eptp != 0) {
      begin(context, Access.READ);
      // Not as a write, whatever the EPTP: SDM 29.3.3.2 "EPT Violations".
      entryRights = EptEntry.READ;
      entryAccess = EptViolation.READ;
      hpa = entryAddress(gpa, translation);
      if (hpa == NO_ENTRY) {
        translation.qualification &= ~EptViolation.LINEAR_VALID;
        return false;
      }
    }
    long reserved = GuestEntry.reservedPdpte(context);
    for (int i = 0; i < 4; i++) {
      long entry = cursor.readLong(hpa + 8 * i);
      if ((entry & GuestEntry.PRESENT) != 0 && (entry & reserved) != 0) {
        translation.outcome = Translation.PAGE_FAULT;
        translation.errorCode = PageFault.PRESENT | PageFault.RESERVED;
        translation.gpa = gpa + 8 * i;
        translation.pagingStructureAccess = true;
        return false;
      }
      pdptes[i] = entry;
    }
    System.arraycopy(pdptes, 0, out, 0, 4);
    translation.outcome = Translation.OK;
    return true;
  }
}
