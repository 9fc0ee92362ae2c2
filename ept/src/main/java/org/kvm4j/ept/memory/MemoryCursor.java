package org.kvm4j.ept.memory;

import org.jspecify.annotations.Nullable;

/**
 * Reads memory where successive accesses mostly fall into the same bank, as those of a table walk
 * do. It remembers the bank, so that the address of the next load does not wait for a lookup that
 * depends on the one before. Between two calls of {@link #begin} it may not see that a bank came or
 * went. For one thread.
 */
public final class MemoryCursor {
  private final PhysicalMemory memory;
  private @Nullable Bank bank;
  private long index = -1;

  /** The last 8 bytes of the bank, mapped or not. */
  private int lastLong;

  private int layout = -1;

  /** What is told of all reads, or null. */
  private final @Nullable WordRecord record;

  /** A cursor over a memory. */
  public MemoryCursor(PhysicalMemory memory) {
    this(memory, null);
  }

  /**
   * A cursor over a memory that records the words it reads.
   *
   * @param record null for none
   */
  public MemoryCursor(PhysicalMemory memory, @Nullable WordRecord record) {
    this.memory = memory;
    this.record = record;
  }

  /** Forgets what was recorded. */
  public void beginRecord() {
    if (record != null) {
      record.begin(memory.layout());
    }
  }

  /**
   * To be called before a series of reads: forgets the bank if banks came or went since the last
   * one.
   */
  public void begin() {
    int now = memory.layout();
    if (now != layout) {
      layout = now;
      index = -1;
      bank = null;
    }
  }

  /**
   * Reads 8 bytes.
   *
   * @param hpa a multiple of 8
   */
  public long readLong(long hpa) {
    Bank current = bank;
    int offset = (int) hpa & PhysicalMemory.BANK_MASK;
    if (current != null && hpa >>> PhysicalMemory.BANK_SHIFT == index && offset <= lastLong) {
      long value = current.getLong(offset);
      if (value != 0) {
        // What is not mapped is zero.
        return value;
      }
    }
    return readElsewhere(hpa);
  }

  private long readElsewhere(long hpa) {
    if (record != null) {
      // It never has a bank, so that each read comes here.
      return readRecorded(hpa);
    }
    Bank current = bank;
    if (hpa >>> PhysicalMemory.BANK_SHIFT != index) {
      current = move(hpa);
    }
    int offset = (int) hpa & PhysicalMemory.BANK_MASK;
    if (current != null && current.covers(offset, 8)) {
      return current.getLong(offset);
    }
    return memory.readLong(hpa);
  }

  /** Reads 4 bytes. */
  public int readInt(long hpa) {
    if (record != null) {
      return (int) (readRecorded(hpa & -Long.BYTES) >>> ((int) hpa & 4) * 8);
    }
    Bank current = bank;
    if (hpa >>> PhysicalMemory.BANK_SHIFT != index) {
      current = move(hpa);
    }
    int offset = (int) hpa & PhysicalMemory.BANK_MASK;
    if (current != null && current.covers(offset, 4)) {
      return current.getInt(offset);
    }
    return memory.readInt(hpa);
  }

  private long readRecorded(long hpa) {
    long value = memory.readLong(hpa);
    if (record != null) {
      record.add(memory.bankAt(hpa), (int) hpa & PhysicalMemory.BANK_MASK, value);
    }
    return value;
  }

  private @Nullable Bank move(long hpa) {
    index = hpa >>> PhysicalMemory.BANK_SHIFT;
    Bank there = memory.bankAt(hpa);
    bank = there;
    lastLong = there == null ? -1 : there.buffer.capacity() - Long.BYTES;
    return there;
  }
}
