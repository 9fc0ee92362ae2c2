package org.kvm4j.vmm;

import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;

/** A processor's state in words, for messages about guests that went wrong. */
final class CpuDump {

  private static final long EFER_LMA = 1 << 10;
  private static final long CR0_PE = 1;

  private CpuDump() {}

  static String describe(Vcpu vcpu) {
    return describe(vcpu.id(), vcpu.operation(), vcpu.getRegs(), vcpu.getSregs());
  }

  private static String describe(int id, String operation, Regs r, Sregs s) {
    String mode;
    if ((s.cr0 & CR0_PE) == 0) {
      mode = "real mode";
    } else if ((s.efer & EFER_LMA) != 0) {
      mode = s.cs.l != 0 ? "64-bit mode" : "compatibility mode";
    } else {
      mode = s.cs.db != 0 ? "32-bit protected mode" : "16-bit protected mode";
    }
    return String.format(
            "  vCPU %d in %s, CPL %d%s\n",
            id, mode, s.ss.dpl, operation.isEmpty() ? "" : ", " + operation)
        + String.format("  RIP %016x  RFLAGS %08x  RSP %016x\n", r.rip, r.rflags, r.rsp)
        + String.format(
            "  RAX %016x  RBX %016x  RCX %016x  RDX %016x\n", r.rax, r.rbx, r.rcx, r.rdx)
        + String.format("  RSI %016x  RDI %016x  RBP %016x  R8  %016x\n", r.rsi, r.rdi, r.rbp, r.r8)
        + String.format("  R9  %016x  R10 %016x  R11 %016x  R12 %016x\n", r.r9, r.r10, r.r11, r.r12)
        + String.format("  R13 %016x  R14 %016x  R15 %016x\n", r.r13, r.r14, r.r15)
        + segment("CS", s.cs)
        + segment("SS", s.ss)
        + segment("DS", s.ds)
        + String.format(
            "  GDT base %x limit %x  IDT base %x limit %x\n",
            s.gdt.base, s.gdt.limit, s.idt.base, s.idt.limit)
        + String.format(
            "  CR0 %x  CR2 %x  CR3 %x  CR4 %x  EFER %x", s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
  }

  private static String segment(String name, Segment s) {
    return String.format(
        "  %s  %04x base %x limit %x type %x%s\n",
        name, s.selector, s.base, s.limit, s.type, s.unusable != 0 ? " unusable" : "");
  }
}
