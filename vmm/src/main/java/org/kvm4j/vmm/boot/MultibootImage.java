package org.kvm4j.vmm.boot;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.MemoryRange;

/**
 * A multiboot kernel: a 32-bit ELF file, or any file whose multiboot header says where it is to be
 * loaded. It starts in protected mode, with a structure that tells of memory, command line and
 * modules.
 *
 * <p>Source: Multiboot Specification version 0.6.96, section 3, "Specification"; System V ABI,
 * chapters 4 and 5, for ELF.
 */
public final class MultibootImage implements GuestImage {

  private static final int HEADER_MAGIC = 0x1bad_b002;
  private static final int BOOT_MAGIC = 0x2bad_b002;

  /** The header lies in so many first bytes of the file. */
  private static final int SEARCH = 8192;

  private static final int HEADER_MAGIC_2 = 0xe852_50d6;
  private static final int SEARCH_2 = 32768;

  private static final int FLAG_ALIGN_MODULES = 1 << 0;
  private static final int FLAG_MEMORY = 1 << 1;
  private static final int FLAG_ADDRESSES = 1 << 16;

  /** What a loader must do or refuse, if a bit is set. */
  private static final int MANDATORY_FLAGS = 0xffff;

  private static final int INFO_SIZE = 116;
  private static final int INFO_MEMORY = 1 << 0;
  private static final int INFO_COMMAND_LINE = 1 << 2;
  private static final int INFO_MODULES = 1 << 3;
  private static final int INFO_MEMORY_MAP = 1 << 6;
  private static final int INFO_LOADER_NAME = 1 << 9;

  private static final int ELF_MAGIC = 0x464c_457f;
  private static final int ELF_HEADER_SIZE = 52;
  private static final int PROGRAM_HEADER_SIZE = 32;
  private static final int PT_LOAD = 1;
  private static final int EM_386 = 3;
  private static final int EM_X86_64 = 62;

  private static final long ADDRESS_MASK = 0xffff_ffffL;
  private static final long PAGE = 0x1000;

  private final GuestFile file;
  private final List<Part> parts;
  private final long entry;

  /**
   * A part of the file and where it goes.
   *
   * @param size in memory; what the file does not fill is 0
   */
  private record Part(int offset, int fileSize, long address, long size) {}

  private MultibootImage(GuestFile file, List<Part> parts, long entry) {
    this.file = file;
    this.parts = parts;
    this.entry = entry;
  }

  /** Whether a file has a multiboot header. */
  static boolean recognizes(byte[] bytes) {
    return headerOffset(bytes) >= 0;
  }

  /**
   * What keeps a file from being a multiboot kernel that looks much like one: a header too far from
   * its beginning, or one of multiboot 2.
   *
   * @return a predicate for an error message; "" if there is no such header
   */
  static String almost(byte[] bytes) {
    int late = headerOffset(bytes, SEARCH - 8, bytes.length);
    if (late >= 0) {
      return String.format(
          "has its multiboot header at byte %d, and it must lie within the first %d: link it first",
          late, SEARCH);
    }
    return hasMultiboot2Header(bytes)
        ? "has a header of multiboot 2 only, and multiboot 1 is what is known here"
        : "";
  }

  /** Source: Multiboot2 Specification version 2.0, section 3.1.1, "The layout of header". */
  private static boolean hasMultiboot2Header(byte[] bytes) {
    ByteBuffer image = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int end = Math.min(bytes.length, SEARCH_2) - 16;
    for (int at = 0; at <= end; at += 8) {
      int sum = HEADER_MAGIC_2 + image.getInt(at + 4) + image.getInt(at + 8);
      if (image.getInt(at) == HEADER_MAGIC_2 && sum + image.getInt(at + 12) == 0) {
        return true;
      }
    }
    return false;
  }

  private static int headerOffset(byte[] bytes) {
    return headerOffset(bytes, 0, Math.min(bytes.length, SEARCH));
  }

  /** A header between two offsets, of which the first is a multiple of 4; -1 if there is none. */
  private static int headerOffset(byte[] bytes, int from, int to) {
    ByteBuffer image = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int end = to - 12;
    for (int at = from; at <= end; at += 4) {
      if (image.getInt(at) == HEADER_MAGIC
          && HEADER_MAGIC + image.getInt(at + 4) + image.getInt(at + 8) == 0) {
        return at;
      }
    }
    return -1;
  }

  /**
   * Checks a kernel.
   *
   * @throws GuestImageException if it has no multiboot header, is truncated, or wants what is not
   *     done here
   */
  public static MultibootImage parse(GuestFile file) throws GuestImageException {
    byte[] bytes = file.bytes();
    int header = headerOffset(bytes);
    if (header < 0) {
      throw file.error("has no multiboot header in its first " + SEARCH + " bytes");
    }
    ByteBuffer image = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    int flags = image.getInt(header + 4);
    int unknown = flags & MANDATORY_FLAGS & ~(FLAG_ALIGN_MODULES | FLAG_MEMORY);
    if (unknown != 0) {
      throw file.error(
          String.format("asks for multiboot features 0x%x, which are not to be had", unknown));
    }
    if ((flags & FLAG_ADDRESSES) != 0) {
      return parseAddresses(file, image, header);
    }
    return parseElf(file, image);
  }

  /** The header's own addresses say how to load the file, whatever else it is. */
  private static MultibootImage parseAddresses(GuestFile file, ByteBuffer image, int header)
      throws GuestImageException {
    int length = file.bytes().length;
    if (length - header < 32) {
      throw file.error("is truncated: it ends within the multiboot header");
    }
    long headerAddress = image.getInt(header + 12) & ADDRESS_MASK;
    long loadAddress = image.getInt(header + 16) & ADDRESS_MASK;
    long loadEnd = image.getInt(header + 20) & ADDRESS_MASK;
    long bssEnd = image.getInt(header + 24) & ADDRESS_MASK;
    long offset = header - (headerAddress - loadAddress);
    long size = loadEnd == 0 ? length - offset : loadEnd - loadAddress;
    if (headerAddress < loadAddress || offset < 0 || size < 0) {
      throw file.error("has a multiboot header whose addresses contradict each other");
    }
    if (offset + size > length) {
      throw file.error(
          "is truncated: its multiboot header tells of "
              + (offset + size)
              + " bytes, and the file has "
              + length);
    }
    long memorySize = bssEnd == 0 ? size : Math.max(size, bssEnd - loadAddress);
    Part part = new Part((int) offset, (int) size, loadAddress, memorySize);
    return new MultibootImage(file, List.of(part), image.getInt(header + 28) & ADDRESS_MASK);
  }

  private static MultibootImage parseElf(GuestFile file, ByteBuffer image)
      throws GuestImageException {
    int length = file.bytes().length;
    if (length < ELF_HEADER_SIZE || image.getInt(0) != ELF_MAGIC) {
      throw file.error("has a multiboot header, but is no ELF file and has no load addresses");
    }
    if (image.get(4) != 1) {
      throw file.error("is an ELF file of 64 bits; multiboot takes 32 (objcopy -O elf32-i386)");
    }
    int machine = image.getShort(18) & 0xffff;
    if (image.get(5) != 1 || (machine != EM_386 && machine != EM_X86_64)) {
      throw file.error("is an ELF file for another machine (number " + machine + "), not x86");
    }
    long tableOffset = image.getInt(28) & ADDRESS_MASK;
    int entrySize = image.getShort(42) & 0xffff;
    int count = image.getShort(44) & 0xffff;
    if (count > 0 && entrySize < PROGRAM_HEADER_SIZE) {
      throw file.error("has ELF program headers of " + entrySize + " bytes, not 32");
    }
    if (tableOffset + (long) entrySize * count > length) {
      throw file.error("is truncated: its ELF program headers end past the file");
    }
    List<Part> parts = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      int at = (int) tableOffset + i * entrySize;
      long memorySize = image.getInt(at + 20) & ADDRESS_MASK;
      if (image.getInt(at) != PT_LOAD || memorySize == 0) {
        continue;
      }
      long offset = image.getInt(at + 4) & ADDRESS_MASK;
      long fileSize = image.getInt(at + 16) & ADDRESS_MASK;
      if (offset + fileSize > length) {
        throw file.error(
            "is truncated: ELF segment "
                + i
                + " ends at byte "
                + (offset + fileSize)
                + ", and the file has "
                + length);
      }
      if (fileSize > memorySize) {
        throw file.error("has an ELF segment " + i + " that is larger in the file than in memory");
      }
      parts.add(
          new Part((int) offset, (int) fileSize, image.getInt(at + 12) & ADDRESS_MASK, memorySize));
    }
    if (parts.isEmpty()) {
      throw file.error("has no ELF segment to load");
    }
    return new MultibootImage(file, parts, image.getInt(24) & ADDRESS_MASK);
  }

  /** Where it starts. */
  public long entry() {
    return entry;
  }

  @Override
  public CpuMode mode() {
    return CpuMode.PROTECTED;
  }

  @Override
  public String describe() {
    return String.format("multiboot kernel, entry 0x%x", entry);
  }

  @Override
  public BootState load(GuestRam memory, BootOptions options) throws GuestImageException {
    if (options.initrd() != null) {
      throw file.error("is a multiboot kernel, which takes modules (--module) and no initrd");
    }
    long end = 0;
    for (Part part : parts) {
      if (!memory.contains(part.address(), part.size())) {
        throw file.error(
            String.format(
                "is to be loaded at [0x%x, 0x%x), and there are %s of memory",
                part.address(), part.address() + part.size(), Sizes.format(memory.lowSize())));
      }
      if (part.address() < BootLayout.GDT + 8 * BootLayout.GDT_ENTRIES
          && part.address() + part.size() > BootLayout.GDT) {
        throw file.error(
            String.format("is to be loaded over the descriptor table at 0x%x", BootLayout.GDT));
      }
      end = Math.max(end, part.address() + part.size());
    }
    for (Part part : parts) {
      memory.write(part.address(), file.bytes(), part.offset(), part.fileSize());
      memory.clear(part.address() + part.fileSize(), part.size() - part.fileSize());
    }
    BootLayout.write(memory, CpuMode.PROTECTED, file);
    long info = loadInfo(memory, options, Math.max(end, BootLayout.HIGH));
    return BootState.flat(CpuMode.PROTECTED, entry, BootLayout.STACK_TOP)
        .withRaxRbx(BOOT_MAGIC & ADDRESS_MASK, info);
  }

  /** Loads the modules and writes the structure that tells of all, each past the one before. */
  private long loadInfo(GuestRam memory, BootOptions options, long kernelEnd)
      throws GuestImageException {
    Placer placer = new Placer(memory, kernelEnd);
    ByteBuffer info = structure(INFO_SIZE);
    List<MemoryRange> map = memory.map();

    List<long[]> modules = new ArrayList<>();
    for (BootOptions.Module module : options.modules()) {
      placer.align(PAGE);
      GuestFile contents = module.file();
      long start =
          placer.place(
              contents.bytes(),
              "module " + contents.name() + " of " + Sizes.format(contents.bytes().length));
      modules.add(new long[] {start, start + contents.bytes().length, 0});
    }
    placer.align(PAGE);
    for (int i = 0; i < modules.size(); i++) {
      BootOptions.Module module = options.modules().get(i);
      modules.get(i)[2] = placer.placeString(withArguments(module.file(), module.arguments()));
    }
    ByteBuffer list = structure(16 * modules.size());
    for (long[] module : modules) {
      list.putInt((int) module[0]).putInt((int) module[1]).putInt((int) module[2]).putInt(0);
    }
    long listAddress = placer.place(bytes(list), "the list of modules");

    ByteBuffer entries = structure(24 * map.size());
    for (MemoryRange range : map) {
      entries.putInt(20).putLong(range.address()).putLong(range.size()).putInt(range.type());
    }
    long mapAddress = placer.place(bytes(entries), "the memory map");

    info.putInt(
        0, INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME);
    info.putInt(4, (int) (Math.min(memory.lowSize(), GuestRam.LOW_END) >> 10));
    info.putInt(8, (int) (Math.max(0, memory.lowSize() - BootLayout.HIGH) >> 10));
    info.putInt(16, (int) placer.placeString(withArguments(file, options.commandLine())));
    info.putInt(20, modules.size());
    info.putInt(24, (int) listAddress);
    info.putInt(44, entries.capacity());
    info.putInt(48, (int) mapAddress);
    info.putInt(64, (int) placer.placeString("kvm4j"));
    placer.align(16);
    return placer.place(bytes(info), "the multiboot information");
  }

  private static String withArguments(GuestFile file, String arguments) {
    return arguments.isEmpty() ? file.name() : file.name() + " " + arguments;
  }

  private static byte[] bytes(ByteBuffer structure) {
    byte[] bytes = new byte[structure.capacity()];
    structure.get(0, bytes);
    return bytes;
  }

  private static ByteBuffer structure(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Puts one thing after another into memory. */
  private static final class Placer {
    private final GuestRam memory;
    private long next;

    Placer(GuestRam memory, long next) {
      this.memory = memory;
      this.next = next;
    }

    void align(long alignment) {
      next = next + alignment - 1 & -alignment;
    }

    long place(byte[] bytes, String what) throws GuestImageException {
      long address = next;
      if (!memory.contains(address, bytes.length)) {
        throw new GuestImageException(
            String.format(
                "%s does not fit at 0x%x, past the kernel: there are %s of memory",
                what, address, Sizes.format(memory.lowSize())));
      }
      memory.write(address, bytes);
      next += bytes.length;
      return address;
    }

    long placeString(String text) throws GuestImageException {
      byte[] bytes = (text + '\0').getBytes(StandardCharsets.UTF_8);
      long address = place(bytes, "a string of " + bytes.length + " bytes");
      align(4);
      return address;
    }
  }
}
