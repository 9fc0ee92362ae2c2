package org.kvm4j.host;

import java.lang.ref.Cleaner;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;

/**
 * The memory that one kernel has mapped.
 *
 * <p><b>Layout.</b> Each mapping is followed by a page without access, so a system call that runs
 * past its end gives {@code EFAULT} instead of writing to whatever the JVM has there; one of 2 MiB
 * or more begins at a multiple of 2 MiB, as huge pages need.
 *
 * <p><b>Unmapping</b> must not let a late access reach what the JVM maps at the same addresses
 * next, nor end the process, and an access must not pay for that: announcing itself to others would
 * cost more than the access does. So it goes in three steps:
 *
 * <ol>
 *   <li>The mapping is marked dead: accesses that begin from now on throw IllegalStateException.
 *   <li>The pages are replaced, which gives the memory back to the system. If no thread is inside
 *       of {@link NativeMemory} (the JVM takes all stacks at a safepoint to tell: some 0.1 ms), by
 *       an empty file's: the kernel's own accesses now give {@code EFAULT}, as for memory that is
 *       not mapped. If one is, and may have passed its check before step 1, by anonymous ones: it
 *       reads zeros, and what it writes is lost.
 *   <li>The address range is given back when no view of it is reachable any more, which the garbage
 *       collector tells.
 * </ol>
 *
 * <p>Virtual threads' stacks cannot be had: one that uses memory while another thread unmaps it can
 * meet a bus error on the empty file, which the JVM gives as an InternalError, as it does for a
 * mapped file that was truncated.
 */
final class Mappings {
  private static final long PAGE = 4096;
  private static final long HUGE_PAGE = 2L << 20;

  private static final int MAP_FIXED = 0x10;
  private static final int MAP_GROWSDOWN = 0x100;
  private static final int MAP_FIXED_NOREPLACE = 0x100000;
  private static final int MFD_CLOEXEC = 1;

  /** User-space addresses end at 2^47; more can be asked for, and is refused here as there. */
  private static final long MAX_LENGTH = 1L << 47;

  /** Dead ranges, out of the 65530 mappings of a process, that may wait for the collector. */
  private static final int MANY_DEAD = 4096;

  private static final Cleaner CLEANER = Cleaner.create();
  private static final AtomicInteger dead = new AtomicInteger();

  /** An empty file, or -1. */
  private static final int EMPTY_FILE = Libc.memfd_create("kvm4j-unmapped", MFD_CLOEXEC);

  /** Ascending by address. */
  private record Table(long[] starts, NativeMapping[] mappings) {}

  private volatile Table table = new Table(new long[0], new NativeMapping[0]);

  /** The mapping that holds an address, in a part that is still mapped. */
  @Nullable NativeMapping find(long address) {
    Table t = table;
    int i = Arrays.binarySearch(t.starts, address);
    if (i < 0) {
      i = -i - 2;
    }
    if (i < 0) {
      return null;
    }
    NativeMapping mapping = t.mappings[i];
    long offset = address - mapping.address;
    return offset < mapping.length && !mapping.unmapped(offset, offset + 1) ? mapping : null;
  }

  /** mmap(2). */
  long map(long length, int protection, int flags, int fd, long offset) {
    if (length <= 0 || (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN)) != 0) {
      return Errno.EINVAL.result();
    }
    if (length > MAX_LENGTH) {
      return Errno.ENOMEM.result();
    }
    long pages = (length + PAGE - 1) & -PAGE;
    long alignment = pages >= HUGE_PAGE ? HUGE_PAGE : PAGE;
    long slack = alignment - PAGE;
    long reserved =
        Libc.mmap(
            0,
            pages + PAGE + slack,
            0,
            Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS | Kernel.MAP_NORESERVE,
            -1,
            0);
    if (reserved == -1) {
      return Libc.error();
    }
    long address = (reserved + slack) & -alignment;
    long result = Libc.mmap(address, pages, protection, flags | MAP_FIXED, fd, offset);
    if (result == -1) {
      int error = Libc.error();
      Libc.munmap(reserved, pages + PAGE + slack);
      return error;
    }
    if (address > reserved) {
      Libc.munmap(reserved, address - reserved);
    }
    long end = address + pages + PAGE;
    long reservedEnd = reserved + pages + PAGE + slack;
    if (reservedEnd > end) {
      Libc.munmap(end, reservedEnd - end);
    }
    add(
        new NativeMapping(
            address,
            pages,
            (protection & (Kernel.PROT_READ | Kernel.PROT_WRITE)) != 0,
            (protection & Kernel.PROT_WRITE) != 0));
    return address;
  }

  /** munmap(2), of what is this kernel's in the range: the JVM's own memory stays. */
  synchronized int unmap(long address, long length) {
    if ((address & (PAGE - 1)) != 0 || length <= 0 || length > MAX_LENGTH || address < 0) {
      return Errno.EINVAL.result();
    }
    unmapRange(address, address + ((length + PAGE - 1) & -PAGE));
    return 0;
  }

  synchronized void unmapAll() {
    unmapRange(0, MAX_LENGTH);
  }

  private void unmapRange(long start, long end) {
    List<Part> parts = new ArrayList<>();
    boolean viewed = false;
    for (NativeMapping mapping : table.mappings) {
      long from = Math.max(start, mapping.address) - mapping.address;
      long to = Math.min(end - mapping.address, mapping.length);
      if (from < to) {
        boolean nothingLeft = mapping.punch(from, to);
        parts.add(new Part(mapping, from, to, nothingLeft));
        viewed |= mapping.viewed;
        if (nothingLeft) {
          remove(mapping);
        }
      }
    }
    boolean inUse = viewed && othersInAccess();
    for (Part part : parts) {
      NativeMapping mapping = part.mapping;
      if (part.last && !mapping.viewed) {
        Libc.munmap(mapping.address, mapping.length + PAGE);
        continue;
      }
      bury(mapping.address + part.from, part.to - part.from, inUse);
      if (part.last) {
        CLEANER.register(mapping, new Release(mapping.address, mapping.length + PAGE));
        if (dead.incrementAndGet() % MANY_DEAD == 0) {
          System.gc();
        }
      }
    }
  }

  /** Offsets {@code from..to} of a mapping, and whether it is dead without them. */
  private record Part(NativeMapping mapping, long from, long to, boolean last) {}

  /**
   * Whether a thread is inside of an access, which may have begun before memory was marked dead.
   */
  private static boolean othersInAccess() {
    Thread self = Thread.currentThread();
    for (Map.Entry<Thread, StackTraceElement[]> entry : Thread.getAllStackTraces().entrySet()) {
      if (entry.getKey() != self && accesses(entry.getValue())) {
        return true;
      }
    }
    return false;
  }

  private static boolean accesses(StackTraceElement[] stack) {
    for (StackTraceElement frame : stack) {
      if (frame.getClassName().equals(NativeMemory.class.getName())) {
        return true;
      }
    }
    return false;
  }

  /** Puts an empty file, or zeros, behind the addresses, which stay taken. */
  private static void bury(long address, long length, boolean zeros) {
    boolean anonymous = zeros || EMPTY_FILE < 0;
    int flags = anonymous ? Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS : Kernel.MAP_SHARED;
    Libc.mmap(
        address,
        length,
        Kernel.PROT_READ | Kernel.PROT_WRITE,
        flags | MAP_FIXED | Kernel.MAP_NORESERVE,
        anonymous ? -1 : EMPTY_FILE,
        0);
  }

  private record Release(long address, long length) implements Runnable {
    @Override
    public void run() {
      Libc.munmap(address, length);
      dead.decrementAndGet();
    }
  }

  private synchronized void add(NativeMapping mapping) {
    Table t = table;
    int at = -Arrays.binarySearch(t.starts, mapping.address) - 1;
    long[] starts = new long[t.starts.length + 1];
    NativeMapping[] mappings = new NativeMapping[starts.length];
    System.arraycopy(t.starts, 0, starts, 0, at);
    System.arraycopy(t.mappings, 0, mappings, 0, at);
    starts[at] = mapping.address;
    mappings[at] = mapping;
    System.arraycopy(t.starts, at, starts, at + 1, t.starts.length - at);
    System.arraycopy(t.mappings, at, mappings, at + 1, t.starts.length - at);
    table = new Table(starts, mappings);
  }

  private void remove(NativeMapping mapping) {
    Table t = table;
    int at = Arrays.binarySearch(t.starts, mapping.address);
    long[] starts = new long[t.starts.length - 1];
    NativeMapping[] mappings = new NativeMapping[starts.length];
    System.arraycopy(t.starts, 0, starts, 0, at);
    System.arraycopy(t.mappings, 0, mappings, 0, at);
    System.arraycopy(t.starts, at + 1, starts, at, starts.length - at);
    System.arraycopy(t.mappings, at + 1, mappings, at, starts.length - at);
    table = new Table(starts, mappings);
  }
}
