package org.kvm4j.conformance.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.profile.CpuProfiles;

/** Debian's cloud kernel runs from its first instruction to the power-off. */
@Timeout(900)
class LinuxBootTests {
  private static final String CLOUD = "cloud-amd64";
  private static final Pattern FLAGS = Pattern.compile("(?m)^flags\\t+: (.*)$");

  /** What Linux says when firmware, processor or a clock is not as it should be. */
  private static final Pattern COMPLAINT =
      Pattern.compile(
          "Firmware Bug|unchecked MSR|\\bBUG: |\\bWARNING: |\\bOops\\b|soft lockup|rcu.* stall|APIC"
              + " error|(?i:tsc|clocksource).*[Uu]nstable|Clocksource .*skewed|MTRRs"
              + " disabled|nobody cared");

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  static void assertNoComplaint(String output) {
    String complaints =
        output.lines().filter(COMPLAINT.asPredicate()).collect(Collectors.joining("\n"));
    assertEquals("", complaints);
  }

  private static void assertProcessors(
      String output, int count, String model, List<String> flags, List<String> absent) {
    assertTrue(output.contains(", " + count + " processors"), "init's line");
    assertEquals(
        count, output.lines().filter(line -> line.matches("processor\\t: \\d+\\s*")).count());
    String name = "model name\t: " + CpuProfiles.named(model).brand();
    assertEquals(count, output.lines().filter(line -> line.strip().equals(name)).count(), name);
    Matcher matcher = FLAGS.matcher(output);
    assertTrue(matcher.find(), "flags");
    List<String> found = List.of(matcher.group(1).strip().split(" "));
    assertTrue(found.containsAll(flags), () -> flags + " in " + found);
    absent.forEach(flag -> assertFalse(found.contains(flag), flag));
  }

  /** A shell on a terminal, on the host's clock. */
  @Test
  void four_processors_and_a_shell_that_takes_keys() throws IOException, InterruptedException {
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/script")), "no script of util-linux");
    List<String> command = Guest.linux(CLOUD, "console=ttyS0", "--cpus", "4");
    String quoted = command.stream().map(w -> "'" + w + "'").collect(Collectors.joining(" "));
    Path script = Files.writeString(directory.resolve("session"), quoted + "\necho exit code $?\n");
    List<String> terminal = List.of("script", "-qec", "sh " + script, "/dev/null");
    try (Guest guest = Guest.start(terminal, directory.resolve("errors"))) {
      guest.await("kvm4j guest: ");
      guest.await("# ");
      guest.type("uname -a; cat /proc/cpuinfo; echo that is $((6 * 7))\r");
      guest.await("that is 42");
      guest.await("# ");
      // What Ctrl-C is to end says so itself: the shell before it takes keys, and signals, in its
      // own way.
      guest.type("sh -c 'echo that is $((5 * 5)); exec sleep 100000'\r");
      guest.await("that is 25");
      guest.type("\3");
      guest.await("^C");
      guest.await("# ");
      guest.type("poweroff -f\r");
      guest.await("exit code 0");
      assertEquals(0, guest.exitCode());
      assertTrue(guest.output().contains("SMP PREEMPT_DYNAMIC Debian"), "uname");
      assertNoComplaint(guest.output());
      assertProcessors(
          guest.output(),
          4,
          "kvm4j-v1",
          List.of("sse4_2", "popcnt", "x2apic", "tsc_deadline_timer", "hypervisor", "smap", "pku"),
          List.of("avx", "vmx"));
    }
  }

  /** Twice at once: what the other run takes of the host must not be seen. */
  @ParameterizedTest
  @CsvSource({"1, kvm4j-v1, sse4_2, avx", "2, sierra-forest, avx2, avx512f"})
  void under_the_virtual_clock_two_runs_are_the_same(
      int cpus, String model, String flag, String absent) throws IOException, InterruptedException {
    List<String> command =
        Guest.linux(
            CLOUD,
            "console=ttyS0 -- -c \"uname -a; cat /proc/cpuinfo /proc/interrupts; date +%s.%N\"",
            "--clock",
            "virtual",
            "--cpu",
            model,
            "--cpus",
            String.valueOf(cpus));
    try (Guest first = Guest.start(command, directory.resolve("errors1"));
        Guest second = Guest.start(command, directory.resolve("errors2"))) {
      first.endInput();
      second.endInput();
      assertEquals(0, first.exitCode(), first.errors());
      assertEquals(0, second.exitCode(), second.errors());
      assertTrue(first.output().contains("reboot: Power down"), first.output());
      assertNoComplaint(first.output());
      assertProcessors(first.output(), cpus, model, List.of(flag), List.of(absent));
      assertEquals(first.output(), second.output());
      assertEquals(first.instructions(), second.instructions());
    }
  }

  /** At once: the I/O APIC is the VMM's for one, and for the other there are PICs alone. */
  @Test
  void with_interrupt_chips_in_user_space() throws IOException, InterruptedException {
    String append = "console=ttyS0 -- -c \"cat /proc/interrupts\"";
    List<String> split =
        Guest.linux(
            CLOUD, append, "--irqchip", "split", "--cpus", "2", "--entropy", "--virtio", "mmio");
    List<String> pics = Guest.linux(CLOUD, append, "--irqchip", "none", "--entropy");
    try (Guest first = Guest.start(split, directory.resolve("errors1"));
        Guest second = Guest.start(pics, directory.resolve("errors2"))) {
      first.endInput();
      second.endInput();
      assertEquals(0, first.exitCode(), first.errors());
      assertEquals(0, second.exitCode(), second.errors());
      assertNoComplaint(first.output());
      assertNoComplaint(second.output());
      // A level that was heard of has ended: it came again.
      assertInterrupts(first.output(), "IO-APIC +\\d+-fasteoi +virtio0", 2);
      assertInterrupts(first.output(), "IO-APIC +4-edge +ttyS0", 1);
      assertInterrupts(second.output(), "XT-PIC +virtio0", 1);
      assertInterrupts(second.output(), "XT-PIC +timer", 100);
    }
  }

  /** A line of /proc/interrupts, and how many there were at least on all processors. */
  private static void assertInterrupts(String output, String line, int least) {
    Matcher matcher = Pattern.compile("(?m)^ *\\d+:((?: +\\d+)+) +" + line).matcher(output);
    assertTrue(matcher.find(), () -> line + " in:\n" + output);
    int sum = 0;
    for (String count : matcher.group(1).strip().split(" +")) {
      sum += Integer.parseInt(count);
    }
    assertTrue(sum >= least, matcher.group());
  }
}
