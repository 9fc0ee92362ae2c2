package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.core.ControlBits.*;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.VirtualizationUnit;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.ept.paging.PagingMode;

/**
 * Control registers: MOV CR, CLTS, LMSW, SMSW. SDM Vol. 2, "MOV—Move to/from Control Registers";
 * Vol. 3, "Control Registers" and "Paging-Mode Enable".
 */
public final class ControlRegisters {
  private static final long NO_FLUSH = 1L << 63;

  /** Bits of CR0 that are defined; others are ignored below bit 32. */
  private static final long CR0_DEFINED =
      CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD
          | CR0_PG;

  private static final long CR0_LOADS_PDPTES = CR0_CD | CR0_NW | CR0_PG;
  private static final long CR4_LOADS_PDPTES = CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP;

  private ControlRegisters() {}

  // ---- instructions ----

  static void read(Cpu cpu, Instruction i) {
    int cr = i.reg1;
    check(cpu, cr);
    GuestMode guest = cpu.guest;
    if (guest != null && (cr == 3 || cr == 8) && guest.movFromCr(i, cr, i.reg0)) {
      return;
    }
    long value =
        switch (cr) {
          case 0 -> guest != null ? guest.readCr0() : cpu.cr0;
          case 2 -> cpu.cr2;
          case 3 -> cpu.cr3;
          case 4 -> guest != null ? guest.readCr4() : cpu.cr4;
          default ->
              cpu.guest != null && cpu.guest.virtualizesCr8() ? cpu.guest.readCr8() : cpu.cr8;
        };
    Operands.setGpr(cpu, i.reg0, i.size0, value);
  }

  private static void check(Cpu cpu, int cr) {
    if (cr == 1 || cr > 4 && cr != 8) {
      throw cpu.ud();
    }
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
  }

  static void write(Cpu cpu, Instruction i) {
    int cr = i.reg0;
    check(cpu, cr);
    long value = Operands.gpr(cpu, i.reg1, i.size1);
    GuestMode guest = cpu.guest;
    if (guest != null && cr != 2 && guest.movToCr(i, cr, i.reg1, value)) {
      return;
    }
    switch (cr) {
      case 0 -> setCr0(cpu, guest != null ? guest.writeCr0(value) : value);
      case 2 -> cpu.cr2 = value;
      case 3 -> setCr3(cpu, value);
      case 4 -> setCr4(cpu, guest != null ? guest.writeCr4(value) : value);
      default -> setCr8(cpu, value);
    }
  }

  static void clts(Cpu cpu, Instruction i) {
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    GuestMode guest = cpu.guest;
    if (guest != null && guest.clts(i)) {
      return;
    }
    long value = cpu.cr0 & ~CR0_TS;
    cpu.cr0 = guest != null ? guest.writeCr0(value) : value;
  }

  static void lmsw(Cpu cpu, Instruction i) {
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    boolean memory = i.kind0 == OperandKind.MEMORY;
    int source = (int) Operands.read0(cpu, i);
    GuestMode guest = cpu.guest;
    if (guest != null) {
      long linear = memory ? Operands.linear(cpu, i, 2, false) : 0;
      if (guest.lmsw(i, source, memory, linear)) {
        return;
      }
    }
    long changed = CR0_MP | CR0_EM | CR0_TS;
    // PE can be set, not cleared.
    long value = cpu.cr0 & ~changed | source & (changed | CR0_PE);
    setCr0(cpu, guest != null ? guest.writeCr0(value) : value);
  }

  static void smsw(Cpu cpu, Instruction i) {
    checkUmip(cpu);
    Operands.write0(cpu, i, cpu.guest != null ? cpu.guest.readCr0() : cpu.cr0);
  }

  /** #GP(0) for SGDT, SIDT, SLDT, STR and SMSW with CR4.UMIP outside of CPL 0. */
  static void checkUmip(Cpu cpu) {
    if ((cpu.cr4 & CR4_UMIP) != 0 && cpu.cpl != 0) {
      throw cpu.gp(0);
    }
  }

  // ---- values ----

  /** Writes CR0 as an instruction does in the current operation, with every check. */
  public static void setCr0(Cpu cpu, long value) {
    if (value >>> 32 != 0) {
      throw cpu.gp(0);
    }
    long old = cpu.cr0;
    long next = value & CR0_DEFINED | CR0_ET;
    boolean pg = (next & CR0_PG) != 0;
    if (pg && (next & CR0_PE) == 0 || (next & (CR0_NW | CR0_CD)) == CR0_NW) {
      throw cpu.gp(0);
    }
    VirtualizationUnit vmx = cpu.virtualization;
    if (vmx != null && vmx.inVmxOperation() && (~next & vmx.cr0FixedOnes()) != 0) {
      throw cpu.gp(0);
    }
    if ((cpu.cr4 & CR4_CET) != 0 && (next & CR0_WP) == 0) {
      throw cpu.gp(0);
    }
    boolean lma = (cpu.efer & EFER_LMA) != 0;
    if (pg && (old & CR0_PG) == 0) {
      lma = (cpu.efer & EFER_LME) != 0;
      if (lma && ((cpu.cr4 & CR4_PAE) == 0 || (cpu.seg[Cpu.CS].ar & Segment.L) != 0)) {
        throw cpu.gp(0);
      }
      if (lma
          && (cpu.seg[Cpu.TR].type() & 8) == 0
          && !cpu.seg[Cpu.TR].unusable()
          && cpu.seg[Cpu.TR].selector != 0) {
        throw cpu.gp(0);
      }
    } else if (!pg && (old & CR0_PG) != 0) {
      if (cpu.codeSize == 8 || (cpu.cr4 & CR4_PCIDE) != 0) {
        throw cpu.gp(0);
      }
      lma = false;
    }
    if (pg
        && !lma
        && (cpu.cr4 & CR4_PAE) != 0
        && ((old ^ next) & CR0_LOADS_PDPTES) != 0
        && !cpu.mmu.loadPdptes(cpu.cr3)) {
      throw cpu.gp(0);
    }
    cpu.cr0 = next;
    cpu.efer = lma ? cpu.efer | EFER_LMA : cpu.efer & ~EFER_LMA;
    cpu.mmu.tlb.movToCr0(cpu.mmu.vpid, old, next);
    cpu.updateMode();
  }

  /** Writes CR3 as an instruction does, with every check. */
  public static void setCr3(Cpu cpu, long value) {
    boolean pcide = (cpu.cr4 & CR4_PCIDE) != 0;
    long next = pcide ? value & ~NO_FLUSH : value;
    if ((next & cr3Reserved(cpu.model)) != 0) {
      throw cpu.gp(0);
    }
    if (cpu.pagingMode() == PagingMode.PAE && !cpu.mmu.loadPdptes(next)) {
      throw cpu.gp(0);
    }
    cpu.cr3 = next;
    cpu.mmu.tlb.movToCr3(cpu.mmu.vpid, value, pcide);
    cpu.updateMode();
  }

  /** Bits of CR3 that are reserved, besides bit 63, which is none of the register's. */
  public static long cr3Reserved(CpuModel model) {
    long beyond = -1L << model.physicalAddressBits();
    return model.has(Feature.LAM) ? beyond & ~(CR3_LAM_U57 | CR3_LAM_U48) : beyond;
  }

  /** Bits of CR4 that the processor has: all others are reserved. */
  public static long cr4Defined(CpuModel model) {
    return cr4Defined(model::has);
  }

  /** Bits of CR4 that such features bring. */
  public static long cr4Defined(Predicate<Feature> features) {
    long bits = 0;
    for (Cr4Bit b : Cr4Bit.ALL) {
      for (Feature feature : b.features) {
        if (features.test(feature)) {
          bits |= b.bit;
          break;
        }
      }
    }
    return bits;
  }

  /** The names of bits of CR4, such as {@code CR4.SMEP, CR4.SMAP}; others by their value. */
  public static String cr4Names(long bits) {
    List<String> names = new ArrayList<>();
    long others = bits;
    for (Cr4Bit b : Cr4Bit.ALL) {
      if ((bits & b.bit) != 0) {
        names.add("CR4." + b.name());
        others &= ~b.bit;
      }
    }
    if (others != 0) {
      names.add(String.format("CR4 bits 0x%x", others));
    }
    return String.join(", ", names);
  }

  /** Writes CR4 as an instruction does in the current operation, with every check. */
  public static void setCr4(Cpu cpu, long value) {
    if ((value & ~cr4Defined(cpu.model)) != 0) {
      throw cpu.gp(0);
    }
    long old = cpu.cr4;
    long changed = old ^ value;
    boolean lma = (cpu.efer & EFER_LMA) != 0;
    if (lma && ((value & CR4_PAE) == 0 || (changed & CR4_LA57) != 0)) {
      throw cpu.gp(0);
    }
    if ((changed & value & CR4_PCIDE) != 0 && (!lma || (cpu.cr3 & 0xfff) != 0)) {
      throw cpu.gp(0);
    }
    if ((value & CR4_CET) != 0 && (cpu.cr0 & CR0_WP) == 0) {
      throw cpu.gp(0);
    }
    VirtualizationUnit vmx = cpu.virtualization;
    if (vmx != null && vmx.inVmxOperation() && (~value & vmx.cr4FixedOnes()) != 0) {
      throw cpu.gp(0);
    }
    if ((cpu.cr0 & CR0_PG) != 0
        && !lma
        && (value & CR4_PAE) != 0
        && (changed & CR4_LOADS_PDPTES) != 0
        && !cpu.mmu.loadPdptes(cpu.cr3)) {
      throw cpu.gp(0);
    }
    int pcid = (old & CR4_PCIDE) != 0 ? (int) cpu.cr3 & 0xfff : 0;
    cpu.cr4 = value;
    cpu.mmu.tlb.movToCr4(cpu.mmu.vpid, pcid, old, value);
    cpu.updateMode();
  }

  /** Writes CR8. */
  public static void setCr8(Cpu cpu, long value) {
    if (value >>> 4 != 0) {
      throw cpu.gp(0);
    }
    if (cpu.guest != null && cpu.guest.virtualizesCr8()) {
      cpu.guest.writeCr8((int) value);
      return;
    }
    cpu.cr8 = (int) value;
    cpu.platform.taskPriorityChanged((int) value);
  }

  /** A bit of CR4 and the features of which one brings it. SDM Vol. 3, "Control Registers". */
  private enum Cr4Bit {
    VME(CR4_VME | CR4_PVI, Feature.VME),
    TSD(CR4_TSD, Feature.TSC),
    DE(CR4_DE, Feature.DE),
    PSE(CR4_PSE, Feature.PSE),
    PAE(CR4_PAE, Feature.PAE),
    MCE(CR4_MCE, Feature.MCE),
    PGE(CR4_PGE, Feature.PGE),
    PCE(CR4_PCE, Feature.MMX, Feature.LM, Feature.PDCM),
    OSFXSR(CR4_OSFXSR, Feature.FXSR),
    OSXMMEXCPT(CR4_OSXMMEXCPT, Feature.SSE),
    UMIP(CR4_UMIP, Feature.UMIP),
    LA57(CR4_LA57, Feature.LA57),
    VMXE(CR4_VMXE, Feature.VMX),
    SMXE(CR4_SMXE, Feature.SMX),
    FSGSBASE(CR4_FSGSBASE, Feature.FSGSBASE),
    PCIDE(CR4_PCIDE, Feature.PCID),
    OSXSAVE(CR4_OSXSAVE, Feature.XSAVE),
    SMEP(CR4_SMEP, Feature.SMEP),
    SMAP(CR4_SMAP, Feature.SMAP),
    PKE(CR4_PKE, Feature.PKU),
    CET(CR4_CET, Feature.CET_SS, Feature.CET_IBT),
    PKS(CR4_PKS, Feature.PKS),
    LAM_SUP(CR4_LAM_SUP, Feature.LAM);

    static final Cr4Bit[] ALL = values();

    final long bit;
    final Feature[] features;

    Cr4Bit(long bit, Feature... features) {
      this.bit = bit;
      this.features = features;
    }
  }
}
