package org.kvm4j.ept.tlb;

import org.jspecify.annotations.Nullable;

/**
 * The translations of one address-space context: one combination of VPID, EPT root and PCID. An
 * address has one slot in each array, at {@link #index}; the arrays differ in the privilege that
 * their entries' tags were computed for. No slot is ever null.
 */
public final class TlbSpace {
  /** Slots that addresses have, in each array. */
  public static final int SIZE = 1024;

  /** Slots in which nothing is ever cached: who looks here takes the slow path each time. */
  public static final TlbEntry[] EMPTY = Slots.newArray();

  private static final int SUPERVISOR = 0;
  private static final int USER = 1;
  private static final int SUPERVISOR_AC = 2;
  private static final int SUPERVISOR_SHADOW_STACK = 3;
  private static final int USER_SHADOW_STACK = 4;

  /** Supervisor-mode accesses without EFLAGS.AC, and implicit ones. */
  public final TlbEntry[] supervisor;

  int vpid;
  long eptRoot;
  int pcid;

  /** When this space was last selected. */
  long lastUse;

  /**
   * The slots of each array; null if nobody has asked for it. Whoever drops write tags from another
   * thread may find null where there are some already: these have no entry then that it would have
   * to see ({@link Tlb#dropWriteTags}).
   */
  private final @Nullable Slots[] all = new Slots[5];

  /** Guest pages larger than 4 KBytes that entries are parts of. */
  final LargePages largePages = new LargePages();

  /** The rights that the entries' tags were computed with. */
  int rights;

  private final Tlb tlb;

  /**
   * The pages, none of them global, that code may have been fetched from since that was forgotten.
   */
  private final FetchedPages fetched = new FetchedPages();

  /** The global ones, of which other spaces' code may be, too. */
  private final FetchedPages fetchedGlobals = new FetchedPages();

  /** Counts what has dropped translations of fetched pages, or may have. */
  private int generation;

  int pkru;
  int pkrs;

  TlbSpace(Tlb tlb, int vpid, long eptRoot, int pcid) {
    this.tlb = tlb;
    this.vpid = vpid;
    this.eptRoot = eptRoot;
    this.pcid = pcid;
    this.supervisor = array(SUPERVISOR);
  }

  /** Explicit supervisor-mode data accesses with EFLAGS.AC set while CR4.SMAP is. */
  public TlbEntry[] supervisorAc() {
    return array(SUPERVISOR_AC);
  }

  /** User-mode accesses. */
  public TlbEntry[] user() {
    return array(USER);
  }

  private TlbEntry[] array(int index) {
    Slots slots = all[index];
    if (slots == null) {
      slots = new Slots();
      all[index] = slots;
    }
    return slots.entries;
  }

  /**
   * Where the tags of an array are, as {@link TagTable} has them: from now on, if they have been
   * nowhere so far.
   *
   * @param which an array of this space, or {@link #EMPTY}
   */
  public long table(TlbEntry[] which) {
    return which == EMPTY ? TagTable.EMPTY.address : slots(which).table();
  }

  /**
   * The entries of shadow-stack accesses.
   *
   * @param ofUser whether of the user's shadow stack, else of a supervisor's
   */
  public TlbEntry[] shadowStack(boolean ofUser) {
    return array(ofUser ? USER_SHADOW_STACK : SUPERVISOR_SHADOW_STACK);
  }

  /**
   * Where the tags of an array are if they are anywhere, and else a table in which nothing is ever
   * found: a table is much larger than what most arrays ever hold.
   *
   * @param which an array of this space, or {@link #EMPTY}
   */
  public long tableIfAny(TlbEntry[] which) {
    return which == EMPTY ? TagTable.EMPTY.address : slots(which).tableIfAny();
  }

  /** The slot of a linear address. */
  public static int index(long linear) {
    return (int) (linear >>> 12) & (SIZE - 1);
  }

  /** The VPID that the translations belong to; 0 without VPIDs. */
  public int vpid() {
    return vpid;
  }

  /** The PCID that the translations belong to. */
  public int pcid() {
    return pcid;
  }

  /** Bits 51:12 of the EPTP that the translations belong to, and bit 0 set; 0 without EPT. */
  public long eptRoot() {
    return eptRoot;
  }

  /**
   * Code is fetched from a page: {@link #generation} tells when its translation is dropped.
   *
   * @param entry that translates it
   */
  public void fetches(TlbEntry entry) {
    if (!entry.fetched) {
      (entry.global ? fetchedGlobals : fetched).add(entry.page, entry.guestPageShift);
      entry.setFetched(true);
    }
  }

  /**
   * A number that is another one whenever translations of this space that code was fetched by have
   * been dropped, or the space has become that of another context: what was translated before is to
   * be asked for again.
   */
  public int generation() {
    return generation;
  }

  /**
   * Whoever knows what code was fetched from pages of this space has to ask again.
   *
   * @param globals whether of global pages, too, which other spaces' code may be of
   */
  private void dropFetched(boolean globals) {
    generation++;
    fetched.clear();
    if (globals) {
      tlb.globalGeneration++;
      fetchedGlobals.clear();
    }
    for (Slots slots : all) {
      if (slots != null) {
        slots.forgetFetches(globals);
      }
    }
  }

  Slots slots(TlbEntry[] which) {
    for (Slots slots : all) {
      if (slots != null && slots.entries == which) {
        return slots;
      }
    }
    throw new IllegalArgumentException("the array is not one of this space");
  }

  void clear() {
    dropFetched(true);
    for (Slots slots : all) {
      if (slots != null) {
        slots.clear();
      }
    }
    largePages.clear();
  }

  /** It becomes that of another context. */
  void renew() {
    if (isEmpty() && fetched.isEmpty() && fetchedGlobals.isEmpty()) {
      // What is known of other contexts' code stays.
      generation++;
      largePages.clear();
    } else {
      clear();
    }
  }

  void clearNonGlobal() {
    generation++;
    fetched.clear();
    boolean empty = true;
    for (Slots slots : all) {
      if (slots != null) {
        slots.clearNonGlobal();
        empty &= slots.isEmpty();
      }
    }
    if (empty) {
      largePages.clear();
    }
  }

  /** As {@link Slots#clearKeys}. */
  void clearKeys(long changed) {
    for (Slots slots : all) {
      if (slots != null) {
        slots.clearKeys(changed);
      }
    }
  }

  /**
   * Drops what translates a linear address: its page, or all parts of the larger guest page that it
   * is in.
   *
   * @param globals whether global translations are dropped
   * @param others whether translations that are not global are dropped
   */
  void clearLinear(long linear, boolean globals, boolean others) {
    long page = linear & -0x1000L;
    for (Slots slots : all) {
      if (slots != null) {
        slots.clearPage(page, globals, others);
      }
    }
    int shifts = largePages.shifts();
    while (shifts != 0) {
      int shift = Integer.numberOfTrailingZeros(shifts);
      shifts &= shifts - 1;
      if (largePages.contains(linear, shift)) {
        for (Slots slots : all) {
          if (slots != null) {
            slots.clearLargePage(linear, shift, globals, others);
          }
        }
      }
    }
    if (globals && fetchedGlobals.contains(linear)) {
      dropFetched(true);
    } else if (others && fetched.contains(linear)) {
      dropFetched(false);
    }
  }

  /**
   * Drops the one translation of a linear address: its page, or all parts of the large page that is
   * known as one.
   */
  void clearMapping(long linear) {
    long page = linear & -0x1000L;
    for (Slots slots : all) {
      if (slots != null) {
        if (slots.large.contains(linear)) {
          clearLinear(linear, true, true);
          return;
        }
        slots.clearPage(page, true, true);
      }
    }
    if (fetchedGlobals.containsPage(linear)) {
      dropFetched(true);
    } else if (fetched.containsPage(linear)) {
      dropFetched(false);
    }
  }

  void clearWriteTags(long hpaPage) {
    for (Slots slots : all) {
      if (slots != null) {
        slots.clearWriteTags(hpaPage);
      }
    }
  }

  /** Whether nothing is cached, as far as that can be told without a look at each entry. */
  boolean isEmpty() {
    for (Slots slots : all) {
      if (slots != null && !slots.isEmpty()) {
        return false;
      }
    }
    return true;
  }

  int live() {
    int live = 0;
    for (Slots slots : all) {
      live += slots == null ? 0 : slots.live();
    }
    return live;
  }

  @Override
  public String toString() {
    return "vpid %#x, ept %#x, pcid %#x".formatted(vpid, eptRoot, pcid);
  }
}
