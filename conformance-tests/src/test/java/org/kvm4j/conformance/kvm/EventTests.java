package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeGuest.CODE;

import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.VcpuEvents;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/** Interrupts, NMIs and exceptions that user space injects, without in-kernel interrupt chips. */
class EventTests extends KvmContract {

  private static final int HANDLER = 0x2000;

  @EachBackend
  void theWindowOpensInALoopThatNeverExits() {
    RealModeGuest guest = new RealModeGuest(kvm, 0x90, 0xfb, 0xeb, 0xfe); // nop; sti; jmp to itself
    guest.vcpu.runPage().setRequestInterruptWindow(true);
    guest.run(Exit.IrqWindowOpen.class);
    assertTrue(guest.vcpu.runPage().readyForInterruptInjection());
    assertEquals(CODE + 2, guest.rip());
  }

  /** A handler that tells of itself by a port and goes back. */
  private static void handler(RealModeGuest guest, int vector, int port) {
    int at = HANDLER + vector * 16;
    guest.memory.putInt(vector * 4L, at);
    guest.load(at, 0xe6, port, 0xcf); // out port, al; iret
  }

  @EachBackend
  void anInterruptIsTakenWhereInterruptsAreOn() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xfb, 0x90, 0x90, 0xe6, 0x10, 0xf4);
    handler(guest, 0x20, 0x11);
    guest.regs(r -> r.rflags |= 0x200);
    guest.vcpu.interrupt(0x20);
    assertEquals(0x11, guest.run(Exit.IoOut.class).port());
    // The frame: IP, CS and FLAGS of the first instruction.
    assertEquals(RealModeGuest.STACK - 6, guest.vcpu.getRegs().rsp);
    assertEquals(CODE, guest.memory.getShort(RealModeGuest.STACK - 6));
    assertEquals(0, guest.vcpu.getRegs().rflags & 0x200);
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void anInterruptWaitsUntilInterruptsAreOnAndStiHasPassed() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xe6, 0x10, // out 0x10, al
            0xfb, // sti
            0x40, // inc ax
            0x40, // inc ax
            0xf4); // hlt
    handler(guest, 0x21, 0x11);
    guest.vcpu.runPage().setRequestInterruptWindow(true);
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
    assertFalse(guest.vcpu.runPage().ifFlag());
    assertFalse(guest.vcpu.runPage().readyForInterruptInjection());
    Exit window = guest.run();
    if (window instanceof Exit.Hlt) {
      backend.limit("its instruction emulator does not look for the window after each instruction");
    }
    assertEquals(new Exit.IrqWindowOpen(), window);
    assertTrue(guest.vcpu.runPage().ifFlag());
    assertTrue(guest.vcpu.runPage().readyForInterruptInjection());
    assertEquals(1, guest.vcpu.getRegs().rax & 0xffff, "one instruction after STI");
    guest.vcpu.runPage().setRequestInterruptWindow(false);
    guest.vcpu.interrupt(0x21);
    assertEquals(0x11, guest.run(Exit.IoOut.class).port());
    assertEquals(CODE + 4, guest.memory.getShort(RealModeGuest.STACK - 6));
    guest.run(Exit.Hlt.class);
    assertEquals(2, guest.vcpu.getRegs().rax & 0xffff);
  }

  @EachBackend
  void anNmiIsTakenWithInterruptsOffAndBlocksTheNextUntilIret() {
    backend.needs(kvm, KvmCap.KVM_CAP_USER_NMI);
    RealModeGuest guest = new RealModeGuest(kvm, 0x90, 0x90, 0xe6, 0x10, 0xf4);
    handler(guest, 2, 0x11);
    guest.vcpu.nmi();
    assertEquals(0x11, guest.run(Exit.IoOut.class).port());
    assertEquals(1, guest.vcpu.getVcpuEvents().nmiMasked);
    guest.vcpu.nmi();
    int port = guest.run(Exit.IoOut.class).port();
    if (port == 0x10) {
      backend.limit("its instruction emulator goes on after IRET without taking a pending NMI");
    }
    assertEquals(0x11, port, "after IRET");
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
    assertEquals(0, guest.vcpu.getVcpuEvents().nmiMasked);
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void anExceptionThatUserSpaceInjectsIsDelivered() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xf4);
    handler(guest, 6, 0x16);
    VcpuEvents events = guest.vcpu.getVcpuEvents();
    events.exceptionInjected = 1;
    events.exceptionNr = 6;
    events.flags = 0;
    guest.vcpu.setVcpuEvents(events);
    assertEquals(0x16, guest.run(Exit.IoOut.class).port());
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void faultsOfTheGuestReachItsHandlers() {
    // #DE by dividing by zero; #UD by an undefined instruction; #GP by a word past the segment's
    // end.
    int[][] codes = {
      {0x31, 0xc9, 0xf7, 0xf1, 0xf4}, // xor cx, cx; div cx
      {0x0f, 0x0b, 0xf4}, // ud2
      {0xa1, 0xff, 0xff, 0xf4} // mov ax, [0xffff]
    };
    int[] vectors = {0, 6, 13};
    int[] at = {2, 0, 0};
    for (int i = 0; i < codes.length; i++) {
      RealModeGuest guest = new RealModeGuest(kvm, codes[i]);
      handler(guest, vectors[i], 0x40 + vectors[i]);
      assertEquals(0x40 + vectors[i], guest.run(Exit.IoOut.class).port());
      assertEquals(CODE + at[i], guest.memory.getShort(RealModeGuest.STACK - 6), "a fault's IP");
    }
  }

  @EachBackend
  void aTripleFaultIsAShutdown() {
    RealModeGuest guest = new RealModeGuest(kvm, 0x0f, 0x0b); // ud2
    guest.sregs(s -> s.idt.limit = 0);
    Exit exit = guest.run();
    if (RealModeGuest.isStray(exit, 6)) {
      backend.limit("its instruction emulator does not check the limit of real mode's vectors");
    }
    assertInstanceOf(Exit.Shutdown.class, exit);
  }

  @EachBackend
  void codeInAHoleIsAnInternalErrorEachTime() {
    RealModeGuest guest =
        new RealModeGuest(kvm, 0xea, 0x00, 0x00, 0x00, 0x20); // jmp 0x2000:0, which is a hole
    for (int i = 0; i < 3; i++) {
      Exit.InternalError error = guest.run(Exit.InternalError.class);
      assertEquals(Uapi.KVM_INTERNAL_ERROR_EMULATION, error.suberror());
      assertEquals(0, guest.rip());
      assertEquals(0x2000, guest.vcpu.getSregs().cs.selector);
    }
  }

  @EachBackend
  void theRunPageTellsTheInterruptFlag() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xfb, 0x90, 0xe6, 0x10, 0xfa, 0xf4);
    guest.run(Exit.IoOut.class);
    assertFalse(guest.vcpu.runPage().ifFlag());
    guest.run(Exit.IoOut.class);
    assertTrue(guest.vcpu.runPage().ifFlag());
    assertTrue(guest.vcpu.runPage().readyForInterruptInjection());
    guest.run(Exit.Hlt.class);
    assertFalse(guest.vcpu.runPage().ifFlag());
    assertFalse(guest.vcpu.runPage().readyForInterruptInjection());
  }
}
