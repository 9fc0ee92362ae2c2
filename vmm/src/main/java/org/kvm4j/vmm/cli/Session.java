package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.Ending;
import org.kvm4j.vmm.Machine;
import org.kvm4j.vmm.virtio.VirtioConsole;

/**
 * A machine's run at the command line: the ends of its serial port or console, the terminal, the
 * timeout and signals. Closed when all is told of it.
 */
final class Session implements AutoCloseable {

  /** How long a signal waits for the machine to stop and for the report. */
  private static final int SHUTDOWN_SECONDS = 10;

  /** How often a program in the background looks whether it still is. */
  private static final int FOREGROUND_MILLIS = 250;

  /** Undoes what a guest may have done to a terminal: colours, a hidden cursor. */
  private static final byte[] TERMINAL_RESET = {
    0x1b, '[', '0', 'm', 0x1b, '[', '?', '2', '5', 'h', '\n'
  };

  private final Environment environment;
  private final PrintWriter err;
  private final Machine machine;
  private final SerialOutput console;
  private final boolean stdio;
  private final @Nullable Seconds timeout;
  private final RawTerminal terminal = new RawTerminal();
  private final AtomicBoolean reading = new AtomicBoolean();
  private final CountDownLatch told = new CountDownLatch(1);

  /**
   * @param err where the user is told of keys
   * @param console takes the guest's output
   * @param stdio whether the serial port, or the console, is at standard input and output
   * @param timeout when the machine is stopped; null for never
   */
  Session(
      Environment environment,
      PrintWriter err,
      Machine machine,
      SerialOutput console,
      boolean stdio,
      @Nullable Seconds timeout) {
    this.environment = environment;
    this.err = err;
    this.machine = machine;
    this.console = console;
    this.stdio = stdio;
    this.timeout = timeout;
  }

  /**
   * Runs the machine until it ends, and gives the terminal back.
   *
   * @return why it ended
   */
  Ending run() throws InterruptedException {
    // The JVM turns SIGINT, SIGTERM and SIGHUP into a shutdown, and gives it their exit code. This
    // holds it up until the machine has stopped and all is told.
    Thread hook = new Thread(this::stoppedBySignal, "stop-machine");
    Runtime.getRuntime().addShutdownHook(hook);
    Thread watchdog = watchdog();
    try {
      if (stdio) {
        startInput();
      }
      Ending ending = machine.run();
      console.close();
      if (stdio && environment.outputTerminal() && console.failure() == null) {
        resetTerminal();
      }
      return ending;
    } finally {
      terminal.close();
      if (watchdog != null) {
        watchdog.interrupt();
      }
      try {
        Runtime.getRuntime().removeShutdownHook(hook);
      } catch (IllegalStateException e) {
        // The JVM is shutting down: the hook waits for us.
      }
    }
  }

  private void resetTerminal() {
    try {
      environment.output().write(TERMINAL_RESET);
    } catch (IOException e) {
      // Standard output remembers it.
    }
  }

  /** All is told: a shutdown that waits for it goes on. */
  @Override
  public void close() {
    told.countDown();
  }

  private void stoppedBySignal() {
    stop(Ending.of(Ending.Kind.INTERRUPTED, "stopped by a signal"));
    try {
      told.await(SHUTDOWN_SECONDS, TimeUnit.SECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    terminal.close();
  }

  /** Stops the machine, even one that waits for somebody to read what it prints. */
  private void stop(Ending ending) {
    machine.end(ending);
    console.hurry();
  }

  private @Nullable Thread watchdog() {
    Seconds limit = timeout;
    if (limit == null) {
      return null;
    }
    Thread thread =
        new Thread(
            () -> {
              try {
                if (!machine.awaitEnd(limit.duration())) {
                  stop(
                      Ending.of(
                          Ending.Kind.TIMEOUT, "stopped after the " + limit + " s of --timeout"));
                }
              } catch (InterruptedException e) {
                // The machine has ended.
              }
            },
            "timeout");
    thread.setDaemon(true);
    thread.start();
    return thread;
  }

  private void startInput() {
    // The devices are others after a reset.
    SerialInput.Receiver guest = machine::receive;
    if (!environment.inputTerminal()) {
      SerialInput.fromStream(environment.input(), guest);
      return;
    }
    EscapeKeys keys = new EscapeKeys(new KeyActions(SerialInput.typed(guest)));
    Signals.beforeStop(terminal::release);
    Signals.afterContinue(() -> takeTerminal(keys));
    if (machine.console() != null) {
      Runnable resize =
          () -> RawTerminal.size(0).ifPresent(size -> resizeConsole(size.columns(), size.rows()));
      Signals.afterResize(resize);
      resize.run();
    }
    if (!takeTerminal(keys)) {
      // Started in the background, where reading would stop the process. The shell's fg sends a
      // process that runs no signal: the terminal must be looked at.
      Thread foreground = new Thread(() -> awaitForeground(keys), "foreground");
      foreground.setDaemon(true);
      foreground.start();
    }
  }

  private void resizeConsole(int columns, int rows) {
    VirtioConsole port = machine.console();
    if (port != null) {
      port.resize(columns, rows);
    }
  }

  private void awaitForeground(EscapeKeys keys) {
    try {
      while (!takeTerminal(keys)) {
        Thread.sleep(FOREGROUND_MILLIS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private boolean takeTerminal(EscapeKeys keys) {
    boolean taken = terminal.take();
    if (taken && reading.compareAndSet(false, true)) {
      tell("the terminal is the guest's; Ctrl-A x ends it, Ctrl-A h tells more");
      SerialInput.readKeys(environment.input(), keys);
    }
    return taken;
  }

  private void tell(String text) {
    err.println("kvm4j: " + text);
    err.flush();
  }

  /** What the keys after Ctrl-A do. */
  private final class KeyActions implements EscapeKeys.Actions {

    private final IntConsumer guest;

    KeyActions(IntConsumer guest) {
      this.guest = guest;
    }

    @Override
    public void send(int value) {
      guest.accept(value);
    }

    @Override
    public void quit() {
      stop(Ending.of(Ending.Kind.INTERRUPTED, "ended by Ctrl-A x"));
    }

    @Override
    public void suspend() {
      Signals.stopGroup();
    }

    @Override
    public void sendSize() {
      RawTerminal.size(0)
          .ifPresent(
              size -> {
                String command = "stty rows " + size.rows() + " cols " + size.columns() + "\r";
                for (byte b : command.getBytes(StandardCharsets.US_ASCII)) {
                  guest.accept(b);
                }
              });
    }

    @Override
    public void help() {
      err.print("\n" + EscapeKeys.HELP);
      err.flush();
    }
  }
}
