package org.kvm4j.vmm.demo;

import java.util.List;
import java.util.OptionalLong;
import org.kvm4j.vmm.Ending;

/**
 * How a guest fared on a backend.
 *
 * @param guest which
 * @param backend its name
 * @param result whether it did what it must
 * @param reason why not, in one line; empty if it did
 * @param output what it printed
 * @param exits its exits, like ones together
 * @param exitCount how many exits
 * @param nanos how long it ran
 * @param instructions how many instructions it retired, if the backend counts them
 * @param ending how it ended
 */
public record DemoRun(
    DemoGuest guest,
    String backend,
    Result result,
    String reason,
    String output,
    List<ExitGroup> exits,
    long exitCount,
    long nanos,
    OptionalLong instructions,
    Ending ending) {

  /** Whether a guest did what it must. */
  public enum Result {
    /** It did. */
    AS_EXPECTED,
    /** It did something else. */
    WRONG,
    /** The backend said that it cannot run it on. */
    CANNOT_RUN
  }

  public DemoRun {
    exits = List.copyOf(exits);
  }
}
