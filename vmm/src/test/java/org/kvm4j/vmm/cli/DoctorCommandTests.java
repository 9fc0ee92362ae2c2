package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import picocli.CommandLine;

class DoctorCommandTests {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  private int doctor(String... args) {
    return new CommandLine(new DoctorCommand())
        .setOut(new PrintWriter(out))
        .setErr(new PrintWriter(err))
        .execute(args);
  }

  @Test
  void the_exit_code_tells_whether_any_backend_runs_guests() {
    int code = doctor("--json");
    assertEquals("", err.toString());
    assertTrue(out.toString().startsWith("{"), out::toString);
    boolean runs = out.toString().contains("\n  \"runsGuests\": true,");
    assertEquals(runs ? 0 : DoctorCommand.NO_BACKEND, code);
  }

  @Test
  void the_report_names_the_backend_that_was_asked_for() {
    doctor("--backend", "native");
    assertTrue(out.toString().contains("\nnative  "), out::toString);
  }

  @Test
  void the_verdict_comes_first() {
    int code = doctor("--backend", "emulated");
    String first = code == 0 ? "Guests run on this machine:" : "No guest runs here:";
    assertTrue(out.toString().startsWith(first + "\n  emulated  "), out::toString);
  }

  @Test
  void an_unknown_backend_is_named_with_those_there_are() {
    assertEquals(2, doctor("--backend", "nativ"));
    assertTrue(err.toString().contains("'nativ'"), err::toString);
    assertTrue(err.toString().contains("native"), err::toString);
  }

  @Test
  void a_timeout_must_be_positive() {
    assertEquals(2, doctor("--timeout", "0"));
    assertEquals(2, doctor("--timeout", "NaN"));
    assertTrue(err.toString().contains("--timeout"), err::toString);
  }
}
