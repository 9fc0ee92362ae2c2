package org.kvm4j.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.RunPage;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Exits;

/**
 * What a VMM's system calls cost through the typed handles and the bridge: the peer of {@code
 * native/roundtrip.c}. For each line that it reads it prints one: ns per {@code KVM_RUN} of a guest
 * that does nothing but OUT, ns per {@code KVM_CHECK_EXTENSION}, ns per {@code KVM_GET_REGS}.
 */
public final class NativeRoundTrip {
  private static final int WARM_UP = 30_000;

  private NativeRoundTrip() {}

  /**
   * @param args how many calls of each per line; 5000 if not given
   */
  public static void main(String[] args) throws IOException {
    int calls = args.length > 0 ? Integer.parseInt(args[0]) : 5000;
    try (ExitLoop guest = new ExitLoop("native", ExitLoop.OUT, 0);
        BufferedReader in =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (int i = 0; i < 4; i++) {
        measure(guest, WARM_UP / 4);
      }
      while (in.readLine() != null) {
        System.out.println(measure(guest, calls));
      }
    }
  }

  private static String measure(ExitLoop guest, int calls) {
    long start = System.nanoTime();
    runs(guest.vcpu, calls);
    long runs = System.nanoTime();
    checks(guest, calls);
    long checks = System.nanoTime();
    gets(guest.vcpu, calls);
    long gets = System.nanoTime();
    return String.format(
        Locale.ROOT,
        "%.1f %.1f %.1f",
        (runs - start) / (double) calls,
        (checks - runs) / (double) calls,
        (gets - checks) / (double) calls);
  }

  private static void runs(Vcpu vcpu, int calls) {
    RunPage page = vcpu.runPage();
    for (int i = 0; i < calls; i++) {
      int result = vcpu.runRaw();
      if (result != 0 || page.exitReason() != Exits.KVM_EXIT_IO || page.ioPort() != 0x10) {
        throw new IllegalStateException(result + ", exit reason " + page.exitReason());
      }
    }
  }

  private static void checks(ExitLoop guest, int calls) {
    for (int i = 0; i < calls; i++) {
      guest.kvm.checkExtension(Caps.KVM_CAP_IRQCHIP);
    }
  }

  private static void gets(Vcpu vcpu, int calls) {
    Regs regs = new Regs();
    for (int i = 0; i < calls; i++) {
      vcpu.getRegs(regs);
    }
  }
}
