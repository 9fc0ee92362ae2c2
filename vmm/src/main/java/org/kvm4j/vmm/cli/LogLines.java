package org.kvm4j.vmm.cli;

import java.io.BufferedInputStream;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The lines of a log that may still be written, read by a thread of its own so that it can be told
 * when none comes.
 */
final class LogLines implements AutoCloseable {
  /** What {@link #next} found. */
  enum Next {
    LINE,
    PAUSE,
    END
  }

  /** No log has a longer line, in bytes. */
  static final int LONGEST = 1 << 20;

  private static final int MOST_WAITING = 4096;

  private final InputStream stream;
  private final boolean own;
  private final Thread thread;
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private final Queue<String> waiting = new ArrayDeque<>();
  private @Nullable IOException failure;
  private boolean ended;
  private String line = "";

  /**
   * @param stream bytes of ISO 8859-1
   * @param own whether the stream is closed when it has been read
   */
  LogLines(InputStream stream, boolean own) {
    this.stream = stream;
    this.own = own;
    this.thread = new Thread(this::read, "log");
    thread.setDaemon(true);
    thread.start();
  }

  /**
   * Waits for the next line.
   *
   * @param millis how long
   * @return what has come, a line being {@link #line} then
   * @throws IOException if the log cannot be read on; what came before has been returned then
   */
  Next next(int millis) throws IOException {
    lock.lock();
    try {
      long left = TimeUnit.MILLISECONDS.toNanos(millis);
      while (waiting.isEmpty() && !ended) {
        if (left <= 0) {
          return Next.PAUSE;
        }
        left = changed.awaitNanos(left);
      }
      String next = waiting.poll();
      if (next != null) {
        line = next;
        changed.signalAll();
        return Next.LINE;
      }
      if (failure != null) {
        throw failure;
      }
      return Next.END;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return Next.END;
    } finally {
      lock.unlock();
    }
  }

  /** The line that {@link #next} found. */
  String line() {
    return line;
  }

  @SuppressWarnings("try") // the stream is closed, and not used by that name
  private void read() {
    IOException why = null;
    try (Closeable all = own ? stream : () -> {}) {
      readLines();
    } catch (IOException e) {
      why = e;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    lock.lock();
    try {
      failure = why;
      ended = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /**
   * A line ends with a line feed, and what carriage returns are before it; or with one of those.
   */
  private void readLines() throws IOException, InterruptedException {
    // Buffered: a FileInputStream's own reads of many bytes ask for the position, which a pipe has
    // not.
    InputStream in = new BufferedInputStream(stream);
    StringBuilder text = new StringBuilder();
    int returns = 0;
    int number = 1;
    for (int b = in.read(); b >= 0; b = in.read()) {
      if (b == '\r') {
        returns++;
        continue;
      }
      if (b == '\n' || returns > 0) {
        int lines = b == '\n' ? 1 : returns;
        for (int k = 0; k < lines; k++) {
          put(text.toString());
          text.setLength(0);
        }
        number += lines;
        returns = 0;
      }
      if (b != '\n') {
        text.append((char) b);
        if (text.length() > LONGEST) {
          throw new IOException("line %d is longer than 1 MB".formatted(number));
        }
      }
    }
    if (text.length() > 0) {
      put(text.toString());
    }
  }

  private void put(String text) throws InterruptedException {
    lock.lock();
    try {
      while (waiting.size() >= MOST_WAITING) {
        changed.await();
      }
      waiting.add(text);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Nobody wants more lines. */
  @Override
  public void close() {
    thread.interrupt();
  }
}
