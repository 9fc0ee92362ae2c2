package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

/** The optimising compiler gives way to virtual CPUs. In JVMs of their own: it is for good. */
class CompilerThreadsTests {
  private static final int SECONDS = 60;

  @Test
  void the_optimising_compiler_gives_way_where_a_processor_is_left() throws Exception {
    assumeTrue(Runtime.getRuntime().availableProcessors() > 1, "one processor");
    assumeTrue(Files.exists(Path.of("/proc/self/task")), "no /proc");
    assumeTrue(Files.isExecutable(Path.of("/usr/bin/renice")), "no renice");
    assertEquals("nicer by " + CompilerThreads.NICER, inJvm(1));
  }

  @Test
  void it_does_not_where_virtual_cpus_take_all_of_them() throws Exception {
    assumeTrue(Files.exists(Path.of("/proc/self/task")), "no /proc");
    assertEquals("nicer by 0", inJvm(Runtime.getRuntime().availableProcessors()));
  }

  @Test
  void a_run_says_how_many_virtual_cpus_it_emulates() throws IOException {
    Path guest = Files.createTempFile("hlt", ".bin");
    try {
      Files.write(guest, new byte[] {(byte) 0xfa, (byte) 0xf4});
      Cli cli = new Cli();
      cli.run(
          "run",
          "--backend",
          "emulated",
          "--kernel",
          guest.toString(),
          "--mode",
          "real",
          "--cpus",
          "2");
      assertEquals(List.of(2), cli.emulated());
    } finally {
      Files.delete(guest);
    }
  }

  private static String inJvm(int virtual) throws IOException, InterruptedException {
    Process jvm =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                GivesWay.class.getName(),
                String.valueOf(virtual))
            .redirectErrorStream(true)
            .start();
    String said = new String(jvm.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
    assertTrue(jvm.waitFor(SECONDS, TimeUnit.SECONDS));
    return said;
  }

  /** The JVM: says by how much its optimising compiler became nicer. */
  static final class GivesWay {
    private GivesWay() {}

    /**
     * @param args the number of virtual CPUs
     */
    public static void main(String[] args) throws Exception {
      Path compiler = CompilerThreads.optimisers().get(0);
      int before = CompilerThreads.niceness(compiler);
      int virtual = Integer.parseInt(args[0]);
      CompilerThreads.giveWayTo(virtual);
      boolean expected = virtual < Runtime.getRuntime().availableProcessors();
      long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(expected ? SECONDS / 2 : 1);
      while (CompilerThreads.niceness(compiler) == before && System.nanoTime() < deadline) {
        Thread.sleep(10);
      }
      System.out.println("nicer by " + (CompilerThreads.niceness(compiler) - before));
    }
  }
}
