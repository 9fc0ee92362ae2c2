package org.kvm4j.kvm.module.irqchip;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.uapi.KvmPicState;

/**
 * One 8259A of the pair. Source: Intel 8259A data sheet (231468), "Programming the 8259A"; what the
 * guest may see differently there follows Linux 6.1 arch/x86/kvm/i8259.c: the special mask is kept
 * without an effect, a poll ends the interrupt, single mode and level mode by ICW1 are ignored.
 */
final class Pic8259 {
  /** No interrupt is due. */
  static final int NONE = -1;

  /** The master's pin that the slave is on. */
  static final int CASCADE = 2;

  private final PicPair pair;
  private final boolean slave;

  /** Levels at the pins, of those that are edge-triggered: for finding edges. */
  private int lastIrr;

  int irr;
  int imr;
  int isr;
  private int priorityAdd;
  private int vectorBase;
  private boolean readIsr;
  private boolean poll;
  private boolean specialMask;

  /** The initialization command word that is due: 2 to 4 are states 1 to 3. */
  private int initState;

  private boolean autoEoi;
  private boolean rotateOnAutoEoi;
  private boolean specialFullyNested;
  private boolean fourWords;
  int elcr;
  private int elcrMask;

  Pic8259(PicPair pair, boolean slave, int elcrMask) {
    this.pair = pair;
    this.slave = slave;
    this.elcrMask = elcrMask;
  }

  /**
   * A level at a pin.
   *
   * @param pin 0 to 7
   * @return 1 if it is a new request, 0 if one is pending already, -1 if the pin is masked
   */
  int set(int pin, boolean level) {
    int bit = 1 << pin;
    boolean isNew = true;
    if (level) {
      if ((elcr & bit) != 0 || (lastIrr & bit) == 0) {
        isNew = (irr & bit) == 0;
        irr |= bit;
      }
      lastIrr |= bit;
    } else {
      if ((elcr & bit) != 0) {
        irr &= ~bit;
      }
      lastIrr &= ~bit;
    }
    return (imr & bit) != 0 ? -1 : isNew ? 1 : 0;
  }

  /** How far a set of pins is from the highest priority; 8 if it is empty. */
  private int priority(int pins) {
    for (int p = 0; p < 8; p++) {
      if ((pins & 1 << (p + priorityAdd & 7)) != 0) {
        return p;
      }
    }
    return 8;
  }

  /** The pin that asks for an interrupt now, or {@link #NONE}. */
  int request() {
    int wanted = priority(irr & ~imr);
    // In special fully nested mode the slave may interrupt itself.
    int served = specialFullyNested && !slave ? isr & ~(1 << CASCADE) : isr;
    return wanted < priority(served) ? wanted + priorityAdd & 7 : NONE;
  }

  /** INTA for a pin: its vector. */
  int acknowledge(int pin) {
    int bit = 1 << pin;
    isr |= bit;
    if ((elcr & bit) == 0) {
      irr &= ~bit;
    }
    if (autoEoi) {
      if (rotateOnAutoEoi) {
        priorityAdd = pin + 1 & 7;
      }
      end(pin);
    }
    return vector(pin);
  }

  int vector(int pin) {
    return vectorBase + pin;
  }

  /** The end of an interrupt. */
  private void end(int pin) {
    isr &= ~(1 << pin);
    pair.acknowledged(slave ? pin + 8 : pin);
  }

  /** ICW1. */
  private void initialize(int command) {
    fourWords = (command & 1) != 0;
    final int edges = irr & ~elcr;
    lastIrr = 0;
    irr &= elcr;
    imr = 0;
    priorityAdd = 0;
    specialMask = false;
    readIsr = false;
    if (!fourWords) {
      specialFullyNested = false;
      autoEoi = false;
    }
    initState = 1;
    if (pair.accepted()) {
      // Whoever waits for requests that are forgotten now is told that they are over.
      for (int pin = 0; pin < 8; pin++) {
        if ((edges & 1 << pin) != 0) {
          end(pin);
        }
      }
    }
  }

  /**
   * @param data whether the access is to the odd port
   */
  void write(boolean data, int value) {
    if (data) {
      writeData(value);
    } else if ((value & 0x10) != 0) {
      initialize(value);
    } else if ((value & 8) != 0) {
      operation3(value);
    } else {
      operation2(value >> 5, value & 7);
    }
  }

  private void writeData(int value) {
    switch (initState) {
      case 0 -> {
        int changed = imr ^ value;
        imr = value;
        for (int pin = 0; pin < 8; pin++) {
          if ((changed & 1 << pin) != 0) {
            pair.masked(slave ? pin + 8 : pin, (value & 1 << pin) != 0);
          }
        }
        pair.update();
      }
      case 1 -> {
        vectorBase = value & 0xf8;
        initState = 2;
      }
      case 2 -> initState = fourWords ? 3 : 0;
      case 3 -> {
        specialFullyNested = (value & 0x10) != 0;
        autoEoi = (value & 2) != 0;
        initState = 0;
      }
      default -> {}
    }
  }

  /** OCW2: ends of interrupts and rotation. */
  private void operation2(int command, int pin) {
    switch (command) {
      case 0, 4 -> rotateOnAutoEoi = command == 4;
      case 1, 5 -> {
        int p = priority(isr);
        if (p != 8) {
          int highest = p + priorityAdd & 7;
          if (command == 5) {
            priorityAdd = highest + 1 & 7;
          }
          end(highest);
          pair.update();
        }
      }
      case 3 -> {
        end(pin);
        pair.update();
      }
      case 6 -> {
        priorityAdd = pin + 1 & 7;
        pair.update();
      }
      case 7 -> {
        priorityAdd = pin + 1 & 7;
        end(pin);
        pair.update();
      }
      default -> {}
    }
  }

  /** OCW3: poll, which register reads give, special mask. */
  private void operation3(int value) {
    if ((value & 4) != 0) {
      poll = true;
    }
    if ((value & 2) != 0) {
      readIsr = (value & 1) != 0;
    }
    if ((value & 0x40) != 0) {
      specialMask = (value & 0x20) != 0;
    }
  }

  /**
   * @param data whether the access is to the odd port
   */
  int read(boolean data) {
    if (poll) {
      poll = false;
      return poll();
    }
    return data ? imr : readIsr ? isr : irr;
  }

  private int poll() {
    int pin = request();
    if (pin == NONE) {
      pair.update();
      return 7;
    }
    if (slave) {
      pair.endCascade();
    }
    irr &= ~(1 << pin);
    end(pin);
    if (slave || pin != CASCADE) {
      pair.update();
    }
    return pin;
  }

  void writeElcr(int value) {
    elcr = value & elcrMask;
  }

  // ---- struct kvm_pic_state ----

  void save(ByteBuffer b, int at) {
    b.put(at + KvmPicState.LAST_IRR, (byte) lastIrr);
    b.put(at + KvmPicState.IRR, (byte) irr);
    b.put(at + KvmPicState.IMR, (byte) imr);
    b.put(at + KvmPicState.ISR, (byte) isr);
    b.put(at + KvmPicState.PRIORITY_ADD, (byte) priorityAdd);
    b.put(at + KvmPicState.IRQ_BASE, (byte) vectorBase);
    b.put(at + KvmPicState.READ_REG_SELECT, bit(readIsr));
    b.put(at + KvmPicState.POLL, bit(poll));
    b.put(at + KvmPicState.SPECIAL_MASK, bit(specialMask));
    b.put(at + KvmPicState.INIT_STATE, (byte) initState);
    b.put(at + KvmPicState.AUTO_EOI, bit(autoEoi));
    b.put(at + KvmPicState.ROTATE_ON_AUTO_EOI, bit(rotateOnAutoEoi));
    b.put(at + KvmPicState.SPECIAL_FULLY_NESTED_MODE, bit(specialFullyNested));
    b.put(at + KvmPicState.INIT4, bit(fourWords));
    b.put(at + KvmPicState.ELCR, (byte) elcr);
    b.put(at + KvmPicState.ELCR_MASK, (byte) elcrMask);
  }

  void load(ByteBuffer b, int at) {
    lastIrr = b.get(at + KvmPicState.LAST_IRR) & 0xff;
    irr = b.get(at + KvmPicState.IRR) & 0xff;
    imr = b.get(at + KvmPicState.IMR) & 0xff;
    isr = b.get(at + KvmPicState.ISR) & 0xff;
    priorityAdd = b.get(at + KvmPicState.PRIORITY_ADD) & 0xff;
    vectorBase = b.get(at + KvmPicState.IRQ_BASE) & 0xff;
    readIsr = b.get(at + KvmPicState.READ_REG_SELECT) != 0;
    poll = b.get(at + KvmPicState.POLL) != 0;
    specialMask = b.get(at + KvmPicState.SPECIAL_MASK) != 0;
    initState = b.get(at + KvmPicState.INIT_STATE) & 0xff;
    autoEoi = b.get(at + KvmPicState.AUTO_EOI) != 0;
    rotateOnAutoEoi = b.get(at + KvmPicState.ROTATE_ON_AUTO_EOI) != 0;
    specialFullyNested = b.get(at + KvmPicState.SPECIAL_FULLY_NESTED_MODE) != 0;
    fourWords = b.get(at + KvmPicState.INIT4) != 0;
    elcr = b.get(at + KvmPicState.ELCR) & 0xff;
    elcrMask = b.get(at + KvmPicState.ELCR_MASK) & 0xff;
  }

  private static byte bit(boolean v) {
    return (byte) (v ? 1 : 0);
  }
}
