package org.kvm4j.vmm.cli;

import java.io.OutputStream;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
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

  @Override
  public String toString() {
    return text;
  }

  /** Whether it is standard output, and input comes from standard input. */
  boolean stdio() {
    return text.equals(STDIO);
  }

  /**
   * Opens it.
   *
   * @param standardOutput the process's; closing what is returned leaves it open
   * @param tell takes a line if this waits for the reader of a pipe
   * @param limit how long it waits; null for as long as it takes
   * @throws CommandException if it cannot be opened
   */
  OutputStream open(OutputStream standardOutput, Consumer<String> tell, @Nullable Seconds limit)
      throws InterruptedException {
    if (stdio()) {
      return standardOutput;
    }
    OutputFile file = file();
    return file == null ? OutputStream.nullOutputStream() : file.openWaiting(tell, limit);
  }

  /** The file, or null if it is none. */
  @Nullable OutputFile file() {
    return text.startsWith(FILE)
        ? new OutputFile("--serial " + FILE, text.substring(FILE.length()))
        : null;
  }
}
