package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeCode.join;
import static org.kvm4j.conformance.kvm.RealModeCode.wrmsr;
import static org.kvm4j.conformance.kvm.RealModeGuest.CODE;
import static org.kvm4j.conformance.kvm.RealModeGuest.HOLE;

import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.kvm.Bytes;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestDebug;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.MpState;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Uapi;

/** Virtual CPUs that are processors on bare metal: the same surface, and no hypervisor beneath. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@SuppressWarnings("NullAway.Init") // Set before each test.
class BareMetalTests {
  private static final int PORT = 0x10;
  private static final int HANDLER = 0x3000;

  private Kernel kernel;
  private Kvm kvm;

  @BeforeEach
  void open() {
    open("host");
  }

  private void open(String clock) {
    kernel =
        Kernels.providers().stream()
            .filter(p -> p.name().equals("emulated"))
            .findFirst()
            .orElseThrow()
            .open(
                KernelOptions.NONE
                    .with(KernelOptions.BARE_METAL, "true")
                    .with(KernelOptions.CLOCK, clock));
    kvm = Kvm.open(kernel);
  }

  @AfterEach
  void close() {
    kernel.close();
  }

  private RealModeGuest guest(int... code) {
    return new RealModeGuest(kvm, code);
  }

  private RealModeGuest guestWithChips(int... code) {
    return new RealModeGuest(
        kvm,
        vm -> {
          vm.createIrqchip();
          vm.createPit2(Uapi.KVM_PIT_SPEAKER_DUMMY);
        },
        0,
        code);
  }

  private static void out(int value, Exit exit) {
    Exit.IoOut out = assertInstanceOf(Exit.IoOut.class, exit);
    assertEquals(PORT, out.port());
    assertEquals(value, out.value());
  }

  // ---- ports and device memory ----

  @Test
  void portsAreUserSpaces() {
    RealModeGuest guest =
        guest(
            0x66, 0xb8, 0xff, 0xff, 0xff, 0xff, // mov eax, -1
            0xe4, 0x60, // in al, 0x60
            0xe6, PORT, // out PORT, al
            0xfe, 0xc0, // inc al
            0xe6, PORT, // out PORT, al
            0xf4); // hlt
    assertEquals(new Exit.IoIn(0x60, 1, 1), guest.run());
    assertEquals(CODE + 6, guest.rip(), "at IN until it is answered");
    guest.vcpu.answerIn(0x5a);
    out(0x5a, guest.run());
    assertEquals(CODE + 10, guest.rip(), "behind OUT, and no further");
    out(0x5b, guest.run());
    guest.run(Exit.Hlt.class);
    assertEquals(0xffffff5bL, guest.vcpu.getRegs().rax);
  }

  @Test
  void aRepeatedInstructionComesBackAfterEachElement() {
    RealModeGuest guest =
        guest(
            0xb9, 3, 0, // mov cx, 3
            0xbe, 0, 0x20, // mov si, 0x2000
            0xbf, 0, 0x21, // mov di, 0x2100
            0xba, 0x80, 0, // mov dx, 0x80
            0xf3, 0x6e, // rep outsb
            0xb1, 2, // mov cl, 2
            0xf3, 0x6c, // rep insb
            0xf4); // hlt
    guest.load(0x2000, 7, 8, 9);
    for (int i = 0; i < 3; i++) {
      assertEquals(new Exit.IoOut(0x80, 1, 1, Bytes.of((byte) (7 + i))), guest.run());
      assertEquals(2 - i, guest.vcpu.getRegs().rcx);
    }
    for (int i = 0; i < 2; i++) {
      assertEquals(new Exit.IoIn(0x80, 1, 1), guest.run());
      guest.vcpu.answerIn(0x40 + i);
    }
    guest.run(Exit.Hlt.class);
    byte[] read = new byte[3];
    guest.memory.read(0x2100, read, 0, 3);
    assertArrayEquals(new byte[] {0x40, 0x41, 0}, read);
  }

  @Test
  void readModifyWriteIsOneReadAndOneWrite() {
    RealModeGuest guest =
        guest(
            0x66, 0x83, 0x06, 0x10, 0x00, 5, // add dword [0x10], 5
            0x66, 0xa1, 0x14, 0x00, // mov eax, [0x14]
            0xf4); // hlt
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioRead(HOLE + 0x10, 4), guest.run());
    guest.vcpu.answerMmio(37);
    assertEquals(new Exit.MmioWrite(HOLE + 0x10, 4, 42), guest.run());
    assertEquals(new Exit.MmioRead(HOLE + 0x14, 4), guest.run());
    guest.vcpu.answerMmio(0x12345678);
    guest.run(Exit.Hlt.class);
    assertEquals(0x12345678, guest.vcpu.getRegs().rax);
  }

  @Test
  void whatCrossesAPageOfADeviceIsTwoReads() {
    RealModeGuest guest = guest(0x66, 0xa1, 0xfe, 0x0f, 0xf4); // mov eax, [0xffe]; hlt
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioRead(HOLE + 0xffe, 2), guest.run());
    guest.vcpu.answerMmio(0x5678);
    assertEquals(new Exit.MmioRead(HOLE + 0x1000, 2), guest.run());
    guest.vcpu.answerMmio(0x1234);
    guest.run(Exit.Hlt.class);
    assertEquals(0x12345678, guest.vcpu.getRegs().rax);
  }

  @Test
  void popToADeviceMovesTheStackPointerOnce() {
    RealModeGuest guest =
        guest(
            0x68, 0x34, 0x12, // push 0x1234
            0x8f, 0x06, 0x20, 0, // pop word [0x20]
            0xff, 0x36, 0x22, 0, // push word [0x22]
            0xf4); // hlt
    guest.dataAt(HOLE);
    assertEquals(new Exit.MmioWrite(HOLE + 0x20, 2, 0x1234), guest.run());
    assertEquals(RealModeGuest.STACK, guest.vcpu.getRegs().rsp);
    assertEquals(new Exit.MmioRead(HOLE + 0x22, 2), guest.run());
    guest.vcpu.answerMmio(0xbeef);
    guest.run(Exit.Hlt.class);
    assertEquals(RealModeGuest.STACK - 2, guest.vcpu.getRegs().rsp);
    assertEquals((short) 0xbeef, guest.memory.getShort(RealModeGuest.STACK - 2));
  }

  @Test
  void anAnswerIsForgottenWhereUserSpaceGoesElsewhere() {
    RealModeGuest guest = guest(0xe4, 0x60, 0xf4); // in al, 0x60; hlt
    guest.load(0x2000, 0xe4, 0x61, 0xf4); // in al, 0x61; hlt
    assertEquals(new Exit.IoIn(0x60, 1, 1), guest.run());
    guest.regs(r -> r.rip = 0x2000);
    guest.vcpu.answerIn(1);
    assertEquals(new Exit.IoIn(0x61, 1, 1), guest.run());
    guest.vcpu.answerIn(2);
    guest.run(Exit.Hlt.class);
    assertEquals(2, guest.vcpu.getRegs().rax);
  }

  /** KVM_RUN that comes back at once takes the answer; the instruction has not run again yet. */
  @Test
  void whatUserSpaceWentToIsExecutedThoughAnAnswerHasBeenTaken() {
    RealModeGuest guest = guest(0xe4, 0x60, 0xf4); // in al, 0x60; hlt
    guest.load(0x2000, 0xb0, 0x07, 0xf4); // mov al, 7; hlt
    assertEquals(new Exit.IoIn(0x60, 1, 1), guest.run());
    guest.vcpu.answerIn(1);
    guest.vcpu.runPage().setImmediateExit(true);
    guest.run(Exit.Interrupted.class);
    guest.vcpu.runPage().setImmediateExit(false);
    guest.regs(r -> r.rip = 0x2000);
    guest.run(Exit.Hlt.class);
    assertEquals(7, guest.vcpu.getRegs().rax);
  }

  @Test
  void aHotLoopLeavesAtEachPortAccess() {
    RealModeGuest guest =
        guest(
            0x66, 0xb9, 0, 0, 3, 0, // mov ecx, 0x30000
            0x66, 0x40, // next: inc eax
            0x66, 0xa9, 0xff, 0xff, 0, 0, // test eax, 0xffff
            0x75, 2, // jnz over
            0xe6, PORT, // out PORT, al
            0x67, 0xe2, 0xf1, // over: loop next
            0xf4); // hlt
    for (int i = 1; i <= 3; i++) {
      out(0, guest.run());
      assertEquals(i << 16, guest.vcpu.getRegs().rax);
    }
    guest.run(Exit.Hlt.class);
  }

  // ---- memory ----

  @Test
  void userSpaceWritesTheCodeThatRuns() {
    RealModeGuest guest =
        guest(
            0xb0, 1, // start: mov al, 1
            0xe6, PORT, // out PORT, al
            0xeb, 0xfa); // jmp start
    for (int i = 1; i < 50; i++) {
      out(i, guest.run());
      guest.memory.putByte(CODE + 1, (byte) (i + 1));
    }
  }

  /** Each way to write memory, before there is a slot for it. */
  @Test
  void whatWasWrittenBeforeTheSlotIsInIt() {
    List<Consumer<UserMemory>> ways =
        List.of(
            m -> m.putByte(0x2345, (byte) 7),
            m -> m.putShort(0x2345, (short) 7),
            m -> m.putInt(0x2345, 7),
            m -> m.putLong(0x2345, 7),
            m -> m.putIntRelease(0x2345, 7),
            m -> m.write(0x2345, new byte[] {7}, 0, 1),
            m -> m.fill(0x2345, 1, (byte) 7),
            m -> m.slice(0x2000, 0x1000).putByte(0x345, (byte) 7));
    for (Consumer<UserMemory> way : ways) {
      try (Vm vm = kvm.createVm();
          MappedMemory mapped = MappedMemory.allocate(kernel, 0x10000)) {
        way.accept(mapped.memory());
        vm.setUserMemoryRegion(0, 0, 0, mapped);
        assertEquals(7, mapped.memory().getByte(0x2345));
      }
    }
  }

  @Test
  void aSlotThatGoesGivesItsBytesBack() {
    Vm vm = kvm.createVm();
    MappedMemory mapped = MappedMemory.allocate(kernel, 0x10000);
    UserMemory memory = mapped.memory();
    memory.putInt(0x1234, 42);
    vm.setUserMemoryRegion(0, 0, 0, mapped);
    assertEquals(42, memory.getInt(0x1234));
    memory.putInt(0x5678, 0x12345678);
    vm.setUserMemoryRegion(0, 0, 0, 0, mapped.address());
    assertEquals(0x12345678, memory.getInt(0x5678), "at its user address");
    vm.setUserMemoryRegion(0, 0, 0x100000, mapped);
    assertEquals(0x12345678, memory.getInt(0x5678));
    vm.setUserMemoryRegion(0, 0, 0x200000, mapped);
    assertEquals(0x12345678, memory.getInt(0x5678), "and a slot that moves takes them along");
    KvmContract.refused(Errno.EINVAL, () -> vm.setUserMemoryRegion(1, 0, 0x300000, mapped));
    KvmContract.refused(Errno.EINVAL, () -> vm.setUserMemoryRegion(0, 0, 0x208000, mapped));
    assertEquals(0x12345678, memory.getInt(0x5678), "as it was");
    vm.close();
    assertEquals(0x12345678, memory.getInt(0x5678), "after the VM");
    try (Vm other = kvm.createVm()) {
      other.setUserMemoryRegion(0, 0, 0, mapped);
      assertEquals(0x12345678, memory.getInt(0x5678), "in another VM");
    }
    mapped.close();
  }

  @Test
  void whatBareMetalHasNotIsRefusedInWords() {
    Vm vm = kvm.createVm();
    GuestMemory memory = new GuestMemory(vm);
    KvmException e =
        KvmContract.refused(Errno.EINVAL, () -> memory.add(0, 0, 0x10000, Uapi.KVM_MEM_READONLY));
    assertTrue(e.getMessage().contains("bare metal"), e::getMessage);
    RealModeGuest guest = guest(0xf4);
    e = KvmContract.refused(Errno.EINVAL, () -> guest.vcpu.setGuestDebug(new GuestDebug()));
    assertTrue(e.getMessage().contains("bare metal"), e::getMessage);
    assertEquals(0, kvm.checkExtension(Caps.KVM_CAP_SPLIT_IRQCHIP));
  }

  @Test
  void cpuidHasVmxAndNoHypervisor() {
    var supported = kvm.getSupportedCpuid();
    int features = supported.stream().filter(e -> e.function == 1).findFirst().orElseThrow().ecx;
    assertEquals(1 << 5, features & (1 << 5 | 1 << 31));
    assertTrue(supported.stream().noneMatch(e -> e.function == 0x4000_0000));
  }

  @Test
  void linearAddressesAreTranslatedInPhysicalMemory() {
    RealModeGuest guest = guest(0xf4);
    guest.memory.putInt(0x9000, 0x87); // 4 MB at 0
    guest.memory.putInt(0x9004, 0x87); // and the same again
    guest.sregs(
        s -> {
          s.cr3 = 0x9000;
          s.cr4 = 0x10;
          s.cr0 |= 0x8000_0001L;
        });
    assertEquals(0x1234, guest.vcpu.translate(0x40_1234).physicalAddress());
  }

  // ---- interrupts ----

  /** A handler that tells of itself and ends the PICs' interrupt. */
  private static void picHandler(RealModeGuest guest, int vector) {
    guest.memory.putInt(4L * vector, HANDLER);
    guest.load(HANDLER, 0xb0, vector, 0xe6, PORT, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0xcf); // iret
  }

  private static final int[] INIT_PICS = {
    0xb0, 0x11, 0xe6, 0x20, 0xe6, 0xa0, // ICW1
    0xb0, 0x20, 0xe6, 0x21, 0xb0, 0x28, 0xe6, 0xa1, // ICW2
    0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x02, 0xe6, 0xa1, // ICW3
    0xb0, 0x01, 0xe6, 0x21, 0xe6, 0xa1, // ICW4
    0xb0, 0x00, 0xe6, 0x21, 0xe6, 0xa1, // nothing masked
  };

  private static final int[] PIT_10_MS = {
    0xb0,
    0x30,
    0xe6,
    0x43, // counter 0, mode 0
    0xb0,
    0x9c,
    0xe6,
    0x40,
    0xb0,
    0x2e,
    0xe6,
    0x40, // 11,932: 10 ms
    0xfb,
    0xf4,
    0xe6,
    PORT // sti; hlt; out PORT, al
  };

  private void timerEndsHalt() throws Exception {
    RealModeGuest guest = guestWithChips(join(INIT_PICS, PIT_10_MS));
    picHandler(guest, 0x20);
    out(0x20, Aside.await(Aside.run(guest.vcpu)));
    out(0x20, Aside.await(Aside.run(guest.vcpu)));
  }

  @Test
  void aTimerEndsHlt() throws Exception {
    timerEndsHalt();
  }

  @Test
  void aTimerEndsHltOnTheVirtualClock() throws Exception {
    close();
    open("virtual");
    timerEndsHalt();
  }

  @Test
  void anInterruptLineEndsHltAndALevelIsSeenOnce() throws Exception {
    RealModeGuest guest = guestWithChips(join(INIT_PICS, new int[] {0xfb, 0xf4, 0xe6, PORT, 0xf4}));
    picHandler(guest, 0x25);
    CompletableFuture<Exit> running = Aside.run(guest.vcpu);
    Thread.sleep(50);
    guest.vm.irqLine(5, 1);
    guest.vm.irqLine(5, 0);
    out(0x25, Aside.await(running));
    out(0x20, Aside.await(Aside.run(guest.vcpu)));
  }

  @Test
  void anNmiEndsHltWhateverTheInterruptFlag() throws Exception {
    RealModeGuest guest = guestWithChips(0xf4, 0xe6, PORT, 0xf4); // hlt; out PORT, al
    guest.memory.putInt(4L * 2, HANDLER);
    guest.load(HANDLER, 0xb0, 2, 0xe6, PORT, 0xb0, 3, 0xcf); // out; mov al, 3; iret
    CompletableFuture<Exit> running = Aside.run(guest.vcpu);
    Thread.sleep(50);
    guest.vm.signalMsi(0xfee00000L, 0x400);
    out(2, Aside.await(running));
    out(3, guest.run());
  }

  @Test
  void aKickEndsHlt() throws Exception {
    RealModeGuest guest = guestWithChips(0xf4);
    CompletableFuture<Exit> running = Aside.run(guest.vcpu);
    Thread.sleep(50);
    guest.vcpu.kick();
    assertInstanceOf(Exit.Interrupted.class, Aside.await(running));
    assertEquals(MpState.HALTED, guest.vcpu.getMpState());
  }

  /** MOV DWORD [register], value. */
  private static int[] write(int register, int value) {
    return new int[] {
      0x66,
      0xc7,
      0x06,
      register & 0xff,
      register >> 8,
      value & 0xff,
      value >> 8 & 0xff,
      value >> 16 & 0xff,
      value >>> 24
    };
  }

  /**
   * Code whose 201st instruction after its last WRMSR overflows a counter: STI, then 100 rounds.
   */
  private static int[] overflow(int entry) {
    return join(
        write(0xf0, 0x1ff), // on
        write(0x340, entry),
        wrmsr(0x309, (1L << 48) - 201), // IA32_FIXED_CTR0
        wrmsr(0x38d, 0xb), // IA32_FIXED_CTR_CTRL
        wrmsr(0x38f, 1L << 32), // IA32_PERF_GLOBAL_CTRL
        new int[] {0xfb, 0x43, 0xeb, 0xfd}); // sti; inc bx; jmp
  }

  /** The handler tells of BX, and of bits 23:16 of the entry, where the mask is. */
  private void overflows(int entry, int vector) {
    RealModeGuest guest = guestWithChips(overflow(entry));
    guest.sregs(s -> s.ds.base = 0xfee00000L);
    guest.memory.putInt(4L * vector, HANDLER);
    guest.load(HANDLER, 0x88, 0xd8, 0xe6, PORT, 0xa0, 0x42, 0x03, 0xe6, PORT, 0xf4);
    out(100, guest.run());
    out(1, guest.run());
  }

  @Test
  void aCounterInterruptsByTheLocalApicRightAfterTheInstructionThatOverflowsIt() {
    overflows(0x61, 0x61);
    overflows(0x400, 2); // NMI
    close();
    open("virtual");
    overflows(0x61, 0x61);
    overflows(0x400, 2);
  }

  @Test
  void initAndStartupInterruptsStartAProcessorAndItSendsOneBack() throws Exception {
    RealModeGuest guest =
        guestWithChips(
            join(
                write(0xf0, 0x1ff), // on
                write(0x310, 1 << 24),
                write(0x300, 0x4500), // INIT
                write(0x300, 0x4602), // startup at 0x2000
                new int[] {0xfb, 0xf4, 0xe6, PORT, 0xf4})); // sti; hlt; out PORT, al
    guest.sregs(s -> s.ds.base = 0xfee00000L);
    guest.memory.putInt(4L * 0x41, HANDLER);
    guest.load(HANDLER, join(new int[] {0xb0, 0x41}, write(0xb0, 0), new int[] {0xcf}));
    Vcpu other = guest.vm.createVcpu(1);
    assertEquals(MpState.UNINITIALIZED, other.getMpState());
    guest.load(0x2000, 0xb0, 0x77, 0xe6, PORT, 0xf4);
    CompletableFuture<Exit> running = Aside.run(other);
    CompletableFuture<Exit> first = Aside.run(guest.vcpu);
    out(0x77, Aside.await(running));
    assertEquals(0x200, other.getSregs().cs.selector);
    guest.vm.signalMsi(0xfee00000L, 0x41);
    out(0x41, Aside.await(first));
  }

  @Test
  void aTripleFaultIsShutdown() {
    RealModeGuest guest = guest(0xcd, 0x80); // int 0x80
    guest.sregs(s -> s.idt.limit = 0);
    guest.run(Exit.Shutdown.class);
  }
}
