package org.kvm4j.host;

import static org.junit.jupiter.api.Assumptions.abort;

import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.KvmSegment;
import org.kvm4j.kvm.uapi.KvmSregs;
import org.kvm4j.kvm.uapi.KvmUserspaceMemoryRegion;

/** A VM with one vCPU in real mode on the machine's own {@code /dev/kvm}, for tests. */
final class RealMachine implements AutoCloseable {
  static final long MEMORY = 1 << 16;
  static final int CODE_AT = 0x1000;

  final Kernel kernel;
  final int kvm;
  final int vm;
  final int vcpu;
  final UserMemory memory;
  final UserMemory run;
  final UserMemory argument;

  /** The machine's kernel; skips the test, naming the reason, where it cannot be used. */
  static Kernel kernelOrSkip() {
    NativeKernelProvider provider = new NativeKernelProvider();
    provider
        .unavailable()
        .ifPresent(u -> abort("skipped without a usable /dev/kvm: " + u.reason()));
    return provider.open();
  }

  RealMachine(byte... code) {
    kernel = kernelOrSkip();
    kvm = succeed(kernel.open("/dev/kvm", Kernel.O_RDWR | Kernel.O_CLOEXEC));
    vm = succeed(kernel.ioctl(kvm, Ioctls.KVM_CREATE_VM, 0));
    memory = map(MEMORY);
    argument = map(4096);
    argument.putInt(KvmUserspaceMemoryRegion.SLOT, 0);
    argument.putInt(KvmUserspaceMemoryRegion.FLAGS, 0);
    argument.putLong(KvmUserspaceMemoryRegion.GUEST_PHYS_ADDR, 0);
    argument.putLong(KvmUserspaceMemoryRegion.MEMORY_SIZE, MEMORY);
    argument.putLong(KvmUserspaceMemoryRegion.USERSPACE_ADDR, memory.address());
    succeed(kernel.ioctl(vm, Ioctls.KVM_SET_USER_MEMORY_REGION, argument.address()));
    vcpu = succeed(kernel.ioctl(vm, Ioctls.KVM_CREATE_VCPU, 0));
    int size = succeed(kernel.ioctl(kvm, Ioctls.KVM_GET_VCPU_MMAP_SIZE, 0));
    long pages =
        kernel.mmap(size, Kernel.PROT_READ | Kernel.PROT_WRITE, Kernel.MAP_SHARED, vcpu, 0);
    run = kernel.memory(pages, size);
    memory.write(CODE_AT, code, 0, code.length);
    succeed(kernel.ioctl(vcpu, Ioctls.KVM_GET_SREGS, argument.address()));
    argument.putLong(KvmSregs.CS + KvmSegment.BASE, 0);
    argument.putShort(KvmSregs.CS + KvmSegment.SELECTOR, (short) 0);
    succeed(kernel.ioctl(vcpu, Ioctls.KVM_SET_SREGS, argument.address()));
    argument.fill(0, KvmRegs.SIZEOF, (byte) 0);
    argument.putLong(KvmRegs.RIP, CODE_AT);
    argument.putLong(KvmRegs.RFLAGS, 2);
    succeed(kernel.ioctl(vcpu, Ioctls.KVM_SET_REGS, argument.address()));
  }

  int run() {
    return kernel.ioctl(vcpu, Ioctls.KVM_RUN, 0);
  }

  int exitReason() {
    return run.getInt(KvmRun.EXIT_REASON);
  }

  UserMemory map(long length) {
    long address =
        kernel.mmap(
            length,
            Kernel.PROT_READ | Kernel.PROT_WRITE,
            Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS | Kernel.MAP_NORESERVE,
            -1,
            0);
    if (address < 0) {
      throw new AssertionError("errno " + -address);
    }
    return kernel.memory(address, length);
  }

  static int succeed(int result) {
    if (result < 0) {
      throw new AssertionError("errno " + -result);
    }
    return result;
  }

  @Override
  public void close() {
    kernel.close();
  }
}
