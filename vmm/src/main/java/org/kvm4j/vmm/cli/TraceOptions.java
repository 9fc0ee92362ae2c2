package org.kvm4j.vmm.cli;

import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;
import picocli.CommandLine.Option;

/** The options of {@code kvm4j run} that have VMX told step by step. */
final class TraceOptions {

  private static final String DEFAULT = "vmx,entries,exits,ept";
  private static final String ALL = "all";

  /** How messages about the file begin. */
  private static final String FILE = "--trace-file ";

  /** What is told without being asked for, where the guest is a hypervisor. */
  static final String FAILURES = "failures";

  /** More is for those who ask. */
  private static final int MOST_FAILURES = 10;

  @Option(
      names = "--trace",
      paramLabel = "WHAT",
      arity = "0..1",
      fallbackValue = DEFAULT,
      completionCandidates = Names.class,
      description =
          "Tells what VMX does, a line for each step: ${COMPLETION-CANDIDATES}; several with commas"
              + " (default: ${FALLBACK-VALUE}). vmx is instructions, and how they end; fields VMREAD"
              + " and VMWRITE; ept the walk of an EPT violation; dump the VMCS of an entry that"
              + " fails; failures each check that one fails, and VMXON, VMCLEAR,"
              + " VMPTRLD that fail, once. Best with --bare-metal.")
  private @Nullable String trace;

  @Option(
      names = "--trace-file",
      paramLabel = "FILE",
      description = "Where the trace goes (default: standard error).")
  private @Nullable String file;

  @Option(
      names = "--trace-limit",
      paramLabel = "SIZE",
      converter = OutputLimit.Converter.class,
      description =
          "How long the trace may become, with K, M or G, or none; its last line tells that it was"
              + " cut (default: 1G).")
  private @Nullable OutputLimit limit;

  private static final OutputLimit DEFAULT_LIMIT = new OutputLimit(1L << 30, "1G");

  /** What {@code --trace} knows: for help and completion. */
  static final class Names implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return Kernels.providers().stream()
          .filter(provider -> provider.name().equals(Backends.EMULATED))
          .flatMap(provider -> of(provider).stream())
          .iterator();
    }

    /** The categories of a kernel, and the word for all; empty if it has none. */
    static List<String> of(KernelProvider provider) {
      List<String> names = new ArrayList<>(provider.optionValues(KernelOptions.TRACE));
      if (!names.isEmpty()) {
        names.add(ALL);
      }
      return names;
    }
  }

  /** A trace that is being written. */
  interface Running extends AutoCloseable {
    /**
     * Finishes it.
     *
     * @throws CommandException if it could not be written
     */
    @Override
    void close();
  }

  /**
   * Begins to trace a kernel.
   *
   * @param hypervisor whether entries that fail are the guest's own, and told without being asked
   *     for
   * @param err takes the trace if it goes to no file
   * @throws CommandException if there is no such category, or the kernel cannot be traced
   */
  Running begin(KernelProvider provider, Kernel kernel, boolean hypervisor, ErrorLines err) {
    if (trace == null && file != null) {
      throw usage("--trace-file needs --trace");
    }
    if (trace == null && limit != null) {
      throw usage("--trace-limit needs --trace");
    }
    if (file != null && file.isEmpty()) {
      throw usage("--trace-file names no file");
    }
    if (trace == null) {
      if (hypervisor) {
        kernel.trace(Set.of(FAILURES), new Failures(err));
      }
      return () -> {};
    }
    Set<String> categories = categories(provider, trace);
    if (file == null) {
      begin(kernel, categories, err, err);
      return () -> {};
    }
    FileTrace to = FileTrace.create(new OutputFile(FILE, file));
    begin(kernel, categories, to, err);
    return to;
  }

  /** The file that the trace goes to, or null if it is none. */
  @Nullable OutputFile file() {
    return file == null ? null : new OutputFile(FILE, file);
  }

  private void begin(Kernel kernel, Set<String> categories, Consumer<String> sink, ErrorLines err) {
    OutputLimit most = limit == null ? DEFAULT_LIMIT : limit;
    if (!kernel.trace(categories, new Limited(sink, most, file == null ? null : err))) {
      throw usage(cannot(kernel.name()));
    }
  }

  private static String cannot(String backend) {
    return "--trace is for the emulated CPU: the " + backend + " backend cannot tell";
  }

  private static Set<String> categories(KernelProvider provider, String text) {
    List<String> known = Names.of(provider);
    if (known.isEmpty()) {
      throw usage(cannot(provider.name()));
    }
    Set<String> chosen = new LinkedHashSet<>();
    for (String name : Arrays.asList(text.split(",", -1))) {
      if (name.isEmpty()) {
        throw usage("--trace '" + text + "' lacks a name; there are: " + String.join(", ", known));
      }
      if (name.equals(ALL)) {
        chosen.addAll(provider.optionValues(KernelOptions.TRACE));
      } else if (known.contains(name)) {
        chosen.add(name);
      } else {
        throw usage("unknown --trace '" + name + "'" + Nearest.hint(name, known));
      }
    }
    return chosen;
  }

  private static CommandException usage(String message) {
    return new CommandException(ExitCodes.USAGE, message);
  }

  /** Takes no more lines than there is room for. */
  private static final class Limited implements Consumer<String> {
    private final Consumer<String> sink;
    private final OutputLimit limit;
    private final @Nullable ErrorLines err;
    private long left;

    /**
     * @param err where the user is told, too, that there was no room; null if the sink is that
     */
    Limited(Consumer<String> sink, OutputLimit limit, @Nullable ErrorLines err) {
      this.sink = sink;
      this.limit = limit;
      this.err = err;
      this.left = limit.bytes();
    }

    @Override
    public void accept(String line) {
      if (left < 0) {
        return;
      }
      left -= line.length() + 1;
      if (left >= 0) {
        sink.accept(line);
        return;
      }
      left = -1;
      String end = "kvm4j: the trace ends here: it has reached the " + limit + " of --trace-limit";
      sink.accept(end);
      if (err != null) {
        err.accept(end);
      }
    }
  }

  /** Tells of the first failures. */
  private static final class Failures implements Consumer<String> {
    private final ErrorLines err;
    private int count;

    Failures(ErrorLines err) {
      this.err = err;
    }

    @Override
    public void accept(String line) {
      count++;
      if (count <= MOST_FAILURES) {
        err.accept("kvm4j: " + line);
      } else if (count == MOST_FAILURES + 1) {
        err.accept("kvm4j: more fails; --trace vmx,entries tells of all that does");
      }
    }
  }

  /** A trace in a file. */
  private static final class FileTrace implements Consumer<String>, Running {
    private final String name;
    private final BufferedWriter writer;
    private @Nullable IOException failure;

    private FileTrace(String name, BufferedWriter writer) {
      this.name = name;
      this.writer = writer;
    }

    static FileTrace create(OutputFile file) {
      return new FileTrace(
          file.name(),
          new BufferedWriter(
              new OutputStreamWriter(file.openWithoutWaiting(), StandardCharsets.UTF_8)));
    }

    @Override
    public synchronized void accept(String line) {
      if (failure == null) {
        try {
          writer.write(line);
          writer.write('\n');
        } catch (IOException e) {
          failure = e;
        }
      }
    }

    @Override
    public synchronized void close() {
      try {
        writer.close();
      } catch (IOException e) {
        failure = failure == null ? e : failure;
      }
      if (failure != null) {
        throw new CommandException(
            ExitCodes.FAILURE,
            "--trace-file " + name + " could not be written: " + failure.getMessage());
      }
    }
  }
}
