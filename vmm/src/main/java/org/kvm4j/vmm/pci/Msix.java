package org.kvm4j.vmm.pci;

import java.util.BitSet;
import org.kvm4j.vmm.device.MmioDevice;

/**
 * A function's message-signalled interrupts: a table of vectors that the guest fills, each an
 * address and a word to write there, and an array of bits that tells which have to wait because
 * they are masked.
 *
 * <p>Source: PCI Local Bus Specification 3.0, section 6.8.2, "MSI-X Capability and Table
 * Structures".
 */
public final class Msix implements MmioDevice {

  /** Sends a message to a processor's local APIC. */
  @FunctionalInterface
  public interface Signaller {
    /**
     * Sends.
     *
     * @param address 64 bits
     * @param data 32 bits
     */
    void signal(long address, int data);
  }

  /** The capability's number. */
  static final int CAPABILITY = 0x11;

  /** Of the memory that table and array share, in bytes. */
  static final int SIZE = 0x1000;

  /** The greatest number of vectors: the table fills the first half. */
  public static final int MOST_VECTORS = 128;

  private static final int PENDING = 0x800;
  private static final int ENTRY = 16;
  private static final int ENTRY_DATA = 8;
  private static final int ENTRY_CONTROL = 12;
  private static final int ENTRY_MASKED = 1;

  private static final int CONTROL_ENABLE = 1 << 15;
  private static final int CONTROL_MASK_ALL = 1 << 14;

  /** What of the capability's control word the guest can set. */
  static final int CONTROL_WRITABLE = CONTROL_ENABLE | CONTROL_MASK_ALL;

  private final int vectors;
  private final Signaller signaller;
  private final int[] table;
  private final BitSet pending = new BitSet();
  private int controlRegister;
  private int control;

  /**
   * @param vectors how many, 1 to {@link #MOST_VECTORS}
   */
  public Msix(int vectors, Signaller signaller) {
    if (vectors < 1 || vectors > MOST_VECTORS) {
      throw new IllegalArgumentException(vectors + " MSI-X vectors");
    }
    this.vectors = vectors;
    this.signaller = signaller;
    this.table = new int[vectors * ENTRY / 4];
    reset();
  }

  private void reset() {
    for (int i = 0; i < vectors; i++) {
      table[(i * ENTRY + ENTRY_CONTROL) / 4] = ENTRY_MASKED;
    }
  }

  /** How many vectors there are. */
  public int vectors() {
    return vectors;
  }

  byte[] capability(int bar) {
    byte[] body = new byte[10];
    body[0] = (byte) (vectors - 1);
    body[2] = (byte) bar;
    body[6] = (byte) bar;
    body[7] = (byte) (PENDING >> 8);
    return body;
  }

  void setControlRegister(int register) {
    controlRegister = register;
  }

  int controlRegister() {
    return controlRegister;
  }

  /** The guest has written the capability's control word. */
  synchronized void setControl(int value) {
    control = value & CONTROL_WRITABLE;
    deliverPending();
  }

  /** Whether the guest has chosen messages rather than the interrupt pin. */
  public synchronized boolean enabled() {
    return (control & CONTROL_ENABLE) != 0;
  }

  /**
   * Gives an interrupt; one that is masked waits.
   *
   * @param vector its number; one that there is not is none
   */
  public synchronized void raise(int vector) {
    if (vector < 0 || vector >= vectors || (control & CONTROL_ENABLE) == 0) {
      return;
    }
    if (masked(vector)) {
      pending.set(vector);
    } else {
      send(vector);
    }
  }

  private boolean masked(int vector) {
    return (control & CONTROL_MASK_ALL) != 0
        || (table[(vector * ENTRY + ENTRY_CONTROL) / 4] & ENTRY_MASKED) != 0;
  }

  private void send(int vector) {
    int at = vector * ENTRY / 4;
    long address = table[at] & 0xffff_ffffL | (long) table[at + 1] << 32;
    signaller.signal(address, table[at + ENTRY_DATA / 4]);
  }

  private void deliverPending() {
    if ((control & CONTROL_ENABLE) == 0) {
      return;
    }
    for (int v = pending.nextSetBit(0); v >= 0; v = pending.nextSetBit(v + 1)) {
      if (!masked(v)) {
        pending.clear(v);
        send(v);
      }
    }
  }

  @Override
  public synchronized long read(long offset, int length) {
    long value = 0;
    for (int i = 0; i < length; i++) {
      value |= (long) readByte((int) offset + i) << (8 * i);
    }
    return value;
  }

  private int readByte(int at) {
    if (at < table.length * 4) {
      return table[at / 4] >>> (8 * (at & 3)) & 0xff;
    }
    int bit = (at - PENDING) * 8;
    if (at < PENDING || bit >= vectors) {
      return 0;
    }
    int value = 0;
    for (int i = 0; i < 8; i++) {
      value |= pending.get(bit + i) ? 1 << i : 0;
    }
    return value;
  }

  /** Only whole, aligned words and double words are writes; others are undefined, and dropped. */
  @Override
  public synchronized void write(long offset, int length, long value) {
    if ((length != 4 && length != 8) || offset % length != 0) {
      return;
    }
    for (int i = 0; i < length; i += 4) {
      int index = ((int) offset + i) / 4;
      if (index < table.length) {
        boolean isControl = index % 4 == ENTRY_CONTROL / 4;
        int word = (int) (value >>> (8 * i));
        table[index] = isControl ? word & ENTRY_MASKED : word;
      }
    }
    deliverPending();
  }
}
