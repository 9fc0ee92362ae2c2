package org.kvm4j.kvm.module.log;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.function.Supplier;

/**
 * The module's log, {@code org.kvm4j.kvm}: what Linux's would tell by pr_debug. Apart from those
 * that tell, as the JVM takes some 20 ms to set its logging up, and a run with nothing to tell does
 * without it.
 */
public final class KernelLog {
  private static final Logger LOG = System.getLogger("org.kvm4j.kvm");

  private KernelLog() {}

  /** Whether anybody reads it. */
  public static boolean isRead() {
    return LOG.isLoggable(Level.DEBUG);
  }

  /** Tells a line, which is made only if somebody reads it. */
  public static void debug(Supplier<String> line) {
    LOG.log(Level.DEBUG, line);
  }
}
