package org.kvm4j.vmm.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.time.Duration;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;

/** Each demonstration guest does what it must, on each backend that this machine has. */
class DemoGuestTests {

  private static final Duration LIMIT = Duration.ofSeconds(60);

  @TestFactory
  Stream<DynamicTest> guests_do_what_they_must() {
    return Kernels.providers().stream()
        .flatMap(
            provider ->
                DemoGuest.all().stream()
                    .map(
                        guest ->
                            DynamicTest.dynamicTest(
                                guest.name() + " on " + provider.name(),
                                () -> run(provider, guest))));
  }

  private static void run(KernelProvider provider, DemoGuest guest) throws InterruptedException {
    provider
        .unavailable()
        .ifPresent(why -> assumeFalse(true, provider.name() + ": " + why.reason()));
    assumeFalse(
        guest.bareMetal() && provider.optionValues(KernelOptions.BARE_METAL).isEmpty(),
        provider.name() + " has no bare metal for " + guest.name());
    KernelOptions options =
        guest.bareMetal()
            ? KernelOptions.NONE.with(KernelOptions.BARE_METAL, "true")
            : KernelOptions.NONE;
    try (Kernel kernel = provider.open(options)) {
      DemoRun run = new DemoRunner(kernel, LIMIT).run(guest);
      // The machine's own may emulate a part of the CPU only.
      assumeFalse(
          provider.name().equals("native") && run.result() == DemoRun.Result.CANNOT_RUN,
          provider.name() + " cannot run " + guest.name() + ": " + run.reason());
      assertEquals(DemoRun.Result.AS_EXPECTED, run.result(), run.reason());
      assertEquals(guest.output(), run.output());
    }
  }
}
