package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.function.Executable;

/** Shortens the tests of what a refusal says. */
final class Refusals {

  private Refusals() {}

  /** The message of what is thrown. */
  static String refusal(Class<? extends Throwable> type, Executable code) {
    return String.valueOf(assertThrows(type, code).getMessage());
  }
}
