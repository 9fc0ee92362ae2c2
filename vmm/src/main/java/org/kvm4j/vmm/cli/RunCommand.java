package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.vmm.Ending;
import org.kvm4j.vmm.Machine;
import org.kvm4j.vmm.MachineConfig;
import org.kvm4j.vmm.boot.BootOptions;
import org.kvm4j.vmm.boot.BootState;
import org.kvm4j.vmm.boot.CpuMode;
import org.kvm4j.vmm.boot.FlatImage;
import org.kvm4j.vmm.boot.GuestFile;
import org.kvm4j.vmm.boot.GuestImage;
import org.kvm4j.vmm.boot.GuestImageException;
import org.kvm4j.vmm.boot.GuestImages;
import org.kvm4j.vmm.boot.Sizes;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParentCommand;
import picocli.CommandLine.Spec;

/** {@code kvm4j run}. */
@Command(
    name = "run",
    description = "Runs a guest: a Linux bzImage, a multiboot kernel or a flat binary.",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    sortOptions = false,
    exitCodeListHeading = "%nExit codes:%n",
    exitCodeList = {
      "0:the guest ended in order: halted, powered off, reset itself, wrote 0 to the debug exit"
          + " (port 0xf4), or the text of --until came",
      "1:kvm4j or the system below it failed",
      "2:the command line is wrong",
      "3:the backend cannot be used on this machine",
      "4:a guest's file cannot be read or used",
      "5:the guest shut down: a triple fault",
      "6:the backend could not run the guest on: internal error, failed entry",
      "7:--timeout was over",
      "8:the guest ended in order, but the text of --until had not come",
      "65..126:the guest wrote 1..62 to the debug exit: 64 is added",
      "127:the guest wrote a greater number to the debug exit",
      "130:interrupted (Ctrl-C)",
      "141:nobody reads the output any more",
      "143:terminated (SIGTERM)"
    })
final class RunCommand implements Callable<Integer> {

  /** What the real-time clock starts from under the virtual clock, so that runs are alike. */
  private static final Instant VIRTUAL_BOOT_TIME = Instant.parse("2000-01-01T00:00:00Z");

  private static final String STDIO = "stdio";
  private static final String NONE = "none";
  private static final String FILE = "file:";

  /** Undoes what a guest may have done to a terminal: colours, a hidden cursor. */
  private static final byte[] TERMINAL_RESET = {
    0x1b, '[', '0', 'm', 0x1b, '[', '?', '2', '5', 'h', '\n'
  };

  private enum Clock {
    host,
    virtual
  }

  private enum Backend {
    emulated,
    native_ {
      @Override
      public String toString() {
        return Backends.NATIVE;
      }
    },
    auto
  }

  private enum Mode {
    real,
    protected_ {
      @Override
      public String toString() {
        return "protected";
      }
    },
    long_ {
      @Override
      public String toString() {
        return "long";
      }
    };

    CpuMode cpuMode() {
      switch (this) {
        case real:
          return CpuMode.REAL;
        case protected_:
          return CpuMode.PROTECTED;
        default:
          return CpuMode.LONG;
      }
    }
  }

  private enum Chips {
    kernel,
    none
  }

  @Spec
  @SuppressWarnings("NullAway.Init") // set by picocli
  private CommandSpec spec;

  @ParentCommand
  @SuppressWarnings("NullAway.Init") // set by picocli
  private Main main;

  @Option(
      names = {"-k", "--kernel"},
      required = true,
      paramLabel = "FILE",
      description =
          "The guest: a Linux bzImage, a 32-bit multiboot kernel, or with --mode and --entry a flat"
              + " binary.")
  @SuppressWarnings("NullAway.Init") // required
  private String kernel;

  @Option(
      names = {"-m", "--memory"},
      paramLabel = "SIZE",
      defaultValue = "128M",
      converter = MemorySize.Converter.class,
      description = "The guest's memory, with K, M or G (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private MemorySize memory;

  @Option(
      names = "--cpus",
      paramLabel = "N",
      defaultValue = "1",
      description =
          "How many processors (default: ${DEFAULT-VALUE}). In a flat binary all start, with their"
              + " number in RDI; otherwise the first does, and the others wait to be started by it.")
  private int cpus;

  @Option(
      names = {"-a", "--append"},
      paramLabel = "TEXT",
      defaultValue = "",
      description = "The kernel's command line.")
  @SuppressWarnings("NullAway.Init") // has a default
  private String append;

  @Option(names = "--initrd", paramLabel = "FILE", description = "The initial RAM disk, for Linux.")
  private @Nullable String initrd;

  @Option(
      names = "--module",
      paramLabel = "'FILE ARGS'",
      description = "A module for a multiboot kernel, with its arguments; may be repeated.")
  private List<String> modules = new ArrayList<>();

  @Option(
      names = "--mode",
      paramLabel = "MODE",
      description =
          "The mode to start in: ${COMPLETION-CANDIDATES}. For Linux it chooses the 16-, 32- or 64-bit"
              + " boot protocol (default: the widest that the image has).")
  private @Nullable Mode mode;

  @Option(
      names = "--entry",
      paramLabel = "ADDR",
      converter = Address.Converter.class,
      description =
          "Takes the file as a flat binary that starts at this address (with --mode alone: 0x7c00 in"
              + " real mode, else 0x100000).")
  private @Nullable Address entry;

  @Option(
      names = "--load",
      paramLabel = "ADDR",
      converter = Address.Converter.class,
      description = "Where a flat binary is loaded (default: its entry).")
  private @Nullable Address load;

  @Option(
      names = {"-b", "--backend"},
      paramLabel = "KERNEL",
      defaultValue = "emulated",
      description =
          "Whose /dev/kvm: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}). auto takes the"
              + " machine's own where it can be used.")
  @SuppressWarnings("NullAway.Init") // has a default
  private Backend backend;

  @Option(
      names = "--cpu",
      paramLabel = "NAME[,+f,-f]",
      description = "The emulated host's CPU model, with features added and taken away.")
  private @Nullable String cpu;

  @Option(
      names = "--clock",
      paramLabel = "CLOCK",
      defaultValue = "host",
      description =
          "${COMPLETION-CANDIDATES}: the host's time, or one driven by the instructions that the guest"
              + " retires, under which runs repeat exactly (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private Clock clock;

  @Option(
      names = "--engine",
      paramLabel = "NAME",
      description = "The emulated CPU's execution engine.")
  private @Nullable String engine;

  @Option(
      names = "--irqchip",
      paramLabel = "WHERE",
      description =
          "${COMPLETION-CANDIDATES}: whether the kernel's interrupt chips and timer are used (default:"
              + " kernel, where it has them; none for flat binaries, which can end by HLT then).")
  private @Nullable Chips chips;

  @Option(
      names = "--serial",
      paramLabel = "WHERE",
      defaultValue = STDIO,
      description =
          "What the serial port at 0x3f8 and the debug console at 0xe9 are: stdio, none or file:PATH"
              + " (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private String serial;

  @Option(
      names = "--until",
      paramLabel = "TEXT",
      description = "Ends the run, with exit code 0, as soon as the serial output contains this.")
  private @Nullable String until;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      description = "Stops the guest after so long, with exit code 7.")
  private @Nullable Double timeout;

  @Option(
      names = "--stats",
      description =
          "Prints what exits there were, how long they took, instructions and times to standard error,"
              + " however the run ends.")
  private boolean stats;

  /** Lets a shutdown that a signal began go on. */
  private Runnable afterReport = () -> {};

  @Override
  public Integer call() throws InterruptedException {
    checkOptions();
    GuestFile file;
    GuestImage image;
    BootOptions bootOptions;
    try {
      file = read("kernel", kernel);
      image =
          GuestImages.parse(
              file,
              mode == null ? null : mode.cpuMode(),
              load == null ? null : load.value(),
              entry == null ? null : entry.value());
      bootOptions = bootOptions();
    } catch (GuestImageException e) {
      throw new CommandException(ExitCodes.GUEST_FILE, message(e));
    }
    KernelProvider provider = main.environment().backends().choose(backend.toString());
    KernelOptions options = Backends.options(provider, cpu, clock.toString(), engine);
    try (OutputStream output = serialOutput();
        Kernel opened = Backends.open(provider, options)) {
      return run(opened, image, bootOptions, output);
    } catch (IOException e) {
      throw new CommandException(ExitCodes.FAILURE, "serial output: " + e.getMessage());
    }
  }

  private void checkOptions() {
    if (cpus < 1) {
      throw usage("--cpus " + cpus + ": a guest needs at least one processor");
    }
    if (timeout != null && !(timeout > 0 && timeout < 1e9)) {
      throw usage("--timeout must be a number of seconds greater than 0");
    }
    if (until != null && until.isEmpty()) {
      throw usage("--until needs a text to wait for");
    }
    if (!serial.equals(STDIO) && !serial.equals(NONE) && !serial.startsWith(FILE)) {
      throw usage("--serial '" + serial + "': give stdio, none or file:PATH");
    }
    if (serial.equals(FILE)) {
      throw usage("--serial file: needs a path");
    }
  }

  private GuestFile read(String role, String path) throws GuestImageException {
    try {
      return GuestFile.read(role, Path.of(path), memory.bytes());
    } catch (InvalidPathException e) {
      throw new GuestImageException(role + " " + path + ": no such file");
    }
  }

  private BootOptions bootOptions() throws GuestImageException {
    List<BootOptions.Module> read = new ArrayList<>();
    for (String module : modules) {
      String[] parts = module.strip().split(" +", 2);
      read.add(new BootOptions.Module(read("module", parts[0]), parts.length > 1 ? parts[1] : ""));
    }
    return new BootOptions(append, initrd == null ? null : read("initrd", initrd), read);
  }

  private OutputStream serialOutput() {
    if (serial.equals(NONE)) {
      return OutputStream.nullOutputStream();
    }
    if (serial.equals(STDIO)) {
      OutputStream stdout = main.environment().output();
      return new OutputStream() {
        @Override
        public void write(int b) throws IOException {
          stdout.write(b);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws IOException {
          stdout.write(bytes, offset, length);
        }

        @Override
        public void flush() throws IOException {
          stdout.flush();
        }
        // Closing leaves the process its standard output.
      };
    }
    String path = serial.substring(FILE.length());
    try {
      Path target = Path.of(path);
      if (Files.isDirectory(target)) {
        throw usage("--serial file:" + path + " is a directory");
      }
      return Files.newOutputStream(target);
    } catch (IOException | InvalidPathException e) {
      throw usage("--serial file:" + path + " cannot be written: " + reason(e));
    }
  }

  private static String reason(Exception e) {
    if (e instanceof NoSuchFileException) {
      return "no such directory";
    }
    if (e instanceof AccessDeniedException) {
      return "permission denied";
    }
    return String.valueOf(e.getMessage());
  }

  private int run(Kernel opened, GuestImage image, BootOptions bootOptions, OutputStream output)
      throws InterruptedException {
    boolean flat = image instanceof FlatImage;
    MachineHolder holder = new MachineHolder();
    try (SerialOutput console =
        new SerialOutput(
            output,
            until,
            () -> holder.end(Ending.of(Ending.Kind.TEXT_SEEN, "the text of --until came")),
            e -> holder.end(outputFailed(e)))) {
      MachineConfig config =
          new MachineConfig(
              memory.bytes(),
              cpus,
              chips == null ? !flat : chips == Chips.kernel,
              flat,
              clock == Clock.virtual,
              clock == Clock.virtual ? VIRTUAL_BOOT_TIME : Instant.now(),
              console,
              stats,
              null);
      try (Machine machine = machine(opened, config)) {
        holder.set(machine);
        BootState state;
        try {
          state = image.load(machine.memory(), bootOptions);
        } catch (GuestImageException e) {
          throw new CommandException(ExitCodes.GUEST_FILE, message(e));
        }
        boot(machine, state);
        try {
          return report(machine, runToEnd(machine, console), console);
        } finally {
          afterReport.run();
        }
      }
    }
  }

  private Machine machine(Kernel opened, MachineConfig config) {
    try {
      return new Machine(opened, config);
    } catch (KvmException e) {
      if (e.is(Errno.ENOMEM)) {
        throw new CommandException(
            ExitCodes.BACKEND,
            "the machine has no " + Sizes.format(memory.bytes()) + " of memory for the guest");
      }
      if (e.call().equals("KVM_CREATE_VCPU")) {
        throw usage("--cpus " + cpus + ": " + e.getMessage());
      }
      throw new CommandException(
          ExitCodes.BACKEND,
          "the " + opened.name() + " backend cannot make the machine: " + e.getMessage());
    }
  }

  private void boot(Machine machine, BootState state) {
    try {
      machine.boot(state);
    } catch (KvmException e) {
      throw new CommandException(
          ExitCodes.BACKEND,
          "the backend refuses the state that the guest starts in: " + e.getMessage());
    }
  }

  /** Runs the guest, with the terminal, the timeout and signals seen to. */
  private Ending runToEnd(Machine machine, SerialOutput console) throws InterruptedException {
    boolean stdio = serial.equals(STDIO);
    CountDownLatch finished = new CountDownLatch(1);
    // The JVM turns SIGINT and SIGTERM into a shutdown, and gives it their exit code. The hook
    // holds it up until
    // the machine has stopped and all is printed.
    Thread hook =
        new Thread(
            () -> {
              machine.end(Ending.of(Ending.Kind.INTERRUPTED, "stopped by a signal"));
              try {
                finished.await(10, TimeUnit.SECONDS);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            },
            "stop-machine");
    Runtime.getRuntime().addShutdownHook(hook);
    afterReport = finished::countDown;
    Thread watchdog = watchdog(machine);
    RawTerminal terminal = stdio && main.environment().inputTerminal() ? RawTerminal.open() : null;
    try {
      if (stdio) {
        SerialInput.start(main.environment().input(), machine.serial());
      }
      Ending ending = machine.run();
      console.close();
      if (stdio
          && main.environment().outputTerminal()
          && ending.kind() != Ending.Kind.OUTPUT_CLOSED) {
        main.environment().output().write(TERMINAL_RESET);
      }
      return ending;
    } catch (IOException e) {
      return outputFailed(e);
    } finally {
      if (terminal != null) {
        terminal.close();
      }
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

  private @Nullable Thread watchdog(Machine machine) {
    if (timeout == null) {
      return null;
    }
    Duration limit = Duration.ofNanos((long) (timeout * 1e9));
    Thread thread =
        new Thread(
            () -> {
              try {
                if (!machine.awaitEnd(limit)) {
                  machine.end(
                      Ending.of(
                          Ending.Kind.TIMEOUT, "stopped after the " + timeout + " s of --timeout"));
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

  private Ending outputFailed(IOException e) {
    return serial.equals(STDIO)
        ? Ending.of(Ending.Kind.OUTPUT_CLOSED, "nobody reads the output any more")
        : Ending.of(Ending.Kind.FAILURE, "--serial " + serial + ": " + e.getMessage());
  }

  /** Tells how it ended. */
  private int report(Machine machine, Ending ending, SerialOutput console) {
    PrintWriter err = spec.commandLine().getErr();
    int code = ExitCodes.of(ending);
    boolean missed = until != null && ending.orderly() && !console.textSeen();
    boolean silent =
        (code == ExitCodes.OK && ending.kind() != Ending.Kind.RESET)
            || ending.kind() == Ending.Kind.OUTPUT_CLOSED
            || ending.kind() == Ending.Kind.INTERRUPTED;
    if (!silent || (stats && ending.kind() != Ending.Kind.OUTPUT_CLOSED)) {
      err.println("kvm4j: " + ending.message());
    }
    if (missed) {
      err.println("kvm4j: the output did not contain the text of --until: " + until);
      code = code == ExitCodes.OK ? ExitCodes.TEXT_NOT_SEEN : code;
    }
    if (stats) {
      Duration cpu = ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
      if (ending.kind() == Ending.Kind.TIMEOUT || ending.kind() == Ending.Kind.INTERRUPTED) {
        err.print(machine.describeCpus());
      }
      err.print(StatisticsReport.of(machine, cpu));
    }
    err.flush();
    return code;
  }

  private static String message(Exception e) {
    return String.valueOf(e.getMessage());
  }

  private static CommandException usage(String message) {
    return new CommandException(ExitCodes.USAGE, message);
  }

  /** Lets the console, which is there first, stop the machine. */
  private static final class MachineHolder {
    private @Nullable Machine machine;
    private @Nullable Ending early;

    synchronized void set(Machine made) {
      machine = made;
      if (early != null) {
        made.end(early);
      }
    }

    synchronized void end(Ending ending) {
      if (machine != null) {
        machine.end(ending);
      } else {
        early = ending;
      }
    }
  }
}
