package org.kvm4j.kvm.module;

/**
 * What is left to do of an exit to user space, once KVM_RUN is called again: what user space was
 * asked for is there now. The kernel's {@code vcpu->arch.complete_userspace_io}.
 */
@FunctionalInterface
interface Completion {
  /** For an exit that leaves nothing to do. */
  Completion NOTHING = () -> 1;

  /**
   * Finishes the access.
   *
   * @return 1 to go on in the guest; 0 if user space is asked for more; or a negative error
   */
  int complete();
}
