package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/**
 * Where the guest's serial output goes.
 *
 * @param text {@code stdio}, {@code none} or {@code file:PATH}
 */
record SerialTarget(String text) {

  static final String STDIO = "stdio";

  private static final String NONE = "none";
  private static final String FILE = "file:";

  /** Reads the option. */
  static final class Converter implements ITypeConverter<SerialTarget> {
    @Override
    public SerialTarget convert(String text) {
      if (text.equals(FILE)) {
        throw new TypeConversionException("'file:' needs a path");
      }
      if (!text.equals(STDIO) && !text.equals(NONE) && !text.startsWith(FILE)) {
        throw new TypeConversionException(
            "'" + text + "' is no place for output: give stdio, none or file:PATH");
      }
      return new SerialTarget(text);
    }
  }

  /** Whether it is standard output, and input comes from standard input. */
  boolean stdio() {
    return text.equals(STDIO);
  }

  /**
   * Opens it.
   *
   * @param standardOutput the process's; closing what is returned leaves it open
   * @throws CommandException if it cannot be opened
   */
  OutputStream open(OutputStream standardOutput) {
    if (text.equals(NONE)) {
      return OutputStream.nullOutputStream();
    }
    if (stdio()) {
      return standardOutput;
    }
    String path = text.substring(FILE.length());
    try {
      Path target = Path.of(path);
      if (Files.isDirectory(target)) {
        throw refused("is a directory");
      }
      return Files.newOutputStream(target);
    } catch (NoSuchFileException e) {
      throw refused("cannot be written: no such directory");
    } catch (AccessDeniedException e) {
      throw refused("cannot be written: permission denied");
    } catch (IOException | InvalidPathException e) {
      throw refused("cannot be written: " + e.getMessage());
    }
  }

  private CommandException refused(String why) {
    return new CommandException(ExitCodes.USAGE, "--serial " + text + " " + why);
  }
}
