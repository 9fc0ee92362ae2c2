package org.kvm4j.host;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.kvm4j.host.RealMachine.succeed;

import java.io.FileInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.KvmRun;

class NativeKernelTests {
  /** mov word [0x2000], 0x1234; out 0x10, al; mov ax, [0x2002]; out 0x11, ax; hlt. */
  private static final byte[] SHARES_MEMORY = {
    (byte) 0xc7,
    0x06,
    0x00,
    0x20,
    0x34,
    0x12,
    (byte) 0xe6,
    0x10,
    (byte) 0xa1,
    0x02,
    0x20,
    (byte) 0xe7,
    0x11,
    (byte) 0xf4
  };

  /** out 0x10, al; jmp to it. */
  private static final byte[] OUT_LOOP = {(byte) 0xe6, 0x10, (byte) 0xeb, (byte) 0xfc};

  @Test
  void is_found_through_ServiceLoader() {
    assertTrue(
        ServiceLoader.load(KernelProvider.class).stream()
            .anyMatch(p -> p.type() == NativeKernelProvider.class));
  }

  @Test
  void ioctl_gives_the_kernels_results_and_errors() {
    try (RealMachine m = new RealMachine()) {
      Kernel k = m.kernel;
      assertEquals(12, k.ioctl(m.kvm, Ioctls.KVM_GET_API_VERSION, 0));
      assertEquals(error(Errno.EINVAL), k.ioctl(m.kvm, Ioctls.KVM_GET_API_VERSION, 1));
      assertEquals(error(Errno.EINVAL), k.ioctl(m.kvm, 0xaeff, 0));
      assertEquals(error(Errno.ENOTTY), k.ioctl(m.vm, 0xaeff, 0));
      assertEquals(error(Errno.EEXIST), k.ioctl(m.vm, Ioctls.KVM_CREATE_VCPU, 0));
    }
  }

  @Test
  void both_ways_of_a_system_call_agree() {
    try (RealMachine m = new RealMachine()) {
      assumeTrue(SystemCalls.DIRECT, "system calls go through JNA here");
      for (long argument = 0; argument < 2; argument++) {
        assertEquals(
            DirectCall.call(SystemCalls.IOCTL, m.kvm, Ioctls.KVM_GET_API_VERSION, argument),
            SystemCalls.throughJna(SystemCalls.IOCTL, m.kvm, Ioctls.KVM_GET_API_VERSION, argument));
      }
    }
  }

  @Test
  void an_address_outside_of_the_kernels_mappings_gives_EFAULT_where_the_kernel_would_look() {
    try (RealMachine m = new RealMachine();
        RealMachine other = new RealMachine()) {
      long foreign = other.argument.address();
      assertEquals(error(Errno.EFAULT), m.kernel.ioctl(m.vcpu, Ioctls.KVM_GET_REGS, foreign));
      assertEquals(error(Errno.EFAULT), m.kernel.ioctl(m.vcpu, Ioctls.KVM_SET_REGS, 8));
      // What the kernel checks first comes first.
      assertEquals(error(Errno.ENOTTY), m.kernel.ioctl(m.vm, Ioctls.KVM_GET_REGS, foreign));
      int eventfd = succeed(m.kernel.eventfd(1, Kernel.EFD_NONBLOCK));
      assertEquals(error(Errno.EFAULT), m.kernel.read(eventfd, foreign, 8));
      assertEquals(error(Errno.EFAULT), m.kernel.poll(foreign, 1, 0));
    }
  }

  @Test
  void a_call_that_runs_past_the_end_of_a_mapping_gives_EFAULT() {
    try (RealMachine m = new RealMachine()) {
      long last = m.argument.address() + m.argument.size() - KvmRegs.SIZEOF;
      assertEquals(0, m.kernel.ioctl(m.vcpu, Ioctls.KVM_GET_REGS, last));
      assertEquals(error(Errno.EFAULT), m.kernel.ioctl(m.vcpu, Ioctls.KVM_GET_REGS, last + 8));
    }
  }

  @Test
  void only_its_own_file_descriptors_can_be_named() throws IOException {
    try (RealMachine m = new RealMachine();
        FileInputStream other = new FileInputStream("/proc/self/status")) {
      int jvmsOwn = highestDescriptor();
      for (int fd : new int[] {-1, 0, 1, 2, jvmsOwn, 1 << 20}) {
        assertEquals(error(Errno.EBADF), m.kernel.close(fd));
        assertEquals(error(Errno.EBADF), m.kernel.ioctl(fd, Ioctls.KVM_GET_API_VERSION, 0));
        assertEquals(error(Errno.EBADF), m.kernel.read(fd, m.argument.address(), 8));
        assertEquals(error(Errno.EBADF), m.kernel.write(fd, m.argument.address(), 8));
        assertEquals(
            error(Errno.EBADF), m.kernel.mmap(4096, Kernel.PROT_READ, Kernel.MAP_SHARED, fd, 0));
      }
      assertTrue(other.read() >= 0);
      assertEquals(0, m.kernel.close(m.vcpu));
      assertEquals(error(Errno.EBADF), m.kernel.close(m.vcpu));
      assertEquals(error(Errno.EBADF), m.run());
    }
  }

  @Test
  void guest_and_host_share_memory_both_ways() {
    try (RealMachine m = new RealMachine(SHARES_MEMORY)) {
      assertEquals(0, m.run());
      assertEquals(Exits.KVM_EXIT_IO, m.exitReason());
      assertEquals(0x10, m.run.getShort(KvmRun.IO_PORT));
      assertEquals(0x1234, m.memory.getShort(0x2000));
      m.memory.putShort(0x2002, (short) 0x5678);
      assertEquals(0, m.run());
      assertEquals(0x11, m.run.getShort(KvmRun.IO_PORT));
      assertEquals(0x5678, m.run.getShort(m.run.getLong(KvmRun.IO_DATA_OFFSET)));
      assertEquals(0, m.run());
      assertEquals(Exits.KVM_EXIT_HLT, m.exitReason());
    }
  }

  @Test
  void a_real_mode_loop_exits_each_time_round() {
    try (RealMachine m = new RealMachine(OUT_LOOP)) {
      for (int i = 0; i < 1000; i++) {
        assertEquals(0, m.run());
        assertEquals(Exits.KVM_EXIT_IO, m.exitReason());
      }
    }
  }

  @Test
  void guest_memory_that_was_unmapped_gives_EFAULT_at_run_time() {
    try (RealMachine m = new RealMachine(OUT_LOOP)) {
      assertEquals(0, m.run());
      assertEquals(0, m.kernel.munmap(m.memory.address(), RealMachine.MEMORY));
      int result = 0;
      for (int i = 0; i < 3 && result == 0 && m.exitReason() == Exits.KVM_EXIT_IO; i++) {
        result = m.run();
      }
      // Code that cannot be fetched: EFAULT, or an internal error where the kernel emulates.
      assertTrue(
          result == error(Errno.EFAULT) || m.exitReason() == Exits.KVM_EXIT_INTERNAL_ERROR,
          () -> "exit reason " + m.exitReason());
    }
  }

  @Test
  void eventfd_counts_and_poll_tells() {
    try (Kernel k = RealMachine.kernelOrSkip()) {
      long address =
          k.mmap(
              4096,
              Kernel.PROT_READ | Kernel.PROT_WRITE,
              Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS,
              -1,
              0);
      UserMemory memory = k.memory(address, 4096);
      int fd = succeed(k.eventfd(0, Kernel.EFD_NONBLOCK | Kernel.EFD_CLOEXEC));
      memory.putInt(64, fd);
      memory.putShort(68, (short) Kernel.POLLIN);
      assertEquals(error(Errno.EAGAIN), k.read(fd, address, 8));
      assertEquals(0, k.poll(address + 64, 1, 0));
      memory.putLong(0, 3);
      assertEquals(8, k.write(fd, address, 8));
      assertEquals(8, k.write(fd, address, 8));
      assertEquals(1, k.poll(address + 64, 1, -1));
      assertEquals(Kernel.POLLIN, memory.getShort(70));
      assertEquals(8, k.read(fd, address + 8, 8));
      assertEquals(6, memory.getLong(8));
      assertEquals(error(Errno.EINVAL), k.read(fd, address, 7));
      int semaphore = succeed(k.eventfd(2, Kernel.EFD_SEMAPHORE | Kernel.EFD_NONBLOCK));
      assertEquals(8, k.read(semaphore, address, 8));
      assertEquals(1, memory.getLong(0));
    }
  }

  @Test
  void open_gives_the_kernels_error() {
    try (Kernel k = RealMachine.kernelOrSkip()) {
      assertEquals(error(Errno.ENOENT), k.open("/dev/no-such-device", Kernel.O_RDWR));
      assertEquals(error(Errno.ENOTDIR), k.open("/dev/kvm/kvm", Kernel.O_RDWR));
    }
  }

  @Test
  void after_close_nothing_can_be_done_and_nothing_breaks() {
    RealMachine m = new RealMachine(OUT_LOOP);
    assertEquals(0, m.run());
    m.kernel.close();
    m.kernel.close();
    assertEquals(error(Errno.EBADF), m.run());
    assertEquals(error(Errno.ENODEV), m.kernel.open("/dev/kvm", Kernel.O_RDWR));
    assertEquals(error(Errno.ENODEV), m.kernel.eventfd(0, 0));
    assertEquals(
        error(Errno.ENODEV),
        m.kernel.mmap(4096, Kernel.PROT_READ, Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS, -1, 0));
    assertThrows(IllegalStateException.class, m::exitReason);
    assertThrows(IllegalStateException.class, () -> m.memory.putLong(0, 0));
    assertThrows(IllegalArgumentException.class, () -> m.kernel.memory(m.memory.address(), 1));
  }

  @Test
  void close_closes_every_file_descriptor() throws IOException {
    int before = descriptors();
    for (int i = 0; i < 20; i++) {
      new RealMachine().close();
    }
    assertTrue(descriptors() <= before + 3, "before " + before + ", after " + descriptors());
  }

  @Test
  void a_device_that_is_made_is_closed_with_the_kernel() throws IOException {
    int before;
    try (RealMachine m = new RealMachine()) {
      before = descriptors();
      m.argument.fill(0, 12, (byte) 0);
      m.argument.putInt(0, 4); // KVM_DEV_TYPE_VFIO
      int result = m.kernel.ioctl(m.vm, Ioctls.KVM_CREATE_DEVICE, m.argument.address());
      if (result == 0) {
        assertEquals(0, m.kernel.close(m.argument.getInt(4)));
      }
      assertEquals(before, descriptors());
    }
  }

  @Test
  void memory_names_what_is_not_mapped() {
    try (RealMachine m = new RealMachine()) {
      long address = m.memory.address();
      IllegalArgumentException e =
          assertThrows(
              IllegalArgumentException.class,
              () -> m.kernel.memory(address, RealMachine.MEMORY + 1));
      assertTrue(
          String.valueOf(e.getMessage()).contains(Long.toHexString(address)), e.getMessage());
      assertThrows(IllegalArgumentException.class, () -> m.kernel.memory(8, 8));
      assertThrows(IllegalArgumentException.class, () -> m.kernel.memory(address, -1));
      assertThrows(IllegalArgumentException.class, () -> m.kernel.memory(address, Long.MAX_VALUE));
      assertThrows(IllegalArgumentException.class, () -> m.kernel.memory(address - 1, 2));
    }
  }

  @Test
  void munmap_leaves_alone_what_is_not_the_kernels() {
    try (RealMachine m = new RealMachine()) {
      byte[] text = "still here".getBytes(StandardCharsets.UTF_8);
      try (RealMachine other = new RealMachine()) {
        other.memory.write(0, text, 0, text.length);
        assertEquals(0, m.kernel.munmap(other.memory.address(), RealMachine.MEMORY));
        byte[] read = new byte[text.length];
        other.memory.read(0, read, 0, read.length);
        assertArrayEquals(text, read);
      }
      assertEquals(error(Errno.EINVAL), m.kernel.munmap(m.memory.address() + 1, 4096));
      assertEquals(error(Errno.EINVAL), m.kernel.munmap(m.memory.address(), 0));
    }
  }

  private static int error(Errno errno) {
    return errno.result();
  }

  private static int descriptors() {
    String[] fds = new java.io.File("/proc/self/fd").list();
    return fds == null ? 0 : fds.length;
  }

  private static int highestDescriptor() {
    String[] fds = new java.io.File("/proc/self/fd").list();
    int highest = 0;
    for (String fd : fds == null ? new String[0] : fds) {
      highest = Math.max(highest, Integer.parseInt(fd));
    }
    return highest;
  }
}
