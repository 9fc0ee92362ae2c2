package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeCode.*;

import java.util.List;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.MpState;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/** What a guest asks the kernel for by VMCALL. */
class HypercallTests extends KvmContract {
  private static final int POLL_IRQ = 1;
  private static final int KICK_CPU = 5;
  private static final int CLOCK_PAIRING = 9;
  private static final int SEND_IPI = 10;
  private static final int SCHED_YIELD = 11;
  private static final int MAP_GPA_RANGE = 12;

  private static final int EPERM = -1;
  private static final int EINVAL = -22;
  private static final int EOPNOTSUPP = -95;
  private static final int ENOSYS = -1000;

  private static final int DONE = 0x10;
  private static final int SPURIOUS = 0xf0;
  private static final int IRR = 0x200;

  private static int[] call(int[] instruction, int nr, int a0, int a1, int a2, int a3) {
    return join(
        mov(EAX, nr),
        mov(EBX, a0),
        mov(ECX, a1),
        mov(EDX, a2),
        mov(ESI, a3),
        instruction,
        out(DONE),
        HLT);
  }

  private void needsCalls() {
    if (!backend.isEmulated()) {
      backend.limit(
          "executes real mode in its instruction emulator, which patches a hypercall for ever");
    }
  }

  private RealModeGuest guest(int nr, int... arguments) {
    needsCalls();
    int[] a = java.util.Arrays.copyOf(arguments, 4);
    return new RealModeGuest(kvm, call(VMCALL, nr, a[0], a[1], a[2], a[3]));
  }

  private RealModeGuest guestWithChips(int nr, int... arguments) {
    needsCalls();
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP);
    int[] a = java.util.Arrays.copyOf(arguments, 4);
    return new RealModeGuest(
        kvm, vm -> vm.createIrqchip(), 0, call(VMCALL, nr, a[0], a[1], a[2], a[3]));
  }

  /** What the call gives: 32 bits, as the guest is no 64-bit one. */
  private static int result(RealModeGuest guest) {
    assertEquals(DONE, guest.run(Exit.IoOut.class).port());
    long rax = guest.vcpu.getRegs().rax;
    assertEquals(0, rax >>> 32);
    return (int) rax;
  }

  @EachBackend
  void unknownCallsAreRefused() {
    assertEquals(ENOSYS, result(guest(0)));
    assertEquals(ENOSYS, result(guest(2)));
    assertEquals(ENOSYS, result(guest(4711)));
    assertEquals(ENOSYS, result(guest(-1)));
  }

  @EachBackend
  void pollingForInterruptsDoesNothing() {
    assertEquals(0, result(guest(POLL_IRQ)));
  }

  @EachBackend
  void userModeMayNotCall() {
    needsCalls();
    RealModeGuest guest = new RealModeGuest(kvm, join(mov(EAX, POLL_IRQ), VMCALL, out(DONE), HLT));
    guest.regs(r -> r.rflags = 2 | 3 << 12); // IOPL 3, so that OUT is allowed
    guest.sregs(
        s -> {
          s.cr0 |= 1;
          s.cs.type = 11;
          s.cs.db = 0;
          for (Segment segment : List.of(s.cs, s.ds, s.es, s.fs, s.gs, s.ss)) {
            segment.selector = 0x13;
            segment.dpl = 3;
          }
          s.cs.selector = 0xb;
        });
    assertEquals(EPERM, result(guest));
  }

  @EachBackend
  void otherVendorsInstructionDoesTheSame() {
    needsCalls();
    RealModeGuest guest = new RealModeGuest(kvm, call(VMMCALL, POLL_IRQ, 0, 0, 0, 0));
    assertEquals(0, result(guest));
    long at = RealModeGuest.CODE + 5 * 6;
    assertEquals((byte) 0xc1, guest.memory.getByte(at + 2), "it is patched");
  }

  @EachBackend
  void otherVendorsInstructionIsUndefinedWithoutTheQuirk() {
    needsCalls();
    RealModeGuest guest = new RealModeGuest(kvm, call(VMMCALL, POLL_IRQ, 0, 0, 0, 0));
    guest.vm.enableCap(Caps.KVM_CAP_DISABLE_QUIRKS, Uapi.KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
    assertTrue(RealModeGuest.isStray(guest.run(), 6));
  }

  @EachBackend
  void kickEndsAHalt() {
    RealModeGuest guest = guestWithChips(KICK_CPU, 0, 1);
    Vcpu other = guest.vm.createVcpu(1);
    other.setMpState(MpState.HALTED);
    assertEquals(0, result(guest));
    assertEquals(MpState.RUNNABLE, other.getMpState());
  }

  @EachBackend
  void interruptsAreSentToASet() {
    RealModeGuest guest = guestWithChips(SEND_IPI, 0b111, 0, 0, 0x41);
    Vcpu other = guest.vm.createVcpu(2);
    for (Vcpu vcpu : List.of(guest.vcpu, other)) {
      LapicState lapic = vcpu.getLapic();
      lapic.setRegister(SPURIOUS, 0x1ff);
      vcpu.setLapic(lapic);
    }
    assertEquals(2, result(guest), "processor 1 is not there");
    assertEquals(2, other.getLapic().register(IRR + 0x20));
  }

  @EachBackend
  void onlyPhysicalDestinationsAreSentTo() {
    assertEquals(EINVAL, result(guestWithChips(SEND_IPI, 1, 0, 0, 0x841)));
    assertEquals(EINVAL, result(guestWithChips(SEND_IPI, 1, 0, 0, 0x40041)));
    assertEquals(0, result(guestWithChips(SEND_IPI, 1, 0, 5000, 0x41)));
    assertEquals(0, result(guestWithChips(SEND_IPI, -1, 0, -1, 0x41)), "no ID wraps around");
  }

  @EachBackend
  void processorIsYielded() {
    assertEquals(0, result(guestWithChips(SCHED_YIELD, 0)));
    assertEquals(0, result(guestWithChips(SCHED_YIELD, 99)));
  }

  @EachBackend
  void clocksArePaired() {
    int address = 0x6000;
    RealModeGuest guest = guest(CLOCK_PAIRING, address, 0);
    assertEquals(0, result(guest));
    long seconds = guest.memory.getLong(address);
    assertTrue(Math.abs(System.currentTimeMillis() / 1000 - seconds) < 86400, "sec " + seconds);
    assertTrue(guest.memory.getLong(address + 8) < 1_000_000_000L);
    assertTrue(guest.memory.getLong(address + 16) <= guest.vcpu.getMsr(0x10));
    assertEquals(EOPNOTSUPP, result(guest(CLOCK_PAIRING, address, 1)), "another clock");
    assertEquals(-14, result(guest(CLOCK_PAIRING, (int) RealModeGuest.HOLE, 0)), "no memory");
  }

  @EachBackend
  void rangesAreMappedByUserSpace() {
    RealModeGuest guest = guest(MAP_GPA_RANGE, 0x3000, 2, 0x10);
    backend.needs(kvm, KvmCap.KVM_CAP_EXIT_HYPERCALL);
    guest.vm.enableCap(Caps.KVM_CAP_EXIT_HYPERCALL, 1 << MAP_GPA_RANGE);
    Exit.Hypercall exit = guest.run(Exit.Hypercall.class);
    assertEquals(MAP_GPA_RANGE, exit.number());
    assertEquals(List.of(0x3000L, 2L, 0x10L), exit.arguments().subList(0, 3));
    guest.vcpu.answerHypercall(0x1_0000_0007L);
    assertEquals(7, result(guest));
  }

  @EachBackend
  void rangesThatCannotBeAreRefused() {
    needsCalls();
    assertEquals(ENOSYS, result(guest(MAP_GPA_RANGE, 0x3000, 1)), "not asked for");
    backend.needs(kvm, KvmCap.KVM_CAP_EXIT_HYPERCALL);
    int[][] wrong = {{0x3001, 1}, {0x3000, 0}};
    for (int[] range : wrong) {
      RealModeGuest guest = guest(MAP_GPA_RANGE, range);
      guest.vm.enableCap(Caps.KVM_CAP_EXIT_HYPERCALL, 1 << MAP_GPA_RANGE);
      assertEquals(EINVAL, result(guest));
    }
    refused(
        Errno.EINVAL,
        () -> guest(0).vm.enableCap(Caps.KVM_CAP_EXIT_HYPERCALL, 1 << MAP_GPA_RANGE | 2));
  }
}
