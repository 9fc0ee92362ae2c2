package org.kvm4j.vmm.irqchip;

/**
 * One 8259A. Whoever calls holds the pair's lock.
 *
 * <p>Source: Intel 8259A data sheet, order number 231468, "Programming the 8259A": initialization
 * command words, operation command words, "Fully Nested Mode", "Poll Command"; Intel 82371SB
 * (PIIX3) data sheet, "ELCR: Edge/Level Control Register".
 */
final class Pic8259 {

  /** No pin asks for an interrupt. */
  static final int NONE = -1;

  private static final int PINS = 8;

  /** The lowest pin of equal rank gives this vector where a request has gone: a spurious one. */
  private static final int SPURIOUS_PIN = 7;

  private final int levelPins;
  private final int cascade;
  private final int firstVector;

  private int lines;
  private int requested;
  private int inService;
  private int mask;

  /** The pin of the highest priority. */
  private int first;

  private int vectorBase;

  /** The initialization word that is due at the data port, 2 to 4; 0 if none is. */
  private int nextWord;

  private boolean fourWords;
  private boolean autoEnd;
  private boolean rotateOnAutoEnd;
  private boolean specialNested;
  private boolean specialMask;
  private boolean readInService;
  private boolean polled;
  private int edgeLevel;

  /**
   * @param levelPins the pins that can be level-triggered, a bit each
   * @param cascade the pin that the other chip is on; {@link #NONE} for the slave
   * @param firstVector the vector of pin 0 until the guest says another, as a BIOS has it
   */
  Pic8259(int levelPins, int cascade, int firstVector) {
    this.levelPins = levelPins;
    this.cascade = cascade;
    this.firstVector = firstVector;
    reset();
  }

  /** As a BIOS leaves it. */
  void reset() {
    initialize(1);
    nextWord = 0;
    vectorBase = firstVector;
    edgeLevel = 0;
    requested = 0;
    autoEnd = false;
    rotateOnAutoEnd = false;
    specialNested = false;
  }

  /** Sets the level at a pin, 0 to 7. */
  void set(int pin, boolean level) {
    int bit = 1 << pin;
    if (level && (lines & bit) == 0) {
      requested |= bit;
    } else if (!level && (edgeLevel & bit) != 0) {
      requested &= ~bit;
    }
    lines = level ? lines | bit : lines & ~bit;
  }

  /** What the slave asks for at the pin that it is on, which is no edge. */
  void setCascade(boolean wanted) {
    int bit = 1 << cascade;
    requested = wanted ? requested | bit : requested & ~bit;
  }

  /**
   * How far the first of some pins is from the highest priority; {@link #PINS} if there is none.
   */
  private int rank(int pins) {
    for (int i = 0; i < PINS; i++) {
      if ((pins & 1 << (first + i & 7)) != 0) {
        return i;
      }
    }
    return PINS;
  }

  /** The pin that interrupts now, or {@link #NONE}. */
  int request() {
    int wanted = rank(requested & ~mask);
    int served = specialMask ? inService & ~mask : inService;
    if (specialNested && cascade != NONE) {
      served &= ~(1 << cascade); // the slave may interrupt its own interrupt
    }
    return wanted < rank(served) ? first + wanted & 7 : NONE;
  }

  /** INTA: the pin whose interrupt it is; {@link #NONE} for a spurious one. */
  int acknowledge() {
    int pin = request();
    if (pin != NONE) {
      int bit = 1 << pin;
      if ((edgeLevel & bit) == 0) {
        requested &= ~bit;
      }
      if (!autoEnd) {
        inService |= bit;
      } else if (rotateOnAutoEnd) {
        first = pin + 1 & 7;
      }
    }
    return pin;
  }

  /** The vector of a pin, or that of a spurious interrupt. */
  int vector(int pin) {
    return vectorBase + (pin == NONE ? SPURIOUS_PIN : pin);
  }

  private void initialize(int word) {
    fourWords = (word & 1) != 0;
    nextWord = 2;
    // Edges are forgotten; what is level-triggered and up still asks.
    requested = edgeLevel & lines;
    inService = 0;
    mask = 0;
    first = 0;
    specialMask = false;
    readInService = false;
    polled = false;
    if (!fourWords) {
      autoEnd = false;
      specialNested = false;
    }
  }

  /** A write of the even port. */
  void writeCommand(int value) {
    if ((value & 0x10) != 0) {
      initialize(value);
    } else if ((value & 0x08) != 0) {
      polled = (value & 0x04) != 0;
      if ((value & 0x02) != 0) {
        readInService = (value & 0x01) != 0;
      }
      if ((value & 0x40) != 0) {
        specialMask = (value & 0x20) != 0;
      }
    } else {
      end(value >> 5, value & 7);
    }
  }

  /** OCW2: the end of an interrupt, and rotation of priorities. */
  private void end(int command, int level) {
    boolean rotates = (command & 4) != 0;
    boolean specific = (command & 2) != 0;
    boolean ends = (command & 1) != 0;
    if (!ends) {
      if (!specific) {
        rotateOnAutoEnd = rotates;
      } else if (rotates) {
        first = level + 1 & 7;
      }
      return;
    }
    int rank = rank(specialMask ? inService & ~mask : inService);
    if (!specific && rank == PINS) {
      return;
    }
    int pin = specific ? level : first + rank & 7;
    inService &= ~(1 << pin);
    if (rotates) {
      first = pin + 1 & 7;
    }
  }

  /** A write of the odd port. */
  void writeData(int value) {
    switch (nextWord) {
      case 2:
        vectorBase = value & 0xf8;
        nextWord = 3;
        break;
      case 3: // where the other chip is, which is wired
        nextWord = fourWords ? 4 : 0;
        break;
      case 4:
        specialNested = (value & 0x10) != 0;
        autoEnd = (value & 0x02) != 0;
        nextWord = 0;
        break;
      default:
        mask = value;
        break;
    }
  }

  /**
   * A read.
   *
   * @param data whether it is of the odd port
   */
  int read(boolean data) {
    if (polled) {
      polled = false;
      int pin = acknowledge();
      return pin == NONE ? 0 : 0x80 | pin;
    }
    return data ? mask : readInService ? inService : requested;
  }

  int edgeLevel() {
    return edgeLevel;
  }

  /** Chooses the pins that are level-triggered. */
  void setEdgeLevel(int value) {
    edgeLevel = value & levelPins;
    requested = requested & ~edgeLevel | lines & edgeLevel;
  }
}
