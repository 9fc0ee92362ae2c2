package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.lang.reflect.Proxy;
import org.jspecify.annotations.Nullable;

/**
 * The signals of terminals. Those that end a program the JVM turns into a shutdown by itself.
 *
 * <p>The JDK's only way to a signal is {@code sun.misc.Signal} of its module jdk.unsupported. It is
 * reached by name: javac warns of every mention of it, and a JDK may be without.
 */
final class Signals {

  private Signals() {}

  /**
   * Runs an action before the process is stopped by SIGTSTP, on a thread of its own.
   *
   * @param before ends before the process stops
   */
  static void beforeStop(Runnable before) {
    handle(
        "TSTP",
        () -> {
          before.run();
          // SIGTSTP itself is no longer of use: with a handler it does not stop the process.
          kill("kill -STOP " + ProcessHandle.current().pid());
        });
  }

  /** Runs an action whenever the process goes on after a stop, on a thread of its own. */
  static void afterContinue(Runnable action) {
    handle("CONT", action);
  }

  /** Runs an action whenever the terminal's window has another size, on a thread of its own. */
  static void afterResize(Runnable action) {
    handle("WINCH", action);
  }

  /** Stops this process and those of its pipeline, as the terminal's Ctrl-Z would. */
  static void stopGroup() {
    kill("trap '' TSTP; kill -TSTP 0");
  }

  /** A JVM can send itself no signal that it has no handler for: a shell can. */
  private static void kill(String command) {
    try {
      new ProcessBuilder("sh", "-c", command).inheritIO().start().waitFor();
    } catch (IOException e) {
      // No shell, no job control.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void handle(String name, Runnable action) {
    try {
      Object handler =
          Proxy.newProxyInstance(
              Signals.class.getClassLoader(),
              new Class<?>[] {Class.forName("sun.misc.SignalHandler")},
              (self, method, arguments) -> {
                if (method.getName().equals("handle")) {
                  action.run();
                  return null;
                }
                return ofObject(self, method.getName(), arguments);
              });
      install(name, handler);
    } catch (ReflectiveOperationException | IllegalArgumentException e) {
      // A JDK without signals, or a signal that the JVM keeps to itself: it does what it does.
    }
  }

  private static Object ofObject(Object self, String method, Object @Nullable [] arguments) {
    switch (method) {
      case "equals":
        return arguments != null && self == arguments[0];
      case "hashCode":
        return System.identityHashCode(self);
      default:
        return "signal handler";
    }
  }

  private static void install(String name, Object handler) throws ReflectiveOperationException {
    Class<?> signal = Class.forName("sun.misc.Signal");
    signal
        .getMethod("handle", signal, Class.forName("sun.misc.SignalHandler"))
        .invoke(null, signal.getConstructor(String.class).newInstance(name), handler);
  }
}
