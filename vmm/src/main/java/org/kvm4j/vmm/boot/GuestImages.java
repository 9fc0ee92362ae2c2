package org.kvm4j.vmm.boot;

import org.jspecify.annotations.Nullable;

/** Finds out what a guest's file is. */
public final class GuestImages {

  private GuestImages() {}

  /**
   * Recognizes a file and checks it.
   *
   * @param mode what the user asked for; null for what the file can do best
   * @param load where a flat binary goes; null for its entry
   * @param entry where a flat binary starts; null if it is not said that this is one
   * @throws GuestImageException if it is nothing that is known here, or not as it should be
   */
  public static GuestImage parse(
      GuestFile file, @Nullable CpuMode mode, @Nullable Long load, @Nullable Long entry)
      throws GuestImageException {
    boolean elf = isElf(file.bytes());
    boolean linux = LinuxImage.recognizes(file.bytes());
    if (entry != null || load != null) {
      if (elf || linux) {
        throw file.error(
            String.format(
                "is %s, and %s would run its headers as code: leave that out, or give a flat binary"
                    + " (objcopy -O binary)",
                elf ? "an ELF file" : "a Linux bzImage", entry != null ? "--entry" : "--load"));
      }
      return flat(file, mode == null ? CpuMode.LONG : mode, load, entry);
    }
    if (linux) {
      return LinuxImage.parse(file, mode);
    }
    if (MultibootImage.recognizes(file.bytes())) {
      if (mode != null && mode != CpuMode.PROTECTED) {
        throw file.error("is a multiboot kernel, which starts in protected mode");
      }
      return MultibootImage.parse(file);
    }
    String almost = mode == null || elf ? MultibootImage.almost(file.bytes()) : "";
    if (!almost.isEmpty()) {
      throw file.error(almost);
    }
    if (elf) {
      throw file.error(
          "is an ELF file without a multiboot header: give a bzImage, a multiboot kernel or a flat"
              + " binary (objcopy -O binary)");
    }
    if (mode != null) {
      return flat(file, mode, null, null);
    }
    throw file.error(
        "is neither a Linux bzImage nor a multiboot kernel; for a flat binary say --mode and --entry");
  }

  /** Whether a file begins as every ELF file does (System V ABI, "ELF Identification"). */
  private static boolean isElf(byte[] bytes) {
    return bytes.length >= 4
        && bytes[0] == 0x7f
        && bytes[1] == 'E'
        && bytes[2] == 'L'
        && bytes[3] == 'F';
  }

  private static FlatImage flat(
      GuestFile file, CpuMode mode, @Nullable Long load, @Nullable Long entry)
      throws GuestImageException {
    long start =
        entry != null
            ? entry
            : load != null
                ? load
                : mode == CpuMode.REAL
                    ? FlatImage.DEFAULT_REAL_MODE_ADDRESS
                    : FlatImage.DEFAULT_ADDRESS;
    return new FlatImage(file, mode, load != null ? load : start, start);
  }
}
