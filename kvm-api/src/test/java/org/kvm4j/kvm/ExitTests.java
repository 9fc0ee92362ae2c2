package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmExit;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

class ExitTests {

  private final HeapMemory memory = new HeapMemory(3 * 4096);
  private final RunPage page = new RunPage(memory);

  private Exit exit(int reason) {
    memory.putInt(KvmRun.EXIT_REASON, reason);
    return Exit.of(page);
  }

  @ParameterizedTest
  @EnumSource(KvmExit.class)
  void everyReasonOfX86HasItsRecordAndEveryOtherIsUnknown(KvmExit reason) {
    memory.putByte(KvmRun.IO_SIZE, (byte) 0);
    Exit exit = exit(reason.number());
    assertEquals(reason.number(), exit.reason());
    assertEquals(!reason.x86(), exit instanceof Exit.Unknown, exit.toString());
  }

  @ParameterizedTest
  @ValueSource(ints = {13, 40, 1000, -1, Integer.MIN_VALUE})
  void anUnknownReasonLosesNothing(int reason) {
    byte[] union = new byte[KvmRun.UNION_SIZE];
    for (int i = 0; i < union.length; i++) {
      union[i] = (byte) (i * 7 + 1);
    }
    memory.write(KvmRun.UNION, union, 0, union.length);
    assertEquals(new Exit.Unknown(reason, Bytes.of(union)), exit(reason));
  }

  private void io(int direction, int size, int port, int count) {
    memory.putByte(KvmRun.IO_DIRECTION, (byte) direction);
    memory.putByte(KvmRun.IO_SIZE, (byte) size);
    memory.putShort(KvmRun.IO_PORT, (short) port);
    memory.putInt(KvmRun.IO_COUNT, count);
    memory.putLong(KvmRun.IO_DATA_OFFSET, 4096);
  }

  @Test
  void aPortWriteCarriesItsData() {
    io(Uapi.KVM_EXIT_IO_OUT, 2, 0xfffe, 3);
    memory.write(4096, new byte[] {0x11, (byte) 0x92, 3, 4, 5, 6, 7}, 0, 7);
    Exit.IoOut out = assertInstanceOf(Exit.IoOut.class, exit(Exits.KVM_EXIT_IO));
    assertEquals(
        new Exit.IoOut(
            0xfffe,
            2,
            3,
            Bytes.of((byte) 0x11, (byte) 0x92, (byte) 3, (byte) 4, (byte) 5, (byte) 6)),
        out);
    assertEquals(0x9211, out.value());
    assertEquals(0x9211, page.ioData());
    assertEquals(0x0605, page.ioData(2));
  }

  @Test
  void aPortReadIsAnsweredInPlace() {
    for (int size : new int[] {1, 2, 4}) {
      io(Uapi.KVM_EXIT_IO_IN, size, 0x60, 2);
      memory.fill(4096, 64, (byte) 0xcc);
      assertEquals(new Exit.IoIn(0x60, size, 2), exit(Exits.KVM_EXIT_IO));
      page.setIoData(1, 0x81828384);
      assertEquals(
          Bytes.of(new byte[] {(byte) 0x84, (byte) 0x83, (byte) 0x82, (byte) 0x81})
              .getLittleEndian(0, size),
          memory(4096 + size, size));
      assertEquals((byte) 0xcc, memory.getByte(4096 + 2 * size));
      assertEquals((byte) 0xcc, memory.getByte(4096 + size - 1));
    }
  }

  private long memory(int offset, int size) {
    byte[] bytes = new byte[size];
    memory.read(offset, bytes, 0, size);
    return Bytes.of(bytes).getLittleEndian(0, size);
  }

  @Test
  void memoryMappedAccessesTellAddressLengthAndData() {
    memory.putLong(KvmRun.MMIO_PHYS_ADDR, 0xfee0_0000L);
    memory.putLong(KvmRun.MMIO_DATA, 0xffff_ffff_8765_4321L);
    memory.putInt(KvmRun.MMIO_LEN, 4);
    memory.putByte(KvmRun.MMIO_IS_WRITE, (byte) 1);
    assertEquals(new Exit.MmioWrite(0xfee0_0000L, 4, 0x8765_4321L), exit(Exits.KVM_EXIT_MMIO));
    memory.putInt(KvmRun.MMIO_LEN, 8);
    assertEquals(
        new Exit.MmioWrite(0xfee0_0000L, 8, 0xffff_ffff_8765_4321L), exit(Exits.KVM_EXIT_MMIO));
    memory.putByte(KvmRun.MMIO_IS_WRITE, (byte) 0);
    assertEquals(new Exit.MmioRead(0xfee0_0000L, 8), exit(Exits.KVM_EXIT_MMIO));
  }

  @Test
  void debugFailEntryAndMsrsTellTheirFields() {
    memory.putInt(KvmRun.DEBUG_ARCH_EXCEPTION, 1);
    memory.putLong(KvmRun.DEBUG_ARCH_PC, 0x1000);
    memory.putLong(KvmRun.DEBUG_ARCH_DR6, 0xffff4ff0L);
    memory.putLong(KvmRun.DEBUG_ARCH_DR7, 0x400);
    assertEquals(new Exit.Debug(1, 0x1000, 0xffff4ff0L, 0x400), exit(Exits.KVM_EXIT_DEBUG));

    memory.putLong(KvmRun.FAIL_ENTRY_HARDWARE_ENTRY_FAILURE_REASON, 0x8000_0021L);
    memory.putInt(KvmRun.FAIL_ENTRY_CPU, 1);
    assertEquals(new Exit.FailEntry(0x8000_0021L, 1, ""), exit(Exits.KVM_EXIT_FAIL_ENTRY));

    memory.putInt(KvmRun.MSR_REASON, Uapi.KVM_MSR_EXIT_REASON_FILTER);
    memory.putInt(KvmRun.MSR_INDEX, 0xc000_0080);
    memory.putLong(KvmRun.MSR_DATA, -2);
    assertEquals(new Exit.RdMsr(0xc000_0080, 4), exit(Exits.KVM_EXIT_X86_RDMSR));
    assertEquals(new Exit.WrMsr(0xc000_0080, 4, -2), exit(Exits.KVM_EXIT_X86_WRMSR));
  }

  @Test
  void theOthersTellTheirFields() {
    memory.putLong(KvmRun.HW_HARDWARE_EXIT_REASON, 77);
    assertEquals(new Exit.HardwareUnknown(77), exit(Exits.KVM_EXIT_UNKNOWN));
    memory.putInt(KvmRun.EX_EXCEPTION, 14);
    memory.putInt(KvmRun.EX_ERROR_CODE, 2);
    assertEquals(new Exit.GuestException(14, 2), exit(Exits.KVM_EXIT_EXCEPTION));
    memory.putLong(KvmRun.HYPERCALL_NR, 12);
    for (int i = 0; i < 6; i++) {
      memory.putLong(KvmRun.HYPERCALL_ARGS + 8L * i, 100 + i);
    }
    memory.putInt(KvmRun.HYPERCALL_LONGMODE, 1);
    assertEquals(
        new Exit.Hypercall(12, List.of(100L, 101L, 102L, 103L, 104L, 105L), true),
        exit(Exits.KVM_EXIT_HYPERCALL));
    memory.putLong(KvmRun.CR8, 9);
    assertEquals(new Exit.SetTpr(9), exit(Exits.KVM_EXIT_SET_TPR));
    memory.putLong(KvmRun.TPR_ACCESS_RIP, 0x7c00);
    memory.putInt(KvmRun.TPR_ACCESS_IS_WRITE, 1);
    assertEquals(new Exit.TprAccess(0x7c00, true), exit(Exits.KVM_EXIT_TPR_ACCESS));
    memory.putInt(KvmRun.SYSTEM_EVENT_TYPE, Uapi.KVM_SYSTEM_EVENT_RESET);
    memory.putInt(KvmRun.SYSTEM_EVENT_NDATA, 2);
    memory.putLong(KvmRun.SYSTEM_EVENT_DATA, 5);
    memory.putLong(KvmRun.SYSTEM_EVENT_DATA + 8, 6);
    assertEquals(
        new Exit.SystemEvent(Uapi.KVM_SYSTEM_EVENT_RESET, List.of(5L, 6L)),
        exit(Exits.KVM_EXIT_SYSTEM_EVENT));
    memory.putByte(KvmRun.EOI_VECTOR, (byte) 0xef);
    assertEquals(new Exit.IoapicEoi(0xef), exit(Exits.KVM_EXIT_IOAPIC_EOI));
    memory.putInt(KvmRun.NOTIFY_FLAGS, 1);
    assertEquals(new Exit.Notify(1), exit(Exits.KVM_EXIT_NOTIFY));
    memory.putLong(KvmRun.MEMORY_FAULT_FLAGS, 8);
    memory.putLong(KvmRun.MEMORY_FAULT_GPA, 0x1000);
    memory.putLong(KvmRun.MEMORY_FAULT_SIZE, 0x2000);
    assertEquals(new Exit.MemoryFault(8, 0x1000, 0x2000), exit(Exits.KVM_EXIT_MEMORY_FAULT));
  }

  @Test
  void anEmulationFailureShowsTheInstruction() {
    memory.putInt(KvmRun.INTERNAL_SUBERROR, Uapi.KVM_INTERNAL_ERROR_EMULATION);
    memory.putInt(KvmRun.INTERNAL_NDATA, 5);
    memory.putLong(KvmRun.EMULATION_FAILURE_FLAGS, 1);
    memory.putByte(KvmRun.EMULATION_FAILURE_INSN_SIZE, (byte) 3);
    memory.write(KvmRun.EMULATION_FAILURE_INSN_BYTES, new byte[] {0x0f, 0x01, (byte) 0xc1}, 0, 3);
    Exit.InternalError error =
        assertInstanceOf(Exit.InternalError.class, exit(Exits.KVM_EXIT_INTERNAL_ERROR));
    assertEquals(5, error.data().size());
    assertEquals(Bytes.of((byte) 0x0f, (byte) 1, (byte) 0xc1), error.instruction());
    assertTrue(error.toString().contains("emulation, instruction=0f 01 c1"), error.toString());

    memory.putLong(KvmRun.EMULATION_FAILURE_FLAGS, 0);
    assertEquals(
        0, ((Exit.InternalError) exit(Exits.KVM_EXIT_INTERNAL_ERROR)).instruction().length());
    memory.putInt(KvmRun.INTERNAL_NDATA, 0);
    assertEquals(new Exit.InternalError(1, List.of(), ""), exit(Exits.KVM_EXIT_INTERNAL_ERROR));
    memory.putInt(KvmRun.INTERNAL_SUBERROR, Uapi.KVM_INTERNAL_ERROR_DELIVERY_EV);
    memory.putInt(KvmRun.INTERNAL_NDATA, 0x7fff_ffff);
    error = (Exit.InternalError) exit(Exits.KVM_EXIT_INTERNAL_ERROR);
    assertEquals(16, error.data().size());
    assertEquals("delivery of an event", error.suberrorName());
  }

  @Test
  void synchronisedRegistersAreReadAndWrittenInPlace() {
    Regs regs = new Regs();
    regs.rip = 0x1234;
    regs.rax = -1;
    page.writeSyncRegs(regs);
    assertEquals(0x1234, page.syncReg(KvmRegs.RIP));
    page.setSyncReg(KvmRegs.RAX, 7);
    Regs again = new Regs();
    page.readSyncRegs(again);
    assertEquals(7, again.rax);
    assertFalse(regs.equals(again));

    Sregs sregs = new Sregs();
    sregs.cr0 = 0x60000010;
    page.writeSyncSregs(sregs);
    Sregs sregsAgain = new Sregs();
    page.readSyncSregs(sregsAgain);
    assertEquals(sregs, sregsAgain);

    VcpuEvents events = new VcpuEvents();
    events.exceptionPayload = 5;
    page.writeSyncEvents(events);
    VcpuEvents eventsAgain = new VcpuEvents();
    page.readSyncEvents(eventsAgain);
    assertEquals(events, eventsAgain);
    assertEquals(5, memory.getLong(KvmRun.S_REGS + 456 + 56));
  }
}
