package org.kvm4j.ept.memory;

import java.util.Arrays;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Words of memory and what was read of them: what has been concluded from them holds as long as
 * they are the same. For one thread.
 */
public final class WordRecord {
  private static final int MOST = 32;

  private @Nullable Bank[] banks = new Bank[MOST];
  private int[] offsets = new int[MOST];
  private long[] values = new long[MOST];
  private int count;
  private int layout = -1;

  /**
   * Where the words of a copy are in the host's memory, if that may be used: {@link #banks} keep
   * it.
   */
  private long @Nullable [] addresses;

  /** There are too many words, or some that cannot be read in this way. */
  private boolean partial;

  /** An empty record. */
  public WordRecord() {}

  /** Begins anew. */
  void begin(int layout) {
    this.layout = layout;
    count = 0;
    partial = false;
  }

  /**
   * Adds a word that has been read.
   *
   * @param bank null if there is none
   * @param offset a multiple of 8
   */
  void add(@Nullable Bank bank, int offset, long value) {
    for (int k = 0; k < count; k++) {
      if (offsets[k] == offset && banks[k] == bank) {
        // Entries of EPT's upper levels are read for each of the guest's.
        partial |= values[k] != value;
        return;
      }
    }
    if (bank == null || !bank.covers(offset, Long.BYTES) || count == MOST) {
      partial = true;
      return;
    }
    banks[count] = bank;
    offsets[count] = offset;
    values[count++] = value;
  }

  /** A copy for keeps, which takes no more room than it needs; null if not all words are there. */
  public @Nullable WordRecord keep() {
    if (partial) {
      return null;
    }
    WordRecord copy = new WordRecord();
    copy.banks = Arrays.copyOf(banks, count);
    copy.offsets = Arrays.copyOf(offsets, count);
    copy.values = Arrays.copyOf(values, count);
    copy.count = count;
    copy.layout = layout;
    if (HostMemory.IN_USE) {
      copy.addresses = copy.addresses();
    }
    return copy;
  }

  private long[] addresses() {
    long[] all = new long[count];
    for (int k = 0; k < count; k++) {
      Bank bank = Objects.requireNonNull(banks[k]);
      all[k] = bank.hostAddress(offsets[k] & -0x1000) + (offsets[k] & 0xfff);
    }
    return all;
  }

  /** Whether all words are as they were, and memory is where it was. */
  public boolean isUnchanged(PhysicalMemory memory) {
    if (memory.layout() != layout) {
      return false;
    }
    long difference = 0;
    long[] at = addresses;
    if (at != null) {
      long[] were = values;
      for (int k = 0; k < at.length && k < were.length; k++) {
        difference |= HostMemory.getLong(at[k]) ^ were[k];
      }
      return difference == 0;
    }
    for (int k = 0; k < count; k++) {
      Bank bank = banks[k];
      difference |= bank == null ? -1 : bank.getLong(offsets[k]) ^ values[k];
    }
    return difference == 0;
  }
}
