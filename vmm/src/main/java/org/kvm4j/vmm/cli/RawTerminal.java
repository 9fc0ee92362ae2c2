package org.kvm4j.vmm.cli;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;

/**
 * The terminal of standard input, given to the guest: keys come one by one and are not echoed.
 * Ctrl-C still stops the program. Where standard input is no terminal this does nothing.
 */
final class RawTerminal implements AutoCloseable {

  private static final File TERMINAL = new File("/dev/tty");

  private String saved = "";

  /** Whether a standard stream is a terminal; 0 is input, 1 output, 2 errors. */
  static boolean isTerminal(int stream) {
    try {
      Path target = Files.readSymbolicLink(Path.of("/proc/self/fd/" + stream));
      return target.startsWith("/dev/pts") || target.toString().startsWith("/dev/tty");
    } catch (IOException | UnsupportedOperationException e) {
      return false;
    }
  }

  /** Takes the terminal. */
  static RawTerminal open() {
    RawTerminal terminal = new RawTerminal();
    if (isTerminal(0)) {
      terminal.saved = stty("-g");
      if (!terminal.saved.isEmpty()) {
        stty("-icanon", "-echo", "-icrnl", "min", "1", "time", "0");
      }
    }
    return terminal;
  }

  /** How many characters a line of the terminal has. */
  static OptionalInt width() {
    String[] size = stty("size").split(" ");
    try {
      int columns = size.length == 2 ? Integer.parseInt(size[1]) : 0;
      return columns >= 60 ? OptionalInt.of(Math.min(columns, 200)) : OptionalInt.empty();
    } catch (NumberFormatException e) {
      return OptionalInt.empty();
    }
  }

  private static String stty(String... arguments) {
    List<String> command = new ArrayList<>(List.of("stty"));
    command.addAll(List.of(arguments));
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectInput(TERMINAL)
              .redirectError(ProcessBuilder.Redirect.DISCARD)
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

  /** Gives the terminal back as it was; a second time does nothing. */
  @Override
  public synchronized void close() {
    if (!saved.isEmpty()) {
      stty(saved);
      saved = "";
    }
  }
}
