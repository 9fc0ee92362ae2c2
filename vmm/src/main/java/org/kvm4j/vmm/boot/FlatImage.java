package org.kvm4j.vmm.boot;

import org.kvm4j.vmm.memory.GuestRam;

/**
 * A program without a format: bytes to load at an address. It starts at its entry with a stack of 4
 * KB below 0x9000 (in real mode, below 0x7c00), in long mode with SSE switched on.
 */
public final class FlatImage implements GuestImage {

  /** Where real-mode programs go if nothing is said, as a BIOS does with boot sectors. */
  public static final long DEFAULT_REAL_MODE_ADDRESS = 0x7c00;

  /** Where others go. */
  public static final long DEFAULT_ADDRESS = 0x10_0000;

  /** The end of what real mode can reach. */
  private static final long REAL_MODE_LIMIT = 0x10_0000;

  private static final int REAL_MODE_STACK = 0x7c00;

  private final GuestFile file;
  private final CpuMode mode;
  private final long load;
  private final long entry;

  /**
   * @param mode the mode that it starts in
   * @param load where its first byte goes
   * @param entry where it starts
   * @throws GuestImageException if it cannot be loaded or started there
   */
  public FlatImage(GuestFile file, CpuMode mode, long load, long entry) throws GuestImageException {
    this.file = file;
    this.mode = mode;
    this.load = load;
    this.entry = entry;
    long end = load + file.bytes().length;
    if (load < 0 || load > GuestRam.HOLE_START - file.bytes().length) {
      throw file.error(String.format("cannot be loaded at 0x%x: there is memory below 3G", load));
    }
    if (entry < load || entry >= end) {
      throw file.error(
          String.format(
              "has no byte at its entry 0x%x: it goes to [0x%x, 0x%x)", entry, load, end));
    }
    if (mode == CpuMode.REAL && entry >= REAL_MODE_LIMIT) {
      throw file.error(String.format("starts in real mode, which does not reach 0x%x", entry));
    }
    if (mode != CpuMode.REAL && load < BootLayout.END && end > BootLayout.GDT) {
      throw file.error(
          String.format(
              "goes to [0x%x, 0x%x), where the tables are that it starts with: [0x%x, 0x%x)",
              load, end, BootLayout.GDT, BootLayout.END));
    }
  }

  @Override
  public CpuMode mode() {
    return mode;
  }

  @Override
  public String describe() {
    return String.format("flat binary, %s mode, entry 0x%x", mode, entry);
  }

  @Override
  public BootState load(GuestRam memory, BootOptions options) throws GuestImageException {
    if (options.initrd() != null || !options.modules().isEmpty()) {
      throw file.error("is a flat binary, which takes neither initrd nor modules");
    }
    if (!options.commandLine().isEmpty()) {
      throw file.error("is a flat binary, which takes no command line");
    }
    if (!memory.contains(load, file.bytes().length)) {
      throw file.error(
          String.format(
              "goes to [0x%x, 0x%x), and there are %s of memory",
              load, load + file.bytes().length, Sizes.format(memory.lowSize())));
    }
    BootLayout.write(memory, mode, file);
    memory.write(load, file.bytes());
    if (mode == CpuMode.REAL) {
      // An entry in the first 64 KB starts in segment 0, as a boot sector does.
      int segment = entry < 0x1_0000 ? 0 : (int) (entry >> 4 & 0xf000);
      return BootState.real(segment, (int) (entry - (segment << 4)), segment, REAL_MODE_STACK);
    }
    BootState state = BootState.flat(mode, entry, BootLayout.STACK_TOP);
    // What a compiler makes of a program for x86-64 uses SSE2: its ABI passes numbers there.
    return mode == CpuMode.LONG ? state.withSse() : state;
  }
}
