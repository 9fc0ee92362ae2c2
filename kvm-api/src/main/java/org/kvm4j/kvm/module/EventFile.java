package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
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

  /** Those in the kernel who take what comes; the last added takes it. */
  private final ArrayList<Consumer> consumers = new ArrayList<>();

  /** Someone in the kernel who takes what is signalled, in place of readers. */
  interface Consumer {
    /** Something was signalled; the counter is taken. */
    void signalled();

    /** The file is closed. */
    void closed();
  }

  EventFile(UserSpace user, Object pollLock, int initial, int flags) {
    this.user = user;
    this.pollLock = pollLock;
    this.counter = initial & 0xffffffffL;
    this.semaphore = (flags & Kernel.EFD_SEMAPHORE) != 0;
    this.nonBlocking = (flags & Kernel.EFD_NONBLOCK) != 0;
  }

  /** Adds 1, as the kernel's own users do; saturates. */
  void signal() {
    Consumer taker;
    synchronized (this) {
      if (counter != MAX) {
        counter++;
      }
      taker = consume();
      notifyAll();
    }
    tell(taker);
  }

  /** Lets the last consumer take what is there; null if there is none. */
  private @Nullable Consumer consume() {
    if (consumers.isEmpty()) {
      return null;
    }
    counter = semaphore && counter != 0 ? counter - 1 : 0;
    return consumers.get(consumers.size() - 1);
  }

  private void tell(@Nullable Consumer taker) {
    if (taker != null) {
      taker.signalled();
    }
    synchronized (pollLock) {
      pollLock.notifyAll();
    }
  }

  /** Has someone take what is signalled from now on; whether something has been before. */
  synchronized boolean addConsumer(Consumer c) {
    consumers.add(c);
    return counter != 0;
  }

  synchronized void removeConsumer(Consumer c) {
    consumers.removeIf(other -> other == c);
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
      if (counter == 0) {
        return Results.EBADF; // closed while it waited
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
    Consumer taker;
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
      if (Long.compareUnsigned(MAX - counter, value) < 0) {
        return Results.EBADF; // closed while it waited
      }
      counter += value;
      taker = consume();
      notifyAll();
    }
    tell(taker);
    return 8;
  }

  @Override
  synchronized int ready() {
    return (counter != 0 ? Kernel.POLLIN : 0) | (counter != MAX ? Kernel.POLLOUT : 0);
  }

  @Override
  void release() {
    List<Consumer> told;
    synchronized (this) {
      closed = true;
      told = List.copyOf(consumers);
      notifyAll();
    }
    for (Consumer c : told) {
      c.closed();
    }
  }
}
