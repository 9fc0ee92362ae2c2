package org.kvm4j.kvm.module.irqchip;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.uapi.KvmPitChannelState;

/**
 * One counter of the 8254: what can be latched, read and written of it. Source: Intel 8254 data
 * sheet (231164), "Programming the 8254", "Mode Definitions"; as in Linux 6.1 arch/x86/kvm/i8254.c,
 * counts are binary, and the status has no null-count flag.
 */
final class PitCounter {
  /** In Hz. */
  static final long FREQUENCY = 1_193_182;

  static final long SECOND = 1_000_000_000;

  /** Which bytes of the count are next. */
  private static final int LOW = 1;

  private static final int HIGH = 2;
  private static final int BOTH_LOW = 3;
  private static final int BOTH_HIGH = 4;

  /** 1 to 65,536. */
  private long count;

  private int latchedCount;

  /** Which bytes of the latched count are next; 0 if none is latched. */
  private int countLatched;

  private boolean statusLatched;
  private int status;
  private int readState;
  private int writeState;
  private int writeLatch;
  private int access;
  int mode;
  private int bcd;
  private int gate;

  /** When counting began. */
  private long loaded;

  /** The mode after power-up, which counts as no other. */
  private static final int UNDEFINED = 0xff;

  void reset(boolean gated) {
    mode = UNDEFINED;
    gate = gated ? 0 : 1;
  }

  /** Ticks in this time. */
  private static long ticks(long nanos) {
    return nanos / SECOND * FREQUENCY + nanos % SECOND * FREQUENCY / SECOND;
  }

  /** The time of this many ticks. */
  static long nanos(long ticks) {
    return ticks / FREQUENCY * SECOND + ticks % FREQUENCY * SECOND / FREQUENCY;
  }

  /** A new count: the largest is written as 0. */
  long load(long value, long now) {
    count = value == 0 ? 0x10000 : value;
    loaded = now;
    return count;
  }

  long count() {
    return count;
  }

  long loaded() {
    return loaded;
  }

  boolean gate() {
    return gate != 0;
  }

  /** Sets the gate; its rising edge starts some modes anew. */
  void setGate(boolean on, long now) {
    if (on && gate == 0 && (mode == 1 || mode == 2 || mode == 3 || mode == 5)) {
      loaded = now;
    }
    gate = on ? 1 : 0;
  }

  // ---- counting ----

  /**
   * The count.
   *
   * @param elapsed since it was loaded, in ns
   */
  private int value(long elapsed) {
    long t = ticks(elapsed);
    return (int)
        switch (mode) {
          case 0, 1, 4, 5 -> count - t & 0xffff;
          case 3 -> count - 2 * t % count;
          default -> count - t % count;
        };
  }

  /** The level at the counter's output. */
  boolean output(long elapsed) {
    long t = ticks(elapsed);
    return switch (mode) {
      case 1 -> t < count;
      case 2 -> t != 0 && t % count == 0;
      case 3 -> t % count < count + 1 >> 1;
      case 4, 5 -> t == count;
      default -> t >= count;
    };
  }

  // ---- commands and bytes ----

  /** A control word for this counter: access and mode. */
  void control(int word) {
    access = word >> 4 & 3;
    readState = access;
    writeState = access;
    mode = word >> 1 & 7;
    if (mode > 5) {
      mode -= 4;
    }
    bcd = word & 1;
  }

  void latchCount(long elapsed) {
    if (countLatched == 0) {
      latchedCount = value(elapsed) & 0xffff;
      countLatched = access;
    }
  }

  void latchStatus(long elapsed) {
    if (!statusLatched) {
      status = (output(elapsed) ? 0x80 : 0) | access << 4 | mode << 1 | bcd;
      statusLatched = true;
    }
  }

  /**
   * A byte for the count.
   *
   * @return the count that it completes; -1 if another byte has to come
   */
  int write(int value) {
    switch (writeState) {
      case HIGH:
        return value << 8;
      case BOTH_LOW:
        writeLatch = value;
        writeState = BOTH_HIGH;
        return -1;
      case BOTH_HIGH:
        writeState = BOTH_LOW;
        return writeLatch | value << 8;
      default:
        return value;
    }
  }

  int read(long elapsed) {
    if (statusLatched) {
      statusLatched = false;
      return status & 0xff;
    }
    if (countLatched != 0) {
      boolean high = countLatched == HIGH;
      countLatched = countLatched == BOTH_LOW ? HIGH : 0;
      return (high ? latchedCount >> 8 : latchedCount) & 0xff;
    }
    int now = value(elapsed);
    switch (readState) {
      case HIGH:
        return now >> 8 & 0xff;
      case BOTH_LOW:
        readState = BOTH_HIGH;
        return now & 0xff;
      case BOTH_HIGH:
        readState = BOTH_LOW;
        return now >> 8 & 0xff;
      default:
        return now & 0xff;
    }
  }

  // ---- struct kvm_pit_channel_state ----

  void save(ByteBuffer b, int at) {
    b.putInt(at + KvmPitChannelState.COUNT, (int) count);
    b.putShort(at + KvmPitChannelState.LATCHED_COUNT, (short) latchedCount);
    b.put(at + KvmPitChannelState.COUNT_LATCHED, (byte) countLatched);
    b.put(at + KvmPitChannelState.STATUS_LATCHED, (byte) (statusLatched ? 1 : 0));
    b.put(at + KvmPitChannelState.STATUS, (byte) status);
    b.put(at + KvmPitChannelState.READ_STATE, (byte) readState);
    b.put(at + KvmPitChannelState.WRITE_STATE, (byte) writeState);
    b.put(at + KvmPitChannelState.WRITE_LATCH, (byte) writeLatch);
    b.put(at + KvmPitChannelState.RW_MODE, (byte) access);
    b.put(at + KvmPitChannelState.MODE, (byte) mode);
    b.put(at + KvmPitChannelState.BCD, (byte) bcd);
    b.put(at + KvmPitChannelState.GATE, (byte) gate);
    b.putLong(at + KvmPitChannelState.COUNT_LOAD_TIME, loaded);
  }

  void load(ByteBuffer b, int at) {
    count = b.getInt(at + KvmPitChannelState.COUNT) & 0xffffffffL;
    latchedCount = b.getShort(at + KvmPitChannelState.LATCHED_COUNT) & 0xffff;
    countLatched = b.get(at + KvmPitChannelState.COUNT_LATCHED) & 0xff;
    statusLatched = b.get(at + KvmPitChannelState.STATUS_LATCHED) != 0;
    status = b.get(at + KvmPitChannelState.STATUS) & 0xff;
    readState = b.get(at + KvmPitChannelState.READ_STATE) & 0xff;
    writeState = b.get(at + KvmPitChannelState.WRITE_STATE) & 0xff;
    writeLatch = b.get(at + KvmPitChannelState.WRITE_LATCH) & 0xff;
    access = b.get(at + KvmPitChannelState.RW_MODE) & 0xff;
    mode = b.get(at + KvmPitChannelState.MODE) & 0xff;
    bcd = b.get(at + KvmPitChannelState.BCD) & 0xff;
    gate = b.get(at + KvmPitChannelState.GATE) & 0xff;
    loaded = b.getLong(at + KvmPitChannelState.COUNT_LOAD_TIME);
  }
}
