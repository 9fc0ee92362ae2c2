package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The hypervisor of the demonstration guests on bare metal: what is told of it. */
@Timeout(120)
class HypervisorTraceTests {
  private static final Path GUESTS = Path.of("src/main/resources/org/kvm4j/vmm/demo");

  private final Cli cli = new Cli();

  private int run(String guest, String... more) {
    return run(cli, guest, List.of(more));
  }

  private static int run(Cli cli, String guest, List<String> more) {
    List<String> arguments =
        new ArrayList<>(
            List.of(
                "run",
                "--bare-metal",
                "--mode",
                "long",
                "--entry",
                "0x100000",
                "--kernel",
                GUESTS.resolve(guest + ".bin").toString()));
    arguments.addAll(more);
    return cli.run(arguments.toArray(String[]::new));
  }

  /** The lines stand in the text in this order, perhaps with others between them. */
  private static void assertInOrder(String text, String... lines) {
    int from = 0;
    for (String line : lines) {
      int at = text.indexOf(line, from);
      assertTrue(at >= 0, () -> line + "\nis not (there) in\n" + text);
      from = at + line.length();
    }
  }

  @Test
  void a_hypervisor_can_be_followed_step_by_step() {
    assertEquals(0, run("hypervisor", "--trace"), cli.err());
    assertInOrder(
        cli.err(),
        "cpu 0: VMXON of the region at 0x110000: VMsucceed\n",
        "cpu 0: VMCLEAR of the region at 0x111000: VMsucceed\n",
        "cpu 0: VMPTRLD of the region at 0x111000: VMsucceed\n",
        "cpu 0: VMLAUNCH: VM entry, RIP 0x",
        "cpu 0: VM exit: CPUID (10) at RIP 0x",
        "cpu 0: VMRESUME: VM entry, RIP 0x",
        "cpu 0: VM exit: IO_INSTRUCTION (30) at RIP 0x",
        ", OUT of 4 bytes, port 0x500 (in DX)\n",
        "cpu 0: VM exit: EPT_VIOLATION (48) at RIP 0x",
        "(write of a page that is ---, translated linear address",
        "), gpa 0x200000, linear 0x200000\n",
        "cpu 0:   linear 0x200000, supervisor write, paging LEVEL4",
        "EPT PDE   at hpa 0x114008 = 0x0000000000000000 (not present)\n",
        "cpu 0:     => EPT violation at gpa 0x200000",
        "cpu 0: VM exit: HLT (12) at RIP 0x",
        "cpu 0: VMXOFF: VMsucceed\n");
    assertFalse(cli.err().contains("VMWRITE"), "not asked for");
    assertTrue(cli.guest().endsWith("Hypervisor: VMX operation left.\n"), cli.guest());
  }

  /** The hypervisor prints four characters of its guest's at a time, between exits. */
  @Test
  void a_trace_has_lines_of_its_own_amid_what_the_guest_prints() {
    assertEquals(0, run("hypervisor"), cli.err());
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    Cli terminal = new Cli().withAllIn(all);
    assertEquals(0, run(terminal, "hypervisor", List.of("--trace")));
    String text = all.toString(StandardCharsets.ISO_8859_1);
    StringBuilder printed = new StringBuilder();
    for (String line : text.split("\n", -1)) {
      if (line.startsWith("cpu 0: ")) {
        continue;
      }
      assertFalse(line.contains("cpu 0: "), line);
      printed.append(line);
    }
    assertEquals(cli.guest().replace("\n", ""), printed.toString());
    assertTrue(text.contains("\nGues\ncpu 0: VMRESUME: "), "what was printed before stands before");
  }

  /** It asks IA32_VMX_BASIC for the TRUE MSRs, and the primary controls for the secondary ones. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "kvm4j-v1,-vmx-true-ctls|true",
        "kvm4j-v1,-vmx-secondary-ctls|false",
        "conroe|false",
        "haswell|true",
      })
  void the_hypervisor_asks_the_processor_what_it_can(String cpu, boolean ept) {
    assertEquals(0, run("hypervisor", "--cpu", cpu), cli.err());
    assertEquals("", cli.err());
    assertTrue(cli.guest().contains("Guest: memory is there, and says 42.\n"), cli.guest());
    assertTrue(cli.guest().endsWith("Hypervisor: VMX operation left.\n"), cli.guest());
    assertEquals(ept, cli.guest().contains("Hypervisor: EPT violation at 0x00200000"), cli.guest());
  }

  @Test
  void fields_are_told_where_they_are_asked_for() {
    assertEquals(0, run("hypervisor", "--trace=fields"), cli.err());
    assertInOrder(
        cli.err(),
        "cpu 0: VMWRITE PIN_BASED_VM_EXEC_CONTROL = 0x16: VMsucceed\n",
        "cpu 0: VMWRITE GUEST_RFLAGS = 0x2: VMsucceed\n",
        "cpu 0: VMREAD VM_EXIT_REASON = 0xa (CPUID (10)): VMsucceed\n",
        "cpu 0: VMREAD GUEST_PHYSICAL_ADDRESS = 0x200000: VMsucceed\n");
    assertFalse(cli.err().contains("VMXON"), "not asked for");
    assertFalse(cli.err().contains("VM exit"), "not asked for");
  }

  @Test
  void an_entry_that_fails_says_why_without_being_asked() {
    assertEquals(0, run("hypervisor-broken"), cli.err());
    assertEquals(
        """
        kvm4j: cpu 0: VMLAUNCH: VM entry failed, VMfailValid, error 7: VM entry with invalid control \
        field(s): CONTROL_CR3_TARGET_COUNT: The CR3-target count is not greater than the number of \
        CR3-target values (4). (SDM 27.2.1.1 "VM-Execution Control Fields"); CR3_TARGET_COUNT=0x5; \
        nearest that passes: CR3_TARGET_COUNT=0x4; the state fails, too: GUEST_RFLAGS_RESERVED
        kvm4j: cpu 0: VMLAUNCH: VM entry failed, INVALID_GUEST_STATE (33, VM-entry failure): \
        GUEST_RFLAGS_RESERVED: Bits 63:22, 15, 5 and 3 of RFLAGS are 0, and bit 1 is 1. \
        (SDM 27.3.1.4 "Checks on Guest RIP, RFLAGS, and SSP"); GUEST_RFLAGS=0x0; nearest that \
        passes: GUEST_RFLAGS=0x2
        """,
        cli.err());
    assertTrue(
        cli.guest()
            .contains(
                "Hypervisor: VMfail, error 0x00000007\n"
                    + "Hypervisor: the entry failed, exit reason 0x80000021\n"
                    + "Guest: I run on"),
        cli.guest());
  }

  @Test
  void a_dump_of_an_entry_that_fails_can_be_explained(@TempDir Path directory) throws IOException {
    Path file = directory.resolve("trace.txt");
    assertEquals(
        0, run("hypervisor-broken", "--trace", "dump", "--trace-file", file.toString()), cli.err());
    assertEquals("", cli.err());
    assertTrue(Files.readString(file).contains("*** Host State ***"));
    Cli explain = new Cli();
    assertEquals(0, explain.run("explain", file.toString()), explain.err());
    assertInOrder(
        explain.out(),
        "VMCS dump at line 3, of a processor of model kvm4j-v1\n",
        "The dump itself says that a check of the controls failed (VMfailValid, error 7).\n",
        "  CONTROL_CR3_TARGET_COUNT  <- this is what a processor reports: VMfailValid, error 7\n",
        "CR3_TARGET_COUNT=0x5; nearest that passes: CR3_TARGET_COUNT=0x4\n",
        "of a processor of model kvm4j-v1\n",
        "GUEST_RFLAGS_RESERVED  <- this is what a processor reports",
        "GUEST_RFLAGS=0x0; nearest that passes: GUEST_RFLAGS=0x2\n");
  }

  @Test
  void the_modules_own_entries_and_exits_are_told_too() {
    assertEquals(
        0,
        cli.run(
            "run",
            "--mode",
            "real",
            "--entry",
            "0x7c00",
            "--kernel",
            GUESTS.resolve("real-hello.bin").toString(),
            "--trace",
            "entries,exits"),
        cli.err());
    assertInOrder(
        cli.err(),
        "cpu 0: VMLAUNCH: VM entry, RIP 0x7c00, ",
        "cpu 0: VM exit: EPT_VIOLATION (48) at RIP 0x7c00",
        "cpu 0: VMRESUME: VM entry, ",
        ", OUT of 1 byte, port 0x3f8 (in DX)\n",
        "cpu 0: VM exit: HLT (12)");
  }

  @Test
  void help_and_errors_have_the_same_list_of_what_can_be_traced() {
    String all = "vmx, fields, entries, exits, ept, dump, failures, all";
    for (String wrong : List.of("zzzzzzzz", "vmx,", ",vmx", "")) {
      Cli one = new Cli();
      assertEquals(
          2,
          one.run(
              "run",
              "--bare-metal",
              "--mode",
              "long",
              "--kernel",
              GUESTS.resolve("hypervisor.bin").toString(),
              "--trace=" + wrong));
      assertEquals(
          wrong.startsWith("z")
              ? "kvm4j: unknown --trace 'zzzzzzzz'; there are: " + all + "\n"
              : "kvm4j: --trace '" + wrong + "' lacks a name; there are: " + all + "\n",
          one.err());
    }
    assertEquals(0, cli.run("run", "--help"));
    assertTrue(cli.out().replaceAll("\\s+", " ").contains("each step: " + all + ";"), cli.out());
  }

  @Test
  void what_the_kernel_counts_on_bare_metal_are_no_vm_exits() {
    assertEquals(0, run("hypervisor", "--stats"), cli.err());
    assertTrue(cli.err().contains("\nStop of the CPU "), cli.err());
    assertFalse(cli.err().contains("VM exit"), cli.err());
  }

  @Test
  void what_cannot_be_traced_is_refused() {
    assertEquals(2, run("hypervisor", "--trace", "exit"));
    assertEquals("kvm4j: unknown --trace 'exit'; did you mean exits?\n", cli.err());
    Cli another = new Cli();
    assertEquals(
        2,
        another.run(
            "run",
            "--kernel",
            GUESTS.resolve("hypervisor.bin").toString(),
            "--mode",
            "long",
            "--trace-file",
            "x"));
    assertEquals("kvm4j: --trace-file needs --trace\n", another.err());
    Cli third = new Cli();
    String guest = GUESTS.resolve("hypervisor.bin").toString();
    assertEquals(2, third.run("run", "-k", guest, "--mode", "long", "--trace-limit", "1M"));
    assertEquals("kvm4j: --trace-limit needs --trace\n", third.err());
  }

  private static final String REACHED =
      "kvm4j: the trace ends here: it has reached the 1k of --trace-limit\n";

  @Test
  void a_trace_has_a_limit() {
    assertEquals(0, run("hypervisor", "--trace", "--trace-limit", "1k"), cli.err());
    assertTrue(cli.err().startsWith("cpu 0: VMXON of the region at 0x110000"), cli.err());
    assertTrue(cli.err().endsWith(REACHED), cli.err());
    int length = cli.err().length() - REACHED.length();
    assertTrue(length > 700 && length <= 1024, length + " bytes");
    assertTrue(cli.guest().endsWith("Hypervisor: VMX operation left.\n"), "it ran on");
  }

  @Test
  void a_trace_in_a_file_has_a_limit_that_is_told_twice(@TempDir Path directory)
      throws IOException {
    Path file = directory.resolve("trace");
    assertEquals(
        0,
        run("hypervisor", "--trace", "--trace-limit", "1k", "--trace-file", file.toString()),
        cli.err());
    assertTrue(Files.readString(file).endsWith("\n" + REACHED), Files.readString(file));
    assertEquals(REACHED, cli.err());
  }

  @Test
  void a_trace_without_a_limit() {
    assertEquals(0, run("hypervisor", "--trace", "--trace-limit", "none"), cli.err());
    assertTrue(cli.err().endsWith("cpu 0: VMXOFF: VMsucceed\n"), cli.err());
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "lots", "1T1", "9999999999999"})
  void what_is_no_limit_is_told(String limit) {
    assertEquals(2, run("hypervisor", "--trace", "--trace-limit=" + limit));
    assertEquals(
        "kvm4j: Invalid value for option '--trace-limit': '"
            + limit
            + "' is no size: give a number with K, M or G, such as 100M, or none (see 'kvm4j run --help')\n",
        cli.err());
  }
}
