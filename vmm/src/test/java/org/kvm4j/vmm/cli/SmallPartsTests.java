package org.kvm4j.vmm.cli;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class SmallPartsTests {

  @Test
  void near_names_come_with_the_nearest_first() {
    List<String> names = List.of("haswell", "broadwell", "skylake", "skylake-server", "max");
    assertEquals(List.of("skylake", "skylake-server"), Nearest.to("skylak", names));
    assertEquals(List.of("haswell"), Nearest.to("Hasswell", names));
    assertEquals(List.of(), Nearest.to("pentium", names));
    assertEquals(
        "; there are: haswell, broadwell, skylake, skylake-server, max",
        Nearest.hint("pentium", names));
    assertEquals("; did you mean max?", Nearest.hint("mxa", names));
    assertEquals("", Nearest.hint("x", List.of()));
  }

  @Test
  void distance_counts_letters_and_swaps() {
    assertEquals(0, Nearest.distance("abc", "abc"));
    assertEquals(1, Nearest.distance("abc", "acb"));
    assertEquals(2, Nearest.distance("abc", "b"));
    assertEquals(3, Nearest.distance("", "abc"));
  }

  @Test
  void JSON_is_written_as_it_should_be() {
    Map<String, @Nullable Object> map = new LinkedHashMap<>();
    map.put("text", "a\"b\\c\n\u0001");
    map.put("list", Arrays.asList(1, true, null));
    map.put("empty", List.of());
    map.put("none", Map.of());
    assertEquals(
        """
        {
          "text": "a\\"b\\\\c\\n\\u0001",
          "list": [
            1,
            true,
            null
          ],
          "empty": [],
          "none": {}
        }
        """,
        Json.of(map));
  }

  @Test
  void times_are_in_the_unit_that_suits_them() {
    assertEquals("999 ns", StatisticsReport.time(999));
    assertEquals("1.50 us", StatisticsReport.time(1_500));
    assertEquals("2.00 ms", StatisticsReport.time(2_000_000));
    assertEquals("61.00 s", StatisticsReport.time(61_000_000_000L));
  }

  @Test
  void instructions_may_not_be_known() {
    assertEquals(
        "instructions: not available from this backend\n",
        StatisticsReport.instructions(OptionalLong.empty(), 1));
    assertEquals(
        "instructions: 5,000; 2.5 MIPS in the guest\n",
        StatisticsReport.instructions(OptionalLong.of(5000), 2_000_000));
    assertEquals(
        "instructions: 0; 0.0 MIPS in the guest\n",
        StatisticsReport.instructions(OptionalLong.of(0), 0));
  }

  @Test
  void exits_in_the_kernel_come_by_their_number() {
    assertEquals("", StatisticsReport.kernelExits("VM exit", Map.of()));
    assertEquals(
        "", StatisticsReport.kernelExits("VM exit", Map.of("exits", 0L, "instructions", 5L)));
    // The emulated kernel has every kind, and some of them by Linux's names too.
    Map<String, Long> statistics =
        Map.of("exits", 10L, "exits_io", 9L, "exits_cpuid", 1L, "io_exits", 9L, "exits_hlt", 0L);
    assertEquals(
        List.of(
            "",
            "VM exit                                 Samples  Samples%",
            "IO                                            9    90.00%",
            "CPUID                                         1    10.00%",
            "total                                        10",
            ""),
        StatisticsReport.kernelExits("VM exit", statistics).lines().toList());
    assertEquals(
        List.of(
            "",
            "VM exit                                 Samples  Samples%",
            "IO                                            7    70.00%",
            "total                                        10",
            ""),
        StatisticsReport.kernelExits("VM exit", Map.of("exits", 10L, "io_exits", 7L, "insns", 99L))
            .lines()
            .toList());
  }

  @Test
  void output_is_written_in_order_and_all_of_it() {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    SerialOutput output = new SerialOutput(stream, null, () -> {}, e -> {});
    int length = 300_000;
    for (int i = 0; i < length; i++) {
      output.accept(i & 0xff);
    }
    output.close();
    byte[] bytes = stream.toByteArray();
    assertEquals(length, bytes.length);
    for (int i = 0; i < length; i++) {
      assertEquals((byte) i, bytes[i]);
    }
    assertFalse(output.textSeen());
  }

  @Test
  void a_text_is_found_wherever_it_starts() {
    AtomicInteger seen = new AtomicInteger();
    SerialOutput output =
        new SerialOutput(OutputStream.nullOutputStream(), "aab", seen::incrementAndGet, e -> {});
    for (char c : "aaaab aab".toCharArray()) {
      output.accept(c);
    }
    output.close();
    assertEquals(1, seen.get(), "once");
    assertTrue(output.textSeen());
  }

  @Test
  void a_stream_that_fails_is_told_once_and_holds_nobody_up() {
    List<String> failures = new ArrayList<>();
    OutputStream stream =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            throw new IOException("Broken pipe");
          }
        };
    SerialOutput output =
        new SerialOutput(stream, null, () -> {}, e -> failures.add(e.getMessage()));
    for (int i = 0; i < 200_000; i++) {
      output.accept('x');
    }
    output.close();
    assertEquals(List.of("Broken pipe"), failures);
  }

  private static void print(SerialOutput output, String text) {
    text.chars().forEach(output::accept);
  }

  /** Writes a line, and another before it if the guest has not ended its own. */
  private static void line(SerialOutput output, ByteArrayOutputStream stream, String line) {
    output.interject(
        inLine -> stream.writeBytes(((inLine ? "\n" : "") + line + "\n").getBytes(US_ASCII)));
  }

  @Test
  void what_is_told_beside_the_guest_stands_behind_what_it_has_printed() {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    SerialOutput output = new SerialOutput(stream, null, () -> {}, e -> {});
    line(output, stream, "one");
    print(output, "a");
    line(output, stream, "two");
    line(output, stream, "three");
    print(output, "b\n");
    line(output, stream, "four");
    print(output, "c");
    output.close();
    assertEquals("one\na\ntwo\nthree\nb\nfour\nc", stream.toString(US_ASCII));
    line(output, stream, "when it is closed");
    assertTrue(stream.toString(US_ASCII).endsWith("c\nwhen it is closed\n"));
  }

  @Test
  @Timeout(60)
  void lines_of_several_threads_stay_whole_while_a_guest_prints() throws Exception {
    ByteArrayOutputStream stream = new ByteArrayOutputStream();
    SerialOutput output = new SerialOutput(stream, null, () -> {}, e -> {});
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 3; t++) {
      String line = "<line " + t + ">";
      threads.add(
          new Thread(
              () -> {
                for (int k = 0; k < 200; k++) {
                  line(output, stream, line);
                }
              }));
    }
    threads.add(new Thread(() -> print(output, "x".repeat(20_000))));
    threads.forEach(Thread::start);
    for (Thread thread : threads) {
      thread.join();
    }
    output.close();
    String text = stream.toString(US_ASCII);
    assertEquals(600, text.lines().filter(l -> l.matches("<line \\d>")).count());
    assertEquals(20_000, text.chars().filter(c -> c == 'x').count());
    assertTrue(text.lines().allMatch(l -> l.matches("x*|<line \\d>")), text);
  }

  @Test
  @Timeout(60)
  void a_stream_that_nobody_reads_holds_no_line_up_when_the_run_is_to_end() throws Exception {
    CountDownLatch stuck = new CountDownLatch(1);
    CountDownLatch release = new CountDownLatch(1);
    OutputStream stream =
        new OutputStream() {
          @Override
          public void write(int b) throws IOException {
            stuck.countDown();
            try {
              release.await();
            } catch (InterruptedException e) {
              throw new IOException(e);
            }
          }
        };
    SerialOutput output = new SerialOutput(stream, null, () -> {}, e -> {});
    print(output, "x");
    stuck.await();
    AtomicInteger told = new AtomicInteger();
    Thread teller = new Thread(() -> output.interject(inLine -> told.incrementAndGet()));
    teller.start();
    output.hurry();
    teller.join();
    assertEquals(1, told.get());
    release.countDown();
    output.close();
  }
}
