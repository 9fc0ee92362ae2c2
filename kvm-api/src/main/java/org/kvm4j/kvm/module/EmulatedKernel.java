package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.OutOfPhysicalMemoryException;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.vmx.explain.VmxTrace;

/**
 * The kernel beside the emulated host CPU: its file descriptors, its one process, and {@code
 * /dev/kvm} with the KVM module behind it.
 */
public final class EmulatedKernel implements Kernel {
  private static final int FILES = 65536;

  private final HostMachine machine;
  private final UserSpace user;
  private final ConcurrentHashMap<Integer, HostThread> threads = new ConcurrentHashMap<>();
  private final ThreadLocal<@Nullable HostThread> current = new ThreadLocal<>();
  private final Object pollLock = new Object();
  private volatile @Nullable FileObject[] files = new FileObject[64];

  /** A kernel on a machine with the default processor and the host's clock. */
  public EmulatedKernel() {
    this(new HostMachine());
  }

  /** A kernel on a machine. */
  public EmulatedKernel(HostMachine machine) {
    this.machine = machine;
    this.user = new UserSpace(machine.memory());
  }

  @Override
  public String name() {
    return "emulated";
  }

  HostMachine machine() {
    return machine;
  }

  UserSpace user() {
    return user;
  }

  // ---- descriptors ----

  /** The lowest free descriptor for a file; descriptors 0 to 2 are never given. */
  synchronized int install(FileObject file) {
    @Nullable FileObject[] table = files;
    for (int fd = 3; fd < table.length; fd++) {
      if (table[fd] == null) {
        table[fd] = file;
        files = table;
        return fd;
      }
    }
    if (table.length >= FILES) {
      return Results.EMFILE;
    }
    int fd = table.length;
    table = Arrays.copyOf(table, table.length * 2);
    table[fd] = file;
    files = table;
    return fd;
  }

  @Nullable FileObject file(int fd) {
    @Nullable FileObject[] table = files;
    return fd >= 0 && fd < table.length ? table[fd] : null;
  }

  @Override
  public int open(String path, int flags) {
    if (!path.equals("/dev/kvm")) {
      return Results.ENOENT;
    }
    return install(new SystemFile(this));
  }

  @Override
  public int close(int fd) {
    FileObject file;
    synchronized (this) {
      file = file(fd);
      if (file == null) {
        return Results.EBADF;
      }
      @Nullable FileObject[] table = files;
      table[fd] = null;
      files = table;
    }
    file.release();
    return 0;
  }

  @Override
  public String diagnosis(int fd) {
    FileObject file = file(fd);
    return file == null ? "" : file.diagnosis();
  }

  @Override
  public String operation(int fd) {
    FileObject file = file(fd);
    return file == null ? "" : file.operation();
  }

  @Override
  public boolean trace(Set<String> categories, Consumer<String> sink) {
    Set<VmxTrace.Category> chosen = EnumSet.noneOf(VmxTrace.Category.class);
    for (String name : categories) {
      chosen.add(
          Arrays.stream(VmxTrace.Category.values())
              .filter(c -> c.toString().equals(name))
              .findFirst()
              .orElseThrow(
                  () -> new IllegalArgumentException("there is no trace category " + name)));
    }
    Object one = new Object();
    machine.trace(
        chosen,
        line -> {
          synchronized (one) {
            sink.accept(line);
          }
        });
    return true;
  }

  @Override
  public int ioctl(int fd, int request, long argument) {
    FileObject file = file(fd);
    if (file == null) {
      return Results.EBADF;
    }
    try {
      return file.ioctl(request, argument);
    } catch (OutOfPhysicalMemoryException | OutOfMemoryError e) {
      return Results.ENOMEM;
    }
  }

  @Override
  public long read(int fd, long buffer, long count) {
    FileObject file = file(fd);
    return file == null ? Results.EBADF : file.read(buffer, count);
  }

  @Override
  public long pread(int fd, long buffer, long count, long offset) {
    FileObject file = file(fd);
    if (file == null) {
      return Results.EBADF;
    }
    return offset < 0 ? Results.EINVAL : file.pread(buffer, count, offset);
  }

  @Override
  public long write(int fd, long buffer, long count) {
    FileObject file = file(fd);
    return file == null ? Results.EBADF : file.write(buffer, count);
  }

  // ---- memory ----

  @Override
  public long mmap(long length, int protection, int flags, int fd, long offset) {
    if (length <= 0 || (offset & 0xfff) != 0) {
      return Results.EINVAL;
    }
    if ((flags & MAP_ANONYMOUS) != 0) {
      return user.mapAnonymous(length);
    }
    FileObject file = file(fd);
    return file == null ? Results.EBADF : file.mmap(length, protection, flags, offset);
  }

  @Override
  public int munmap(long address, long length) {
    return user.unmap(address, length);
  }

  @Override
  public UserMemory memory(long address, long length) {
    return user.view(address, length);
  }

  // ---- events ----

  @Override
  public int eventfd(int initial, int flags) {
    if ((flags & ~(EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC)) != 0) {
      return Results.EINVAL;
    }
    return install(new EventFile(user, pollLock, initial, flags));
  }

  @Override
  public int poll(long fds, int count, int timeoutMillis) {
    if (count < 0 || count > FILES) {
      return Results.EINVAL;
    }
    long deadline = System.nanoTime() + timeoutMillis * 1_000_000L;
    synchronized (pollLock) {
      while (true) {
        ByteBuffer b = user.copyIn(fds, count * 8);
        if (b == null) {
          return Results.EFAULT;
        }
        int ready = 0;
        for (int i = 0; i < count; i++) {
          int fd = b.getInt(i * 8);
          int revents = 0;
          if (fd >= 0) {
            FileObject file = file(fd);
            revents =
                file == null
                    ? POLLNVAL
                    : file.ready() & (b.getShort(i * 8 + 4) | POLLERR | POLLHUP);
          }
          b.putShort(i * 8 + 6, (short) revents);
          if (revents != 0) {
            ready++;
          }
        }
        long left = deadline - System.nanoTime();
        if (ready != 0 || timeoutMillis == 0 || (timeoutMillis > 0 && left <= 0)) {
          return user.copyOut(fds, b) ? ready : Results.EFAULT;
        }
        try {
          if (timeoutMillis < 0) {
            pollLock.wait();
          } else {
            pollLock.wait(Math.max(1, left / 1_000_000));
          }
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return Results.EINTR;
        }
      }
    }
  }

  // ---- threads ----

  /** The calling thread. */
  HostThread currentThread() {
    HostThread t = current.get();
    if (t == null) {
      t = new HostThread();
      current.set(t);
      threads.values().removeIf(other -> !other.thread.isAlive());
      threads.put(t.id, t);
    }
    return t;
  }

  @Override
  public int gettid() {
    return currentThread().id;
  }

  @Override
  public int kick(int threadId) {
    HostThread t = threads.get(threadId);
    if (t == null || !t.thread.isAlive()) {
      return Results.ESRCH;
    }
    t.signal();
    return 0;
  }

  @Override
  public void close() {
    for (int fd = 0; fd < files.length; fd++) {
      if (files[fd] != null) {
        close(fd);
      }
    }
    user.close();
  }
}
