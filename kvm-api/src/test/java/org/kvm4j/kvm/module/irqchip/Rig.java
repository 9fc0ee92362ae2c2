package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.uapi.Uapi;

/** Interrupt chips with a clock that the test turns, and processors that write down their news. */
final class Rig {
  /** A processor: its local APIC and what it was told. */
  static final class Processor implements ApicOwner {
    final List<String> news = new ArrayList<>();
    long tscOffset;
    private final Rig rig;
    LocalApic apic;

    @SuppressWarnings("NullAway.Init") // The APIC needs its owner first.
    private Processor(Rig rig) {
      this.rig = rig;
    }

    @Override
    public void wake() {
      news.add("wake");
    }

    @Override
    public void nmi() {
      news.add("nmi");
    }

    @Override
    public void unhalt() {
      news.add("unhalt");
    }

    @Override
    public long tsc() {
      return rig.now + tscOffset;
    }

    @Override
    public long nanos(long ticks) {
      return ticks;
    }

    @Override
    public void taskPriorityAccessed(boolean write) {
      news.add(write ? "tpr write" : "tpr read");
    }

    @Override
    public void endOfInterrupt(int vector) {
      news.add("end " + vector);
    }

    /** Software-enables the local APIC. */
    Processor enable() {
      write(ApicPage.SPURIOUS, 0x1ff);
      return this;
    }

    void write(int register, int value) {
      apic.write(register, 4, value);
    }

    int read(int register) {
      return (int) apic.read(register, 4);
    }

    /** Takes the interrupt that is due, and ends it. */
    int serve() {
      int vector = apic.acknowledge();
      if (vector != ApicPage.NONE) {
        apic.end();
      }
      return vector;
    }

    /** Goes to x2APIC mode. */
    Processor widen() {
      assertTrue(apic.setBase(apic.base() | LocalApic.BASE_X2APIC, false));
      return this;
    }
  }

  long now = 1000;
  int earlier;
  final TimerQueue timers = new TimerQueue(() -> now, () -> earlier++);
  final InterruptChips chips;
  final List<Processor> processors = new ArrayList<>();

  Rig(int count) {
    this(count, false, 0);
  }

  Rig(int count, boolean split, int pins) {
    chips = split ? InterruptChips.split(timers, pins) : InterruptChips.whole(timers);
    for (int id = 0; id < count; id++) {
      add(id);
    }
  }

  Processor add(int id) {
    Processor p = new Processor(this);
    p.apic = chips.addApic(id, p, id == 0, true);
    p.apic.setFeatures(true, true);
    processors.add(p);
    return p;
  }

  Processor cpu(int index) {
    return processors.get(index);
  }

  /** Lets time pass. */
  void pass(long nanos) {
    now += nanos;
    chips.expireTimers();
  }

  void out(int port, int... values) {
    for (int v : values) {
      assertTrue(chips.hasPorts(port, 1));
      chips.writePort(port, 1, v);
    }
  }

  int in(int port) {
    assertTrue(chips.hasPorts(port, 1));
    return chips.readPort(port, 1);
  }

  /** Both PICs as a PC's firmware sets them up: vectors 0x20 and 0x28, nothing masked. */
  Rig initPics() {
    out(0x20, 0x11);
    out(0x21, 0x20, 4, 1);
    out(0xa0, 0x11);
    out(0xa1, 0x28, 2, 1);
    out(0x21, 0);
    out(0xa1, 0);
    return this;
  }

  /** User space's level at a GSI. */
  int line(int gsi, boolean level) {
    return chips.setLine(InterruptChips.USER, gsi, level, true);
  }

  /** Up and down. */
  int pulse(int gsi) {
    int r = line(gsi, true);
    line(gsi, false);
    return r;
  }

  /** Writes a redirection entry. */
  void redirect(int pin, long entry) {
    writeIoApic(0x10 + 2 * pin + 1, (int) (entry >>> 32));
    writeIoApic(0x10 + 2 * pin, (int) entry);
  }

  long redirection(int pin) {
    return (long) readIoApic(0x11 + 2 * pin) << 32 | readIoApic(0x10 + 2 * pin) & 0xffffffffL;
  }

  void writeIoApic(int register, int value) {
    chips.writeMemory(IoApic.DEFAULT_ADDRESS, 4, register);
    chips.writeMemory(IoApic.DEFAULT_ADDRESS + 0x10, 4, value & 0xffffffffL);
  }

  int readIoApic(int register) {
    chips.writeMemory(IoApic.DEFAULT_ADDRESS, 4, register);
    return (int) chips.readMemory(IoApic.DEFAULT_ADDRESS + 0x10, 4);
  }

  ByteBuffer state(int chip) {
    ByteBuffer b = buffer(512);
    chips.save(chip, b, 0);
    return b;
  }

  /** The state of the I/O APIC. */
  ByteBuffer ioApicState() {
    return state(Uapi.KVM_IRQCHIP_IOAPIC);
  }

  static ByteBuffer buffer(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }
}
