package org.kvm4j.ept.memory;

/**
 * There is no room for a new region: no run of free host-physical addresses, or no address space
 * left to this process.
 */
public final class OutOfPhysicalMemoryException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  OutOfPhysicalMemoryException(String message) {
    super(message);
  }
}
