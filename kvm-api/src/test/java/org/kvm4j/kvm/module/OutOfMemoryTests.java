package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.uapi.Ioctls;

/** A machine whose memory is all taken: ENOMEM, and no exception. */
class OutOfMemoryTests {
  /** A processor with 36 bits of physical address. */
  private static final KernelOptions SMALL = KernelOptions.NONE.with(KernelOptions.CPU, "kvm4j-32");

  private static long mmap(Kernel kernel, long length) {
    return kernel.mmap(
        length,
        Kernel.PROT_READ | Kernel.PROT_WRITE,
        Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS | Kernel.MAP_NORESERVE,
        -1,
        0);
  }

  /** Takes all addresses; the mappings. */
  private static List<Long> exhaust(Kernel kernel) {
    List<Long> taken = new ArrayList<>();
    for (long size = 1L << 30; size >= 4096; size >>= 3) {
      long address = mmap(kernel, size);
      while (address > 0) {
        taken.add(address);
        address = mmap(kernel, size);
      }
      assertEquals(Errno.ENOMEM.result(), address);
    }
    return taken;
  }

  @Test
  void calls_that_need_memory_give_ENOMEM_until_there_is_some() {
    try (Kernel kernel = new EmulatedKernelProvider().open(SMALL);
        Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm()) {
      List<Long> taken = exhaust(kernel);
      assertEquals(Errno.ENOMEM.result(), kvm.ioctl(Ioctls.KVM_CREATE_VM, 0));
      assertEquals(Errno.ENOMEM.result(), vm.ioctl(Ioctls.KVM_CREATE_VCPU, 0));
      assertEquals(0, kernel.munmap(taken.get(0), 1L << 30));
      vm.createVcpu(0).close();
      kvm.createVm().close();
    }
  }

  @Test
  void a_heap_that_is_full_is_ENOMEM_too() {
    try (EmulatedKernel kernel = new EmulatedKernel()) {
      int fd =
          kernel.install(
              new FileObject() {
                @Override
                int ioctl(int request, long argument) {
                  throw new OutOfMemoryError("a test");
                }
              });
      assertTrue(fd > 0);
      assertEquals(Errno.ENOMEM.result(), kernel.ioctl(fd, Ioctls.KVM_RUN, 0));
    }
  }
}
