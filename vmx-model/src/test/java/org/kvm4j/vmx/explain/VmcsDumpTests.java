package org.kvm4j.vmx.explain;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.OptionalInt;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** VMCS dumps as kernels print them. */
class VmcsDumpTests {
  private static MinimalHypervisor guest(MinimalHypervisor.Mode mode) {
    return new MinimalHypervisor().guest(mode);
  }

  private static String dump(MinimalHypervisor h) {
    return VmcsDump.write(h.vmcs(), "kvm4j-v1", 3, 0);
  }

  private static VmcsDump parsed(String text) {
    List<VmcsDump> dumps = VmcsDump.parse(text);
    assertEquals(1, dumps.size());
    return dumps.get(0);
  }

  private static List<String> problems(VmcsDump dump) {
    return dump.problems().stream().map(VmcsDump.Problem::toString).toList();
  }

  private static void assertKnown(long value, VmcsDump dump, VmcsField field) {
    assertTrue(dump.isKnown(field), field.toString());
    assertEquals(value, dump.v[field.ordinal()], field.toString());
  }

  @ParameterizedTest
  @EnumSource(MinimalHypervisor.Mode.class)
  void what_is_written_is_read(MinimalHypervisor.Mode mode) {
    MinimalHypervisor h = guest(mode);
    h.primary(Controls.CPU_BASED_TPR_SHADOW);
    h.secondary(
        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
            | Controls.SECONDARY_EXEC_TSC_SCALING
            | Controls.SECONDARY_EXEC_PAUSE_LOOP_EXITING);
    h.set(VmcsField.APIC_ACCESS_ADDR, 0xfee00000L).set(VmcsField.VIRTUAL_APIC_PAGE_ADDR, 0xa000);
    h.set(VmcsField.TPR_THRESHOLD, 7).set(VmcsField.TSC_MULTIPLIER, 1L << 48);
    h.set(VmcsField.PLE_GAP, 128).set(VmcsField.PLE_WINDOW, 4096);
    VmcsDump dump = parsed(dump(h));
    assertEquals("kvm4j-v1", dump.cpu());
    assertEquals(2, dump.line());
    assertEquals(List.of(), problems(dump));
    int known = 0;
    for (VmcsField field : VmcsField.values()) {
      if (dump.isKnown(field)) {
        known++;
        assertKnown(h.vmcs().read(field), dump, field);
      }
    }
    assertTrue(known > 100, known + " fields");
    for (VmcsField field :
        List.of(
            VmcsField.GUEST_TR_AR_BYTES,
            VmcsField.GUEST_IA32_EFER,
            VmcsField.HOST_TR_SELECTOR,
            VmcsField.HOST_IA32_PAT,
            VmcsField.VIRTUAL_APIC_PAGE_ADDR,
            VmcsField.APIC_ACCESS_ADDR,
            VmcsField.TPR_THRESHOLD,
            VmcsField.PLE_WINDOW,
            VmcsField.VIRTUAL_PROCESSOR_ID,
            VmcsField.EXIT_QUALIFICATION,
            VmcsField.CR3_TARGET_COUNT,
            VmcsField.VM_ENTRY_MSR_LOAD_COUNT,
            VmcsField.VM_EXIT_MSR_LOAD_ADDR,
            VmcsField.VM_EXIT_MSR_STORE_ADDR,
            VmcsField.VMCS_LINK_POINTER)) {
      assertTrue(dump.isKnown(field), field.toString());
    }
    assertFalse(dump.isKnown(VmcsField.MSR_BITMAP), "it is not printed");
  }

  @Test
  void the_lines_are_as_the_kernel_has_them() {
    MinimalHypervisor h = guest(MinimalHypervisor.Mode.LONG);
    List<String> lines = dump(h).lines().toList();
    for (String line :
        List.of(
            "VMCS 0000000000004000, last attempted VM-entry on CPU 3",
            "*** Guest State ***",
            "CR0: actual=0x0000000080050033, shadow=0x0000000000000000, gh_mask=0000000000000000",
            "RFLAGS=0x00000002         DR7 = 0x0000000000000400",
            "Sysenter RSP=0000000000000000 CS:RIP=0000:0000000000000000",
            "CS:   sel=0x0008, attr=0x0a09b, limit=0xffffffff, base=0x0000000000000000",
            "GDTR:                           limit=0x00000fff, base=0x0000000000030000",
            "LDTR: sel=0x0000, attr=0x10000, limit=0x00000000, base=0x0000000000000000",
            "EFER= 0x0000000000000d00",
            "CS=0008 SS=0010 DS=0010 ES=0010 FS=0010 GS=0010 TR=0020",
            "VMEntry: intr_info=00000000 errcode=00000000 ilen=00000000",
            "        reason=00000000 qualification=0000000000000000",
            "EPT pointer = 0x000000000001001e",
            "Virtual processor ID = 0x0001")) {
      assertTrue(lines.contains(line), line + "\n" + String.join("\n", lines));
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "[    2.779110] ",
        "[12345.000001] kvm_intel: ",
        "[Sun Nov  2 14:31:05 2025] kvm_intel: ",
        "<3>[   17.1]",
        "Nov 02 14:31:05 host kernel: ",
        "2025-11-02T14:31:05.123456+01:00 host kernel: [  300.5] kvm_intel: "
      })
  void what_a_log_puts_before_lines_does_not_matter(String prefix) {
    MinimalHypervisor h = guest(MinimalHypervisor.Mode.PAE);
    VmcsDump plain = parsed(dump(h));
    VmcsDump dump =
        parsed(dump(h).lines().map(l -> prefix + l + "\r\n").collect(Collectors.joining()));
    assertEquals(List.of(), problems(dump));
    for (VmcsField field : VmcsField.values()) {
      assertEquals(plain.isKnown(field), dump.isKnown(field), field.toString());
      assertEquals(plain.v[field.ordinal()], dump.v[field.ordinal()], field.toString());
    }
  }

  @Test
  void earlier_kernels_put_pieces_together_otherwise() {
    VmcsDump dump =
        parsed(
            """
            *** Guest State ***
            EFER =     0x0000000000000d01  PAT = 0x0007040600070406
            *** Host State ***
            EFER = 0x0000000000000500  PAT = 0x0407050600070106
            *** Control State ***
            PinBased=0000007f CPUBased=b6a1edfa SecondaryExec=000000ea
            EntryControls=0000d1ff ExitControls=002fefff
            SVI|RVI = 00|31 TPR Threshold = 0x05
            CR3 target0=0000000000001000 target1=0000000000002000
            """);
    assertKnown(0xd01, dump, VmcsField.GUEST_IA32_EFER);
    assertKnown(0x0007040600070406L, dump, VmcsField.GUEST_IA32_PAT);
    assertKnown(0x500, dump, VmcsField.HOST_IA32_EFER);
    assertKnown(0x0407050600070106L, dump, VmcsField.HOST_IA32_PAT);
    assertKnown(0x7f, dump, VmcsField.PIN_BASED_VM_EXEC_CONTROL);
    assertKnown(0xb6a1edfaL, dump, VmcsField.CPU_BASED_VM_EXEC_CONTROL);
    assertKnown(0xea, dump, VmcsField.SECONDARY_VM_EXEC_CONTROL);
    assertKnown(0x2fefffL, dump, VmcsField.VM_EXIT_CONTROLS);
    assertKnown(5, dump, VmcsField.TPR_THRESHOLD);
    assertKnown(0x2000, dump, VmcsField.CR3_TARGET_VALUE1);
    assertEquals(List.of(), problems(dump));
  }

  @Test
  void what_is_no_field_is_not_taken_for_one() {
    VmcsDump dump =
        parsed(
            """
            *** Guest State ***
            EFER= 0x0000000000000d01 (effective)
            CR3 = 0x0000000000001000
            *** Control State ***
            something CR3 = 0x0000000000002000
            """);
    assertFalse(dump.isKnown(VmcsField.GUEST_IA32_EFER), "what KVM would have the guest see");
    assertKnown(0x1000, dump, VmcsField.GUEST_CR3);
  }

  @Test
  void MSR_lists_tell_their_counts() {
    VmcsDump dump =
        parsed(
            """
            *** Guest State ***
            MSR guest autoload:
               0: msr=0x00000600 value=0x0000000000000000
               1: msr=0x0000038f value=0x000000070000000f
            *** Host State ***
            MSR host autoload:
               0: msr=0x00000600 value=0x0000000000000000
            """);
    assertKnown(2, dump, VmcsField.VM_ENTRY_MSR_LOAD_COUNT);
    assertKnown(1, dump, VmcsField.VM_EXIT_MSR_LOAD_COUNT);
    assertFalse(dump.isKnown(VmcsField.VM_EXIT_MSR_STORE_COUNT));
  }

  @Test
  void several_dumps_are_told_apart() {
    MinimalHypervisor h = guest(MinimalHypervisor.Mode.LONG);
    String one = dump(h);
    h.set(VmcsField.GUEST_RIP, 0x1234);
    List<VmcsDump> dumps =
        VmcsDump.parse("a line\n" + one + "KVM: entry failed, hardware error 0x7\n" + dump(h));
    assertEquals(2, dumps.size());
    assertEquals(3, dumps.get(0).line());
    assertKnown(MinimalHypervisor.CODE, dumps.get(0), VmcsField.GUEST_RIP);
    assertKnown(0x1234, dumps.get(1), VmcsField.GUEST_RIP);
    assertEquals(OptionalInt.of(7), dumps.get(0).hardwareError());
    assertEquals(OptionalInt.empty(), dumps.get(1).hardwareError());
    assertEquals(List.of(), VmcsDump.parse("no dump\nCR3 = 0x1\n"));
  }

  private static String withReason(String reason) {
    return "*** Guest State ***\nCR3 = 0x1000\n*** Control State ***\n"
        + "        reason="
        + reason
        + " qualification=0000000000000000\n";
  }

  private static List<OptionalInt> errors(String... parts) {
    return VmcsDump.parse(String.join("", parts)).stream().map(VmcsDump::hardwareError).toList();
  }

  @Test
  void the_line_of_an_error_is_of_the_dump_that_it_comes_with() {
    OptionalInt none = OptionalInt.empty();
    OptionalInt controls = OptionalInt.of(7);
    OptionalInt state = OptionalInt.of(0x80000021);
    String halted = withReason("0000000c");
    String failed = withReason("80000021");
    String own7 = "cpu 0: entry failed, hardware error 0x7\n";
    String own21 = "cpu 0: entry failed, hardware error 0x80000021\n";
    String qemu7 = "KVM: entry failed, hardware error 0x7\n";
    String qemu21 = "KVM: entry failed, hardware error 0x80000021\n";
    assertEquals(List.of(none, controls), errors(halted, own7, halted));
    assertEquals(List.of(controls, none), errors(halted, qemu7, halted));
    assertEquals(List.of(controls, state), errors(own7, halted, own21, failed));
    assertEquals(List.of(controls, state), errors(halted, qemu7, failed, qemu21));
    assertEquals(List.of(none, state), errors(halted, qemu21, failed), "no exit of such a reason");
    assertEquals(List.of(none, controls), errors(failed, qemu7, halted));
    assertEquals(List.of(controls), errors(halted, "a line\n", own7), "no other follows");
    assertEquals(List.of(none), errors(own7, failed));
    assertEquals(
        List.of(
            "hardware error 0x7, as the dump has exit reason 0x80000021: the line is not of this"
                + " dump"),
        problems(parsed(own7 + failed)));
  }

  @Test
  void what_is_no_number_is_told() {
    VmcsDump dump =
        parsed(
            """
            *** Guest State ***
            RFLAGS=0xzz         DR7 = 0x0000000000000400
            CR3 = -1
            PDPTR0 = 0x12345678123456789
            PDPTR1 = 0x
            PDPTR2 = 0x123456789123456789 PDPTR3 = 1h
            CS:   sel=0x0008, attr=, limit=0xffffffff, base=0xg
            DebugCtl = 0x1 DebugCtl = 0x2
            EFER = 0x0000000000000500 PAT = 0x0007040600070406 EFER = %s
            """
                .formatted("q".repeat(100)));
    assertEquals(
        List.of(
            "line 2: '0xzz' for GUEST_RFLAGS is no number in hexadecimal",
            "line 3: '-1' for GUEST_CR3 is no number in hexadecimal",
            "line 4: GUEST_PDPTR0 has 64 bits, and 0x12345678123456789 does not fit",
            "line 5: '0x' for GUEST_PDPTR1 is no number in hexadecimal",
            "line 6: GUEST_PDPTR2 has 64 bits, and 0x123456789123456789 does not fit",
            "line 6: '1h' for GUEST_PDPTR3 is no number in hexadecimal",
            "line 7: '' for GUEST_CS_AR_BYTES is no number in hexadecimal",
            "line 7: '0xg' for GUEST_CS_BASE is no number in hexadecimal",
            "line 8: GUEST_IA32_DEBUGCTL is 0x2 now, and was 0x1 before",
            "line 9: '" + "q".repeat(40) + "...' for GUEST_IA32_EFER is no number in hexadecimal"),
        problems(dump));
    assertKnown(0x400, dump, VmcsField.GUEST_DR7);
    assertKnown(8, dump, VmcsField.GUEST_CS_SELECTOR);
    assertFalse(dump.isKnown(VmcsField.GUEST_RFLAGS));
    assertFalse(dump.isKnown(VmcsField.GUEST_CS_AR_BYTES));
  }

  @Test
  void what_a_line_has_lost_is_told_and_the_rest_is_read() {
    VmcsDump dump =
        parsed(
            """
            *** Guest State ***
            CR0: actual=0x0000000080050033, shadow=0x0000000000000000, gh_
            CR3 = 0x0000000000001000
            RSP = 0x0000000000118000  RIP =
            RFLAGS=0x00000002         DR7 = 0x00000000
            CS:   sel=0x0008, attr=0x0a09b, lim
            DS:   se
            SS:   sel=0x0010, attr=0x0c093, limit=0xffffffff, base=0x000000000000
            GDTR:                           limit=0x00000fff, base=0x0000000000030000
            EFER = 0x0000000000000500 PAT = 0x7040600070406
            *** Host State ***
            CS=0008 SS=0010 DS=00
            *** Control State ***
            VMEntry: intr_info=80000b0e errcode=00000002
                    reason=80000021 qualification=0
            """);
    assertEquals(
        List.of(
            "line 2: cut short, without CR0_GUEST_HOST_MASK",
            "line 4: '' for GUEST_RIP is no number in hexadecimal",
            "line 5: GUEST_DR7 is cut short, with 8 of 16 digits: '0x00000000'",
            "line 6: cut short, without GUEST_CS_LIMIT, GUEST_CS_BASE",
            "line 7: cut short, without GUEST_DS_SELECTOR, GUEST_DS_AR_BYTES, GUEST_DS_LIMIT,"
                + " GUEST_DS_BASE",
            "line 8: GUEST_SS_BASE is cut short, with 12 of 16 digits: '0x000000000000'",
            "line 10: GUEST_IA32_PAT is cut short, with 13 of 16 digits: '0x7040600070406'",
            "line 12: HOST_DS_SELECTOR is cut short, with 2 of 4 digits: '00'",
            "line 14: cut short, without VM_ENTRY_INSTRUCTION_LEN",
            "line 15: EXIT_QUALIFICATION is cut short, with 1 of 16 digits: '0'"),
        problems(dump));
    assertKnown(0x80050033L, dump, VmcsField.GUEST_CR0);
    assertKnown(0x118000, dump, VmcsField.GUEST_RSP);
    assertKnown(8, dump, VmcsField.GUEST_CS_SELECTOR);
    assertKnown(0xa09b, dump, VmcsField.GUEST_CS_AR_BYTES);
    assertKnown(2, dump, VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE);
    assertFalse(dump.isKnown(VmcsField.GUEST_SS_BASE), "a number without its last digits");
    assertFalse(dump.isKnown(VmcsField.GUEST_DR7));
    assertFalse(dump.isKnown(VmcsField.EXIT_QUALIFICATION));
  }

  /** Wherever a line of a dump is cut, its fields are read right, or told. */
  @Test
  void a_line_may_be_cut_anywhere() {
    MinimalHypervisor h = guest(MinimalHypervisor.Mode.LONG);
    for (DumpFormat.Line line : DumpFormat.known()) {
      for (DumpFormat.Piece piece : line.pieces()) {
        for (int k = 0; k < piece.fields.size(); k++) {
          VmcsField field = piece.fields.get(k);
          if (!field.isReadOnly() && !field.name().matches(".*_CONTROLS?")) {
            // Zeros before it, as kernels print them, in any width.
            h.vmcs().v[field.ordinal()] =
                0x0012_3456_0009_0105L & field.width.mask & -1L >>> 64 - 4 * piece.widths.get(k);
          }
        }
      }
    }
    String text = dump(h);
    VmcsDump whole = parsed(text);
    int told = 0;
    String heading = "";
    for (String line : text.lines().toList()) {
      heading = line.startsWith("***") ? line : heading;
      for (int length = 1; length < line.length() && line.indexOf("***") != 0; length++) {
        String cut = line.substring(0, length);
        VmcsDump dump =
            parsed(
                DumpFormat.Part.GUEST.heading
                    + "\n"
                    + heading.replace(DumpFormat.Part.GUEST.heading, "")
                    + "\n"
                    + cut);
        told += dump.problems().size();
        // A line's only number may be somebody's, who has written it without zeros before it.
        if (!cut.matches("[^=]*= ?(0x)?(0|[1-9a-f][0-9a-f]*)")) {
          for (VmcsField field : VmcsField.values()) {
            if (dump.isKnown(field)) {
              assertEquals(whole.v[field.ordinal()], dump.v[field.ordinal()], cut);
            }
          }
        }
      }
    }
    assertTrue(told > 1000, told + " problems");
  }

  @Test
  void what_makes_no_sense_is_told() {
    VmcsDump dump =
        parsed(
            """
            *** Guest State ***
            CS:   sel=0x12345, attr=0x0a09b, limit=0xffffffff, base=0x0000000000000000
            CR3 = 0x0000000000001000
            CR3 = 0x0000000000002000
            RIP = nonsense
            """);
    assertEquals(
        List.of(
            "line 2: GUEST_CS_SELECTOR has 16 bits, and 0x12345 does not fit",
            "line 4: GUEST_CR3 is 0x2000 now, and was 0x1000 before"),
        problems(dump));
    assertFalse(dump.isKnown(VmcsField.GUEST_CS_SELECTOR));
    assertFalse(dump.isKnown(VmcsField.GUEST_RIP));
  }

  /** Whatever a line is, reading it takes time in proportion to its length. */
  @Test
  @Timeout(20)
  void long_lines_of_spaces_are_read() {
    String spaces = " ".repeat(100_000);
    VmcsDump dump =
        parsed("*** Guest State ***\nGDTR:" + spaces + "limit" + spaces + "nothing\nCR3 = 0x1\n");
    assertKnown(1, dump, VmcsField.GUEST_CR3);
  }
}
