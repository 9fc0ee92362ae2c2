package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * The memory through which a handle hands arguments to ioctls: mapped once, so that no call
 * allocates, and replaced by a greater one when an argument needs it.
 */
final class ArgumentBlock implements AutoCloseable {

  private static final int PAGE = 4096;

  private final Kernel kernel;
  private MappedMemory block;

  ArgumentBlock(Kernel kernel) {
    this.kernel = kernel;
    this.block = MappedMemory.allocate(kernel, PAGE);
  }

  /** The block with at least {@code size} bytes, of which the first {@code size} are 0. */
  UserMemory zeroed(long size) {
    if (size > block.size()) {
      MappedMemory greater = MappedMemory.allocate(kernel, (size + PAGE - 1) / PAGE * PAGE);
      block.close();
      block = greater;
    }
    block.memory().fill(0, size, (byte) 0);
    return block.memory();
  }

  /** The user-space address of the block as {@link #zeroed} last gave it. */
  long address() {
    return block.address();
  }

  @Override
  public void close() {
    block.close();
  }
}
