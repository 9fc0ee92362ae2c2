package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.segment.StackAccess;

/**
 * PUSHF, POPF, CLI, STI, CLAC, STAC. SDM Vol. 2, each instruction's page; Vol. 3, "Virtual
 * Interrupt Flag" ("Class 2—Maskable Hardware Interrupt Handling in Virtual-8086 Mode Using the
 * Virtual Interrupt Mechanism", "Protected-Mode Virtual Interrupts").
 */
public final class FlagInstructions {
  private static final int USER =
      Flags.ARITHMETIC | Flags.TF | Flags.DF | Flags.NT | Flags.AC | Flags.ID;

  private FlagInstructions() {}

  static void register() {
    Handlers.put(Opcode.PUSHF, FlagInstructions::pushf);
    Handlers.put(Opcode.POPF, FlagInstructions::popf);
    Handlers.put(Opcode.CLI, FlagInstructions::cli);
    Handlers.put(Opcode.STI, FlagInstructions::sti);
    Handlers.put(Opcode.CLAC, (c, i) -> setAc(c, 0));
    Handlers.put(Opcode.STAC, (c, i) -> setAc(c, Flags.AC));
  }

  /** Virtual-8086 mode with IOPL below 3: only CR4.VME makes these instructions work. */
  private static boolean isVirtual(Cpu cpu) {
    return cpu.v86 && cpu.iopl() < 3;
  }

  private static void checkVme(Cpu cpu, int size) {
    if ((cpu.cr4 & ControlBits.CR4_VME) == 0 || size != 2) {
      throw cpu.gp(0);
    }
  }

  private static void pushf(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    int image = image(cpu);
    if (isVirtual(cpu)) {
      checkVme(cpu, size);
      image |= Flags.IOPL;
      image = (image & Flags.VIF) != 0 ? image | Flags.IF : image & ~Flags.IF;
    }
    StackAccess stack = StackAccess.current(cpu);
    stack.reserve(1, size, 0);
    stack.push(size, image);
    cpu.r[Cpu.RSP] = stack.sp;
  }

  /** What PUSHF pushes outside of virtual-8086 mode. */
  public static int image(Cpu cpu) {
    return (int) cpu.rflags() & ~(Flags.RF | Flags.VM);
  }

  private static void popf(Cpu cpu, Instruction i) {
    int size = i.operandSize;
    if (isVirtual(cpu)) {
      checkVme(cpu, size);
    }
    StackAccess stack = StackAccess.current(cpu);
    load(cpu, (int) stack.pop(size), size);
    cpu.r[Cpu.RSP] = stack.sp;
  }

  /**
   * POPF with an image of {@code size} bytes, all but the stack pointer.
   *
   * @throws org.kvm4j.cpu.core.CpuException #GP(0) with nothing changed
   */
  public static void load(Cpu cpu, int image, int size) {
    boolean virtual = isVirtual(cpu);
    int mask = USER;
    if (virtual) {
      if ((image & Flags.TF) != 0 || (image & Flags.IF) != 0 && (cpu.flagsRest & Flags.VIP) != 0) {
        throw cpu.gp(0);
      }
      image = (image & Flags.IF) != 0 ? image | Flags.VIF : image & ~Flags.VIF;
    } else {
      if (cpu.cpl <= cpu.iopl()) {
        mask |= Flags.IF;
      }
      if (cpu.cpl == 0) {
        mask |= Flags.IOPL;
      }
    }
    if (size == 2) {
      mask &= 0xffff;
    }
    if (virtual) {
      mask |= Flags.VIF;
    }
    // RF is cleared, VM, VIF and VIP stay.
    long old = cpu.rflags() & ~Flags.RF;
    cpu.setRflags(old & ~mask | image & mask);
    if (((old ^ cpu.flagsRest) & Flags.AC) != 0) {
      cpu.updateMode();
    }
  }

  /** Whether IF itself may be changed; otherwise VIF, if there is no #GP(0). */
  private static boolean changesIf(Cpu cpu) {
    if (cpu.cpl <= cpu.iopl()) {
      return true;
    }
    long extension = cpu.v86 ? ControlBits.CR4_VME : ControlBits.CR4_PVI;
    if (cpu.cpl != 3 || (cpu.cr4 & extension) == 0) {
      throw cpu.gp(0);
    }
    return false;
  }

  private static void cli(Cpu cpu, Instruction i) {
    cpu.flagsRest &= changesIf(cpu) ? ~Flags.IF : ~Flags.VIF;
  }

  private static void sti(Cpu cpu, Instruction i) {
    if (!changesIf(cpu)) {
      if ((cpu.flagsRest & Flags.VIP) != 0) {
        throw cpu.gp(0);
      }
      cpu.flagsRest |= Flags.VIF;
    } else if ((cpu.flagsRest & Flags.IF) == 0) {
      cpu.flagsRest |= Flags.IF;
      cpu.shadow = Cpu.SHADOW_STI;
    }
  }

  private static void setAc(Cpu cpu, int ac) {
    if (cpu.cpl != 0) {
      throw cpu.ud();
    }
    cpu.flagsRest = cpu.flagsRest & ~Flags.AC | ac;
    cpu.updateMode();
  }
}
