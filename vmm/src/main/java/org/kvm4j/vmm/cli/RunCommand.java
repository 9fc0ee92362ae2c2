package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.doctor.Doctor;
import org.kvm4j.kvm.doctor.GuestMode;
import org.kvm4j.kvm.doctor.ModeResult;
import org.kvm4j.kvm.doctor.Outcome;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.vmm.Ending;
import org.kvm4j.vmm.Machine;
import org.kvm4j.vmm.MachineConfig;
import org.kvm4j.vmm.SoftwareFeature;
import org.kvm4j.vmm.boot.BootOptions;
import org.kvm4j.vmm.boot.BootState;
import org.kvm4j.vmm.boot.CpuMode;
import org.kvm4j.vmm.boot.FlatImage;
import org.kvm4j.vmm.boot.GuestFile;
import org.kvm4j.vmm.boot.GuestImage;
import org.kvm4j.vmm.boot.GuestImageException;
import org.kvm4j.vmm.boot.GuestImages;
import org.kvm4j.vmm.boot.LinuxImage;
import org.kvm4j.vmm.boot.Sizes;
import org.kvm4j.vmm.memory.GuestRam;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
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
      "1:kvm4j or the system below it failed, or output could not be written (a full disk)",
      "2:the command line is wrong",
      "3:the backend cannot be used on this machine, or has no room for the guest's memory",
      "4:a guest's file cannot be read or used",
      "5:the guest shut down: a triple fault",
      "6:the backend could not run the guest on: internal error, failed entry",
      "7:--timeout was over",
      "8:the guest ended in order, but the text of --until had not come",
      "65..126:the guest wrote 1..62 to the debug exit: 64 is added",
      "127:the guest wrote a greater number to the debug exit",
      "129:the terminal was closed (SIGHUP)",
      "130:interrupted (Ctrl-A x, SIGINT)",
      "141:nobody reads the output any more",
      "143:terminated (SIGTERM)"
    })
final class RunCommand implements Callable<Integer> {

  /** Whose time it is. */
  enum Clock {
    HOST,
    VIRTUAL;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Whose {@code /dev/kvm} it is. */
  enum Backend {
    EMULATED,
    NATIVE,
    AUTO;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** What a reset of the machine does. */
  enum OnReset {
    EXIT,
    RESTART;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** Where interrupt chips are. */
  enum Chips {
    KERNEL,
    SPLIT,
    NONE;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  /** What a split chip needs. */
  private static final int[] SPLIT_NEEDS = {
    Caps.KVM_CAP_SPLIT_IRQCHIP, Caps.KVM_CAP_IRQ_ROUTING, Caps.KVM_CAP_SIGNAL_MSI
  };

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
      converter = CpuCount.Converter.class,
      description =
          "How many processors (default: ${DEFAULT-VALUE}). In a flat binary all start, with their"
              + " number in RDI; otherwise the first does, and the others wait to be started by"
              + " it.")
  @SuppressWarnings("NullAway.Init") // has a default
  private CpuCount cpus;

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
          "The mode to start in: ${COMPLETION-CANDIDATES}. For Linux it chooses the 16-, 32- or"
              + " 64-bit boot protocol (default: the widest that the image has).")
  private @Nullable CpuMode mode;

  @Option(
      names = "--entry",
      paramLabel = "ADDR",
      converter = Address.Converter.class,
      description =
          "Takes the file as a flat binary that starts at this address, in hexadecimal with 0x"
              + " (with --mode alone: 0x7c00 in real mode, else 0x100000).")
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
      completionCandidates = EmulatedValues.CpuModels.class,
      description =
          "The emulated host's CPU model: ${COMPLETION-CANDIDATES} (default: the first). Features"
              + " follow, added by +NAME and taken away by -NAME, such as sierra-forest,-avx2; +?"
              + " names all that there are. help, or NAME,help, tells more. phys-bits=N gives physical addresses another width,"
              + " vmx-timer-rate=N the VMX-preemption timer another rate.")
  private @Nullable String cpu;

  @Option(
      names = "--clock",
      paramLabel = "CLOCK",
      defaultValue = "host",
      description =
          "${COMPLETION-CANDIDATES}: the host's time, or one driven by the instructions that the"
              + " guest retires, under which runs repeat exactly (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private Clock clock;

  @Option(
      names = "--instruction-time",
      paramLabel = "NS",
      description =
          "How long an instruction takes on the virtual clock, 1 to 1000 ns (default: 1). The more"
              + " it is, the fewer instructions go by while the guest waits for a time; from some"
              + " hundred on it may be too slow for its own timers.")
  private @Nullable Integer instructionTime;

  @Option(
      names = "--engine",
      paramLabel = "NAME",
      completionCandidates = EmulatedValues.Engines.class,
      description =
          "How the emulated CPU executes code: ${COMPLETION-CANDIDATES} (default: the first, which"
              + " makes warm 64-bit code the host's machine code, where that is x86-64 Linux, and else"
              + " is as the second, which translates hot 64-bit code to bytecode of the JVM's). What"
              + " guests see is the same.")
  private @Nullable String engine;

  @Option(
      names = "--bare-metal",
      description =
          "Runs the guest on the emulated CPU itself, in VMX root operation, with no hypervisor"
              + " beneath: a hypervisor under test has the CPU's VMX for itself.")
  private boolean bareMetal;

  @Option(
      names = "--irqchip",
      paramLabel = "WHERE",
      description =
          "${COMPLETION-CANDIDATES}: which interrupt chips are the kernel's: all and the timer, the"
              + " local APICs alone, or none; PICs, timer and with split the I/O APIC are kvm4j's"
              + " then (default: kernel, where it has them; none for flat binaries, which have none"
              + " at all then and can end by HLT).")
  private @Nullable Chips chips;

  @Option(
      names = "--on-reset",
      paramLabel = "WHAT",
      defaultValue = "exit",
      description =
          "${COMPLETION-CANDIDATES}: what a reset of the machine does, a triple fault with restart"
              + " too: end the run, or load the guest and start it again, with the memory as it is"
              + " otherwise (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private OnReset onReset;

  @Mixin
  @SuppressWarnings("NullAway.Init") // set by picocli
  private DeviceOptions devices;

  @Option(
      names = "--serial",
      paramLabel = "WHERE",
      defaultValue = SerialTarget.STDIO,
      converter = SerialTarget.Converter.class,
      description =
          "What the serial port at 0x3f8 and the debug console at 0xe9 are: stdio, none or"
              + " file:PATH (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private SerialTarget serial;

  @Option(
      names = "--until",
      paramLabel = "TEXT",
      description = "Ends the run, with exit code 0, as soon as the serial output contains this.")
  private @Nullable String until;

  @Option(
      names = "--timeout",
      paramLabel = "SECONDS",
      converter = Seconds.Converter.class,
      description =
          "Stops the guest after so long, with its registers on standard error and exit code 7.")
  private @Nullable Seconds timeout;

  @Option(
      names = "--stats",
      description =
          "Prints what exits there were, how long they took, instructions and times to standard"
              + " error, however the run ends.")
  private boolean stats;

  @Mixin
  @SuppressWarnings("NullAway.Init") // set by picocli
  private TraceOptions trace;

  /** How long the tiny guest may run that tells whether Linux can. */
  private static final Duration PROBE_TIME = Duration.ofSeconds(2);

  @Override
  @SuppressWarnings("try") // the trace is closed, and not used otherwise
  public Integer call() throws InterruptedException {
    if (CpuHelp.isAskedBy(cpu)) {
      return cpuHelp();
    }
    checkOptions();
    GuestFile file;
    GuestImage image;
    BootOptions bootOptions;
    try {
      file = read("kernel", kernel);
      image =
          GuestImages.parse(
              file, mode, load == null ? null : load.value(), entry == null ? null : entry.value());
      bootOptions = bootOptions();
    } catch (GuestImageException e) {
      throw new CommandException(ExitCodes.GUEST_FILE, message(e));
    }
    checkOutputs();
    KernelProvider provider = main.environment().backends().choose(backendName());
    KernelOptions options = Backends.options(provider, cpu, clock.toString(), engine);
    if (instructionTime != null) {
      options = Backends.withInstructionTime(options, instructionTime);
    }
    if (provider.name().equals(Backends.EMULATED)) {
      main.environment().emulation().accept(cpus.value());
    }
    if (bareMetal) {
      options = Backends.onBareMetal(provider, options);
    }
    ErrorLines told = new ErrorLines(spec.commandLine().getErr());
    try (Kernel opened = Backends.open(provider, options);
        TraceOptions.Running tracing = trace.begin(provider, opened, bareMetal, told);
        OutputStream output =
            checked(opened, image).open(main.environment().output(), this::warn, timeout)) {
      warnOfLinux(opened, image);
      return run(opened, image, bootOptions, output, told);
    } catch (IOException e) {
      throw new CommandException(ExitCodes.FAILURE, "serial output: " + e.getMessage());
    }
  }

  /** Prints what {@code --cpu} is asked; no guest is needed for it. */
  int cpuHelp() {
    KernelProvider provider = main.environment().backends().choose(backend.toString());
    PrintWriter out = spec.commandLine().getOut();
    CpuHelp.lines(provider, String.valueOf(cpu)).forEach(out::println);
    out.flush();
    return ExitCodes.OK;
  }

  /** Whether {@code --cpu} asks for help. */
  boolean asksForCpus() {
    return CpuHelp.isAskedBy(cpu);
  }

  private void checkOptions() {
    if (bareMetal && backend == Backend.NATIVE) {
      throw usage("--bare-metal is for the emulated CPU: it cannot go with --backend native");
    }
    if (bareMetal && chips == Chips.SPLIT) {
      throw usage(noChipsApart("split"));
    }
    if (until != null && until.isEmpty()) {
      throw usage("--until needs a text to wait for");
    }
  }

  /** Refuses to write over what the run reads, and two outputs to one file. */
  private void checkOutputs() {
    OutputFile serialFile = serial.file();
    OutputFile traceFile = trace.file();
    checkInputsAreNot(serialFile);
    checkInputsAreNot(traceFile);
    if (serialFile != null && traceFile != null) {
      serialFile.isNot(traceFile);
    }
  }

  private void checkInputsAreNot(@Nullable OutputFile output) {
    if (output == null) {
      return;
    }
    output.isNot("kernel", OutputFile.path(kernel));
    output.isNot("initrd", initrd == null ? null : OutputFile.path(initrd));
    for (String module : modules) {
      output.isNot("module", OutputFile.path(moduleParts(module)[0]));
    }
    for (Path disk : devices.files()) {
      output.isNot("disk", disk);
    }
  }

  /** A module's file, and its arguments if it has any. */
  private static String[] moduleParts(String module) {
    return module.strip().split(" +", 2);
  }

  private static String noChipsApart(String where) {
    return "--bare-metal has the interrupt chips beside the CPU: it cannot go with --irqchip "
        + where;
  }

  /** Which kernel it is: on bare metal the emulated one, if there is a choice. */
  private String backendName() {
    return bareMetal && backend == Backend.AUTO ? Backends.EMULATED : backend.toString();
  }

  /** The serial port's target, after the kernel was asked for what only it knows. */
  private SerialTarget checked(Kernel opened, GuestImage image) {
    try (Kvm kvm = Kvm.open(opened)) {
      if (image.mode() == CpuMode.LONG && !hasLongMode(kvm)) {
        throw usage(noLongMode(image));
      }
      if (chips == Chips.KERNEL && kvm.checkExtension(Caps.KVM_CAP_IRQCHIP) <= 0) {
        throw usage(
            "--irqchip kernel: the "
                + opened.name()
                + " backend has no interrupt chips (its KVM_CAP_IRQCHIP is 0)");
      }
      checkChips(kvm, opened.name(), image instanceof FlatImage);
      checkReach(kvm);
      int most = kvm.checkExtension(Caps.KVM_CAP_MAX_VCPUS);
      if (most > 0 && cpus.value() > most) {
        throw usage(
            String.format(
                "--cpus %d: the %s backend gives a guest at most %d (its KVM_CAP_MAX_VCPUS)",
                cpus.value(), opened.name(), most));
      }
    } catch (KvmException e) {
      throw new CommandException(
          ExitCodes.BACKEND, "the " + opened.name() + " backend cannot be used: " + e.getMessage());
    }
    return serial;
  }

  /** CPUID 8000_0001H:EDX.LM. SDM volume 2A, CPUID. */
  private static boolean hasLongMode(Kvm kvm) {
    return kvm.getSupportedCpuid().stream()
        .anyMatch(e -> e.function == 0x8000_0001 && (e.edx & 1 << 29) != 0);
  }

  private String noLongMode(GuestImage image) {
    String why = (cpu == null ? "the CPU" : "the CPU " + cpu) + " has no long mode";
    if (image instanceof FlatImage) {
      return mode == null
          ? why + ", in which a flat binary starts unless --mode says otherwise"
          : "--mode long: " + why;
    }
    return "kernel " + kernel + " is for 64 bits, and " + why;
  }

  private GuestFile read(String role, String path) throws GuestImageException {
    if (path.isEmpty()) {
      throw usage("--" + role + " names no file");
    }
    try {
      return GuestFile.read(role, Path.of(path), memory.bytes());
    } catch (InvalidPathException e) {
      throw new GuestImageException(role + " " + path + ": no such file");
    }
  }

  private BootOptions bootOptions() throws GuestImageException {
    List<BootOptions.Module> read = new ArrayList<>();
    for (String module : modules) {
      String[] parts = moduleParts(module);
      read.add(new BootOptions.Module(read("module", parts[0]), parts.length > 1 ? parts[1] : ""));
    }
    return new BootOptions(append, initrd == null ? null : read("initrd", initrd), read);
  }

  private int run(
      Kernel opened,
      GuestImage image,
      BootOptions bootOptions,
      OutputStream output,
      ErrorLines told)
      throws InterruptedException {
    boolean flat = image instanceof FlatImage;
    MachineHolder holder = new MachineHolder();
    try (SerialOutput console =
        new SerialOutput(
            output,
            until,
            () -> holder.end(Ending.of(Ending.Kind.TEXT_SEEN, "the text of --until came")),
            e -> holder.end(outputFailed(e)))) {
      if (serial.stdio() && main.environment().errorsWithOutput()) {
        told.beside(console);
      }
      MachineConfig config =
          new MachineConfig(
              memory.bytes(),
              cpus.value(),
              chips(flat),
              cpu == null ? Set.of() : SoftwareFeature.hiddenBy(cpu),
              flat,
              clock == Clock.VIRTUAL,
              clock == Clock.VIRTUAL ? KernelOptions.VIRTUAL_EPOCH : Instant.now(),
              console,
              devices.open(console, this::warn),
              stats,
              null);
      try (Machine machine = machine(opened, config)) {
        holder.set(machine);
        BootState state;
        try {
          state = image.load(machine.memory(), bootOptions.withAcpiTables(machine.acpiTables()));
        } catch (GuestImageException e) {
          throw new CommandException(ExitCodes.GUEST_FILE, message(e));
        }
        if (onReset == OnReset.RESTART) {
          machine.restartWith(
              () -> image.load(machine.memory(), bootOptions.withAcpiTables(machine.acpiTables())));
        }
        boot(machine, state);
        try (Session session =
            new Session(
                main.environment(),
                spec.commandLine().getErr(),
                machine,
                console,
                serial.stdio(),
                timeout)) {
          return report(machine, session.run(), console);
        }
      }
    }
  }

  private MachineConfig.Chips chips(boolean flat) {
    if (chips == Chips.SPLIT) {
      return MachineConfig.Chips.SPLIT;
    }
    if (chips == Chips.NONE || (chips == null && flat)) {
      return flat ? MachineConfig.Chips.NONE : MachineConfig.Chips.USER;
    }
    return MachineConfig.Chips.KERNEL;
  }

  /** Refuses what chips in user space cannot be combined with. */
  private void checkChips(Kvm kvm, String backendName, boolean flat) {
    if (chips == Chips.SPLIT) {
      for (int needed : SPLIT_NEEDS) {
        if (kvm.checkExtension(needed) <= 0) {
          throw usage(
              String.format(
                  "--irqchip split: the %s backend has no local APICs apart (its %s is 0)",
                  backendName, KvmCap.nameOf(needed)));
        }
      }
    }
    MachineConfig.Chips where = chips(flat);
    if (bareMetal && where == MachineConfig.Chips.USER) {
      throw usage(noChipsApart("none") + ", but for a flat binary");
    }
    if (where.inUserSpace() && clock == Clock.VIRTUAL) {
      throw usage(
          "--irqchip "
              + chips
              + ": kvm4j's own timer follows the host's clock, and cannot go with --clock virtual;"
              + " --irqchip kernel can");
    }
    if (where == MachineConfig.Chips.USER && cpus.value() > 1) {
      throw usage(
          "--irqchip none: a guest starts its processors by local APICs, which are the kernel's;"
              + " --cpus "
              + cpus.value()
              + " needs --irqchip kernel or split");
    }
  }

  /** Refuses memory that a processor's physical addresses do not reach. */
  private void checkReach(Kvm kvm) {
    long high = GuestRam.highSize(memory.bytes());
    if (high == 0) {
      return;
    }
    for (CpuidEntry e : kvm.getSupportedCpuid()) {
      int bits = e.eax & 0xff;
      if (e.function == 0x8000_0008 && GuestRam.HOLE_END + high > 1L << bits) {
        throw usage(
            String.format(
                "--memory %s: a processor with %d physical address bits has %s of addresses, and"
                    + " memory has a hole from %s to %s",
                Sizes.format(memory.bytes()),
                bits,
                Sizes.format(1L << bits),
                Sizes.format(GuestRam.HOLE_START),
                Sizes.format(GuestRam.HOLE_END)));
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
            (e.call().equals("mmap")
                    ? "there is no room for " + Sizes.format(memory.bytes()) + " of guest memory ("
                    : "there is not memory enough for the machine (")
                + e.getMessage()
                + "); see --memory, and ulimit -v");
      }
      if (e.call().equals("KVM_CREATE_VCPU")) {
        throw usage("--cpus " + cpus.value() + ": " + e.getMessage());
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

  private Ending outputFailed(IOException e) {
    return serial.stdio()
        ? Ending.of(Ending.Kind.OUTPUT_CLOSED, "standard output takes no more")
        : Ending.of(Ending.Kind.FAILURE, "--serial " + serial.text() + ": " + e.getMessage());
  }

  /** Tells how it ended. */
  private int report(Machine machine, Ending reason, SerialOutput console) {
    IOException failure = console.failure();
    // What the guest printed last may not have been written, and the guest have ended before that.
    Ending ending = failure != null && reason.orderly() ? outputFailed(failure) : reason;
    PrintWriter err = spec.commandLine().getErr();
    Environment environment = main.environment();
    // At a terminal the session has begun a line.
    boolean inLine =
        serial.stdio()
            && !environment.outputTerminal()
            && environment.errorsWithOutput()
            && console.inLine();
    int code = ExitCodes.of(ending);
    boolean missed = until != null && ending.orderly() && !console.textSeen();
    boolean silent =
        (code == ExitCodes.OK && ending.kind() != Ending.Kind.RESET)
            || ending.kind() == Ending.Kind.OUTPUT_CLOSED
            || ending.kind() == Ending.Kind.INTERRUPTED;
    boolean says = !silent || (stats && ending.kind() != Ending.Kind.OUTPUT_CLOSED);
    if (inLine && (says || missed || stats)) {
      err.println();
    }
    if (says) {
      err.println("kvm4j: " + ending.message());
    }
    if (missed) {
      err.println("kvm4j: the output did not contain the text of --until: " + until);
      code = code == ExitCodes.OK ? ExitCodes.TEXT_NOT_SEEN : code;
    }
    if (!console.complete()) {
      err.println("kvm4j: the end of the guest's output is lost: nobody took it in time");
    }
    if (ending.kind() == Ending.Kind.TIMEOUT
        || (ending.kind() == Ending.Kind.INTERRUPTED && stats)) {
      err.print(machine.describeCpus());
    }
    if (stats) {
      Duration cpu = ProcessHandle.current().info().totalCpuDuration().orElse(Duration.ZERO);
      err.print(StatisticsReport.of(machine, cpu, bareMetal));
    }
    err.flush();
    return code;
  }

  /** Tells where a 64-bit Linux is about to run on a kernel of the machine's that cannot run it. */
  private void warnOfLinux(Kernel opened, GuestImage image) {
    if (image instanceof LinuxImage
        && image.mode() == CpuMode.LONG
        && opened.name().equals(Backends.NATIVE)) {
      ModeResult result = new Doctor(PROBE_TIME).examine(opened, GuestMode.LONG_KERNEL);
      if (result.outcome() != Outcome.OK) {
        warn(
            "warning: this machine's /dev/kvm does not run "
                + result.mode().title()
                + ", which Linux needs; it is started all the same. --backend emulated runs it"
                + " ('kvm4j doctor' tells more)");
      }
    }
  }

  private void warn(String line) {
    PrintWriter err = spec.commandLine().getErr();
    err.println("kvm4j: " + line);
    err.flush();
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
