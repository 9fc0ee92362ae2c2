package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.kvm.Refusals.refusal;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmCoalescedMmio;
import org.kvm4j.kvm.uapi.KvmCoalescedMmioRing;
import org.kvm4j.kvm.uapi.KvmEnableCap;
import org.kvm4j.kvm.uapi.KvmIoeventfd;
import org.kvm4j.kvm.uapi.KvmMsrFilter;
import org.kvm4j.kvm.uapi.KvmMsrFilterRange;
import org.kvm4j.kvm.uapi.KvmMsrs;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.KvmUserspaceMemoryRegion;
import org.kvm4j.kvm.uapi.Uapi;

class HandleTests {

  private FakeKernel kernel;
  private Kvm kvm;
  private Vm vm;
  private Vcpu vcpu;

  @BeforeEach
  void open() {
    kernel = new FakeKernel();
    kernel.capabilities.put(Caps.KVM_CAP_NR_MEMSLOTS, 32764);
    kernel.capabilities.put(Caps.KVM_CAP_XSAVE2, 4096);
    kvm = Kvm.open(kernel);
    vm = kvm.createVm();
    vcpu = vm.createVcpu(0);
  }

  private UserMemory at(long address, long length) {
    return kernel.memory(address, length);
  }

  // --- Life cycle

  @Test
  void openingTellsWhyItFailed() {
    kernel.openResult = Errno.EACCES.result();
    KvmException e = assertThrows(KvmException.class, () -> Kvm.open(kernel));
    assertEquals("open: EACCES: /dev/kvm", e.getMessage());
    assertEquals(13, e.errno());
    assertTrue(e.is(Errno.EACCES));
  }

  @Test
  void anotherApiVersionIsRefused() {
    kernel.on(Ioctls.KVM_GET_API_VERSION, (fd, argument) -> 13);
    assertTrue(refusal(IllegalStateException.class, () -> Kvm.open(kernel)).contains("version 13"));
    assertEquals(1, kernel.closed.size());
  }

  @Test
  void closingTwiceClosesOnceAndGivesAllMemoryBack() {
    for (Handle handle : List.of(vcpu, vm, kvm)) {
      handle.close();
      handle.close();
      assertTrue(handle.isClosed());
    }
    assertEquals(3, kernel.closed.size());
    assertEquals(0, kernel.mappedRanges());
  }

  @Test
  void useAfterCloseNamesTheHandle() {
    vcpu.close();
    vm.close();
    kvm.close();
    assertEquals("vCPU 0 is closed", refusal(IllegalStateException.class, vcpu::run));
    assertEquals("the VM is closed", refusal(IllegalStateException.class, () -> vm.createVcpu(1)));
    assertEquals("/dev/kvm is closed", refusal(IllegalStateException.class, () -> kvm.createVm()));
    assertThrows(IllegalStateException.class, vcpu::getRegs);
    assertThrows(IllegalStateException.class, vm::getClock);
    assertThrows(IllegalStateException.class, () -> vcpu.runPage().exitReason());
  }

  @Test
  void aVcpuWorksOnWhenItsVmIsClosed() {
    vm.close();
    kvm.close();
    assertEquals(new Regs(), vcpu.getRegs());
  }

  // --- Errors

  @Test
  void aFailedIoctlIsNamedWithItsErrno() {
    kernel.fail(Ioctls.KVM_GET_REGS, Errno.EIO);
    KvmException e = assertThrows(KvmException.class, vcpu::getRegs);
    assertEquals("KVM_GET_REGS", e.call());
    assertEquals("EIO", e.errnoName());
  }

  @Test
  void aRefusedCreationOfAVcpuTellsTheLimits() {
    kernel.capabilities.put(Caps.KVM_CAP_MAX_VCPU_ID, 4096);
    kernel.capabilities.put(Caps.KVM_CAP_MAX_VCPUS, 1024);
    kernel.fail(Ioctls.KVM_CREATE_VCPU, Errno.EINVAL);
    assertTrue(
        refusal(KvmException.class, () -> vm.createVcpu(-1))
            .contains("EINVAL: vCPU id 4294967295 of at most 4096 ids and 1024 vCPUs"));
    assertEquals(
        0xffff_ffffL,
        kernel.calls.stream()
            .filter(c -> c.request() == Ioctls.KVM_CREATE_VCPU)
            .reduce((a, b) -> b)
            .orElseThrow()
            .argument());
  }

  @Test
  void anOverlappingSlotNamesTheSlotThatItHits() {
    vm.setUserMemoryRegion(1, 0, 0, 0x2000, 0x10000);
    vm.setUserMemoryRegion(2, 0, 0x10000, 0x1000, 0x20000);
    kernel.fail(Ioctls.KVM_SET_USER_MEMORY_REGION, Errno.EEXIST);
    KvmException e =
        assertThrows(
            KvmException.class, () -> vm.setUserMemoryRegion(3, 0, 0x1000, 0x2000, 0x30000));
    assertEquals(
        "KVM_SET_USER_MEMORY_REGION: EEXIST: slot 3 [0x1000, 0x3000) overlaps slot 1 [0x0, 0x2000)",
        e.getMessage());
    assertEquals(2, vm.memorySlots().size());
  }

  @Test
  void aRefusedSlotTellsEveryThingWrongWithIt() {
    vm.setUserMemoryRegion(1, 0, 0, 0x2000, 0x10000);
    kernel.fail(Ioctls.KVM_SET_USER_MEMORY_REGION, Errno.EINVAL);
    record Case(int slot, int flags, long gpa, long size, long hva, String... words) {}
    for (Case c :
        List.of(
            new Case(5, 0, 0x5000, 0x1800, 0x10000, "size 0x1800 is not a multiple of 4096"),
            new Case(5, 0, 0x5001, 0x1000, 0x10000, "guest-physical address 0x5001 is not"),
            new Case(5, 0, 0x5000, 0x1000, 0x10010, "user-space address 0x10010 is not"),
            new Case(5, 0x13, 0x5000, 0x1000, 0x10000, "unknown flags 0x10"),
            new Case(32764, 0, 0x5000, 0x1000, 0x10000, "slot 32764 of 32764"),
            new Case(0x10000, 0, 0x5000, 0x1000, 0x10000, "address space 1 of 1"),
            new Case(5, 0, -4096, 0x2000, 0x10000, "wraps past the last address"),
            new Case(5, 0, 0x5000, 0x1000, 0xffff_8000_0000_0000L, "not in user space"),
            new Case(5, 0, 0x5000, 1L << 44, 0x10000, "more than a slot can have"),
            new Case(
                1, 0, 0, 0x1000, 0x10000, "slot 1 [0x0, 0x2000) cannot change its size to 0x1000"),
            new Case(1, 0, 0, 0x2000, 0x11000, "cannot change its memory from 0x10000 to 0x11000"),
            new Case(1, 2, 0, 0x2000, 0x10000, "cannot change KVM_MEM_READONLY"),
            new Case(7, 0, 0, 0, 0, "there is no slot 7 to delete"),
            new Case(
                5, 0x10, 0x5001, 0x1801, 0x10001, "flags", "size", "guest-physical", "user-space"),
            new Case(5, 0, 0x5000, 0x1000, 0x10000, "perhaps past the last guest-physical"))) {
      String message =
          refusal(
              KvmException.class,
              () -> vm.setUserMemoryRegion(c.slot, c.flags, c.gpa, c.size, c.hva));
      for (String word : c.words) {
        assertTrue(message.contains(word), () -> message + " lacks " + word);
      }
    }
    assertEquals(1, vm.memorySlots().size());
  }

  @Test
  void slotsAreKeptMovedAndDeletedAsTheKernelAcceptsThem() {
    vm.setUserMemoryRegion(1, 0, 0, 0x2000, 0x10000);
    vm.setUserMemoryRegion(1, 1, 0x8000, 0x2000, 0x10000);
    assertEquals(
        List.of(new MemorySlot(1, 1, 0x8000, 0x2000, 0x10000)), List.copyOf(vm.memorySlots()));
    assertEquals(0x8000, kernel.lastArgument().getLong(KvmUserspaceMemoryRegion.GUEST_PHYS_ADDR));
    assertEquals(1, kernel.lastArgument().getInt(KvmUserspaceMemoryRegion.FLAGS));
    vm.deleteMemoryRegion(1);
    assertTrue(vm.memorySlots().isEmpty());
  }

  // --- Lists

  @Test
  void msrListsAskForTheirLengthFirst() {
    kernel.on(
        Ioctls.KVM_GET_MSR_INDEX_LIST,
        (fd, argument) -> {
          UserMemory memory = at(argument, 4);
          if (memory.getInt(0) < 3) {
            memory.putInt(0, 3);
            return Errno.E2BIG.result();
          }
          memory = at(argument, 16);
          memory.putInt(4, 0x10);
          memory.putInt(8, 0xc0000080);
          memory.putInt(12, 0x1b);
          return 0;
        });
    assertArrayEquals(new int[] {0x10, 0xc0000080, 0x1b}, kvm.getMsrIndexList());
  }

  @Test
  void cpuidIsReadAndWritten() {
    CpuidEntry entry = new CpuidEntry(7, 1, 1, 2, 3, 4, 5);
    entry.padding[2] = 9;
    kernel.on(
        Ioctls.KVM_GET_SUPPORTED_CPUID,
        (fd, argument) -> {
          UserMemory memory = at(argument, 8 + 80);
          assertEquals(256, memory.getInt(0));
          memory.putInt(0, 2);
          entry.writeTo(memory, 8);
          entry.writeTo(memory, 48);
          return 0;
        });
    List<CpuidEntry> entries = kvm.getSupportedCpuid();
    assertEquals(List.of(entry, entry), entries);
    vcpu.setCpuid2(entries);
    HeapMemory written = kernel.lastArgument();
    assertEquals(2, written.getInt(0));
    CpuidEntry again = new CpuidEntry();
    again.readFrom(written, 48);
    assertEquals(entry, again);
  }

  @Test
  void cpuidOfAKernelThatDoesNotTellItsCountIsCountedByTrying() {
    kernel.on(
        Ioctls.KVM_GET_CPUID2,
        (fd, argument) -> at(argument, 8).getInt(0) < 21 ? Errno.E2BIG.result() : 0);
    assertEquals(21, vcpu.getCpuid2().size());
    vcpu.setCpuid2(List.of(new CpuidEntry()));
    assertEquals(1, vcpu.getCpuid2().size());
  }

  @Test
  void msrsStopAtTheFirstThatIsRefused() {
    kernel.on(
        Ioctls.KVM_GET_MSRS,
        (fd, argument) -> {
          UserMemory memory = at(argument, 8 + 48);
          assertEquals(3, memory.getInt(KvmMsrs.NMSRS));
          memory.putLong(KvmMsrs.ENTRIES + 8, 111);
          memory.putLong(KvmMsrs.ENTRIES + 24, 222);
          memory.putLong(KvmMsrs.ENTRIES + 40, 333);
          return 2;
        });
    List<MsrEntry> entries =
        List.of(new MsrEntry(0x10, 0), new MsrEntry(0x1b, 0), new MsrEntry(0x666, 5));
    assertEquals(2, vcpu.getMsrs(entries));
    assertEquals(111, entries.get(0).data);
    assertEquals(222, entries.get(1).data);
    assertEquals(5, entries.get(2).data);
    kernel.on(Ioctls.KVM_SET_MSRS, (fd, argument) -> 0);
    KvmException e = assertThrows(KvmException.class, () -> vcpu.setMsr(0x666, 0x77));
    assertEquals(0, e.errno());
    assertTrue(e.getMessage().contains("MSR 0x666") && e.getMessage().contains("0x77"));
  }

  @Test
  void tooManyMsrsAreToldSo() {
    kernel.fail(Ioctls.KVM_SET_MSRS, Errno.E2BIG);
    List<MsrEntry> entries = new ArrayList<>();
    for (int i = 0; i < 256; i++) {
      entries.add(new MsrEntry(i, 0));
    }
    assertTrue(
        refusal(KvmException.class, () -> vcpu.setMsrs(entries))
            .contains("256 entries; at most 255"));
  }

  @Test
  void anArgumentGreaterThanAPageGetsAGreaterBlock() {
    Xsave xsave = new Xsave(11008);
    xsave.region[11007] = 1;
    vcpu.setXsave(xsave);
    assertEquals(1, kernel.lastCall().bytes()[11007]);
    assertEquals(new Xsave(), vcpu.getXsave());
  }

  // --- Structures

  @Test
  void theMsrFilterPointsAtItsBitmaps() {
    vm.setMsrFilter(
        MsrFilter.defaultDeny()
            .allow(Uapi.KVM_MSR_FILTER_READ, 0x10, 3)
            .range(3, 0xc0000000, 70, new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9}));
    HeapMemory filter = kernel.lastArgument();
    assertEquals(1, filter.getInt(KvmMsrFilter.FLAGS));
    long at = KvmMsrFilter.RANGES;
    assertEquals(1, filter.getInt(at + KvmMsrFilterRange.FLAGS));
    assertEquals(3, filter.getInt(at + KvmMsrFilterRange.NMSRS));
    long address = kernel.lastCall().argument();
    assertEquals(
        (byte) 0xff, filter.getByte(filter.getLong(at + KvmMsrFilterRange.BITMAP) - address));
    at += KvmMsrFilterRange.SIZEOF;
    assertEquals(0xc0000000, filter.getInt(at + KvmMsrFilterRange.BASE));
    long bitmap = filter.getLong(at + KvmMsrFilterRange.BITMAP) - address;
    assertEquals(0x0807060504030201L, filter.getLong(bitmap));
    assertEquals(9, filter.getByte(bitmap + 8));
    assertThrows(IllegalArgumentException.class, () -> MsrFilter.defaultAllow().deny(3, 0, 12289));
    assertThrows(
        IllegalArgumentException.class, () -> MsrFilter.defaultAllow().range(3, 0, 9, new byte[1]));
  }

  @Test
  void ioeventfdAndCapabilitiesFillTheirStructs() {
    try (EventFd event = EventFd.create(kernel)) {
      vm.ioeventfd(event, 0x3f8, 1, Uapi.KVM_IOEVENTFD_FLAG_PIO, 5);
      HeapMemory argument = kernel.lastArgument();
      assertEquals(0x3f8, argument.getLong(KvmIoeventfd.ADDR));
      assertEquals(1, argument.getInt(KvmIoeventfd.LEN));
      assertEquals(event.fd(), argument.getInt(KvmIoeventfd.FD));
      assertEquals(2, argument.getInt(KvmIoeventfd.FLAGS));
      assertEquals(5, argument.getLong(KvmIoeventfd.DATAMATCH));
    }
    vm.enableCap(Caps.KVM_CAP_X86_USER_SPACE_MSR, 7, 8);
    assertEquals(188, kernel.lastArgument().getInt(KvmEnableCap.CAP));
    assertEquals(7, kernel.lastArgument().getLong(KvmEnableCap.ARGS));
    assertEquals(8, kernel.lastArgument().getLong(KvmEnableCap.ARGS + 8));
    kernel.fail(Ioctls.KVM_ENABLE_CAP, Errno.EINVAL);
    assertTrue(
        refusal(KvmException.class, () -> vm.enableCap(KvmCap.KVM_CAP_EXIT_HYPERCALL.number(), 9))
            .contains("KVM_CAP_EXIT_HYPERCALL 0x9"));
  }

  @Test
  void dirtyLogsHaveABitForEachPage() {
    vm.setUserMemoryRegion(3, 1, 0, 130 * 4096, 0x10000);
    kernel.on(
        Ioctls.KVM_GET_DIRTY_LOG,
        (fd, argument) -> {
          UserMemory bitmap = at(at(argument, 16).getLong(8), 24);
          bitmap.putLong(0, 1L << 63 | 1);
          bitmap.putLong(16, 2);
          return 0;
        });
    DirtyLog log = vm.getDirtyLog(3);
    assertEquals(130, log.pages());
    assertEquals(3, log.count());
    assertTrue(log.isDirty(0) && log.isDirty(63) && log.isDirty(129));
    assertFalse(log.isDirty(64));
    assertEquals(63, log.nextDirty(1));
    assertEquals(129, log.nextDirty(64));
    assertEquals(-1, log.nextDirty(130));
    assertEquals("{0, 63, 129}", log.toBitSet().toString());
    assertThrows(IndexOutOfBoundsException.class, () -> log.isDirty(130));
  }

  @Test
  void theDirtyLogOfAnUnknownSlotOffersTheKernelNoMemory() {
    kernel.on(
        Ioctls.KVM_GET_DIRTY_LOG,
        (fd, argument) -> {
          assertEquals(0, at(argument, 16).getLong(8));
          return Errno.ENOENT.result();
        });
    assertTrue(
        refusal(KvmException.class, () -> vm.getDirtyLog(9))
            .contains("ENOENT: slot 9, which was not made"));
  }

  @Test
  void coalescedWritesComeOutInOrderAndAroundTheEnd() {
    UserMemory ring = vcpu.runPage().memory().slice(2 * 4096, 4096);
    assertTrue(vcpu.coalescedRing().isEmpty());
    int first = CoalescedRing.ENTRIES - 1;
    ring.putInt(KvmCoalescedMmioRing.FIRST, first);
    ring.putInt(KvmCoalescedMmioRing.LAST, 1);
    long at = 8 + (long) first * KvmCoalescedMmio.SIZEOF;
    ring.putLong(at, 0xa0000);
    ring.putInt(at + KvmCoalescedMmio.LEN, 2);
    ring.putLong(at + KvmCoalescedMmio.DATA, 0x123456);
    ring.putLong(8, 0xcfc);
    ring.putInt(8 + KvmCoalescedMmio.LEN, 8);
    ring.putInt(8 + KvmCoalescedMmio.PIO, 1);
    ring.putLong(8 + KvmCoalescedMmio.DATA, -1);
    List<String> writes = new ArrayList<>();
    assertEquals(
        2,
        vcpu.coalescedRing()
            .drain(
                (address, length, data, pio) ->
                    writes.add(String.format("%x %d %x %s", address, length, data, pio))));
    assertEquals(List.of("a0000 2 3456 false", "cfc 8 ffffffffffffffff true"), writes);
    assertTrue(vcpu.coalescedRing().isEmpty());
  }

  // --- Running

  @Test
  void errnosOfARunThatAreNoFailuresAreExits() {
    kernel.fail(Ioctls.KVM_RUN, Errno.EINTR);
    assertInstanceOf(Exit.Interrupted.class, vcpu.run());
    kernel.fail(Ioctls.KVM_RUN, Errno.EAGAIN);
    assertInstanceOf(Exit.Again.class, vcpu.run());
    vcpu.runPage().memory().putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_MEMORY_FAULT);
    kernel.fail(Ioctls.KVM_RUN, Errno.EFAULT);
    assertInstanceOf(Exit.MemoryFault.class, vcpu.run());
    vcpu.runPage().memory().putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_HLT);
    KvmException e = assertThrows(KvmException.class, vcpu::run);
    assertTrue(e.is(Errno.EFAULT));
    assertTrue(e.getMessage().contains("not mapped"));
    assertEquals(Errno.EFAULT.result(), vcpu.runRaw());
  }

  @Test
  void answersFitTheExit() {
    UserMemory page = vcpu.runPage().memory();
    page.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_HLT);
    assertTrue(
        refusal(IllegalStateException.class, () -> vcpu.answerIn(1))
            .contains("the last exit was KVM_EXIT_HLT, not KVM_EXIT_IO"));
    assertThrows(IllegalStateException.class, () -> vcpu.answerMmio(1));
    assertThrows(IllegalStateException.class, () -> vcpu.answerRdMsr(1));
    assertThrows(IllegalStateException.class, vcpu::failMsr);
    assertThrows(IllegalStateException.class, () -> vcpu.answerHypercall(1));

    page.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_IO);
    page.putByte(KvmRun.IO_SIZE, (byte) 2);
    page.putInt(KvmRun.IO_COUNT, 2);
    page.putLong(KvmRun.IO_DATA_OFFSET, 4096);
    assertThrows(IllegalStateException.class, () -> vcpu.answerIn(1));
    assertThrows(IllegalArgumentException.class, () -> vcpu.answerIn(new byte[3]));
    vcpu.answerIn(new byte[] {1, 2, 3, 4});
    assertEquals(0x04030201, page.getInt(4096));
    page.putByte(KvmRun.IO_DIRECTION, (byte) 1);
    assertThrows(IllegalStateException.class, () -> vcpu.answerIn(1));

    page.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_X86_RDMSR);
    vcpu.failMsr();
    assertEquals(1, page.getByte(KvmRun.MSR_ERROR));
    vcpu.answerRdMsr(0x123);
    assertEquals(0, page.getByte(KvmRun.MSR_ERROR));
    assertEquals(0x123, page.getLong(KvmRun.MSR_DATA));
  }

  // --- Guest memory

  @Test
  void guestMemoryIsReadAndWrittenByItsAddress() {
    try (GuestMemory memory = new GuestMemory(vm)) {
      memory.add(0, 0, 0x2000, 0);
      memory.add(1, 0x10_0000, 0x1000, Uapi.KVM_MEM_READONLY);
      memory.putLong(0x1ff8, 0x1122334455667788L);
      assertEquals(0x88, memory.getByte(0x1ff8) & 0xff);
      assertEquals(0x11223344, memory.getInt(0x1ffc));
      memory.write(0x10_0000, new byte[] {1, 2, 3});
      assertEquals(0x0201, memory.view(0x10_0000, 16).getShort(0));
      assertTrue(memory.holds(0x1fff, 1));
      assertFalse(memory.holds(0x1fff, 2));
      assertTrue(
          refusal(IllegalArgumentException.class, () -> memory.getLong(0x1ff9))
              .contains(
                  "no guest memory at [0x1ff9, 0x2001); there is: [0x0, 0x2000), [0x100000, 0x101000)"));
      assertThrows(IllegalArgumentException.class, () -> memory.getByte(-1));
      assertEquals(2, vm.memorySlots().size());
    }
    assertThrows(IllegalArgumentException.class, () -> MappedMemory.allocate(kernel, 0));
    assertTrue(
        assertThrows(KvmException.class, () -> MappedMemory.allocate(kernel, 1L << 40))
            .is(Errno.ENOMEM));
  }

  @Test
  void anEventFdTellsWhatTheKernelTells() {
    try (EventFd event = EventFd.create(kernel)) {
      event.write(3);
      assertFalse(event.await(0));
      event.close();
      assertThrows(IllegalStateException.class, event::fd);
    }
    assertSame(kernel, kvm.kernel());
  }
}
