package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmSegment;
import org.kvm4j.kvm.uapi.StructLayout;

/** A segment register with its hidden part, {@code struct kvm_segment}. */
public final class Segment extends UapiStruct {

  /** The linear address of the segment's first byte. */
  public long base;

  /** The last valid offset in bytes, unsigned, granularity already applied. */
  public int limit;

  public int selector;

  /** The type, 4 bits, as in a descriptor. */
  public int type;

  /** P, 0 or 1. */
  public int present;

  /** DPL, 0 to 3. */
  public int dpl;

  /** D/B, 0 or 1. */
  public int db;

  /** S: 1 for code and data. */
  public int s;

  /** L: 64-bit code. */
  public int l;

  /** G, 0 or 1. */
  public int g;

  /** AVL, 0 or 1. */
  public int avl;

  /** 1 after a null selector was loaded. */
  public int unusable;

  /** Not used; kept. */
  public int padding;

  /** Takes over all fields of another. */
  public void set(Segment other) {
    base = other.base;
    limit = other.limit;
    selector = other.selector;
    type = other.type;
    present = other.present;
    dpl = other.dpl;
    db = other.db;
    s = other.s;
    l = other.l;
    g = other.g;
    avl = other.avl;
    unusable = other.unusable;
    padding = other.padding;
  }

  /**
   * Makes this a real-mode segment: base 16 times the selector, limit 64 KB, and the type as it is.
   *
   * @param realModeSelector 16 bits
   */
  public void setRealMode(int realModeSelector) {
    selector = realModeSelector;
    base = (long) realModeSelector << 4;
    limit = 0xffff;
  }

  @Override
  public StructLayout layout() {
    return KvmSegment.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    base = memory.getLong(offset + KvmSegment.BASE);
    limit = memory.getInt(offset + KvmSegment.LIMIT);
    selector = u16(memory, offset + KvmSegment.SELECTOR);
    type = u8(memory, offset + KvmSegment.TYPE);
    present = u8(memory, offset + KvmSegment.PRESENT);
    dpl = u8(memory, offset + KvmSegment.DPL);
    db = u8(memory, offset + KvmSegment.DB);
    s = u8(memory, offset + KvmSegment.S);
    l = u8(memory, offset + KvmSegment.L);
    g = u8(memory, offset + KvmSegment.G);
    avl = u8(memory, offset + KvmSegment.AVL);
    unusable = u8(memory, offset + KvmSegment.UNUSABLE);
    padding = u8(memory, offset + KvmSegment.PADDING);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putLong(offset + KvmSegment.BASE, base);
    memory.putInt(offset + KvmSegment.LIMIT, limit);
    putU16(memory, offset + KvmSegment.SELECTOR, selector, "selector");
    putU8(memory, offset + KvmSegment.TYPE, type, "type");
    putU8(memory, offset + KvmSegment.PRESENT, present, "present");
    putU8(memory, offset + KvmSegment.DPL, dpl, "dpl");
    putU8(memory, offset + KvmSegment.DB, db, "db");
    putU8(memory, offset + KvmSegment.S, s, "s");
    putU8(memory, offset + KvmSegment.L, l, "l");
    putU8(memory, offset + KvmSegment.G, g, "g");
    putU8(memory, offset + KvmSegment.AVL, avl, "avl");
    putU8(memory, offset + KvmSegment.UNUSABLE, unusable, "unusable");
    putU8(memory, offset + KvmSegment.PADDING, padding, "padding");
  }
}
