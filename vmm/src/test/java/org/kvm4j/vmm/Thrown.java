package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.function.Executable;

/** What an exception said. */
public final class Thrown {

  private Thrown() {}

  /** The message of an exception that must be thrown. */
  public static String message(Class<? extends Throwable> type, Executable executable) {
    return String.valueOf(assertThrows(type, executable).getMessage());
  }
}
