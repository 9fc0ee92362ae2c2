package org.kvm4j.kvm;

import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * The memory through which a handle hands arguments to ioctls: taken once, so that no call
 * allocates, and replaced by a greater one when an argument needs it.
 */
final class ArgumentBlock implements AutoCloseable {

  private static final int PAGE = 4096;

  private final ArgumentPool pool;
  private final long piece;

  /** Of its own, once an argument has not fit in the piece. */
  private @Nullable MappedMemory greater;

  private UserMemory memory;
  private boolean closed;

  ArgumentBlock(ArgumentPool pool) {
    this.pool = pool;
    this.piece = pool.take();
    this.memory = pool.kernel().memory(piece, ArgumentPool.PIECE);
  }

  /** The block with at least {@code size} bytes, of which the first {@code size} are 0. */
  UserMemory zeroed(long size) {
    if (closed) {
      throw new IllegalStateException("the handle is closed");
    }
    if (size > memory.size()) {
      MappedMemory more = MappedMemory.allocate(pool.kernel(), (size + PAGE - 1) / PAGE * PAGE);
      if (greater != null) {
        greater.close();
      }
      greater = more;
      memory = more.memory();
    }
    memory.fill(0, size, (byte) 0);
    return memory;
  }

  /** The user-space address of the block as {@link #zeroed} last gave it. */
  long address() {
    return memory.address();
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    if (greater != null) {
      greater.close();
    }
    pool.giveBack(piece);
  }
}
