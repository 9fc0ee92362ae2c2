package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.kvm4j.kvm.EventFd;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.IoapicState;
import org.kvm4j.kvm.IrqRoute;
import org.kvm4j.kvm.Irqchip;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.MpState;
import org.kvm4j.kvm.PicState;
import org.kvm4j.kvm.PitState;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/** The in-kernel interrupt chips: PIC, I/O APIC, local APIC, PIT, routes, eventfds. */
class InterruptChipTests extends KvmContract {
  /** Where handlers of interrupts tell of themselves. */
  private static final int HANDLER_PORT = 0x11;

  private static final int DONE_PORT = 0x10;
  private static final int HANDLERS = 0x3000;
  private static final long LEVEL = 1 << 15;
  private static final long MASK = 1 << 16;

  private static final int ID = 0x20;
  private static final int VERSION = 0x30;
  private static final int TPR = 0x80;
  private static final int SPURIOUS = 0xf0;

  private RealModeGuest guest(int... code) {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP, KvmCap.KVM_CAP_PIT2);
    return new RealModeGuest(
        kvm,
        vm -> {
          vm.createIrqchip();
          vm.createPit2(Uapi.KVM_PIT_SPEAKER_DUMMY);
        },
        0,
        code);
  }

  private Vm vm() {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP);
    Vm vm = kvm.createVm();
    vm.createIrqchip();
    return vm;
  }

  /** Code that sets both PICs up: vectors 0x20 and 0x28, all but some pins masked. */
  private static int[] initPics(int... rest) {
    int[] init = {
      0xb0, 0x11, 0xe6, 0x20, 0xe6, 0xa0, // ICW1
      0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x28, 0xe6, 0xa1, // ICW2
      0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x02, 0xe6, 0xa1, // ICW3
      0xb0, 0x01, 0xe6, 0x21, 0xe6, 0xa1, // ICW4
      0xb0, 0x00, 0xe6, 0x21, 0xe6, 0xa1, // nothing masked
    };
    return concat(init, rest);
  }

  private static int[] concat(int[] a, int[] b) {
    int[] all = java.util.Arrays.copyOf(a, a.length + b.length);
    System.arraycopy(b, 0, all, a.length, b.length);
    return all;
  }

  /** A handler that tells its vector and ends the PICs' interrupt. */
  private static void picHandler(RealModeGuest guest, int vector) {
    int at = HANDLERS + 32 * (vector & 15);
    guest.memory.putInt(4L * vector, at);
    guest.load(
        at, 0xb0, vector, 0xe6, HANDLER_PORT, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0xcf); // iret
  }

  /** A handler that tells its vector and ends the local APIC's interrupt; DS is at its page. */
  private static void apicHandler(RealModeGuest guest, int vector) {
    int at = HANDLERS + 32 * (vector & 15);
    guest.memory.putInt(4L * vector, at);
    guest.load(
        at,
        0xb0,
        vector,
        0xe6,
        HANDLER_PORT, // mov al, vector; out
        0x66,
        0xc7,
        0x06,
        0xb0,
        0x00,
        0,
        0,
        0,
        0,
        0xcf); // mov dword [0xb0], 0; iret
  }

  /** MOV DWORD [register], value. */
  private static int[] write(int register, int value, int... rest) {
    return concat(
        new int[] {
          0x66,
          0xc7,
          0x06,
          register & 0xff,
          register >> 8,
          value & 0xff,
          value >> 8 & 0xff,
          value >> 16 & 0xff,
          value >>> 24
        },
        rest);
  }

  private static void apicPage(RealModeGuest guest) {
    guest.sregs(s -> s.ds.base = 0xfee00000L);
  }

  /** What a guest's end of an interrupt needs. */
  private void needsInterruptsTaken() {
    if (!backend.isEmulated()) {
      backend.limit(
          "executes real mode in its instruction emulator, which never takes the local APIC's"
              + " interrupts from it");
    }
  }

  private static int out(Exit exit, int port) {
    assertTrue(exit instanceof Exit.IoOut, () -> "OUT, not " + exit);
    assertEquals(port, ((Exit.IoOut) exit).port(), exit::toString);
    return (int) ((Exit.IoOut) exit).value();
  }

  private static void awaitHalt(Vcpu vcpu, CompletableFuture<Exit> running) throws Exception {
    // Its state cannot be asked for while it is in KVM_RUN: long enough to get to its HLT.
    Thread.sleep(50);
    assertFalse(running.isDone(), () -> "vCPU " + vcpu.id() + " came back: " + running);
  }

  // --- Creation

  @EachBackend
  void statesAfterCreation() {
    Vm vm = vm();
    Vcpu boot = vm.createVcpu(0);
    Vcpu other = vm.createVcpu(3);
    PicState master = vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_MASTER).pic();
    assertEquals(0xf8, master.elcrMask);
    assertEquals(0xde, vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_SLAVE).pic().elcrMask);
    assertEquals(0, master.imr);
    assertEquals(0, master.initState);
    IoapicState ioapic = vm.getIrqchip(Uapi.KVM_IRQCHIP_IOAPIC).ioapic();
    assertEquals(0xfec00000L, ioapic.baseAddress);
    for (long entry : ioapic.redirtbl) {
      assertEquals(MASK, entry);
    }
    LapicState apic = boot.getLapic();
    assertEquals(0, apic.register(ID));
    assertEquals(3 << 24, other.getLapic().register(ID));
    assertEquals(0x50014, apic.register(VERSION) & 0xff00ff | apic.register(VERSION) & 0xf0000);
    assertEquals(0xff, apic.register(SPURIOUS));
    assertEquals(-1, apic.register(0xe0));
    assertEquals(0x700, apic.register(0x350), "LINT0");
    assertEquals(0x10000, other.getLapic().register(0x350));
    for (int lvt : new int[] {0x320, 0x330, 0x340, 0x360, 0x370}) {
      assertEquals(0x10000, apic.register(lvt));
    }
    assertEquals(MpState.RUNNABLE, boot.getMpState());
    assertEquals(MpState.UNINITIALIZED, other.getMpState());
    assertEquals(0xfee00900L, boot.getSregs().apicBase);
    assertEquals(0xfee00800L, other.getSregs().apicBase);
  }

  @EachBackend
  void theBootProcessorIsChosenBeforehand() {
    Vm vm = vm();
    vm.setBootCpuId(2);
    Vcpu zero = vm.createVcpu(0);
    Vcpu two = vm.createVcpu(2);
    assertEquals(MpState.UNINITIALIZED, zero.getMpState());
    assertEquals(MpState.RUNNABLE, two.getMpState());
    assertEquals(0xfee00900L, two.getSregs().apicBase);
    refused(Errno.EBUSY, () -> vm.setBootCpuId(0));
  }

  @EachBackend
  void creationIsRefusedTwiceAndTooLate() {
    Vm vm = vm();
    refused(Errno.EEXIST, vm::createIrqchip);
    refused(Errno.EEXIST, () -> vm.enableCap(Caps.KVM_CAP_SPLIT_IRQCHIP, 24));
    vm.createPit2(0);
    refused(Errno.EEXIST, () -> vm.createPit2(0));
    refused(Errno.EEXIST, vm::createPit);
    Vm late = kvm.createVm();
    late.createVcpu(0);
    refused(Errno.EINVAL, late::createIrqchip);
    refused(Errno.EEXIST, () -> late.enableCap(Caps.KVM_CAP_SPLIT_IRQCHIP, 24));
    if (backend.isEmulated()) {
      // Later kernels than 6.1 take more.
      Vm none = kvm.createVm();
      refused(Errno.EINVAL, () -> none.enableCap(Caps.KVM_CAP_SPLIT_IRQCHIP, 25));
    }
  }

  // --- The PICs

  @EachBackend
  void aGuestProgramsThePicsAndUserSpaceSeesTheirState() {
    RealModeGuest guest =
        guest(
            initPics(
                0xb0, 0xc2, 0xe6, 0x20, // set priority
                0xb0, 0x0b, 0xe6, 0x20, // read ISR
                0xb0, 0x68, 0xe6, 0x20, // special mask
                0xb0, 0x5a, 0xe6, 0x21, // IMR
                0xba, 0xd0, 0x04, 0xb0, 0xff, 0xee, // ELCR
                0xe4, 0x21, // in al, 0x21
                0xe6, DONE_PORT));
    assertEquals(0x5a, out(guest.run(), DONE_PORT));
    PicState master = guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_MASTER).pic();
    assertEquals(0x20, master.irqBase);
    assertEquals(3, master.priorityAdd);
    assertEquals(1, master.readRegSelect);
    assertEquals(1, master.specialMask);
    assertEquals(0x5a, master.imr);
    assertEquals(0xf8, master.elcr);
    assertEquals(1, master.init4);
    assertEquals(0, master.initState);
    assertEquals(0x28, guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_SLAVE).pic().irqBase);
  }

  @EachBackend
  void whatBecomesOfALine() {
    RealModeGuest guest = guest(initPics(0xb0, 0x08, 0xe6, 0x21, 0xe6, DONE_PORT));
    guest.run(Exit.IoOut.class);
    assertEquals(1, guest.vm.irqLineStatus(4, 1));
    assertEquals(1, guest.vm.irqLineStatus(4, 1), "no new edge, and none coalesced");
    assertEquals(2, guest.vm.irqLineStatus(4, 0), "both chips");
    assertEquals(0, guest.vm.irqLineStatus(4, 1), "coalesced");
    assertEquals(-1, guest.vm.irqLineStatus(3, 1), "masked in both chips");
    assertEquals(-1, guest.vm.irqLineStatus(9999, 1), "no such GSI");
    PicState master = guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_MASTER).pic();
    assertEquals(0x18, master.irr);
    assertEquals(0x18, master.lastIrr);
  }

  @EachBackend
  void anInterruptOfThePicEndsHlt() throws Exception {
    RealModeGuest guest = guest(initPics(0xfb, 0xf4, 0xe6, DONE_PORT)); // sti; hlt; out
    picHandler(guest, 0x2c);
    CompletableFuture<Exit> running = Aside.run(guest.vcpu);
    awaitHalt(guest.vcpu, running);
    guest.vm.irqLine(12, 1);
    assertEquals(0x2c, out(Aside.await(running), HANDLER_PORT));
    assertEquals(4, guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_MASTER).pic().isr);
    assertEquals(0x10, guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_SLAVE).pic().isr);
    out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
    assertEquals(0, guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_MASTER).pic().isr);
    assertEquals(0, guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_SLAVE).pic().isr);
  }

  @EachBackend
  void anInterruptWaitsForTheFlag() {
    RealModeGuest guest =
        guest(
            initPics(
                0xe6, DONE_PORT, // out: the test raises the line here
                0x90, 0x90, 0xe6, DONE_PORT, // still off
                0xfb, 0xf4, 0xe6, DONE_PORT)); // sti; hlt; out
    picHandler(guest, 0x24);
    out(guest.run(), DONE_PORT);
    guest.vm.irqLine(4, 1);
    out(guest.run(), DONE_PORT);
    assertEquals(0x24, out(guest.run(), HANDLER_PORT));
    out(guest.run(), DONE_PORT);
  }

  // --- HLT

  @EachBackend
  void hltBlocksInKvmRunUntilItIsKicked() throws Exception {
    RealModeGuest guest = guest(0xfa, 0xf4, 0xe6, DONE_PORT); // cli; hlt; out
    CompletableFuture<Exit> running = Aside.run(guest.vcpu);
    awaitHalt(guest.vcpu, running);
    guest.vcpu.kick();
    assertTrue(Aside.await(running) instanceof Exit.Interrupted);
    assertEquals(MpState.HALTED, guest.vcpu.getMpState());
    guest.vcpu.setMpState(MpState.RUNNABLE);
    out(guest.run(), DONE_PORT);
  }

  @EachBackend
  void anNmiEndsHlt() throws Exception {
    RealModeGuest guest = guest(0xfa, 0xf4, 0xe6, DONE_PORT);
    guest.memory.putInt(8, HANDLERS);
    guest.load(HANDLERS, 0xb0, 0x02, 0xe6, HANDLER_PORT, 0xcf);
    guest.vcpu.nmi();
    assertEquals(2, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
    CompletableFuture<Exit> running = Aside.run(guest.vcpu);
    awaitHalt(guest.vcpu, running);
    guest.vcpu.kick();
    Aside.await(running);
    guest.vcpu.nmi();
    assertEquals(2, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
    out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
  }

  // --- The I/O APIC

  private static Irqchip ioapic(Vm vm, int pin, long entry) {
    Irqchip chip = vm.getIrqchip(Uapi.KVM_IRQCHIP_IOAPIC);
    IoapicState state = chip.ioapic();
    state.redirtbl[pin] = entry;
    chip.setIoapic(state);
    return chip;
  }

  private static void enable(Vcpu vcpu) {
    LapicState apic = vcpu.getLapic();
    apic.setRegister(SPURIOUS, 0x1ff);
    vcpu.setLapic(apic);
  }

  @EachBackend
  void theGuestReachesTheIoApic() {
    RealModeGuest guest =
        guest(
            write(
                0x00,
                1,
                concat(
                    new int[] {0x66, 0xa1, 0x10, 0x00, 0x66, 0xe7, DONE_PORT}, // version
                    write(0x00, 0x18, write(0x10, 0x1a044, 0xe6, DONE_PORT))))); // pin 4
    guest.sregs(s -> s.ds.base = 0xfec00000L);
    Exit version = guest.run();
    assertEquals(0x170011, out(version, DONE_PORT));
    out(guest.run(), DONE_PORT);
    IoapicState state = guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_IOAPIC).ioapic();
    assertEquals(0x18, state.ioregsel);
    assertEquals(0x1a044, state.redirtbl[4]);
  }

  @EachBackend
  void linesOfTheIoApic() {
    Vm vm = vm();
    Vcpu vcpu = vm.createVcpu(0);
    enable(vcpu);
    vm.setIrqchip(ioapic(vm, 20, 0x44));
    assertEquals(1, vm.irqLineStatus(20, 1));
    assertEquals(0, vm.irqLineStatus(20, 1), "coalesced");
    vm.irqLine(20, 0);
    assertEquals(1, vm.irqLineStatus(20, 1));
    assertEquals(1 << 4, vcpu.getLapic().register(0x220));
    vm.setIrqchip(ioapic(vm, 21, 0x45 | LEVEL));
    assertEquals(1, vm.irqLineStatus(21, 1));
    assertEquals(-1, vm.irqLineStatus(21, 1), "remote IRR");
    IoapicState state = vm.getIrqchip(Uapi.KVM_IRQCHIP_IOAPIC).ioapic();
    assertEquals(0x4045 | LEVEL, state.redirtbl[21]);
    assertEquals(1 << 21, state.irr);
    assertEquals(-1, vm.irqLineStatus(22, 1), "masked");
  }

  @EachBackend
  void aLevelStaysUntilItIsEndedAndDown() {
    needsInterruptsTaken();
    RealModeGuest guest = guest(0xfb, 0x90, 0x90, 0xe6, DONE_PORT); // sti; nop; nop; out
    apicHandler(guest, 0x44);
    apicPage(guest);
    enable(guest.vcpu);
    guest.vm.setIrqchip(ioapic(guest.vm, 20, 0x44 | LEVEL));
    guest.vm.irqLine(20, 1);
    assertEquals(0x44, out(guest.run(), HANDLER_PORT));
    assertEquals(0x44, out(guest.run(), HANDLER_PORT), "still up");
    guest.vm.irqLine(20, 0);
    out(guest.run(), DONE_PORT);
    assertEquals(0x44 | LEVEL, guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_IOAPIC).ioapic().redirtbl[20]);
  }

  // --- The local APIC

  @EachBackend
  void theGuestReachesItsLocalApic() {
    RealModeGuest guest =
        guest(
            concat(
                new int[] {0x66, 0xa1, VERSION, 0x00, 0x66, 0xe7, DONE_PORT},
                write(TPR, 0x35, 0x66, 0xa1, TPR, 0x00, 0x66, 0xe7, DONE_PORT)));
    apicPage(guest);
    assertEquals(0x14, out(guest.run(), DONE_PORT) & 0xff);
    assertEquals(0x35, out(guest.run(), DONE_PORT));
    assertEquals(0x35, guest.vcpu.getLapic().register(TPR));
    assertEquals(3, guest.vcpu.getSregs().cr8);
    assertEquals(3, guest.vcpu.runPage().cr8());
  }

  @EachBackend
  void cr8IsTheTaskPriority() {
    RealModeGuest guest = guest(0xe6, DONE_PORT);
    guest.sregs(s -> s.cr8 = 7);
    assertEquals(0x70, guest.vcpu.getLapic().register(TPR));
    guest.vcpu.runPage().setCr8(3);
    guest.run(Exit.IoOut.class);
    assertEquals(0x70, guest.vcpu.getLapic().register(TPR), "kvm_run.cr8 only tells");
    assertEquals(7, guest.vcpu.runPage().cr8());
  }

  @EachBackend
  void anIpiToItself() {
    needsInterruptsTaken();
    int[] send = write(0x300, 0x40000 | 0x45, 0xfb, 0xf4, 0xe6, DONE_PORT);
    RealModeGuest guest = guest(write(SPURIOUS, 0x1ff, send));
    apicHandler(guest, 0x45);
    apicPage(guest);
    assertEquals(0x45, out(guest.run(), HANDLER_PORT));
    assertEquals(1 << 5, guest.vcpu.getLapic().register(0x120), "in service");
    out(guest.run(), DONE_PORT);
    assertEquals(0, guest.vcpu.getLapic().register(0x120));
  }

  @EachBackend
  void theTimerEndsHlt() throws Exception {
    int[] start =
        write(
            SPURIOUS,
            0x1ff,
            write(0x3e0, 0xb, write(0x320, 0x46, write(0x380, 1_000_000, 0xfb, 0xf4))));
    RealModeGuest guest = guest(concat(start, new int[] {0xe6, DONE_PORT}));
    apicHandler(guest, 0x46);
    apicPage(guest);
    assertEquals(0x46, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
    out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
    assertEquals(0, guest.vcpu.getLapic().register(0x390), "current count");
    assertEquals(1_000_000, guest.vcpu.getLapic().register(0x380), "initial count");
  }

  @EachBackend
  void thePeriodicTimerInterruptsARunningGuest() {
    int[] start =
        write(
            SPURIOUS,
            0x1ff,
            write(0x3e0, 0xb, write(0x320, 0x20047, write(0x380, 2_000_000, 0xfb, 0xeb, 0xfe))));
    RealModeGuest guest = guest(start);
    guest.vcpu.setCpuid2(kvm.getSupportedCpuid());
    apicHandler(guest, 0x47);
    apicPage(guest);
    for (int i = 0; i < 3; i++) {
      assertEquals(0x47, out(guest.run(), HANDLER_PORT));
    }
  }

  @EachBackend
  void theStateOfTheLocalApicGoesOutAndIn() {
    Vm vm = vm();
    Vcpu vcpu = vm.createVcpu(0);
    enable(vcpu);
    LapicState apic = vcpu.getLapic();
    apic.setRegister(TPR, 0x20);
    apic.setRegister(0xd0, 0x01000000);
    apic.setRegister(0x230, 1 << 10); // IRR: 0x6a
    apic.setRegister(0x320, 0x10055);
    vcpu.setLapic(apic);
    LapicState now = vcpu.getLapic();
    assertEquals(0x20, now.register(TPR));
    assertEquals(0x20, now.register(0xa0), "PPR follows");
    assertEquals(0x01000000, now.register(0xd0));
    assertEquals(1 << 10, now.register(0x230));
    assertEquals(0x10055, now.register(0x320));
    assertEquals(apic.register(VERSION), now.register(VERSION));
  }

  @EachBackend
  void messagesOfDevices() {
    Vm vm = vm();
    Vcpu zero = vm.createVcpu(0);
    Vcpu one = vm.createVcpu(1);
    assertEquals(0, vm.signalMsi(0xfee00000L, 0x41), "disabled");
    enable(zero);
    enable(one);
    assertEquals(1, vm.signalMsi(0xfee01000L, 0x41));
    assertEquals(0, zero.getLapic().register(0x220));
    assertEquals(2, one.getLapic().register(0x220));
    assertEquals(2, vm.signalMsi(0xfeeff000L, 0x42));
    assertEquals(4, zero.getLapic().register(0x220));
    assertEquals(6, one.getLapic().register(0x220));
    assertEquals(0, vm.signalMsi(0xfee07000L, 0x41), "nobody");
    LapicState apic = one.getLapic();
    apic.setRegister(0xd0, 0x02000000);
    one.setLapic(apic);
    assertEquals(1, vm.signalMsi(0xfee02004L, 0x43), "logical");
    assertEquals(14, one.getLapic().register(0x220));
    assertEquals(1, vm.signalMsi(0xfee01000L, 0x8044), "level");
    assertEquals(1 << 4, one.getLapic().register(0x1a0), "TMR");
  }

  @EachBackend
  void tasksPriorityAccessesAreReportedToWhoAsks() {
    RealModeGuest guest = guest(write(TPR, 0x10, 0x66, 0xa1, TPR, 0x00, 0xe6, DONE_PORT));
    apicPage(guest);
    guest.vcpu.tprAccessReporting(true);
    if (!backend.isEmulated()) {
      backend.limit("executes real mode in its instruction emulator, which looks at reports late");
    }
    Exit.TprAccess written = guest.run(Exit.TprAccess.class);
    assertTrue(written.write());
    Exit.TprAccess read = guest.run(Exit.TprAccess.class);
    assertFalse(read.write());
    out(guest.run(), DONE_PORT);
    assertEquals(0x10, guest.vcpu.getLapic().register(TPR));
  }

  // --- Starting application processors

  @EachBackend
  void initAndStartupStartAProcessor() throws Exception {
    int[] start = write(0x310, 1 << 24, write(0x300, 0x4500, write(0x300, 0x4602, 0xe6, 0x12)));
    RealModeGuest guest = guest(write(SPURIOUS, 0x1ff, start));
    apicPage(guest);
    Vcpu other = guest.vm.createVcpu(1);
    guest.load(0x2000, 0xb0, 0x77, 0xe6, DONE_PORT);
    CompletableFuture<Exit> running = Aside.run(other);
    awaitHalt(other, running);
    out(guest.run(), 0x12);
    Exit exit = Aside.await(running);
    for (int i = 0; exit instanceof Exit.Again && i < 3; i++) {
      exit = Aside.await(Aside.run(other));
    }
    assertEquals(0x77, out(exit, DONE_PORT));
    assertEquals(0x200, other.getSregs().cs.selector);
    assertEquals(0x2000, other.getSregs().cs.base);
    assertEquals(MpState.RUNNABLE, other.getMpState());
  }

  @EachBackend
  void aProcessorThatIsNotStartedWaitsInKvmRun() throws Exception {
    Vm vm = vm();
    vm.createVcpu(0);
    Vcpu other = vm.createVcpu(1);
    CompletableFuture<Exit> running = Aside.run(other);
    awaitHalt(other, running);
    other.kick();
    assertTrue(Aside.await(running) instanceof Exit.Interrupted);
    other.setMpState(MpState.SIPI_RECEIVED);
    assertEquals(MpState.RUNNABLE, other.getMpState(), "started by what was pending");
  }

  // --- The PIT

  @EachBackend
  void thePitEndsHlt() throws Exception {
    RealModeGuest guest =
        guest(
            initPics(
                0xb0, 0x30, 0xe6, 0x43, // counter 0, mode 0
                0xb0, 0x9c, 0xe6, 0x40, 0xb0, 0x2e, 0xe6, 0x40, // 11,932: 10 ms
                0xfb, 0xf4, 0xe6, DONE_PORT));
    picHandler(guest, 0x20);
    assertEquals(0x20, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
    out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
    PitState pit = guest.vm.getPit2();
    assertEquals(11_932, pit.channels.get(0).count);
    assertEquals(0, pit.channels.get(0).mode);
    assertEquals(3, pit.channels.get(0).rwMode);
  }

  @EachBackend
  void thePitAndTheSpeakersPort() {
    RealModeGuest guest =
        guest(
            0xb0, 0xb6, 0xe6, 0x43, // counter 2, mode 3
            0xb0, 0x01, 0xe6, 0x61, // its gate
            0xb0, 0x00, 0xe6, 0x42, 0xe6, 0x42, // 65,536
            0xb0, 0xe8, 0xe6, 0x43, // read back its status
            0xe4, 0x42, 0xe6, DONE_PORT, // status
            0xe4, 0x61, 0x24, 0x2f, 0xe6, DONE_PORT); // and al, 0x2f
    assertEquals(0xb6, out(guest.run(), DONE_PORT));
    assertEquals(0x21, out(guest.run(), DONE_PORT));
    PitState pit = guest.vm.getPit2();
    assertEquals(65_536, pit.channels.get(2).count);
    assertEquals(3, pit.channels.get(2).mode);
    assertEquals(1, pit.channels.get(2).gate);
    assertEquals(0, pit.flags);
  }

  @EachBackend
  void theStateOfThePitGoesOutAndIn() {
    Vm vm = vm();
    vm.createPit2(0);
    PitState pit = vm.getPit2();
    for (int i = 0; i < 3; i++) {
      assertEquals(65_536, pit.channels.get(i).count);
      assertEquals(0xff, pit.channels.get(i).mode);
      assertEquals(i == 2 ? 0 : 1, pit.channels.get(i).gate);
    }
    pit.channels.get(2).count = 1234;
    pit.channels.get(2).mode = 3;
    pit.channels.get(2).latchedCount = 77;
    pit.channels.get(2).countLatched = 3;
    pit.channels.get(1).count = 0;
    pit.flags = Uapi.KVM_PIT_FLAGS_SPEAKER_DATA_ON;
    vm.setPit2(pit);
    PitState now = vm.getPit2();
    assertEquals(1234, now.channels.get(2).count);
    assertEquals(3, now.channels.get(2).mode);
    assertEquals(77, now.channels.get(2).latchedCount);
    assertEquals(65_536, now.channels.get(1).count);
    assertEquals(Uapi.KVM_PIT_FLAGS_SPEAKER_DATA_ON, now.flags);
    assertEquals(0, vm.getPit().flags);
    pit.channels.get(2).count = 4321;
    vm.setPit(pit);
    assertEquals(4321, vm.getPit2().channels.get(2).count);
    assertEquals(Uapi.KVM_PIT_FLAGS_SPEAKER_DATA_ON, vm.getPit2().flags, "SET_PIT leaves them");
    vm.reinjectControl(false);
  }

  // --- Routes and eventfds

  @EachBackend
  void routesReplaceTheStandardOnes() {
    Vm vm = vm();
    Vcpu vcpu = vm.createVcpu(0);
    enable(vcpu);
    vm.setIrqchip(ioapic(vm, 5, 0x45));
    vm.setGsiRouting(
        List.of(
            IrqRoute.irqchip(100, Uapi.KVM_IRQCHIP_IOAPIC, 5),
            IrqRoute.irqchip(100, Uapi.KVM_IRQCHIP_PIC_SLAVE, 2),
            IrqRoute.msi(101, 0xfee00000L, 0x61)));
    assertEquals(-1, vm.irqLineStatus(5, 1));
    assertEquals(2, vm.irqLineStatus(100, 1));
    assertEquals(4, vm.getIrqchip(Uapi.KVM_IRQCHIP_PIC_SLAVE).pic().irr);
    assertEquals(1 << 5, vcpu.getLapic().register(0x220));
    assertEquals(1, vm.irqLineStatus(101, 1));
    assertEquals(-1, vm.irqLineStatus(101, 0), "a message has no low level");
    assertEquals(2, vcpu.getLapic().register(0x230));
    refused(
        Errno.EINVAL,
        () -> vm.setGsiRouting(List.of(IrqRoute.irqchip(1, 2, 1), IrqRoute.irqchip(1, 2, 2))));
    refused(
        Errno.EINVAL,
        () -> vm.setGsiRouting(List.of(IrqRoute.irqchip(1, 2, 1), IrqRoute.msi(1, 0, 0))));
    refused(Errno.EINVAL, () -> vm.setGsiRouting(List.of(IrqRoute.irqchip(1, 2, 24))));
    refused(Errno.EINVAL, () -> vm.setGsiRouting(List.of(IrqRoute.irqchip(1, 0, 8))));
    refused(Errno.EINVAL, () -> vm.setGsiRouting(List.of(IrqRoute.irqchip(4096, 2, 1))));
    assertEquals(1, vm.irqLineStatus(100, 1), "the old table is still there");
  }

  @EachBackend
  void anEventfdRaisesAnInterrupt() throws Exception {
    RealModeGuest guest = guest(initPics(0xfb, 0xf4, 0xe6, DONE_PORT));
    picHandler(guest, 0x25);
    try (EventFd event = EventFd.create(kernel)) {
      guest.vm.irqfd(event, 5, 0, null);
      refused(Errno.EBUSY, () -> guest.vm.irqfd(event, 6, 0, null));
      CompletableFuture<Exit> running = Aside.run(guest.vcpu);
      awaitHalt(guest.vcpu, running);
      event.write(1);
      assertEquals(0x25, out(Aside.await(running), HANDLER_PORT));
      out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
      guest.vm.irqfd(event, 5, Uapi.KVM_IRQFD_FLAG_DEASSIGN, null);
      event.write(1);
      assertEquals(1, event.read(), "nobody takes it any more");
    }
  }

  @EachBackend
  void anEventfdWithAMessage() {
    Vm vm = vm();
    Vcpu vcpu = vm.createVcpu(0);
    enable(vcpu);
    vm.setGsiRouting(List.of(IrqRoute.msi(40, 0xfee00000L, 0x51)));
    try (EventFd event = EventFd.create(kernel)) {
      vm.irqfd(event, 40, 0, null);
      event.write(1);
      assertEquals(1 << 17, vcpu.getLapic().register(0x220));
      assertEquals(0, event.read(), "the kernel has taken it");
    }
  }

  @EachBackend
  void aResampledEventfdHearsOfTheEnd() throws Exception {
    needsInterruptsTaken();
    RealModeGuest guest = guest(0xfb, 0xf4, 0xe6, DONE_PORT);
    apicHandler(guest, 0x44);
    apicPage(guest);
    enable(guest.vcpu);
    guest.vm.setIrqchip(ioapic(guest.vm, 20, 0x44 | LEVEL));
    try (EventFd event = EventFd.create(kernel);
        EventFd over = EventFd.create(kernel)) {
      guest.vm.irqfd(event, 20, Uapi.KVM_IRQFD_FLAG_RESAMPLE, over);
      event.write(1);
      assertEquals(0x44, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
      assertFalse(over.await(0));
      out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
      assertTrue(over.await(5000));
      assertEquals(1, over.read());
      guest.vm.irqfd(event, 20, Uapi.KVM_IRQFD_FLAG_DEASSIGN, null);
    }
  }

  /** They share the level, and the end of the interrupt is told to each. */
  @EachBackend
  void resampledEventfdsOfOneInterruptAllHearOfTheEnd() throws Exception {
    needsInterruptsTaken();
    // sti; hlt; cli; out; jmp: an interrupt that came between OUT and HLT would leave it halted
    RealModeGuest guest = guest(0xfb, 0xf4, 0xfa, 0xe6, DONE_PORT, 0xeb, 0xf9);
    apicHandler(guest, 0x44);
    apicPage(guest);
    enable(guest.vcpu);
    guest.vm.setIrqchip(ioapic(guest.vm, 20, 0x44 | LEVEL));
    try (EventFd first = EventFd.create(kernel);
        EventFd firstOver = EventFd.create(kernel);
        EventFd second = EventFd.create(kernel);
        EventFd secondOver = EventFd.create(kernel)) {
      guest.vm.irqfd(first, 20, Uapi.KVM_IRQFD_FLAG_RESAMPLE, firstOver);
      guest.vm.irqfd(second, 20, Uapi.KVM_IRQFD_FLAG_RESAMPLE, secondOver);
      for (List<EventFd> raised :
          List.of(List.of(first), List.of(second), List.of(first, second))) {
        for (EventFd event : raised) {
          event.write(1);
        }
        assertEquals(0x44, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
        assertFalse(firstOver.await(0));
        assertFalse(secondOver.await(0));
        out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
        assertEquals(1, once(firstOver));
        assertEquals(1, once(secondOver));
      }
      second.write(1);
      guest.vm.irqfd(second, 20, Uapi.KVM_IRQFD_FLAG_DEASSIGN, null);
      assertEquals(0x44, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
      out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
      assertEquals(1, once(firstOver));
      assertFalse(secondOver.await(0));
      first.write(1);
      guest.vm.irqfd(first, 20, Uapi.KVM_IRQFD_FLAG_DEASSIGN, null);
      assertFalse(firstOver.await(0));
      assertEquals(0, guest.vm.getIrqchip(Uapi.KVM_IRQCHIP_IOAPIC).ioapic().irr >> 20 & 1);
    }
  }

  /** What an eventfd has counted, which is to have come: a read alone would wait for ever. */
  private static long once(EventFd event) {
    assertTrue(event.await(5000));
    return event.read();
  }

  // --- The split chip

  private RealModeGuest split(int... code) {
    backend.needs(kvm, KvmCap.KVM_CAP_SPLIT_IRQCHIP);
    return new RealModeGuest(kvm, vm -> vm.enableCap(Caps.KVM_CAP_SPLIT_IRQCHIP, 24), 0, code);
  }

  @EachBackend
  void aSplitChipHasNoPics() {
    RealModeGuest guest = split(0xe6, 0x20, 0xe6, 0x40);
    refused(Errno.ENXIO, () -> guest.vm.getIrqchip(0));
    refused(Errno.EINVAL, () -> guest.vm.setGsiRouting(List.of(IrqRoute.irqchip(1, 2, 1))));
    out(guest.run(), 0x20);
    out(guest.run(), 0x40);
    assertEquals(-1, guest.vm.irqLineStatus(4, 1));
  }

  @EachBackend
  void aSplitChipTakesInterruptsOfUserSpacesPic() throws Exception {
    RealModeGuest guest = split(0xe6, DONE_PORT, 0xfb, 0xf4, 0xe6, DONE_PORT);
    guest.memory.putInt(4L * 0x33, HANDLERS);
    guest.load(HANDLERS, 0xb0, 0x33, 0xe6, HANDLER_PORT, 0xcf);
    guest.run(Exit.IoOut.class);
    guest.vcpu.interrupt(0x33);
    refused(Errno.EEXIST, () -> guest.vcpu.interrupt(0x34));
    assertEquals(0x33, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
    out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
  }

  @EachBackend
  void aSplitChipTellsOfEndsOfLevels() throws Exception {
    RealModeGuest guest = split(0xfb, 0xf4, 0xe6, DONE_PORT);
    apicHandler(guest, 0x44);
    apicPage(guest);
    enable(guest.vcpu);
    guest.vm.setGsiRouting(List.of(IrqRoute.msi(3, 0xfee00000L, 0x8044)));
    assertEquals(1, guest.vm.irqLineStatus(3, 1));
    assertEquals(0x44, out(Aside.await(Aside.run(guest.vcpu)), HANDLER_PORT));
    Exit end = Aside.await(Aside.run(guest.vcpu));
    assertEquals(new Exit.IoapicEoi(0x44), end);
    out(Aside.await(Aside.run(guest.vcpu)), DONE_PORT);
  }

  @EachBackend
  void interruptsOfUserSpaceAreRefusedWithPics() {
    RealModeGuest guest = guest(0xe6, DONE_PORT);
    refused(Errno.ENXIO, () -> guest.vcpu.interrupt(0x33));
    guest.vcpu.runPage().setRequestInterruptWindow(true);
    out(guest.run(), DONE_PORT);
    assertTrue(guest.vcpu.runPage().readyForInterruptInjection(), "whatever the flag");
  }
}
