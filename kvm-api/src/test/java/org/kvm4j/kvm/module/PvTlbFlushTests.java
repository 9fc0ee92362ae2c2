package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.Caps;

/**
 * A guest that asks in memory that another virtual CPU's translations be dropped, instead of
 * sending it an interrupt while it does not run (KVM_FEATURE_PV_TLB_FLUSH). Source: Linux 6.1
 * Documentation/virt/kvm/x86/cpuid.rst, msr.rst "MSR_KVM_STEAL_TIME".
 */
class PvTlbFlushTests {
  private static final int STEAL_TIME = 0x4b564d03;
  private static final long SHARED = 0x8000;
  private static final long PREEMPTED = SHARED + 16;
  private static final int VCPU_PREEMPTED = 1;
  private static final int FLUSH_TLB = 2;

  private static final int KVM_FEATURES = 0x4000_0001;
  private static final int PV_TLB_FLUSH = 1 << 9;

  private static final long PAGE_TABLE = 0x6000;
  private static final long OLD_PAGE = 0xa000;
  private static final long NEW_PAGE = 0xb000;

  private final Kernel kernel = new EmulatedKernel();
  private final Kvm kvm = Kvm.open(kernel);
  private final Vm vm = kvm.createVm();
  private final GuestMemory memory = new GuestMemory(vm);
  private final Vcpu vcpu = vm.createVcpu(0);

  @AfterEach
  void close() {
    vcpu.close();
    vm.close();
    kvm.close();
    kernel.close();
  }

  /** A guest in protected mode with paging, which reads linear 0x400000 again and again. */
  private void start(boolean enforced, boolean flushes) {
    memory.add(0, 0, 0x10000, 0);
    // mov al, [0x400000]; out 0x10, al; jmp
    byte[] code = {(byte) 0xa0, 0, 0, 0x40, 0, (byte) 0xe6, 0x10, (byte) 0xeb, (byte) 0xf7};
    memory.write(0x1000, code);
    memory.putInt(0x4000, 0x5000 | 7);
    memory.putInt(0x4004, (int) PAGE_TABLE | 7);
    for (int page = 0; page < 16; page++) {
      memory.putInt(0x5000 + 4L * page, page << 12 | 7);
    }
    memory.putByte(OLD_PAGE, (byte) 1);
    memory.putByte(NEW_PAGE, (byte) 2);
    memory.putInt(PAGE_TABLE, (int) OLD_PAGE | 7);
    if (enforced) {
      vcpu.enableCap(Caps.KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
    }
    List<CpuidEntry> cpuid = kvm.getSupportedCpuid();
    for (CpuidEntry e : cpuid) {
      if (e.function == KVM_FEATURES && !flushes) {
        e.eax &= ~PV_TLB_FLUSH;
      }
    }
    vcpu.setCpuid2(cpuid);
    Sregs sregs = vcpu.getSregs();
    FlatSegments.set(sregs);
    sregs.cr3 = 0x4000;
    sregs.cr0 |= 0x8000_0001L;
    vcpu.setSregs(sregs);
    Regs regs = new Regs();
    regs.rip = 0x1000;
    regs.rflags = 2;
    vcpu.setRegs(regs);
    vcpu.setMsr(STEAL_TIME, SHARED | 1);
    assertEquals(1, read());
    memory.putInt(PAGE_TABLE, (int) NEW_PAGE | 7);
    assertEquals(1, read(), "the translation is cached");
  }

  private long read() {
    return assertInstanceOf(Exit.IoOut.class, vcpu.run()).value();
  }

  private void ask(int flags) {
    memory.putByte(PREEMPTED, (byte) flags);
  }

  @Test
  void whatIsAskedForInMemoryIsDoneBeforeTheGuestRunsOn() {
    start(false, true);
    ask(VCPU_PREEMPTED);
    assertEquals(1, read(), "that it waits drops nothing");
    ask(VCPU_PREEMPTED | FLUSH_TLB);
    assertEquals(2, read());
    assertEquals(0, memory.getByte(PREEMPTED), "it runs, and nothing is asked for any more");
  }

  @Test
  void whereCpuidIsEnforcedTheFeatureHasToBeThere() {
    start(true, false);
    ask(VCPU_PREEMPTED | FLUSH_TLB);
    assertEquals(1, read());
    assertEquals(0, memory.getByte(PREEMPTED));
  }

  @Test
  void whereCpuidIsEnforcedAndHasItItIsDone() {
    start(true, true);
    ask(VCPU_PREEMPTED | FLUSH_TLB);
    assertEquals(2, read());
  }

  @Test
  void withoutTheFeatureInCpuidItIsDoneAllTheSameUnlessThatIsEnforced() {
    start(false, false);
    ask(VCPU_PREEMPTED | FLUSH_TLB);
    assertEquals(2, read());
  }

  @Test
  void aGuestThatHasSwitchedStolenTimeOffIsLeftAlone() {
    start(false, true);
    vcpu.setMsr(STEAL_TIME, 0);
    ask(VCPU_PREEMPTED | FLUSH_TLB);
    assertEquals(1, read());
    assertEquals(VCPU_PREEMPTED | FLUSH_TLB, memory.getByte(PREEMPTED));
  }
}
