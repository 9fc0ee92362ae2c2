package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.InputStream;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.function.IntConsumer;

/** Feeds bytes into the guest's serial port or console as fast as the guest takes them. */
final class SerialInput {

  /** What can be typed or pasted before the guest reads it; more is dropped, as terminals do. */
  private static final int TYPED_AHEAD = 1 << 20;

  /** What takes bytes for the guest. */
  interface Receiver {
    /** Takes a byte, 0 to 255, and waits until there is room for it. */
    void receive(int value) throws InterruptedException;
  }

  private SerialInput() {}

  /** Feeds a file or a pipe: it is read only as the guest reads. */
  static void fromStream(InputStream stream, Receiver guest) {
    start(
        "serial-input",
        () -> {
          byte[] buffer = new byte[256];
          int length;
          while ((length = stream.read(buffer)) >= 0) {
            for (int i = 0; i < length; i++) {
              guest.receive(buffer[i] & 0xff);
            }
          }
        });
  }

  /**
   * Feeds a guest with what somebody types, who is listened to even while the guest is not.
   *
   * @return takes the bytes, 0 to 255, and never waits
   */
  static IntConsumer typed(Receiver guest) {
    BlockingQueue<Byte> queue = new LinkedBlockingQueue<>(TYPED_AHEAD);
    start(
        "serial-input",
        () -> {
          while (true) {
            guest.receive(queue.take() & 0xff);
          }
        });
    return value -> queue.offer((byte) value);
  }

  /** Reads keys and passes each on. */
  static void readKeys(InputStream stream, EscapeKeys keys) {
    start(
        "keys",
        () -> {
          byte[] buffer = new byte[256];
          int length;
          while ((length = stream.read(buffer)) >= 0) {
            for (int i = 0; i < length; i++) {
              keys.typed(buffer[i] & 0xff);
            }
          }
        });
  }

  private interface Feeder {
    void feed() throws IOException, InterruptedException;
  }

  private static void start(String name, Feeder feeder) {
    Thread thread =
        new Thread(
            () -> {
              try {
                feeder.feed();
              } catch (IOException e) {
                // No more input, as at the end of the stream.
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            },
            name);
    // Reading standard input cannot be interrupted: the thread ends with the program.
    thread.setDaemon(true);
    thread.start();
  }
}
