package org.kvm4j.vmm.cli;

import org.kvm4j.vmm.Ending;

/** The exit codes of {@code kvm4j run} and {@code kvm4j demo}. */
final class ExitCodes {

  /** The guest ended in order. */
  static final int OK = 0;

  /** kvm4j itself, or the system below it, failed; or output could not be written. */
  static final int FAILURE = 1;

  /** The command line is wrong. */
  static final int USAGE = 2;

  /** The backend cannot be used. */
  static final int BACKEND = 3;

  /** A guest's file cannot be used. */
  static final int GUEST_FILE = 4;

  /** The guest shut down: a triple fault. */
  static final int SHUTDOWN = 5;

  /** The backend could not run the guest on. */
  static final int INTERNAL_ERROR = 6;

  /** Time was up. */
  static final int TIMEOUT = 7;

  /** The guest ended, and the text that was waited for had not come. */
  static final int TEXT_NOT_SEEN = 8;

  /** A demonstration guest did not do what it should. */
  static final int DEMO_FAILED = 9;

  /** The guest wrote a code other than 0 to the debug exit: this, and the code. */
  static final int GUEST_CODE = 64;

  /** The greatest code of a guest's that has an exit code of its own. */
  static final int GREATEST_GUEST_CODE = 62;

  /** The guest wrote a greater code. */
  static final int GREAT_GUEST_CODE = 127;

  /** Interrupted: 128, and the number of SIGINT. */
  static final int INTERRUPTED = 130;

  /** Nobody reads the output: 128, and the number of SIGPIPE. */
  static final int OUTPUT_CLOSED = 141;

  private ExitCodes() {}

  /** The exit code for a guest's ending. */
  static int of(Ending ending) {
    switch (ending.kind()) {
      case HALTED:
      case POWERED_OFF:
      case RESET:
      case TEXT_SEEN:
        return OK;
      case DEBUG_EXIT:
        return ofGuestCode(ending.code());
      case SHUTDOWN:
        return SHUTDOWN;
      case INTERNAL_ERROR:
        return INTERNAL_ERROR;
      case TIMEOUT:
        return TIMEOUT;
      case INTERRUPTED:
        return INTERRUPTED;
      case OUTPUT_CLOSED:
        return OUTPUT_CLOSED;
      case FAILURE:
        return FAILURE;
    }
    throw new IllegalStateException("no exit code for " + ending.kind());
  }

  private static int ofGuestCode(int code) {
    if (code == 0) {
      return OK;
    }
    return code > 0 && code <= GREATEST_GUEST_CODE ? GUEST_CODE + code : GREAT_GUEST_CODE;
  }
}
