package org.kvm4j.vmm.irqchip;

import org.kvm4j.vmm.device.ByteDevice;
import org.kvm4j.vmm.device.PortDevice;

/**
 * The two 8259A of a PC, the slave on the master's pin 2, with the edge/level control registers:
 * ports 0x20, 0x21, 0xa0, 0xa1, 0x4d0 and 0x4d1. What they ask for is a processor's external
 * interrupt, which the VMM injects by {@code KVM_INTERRUPT}.
 */
public final class PicPair {

  /** The first port of the master, of the slave, and of the edge/level control registers. */
  public static final int MASTER_PORT = 0x20;

  public static final int SLAVE_PORT = 0xa0;
  public static final int EDGE_LEVEL_PORT = 0x4d0;

  /** How many ports each of the three takes. */
  public static final int PORTS = 2;

  /** How many pins the two have, the one between them among those. */
  public static final int PINS = 16;

  private static final int CASCADE = 2;

  private final Pic8259 master = new Pic8259(0xf8, CASCADE, 0x08);
  private final Pic8259 slave = new Pic8259(0xde, Pic8259.NONE, 0x70);
  private final Runnable raised;

  /** Written with the lock held; any thread may read it. */
  private volatile boolean output;

  /**
   * @param raised the output has gone up; called with the chips' lock held, so that it may take no
   *     other that is held where a line is set
   */
  public PicPair(Runnable raised) {
    this.raised = raised;
  }

  /** Whether an interrupt is due. */
  public boolean output() {
    return output;
  }

  /** Sets the level at a pin, 0 to 15. */
  public synchronized void set(int pin, boolean level) {
    chip(pin >= 8).set(pin & 7, level);
    update();
  }

  /** INTA: the vector of the interrupt that is due; a spurious one if none is any more. */
  public synchronized int acknowledge() {
    int pin = master.acknowledge();
    int vector;
    if (pin == CASCADE) {
      vector = slave.vector(slave.acknowledge());
    } else {
      vector = master.vector(pin);
    }
    update();
    return vector;
  }

  /** As a BIOS leaves them. */
  public synchronized void reset() {
    master.reset();
    slave.reset();
    update();
  }

  private Pic8259 chip(boolean second) {
    return second ? slave : master;
  }

  private void update() {
    master.setCascade(slave.request() != Pic8259.NONE);
    boolean before = output;
    output = master.request() != Pic8259.NONE;
    if (output && !before) {
      raised.run();
    }
  }

  /**
   * The ports of one of them.
   *
   * @param second whether it is the slave
   */
  public PortDevice ports(boolean second) {
    return new ByteDevice() {
      @Override
      protected int readByte(int offset) {
        synchronized (PicPair.this) {
          int value = chip(second).read(offset != 0);
          update(); // a poll takes an interrupt
          return value;
        }
      }

      @Override
      protected void writeByte(int offset, int value) {
        synchronized (PicPair.this) {
          if (offset == 0) {
            chip(second).writeCommand(value);
          } else {
            chip(second).writeData(value);
          }
          update();
        }
      }
    };
  }

  /** The edge/level control registers. */
  public PortDevice edgeLevelPorts() {
    return new ByteDevice() {
      @Override
      protected int readByte(int offset) {
        synchronized (PicPair.this) {
          return chip(offset != 0).edgeLevel();
        }
      }

      @Override
      protected void writeByte(int offset, int value) {
        synchronized (PicPair.this) {
          chip(offset != 0).setEdgeLevel(value);
          update();
        }
      }
    };
  }
}
