package org.kvm4j.host;

import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmCreateDevice;

/**
 * The machine's own Linux kernel. Results and errors are the kernel's; three things are added, so
 * that a VMM's mistake is an error and not the end of the JVM:
 *
 * <ul>
 *   <li>Only file descriptors that this kernel opened can be named: others give {@code -EBADF}.
 *   <li>An address that is passed for a structure must lie in memory that this kernel mapped, else
 *       the call is made with one that gives {@code EFAULT} (whatever the kernel checks before it
 *       looks there, it still checks first). Addresses inside of structures go unchecked, as in C:
 *       a memory slot's, a dirty log's bitmap.
 *   <li>Memory that was unmapped is never touched: see {@link Mappings}.
 * </ul>
 *
 * <p>The signal of {@link #kick} is described with {@link KickSignal}.
 */
public final class NativeKernel implements Kernel {
  /** An address that no process can have: not canonical. */
  private static final long NOWHERE = Long.MIN_VALUE;

  /** Below it nothing is ever mapped (vm.mmap_min_addr); 0 means "none" to some calls. */
  private static final long LOWEST = 0x10000;

  private static final int PID = (int) SystemCalls.call(SystemCalls.GETPID, 0, 0, 0);

  private final FileDescriptors descriptors = new FileDescriptors();
  private final Mappings mappings = new Mappings();
  private volatile boolean closed;

  NativeKernel() {
    if (KickSignal.NUMBER == 0) {
      throw new IllegalStateException(
          "signals "
              + KickSignal.FIRST
              + " to "
              + KickSignal.LAST
              + " all have handlers already: none is left to kick a vCPU with");
    }
  }

  @Override
  public String name() {
    return "native";
  }

  @Override
  public int open(String path, int flags) {
    if (closed) {
      return Errno.ENODEV.result();
    }
    int fd = Libc.open(path, flags, 0);
    return fd < 0 ? Libc.error() : owned(fd);
  }

  @Override
  public int close(int fd) {
    if (!descriptors.remove(fd)) {
      return Errno.EBADF.result();
    }
    return (int) SystemCalls.call(SystemCalls.CLOSE, fd, 0, 0);
  }

  @Override
  public int ioctl(int fd, int request, long argument) {
    if (!descriptors.contains(fd)) {
      return Errno.EBADF.result();
    }
    long number = request & 0xffff_ffffL;
    // Bits 30 and 31: the argument is the address of a structure that is read or written.
    long checked = (request >>> 30) == 0 ? argument : checked(argument);
    int result = (int) SystemCalls.call(SystemCalls.IOCTL, fd, number, checked);
    return result < 0 ? result : result(request, argument, result);
  }

  /** A new file descriptor among the results is this kernel's from now on. */
  private int result(int request, long argument, int result) {
    switch (request) {
      case Ioctls.KVM_CREATE_VM:
      case Ioctls.KVM_CREATE_VCPU:
      case Ioctls.KVM_GET_STATS_FD:
      case Ioctls.KVM_CREATE_GUEST_MEMFD:
        return owned(result);
      case Ioctls.KVM_CREATE_DEVICE:
        UserMemory device = memory(argument, KvmCreateDevice.SIZEOF);
        if ((device.getInt(KvmCreateDevice.FLAGS) & 1) == 0) { // not KVM_CREATE_DEVICE_TEST
          owned(device.getInt(KvmCreateDevice.FD));
        }
        return result;
      default:
        return result;
    }
  }

  @Override
  public long mmap(long length, int protection, int flags, int fd, long offset) {
    if (closed) {
      return Errno.ENODEV.result();
    }
    if ((flags & MAP_ANONYMOUS) == 0 && !descriptors.contains(fd)) {
      return Errno.EBADF.result();
    }
    long address = mappings.map(length, protection, flags, fd, offset);
    if (address > 0 && closed) { // closed meanwhile, and perhaps too late for close() to see it
      mappings.unmap(address, length);
      return Errno.ENODEV.result();
    }
    return address;
  }

  @Override
  public int munmap(long address, long length) {
    return mappings.unmap(address, length);
  }

  @Override
  public int eventfd(int initial, int flags) {
    if (closed) {
      return Errno.ENODEV.result();
    }
    int fd = (int) SystemCalls.call(SystemCalls.EVENTFD2, initial & 0xffff_ffffL, flags, 0);
    return fd < 0 ? fd : owned(fd);
  }

  @Override
  public long read(int fd, long buffer, long count) {
    if (!descriptors.contains(fd)) {
      return Errno.EBADF.result();
    }
    return SystemCalls.call(SystemCalls.READ, fd, checked(buffer), count);
  }

  @Override
  public long pread(int fd, long buffer, long count, long offset) {
    if (!descriptors.contains(fd)) {
      return Errno.EBADF.result();
    }
    long result = Libc.pread(fd, checked(buffer), count, offset);
    return result == -1 ? Libc.error() : result;
  }

  @Override
  public long write(int fd, long buffer, long count) {
    if (!descriptors.contains(fd)) {
      return Errno.EBADF.result();
    }
    return SystemCalls.call(SystemCalls.WRITE, fd, checked(buffer), count);
  }

  @Override
  public int poll(long fds, int count, int timeoutMillis) {
    return (int)
        SystemCalls.call(SystemCalls.POLL, checked(fds), count & 0xffff_ffffL, timeoutMillis);
  }

  @Override
  public int gettid() {
    KickSignal.unblock();
    return (int) SystemCalls.call(SystemCalls.GETTID, 0, 0, 0);
  }

  @Override
  public int kick(int threadId) {
    if (threadId <= 0) {
      return Errno.ESRCH.result();
    }
    return (int) SystemCalls.call(SystemCalls.TGKILL, PID, threadId, KickSignal.NUMBER);
  }

  @Override
  public UserMemory memory(long address, long length) {
    NativeMapping mapping = mappings.find(address);
    if (mapping != null && length >= 0 && address - mapping.address <= mapping.length - length) {
      long offset = address - mapping.address;
      // Before the last look at whether it is mapped: an unmapping either sees the view or is seen.
      mapping.viewed = true;
      if (!mapping.unmapped(offset, offset + length)) {
        return new NativeMemory(mapping, offset, length);
      }
    }
    throw new IllegalArgumentException(
        String.format("0x%x (%d bytes) is not mapped%s", address, length, whatIs(mapping)));
  }

  private static String whatIs(@Nullable NativeMapping mapping) {
    return mapping == null ? "" : ", only " + mapping + " is";
  }

  @Override
  public void close() {
    closed = true;
    for (int fd : descriptors.all()) {
      close(fd);
    }
    mappings.unmapAll();
  }

  private int owned(int fd) {
    descriptors.add(fd);
    if (closed) { // meanwhile, and perhaps too late for close() to see it
      close(fd);
      return Errno.ENODEV.result();
    }
    return fd;
  }

  private long checked(long address) {
    return address >= 0 && address < LOWEST || mappings.find(address) != null ? address : NOWHERE;
  }
}
