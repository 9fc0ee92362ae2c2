package org.kvm4j.ept.memory;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * That a processor has translated code from a page. A page has as many as processors have code from
 * there, and each takes its own away, wherever other memory may be by then.
 */
public final class CodeMark {
  private final AtomicInteger count;

  /** What {@link #count} is made when the memory is gone: less than 0, whoever still counts. */
  static final int FORGOTTEN = Integer.MIN_VALUE / 2;

  /** Adds it to those of a page. */
  CodeMark(AtomicInteger count) {
    this.count = count;
    count.incrementAndGet();
  }

  /** Whether the page's memory has been taken away: other memory at its address has no mark. */
  public boolean isForgotten() {
    return count.get() < 0;
  }

  /** Takes it away: nothing that was translated is left. To be called once. */
  public void clear() {
    count.decrementAndGet();
  }
}
