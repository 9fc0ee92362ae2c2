package org.kvm4j.vmm.virtio;

/**
 * The driver broke a rule: what it put into a queue cannot be used. The device stops, and tells
 * that it needs a reset.
 */
final class DriverErrorException extends Exception {

  private static final long serialVersionUID = 1;

  DriverErrorException(String message) {
    super(message);
  }
}
