package org.kvm4j.ept.tlb;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * One array of entries: the slots that addresses have, and behind them a few for what has had to
 * give way there last, so that pages that share a slot do not drive each other out for good. Which
 * slots hold entries is known, so that a flush costs what was filled since the last one.
 */
final class Slots {
  /** Slots for what has given way. */
  static final int VICTIMS = 8;

  private static final int FEW = 16;

  final TlbEntry[] entries;

  /** The slots in use, in the order in which they came to be, and room for more. */
  private int[] used = new int[FEW];

  private int count;

  /** How many have given way so far: where the next one goes. */
  private int next;

  /** Large pages that entries are parts of. */
  final LargeTranslations large = new LargeTranslations();

  /** The tags; null until loads and stores are to find them. */
  private @Nullable TagTable table;

  Slots() {
    this.entries = newArray();
  }

  /** Where the tags of the entries are, or {@link TagTable#EMPTY} while they are nowhere. */
  long tableIfAny() {
    TagTable t = table;
    return t == null ? TagTable.EMPTY.address : t.address;
  }

  /** Where the tags of the entries are, as {@link TagTable} has them, from now on. */
  long table() {
    TagTable t = table;
    if (t == null) {
      t = new TagTable();
      table = t;
      for (int k = 0; k < count; k++) {
        entries[used[k]].moveTo(slot(used[k]));
      }
    }
    return t.address;
  }

  /** Of an entry's slot, what {@link TlbEntry#moveTo} takes. */
  private long slot(int index) {
    TagTable t = table;
    return t == null || t.address == 0 ? 0 : t.address + (long) index * TagTable.STRIDE;
  }

  boolean isEmpty() {
    return count == 0 && large.isEmpty();
  }

  /** An array for a space: nothing is cached in it. */
  static TlbEntry[] newArray() {
    TlbEntry[] entries = new TlbEntry[TlbSpace.SIZE + VICTIMS];
    Arrays.fill(entries, TlbEntry.NONE);
    return entries;
  }

  /**
   * What has given way to the entry that {@link #take} or {@link #recall} gave last; null if
   * nothing has. Its tags are in another place now.
   */
  @Nullable TlbEntry moved;

  /** The entry to fill for a page, in the page's slot. */
  TlbEntry take(long page) {
    moved = null;
    int index = TlbSpace.index(page);
    TlbEntry entry = entries[index];
    if (entry.page != page && recall(page) == null && entry.page != TlbEntry.INVALID) {
      exchange(index, TlbSpace.SIZE + (next++ & VICTIMS - 1));
    }
    return listed(index);
  }

  /**
   * The entry for a page that had to give way, back in the page's slot.
   *
   * @return null if there is none
   */
  @Nullable TlbEntry recall(long page) {
    moved = null;
    int end = victimsEnd();
    for (int victim = TlbSpace.SIZE; victim < end; victim++) {
      TlbEntry entry = entries[victim];
      if (entry.page == page) {
        exchange(TlbSpace.index(page), victim);
        return entry;
      }
    }
    return null;
  }

  /** The slot after those that something may have given way to. */
  private int victimsEnd() {
    return next == 0 ? TlbSpace.SIZE : entries.length;
  }

  private void exchange(int one, int other) {
    TlbEntry entry = listed(one);
    moved = entry;
    entries[one] = listed(other);
    entries[other] = entry;
    entry.moveTo(slot(other));
    entries[one].moveTo(slot(one));
  }

  /** The entry of a slot, which is in the list from now on. */
  private TlbEntry listed(int index) {
    TlbEntry entry = entries[index];
    if (entry == TlbEntry.NONE) {
      entry = new TlbEntry();
      entries[index] = entry;
      entry.moveTo(slot(index));
    }
    if (!entry.listed) {
      entry.listed = true;
      if (count == used.length) {
        used = Arrays.copyOf(used, 2 * count);
      }
      used[count++] = index;
    }
    return entry;
  }

  void clear() {
    large.clear();
    for (int i = 0; i < count; i++) {
      TlbEntry entry = entries[used[i]];
      entry.clear();
      entry.listed = false;
    }
    count = 0;
  }

  void clearNonGlobal() {
    large.clearNonGlobal();
    int kept = 0;
    for (int i = 0; i < count; i++) {
      TlbEntry entry = entries[used[i]];
      if (entry.global && entry.page != TlbEntry.INVALID) {
        used[kept++] = used[i];
      } else {
        entry.clear();
        entry.listed = false;
      }
    }
    count = kept;
  }

  /**
   * Drops the entries whose protection keys' rights have changed.
   *
   * @param changed bits of PKRU, and from bit 32 on of IA32_PKRS
   */
  void clearKeys(long changed) {
    large.clearKeys(changed);
    int kept = 0;
    for (int i = 0; i < count; i++) {
      TlbEntry entry = entries[used[i]];
      if (entry.page != TlbEntry.INVALID
          && (entry.key < 0 || (changed >>> 2 * entry.key & 3) == 0)) {
        used[kept++] = used[i];
      } else {
        entry.clear();
        entry.listed = false;
      }
    }
    count = kept;
  }

  /** Drops the entry for a page. */
  void clearPage(long page, boolean globals, boolean others) {
    TlbEntry entry = entries[TlbSpace.index(page)];
    int end = victimsEnd();
    for (int victim = TlbSpace.SIZE; entry.page != page && victim < end; victim++) {
      entry = entries[victim];
    }
    if (entry.page == page && (entry.global ? globals : others)) {
      entry.clear();
    }
  }

  /** Drops the entries that are parts of a guest page larger than 4 KBytes. */
  void clearLargePage(long linear, int shift, boolean globals, boolean others) {
    large.clearPage(linear, shift, globals, others);
    for (int i = 0; i < count; i++) {
      TlbEntry entry = entries[used[i]];
      if (entry.guestPageShift == shift
          && entry.page >>> shift == linear >>> shift
          && (entry.global ? globals : others)) {
        entry.clear();
      }
    }
  }

  /** Clears the write tags of a host-physical page; any thread may call this. */
  int clearWriteTags(long hpaPage) {
    int cleared = 0;
    for (TlbEntry entry : entries) {
      if (entry.hpa == hpaPage) {
        cleared += entry.writeTag != TlbEntry.INVALID ? 1 : 0;
        entry.hideFromStores();
      }
    }
    return cleared;
  }

  /**
   * What has been fetched is to be told of anew.
   *
   * @param globals whether of global pages, too
   */
  void forgetFetches(boolean globals) {
    for (int i = 0; i < count; i++) {
      TlbEntry entry = entries[used[i]];
      if (globals || !entry.global) {
        entry.setFetched(false);
      }
    }
  }

  /** Entries that may be used. */
  int live() {
    int live = 0;
    for (int i = 0; i < count; i++) {
      if (entries[used[i]].page != TlbEntry.INVALID) {
        live++;
      }
    }
    return live;
  }
}
