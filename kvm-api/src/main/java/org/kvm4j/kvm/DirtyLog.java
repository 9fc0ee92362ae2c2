package org.kvm4j.kvm;

import java.util.Arrays;
import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/**
 * Which pages of a slot were written: a bit for each page of 4 KB, from the slot's first page on.
 *
 * @param words the bits, page n at bit n mod 64 of word n / 64; not copied
 * @param pages how many pages the slot has
 */
@SuppressWarnings(
    "ArrayRecordComponent") // A view of what the kernel wrote; equals compares the words.
public record DirtyLog(long[] words, long pages) {

  /** Whether a page, counted from the start of the slot, is dirty. */
  public boolean isDirty(long page) {
    if (page < 0 || page >= pages) {
      throw new IndexOutOfBoundsException("page " + page + " of a slot of " + pages + " pages");
    }
    return (words[(int) (page >>> 6)] >>> page & 1) != 0;
  }

  /**
   * The first dirty page from a page on.
   *
   * @return its number, or -1 if there is none
   */
  public long nextDirty(long from) {
    int word = (int) (from >>> 6);
    if (word >= words.length) {
      return -1;
    }
    long bits = words[word] & -1L << from;
    while (bits == 0) {
      if (++word == words.length) {
        return -1;
      }
      bits = words[word];
    }
    return ((long) word << 6) + Long.numberOfTrailingZeros(bits);
  }

  /** How many pages are dirty. */
  public long count() {
    long count = 0;
    for (long word : words) {
      count += Long.bitCount(word);
    }
    return count;
  }

  /** The dirty pages as a set. */
  public BitSet toBitSet() {
    return BitSet.valueOf(words);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof DirtyLog log && log.pages == pages && Arrays.equals(log.words, words);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(words) + Long.hashCode(pages);
  }

  @Override
  public String toString() {
    return "DirtyLog" + toBitSet() + " of " + pages + " pages";
  }
}
