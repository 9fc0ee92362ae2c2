package org.kvm4j.ept.memory;

/** There is no run of free host-physical addresses for a new region. */
public final class OutOfPhysicalMemoryException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  OutOfPhysicalMemoryException(String message) {
    super(message);
  }
}
