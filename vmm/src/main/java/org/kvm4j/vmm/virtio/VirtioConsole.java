package org.kvm4j.vmm.virtio;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.IntConsumer;

/**
 * A console of one port: what the driver sends goes to a sink at once, and what it is given waits
 * until it takes it.
 *
 * <p>Source: Virtual I/O Device Version 1.2, section 5.3, "Console Device".
 */
public final class VirtioConsole extends VirtioDevice {

  private static final int TYPE = 3;
  private static final int PCI_CLASS = 0x07_8000;

  private static final long F_SIZE = 1 << 0;
  private static final long F_EMERGENCY_WRITE = 1 << 2;

  private static final int EMERGENCY_WRITE = 8;

  private static final int RECEIVE = 0;
  private static final int TRANSMIT = 1;

  /** The most of one chain that is sent on. */
  private static final long MOST_OF_CHAIN = 1 << 20;

  private final IntConsumer sink;
  private final byte[] buffer = new byte[4096];
  private volatile int columns;
  private volatile int rows;

  private final Object inputLock = new Object();
  private final byte[] input = new byte[4096];
  private int inputHead;
  private boolean detached;
  private int inputCount;

  /**
   * @param sink takes bytes, 0 to 255, that the driver sends
   * @param columns of the terminal that this is; 0 if that is not known
   * @param rows of the terminal that this is; 0 if that is not known
   */
  public VirtioConsole(IntConsumer sink, int columns, int rows) {
    this.sink = sink;
    this.columns = columns;
    this.rows = rows;
  }

  @Override
  int type() {
    return TYPE;
  }

  @Override
  int pciClass() {
    return PCI_CLASS;
  }

  @Override
  public String name() {
    return "console";
  }

  @Override
  long features() {
    return F_SIZE | F_EMERGENCY_WRITE;
  }

  @Override
  int queues() {
    return 2;
  }

  @Override
  byte[] config() {
    ByteBuffer space = ByteBuffer.allocate(12).order(ByteOrder.LITTLE_ENDIAN);
    return space.putShort((short) columns).putShort((short) rows).putInt(1).array();
  }

  @Override
  void writeConfig(int offset, int size, long value) {
    if (offset == EMERGENCY_WRITE) {
      sink.accept((int) value & 0xff);
    }
  }

  /** The terminal has another size now. */
  public void resize(int newColumns, int newRows) {
    columns = newColumns;
    rows = newRows;
    configChanged();
  }

  /** Nobody reads it any more: what comes in is dropped. */
  public void detach() {
    synchronized (inputLock) {
      detached = true;
      inputLock.notifyAll();
    }
  }

  /** Has the window's size that another knows. */
  public void keepSize(VirtioConsole before) {
    resize(before.columns, before.rows);
  }

  /**
   * Gives the guest a byte, and waits until there is room for it.
   *
   * @param value 0 to 255
   */
  public void receive(int value) throws InterruptedException {
    synchronized (inputLock) {
      while (inputCount == input.length && !detached) {
        inputLock.wait();
      }
      if (detached) {
        return;
      }
      input[(inputHead + inputCount) % input.length] = (byte) value;
      inputCount++;
    }
    notifySelf(RECEIVE);
  }

  /** Takes input, at most so many bytes. */
  private int takeInput(byte[] target, long most) {
    synchronized (inputLock) {
      int count = (int) Math.min(most, Math.min(inputCount, target.length));
      for (int i = 0; i < count; i++) {
        target[i] = input[(inputHead + i) % input.length];
      }
      inputHead = (inputHead + count) % input.length;
      inputCount -= count;
      inputLock.notifyAll();
      return count;
    }
  }

  private boolean hasInput() {
    synchronized (inputLock) {
      return inputCount > 0;
    }
  }

  @Override
  boolean process(int index, Virtqueue queue) throws DriverErrorException {
    if (index == RECEIVE) {
      return give(queue);
    }
    if (index == TRANSMIT) {
      send(queue);
    }
    return true;
  }

  private boolean give(Virtqueue queue) throws DriverErrorException {
    while (hasInput()) {
      if (!queue.next()) {
        return true;
      }
      Chain chain = queue.chain();
      int count = takeInput(buffer, chain.writableLength());
      chain.write(0, buffer, 0, count);
      queue.complete(chain.head(), count);
    }
    return false;
  }

  private void send(Virtqueue queue) throws DriverErrorException {
    while (queue.next()) {
      Chain chain = queue.chain();
      long length = Math.min(MOST_OF_CHAIN, chain.readableLength());
      for (long done = 0; done < length; ) {
        int part = (int) Math.min(buffer.length, length - done);
        chain.read(done, buffer, 0, part);
        for (int i = 0; i < part; i++) {
          sink.accept(buffer[i] & 0xff);
        }
        done += part;
      }
      queue.complete(chain.head(), 0);
    }
  }
}
