package org.kvm4j.vmm.cli;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.function.Supplier;
import org.kvm4j.kvm.syscall.KernelProvider;

/**
 * What the commands see of the process they run in.
 *
 * @param input what the guest's serial port can be given
 * @param output where a guest's output goes, byte for byte
 * @param inputTerminal whether input is a terminal
 * @param outputTerminal whether output is a terminal
 * @param errorsWithOutput whether standard error goes to the same place as output
 * @param variables the environment variables
 * @param providers finds the kernels
 * @param emulation hears how many virtual CPUs are about to be emulated
 */
record Environment(
    InputStream input,
    StandardOutput output,
    boolean inputTerminal,
    boolean outputTerminal,
    boolean errorsWithOutput,
    Map<String, String> variables,
    Supplier<List<KernelProvider>> providers,
    IntConsumer emulation) {

  /** That of this process. */
  static Environment ofProcess() {
    return new Environment(
        new FileInputStream(FileDescriptor.in),
        StandardOutput.ofProcess(),
        RawTerminal.isTerminal(0),
        RawTerminal.isTerminal(1),
        isSame(1, 2),
        System.getenv(),
        HeadStart::providers,
        CompilerThreads::giveWayTo);
  }

  /** Whether two descriptors lead to the same file, pipe or terminal, as far as Linux tells. */
  private static boolean isSame(int one, int other) {
    try {
      Path descriptors = Path.of("/proc/self/fd");
      return Files.readSymbolicLink(descriptors.resolve(String.valueOf(one)))
          .equals(Files.readSymbolicLink(descriptors.resolve(String.valueOf(other))));
    } catch (IOException | UnsupportedOperationException e) {
      return false;
    }
  }

  Backends backends() {
    return new Backends(providers.get());
  }
}
