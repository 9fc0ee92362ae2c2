package org.kvm4j.ept.tlb;

import java.lang.invoke.VarHandle;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.Bank;
import org.kvm4j.ept.memory.HostMemory;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.nested.GuestPhysicalCache;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/**
 * The translation caches of one logical processor, tagged as hardware tags them: each combination
 * of VPID, EPT root and PCID has a {@link TlbSpace} of its own, so that a switch of context costs a
 * pointer and keeps what was cached. A translation stays, however stale, until an operation that
 * invalidates it architecturally is performed (or until its slot is needed): guests and hypervisors
 * that forget an invalidation are found out, as on hardware.
 *
 * <p>Mappings that the SDM tells apart are kept in these spaces:
 *
 * <ul>
 *   <li>linear mappings: EPT root 0;
 *   <li>combined mappings: the EPT root of EPTP bits 51:12 (the EPTRTA);
 *   <li>guest-physical mappings, which serve while CR0.PG = 0: PCID {@link #UNPAGED}, VPID 0.
 * </ul>
 *
 * <p>For one thread, the processor's; {@link #dropWriteTags} alone may be called by any.
 *
 * <p>Source: SDM 4.10 "Caching Translation Information" and SDM 29.4 "Caching Translation
 * Information" (of the VMX chapter on address translation).
 */
public final class Tlb {
  /** Stands for the PCID of accesses while paging is off. */
  public static final int UNPAGED = 0x1000;

  /** INVPCID type: one address of one PCID, globals kept. */
  public static final int INVPCID_ADDRESS = 0;

  /** INVPCID type: one PCID, globals kept. */
  public static final int INVPCID_CONTEXT = 1;

  /** INVPCID type: all PCIDs and globals. */
  public static final int INVPCID_ALL = 2;

  /** INVPCID type: all PCIDs, globals kept. */
  public static final int INVPCID_ALL_NON_GLOBAL = 3;

  /** INVVPID type: one address of one VPID. */
  public static final int INVVPID_ADDRESS = 0;

  /** INVVPID type: one VPID. */
  public static final int INVVPID_CONTEXT = 1;

  /** INVVPID type: all VPIDs but 0. */
  public static final int INVVPID_ALL = 2;

  /** INVVPID type: one VPID, globals kept. */
  public static final int INVVPID_CONTEXT_NON_GLOBAL = 3;

  /** INVEPT type: one EPT root. */
  public static final int INVEPT_CONTEXT = 1;

  /** INVEPT type: all EPT roots. */
  public static final int INVEPT_ALL = 2;

  private static final long EPT_ROOT = 0x000f_ffff_ffff_f000L;
  private static final int DEFAULT_SPACES = 32;
  private static final int FILTER_BITS = 1 << 13;
  private static final long CR4_PAE = 1L << 5;
  private static final long CR4_PGE = 1L << 7;
  private static final long CR4_LA57 = 1L << 12;
  private static final long CR4_PCIDE = 1L << 17;
  private static final long CR4_SMEP = 1L << 20;
  private static final long CR0_PG = 1L << 31;

  private final @Nullable TlbSpace[] spaces;
  private final GuestPhysicalCache guestPhysical = new GuestPhysicalCache();

  /** Pages that may have a write tag, hashed: what {@link #dropWriteTags} need not look for. */
  private final long[] writable = new long[FILTER_BITS / 64];

  private int count;
  private long clock;
  private @Nullable TlbSpace last;

  /** Counts what has dropped global translations of fetched pages, or may have. */
  int globalGeneration;

  private long fills;
  private long flushes;

  private static final long NO_PAGE = 1;

  // The last EPT violation, and how much had been cached before it: while no more has been, what
  // the same one would drop is not there.
  private @Nullable TlbSpace violatedSpace;
  private long violatedFrame;
  private long violatedPage;
  private long cachedBefore;

  /** A TLB for as many address-space contexts as a system switches between. */
  public Tlb() {
    this(DEFAULT_SPACES);
  }

  /**
   * A TLB.
   *
   * @param spaces how many address-space contexts are kept, at least 2; the one used least recently
   *     gives way
   */
  public Tlb(int spaces) {
    if (spaces < 2) {
      throw new IllegalArgumentException(spaces + " address-space contexts: at least 2");
    }
    this.spaces = new TlbSpace[spaces];
  }

  /** Guest-physical mappings of guest paging structures, for the walk of the same processor. */
  public GuestPhysicalCache guestPhysical() {
    return guestPhysical;
  }

  // ---- Contexts

  /**
   * The translations of a context. They stay the current ones, and {@link #fill} may be called for
   * them, until another context is selected.
   *
   * @param vpid VPID, 0 outside VMX non-root operation or without VPIDs
   * @param eptp EPTP, 0 without EPT
   * @param pcid PCID, 0 while CR4.PCIDE = 0, {@link #UNPAGED} while CR0.PG = 0
   */
  public TlbSpace select(int vpid, long eptp, int pcid) {
    int tag = pcid == UNPAGED ? 0 : vpid;
    long root = root(eptp);
    TlbSpace space = last;
    if (space == null || space.vpid != tag || space.eptRoot != root || space.pcid != pcid) {
      space = find(tag, root, pcid);
      last = space;
    }
    space.lastUse = ++clock;
    return space;
  }

  /**
   * The translations of a context, with the rights that the paging context gives now. To be called
   * whenever a control bit, CR3, PKRU or EPT changed: entries carry the rights that were computed
   * when they were filled, and those of a space whose rights changed since are dropped (of PKRU and
   * IA32_PKRS, those whose key's rights changed).
   *
   * @param pcid PCID, 0 while CR4.PCIDE = 0
   */
  public TlbSpace select(int vpid, int pcid, PagingContext context) {
    TlbSpace space = select(vpid, context.eptp, context.mode == PagingMode.NONE ? UNPAGED : pcid);
    int rights = context.rights();
    int pkru = context.pke ? context.pkru : 0;
    int pkrs = context.pks ? context.pkrs : 0;
    if (space.rights != rights) {
      space.clear();
      space.rights = rights;
      space.pkru = pkru;
      space.pkrs = pkrs;
    } else if (space.pkru != pkru || space.pkrs != pkrs) {
      space.clearKeys((space.pkru ^ pkru) & 0xffffffffL | (long) (space.pkrs ^ pkrs) << 32);
      space.pkru = pkru;
      space.pkrs = pkrs;
    }
    return space;
  }

  private static long root(long eptp) {
    return eptp == 0 ? 0 : eptp & EPT_ROOT | 1;
  }

  private TlbSpace find(int vpid, long root, int pcid) {
    TlbSpace oldest = null;
    TlbSpace unused = null;
    for (int i = 0; i < count; i++) {
      TlbSpace space = space(i);
      if (space.vpid == vpid && space.eptRoot == root && space.pcid == pcid) {
        return space;
      }
      if (oldest == null || space.lastUse < oldest.lastUse) {
        oldest = space;
      }
      if (space.isEmpty()) {
        unused = space;
      }
    }
    if (unused != null) {
      // A processor passes through contexts, of reset and of its host, without an access.
      oldest = unused;
    } else if (oldest == null || count < spaces.length) {
      TlbSpace space = new TlbSpace(this, vpid, root, pcid);
      spaces[count++] = space;
      return space;
    }
    oldest.renew();
    oldest.vpid = vpid;
    oldest.eptRoot = root;
    oldest.pcid = pcid;
    return oldest;
  }

  private TlbSpace space(int index) {
    TlbSpace space = spaces[index];
    if (space == null) {
      throw new IllegalStateException("no space " + index);
    }
    return space;
  }

  /**
   * A number that is another one whenever global translations that code was fetched by have been
   * dropped, in whatever space. Until then they serve all PCIDs of a VPID and EPT root (SDM
   * 4.10.2.4 "Global Pages").
   */
  public int globalGeneration() {
    return globalGeneration;
  }

  // ---- Filling

  /**
   * Caches a translation for one page of 4 KBytes, whatever the size of the page that it is a part
   * of. Stores to a page that holds code are not let through on the fast path.
   *
   * @param space the current space
   * @param which the array of that space for the privilege that the walk was made with
   * @param linear any address of the page
   * @param translation what the walk found; its outcome is OK
   * @return false if there is no memory at the host-physical address, so that nothing was cached
   */
  public boolean fill(
      TlbSpace space,
      TlbEntry[] which,
      long linear,
      Translation translation,
      PhysicalMemory memory) {
    long hpa = translation.hpa & -0x1000L;
    Bank bank = memory.bankOfPage(hpa);
    if (bank == null) {
      return false;
    }
    long page = linear & -0x1000L;
    Slots slots = space.slots(which);
    slots.large.put(linear, translation);
    TlbEntry entry = slots.take(page);
    checkMoved(slots, memory);
    entry.page = page;
    entry.bank = bank.buffer();
    entry.offset = (int) hpa & PhysicalMemory.BANK_MASK;
    if (HostMemory.IN_USE) {
      entry.toHost = bank.hostAddress(entry.offset) - page;
    }
    entry.hpa = hpa;
    entry.gpa = translation.gpa & -0x1000L;
    entry.global = translation.global;
    entry.key = translation.key;
    entry.guestPageShift = translation.guestPageShift;
    entry.readTag = translation.mayRead ? page : TlbEntry.INVALID;
    entry.fetchTag = translation.mayFetch ? page : TlbEntry.INVALID;
    entry.fetched = false;
    if (translation.mayWrite && !memory.holdsCode(hpa)) {
      int bit = filterBit(hpa);
      writable[bit >>> 6] |= 1L << bit;
      entry.writeTag = page;
      entry.publish();
      checkWriteTag(entry, memory);
    } else {
      entry.writeTag = TlbEntry.INVALID;
      entry.publish();
    }
    if (translation.guestPageShift > 12) {
      space.largePages.add(linear, translation.guestPageShift);
    }
    fills++;
    return true;
  }

  /**
   * Has a translation be what a walk would find, if the address is in a large page that another
   * part of has been translated. Whether the access is allowed is to be asked of the translation,
   * and where it is not a walk is to be made.
   *
   * @param space the current space
   * @param which the array of that space that the access has looked in
   * @return false if that is not known
   */
  public boolean findLarge(TlbSpace space, TlbEntry[] which, long linear, Translation translation) {
    return space.slots(which).large.find(linear, translation);
  }

  /**
   * Looks for what is cached for a page; what had to give way is put back where accesses look.
   *
   * @param space the current space
   * @param which the array of that space that the access has looked in
   * @param linear any address of the page
   * @return the entry, whatever its tags allow; null if there is none
   */
  public @Nullable TlbEntry recall(
      TlbSpace space, TlbEntry[] which, long linear, PhysicalMemory memory) {
    long page = linear & -0x1000L;
    TlbEntry there = which[TlbSpace.index(linear)];
    if (there.page == page) {
      return there;
    }
    Slots slots = space.slots(which);
    TlbEntry entry = slots.recall(page);
    if (entry != null) {
      checkWriteTag(entry, memory);
      checkMoved(slots, memory);
    }
    return entry;
  }

  /**
   * As {@link #recall}, but leaves everything where it is: for those who look at two pages, which
   * may share a slot.
   *
   * @param which an array
   * @return the entry of the page, or another
   */
  public static TlbEntry peek(TlbEntry[] which, long linear) {
    long page = linear & -0x1000L;
    TlbEntry there = which[TlbSpace.index(linear)];
    for (int victim = TlbSpace.SIZE; there.page != page && victim < which.length; victim++) {
      there = which[victim];
    }
    return there;
  }

  /**
   * An entry with a write tag has got to where it is now. Pairs with the fence in dropWriteTags:
   * either that sees this tag, or this sees the mark.
   */
  private static void checkWriteTag(TlbEntry entry, PhysicalMemory memory) {
    VarHandle.fullFence();
    if (memory.holdsCode(entry.hpa)) {
      entry.hideFromStores();
    }
  }

  private static void checkMoved(Slots slots, PhysicalMemory memory) {
    TlbEntry moved = slots.moved;
    if (moved != null && moved.writeTag != TlbEntry.INVALID) {
      checkWriteTag(moved, memory);
    }
  }

  private static int filterBit(long hpaPage) {
    return (int) ((hpaPage >>> 12) * 0x9e3779b97f4a7c15L >>> 51);
  }

  /**
   * Makes stores to a host-physical page leave the fast path, in every space. To be called on every
   * processor's TLB after {@link PhysicalMemory#markCode}, by any thread.
   */
  public void dropWriteTags(long hpaPage) {
    VarHandle.fullFence();
    long page = hpaPage & -0x1000L;
    int bit = filterBit(page);
    if ((writable[bit >>> 6] & 1L << bit) == 0) {
      return;
    }
    for (TlbSpace space : spaces) {
      if (space == null) {
        return;
      }
      space.clearWriteTags(page);
    }
  }

  // ---- Paging's own invalidations (SDM 4.10.4 "Invalidation of TLBs and
  // Paging-Structure Caches"): for the current VPID, and all EPT roots.

  /**
   * INVLPG: the address in the current PCID, and global translations of it in all PCIDs; of a page
   * larger than 4 KBytes, all of it.
   */
  public void invalidateLinear(int vpid, int pcid, long linear) {
    for (int i = 0; i < count; i++) {
      TlbSpace space = space(i);
      if (space.vpid == vpid && space.pcid != UNPAGED) {
        space.clearLinear(linear, true, space.pcid == pcid);
      }
    }
  }

  /**
   * What a write of CR3 that is to invalidate does: the PCID's translations that are not global.
   */
  public void flushNonGlobal(int vpid, int pcid) {
    for (int i = 0; i < count; i++) {
      TlbSpace space = space(i);
      if (space.vpid == vpid && space.pcid == pcid) {
        space.clearNonGlobal();
      }
    }
    flushes++;
  }

  /** All translations of a VPID, global ones and all PCIDs included. */
  public void flushAll(int vpid) {
    for (int i = 0; i < count; i++) {
      TlbSpace space = space(i);
      if (space.vpid == vpid && space.pcid != UNPAGED) {
        space.clear();
      }
    }
    flushes++;
  }

  /** All translations of one PCID of a VPID, global ones included. */
  public void flushContext(int vpid, int pcid) {
    for (int i = 0; i < count; i++) {
      TlbSpace space = space(i);
      if (space.vpid == vpid && space.pcid == pcid) {
        space.clear();
      }
    }
    flushes++;
  }

  /** Everything, as after reset. */
  public void flushAll() {
    for (int i = 0; i < count; i++) {
      space(i).clear();
    }
    guestPhysical.invalidateAll();
    Arrays.fill(writable, 0);
    flushes++;
  }

  /**
   * MOV to CR3.
   *
   * @param value the source operand, with its bit 63
   * @param pcide CR4.PCIDE
   * @return the PCID that is the current one now
   */
  public int movToCr3(int vpid, long value, boolean pcide) {
    int pcid = pcide ? (int) value & 0xfff : 0;
    if (!pcide || value >= 0) {
      flushNonGlobal(vpid, pcid);
    }
    return pcid;
  }

  /** MOV to CR0, or what else changes it: clearing CR0.PG invalidates everything of the VPID. */
  public void movToCr0(int vpid, long before, long after) {
    if ((before & CR0_PG) != 0 && (after & CR0_PG) == 0) {
      flushAll(vpid);
    }
  }

  /**
   * MOV to CR4.
   *
   * @param pcid the current PCID before the write
   */
  public void movToCr4(int vpid, int pcid, long before, long after) {
    long changed = before ^ after;
    if ((changed & (CR4_PGE | CR4_LA57)) != 0 || (changed & before & CR4_PCIDE) != 0) {
      flushAll(vpid);
    } else if ((changed & CR4_PAE) != 0 || (changed & after & CR4_SMEP) != 0) {
      flushContext(vpid, pcid);
    }
  }

  /**
   * INVPCID.
   *
   * <p>Source: SDM 3.3 (volume 2) "Instructions (A-L)", INVPCID.
   *
   * @param type 0 to 3
   * @param pcid the descriptor's PCID, for types 0 and 1
   * @param linear the descriptor's linear address, for type 0
   */
  public void invpcid(int vpid, int type, int pcid, long linear) {
    for (int i = 0; i < count; i++) {
      TlbSpace space = space(i);
      if (space.vpid != vpid || space.pcid == UNPAGED) {
        continue;
      }
      switch (type) {
        case INVPCID_ADDRESS -> {
          if (space.pcid == pcid) {
            space.clearLinear(linear, false, true);
          }
        }
        case INVPCID_CONTEXT -> {
          if (space.pcid == pcid) {
            space.clearNonGlobal();
          }
        }
        case INVPCID_ALL -> space.clear();
        case INVPCID_ALL_NON_GLOBAL -> space.clearNonGlobal();
        default -> throw new IllegalArgumentException("INVPCID type " + type);
      }
    }
    flushes++;
  }

  /**
   * A page fault: what would translate the address is dropped.
   *
   * <p>Source: SDM 4.10.4.1 "Operations that Invalidate TLBs and Paging-Structure Caches".
   */
  public void pageFault(TlbSpace space, long linear) {
    space.clearLinear(linear, true, true);
  }

  // ---- Invalidations of VMX operation (SDM 29.4.3 "Invalidating Cached
  // Translation
  // Information").

  /**
   * INVVPID.
   *
   * <p>Source: SDM 31.3 "VMX Instructions", "INVVPID—Invalidate Translations Based on VPID".
   *
   * @param type 0 to 3
   * @param vpid the descriptor's VPID, for types 0, 1 and 3
   * @param linear the descriptor's linear address, for type 0
   */
  public void invvpid(int type, int vpid, long linear) {
    for (int i = 0; i < count; i++) {
      TlbSpace space = space(i);
      if (space.pcid == UNPAGED || (type == INVVPID_ALL ? space.vpid == 0 : space.vpid != vpid)) {
        continue;
      }
      switch (type) {
        case INVVPID_ADDRESS -> space.clearLinear(linear, true, true);
        case INVVPID_CONTEXT, INVVPID_ALL -> space.clear();
        case INVVPID_CONTEXT_NON_GLOBAL -> space.clearNonGlobal();
        default -> throw new IllegalArgumentException("INVVPID type " + type);
      }
    }
    flushes++;
  }

  /**
   * INVEPT: combined and guest-physical mappings of every VPID and PCID.
   *
   * <p>Source: SDM 31.3 "VMX Instructions", "INVEPT—Invalidate Translations Derived from EPT".
   *
   * @param type 1 or 2
   * @param eptp the descriptor's EPTP, for type 1
   */
  public void invept(int type, long eptp) {
    if (type != INVEPT_CONTEXT && type != INVEPT_ALL) {
      throw new IllegalArgumentException("INVEPT type " + type);
    }
    if (type == INVEPT_ALL) {
      guestPhysical.invalidateAll();
    } else {
      guestPhysical.invalidateRoot(eptp);
    }
    long root = eptp & EPT_ROOT | 1;
    for (int i = 0; i < count; i++) {
      TlbSpace space = space(i);
      if (space.eptRoot != 0 && (type == INVEPT_ALL || space.eptRoot == root)) {
        space.clear();
      }
    }
    flushes++;
  }

  /** VM entries and VM exits while "enable VPID" is 0: linear and combined mappings of VPID 0. */
  public void vmTransitionWithoutVpid() {
    flushAll(0);
  }

  /**
   * An EPT violation: what would translate the guest-physical address, and the linear address in
   * the current context.
   *
   * @param space the current space
   * @param linearValid whether the access was to the translation of a linear address
   */
  public void eptViolation(TlbSpace space, long gpa, boolean linearValid, long linear) {
    long linearPage = linearValid ? linear & -0x1000L : NO_PAGE;
    long cached = fills + guestPhysical.puts();
    if (cached == cachedBefore
        && space == violatedSpace
        && gpa >>> 12 == violatedFrame
        && linearPage == violatedPage) {
      return;
    }
    cachedBefore = cached;
    violatedSpace = space;
    violatedFrame = gpa >>> 12;
    violatedPage = linearPage;
    guestPhysical.invalidate(gpa);
    if (linearValid) {
      space.clearMapping(linear);
    }
    for (int i = 0; i < count; i++) {
      TlbSpace other = space(i);
      if (other.pcid == UNPAGED
          && other.eptRoot == space.eptRoot
          && (other != space || !linearValid)) {
        // Without paging a linear address is the guest-physical one.
        other.clearMapping(gpa);
      }
    }
  }

  // ---- Statistics

  /** How many translations were cached. */
  public long fills() {
    return fills;
  }

  /** How many operations invalidated more than an address. */
  public long flushes() {
    return flushes;
  }

  /** How many translations are cached now, in all spaces. */
  public int live() {
    int live = 0;
    for (int i = 0; i < count; i++) {
      live += space(i).live();
    }
    return live;
  }

  /** How many contexts have a space now. */
  public int contexts() {
    return count;
  }
}
