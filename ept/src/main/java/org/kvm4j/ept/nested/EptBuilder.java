package org.kvm4j.ept.nested;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.FrameAllocator;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * Builds and changes EPT paging structures in host-physical memory, as a hypervisor does. Entries
 * are changed atomically, so that processors may walk the structures meanwhile and no accessed or
 * dirty flag that they set is lost.
 *
 * <p>As on hardware, what processors have cached stays until they invalidate it. Methods that take
 * rights or flags away return whether there was anything to take: then INVEPT is due on every
 * processor that uses the structures. Frames of structures that are no longer referenced are kept
 * until {@link #reclaim}, which is to be called after that, since a processor may be in the middle
 * of them.
 *
 * <p>Thread-safe.
 *
 * <p>Source: SDM 29.3.2 "EPT Translation Mechanism", SDM 29.4.3.4 "Guidelines for Use of the INVEPT
 * Instruction".
 */
public final class EptBuilder implements AutoCloseable {
  private static final long TABLE =
      EptEntry.READ | EptEntry.WRITE | EptEntry.EXECUTE | EptEntry.EXECUTE_USER;
  private static final long RIGHTS = TABLE;
  private static final long FLAGS = EptEntry.ACCESSED | EptEntry.DIRTY;

  private final FrameAllocator frames;
  private final PhysicalMemory memory;
  private final int levels;
  private final boolean accessedDirty;
  private final int largestShift;
  private final long root;
  private final List<Long> retired = new ArrayList<>();
  private int tables = 1;
  private boolean closed;

  /** What a guest-physical page is mapped to. */
  public record Mapping(long gpa, long hpa, int shift, long entry) {
    /** Its rights, as bits of an EPT entry. */
    public long rights() {
      return entry & RIGHTS;
    }

    /** Its EPT memory type. */
    public int memoryType() {
      return (int) (entry >>> EptEntry.MEMORY_TYPE_SHIFT) & 7;
    }
  }

  /** Is shown pages. */
  @FunctionalInterface
  public interface Visitor {
    /**
     * A page that is mapped.
     *
     * @param gpa its first guest-physical address
     * @param shift log2 of its size: 12, 21 or 30
     * @param entry its EPT entry, as it was before any flag was cleared
     */
    void page(long gpa, int shift, long entry);
  }

  /**
   * Empty structures.
   *
   * @param frames where the structures' frames come from, and go back to
   * @param levels page-walk length: 4 or 5
   * @param accessedDirty whether the EPTP enables accessed and dirty flags
   * @param largestShift log2 of the largest page to use: 12, 21 or 30
   */
  public EptBuilder(FrameAllocator frames, int levels, boolean accessedDirty, int largestShift) {
    if (levels != 4 && levels != 5) {
      throw new IllegalArgumentException("a page-walk length of " + levels + ": 4 or 5");
    }
    if (largestShift != 12 && largestShift != 21 && largestShift != 30) {
      throw new IllegalArgumentException("pages of 2^" + largestShift + " bytes: 12, 21 or 30");
    }
    this.frames = frames;
    this.memory = frames.memory();
    this.levels = levels;
    this.accessedDirty = accessedDirty;
    this.largestShift = largestShift;
    this.root = frames.allocate();
  }

  /** The EPTP that refers to the structures, memory type write-back. */
  public long eptp() {
    return EptPointer.of(root, levels, EptPointer.WRITE_BACK, accessedDirty);
  }

  /** Width in bits of the guest-physical addresses that can be mapped. */
  public int addressBits() {
    return 12 + 9 * levels;
  }

  /** How many frames the structures take now, those that wait for {@link #reclaim} not counted. */
  public synchronized int tables() {
    return tables;
  }

  // ---- Mapping

  /**
   * Maps a range, in the largest pages that its addresses allow, in place of what was mapped there.
   *
   * @param gpa first guest-physical address, a multiple of the page size
   * @param hpa first host-physical address, a multiple of the page size
   * @param bytes size of the range, a multiple of the page size
   * @param rights bits of an EPT entry: {@link EptEntry#READ} and so on
   * @param memoryType EPT memory type
   * @return whether something was mapped differently before, so that INVEPT is due
   */
  public synchronized boolean map(long gpa, long hpa, long bytes, long rights, int memoryType) {
    return map(gpa, hpa, bytes, rights, memoryType, largestShift);
  }

  /**
   * Maps a range in pages no larger than given; otherwise as {@link #map(long, long, long, long,
   * int)}.
   *
   * @param maximumShift log2 of the largest page to use here
   */
  public synchronized boolean map(
      long gpa, long hpa, long bytes, long rights, int memoryType, int maximumShift) {
    check(gpa, bytes);
    if ((hpa & 0xfff) != 0 || (hpa & ~EptEntry.ADDRESS) != 0) {
      throw new IllegalArgumentException("%#x is not a page's address".formatted(hpa));
    }
    if ((rights & ~RIGHTS) != 0 || rights == 0) {
      throw new IllegalArgumentException("rights %#x".formatted(rights));
    }
    if (memoryType < 0 || memoryType > 7 || (EptEntry.VALID_MEMORY_TYPES >>> memoryType & 1) == 0) {
      throw new IllegalArgumentException("EPT memory type " + memoryType + " is reserved");
    }
    long template = rights | (long) memoryType << EptEntry.MEMORY_TYPE_SHIFT;
    return map(
        root,
        topShift(),
        gpa,
        gpa + bytes,
        hpa - gpa,
        template,
        Math.min(maximumShift, largestShift));
  }

  private boolean map(
      long table, int shift, long from, long to, long offset, long template, int largest) {
    boolean changed = false;
    for (long at = from; at < to; at = next(at, shift)) {
      long end = Math.min(to, next(at, shift));
      long where = table + 8 * index(at, shift);
      boolean whole = (at & (1L << shift) - 1) == 0 && end - at == 1L << shift;
      if (whole && shift <= largest && (at + offset & (1L << shift) - 1) == 0) {
        changed |= setLeaf(where, shift, at + offset | template);
      } else {
        changed |= map(child(where, shift), shift - 9, at, end, offset, template, largest);
      }
    }
    return changed;
  }

  private boolean setLeaf(long where, int shift, long value) {
    long leaf = shift == 12 ? value : value | EptEntry.PAGE;
    while (true) {
      long old = memory.readLong(where);
      if ((old & ~FLAGS) == leaf) {
        return false;
      }
      if (memory.compareAndSetLong(where, old, leaf)) {
        retire(old, shift);
        return isPresent(old);
      }
    }
  }

  /** The table that an entry refers to: a new one if it was empty or a page. */
  private long child(long where, int shift) {
    while (true) {
      long old = memory.readLong(where);
      if (isPresent(old) && !EptEntry.isLeaf(old, shift)) {
        return old & EptEntry.ADDRESS;
      }
      long table = frames.allocate();
      tables++;
      if (isPresent(old)) {
        fillSplit(table, old, shift - 9);
      }
      long entry = table | TABLE | old & (isPresent(old) ? EptEntry.ACCESSED : 0);
      if (memory.compareAndSetLong(where, old, entry)) {
        return table;
      }
      tables--;
      frames.free(table);
    }
  }

  /** Parts of a larger page, with its rights, type and flags. */
  private void fillSplit(long table, long leaf, int shift) {
    long entry = shift == 12 ? leaf & ~EptEntry.PAGE : leaf;
    for (int i = 0; i < 512; i++) {
      memory.writeLong(table + 8L * i, entry + ((long) i << shift));
    }
  }

  // ---- Unmapping

  /**
   * Unmaps a range; parts of larger pages outside it stay mapped.
   *
   * @return whether anything was mapped, so that INVEPT is due
   */
  public synchronized boolean unmap(long gpa, long bytes) {
    check(gpa, bytes);
    return unmap(root, topShift(), gpa, gpa + bytes);
  }

  private boolean unmap(long table, int shift, long from, long to) {
    boolean changed = false;
    for (long at = from; at < to; at = next(at, shift)) {
      long end = Math.min(to, next(at, shift));
      long where = table + 8 * index(at, shift);
      long old = memory.readLong(where);
      if (!isPresent(old)) {
        continue;
      }
      if (end - at == 1L << shift) {
        old = memory.getAndSetLong(where, 0);
        changed |= shift == 12 || hasLeaf(old, shift);
        retire(old, shift);
      } else {
        changed |= unmap(child(where, shift), shift - 9, at, end);
      }
    }
    return changed;
  }

  private boolean hasLeaf(long entry, int shift) {
    if (!isPresent(entry)) {
      return false;
    }
    if (EptEntry.isLeaf(entry, shift)) {
      return true;
    }
    for (int i = 0; i < 512; i++) {
      if (hasLeaf(memory.readLong((entry & EptEntry.ADDRESS) + 8L * i), shift - 9)) {
        return true;
      }
    }
    return false;
  }

  /** Keeps the frames of the table that an entry referred to, and of all below, for reclaim. */
  private void retire(long entry, int shift) {
    if (!isPresent(entry) || EptEntry.isLeaf(entry, shift)) {
      return;
    }
    long table = entry & EptEntry.ADDRESS;
    if (shift > 21) {
      for (int i = 0; i < 512; i++) {
        retire(memory.readLong(table + 8L * i), shift - 9);
      }
    }
    tables--;
    retired.add(table);
  }

  /**
   * Gives the frames of structures back that are no longer referenced. To be called when no
   * processor can be using them: after INVEPT was executed, or no guest is running.
   */
  public synchronized void reclaim() {
    retired.forEach(frames::free);
    retired.clear();
  }

  // ---- Rights

  /**
   * Gives all that is mapped in a range the rights given; larger pages that reach out of it are
   * split.
   *
   * @return whether a right was taken away, so that INVEPT is due
   */
  public synchronized boolean protect(long gpa, long bytes, long rights) {
    if ((rights & ~RIGHTS) != 0 || rights == 0) {
      throw new IllegalArgumentException("rights %#x".formatted(rights));
    }
    check(gpa, bytes);
    return change(root, topShift(), gpa, gpa + bytes, RIGHTS, rights);
  }

  /**
   * Takes the right to write away from all that is mapped in a range, as dirty logging does; larger
   * pages that reach out of it are split.
   *
   * @return whether it was there anywhere, so that INVEPT is due
   */
  public synchronized boolean writeProtect(long gpa, long bytes) {
    check(gpa, bytes);
    return change(root, topShift(), gpa, gpa + bytes, EptEntry.WRITE, 0);
  }

  /** Replaces the bits of leaves that a mask selects; tells whether any was cleared. */
  private boolean change(long table, int shift, long from, long to, long mask, long bits) {
    boolean cleared = false;
    for (long at = from; at < to; at = next(at, shift)) {
      long end = Math.min(to, next(at, shift));
      long where = table + 8 * index(at, shift);
      long old = memory.readLong(where);
      if (!isPresent(old)) {
        continue;
      }
      if (!EptEntry.isLeaf(old, shift)) {
        cleared |= change(old & EptEntry.ADDRESS, shift - 9, at, end, mask, bits);
      } else if ((old & mask) == bits) {
        continue;
      } else if (end - at == 1L << shift) {
        while (!memory.compareAndSetLong(where, old, old & ~mask | bits)) {
          old = memory.readLong(where);
        }
        cleared |= (old & mask & ~bits) != 0;
      } else {
        cleared |= change(child(where, shift), shift - 9, at, end, mask, bits);
      }
    }
    return cleared;
  }

  // ---- Merging

  /**
   * Replaces tables by larger pages where all their pages are mapped, contiguous, and alike;
   * accessed and dirty flags of the parts are united.
   *
   * @return how many tables were replaced; if any, INVEPT is due
   */
  public synchronized int merge(long gpa, long bytes) {
    check(gpa, bytes);
    return merge(root, topShift(), gpa, gpa + bytes);
  }

  private int merge(long table, int shift, long from, long to) {
    int merged = 0;
    for (long at = from; at < to; at = next(at, shift)) {
      long end = Math.min(to, next(at, shift));
      long where = table + 8 * index(at, shift);
      long old = memory.readLong(where);
      if (shift == 12 || !isPresent(old) || EptEntry.isLeaf(old, shift)) {
        continue;
      }
      merged += merge(old & EptEntry.ADDRESS, shift - 9, at, end);
      if (shift <= largestShift && end - at == 1L << shift) {
        long leaf = mergedLeaf(old & EptEntry.ADDRESS, shift);
        if (leaf != 0) {
          memory.getAndSetLong(where, leaf);
          // A flag that a processor set in a part since it was read is united too.
          long late = flagsOf(old & EptEntry.ADDRESS);
          long now = leaf;
          while ((late & ~now) != 0 && !memory.compareAndSetLong(where, now, now | late)) {
            now = memory.readLong(where);
          }
          retire(old, shift);
          merged++;
        }
      }
    }
    return merged;
  }

  private long mergedLeaf(long table, int shift) {
    long first = memory.readLong(table) & ~FLAGS;
    int part = shift - 9;
    if (!isPresent(first)
        || !EptEntry.isLeaf(first, part)
        || (first & EptEntry.ADDRESS & (1L << shift) - 1) != 0) {
      return 0;
    }
    for (int i = 1; i < 512; i++) {
      if ((memory.readLong(table + 8L * i) & ~FLAGS) != first + ((long) i << part)) {
        return 0;
      }
    }
    return first | EptEntry.PAGE | flagsOf(table);
  }

  private long flagsOf(long table) {
    long flags = 0;
    for (int i = 0; i < 512; i++) {
      flags |= memory.readLong(table + 8L * i);
    }
    return flags & FLAGS;
  }

  // ---- Looking

  /** What maps a guest-physical address, or null. */
  public synchronized @Nullable Mapping find(long gpa) {
    if (gpa >>> addressBits() != 0) {
      return null;
    }
    long table = root;
    for (int shift = topShift(); ; shift -= 9) {
      long entry = memory.readLong(table + 8 * index(gpa, shift));
      if (!isPresent(entry)) {
        return null;
      }
      if (EptEntry.isLeaf(entry, shift)) {
        long offset = (1L << shift) - 1;
        return new Mapping(gpa & ~offset, entry & EptEntry.ADDRESS & ~offset, shift, entry);
      }
      table = entry & EptEntry.ADDRESS;
    }
  }

  /** Shows every page that is mapped in a range, in order; larger pages once. */
  public synchronized void forEach(long gpa, long bytes, Visitor visitor) {
    check(gpa, bytes);
    visit(root, topShift(), gpa, gpa + bytes, 0, visitor);
  }

  /**
   * Shows every page of a range that is dirty, and clears its dirty flag. INVEPT is due if any was,
   * for processors set the flag again only after that.
   */
  public synchronized void harvestDirty(long gpa, long bytes, Visitor visitor) {
    check(gpa, bytes);
    visit(root, topShift(), gpa, gpa + bytes, EptEntry.DIRTY, visitor);
  }

  /**
   * Shows every page of a range that was accessed, and clears its accessed flag. INVEPT is due if
   * any was, for processors set the flag again only after that.
   */
  public synchronized void harvestAccessed(long gpa, long bytes, Visitor visitor) {
    check(gpa, bytes);
    visit(root, topShift(), gpa, gpa + bytes, EptEntry.ACCESSED, visitor);
  }

  private void visit(long table, int shift, long from, long to, long flag, Visitor visitor) {
    for (long at = from; at < to; at = next(at, shift)) {
      long end = Math.min(to, next(at, shift));
      long where = table + 8 * index(at, shift);
      long entry = memory.readLong(where);
      if (!isPresent(entry)) {
        continue;
      }
      if (!EptEntry.isLeaf(entry, shift)) {
        visit(entry & EptEntry.ADDRESS, shift - 9, at, end, flag, visitor);
        continue;
      }
      if (flag != 0) {
        if ((entry & flag) == 0) {
          continue;
        }
        while (!memory.compareAndSetLong(where, entry, entry & ~flag)) {
          entry = memory.readLong(where);
        }
      }
      visitor.page(at & -(1L << shift), shift, entry);
    }
  }

  // ---- Common

  private int topShift() {
    return 12 + 9 * (levels - 1);
  }

  private static long index(long gpa, int shift) {
    return gpa >>> shift & 0x1ff;
  }

  private static long next(long gpa, int shift) {
    return (gpa & -(1L << shift)) + (1L << shift);
  }

  private static boolean isPresent(long entry) {
    return (entry & RIGHTS) != 0;
  }

  private void check(long gpa, long bytes) {
    if (closed) {
      throw new IllegalStateException("the EPT builder is closed");
    }
    if (((gpa | bytes) & 0xfff) != 0
        || gpa < 0
        || bytes < 0
        || gpa + bytes < 0
        || gpa + bytes > 1L << addressBits()) {
      throw new IllegalArgumentException(
          "%#x bytes at guest-physical %#x are not pages of an address space of %d bits"
              .formatted(bytes, gpa, addressBits()));
    }
  }

  /** Gives all frames back. No processor may be using the structures any more. */
  @Override
  public synchronized void close() {
    if (closed) {
      return;
    }
    for (int i = 0; i < 512; i++) {
      retire(memory.readLong(root + 8L * i), topShift());
    }
    reclaim();
    frames.free(root);
    closed = true;
  }
}
