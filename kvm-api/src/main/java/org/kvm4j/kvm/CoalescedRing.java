package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmCoalescedMmio;
import org.kvm4j.kvm.uapi.KvmCoalescedMmioRing;

/**
 * The ring in which the kernel gathers writes that {@link Vm#registerCoalescedMmio} told it to. A
 * VM has one, which every vCPU's mapping shows; drain it before handling any exit, so that writes
 * are seen in the guest's order. Draining allocates nothing.
 *
 * <p>One thread at a time may drain.
 *
 * <p>Source: api.rst "KVM_(UN)REGISTER_COALESCED_MMIO"; virt/kvm/coalesced_mmio.c.
 */
public final class CoalescedRing {

  /** How many entries the ring has; it holds one less. */
  public static final int ENTRIES = (4096 - KvmCoalescedMmioRing.SIZEOF) / KvmCoalescedMmio.SIZEOF;

  private final UserMemory ring;

  /**
   * @param ring the page of the ring
   */
  CoalescedRing(UserMemory ring) {
    this.ring = ring;
  }

  /** Takes the writes, in order. */
  @FunctionalInterface
  public interface Sink {

    /**
     * A write.
     *
     * @param address guest-physical, or a port
     * @param length in bytes, 1 to 8
     * @param data little endian, zero-extended
     * @param pio whether the address is a port
     */
    void write(long address, int length, long data, boolean pio);
  }

  /** Whether there is nothing to drain. */
  public boolean isEmpty() {
    return ring.getInt(KvmCoalescedMmioRing.FIRST) == ring.getIntAcquire(KvmCoalescedMmioRing.LAST);
  }

  /**
   * Takes all writes out of the ring.
   *
   * @return how many
   */
  public int drain(Sink sink) {
    int count = 0;
    // The guest may write as fast as the ring is drained: what came later waits for the next time.
    int last = ring.getIntAcquire(KvmCoalescedMmioRing.LAST);
    int first = ring.getInt(KvmCoalescedMmioRing.FIRST);
    while (first != last) {
      long at =
          KvmCoalescedMmioRing.COALESCED_MMIO
              + (long) Integer.remainderUnsigned(first, ENTRIES) * KvmCoalescedMmio.SIZEOF;
      long address = ring.getLong(at + KvmCoalescedMmio.PHYS_ADDR);
      int length = ring.getInt(at + KvmCoalescedMmio.LEN);
      boolean pio = ring.getInt(at + KvmCoalescedMmio.PIO) != 0;
      long data = ring.getLong(at + KvmCoalescedMmio.DATA);
      first = (Integer.remainderUnsigned(first, ENTRIES) + 1) % ENTRIES;
      ring.putIntRelease(KvmCoalescedMmioRing.FIRST, first);
      count++;
      sink.write(
          address, length, length >= 8 || length < 0 ? data : data & ((1L << 8 * length) - 1), pio);
    }
    return count;
  }
}
