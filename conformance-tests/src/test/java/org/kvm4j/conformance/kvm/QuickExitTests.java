package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeCode.*;
import static org.kvm4j.conformance.kvm.RealModeGuest.CODE;
import static org.kvm4j.conformance.kvm.RealModeGuest.STACK;
import static org.kvm4j.conformance.kvm.RealModeGuest.STRAY_PORT;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.uapi.KvmCap;

/**
 * Exits after which the kernel goes on at once, as CPUID's: nothing that comes for the processor in
 * the meantime may wait for another kind of exit.
 */
class QuickExitTests extends KvmContract {
  private static final int HANDLER = 0x3000;
  private static final int HANDLER_PORT = 0x11;
  private static final int SPURIOUS = 0xf0;

  /** xor eax, eax; cpuid; jmp to it. */
  private static final int[] CPUID_FOREVER = {0x66, 0x31, 0xc0, 0x0f, 0xa2, 0xeb, 0xf9};

  @EachBackend
  void noKickIsLost() {
    RealModeGuest guest = new RealModeGuest(kvm, CPUID_FOREVER);
    int kicks = 300;
    AtomicInteger published = new AtomicInteger();
    AtomicInteger seen = new AtomicInteger();
    CompletableFuture<Void> runner =
        CompletableFuture.runAsync(
            () -> {
              while (seen.get() < kicks) {
                guest.run(Exit.Interrupted.class);
                seen.set(published.get());
              }
            });
    for (int i = 1; i <= kicks; i++) {
      published.set(i);
      guest.vcpu.kick();
      while (seen.get() < i && !runner.isDone()) { // A lost kick ends in the time limit.
        Thread.onSpinWait();
      }
    }
    runner.join();
    long rip = guest.rip();
    assertTrue(rip >= CODE && rip < CODE + 7, "at " + rip);
  }

  @EachBackend
  void interruptsOfTheChipsComeAtOnce() {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP);
    int[] init = {
      0xb0,
      0x11,
      0xe6,
      0x20, // ICW1
      0xb0,
      0x20,
      0xe6,
      0x21, // ICW2
      0xb0,
      0x04,
      0xe6,
      0x21, // ICW3
      0xb0,
      0x01,
      0xe6,
      0x21, // ICW4
      0xb0,
      0x00,
      0xe6,
      0x21, // nothing masked
      0xe6,
      0x10, // out 0x10, al: from here on
      0xfb // sti
    };
    RealModeGuest guest =
        new RealModeGuest(kvm, vm -> vm.createIrqchip(), 0, join(init, CPUID_FOREVER));
    guest.memory.putInt(4L * 0x24, HANDLER);
    // mov al, 0x20; out 0x20, al; out HANDLER_PORT, al; iret
    guest.load(HANDLER, 0x50, 0xb0, 0x20, 0xe6, 0x20, 0xe6, HANDLER_PORT, 0x58, 0xcf);
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
    AtomicInteger handled = new AtomicInteger();
    int interrupts = 100;
    CompletableFuture<Void> runner =
        CompletableFuture.runAsync(
            () -> {
              while (handled.get() < interrupts) {
                assertEquals(HANDLER_PORT, guest.run(Exit.IoOut.class).port());
                handled.incrementAndGet();
              }
            });
    for (int k = 0; k < interrupts && !runner.isDone(); k++) {
      guest.vm.irqLine(4, 1);
      guest.vm.irqLine(4, 0);
      while (handled.get() == k && !runner.isDone()) { // A lost one ends in the time limit.
        Thread.onSpinWait();
      }
    }
    runner.join();
    assertEquals(interrupts, handled.get());
  }

  @EachBackend
  void anInterruptThatTheGuestSendsItselfIsBeforeTheNextInstruction() {
    if (!backend.isEmulated()) {
      backend.limit(
          "executes real mode in its instruction emulator, which patches a hypercall for ever");
    }
    int[] send = join(mov(EAX, 10), mov(EBX, 1), mov(ECX, 0), mov(EDX, 0), mov(ESI, 0x41), VMCALL);
    // sti; nop; the call; mov al, 1; out 0x10
    RealModeGuest guest =
        new RealModeGuest(
            kvm,
            vm -> vm.createIrqchip(),
            0,
            join(new int[] {0xfb, 0x90}, send, new int[] {0xb0, 0x01, 0xe6, 0x10, 0xf4}));
    LapicState lapic = guest.vcpu.getLapic();
    lapic.setRegister(SPURIOUS, 0x1ff);
    guest.vcpu.setLapic(lapic);
    Exit.IoOut first = guest.run(Exit.IoOut.class);
    assertEquals(STRAY_PORT, first.port());
    assertEquals(0x41, first.value());
  }

  @EachBackend
  void theWindowThatUserSpaceWaitsForOpens() {
    // cpuid; sti; cpuid; out
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0x31, 0xc0, 0x0f, 0xa2, 0xfb, 0x66, 0x31, 0xc0, 0x0f, 0xa2, 0xe6, 0x10);
    guest.vcpu.runPage().setRequestInterruptWindow(true);
    Exit window = guest.run();
    if (window instanceof Exit.IoOut) {
      backend.limit("its instruction emulator does not look for the window after each instruction");
    }
    assertEquals(new Exit.IrqWindowOpen(), window);
    long rip = guest.rip();
    assertTrue(rip > CODE + 6 && rip <= CODE + 11, "after the shadow of sti: " + rip);
    guest.vcpu.runPage().setRequestInterruptWindow(false);
    guest.run(Exit.IoOut.class);
  }

  @EachBackend
  void anAccessToTheTaskPriorityIsToldOf() {
    if (!backend.isEmulated()) {
      backend.limit("executes real mode in its instruction emulator, which reports it late");
    }
    // mov ecx, 808 (x2APIC's TPR); rdmsr; out
    RealModeGuest guest =
        new RealModeGuest(
            kvm,
            vm -> vm.createIrqchip(),
            0,
            join(mov(ECX, 0x808), new int[] {0x0f, 0x32, 0xe6, 0x10}));
    guest.vcpu.setCpuid(kvm.getSupportedCpuid());
    guest.vcpu.setMsr(0x1b, 0xfee00d00L);
    guest.vcpu.tprAccessReporting(true);
    assertFalse(guest.run(Exit.TprAccess.class).write());
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
  }

  @EachBackend
  void aTrapFollowsEachInstruction() {
    // xor eax, eax; cpuid; hlt
    RealModeGuest guest = new RealModeGuest(kvm, 0x66, 0x31, 0xc0, 0x0f, 0xa2, 0xf4);
    guest.memory.putInt(4, HANDLER);
    // out HANDLER_PORT, al; iret
    guest.load(HANDLER, 0xe6, HANDLER_PORT, 0xcf);
    guest.regs(r -> r.rflags = 0x102); // TF
    for (int behind : new int[] {CODE + 3, CODE + 5}) {
      assertEquals(HANDLER_PORT, guest.run(Exit.IoOut.class).port());
      assertEquals(behind, guest.memory.getShort(STACK - 6), "the frame's IP");
    }
  }
}
