package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PipedInputStream;
import java.io.PipedOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.FutureTask;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** {@code kvm4j explain} on broken VMCSs of different kinds. */
@Timeout(60)
class ExplainCommandTests {
  private static final Path DUMPS = Path.of("src/test/resources/dumps");

  private final Cli cli = new Cli();

  private String explain(String name, String... more) {
    String[] arguments = new String[2 + more.length];
    arguments[0] = "explain";
    System.arraycopy(more, 0, arguments, 1, more.length);
    arguments[arguments.length - 1] = DUMPS.resolve(name).toString();
    assertEquals(0, cli.run(arguments), cli.err());
    assertEquals("", cli.err());
    return cli.out();
  }

  private static String path(String name) {
    return DUMPS.resolve(name).toString();
  }

  private static void assertContains(String text, String... parts) {
    for (String part : parts) {
      assertTrue(text.contains(part), () -> part + "\nis not in\n" + text);
    }
  }

  @Test
  void controls_that_cannot_be_in_a_log_with_times() {
    String text = explain("control-eptp.txt");
    assertContains(
        text,
        "VMCS dump at line 2, of a processor that is not named",
        "VM entry fails 2 checks.",
        "a check of the controls failed (VMfailValid, error 7)",
        "CONTROL_EPTP_MEMORY_TYPE  <- this is what a processor reports: VMfailValid, error 7",
        "(SDM 27.2.1.1 \"VM-Execution Control Fields\")",
        "EPT_POINTER=0x112015",
        "nearest that passes: EPT_POINTER=0x11201e",
        "CONTROL_EPTP_WALK_LENGTH\n");
    assertEquals(
        3,
        text.split("nearest that passes: EPT_POINTER=0x11201e", -1).length,
        "one value mends both");
  }

  @Test
  void host_state_behind_the_modules_name() {
    assertContains(
        explain("host-selectors.txt"),
        "HOST_CS_SELECTOR_RPL_TI  <- this is what a processor reports: VMfailValid, error 8",
        "HOST_CS_SELECTOR=0xb; nearest that passes: HOST_CS_SELECTOR=0x8",
        "HOST_TR_SELECTOR_NULL\n",
        "HOST_TR_SELECTOR=0x0; nearest that passes: HOST_TR_SELECTOR=0x8",
        "\nThe dump does not tell how the entry ended. If it failed, this exit is of one before it:\n"
            + "Exit reason 0xc: HLT (HLT, 12;");
  }

  @Test
  void several_files_are_explained_in_turn() {
    assertEquals(
        0, cli.run("explain", path("guest-segment.txt"), path("host-selectors.txt")), cli.err());
    String text = cli.out();
    assertTrue(
        text.startsWith("Of " + path("guest-segment.txt") + ":\n\nVMCS dump at line "), text);
    assertContains(text, "GUEST_CS_AR_G", "\nOf " + path("host-selectors.txt") + ":\n\n");
    assertTrue(text.indexOf("GUEST_CS_AR_G") < text.indexOf("HOST_CS_SELECTOR_RPL_TI"), text);
  }

  @Test
  void after_a_VMfail_there_is_no_exit_to_tell_of() {
    cli.withInput(
        """
        *** Guest State ***
        CR3 = 0x1000
        *** Control State ***
        VMExit: intr_info=00000000 errcode=00000000 ilen=00000000
                reason=00000000 qualification=0000000000000000
        KVM: entry failed, hardware error 0x8
        """);
    assertEquals(0, cli.run("explain", "-"), cli.err());
    assertContains(
        cli.out(),
        "None of the checks of the host state that can be made fails: it is one of those below that"
            + " cannot, or that processor can do less than this one.\n",
        "\nNo VM exit took place.\n");
    assertFalse(cli.out().contains("Exit reason 0x0"), cli.out());
  }

  @Test
  void a_guests_segment_in_the_journal() {
    assertContains(
        explain("guest-segment.txt"),
        "a check of the guest state failed (exit reason 0x80000021)",
        "GUEST_CS_AR_G  <- this is what a processor reports: VM exit, INVALID_GUEST_STATE (33,"
            + " VM-entry failure), qualification 0\n",
        "nearest that passes: GUEST_CS_AR_BYTES=0xa09b");
  }

  @Test
  void a_guests_EFER_by_an_earlier_kernel() {
    assertContains(
        explain("guest-efer-earlier-kernel.txt"),
        "GUEST_IA32_EFER_LMA  <- this is what a processor reports",
        "GUEST_IA32_EFER=0x100, VM_ENTRY_CONTROLS=0x93fb; nearest that passes:"
            + " GUEST_IA32_EFER=0x500");
  }

  @Test
  void what_no_dump_has_is_not_guessed() {
    String text = explain("guest-link-pointer.txt");
    assertContains(
        text,
        "VMCS dump at line 2, of a processor of model kvm4j-v1",
        "No check of VM entry fails, of those that can be made.",
        "None of the checks of the guest state that can be made fails: it is one of"
            + " GUEST_LINK_POINTER_ADDRESS, GUEST_LINK_POINTER_REVISION, GUEST_LINK_POINTER_CURRENT,"
            + " which cannot.\n",
        " checks pass, and 5 have passed, as the dump says, that cannot be made.\n",
        "\n3 cannot be made, as the dump does not have what they depend on:\n",
        "  GUEST_LINK_POINTER_REVISION: VMCS_LINK_POINTER, memory\n",
        "Qualification 0x4: the VMCS link pointer");
  }

  @Test
  void many_checks_that_cannot_be_made_are_told_by_what_they_lack() {
    String text = explained(dump("00000000", "0000000000001000"));
    assertContains(
        text,
        " cannot be made, as the dump does not have what they depend on (--all lists them):\n  ",
        " for lack of CPU_BASED_VM_EXEC_CONTROL\n",
        " for lack of others\n");
    assertTrue(text.lines().count() < 30, text);
    int told =
        Pattern.compile("^  (\\d+) for lack of ", Pattern.MULTILINE)
            .matcher(text)
            .results()
            .mapToInt(m -> Integer.parseInt(m.group(1)))
            .sum();
    assertContains(text, "\n" + told + " cannot be made");
    Cli each = new Cli().withInput(dump("00000000", "0000000000001000"));
    assertEquals(0, each.run("explain", "--all", "-"), each.err());
    assertEquals(
        told,
        each.out()
            .lines()
            .dropWhile(
                line ->
                    !line.equals(
                        told + " cannot be made, as the dump does not have what they depend on:"))
            .skip(1)
            .takeWhile(line -> line.startsWith("  "))
            .count());
    assertContains(each.out(), "  HOST_CR4_CET: HOST_CR0, HOST_CR4\n");
  }

  @Test
  void a_CPU_model_can_be_named() {
    String text = explain("guest-segment.txt", "--cpu", "conroe");
    assertContains(
        text,
        "of a processor of model conroe",
        "CONTROL_SECONDARY_RESERVED  (the processor of the dump passed it: it is of another model than"
            + " this)",
        "GUEST_CS_AR_G  <- this is what a processor reports");
  }

  @Test
  void a_dump_may_come_from_standard_input() throws IOException {
    cli.withInput(Files.readString(DUMPS.resolve("guest-segment.txt"), StandardCharsets.UTF_8));
    assertEquals(0, cli.run("explain", "-"), cli.err());
    assertContains(cli.out(), "GUEST_CS_AR_G");
  }

  @Test
  void single_fields_are_told_in_words() {
    assertEquals(
        0,
        cli.run(
            "explain",
            "--exit-reason",
            "48",
            "--qualification",
            "0x184",
            "--idt-vectoring",
            "0x80000b0e",
            "--instruction-error",
            "7"));
    assertEquals(
        """
        Exit reason 0x30: EPT violation (EPT_VIOLATION, 48; SDM 29.3.3 "EPT-Induced VM Exits")
        Qualification 0x184: fetch of a page that is ---, translated linear address
        IDT-vectoring information 0x80000b0e: hardware exception, vector 14, error code (#PF)
        VM-instruction error 7: VM entry with invalid control field(s)
        """,
        cli.out());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "explain|explain needs a file with a VMCS dump (- for standard input), or --exit-reason|2",
        "explain --qualification 3|what a qualification or instruction information says depends on"
            + " --exit-reason, and an error code belongs to --intr-info|2",
        "explain --intr-info 3 --instruction-info 3|what a qualification or instruction information"
            + " says depends on --exit-reason|2",
        "explain --exit-reason 0x100000000|--exit-reason has 32 bits, and 0x100000000 does not fit|2",
        "explain --exit-reason 999|no exit reason has the number 999|2",
        "explain --exit-reason 0x80000023|no exit reason has the number 35; bit 31: VM-entry"
            + " failure|2",
        "explain --exit-reason 12 --instruction-error 99|no VM-instruction error has the number 99|2",
        "explain --instruction-error 0xffffffff|no VM-instruction error has the number 4294967295|2",
        "explain --exit-reason 1 there|a file has its own exit reason: FILE cannot go with options of"
            + " single fields|2",
        "explain --all --exit-reason 1|--all is for the checks of a FILE: single fields have none|2",
        "explain nowhere.txt|nowhere.txt: no such file|4",
        "explain src|src cannot be read: it is a directory|4",
        "explain pom.xml|pom.xml: there is no VMCS dump in it: no line \"*** Guest State ***\", as the"
            + " kernel's dump_vmcs begins with|4",
        "explain --cpu genoa pom.xml|--cpu 'genoa': that processor has no VMX|2",
        "explain --cpu genoaa --exit-reason 1|--cpu 'genoaa': unknown CPU 'genoaa'; did you mean genoa?|2",
        "explain --cpu genoa --exit-reason 1|--cpu 'genoa': that processor has no VMX|2",
        "explain --cpu genoaa pom.xml|--cpu 'genoaa': unknown CPU 'genoaa'; did you mean genoa?|2",
      })
  void what_is_wrong_with_a_command_line_is_one_line(String line, String message, int code) {
    assertEquals(code, cli.run(line.split(" ")));
    assertEquals("kvm4j: " + message + "\n", cli.err());
    assertEquals("", cli.out());
  }

  @Test
  void numbers_are_decimal_or_hexadecimal() {
    assertEquals(2, cli.run("explain", "--exit-reason", "many"));
    assertTrue(cli.err().contains("'many' is no number, such as 48 or 0x184"), cli.err());
    Cli another = new Cli();
    assertEquals(
        0,
        another.run("explain", "--exit-reason", "0x1c", "--qualification", "0xffffffffffffffff"));
    assertFalse(another.out().isEmpty());
  }

  @Test
  void headings_alone_are_no_dump(@TempDir Path directory) throws IOException {
    Path file = directory.resolve("log");
    Files.writeString(
        file, "*** Guest State ***\n*** Host State ***\n*** Control State ***\nsomething else\n");
    assertEquals(4, cli.run("explain", file.toString()));
    assertEquals(
        "kvm4j: "
            + file
            + ": there is nothing of a VMCS dump in it but headings: no line with a field\n",
        cli.err());
    assertEquals("", cli.out());
  }

  @Test
  void bytes_that_are_no_text_do_no_harm(@TempDir Path directory) throws IOException {
    Path file = directory.resolve("log");
    byte[] bytes = new byte[4096];
    for (int k = 0; k < bytes.length; k++) {
      bytes[k] = (byte) (k * 31 >> 2);
    }
    Files.write(file, bytes);
    assertEquals(4, cli.run("explain", file.toString()));
    Files.writeString(file, "*** Guest State ***\nCR3 = 0x1\nCR3 = 0x");
    Cli another = new Cli();
    assertEquals(0, another.run("explain", file.toString()), another.err());
    assertContains(another.out(), "The dump has no exit reason.");
  }

  private static String dump(String rflags, String rip) {
    return """
        *** Guest State ***
        RFLAGS=0x%s         DR7 = 0x0000000000000400
        RSP = 0x0000000000118000  RIP = 0x%s
        """
        .formatted(rflags, rip);
  }

  private String explained(String log) {
    cli.withInput(log);
    assertEquals(0, cli.run("explain", "-"), cli.err());
    return cli.out();
  }

  private static int count(String text, String part) {
    return text.split(Pattern.quote(part), -1).length - 1;
  }

  @Test
  void dumps_of_which_the_same_is_to_be_told_are_counted() {
    String bad = dump("00000000", "0000000000001000");
    String other = dump("00008002", "0000000000001000");
    String text = explained(bad + bad + bad + other + bad + dump("00000000", "0000000000002000"));
    assertEquals(2, count(text, "VMCS dump at line 1, ") + count(text, "VMCS dump at line 10, "));
    assertEquals(
        1,
        count(
            text,
            "2 VMCS dumps at lines 4 to 7: the same is to be told as of that at line 1; all fields are"
                + " the same.\n"));
    assertEquals(
        1,
        count(
            text,
            "2 VMCS dumps at lines 13 to 16: the same is to be told as of that at line 1, though there"
                + " differ GUEST_RIP.\n"));
    assertEquals(2, count(text, "  GUEST_RFLAGS_RESERVED  <- this is what a processor reports"));
    assertTrue(
        text.indexOf("lines 4 to 7") < text.indexOf("VMCS dump at line 10, "), "in their order");
  }

  @Test
  void damage_is_told_with_its_lines_but_does_not_keep_dumps_apart() {
    String cut = "*** Guest State ***\nCS:   sel=0x0008, attr=0x0a09b, lim\n";
    String text = explained(cut + cut);
    assertContains(
        text,
        "that it has\n\nnot understood: line 2: cut short, without GUEST_CS_LIMIT, GUEST_CS_BASE\n"
            + "\nNo check of VM entry fails",
        "VMCS dump at line 3: the same is to be told as of that at line 1");
    assertFalse(text.contains("line 4"), text);
  }

  /** As {@code dmesg --follow} is: what comes is explained before there is more. */
  @Test
  void a_dump_is_explained_before_the_log_ends() throws Exception {
    PipedOutputStream log = new PipedOutputStream();
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Cli live = new Cli().withInput(new PipedInputStream(log, 1 << 16)).withOutput(out);
    FutureTask<Integer> run = new FutureTask<>(() -> live.run("explain", "-"));
    new Thread(run, "explain").start();
    log.write(dump("00000000", "0000000000001000").getBytes(StandardCharsets.US_ASCII));
    log.write("KVM: entry failed, hardware error 0x80000021\n".getBytes(StandardCharsets.US_ASCII));
    log.flush();
    await(out, "a check of the guest state failed", "The dump has no exit reason.\n");
    log.write(dump("00000002", "0000000000001000").getBytes(StandardCharsets.US_ASCII));
    log.flush();
    await(out, "VMCS dump at line 5, ", "No check of VM entry fails");
    log.write("KVM: entry failed, hardware error 0x7\n".getBytes(StandardCharsets.US_ASCII));
    log.flush();
    await(
        out, "Line 8 tells of the dump before it, which is explained above: hardware error 0x7.\n");
    log.close();
    assertEquals(0, run.get(), live.err());
  }

  private static void await(ByteArrayOutputStream out, String... parts) throws Exception {
    for (String part : parts) {
      while (!out.toString(StandardCharsets.US_ASCII).contains(part)) {
        Thread.sleep(20); // the class' timeout ends it
      }
    }
  }

  @Test
  void a_dump_is_explained_though_a_later_one_is_of_no_CPU_there_is() {
    cli.withInput(
        dump("00000000", "0000000000001000")
            + "kvm4j: CPU nonesuch\n"
            + dump("00000000", "0000000000001000"));
    assertEquals(4, cli.run("explain", "-"));
    assertContains(cli.out(), "GUEST_RFLAGS_RESERVED");
    assertContains(cli.err(), "kvm4j: standard input: ", "nonesuch");
  }

  @Test
  void a_line_that_no_log_has_ends_it() {
    cli.withInput("a\n\r\nb\rc\r\r\n" + "0".repeat(LogLines.LONGEST + 1));
    assertEquals(4, cli.run("explain", "-"));
    assertEquals("kvm4j: standard input cannot be read: line 5 is longer than 1 MB\n", cli.err());
  }

  @Test
  void what_was_read_before_such_a_line_is_explained() {
    String bad = dump("00000000", "0000000000001000");
    cli.withInput(bad + bad + "0".repeat(LogLines.LONGEST + 1) + "\n" + bad);
    assertEquals(4, cli.run("explain", "-"));
    assertContains(
        cli.out(),
        "VMCS dump at line 1, ",
        "GUEST_RFLAGS_RESERVED  <- this is what a processor reports",
        "VMCS dump at line 4: the same is to be told as of that at line 1");
    assertEquals("kvm4j: standard input cannot be read: line 7 is longer than 1 MB\n", cli.err());
  }
}
