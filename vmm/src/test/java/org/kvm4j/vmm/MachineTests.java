package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.vmm.boot.BootOptions;
import org.kvm4j.vmm.boot.CpuMode;
import org.kvm4j.vmm.boot.FlatImage;
import org.kvm4j.vmm.boot.GuestFile;
import org.kvm4j.vmm.boot.GuestImageException;
import org.kvm4j.vmm.virtio.RawImage;

/** Machines with devices, on the emulated kernel. */
@Timeout(60)
class MachineTests {

  @TempDir
  @SuppressWarnings("NullAway.Init") // set by JUnit
  private Path directory;

  private final Kernel kernel = Kernels.open("emulated");

  private static MachineConfig config(int cpus, MachineConfig.Devices devices) {
    return new MachineConfig(
        4 << 20, cpus, false, true, false, Instant.EPOCH, b -> {}, devices, false, null);
  }

  private static Ending run(Machine machine, int... program)
      throws GuestImageException, InterruptedException {
    byte[] bytes = new byte[program.length];
    for (int i = 0; i < program.length; i++) {
      bytes[i] = (byte) program[i];
    }
    machine.boot(
        new FlatImage(new GuestFile("guest", "test", bytes), CpuMode.REAL, 0x7c00, 0x7c00)
            .load(machine.memory(), BootOptions.NONE));
    return machine.run();
  }

  private static Set<String> threads() {
    return Thread.getAllStackTraces().keySet().stream()
        .map(Thread::getName)
        .filter(n -> n.startsWith("vcpu-") || n.startsWith("disk") || n.startsWith("entropy"))
        .collect(Collectors.toSet());
  }

  @ParameterizedTest
  @EnumSource
  void all_devices_at_once_and_no_thread_is_left(MachineConfig.Virtio bus)
      throws IOException, GuestImageException, InterruptedException {
    Path file = Files.write(directory.resolve("disk"), new byte[1024]);
    MachineConfig.Devices devices =
        new MachineConfig.Devices(
            bus,
            List.of(new MachineConfig.Disk(RawImage.open(file, false), "x")),
            b -> {},
            true,
            true);
    try (Machine machine = new Machine(kernel, config(2, devices))) {
      assertNotNull(machine.console());
      assertEquals(0xe_0000, machine.acpiTables());
      assertEquals(0x2052_5450_2044_5352L, machine.memory().getLong(0xe_0000), "RSD PTR ");
      // hlt
      assertEquals(Ending.Kind.HALTED, run(machine, 0xf4).kind());
    }
    assertEquals(Set.of(), threads());
    RawImage.open(file, false).close(); // nobody holds it any more
  }

  @Test
  void the_first_ending_wins_and_the_others_are_stopped()
      throws GuestImageException, InterruptedException {
    try (Machine machine = new Machine(kernel, config(4, MachineConfig.Devices.NONE))) {
      // test di, di; jz $: the first processor writes its mark to the debug exit, the others spin
      // cmp di, 0; jne $; mov al, 7; out 0xf4, al
      Ending ending = run(machine, 0x83, 0xff, 0x00, 0x75, 0xfe, 0xb0, 0x07, 0xe6, 0xf4);
      assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind());
      assertEquals(7, ending.code());
      assertFalse(machine.running());
    }
    assertEquals(Set.of(), threads());
  }

  @Test
  void a_machine_that_cannot_be_made_lets_go_of_its_disks() throws IOException {
    Path file = Files.write(directory.resolve("disk"), new byte[1024]);
    MachineConfig.Devices devices =
        new MachineConfig.Devices(
            MachineConfig.Virtio.PCI,
            List.of(new MachineConfig.Disk(RawImage.open(file, false), "")),
            null,
            false,
            false);
    assertThrows(
        RuntimeException.class, () -> new Machine(kernel, config(1 << 20, devices)).close());
    RawImage.open(file, false).close();
    assertTrue(threads().isEmpty());
  }

  @Test
  void little_memory_has_no_room_for_ACPI_tables() {
    MachineConfig small =
        new MachineConfig(
            0x1_0000,
            1,
            false,
            true,
            false,
            Instant.EPOCH,
            b -> {},
            MachineConfig.Devices.NONE,
            false,
            null);
    try (Machine machine = new Machine(kernel, small)) {
      assertEquals(0, machine.acpiTables());
    }
  }
}
