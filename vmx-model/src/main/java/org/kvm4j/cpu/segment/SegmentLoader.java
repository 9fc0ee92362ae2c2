package org.kvm4j.cpu.segment;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;

/**
 * Loading of segment registers by selector. SDM Vol. 2, "MOV—Move", Vol. 3, "Privilege Level
 * Checking when Accessing Data Segments". The caller updates the mode.
 */
public final class SegmentLoader {
  private static final int V86_SEGMENT = 0xf3;

  private SegmentLoader() {}

  /** Loads ES, SS, DS, FS or GS in the current mode, with every check. */
  public static void load(Cpu cpu, int s, int selector) {
    if (!cpu.protectedMode) {
      if (cpu.v86) {
        loadV86(cpu.seg[s], selector);
      } else {
        loadReal(cpu.seg[s], selector);
      }
    } else if (s == Cpu.SS) {
      loadStack(cpu, selector);
    } else {
      loadData(cpu, s, selector, Vector.GP, 0);
    }
  }

  /** Real-address mode: limit and access rights stay as they are. */
  public static void loadReal(Segment segment, int selector) {
    segment.selector = selector;
    segment.base = (long) selector << 4;
    if (segment.unusable()) {
      segment.ar = Segment.REAL_DATA;
    }
  }

  /** Virtual-8086 mode. */
  public static void loadV86(Segment segment, int selector) {
    segment.set(selector, (long) selector << 4, 0xffff, V86_SEGMENT);
  }

  /** Makes a data segment register null: what it held is lost, an access through it faults. */
  public static void loadNull(Segment segment, int selector) {
    segment.set(selector, 0, 0, Segment.UNUSABLE);
  }

  /** Makes SS null, as 64-bit mode allows at CPL 0 to 2. */
  public static void loadNullStack(Segment segment, int cpl) {
    segment.set(cpl, 0, 0, Segment.UNUSABLE | cpl << 5);
  }

  private static void loadStack(Cpu cpu, int selector) {
    if (DescriptorTables.isNull(selector)) {
      if (cpu.codeSize == 8 && cpu.cpl != 3 && (selector & 3) == cpu.cpl) {
        loadNullStack(cpu.seg[Cpu.SS], cpu.cpl);
        return;
      }
      throw cpu.gp(0);
    }
    Descriptor d = stack(cpu, selector, cpu.cpl, Vector.GP, 0);
    DescriptorTables.setAccessed(cpu, d);
    d.load(cpu.seg[Cpu.SS], selector);
  }

  /**
   * The descriptor of a stack segment for a privilege level, checked: #SS if it is not present,
   * otherwise the given exception.
   */
  public static Descriptor stack(Cpu cpu, int selector, int cpl, int vector, int ext) {
    Descriptor d = DescriptorTables.fetch(cpu, selector, vector, ext);
    if ((selector & 3) != cpl || !d.isWritableData() || d.dpl() != cpl) {
      throw DescriptorTables.fault(cpu, vector, selector, ext);
    }
    if (!d.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.SS, selector, ext);
    }
    return d;
  }

  /**
   * Loads ES, DS, FS or GS in protected mode.
   *
   * @param vector of the exception for what is not allowed: #GP, or #TS in a task switch
   */
  public static void loadData(Cpu cpu, int s, int selector, int vector, int ext) {
    if (DescriptorTables.isNull(selector)) {
      loadNull(cpu.seg[s], selector);
      return;
    }
    Descriptor d = DescriptorTables.fetch(cpu, selector, vector, ext);
    if (!d.isReadable() || !d.isConforming() && ((selector & 3) > d.dpl() || cpu.cpl > d.dpl())) {
      throw DescriptorTables.fault(cpu, vector, selector, ext);
    }
    if (!d.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, selector, ext);
    }
    DescriptorTables.setAccessed(cpu, d);
    d.load(cpu.seg[s], selector);
  }

  /**
   * After a return to a less privileged level: data segments that it may not use become null.
   *
   * @param cpl the new privilege level
   */
  public static void dropInaccessible(Cpu cpu, int cpl) {
    for (int s = Cpu.ES; s <= Cpu.GS; s++) {
      if (s == Cpu.CS || s == Cpu.SS) {
        continue;
      }
      Segment d = cpu.seg[s];
      boolean conforming =
          (d.ar & (Segment.S | Segment.CODE | Segment.EXPAND_DOWN_OR_CONFORMING))
              == (Segment.S | Segment.CODE | Segment.EXPAND_DOWN_OR_CONFORMING);
      if (!d.unusable() && !conforming && d.dpl() < cpl) {
        // The selector becomes null; nothing is loaded, so that FS and GS keep their bases.
        d.set(0, d.base, 0, Segment.UNUSABLE);
      }
    }
  }

  /**
   * Loads CS. The caller sets CPL and updates the mode.
   *
   * @param rpl what becomes the RPL of the selector: the new CPL
   */
  public static void loadCode(Cpu cpu, Descriptor d, int rpl) {
    d.load(cpu.seg[Cpu.CS], d.selector & ~3 | rpl);
  }
}
