package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Collections;
import java.util.List;
import org.kvm4j.kvm.EventFd;
import org.kvm4j.kvm.IrqRoute;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Routes of interrupts and eventfds that raise them, where they are unusual. Source: Linux 6.1
 * virt/kvm/irqchip.c, virt/kvm/eventfd.c, arch/x86/kvm/irq_comm.c.
 */
class InterruptRouteTests extends KvmContract {
  private static final int DEASSIGN = Uapi.KVM_IRQFD_FLAG_DEASSIGN;

  /** The word of IRR with vectors 0x40 to 0x5f. */
  private static final int IRR_2 = 0x220;

  private Vm vm() {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP, KvmCap.KVM_CAP_IRQ_ROUTING);
    Vm vm = kvm.createVm();
    vm.createIrqchip();
    return vm;
  }

  private static Vcpu enabled(Vm vm) {
    Vcpu vcpu = vm.createVcpu(0);
    enable(vcpu);
    return vcpu;
  }

  private static void enable(Vcpu vcpu) {
    LapicState apic = vcpu.getLapic();
    apic.setRegister(0xf0, 0x1ff);
    vcpu.setLapic(apic);
  }

  // --- Routes

  @EachBackend
  void thereAreAsManyRoutesAsSaidAndNoMore() {
    Vm vm = vm();
    Vcpu vcpu = enabled(vm);
    assertEquals(Uapi.KVM_MAX_IRQ_ROUTES, kvm.checkExtension(Caps.KVM_CAP_IRQ_ROUTING));
    int most = Uapi.KVM_MAX_IRQ_ROUTES;
    vm.setGsiRouting(List.of(IrqRoute.msi(most - 1, 0xfee00000L, 0x41)));
    IrqRoute one = IrqRoute.msi(0, 0xfee00000L, 0x42);
    refused(Errno.EINVAL, () -> vm.setGsiRouting(Collections.nCopies(most + 1, one)));
    refused(Errno.EINVAL, () -> vm.setGsiRouting(List.of(IrqRoute.msi(most, 0xfee00000L, 0x43))));
    refused(Errno.EINVAL, () -> vm.setGsiRouting(List.of(IrqRoute.msi(-1, 0xfee00000L, 0x43))));
    vm.irqLine(most - 1, 1);
    assertEquals(1 << 1, vcpu.getLapic().register(IRR_2), "the table is as it was");
  }

  @EachBackend
  void aTableOfNothingHasNoRoutes() {
    Vm vm = vm();
    Vcpu vcpu = enabled(vm);
    vm.setGsiRouting(List.of(IrqRoute.msi(5, 0xfee00000L, 0x41)));
    vm.setGsiRouting(List.of());
    assertEquals(-1, vm.irqLineStatus(5, 1));
    assertEquals(-1, vm.irqLineStatus(1 << 20, 1), "nor is there such a GSI");
    assertEquals(0, vcpu.getLapic().register(IRR_2));
  }

  @EachBackend
  void routesNeedChipsInTheKernel() {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQ_ROUTING);
    Vm bare = kvm.createVm();
    refused(Errno.EINVAL, () -> bare.setGsiRouting(List.of()));
    refused(Errno.ENXIO, () -> bare.irqLine(5, 1));
    try (EventFd event = EventFd.create(kernel)) {
      refused(Errno.EINVAL, () -> bare.irqfd(event, 5, 0, null));
      bare.irqfd(event, 5, DEASSIGN, null);
    }
  }

  /** With 32-bit IDs bits 31 to 8 of the address' upper half are the ID's, and the rest is 0. */
  @EachBackend
  void aMessageHasThirtyTwoBitsOfDestinationWhereThatIsSwitchedOn() {
    backend.needs(kvm, KvmCap.KVM_CAP_X2APIC_API);
    Vm vm = vm();
    Vcpu vcpu = enabled(vm);
    IrqRoute toProcessor256 = IrqRoute.msi(5, 0x0000_0100_fee0_0000L, 0x41);
    IrqRoute reserved = IrqRoute.msi(5, 0x0000_0001_fee0_0000L, 0x41);
    vm.setGsiRouting(List.of(toProcessor256));
    vm.irqLine(5, 1);
    assertEquals(1 << 1, vcpu.getLapic().register(IRR_2), "8 bits: to processor 0");
    vm.setGsiRouting(List.of(reserved));

    vm.enableCap(Caps.KVM_CAP_X2APIC_API, Uapi.KVM_X2APIC_API_USE_32BIT_IDS);
    vm.irqLine(5, 1); // the route from before is in the table, and goes nowhere now
    refused(Errno.EINVAL, () -> vm.setGsiRouting(List.of(reserved)));
    refused(Errno.EINVAL, () -> vm.signalMsi(0x0000_0001_fee0_0000L, 0x42));
    vm.setGsiRouting(List.of(toProcessor256, IrqRoute.msi(6, 0xfee00000L, 0x43)));
    vm.irqLine(5, 1);
    assertEquals(0, vm.signalMsi(0x0000_0100_fee0_0000L, 0x42), "there is no such processor");
    assertEquals(1 << 1, vcpu.getLapic().register(IRR_2));
    vm.irqLine(6, 1);
    assertEquals(1 << 1 | 1 << 3, vcpu.getLapic().register(IRR_2));
  }

  // --- Eventfds

  @EachBackend
  void anEventfdMayHaveAGsiThatHasNoRouteYet() {
    Vm vm = vm();
    Vcpu vcpu = enabled(vm);
    try (EventFd event = EventFd.create(kernel)) {
      vm.irqfd(event, 100, 0, null);
      event.write(1);
      assertEquals(0, event.read(), "taken, and lost");
      vm.setGsiRouting(List.of(IrqRoute.msi(100, 0xfee00000L, 0x41)));
      event.write(1);
      assertEquals(1 << 1, vcpu.getLapic().register(IRR_2));
    }
  }

  @EachBackend
  void anEventfdMayHaveAGsiThatNoRouteCanHave() {
    Vm vm = vm();
    try (EventFd event = EventFd.create(kernel)) {
      vm.irqfd(event, -1, 0, null);
      event.write(1);
      vm.irqfd(event, -1, DEASSIGN, null);
      event.write(3);
      assertEquals(3, event.read(), "nobody takes it any more");
    }
  }

  @EachBackend
  void whatIsNotThereIsTakenAwayWithoutAnError() {
    Vm vm = vm();
    try (EventFd event = EventFd.create(kernel);
        EventFd other = EventFd.create(kernel)) {
      vm.irqfd(event, 5, 0, null);
      vm.irqfd(event, 6, DEASSIGN, null);
      vm.irqfd(other, 5, DEASSIGN, null);
      refused(Errno.EBUSY, () -> vm.irqfd(event, 7, 0, null));
      vm.irqfd(event, 5, DEASSIGN, null);
      vm.irqfd(event, 5, DEASSIGN, null);
      vm.irqfd(event, 7, 0, null);
      refused(Errno.EINVAL, () -> vm.irqfd(other, 5, 4, null));
      refused(Errno.EINVAL, () -> vm.irqfd(other, 5, 4 | DEASSIGN, null));
    }
  }

  @EachBackend
  void whatWasSignalledBeforeRaisesAnInterruptAtOnce() {
    Vm vm = vm();
    Vcpu vcpu = enabled(vm);
    vm.setGsiRouting(List.of(IrqRoute.msi(40, 0xfee00000L, 0x41)));
    try (EventFd event = EventFd.create(kernel)) {
      event.write(1);
      vm.irqfd(event, 40, 0, null);
      awaitRequested(vcpu, 1 << 1);
    }
  }

  /** Linux injects it from a worker thread. */
  private static void awaitRequested(Vcpu vcpu, int expected) {
    long end = System.nanoTime() + 20_000_000_000L;
    while (vcpu.getLapic().register(IRR_2) != expected && System.nanoTime() < end) {
      Thread.onSpinWait();
    }
    assertEquals(expected, vcpu.getLapic().register(IRR_2));
  }

  @EachBackend
  void anEventfdThatIsClosedHasNoInterruptAnyMore() {
    Vm vm = vm();
    for (int i = 0; i < 3; i++) {
      EventFd event = EventFd.create(kernel);
      vm.irqfd(event, 5, 0, null);
      event.close();
    }
    // What has its number now is another.
    try (EventFd next = EventFd.create(kernel)) {
      next.write(7);
      assertEquals(7, next.read());
      vm.irqfd(next, 5, 0, null);
    }
  }
}
