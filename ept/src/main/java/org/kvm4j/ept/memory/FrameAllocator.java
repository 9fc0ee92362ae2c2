package org.kvm4j.ept.memory;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;

/**
 * Zeroed page frames for a hypervisor's own structures: EPT tables, VMCS regions, bitmaps.
 * Thread-safe.
 */
public final class FrameAllocator implements AutoCloseable {
  private static final int CHUNK_FRAMES = 512;
  private static final long CHUNK_SIZE = (long) CHUNK_FRAMES << PhysicalMemory.PAGE_SHIFT;

  private final PhysicalMemory memory;
  private final List<Long> chunks = new ArrayList<>();
  private final List<BitSet> used = new ArrayList<>();
  private long[] free = new long[64];
  private int freeCount;
  private int nextInChunk = CHUNK_FRAMES;
  private int allocated;
  private boolean closed;

  /** An allocator that takes regions from a memory as it needs them. */
  public FrameAllocator(PhysicalMemory memory) {
    this.memory = memory;
  }

  /** The memory that the frames are in. */
  public PhysicalMemory memory() {
    return memory;
  }

  /**
   * A zeroed frame of 4 KiB.
   *
   * @return its host-physical address, never 0
   * @throws OutOfPhysicalMemoryException if there are no addresses left
   */
  public synchronized long allocate() {
    checkOpen();
    long frame;
    if (freeCount > 0) {
      frame = free[--freeCount];
    } else {
      if (nextInChunk == CHUNK_FRAMES) {
        chunks.add(memory.map(CHUNK_SIZE));
        used.add(new BitSet(CHUNK_FRAMES));
        nextInChunk = 0;
      }
      frame = chunks.get(chunks.size() - 1) + ((long) nextInChunk++ << PhysicalMemory.PAGE_SHIFT);
    }
    int chunk = chunkOf(frame);
    used.get(chunk).set(indexIn(chunk, frame));
    allocated++;
    return frame;
  }

  /**
   * Gives a frame back.
   *
   * @throws IllegalArgumentException if it is not one that was allocated here
   */
  public synchronized void free(long hpa) {
    checkOpen();
    int chunk = chunkOf(hpa);
    if (chunk < 0 || (hpa & 0xfff) != 0 || !used.get(chunk).get(indexIn(chunk, hpa))) {
      throw new IllegalArgumentException("%#x is not an allocated frame".formatted(hpa));
    }
    used.get(chunk).clear(indexIn(chunk, hpa));
    allocated--;
    memory.fill(hpa, PhysicalMemory.PAGE_SIZE, (byte) 0);
    if (freeCount == free.length) {
      free = Arrays.copyOf(free, free.length * 2);
    }
    free[freeCount++] = hpa;
  }

  /** How many frames are allocated now. */
  public synchronized int allocated() {
    return allocated;
  }

  /** Gives every frame back. */
  @Override
  public synchronized void close() {
    if (!closed) {
      closed = true;
      chunks.forEach(memory::unmap);
    }
  }

  private void checkOpen() {
    if (closed) {
      throw new IllegalStateException("the frame allocator is closed");
    }
  }

  private int chunkOf(long hpa) {
    for (int i = chunks.size() - 1; i >= 0; i--) {
      long offset = hpa - chunks.get(i);
      if (offset >= 0 && offset < CHUNK_SIZE) {
        return i;
      }
    }
    return -1;
  }

  private int indexIn(int chunk, long hpa) {
    return (int) (hpa - chunks.get(chunk) >>> PhysicalMemory.PAGE_SHIFT);
  }
}
