package org.kvm4j.ept.tlb;

import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.paging.Translation;

/**
 * Translations of whole pages of 2 MBytes, of guest and EPT alike, for the privilege of one array:
 * what entries of their parts are filled from without another walk. They go when the entries of
 * their parts have to.
 */
final class LargeTranslations {
  private static final int SHIFT = 21;

  /** A power of two. */
  private static final int SLOTS = 32;

  private static final class Large {
    /** The linear address of the 2 MBytes. */
    long page = TlbEntry.INVALID;

    /** Of their first byte. */
    final Translation first = new Translation();
  }

  /** Null until there is one. */
  private @Nullable Large @Nullable [] slots;

  private boolean empty = true;

  boolean isEmpty() {
    return empty;
  }

  private static int index(long linear) {
    return (int) (linear >>> SHIFT) & SLOTS - 1;
  }

  /** Keeps what a walk found, if that is a large page. */
  void put(long linear, Translation t) {
    if (t.pageShift < SHIFT) {
      return;
    }
    @Nullable Large[] all = slots;
    if (all == null) {
      all = new Large[SLOTS];
      slots = all;
    }
    Large large = all[index(linear)];
    if (large == null) {
      large = new Large();
      all[index(linear)] = large;
    }
    empty = false;
    large.page = linear >>> SHIFT << SHIFT;
    large.first.set(t, t.hpa >>> SHIFT << SHIFT, t.gpa >>> SHIFT << SHIFT, SHIFT);
  }

  /**
   * Has a translation be what another walk of an address would find, if that is known.
   *
   * @return false if it is not
   */
  boolean find(long linear, Translation t) {
    Large large = at(linear);
    if (large == null) {
      return false;
    }
    long offset = linear & (1 << SHIFT) - 1;
    t.set(large.first, large.first.hpa | offset, large.first.gpa | offset, SHIFT);
    return true;
  }

  /** Whether what translates an address is known as one. */
  boolean contains(long linear) {
    return at(linear) != null;
  }

  private @Nullable Large at(long linear) {
    @Nullable Large[] all = slots;
    if (empty || all == null) {
      return null;
    }
    Large large = all[index(linear)];
    return large != null && large.page == linear >>> SHIFT << SHIFT ? large : null;
  }

  void clear() {
    if (!empty) {
      drop(large -> true);
    }
  }

  void clearNonGlobal() {
    drop(large -> !large.first.global);
  }

  /** As {@link Slots#clearKeys}. */
  void clearKeys(long changed) {
    drop(large -> large.first.key >= 0 && (changed >>> 2 * large.first.key & 3) != 0);
  }

  /** Drops those that are parts of a guest page. */
  void clearPage(long linear, int shift, boolean globals, boolean others) {
    drop(
        large ->
            large.first.guestPageShift == shift
                && large.page >>> shift == linear >>> shift
                && (large.first.global ? globals : others));
  }

  private interface Condition {
    boolean holds(Large large);
  }

  private void drop(Condition gone) {
    @Nullable Large[] all = slots;
    if (empty || all == null) {
      return;
    }
    empty = true;
    for (Large large : all) {
      if (large != null && large.page != TlbEntry.INVALID) {
        if (gone.holds(large)) {
          large.page = TlbEntry.INVALID;
        } else {
          empty = false;
        }
      }
    }
  }
}
