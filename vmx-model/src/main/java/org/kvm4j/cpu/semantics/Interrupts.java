package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.cet.ShadowStack;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.event.EventDelivery;
import org.kvm4j.cpu.event.TaskSwitch;
import org.kvm4j.cpu.segment.Descriptor;
import org.kvm4j.cpu.segment.DescriptorTables;
import org.kvm4j.cpu.segment.SegmentLoader;
import org.kvm4j.cpu.segment.StackAccess;

/**
 * INT n, INT3, INTO, INT1, BOUND and IRET. SDM Vol. 2, "INT n/INTO/INT3/INT1—Call to Interrupt
 * Procedure", "BOUND—Check Array Index Against Bounds", "IRET/IRETD/IRETQ—Interrupt Return".
 */
final class Interrupts {
  /** What IRET takes from a 16-bit image at CPL 0. */
  private static final int FLAGS16 =
      Flags.ARITHMETIC | Flags.TF | Flags.IF | Flags.DF | Flags.IOPL | Flags.NT;

  private static final int VIRTUAL = Flags.VIF | Flags.VIP;

  private Interrupts() {}

  static void register() {
    Handlers.put(
        Opcode.INT,
        (c, i) ->
            EventDelivery.software(
                c, (int) i.immediate & 0xff, EventDelivery.SOFTWARE_INTERRUPT, i.length));
    Handlers.put(
        Opcode.INT3,
        (c, i) -> EventDelivery.software(c, Vector.BP, EventDelivery.SOFTWARE_EXCEPTION, i.length));
    Handlers.put(
        Opcode.INT1,
        (c, i) ->
            EventDelivery.software(
                c, Vector.DB, EventDelivery.PRIVILEGED_SOFTWARE_EXCEPTION, i.length));
    Handlers.put(Opcode.INTO, Interrupts::into);
    Handlers.put(Opcode.BOUND, Interrupts::bound);
    Handlers.put(Opcode.IRET, Interrupts::iret);
  }

  private static void into(Cpu cpu, Instruction i) {
    if (cpu.of()) {
      EventDelivery.software(cpu, Vector.OF, EventDelivery.SOFTWARE_EXCEPTION, i.length);
    }
  }

  private static void bound(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    long at = Operands.linear(cpu, i, 2 * size, false);
    long index = Operands.signExtend(cpu.r[i.reg0], size);
    long lower = Operands.signExtend(cpu.mmu.read(at, size), size);
    long upper = Operands.signExtend(cpu.mmu.read(at + size & 0xffffffffL, size), size);
    if (index < lower || index > upper) {
      throw cpu.exception(Vector.BR);
    }
  }

  // ---- IRET ----

  private static void iret(Cpu cpu, Instruction i) {
    if (cpu.nmiBlocked && (cpu.guest == null || cpu.guest.iretUnblocksNmi())) {
      cpu.nmiBlocked = false;
      cpu.iretUnblockedNmi = true;
    }
    int size = i.operandSize;
    if (cpu.protectedMode) {
      iretProtected(cpu, size);
    } else {
      iretReal(cpu, size);
    }
    cpu.iretUnblockedNmi = false;
  }

  private static void iretReal(Cpu cpu, int size) {
    boolean virtual = cpu.v86 && cpu.iopl() < 3;
    if (virtual && ((cpu.cr4 & ControlBits.CR4_VME) == 0 || size != 2)) {
      throw cpu.gp(0);
    }
    StackAccess stack = StackAccess.current(cpu);
    long rip = stack.pop(size);
    int selector = (int) stack.pop(size) & 0xffff;
    int image = (int) stack.pop(size);
    if (rip > (cpu.v86 ? 0xffff : cpu.seg[Cpu.CS].limit)) {
      throw cpu.gp(0);
    }
    int mask = FLAGS16;
    int next = image;
    if (virtual) {
      if ((image & Flags.TF) != 0 || (image & Flags.IF) != 0 && (cpu.flagsRest & Flags.VIP) != 0) {
        throw cpu.gp(0);
      }
      mask = mask & ~(Flags.IF | Flags.IOPL) | Flags.VIF;
      next = (image & Flags.IF) != 0 ? image | Flags.VIF : image & ~Flags.VIF;
    } else {
      if (size != 2) {
        mask |= Flags.RF | Flags.AC | Flags.ID;
      }
      if (cpu.v86) {
        mask &= ~Flags.IOPL;
      }
    }
    FarTransfer.loadRealCode(cpu, selector);
    cpu.r[Cpu.RSP] = stack.sp;
    cpu.rip = rip;
    setFlags(cpu, next, size == 2 ? mask | Flags.RF : mask, size);
    cpu.updateMode();
  }

  /**
   * Replaces the flags of the mask; RF is clear unless the image, at least 32 bits wide, has it.
   */
  private static void setFlags(Cpu cpu, int image, int mask, int size) {
    if (size == 2) {
      image &= ~Flags.RF;
    }
    cpu.setRflags(cpu.rflags() & ~mask | image & mask);
  }

  private static void iretProtected(Cpu cpu, int size) {
    if ((cpu.flagsRest & Flags.NT) != 0) {
      if (cpu.longMode) {
        throw cpu.gp(0);
      }
      TaskSwitch.returnToPrevious(cpu);
      return;
    }
    StackAccess stack = StackAccess.current(cpu);
    long rip = stack.pop(size);
    int selector = (int) stack.pop(size) & 0xffff;
    int image = (int) stack.pop(size);
    if (size == 4 && (image & Flags.VM) != 0 && cpu.cpl == 0 && !cpu.longMode) {
      iretToV86(cpu, stack, rip, selector, image);
      return;
    }
    Descriptor code = FarTransfer.returnCode(cpu, selector);
    int rpl = selector & 3;
    int mask = flagsMask(cpu, size);
    if (rpl == cpu.cpl && cpu.codeSize != 8) {
      FarTransfer.checkTarget(cpu, code, rip);
      DescriptorTables.setAccessed(cpu, code);
      leaveSame(cpu, code, selector, rip);
      cpu.r[Cpu.RSP] = stack.sp;
      setFlags(cpu, image, mask, size);
      FarTransfer.enter(cpu, code, rpl, rip);
      return;
    }
    long rsp = stack.pop(size);
    int ss = (int) stack.pop(size) & 0xffff;
    Descriptor d = FarTransfer.returnStack(cpu, ss, code, rpl);
    FarTransfer.checkTarget(cpu, code, rip);
    DescriptorTables.setAccessed(cpu, code);
    if (d != null) {
      DescriptorTables.setAccessed(cpu, d);
    }
    if (rpl == cpu.cpl) {
      leaveSame(cpu, code, selector, rip);
    } else {
      long linear = FarTransfer.linear(cpu, code, rip);
      ShadowStack.leaveOuter(cpu, rpl, selector, linear, FarTransfer.is64(cpu, code));
    }
    setFlags(cpu, image, mask, size);
    FarTransfer.outer(cpu, code, d, rpl, rip, rsp, ss, 0);
  }

  private static void leaveSame(Cpu cpu, Descriptor code, int selector, long rip) {
    long linear = FarTransfer.linear(cpu, code, rip);
    ShadowStack.leaveSame(cpu, selector, linear, FarTransfer.is64(cpu, code), true);
  }

  /** The flags that IRET may change at the current privilege level. */
  private static int flagsMask(Cpu cpu, int size) {
    int mask = Flags.ARITHMETIC | Flags.TF | Flags.DF | Flags.NT | Flags.RF;
    if (size != 2) {
      mask |= Flags.AC | Flags.ID;
    }
    if (cpu.cpl <= cpu.iopl()) {
      mask |= Flags.IF;
    }
    if (cpu.cpl == 0) {
      mask |= Flags.IOPL;
      if (size != 2) {
        mask |= VIRTUAL;
      }
    }
    return mask;
  }

  private static void iretToV86(Cpu cpu, StackAccess stack, long rip, int cs, int image) {
    long rsp = stack.pop(4);
    int[] selectors = new int[6];
    for (int s : new int[] {Cpu.SS, Cpu.ES, Cpu.DS, Cpu.FS, Cpu.GS}) {
      selectors[s] = (int) stack.pop(4) & 0xffff;
    }
    selectors[Cpu.CS] = cs;
    if (rip > 0xffff) {
      throw cpu.gp(0);
    }
    ShadowStack.leaveToV86(cpu);
    cpu.setRflags(image);
    cpu.cpl = 3;
    for (int s = 0; s < 6; s++) {
      SegmentLoader.loadV86(cpu.seg[s], selectors[s]);
    }
    cpu.r[Cpu.RSP] = rsp;
    cpu.rip = rip;
    cpu.updateMode();
  }
}
