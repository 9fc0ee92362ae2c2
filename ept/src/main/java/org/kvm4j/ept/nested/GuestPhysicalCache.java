package org.kvm4j.ept.nested;

import java.util.Arrays;

/**
 * Guest-physical mappings of pages that hold guest paging structures, so that a walk need not walk
 * EPT for each of its entries. What it holds is stale until it is invalidated, by INVEPT, or
 * because a walk came to another end. For one processor.
 *
 * <p>Source: SDM 29.4.1 "Information That May Be Cached": guest-physical mappings.
 */
public final class GuestPhysicalCache {
  private static final int SIZE = 256;
  private static final long NONE = -1;

  // Of no length until something is put in, as most processors' guests have no paging structures.
  private long[] pages = {};
  private long[] eptps = {};
  private long[] hpas = {};
  private long[] rights = {};
  private boolean empty = true;
  private long puts;

  /** An empty cache. */
  public GuestPhysicalCache() {}

  private static int slot(long gpa) {
    return (int) (gpa >>> 12) & SIZE - 1;
  }

  /** The slot that has what an access needs, or -1. */
  int find(long gpa, long eptp, long need) {
    if (empty) {
      return -1;
    }
    int slot = slot(gpa);
    return pages[slot] == (gpa & -0x1000L) && eptps[slot] == eptp && (need & ~rights[slot]) == 0
        ? slot
        : -1;
  }

  long hpa(int slot) {
    return hpas[slot];
  }

  long rights(int slot) {
    return rights[slot];
  }

  /** How many mappings have been put in. */
  public long puts() {
    return puts;
  }

  void put(long gpa, long eptp, long hpa, long allowed) {
    puts++;
    if (pages.length == 0) {
      pages = new long[SIZE];
      eptps = new long[SIZE];
      hpas = new long[SIZE];
      rights = new long[SIZE];
      Arrays.fill(pages, NONE);
    }
    int slot = slot(gpa);
    pages[slot] = gpa & -0x1000L;
    eptps[slot] = eptp;
    hpas[slot] = hpa & -0x1000L;
    rights[slot] = allowed;
    empty = false;
  }

  /** Drops the mapping of a page, under whatever EPT. */
  public void invalidate(long gpa) {
    if (empty) {
      return;
    }
    int slot = slot(gpa);
    if (pages[slot] == (gpa & -0x1000L)) {
      pages[slot] = NONE;
    }
  }

  /** Drops all mappings of one EPT root: bits 51:12 of the EPTP. */
  public void invalidateRoot(long eptp) {
    for (int i = 0; i < pages.length; i++) {
      if (((eptps[i] ^ eptp) & EptPointer.ROOT) == 0) {
        pages[i] = NONE;
      }
    }
  }

  /** Drops everything. */
  public void invalidateAll() {
    if (!empty) {
      Arrays.fill(pages, NONE);
      empty = true;
    }
  }
}
