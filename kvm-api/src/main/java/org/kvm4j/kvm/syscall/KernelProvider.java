package org.kvm4j.kvm.syscall;

import java.util.Optional;

/** Finds kernels through {@link java.util.ServiceLoader}. */
public interface KernelProvider {

  /** The name that {@code --backend} takes: {@code "emulated"} or {@code "native"}. */
  String name();

  /**
   * Why this kernel cannot be used on this machine, and what to do about it; empty if it can (as
   * far as can be told without running a guest).
   */
  Optional<Unavailable> unavailable();

  /**
   * A new kernel.
   *
   * @throws IllegalStateException with the reason, if {@link #unavailable} gives one
   */
  Kernel open();

  /**
   * @param reason one line: what is missing or forbidden
   * @param remedy one line: what a user can do about it
   */
  record Unavailable(String reason, String remedy) {}
}
