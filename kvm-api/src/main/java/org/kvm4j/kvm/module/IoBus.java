package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.kvm4j.kvm.uapi.KvmCoalescedMmio;
import org.kvm4j.kvm.uapi.KvmCoalescedMmioRing;
import org.kvm4j.kvm.uapi.KvmCoalescedMmioZone;
import org.kvm4j.kvm.uapi.KvmIoeventfd;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * What the module itself does with writes to ports and device memory: ioeventfds and coalesced
 * zones. Source: Linux 6.1 virt/kvm/eventfd.c and coalesced_mmio.c.
 */
final class IoBus {
  /** Entries of the ring in its page. */
  static final int RING_ENTRIES = (4096 - KvmCoalescedMmioRing.SIZEOF) / KvmCoalescedMmio.SIZEOF;

  private record IoEvent(
      boolean pio, long address, int length, boolean wildcard, long match, EventFile file) {
    boolean collides(IoEvent o) {
      return pio == o.pio
          && address == o.address
          && (length == 0
              || o.length == 0
              || (length == o.length && (wildcard || o.wildcard || match == o.match)));
    }

    boolean same(IoEvent o) {
      return pio == o.pio
          && address == o.address
          && length == o.length
          && wildcard == o.wildcard
          && (wildcard || match == o.match)
          && file == o.file;
    }
  }

  private record Zone(boolean pio, long address, long size) {}

  private final EmulatedKernel kernel;
  private final CopyOnWriteArrayList<IoEvent> events = new CopyOnWriteArrayList<>();
  private final CopyOnWriteArrayList<Zone> zones = new CopyOnWriteArrayList<>();
  private volatile boolean empty = true;

  IoBus(EmulatedKernel kernel) {
    this.kernel = kernel;
  }

  /** Whether nothing is registered, so that no access needs a look. */
  boolean isEmpty() {
    return empty;
  }

  /** KVM_IOEVENTFD. */
  synchronized int ioeventfd(ByteBuffer a) {
    int flags = a.getInt(KvmIoeventfd.FLAGS);
    int length = a.getInt(KvmIoeventfd.LEN);
    long address = a.getLong(KvmIoeventfd.ADDR);
    boolean pio = (flags & Uapi.KVM_IOEVENTFD_FLAG_PIO) != 0;
    boolean wildcard = (flags & Uapi.KVM_IOEVENTFD_FLAG_DATAMATCH) == 0;
    boolean deassign = (flags & Uapi.KVM_IOEVENTFD_FLAG_DEASSIGN) != 0;
    if (!deassign) {
      switch (length) {
        case 0, 1, 2, 4, 8 -> {}
        default -> {
          return Results.EINVAL;
        }
      }
      if (Long.compareUnsigned(address + length, address) < 0
          || (flags & ~7) != 0
          || (length == 0 && !wildcard)) {
        return Results.EINVAL;
      }
    }
    int fd = a.getInt(KvmIoeventfd.FD);
    FileObject file = kernel.file(fd);
    if (file == null) {
      return Results.EBADF;
    }
    if (!(file instanceof EventFile event)) {
      return Results.EINVAL;
    }
    long match = wildcard ? 0 : a.getLong(KvmIoeventfd.DATAMATCH);
    IoEvent e = new IoEvent(pio, address, length, wildcard, match, event);
    if (deassign) {
      for (IoEvent old : events) {
        if (old.same(e)) {
          events.remove(old);
          update();
          return 0;
        }
      }
      return Results.ENOENT;
    }
    for (IoEvent old : events) {
      if (old.collides(e)) {
        return Results.EEXIST;
      }
    }
    events.add(e);
    update();
    return 0;
  }

  /** KVM_REGISTER_COALESCED_MMIO. */
  synchronized int register(ByteBuffer a) {
    int pio = a.getInt(KvmCoalescedMmioZone.PIO);
    if (pio != 0 && pio != 1) {
      return Results.EINVAL;
    }
    zones.add(
        new Zone(
            pio == 1,
            a.getLong(KvmCoalescedMmioZone.ADDR),
            a.getInt(KvmCoalescedMmioZone.SIZE) & 0xffffffffL));
    update();
    return 0;
  }

  /** KVM_UNREGISTER_COALESCED_MMIO: every zone inside of the given one. */
  synchronized int unregister(ByteBuffer a) {
    int pio = a.getInt(KvmCoalescedMmioZone.PIO);
    if (pio != 0 && pio != 1) {
      return Results.EINVAL;
    }
    long address = a.getLong(KvmCoalescedMmioZone.ADDR);
    long size = a.getInt(KvmCoalescedMmioZone.SIZE) & 0xffffffffL;
    List<Zone> gone = new ArrayList<>();
    for (Zone z : zones) {
      if (z.pio == (pio == 1) && z.address >= address && z.address + z.size <= address + size) {
        gone.add(z);
      }
    }
    zones.removeAll(gone);
    update();
    return 0;
  }

  private void update() {
    empty = events.isEmpty() && zones.isEmpty();
  }

  /**
   * A write by the guest.
   *
   * @param ring the page of the coalesced ring of the VM
   * @return whether it is done, and user space need not see it
   */
  boolean write(boolean pio, long address, int length, long value, ByteBuffer ring) {
    if (empty) {
      return false;
    }
    long mask = length == 8 ? -1L : (1L << length * 8) - 1;
    for (IoEvent e : events) {
      if (e.pio == pio
          && e.address == address
          && (e.length == 0 || (e.length == length && (e.wildcard || e.match == (value & mask))))) {
        e.file.signal();
        return true;
      }
    }
    for (Zone z : zones) {
      if (z.pio == pio && address >= z.address && address + length <= z.address + z.size) {
        return push(pio, address, length, value, ring);
      }
    }
    return false;
  }

  private synchronized boolean push(
      boolean pio, long address, int length, long value, ByteBuffer ring) {
    int first = ring.getInt(KvmCoalescedMmioRing.FIRST);
    int last = ring.getInt(KvmCoalescedMmioRing.LAST);
    // User space owns these words: whatever it wrote there stays inside of the ring.
    if (last < 0 || last >= RING_ENTRIES) {
      return false;
    }
    int next = (last + 1) % RING_ENTRIES;
    if (next == first) {
      return false;
    }
    int at = KvmCoalescedMmioRing.SIZEOF + last * KvmCoalescedMmio.SIZEOF;
    ring.putLong(at + KvmCoalescedMmio.PHYS_ADDR, address);
    ring.putInt(at + KvmCoalescedMmio.LEN, length);
    ring.putInt(at + KvmCoalescedMmio.PIO, pio ? 1 : 0);
    for (int i = 0; i < length; i++) {
      ring.put(at + KvmCoalescedMmio.DATA + i, (byte) (value >>> i * 8));
    }
    java.lang.invoke.VarHandle.releaseFence();
    ring.putInt(KvmCoalescedMmioRing.LAST, next);
    return true;
  }
}
