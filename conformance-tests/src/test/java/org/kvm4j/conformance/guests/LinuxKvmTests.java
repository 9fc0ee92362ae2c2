package org.kvm4j.conformance.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.vmm.demo.DemoGuest;

/**
 * Linux's own KVM as a hypervisor under test: Debian's kernel on bare metal, its kvm_intel, and the
 * demonstration guests on that, among them a hypervisor with a guest of its own.
 */
@Timeout(900)
class LinuxKvmTests {
  private static final String CLOUD = "cloud-amd64";

  /** The guest that is a hypervisor: it wants EPT of the KVM that it runs on, to tell the same. */
  private static final String HYPERVISOR = "hypervisor";

  /** Needs a timer in the kernel beside it, or mends what it was given wrong. */
  private static final Set<String> LEFT_OUT = Set.of("timer", "hypervisor-broken");

  private static final Pattern KERNEL_LINE = Pattern.compile("\\[ *\\d+\\.\\d+\\] [^\n]*\n");

  /** What KVM says of any such processor: its end, and an erratum of Nehalem's and Westmere's. */
  private static final Pattern HARMLESS =
      Pattern.compile(
          "kvm: exiting hardware virtualization"
              + "|kvm: VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL does not work properly. Using workaround");

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  private Path initrd(List<DemoGuest> guests) throws Exception {
    CpioArchive archive =
        new CpioArchive().program("init", InnerGuest.vmm()).directory("dev").directory("guests");
    for (int k = 0; k < guests.size(); k++) {
      archive.program("guests/" + (char) ('0' + k), InnerGuest.file(guests.get(k)));
    }
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    try (OutputStream gzip = new GZIPOutputStream(packed)) {
      gzip.write(archive.bytes());
    }
    Path file = directory.resolve("initrd.gz");
    Files.copy(Guest.file("kvm-" + CLOUD + ".gz"), file);
    Files.write(file, packed.toByteArray(), StandardOpenOption.APPEND);
    return file;
  }

  /** Without EPT, as on the first processors with VT-x, guests have shadow page tables. */
  @ParameterizedTest
  @CsvSource({"kvm4j-v1, 1, true", "westmere, 2, true", "conroe, 1, false"})
  void the_demonstration_guests_run_under_it(String model, int cpus, boolean ept) throws Exception {
    List<DemoGuest> guests = new ArrayList<>();
    for (DemoGuest guest : DemoGuest.all()) {
      if (!LEFT_OUT.contains(guest.name()) && (ept || !guest.name().equals(HYPERVISOR))) {
        guests.add(guest);
      }
    }
    List<String> command =
        Guest.linuxWith(
            initrd(guests),
            CLOUD,
            "console=ttyS0",
            "--bare-metal",
            "--clock",
            "virtual",
            "--cpu",
            model,
            "--cpus",
            String.valueOf(cpus));
    try (Guest machine = Guest.start(command, directory.resolve("errors"))) {
      machine.endInput();
      assertEquals(0, machine.exitCode(), machine::errors);
      String output = machine.output().replace("\r", "");
      LinuxBootTests.assertNoComplaint(output);
      String printed = KERNEL_LINE.matcher(output).replaceAll("");
      for (DemoGuest guest : guests) {
        String expected = InnerGuest.output(guest);
        assertTrue(
            printed.contains(expected),
            () -> expected + "\nis not in\n" + output.substring(output.indexOf("Run /init")));
      }
      assertEquals("", said(output), "what KVM says");
    }
  }

  /** The kernel's lines about KVM and VMX, but for those that say nothing. */
  private static String said(String output) {
    return output
        .lines()
        .filter(line -> line.matches("\\[ *\\d+\\.\\d+\\] .*(?i:kvm\\b|kvm_|vmx|vmwrite|vmcs).*"))
        .filter(line -> !HARMLESS.matcher(line).find())
        .collect(Collectors.joining("\n"));
  }
}
