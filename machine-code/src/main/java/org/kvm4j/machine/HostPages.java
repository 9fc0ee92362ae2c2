package org.kvm4j.machine;

/** How the host backs memory that the JVM has mapped: on Linux, through JNA. */
public final class HostPages {
  private static final int PROT_READ_WRITE = 3;
  private static final int MAP_PRIVATE = 2;
  private static final int MAP_FIXED = 0x10;
  private static final int MAP_ANONYMOUS = 0x20;
  private static final int MAP_NORESERVE = 0x4000;
  private static final int MADV_HUGEPAGE = 14;

  private HostPages() {}

  /**
   * Puts anonymous, zeroed memory that may be of huge pages in the place of a mapping, which
   * whoever made it unmaps as before. Nothing else may be mapped in that range, and nobody may use
   * it yet.
   *
   * @param address of the mapping, page-aligned
   * @param length in bytes, whole pages
   * @return false if all is as it was
   */
  public static boolean useHugePages(long address, long length) {
    if (!CodeSpace.isPossible()) {
      return false;
    }
    try {
      int flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE;
      if (Libc.mmap(address, length, PROT_READ_WRITE, flags, -1, 0) != address) {
        return false;
      }
      // Where there are no huge pages the memory is as good.
      Libc.madvise(address, length, MADV_HUGEPAGE);
      return true;
    } catch (LinkageError e) {
      return false;
    }
  }
}
