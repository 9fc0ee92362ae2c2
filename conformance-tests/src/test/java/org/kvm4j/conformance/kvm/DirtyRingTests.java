package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmDirtyGfn;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Written pages in rings. Source: api.rst "KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL".
 */
@SuppressWarnings("NullAway.Init") // Set at the start of each test.
class DirtyRingTests extends KvmContract {

  private static final int LOGGED = 1;
  private static final long BASE = 0x10_0000;
  private static final int PAGES = 1100;

  /** Enough for a host whose processor logs 512 pages by itself before KVM hears of them. */
  private static final int ENTRIES = 1024;

  /** KVM_DIRTY_RING_RSVD_ENTRIES. */
  private static final int RESERVED = 64;

  private RealModeGuest guest;
  private MappedMemory logged;

  /** A guest in 32-bit protected mode without paging, its vCPUs with rings. */
  private void guestWithRing() {
    backend.needs(kvm, KvmCap.KVM_CAP_DIRTY_LOG_RING);
    guest = new RealModeGuest(kvm, vm -> vm.enableDirtyRing(ENTRIES), 0, new int[0]);
    logged = guest.memory.add(LOGGED, BASE, PAGES * 4096L, Uapi.KVM_MEM_LOG_DIRTY_PAGES);
    flat(guest.vcpu);
  }

  private static void flat(Vcpu vcpu) {
    var sregs = vcpu.getSregs();
    sregs.cr0 |= 1;
    for (var s : List.of(sregs.cs, sregs.ds, sregs.es, sregs.ss)) {
      s.base = 0;
      s.limit = -1;
      s.g = 1;
      s.db = 1;
      s.s = 1;
      s.present = 1;
      s.selector = 8;
      s.type = 3;
    }
    sregs.cs.type = 11;
    vcpu.setSregs(sregs);
  }

  /** Lets the guest write one byte to each of the pages, in order, and halt. */
  private void writes(int... pages) {
    int[] code = new int[pages.length * 5 + 1];
    int at = 0;
    for (int page : pages) {
      int address = (int) BASE + page * 4096;
      code[at++] = 0xa2; // mov [address], al
      for (int i = 0; i < 32; i += 8) {
        code[at++] = address >>> i & 0xff;
      }
    }
    code[at] = 0xf4; // hlt
    start(guest.vcpu, RealModeGuest.CODE, code);
  }

  /** Lets the guest write to pages one after the other from the first, and halt. */
  private void writesInARow(Vcpu vcpu, int count) {
    start(
        vcpu,
        RealModeGuest.CODE,
        0xbf, // mov edi, BASE
        0x00,
        0x00,
        0x10,
        0x00,
        0xb9, // mov ecx, count
        count & 0xff,
        count >> 8,
        0x00,
        0x00,
        0x88, // mov [edi], al
        0x07,
        0x81, // add edi, 4096
        0xc7,
        0x00,
        0x10,
        0x00,
        0x00,
        0xe2, // loop
        0xf6,
        0xf4); // hlt
  }

  private void start(Vcpu vcpu, int address, int... code) {
    guest.load(address, code);
    var regs = vcpu.getRegs();
    regs.rip = address;
    vcpu.setRegs(regs);
  }

  private List<Long> harvest(Vcpu vcpu) {
    List<Long> pages = new ArrayList<>();
    int count =
        vcpu.dirtyRing()
            .harvest(
                (slot, page) -> {
                  assertEquals(LOGGED, slot);
                  pages.add(page);
                });
    assertEquals(pages.size(), count);
    return pages;
  }

  private BitSet harvestedSet() {
    BitSet set = new BitSet();
    harvest(guest.vcpu).forEach(page -> set.set(Math.toIntExact(page)));
    return set;
  }

  /**
   * What was written must be in the ring. That it is in it once before a reset is how the emulated
   * kernel works; the interface does not promise it.
   *
   * @param again pages that are in it already
   */
  private void assertReported(BitSet written, BitSet again) {
    BitSet reported = harvestedSet();
    if (!backend.isEmulated()) {
      again.andNot(written);
      reported.andNot(again);
    }
    assertEquals(written, reported);
  }

  private static BitSet set(int... pages) {
    BitSet set = new BitSet();
    for (int page : pages) {
      set.set(page);
    }
    return set;
  }

  @EachBackend
  void thePagesThatTheGuestWroteAreInTheRingOnce() {
    guestWithRing();
    writes(3, 0, 64, 3, 95);
    guest.run(Exit.Hlt.class);
    assertEquals(set(0, 3, 64, 95), harvestedSet());
    assertEquals(set(), harvestedSet());
    writes(3, 7);
    guest.run(Exit.Hlt.class);
    assertReported(set(7), set(3));
    int reset = guest.vm.resetDirtyRings();
    assertTrue(backend.isEmulated() ? reset == 5 : reset >= 5, () -> reset + " entries");
    assertEquals(0, guest.vm.resetDirtyRings());
    writes(3, 8);
    guest.run(Exit.Hlt.class);
    assertEquals(set(3, 8), harvestedSet());
  }

  @EachBackend
  void whatIsNotHarvestedIsNotReset() {
    guestWithRing();
    writes(1, 2);
    guest.run(Exit.Hlt.class);
    assertEquals(0, guest.vm.resetDirtyRings());
    assertEquals(set(1, 2), harvestedSet());
    assertEquals(2, guest.vm.resetDirtyRings());
  }

  @EachBackend
  void whatUserSpaceWritesIsNotInTheRing() {
    guestWithRing();
    logged.memory().putLong(5 * 4096, 1);
    writes(1);
    guest.run(Exit.Hlt.class);
    assertEquals(set(1), harvestedSet());
  }

  @EachBackend
  void pagesOfSlotsThatDoNotLogAreNotInTheRing() {
    guestWithRing();
    guest.vm.setUserMemoryRegion(LOGGED, 0, BASE, logged);
    writes(1, 2);
    guest.run(Exit.Hlt.class);
    assertEquals(set(), harvestedSet());
    guest.vm.setUserMemoryRegion(LOGGED, Uapi.KVM_MEM_LOG_DIRTY_PAGES, BASE, logged);
    writes(2);
    guest.run(Exit.Hlt.class);
    assertEquals(set(2), harvestedSet());
  }

  @EachBackend
  void aRingThatIsNearlyFullStopsTheVcpuUntilItIsReset() {
    if (!backend.isEmulated()) {
      backend.limit("looks at a ring now and then only, and may let it run over");
    }
    guestWithRing();
    writesInARow(guest.vcpu, PAGES);
    guest.run(Exit.DirtyRingFull.class);
    guest.run(Exit.DirtyRingFull.class);
    List<Long> first = harvest(guest.vcpu);
    assertEquals(ENTRIES - RESERVED, first.size());
    guest.run(Exit.DirtyRingFull.class);
    assertEquals(first.size(), guest.vm.resetDirtyRings());
    guest.run(Exit.Hlt.class);
    // The write that filled the ring had not been made: its page comes again.
    List<Long> all = new ArrayList<>(first.subList(0, first.size() - 1));
    all.addAll(harvest(guest.vcpu));
    assertEquals(PAGES, all.size());
    for (int page = 0; page < PAGES; page++) {
      assertEquals(page, all.get(page));
    }
  }

  @EachBackend
  void randomWritesAreAllReported() {
    guestWithRing();
    Random random = new Random(7);
    BitSet dirty = new BitSet();
    for (int round = 0; round < 40; round++) {
      int[] pages = random.ints(random.nextInt(60), 0, PAGES).toArray();
      writes(pages);
      guest.run(Exit.Hlt.class);
      // What is written before the reset is dirty once, after it again.
      BitSet expected = set(pages);
      expected.andNot(dirty);
      assertReported(expected, (BitSet) dirty.clone());
      dirty.or(expected);
      if (random.nextInt(3) == 0) {
        int reset = guest.vm.resetDirtyRings();
        assertTrue(reset >= dirty.cardinality());
        assertTrue(!backend.isEmulated() || reset == dirty.cardinality());
        dirty.clear();
      }
    }
  }

  @EachBackend
  void eachVcpuHasARingOfItsOwn() {
    guestWithRing();
    Vcpu other = guest.vm.createVcpu(1);
    other.setSregs(guest.vcpu.getSregs());
    other.setRegs(guest.vcpu.getRegs());
    writes(1, 2);
    guest.run(Exit.Hlt.class);
    writesInARow(other, 4);
    assertInstanceOf(Exit.Hlt.class, other.run());
    assertEquals(List.of(1L, 2L), harvest(guest.vcpu));
    List<Long> others = harvest(other);
    // A host may tell of a page again that another vCPU has written before the reset.
    assertTrue(
        backend.isEmulated() ? others.equals(List.of(0L, 3L)) : others.containsAll(List.of(0L, 3L)),
        others::toString);
    assertEquals(2 + others.size(), guest.vm.resetDirtyRings());
  }

  @EachBackend
  void whatUserSpaceWritesIntoEntriesDoesNoHarm() {
    guestWithRing();
    writes(1, 2, 3, 4);
    guest.run(Exit.Hlt.class);
    long address = mmap(guest.vcpu, Kernel.PROT_READ | Kernel.PROT_WRITE, Kernel.MAP_SHARED);
    UserMemory ring = kernel.memory(address, (long) ENTRIES * KvmDirtyGfn.SIZEOF);
    int[] slots = {LOGGED, 77, 0x30001, -1};
    long[] pages = {Long.MAX_VALUE, 0, 0, -1};
    for (int i = 0; i < 4; i++) {
      long at = (long) i * KvmDirtyGfn.SIZEOF;
      assertEquals(i + 1, ring.getLong(at + KvmDirtyGfn.OFFSET));
      ring.putInt(at + KvmDirtyGfn.SLOT, slots[i]);
      ring.putLong(at + KvmDirtyGfn.OFFSET, pages[i]);
      ring.putIntRelease(at + KvmDirtyGfn.FLAGS, -1);
    }
    assertEquals(4, guest.vm.resetDirtyRings());
    assertEquals(0, ring.getInt(KvmDirtyGfn.FLAGS));
    kernel.munmap(address, (long) ENTRIES * KvmDirtyGfn.SIZEOF);
  }

  private long mmap(Vcpu vcpu, int protection, int flags) {
    return kernel.mmap(
        (long) ENTRIES * KvmDirtyGfn.SIZEOF,
        protection,
        flags,
        vcpu.fd(),
        Uapi.KVM_DIRTY_LOG_PAGE_OFFSET * 4096L);
  }

  @EachBackend
  void theRingIsMappedSharedAndNotExecutable() {
    guestWithRing();
    int write = Kernel.PROT_READ | Kernel.PROT_WRITE;
    assertEquals(Errno.EINVAL.result(), mmap(guest.vcpu, write, Kernel.MAP_PRIVATE));
    long executable = mmap(guest.vcpu, write | Kernel.PROT_EXEC, Kernel.MAP_SHARED);
    // Recent kernels allow no descriptor of this kind to be mapped as code.
    if (backend.isEmulated() || executable != Errno.EPERM.result()) {
      assertEquals(Errno.EINVAL.result(), executable);
    }
  }

  @EachBackend
  void withRingsThereAreNoBitmaps() {
    guestWithRing();
    refused(Errno.ENXIO, () -> guest.vm.getDirtyLog(LOGGED));
    refused(Errno.ENXIO, () -> guest.vm.clearDirtyLog(LOGGED, 0, 64, new long[1]));
  }

  @EachBackend
  void withoutRingsThereIsNothingToReset() {
    backend.needs(kvm, KvmCap.KVM_CAP_DIRTY_LOG_RING);
    guest = new RealModeGuest(kvm);
    refused(Errno.EINVAL, () -> guest.vm.resetDirtyRings());
    assertThrows(IllegalStateException.class, guest.vcpu::dirtyRing);
  }

  @EachBackend
  void ringsArePowersOfTwoWithinBoundsAndChosenOnceBeforeVcpus() {
    backend.needs(kvm, KvmCap.KVM_CAP_DIRTY_LOG_RING);
    int most = kvm.checkExtension(Caps.KVM_CAP_DIRTY_LOG_RING);
    for (int capability :
        new int[] {Caps.KVM_CAP_DIRTY_LOG_RING, Caps.KVM_CAP_DIRTY_LOG_RING_ACQ_REL}) {
      if (kvm.checkExtension(capability) == 0) {
        continue;
      }
      Vm vm = kvm.createVm();
      for (long size : new long[] {0, 1, 2048, 4096 * 3, 65536 + 16, -4096}) {
        refused(Errno.EINVAL, () -> vm.enableCap(capability, size));
      }
      refused(Errno.E2BIG, () -> vm.enableCap(capability, most * 2L));
      vm.enableCap(capability, 65536);
      refused(Errno.EINVAL, () -> vm.enableCap(capability, 65536));
      Vm late = kvm.createVm();
      late.createVcpu(0);
      refused(Errno.EINVAL, () -> late.enableCap(capability, 65536));
    }
  }

  @EachBackend
  void aWholeRingCanBeUsedManyTimesOver() {
    guestWithRing();
    BitSet all = new BitSet();
    all.set(0, 300);
    for (int round = 0; round < 8; round++) {
      writesInARow(guest.vcpu, 300);
      guest.run(Exit.Hlt.class);
      assertEquals(all, harvestedSet());
      assertEquals(300, guest.vm.resetDirtyRings());
    }
  }
}
