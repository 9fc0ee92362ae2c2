package org.kvm4j.vmm.cli;

import java.io.PrintWriter;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Lines on standard error that are told while a guest runs. Where its output goes to the same place
 * each has a line of its own, behind what the guest has printed before.
 */
final class ErrorLines implements Consumer<String> {
  private final PrintWriter err;
  private volatile @Nullable SerialOutput beside;

  ErrorLines(PrintWriter err) {
    this.err = err;
  }

  /** The guest's output goes where these lines go. */
  void beside(SerialOutput output) {
    beside = output;
  }

  @Override
  public void accept(String line) {
    SerialOutput output = beside;
    if (output == null) {
      print(line);
    } else {
      output.interject(
          inLine -> {
            if (inLine) {
              err.println();
            }
            print(line);
          });
    }
  }

  private void print(String line) {
    err.println(line);
    err.flush();
  }
}
