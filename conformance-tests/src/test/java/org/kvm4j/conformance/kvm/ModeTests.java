package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeGuest.CODE;

import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Translation;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;

/** Guests in protected and long mode, entered by setting the registers. */
@SuppressWarnings("NullAway.Init") // Set at the start of each test.
class ModeTests extends KvmContract {

  private static final int PML4 = 0x4000;
  private static final int PDPT = 0x5000;
  private static final int PD = 0x6000;
  private static final int PT = 0x7000;
  private static final long PRESENT_WRITABLE_USER = 7;

  private Vm vm;
  private GuestMemory memory;
  private Vcpu vcpu;

  private void guest(int... code) {
    vm = kvm.createVm();
    memory = new GuestMemory(vm);
    memory.add(0, 0, 0x40_0000, 0);
    memory.write(CODE, RealModeGuest.bytes(code));
    vcpu = vm.createVcpu(0);
  }

  private void protectedMode() {
    var sregs = vcpu.getSregs();
    FlatSegments.protectedMode(sregs);
    sregs.cr0 |= 1;
    vcpu.setSregs(sregs);
    start();
  }

  /** The first 2 MB mapped to themselves by pages of 4 KB, the next 2 MB by one of 2 MB. */
  private void longMode() {
    memory.putLong(PML4, PDPT | PRESENT_WRITABLE_USER);
    memory.putLong(PDPT, PD | PRESENT_WRITABLE_USER);
    memory.putLong(PD, PT | PRESENT_WRITABLE_USER);
    memory.putLong(PD + 8, 0x20_0000 | PRESENT_WRITABLE_USER | 0x80);
    for (int i = 0; i < 512; i++) {
      memory.putLong(PT + 8L * i, i * 4096L | PRESENT_WRITABLE_USER);
    }
    vcpu.setCpuid2(kvm.getSupportedCpuid());
    var sregs = vcpu.getSregs();
    FlatSegments.longMode(sregs);
    sregs.cr3 = PML4;
    sregs.cr4 |= 0x20; // PAE
    sregs.efer |= 0x500; // LME, LMA
    sregs.cr0 |= 0x8000_0001L; // PG, PE
    vcpu.setSregs(sregs);
    start();
  }

  private void start() {
    var regs = vcpu.getRegs();
    regs.rip = CODE;
    regs.rsp = 0x3000;
    regs.rflags = 2;
    vcpu.setRegs(regs);
  }

  @EachBackend
  void protectedModeRunsAndExits() {
    guest(
        0xb8, 0x78, 0x56, 0x34, 0x12, // mov eax, 0x12345678
        0xa3, 0x00, 0x00, 0x30, 0x00, // mov [0x300000], eax
        0xef, // out dx, eax
        0xa3, 0x04, 0x00, 0x00, 0xd0, // mov [0xd0000004], eax
        0xf4); // hlt
    protectedMode();
    var regs = vcpu.getRegs();
    regs.rdx = 0xcf8;
    vcpu.setRegs(regs);
    Exit.IoOut out = (Exit.IoOut) vcpu.run();
    assertEquals(0xcf8, out.port());
    assertEquals(0x12345678, out.value());
    assertEquals(0x12345678, memory.getInt(0x30_0000));
    assertEquals(new Exit.MmioWrite(0xd000_0004L, 4, 0x12345678), vcpu.run());
    assertEquals(new Exit.Hlt(), vcpu.run());
    assertEquals(CODE + 17, vcpu.getRegs().rip);
  }

  @EachBackend
  void longModeRunsAndExits() {
    guest(
        0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, // mov rax, 0x1122334455667788
        0x49, 0x89, 0xc0, // mov r8, rax
        0x4c, 0x89, 0x04, 0x25, 0x00, 0x00, 0x30, 0x00, // mov [0x300000], r8
        0xe6, 0x10, // out 0x10, al
        0xf4); // hlt
    longMode();
    assertEquals(0x10, ((Exit.IoOut) vcpu.run()).port());
    assertEquals(0x1122334455667788L, vcpu.getRegs().r8);
    assertEquals(0x1122334455667788L, memory.getLong(0x30_0000));
    assertEquals(new Exit.Hlt(), vcpu.run());
  }

  @EachBackend
  void longModeReachesDeviceMemoryThroughItsPageTables() {
    guest(
        0x48, 0x8b, 0x04, 0x25, 0x08, 0x00, 0x10, 0x00, // mov rax, [0x100008]
        0x48, 0x89, 0x04, 0x25, 0x10, 0x00, 0x10, 0x00, // mov [0x100010], rax
        0xf4); // hlt
    longMode();
    memory.putLong(PT + 8 * 0x100, 0xfe00_0000L | PRESENT_WRITABLE_USER);
    assertEquals(new Exit.MmioRead(0xfe00_0008L, 8), vcpu.run());
    vcpu.answerMmio(0xfedcba98_76543210L);
    assertEquals(new Exit.MmioWrite(0xfe00_0010L, 8, 0xfedcba98_76543210L), vcpu.run());
    assertEquals(new Exit.Hlt(), vcpu.run());
  }

  /** The first byte of a device's page, where an access that began on the page before ends, too. */
  @EachBackend
  void longModeReachesTheFirstBytesOfADeviceByAnyAddress() {
    guest(
        0x48, 0x89, 0x05, 0xf9, 0xef, 0x0f, 0x00, // mov [rip + 0xfeff9], rax: 0x100000
        0x44, 0x89, 0x0c, 0x33, // mov [rbx + rsi], r9d
        0x65, 0x89, 0x14, 0x25, 0x01, 0x00, 0x00, 0x00, // mov gs:[1], edx
        0x48, 0x8b, 0x24, 0x24, // mov rsp, [rsp]
        0x48, 0x89, 0x43, 0xfe, // mov [rbx - 2], rax
        0xf4); // hlt
    longMode();
    memory.putLong(PT + 8 * 0x100, 0xfe00_0000L | PRESENT_WRITABLE_USER);
    memory.putLong(PT + 8 * 0xff, 0x9000 | PRESENT_WRITABLE_USER);
    var sregs = vcpu.getSregs();
    sregs.gs.base = 0xf_ffff;
    vcpu.setSregs(sregs);
    var regs = vcpu.getRegs();
    regs.rax = 0x8877665544332211L;
    regs.rbx = 0x10_0000;
    regs.rdx = 0xddddddddL;
    regs.rsp = 0x10_0000;
    regs.r9 = 0x99999999L;
    vcpu.setRegs(regs);
    assertEquals(new Exit.MmioWrite(0xfe00_0000L, 8, 0x8877665544332211L), vcpu.run());
    assertEquals(new Exit.MmioWrite(0xfe00_0000L, 4, 0x99999999L), vcpu.run());
    assertEquals(new Exit.MmioWrite(0xfe00_0000L, 4, 0xddddddddL), vcpu.run());
    assertEquals(new Exit.MmioRead(0xfe00_0000L, 8), vcpu.run());
    vcpu.answerMmio(0x1234_5678_9abc_def0L);
    assertEquals(new Exit.MmioWrite(0xfe00_0000L, 6, 0x887766554433L), vcpu.run());
    assertEquals(0x1234_5678_9abc_def0L, vcpu.getRegs().rsp);
    assertEquals(0x2211, memory.getShort(0x9ffe));
    assertEquals(new Exit.Hlt(), vcpu.run());
  }

  @EachBackend
  void aTripleFaultInLongModeIsAShutdown() {
    guest(0x0f, 0x0b); // ud2
    longMode();
    var sregs = vcpu.getSregs();
    sregs.idt.limit = 0;
    sregs.idt.base = 0;
    vcpu.setSregs(sregs);
    assertInstanceOf(Exit.Shutdown.class, vcpu.run());
  }

  @EachBackend
  void translationWalksThePageTables() {
    guest(0xf4);
    Translation real = vcpu.translate(0x1234);
    assertTrue(real.valid());
    assertEquals(0x1234, real.physicalAddress());
    longMode();
    memory.putLong(PT + 8 * 5, 0x9000 | PRESENT_WRITABLE_USER);
    memory.putLong(PT + 8 * 6, 0);
    Translation page = vcpu.translate(0x5123);
    assertTrue(page.valid());
    assertEquals(0x9123, page.physicalAddress());
    assertFalse(vcpu.translate(0x6000).valid());
    Translation large = vcpu.translate(0x31_2345);
    assertTrue(large.valid());
    assertEquals(0x31_2345, large.physicalAddress());
    assertFalse(vcpu.translate(0x40_0000).valid());
    assertFalse(vcpu.translate(1L << 40).valid());
  }
}
