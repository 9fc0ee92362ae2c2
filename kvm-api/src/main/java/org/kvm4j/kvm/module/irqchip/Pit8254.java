package org.kvm4j.kvm.module.irqchip;

import static org.kvm4j.kvm.uapi.Uapi.KVM_PIT_FLAGS_HPET_LEGACY;
import static org.kvm4j.kvm.uapi.Uapi.KVM_PIT_FLAGS_SPEAKER_DATA_ON;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.uapi.KvmPitChannelState;
import org.kvm4j.kvm.uapi.KvmPitState2;

/**
 * The interval timer: ports 0x40 to 0x43, and, if it was made so, the speaker's port 0x61. Counter
 * 0 interrupts on GSI 0. Source: Linux 6.1 arch/x86/kvm/i8254.c.
 */
final class Pit8254 {
  private static final int BASE = 0x40;
  private static final int SPEAKER = 0x61;

  /** A guest cannot keep its host busy with shorter ones. */
  private static final long SHORTEST_PERIOD = 200_000;

  private final TimerQueue queue;
  private final TimerQueue.Timer timer;
  private final Runnable interrupt;
  private final boolean speaker;
  private final PitCounter[] counters = {new PitCounter(), new PitCounter(), new PitCounter()};
  private int flags;

  /** Of counter 0's timer; 0 if it was never started. */
  private long period;

  private boolean periodic;
  private long expiry;

  /** Whether interrupts that the guest was too slow for are given later. */
  private boolean reinject = true;

  /** Those that are to be given later, with the one that is being served. */
  private int missed;

  private boolean acknowledged = true;

  /**
   * @param interrupt what counter 0 does at its end
   * @param speaker whether port 0x61 is answered (KVM_PIT_SPEAKER_DUMMY)
   */
  Pit8254(TimerQueue queue, Runnable interrupt, boolean speaker) {
    this.queue = queue;
    this.interrupt = interrupt;
    this.speaker = speaker;
    this.timer = queue.timer(this::expire);
    for (int i = 0; i < 3; i++) {
      counters[i].reset(i == 2);
      load(i, 0, counters[i].mode);
    }
  }

  // ---- counter 0's interrupt ----

  private void load(int i, long value, int mode) {
    PitCounter c = counters[i];
    long count = c.load(value, i == 0 ? c.loaded() : queue.now());
    if (i != 0) {
      return;
    }
    switch (mode) {
      case 0, 1, 4 -> start(count, false);
      case 2, 3 -> start(count, true);
      default -> timer.cancel();
    }
  }

  private void start(long count, boolean again) {
    if ((flags & KVM_PIT_FLAGS_HPET_LEGACY) != 0) {
      return;
    }
    long interval = PitCounter.nanos(count);
    periodic = again;
    period = again ? Math.max(interval, SHORTEST_PERIOD) : interval;
    forgetMissed();
    expiry = queue.now() + interval;
    timer.arm(expiry);
  }

  private void expire() {
    if (reinject) {
      missed++;
    }
    if (periodic) {
      expiry += period;
      timer.arm(expiry);
    }
    raise();
  }

  private void raise() {
    if (!reinject || acknowledged) {
      acknowledged = false;
      interrupt.run();
    }
  }

  /** The guest has acknowledged an interrupt of GSI 0. */
  void acknowledged() {
    if (!reinject) {
      return;
    }
    acknowledged = true;
    if (missed > 0 && --missed > 0) {
      raise();
    }
  }

  /** The guest has unmasked GSI 0: what it missed till now is not for it. */
  void unmasked() {
    if (reinject) {
      forgetMissed();
    }
  }

  private void forgetMissed() {
    missed = 0;
    acknowledged = true;
  }

  /** Whether someone waits for acknowledgements of GSI 0. */
  boolean reinjects() {
    return reinject;
  }

  /** KVM_REINJECT_CONTROL. */
  void setReinject(boolean on) {
    if (on && !reinject) {
      forgetMissed();
    }
    reinject = on;
  }

  // ---- ports ----

  /** Whether a port is this chip's. */
  boolean hasPort(int port, int size) {
    return (port >= BASE && port + size <= BASE + 4) || (speaker && port == SPEAKER);
  }

  private long elapsed(int i) {
    if (i == 0) {
      return period == 0 ? 0 : Math.max(0, period - (expiry - queue.now()));
    }
    return Math.max(0, queue.now() - counters[i].loaded());
  }

  void write(int port, int value) {
    if (port == SPEAKER) {
      boolean on = (value & 2) != 0;
      flags = on ? flags | KVM_PIT_FLAGS_SPEAKER_DATA_ON : flags & ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
      counters[2].setGate((value & 1) != 0, queue.now());
      return;
    }
    int data = value & 0xff;
    if (port == BASE + 3) {
      control(data);
      return;
    }
    int i = port - BASE;
    int count = counters[i].write(data);
    if (count >= 0) {
      load(i, count, counters[i].mode);
    }
  }

  private void control(int word) {
    int selected = word >> 6;
    if (selected == 3) {
      for (int i = 0; i < 3; i++) {
        if ((word & 2 << i) != 0) {
          if ((word & 0x20) == 0) {
            counters[i].latchCount(elapsed(i));
          }
          if ((word & 0x10) == 0) {
            counters[i].latchStatus(elapsed(i));
          }
        }
      }
    } else if ((word & 0x30) == 0) {
      counters[selected].latchCount(elapsed(selected));
    } else {
      counters[selected].control(word);
    }
  }

  int read(int port) {
    if (port == SPEAKER) {
      // The refresh toggles every 15 us or so.
      int refresh = (int) (queue.now() >>> 14) & 1;
      return ((flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) != 0 ? 2 : 0)
          | (counters[2].gate() ? 1 : 0)
          | (counters[2].output(elapsed(2)) ? 0x20 : 0)
          | refresh << 4;
    }
    int i = port - BASE;
    return i == 3 ? 0 : counters[i].read(elapsed(i));
  }

  // ---- struct kvm_pit_state, struct kvm_pit_state2 ----

  void save(ByteBuffer b, int at) {
    for (int i = 0; i < 3; i++) {
      counters[i].save(b, at + KvmPitState2.CHANNELS + i * KvmPitChannelState.SIZEOF);
    }
  }

  int flags() {
    return flags;
  }

  /**
   * KVM_SET_PIT2; KVM_SET_PIT with the flags as they are.
   *
   * @param newFlags KVM_PIT_FLAGS_*
   */
  void load(ByteBuffer b, int at, int newFlags) {
    boolean toHpet = (newFlags & ~flags & KVM_PIT_FLAGS_HPET_LEGACY) != 0;
    for (int i = 0; i < 3; i++) {
      counters[i].load(b, at + KvmPitState2.CHANNELS + i * KvmPitChannelState.SIZEOF);
    }
    flags = newFlags;
    for (int i = 0; i < 3; i++) {
      // The HPET has taken over: the counter stops.
      load(i, counters[i].count(), i == 0 && toHpet ? -1 : counters[i].mode);
    }
  }
}
