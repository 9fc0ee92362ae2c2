package org.kvm4j.vmm.boot;

/** A guest's file that cannot be used; the message is one line that says which file and why. */
public final class GuestImageException extends Exception {

  private static final long serialVersionUID = 1L;

  /**
   * @param message one line
   */
  public GuestImageException(String message) {
    super(message);
  }
}
