package org.kvm4j.ept.memory;

import java.nio.ByteBuffer;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Up to 1 GiB of host-physical memory that starts at a multiple of 1 GiB. Which of its pages are
 * mapped is told by {@link #solid}, below which all are, and by the bitmap for the rest.
 */
public final class Bank {

  /** What an access finds; its capacity is the bank's length. */
  final ByteBuffer buffer;

  /** Where that is in the host's memory, if {@link HostMemory} is in use. */
  final long address;

  /** All bytes below this offset are mapped. */
  int solid;

  /** One bit for each page, or null in a bank that is one region. */
  final long @Nullable [] mapped;

  /** Pages mapped, while there is a bitmap. */
  int mappedPages;

  /** The page at which the search for a free run starts. */
  int nextFree;

  /** Whether {@link PhysicalMemory#map} may place regions here. */
  final boolean shared;

  /** The marks of each page by {@link #CHUNK} of them; null where there are none. */
  private volatile @Nullable
      AtomicReferenceArray<@Nullable AtomicReferenceArray<@Nullable AtomicInteger>>
      code;

  /** Pages of which the marks are made room for at once: a power of two. */
  private static final int CHUNK = 512;

  private Bank(ByteBuffer buffer, boolean bitmap, boolean shared) {
    this.buffer = buffer;
    this.address = HostMemory.IN_USE ? HostMemory.address(buffer) : 0;
    this.mapped = bitmap ? new long[buffer.capacity() >>> 12 >>> 6] : null;
    this.solid = bitmap ? 0 : buffer.capacity();
    this.shared = shared;
  }

  static Bank whole(int length) {
    return new Bank(SparseFile.map(length), false, false);
  }

  static Bank ofRuns(boolean shared) {
    return new Bank(SparseFile.map(1 << PhysicalMemory.BANK_SHIFT), true, shared);
  }

  /**
   * Whether all of the access is mapped. False also for accesses that this cannot answer cheaply.
   */
  boolean covers(int offset, int size) {
    return offset <= solid - size || coversRun(offset, size);
  }

  private boolean coversRun(int offset, int size) {
    long[] bitmap = mapped;
    int page = offset >>> 12;
    return bitmap != null
        && (offset & 0xfff) <= 0x1000 - size
        && (bitmap[page >>> 6] >>> page & 1) != 0;
  }

  // For bytes that are covered: no limit is looked at. A buffer's accesses are calls in code of the
  // JVM's quick compiler.

  int getInt(int offset) {
    return address != 0 ? HostMemory.getInt(address + offset) : buffer.getInt(offset);
  }

  long getLong(int offset) {
    return address != 0 ? HostMemory.getLong(address + offset) : buffer.getLong(offset);
  }

  void putInt(int offset, int value) {
    if (address != 0) {
      HostMemory.putInt(address + offset, value);
    } else {
      buffer.putInt(offset, value);
    }
  }

  void putLong(int offset, long value) {
    if (address != 0) {
      HostMemory.putLong(address + offset, value);
    } else {
      buffer.putLong(offset, value);
    }
  }

  /** What an access finds, to be used with absolute positions only. */
  public ByteBuffer buffer() {
    return buffer;
  }

  /**
   * Where in the host's memory a page is, for {@link HostMemory}. It stays there for as long as
   * {@link #buffer} can be reached.
   *
   * @param offset of the page in the bank
   */
  public long hostAddress(int offset) {
    return address + Objects.checkFromIndexSize(offset, 0x1000, buffer.capacity());
  }

  boolean coversPage(int offset) {
    return covers(offset & ~0xfff, 0x1000);
  }

  /** The first run of free pages, or -1. */
  int findRun(int pages, int alignment) {
    int found = findRun(pages, alignment, nextFree, 1 << 18);
    return found >= 0 ? found : findRun(pages, alignment, 0, Math.min(nextFree + pages, 1 << 18));
  }

  private int findRun(int pages, int alignment, int from, int to) {
    int start = align(from, alignment);
    while (start + pages <= to) {
      int taken = lastTaken(start, pages);
      if (taken < 0) {
        return start;
      }
      start = align(nextFreeAfter(taken), alignment);
    }
    return -1;
  }

  private static int align(int page, int alignment) {
    return (page + alignment - 1) & -alignment;
  }

  private int lastTaken(int start, int pages) {
    for (int page = start + pages - 1; page >= start; page--) {
      if (isMapped(page)) {
        return page;
      }
    }
    return -1;
  }

  private int nextFreeAfter(int page) {
    long[] bitmap = bitmap();
    int next = page + 1;
    while (next < 1 << 18) {
      long free = ~bitmap[next >>> 6] >>> next;
      if (free != 0) {
        return next + Long.numberOfTrailingZeros(free);
      }
      next = (next | 63) + 1;
    }
    return next;
  }

  private long[] bitmap() {
    long[] bitmap = mapped;
    if (bitmap == null) {
      throw new IllegalStateException("the bank is one region");
    }
    return bitmap;
  }

  private boolean isMapped(int page) {
    return (bitmap()[page >>> 6] >>> page & 1) != 0;
  }

  boolean anyMapped(int page, int pages) {
    return lastTaken(page, pages) >= 0;
  }

  void mapRun(int page, int pages) {
    long[] bitmap = bitmap();
    for (int p = page; p < page + pages; p++) {
      bitmap[p >>> 6] |= 1L << p;
    }
    mappedPages += pages;
    nextFree = page + pages;
    if (!shared && solid == page << 12) {
      long end = (long) (page + pages) << 12;
      solid = (int) Math.min(end, buffer.capacity());
    }
  }

  /** Takes the pages away and zeroes those that are not zero. */
  void unmapRun(int page, int pages) {
    long[] bitmap = bitmap();
    solid = Math.min(solid, page << 12);
    for (int p = page; p < page + pages; p++) {
      bitmap[p >>> 6] &= ~(1L << p);
    }
    mappedPages -= pages;
    nextFree = Math.min(nextFree, page);
    for (int p = page; p < page + pages; p++) {
      zero(p << 12);
    }
  }

  /** Zeroes a page; one that is zero already is not stored to, so that it stays without memory. */
  void zero(int offset) {
    for (int i = 0; i < 0x1000; i += 8) {
      if (buffer.getLong(offset + i) != 0) {
        buffer.put(offset, PhysicalMemory.ZERO_PAGE);
        return;
      }
    }
  }

  boolean hasCode() {
    return code != null;
  }

  boolean holdsCode(int offset) {
    AtomicReferenceArray<@Nullable AtomicInteger> marks = marks(offset);
    AtomicInteger count = marks == null ? null : marks.get(offset >>> 12 & CHUNK - 1);
    return count != null && count.get() != 0;
  }

  private @Nullable AtomicReferenceArray<@Nullable AtomicInteger> marks(int offset) {
    AtomicReferenceArray<@Nullable AtomicReferenceArray<@Nullable AtomicInteger>> chunks = code;
    return chunks == null ? null : chunks.get((offset >>> 12) / CHUNK);
  }

  /** Adds a mark to a page. */
  CodeMark markCode(int offset) {
    AtomicReferenceArray<@Nullable AtomicInteger> marks = marks(offset);
    if (marks == null) {
      marks = newMarks(offset);
    }
    int page = offset >>> 12 & CHUNK - 1;
    AtomicInteger count = marks.get(page);
    while (count == null) {
      marks.compareAndSet(page, null, new AtomicInteger());
      count = marks.get(page);
    }
    return new CodeMark(count);
  }

  /** Forgets the marks of a page, whoever has made them. */
  void forgetCode(int offset) {
    AtomicReferenceArray<@Nullable AtomicInteger> marks = marks(offset);
    if (marks != null) {
      AtomicInteger count = marks.getAndSet(offset >>> 12 & CHUNK - 1, null);
      if (count != null) {
        count.set(CodeMark.FORGOTTEN);
      }
    }
  }

  private synchronized AtomicReferenceArray<@Nullable AtomicInteger> newMarks(int offset) {
    AtomicReferenceArray<@Nullable AtomicReferenceArray<@Nullable AtomicInteger>> chunks = code;
    if (chunks == null) {
      int pages = buffer.capacity() + 0xfff >>> 12;
      chunks = new AtomicReferenceArray<>((pages + CHUNK - 1) / CHUNK);
      code = chunks;
    }
    int chunk = (offset >>> 12) / CHUNK;
    AtomicReferenceArray<@Nullable AtomicInteger> marks = chunks.get(chunk);
    if (marks == null) {
      marks = new AtomicReferenceArray<>(CHUNK);
      chunks.set(chunk, marks);
    }
    return marks;
  }
}
