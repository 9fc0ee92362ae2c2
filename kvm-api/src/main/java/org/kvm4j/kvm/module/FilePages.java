package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * Pages of a file that user space may map. As on Linux, where a mapping holds its file, they are
 * there until the file and the last mapping of them are gone.
 */
final class FilePages {
  private final PhysicalMemory memory;
  private final long hpa;
  private final int count;

  /** What is in them, little endian. */
  final ByteBuffer content;

  /** The file's, and one for each mapping. */
  private int references = 1;

  FilePages(PhysicalMemory memory, int count) {
    this.memory = memory;
    this.count = count;
    this.hpa = memory.map((long) count * UserSpace.PAGE);
    this.content = memory.slice(hpa, count * UserSpace.PAGE);
  }

  int count() {
    return count;
  }

  /** The host-physical address of a page. */
  long page(int index) {
    return hpa + (long) index * UserSpace.PAGE;
  }

  synchronized void retain() {
    references++;
  }

  synchronized void release() {
    if (--references == 0) {
      memory.unmap(hpa);
    }
  }
}
