package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * Pages of a file that user space may map. As on Linux, where a mapping holds its file, they are
 * there until the file and the last mapping of them are gone.
 */
final class FilePages {
  /** The address of what is not there. */
  static final long NONE = -1;

  private final @Nullable PhysicalMemory memory;
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

  private FilePages(int count) {
    this.memory = null;
    this.count = count;
    this.hpa = NONE;
    this.content = ByteBuffer.allocate(0);
  }

  /** Pages of a file that are not there: a mapping has them, and they cannot be touched. */
  static FilePages hole(int count) {
    return new FilePages(count);
  }

  int count() {
    return count;
  }

  /** The host-physical address of a page; {@link #NONE} in a hole. */
  long page(int index) {
    return hpa == NONE ? NONE : hpa + (long) index * UserSpace.PAGE;
  }

  synchronized void retain() {
    references++;
  }

  synchronized void release() {
    if (--references == 0 && memory != null) {
      memory.unmap(hpa);
    }
  }
}
