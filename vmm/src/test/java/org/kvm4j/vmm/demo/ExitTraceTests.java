package org.kvm4j.vmm.demo;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.Bytes;
import org.kvm4j.kvm.Exit;
import org.kvm4j.vmm.Ending;
import org.kvm4j.vmm.Outcome;

class ExitTraceTests {

  private final ExitTrace trace = new ExitTrace();

  private void out(int port, String text) {
    for (int i = 0; i < text.length(); i++) {
      trace.exited(0, new Exit.IoOut(port, 1, 1, Bytes.of((byte) text.charAt(i))), Outcome.RESUME);
    }
  }

  @Test
  void like_exits_that_follow_each_other_are_one_group() {
    out(0x3f8, "Hi\n");
    trace.exited(0, new Exit.IoIn(0x61, 1, 1), new Outcome.PortData(new byte[] {0x20}));
    trace.exited(0, new Exit.MmioRead(0xd000_0000L, 4), new Outcome.MmioData(0x4f48_4345));
    trace.exited(0, new Exit.MmioWrite(0xd000_0000L, 4, 1), Outcome.RESUME);
    trace.exited(0, new Exit.Interrupted(), Outcome.RESUME);
    trace.exited(0, new Exit.Hlt(), new Outcome.Halt());
    assertEquals(7, trace.exits());
    List<ExitGroup> groups = trace.groups();
    assertEquals(
        List.of("IO out", "IO in", "MMIO read", "MMIO write", "HLT"),
        groups.stream().map(ExitGroup::reason).toList());
    assertEquals(3, groups.get(0).count());
    assertEquals("0x3f8", groups.get(0).where());
    assertEquals("\"Hi\\n\"", groups.get(0).what(20));
    assertEquals("0x20", groups.get(1).what(20));
    assertEquals("0xd0000000/4", groups.get(2).where());
    assertEquals("0x4f484345", groups.get(2).what(20));
    assertEquals("", groups.get(4).where());
    assertEquals("", groups.get(4).what(20));
  }

  @Test
  void elements_of_string_instructions_are_values_of_one_exit() {
    trace.exited(
        0,
        new Exit.IoOut(0x80, 2, 2, Bytes.of((byte) 1, (byte) 2, (byte) 3, (byte) 4)),
        Outcome.RESUME);
    assertEquals(List.of(0x201L, 0x403L), trace.groups().get(0).values());
    assertEquals(1, trace.groups().get(0).count());
  }

  @Test
  void what_does_not_fit_is_cut() {
    out(0x3f8, "A long line of text");
    ExitGroup group = trace.groups().get(0);
    assertEquals("\"A long l\u2026\"", group.what(11));
    assertEquals("\"A long line of text\"", group.what(21));
    for (int width = 3; width < 40; width++) {
      String what = group.what(width);
      assertEquals(true, what.length() <= width, () -> what);
    }
    out(0x61, "\1\2\3");
    assertEquals("0x1 0x2 0x3", trace.groups().get(1).what(20));
    assertEquals("0x1 \u2026", trace.groups().get(1).what(6));
  }

  @Test
  void what_is_wrong_with_a_run_is_told_in_one_line() {
    DemoGuest guest = DemoGuest.all().get(0);
    Ending halted = Ending.of(Ending.Kind.HALTED, "the guest halted");
    assertEquals("", DemoRunner.whatIsWrong(guest, guest.output(), halted));
    assertEquals(
        "line 2 should be: 1 + 2 + ... + 100 = 5050, in segment 2000h.",
        DemoRunner.whatIsWrong(guest, "Hello from real mode.\n", halted));
    assertEquals(
        "triple fault",
        DemoRunner.whatIsWrong(
            guest, guest.output(), Ending.of(Ending.Kind.SHUTDOWN, "triple fault\nregisters")));
  }
}
