package org.kvm4j.vmm.boot;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.MemoryRange;

/**
 * A Linux bzImage, or another program that boots as one.
 *
 * <p>Source: Linux 6.1, Documentation/x86/boot.rst, "The Linux/x86 Boot Protocol": sections "The
 * Real-Mode Kernel Header", "32-bit Boot Protocol", "64-bit Boot Protocol"; and zero-page.rst.
 */
public final class LinuxImage implements GuestImage {

  private static final int SECTOR = 512;

  // The setup header: offsets in the image's first sectors, and the same in the zero page.
  private static final int SETUP_SECTS = 0x1f1;
  private static final int SYSSIZE = 0x1f4;
  private static final int VID_MODE = 0x1fa;
  private static final int BOOT_FLAG = 0x1fe;
  private static final int JUMP_OFFSET = 0x201;
  private static final int HEADER = 0x202;
  private static final int VERSION = 0x206;
  private static final int TYPE_OF_LOADER = 0x210;
  private static final int LOADFLAGS = 0x211;
  private static final int CODE32_START = 0x214;
  private static final int RAMDISK_IMAGE = 0x218;
  private static final int RAMDISK_SIZE = 0x21c;
  private static final int HEAP_END_PTR = 0x224;
  private static final int CMD_LINE_PTR = 0x228;
  private static final int INITRD_ADDR_MAX = 0x22c;
  private static final int XLOADFLAGS = 0x236;
  private static final int CMDLINE_SIZE = 0x238;
  private static final int PREF_ADDRESS = 0x258;
  private static final int INIT_SIZE = 0x260;

  /** The least image that has a header of version 2.02. */
  private static final int LEAST_SIZE = 0x230;

  // The zero page.
  private static final int ACPI_RSDP_ADDR = 0x070;
  private static final int ALT_MEM_K = 0x1e0;
  private static final int E820_ENTRIES = 0x1e8;
  private static final int E820_TABLE = 0x2d0;
  private static final int ZERO_PAGE_SIZE = 0x1000;

  private static final int MAGIC_BOOT_FLAG = 0xaa55;
  private static final int MAGIC_HDRS = 0x5372_6448; // "HdrS"
  private static final int LOADED_HIGH = 0x01;
  private static final int CAN_USE_HEAP = 0x80;
  private static final int XLF_KERNEL_64 = 0x01;
  private static final int LOADER_UNKNOWN = 0xff;
  private static final int VIDEO_NORMAL = 0xffff;
  private static final int STARTUP_64 = 0x200;

  /** In real mode: where the heap ends and the stack begins, in the segment of the setup code. */
  private static final int REAL_MODE_STACK = 0xe000;

  private static final long PAGE = 0x1000;

  private final GuestFile file;
  private final ByteBuffer image;
  private final int version;
  private final int setupSize;
  private final CpuMode mode;

  private LinuxImage(GuestFile file, ByteBuffer image, int version, int setupSize, CpuMode mode) {
    this.file = file;
    this.image = image;
    this.version = version;
    this.setupSize = setupSize;
    this.mode = mode;
  }

  /** Whether a file has the marks of a Linux image. */
  static boolean recognizes(byte[] bytes) {
    ByteBuffer image = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    return bytes.length >= HEADER + 4
        && (image.getShort(BOOT_FLAG) & 0xffff) == MAGIC_BOOT_FLAG
        && image.getInt(HEADER) == MAGIC_HDRS;
  }

  /**
   * Checks an image.
   *
   * @param wanted the protocol to boot it by; null for 64 bits if the image can, else 32
   * @throws GuestImageException if it is no bzImage, is truncated, or cannot be booted so
   */
  public static LinuxImage parse(GuestFile file, @Nullable CpuMode wanted)
      throws GuestImageException {
    byte[] bytes = file.bytes();
    if (!recognizes(bytes)) {
      throw file.error("is no Linux image: it has no setup header (\"HdrS\" at offset 0x202)");
    }
    if (bytes.length < LEAST_SIZE) {
      throw file.error("is truncated: it ends within the setup header");
    }
    ByteBuffer image = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int version = image.getShort(VERSION) & 0xffff;
    if (version < 0x202) {
      throw file.error(
          String.format(
              "has boot protocol %d.%02d, and 2.02 is the oldest that is known here",
              version >> 8, version & 0xff));
    }
    if ((image.get(LOADFLAGS) & LOADED_HIGH) == 0) {
      throw file.error("is a zImage, which is loaded below 640K; a bzImage is needed");
    }
    int sectors = image.get(SETUP_SECTS) & 0xff;
    int setupSize = ((sectors == 0 ? 4 : sectors) + 1) * SECTOR;
    if (bytes.length <= setupSize) {
      throw file.error(
          "is truncated: its setup code has "
              + setupSize
              + " bytes, and the file has "
              + bytes.length);
    }
    long paragraphs =
        version >= 0x204 ? image.getInt(SYSSIZE) & 0xffff_ffffL : image.getShort(SYSSIZE) & 0xffff;
    long missing = paragraphs * 16 - (bytes.length - setupSize);
    if (missing >= 16) {
      throw file.error(
          "is truncated: its header tells of "
              + (setupSize + paragraphs * 16)
              + " bytes, and the file has "
              + bytes.length);
    }
    if (headerEnd(image) > Math.min(bytes.length, ZERO_PAGE_SIZE)) {
      throw file.error("has a setup header that does not end where it should");
    }
    boolean can64 = version >= 0x20c && (image.getShort(XLOADFLAGS) & XLF_KERNEL_64) != 0;
    if (wanted == CpuMode.LONG && (!can64 || bytes.length - setupSize <= STARTUP_64)) {
      throw file.error("has no 64-bit entry point: boot it with --mode protected or real");
    }
    CpuMode mode = wanted != null ? wanted : can64 ? CpuMode.LONG : CpuMode.PROTECTED;
    return new LinuxImage(file, image, version, setupSize, mode);
  }

  private static int headerEnd(ByteBuffer image) {
    return HEADER + (image.get(JUMP_OFFSET) & 0xff);
  }

  /** The boot protocol's version: major in bits 8 to 15, minor in bits 0 to 7. */
  public int version() {
    return version;
  }

  @Override
  public CpuMode mode() {
    return mode;
  }

  @Override
  public String describe() {
    int bits = mode == CpuMode.LONG ? 64 : mode == CpuMode.PROTECTED ? 32 : 16;
    return String.format(
        "Linux image, boot protocol %d.%02d, %d-bit entry", version >> 8, version & 0xff, bits);
  }

  @Override
  public BootState load(GuestRam memory, BootOptions options) throws GuestImageException {
    if (!options.modules().isEmpty()) {
      throw file.error("is a Linux image, which takes an initrd and no modules");
    }
    byte[] commandLine = commandLine(options.commandLine());
    int payload = file.bytes().length - setupSize;
    long end = runtimeEnd(payload);
    if (end > memory.lowSize()) {
      throw file.error(
          "needs "
              + Sizes.format(end)
              + " of memory, and there are "
              + Sizes.format(memory.lowSize()));
    }
    memory.write(BootLayout.HIGH, file.bytes(), setupSize, payload);
    memory.write(BootLayout.COMMAND_LINE, commandLine);
    long initrd = loadInitrd(memory, options.initrd(), end);
    int initrdSize = options.initrd() == null ? 0 : options.initrd().bytes().length;
    if (mode == CpuMode.REAL) {
      return loadRealMode(memory, initrd, initrdSize);
    }
    BootLayout.write(memory, mode, file);
    writeZeroPage(memory, initrd, initrdSize, options.acpiTables());
    long entry = BootLayout.HIGH + (mode == CpuMode.LONG ? STARTUP_64 : 0);
    return BootState.flat(mode, entry, BootLayout.STACK_TOP).withRsi(BootLayout.ZERO_PAGE);
  }

  private byte[] commandLine(String text) throws GuestImageException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    long limit = version >= 0x206 ? image.getInt(CMDLINE_SIZE) & 0xffff_ffffL : 255;
    limit = Math.min(limit, BootLayout.COMMAND_LINE_SIZE - 1);
    if (bytes.length > limit) {
      throw file.error(
          "takes a command line of at most " + limit + " bytes, and --append has " + bytes.length);
    }
    for (byte b : bytes) {
      if (b == 0) {
        throw file.error("takes a command line without NUL characters");
      }
    }
    byte[] terminated = new byte[bytes.length + 1];
    System.arraycopy(bytes, 0, terminated, 0, bytes.length);
    return terminated;
  }

  /** Where the memory ends that the kernel needs to start, before it reads its memory map. */
  private long runtimeEnd(int payload) {
    long end = BootLayout.HIGH + payload;
    if (version >= 0x20a && file.bytes().length >= INIT_SIZE + 4) {
      long preferred = image.getLong(PREF_ADDRESS);
      long initSize = image.getInt(INIT_SIZE) & 0xffff_ffffL;
      // An address past all memory is nonsense, or means memory that is not there: both are
      // refused.
      long start = Math.max(BootLayout.HIGH, preferred < 0 ? Long.MAX_VALUE / 2 : preferred);
      end = Math.max(end, Math.min(start, Long.MAX_VALUE / 2) + initSize);
    }
    return end;
  }

  /** Loads it as high as the kernel can reach it. */
  private long loadInitrd(GuestRam memory, @Nullable GuestFile initrd, long kernelEnd)
      throws GuestImageException {
    if (initrd == null) {
      return 0;
    }
    long limit = version >= 0x203 ? image.getInt(INITRD_ADDR_MAX) & 0xffff_ffffL : 0x37ff_ffffL;
    long top = Math.min(limit + 1, memory.lowSize());
    long address = top - initrd.bytes().length & -PAGE;
    if (address < kernelEnd) {
      throw new GuestImageException(
          "initrd "
              + initrd.name()
              + " of "
              + Sizes.format(initrd.bytes().length)
              + " does not fit: of "
              + Sizes.format(memory.lowSize())
              + " of memory the kernel can"
              + " reach it in the first "
              + Sizes.format(top)
              + ", and takes the first "
              + Sizes.format(kernelEnd)
              + " itself");
    }
    memory.write(address, initrd.bytes());
    return address;
  }

  private void writeZeroPage(GuestRam memory, long initrd, int initrdSize, long acpiTables) {
    byte[] page = new byte[ZERO_PAGE_SIZE];
    int end = headerEnd(image);
    System.arraycopy(file.bytes(), SETUP_SECTS, page, SETUP_SECTS, end - SETUP_SECTS);
    ByteBuffer zeroPage = ByteBuffer.wrap(page).order(ByteOrder.LITTLE_ENDIAN);
    patchHeader(zeroPage, initrd, initrdSize);
    zeroPage.putLong(ACPI_RSDP_ADDR, acpiTables);
    zeroPage.putInt(ALT_MEM_K, (int) Math.max(0, (memory.lowSize() >> 10) - 1024));
    List<MemoryRange> map = memory.map();
    zeroPage.put(E820_ENTRIES, (byte) map.size());
    int at = E820_TABLE;
    for (MemoryRange range : map) {
      zeroPage.putLong(at, range.address());
      zeroPage.putLong(at + 8, range.size());
      zeroPage.putInt(at + 16, range.type());
      at += 20;
    }
    memory.write(BootLayout.ZERO_PAGE, page);
  }

  /** Sets what a boot loader must set in the setup header. */
  private static void patchHeader(ByteBuffer header, long initrd, int initrdSize) {
    header.putShort(VID_MODE, (short) VIDEO_NORMAL);
    header.put(TYPE_OF_LOADER, (byte) LOADER_UNKNOWN);
    header.put(LOADFLAGS, (byte) (header.get(LOADFLAGS) | CAN_USE_HEAP));
    header.putInt(CODE32_START, (int) BootLayout.HIGH);
    header.putInt(RAMDISK_IMAGE, (int) initrd);
    header.putInt(RAMDISK_SIZE, initrdSize);
    header.putShort(HEAP_END_PTR, (short) (REAL_MODE_STACK - 0x200));
    header.putInt(CMD_LINE_PTR, (int) BootLayout.COMMAND_LINE);
  }

  /** The 16-bit protocol: the setup code runs, and asks a BIOS for what it needs to know. */
  private BootState loadRealMode(GuestRam memory, long initrd, int initrdSize)
      throws GuestImageException {
    if (setupSize > REAL_MODE_STACK - 0x200) {
      throw file.error("has " + setupSize + " bytes of setup code, which do not fit into 64K");
    }
    byte[] setup = new byte[setupSize];
    System.arraycopy(file.bytes(), 0, setup, 0, setupSize);
    patchHeader(ByteBuffer.wrap(setup).order(ByteOrder.LITTLE_ENDIAN), initrd, initrdSize);
    memory.write(BootLayout.REAL_MODE_CODE, setup);
    Bios.install(memory);
    int segment = (int) (BootLayout.REAL_MODE_CODE >> 4);
    return BootState.real(segment + 0x20, 0, segment, REAL_MODE_STACK);
  }
}
