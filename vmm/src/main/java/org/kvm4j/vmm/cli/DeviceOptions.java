package org.kvm4j.vmm.cli;

import java.io.IOException;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import org.kvm4j.vmm.MachineConfig;
import org.kvm4j.vmm.device.Uart16550;
import org.kvm4j.vmm.virtio.RawImage;
import org.kvm4j.vmm.virtio.Storage;
import picocli.CommandLine.Option;

/** The options of {@code run} that put devices into the machine. */
final class DeviceOptions {

  private static final String READ_ONLY = "readonly";
  private static final String SERIAL = "serial=";
  private static final int SERIAL_SIZE = 20;

  /** The bus has 32 places, of which the host bridge has one. */
  private static final int MOST_ON_PCI = 31;

  /** How virtio devices are reached. */
  enum Transport {
    PCI,
    MMIO;

    @Override
    public String toString() {
      return name().toLowerCase(Locale.ROOT);
    }
  }

  @Option(
      names = {"-d", "--disk"},
      paramLabel = "FILE[,readonly][,serial=TEXT]",
      description =
          "A virtio disk whose contents are those of a file or block device, byte for byte; may be"
              + " repeated.")
  private List<String> disks = new ArrayList<>();

  @Option(
      names = "--console",
      description =
          "A virtio console (hvc0), which gets the input instead of the serial port and knows the"
              + " window's size; its output goes where --serial says.")
  private boolean console;

  @Option(names = "--entropy", description = "A virtio source of random bytes.")
  private boolean entropy;

  @Option(
      names = "--virtio",
      paramLabel = "BUS",
      defaultValue = "pci",
      description =
          "How virtio devices are reached: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  @SuppressWarnings("NullAway.Init") // has a default
  private Transport virtio;

  @Option(
      names = "--test-devices",
      description = "The devices that kvm-unit-tests need: QEMU's pc-testdev.")
  private boolean tests;

  /** A disk as it was asked for. */
  private record DiskOption(Path file, boolean readOnly, String serial) {}

  /**
   * Opens what the devices need.
   *
   * @param output takes what the guest sends to its console
   * @param warnings takes lines for the user
   * @throws CommandException if that cannot be
   */
  MachineConfig.Devices open(Uart16550.Sink output, Consumer<String> warnings) {
    int devices = disks.size() + (console ? 1 : 0) + (entropy ? 1 : 0);
    if (virtio == Transport.PCI && devices > MOST_ON_PCI) {
      throw new CommandException(
          ExitCodes.USAGE,
          String.format(
              "%d virtio devices, and the PCI bus takes %d: --virtio mmio takes more",
              devices, MOST_ON_PCI));
    }
    List<MachineConfig.Disk> opened = new ArrayList<>();
    boolean good = false;
    try {
      for (String text : disks) {
        DiskOption disk = parse(text);
        Storage image = RawImage.open(disk.file, disk.readOnly);
        opened.add(new MachineConfig.Disk(new ReportingStorage(image, warnings), disk.serial));
      }
      good = true;
    } catch (IOException e) {
      throw new CommandException(ExitCodes.GUEST_FILE, "disk " + e.getMessage());
    } finally {
      if (!good) {
        close(opened);
      }
    }
    return new MachineConfig.Devices(
        virtio == Transport.PCI ? MachineConfig.Virtio.PCI : MachineConfig.Virtio.MMIO,
        opened,
        console ? output : null,
        entropy,
        tests);
  }

  /**
   * The files of the disks.
   *
   * @throws CommandException if an option is not well put
   */
  List<Path> files() {
    return disks.stream().map(text -> parse(text).file).toList();
  }

  private static void close(List<MachineConfig.Disk> disks) {
    for (MachineConfig.Disk disk : disks) {
      try {
        disk.storage().close();
      } catch (IOException e) {
        // Nothing was written to it.
      }
    }
  }

  private static DiskOption parse(String text) {
    String[] parts = text.split(",", -1);
    boolean readOnly = false;
    String serial = "";
    for (int i = 1; i < parts.length; i++) {
      if (parts[i].equals(READ_ONLY)) {
        readOnly = true;
      } else if (parts[i].startsWith(SERIAL)) {
        serial = parts[i].substring(SERIAL.length());
      } else {
        throw usage(text, "'" + parts[i] + "' is neither readonly nor serial=TEXT");
      }
    }
    if (parts[0].isEmpty()) {
      throw usage(text, "it names no file");
    }
    if (serial.length() > SERIAL_SIZE || !serial.chars().allMatch(c -> c > ' ' && c < 0x7f)) {
      throw usage(text, "a serial number is at most 20 printable ASCII characters");
    }
    try {
      return new DiskOption(Path.of(parts[0]), readOnly, serial);
    } catch (InvalidPathException e) {
      throw usage(text, "no such file");
    }
  }

  private static CommandException usage(String text, String why) {
    return new CommandException(ExitCodes.USAGE, "--disk " + text + ": " + why);
  }
}
