package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.device.Uart16550;

/**
 * Takes the guest's serial output to a stream, on a thread of its own so that a guest that prints
 * byte for byte does not pay for a system call with each; and watches for a text.
 *
 * <p>Should the stream take no more (a full disk, a pipe that nobody reads), that is told once, and
 * what follows is dropped.
 */
final class SerialOutput implements Uart16550.Sink, AutoCloseable {

  private static final int CAPACITY = 1 << 16;

  /** How long output may wait for more to go with it. */
  private static final int GATHER_MILLIS = 2;

  private final OutputStream stream;
  private final Matcher matcher;
  private final Runnable seen;
  private final Consumer<IOException> failed;
  private final Thread writer;

  private byte[] buffer = new byte[CAPACITY];
  private byte[] writing = new byte[CAPACITY];
  private int count;
  private boolean ending;
  private boolean broken;

  /** Looks for a text in a stream of bytes, by Knuth, Morris and Pratt. */
  private static final class Matcher {
    private final byte[] text;
    private final int[] fallback;
    private int matched;
    private boolean found;

    Matcher(byte[] text) {
      this.text = text;
      this.fallback = new int[text.length];
      for (int i = 1; i < text.length; i++) {
        int length = fallback[i - 1];
        while (length > 0 && text[i] != text[length]) {
          length = fallback[length - 1];
        }
        fallback[i] = text[i] == text[length] ? length + 1 : length;
      }
    }

    /** Whether the text ends here, for the first time. */
    boolean next(byte b) {
      if (text.length == 0 || found) {
        return false;
      }
      while (matched > 0 && text[matched] != b) {
        matched = fallback[matched - 1];
      }
      if (text[matched] == b) {
        matched++;
      }
      found = matched == text.length;
      return found;
    }
  }

  /**
   * @param stream not closed by this
   * @param text to watch for; null for none
   * @param seen runs when the text has come, once
   * @param failed takes the error when the stream takes no more, once
   */
  SerialOutput(
      OutputStream stream, @Nullable String text, Runnable seen, Consumer<IOException> failed) {
    this.stream = stream;
    this.matcher = new Matcher(text == null ? new byte[0] : text.getBytes(StandardCharsets.UTF_8));
    this.seen = seen;
    this.failed = failed;
    this.writer = new Thread(this::write, "serial-output");
    writer.setDaemon(true);
    writer.start();
  }

  @Override
  public void accept(int value) {
    boolean matched;
    synchronized (this) {
      while (count == buffer.length && !broken && !ending) {
        try {
          wait();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          return;
        }
      }
      matched = matcher.next((byte) value);
      if (count < buffer.length) {
        buffer[count++] = (byte) value;
      }
      if (count == 1) {
        notifyAll();
      }
    }
    if (matched) {
      seen.run();
    }
  }

  /** Whether the text has come. */
  synchronized boolean textSeen() {
    return matcher.found;
  }

  private void write() {
    while (true) {
      int length;
      synchronized (this) {
        while (count == 0 && !ending) {
          try {
            wait();
          } catch (InterruptedException e) {
            return;
          }
        }
        if (count == 0) {
          return;
        }
        if (!ending && count < CAPACITY) {
          try {
            wait(GATHER_MILLIS);
          } catch (InterruptedException e) {
            return;
          }
        }
        byte[] full = buffer;
        buffer = writing;
        writing = full;
        length = count;
        count = 0;
        notifyAll();
      }
      if (!write(length)) {
        return;
      }
    }
  }

  private boolean write(int length) {
    try {
      stream.write(writing, 0, length);
      stream.flush();
      return true;
    } catch (IOException e) {
      synchronized (this) {
        broken = true;
        notifyAll();
      }
      failed.accept(e);
      return false;
    }
  }

  /** Writes what is left. */
  @Override
  public void close() {
    synchronized (this) {
      ending = true;
      notifyAll();
    }
    try {
      writer.join(5000);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
