package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.IDT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PAE;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PROTECTED;

import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** A guest's virtual local APIC. SDM ch. 30 "APIC Virtualization and Virtual Interrupts". */
class VirtualApicTests {
  private static final int PAGE = 0x60000;
  private static final int ACCESS = 0x61000;
  private static final int DESCRIPTOR = 0x62000;
  private static final int HANDLER = 0x63000;

  private static final int TPR = 0x80;
  private static final int PPR = 0xa0;
  private static final int EOI = 0xb0;
  private static final int SPURIOUS = 0xf0;
  private static final int ISR = 0x100;
  private static final int IRR = 0x200;
  private static final int ICR = 0x300;

  private static final int[] VMCALL = {0x0f, 0x01, 0xc1};
  private static final int[] INC_EBX = {0xff, 0xc3};
  private static final int[] STI_NOP = {0xfb, 0x90};

  private MinimalHypervisor h = new MinimalHypervisor();

  private static int[] join(int[]... parts) {
    return Arrays.stream(parts).flatMapToInt(Arrays::stream).toArray();
  }

  private static int[] little(int value) {
    return new int[] {value & 0xff, value >> 8 & 0xff, value >> 16 & 0xff, value >>> 24};
  }

  /** MOV EAX, [ACCESS + offset]. */
  private static int[] load(int offset) {
    return join(new int[] {0x8b, 0x04, 0x25}, little(ACCESS + offset));
  }

  /** MOV DWORD [ACCESS + offset], value. */
  private static int[] store(int offset, int value) {
    return join(new int[] {0xc7, 0x04, 0x25}, little(ACCESS + offset), little(value));
  }

  /** WRMSR of EAX alone. */
  private static int[] wrmsr(int index, int value) {
    return join(
        new int[] {0xb9},
        little(index),
        new int[] {0xb8},
        little(value),
        new int[] {0x31, 0xd2},
        new int[] {0x0f, 0x30});
  }

  private void guest(int secondary, int[]... code) {
    h.guest(LONG);
    h.primary(Controls.CPU_BASED_TPR_SHADOW);
    h.secondary(secondary);
    h.set(VmcsField.VIRTUAL_APIC_PAGE_ADDR, PAGE);
    h.set(VmcsField.APIC_ACCESS_ADDR, ACCESS);
    h.code(join(code));
  }

  private void delivery(int more, int[]... code) {
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK);
    guest(Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | more, code);
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK);
    for (int vector = 0x20; vector < 0x100; vector++) {
      long at = HANDLER;
      h.memory.writeLong(IDT + 16 * vector, at & 0xffff | 8 << 16 | 0x8e00L << 32 | at >> 16 << 48);
      h.memory.writeLong(IDT + 16 * vector + 8, at >>> 32);
    }
    handler(VMCALL);
  }

  private void handler(int[]... code) {
    int[] all = join(code);
    for (int i = 0; i < all.length; i++) {
      h.memory.writeByte(HANDLER + i, (byte) all[i]);
    }
  }

  private int register(int offset) {
    return h.memory.readInt(PAGE + offset);
  }

  private void set(int offset, int value) {
    h.memory.writeInt(PAGE + offset, value);
  }

  private void request(int vector) {
    int at = IRR + (vector >> 5) * 16;
    set(at, register(at) | 1 << (vector & 31));
  }

  private boolean inService(int vector) {
    return (register(ISR + (vector >> 5) * 16) >> (vector & 31) & 1) != 0;
  }

  private void exits(ExitReason reason, long qualification, int at) {
    assertEquals(reason, h.run());
    assertEquals(qualification, h.get(VmcsField.EXIT_QUALIFICATION));
    assertEquals(CODE + at, h.get(VmcsField.GUEST_RIP));
  }

  // ---- 30.3 CR8 ----

  private static final int[] CR8_5 = {0xb8, 5, 0, 0, 0, 0x44, 0x0f, 0x22, 0xc0};

  @Test
  void cr8IsTheVirtualTaskPriority() {
    guest(0, CR8_5, new int[] {0x44, 0x0f, 0x20, 0xc3}, VMCALL); // mov rbx, cr8
    h.cpu.cr8 = 3;
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x50, register(TPR));
    assertEquals(5, h.cpu.r[Cpu.RBX]);
    assertEquals(3, h.cpu.cr8, "the processor's own");
  }

  @Test
  void aTaskPriorityBelowTheThresholdExitsBehindTheInstruction() {
    guest(0, CR8_5, INC_EBX, VMCALL);
    set(TPR, 0x70);
    h.set(VmcsField.TPR_THRESHOLD, 6);
    exits(ExitReason.TPR_BELOW_THRESHOLD, 0, CR8_5.length);
  }

  @Test
  void oneThatIsBelowAtEntryExitsAtOnceWhereAccessesAreVirtualized() {
    guest(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, VMCALL);
    h.set(VmcsField.TPR_THRESHOLD, 6);
    set(TPR, 0x50);
    exits(ExitReason.TPR_BELOW_THRESHOLD, 0, 0);
  }

  // ---- 30.4 the APIC-access page ----

  @Test
  void accessesThatAreNotVirtualizedExitWithTheirOffset() {
    int[] jump = join(new int[] {0xb8}, little(ACCESS + 0x40), new int[] {0xff, 0xe0}); // jmp rax
    guest(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, load(0x30));
    exits(ExitReason.APIC_ACCESS, 0x30, 0);
    assertEquals(7, h.get(VmcsField.VM_EXIT_INSTRUCTION_LEN));
    assertEquals(ACCESS + 0x30, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
    h.code(store(0x30, 1));
    exits(ExitReason.APIC_ACCESS, 0x1030, 0);
    h.code(jump);
    assertEquals(ExitReason.APIC_ACCESS, h.run());
    assertEquals(0x2040, h.get(VmcsField.EXIT_QUALIFICATION));
    assertEquals(ACCESS + 0x40, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void onlyTheTaskPriorityIsVirtualizedWithoutRegisters() {
    guest(
        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
        store(TPR, 0x1234_5678),
        load(TPR),
        VMCALL);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x78, h.cpu.r[Cpu.RAX], "its other bytes are cleared");
  }

  @Test
  void registersAreReadFromTheVirtualPageAndWritesExitBehindTheInstruction() {
    int[] write = store(SPURIOUS, 0x1ff);
    guest(
        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
            | Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT,
        load(0x30),
        write,
        INC_EBX,
        VMCALL);
    set(0x30, 0x50014);
    exits(ExitReason.APIC_WRITE, SPURIOUS, 7 + write.length);
    assertEquals(0x50014, h.cpu.r[Cpu.RAX]);
    assertEquals(0x1ff, register(SPURIOUS));
    assertEquals(ExitReason.VMCALL, h.run());
  }

  @Test
  void accessesOfEightBytesOrBesideARegisterExit() {
    int[] wide = join(new int[] {0x48}, load(TPR)); // mov rax, [ACCESS + TPR]
    guest(
        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
            | Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT,
        wide);
    exits(ExitReason.APIC_ACCESS, TPR, 0);
    h.code(load(TPR + 4));
    exits(ExitReason.APIC_ACCESS, TPR + 4, 0);
  }

  @Test
  void aPopToTheVirtualApicMovesTheStackPointerOnce() {
    int[] pop = join(new int[] {0x8f, 0x04, 0x25}, little(ACCESS + TPR)); // pop qword: 8 bytes
    int[] pop16 = join(new int[] {0x66}, pop);
    guest(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, pop16, VMCALL);
    h.memory.writeShort(MinimalHypervisor.STACK, (short) 0x30);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x30, register(TPR));
    assertEquals(MinimalHypervisor.STACK + 2, h.get(VmcsField.GUEST_RSP));
  }

  /** A guest of 32 bits whose first push is a task priority. */
  private void pushesToTaskPriority() {
    h.guest(PROTECTED);
    h.primary(Controls.CPU_BASED_TPR_SHADOW);
    h.secondary(
        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
            | Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT);
    h.set(VmcsField.VIRTUAL_APIC_PAGE_ADDR, PAGE);
    h.set(VmcsField.APIC_ACCESS_ADDR, ACCESS);
    h.set(VmcsField.GUEST_RSP, ACCESS + TPR + 4);
  }

  /** An operation that has written writes the same place or exits, and then nothing follows. */
  @Test
  void aSecondWriteOfAnInstructionToAnotherPlaceExits() {
    pushesToTaskPriority();
    h.code(0x60); // pusha
    h.cpu.r[Cpu.RAX] = 0x1234_5678;
    exits(ExitReason.APIC_ACCESS, 1 << 12 | TPR - 4, 0);
    assertEquals(0x1234_5678, register(TPR), "written, and not taken for a task priority");
  }

  @Test
  void aReadAfterAWriteOfTheSameInstructionExits() {
    guest(
        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
            | Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT,
        // xadd [ACCESS + TPR], eax reads first, and runs through.
        join(new int[] {0x0f, 0xc1, 0x04, 0x25}, little(ACCESS + TPR)),
        VMCALL);
    set(TPR, 0x10);
    h.cpu.r[Cpu.RAX] = 0x20;
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x30, register(TPR));
    assertEquals(0x10, h.cpu.r[Cpu.RAX]);
    // ENTER with a level pushes, and then reads a frame pointer.
    h = new MinimalHypervisor();
    pushesToTaskPriority();
    h.cpu.r[Cpu.RBP] = ACCESS + 0x34;
    h.code(0xc8, 0, 0, 2); // enter 0, 2
    assertEquals(ExitReason.APIC_ACCESS, h.run());
    assertEquals(0x30, h.qualification(), "a read that would be virtualized otherwise");
  }

  /** Each iteration is an operation of its own. */
  @Test
  void anIterationIsFollowedUpBeforeTheNext() {
    guest(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, new int[] {0xf3, 0xab} /* rep stosd */);
    h.cpu.r[Cpu.RCX] = 3;
    h.cpu.r[Cpu.RDI] = ACCESS + TPR;
    h.cpu.r[Cpu.RAX] = 0x1234_5678;
    exits(ExitReason.APIC_ACCESS, 1 << 12 | TPR + 4, 0);
    assertEquals(2, h.cpu.r[Cpu.RCX]);
    assertEquals(0x78, register(TPR), "what followed from the first");
  }

  // ---- 30.4.6 accesses to the APIC-access page that are no translations of linear addresses ----

  private static final long FAR = 1 << 30;

  /** Linear addresses from 1 GByte on go by a page directory in the APIC-access page. */
  private void walksThroughThePage() {
    h.memory.writeLong(MinimalHypervisor.PAGE_TABLES + 0x1008, ACCESS | 7);
    h.memory.writeLong(ACCESS, 0x87);
  }

  @Test
  void aPageWalkThroughThePageExits() {
    int[] far = join(new int[] {0x8b, 0x04, 0x25}, little((int) FAR + 0x50000)); // mov eax, [..]
    guest(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, INC_EBX, far, VMCALL);
    walksThroughThePage();
    exits(ExitReason.APIC_ACCESS, 15 << 12, 2);
    h.set(VmcsField.APIC_ACCESS_ADDR, 0x65000);
    assertEquals(ExitReason.VMCALL, h.run());
  }

  @Test
  void aPageWalkInTheDeliveryOfAnEventHasItsOwnType() {
    guest(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, new int[] {0x0f, 0x0b}); // ud2
    walksThroughThePage();
    h.memory.writeLong(
        IDT + 16 * 6, HANDLER & 0xffff | 8 << 16 | 0x8e00L << 32 | (long) HANDLER >> 16 << 48);
    h.set(VmcsField.GUEST_RSP, FAR + 0x58000);
    exits(ExitReason.APIC_ACCESS, 10 << 12, 0);
    assertEquals(
        InterruptionInfo.of(InterruptionInfo.HARDWARE_EXCEPTION, 6, false),
        (int) h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
  }

  @Test
  void aLoadOfPdptesFromThePageExits() {
    h.guest(PAE);
    h.secondary(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES);
    h.set(VmcsField.APIC_ACCESS_ADDR, ACCESS);
    h.code(join(new int[] {0xb8}, little(ACCESS), new int[] {0x0f, 0x22, 0xd8})); // mov cr3, eax
    exits(ExitReason.APIC_ACCESS, 15 << 12, 5);
  }

  // ---- 30.1.6 IPI virtualization ----

  private static final int PID_TABLE = 0x66000;
  private static final int OTHER_DESCRIPTOR = 0x67040;
  private static final int ICR_HIGH = 0x310;

  private void ipis(int secondary, int[]... code) {
    guest(secondary, code);
    h.primary(Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
    h.set(VmcsField.TERTIARY_VM_EXEC_CONTROL, Controls.TERTIARY_EXEC_IPI_VIRT);
    h.set(VmcsField.PID_POINTER_TABLE, PID_TABLE);
    h.set(VmcsField.LAST_PID_POINTER_INDEX, 3);
    h.memory.writeLong(PID_TABLE + 8 * 2, OTHER_DESCRIPTOR | 1);
    h.memory.writeLong(OTHER_DESCRIPTOR + 32, 0x0000_0305_00f2_0000L);
  }

  private long posted(int vector) {
    return h.memory.readLong(OTHER_DESCRIPTOR + 8 * (vector >> 6)) >>> (vector & 63) & 1;
  }

  @Test
  void anIpiIsPostedAndNotifiedOnce() {
    ipis(
        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
            | Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT,
        store(ICR_HIGH, 2 << 24),
        store(ICR, 0x4071), // fixed, edge, assert
        store(ICR, 0x10),
        VMCALL);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(1, posted(0x71));
    assertEquals(1, posted(0x10));
    assertEquals(0x0000_0305_00f2_0001L, h.memory.readLong(OTHER_DESCRIPTOR + 32));
    assertEquals(List.of("305 f2"), h.clock.sent);
  }

  @Test
  void aSuppressedNotificationIsNotSent() {
    ipis(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, store(ICR, 0x71), VMCALL);
    set(ICR_HIGH, 2 << 24);
    h.memory.writeLong(OTHER_DESCRIPTOR + 32, 0x0000_0305_00f2_0002L);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(1, posted(0x71));
    assertEquals(2, h.memory.readLong(OTHER_DESCRIPTOR + 32) & 3);
    assertEquals(List.of(), h.clock.sent);
  }

  @ParameterizedTest
  @CsvSource({
    "0x0f, 2", // an illegal vector
    "0x71, 4", // beyond the table
    "0x71, 0", // no pointer
    "0x471, 2", // an NMI
    "0x871, 2", // a logical destination
    "0x8071, 2", // level-triggered
    "0x80071, 2", // all
    "0x40071, 2", // itself, without virtual-interrupt delivery
    "0x2071, 2", // a reserved bit
    "0x1071, 2" // delivery status
  })
  void whatCannotBePostedExits(String command, int destination) {
    int[] write = store(ICR, Integer.decode(command));
    ipis(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, write, VMCALL);
    set(ICR_HIGH, destination << 24);
    exits(ExitReason.APIC_WRITE, ICR, write.length);
    assertEquals(Integer.decode(command), register(ICR));
    assertEquals(List.of(), h.clock.sent);
  }

  @Test
  void aPointerWithReservedBitsIsNone() {
    int[] write = store(ICR, 0x71);
    ipis(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, write);
    set(ICR_HIGH, 2 << 24);
    h.memory.writeLong(PID_TABLE + 8 * 2, OTHER_DESCRIPTOR | 3);
    exits(ExitReason.APIC_WRITE, ICR, write.length);
    h.memory.writeLong(PID_TABLE + 8 * 2, 1L << 50 | OTHER_DESCRIPTOR | 1);
    h.set(VmcsField.GUEST_RIP, CODE);
    exits(ExitReason.APIC_WRITE, ICR, write.length);
  }

  @Test
  void theMsrOfX2apicModePostsToAnIdOf32Bits() {
    int[] icr = {0xb9, 0x30, 0x08, 0, 0, 0xb8, 0x71, 0, 0, 0, 0xba, 2, 0, 0, 0, 0x0f, 0x30};
    h.memory.fill(MinimalHypervisor.MSR_BITMAP, 4096, (byte) 0);
    ipis(Controls.SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, icr, VMCALL);
    h.primary(Controls.CPU_BASED_USE_MSR_BITMAPS);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(1, posted(0x71));
    assertEquals(2L << 32 | 0x71, h.memory.readLong(PAGE + ICR));
    icr[14] = 1; // an ID beyond the table
    h.code(icr);
    h.set(VmcsField.GUEST_RIP, CODE);
    exits(ExitReason.APIC_WRITE, ICR, icr.length);
    icr[8] = 2; // a reserved bit
    h.code(icr);
    h.set(VmcsField.GUEST_RIP, CODE);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 13);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
  }

  // ---- 30.2 virtual interrupts ----

  @Test
  void aPendingVirtualInterruptIsDeliveredAfterEntry() {
    delivery(0, STI_NOP, VMCALL);
    request(0x51);
    h.set(VmcsField.GUEST_INTR_STATUS, 0x51);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x5100, h.get(VmcsField.GUEST_INTR_STATUS));
    assertTrue(inService(0x51));
    assertEquals(0x50, register(PPR));
  }

  @Test
  void oneThatIsNotAboveThePriorityWaitsUntilThatSinks() {
    delivery(0, STI_NOP, CR8_5, INC_EBX, VMCALL);
    request(0x61);
    set(TPR, 0x60);
    h.set(VmcsField.GUEST_INTR_STATUS, 0x61);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.cpu.r[Cpu.RBX], "right after the task priority sank");
  }

  @Test
  void oneEndsAHaltOfTheGuest() {
    delivery(0, new int[] {0xf4});
    request(0x51);
    h.set(VmcsField.GUEST_INTR_STATUS, 0x51);
    h.set(VmcsField.GUEST_RFLAGS, 0x202);
    h.set(VmcsField.GUEST_ACTIVITY_STATE, 1);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void theEndOfOneBringsTheNext() {
    delivery(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, STI_NOP, VMCALL);
    handler(INC_EBX, store(EOI, 0), new int[] {0x48, 0xcf}); // iretq
    request(0x51);
    request(0x41);
    h.set(VmcsField.GUEST_INTR_STATUS, 0x51);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(2, h.cpu.r[Cpu.RBX]);
    assertEquals(0, h.get(VmcsField.GUEST_INTR_STATUS));
    assertEquals(CODE + STI_NOP.length, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void theEndOfOneInTheBitmapExits() {
    delivery(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, STI_NOP, VMCALL);
    int[] end = store(EOI, 0);
    handler(end, INC_EBX, VMCALL);
    request(0x51);
    h.set(VmcsField.GUEST_INTR_STATUS, 0x51);
    h.set(VmcsField.EOI_EXIT_BITMAP1, 1L << 0x11);
    assertEquals(ExitReason.EOI_INDUCED, h.run());
    assertEquals(0x51, h.get(VmcsField.EXIT_QUALIFICATION));
    assertEquals(HANDLER + end.length, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.get(VmcsField.GUEST_INTR_STATUS));
  }

  @Test
  void aSelfIpiIsAVirtualInterrupt() {
    delivery(
        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES,
        STI_NOP,
        store(ICR, 0x4_0071), // edge, fixed, to itself
        VMCALL);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertTrue(inService(0x71));
    int[] nmi = store(ICR, 0x4_0471);
    h.code(nmi);
    h.set(VmcsField.GUEST_RIP, CODE);
    exits(ExitReason.APIC_WRITE, ICR, nmi.length);
  }

  // ---- 30.5 MSRs ----

  @Test
  void msrsOfX2apicModeAreVirtualized() {
    int[] read = {0xb9, 0x08, 0x08, 0, 0, 0x0f, 0x32}; // mov ecx, 0x808; rdmsr
    h.memory.fill(MinimalHypervisor.MSR_BITMAP, 4096, (byte) 0);
    delivery(
        Controls.SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE,
        STI_NOP,
        wrmsr(0x808, 0x20),
        read,
        wrmsr(0x83f, 0x81),
        VMCALL);
    h.primary(Controls.CPU_BASED_USE_MSR_BITMAPS);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x20, register(TPR));
    assertTrue(inService(0x81));
  }

  // ---- 30.6 posted interrupts ----

  @Test
  void aNotificationDeliversWhatIsPosted() {
    delivery(0, STI_NOP, new int[] {0xeb, 0xfe}); // jmp $
    h.pin(Controls.PIN_BASED_POSTED_INTR);
    h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_ACK_INTR_ON_EXIT);
    h.set(VmcsField.POSTED_INTR_NV, 0xf2);
    h.set(VmcsField.POSTED_INTR_DESC_ADDR, DESCRIPTOR);
    h.memory.writeLong(DESCRIPTOR + 8, 1L << 0x51 - 64 | 1L << 0x48 - 64);
    h.memory.writeLong(DESCRIPTOR + 32, 1);
    h.clock.interrupt = 0xf2;
    h.cpu.request(Cpu.REQUEST_INTERRUPT);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertTrue(inService(0x51));
    assertEquals(0x5148, h.get(VmcsField.GUEST_INTR_STATUS));
    assertEquals(0, h.memory.readLong(DESCRIPTOR + 8));
    assertEquals(0, h.memory.readLong(DESCRIPTOR + 32));
    h.clock.interrupt = 0xf3;
    h.cpu.request(Cpu.REQUEST_INTERRUPT);
    assertEquals(ExitReason.EXTERNAL_INTERRUPT, h.run(), "another vector is the host's");
    assertEquals(0x8000_00f3L, h.get(VmcsField.VM_EXIT_INTR_INFO));
  }
}
