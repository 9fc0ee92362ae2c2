package org.kvm4j.cpu.segment;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Segment;

/**
 * The GDT and the LDT. Selectors in error codes have bits 1:0 replaced by {@code ext}, the EXT bit
 * of an event whose delivery the access is part of. SDM Vol. 3, "Error Code", "Segment Descriptor
 * Tables".
 */
public final class DescriptorTables {
  private static final int TI = 4;

  private DescriptorTables() {}

  /** Whether the selector is null: index 0 of the GDT. */
  public static boolean isNull(int selector) {
    return (selector & 0xfffc) == 0;
  }

  /** An exception whose error code names a selector. */
  public static CpuException fault(Cpu cpu, int vector, int selector, int ext) {
    return cpu.exception(vector, selector & 0xfffc | ext);
  }

  /**
   * The linear address of a descriptor, or -1 if its {@code size} bytes are not within the table.
   */
  private static long address(Cpu cpu, int selector, int size) {
    long offset = selector & 0xfff8;
    long base;
    if ((selector & TI) == 0) {
      if (offset + size - 1 > cpu.gdtLimit) {
        return -1;
      }
      base = cpu.gdtBase;
    } else {
      Segment ldt = cpu.seg[Cpu.LDTR];
      if (ldt.unusable() || offset + size - 1 > ldt.limit) {
        return -1;
      }
      base = ldt.base;
    }
    return linear(cpu, base + offset);
  }

  /** A linear address of a system table: 32 bits outside of IA-32e mode. */
  public static long linear(Cpu cpu, long address) {
    return cpu.longMode ? address : address & 0xffffffffL;
  }

  /**
   * Reads a descriptor of 8 bytes; a null selector is the caller's question.
   *
   * @param vector of the exception if the selector is outside of its table
   */
  public static Descriptor fetch(Cpu cpu, int selector, int vector, int ext) {
    Descriptor d = find(cpu, selector);
    if (d == null) {
      throw fault(cpu, vector, selector, ext);
    }
    return d;
  }

  /** Reads a descriptor of 8 bytes; null if the selector is outside of its table. */
  public static @Nullable Descriptor find(Cpu cpu, int selector) {
    long address = address(cpu, selector, 8);
    if (address == -1) {
      return null;
    }
    return new Descriptor(selector, address, cpu.mmu.readSystem(address, 8), 0);
  }

  /**
   * The 16-byte form of a system descriptor that was read, in IA-32e mode; elsewhere the descriptor
   * itself.
   *
   * @param vector of the exception if the second half is outside of the table, or its type field
   *     not 0
   */
  public static Descriptor expand(Cpu cpu, Descriptor d, int vector, int ext) {
    Descriptor whole = expand(cpu, d);
    if (whole == null) {
      throw fault(cpu, vector, d.selector, ext);
    }
    return whole;
  }

  /** As above; null instead of an exception. */
  public static @Nullable Descriptor expand(Cpu cpu, Descriptor d) {
    if (!cpu.longMode) {
      return d;
    }
    long address = address(cpu, d.selector, 16);
    if (address == -1) {
      return null;
    }
    long high = cpu.mmu.readSystem(address + 8, 8);
    if ((high >>> 40 & 31) != 0) {
      return null;
    }
    return new Descriptor(d.selector, address, d.low, high);
  }

  /** Sets the accessed bit of a segment's descriptor, if it is clear, by a locked write. */
  public static void setAccessed(Cpu cpu, Descriptor d) {
    if ((d.low & 1L << 40) == 0) {
      cpu.mmu.updateSystem(d.address + 5, 1, 0);
    }
  }

  /** Makes sure that setting the accessed bit cannot fault. */
  public static void probeAccessed(Cpu cpu, Descriptor d) {
    if ((d.low & 1L << 40) == 0) {
      cpu.mmu.probeSystemWrite(d.address + 5, 1);
    }
  }

  /** Sets the busy bit of a TSS descriptor by a locked write. */
  public static void setBusy(Cpu cpu, long address) {
    cpu.mmu.updateSystem(address + 5, 2, 0);
  }

  /** Clears the busy bit of a TSS descriptor by a locked write. */
  public static void clearBusy(Cpu cpu, long address) {
    cpu.mmu.updateSystem(address + 5, 0, 2);
  }
}
