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
 * what follows is dropped. A stream that takes its time holds the guest up, as a serial line would,
 * until the run is to end ({@link #hurry}).
 */
final class SerialOutput implements Uart16550.Sink, AutoCloseable {

  private static final int CAPACITY = 1 << 16;

  /** How long output may wait for more to go with it. */
  private static final int GATHER_MILLIS = 2;

  /** How long somebody waits who has something to say before he looks whether he still may. */
  private static final int PATIENCE_MILLIS = 100;

  /** How long the end of a run that is to end waits for the stream. */
  private static final int HURRIED_MILLIS = 2000;

  private final OutputStream stream;
  private final Matcher matcher;
  private final Runnable seen;
  private final Consumer<IOException> failed;
  private final Thread writer;

  private byte[] buffer = new byte[CAPACITY];
  private byte[] writing = new byte[CAPACITY];
  private int count;
  private boolean ending;
  private boolean hurried;

  /** How many bytes have come, and how many of them the stream has. */
  private long accepted;

  private long written;
  private boolean busy;

  /** Once so many are written the stream is somebody else's. */
  private long hold = Long.MAX_VALUE;

  /** The last byte that was written; a line feed before the first. */
  private byte last = '\n';

  private @Nullable IOException failure;

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
      while (count == buffer.length && failure == null && !ending && !hurried) {
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
        accepted++;
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
        try {
          if (!ending && count < CAPACITY && hold == Long.MAX_VALUE) {
            wait(GATHER_MILLIS);
          }
          while (written >= hold && !hurried) {
            wait();
          }
        } catch (InterruptedException e) {
          return;
        }
        byte[] full = buffer;
        buffer = writing;
        writing = full;
        length = count;
        count = 0;
        busy = true;
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
      synchronized (this) {
        last = writing[length - 1];
        written += length;
        busy = false;
        notifyAll();
      }
      return true;
    } catch (IOException e) {
      synchronized (this) {
        failure = e;
        notifyAll();
      }
      failed.accept(e);
      return false;
    }
  }

  /** What somebody else writes to where the output goes. */
  @FunctionalInterface
  interface Interjection {
    /**
     * Writes it, lines with their ends.
     *
     * @param inLine whether the guest has begun a line and not ended it
     */
    void write(boolean inLine);
  }

  /**
   * Has something written behind all that the guest has printed until now, which it ends the line
   * of, and before what it prints from now on. It waits for the stream as {@link #accept} does.
   */
  void interject(Interjection text) {
    boolean inLine;
    synchronized (this) {
      try {
        while (hold != Long.MAX_VALUE && !hurried) {
          wait();
        }
        hold = accepted;
        notifyAll();
        while ((written < hold || busy) && failure == null && !hurried && writer.isAlive()) {
          wait(PATIENCE_MILLIS);
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
      inLine = last != '\n';
      last = '\n';
    }
    try {
      text.write(inLine);
    } finally {
      synchronized (this) {
        hold = Long.MAX_VALUE;
        notifyAll();
      }
    }
  }

  /** The run is to end: nobody waits for the stream any more, and what it does not take is lost. */
  synchronized void hurry() {
    hurried = true;
    notifyAll();
  }

  /** Whether a line was begun and has not ended. */
  synchronized boolean inLine() {
    return last != '\n';
  }

  /** What went wrong with the stream; null if nothing did. */
  synchronized @Nullable IOException failure() {
    return failure;
  }

  /** Whether all was written, or refused with an error; for when this is closed. */
  boolean complete() {
    return !writer.isAlive();
  }

  /** Writes what is left, however long the stream takes, unless the run is to {@link #hurry}. */
  @Override
  public void close() {
    synchronized (this) {
      ending = true;
      notifyAll();
    }
    try {
      boolean patient = true;
      while (patient) {
        synchronized (this) {
          patient = !hurried;
        }
        writer.join(patient ? 100 : HURRIED_MILLIS);
        patient &= writer.isAlive();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
