package org.kvm4j.cpu.core;

/**
 * A segment register with its hidden part. Access rights have the VMCS format (SDM Vol. 3, "Guest
 * Register State"): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16.
 */
public final class Segment {
  public static final int CODE = 8;
  public static final int EXPAND_DOWN_OR_CONFORMING = 4;
  public static final int WRITABLE_OR_READABLE = 2;
  public static final int ACCESSED = 1;
  public static final int S = 0x10;
  public static final int P = 0x80;
  public static final int AVL = 0x1000;
  public static final int L = 0x2000;
  public static final int DB = 0x4000;
  public static final int G = 0x8000;
  public static final int UNUSABLE = 0x10000;

  /** Data, read/write, accessed, present. */
  public static final int REAL_DATA = 0x93;

  /** Code, execute/read, accessed, present. */
  public static final int REAL_CODE = 0x9b;

  public int selector;
  public long base;

  /** Limit in bytes, scaled by G, 0..0xffffffff. */
  public long limit;

  public int ar;

  /** Sets all parts; {@code limit} is unsigned and already scaled. */
  public void set(int selector, long base, long limit, int ar) {
    this.selector = selector;
    this.base = base;
    this.limit = limit & 0xffffffffL;
    this.ar = ar;
  }

  public void copyFrom(Segment o) {
    selector = o.selector;
    base = o.base;
    limit = o.limit;
    ar = o.ar;
  }

  public int dpl() {
    return ar >> 5 & 3;
  }

  public int type() {
    return ar & 15;
  }

  public boolean unusable() {
    return (ar & UNUSABLE) != 0;
  }

  /** Base 0, limit 4 GiB - 1, expand-up writable data, usable. */
  public boolean isFlatWritable() {
    return base == 0
        && limit == 0xffffffffL
        && (ar & (UNUSABLE | S | P | CODE | EXPAND_DOWN_OR_CONFORMING | WRITABLE_OR_READABLE))
            == (S | P | WRITABLE_OR_READABLE);
  }

  /**
   * Whether an access is within the segment's type and limit.
   *
   * @param offset unsigned 32-bit offset
   * @param checkType false in real-address and virtual-8086 mode, where only the limit counts
   */
  public boolean allows(long offset, int size, boolean write, boolean checkType) {
    if (checkType) {
      if ((ar & (UNUSABLE | P)) != P) {
        return false;
      }
      boolean code = (ar & CODE) != 0;
      boolean flag = (ar & WRITABLE_OR_READABLE) != 0;
      if (write ? code || !flag : code && !flag) {
        return false;
      }
    }
    long last = offset + size - 1;
    if ((ar & (CODE | EXPAND_DOWN_OR_CONFORMING)) == EXPAND_DOWN_OR_CONFORMING) {
      long top = (ar & DB) != 0 ? 0xffffffffL : 0xffffL;
      return offset > limit && last <= top;
    }
    return last <= limit;
  }
}
