package org.kvm4j.kvm;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.syscall.Kernel;

/**
 * Pieces of user-space memory for what a VM's handles give to ioctls, several to a page: of a page
 * for each handle most would be empty.
 *
 * <p>Safe for use by several threads. A page goes when its last piece is given back.
 */
final class ArgumentPool {
  /** How long a piece is: what all but the largest arguments fit in. */
  static final int PIECE = 1024;

  private static final int PAGE = 4096;
  private static final int ALL = (1 << PAGE / PIECE) - 1;

  private final Kernel kernel;
  private final List<Page> pages = new ArrayList<>();

  /** A page, and a bit for each of its pieces that is taken. */
  private static final class Page {
    private final MappedMemory memory;
    private int taken;

    private Page(MappedMemory memory) {
      this.memory = memory;
    }
  }

  ArgumentPool(Kernel kernel) {
    this.kernel = kernel;
  }

  Kernel kernel() {
    return kernel;
  }

  /**
   * Takes a piece.
   *
   * @return its address
   * @throws KvmException ENOMEM if there is no address space for another page
   */
  synchronized long take() {
    Page page = null;
    for (Page p : pages) {
      if (p.taken != ALL) {
        page = p;
        break;
      }
    }
    if (page == null) {
      page = new Page(MappedMemory.allocate(kernel, PAGE));
      pages.add(page);
    }
    int piece = Integer.numberOfTrailingZeros(~page.taken);
    page.taken |= 1 << piece;
    return page.memory.address() + (long) piece * PIECE;
  }

  /** Gives a piece back, which nobody uses any more. */
  synchronized void giveBack(long address) {
    for (Page page : pages) {
      long offset = address - page.memory.address();
      if (offset >= 0 && offset < PAGE) {
        page.taken &= ~(1 << offset / PIECE);
        if (page.taken == 0) {
          pages.remove(page);
          page.memory.close();
        }
        return;
      }
    }
  }
}
