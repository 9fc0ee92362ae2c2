package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.OutOfPhysicalMemoryException;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.syscall.UserMemory;

/**
 * The address space of the one process that uses the emulated kernel. User addresses are
 * host-physical addresses plus {@link #BASE}, and only ranges that were mapped are valid: whatever
 * else an ioctl names is {@code EFAULT}.
 */
final class UserSpace {
  /** What is added to a host-physical address to give the user address of a mapped page. */
  static final long BASE = 0x1000_0000_0000L;

  /** The first address that is not a user address. */
  static final long LIMIT = 0x7fff_ffff_f000L;

  static final int PAGE = 4096;

  /** Told before a range of user memory goes away, like a KVM MMU notifier. */
  interface Notifier {
    void unmapped(long address, long length);
  }

  /**
   * A part of a mapping whose bytes are in another memory.
   *
   * @param hpa where in that memory they begin
   */
  record Moved(long address, long length, PhysicalMemory memory, long hpa) {}

  /** One mmap. */
  static final class Mapping {
    final long address;
    final long length;

    /** Whether the physical memory goes with the mapping (anonymous memory). */
    final boolean owned;

    volatile boolean alive = true;

    /** Whether any of its bytes may have been written where they were mapped first. */
    private volatile boolean written;

    /** Host-physical address of each page, for a file's; null if address less BASE is it. */
    final long @Nullable [] pages;

    /** What the mapping keeps of its file. */
    private final FilePages[] files;

    /** Parts whose bytes are elsewhere; they do not overlap. */
    private volatile Moved[] moved = {};

    Mapping(long address, long length, boolean owned, long @Nullable [] pages, FilePages... files) {
      this.address = address;
      this.length = length;
      this.owned = owned;
      this.pages = pages;
      this.files = files;
    }

    /**
     * Bytes are about to be written. Looks first: a volatile store is dear, and this is frequent.
     */
    void markWritten() {
      if (!written) {
        written = true;
      }
    }

    /** The part that has been moved and has the address in it; null if none has. */
    @Nullable Moved moved(long at) {
      for (Moved m : moved) {
        if (at >= m.address && at - m.address < m.length) {
          return m;
        }
      }
      return null;
    }

    /** How many bytes from an address on are in one place, of so many. */
    int together(long at, long length) {
      long most = pages == null ? Integer.MAX_VALUE : PAGE - (at & PAGE - 1);
      for (Moved m : moved) {
        long end = at < m.address ? m.address : m.address + m.length;
        if (end > at) {
          most = Math.min(most, end - at);
        }
      }
      return (int) Math.min(most, length);
    }

    /** Whether parts of it are elsewhere. */
    boolean hasMoved() {
      return moved.length > 0;
    }

    /** The memory that an address is in, where it is not the host's. */
    PhysicalMemory memory(long at, PhysicalMemory host) {
      Moved m = moved(at);
      return m == null ? host : m.memory;
    }

    /** The physical address, or -1 if the page is past the end of the file. */
    long physical(long at) {
      if (pages == null) {
        Moved m = moved(at);
        return m == null ? at - BASE : m.hpa + (at - m.address);
      }
      int page = (int) (at - address >>> 12);
      boolean there = page < pages.length && pages[page] != FilePages.NONE;
      return there ? pages[page] + (at & 0xfff) : -1;
    }
  }

  private final PhysicalMemory memory;
  private final ConcurrentSkipListMap<Long, Mapping> mappings = new ConcurrentSkipListMap<>();
  private final CopyOnWriteArrayList<Notifier> notifiers = new CopyOnWriteArrayList<>();
  private volatile @Nullable Mapping last;

  /** Above every address of anonymous memory. */
  private long nextFileAddress = 0x6000_0000_0000L;

  UserSpace(PhysicalMemory memory) {
    this.memory = memory;
  }

  PhysicalMemory memory() {
    return memory;
  }

  void addNotifier(Notifier n) {
    notifiers.add(n);
  }

  void removeNotifier(Notifier n) {
    notifiers.remove(n);
  }

  // ---- mappings ----

  /** Maps anonymous memory; the address or a negative error. */
  long mapAnonymous(long length) {
    if (length <= 0) {
      return Results.EINVAL;
    }
    long rounded = length + PAGE - 1 & -PAGE;
    try {
      long hpa = memory.map(rounded);
      Mapping m = new Mapping(hpa + BASE, rounded, true, null);
      mappings.put(m.address, m);
      return m.address;
    } catch (OutOfPhysicalMemoryException | IllegalArgumentException e) {
      return Results.ENOMEM;
    }
  }

  /**
   * Maps pages of a file, at addresses that are no anonymous memory's.
   *
   * @param first the page of the file where the mapping begins
   * @param length pages of the mapping; those after the file's end cannot be touched
   * @param files what the file consists of
   * @return the address, or EINVAL if the file has no page there
   */
  synchronized long mapFile(int first, int length, FilePages... files) {
    int all = 0;
    for (FilePages f : files) {
      all += f.count();
    }
    long[] pages = new long[Math.max(0, Math.min(length, all - first))];
    int n = 0;
    int at = 0;
    for (FilePages f : files) {
      for (int i = 0; i < f.count(); i++, at++) {
        if (at >= first && n < pages.length) {
          pages[n++] = f.page(i);
        }
      }
    }
    if (n == 0) {
      return Results.EINVAL;
    }
    for (FilePages f : files) {
      f.retain();
    }
    long address = nextFileAddress;
    nextFileAddress += (length + 1) * (long) PAGE;
    Mapping m = new Mapping(address, length * (long) PAGE, false, pages, files);
    mappings.put(address, m);
    return address;
  }

  /** munmap(2) of whole mappings. */
  synchronized int unmap(long address, long length) {
    if ((address & PAGE - 1) != 0 || length <= 0) {
      return Results.EINVAL;
    }
    Mapping m = mappings.get(address);
    if (m == null) {
      return find(address) == null ? 0 : Results.EINVAL;
    }
    if ((length + PAGE - 1 & -PAGE) < m.length && m.owned) {
      return Results.EINVAL;
    }
    drop(m);
    return 0;
  }

  private void drop(Mapping m) {
    m.alive = false;
    mappings.remove(m.address);
    last = null;
    for (Notifier n : notifiers) {
      n.unmapped(m.address, m.length);
    }
    if (m.owned) {
      memory.unmap(m.address - BASE);
    }
    for (FilePages f : m.files) {
      f.release();
    }
  }

  synchronized void close() {
    for (Mapping m : new ArrayList<>(mappings.values())) {
      drop(m);
    }
  }

  private @Nullable Mapping find(long address) {
    Mapping m = last;
    if (m != null && m.alive && address >= m.address && address - m.address < m.length) {
      return m;
    }
    Map.Entry<Long, Mapping> e = mappings.floorEntry(address);
    if (e == null || address - e.getKey() >= e.getValue().length) {
      return null;
    }
    m = e.getValue();
    last = m;
    return m;
  }

  /**
   * The host-physical address of a user address.
   *
   * @return -1 if any of the bytes is not mapped
   */
  long physical(long address, long length) {
    Mapping m = find(address);
    if (m == null || length < 0 || length > m.length - (address - m.address)) {
      return -1;
    }
    if (m.pages == null) {
      // Whoever asks may write there.
      m.markWritten();
      return m.hasMoved() && m.together(address, length) < length
              || m.memory(address, memory) != memory
          ? -1
          : m.physical(address);
    }
    long first = m.physical(address);
    for (long at = (address & -PAGE) + PAGE; at < address + length; at += PAGE) {
      if (first < 0 || m.physical(at) != first + (at - address)) {
        return -1;
      }
    }
    return first;
  }

  // ---- moving ----

  /** Whether {@link #move} can be done. */
  boolean canMove(long address, long length) {
    Mapping m = find(address);
    if (m == null || m.pages != null || length > m.length - (address - m.address)) {
      return false;
    }
    for (Moved part : m.moved) {
      if (part.address < address + length && address < part.address + part.length) {
        return false;
      }
    }
    return true;
  }

  /**
   * Moves bytes of anonymous memory to another memory, of which a part is mapped for them and holds
   * zeros. From now on the user addresses lead there. Memory that nobody has written is not looked
   * at: it is mostly large, and reading it would have the host provide pages for all of it.
   */
  synchronized void move(long address, long length, PhysicalMemory to, long hpa) {
    Mapping m = Objects.requireNonNull(find(address));
    if (m.written) {
      copy(memory, address - BASE, to, hpa, length);
    }
    Moved[] more = Arrays.copyOf(m.moved, m.moved.length + 1);
    more[m.moved.length] = new Moved(address, length, to, hpa);
    m.moved = more;
  }

  /** Takes back what {@link #move} moved from an address, if it is mapped still. */
  synchronized void moveBack(long address) {
    Mapping m = find(address);
    Moved part = m == null ? null : m.moved(address);
    if (m == null || part == null) {
      return;
    }
    m.markWritten();
    copy(part.memory, part.hpa, memory, part.address - BASE, part.length);
    m.moved = Arrays.stream(m.moved).filter(p -> p != part).toArray(Moved[]::new);
  }

  /** Moves bytes to where there are zeros, and leaves zeros; pages of zeros are not touched. */
  private static void copy(
      PhysicalMemory from, long source, PhysicalMemory to, long target, long length) {
    byte[] zero = new byte[PAGE];
    byte[] page = new byte[PAGE];
    for (long at = 0; at < length; at += PAGE) {
      from.read(source + at, page);
      if (!Arrays.equals(page, zero)) {
        to.deviceWrite(target + at, page, 0, PAGE);
        from.fill(source + at, PAGE, (byte) 0);
      }
    }
  }

  // ---- copies ----

  /** Copies a struct in; null if it cannot be read. */
  @Nullable ByteBuffer copyIn(long address, int length) {
    byte[] bytes = new byte[length];
    Mapping m = find(address);
    if (m != null && m.hasMoved() && length <= m.length - (address - m.address)) {
      new MappedView(memory, m, address, length).read(0, bytes, 0, length);
      return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }
    long hpa = physical(address, length);
    if (hpa < 0) {
      return null;
    }
    memory.read(hpa, bytes);
    return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** Copies a struct out; false if it cannot be written. */
  boolean copyOut(long address, ByteBuffer source) {
    return copyOut(address, source.array(), source.capacity());
  }

  boolean copyOut(long address, byte[] source, int length) {
    Mapping m = find(address);
    if (m != null && m.hasMoved() && length <= m.length - (address - m.address)) {
      new MappedView(memory, m, address, length).write(0, source, 0, length);
      return true;
    }
    long hpa = physical(address, length);
    if (hpa < 0) {
      return false;
    }
    memory.deviceWrite(hpa, source, 0, length);
    return true;
  }

  static ByteBuffer struct(int length) {
    return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
  }

  // ---- views ----

  UserMemory view(long address, long length) {
    Mapping m = find(address);
    if (m == null || length < 0 || length > m.length - (address - m.address)) {
      throw new IllegalArgumentException(
          "not mapped: " + Long.toHexString(address) + " length " + Long.toHexString(length));
    }
    return new MappedView(memory, m, address, length);
  }
}
