package org.kvm4j.vmm;

/**
 * Why a machine stopped.
 *
 * @param kind which of the ways there are
 * @param code what the guest wrote to the debug exit; otherwise 0
 * @param message in words, one line; more for failures
 */
public record Ending(Kind kind, int code, String message) {

  /** The ways in which a machine stops. */
  public enum Kind {
    /** Every processor halted, with nothing that could wake it. */
    HALTED,
    /** The guest powered the machine off. */
    POWERED_OFF,
    /** The guest reset the machine. */
    RESET,
    /** The guest wrote to the debug exit port. */
    DEBUG_EXIT,
    /** The text that was waited for came. */
    TEXT_SEEN,
    /** A triple fault. */
    SHUTDOWN,
    /** The kernel could not run the guest on. */
    INTERNAL_ERROR,
    /** Time is up. */
    TIMEOUT,
    /** The user stopped it. */
    INTERRUPTED,
    /** Nobody reads the guest's output any more. */
    OUTPUT_CLOSED,
    /** The VMM or the system below it failed. */
    FAILURE
  }

  /** An ending without a code. */
  public static Ending of(Kind kind, String message) {
    return new Ending(kind, 0, message);
  }

  /** Whether the guest ended itself, and not because of a fault. */
  public boolean orderly() {
    switch (kind) {
      case HALTED:
      case POWERED_OFF:
      case RESET:
      case DEBUG_EXIT:
      case TEXT_SEEN:
        return true;
      default:
        return false;
    }
  }
}
