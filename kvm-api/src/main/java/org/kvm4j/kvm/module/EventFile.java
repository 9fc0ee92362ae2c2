package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.syscall.Kernel;

/** An eventfd. Source: Linux man-pages eventfd(2). */
final class EventFile extends FileObject {
  private static final long MAX = -2L; // 0xfffffffffffffffe

  private final UserSpace user;
  private final Object pollLock;
  private final boolean semaphore;
  private final boolean nonBlocking;
  private long counter;
  private boolean closed;

  EventFile(UserSpace user, Object pollLock, int initial, int flags) {
    this.user = user;
    this.pollLock = pollLock;
    this.counter = initial & 0xffffffffL;
    this.semaphore = (flags & Kernel.EFD_SEMAPHORE) != 0;
    this.nonBlocking = (flags & Kernel.EFD_NONBLOCK) != 0;
  }

  /** Adds 1, as the kernel's own users do; saturates. */
  void signal() {
    synchronized (this) {
      if (counter != MAX) {
        counter++;
      }
      notifyAll();
    }
    synchronized (pollLock) {
      pollLock.notifyAll();
    }
  }

  @Override
  long read(long buffer, long count) {
    if (count < 8) {
      return Results.EINVAL;
    }
    if (user.physical(buffer, 8) < 0) {
      return Results.EFAULT;
    }
    long value;
    synchronized (this) {
      while (counter == 0 && !closed) {
        if (nonBlocking) {
          return Results.EAGAIN;
        }
        try {
          wait();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return Results.EINTR;
        }
      }
      value = semaphore ? 1 : counter;
      counter -= value;
      notifyAll();
    }
    synchronized (pollLock) {
      pollLock.notifyAll();
    }
    ByteBuffer b = UserSpace.struct(8).putLong(0, value);
    return user.copyOut(buffer, b) ? 8 : Results.EFAULT;
  }

  @Override
  long write(long buffer, long count) {
    if (count < 8) {
      return Results.EINVAL;
    }
    ByteBuffer b = user.copyIn(buffer, 8);
    if (b == null) {
      return Results.EFAULT;
    }
    long value = b.getLong(0);
    if (value == -1) {
      return Results.EINVAL;
    }
    synchronized (this) {
      while (Long.compareUnsigned(MAX - counter, value) < 0 && !closed) {
        if (nonBlocking) {
          return Results.EAGAIN;
        }
        try {
          wait();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return Results.EINTR;
        }
      }
      counter += value;
      notifyAll();
    }
    synchronized (pollLock) {
      pollLock.notifyAll();
    }
    return 8;
  }

  @Override
  synchronized int ready() {
    return (counter != 0 ? Kernel.POLLIN : 0) | (counter != MAX ? Kernel.POLLOUT : 0);
  }

  @Override
  synchronized void release() {
    closed = true;
    notifyAll();
  }
}
