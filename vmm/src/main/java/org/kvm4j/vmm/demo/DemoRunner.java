package org.kvm4j.vmm.demo;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.OptionalLong;
import java.util.Set;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.vmm.Ending;
import org.kvm4j.vmm.Machine;
import org.kvm4j.vmm.MachineConfig;
import org.kvm4j.vmm.boot.BootOptions;
import org.kvm4j.vmm.boot.FlatImage;
import org.kvm4j.vmm.boot.GuestFile;
import org.kvm4j.vmm.boot.GuestImageException;

/** Runs demonstration guests on a kernel. */
public final class DemoRunner {

  private static final long MEMORY = 4 << 20;

  /** A guest that prints more than this is out of its mind. */
  private static final int MOST_OUTPUT = 1 << 16;

  private final Kernel kernel;
  private final Duration limit;

  /**
   * @param kernel not closed by this
   * @param limit how long a guest may take
   */
  public DemoRunner(Kernel kernel, Duration limit) {
    this.kernel = kernel;
    this.limit = limit;
  }

  /** Runs a guest. */
  public DemoRun run(DemoGuest guest) throws InterruptedException {
    ByteArrayOutputStream output = new ByteArrayOutputStream();
    ExitTrace trace = new ExitTrace();
    MachineConfig config =
        new MachineConfig(
            MEMORY,
            1,
            MachineConfig.Chips.NONE,
            Set.of(),
            true,
            false,
            Instant.now(),
            b -> {
              if (output.size() < MOST_OUTPUT) {
                output.write(b);
              }
            },
            MachineConfig.Devices.NONE,
            true,
            trace);
    try (Machine machine = new Machine(kernel, config)) {
      GuestFile file = new GuestFile("guest", guest.name(), guest.program());
      machine.boot(
          new FlatImage(file, guest.mode(), guest.address(), guest.address())
              .load(machine.memory(), BootOptions.NONE));
      Thread watchdog = watchdog(machine);
      Ending ending;
      try {
        ending = machine.run();
      } finally {
        watchdog.interrupt();
      }
      String text = output.toString(StandardCharsets.ISO_8859_1);
      String reason = whatIsWrong(guest, text, ending);
      DemoRun.Result result =
          reason.isEmpty()
              ? DemoRun.Result.AS_EXPECTED
              : ending.kind() == Ending.Kind.INTERNAL_ERROR
                  ? DemoRun.Result.CANNOT_RUN
                  : DemoRun.Result.WRONG;
      return new DemoRun(
          guest,
          kernel.name(),
          result,
          reason,
          text,
          trace.groups(),
          trace.exits(),
          machine.wallNanos(),
          machine.instructions(),
          ending);
    } catch (KvmException e) {
      Ending ending = Ending.of(Ending.Kind.INTERNAL_ERROR, String.valueOf(e.getMessage()));
      return new DemoRun(
          guest,
          kernel.name(),
          DemoRun.Result.CANNOT_RUN,
          ending.message(),
          "",
          trace.groups(),
          trace.exits(),
          0,
          OptionalLong.empty(),
          ending);
    } catch (GuestImageException e) {
      throw new IllegalStateException(e);
    }
  }

  private Thread watchdog(Machine machine) {
    Thread thread =
        new Thread(
            () -> {
              try {
                if (!machine.awaitEnd(limit)) {
                  machine.end(
                      Ending.of(
                          Ending.Kind.TIMEOUT,
                          "it did not end within " + limit.toSeconds() + " s"));
                }
              } catch (InterruptedException e) {
                // It has ended.
              }
            },
            "demo-timeout");
    thread.setDaemon(true);
    thread.start();
    return thread;
  }

  /** In one line, how what a guest did differs from what it must; empty if it does not. */
  static String whatIsWrong(DemoGuest guest, String output, Ending ending) {
    if (ending.kind() != guest.ending() || ending.code() != 0) {
      return firstLine(ending.message());
    }
    if (!output.equals(guest.output())) {
      String[] expected = guest.output().split("\n", -1);
      String[] actual = output.split("\n", -1);
      for (int i = 0; i < Math.max(expected.length, actual.length); i++) {
        String e = i < expected.length ? expected[i] : "nothing";
        String a = i < actual.length ? actual[i] : "nothing";
        if (!e.equals(a)) {
          return "line " + (i + 1) + " should be: " + e;
        }
      }
    }
    return "";
  }

  private static String firstLine(String text) {
    int end = text.indexOf('\n');
    return end < 0 ? text : text.substring(0, end);
  }
}
