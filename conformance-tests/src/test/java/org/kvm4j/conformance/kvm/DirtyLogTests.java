package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.BitSet;
import java.util.Random;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

@SuppressWarnings("NullAway.Init") // Set at the start of each test.
class DirtyLogTests extends KvmContract {

  private static final int LOGGED = 1;
  private static final long BASE = 0x20000;
  private static final int PAGES = 96; // A word and a half of bitmap.

  private RealModeGuest guest;
  private MappedMemory logged;

  /** A guest that writes a byte to each of the pages named, then halts. */
  private void guestThatWrites(int flags, int... pages) {
    guest = new RealModeGuest(kvm);
    logged = guest.memory.add(LOGGED, BASE, PAGES * 4096L, flags);
    writes(pages);
  }

  private void writes(int... pages) {
    int[] code = new int[pages.length * 8 + 1];
    int at = 0;
    for (int page : pages) {
      int segment = (int) (BASE >> 4) + page * 0x100;
      for (int b :
          new int[] {0xb8, segment & 0xff, segment >> 8, 0x8e, 0xd8, 0xa2, page & 0x7f, 0x00}) {
        code[at++] = b; // mov ax, segment; mov ds, ax; mov [page], al
      }
    }
    code[at] = 0xf4; // hlt
    guest.load(RealModeGuest.CODE, code);
    guest.regs(r -> r.rip = RealModeGuest.CODE);
  }

  private static BitSet set(int... pages) {
    BitSet set = new BitSet();
    for (int page : pages) {
      set.set(page);
    }
    return set;
  }

  private BitSet log() {
    return guest.vm.getDirtyLog(LOGGED).toBitSet();
  }

  @EachBackend
  void thePagesThatTheGuestWroteAreDirtyOnce() {
    guestThatWrites(Uapi.KVM_MEM_LOG_DIRTY_PAGES, 0, 3, 63, 64, 95);
    assertEquals(set(), log());
    guest.run(Exit.Hlt.class);
    assertEquals(set(0, 3, 63, 64, 95), log());
    assertEquals(set(), log());
    writes(3);
    guest.run(Exit.Hlt.class);
    assertEquals(set(3), log());
  }

  @EachBackend
  void whatUserSpaceWritesIsNotLogged() {
    guestThatWrites(Uapi.KVM_MEM_LOG_DIRTY_PAGES, 1);
    logged.memory().putLong(5 * 4096, 1);
    guest.run(Exit.Hlt.class);
    assertEquals(set(1), log());
  }

  @EachBackend
  void readsAreNotLogged() {
    guestThatWrites(Uapi.KVM_MEM_LOG_DIRTY_PAGES);
    guest.load(RealModeGuest.CODE, 0xa1, 0x00, 0x00, 0xf4); // mov ax, [0]; hlt
    guest.dataAt(BASE + 4096 * 7);
    guest.run(Exit.Hlt.class);
    assertEquals(set(), log());
  }

  @EachBackend
  void loggingStartsAndStopsWithTheFlag() {
    guestThatWrites(0, 1, 2);
    guest.run(Exit.Hlt.class);
    refused(Errno.ENOENT, this::log);
    guest.vm.setUserMemoryRegion(LOGGED, Uapi.KVM_MEM_LOG_DIRTY_PAGES, BASE, logged);
    assertEquals(set(), log());
    writes(5);
    guest.run(Exit.Hlt.class);
    guest.vm.setUserMemoryRegion(LOGGED, 0, BASE, logged);
    refused(Errno.ENOENT, this::log);
    guest.vm.setUserMemoryRegion(LOGGED, Uapi.KVM_MEM_LOG_DIRTY_PAGES, BASE, logged);
    assertEquals(set(), log(), "the old log is gone");
  }

  @EachBackend
  void writesAcrossPagesAndReadModifyWritesAreLogged() {
    guestThatWrites(Uapi.KVM_MEM_LOG_DIRTY_PAGES);
    guest.load(
        RealModeGuest.CODE,
        0xc7,
        0x06,
        0xff,
        0x0f,
        0x34,
        0x12, // mov word [0xfff], 0x1234
        0x80,
        0x06,
        0x00,
        0x30,
        0x01, // add byte [0x3000], 1
        0xf4); // hlt
    guest.dataAt(BASE);
    guest.run(Exit.Hlt.class);
    assertEquals(set(0, 1, 3), log());
  }

  @EachBackend
  void withManualProtectionTheLogStaysUntilItIsCleared() {
    backend.needs(kvm, KvmCap.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
    guestThatWrites(0);
    guest.vm.enableCap(
        Caps.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, Uapi.KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
    guest.vm.setUserMemoryRegion(LOGGED, Uapi.KVM_MEM_LOG_DIRTY_PAGES, BASE, logged);
    writes(1, 2, 70);
    guest.run(Exit.Hlt.class);
    assertEquals(set(1, 2, 70), log());
    assertEquals(set(1, 2, 70), log());
    guest.vm.clearDirtyLog(LOGGED, 0, 64, new long[] {1L << 1 | 1L << 9});
    assertEquals(set(2, 70), log());
    guest.vm.clearDirtyLog(LOGGED, 64, 32, new long[] {-1});
    assertEquals(set(2), log());
    writes(1, 70);
    guest.run(Exit.Hlt.class);
    assertEquals(set(1, 2, 70), log());
  }

  @EachBackend
  void clearingChecksItsRange() {
    backend.needs(kvm, KvmCap.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
    guestThatWrites(0);
    refused(Errno.ENOENT, () -> guest.vm.clearDirtyLog(LOGGED, 0, 64, new long[1]));
    guest.vm.enableCap(
        Caps.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, Uapi.KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
    guest.vm.setUserMemoryRegion(LOGGED, Uapi.KVM_MEM_LOG_DIRTY_PAGES, BASE, logged);
    refused(Errno.EINVAL, () -> guest.vm.clearDirtyLog(LOGGED, 1, 64, new long[1]));
    refused(Errno.EINVAL, () -> guest.vm.clearDirtyLog(LOGGED, 0, 63, new long[1]));
    refused(Errno.EINVAL, () -> guest.vm.clearDirtyLog(LOGGED, 64, 64, new long[1]));
    refused(Errno.EINVAL, () -> guest.vm.clearDirtyLog(LOGGED, 128, 64, new long[1]));
    guest.vm.clearDirtyLog(LOGGED, 0, 96, new long[2]);
    guest.vm.clearDirtyLog(LOGGED, 64, 32, new long[1]);
  }

  @EachBackend
  void theLogCanBeginWithAllPagesDirty() {
    if ((kvm.checkExtension(KvmCap.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
            & Uapi.KVM_DIRTY_LOG_INITIALLY_SET)
        == 0) {
      backend.limit("no KVM_DIRTY_LOG_INITIALLY_SET");
    }
    guestThatWrites(0);
    guest.vm.enableCap(
        Caps.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
        Uapi.KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | Uapi.KVM_DIRTY_LOG_INITIALLY_SET);
    guest.vm.setUserMemoryRegion(LOGGED, Uapi.KVM_MEM_LOG_DIRTY_PAGES, BASE, logged);
    BitSet all = new BitSet();
    all.set(0, PAGES);
    assertEquals(all, log());
    guest.vm.clearDirtyLog(LOGGED, 0, PAGES, new long[] {-1, -1});
    assertEquals(set(), log());
    writes(11);
    guest.run(Exit.Hlt.class);
    assertEquals(set(11), log());
  }

  @EachBackend
  void randomWritesAreLoggedExactly() {
    guestThatWrites(Uapi.KVM_MEM_LOG_DIRTY_PAGES);
    Random random = new Random(42);
    for (int round = 0; round < 30; round++) {
      int[] pages = random.ints(random.nextInt(30), 0, PAGES).toArray();
      writes(pages);
      guest.run(Exit.Hlt.class);
      assertEquals(set(pages), log());
    }
  }
}
