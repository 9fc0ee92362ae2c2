package org.kvm4j.kvm;

/**
 * There is no kernel of a name, or it cannot be used on this machine. The message is one line for
 * the user: which kernels there are, or what is wrong and what to do about it.
 */
public final class KernelUnavailableException extends RuntimeException {

  private static final long serialVersionUID = 1L;

  KernelUnavailableException(String message) {
    super(message);
  }
}
