package org.kvm4j.kvm.doctor;

/** What a kernel is good for. */
public enum Verdict {
  /** It runs guests in every mode. */
  GOOD("runs guests in every mode"),

  /** It runs guests in some modes. */
  LIMITED("runs guests in some modes only"),

  /** It opens, and runs no guest. */
  USELESS("opens, but runs no guest"),

  /** It cannot be opened. */
  UNAVAILABLE("not available");

  private final String words;

  Verdict(String words) {
    this.words = words;
  }

  /** For people to read. */
  public String words() {
    return words;
  }

  /** Whether it runs any guest. */
  public boolean runsGuests() {
    return this == GOOD || this == LIMITED;
  }
}
