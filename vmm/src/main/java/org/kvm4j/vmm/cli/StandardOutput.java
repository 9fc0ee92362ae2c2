package org.kvm4j.vmm.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Standard output with a memory. What writes through a {@code PrintWriter} never hears of errors;
 * here the first one is kept, so that the program's end can tell that output was lost. After an
 * error nothing more is written: what follows a gap would mislead.
 */
final class StandardOutput extends OutputStream {

  private final OutputStream stream;
  private final boolean pipe;
  private volatile @Nullable IOException failure;

  /**
   * @param stream takes the bytes; closed by nobody, as the process keeps its standard output
   * @param pipe whether it is a pipe or a socket
   */
  StandardOutput(OutputStream stream, boolean pipe) {
    this.stream = stream;
    this.pipe = pipe;
  }

  /** That of this process. */
  static StandardOutput ofProcess() {
    return new StandardOutput(new FileOutputStream(FileDescriptor.out), isPipe());
  }

  private static boolean isPipe() {
    try {
      String target = Files.readSymbolicLink(Path.of("/proc/self/fd/1")).toString();
      return target.startsWith("pipe:") || target.startsWith("socket:");
    } catch (IOException | UnsupportedOperationException e) {
      return false;
    }
  }

  @Override
  public void write(int b) throws IOException {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) throws IOException {
    refuseAfterFailure();
    try {
      stream.write(bytes, offset, length);
    } catch (IOException e) {
      failure = e;
      throw e;
    }
  }

  @Override
  public void flush() throws IOException {
    refuseAfterFailure();
    try {
      stream.flush();
    } catch (IOException e) {
      failure = e;
      throw e;
    }
  }

  private void refuseAfterFailure() throws IOException {
    IOException e = failure;
    if (e != null) {
      throw e;
    }
  }

  /** What went wrong first; null if nothing has. */
  @Nullable IOException failure() {
    return failure;
  }

  /**
   * Whether what went wrong is that nobody reads at the other end (EPIPE). The error's text is the
   * C library's and may be in any language, so what standard output is counts too.
   */
  boolean readerGone() {
    IOException e = failure;
    return e != null && (pipe || String.valueOf(e.getMessage()).contains("Broken pipe"));
  }
}
