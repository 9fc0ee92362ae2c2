package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.vmm.Ending;
import org.kvm4j.vmm.demo.DemoGuest;
import org.kvm4j.vmm.demo.DemoRun;
import org.kvm4j.vmm.demo.ExitGroup;

@Timeout(120)
class DemoCommandTests {

  private final Cli cli = new Cli();

  @Test
  void guests_are_listed() {
    assertEquals(0, cli.run("demo", "--list"));
    assertEquals(DemoGuest.all().size(), cli.out().lines().count());
    assertTrue(cli.out().contains("self-modifying     code that changes itself"), cli.out());
  }

  @Test
  void guests_are_listed_for_programs_too() {
    assertEquals(0, cli.run("demo", "--list", "--json", "real-hello"));
    assertTrue(cli.out().startsWith("{\n  \"format\": 1,\n  \"guests\": ["), cli.out());
    assertTrue(cli.out().contains("\"guest\": \"real-hello\","), cli.out());
    assertTrue(cli.out().contains("\"mode\": \"real\""), cli.out());
    assertFalse(cli.out().contains("self-modifying"), cli.out());
  }

  @Test
  void a_guests_output_and_exits_are_shown() {
    assertEquals(0, cli.run("demo", "--backend", "emulated", "real-hello"));
    String out = cli.out();
    assertTrue(out.contains("real-hello"), out);
    assertTrue(out.contains("  Hello from real mode.\n"), out);
    assertTrue(out.contains("IO out     0x3f8         \"Hello from real mode."), out);
    assertTrue(out.contains("HLT"), out);
    assertTrue(out.contains("\u2713 67 exits, "), out);
    assertTrue(out.contains("emulated: 1 of 1 guests did what they should."), out);
    assertFalse(out.contains("\u001b"), "no colours");
    assertEquals("", cli.err());
  }

  @Test
  void programs_get_JSON() {
    assertEquals(0, cli.run("demo", "--backend", "emulated", "--json", "real-hello"));
    assertTrue(cli.out().startsWith("{\n  \"format\": 1,"), cli.out());
    assertTrue(cli.out().contains("\"result\": \"as-expected\""), cli.out());
    assertTrue(cli.out().contains("\"output\": \"Hello from real mode.\\n"), cli.out());
  }

  @Test
  void an_unknown_guest_is_one_line() {
    assertEquals(2, cli.run("demo", "real-helo"));
    assertEquals("kvm4j: no guest is called 'real-helo'; did you mean real-hello?\n", cli.err());
  }

  @Test
  void a_backend_that_cannot_be_used_is_told() {
    cli.withProviders(
        new FakeProvider(
            Backends.NATIVE,
            new KernelProvider.Unavailable("there is no /dev/kvm", "load the kvm module"),
            Map.of()));
    assertEquals(ExitCodes.BACKEND, cli.run("demo", "--backend", "native"));
    assertTrue(
        cli.out().contains("native: not usable here: there is no /dev/kvm; load the kvm module"),
        cli.out());
    assertEquals(ExitCodes.BACKEND, cli.run("demo"));
    assertTrue(cli.out().contains("emulated: not in this build"), cli.out());
  }

  private static DemoRun run(String backend, DemoRun.Result result, String output, String reason) {
    return new DemoRun(
        DemoGuest.all().get(0),
        backend,
        result,
        reason,
        output,
        List.of(new ExitGroup("HLT", -1, 0, 1, List.of())),
        1,
        1_234_567,
        OptionalLong.of(42),
        Ending.of(Ending.Kind.HALTED, ""));
  }

  @Test
  void backends_are_side_by_side() {
    DemoReport report = new DemoReport(new Styles(false), 100);
    List<DemoRun> runs =
        List.of(
            run("emulated", DemoRun.Result.AS_EXPECTED, "one\ntwo\n", ""),
            run("native", DemoRun.Result.CANNOT_RUN, "", "it emulates a part of the CPU only"));
    assertEquals(
        "  emulated                                        \u2502 native\n",
        report.heads(List.of("emulated", "native")));
    String text = report.runs(runs);
    assertTrue(text.contains("  one                                             \u2502\n"), text);
    assertTrue(
        text.contains("  \u2713 1 exit, 1.23 ms, 42 instructions              \u2502 "), text);
    assertTrue(text.contains("\u2502 \u2013 cannot run it: it emulates a part of the CPU\n"), text);
    assertTrue(text.contains("\u2502 only\n"), text);
    assertTrue(text.lines().allMatch(l -> l.length() <= 100), text);
  }

  @Test
  void what_a_guest_prints_cannot_harm_a_terminal() {
    DemoReport report = new DemoReport(new Styles(false), 100);
    String text =
        report.runs(
            List.of(
                run("emulated", DemoRun.Result.WRONG, "\u001b[2Jgone\u0007\n", "it went wrong")));
    assertTrue(text.contains(".[2Jgone."), text);
    assertFalse(text.contains("\u001b"), text);
    assertTrue(text.contains("\u2717 not as it should be"), text);
    assertTrue(text.contains("it went wrong"), text);
  }

  @Test
  void long_lines_are_wrapped() {
    assertEquals(List.of("a bc", "def"), DemoReport.wrap("a bc def", 5));
    assertEquals(List.of("abcdefgh", "ij"), DemoReport.wrap("abcdefghij", 8));
    assertEquals(List.of(""), DemoReport.wrap("", 8));
  }

  @Test
  void colours_are_there_when_they_are_wanted() {
    assertEquals("\u001b[32mx\u001b[0m", new Styles(true).green("x"));
    assertEquals("x", new Styles(false).green("x"));
  }
}
