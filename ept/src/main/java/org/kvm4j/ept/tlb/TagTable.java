package org.kvm4j.ept.tlb;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.kvm4j.ept.memory.HostMemory;

/**
 * The tags of the entries in one array's slots, in the host's memory, where {@link HostMemory} is
 * in use: what a load or store looks at is in one line of the cache then, without an object in
 * between. A slot has {@link #STRIDE} bytes: the read tag, the write tag, {@link TlbEntry#toHost},
 * and the fetch tag of what code has been fetched by. Behind the slots that addresses have are
 * those of what has had to give way, {@link #VICTIMS} from {@link #VICTIM} on.
 */
public final class TagTable {
  /** Bytes of a slot. */
  public static final int STRIDE = 32;

  /** Where in its slot the write tag is. */
  public static final int WRITE_TAG = 8;

  /** Where in its slot is what an address lacks to be the host's. */
  public static final int TO_HOST = 16;

  /** Where in its slot the fetch tag is. */
  public static final int FETCH_TAG = 24;

  /** How many slots there are for what has had to give way. */
  public static final int VICTIMS = Slots.VICTIMS;

  /** Where the first of them is. */
  public static final int VICTIM = TlbSpace.SIZE * STRIDE;

  private static final int BYTES = (TlbSpace.SIZE + VICTIMS) * STRIDE;

  /** A table in which nothing is ever found. */
  static final TagTable EMPTY = new TagTable();

  /** Keeps the memory there. */
  private final ByteBuffer memory;

  /** Where the table is; 0 where {@link HostMemory} is not in use. */
  final long address;

  TagTable() {
    if (!HostMemory.IN_USE) {
      memory = ByteBuffer.allocate(0);
      address = 0;
      return;
    }
    memory = ByteBuffer.allocateDirect(BYTES).order(ByteOrder.nativeOrder());
    address = HostMemory.address(memory);
    for (int at = 0; at < BYTES; at += STRIDE) {
      memory.putLong(at, TlbEntry.INVALID);
      memory.putLong(at + WRITE_TAG, TlbEntry.INVALID);
      memory.putLong(at + FETCH_TAG, TlbEntry.INVALID);
    }
  }

  /** Whether an address is that of the table in which nothing is ever found. */
  public static boolean isNone(long table) {
    return table == EMPTY.address;
  }

  /**
   * The slot of a linear address.
   *
   * @param table its address
   */
  public static long slot(long table, long linear) {
    // In this form the JVM's compiler sees when an array of the guest's lies within one page.
    return table + (linear >>> 12 & TlbSpace.SIZE - 1) * STRIDE;
  }
}
