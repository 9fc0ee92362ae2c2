package org.kvm4j.kvm.module.irqchip;

import static org.kvm4j.kvm.uapi.Uapi.KVM_IRQCHIP_PIC_MASTER;
import static org.kvm4j.kvm.uapi.Uapi.KVM_IRQCHIP_PIC_SLAVE;

import java.nio.ByteBuffer;
import java.util.function.BooleanSupplier;

/**
 * Two 8259A, the slave on the master's pin 2, with the edge/level control registers: ports 0x20,
 * 0x21, 0xa0, 0xa1, 0x4d0 and 0x4d1. Source: Linux 6.1 arch/x86/kvm/i8259.c.
 */
final class PicPair {
  static final int PINS = 16;

  private final Pic8259 master = new Pic8259(this, false, 0xf8);
  private final Pic8259 slave = new Pic8259(this, true, 0xde);
  private final PinListener listener;
  private final BooleanSupplier accepted;
  private final Runnable raised;

  /** For each pin, a bit for each source that holds it up. */
  private final int[] lines = new int[PINS];

  private volatile boolean output;

  /**
   * @param accepted whether some processor takes interrupts from here
   * @param raised the output has gone up
   */
  PicPair(PinListener listener, BooleanSupplier accepted, Runnable raised) {
    this.listener = listener;
    this.accepted = accepted;
    this.raised = raised;
  }

  /** Whether an interrupt is due. Any thread may ask. */
  boolean output() {
    return output;
  }

  /**
   * A source's level at a pin; the pin is up while any source holds it up.
   *
   * @param pin 0 to 15
   * @param source a number below 32
   * @return 1 if it is a new request, 0 if one is pending already, -1 if the pin is masked
   */
  int set(int pin, int source, boolean level) {
    lines[pin] = level ? lines[pin] | 1 << source : lines[pin] & ~(1 << source);
    int r = chip(pin).set(pin & 7, lines[pin] != 0);
    update();
    return r;
  }

  private Pic8259 chip(int pin) {
    return pin < 8 ? master : slave;
  }

  /** Finds out what the output is, after any change. */
  void update() {
    if (slave.request() != Pic8259.NONE) {
      master.set(Pic8259.CASCADE, true);
      master.set(Pic8259.CASCADE, false);
    }
    boolean before = output;
    output = master.request() != Pic8259.NONE;
    if (output && !before) {
      raised.run();
    }
  }

  /** INTA: the vector of the interrupt that is due; a spurious one if none is any more. */
  int acknowledge() {
    output = false;
    int vector;
    int pin = master.request();
    if (pin == Pic8259.NONE) {
      vector = master.vector(7);
    } else {
      vector = master.acknowledge(pin);
      if (pin == Pic8259.CASCADE) {
        int second = slave.request();
        vector = second == Pic8259.NONE ? slave.vector(7) : slave.acknowledge(second);
      }
    }
    update();
    return vector;
  }

  // ---- for the chips ----

  boolean accepted() {
    return accepted.getAsBoolean();
  }

  void acknowledged(int pin) {
    listener.acknowledged(chipId(pin), pin);
  }

  void masked(int pin, boolean mask) {
    listener.masked(chipId(pin), pin, mask);
  }

  private static int chipId(int pin) {
    return pin < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
  }

  /** The slave's interrupt was taken by a poll: so is the master's. */
  void endCascade() {
    master.isr &= ~(1 << Pic8259.CASCADE);
    master.irr &= ~(1 << Pic8259.CASCADE);
  }

  // ---- ports ----

  /** Whether a port is one of these chips'. */
  static boolean hasPorts(int port, int size) {
    return within(port, size, 0x20) || within(port, size, 0xa0) || within(port, size, 0x4d0);
  }

  private static boolean within(int port, int size, int first) {
    return port >= first && port + size <= first + 2;
  }

  /** A write; only bytes have an effect. */
  void write(int port, int size, int value) {
    if (size != 1) {
      return;
    }
    switch (port) {
      case 0x20, 0x21 -> master.write((port & 1) != 0, value & 0xff);
      case 0xa0, 0xa1 -> slave.write((port & 1) != 0, value & 0xff);
      case 0x4d0 -> master.writeElcr(value);
      case 0x4d1 -> slave.writeElcr(value);
      default -> {}
    }
  }

  /** A read; anything but a byte gives 0. */
  int read(int port, int size) {
    if (size != 1) {
      return 0;
    }
    return switch (port) {
      case 0x20, 0x21 -> master.read((port & 1) != 0);
      case 0xa0, 0xa1 -> slave.read((port & 1) != 0);
      case 0x4d0 -> master.elcr;
      case 0x4d1 -> slave.elcr;
      default -> 0;
    };
  }

  // ---- struct kvm_pic_state ----

  /**
   * @param chip KVM_IRQCHIP_PIC_MASTER or KVM_IRQCHIP_PIC_SLAVE
   */
  void save(int chip, ByteBuffer b, int at) {
    (chip == KVM_IRQCHIP_PIC_MASTER ? master : slave).save(b, at);
  }

  void load(int chip, ByteBuffer b, int at) {
    (chip == KVM_IRQCHIP_PIC_MASTER ? master : slave).load(b, at);
    update();
  }
}
