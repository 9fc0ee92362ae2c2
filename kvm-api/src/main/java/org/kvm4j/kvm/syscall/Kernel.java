package org.kvm4j.kvm.syscall;

import java.util.Set;
import java.util.function.Consumer;

/**
 * The system-call surface: what a VMM asks of a kernel to drive {@code /dev/kvm}.
 *
 * <p>Two kernels implement it: the emulated one of this module and the machine's own, reached
 * through JNA by {@code host-bridge}. Calls follow the Linux system-call ABI: a result of zero or
 * more is success, a negative one is {@code -errno} ({@link Errno}); nothing is thrown for what a
 * caller or a guest does wrong. Pointers are user-space addresses ({@code long}): of memory mapped
 * by {@link #mmap} of the same kernel. An address that was not mapped gives {@code -EFAULT}.
 *
 * <p>Implementations are safe for use by several threads.
 *
 * <p>Source: Linux man-pages open(2), ioctl(2), mmap(2), eventfd(2), poll(2), tgkill(2).
 */
public interface Kernel extends AutoCloseable {

  /** {@code PROT_READ}. */
  int PROT_READ = 1;

  /** {@code PROT_WRITE}. */
  int PROT_WRITE = 2;

  /** {@code PROT_EXEC}. */
  int PROT_EXEC = 4;

  /** {@code MAP_SHARED}. */
  int MAP_SHARED = 0x01;

  /** {@code MAP_PRIVATE}. */
  int MAP_PRIVATE = 0x02;

  /** {@code MAP_ANONYMOUS}. */
  int MAP_ANONYMOUS = 0x20;

  /** {@code MAP_NORESERVE}. */
  int MAP_NORESERVE = 0x4000;

  /** {@code O_RDWR}. */
  int O_RDWR = 2;

  /** {@code O_CLOEXEC}. */
  int O_CLOEXEC = 0x80000;

  /** {@code EFD_SEMAPHORE}. */
  int EFD_SEMAPHORE = 1;

  /** {@code EFD_NONBLOCK}. */
  int EFD_NONBLOCK = 0x800;

  /** {@code EFD_CLOEXEC}. */
  int EFD_CLOEXEC = 0x80000;

  /** {@code POLLIN}. */
  int POLLIN = 1;

  /** {@code POLLOUT}. */
  int POLLOUT = 4;

  /** {@code POLLERR}. */
  int POLLERR = 8;

  /** {@code POLLHUP}. */
  int POLLHUP = 0x10;

  /** {@code POLLNVAL}. */
  int POLLNVAL = 0x20;

  /** A short name: {@code "emulated"} or {@code "native"}. */
  String name();

  /**
   * open(2).
   *
   * @param path {@code "/dev/kvm"}; the emulated kernel knows no other path ({@code -ENOENT})
   * @param flags {@code O_RDWR | O_CLOEXEC}
   * @return a file descriptor, or {@code -errno}
   */
  int open(String path, int flags);

  /** close(2). */
  int close(int fd);

  /**
   * ioctl(2).
   *
   * @param fd of the system, a VM, a vCPU or a device
   * @param request the full 32-bit request number
   * @param argument a plain value or a user-space address, as the request says
   * @return the ioctl's result, or {@code -errno}
   */
  int ioctl(int fd, int request, long argument);

  /**
   * What this kernel knows, beside Linux's interface, of why a vCPU's last {@code KVM_RUN} ended in
   * {@code KVM_EXIT_FAIL_ENTRY}, {@code KVM_EXIT_SHUTDOWN} or {@code KVM_EXIT_INTERNAL_ERROR}:
   * which check a VM entry broke, which exceptions led to a triple fault, what could not be
   * emulated. After an ioctl that failed it is about that instead: which rule the argument broke.
   * For people, and of any form.
   *
   * @param fd of a vCPU
   * @return one line; empty if there is nothing to say, as always by the machine's own kernel
   */
  default String diagnosis(int fd) {
    return "";
  }

  /**
   * Which VMX operation the processor is in that a vCPU is, for people: whose registers they are
   * that {@code KVM_GET_REGS} gives, those of a hypervisor (VMX root operation) or of its guest
   * (VMX non-root operation). SDM 24.3 "Introduction to VMX Operation".
   *
   * @param fd of a vCPU
   * @return a few words; empty where the vCPU is not a processor itself, as on any kernel that is
   *     not on bare metal, or has no VMX
   */
  default String operation(int fd) {
    return "";
  }

  /**
   * Has what the virtualization hardware of vCPUs made from now on does told, a line for each step.
   *
   * @param categories of {@link KernelProvider#optionValues} for {@link KernelOptions#TRACE}
   * @param sink takes the lines, without their ends; called by the threads that are in {@code
   *     KVM_RUN}, one at a time
   * @return false if this kernel cannot tell, as the machine's own
   * @throws IllegalArgumentException if there is no such category; the message is one line
   */
  default boolean trace(Set<String> categories, Consumer<String> sink) {
    return false;
  }

  /**
   * mmap(2), at an address that the kernel chooses. Anonymous memory is zero and takes real memory
   * only where it is touched.
   *
   * @param length in bytes
   * @param protection {@code PROT_*}
   * @param flags {@code MAP_*}
   * @param fd -1 for anonymous memory, or a vCPU's file descriptor for its {@code kvm_run} pages
   * @param offset into the file, in bytes
   * @return the address, or {@code -errno}
   */
  long mmap(long length, int protection, int flags, int fd, long offset);

  /** munmap(2). */
  int munmap(long address, long length);

  /** eventfd2(2). */
  int eventfd(int initial, int flags);

  /** read(2) on an eventfd or a stats file descriptor. */
  long read(int fd, long buffer, long count);

  /**
   * pread64(2) on a stats file descriptor, whose own position stays.
   *
   * @param offset from the file's start, in bytes
   * @return how many bytes were read, 0 past the end, or {@code -errno}
   */
  long pread(int fd, long buffer, long count, long offset);

  /** write(2) on an eventfd. */
  long write(int fd, long buffer, long count);

  /**
   * poll(2).
   *
   * @param fds address of {@code count} {@code struct pollfd} (int fd, short events, short revents)
   * @param timeoutMillis -1 waits for ever
   */
  int poll(long fds, int count, int timeoutMillis);

  /** gettid(2): names the calling thread for {@link #kick}. */
  int gettid();

  /**
   * Sends the thread the kick signal, as tgkill(2) with a signal whose handler does nothing: a
   * {@code KVM_RUN} that the thread is in, and no other, ends with {@code EINTR} and exit reason
   * {@code KVM_EXIT_INTR}. A signal that arrives outside of {@code KVM_RUN} is lost, as on Linux;
   * {@code kvm_run.immediate_exit} set before is what makes a kick race-free.
   *
   * @param threadId from {@link #gettid}
   * @return 0, or {@code -ESRCH}
   */
  int kick(int threadId);

  /**
   * A checked view of mapped user-space memory.
   *
   * @throws IllegalArgumentException if any part of the range is not mapped
   */
  UserMemory memory(long address, long length);

  /** Closes every file descriptor and mapping of this kernel. */
  @Override
  void close();
}
