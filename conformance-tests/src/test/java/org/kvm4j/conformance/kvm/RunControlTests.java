package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeGuest.CODE;
import static org.kvm4j.conformance.kvm.RealModeGuest.HOLE;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.VcpuEvents;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/** What KVM_RUN is given in kvm_run, and how it is interrupted. */
class RunControlTests extends KvmContract {

  private static final int[] SPIN = {0xeb, 0xfe}; // jmp to itself

  // --- Immediate_exit

  @EachBackend
  void immediateExitGivesEintrAndLeavesTheExitReason() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xf4);
    guest.run(Exit.IoOut.class);
    guest.vcpu.runPage().setImmediateExit(true);
    for (int i = 0; i < 3; i++) {
      assertEquals(Errno.EINTR.result(), guest.vcpu.runRaw());
      assertEquals(Exits.KVM_EXIT_IO, guest.vcpu.runPage().exitReason());
    }
    assertEquals(CODE + 2, guest.rip());
    guest.vcpu.runPage().setImmediateExit(false);
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void immediateExitCompletesAPendingIn() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xe4, 0x60, 0xf4); // in al, 0x60; hlt
    guest.run(Exit.IoIn.class);
    assertEquals(CODE, guest.rip());
    guest.vcpu.answerIn(0x99);
    guest.vcpu.runPage().setImmediateExit(true);
    guest.run(Exit.Interrupted.class);
    Regs regs = guest.vcpu.getRegs();
    assertEquals(CODE + 2, regs.rip);
    assertEquals(0x99, regs.rax & 0xff);
  }

  @EachBackend
  void immediateExitCompletesAPendingMmioRead() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xa0, 0x10, 0x00, 0xf4); // mov al, [0x10]; hlt
    guest.dataAt(HOLE);
    guest.run(Exit.MmioRead.class);
    guest.vcpu.answerMmio(0x77);
    guest.vcpu.runPage().setImmediateExit(true);
    guest.run(Exit.Interrupted.class);
    Regs regs = guest.vcpu.getRegs();
    assertEquals(CODE + 3, regs.rip);
    assertEquals(0x77, regs.rax & 0xff);
  }

  // --- Kicks

  @EachBackend
  void aKickEndsAGuestThatNeverExits() throws Exception {
    RealModeGuest guest = new RealModeGuest(kvm, SPIN);
    AtomicReference<Exit> exit = new AtomicReference<>();
    Thread runner = new Thread(() -> exit.set(guest.run()));
    runner.start();
    TimeUnit.MILLISECONDS.sleep(50);
    guest.vcpu.kick();
    runner.join();
    assertInstanceOf(Exit.Interrupted.class, exit.get());
    assertEquals(CODE, guest.rip());
  }

  @EachBackend
  void aSignalInARunIsAnExitForASignal() throws Exception {
    RealModeGuest guest = new RealModeGuest(kvm, SPIN);
    AtomicInteger thread = new AtomicInteger();
    AtomicInteger result = new AtomicInteger(1);
    Thread runner =
        new Thread(
            () -> {
              thread.set(kernel.gettid());
              result.set(guest.vcpu.runRaw());
            });
    runner.start();
    while (thread.get() == 0) {
      Thread.onSpinWait();
    }
    while (runner.isAlive()) { // A signal before the run is lost.
      kernel.kick(thread.get());
      TimeUnit.MILLISECONDS.sleep(5);
    }
    assertEquals(Errno.EINTR.result(), result.get());
    assertEquals(Exits.KVM_EXIT_INTR, guest.vcpu.runPage().exitReason());
    assertFalse(guest.vcpu.runPage().immediateExit());
  }

  @EachBackend
  void aKickWithoutARunEndsTheNextOneOnce() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xf4, 0xf4);
    guest.vcpu.kick();
    guest.run(Exit.Interrupted.class);
    assertEquals(CODE, guest.rip());
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void aKickOfAThreadThatIsNoneIsRefused() {
    assertEquals(Errno.ESRCH.result(), kernel.kick(0x3fff_fff0));
  }

  @EachBackend
  void noKickIsLost() throws Exception {
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xeb, 0xfc); // out; jmp back
    int kicks = 2000;
    AtomicInteger published = new AtomicInteger();
    AtomicInteger seen = new AtomicInteger();
    AtomicInteger interrupted = new AtomicInteger();
    Thread runner =
        new Thread(
            () -> {
              while (seen.get() < kicks) {
                if (guest.run() instanceof Exit.Interrupted) {
                  interrupted.incrementAndGet();
                  seen.set(published.get());
                }
              }
            });
    runner.start();
    for (int i = 1; i <= kicks; i++) {
      published.set(i);
      guest.vcpu.kick();
      while (seen.get() < i) { // A lost kick ends in the time limit.
        Thread.onSpinWait();
      }
    }
    runner.join();
    assertTrue(interrupted.get() >= kicks);
  }

  @EachBackend
  void twoVcpusRunAtTheSameTimeAndLockedInstructionsAreAtomic() throws Exception {
    int rounds = 3000;
    int[] code = {
      0xb9,
      rounds & 0xff,
      rounds >> 8, // mov cx, rounds
      0xf0,
      0xff,
      0x06,
      0x00,
      0x30, // lock inc word [0x3000]
      0xe2,
      0xf9, // loop back to the inc
      0xf4 // hlt
    };
    RealModeGuest guest = new RealModeGuest(kvm, code);
    Vcpu second = guest.vm.createVcpu(1);
    Sregs sregs = guest.vcpu.getSregs();
    second.setSregs(sregs);
    second.setRegs(guest.vcpu.getRegs());
    AtomicReference<Exit> exit = new AtomicReference<>();
    Thread other = new Thread(() -> exit.set(second.run()));
    other.start();
    guest.run(Exit.Hlt.class);
    other.join();
    assertInstanceOf(Exit.Hlt.class, exit.get());
    assertEquals(2 * rounds, guest.memory.getShort(0x3000));
  }

  // --- Allocation

  private static void outs(RealModeGuest guest, int rounds) {
    Vcpu vcpu = guest.vcpu;
    for (int i = 0; i < rounds; i++) {
      if (vcpu.runRaw() != 0
          || vcpu.runPage().exitReason() != Exits.KVM_EXIT_IO
          || vcpu.runPage().ioPort() != 0x10) {
        throw new AssertionError("exit reason " + vcpu.runPage().exitReason());
      }
    }
  }

  @EachBackend
  void aRunLoopAllocatesNothing() {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xeb, 0xfc); // out; jmp back
    int rounds = backend.isEmulated() ? 300_000 : 3_000;
    outs(guest, rounds);
    long before = threads.getCurrentThreadAllocatedBytes();
    outs(guest, rounds);
    long allocated = threads.getCurrentThreadAllocatedBytes() - before;
    // A byte for each round would be less than the smallest object for each.
    assertTrue(allocated < rounds, () -> allocated + " bytes in " + rounds + " rounds");
  }

  // --- Synchronised registers

  @EachBackend
  void registersAreLeftInTheRunPageWhenTheyAreAskedFor() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xb8, 0x34, 0x12, 0xe6, 0x10, 0xf4);
    guest
        .vcpu
        .runPage()
        .setValidRegs(Uapi.KVM_SYNC_X86_REGS | Uapi.KVM_SYNC_X86_SREGS | Uapi.KVM_SYNC_X86_EVENTS);
    guest.run(Exit.IoOut.class);
    assertEquals(0x1234, guest.vcpu.runPage().syncReg(KvmRegs.RAX) & 0xffff);
    Regs regs = new Regs();
    Sregs sregs = new Sregs();
    VcpuEvents events = new VcpuEvents();
    guest.vcpu.runPage().readSyncRegs(regs);
    guest.vcpu.runPage().readSyncSregs(sregs);
    guest.vcpu.runPage().readSyncEvents(events);
    assertEquals(guest.vcpu.getRegs(), regs);
    assertEquals(guest.vcpu.getSregs(), sregs);
    assertEquals(guest.vcpu.getVcpuEvents(), events);
  }

  @EachBackend
  void dirtyRegistersAreTakenFromTheRunPageOnce() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xe6, 0x10, 0xe6, 0x10, 0xf4);
    guest.vcpu.runPage().setValidRegs(Uapi.KVM_SYNC_X86_REGS | Uapi.KVM_SYNC_X86_SREGS);
    guest.run(Exit.IoOut.class);
    guest.vcpu.runPage().setSyncReg(KvmRegs.RAX, 0x42);
    assertEquals(0, guest.run(Exit.IoOut.class).value(), "not dirty: not taken");
    guest.vcpu.runPage().setSyncReg(KvmRegs.RAX, 0x42);
    guest.vcpu.runPage().setDirtyRegs(Uapi.KVM_SYNC_X86_REGS);
    assertEquals(0x42, guest.run(Exit.IoOut.class).value());
    assertEquals(0, guest.vcpu.runPage().dirtyRegs());
  }

  @EachBackend
  void unknownSynchronisedRegistersAreRefused() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xf4);
    guest.vcpu.runPage().setValidRegs(8);
    refused(Errno.EINVAL, guest::run);
    guest.vcpu.runPage().setValidRegs(0);
    guest.vcpu.runPage().setDirtyRegs(1L << 40);
    refused(Errno.EINVAL, guest::run);
    guest.vcpu.runPage().setDirtyRegs(0);
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void aCr8Above15IsRefused() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xf4);
    guest.vcpu.runPage().setCr8(16);
    refused(Errno.EINVAL, guest::run);
    guest.vcpu.runPage().setCr8(0);
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void theRunPageOfAClosedVcpuCanStillBeReadWhereItIsMapped() {
    int system = kernel.open("/dev/kvm", 0);
    int vm = kernel.ioctl(system, Ioctls.KVM_CREATE_VM, 0);
    int vcpu = kernel.ioctl(vm, Ioctls.KVM_CREATE_VCPU, 0);
    int size = kernel.ioctl(system, Ioctls.KVM_GET_VCPU_MMAP_SIZE, 0);
    long address =
        kernel.mmap(size, Kernel.PROT_READ | Kernel.PROT_WRITE, Kernel.MAP_SHARED, vcpu, 0);
    UserMemory page = kernel.memory(address, size);
    page.putInt(KvmRun.EXIT_REASON, 0x1234);
    assertEquals(0, kernel.close(vcpu));
    assertEquals(0, kernel.close(vm));
    assertEquals(0x1234, page.getInt(KvmRun.EXIT_REASON));
    page.putInt(KvmRun.EXIT_REASON, 0x5678);
    assertEquals(0x5678, page.getInt(KvmRun.EXIT_REASON));
    assertEquals(0, kernel.munmap(address, size));
    if (backend.isEmulated()) { // A real kernel's SIGSEGV cannot be caught here.
      assertThrows(IllegalStateException.class, () -> page.getInt(KvmRun.EXIT_REASON));
    }
  }
}
