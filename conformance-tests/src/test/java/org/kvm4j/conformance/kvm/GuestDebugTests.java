package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeGuest.CODE;

import org.kvm4j.kvm.DebugRegs;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestDebug;
import org.kvm4j.kvm.uapi.Uapi;

class GuestDebugTests extends KvmContract {

  private static final long DR6_BS = 1 << 14;

  private static void debug(RealModeGuest guest, int control) {
    GuestDebug debug = new GuestDebug();
    debug.control = control;
    guest.vcpu.setGuestDebug(debug);
  }

  @EachBackend
  void singleStepExitsAfterEachInstruction() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x90, // nop
            0xb8, 0x34, 0x12, // mov ax, 0x1234
            0xeb, 0x01, // jmp over a byte
            0xf4, 0xf4); // hlt
    debug(guest, Uapi.KVM_GUESTDBG_ENABLE | Uapi.KVM_GUESTDBG_SINGLESTEP);
    for (int offset : new int[] {1, 4, 7}) {
      Exit.Debug exit = guest.run(Exit.Debug.class);
      assertEquals(1, exit.exception());
      assertEquals(CODE + offset, exit.pc());
      assertTrue((exit.dr6() & DR6_BS) != 0, exit::toString);
      assertEquals(CODE + offset, guest.rip());
      assertEquals(0, guest.vcpu.getRegs().rflags & 0x100, "TF is not the guest's");
    }
    debug(guest, 0);
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void singleStepReportsTheLinearAddress() {
    RealModeGuest guest = new RealModeGuest(kvm, 0x90, 0x90, 0xf4);
    guest.sregs(s -> s.cs.setRealMode(0x100));
    guest.regs(r -> r.rip = 0);
    debug(guest, Uapi.KVM_GUESTDBG_ENABLE | Uapi.KVM_GUESTDBG_SINGLESTEP);
    assertEquals(CODE + 1, guest.run(Exit.Debug.class).pc());
    assertEquals(1, guest.rip());
  }

  @EachBackend
  void aHardwareBreakpointStopsBeforeTheInstruction() {
    RealModeGuest guest = new RealModeGuest(kvm, 0x90, 0x40, 0x40, 0x40, 0xf4);
    GuestDebug debug = new GuestDebug();
    debug.control = Uapi.KVM_GUESTDBG_ENABLE | Uapi.KVM_GUESTDBG_USE_HW_BP;
    debug.debugreg[1] = CODE + 3;
    debug.debugreg[7] = 0x400 | 1 << 2; // L1, execution, one byte.
    guest.vcpu.setGuestDebug(debug);
    Exit.Debug exit = guest.run(Exit.Debug.class);
    assertEquals(1, exit.exception());
    assertEquals(CODE + 3, exit.pc());
    assertEquals(2, exit.dr6() & 0xf);
    assertEquals(2, guest.vcpu.getRegs().rax);
    debug(guest, 0);
    guest.run(Exit.Hlt.class);
    assertEquals(3, guest.vcpu.getRegs().rax);
  }

  @EachBackend
  void aHardwareWatchpointStopsAfterTheWrite() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xc6, 0x06, 0x00, 0x30, 0x07, // mov byte [0x3000], 7
            0xc6, 0x06, 0x04, 0x30, 0x08, // mov byte [0x3004], 8
            0xf4); // hlt
    GuestDebug debug = new GuestDebug();
    debug.control = Uapi.KVM_GUESTDBG_ENABLE | Uapi.KVM_GUESTDBG_USE_HW_BP;
    debug.debugreg[0] = 0x3004;
    debug.debugreg[7] = 0x400 | 1 | 1 << 16; // L0, writes, one byte.
    guest.vcpu.setGuestDebug(debug);
    Exit exit = guest.run();
    if (exit instanceof Exit.Hlt) {
      backend.limit("executes real mode in its instruction emulator, which has no watchpoints");
    }
    Exit.Debug hit = assertInstanceOf(Exit.Debug.class, exit);
    assertEquals(CODE + 10, hit.pc());
    assertEquals(1, hit.dr6() & 0xf);
    assertEquals(8, guest.memory.getByte(0x3004));
    guest.run(Exit.Hlt.class);
  }

  /** A guest that sets TF and, in the shadow of a move to SS, executes this instruction. */
  private RealModeGuest steppingInTheShadow(int... instruction) {
    RealModeGuest guest = new RealModeGuest(kvm);
    guest.load(
        CODE, 0x9c, 0x58, 0x0d, 0x00, 0x01, 0x50, // pushf; pop ax; or ax, 0x100; push ax
        0x8c, 0xd3, 0x9d, 0x8e, 0xd3); // mov bx, ss; popf; mov ss, bx
    guest.load(CODE + 11, instruction);
    guest.memory.putInt(4, 0x2000);
    guest.load(0x2000, 0xe6, 0x0d, 0xf4); // out 13, al; hlt
    return guest;
  }

  private void runToHandler(RealModeGuest guest) {
    assertEquals(13, guest.run(Exit.IoOut.class).port());
    if ((guest.vcpu.getDebugRegs().dr6 & DR6_BS) != 0) {
      backend.limit("executes real mode in its instruction emulator, which steps in the shadow");
    }
  }

  @EachBackend
  void anInt1InTheShadowOfAMoveToSsIsATrap() {
    RealModeGuest guest = steppingInTheShadow(0xf1);
    runToHandler(guest);
    assertEquals(CODE + 12, guest.memory.getShort(guest.vcpu.getRegs().rsp));
    assertEquals(0xffff0ff0L, guest.vcpu.getDebugRegs().dr6);
  }

  @EachBackend
  void guardedDebugRegistersAreGuardedInTheShadowOfAMoveToSs() {
    RealModeGuest guest = steppingInTheShadow(0x0f, 0x23, 0xf0); // mov dr6, eax
    DebugRegs debug = guest.vcpu.getDebugRegs();
    debug.dr7 = 0x2400;
    guest.vcpu.setDebugRegs(debug);
    runToHandler(guest);
    assertEquals(CODE + 11, guest.memory.getShort(guest.vcpu.getRegs().rsp));
    debug = guest.vcpu.getDebugRegs();
    assertEquals(0x2000, debug.dr6 & 0xe000);
    assertEquals(0x400, debug.dr7);
  }

  @EachBackend
  void aSoftwareBreakpointStopsAtTheInt3() {
    RealModeGuest guest = new RealModeGuest(kvm, 0x90, 0xcc, 0x90, 0xf4);
    debug(guest, Uapi.KVM_GUESTDBG_ENABLE | Uapi.KVM_GUESTDBG_USE_SW_BP);
    Exit exit = guest.run();
    if (RealModeGuest.isStray(exit, 3)) {
      backend.limit("its instruction emulator delivers INT3 to the guest, whoever debugs it");
    }
    Exit.Debug hit = assertInstanceOf(Exit.Debug.class, exit);
    assertEquals(3, hit.exception());
    assertEquals(CODE + 1, hit.pc());
    assertEquals(CODE + 1, guest.rip());
    guest.memory.putByte(CODE + 1, (byte) 0x90);
    guest.run(Exit.Hlt.class);
  }
}
