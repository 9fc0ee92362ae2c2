package org.kvm4j.vmm.device;

/**
 * A 16550A serial port: eight registers, FIFOs of 16 bytes. What the guest sends goes to a sink at
 * once, so that the transmitter is always empty and baud rates are kept but mean nothing.
 *
 * <p>Source: PC16550D Universal Asynchronous Receiver/Transmitter with FIFOs, National
 * Semiconductor, June 1995, section 8, "Registers".
 */
public final class Uart16550 extends ByteDevice {

  /** How many ports it takes. */
  public static final int PORTS = 8;

  /** The base port of the first serial port of a PC. */
  public static final int COM1 = 0x3f8;

  /** Where bytes go that the guest sends. */
  @FunctionalInterface
  public interface Sink {
    /** A byte, 0 to 255. */
    void accept(int value);
  }

  // Registers by offset; some are others for reading and writing, or with LCR.DLAB.
  private static final int RBR_THR = 0;
  private static final int IER = 1;
  private static final int IIR_FCR = 2;
  private static final int LCR = 3;
  private static final int MCR = 4;
  private static final int LSR = 5;
  private static final int MSR = 6;
  private static final int SCR = 7;

  private static final int IER_RECEIVED = 0x01;
  private static final int IER_TRANSMITTER_EMPTY = 0x02;
  private static final int IER_LINE_STATUS = 0x04;
  private static final int IER_MODEM_STATUS = 0x08;

  private static final int IIR_NONE = 0x01;
  private static final int IIR_MODEM_STATUS = 0x00;
  private static final int IIR_TRANSMITTER_EMPTY = 0x02;
  private static final int IIR_RECEIVED = 0x04;
  private static final int IIR_LINE_STATUS = 0x06;
  private static final int IIR_TIMEOUT = 0x0c;
  private static final int IIR_FIFO = 0xc0;

  private static final int FCR_ENABLE = 0x01;
  private static final int FCR_CLEAR_RECEIVER = 0x02;

  private static final int LCR_DLAB = 0x80;

  private static final int MCR_DTR = 0x01;
  private static final int MCR_RTS = 0x02;
  private static final int MCR_OUT1 = 0x04;
  private static final int MCR_OUT2 = 0x08;
  private static final int MCR_LOOP = 0x10;

  private static final int LSR_DATA_READY = 0x01;
  private static final int LSR_OVERRUN = 0x02;
  private static final int LSR_EMPTY = 0x60; // THRE and TEMT

  private static final int MSR_CTS = 0x10;
  private static final int MSR_DSR = 0x20;
  private static final int MSR_RI = 0x40;
  private static final int MSR_DCD = 0x80;

  private static final int FIFO_SIZE = 16;
  private static final int[] TRIGGER_LEVELS = {1, 4, 8, 14};

  /** 115,200 baud at the PC's 1.8432 MHz. */
  private static final int RESET_DIVISOR = 1;

  private final Sink sink;
  private final InterruptLine interrupt;

  private final byte[] fifo = new byte[FIFO_SIZE];
  private int fifoHead;
  private boolean detached;
  private int fifoCount;

  private int ier;
  private int fcr;
  private int lcr;
  private int mcr;
  private int scratch;
  private int divisor = RESET_DIVISOR;
  private int modemInputs = MSR_CTS | MSR_DSR | MSR_DCD;
  private int modemDeltas;
  private boolean overrun;
  private boolean transmitterInterrupt;
  private boolean line;

  /**
   * @param sink where bytes go that the guest sends; called with the port's lock held
   * @param interrupt IRQ 4 for the first serial port of a PC
   */
  public Uart16550(Sink sink, InterruptLine interrupt) {
    this.sink = sink;
    this.interrupt = interrupt;
  }

  /** Nobody reads it any more: what comes in is dropped. */
  public synchronized void detach() {
    detached = true;
    notifyAll();
  }

  /**
   * Gives the guest a byte, and waits until there is room for it.
   *
   * @param value 0 to 255
   */
  public synchronized void receive(int value) throws InterruptedException {
    while (fifoCount >= capacity() && !detached) {
      wait();
    }
    if (detached) {
      return;
    }
    push(value);
    update();
  }

  /** How many bytes wait for the guest. */
  public synchronized int pendingInput() {
    return fifoCount;
  }

  /** The divisor latch: 1,843,200 / 16 / divisor is the baud rate. */
  public synchronized int divisor() {
    return divisor;
  }

  @Override
  protected synchronized int readByte(int offset) {
    boolean dlab = (lcr & LCR_DLAB) != 0;
    switch (offset) {
      case RBR_THR:
        return dlab ? divisor & 0xff : readReceived();
      case IER:
        return dlab ? divisor >> 8 : ier;
      case IIR_FCR:
        return readInterruptIdentification();
      case LCR:
        return lcr;
      case MCR:
        return mcr;
      case LSR:
        return readLineStatus();
      case MSR:
        return readModemStatus();
      case SCR:
        return scratch;
      default:
        return 0xff;
    }
  }

  @Override
  protected synchronized void writeByte(int offset, int value) {
    boolean dlab = (lcr & LCR_DLAB) != 0;
    switch (offset) {
      case RBR_THR:
        if (dlab) {
          divisor = (divisor & 0xff00) | value;
        } else {
          transmit(value);
        }
        break;
      case IER:
        if (dlab) {
          divisor = (divisor & 0xff) | value << 8;
        } else {
          // Enabling the interrupt while the transmitter is empty, as it always is, gives one.
          if ((value & ~ier & IER_TRANSMITTER_EMPTY) != 0) {
            transmitterInterrupt = true;
          }
          ier = value & 0x0f;
        }
        break;
      case IIR_FCR:
        writeFifoControl(value);
        break;
      case LCR:
        lcr = value;
        break;
      case MCR:
        writeModemControl(value & 0x1f);
        break;
      case SCR:
        scratch = value;
        break;
      default:
        // LSR and MSR are for reading.
        break;
    }
    update();
  }

  private int readReceived() {
    if (fifoCount == 0) {
      return 0;
    }
    int value = fifo[fifoHead] & 0xff;
    fifoHead = (fifoHead + 1) % FIFO_SIZE;
    fifoCount--;
    notifyAll();
    update();
    return value;
  }

  private void transmit(int value) {
    transmitterInterrupt = true;
    if ((mcr & MCR_LOOP) == 0) {
      sink.accept(value);
    } else if (fifoCount < capacity()) {
      push(value);
    } else {
      overrun = true;
    }
  }

  private void push(int value) {
    fifo[(fifoHead + fifoCount) % FIFO_SIZE] = (byte) value;
    fifoCount++;
  }

  private int capacity() {
    return (fcr & FCR_ENABLE) != 0 ? FIFO_SIZE : 1;
  }

  private int readInterruptIdentification() {
    int id = pendingInterrupt();
    if (id == IIR_TRANSMITTER_EMPTY) {
      transmitterInterrupt = false;
      update();
    }
    return id | ((fcr & FCR_ENABLE) != 0 ? IIR_FIFO : 0);
  }

  private void writeFifoControl(int value) {
    boolean switched = ((value ^ fcr) & FCR_ENABLE) != 0;
    fcr = value & (FCR_ENABLE | 0xc0);
    if (switched || (value & FCR_CLEAR_RECEIVER) != 0) {
      fifoCount = 0;
      notifyAll();
    }
  }

  private void writeModemControl(int value) {
    mcr = value;
    int inputs =
        (value & MCR_LOOP) == 0
            ? MSR_CTS | MSR_DSR | MSR_DCD
            : ((value & MCR_RTS) != 0 ? MSR_CTS : 0)
                | ((value & MCR_DTR) != 0 ? MSR_DSR : 0)
                | ((value & MCR_OUT1) != 0 ? MSR_RI : 0)
                | ((value & MCR_OUT2) != 0 ? MSR_DCD : 0);
    int changed = inputs ^ modemInputs;
    // TERI tells of the ring indicator's end only; the others of any change.
    modemDeltas |= ((changed & (MSR_CTS | MSR_DSR | MSR_DCD)) | (changed & ~inputs & MSR_RI)) >> 4;
    modemInputs = inputs;
  }

  private int readLineStatus() {
    int value = LSR_EMPTY | (fifoCount > 0 ? LSR_DATA_READY : 0) | (overrun ? LSR_OVERRUN : 0);
    overrun = false;
    update();
    return value;
  }

  private int readModemStatus() {
    int value = modemInputs | modemDeltas;
    modemDeltas = 0;
    update();
    return value;
  }

  /** The interrupt of the highest priority, as the IIR names it. */
  private int pendingInterrupt() {
    if ((ier & IER_LINE_STATUS) != 0 && overrun) {
      return IIR_LINE_STATUS;
    }
    if ((ier & IER_RECEIVED) != 0 && fifoCount > 0) {
      // Below the trigger level the real thing waits for four characters' time: here that is over
      // at once.
      boolean triggered = (fcr & FCR_ENABLE) == 0 || fifoCount >= TRIGGER_LEVELS[fcr >> 6 & 3];
      return triggered ? IIR_RECEIVED : IIR_TIMEOUT;
    }
    if ((ier & IER_TRANSMITTER_EMPTY) != 0 && transmitterInterrupt) {
      return IIR_TRANSMITTER_EMPTY;
    }
    if ((ier & IER_MODEM_STATUS) != 0 && modemDeltas != 0) {
      return IIR_MODEM_STATUS;
    }
    return IIR_NONE;
  }

  /** On a PC, OUT2 connects the port to its interrupt line. */
  private void update() {
    boolean level =
        pendingInterrupt() != IIR_NONE && (mcr & MCR_OUT2) != 0 && (mcr & MCR_LOOP) == 0;
    if (level != line) {
      line = level;
      interrupt.set(level);
    }
  }
}
