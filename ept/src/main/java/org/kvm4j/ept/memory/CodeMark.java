package org.kvm4j.ept.memory;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * That a processor has translated code from a page. A page has as many as processors have code from
 * there, and each takes its own away, wherever other memory may be by then.
 */
public final class CodeMark {
  private final AtomicInteger count;

  /** Adds it to those of a page. */
  CodeMark(AtomicInteger count) {
    this.count = count;
    count.incrementAndGet();
  }

  /** Takes it away: nothing that was translated is left. To be called once. */
  public void clear() {
    count.decrementAndGet();
  }
}
