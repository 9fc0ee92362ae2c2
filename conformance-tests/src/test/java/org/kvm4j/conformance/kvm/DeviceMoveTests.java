package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeGuest.CODE;
import static org.kvm4j.conformance.kvm.RealModeGuest.HOLE;
import static org.kvm4j.conformance.kvm.RealModeGuest.STACK;

import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.uapi.Uapi;

/** The moves between a register and device memory that drivers are made of, form by form. */
class DeviceMoveTests extends KvmContract {
  /** More than it takes until a processor knows a move for one that touches devices. */
  private static final int ROUNDS = 20;

  private RealModeGuest guest(int... code) {
    RealModeGuest guest = new RealModeGuest(kvm, code);
    guest.dataAt(HOLE);
    return guest;
  }

  @EachBackend
  void storesComeFromRegistersAndImmediatesOfAnySize() {
    RealModeGuest guest =
        guest(
            0x88, 0x26, 0x10, 0x00, // mov [0x10], ah
            0xc6, 0x06, 0x11, 0x00, 0x5a, // mov byte [0x11], 0x5a
            0xc7, 0x06, 0x12, 0x00, 0x34, 0x12, // mov word [0x12], 0x1234
            0x66, 0xc7, 0x06, 0x14, 0x00, 0xfe, 0xff, 0xff, 0xff, // mov dword [0x14], -2
            0x89, 0x26, 0x18, 0x00, // mov [0x18], sp
            0x88, 0x50, 0x20, // mov [bx + si + 0x20], dl
            0x66, 0xa3, 0x00, 0x00, // mov [0], eax
            0x4d, // dec bp
            0x75, 0xda, // jnz to the start
            0xf4); // hlt
    guest.regs(
        r -> {
          r.rax = 0x11223344;
          r.rbx = 1;
          r.rdx = 0x99;
          r.rsi = 2;
          r.rbp = ROUNDS;
        });
    for (int k = 0; k < ROUNDS; k++) {
      assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x33), guest.run());
      assertEquals(new Exit.MmioWrite(HOLE + 0x11, 1, 0x5a), guest.run());
      assertEquals(new Exit.MmioWrite(HOLE + 0x12, 2, 0x1234), guest.run());
      assertEquals(new Exit.MmioWrite(HOLE + 0x14, 4, 0xfffffffeL), guest.run());
      assertEquals(new Exit.MmioWrite(HOLE + 0x18, 2, STACK), guest.run());
      assertEquals(new Exit.MmioWrite(HOLE + 0x23, 1, 0x99), guest.run());
      assertEquals(new Exit.MmioWrite(HOLE, 4, 0x11223344), guest.run());
    }
    guest.run(Exit.Hlt.class);
    assertEquals(CODE + 39, guest.rip());
  }

  private static void answer(RealModeGuest guest, int offset, int size, long value) {
    assertEquals(new Exit.MmioRead(HOLE + offset, size), guest.run());
    guest.vcpu.answerMmio(value);
  }

  @EachBackend
  void loadsLeaveWhatTheirRegisterHasBeside() {
    RealModeGuest guest =
        guest(
            0x8a, 0x26, 0x10, 0x00, // mov ah, [0x10]
            0x66, 0x0f, 0xb6, 0x1e, 0x11, 0x00, // movzx ebx, byte [0x11]
            0x0f, 0xb7, 0x0e, 0x12, 0x00, // movzx cx, word [0x12]
            0x8b, 0x26, 0x14, 0x00, // mov sp, [0x14]
            0x66, 0x8b, 0x16, 0x00, 0x00, // mov edx, [0]
            0x66, 0x0f, 0xbe, 0x36, 0x18, 0x00, // movsx esi, byte [0x18]
            0x0f, 0xbe, 0x3e, 0x1a, 0x00, // movsx di, byte [0x1a]
            0x4d, // dec bp
            0x75, 0xda, // jnz to the start
            0xf4); // hlt
    guest.regs(
        r -> {
          r.rax = 0x1111111111111111L;
          r.rbx = -1;
          r.rcx = 0x2222222222222222L;
          r.rdx = -1;
          r.rdi = 0x4444444444444444L;
          r.rbp = ROUNDS;
        });
    for (int k = 0; k < ROUNDS; k++) {
      answer(guest, 0x10, 1, 0xa0 + k);
      answer(guest, 0x11, 1, 0xcd);
      answer(guest, 0x12, 2, 0x3333);
      answer(guest, 0x14, 2, 0x7000);
      answer(guest, 0, 4, 0xfedcba98L - k);
      answer(guest, 0x18, 1, 0x80 + k);
      answer(guest, 0x1a, 1, k % 2 == 0 ? 0x7f : 0xff);
      Regs now = guest.vcpu.getRegs();
      assertEquals(0xfedcba98L - k, now.rdx);
    }
    guest.run(Exit.Hlt.class);
    Regs regs = guest.vcpu.getRegs();
    assertEquals(0x111111111111b311L, regs.rax);
    assertEquals(0xcd, regs.rbx);
    assertEquals(0x2222222222223333L, regs.rcx);
    assertEquals(0x7000, regs.rsp);
    assertEquals(0xfedcba85L, regs.rdx);
    assertEquals(0xffffff93L, regs.rsi);
    assertEquals(0x444444444444ffffL, regs.rdi);
    assertEquals(CODE + 39, regs.rip);
  }

  @EachBackend
  void theSameMoveAgainAndAgainMeetsDevicesAndMemory() {
    RealModeGuest guest =
        guest(
            0xa2, 0x10, 0x00, // mov [0x10], al
            0xfe, 0xc0, // inc al
            0x75, 0xf9, // jnz to the mov
            0xf4); // hlt
    for (int k = 0; k < 40; k++) {
      assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, k), guest.run());
    }
    guest.memory.add(1, HOLE, 0x1000, 0);
    guest.run(Exit.Hlt.class);
    assertEquals((byte) 0xff, guest.memory.getByte(HOLE + 0x10));
    guest.vm.deleteMemoryRegion(1);
    guest.regs(r -> r.rip = CODE);
    for (int k = 0; k < 40; k++) {
      assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, k), guest.run());
    }
  }

  @EachBackend
  void codeThatWasOverwrittenIsNotTakenForWhatItWas() {
    RealModeGuest guest =
        guest(
            0xa2, 0x10, 0x00, // mov [0x10], al
            0xf4); // hlt
    guest.regs(r -> r.rax = 0x1234);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x34), guest.run());
    guest.run(Exit.Hlt.class);
    guest.load(CODE, 0xa3, 0x10, 0x00); // mov [0x10], ax
    guest.regs(r -> r.rip = CODE);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 2, 0x1234), guest.run());
    guest.run(Exit.Hlt.class);
    guest.load(CODE, 0x00, 0x06, 0x10, 0x00, 0xf4); // add [0x10], al; hlt
    guest.regs(r -> r.rip = CODE);
    answer(guest, 0x10, 1, 1);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x35), guest.run());
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void instructionsAtTheEndOfAPageOfCodeAreCarriedOutTheSame() {
    RealModeGuest guest = guest(0xf4);
    for (int from = 0xff0; from <= 0xfff; from++) {
      int at = CODE + from;
      guest.load(
          at, 0xc6, 0x06, from & 0xff, 0x00, from & 0x7f, 0xf4); // mov byte [from], from; hlt
      guest.regs(r -> r.rip = at);
      assertEquals(new Exit.MmioWrite(HOLE + (from & 0xff), 1, from & 0x7f), guest.run());
      guest.run(Exit.Hlt.class);
      assertEquals(at + 6, guest.rip());
    }
  }

  @EachBackend
  void theShadowOfStiEndsWithTheMove() {
    RealModeGuest guest =
        guest(
            0xfb, // sti
            0xa2, 0x10, 0x00, // mov [0x10], al
            0xf4); // hlt
    guest.run(Exit.MmioWrite.class);
    assertEquals(0, guest.vcpu.getVcpuEvents().interruptShadow);
  }

  @EachBackend
  void theGuestsOwnTrapFollowsTheMove() {
    if (!backend.isEmulated()) {
      backend.limit("raises no single-step trap after a store that user space has to carry out");
    }
    RealModeGuest guest =
        guest(
            0xa2, 0x10, 0x00, // mov [0x10], al
            0xf4); // hlt
    guest.regs(r -> r.rflags = 0x102); // TF
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0), guest.run());
    assertTrue(RealModeGuest.isStray(guest.run(), 1), "#DB");
  }

  @EachBackend
  void aStoreToReadOnlyMemoryIsADevicesAndALoadIsNot() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xc6, 0x06, 0x10, 0x00, 0x77, // mov byte [0x10], 0x77
            0xa0, 0x10, 0x00, // mov al, [0x10]
            0xf4); // hlt
    guest.memory.add(1, HOLE, 0x1000, Uapi.KVM_MEM_READONLY);
    guest.memory.putByte(HOLE + 0x10, (byte) 0x66);
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 1, 0x77), guest.run());
    guest.run(Exit.Hlt.class);
    assertEquals(0x66, guest.vcpu.getRegs().rax);
  }
}
