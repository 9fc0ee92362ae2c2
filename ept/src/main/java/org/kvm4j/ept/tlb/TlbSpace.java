package org.kvm4j.ept.tlb;

import java.util.Arrays;
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

  /** Supervisor-mode accesses without EFLAGS.AC, and implicit ones. */
  public final TlbEntry[] supervisor = Slots.newArray();

  /** Explicit supervisor-mode data accesses with EFLAGS.AC set while CR4.SMAP is. */
  public final TlbEntry[] supervisorAc = Slots.newArray();

  /** User-mode accesses. */
  public final TlbEntry[] user = Slots.newArray();

  int vpid;
  long eptRoot;
  int pcid;

  /** When this space was last selected. */
  long lastUse;

  /** Slots in use, for each array: entries between flushes are few against SIZE. */
  private final Slots supervisorSlots = new Slots(supervisor);

  private final Slots supervisorAcSlots = new Slots(supervisorAc);
  private final Slots userSlots = new Slots(user);

  /** Those of a supervisor's and of the user's shadow-stack accesses; null until there are any. */
  private @Nullable Slots supervisorShadowStack;

  private @Nullable Slots userShadowStack;

  /** All slots that there are. */
  private volatile Slots[] all = {supervisorSlots, supervisorAcSlots, userSlots};

  /** Guest pages larger than 4 KBytes that entries are parts of. */
  final LargePages largePages = new LargePages();

  /** The rights that the entries' tags were computed with. */
  int rights;

  private final Tlb tlb;

  /** The pages that code may have been fetched from since that was last forgotten. */
  private final FetchedPages fetched = new FetchedPages();

  /** Counts what has dropped translations of fetched pages, or may have. */
  private int generation;

  int pkru;
  int pkrs;

  TlbSpace(Tlb tlb, int vpid, long eptRoot, int pcid) {
    this.tlb = tlb;
    this.vpid = vpid;
    this.eptRoot = eptRoot;
    this.pcid = pcid;
  }

  /**
   * Where the tags of an array are, as {@link TagTable} has them.
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
    Slots s = ofUser ? userShadowStack : supervisorShadowStack;
    if (s == null) {
      s = new Slots(Slots.newArray());
      if (ofUser) {
        userShadowStack = s;
      } else {
        supervisorShadowStack = s;
      }
      Slots[] more = Arrays.copyOf(all, all.length + 1);
      more[more.length - 1] = s;
      all = more;
    }
    return s.entries;
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
    fetched.add(entry.page, entry.guestPageShift);
  }

  /**
   * A number that is another one whenever translations of this space that code was fetched by have
   * been dropped, or the space has become that of another context: what was translated before is to
   * be asked for again.
   */
  public int generation() {
    return generation;
  }

  private void dropFetched() {
    generation++;
    tlb.globalGeneration++;
    fetched.clear();
  }

  Slots slots(TlbEntry[] which) {
    if (which == supervisor) {
      return supervisorSlots;
    }
    if (which == user) {
      return userSlots;
    }
    for (Slots s : all) {
      if (which == s.entries) {
        return s;
      }
    }
    throw new IllegalArgumentException("the array is not one of this space");
  }

  void clear() {
    dropFetched();
    for (Slots s : all) {
      s.clear();
    }
    largePages.clear();
  }

  void clearNonGlobal() {
    generation++;
    boolean empty = true;
    for (Slots s : all) {
      s.clearNonGlobal();
      empty &= s.isEmpty();
    }
    if (empty) {
      largePages.clear();
    }
  }

  /** As {@link Slots#clearKeys}. */
  void clearKeys(long changed) {
    for (Slots s : all) {
      s.clearKeys(changed);
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
    for (Slots s : all) {
      s.clearPage(page, globals, others);
    }
    int shifts = largePages.shifts();
    while (shifts != 0) {
      int shift = Integer.numberOfTrailingZeros(shifts);
      shifts &= shifts - 1;
      if (largePages.contains(linear, shift)) {
        for (Slots s : all) {
          s.clearLargePage(linear, shift, globals, others);
        }
      }
    }
    if (fetched.contains(linear)) {
      dropFetched();
    }
  }

  void clearWriteTags(long hpaPage) {
    for (Slots s : all) {
      s.clearWriteTags(hpaPage);
    }
  }

  int live() {
    int live = 0;
    for (Slots s : all) {
      live += s.live();
    }
    return live;
  }

  @Override
  public String toString() {
    return "vpid %#x, ept %#x, pcid %#x".formatted(vpid, eptRoot, pcid);
  }
}
