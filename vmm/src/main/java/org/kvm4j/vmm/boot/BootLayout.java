package org.kvm4j.vmm.boot;

import org.kvm4j.vmm.memory.GuestRam;

/**
 * Where in the first megabyte the tables are that a guest starts with, and the writing of them. A
 * guest may overwrite them when it has its own.
 */
public final class BootLayout {

  /** The global descriptor table. */
  public static final long GDT = 0x500;

  /** How many descriptors it has. */
  static final int GDT_ENTRIES = 4;

  /** The selector of flat code, as the Linux boot protocols want it. */
  static final int CODE_SELECTOR = 0x10;

  /** The selector of flat data. */
  static final int DATA_SELECTOR = 0x18;

  /** The first of six page tables: PML4, PDPT and four page directories. */
  public static final long PAGE_TABLES = 0x1000;

  /** Linux' boot parameters, the "zero page". */
  public static final long ZERO_PAGE = 0x7000;

  /** The stack grows down from here, for 4 KB. */
  public static final long STACK_TOP = 0x9000;

  /** Where the tables end that a guest in protected or long mode starts with. */
  public static final long END = STACK_TOP;

  /** The real-mode part of a Linux image, 64 KB with its stack and heap. */
  static final long REAL_MODE_CODE = 0x1_0000;

  /** The command line of a Linux image. */
  static final long COMMAND_LINE = 0x2_0000;

  /** How long it can be, the final 0 included. */
  static final int COMMAND_LINE_SIZE = 0x1_0000;

  /** Where bzImages and multiboot kernels are loaded. */
  static final long HIGH = 0x10_0000;

  private static final long CODE_32 = 0x00cf_9b00_0000_ffffL;
  private static final long CODE_64 = 0x00af_9b00_0000_ffffL;
  private static final long DATA = 0x00cf_9300_0000_ffffL;

  private static final long PRESENT_WRITABLE = 0x3;
  private static final long LARGE_PAGE = 0x83;
  private static final long LARGE_PAGE_SIZE = 0x20_0000;

  private BootLayout() {}

  /** Writes the descriptor table for protected or long mode. */
  static void writeGdt(GuestRam memory, CpuMode mode) {
    memory.putLong(GDT, 0);
    memory.putLong(GDT + 8, 0);
    memory.putLong(GDT + CODE_SELECTOR, mode == CpuMode.LONG ? CODE_64 : CODE_32);
    memory.putLong(GDT + DATA_SELECTOR, DATA);
  }

  /** Writes page tables that map the first 4 GB to themselves by pages of 2 MB. */
  static void writePageTables(GuestRam memory) {
    long pdpt = PAGE_TABLES + 0x1000;
    long directories = PAGE_TABLES + 0x2000;
    memory.clear(PAGE_TABLES, 0x2000);
    memory.putLong(PAGE_TABLES, pdpt | PRESENT_WRITABLE);
    for (int i = 0; i < 4; i++) {
      memory.putLong(pdpt + 8L * i, (directories + 0x1000L * i) | PRESENT_WRITABLE);
    }
    for (long i = 0; i < 4 * 512; i++) {
      memory.putLong(directories + 8 * i, i * LARGE_PAGE_SIZE | LARGE_PAGE);
    }
  }

  /**
   * Writes what a mode needs.
   *
   * @throws GuestImageException if there is not so much memory
   */
  static void write(GuestRam memory, CpuMode mode, GuestFile image) throws GuestImageException {
    if (mode == CpuMode.REAL) {
      return;
    }
    if (memory.lowSize() < END) {
      throw image.error(
          "needs "
              + Sizes.format(END)
              + " of memory for the tables it starts with, and there are "
              + Sizes.format(memory.lowSize()));
    }
    writeGdt(memory, mode);
    if (mode == CpuMode.LONG) {
      writePageTables(memory);
    }
  }
}
