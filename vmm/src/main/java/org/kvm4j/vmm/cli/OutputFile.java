package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.SeekableByteChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A file that a run is to write.
 *
 * @param option the option that names it, as messages begin
 * @param name the file's
 */
record OutputFile(String option, String name) {

  /** So long a reader may take before the user is told that there is none. */
  private static final int PATIENCE_MILLIS = 300;

  /**
   * Opens it; what it holds is lost.
   *
   * @throws CommandException with the reason, if it cannot be written
   */
  OutputStream open() {
    try {
      Path target = Path.of(name);
      if (Files.isDirectory(target)) {
        throw refused("is a directory");
      }
      return Files.newOutputStream(target);
    } catch (IOException | InvalidPathException e) {
      throw cannotBeWritten(e);
    }
  }

  private CommandException cannotBeWritten(Exception e) {
    return refused(
        "cannot be written: "
            + (e instanceof NoSuchFileException
                ? "no such directory"
                : e instanceof AccessDeniedException
                    ? "permission denied"
                    : String.valueOf(e.getMessage())));
  }

  /**
   * Opens it, and does not wait for somebody to read it where it is a pipe with a name: without a
   * reader writing fails then.
   *
   * @throws CommandException as {@link #open}
   */
  @SuppressWarnings("try") // the reader is there, and not used otherwise
  OutputStream openWithoutWaiting() {
    Path target = path(name);
    if (target == null || !isSpecial(target)) {
      return open();
    }
    // While this process can read the pipe too, opening it to write does not wait: fifo(7).
    try (SeekableByteChannel reader =
        Files.newByteChannel(target, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
      return open();
    } catch (IOException e) {
      throw cannotBeWritten(e);
    }
  }

  /**
   * Opens it, and waits for somebody to read it where it is a pipe with a name, of which the user
   * is told.
   *
   * @param tell takes a line, if nobody reads it yet
   * @param limit how long to wait; null for as long as it takes
   * @throws CommandException as {@link #open}, and if nobody has come in time
   */
  OutputStream openWaiting(Consumer<String> tell, @Nullable Seconds limit)
      throws InterruptedException {
    Path target = path(name);
    if (target == null || !isSpecial(target)) {
      return open();
    }
    FutureTask<OutputStream> opening = new FutureTask<>(this::open);
    Thread thread = new Thread(opening, "open-pipe");
    thread.setDaemon(true); // open(2) takes no interruption
    thread.start();
    try {
      try {
        return opening.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
      } catch (TimeoutException e) {
        tell.accept(option + name + " is a pipe that nobody reads yet: waiting for a reader");
      }
      return limit == null
          ? opening.get()
          : opening.get(limit.duration().toNanos(), TimeUnit.NANOSECONDS);
    } catch (TimeoutException e) {
      throw new CommandException(
          ExitCodes.TIMEOUT,
          option + name + " had no reader within the " + limit + " s of --timeout");
    } catch (ExecutionException e) {
      if (e.getCause() instanceof CommandException refused) {
        throw refused;
      }
      throw new IllegalStateException(e.getCause());
    }
  }

  /**
   * Refuses to lose a file that the run reads.
   *
   * @param role what the file is to the run
   * @throws CommandException if it is the same file as this, by whatever name
   */
  void isNot(String role, @Nullable Path other) {
    Path mine = path(name);
    if (mine != null && other != null && isSame(mine, other)) {
      throw refused("is the " + role + " of this run, and would be overwritten");
    }
  }

  /**
   * Refuses to write two things to one file; to one device, such as /dev/null, they can go.
   *
   * @throws CommandException if it is the same file as this, by whatever name
   */
  void isNot(OutputFile other) {
    Path mine = path(name);
    Path others = path(other.name);
    if (mine != null && others != null && !isSpecial(mine) && isSame(mine, others)) {
      throw refused("is the same file as that of " + other.option.strip());
    }
  }

  /** Whether it is a device or a pipe. */
  private static boolean isSpecial(Path file) {
    return Files.exists(file) && !Files.isRegularFile(file) && !Files.isDirectory(file);
  }

  private static boolean isSame(Path a, Path b) {
    try {
      return Files.exists(a) && Files.exists(b)
          ? Files.isSameFile(a, b)
          : place(a).equals(place(b));
    } catch (IOException e) {
      return false; // Opening it tells what is wrong.
    }
  }

  /** Where a file is to be made, without links in the directories' names. */
  private static Path place(Path file) throws IOException {
    Path directory = file.toAbsolutePath().getParent();
    Path last = file.getFileName();
    return directory == null || last == null ? file : directory.toRealPath().resolve(last);
  }

  /** The path of a name, or null for a name that no file can have. */
  static @Nullable Path path(String name) {
    try {
      return Path.of(name);
    } catch (InvalidPathException e) {
      return null;
    }
  }

  private CommandException refused(String why) {
    return new CommandException(ExitCodes.USAGE, option + name + " " + why);
  }
}
