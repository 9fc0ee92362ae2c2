package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.GuestMode;
import org.kvm4j.cpu.core.PerformanceCounters;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.msr.TimeStampCounter;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.StateComponent;
import org.kvm4j.ept.tlb.Tlb;

/**
 * CPUID, counters, MSRs, caches, TLB, HLT, MONITOR and MWAIT and their kin, protection keys. SDM
 * Vol. 2, each instruction's page; Vol. 3, "Relative Priority of Faults and VM Exits": undefined
 * instructions and privilege come before VM exits, the rest after.
 */
final class ProcessorInstructions {
  private static final long LOW32 = 0xffffffffL;
  private static final long MISC_ENABLE_MONITOR = 1 << 18;
  private static final long MISC_ENABLE_LIMIT_CPUID = 1 << 22;

  private ProcessorInstructions() {}

  static void register() {
    Handlers.put(Opcode.HLT, ProcessorInstructions::hlt);
    Handlers.put(Opcode.PAUSE, ProcessorInstructions::exits);
    Handlers.put(Opcode.CPUID, ProcessorInstructions::cpuid);
    Handlers.put(Opcode.RDTSC, ProcessorInstructions::rdtsc);
    Handlers.put(Opcode.RDTSCP, ProcessorInstructions::rdtscp);
    Handlers.put(Opcode.RDPID, ProcessorInstructions::rdpid);
    Handlers.put(Opcode.RDPMC, ProcessorInstructions::rdpmc);
    Handlers.put(Opcode.RDMSR, ProcessorInstructions::rdmsr);
    Handlers.put(Opcode.WRMSR, ProcessorInstructions::wrmsr);
    Handlers.put(Opcode.INVLPG, ProcessorInstructions::invlpg);
    Handlers.put(Opcode.INVPCID, ProcessorInstructions::invpcid);
    Handlers.put(Opcode.INVD, ProcessorInstructions::privilegedExits);
    Handlers.put(Opcode.WBINVD, ProcessorInstructions::privilegedExits);
    Handlers.put(Opcode.WBNOINVD, ProcessorInstructions::privilegedExits);
    Handlers.put(Opcode.MONITOR, ProcessorInstructions::monitor);
    Handlers.put(Opcode.MWAIT, ProcessorInstructions::mwait);
    Handlers.put(Opcode.UMONITOR, ProcessorInstructions::umonitor);
    Handlers.put(Opcode.UMWAIT, ProcessorInstructions::userWait);
    Handlers.put(Opcode.TPAUSE, ProcessorInstructions::userWait);
    Handlers.put(Opcode.SERIALIZE, (c, i) -> {});
    Handlers.put(Opcode.RDPKRU, ProcessorInstructions::rdpkru);
    Handlers.put(Opcode.WRPKRU, ProcessorInstructions::wrpkru);
    for (Opcode opcode :
        new Opcode[] {
          Opcode.VMCALL, Opcode.VMLAUNCH, Opcode.VMRESUME, Opcode.VMXON, Opcode.VMXOFF,
          Opcode.VMCLEAR, Opcode.VMPTRLD, Opcode.VMPTRST, Opcode.VMREAD, Opcode.VMWRITE,
          Opcode.VMFUNC, Opcode.INVEPT, Opcode.INVVPID
        }) {
      Handlers.put(opcode, ProcessorInstructions::virtualization);
    }
  }

  private static void virtualization(Cpu cpu, Instruction i) {
    if (cpu.virtualization == null) {
      throw cpu.ud();
    }
    cpu.virtualization.execute(i);
  }

  private static boolean exit(Cpu cpu, Instruction i) {
    return cpu.guest != null && cpu.guest.instruction(i);
  }

  private static void checkPrivilege(Cpu cpu) {
    if (cpu.cpl != 0) {
      throw cpu.gp(0);
    }
  }

  /** #UD if an execution control takes the instruction away. */
  static void checkDefined(Cpu cpu, Instruction i) {
    if (cpu.guest != null && cpu.guest.isUndefined(i)) {
      throw cpu.ud();
    }
  }

  /** An instruction without an effect of its own here. */
  private static void exits(Cpu cpu, Instruction i) {
    exit(cpu, i);
  }

  private static void privilegedExits(Cpu cpu, Instruction i) {
    checkPrivilege(cpu);
    exit(cpu, i);
  }

  private static void hlt(Cpu cpu, Instruction i) {
    checkPrivilege(cpu);
    if (!exit(cpu, i)) {
      cpu.activity = Cpu.HALTED;
    }
  }

  // ---- identification ----

  private static void cpuid(Cpu cpu, Instruction i) {
    if (exit(cpu, i)) {
      return;
    }
    if (cpu.platform.cpuid(cpu)) {
      return;
    }
    int[] out = new int[4];
    cpuid(cpu, (int) cpu.r[Cpu.RAX], (int) cpu.r[Cpu.RCX], out);
    cpu.r[Cpu.RAX] = out[0] & LOW32;
    cpu.r[Cpu.RBX] = out[1] & LOW32;
    cpu.r[Cpu.RCX] = out[2] & LOW32;
    cpu.r[Cpu.RDX] = out[3] & LOW32;
  }

  /** What CPUID gives in the processor's current state. */
  static void cpuid(Cpu cpu, int leaf, int subleaf, int[] out) {
    cpu.model.cpuid(leaf, subleaf, out);
    switch (leaf) {
      case 0 -> {
        if ((cpu.msr.miscEnable & MISC_ENABLE_LIMIT_CPUID) != 0 && out[0] > 2) {
          out[0] = 2;
        }
      }
      case 1 -> {
        out[2] = follow(out[2], Feature.OSXSAVE, (cpu.cr4 & ControlBits.CR4_OSXSAVE) != 0);
        if ((cpu.msr.miscEnable & MISC_ENABLE_MONITOR) == 0) {
          out[2] &= ~Feature.MONITOR.mask();
        }
        if ((cpu.msr.apicBase & 0x800) == 0) {
          out[3] &= ~Feature.APIC.mask();
        }
      }
      case 7 -> {
        if (subleaf == 0) {
          out[2] = follow(out[2], Feature.OSPKE, (cpu.cr4 & ControlBits.CR4_PKE) != 0);
        }
      }
      case 0xd -> {
        if (subleaf == 0 && cpu.model.has(Feature.XSAVE)) {
          out[1] = StateComponent.standardSize(cpu.xcr0);
        } else if (subleaf == 1 && cpu.model.has(Feature.XSAVES)) {
          out[1] = StateComponent.compactedSize(cpu.xcr0 | cpu.xss);
        }
      }
      default -> {}
    }
  }

  private static int follow(int register, Feature feature, boolean on) {
    return on ? register | feature.mask() : register & ~feature.mask();
  }

  // ---- counters ----

  private static void checkTimeStamp(Cpu cpu) {
    if ((cpu.cr4 & ControlBits.CR4_TSD) != 0 && cpu.cpl != 0) {
      throw cpu.gp(0);
    }
  }

  private static void setEdxEax(Cpu cpu, long value) {
    cpu.r[Cpu.RAX] = value & LOW32;
    cpu.r[Cpu.RDX] = value >>> 32;
  }

  private static long edxEax(Cpu cpu) {
    return cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & LOW32;
  }

  private static void rdtsc(Cpu cpu, Instruction i) {
    checkTimeStamp(cpu);
    if (!exit(cpu, i)) {
      setEdxEax(cpu, TimeStampCounter.read(cpu));
    }
  }

  private static void rdtscp(Cpu cpu, Instruction i) {
    checkDefined(cpu, i);
    checkTimeStamp(cpu);
    if (!exit(cpu, i)) {
      setEdxEax(cpu, TimeStampCounter.read(cpu));
      cpu.r[Cpu.RCX] = cpu.msr.tscAux & LOW32;
    }
  }

  private static void rdpid(Cpu cpu, Instruction i) {
    checkDefined(cpu, i);
    Operands.write0(cpu, i, cpu.msr.tscAux & LOW32);
  }

  private static void rdpmc(Cpu cpu, Instruction i) {
    if ((cpu.cr4 & ControlBits.CR4_PCE) == 0 && cpu.cpl != 0) {
      throw cpu.gp(0);
    }
    if (exit(cpu, i)) {
      return;
    }
    int counter = PerformanceCounters.ofIndex((int) cpu.r[Cpu.RCX]);
    if (!cpu.counters.has(counter)) {
      throw cpu.gp(0);
    }
    setEdxEax(cpu, cpu.counters.read(counter));
  }

  // ---- model-specific registers ----

  private static void rdmsr(Cpu cpu, Instruction i) {
    checkPrivilege(cpu);
    int index = (int) cpu.r[Cpu.RCX];
    if (cpu.guest != null && cpu.guest.rdmsr(i, index)) {
      return;
    }
    long[] value = new long[1];
    if ((cpu.guest == null || !cpu.guest.readVirtualMsr(index, value))
        && !MsrTable.read(cpu, index, value)) {
      throw cpu.gp(0);
    }
    setEdxEax(cpu, value[0]);
  }

  private static void wrmsr(Cpu cpu, Instruction i) {
    checkPrivilege(cpu);
    int index = (int) cpu.r[Cpu.RCX];
    if (cpu.guest != null && cpu.guest.wrmsr(i, index)) {
      return;
    }
    if (cpu.guest != null && cpu.guest.writeVirtualMsr(index, edxEax(cpu))) {
      return;
    }
    if (!MsrTable.write(cpu, index, edxEax(cpu))) {
      throw cpu.gp(0);
    }
  }

  // ---- TLB ----

  private static int pcid(Cpu cpu) {
    return (cpu.cr4 & ControlBits.CR4_PCIDE) != 0 ? (int) cpu.cr3 & 0xfff : 0;
  }

  /** The linear address of a memory operand that is not accessed. */
  private static long unchecked(Cpu cpu, Instruction i) {
    long ea = Operands.effectiveAddress(cpu, i);
    if (cpu.codeSize == 8) {
      return i.segment >= Cpu.FS ? cpu.seg[i.segment].base + ea : ea;
    }
    return cpu.seg[i.segment].base + ea & LOW32;
  }

  private static void invlpg(Cpu cpu, Instruction i) {
    checkPrivilege(cpu);
    long linear = unchecked(cpu, i);
    if (cpu.guest != null && cpu.guest.invlpg(i, linear)) {
      return;
    }
    if (cpu.isCanonicalBase(linear)) {
      cpu.mmu.tlb.invalidateLinear(cpu.mmu.vpid, pcid(cpu), linear);
    }
  }

  private static void invpcid(Cpu cpu, Instruction i) {
    checkDefined(cpu, i);
    checkPrivilege(cpu);
    if (cpu.guest != null && cpu.guest.invpcid(i, unchecked(cpu, i))) {
      return;
    }
    long type = Operands.gpr(cpu, i.reg0, i.size0);
    long at = Operands.linear(cpu, i, 16, false);
    long low = cpu.mmu.read64(at);
    long linear = cpu.mmu.read64(cpu.codeSize == 8 ? at + 8 : at + 8 & LOW32);
    int pcid = (int) low & 0xfff;
    if (Long.compareUnsigned(type, 3) > 0
        || low >>> 12 != 0
        || type == Tlb.INVPCID_ADDRESS && !cpu.isCanonicalBase(linear)
        || type < 2 && pcid != 0 && (cpu.cr4 & ControlBits.CR4_PCIDE) == 0) {
      throw cpu.gp(0);
    }
    cpu.mmu.tlb.invpcid(cpu.mmu.vpid, (int) type, pcid, linear);
  }

  // ---- waiting ----

  private static void checkMonitor(Cpu cpu) {
    if (cpu.cpl != 0 || (cpu.msr.miscEnable & MISC_ENABLE_MONITOR) == 0) {
      throw cpu.ud();
    }
  }

  private static void monitor(Cpu cpu, Instruction i) {
    checkMonitor(cpu);
    GuestMode guest = cpu.guest;
    if (guest != null && guest.instruction(i)) {
      return;
    }
    if ((int) cpu.r[Cpu.RCX] != 0) {
      throw cpu.gp(0);
    }
    long offset = Operands.truncate(cpu.r[Cpu.RAX], i.addressSize);
    cpu.mmu.probeRead(cpu.linear(i.segment, offset, 1, false), 1);
  }

  /** Waiting may end at any time: it does at once. */
  private static void mwait(Cpu cpu, Instruction i) {
    checkMonitor(cpu);
    if (exit(cpu, i)) {
      return;
    }
    if (((int) cpu.r[Cpu.RCX] & ~1) != 0) {
      throw cpu.gp(0);
    }
  }

  /** Its address is accessed as by a load of a byte. */
  private static void umonitor(Cpu cpu, Instruction i) {
    checkDefined(cpu, i);
    long offset = Operands.truncate(cpu.r[i.reg0], i.addressSize);
    cpu.mmu.probeRead(cpu.linear(i.segment, offset, 1, false), 1);
  }

  /**
   * UMWAIT and TPAUSE: waiting may end at any time, and does at once; not by IA32_UMWAIT_CONTROL.
   */
  private static void userWait(Cpu cpu, Instruction i) {
    checkDefined(cpu, i);
    checkTimeStamp(cpu);
    if (exit(cpu, i)) {
      return;
    }
    if ((Operands.gpr(cpu, i.reg0, 4) & ~1L) != 0) {
      throw cpu.gp(0);
    }
    cpu.setLazyFlags(0);
  }

  // ---- protection keys ----

  private static void checkPkru(Cpu cpu) {
    if ((cpu.cr4 & ControlBits.CR4_PKE) == 0) {
      throw cpu.ud();
    }
    if ((int) cpu.r[Cpu.RCX] != 0) {
      throw cpu.gp(0);
    }
  }

  private static void rdpkru(Cpu cpu, Instruction i) {
    checkPkru(cpu);
    setEdxEax(cpu, cpu.pkru & LOW32);
  }

  private static void wrpkru(Cpu cpu, Instruction i) {
    checkPkru(cpu);
    if ((int) cpu.r[Cpu.RDX] != 0) {
      throw cpu.gp(0);
    }
    cpu.pkru = (int) cpu.r[Cpu.RAX];
    cpu.updateMode();
  }
}
