package org.kvm4j.vmm.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.syscall.KernelProvider;
import org.kvm4j.kvm.uapi.Caps;

/** What {@code kvm4j run} says to what it cannot do, in one line and by its exit code. */
class RunCommandTests {

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  private final Cli cli = new Cli();
  private String flat = "";

  @BeforeEach
  void writeGuest() throws IOException {
    flat = Files.write(directory.resolve("flat.bin"), new byte[] {(byte) 0xf4}).toString();
  }

  private void refused(int code, String words, String... arguments) {
    String[] line = new String[arguments.length + 1];
    line[0] = "run";
    System.arraycopy(arguments, 0, line, 1, arguments.length);
    int exitCode = cli.run(line);
    assertEquals(1, cli.err().lines().count(), cli::err);
    assertTrue(cli.err().startsWith("kvm4j: "), cli::err);
    assertTrue(cli.err().contains(words), cli::err);
    assertEquals(code, exitCode, cli::err);
    assertEquals("", cli.out());
    assertEquals("", cli.guest());
  }

  @Test
  void no_kernel() {
    refused(ExitCodes.USAGE, "Missing required option: '--kernel=FILE'");
  }

  @Test
  void a_kernel_that_is_not_there() {
    refused(ExitCodes.GUEST_FILE, "no/such/file: no such file", "--kernel", "no/such/file");
  }

  @Test
  void a_name_that_no_file_can_have() {
    refused(ExitCodes.GUEST_FILE, "no such file", "--kernel", "a\0b");
  }

  @ParameterizedTest
  @ValueSource(strings = {"kernel", "initrd", "module"})
  void no_name_at_all(String role) {
    String kernel = role.equals("kernel") ? "" : flat;
    List<String> more = role.equals("kernel") ? List.of() : List.of("--" + role, "");
    List<String> line = new ArrayList<>(List.of("--kernel", kernel, "--mode", "real"));
    line.addAll(more);
    refused(ExitCodes.USAGE, "--" + role + " names no file", line.toArray(String[]::new));
  }

  @Test
  void a_directory() {
    refused(ExitCodes.GUEST_FILE, "is a directory", "--kernel", directory.toString());
  }

  @Test
  void a_file_that_is_no_kernel() {
    refused(
        ExitCodes.GUEST_FILE, "neither a Linux bzImage nor a multiboot kernel", "--kernel", flat);
  }

  @Test
  void a_truncated_image() throws IOException {
    byte[] image = new byte[0x4000];
    image[0x1f1] = 2;
    image[0x1f5] = 0x10; // 64 KB
    image[0x1fe] = 0x55;
    image[0x1ff] = (byte) 0xaa;
    System.arraycopy("HdrS\14\2".getBytes(StandardCharsets.US_ASCII), 0, image, 0x202, 6);
    image[0x211] = 1;
    Path path = Files.write(directory.resolve("bzImage"), image);
    refused(ExitCodes.GUEST_FILE, "is truncated", "--kernel", path.toString());
  }

  private void disk(int code, String message, String... options) {
    List<String> line = new ArrayList<>(List.of("--kernel", flat, "--mode", "real"));
    for (String option : options) {
      line.addAll(List.of("--disk", option));
    }
    refused(code, message, line.toArray(String[]::new));
  }

  @Test
  void a_disk_that_is_not_there() {
    String none = directory.resolve("none").toString();
    disk(ExitCodes.GUEST_FILE, "disk " + none + ": no such file", none);
  }

  @Test
  void a_disk_of_parts_of_sectors() throws IOException {
    Path odd = Files.write(directory.resolve("odd"), new byte[700]);
    disk(ExitCodes.GUEST_FILE, "700 bytes", odd.toString());
  }

  @Test
  void more_disks_than_the_bus_takes() throws IOException {
    String[] disks = new String[32];
    for (int i = 0; i < disks.length; i++) {
      disks[i] = Files.write(directory.resolve("disk" + i), new byte[512]).toString();
    }
    disk(ExitCodes.USAGE, "32 virtio devices, and the PCI bus takes 31", disks);
  }

  @Test
  void a_disk_that_is_there_already() throws IOException {
    Path disk = Files.write(directory.resolve("disk"), new byte[512]);
    disk(ExitCodes.GUEST_FILE, "in use", disk.toString(), disk + ",readonly");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "disk,rw; 'rw' is neither readonly nor serial=TEXT",
        ",readonly; it names no file",
        "disk,serial=123456789012345678901; at most 20",
        "a\0b; no such file"
      })
  void a_disk_that_is_not_well_put(String option, String message) {
    disk(ExitCodes.USAGE, message, option);
  }

  /** A line that says what of the option is wrong. */
  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "genua|unknown CPU 'genua'; did you mean genoa?",
        "pentium-9000|unknown CPU 'pentium-9000'; there are: kvm4j-v1, ",
        "\"\"|the name of a CPU comes first; there are: kvm4j-v1, ",
        ",+foo|the name of a CPU comes first; there are: kvm4j-v1, ",
        "+vmx|the name of a CPU comes first; there are: kvm4j-v1, ",
        "genoa,-axv2|unknown CPU feature 'axv2'; did you mean avx2?",
        "genoa,+zzzzzz|unknown CPU feature 'zzzzzz'; NAME,+? lists all",
        "genoa,avx2|'avx2' has neither + nor - before it; changes are ",
        "genoa,+svm|CPU feature 'svm' is not built",
        "genoa,+arch_perfmon|CPU feature 'arch_perfmon' is Intel's alone, and genoa is AMD's",
        "kvm4j-v1,phys-bits=53|phys-bits, the width of physical addresses in bits, is a number from 32 to 52, not '53'",
        "kvm4j-v1,vmx-timer-rate=32|vmx-timer-rate, the rate of the VMX-preemption timer, is a number from 0 to 31, not '32'",
        "conroe,vmx-timer-rate=3|vmx-timer-rate is given, and the CPU has no VMX-preemption timer",
        "haswell,-vmx-eptt|unknown CPU feature 'vmx-eptt'; did you mean vmx-ept?",
        "haswell,+vmx-encls-exit|CPU feature 'vmx-encls-exit' is not built"
      })
  void a_cpu_that_cannot_be(String cpu, String message) {
    refused(
        ExitCodes.USAGE,
        "kvm4j: --cpu '" + cpu + "': " + message,
        "--kernel",
        flat,
        "--mode",
        "real",
        "--cpu",
        cpu);
    assertEquals(1, cli.err().lines().count(), cli.err());
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void all_features_that_there_are_with_a_kernel_and_without(boolean kernel) {
    List<String> line = new ArrayList<>(List.of("run", "--cpu", "kvm4j-v1,+?"));
    if (kernel) {
      line.addAll(List.of("--kernel", flat, "--mode", "real"));
    }
    assertEquals(0, cli.run(line.toArray(String[]::new)), cli.err());
    List<String> words = List.of(cli.out().strip().split("\\s+"));
    assertTrue(words.containsAll(List.of("avx2", "srso_no", "vmx-ept", "vmx-mtf")), cli.out());
    assertFalse(words.contains("avx512f"), "what is not built");
    assertEquals("", cli.err());
  }

  @Test
  void all_features_of_a_cpu_that_is_not_there() {
    assertEquals(ExitCodes.USAGE, cli.run("run", "--cpu", "genua,+?"));
    assertTrue(cli.err().contains("did you mean genoa?"), cli.err());
  }

  @Test
  void the_cpu_models_are_told_of_without_a_guest() {
    assertEquals(0, cli.run("run", "--cpu", "help"), cli.err());
    List<String> lines = cli.out().lines().toList();
    assertTrue(lines.get(0).startsWith("kvm4j-v1         Intel: the default"), cli.out());
    assertTrue(lines.stream().anyMatch(l -> l.startsWith("genoa            AMD: ")), cli.out());
    assertEquals("", cli.err());
  }

  @Test
  void the_features_of_a_cpu_are_those_after_the_changes() {
    assertEquals(0, cli.run("run", "--cpu", "genoa,-avx2,help"), cli.err());
    List<String> words = List.of(cli.out().strip().split("\\s+"));
    assertTrue(words.containsAll(List.of("AMD:", "avx", "srso_no")), cli.out());
    assertFalse(words.contains("avx2"), cli.out());
    assertFalse(words.contains("pks"), cli.out());
  }

  @Test
  void features_of_vmx_are_among_them() {
    assertEquals(0, cli.run("run", "--cpu", "haswell,-vmx-ept,help"), cli.err());
    List<String> words = List.of(cli.out().strip().split("\\s+"));
    assertTrue(words.containsAll(List.of("vmx-vpid", "vmx-mtf")), cli.out());
    assertFalse(words.contains("vmx-ept"), cli.out());
    assertFalse(words.contains("vmx-unrestricted-guest"), "it needs EPT");
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "haswell,-vmx-vpid|the CPU 'haswell,-vmx-vpid' lacks vmx-vpid, vmx-invvpid-single-context, without",
        "haswell,-vmx|the CPU 'haswell,-vmx' lacks vmx, without which the emulated kernel's KVM module",
        "conroe|the CPU 'conroe' lacks vmx-true-ctls, "
      })
  void features_of_vmx_that_cannot_be_missed(String cpu, String message) {
    refused(ExitCodes.USAGE, message, "--kernel", flat, "--mode", "real", "--cpu", cpu);
  }

  @Test
  void help_for_a_cpu_that_is_not_there() {
    assertEquals(ExitCodes.USAGE, cli.run("run", "--cpu", "genua,help"));
    assertTrue(cli.err().contains("did you mean genoa?"), cli.err());
  }

  @Test
  void help_names_the_cpu_models_and_how_features_are_written() {
    assertEquals(0, cli.run("run", "--help"));
    String help = cli.out().replaceAll("\\s+", " ");
    assertTrue(
        help.contains(
            "CPU model: kvm4j-v1, kvm4j-32, sierra-forest, genoa, conroe, nehalem, westmere, haswell,"
                + " skylake-server, sapphire-rapids (default: the first)"),
        help);
    assertTrue(help.contains("added by +NAME and taken away by -NAME"), help);
    assertTrue(
        help.contains("executes code: machine-code, translator, interpreter (default: the first"),
        help);
  }

  @Test
  void a_flat_binary_for_long_mode_on_a_processor_without_it() {
    refused(
        ExitCodes.USAGE,
        "--mode long: the CPU kvm4j-32 has no long mode",
        "--kernel",
        flat,
        "--mode",
        "long",
        "--cpu",
        "kvm4j-32");
  }

  @Test
  void a_flat_binary_of_no_mode_on_a_processor_without_long_mode() {
    refused(
        ExitCodes.USAGE,
        "the CPU kvm4j-v1,-lm has no long mode, in which a flat binary starts unless --mode says",
        "--kernel",
        flat,
        "--entry",
        "0x100000",
        "--cpu",
        "kvm4j-v1,-lm");
  }

  @Test
  void a_64_bit_linux_on_a_processor_without_long_mode() throws IOException {
    byte[] image = new byte[0x4000];
    image[0x1f1] = 2;
    image[0x1fe] = 0x55;
    image[0x1ff] = (byte) 0xaa;
    image[0x201] = 0x66;
    System.arraycopy("HdrS\14\2".getBytes(StandardCharsets.US_ASCII), 0, image, 0x202, 6);
    image[0x211] = 1;
    image[0x236] = 1; // XLF_KERNEL_64
    String path = Files.write(directory.resolve("bzImage"), image).toString();
    refused(
        ExitCodes.USAGE,
        "kernel " + path + " is for 64 bits, and the CPU kvm4j-32 has no long mode",
        "--kernel",
        path,
        "--cpu",
        "kvm4j-32");
  }

  @ParameterizedTest
  @CsvSource({
    "0,a guest cannot run in 0 bytes of memory",
    "0M,a guest cannot run in 0 bytes of memory",
    "64,did you mean 64M?",
    "4097,no multiple of 4K",
    "much,is no size of memory",
    "-1,is no size of memory",
    "2T,more memory than the 1T",
    "999999999999999999G,more memory",
    "99999999999999999999,is no size of memory"
  })
  void sizes_of_memory_that_cannot_be(String size, String words) {
    refused(ExitCodes.USAGE, words, "--kernel", flat, "--memory", size);
  }

  @ParameterizedTest
  @CsvSource({"4k,4096", "4K,4096", "64M,67108864", "64MiB,67108864", "1G,1073741824", "8192,8192"})
  void sizes_of_memory(String size, long bytes) {
    assertEquals(bytes, new MemorySize.Converter().convert(size).bytes());
  }

  @Test
  void a_kernel_larger_than_memory() throws IOException {
    Path great = Files.write(directory.resolve("great"), new byte[8192]);
    refused(
        ExitCodes.GUEST_FILE,
        "does not fit into 4K of memory",
        "--kernel",
        great.toString(),
        "--memory",
        "4K");
  }

  @Test
  void an_initrd_or_a_module_that_is_not_there() {
    refused(
        ExitCodes.GUEST_FILE,
        "initrd nowhere: no such file",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--initrd",
        "nowhere");
  }

  @Test
  void a_module_that_is_not_there() {
    refused(
        ExitCodes.GUEST_FILE,
        "module nowhere: no such file",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--module",
        "nowhere x y");
  }

  @Test
  void a_command_line_for_a_flat_binary() {
    refused(
        ExitCodes.GUEST_FILE,
        "takes no command line",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--append",
        "quiet");
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "NaN", "1e12", "soon", "0x1p4", "5f", " 5", ""})
  void timeouts_that_cannot_be(String timeout) {
    refused(ExitCodes.USAGE, "--timeout", "--kernel", flat, "--mode", "real", "--timeout", timeout);
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-3", "many", "1.5", "99999999999", "\u0663", ""})
  void numbers_of_processors_that_cannot_be(String cpus) {
    refused(ExitCodes.USAGE, "--cpus", "--kernel", flat, "--mode", "real", "--cpus", cpus);
  }

  @ParameterizedTest
  @CsvSource({
    "tcp:80,give stdio",
    "file:,needs a path",
    "file:/,is a directory",
    "file:/no/such/directory/x,no such directory"
  })
  void serial_ports_that_cannot_be(String serial, String words) {
    refused(ExitCodes.USAGE, words, "--kernel", flat, "--mode", "real", "--serial", serial);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--mode=fast",
        "--mode=long_",
        "--mode=protected_",
        "--backend=qemu",
        "--backend=native_",
        "--clock=sun",
        "--irqchip=no",
        "--on-reset=restart_"
      })
  void values_that_an_option_does_not_have(String option) {
    String name = option.substring(0, option.indexOf('='));
    String value = option.substring(option.indexOf('=') + 1);
    refused(ExitCodes.USAGE, "'" + name + "'", "--kernel", flat, option);
    assertTrue(cli.err().contains("there is no '" + value + "'; "), cli.err());
    assertFalse(cli.err().replace(value, "").contains("_"), cli.err());
  }

  @ParameterizedTest
  @CsvSource({
    "--entry,0xg",
    "--entry,-5",
    "--entry,0x",
    "--entry,0x8000000000000000",
    "--load,nowhere",
    "--load,0x11111111111111111"
  })
  void addresses_that_cannot_be(String option, String value) {
    refused(ExitCodes.USAGE, "is no address", "--kernel", flat, option, value);
  }

  @Test
  void addresses_that_may_be_meant_otherwise() {
    refused(
        ExitCodes.USAGE,
        "'100000' may be hexadecimal or decimal: say 0x100000, or 0x186a0 for the decimal number",
        "--kernel",
        flat,
        "--entry",
        "100000");
  }

  @ParameterizedTest
  @CsvSource({"0,0", "9,9", "0x0,0", "0X7C00,31744", "0x0000000000000000000a,10"})
  void addresses(String text, long value) {
    assertEquals(value, new Address.Converter().convert(text).value());
  }

  @Test
  void a_file_with_a_format_as_a_flat_binary() throws IOException {
    Path elf = Files.write(directory.resolve("elf"), new byte[] {0x7f, 'E', 'L', 'F', 2, 1, 1, 0});
    refused(
        ExitCodes.GUEST_FILE,
        "is an ELF file, and --entry would run its headers as code",
        "--kernel",
        elf.toString(),
        "--entry",
        "0x100000");
  }

  @Test
  void interrupt_chips_that_the_kernel_does_not_have() {
    boolean has;
    try (Kvm kvm = Kvm.open(Kernels.open(Backends.EMULATED))) {
      has = kvm.checkExtension(Caps.KVM_CAP_IRQCHIP) > 0;
    }
    assumeFalse(has, "the emulated kernel has interrupt chips");
    refused(
        ExitCodes.USAGE,
        "--irqchip kernel: the emulated backend has no interrupt chips",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--irqchip",
        "kernel");
  }

  @Test
  void memory_that_the_processors_addresses_do_not_reach() {
    refused(
        ExitCodes.USAGE,
        "--memory 64G: a processor with 36 physical address bits has 64G of addresses, and memory"
            + " has a hole from 3G to 4G",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--cpu",
        "kvm4j-v1,phys-bits=36",
        "--memory",
        "64G");
  }

  /** A multiboot kernel that halts. */
  private String multiboot() throws IOException {
    ByteBuffer kernel = ByteBuffer.allocate(33).order(ByteOrder.LITTLE_ENDIAN);
    kernel.putInt(0x1bad_b002).putInt(0x1_0000).putInt(-(0x1bad_b002 + 0x1_0000));
    kernel.putInt(0x10_0000).putInt(0x10_0000).putInt(0).putInt(0).putInt(0x10_0020);
    kernel.put((byte) 0xf4);
    return Files.write(directory.resolve("kernel"), kernel.array()).toString();
  }

  @ParameterizedTest
  @ValueSource(strings = {"split", "none"})
  void chips_of_its_own_need_the_hosts_clock(String where) throws IOException {
    refused(
        ExitCodes.USAGE,
        "--irqchip "
            + where
            + ": kvm4j's own timer follows the host's clock, and cannot go with --clock virtual;"
            + " --irqchip kernel can",
        "--kernel",
        multiboot(),
        "--irqchip",
        where,
        "--clock",
        "virtual");
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "1001"})
  void an_instruction_takes_a_time_within_bounds(String nanos) throws IOException {
    refused(
        ExitCodes.USAGE,
        "--instruction-time is 1 to 1000 ns, not " + nanos,
        "--kernel",
        multiboot(),
        "--clock",
        "virtual",
        "--instruction-time=" + nanos);
  }

  @Test
  void an_instructions_time_is_the_virtual_clocks() throws IOException {
    refused(
        ExitCodes.USAGE,
        "--instruction-time is for --clock virtual",
        "--kernel",
        multiboot(),
        "--instruction-time",
        "10");
  }

  @Test
  void bare_metal_is_the_emulated_cpu() throws IOException {
    refused(
        ExitCodes.USAGE,
        "--bare-metal is for the emulated CPU: it cannot go with --backend native",
        "--kernel",
        multiboot(),
        "--bare-metal",
        "--backend",
        "native");
  }

  @ParameterizedTest
  @ValueSource(strings = {"split", "none"})
  void bare_metal_has_all_chips_beside_the_cpu(String where) throws IOException {
    refused(
        ExitCodes.USAGE,
        "--bare-metal has the interrupt chips beside the CPU: it cannot go with --irqchip "
            + where
            + (where.equals("none") ? ", but for a flat binary" : ""),
        "--kernel",
        multiboot(),
        "--bare-metal",
        "--irqchip",
        where);
  }

  @Test
  void without_local_apics_there_is_one_processor() throws IOException {
    refused(
        ExitCodes.USAGE,
        "--irqchip none: a guest starts its processors by local APICs, which are the kernel's;"
            + " --cpus 2 needs --irqchip kernel or split",
        "--kernel",
        multiboot(),
        "--irqchip",
        "none",
        "--cpus",
        "2");
  }

  @Test
  void without_local_apics_a_kernel_that_halts_for_good_has_ended() throws IOException {
    assertEquals(ExitCodes.OK, cli.run("run", "--kernel", multiboot(), "--irqchip", "none"));
  }

  @Test
  void more_processors_than_the_kernel_gives() {
    refused(
        ExitCodes.USAGE,
        "--cpus 100000: the emulated backend gives a guest at most ",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--cpus",
        "100000");
  }

  @Test
  void a_backend_that_cannot_be_used_with_what_to_do() {
    cli.withProviders(
        new FakeProvider(
            Backends.NATIVE,
            new KernelProvider.Unavailable("there is no /dev/kvm", "load the kvm module"),
            Map.of()));
    refused(
        ExitCodes.BACKEND,
        "the native backend cannot be used: there is no /dev/kvm; load the kvm module",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--backend",
        "native");
  }

  @Test
  void a_backend_that_is_not_in_the_build() {
    cli.withProviders(new FakeProvider(Backends.NATIVE, null, Map.of()));
    refused(
        ExitCodes.BACKEND,
        "there is no emulated backend in this build; there are: native",
        "--kernel",
        flat,
        "--mode",
        "real");
  }

  @Test
  void no_backend_at_all() {
    cli.withProviders();
    refused(
        ExitCodes.BACKEND, "no backend", "--kernel", flat, "--mode", "real", "--backend", "auto");
  }

  @ParameterizedTest
  @CsvSource({"--cpu,max", "--clock,virtual", "--engine,t0"})
  void the_machines_own_kernel_takes_no_options(String option, String value) {
    cli.withProviders(new FakeProvider(Backends.NATIVE, null, Map.of()));
    refused(
        ExitCodes.USAGE,
        option + " does not apply to the native backend",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--backend",
        "native",
        option,
        value);
  }

  @Test
  void auto_takes_the_machines_own_kernel_only_if_it_can_be_used() {
    FakeProvider emulated = FakeProvider.emulated();
    FakeProvider none =
        new FakeProvider(Backends.NATIVE, new KernelProvider.Unavailable("no", "no"), Map.of());
    assertEquals(
        Backends.EMULATED, new Backends(Arrays.asList(none, emulated)).choose("auto").name());
    FakeProvider usable = new FakeProvider(Backends.NATIVE, null, Map.of());
    assertEquals(
        Backends.NATIVE, new Backends(Arrays.asList(emulated, usable)).choose("auto").name());
  }

  @Test
  void options_reach_the_kernel() {
    FakeProvider emulated = FakeProvider.emulated();
    cli.withProviders(emulated);
    refused(
        ExitCodes.BACKEND,
        "a fake",
        "--kernel",
        flat,
        "--mode",
        "real",
        "--cpu",
        "max,+vmx",
        "--clock",
        "virtual",
        "--engine",
        "t0");
    assertEquals("max,+vmx", emulated.opened.get(KernelOptions.CPU).orElse(""));
    assertEquals("virtual", emulated.opened.get(KernelOptions.CLOCK).orElse(""));
    assertEquals("t0", emulated.opened.get(KernelOptions.ENGINE).orElse(""));
  }
}
