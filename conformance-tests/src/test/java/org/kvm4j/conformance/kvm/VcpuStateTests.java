package org.kvm4j.conformance.kvm;

import static java.util.Objects.requireNonNull;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.DebugRegs;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Fpu;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.HeapMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.MpState;
import org.kvm4j.kvm.MsrEntry;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Sregs2;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.VcpuEvents;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.Xcrs;
import org.kvm4j.kvm.Xsave;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.Uapi;

/** What user space sets of a vCPU's state is what it gets, and what a new vCPU has. */
@SuppressWarnings("NullAway.Init") // Set before each test.
class VcpuStateTests extends KvmContract {

  private final Random random = new Random(7);
  private Vm vm;
  private Vcpu vcpu;

  @BeforeEach
  void createVcpu() {
    vm = kvm.createVm();
    vcpu = vm.createVcpu(0);
  }

  // --- General registers

  @EachBackend
  void aNewVcpuIsAsAfterReset() {
    Regs regs = vcpu.getRegs();
    assertEquals(0xfff0, regs.rip);
    assertEquals(2, regs.rflags);
    assertEquals(0, regs.rax);
    assertEquals(0, regs.rsp);
    Sregs sregs = vcpu.getSregs();
    assertEquals(0xffff_0000L, sregs.cs.base);
    assertEquals(0xf000, sregs.cs.selector);
    assertEquals(0xffff, sregs.cs.limit);
    assertEquals(0x6000_0010L, sregs.cr0);
    assertEquals(0, sregs.cr4);
    assertEquals(0, sregs.efer);
    assertEquals(0xfee0_0000L, sregs.apicBase & ~0xfffL);
    assertEquals(0xffff, sregs.gdt.limit);
    assertEquals(0xffff, sregs.idt.limit);
    DebugRegs debug = vcpu.getDebugRegs();
    assertEquals(0xffff_0ff0L, debug.dr6);
    assertEquals(0x400, debug.dr7);
    assertEquals(MpState.RUNNABLE, vcpu.getMpState());
    assertEquals(1, vcpu.getXcrs().xcr0());
    Fpu fpu = vcpu.getFpu();
    assertEquals(0x37f, fpu.fcw);
    assertEquals(0, fpu.mxcsr, "KVM_GET_FPU leaves it out");
    assertEquals(0x1f80, new HeapMemory(vcpu.getXsave().region).getInt(24));
  }

  @EachBackend
  void generalRegistersComeBack() {
    for (int i = 0; i < 100; i++) {
      Regs regs = new Regs();
      byte[] bytes = new byte[KvmRegs.SIZEOF];
      random.nextBytes(bytes);
      regs.readFrom(new HeapMemory(bytes), 0);
      regs.rflags = regs.rflags & 0xcd5 | 2;
      vcpu.setRegs(regs);
      assertEquals(regs, vcpu.getRegs());
    }
  }

  // --- System registers

  @EachBackend
  void systemRegistersComeBackAsTheyAre() {
    Sregs sregs = vcpu.getSregs();
    vcpu.setSregs(sregs);
    assertEquals(sregs, vcpu.getSregs());
  }

  @EachBackend
  void realModeSegmentsAndTablesComeBack() {
    for (int i = 0; i < 50; i++) {
      Sregs sregs = vcpu.getSregs();
      for (Segment segment :
          new Segment[] {sregs.cs, sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss}) {
        segment.setRealMode(random.nextInt(0x10000));
      }
      sregs.gdt.base = random.nextInt() & 0xffff_ffffL;
      sregs.gdt.limit = random.nextInt(0x10000);
      sregs.idt.base = random.nextInt() & 0xffff_ffffL;
      sregs.idt.limit = random.nextInt(0x10000);
      sregs.cr2 = random.nextLong();
      sregs.cr8 = random.nextInt(16);
      vcpu.setSregs(sregs);
      assertEquals(sregs, vcpu.getSregs());
    }
  }

  private Sregs longMode() {
    vcpu.setCpuid2(kvm.getSupportedCpuid());
    Sregs sregs = vcpu.getSregs();
    FlatSegments.longMode(sregs);
    sregs.cr3 = 0x12000;
    sregs.cr4 = 0x620;
    sregs.efer = 0x501;
    sregs.cr0 = 0x8005_0033L;
    return sregs;
  }

  @EachBackend
  void longModeComesBack() {
    Sregs sregs = longMode();
    sregs.fs.base = 0x7fff_1234_5678L;
    sregs.gs.base = 0xffff_8880_0000_0000L;
    vcpu.setSregs(sregs);
    assertEquals(sregs, vcpu.getSregs());
    Sregs2 sregs2 = vcpu.getSregs2();
    assertEquals(sregs.gs, sregs2.gs);
    assertEquals(sregs.efer, sregs2.efer);
    assertEquals(0, sregs2.flags);
    vcpu.setSregs2(sregs2);
    assertEquals(sregs2, vcpu.getSregs2());
  }

  @EachBackend
  void contradictionsAreRefusedAndChangeNothing() {
    Sregs good = longMode();
    Sregs before = vcpu.getSregs();
    record Bad(String what, Consumer<Sregs> change) {}
    for (Bad bad :
        List.of(
            new Bad("long mode without PAE", s -> s.cr4 &= ~0x20L),
            new Bad("LMA without LME and PG", s -> s.cr0 &= ~0x8000_0000L),
            new Bad("PG without PE", s -> s.cr0 &= ~1L),
            new Bad("a reserved bit of CR4", s -> s.cr4 |= 1L << 40),
            new Bad("a reserved bit of CR3", s -> s.cr3 |= 1L << 60),
            new Bad("a reserved bit of IA32_APIC_BASE", s -> s.apicBase |= 1L << 60))) {
      Sregs sregs = vcpu.getSregs();
      sregs.readFrom(new HeapMemory(good.toBytes()), 0);
      bad.change.accept(sregs);
      assertEquals(
          Errno.EINVAL.result(),
          -assertThrows(KvmException.class, () -> vcpu.setSregs(sregs), bad.what).errno(),
          bad.what);
    }
    assertEquals(before, vcpu.getSregs());
    vcpu.setSregs(good);
  }

  @EachBackend
  void pdptrsComeAndGoWithSregs2() {
    Sregs2 sregs = vcpu.getSregs2();
    assertEquals(0, sregs.flags);
    sregs.flags = 2;
    refused(Errno.EINVAL, () -> vcpu.setSregs2(sregs));
    sregs.flags = Uapi.KVM_SREGS2_FLAGS_PDPTRS_VALID;
    refused(Errno.EINVAL, () -> vcpu.setSregs2(sregs));
  }

  // --- FPU and XSAVE

  @EachBackend
  void theFpuComesBack() {
    Fpu fpu = vcpu.getFpu();
    fpu.fcw = 0x27f;
    fpu.fsw = 0x3800;
    fpu.ftwx = 0x81;
    fpu.lastOpcode = 0x123;
    fpu.lastIp = 0x1234_5678L;
    fpu.lastDp = 0x9abc_def0L;
    fpu.mxcsr = 0x1fa0; // Which KVM_SET_FPU does not take, nor KVM_GET_FPU give.
    for (int i = 0; i < 8; i++) {
      for (int j = 0; j < 10; j++) {
        fpu.fpr[16 * i + j] = (byte) random.nextInt();
      }
    }
    random.nextBytes(fpu.xmm);
    vcpu.setFpu(fpu);
    Fpu back = vcpu.getFpu();
    if (!backend.isEmulated() && !Arrays.equals(fpu.xmm, back.xmm)) {
      backend.limit("loses XMM registers that are set on a vCPU that has not run");
    }
    fpu.mxcsr = 0;
    assertEquals(fpu, back);
    Xsave xsave = vcpu.getXsave();
    if ((xsave.region[512] & 2) == 0) {
      backend.limit("leaves XSTATE_BV clear after KVM_SET_FPU: the area holds no XMM registers");
    }
    assertArrayEquals(fpu.xmm, Arrays.copyOfRange(xsave.region, 160, 416));
    assertArrayEquals(fpu.fpr, Arrays.copyOfRange(xsave.region, 32, 160));
  }

  @EachBackend
  void xsaveComesBack() {
    Xsave xsave = vcpu.getXsave();
    vcpu.setXsave(xsave);
    assertEquals(xsave, vcpu.getXsave());
    Xsave xsave2 = vcpu.getXsave2();
    assertEquals(Math.max(4096, vm.checkExtension(KvmCap.KVM_CAP_XSAVE2)), xsave2.sizeof());
    vcpu.setXsave(xsave2);
    assertEquals(xsave2, vcpu.getXsave2());
    assertArrayEquals(xsave.region, Arrays.copyOf(xsave2.region, 4096));
  }

  @EachBackend
  void whatIsNotValidInAnXsaveAreaBecomesInitial() {
    Xsave xsave = vcpu.getXsave();
    xsave.region[160] = 5;
    xsave.region[512] = 3;
    vcpu.setXsave(xsave);
    assertEquals(5, vcpu.getXsave().region[160]);
    xsave.region[512] = 0;
    vcpu.setXsave(xsave);
    assertEquals(0, vcpu.getXsave().region[160]);
    xsave.region[520] = 1;
    refused(Errno.EINVAL, () -> vcpu.setXsave(xsave));
  }

  @EachBackend
  void xcrsComeBackAsFarAsCpuidAllows() {
    List<CpuidEntry> cpuid = kvm.getSupportedCpuid();
    vcpu.setCpuid2(cpuid);
    // x87 state is always there.
    int allowed = entry(cpuid, 0xd).eax | 1;
    long last = 0;
    for (long value : new long[] {1, 3, 7}) {
      if ((value & ~allowed) != 0) {
        refused(Errno.EINVAL, () -> vcpu.setXcrs(Xcrs.ofXcr0(value)));
        continue;
      }
      last = value;
      vcpu.setXcrs(Xcrs.ofXcr0(value));
      Xcrs back = vcpu.getXcrs();
      assertEquals(1, back.nrXcrs);
      assertEquals(value, back.xcr0());
    }
    for (long value : new long[] {0, 2, 5, 1L << 62 | 1}) {
      refused(Errno.EINVAL, () -> vcpu.setXcrs(Xcrs.ofXcr0(value)));
    }
    assertEquals(last, vcpu.getXcrs().xcr0());
  }

  // --- Debug registers etc.

  @EachBackend
  void debugRegistersComeBack() {
    DebugRegs regs = new DebugRegs();
    for (int i = 0; i < 4; i++) {
      regs.db[i] = random.nextLong() >>> 17;
    }
    regs.dr6 = 0xffff_0ff1L;
    regs.dr7 = 0x0000_0401L;
    vcpu.setDebugRegs(regs);
    assertEquals(regs, vcpu.getDebugRegs());
  }

  @EachBackend
  void eventsComeBack() {
    VcpuEvents events = vcpu.getVcpuEvents();
    vcpu.setVcpuEvents(events);
    assertEquals(events, vcpu.getVcpuEvents());
    events.exceptionInjected = 1;
    events.exceptionNr = 13;
    events.exceptionHasErrorCode = 1;
    events.exceptionErrorCode = 0x18;
    events.nmiMasked = 1;
    events.interruptShadow = Uapi.KVM_X86_SHADOW_INT_STI;
    events.flags = Uapi.KVM_VCPUEVENT_VALID_SHADOW | Uapi.KVM_VCPUEVENT_VALID_NMI_PENDING;
    vcpu.setVcpuEvents(events);
    VcpuEvents back = vcpu.getVcpuEvents();
    assertEquals(1, back.exceptionInjected);
    assertEquals(13, back.exceptionNr);
    assertEquals(1, back.exceptionHasErrorCode);
    assertEquals(0x18, back.exceptionErrorCode);
    assertEquals(1, back.nmiMasked);
    assertEquals(Uapi.KVM_X86_SHADOW_INT_STI, back.interruptShadow);
  }

  @EachBackend
  void anInterruptThatIsQueuedShowsInEventsAndBitmap() {
    vcpu.interrupt(0x31);
    VcpuEvents events = vcpu.getVcpuEvents();
    assertEquals(1, events.interruptInjected);
    assertEquals(0x31, events.interruptNr);
    assertEquals(1L << 0x31, vcpu.getSregs().interruptBitmap[0]);
  }

  // --- CPUID and MSRs

  @EachBackend
  void cpuidComesBack() {
    List<CpuidEntry> supported = kvm.getSupportedCpuid();
    vcpu.setCpuid2(supported);
    List<CpuidEntry> back = vcpu.getCpuid2();
    List<List<Integer>> given = supported.stream().map(e -> List.of(e.function, e.index)).toList();
    List<List<Integer>> found = back.stream().map(e -> List.of(e.function, e.index)).toList();
    if (backend.isEmulated()) {
      assertEquals(given, found);
    } else {
      assertEquals(given.stream().filter(found::contains).toList(), found);
      // A kernel may leave out leaves of features that the process has no permission for (AMX), and
      // AVX10's.
      Set<Integer> ofPermission = Set.of(0x1d, 0x1e, 0x24);
      assertEquals(
          List.of(),
          given.stream()
              .filter(e -> !found.contains(e) && !ofPermission.contains(e.get(0)))
              .toList());
    }
    // Leaves without bits that follow other state.
    for (int leaf : new int[] {0, 0x8000_0000, 0x8000_0002, 0x4000_0000}) {
      if (backend.isEmulated() || leaf == 0x4000_0000) {
        assertEquals(entry(supported, leaf), entry(back, leaf));
      }
    }
    vcpu.setCpuid2(List.of());
    assertEquals(List.of(), vcpu.getCpuid2());
  }

  private static CpuidEntry entry(List<CpuidEntry> entries, int leaf) {
    return entries.stream().filter(e -> e.function == leaf).findFirst().orElseThrow();
  }

  @EachBackend
  void theKernelCountsItsCpuidWhoeverSetIt() {
    vcpu.setCpuid2(kvm.getSupportedCpuid().subList(0, 5));
    int count = vcpu.getCpuid2().size();
    if (count > 5) {
      backend.limit("adds leaves of its own to what KVM_GET_CPUID2 gives");
    }
    assertEquals(5, count);
  }

  @EachBackend
  void msrsComeBack() {
    vcpu.setCpuid2(kvm.getSupportedCpuid());
    long[][] values = {
      {0x174, 0x10}, // IA32_SYSENTER_CS
      {0x175, 0x7fff_1234_5678L}, // IA32_SYSENTER_ESP
      {0x176, 0xffff_8000_1234_5678L}, // IA32_SYSENTER_EIP
      {0x277, 0x0007_0406_0007_0406L}, // IA32_PAT
      {0xc000_0081L, 0x0023_0010_0000_0000L}, // IA32_STAR
      {0xc000_0082L, 0xffff_ffff_8100_0000L}, // IA32_LSTAR
      {0xc000_0083L, 0xffff_ffff_8200_0000L}, // IA32_CSTAR
      {0xc000_0084L, 0x4_7700}, // IA32_FMASK
      {0xc000_0102L, 0x7f00_0000_1000L} // IA32_KERNEL_GS_BASE
    };
    for (long[] value : values) {
      vcpu.setMsr((int) value[0], value[1]);
    }
    for (long[] value : values) {
      assertEquals(value[1], vcpu.getMsr((int) value[0]), () -> Long.toHexString(value[0]));
    }
  }

  @EachBackend
  void everyListedMsrCanBeReadAndSavedMsrsCanBeRestored() {
    vcpu.setCpuid2(kvm.getSupportedCpuid());
    List<MsrEntry> saved = new ArrayList<>();
    for (int index : kvm.getMsrIndexList()) {
      if (index >>> 8 == 0x4b564d) {
        continue; // KVM's own: some need an in-kernel local APIC.
      }
      MsrEntry entry = new MsrEntry(index, 0);
      assertEquals(1, vcpu.getMsrs(List.of(entry)), entry::toString);
      saved.add(entry);
    }
    for (MsrEntry entry : saved) {
      assertEquals(1, vcpu.setMsrs(List.of(entry)), entry::toString);
    }
  }

  @EachBackend
  void severalMsrsGoInOrderUpToTheFirstUnknown() {
    List<MsrEntry> entries =
        List.of(new MsrEntry(0x174, 0x33), new MsrEntry(0x12345678, 1), new MsrEntry(0x175, 0x44));
    assertEquals(1, vcpu.setMsrs(entries));
    assertEquals(0x33, vcpu.getMsr(0x174));
    assertEquals(0, vcpu.getMsr(0x175));
    assertEquals(1, vcpu.getMsrs(entries));
  }

  // --- Time etc.

  @EachBackend
  void theTscFrequencyIsThatOfAMachine() {
    int khz = vcpu.getTscKhz();
    assertTrue(khz > 100_000 && khz < 20_000_000, () -> khz + " kHz");
  }

  @EachBackend
  void theTscCountsFromWhatItIsSetTo() {
    // Near values, and 0, are taken for an attempt to keep vCPUs in step.
    long start = 1L << 55;
    vcpu.setMsr(0x10, start);
    long first = vcpu.getMsr(0x10);
    long second = vcpu.getMsr(0x10);
    if (Long.compareUnsigned(first, start) < 0) {
      backend.limit("does not let the guest's TSC be set");
    }
    assertTrue(Long.compareUnsigned(first, second) <= 0);
    assertTrue(second - start < 300_000_000_000L, () -> "counts from " + start + ": " + second);
  }

  @EachBackend
  void vcpusHaveStatesOfTheirOwn() {
    Vcpu second = vm.createVcpu(1);
    Regs regs = vcpu.getRegs();
    regs.rax = 1;
    vcpu.setRegs(regs);
    regs.rax = 2;
    second.setRegs(regs);
    assertEquals(1, vcpu.getRegs().rax);
    assertEquals(2, second.getRegs().rax);
  }

  @EachBackend
  void aProcessorWithoutLongModeRefusesToBePutIntoIt() {
    if (!backend.isEmulated()) {
      backend.limit("has no other processor to offer");
    }
    KernelOptions options = KernelOptions.NONE.with(KernelOptions.CPU, "kvm4j-32");
    try (Kvm without = Kvm.open(requireNonNull(backend.provider()).open(options));
        Vm other = without.createVm();
        Vcpu cpu = other.createVcpu(0)) {
      Sregs sregs = cpu.getSregs();
      sregs.efer = 0x100;
      refused(Errno.EINVAL, () -> cpu.setSregs(sregs));
      sregs.efer = 0;
      sregs.cr4 = 0x20;
      cpu.setSregs(sregs);
      assertEquals(0x20, cpu.getSregs().cr4);
    }
  }

  @EachBackend
  void performanceCountersOfOldReadZeroWithoutAnyCounters() {
    if (!backend.isEmulated()) {
      backend.limit("may have performance counters");
    }
    for (int index : new int[] {0xc1, 0xc2, 0x186, 0x187, 0xc0010000, 0xc0010003, 0xc0010007}) {
      assertEquals(1, vcpu.setMsrs(List.of(new MsrEntry(index, 0x1234))));
      MsrEntry entry = new MsrEntry(index, -1);
      assertEquals(1, vcpu.getMsrs(List.of(entry)));
      assertEquals(0, entry.data);
    }
    for (int index : new int[] {0xc3, 0x188, 0xc0010008}) {
      assertEquals(0, vcpu.getMsrs(List.of(new MsrEntry(index, 0))), () -> "MSR " + index);
    }
  }

  @EachBackend
  void aProcessorWithoutLongModeRunsGuests() {
    if (!backend.isEmulated()) {
      backend.limit("has no other processor to offer");
    }
    KernelOptions options = KernelOptions.NONE.with(KernelOptions.CPU, "kvm4j-32");
    try (Kvm without = Kvm.open(requireNonNull(backend.provider()).open(options));
        Vm other = without.createVm();
        Vcpu cpu = other.createVcpu(0)) {
      GuestMemory ram = new GuestMemory(other);
      ram.add(0, 0, 0x1000, 0);
      // mov cr0, eax; mov cr4, eax; inc bx; hlt
      ram.write(
          0, new byte[] {0x0f, 0x22, (byte) 0xc0, 0x0f, 0x22, (byte) 0xe0, 0x43, (byte) 0xf4});
      Sregs sregs = cpu.getSregs();
      sregs.cs.setRealMode(0);
      cpu.setSregs(sregs);
      Regs regs = cpu.getRegs();
      regs.rip = 0;
      regs.rax = 0x10;
      regs.rbx = 6;
      cpu.setRegs(regs);
      assertInstanceOf(Exit.Hlt.class, cpu.run());
      assertEquals(7, cpu.getRegs().rbx);
      assertEquals(0x10, cpu.getSregs().cr4);
    }
  }
}
