package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class ExitFormatTests {
  @ParameterizedTest
  @CsvSource({
    "EXCEPTION_NMI, 0",
    "EXTERNAL_INTERRUPT, 1",
    "TRIPLE_FAULT, 2",
    "INTERRUPT_WINDOW, 7",
    "TASK_SWITCH, 9",
    "CPUID, 10",
    "HLT, 12",
    "VMCALL, 18",
    "VMXON, 27",
    "CR_ACCESS, 28",
    "IO_INSTRUCTION, 30",
    "MSR_WRITE, 32",
    "INVALID_GUEST_STATE, 33",
    "MWAIT, 36",
    "PAUSE, 40",
    "EPT_VIOLATION, 48",
    "EPT_MISCONFIG, 49",
    "INVEPT, 50",
    "PREEMPTION_TIMER, 52",
    "XSETBV, 55",
    "INVPCID, 58",
    "XRSTORS, 64",
    "BUS_LOCK, 74",
    "NOTIFY, 75",
  })
  void a_reason_has_the_number_of_the_appendix(ExitReason reason, int number) {
    assertEquals(number, reason.number);
    assertEquals(reason, ExitReason.of(number));
  }

  @ParameterizedTest
  @EnumSource(ExitReason.class)
  void a_reason_is_found_and_documented(ExitReason reason) {
    assertEquals(reason, ExitReason.of(reason.number));
    assertEquals(reason, ExitReason.of(reason.number | ExitReason.ENTRY_FAILURE));
    assertFalse(reason.title.isEmpty());
    assertNotNull(reason.cause);
  }

  @Test
  void undefined_reasons_are_said_to_be_so() {
    assertNull(ExitReason.of(35));
    assertNull(ExitReason.of(0xffff));
    assertEquals("undefined (35)", ExitReason.describe(35));
    assertEquals("INVALID_GUEST_STATE (33, VM-entry failure)", ExitReason.describe(0x80000021));
  }

  /** Decoding and encoding a qualification gives its defined bits back. */
  @ParameterizedTest
  @CsvSource({
    "0, 80000301, 1400f",
    "0, 80000b0e, 123456789abcdef0",
    "4, 0, 9a",
    "9, 0, c0001234",
    "28, 0, f00",
    "28, 0, 12340070",
    "28, 0, 918",
    "29, 0, f17",
    "30, 0, 3f80079",
    "48, 0, 11a8",
    "48, 0, 1e182",
    "14, 0, ffff800000001000",
    "33, 0, 2",
    "33, 0, 3",
    "33, 0, 4",
    "33, 0, 7",
    "34, 0, 17",
    "35, 0, 5",
  })
  void a_qualification_is_read_and_written(int reason, String info, String hex) {
    long qualification = Long.parseUnsignedLong(hex, 16);
    assertEquals(
        qualification,
        ExitQualification.decode(reason, Integer.parseUnsignedInt(info, 16), qualification)
            .encode());
  }

  @Test
  void a_qualification_reads_in_words() {
    ExitQualification q = ExitQualification.decode(30, 0, 0x03f80008);
    assertEquals(new ExitQualification.Io(0x3f8, 1, true, false, false, false), q);
    q = ExitQualification.decode(28, 0, 0x908);
    assertEquals(
        new ExitQualification.ControlRegister(
            8, ExitQualification.CrAccessType.MOV_TO_CR, false, 9, 0),
        q);
    assertTrue(ExitQualification.decode(48, 0, 0x181).toString().contains("read=true"));
  }

  @Test
  void interruption_information_reads_in_words() {
    int info = InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, 14, true);
    assertEquals(0x80000b0e, info);
    assertEquals("hardware exception, vector 14, error code", InterruptionInfo.describe(info));
    assertEquals("none", InterruptionInfo.describe(0));
    assertEquals(
        "NMI, vector 2, NMI unblocking",
        InterruptionInfo.describe(0x80000202 | InterruptionInfo.NMI_UNBLOCKING));
  }
}
