package org.kvm4j.cpu.core;

import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import org.kvm4j.ept.memory.HostMemory;
import org.kvm4j.ept.tlb.TlbEntry;

/**
 * Loads and stores of memory in the order that guests may count on: SDM Vol. 3, "Memory Ordering in
 * P6 and More Recent Processor Families". Loads stay in order with one another, stores with one
 * another, and no store goes before an older load; a load may go before an older store to somewhere
 * else. Hosts with the same order pay nothing but what the JVM's compilers may no longer move.
 *
 * <p>Within its natural alignment an access is one access of the host.
 */
public final class Ordered {
  private Ordered() {}

  /** One byte, zero-extended. */
  public static int load8(ByteBuffer bank, int at) {
    int value = bank.get(at) & 0xff;
    VarHandle.acquireFence();
    return value;
  }

  /** Two bytes, zero-extended. */
  public static int load16(ByteBuffer bank, int at) {
    int value = bank.getShort(at) & 0xffff;
    VarHandle.acquireFence();
    return value;
  }

  public static int load32(ByteBuffer bank, int at) {
    int value = bank.getInt(at);
    VarHandle.acquireFence();
    return value;
  }

  public static long load64(ByteBuffer bank, int at) {
    long value = bank.getLong(at);
    VarHandle.acquireFence();
    return value;
  }

  /** 1 to 8 bytes, zero-extended. */
  public static long load(ByteBuffer bank, int at, int size) {
    switch (size) {
      case 1:
        return load8(bank, at);
      case 2:
        return load16(bank, at);
      case 4:
        return load32(bank, at) & 0xffffffffL;
      case 8:
        return load64(bank, at);
      default:
        long value = 0;
        for (int k = 0; k < size; k++) {
          value |= (long) load8(bank, at + k) << k * 8;
        }
        return value;
    }
  }

  public static void store8(ByteBuffer bank, int at, int value) {
    VarHandle.releaseFence();
    bank.put(at, (byte) value);
  }

  public static void store16(ByteBuffer bank, int at, int value) {
    VarHandle.releaseFence();
    bank.putShort(at, (short) value);
  }

  public static void store32(ByteBuffer bank, int at, int value) {
    VarHandle.releaseFence();
    bank.putInt(at, value);
  }

  public static void store64(ByteBuffer bank, int at, long value) {
    VarHandle.releaseFence();
    bank.putLong(at, value);
  }

  /** 1 to 8 bytes. */
  public static void store(ByteBuffer bank, int at, int size, long value) {
    switch (size) {
      case 1 -> store8(bank, at, (int) value);
      case 2 -> store16(bank, at, (int) value);
      case 4 -> store32(bank, at, (int) value);
      case 8 -> store64(bank, at, value);
      default -> {
        for (int k = 0; k < size; k++) {
          store8(bank, at + k, (int) (value >>> k * 8));
        }
      }
    }
  }

  // ---- by the host's address ----
  //
  // For what has hit the TLB: a tag has been compared with the page of the access' last byte, so
  // the
  // access is within the page, which was checked when the entry was filled.

  static int load8(long address) {
    int value = HostMemory.getByte(address) & 0xff;
    VarHandle.acquireFence();
    return value;
  }

  static int load16(long address) {
    int value = HostMemory.getShort(address) & 0xffff;
    VarHandle.acquireFence();
    return value;
  }

  static int load32(long address) {
    int value = HostMemory.getInt(address);
    VarHandle.acquireFence();
    return value;
  }

  public static long load64(long address) {
    long value = HostMemory.getLong(address);
    VarHandle.acquireFence();
    return value;
  }

  static void store8(long address, int value) {
    VarHandle.releaseFence();
    HostMemory.putByte(address, (byte) value);
  }

  static void store16(long address, int value) {
    VarHandle.releaseFence();
    HostMemory.putShort(address, (short) value);
  }

  static void store32(long address, int value) {
    VarHandle.releaseFence();
    HostMemory.putInt(address, value);
  }

  public static void store64(long address, long value) {
    VarHandle.releaseFence();
    HostMemory.putLong(address, value);
  }

  // ---- by a translation, as above ----

  /** Eight bytes of a page that a tag of the entry says. */
  static long load64(TlbEntry e, long linear) {
    return HostMemory.IN_USE
        ? load64(linear + e.toHost)
        : load64(e.bank, e.offset + ((int) linear & 0xfff));
  }

  static int load8(TlbEntry e, long linear) {
    return HostMemory.IN_USE
        ? load8(linear + e.toHost)
        : load8(e.bank, e.offset + ((int) linear & 0xfff));
  }

  static void store64(TlbEntry e, long linear, long value) {
    if (HostMemory.IN_USE) {
      store64(linear + e.toHost, value);
    } else {
      store64(e.bank, e.offset + ((int) linear & 0xfff), value);
    }
  }
}
