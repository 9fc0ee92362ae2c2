package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.InputStream;
import org.kvm4j.vmm.device.Uart16550;

/**
 * Feeds a stream into the guest's serial port, on a thread of its own, as fast as the guest takes
 * it.
 */
final class SerialInput {

  private SerialInput() {}

  static void start(InputStream stream, Uart16550 serial) {
    Thread thread = new Thread(() -> feed(stream, serial), "serial-input");
    // Reading standard input cannot be interrupted: the thread ends with the program.
    thread.setDaemon(true);
    thread.start();
  }

  private static void feed(InputStream stream, Uart16550 serial) {
    byte[] buffer = new byte[256];
    try {
      int length;
      while ((length = stream.read(buffer)) >= 0) {
        for (int i = 0; i < length; i++) {
          serial.receive(buffer[i] & 0xff);
        }
      }
    } catch (IOException e) {
      // No more input, as at the end of the stream.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
