package org.kvm4j.kvm.doctor;

import java.util.List;
import java.util.Map;

/**
 * What the doctor found.
 *
 * @param machine facts of the machine and the JVM, by name, in the order to show them
 * @param backends one for each backend that was looked at
 */
public record Report(Map<String, String> machine, List<BackendReport> backends) {

  /** Copies the list. */
  public Report {
    backends = List.copyOf(backends);
  }

  /** Whether any backend runs guests. */
  public boolean anyRunsGuests() {
    return backends.stream().anyMatch(b -> b.verdict().runsGuests());
  }
}
