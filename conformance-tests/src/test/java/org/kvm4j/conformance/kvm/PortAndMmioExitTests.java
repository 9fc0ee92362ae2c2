package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeGuest.CODE;
import static org.kvm4j.conformance.kvm.RealModeGuest.HOLE;

import org.kvm4j.kvm.Bytes;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Regs;

/** Exits of a guest in real mode that reaches for ports, device memory, and HLT. */
class PortAndMmioExitTests extends KvmContract {

  @EachBackend
  void outGivesPortSizeAndData() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xb8, 0x34, 0x12, // mov ax, 0x1234
            0xe6, 0x10, // out 0x10, al
            0xba, 0xf8, 0x03, // mov dx, 0x3f8
            0xef, // out dx, ax
            0x66, 0xb8, 0xef, 0xbe, 0xad, 0xde, // mov eax, 0xdeadbeef
            0x66, 0xef, // out dx, eax
            0xf4); // hlt
    assertEquals(new Exit.IoOut(0x10, 1, 1, Bytes.of((byte) 0x34)), guest.run());
    Exit.IoOut word = guest.run(Exit.IoOut.class);
    assertEquals(new Exit.IoOut(0x3f8, 2, 1, Bytes.of((byte) 0x34, (byte) 0x12)), word);
    Exit.IoOut dword = guest.run(Exit.IoOut.class);
    assertEquals(4, dword.size());
    assertEquals(0xdeadbeef, dword.value());
    guest.run(Exit.Hlt.class);
    assertEquals(CODE + 18, guest.rip(), "past HLT");
  }

  @EachBackend
  void inTakesTheAnswerOnTheNextRun() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0xb8, 0xff, 0xff, 0xff, 0xff, // mov eax, -1
            0xe4, 0x60, // in al, 0x60
            0x66, 0xe5, 0x61, // in eax, 0x61
            0xf4); // hlt
    assertEquals(new Exit.IoIn(0x60, 1, 1), guest.run());
    assertEquals(CODE + 6, guest.rip(), "at IN until it is entered again");
    guest.vcpu.answerIn(0x5a);
    assertEquals(new Exit.IoIn(0x61, 4, 1), guest.run());
    assertEquals(0xffffff5aL, guest.vcpu.getRegs().rax);
    guest.vcpu.answerIn(0x89abcdef);
    guest.run(Exit.Hlt.class);
    assertEquals(0x89abcdefL, guest.vcpu.getRegs().rax);
  }

  @EachBackend
  void repOutsGivesAnExitForEachElement() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xb9, 0x03, 0x00, // mov cx, 3
            0xbe, 0x00, 0x20, // mov si, 0x2000
            0xba, 0x80, 0x00, // mov dx, 0x80
            0xf3, 0x6f, // rep outsw
            0xf4); // hlt
    guest.load(0x2000, 1, 2, 3, 4, 5, 6);
    for (int i = 0; i < 3; i++) {
      assertEquals(
          new Exit.IoOut(0x80, 2, 1, Bytes.of((byte) (2 * i + 1), (byte) (2 * i + 2))),
          guest.run());
    }
    guest.run(Exit.Hlt.class);
    Regs regs = guest.vcpu.getRegs();
    assertEquals(0, regs.rcx);
    assertEquals(0x2006, regs.rsi);
  }

  @EachBackend
  void repInsGivesOneExitWithItsCount() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xb9, 0x05, 0x00, // mov cx, 5
            0xbf, 0x00, 0x20, // mov di, 0x2000
            0xba, 0x80, 0x00, // mov dx, 0x80
            0xf3, 0x6c, // rep insb
            0xf4); // hlt
    assertEquals(new Exit.IoIn(0x80, 1, 5), guest.run());
    guest.vcpu.answerIn(new byte[] {9, 8, 7, 6, 5});
    guest.run(Exit.Hlt.class);
    byte[] read = new byte[6];
    guest.memory.read(0x2000, read, 0, 6);
    assertArrayEquals(new byte[] {9, 8, 7, 6, 5, 0}, read);
    assertEquals(0, guest.vcpu.getRegs().rcx);
    assertEquals(0x2005, guest.vcpu.getRegs().rdi);
  }

  @EachBackend
  void repInsAsksForAtMost1024AtOnce() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xb9, 0xb8, 0x0b, // mov cx, 3000
            0xbf, 0x00, 0x20, // mov di, 0x2000
            0xba, 0x80, 0x00, // mov dx, 0x80
            0xf3, 0x6c, // rep insb
            0xf4); // hlt
    int total = 0;
    int exits = 0;
    Exit exit = guest.run();
    while (exit instanceof Exit.IoIn in) {
      assertTrue(in.count() >= 1 && in.count() <= 1024, in::toString);
      byte[] data = new byte[in.count()];
      for (int i = 0; i < data.length; i++) {
        data[i] = (byte) ((total + i) * 7);
      }
      total += data.length;
      exits++;
      guest.vcpu.answerIn(data);
      exit = guest.run();
    }
    assertEquals(new Exit.Hlt(), exit);
    assertEquals(3000, total);
    assertTrue(exits <= 8, () -> "batches, not elements");
    for (int i = 0; i < 3000; i++) {
      assertEquals((byte) (i * 7), guest.memory.getByte(0x2000 + i));
    }
  }

  @EachBackend
  void aWriteToAHoleGivesAddressLengthAndDataWithTheInstructionDone() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, // mov eax, 0x12345678
            0x66, 0xa3, 0x10, 0x00, // mov [0x10], eax
            0xa2, 0x20, 0x00, // mov [0x20], al
            0xf4); // hlt
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 4, 0x12345678), guest.run());
    assertEquals(CODE + 10, guest.rip(), "past the instruction");
    assertEquals(new Exit.MmioWrite(HOLE + 0x20, 1, 0x78), guest.run());
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void aReadFromAHoleTakesTheAnswerOnTheNextRun() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0xa1, 0x10, 0x00, // mov eax, [0x10]
            0xf4); // hlt
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioRead(HOLE + 0x10, 4), guest.run());
    assertEquals(CODE, guest.rip(), "at the instruction until it is entered again");
    guest.vcpu.answerMmio(0xcafebabeL);
    guest.run(Exit.Hlt.class);
    assertEquals(0xcafebabeL, guest.vcpu.getRegs().rax);
  }

  @EachBackend
  void aReadModifyWriteGivesAReadAndThenAWrite() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x80, 0x06, 0x04, 0x00, 0x05, // add byte [4], 5
            0xf4); // hlt
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioRead(HOLE + 4, 1), guest.run());
    guest.vcpu.answerMmio(0xfe);
    assertEquals(new Exit.MmioWrite(HOLE + 4, 1, 0x03), guest.run());
    guest.run(Exit.Hlt.class);
    assertEquals(1, guest.vcpu.getRegs().rflags & 1, "carry");
  }

  @EachBackend
  void aWriteAcrossAPageIsSplitAtThePage() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, // mov eax, 0x12345678
            0x66, 0xa3, 0xfd, 0x0f, // mov [0xffd], eax
            0xf4); // hlt
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioWrite(HOLE + 0xffd, 3, 0x345678), guest.run());
    assertEquals(new Exit.MmioWrite(HOLE + 0x1000, 1, 0x12), guest.run());
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void aReadAcrossAPageIsSplitAtThePage() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0xa1, 0xfe, 0x0f, // mov eax, [0xffe]
            0xf4); // hlt
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioRead(HOLE + 0xffe, 2), guest.run());
    guest.vcpu.answerMmio(0x2211);
    assertEquals(new Exit.MmioRead(HOLE + 0x1000, 2), guest.run());
    guest.vcpu.answerMmio(0x4433);
    guest.run(Exit.Hlt.class);
    assertEquals(0x44332211L, guest.vcpu.getRegs().rax);
  }

  @EachBackend
  void anAccessFromMemoryIntoAHoleReachesBoth() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0xb8, 0x78, 0x56, 0x34, 0x12, // mov eax, 0x12345678
            0x66, 0xa3, 0x0e, 0x00, // mov [0xe], eax
            0xf4); // hlt
    guest.dataAt(0xfff0); // Offset 0xe is two bytes before the end of memory.
    assertEquals(new Exit.MmioWrite(0x10000, 2, 0x1234), guest.run());
    guest.run(Exit.Hlt.class);
    assertEquals(0x5678, guest.memory.getShort(0xfffe));
  }

  @EachBackend
  void movsFromAHoleToMemoryReadsEachElement() {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xb9, 0x02, 0x00, // mov cx, 2
            0x31, 0xf6, // xor si, si
            0xbf, 0x00, 0x20, // mov di, 0x2000
            0xf3, 0xa5, // rep movsw
            0xf4); // hlt
    guest.dataAt(HOLE);
    for (int i = 0; i < 2; i++) {
      assertEquals(new Exit.MmioRead(HOLE + 2 * i, 2), guest.run());
      guest.vcpu.answerMmio(0x1111 * (i + 1));
    }
    guest.run(Exit.Hlt.class);
    assertEquals(0x22221111, guest.memory.getInt(0x2000));
  }

  @EachBackend
  void hltExitsEachTime() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xf4, 0xf4);
    guest.run(Exit.Hlt.class);
    assertEquals(CODE + 1, guest.rip());
    guest.run(Exit.Hlt.class);
    assertEquals(CODE + 2, guest.rip());
  }

  /** OUT, then HLT, where a test sends the guest after another exit. */
  private static final int ELSEWHERE = 0x3000;

  private static void sendElsewhere(RealModeGuest guest) {
    guest.load(ELSEWHERE, 0xe6, 0x10, 0xf4); // out 0x10, al; hlt
    guest.regs(r -> r.rip = ELSEWHERE);
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
    guest.run(Exit.Hlt.class);
    assertEquals(ELSEWHERE + 3, guest.rip());
  }

  @EachBackend
  void anInIsForgottenWhereUserSpaceSendsTheGuestElsewhere() {
    if (!backend.isEmulated()) {
      backend.limit("executes real mode in its instruction emulator, which finishes its IN");
    }
    RealModeGuest guest = new RealModeGuest(kvm, 0xe4, 0x60, 0xf4); // in al, 0x60; hlt
    guest.run(Exit.IoIn.class);
    guest.vcpu.answerIn(0x5a);
    sendElsewhere(guest);
    assertEquals(0, guest.vcpu.getRegs().rax);
  }

  @EachBackend
  void anOutIsNotSteppedOverWhereUserSpaceSendsTheGuestElsewhere() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x60, 0xf4); // out 0x60, al; hlt
    guest.run(Exit.IoOut.class);
    sendElsewhere(guest);
  }

  /** Linux carries on with the instruction that asked, and so loses the new RIP. */
  @EachBackend
  void aDeviceReadIsForgottenWhereUserSpaceSendsTheGuestElsewhere() {
    if (!backend.isEmulated()) {
      backend.limit("finishes the instruction that it had begun, which undoes a new RIP");
    }
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x66, 0xa1, 0x10, 0x00, // mov eax, [0x10]
            0xf4); // hlt
    guest.dataAt(HOLE);
    guest.run(Exit.MmioRead.class);
    guest.vcpu.answerMmio(0xcafebabeL);
    guest.load(0x3100, 0x66, 0xa1, 0x20, 0x00, 0xf4); // mov eax, [0x20]; hlt
    guest.regs(r -> r.rip = 0x3100);
    assertEquals(new Exit.MmioRead(HOLE + 0x20, 4), guest.run(), "asks for itself");
    guest.vcpu.answerMmio(7);
    guest.run(Exit.Hlt.class);
    assertEquals(7, guest.vcpu.getRegs().rax);
  }
}
