package org.kvm4j.cpu.engine;

/**
 * What the JVM's optimising compiler may spend on regions: a share of the time that goes by, for
 * all processors together. Given all warm code at once it drowns, and what waits for it runs in the
 * JVM's own interpreter; code that has been waiting for long, on the other hand, had better be
 * compiled than leave the compiler idle.
 */
final class CompilerShare {
  /**
   * Time that must go by for each instruction of a region on a machine of two processors, in ns.
   */
  private static final long PRICE = 800_000;

  /** What can be saved up, in ns. */
  private static final long MOST = 500_000_000;

  /**
   * The time in which a block must have been executed as often as is asked for, in ms. The machine
   * code of a region takes three times the room of what the interpreter runs: where code is
   * executed less often than that, so much else is between that it is not in the caches when its
   * turn comes again.
   */
  static final int PACE = 200;

  private static final int PROCESSORS = Runtime.getRuntime().availableProcessors();

  /** That of this JVM. */
  static final CompilerShare ALL = new CompilerShare(System.nanoTime());

  private long credit = MOST;
  private long last;

  /**
   * @param now a time, in ns
   */
  CompilerShare(long now) {
    last = now;
  }

  /**
   * Whether what has been executed often was so within {@link #PACE}.
   *
   * @param since when it began to be counted, in ms; 0 if that is not known
   * @param now a time in ms
   */
  static boolean isFrequent(int since, int now) {
    return since != 0 && now - since <= PACE;
  }

  /** Whether one more region may be made. */
  synchronized boolean isOpen(long now) {
    credit = Math.min(credit + (now - last) * PROCESSORS / 2, MOST);
    last = now;
    return credit > 0;
  }

  /** A region has been made. */
  synchronized void spend(int instructions) {
    credit -= instructions * PRICE;
  }
}
