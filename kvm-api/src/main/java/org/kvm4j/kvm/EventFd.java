package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * An eventfd: a counter of 64 bits that a kernel adds to (ioeventfd) or waits for (irqfd).
 *
 * <p>Safe for use by several threads; a {@link #read} that waits holds up no {@link #write}.
 *
 * <p>Source: eventfd(2).
 */
public final class EventFd implements AutoCloseable {

  private static final int POLLFD_FD = 0;
  private static final int POLLFD_EVENTS = 4;
  private static final int POLLFD_REVENTS = 6;
  private static final int READ_AT = 0;
  private static final int WRITE_AT = 64;
  private static final int POLL_AT = 128;

  private final Kernel kernel;
  private final int fd;
  private final MappedMemory buffer;
  private final Object readLock = new Object();
  private final Object writeLock = new Object();
  private final Object pollLock = new Object();
  private volatile boolean closed;

  private EventFd(Kernel kernel, int fd, MappedMemory buffer) {
    this.kernel = kernel;
    this.fd = fd;
    this.buffer = buffer;
  }

  /** A counter at 0 that {@link #read} does not wait for. */
  public static EventFd create(Kernel kernel) {
    return create(kernel, 0, Kernel.EFD_NONBLOCK | Kernel.EFD_CLOEXEC);
  }

  /**
   * eventfd2(2).
   *
   * @param initial the counter's first value
   * @param flags {@code EFD_*} of {@link Kernel}
   * @throws KvmException EINVAL for an unknown flag, EMFILE or ENFILE if there are too many
   *     descriptors
   */
  public static EventFd create(Kernel kernel, int initial, int flags) {
    MappedMemory buffer = MappedMemory.allocate(kernel, 4096);
    int fd = kernel.eventfd(initial, flags);
    if (fd < 0) {
      buffer.close();
      throw new KvmException("eventfd", -fd, "flags 0x" + Integer.toHexString(flags));
    }
    return new EventFd(kernel, fd, buffer);
  }

  /**
   * The file descriptor.
   *
   * @throws IllegalStateException if this is closed
   */
  public int fd() {
    if (closed) {
      throw new IllegalStateException("the eventfd is closed");
    }
    return fd;
  }

  /**
   * Takes the counter and sets it to 0 (a semaphore's goes down by 1).
   *
   * @return the value taken; 0 if it is 0 and the descriptor does not wait
   */
  public long read() {
    synchronized (readLock) {
      UserMemory memory = buffer.memory();
      long result = kernel.read(fd(), buffer.address() + READ_AT, 8);
      if (result == Errno.EAGAIN.result()) {
        return 0;
      }
      if (result < 0) {
        throw new KvmException("read", (int) -result, "of an eventfd");
      }
      return memory.getLong(READ_AT);
    }
  }

  /**
   * Adds to the counter.
   *
   * @param value unsigned, up to 2^64 - 2
   * @throws KvmException EINVAL for 2^64 - 1; EAGAIN if the counter would pass 2^64 - 2 and the
   *     descriptor does not wait
   */
  public void write(long value) {
    synchronized (writeLock) {
      buffer.memory().putLong(WRITE_AT, value);
      long result = kernel.write(fd(), buffer.address() + WRITE_AT, 8);
      if (result < 0) {
        throw new KvmException(
            "write", (int) -result, "of " + Long.toUnsignedString(value) + " to an eventfd");
      }
    }
  }

  /**
   * Waits until the counter is above 0.
   *
   * @param timeoutMillis how long at most, in ms; -1 for ever, 0 not at all
   * @return whether it is
   */
  public boolean await(int timeoutMillis) {
    synchronized (pollLock) {
      UserMemory memory = buffer.memory();
      memory.putInt(POLL_AT + POLLFD_FD, fd());
      memory.putShort(POLL_AT + POLLFD_EVENTS, (short) Kernel.POLLIN);
      memory.putShort(POLL_AT + POLLFD_REVENTS, (short) 0);
      int result = kernel.poll(buffer.address() + POLL_AT, 1, timeoutMillis);
      if (result < 0 && result != Errno.EINTR.result()) {
        throw new KvmException("poll", -result, "of an eventfd");
      }
      return result > 0 && (memory.getShort(POLL_AT + POLLFD_REVENTS) & Kernel.POLLIN) != 0;
    }
  }

  /** Closes the descriptor; a second time does nothing. */
  @Override
  public void close() {
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
    }
    kernel.close(fd);
    buffer.close();
  }
}
