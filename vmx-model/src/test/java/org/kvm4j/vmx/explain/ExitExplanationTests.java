package org.kvm4j.vmx.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.exit.InterruptionInfo;

/** VM-exit information in words. */
class ExitExplanationTests {
  private static String qualification(ExitReason reason, long q) {
    return ExitExplanation.qualification(reason.number, 0, q);
  }

  @Test
  void reasons() {
    assertEquals(
        "EPT violation (EPT_VIOLATION, 48; SDM 29.3.3 \"EPT-Induced VM Exits\")",
        ExitExplanation.reason(48));
    assertEquals(
        "VM-entry failure due to invalid guest state (INVALID_GUEST_STATE, 33; SDM 27.8 \"VM-Entry"
            + " Failures During or After Loading Guest State\"); bit 31: VM-entry failure",
        ExitExplanation.reason(0x80000021));
    assertEquals("no exit reason has the number 35", ExitExplanation.reason(35));
    assertEquals(
        "HLT (HLT, 12; SDM 26.1.3 \"Instructions That Cause VM Exits Conditionally\"); bit 30: not"
            + " defined; bit 24: not defined; bit 16: not defined",
        ExitExplanation.reason(0x4101000c));
  }

  @Test
  void qualifications() {
    assertEquals(
        "OUT of 1 byte, port 0x3f8 (in DX)", qualification(ExitReason.IO_INSTRUCTION, 0x3f80000));
    assertEquals(
        "REP INS of 4 bytes, port 0x1f0", qualification(ExitReason.IO_INSTRUCTION, 0x1f0003bL));
    assertEquals(
        "IN of 2 bytes, port 0x60 (immediate)",
        qualification(ExitReason.IO_INSTRUCTION, 0x600049L));
    assertEquals("MOV CR3, RCX", qualification(ExitReason.CR_ACCESS, 0x103));
    assertEquals("MOV R8, CR8", qualification(ExitReason.CR_ACCESS, 0x818));
    assertEquals("CLTS", qualification(ExitReason.CR_ACCESS, 0x20));
    assertEquals(
        "LMSW of 0xfff1, memory operand", qualification(ExitReason.CR_ACCESS, 0xfff10070L));
    assertEquals("MOV DR7, RAX", qualification(ExitReason.DR_ACCESS, 7));
    assertEquals("MOV RBX, DR0", qualification(ExitReason.DR_ACCESS, 0x310));
    assertEquals(
        "fetch of a page that is ---, translated linear address",
        qualification(ExitReason.EPT_VIOLATION, 0x184));
    assertEquals(
        "read of a page that is rwx, translated linear address, guest-paging verification failed",
        qualification(ExitReason.EPT_VIOLATION, 0x81b9));
    assertEquals("SPP miss", qualification(ExitReason.SPP_EVENT, 0x800));
    assertEquals(
        "SPP misconfiguration, NMI unblocking due to IRET",
        qualification(ExitReason.SPP_EVENT, 0x1000));
    assertEquals(
        "to the TSS of selector 0x28, by a task gate in the IDT",
        qualification(ExitReason.TASK_SWITCH, 0xc0000028L));
    assertEquals(
        "offset 0x80 of the APIC-access page, by a data write",
        qualification(ExitReason.APIC_ACCESS, 0x1080));
    assertEquals("the VMCS link pointer", qualification(ExitReason.INVALID_GUEST_STATE, 4));
    assertEquals(
        "entry 3 of the VM-entry MSR-load list (from 1)",
        qualification(ExitReason.MSR_LOAD_FAIL, 3));
    assertEquals(
        "vector 0x9a: execution starts at 0x9a000", qualification(ExitReason.SIPI_SIGNAL, 0x9a));
    assertEquals(
        "the displacement of the memory operand, -8", qualification(ExitReason.VMPTRLD, -8));
    assertEquals("", qualification(ExitReason.CPUID, 0));
    int debug = InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, 1, false);
    assertEquals("B0, BS (single step)", ExitExplanation.qualification(0, debug, 0x4001));
    int fault = InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, 14, true);
    assertEquals(
        "the linear address that faulted: 0x1234", ExitExplanation.qualification(0, fault, 0x1234));
  }

  @Test
  void interruptions() {
    assertEquals("none", ExitExplanation.interruption(0x30e, null));
    assertEquals(
        "hardware exception, vector 14, error code (#PF) 0x2",
        ExitExplanation.interruption(0x80000b0e, 2L));
    assertEquals(
        "hardware exception, vector 13, error code (#GP)",
        ExitExplanation.interruption(0x80000b0d, null));
    assertEquals("external interrupt, vector 32", ExitExplanation.interruption(0x80000020, 0L));
  }

  @Test
  void instructions() {
    assertEquals(
        "memory at DS:[RAX + RCX * 4 + displacement], 64-bit",
        ExitExplanation.instruction(21, 1 << 18 | 3 << 15 | 2 << 7 | 2));
    assertEquals("register RBX, field in RAX", ExitExplanation.instruction(23, 1 << 10 | 3 << 3));
    assertEquals(
        "memory at SS:[displacement], 32-bit, type in R9",
        ExitExplanation.instruction(50, 9 << 28 | 1 << 27 | 1 << 22 | 2 << 15 | 1 << 7));
    assertEquals(
        "LIDT, memory at DS:[RDI + displacement], 64-bit, operand size 32",
        ExitExplanation.instruction(46, 3 << 28 | 7 << 23 | 1 << 22 | 3 << 15 | 1 << 11 | 2 << 7));
    assertEquals("LTR, register RDX", ExitExplanation.instruction(47, 3 << 28 | 1 << 10 | 2 << 3));
    assertEquals(
        "register R15, operand size 64", ExitExplanation.instruction(57, 15 << 3 | 2 << 11));
    assertEquals("", ExitExplanation.instruction(10, -1));
  }

  @Test
  void instruction_errors() {
    assertEquals("VM entry with invalid control field(s)", ExitExplanation.instructionError(7));
    assertEquals("no VM-instruction error has the number 14", ExitExplanation.instructionError(14));
    assertEquals("none", ExitExplanation.instructionError(0));
  }

  /** No number makes the words fail. */
  @Property(tries = 2000)
  void any_fields_have_words(
      @ForAll @IntRange(min = 0, max = 90) int basic,
      @ForAll int flags,
      @ForAll int info,
      @ForAll long q) {
    int reason = flags & 0xffff0000 | basic;
    assertNotNull(ExitExplanation.reason(reason));
    assertNotNull(ExitExplanation.reason(flags));
    assertNotNull(ExitExplanation.qualification(reason, info, q));
    assertNotNull(ExitExplanation.interruption(info, q));
    assertNotNull(ExitExplanation.instruction(reason, info));
    assertNotNull(ExitExplanation.instructionError(info));
  }
}
