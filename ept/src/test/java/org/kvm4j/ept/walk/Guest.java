package org.kvm4j.ept.walk;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.kvm4j.ept.memory.FrameAllocator;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.nested.EptPointer;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/**
 * One linear page of a guest in 4-level paging with EPT of 4-KByte pages, each of whose entries a
 * test can find and change. All flags are set and all rights given to begin with.
 */
final class Guest {
  static final long LINEAR = 0x1234_5678_9000L;

  /** Guest-physical addresses of the guest's tables, from the PML4 table to the page table. */
  static final long[] TABLES = {0x1000, 0x2000, 0x3000, 0x4000};

  /** Guest-physical address of the page. */
  static final long PAGE = 0x9000;

  final PhysicalMemory memory = new PhysicalMemory(46);
  final PagingContext context = new PagingContext();
  final TwoDimensionalWalk walk = new TwoDimensionalWalk(memory);
  final Translation found = new Translation();
  final long ram = memory.map(64 * 4096);
  private final FrameAllocator frames = new FrameAllocator(memory);
  private final long root = frames.allocate();

  Guest(boolean eptFlags) {
    context.mode = PagingMode.LEVEL4;
    context.cr3 = TABLES[0];
    context.wp = true;
    context.nxe = true;
    context.eptp = EptPointer.of(root, 4, EptPointer.WRITE_BACK, eptFlags);
    for (int level = 4; level >= 1; level--) {
      guestEntry(level, (level == 1 ? PAGE : TABLES[4 - level + 1]) | 0x67);
    }
    for (long gpa = 0; gpa < 64 * 4096; gpa += 4096) {
      for (int level = 4; level > 1; level--) {
        long at = eptEntryAt(level, gpa);
        if (memory.readLong(at) == 0) {
          memory.writeLong(at, frames.allocate() | 0x507);
        }
      }
      eptEntry(1, gpa, ram + gpa | 0x737);
    }
  }

  /** Host-physical address of the guest's entry of a level: 4 the PML4E, 1 the PTE. */
  long guestEntryAt(int level) {
    return ram + TABLES[4 - level] + (LINEAR >>> 12 + 9 * (level - 1) & 0x1ff) * 8;
  }

  long guestEntry(int level) {
    return memory.readLong(guestEntryAt(level));
  }

  void guestEntry(int level, long value) {
    memory.writeLong(guestEntryAt(level), value);
  }

  /** Guest-physical address of the guest's entry of a level. */
  long guestEntryGpa(int level) {
    return guestEntryAt(level) - ram;
  }

  long eptEntryAt(int level, long gpa) {
    long table = root;
    for (int l = 4; l > level; l--) {
      table = memory.readLong(table + (gpa >>> 12 + 9 * (l - 1) & 0x1ff) * 8) & 0xf_ffff_ffff_f000L;
    }
    return table + (gpa >>> 12 + 9 * (level - 1) & 0x1ff) * 8;
  }

  long eptEntry(int level, long gpa) {
    return memory.readLong(eptEntryAt(level, gpa));
  }

  void eptEntry(int level, long gpa, long value) {
    memory.writeLong(eptEntryAt(level, gpa), value);
  }

  /** Replaces the rights of the EPT leaf of a guest-physical address. */
  void eptRights(long gpa, long rights) {
    eptEntry(1, gpa, eptEntry(1, gpa) & ~0x407L | rights);
  }

  boolean access(int access) {
    return walk.walk(context, LINEAR + 0x123, access, found);
  }

  void expectOk(int access) {
    access(access);
    assertEquals(Translation.OK, found.outcome, found.toString());
    assertEquals(ram + PAGE + 0x123, found.hpa);
  }

  void expectFault(int access, int errorCode) {
    access(access);
    assertEquals(Translation.PAGE_FAULT, found.outcome, found.toString());
    assertEquals(errorCode, found.errorCode, found.toString());
  }

  void expectViolation(int access, long gpa, long qualification) {
    access(access);
    assertEquals(Translation.EPT_VIOLATION, found.outcome, found.toString());
    assertEquals(Long.toHexString(gpa), Long.toHexString(found.gpa));
    assertEquals(Long.toHexString(qualification), Long.toHexString(found.qualification));
  }
}
