package org.kvm4j.cpu.semantics;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.segment.Descriptor;
import org.kvm4j.cpu.segment.DescriptorTables;
import org.kvm4j.cpu.segment.SegmentLoader;

/**
 * Far pointers into segment registers, descriptor-table registers, queries of descriptors, bases.
 */
final class SegmentInstructions {
  /** Types of system descriptors that LAR knows outside of IA-32e mode, as a mask. */
  private static final int LAR_TYPES = 0x1a3e;

  private static final int LAR_TYPES_LONG =
      1 << Descriptor.LDT
          | 1 << Descriptor.TSS32_AVAILABLE
          | 1 << Descriptor.TSS32_BUSY
          | 1 << Descriptor.CALL_GATE32;
  private static final int GATES =
      1 << Descriptor.CALL_GATE16 | 1 << Descriptor.TASK_GATE | 1 << Descriptor.CALL_GATE32;

  private SegmentInstructions() {}

  static void register() {
    Handlers.put(Opcode.LES, (c, i) -> loadFarPointer(c, i, Cpu.ES));
    Handlers.put(Opcode.LDS, (c, i) -> loadFarPointer(c, i, Cpu.DS));
    Handlers.put(Opcode.LSS, (c, i) -> loadFarPointer(c, i, Cpu.SS));
    Handlers.put(Opcode.LFS, (c, i) -> loadFarPointer(c, i, Cpu.FS));
    Handlers.put(Opcode.LGS, (c, i) -> loadFarPointer(c, i, Cpu.GS));
    Handlers.put(Opcode.LAR, SegmentInstructions::lar);
    Handlers.put(Opcode.LSL, SegmentInstructions::lsl);
    Handlers.put(Opcode.VERR, (c, i) -> verify(c, i, false));
    Handlers.put(Opcode.VERW, (c, i) -> verify(c, i, true));
    Handlers.put(Opcode.ARPL, SegmentInstructions::arpl);
    Handlers.put(Opcode.LLDT, SegmentInstructions::lldt);
    Handlers.put(Opcode.LTR, SegmentInstructions::ltr);
    Handlers.put(Opcode.SLDT, (c, i) -> storeSelector(c, i, Cpu.LDTR));
    Handlers.put(Opcode.STR, (c, i) -> storeSelector(c, i, Cpu.TR));
    Handlers.put(Opcode.LGDT, SegmentInstructions::loadTable);
    Handlers.put(Opcode.LIDT, SegmentInstructions::loadTable);
    Handlers.put(Opcode.SGDT, SegmentInstructions::storeTable);
    Handlers.put(Opcode.SIDT, SegmentInstructions::storeTable);
    Handlers.put(Opcode.SWAPGS, SegmentInstructions::swapgs);
    Handlers.put(Opcode.RDFSBASE, (c, i) -> readBase(c, i, Cpu.FS));
    Handlers.put(Opcode.RDGSBASE, (c, i) -> readBase(c, i, Cpu.GS));
    Handlers.put(Opcode.WRFSBASE, (c, i) -> writeBase(c, i, Cpu.FS));
    Handlers.put(Opcode.WRGSBASE, (c, i) -> writeBase(c, i, Cpu.GS));
  }

  /** SDM Vol. 2, "LDS/LES/LFS/LGS/LSS—Load Far Pointer". */
  private static void loadFarPointer(Cpu cpu, Instruction i, int s) {
    int size = i.operandSize;
    long at = Operands.linear(cpu, i, size + 2, false);
    long offset = cpu.mmu.read(at, size);
    int selector = cpu.mmu.read16(after(cpu, at, size));
    SegmentLoader.load(cpu, s, selector);
    Operands.setGpr(cpu, i.reg0, size, offset);
    cpu.updateMode();
  }

  private static long after(Cpu cpu, long linear, int bytes) {
    return cpu.codeSize == 8 ? linear + bytes : linear + bytes & 0xffffffffL;
  }

  // ---- queries ----

  private static void setZf(Cpu cpu, boolean zf) {
    int flags = cpu.lazyFlags();
    cpu.setLazyFlags(zf ? flags | Flags.ZF : flags & ~Flags.ZF);
  }

  private static int selectorOperand(Cpu cpu, Instruction i, int kind, int reg) {
    return kind == OperandKind.GPR
        ? (int) cpu.r[reg] & 0xffff
        : cpu.mmu.read16(Operands.linear(cpu, i, 2, false));
  }

  /** A descriptor that the selector may look at; null if there is none. */
  private static @Nullable Descriptor visible(Cpu cpu, int selector) {
    if (DescriptorTables.isNull(selector)) {
      return null;
    }
    Descriptor d = DescriptorTables.find(cpu, selector);
    if (d == null) {
      return null;
    }
    boolean allowed = d.isConforming() || d.dpl() >= cpu.cpl && d.dpl() >= (selector & 3);
    return allowed ? d : null;
  }

  private static void checkProtected(Cpu cpu) {
    if (!cpu.protectedMode) {
      throw cpu.ud();
    }
  }

  private static boolean hasType(Cpu cpu, Descriptor d, int types, int typesLong) {
    return d.isSegment() || ((cpu.longMode ? typesLong : types) >> d.type() & 1) != 0;
  }

  /** SDM Vol. 2, "LAR—Load Access Rights". */
  private static void lar(Cpu cpu, Instruction i) {
    checkProtected(cpu);
    Descriptor d = visible(cpu, selectorOperand(cpu, i, i.kind1, i.reg1));
    if (d == null || !hasType(cpu, d, LAR_TYPES, LAR_TYPES_LONG)) {
      setZf(cpu, false);
      return;
    }
    Operands.setGpr(cpu, i.reg0, i.size0, d.low >>> 32 & 0xffff00);
    setZf(cpu, true);
  }

  /** SDM Vol. 2, "LSL—Load Segment Limit". */
  private static void lsl(Cpu cpu, Instruction i) {
    checkProtected(cpu);
    Descriptor d = visible(cpu, selectorOperand(cpu, i, i.kind1, i.reg1));
    if (d == null || !hasType(cpu, d, LAR_TYPES & ~GATES, LAR_TYPES_LONG & ~GATES)) {
      setZf(cpu, false);
      return;
    }
    Operands.setGpr(cpu, i.reg0, i.size0, d.limit());
    setZf(cpu, true);
  }

  /** SDM Vol. 2, "VERR/VERW—Verify a Segment for Reading or Writing". */
  private static void verify(Cpu cpu, Instruction i, boolean write) {
    checkProtected(cpu);
    Descriptor d = visible(cpu, selectorOperand(cpu, i, i.kind0, i.reg0));
    setZf(cpu, d != null && (write ? d.isWritableData() : d.isReadable()));
  }

  /** SDM Vol. 2, "ARPL—Adjust RPL Field of Segment Selector". */
  private static void arpl(Cpu cpu, Instruction i) {
    checkProtected(cpu);
    int source = (int) cpu.r[i.reg1] & 3;
    if (i.kind0 == OperandKind.MEMORY) {
      long at = Operands.linear(cpu, i, 2, true);
      cpu.mmu.probeWrite(at, 2);
      int selector = cpu.mmu.read16(at);
      boolean adjust = (selector & 3) < source;
      if (adjust) {
        cpu.mmu.write16(at, selector & ~3 | source);
      }
      setZf(cpu, adjust);
    } else {
      int selector = (int) cpu.r[i.reg0] & 0xffff;
      boolean adjust = (selector & 3) < source;
      if (adjust) {
        Operands.setGpr(cpu, i.reg0, 2, selector & ~3 | source);
      }
      setZf(cpu, adjust);
    }
  }

  // ---- LDTR and TR ----

  private static boolean exits(Cpu cpu, Instruction i) {
    return cpu.guest != null && cpu.guest.descriptorTable(i);
  }

  /** SDM Vol. 2, "LLDT—Load Local Descriptor Table Register". */
  private static void lldt(Cpu cpu, Instruction i) {
    checkProtected(cpu);
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    if (exits(cpu, i)) {
      return;
    }
    int selector = selectorOperand(cpu, i, i.kind0, i.reg0);
    if (DescriptorTables.isNull(selector)) {
      SegmentLoader.loadNull(cpu.seg[Cpu.LDTR], selector);
      return;
    }
    Descriptor d = systemDescriptor(cpu, selector);
    if (!d.isSystem(Descriptor.LDT)) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, 0);
    }
    d = present(cpu, d);
    cpu.seg[Cpu.LDTR].set(selector, d.base(), d.limit(), d.ar());
  }

  private static Descriptor systemDescriptor(Cpu cpu, int selector) {
    if ((selector & 4) != 0) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, 0);
    }
    return DescriptorTables.fetch(cpu, selector, Vector.GP, 0);
  }

  private static Descriptor present(Cpu cpu, Descriptor d) {
    if (!d.isPresent()) {
      throw DescriptorTables.fault(cpu, Vector.NP, d.selector, 0);
    }
    Descriptor whole = DescriptorTables.expand(cpu, d, Vector.GP, 0);
    if (cpu.longMode && !cpu.isCanonicalBase(whole.base())) {
      throw DescriptorTables.fault(cpu, Vector.GP, d.selector, 0);
    }
    return whole;
  }

  /** SDM Vol. 2, "LTR—Load Task Register". */
  private static void ltr(Cpu cpu, Instruction i) {
    checkProtected(cpu);
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    if (exits(cpu, i)) {
      return;
    }
    int selector = selectorOperand(cpu, i, i.kind0, i.reg0);
    if (DescriptorTables.isNull(selector)) {
      throw cpu.gp(0);
    }
    Descriptor d = systemDescriptor(cpu, selector);
    if (!d.isAvailableTss() || cpu.longMode && !d.isSystem(Descriptor.TSS32_AVAILABLE)) {
      throw DescriptorTables.fault(cpu, Vector.GP, selector, 0);
    }
    d = present(cpu, d);
    DescriptorTables.setBusy(cpu, d.address);
    cpu.seg[Cpu.TR].set(selector, d.base(), d.limit(), d.ar() | 2);
  }

  private static void storeSelector(Cpu cpu, Instruction i, int s) {
    checkProtected(cpu);
    ControlRegisters.checkUmip(cpu);
    if (exits(cpu, i)) {
      return;
    }
    Operands.write0(cpu, i, cpu.seg[s].selector);
  }

  // ---- GDTR and IDTR ----

  /** SDM Vol. 2, "LGDT/LIDT—Load Global/Interrupt Descriptor Table Register". */
  private static void loadTable(Cpu cpu, Instruction i) {
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    if (exits(cpu, i)) {
      return;
    }
    int size = i.codeSize == 8 ? 8 : 4;
    long at = Operands.linear(cpu, i, size + 2, false);
    int limit = cpu.mmu.read16(at);
    long base = cpu.mmu.read(after(cpu, at, 2), size);
    if (size == 8) {
      if (!cpu.isCanonicalBase(base)) {
        throw cpu.gp(0);
      }
    } else if (i.operandSize == 2) {
      base &= 0xffffff;
    }
    if (i.opcode == Opcode.LGDT) {
      cpu.gdtBase = base;
      cpu.gdtLimit = limit;
    } else {
      cpu.idtBase = base;
      cpu.idtLimit = limit;
    }
  }

  /** SDM Vol. 2, "SGDT", "SIDT": the whole base is stored whatever the operand size. */
  private static void storeTable(Cpu cpu, Instruction i) {
    ControlRegisters.checkUmip(cpu);
    if (exits(cpu, i)) {
      return;
    }
    boolean gdt = i.opcode == Opcode.SGDT;
    int size = i.codeSize == 8 ? 8 : 4;
    long at = Operands.linear(cpu, i, size + 2, true);
    long base = after(cpu, at, 2);
    cpu.mmu.probeWrite(at, 2);
    cpu.mmu.probeWrite(base, size);
    cpu.mmu.write16(at, gdt ? cpu.gdtLimit : cpu.idtLimit);
    cpu.mmu.write(base, size, gdt ? cpu.gdtBase : cpu.idtBase);
  }

  // ---- FS and GS bases ----

  private static void setBase(Cpu cpu, int s, long base) {
    cpu.seg[s].base = base;
    cpu.r[s == Cpu.FS ? Cpu.FS_BASE : Cpu.GS_BASE] = base;
  }

  private static void swapgs(Cpu cpu, Instruction i) {
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    long base = cpu.seg[Cpu.GS].base;
    setBase(cpu, Cpu.GS, cpu.msr.kernelGsBase);
    cpu.msr.kernelGsBase = base;
  }

  private static void checkFsgsbase(Cpu cpu) {
    if (cpu.codeSize != 8 || (cpu.cr4 & ControlBits.CR4_FSGSBASE) == 0) {
      throw cpu.ud();
    }
  }

  private static void readBase(Cpu cpu, Instruction i, int s) {
    checkFsgsbase(cpu);
    Operands.setGpr(cpu, i.reg0, i.size0, cpu.seg[s].base);
  }

  private static void writeBase(Cpu cpu, Instruction i, int s) {
    checkFsgsbase(cpu);
    long base = Operands.gpr(cpu, i.reg0, i.size0);
    if (!cpu.isCanonicalBase(base)) {
      throw cpu.gp(0);
    }
    setBase(cpu, s, base);
  }
}
