package org.kvm4j.vmm.cli;

import java.io.File;
import java.io.IOException;
import java.lang.ProcessBuilder.Redirect;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * The terminal of standard input, given to the guest: every key, Ctrl-C among them, comes at once
 * and as it is, and nothing is echoed. What is printed still gets its carriage returns.
 *
 * <p>{@link #take} and {@link #release} may be called from any thread, and again, as a program must
 * that is stopped and continued by its shell.
 */
final class RawTerminal implements AutoCloseable {

  private static final String[] RAW = {
    "-icanon", "-echo", "-isig", "-iexten", "-icrnl", "-inlcr", "-igncr", "-istrip", "-ixon", "min",
    "1", "time", "0"
  };

  /** What {@code stty -g} said of the terminal as it was; empty while it is not taken. */
  private String saved = "";

  private boolean closed;

  /** A window's size in characters. */
  record Size(int rows, int columns) {}

  /** Whether a standard stream is a terminal; 0 is input, 1 output, 2 errors. */
  static boolean isTerminal(int stream) {
    try {
      Path target = Files.readSymbolicLink(stream(stream));
      return target.startsWith("/dev/pts")
          || target.toString().startsWith("/dev/tty")
          || target.equals(Path.of("/dev/console"));
    } catch (IOException | UnsupportedOperationException e) {
      return false;
    }
  }

  private static Path stream(int number) {
    return Path.of("/proc/self/fd/" + number);
  }

  /**
   * Takes the terminal, or takes it again. A program in the background must not: the system would
   * stop it. Where there is no stty the terminal stays as it is, which gives whole lines.
   *
   * @return whether keys are the guest's now
   */
  synchronized boolean take() {
    if (closed || !inForeground()) {
      return false;
    }
    if (saved.isEmpty()) {
      saved = stty(Redirect.INHERIT, "-g");
    }
    if (!saved.isEmpty()) {
      stty(Redirect.INHERIT, RAW);
    }
    return true;
  }

  /** Gives the terminal back as it was; while it is not taken this does nothing. */
  synchronized void release() {
    if (!saved.isEmpty()) {
      stty(Redirect.INHERIT, saved);
      saved = "";
    }
  }

  /** Gives the terminal back for good. */
  @Override
  public synchronized void close() {
    release();
    closed = true;
  }

  /**
   * Whether this process is in its terminal's foreground process group.
   *
   * <p>Source: proc_pid_stat(5), fields pgrp and tpgid.
   */
  private static boolean inForeground() {
    try {
      String[] fields = ProcStat.fields(Path.of("/proc/self"));
      return fields.length < 6 || fields[5].equals("-1") || fields[2].equals(fields[5]);
    } catch (IOException | RuntimeException e) {
      return true;
    }
  }

  /** The size of the window that a standard stream is shown in; empty if it is not known. */
  static Optional<Size> size(int stream) {
    String[] size = stty(Redirect.from(new File(stream(stream).toString())), "size").split(" ");
    try {
      int rows = size.length == 2 ? Integer.parseInt(size[0]) : 0;
      int columns = size.length == 2 ? Integer.parseInt(size[1]) : 0;
      return rows > 0 && columns > 0 ? Optional.of(new Size(rows, columns)) : Optional.empty();
    } catch (NumberFormatException e) {
      return Optional.empty();
    }
  }

  private static String stty(Redirect terminal, String... arguments) {
    List<String> command = new ArrayList<>(List.of("stty"));
    command.addAll(List.of(arguments));
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectInput(terminal)
              .redirectError(Redirect.DISCARD)
              .start();
      String output =
          new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII).strip();
      return process.waitFor(2, TimeUnit.SECONDS) && process.exitValue() == 0 ? output : "";
    } catch (IOException e) {
      return "";
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return "";
    }
  }
}
