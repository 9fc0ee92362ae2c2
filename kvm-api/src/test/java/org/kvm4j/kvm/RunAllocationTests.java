package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

class RunAllocationTests {

  private static final class ExitingKernel extends FakeKernel {
    @Nullable Vcpu vcpu;
    int count;

    @Override
    public int ioctl(int fd, int request, long argument) {
      switch (request) {
        case Ioctls.KVM_RUN:
          RunPage page = Objects.requireNonNull(vcpu).runPage();
          boolean io = (count++ & 1) == 0;
          page.memory().putInt(KvmRun.EXIT_REASON, io ? Exits.KVM_EXIT_IO : Exits.KVM_EXIT_MMIO);
          page.memory().putByte(KvmRun.IO_DIRECTION, (byte) Uapi.KVM_EXIT_IO_IN);
          page.memory().putByte(KvmRun.IO_SIZE, (byte) 4);
          page.memory().putInt(KvmRun.IO_COUNT, 1);
          page.memory().putLong(KvmRun.IO_DATA_OFFSET, 4096);
          if (!io) {
            page.memory().putInt(KvmRun.MMIO_LEN, 4);
          }
          return 0;
        case Ioctls.KVM_GET_REGS:
        case Ioctls.KVM_SET_REGS:
          return 0;
        default:
          return super.ioctl(fd, request, argument);
      }
    }
  }

  private static long loop(Vcpu vcpu, Regs regs, int rounds) {
    RunPage page = vcpu.runPage();
    long sum = 0;
    for (int i = 0; i < rounds; i++) {
      if (vcpu.runRaw() != 0) {
        throw new AssertionError();
      }
      switch (page.exitReason()) {
        case Exits.KVM_EXIT_IO:
          sum += page.ioPort() + page.ioSize() + page.ioCount();
          if (page.ioIsIn()) {
            page.setIoData(i);
          }
          break;
        case Exits.KVM_EXIT_MMIO:
          sum += page.mmioAddress() + page.mmioLength() + page.mmioData();
          if (!page.mmioIsWrite()) {
            page.setMmioData(i);
          }
          break;
        default:
          throw new AssertionError();
      }
      sum += page.syncReg(KvmRegs.RIP);
      vcpu.getRegs(regs);
      regs.rip += 1;
      vcpu.setRegs(regs);
    }
    return sum;
  }

  @Test
  void aRunLoopOverTheRawMethodsAllocatesNothing() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    assumeTrue(threads.isThreadAllocatedMemorySupported());
    ExitingKernel kernel = new ExitingKernel();
    Vcpu vcpu = Kvm.open(kernel).createVm().createVcpu(0);
    kernel.vcpu = vcpu;
    Regs regs = new Regs();
    loop(vcpu, regs, 20_000);
    int rounds = 20_000;
    long before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
    loop(vcpu, regs, rounds);
    long allocated = threads.getThreadAllocatedBytes(Thread.currentThread().getId()) - before;
    // A first use here and there (the measuring itself) may allocate; a round must not.
    assertTrue(allocated < rounds, allocated + " bytes in " + rounds + " rounds");
  }
}
