package org.kvm4j.cpu.segment;

import org.kvm4j.cpu.core.Segment;

/**
 * A descriptor as it stands in memory. SDM Vol. 3, "Segment Descriptors", "Call Gates", "IDT
 * Descriptors", "TSS Descriptor".
 */
public final class Descriptor {
  public static final int TSS16_AVAILABLE = 1;
  public static final int LDT = 2;
  public static final int TSS16_BUSY = 3;
  public static final int CALL_GATE16 = 4;
  public static final int TASK_GATE = 5;
  public static final int INTERRUPT_GATE16 = 6;
  public static final int TRAP_GATE16 = 7;

  /** In IA-32e mode: an available 64-bit TSS. */
  public static final int TSS32_AVAILABLE = 9;

  public static final int TSS32_BUSY = 11;

  /** In IA-32e mode: a 64-bit call gate. */
  public static final int CALL_GATE32 = 12;

  public static final int INTERRUPT_GATE32 = 14;
  public static final int TRAP_GATE32 = 15;

  /** The selector it was found with; of a gate in the IDT, 0. */
  public final int selector;

  /** The linear address of the descriptor. */
  public final long address;

  /** The first 8 bytes. */
  public final long low;

  /** The second 8 bytes of a descriptor that has 16, otherwise 0. */
  public final long high;

  public Descriptor(int selector, long address, long low, long high) {
    this.selector = selector;
    this.address = address;
    this.low = low;
    this.high = high;
  }

  /** Access rights in the format of {@link Segment#ar}. */
  public int ar() {
    return (int) (low >>> 40) & 0xf0ff;
  }

  public int type() {
    return (int) (low >>> 40) & 15;
  }

  /** A code or data segment, not a system descriptor. */
  public boolean isSegment() {
    return (low & 1L << 44) != 0;
  }

  public boolean isCode() {
    return (low & 3L << 43) == 3L << 43;
  }

  public boolean isData() {
    return (low & 3L << 43) == 1L << 44;
  }

  public boolean isWritableData() {
    return (low & (3L << 43 | 1L << 41)) == (1L << 44 | 1L << 41);
  }

  /** A data segment, or code that may be read. */
  public boolean isReadable() {
    return isData() || isCode() && (low & 1L << 41) != 0;
  }

  public boolean isConforming() {
    return isCode() && (low & 1L << 42) != 0;
  }

  public boolean isPresent() {
    return (low & 1L << 47) != 0;
  }

  public int dpl() {
    return (int) (low >>> 45) & 3;
  }

  /** Code: L, 64-bit. */
  public boolean isLong() {
    return (low & 1L << 53) != 0;
  }

  /** D/B: 32-bit. */
  public boolean isDefault32() {
    return (low & 1L << 54) != 0;
  }

  /** A system descriptor of this type. */
  public boolean isSystem(int type) {
    return !isSegment() && type() == type;
  }

  /** A TSS that is available, 16- or 32-bit. */
  public boolean isAvailableTss() {
    return !isSegment() && (type() & 7) == 1;
  }

  /** A TSS that is busy, 16- or 32-bit. */
  public boolean isBusyTss() {
    return !isSegment() && (type() & 7) == 3;
  }

  /** The base address: 32 bits, or 64 of a 16-byte descriptor. */
  public long base() {
    return low >>> 16 & 0xffffffL | low >>> 56 << 24 | high << 32;
  }

  /** The limit in bytes. */
  public long limit() {
    long limit = low & 0xffff | low >>> 32 & 0xf0000;
    return (low & 1L << 55) != 0 ? limit << 12 | 0xfff : limit;
  }

  // ---- gates ----

  /** The selector in a gate. */
  public int gateSelector() {
    return (int) (low >>> 16) & 0xffff;
  }

  /** The offset in a gate: 32 bits, or 64 of a 16-byte descriptor. */
  public long gateOffset() {
    return low & 0xffff | low >>> 32 & 0xffff0000L | high << 32;
  }

  /** Parameters that a call gate copies, 0 to 31. */
  public int gateParameters() {
    return (int) (low >>> 32) & 31;
  }

  /** The interrupt stack table index of a 64-bit gate in the IDT. */
  public int gateIst() {
    return (int) (low >>> 32) & 7;
  }

  /** Fills a segment register with the descriptor of a segment, accessed. */
  public void load(Segment segment, int selector) {
    segment.set(selector, base(), limit(), ar() | Segment.ACCESSED);
  }
}
