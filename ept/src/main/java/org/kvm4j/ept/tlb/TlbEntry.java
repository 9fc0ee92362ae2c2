package org.kvm4j.ept.tlb;

import java.nio.ByteBuffer;
import org.kvm4j.ept.memory.HostMemory;

/**
 * One cached translation of a 4-KByte page for one privilege. The CPU's load and store path reads
 * the fields: a tag that equals the page's linear address says that the access may go to {@link
 * #bank} at {@link #offset} plus the offset in the page, with nothing left to check. Only {@link
 * Tlb} writes them.
 */
public final class TlbEntry {
  /** A tag that no page's address equals. */
  public static final long INVALID = -1;

  private static final ByteBuffer NO_MEMORY = ByteBuffer.allocateDirect(0);

  /** What every slot holds before its first translation: never matches, never changes. */
  static final TlbEntry NONE = new TlbEntry();

  /** The page's linear address if it may be read, else {@link #INVALID}. */
  public long readTag = INVALID;

  /** The page's linear address if it may be written on the fast path, else {@link #INVALID}. */
  public long writeTag = INVALID;

  /** The page's linear address if it may be executed, else {@link #INVALID}. */
  public long fetchTag = INVALID;

  /** The bank that the page is in. */
  public ByteBuffer bank = NO_MEMORY;

  /** Where in the bank the page begins. */
  public int offset;

  /**
   * What an address of the page lacks to be the host's, if {@link org.kvm4j.ept.memory.HostMemory}
   * is in use. {@link #bank} keeps the memory there.
   */
  public long toHost;

  /** Host-physical address of the page. */
  public long hpa;

  /** Guest-physical address of the page. */
  public long gpa;

  /** Whether the translation is global. */
  public boolean global;

  /** The page's linear address while the entry is in use, else {@link #INVALID}. */
  long page = INVALID;

  /** Log2 of the guest's page that this is a part of. */
  int guestPageShift;

  /** The protection key, as {@link org.kvm4j.ept.paging.Translation#key}. */
  int key;

  /** Whether its slot is in the list of slots in use. */
  boolean listed;

  /** Whether code has been fetched by it, so that whoever drops it tells of that. */
  boolean fetched;

  /** Its slot in the {@link TagTable}; 0 if it has none. */
  private long slot;

  TlbEntry() {}

  void clear() {
    readTag = INVALID;
    writeTag = INVALID;
    fetchTag = INVALID;
    page = INVALID;
    fetched = false;
    publish();
  }

  /**
   * The entry is in another slot now.
   *
   * @param slot in the {@link TagTable}, or 0
   */
  void moveTo(long slot) {
    this.slot = slot;
    publish();
  }

  /** Puts the tags where loads and stores look. */
  void publish() {
    if (slot != 0) {
      HostMemory.putLong(slot + TagTable.TO_HOST, toHost);
      HostMemory.putLong(slot + TagTable.WRITE_TAG, writeTag);
      HostMemory.putLong(slot, readTag);
    }
    publishFetchTag();
  }

  /** Whether code has been fetched by it. */
  void setFetched(boolean fetched) {
    if (this.fetched != fetched) {
      this.fetched = fetched;
      publishFetchTag();
    }
  }

  private void publishFetchTag() {
    if (slot != 0) {
      HostMemory.putLong(slot + TagTable.FETCH_TAG, fetched ? fetchTag : INVALID);
    }
  }

  /** Takes loads and stores off the fast path. */
  public void hide() {
    readTag = INVALID;
    writeTag = INVALID;
    publish();
  }

  /** Takes stores off the fast path; any thread may call this. */
  void hideFromStores() {
    writeTag = INVALID;
    long at = slot;
    if (at != 0) {
      // Whatever entry has the slot now: one without a write tag is slower, but right.
      HostMemory.putLong(at + TagTable.WRITE_TAG, INVALID);
    }
  }

  @Override
  public String toString() {
    return page == INVALID
        ? "empty"
        : "%#x -> hpa %#x %s%s%s%s"
            .formatted(
                page,
                hpa,
                readTag == page ? "r" : "-",
                writeTag == page ? "w" : "-",
                fetchTag == page ? "x" : "-",
                global ? " global" : "");
  }
}
