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
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
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
        4 << 20,
        cpus,
        MachineConfig.Chips.NONE,
        Set.of(),
        true,
        false,
        Instant.EPOCH,
        b -> {},
        devices,
        false,
        null);
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

  /**
   * A program that has the clock's next second wake it, goes to sleep, and ends with 0x55 where it
   * goes on.
   *
   * @param clockEnabled whether the clock may wake it
   */
  private static int[] sleeper(boolean clockEnabled) {
    return new int[] {
      0xb8,
      0x00,
      0xe0,
      0x8e,
      0xc0, // mov ax, 0xe000; mov es, ax
      0x26,
      0x66,
      0xc7,
      0x06,
      0x4c,
      0,
      0x03,
      0x80,
      0,
      0, // FACS: waking vector 0x8003
      0xc7,
      0x06,
      0x03,
      0x80,
      0xb0,
      0x55,
      0xc7,
      0x06,
      0x05,
      0x80,
      0xe6,
      0xf4, // out 0xf4, 0x55
      0xba,
      0x02,
      0x06,
      0xb8,
      0,
      clockEnabled ? 4 : 0,
      0xef, // PM1 enable: the clock
      0xb0,
      0x01,
      0xe6,
      0x70,
      0xb0,
      0xc0,
      0xe6,
      0x71, // an alarm at any second
      0xb0,
      0x03,
      0xe6,
      0x70,
      0xb0,
      0xc0,
      0xe6,
      0x71,
      0xb0,
      0x05,
      0xe6,
      0x70,
      0xb0,
      0xc0,
      0xe6,
      0x71,
      0xb0,
      0x0b,
      0xe6,
      0x70,
      0xb0,
      0x22,
      0xe6,
      0x71,
      0xba,
      0x04,
      0x06,
      0xb8,
      0x00,
      0x24,
      0xef, // PM1 control: SLP_EN, S3
      0xeb,
      0xfe // jmp $
    };
  }

  private static MachineConfig sleeping(int cpus, boolean virtual) {
    return new MachineConfig(
        4 << 20,
        cpus,
        MachineConfig.Chips.KERNEL,
        Set.of(),
        false,
        virtual,
        Instant.EPOCH,
        b -> {},
        MachineConfig.Devices.NONE,
        false,
        null);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3})
  void a_guest_sleeps_until_its_alarm_and_goes_on_at_its_waking_vector(int cpus)
      throws GuestImageException, InterruptedException {
    try (Kernel virtual =
            Kernels.providers().stream()
                .filter(p -> p.name().equals("emulated"))
                .findFirst()
                .orElseThrow()
                .open(KernelOptions.NONE.with(KernelOptions.CLOCK, "virtual"));
        Machine machine = new Machine(virtual, sleeping(cpus, true))) {
      Ending ending = run(machine, sleeper(true));
      assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind(), ending.message());
      assertEquals(0x55, ending.code());
    }
  }

  @Test
  void the_power_button_wakes_a_guest_that_sleeps()
      throws GuestImageException, InterruptedException {
    try (Machine machine = new Machine(kernel, sleeping(2, false))) {
      Thread presser =
          new Thread(
              () -> {
                do {
                  machine.pressPowerButton();
                } while (machine.running());
              });
      presser.setDaemon(true);
      presser.start();
      Ending ending = run(machine, sleeper(false));
      assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind(), ending.message());
      assertEquals(0x55, ending.code());
      presser.join();
    }
  }

  @Test
  void a_guest_that_sleeps_can_be_stopped() throws GuestImageException, InterruptedException {
    try (Machine machine = new Machine(kernel, sleeping(2, false))) {
      Thread stopper =
          new Thread(
              () -> {
                // The last of what the guest wrote before it went to sleep.
                while ((machine.ports().in(0x604, 2) & 0x400) == 0) {
                  Thread.onSpinWait();
                }
                machine.end(Ending.of(Ending.Kind.INTERRUPTED, "it was stopped"));
              });
      stopper.setDaemon(true);
      stopper.start();
      assertEquals(Ending.Kind.INTERRUPTED, run(machine, sleeper(false)).kind());
      stopper.join();
    }
  }

  @Test
  void little_memory_has_no_room_for_ACPI_tables() {
    MachineConfig small =
        new MachineConfig(
            0x1_0000,
            1,
            MachineConfig.Chips.NONE,
            Set.of(),
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

  @ParameterizedTest
  @EnumSource(names = {"KERNEL", "SPLIT", "USER"})
  void interrupt_chips_are_as_a_BIOS_leaves_them(MachineConfig.Chips chips)
      throws GuestImageException, InterruptedException {
    MachineConfig.Devices tests =
        new MachineConfig.Devices(MachineConfig.Virtio.PCI, List.of(), null, false, true);
    MachineConfig config =
        new MachineConfig(
            4 << 20, 1, chips, Set.of(), true, false, Instant.EPOCH, b -> {}, tests, false, null);
    try (Machine machine = new Machine(kernel, config)) {
      // Vectors 0x73, of IRQ 11, and 0x0c, of IRQ 4, lead to the handlers below.
      machine.memory().putInt(0x73 * 4, 0x7c30);
      machine.memory().putInt(0x0c * 4, 0x7c40);
      int[] program = new int[0x44];
      int at = 0;
      // mov dx, 0x2000 + irq; mov ax, 1; out dx, ax; dec ax; out dx, ax; sti; hlt: a pulse
      for (int irq : new int[] {11, 4}) {
        for (int b : new int[] {0xba, irq, 0x20, 0xb8, 1, 0, 0xef, 0x48, 0xef, 0xfb, 0xf4, 0xfa}) {
          program[at++] = b;
        }
      }
      int[] ends = {0x80, 0xfb, 3, 0x74, 2, 0xeb, 0xfe, 0xb0, 9, 0xe6, 0xf4}; // cmp bl, 3; ...
      System.arraycopy(ends, 0, program, at, ends.length);
      int[] slave = {0x80, 0xcb, 1, 0xb0, 0x20, 0xe6, 0xa0, 0xe6, 0x20, 0xcf}; // or bl, 1; EOIs
      System.arraycopy(slave, 0, program, 0x30, slave.length);
      int[] master = {0x80, 0xcb, 2, 0xcf}; // or bl, 2; iret
      System.arraycopy(master, 0, program, 0x40, master.length);
      Ending ending = run(machine, program);
      assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind());
      assertEquals(9, ending.code());
    }
  }

  /** A program that has the timer interrupt each 10 ms, and ends with 3 at the third interrupt. */
  private static final int[] THREE_TICKS = {
    0xc7,
    0x06,
    0x20,
    0x00,
    0x20,
    0x7c, // vector 8: 0:0x7c20
    0xb0,
    0x34,
    0xe6,
    0x43,
    0xb0,
    0x9c,
    0xe6,
    0x40,
    0xb0,
    0x2e,
    0xe6,
    0x40, // mode 2, 11932
    0x31,
    0xdb, // xor bx, bx
    0xfb,
    0xf4,
    0xeb,
    0xfc, // sti; hlt; again
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0, // at 0x7c20:
    0x43,
    0xb0,
    0x20,
    0xe6,
    0x20, // inc bx; the end of the interrupt
    0x80,
    0xfb,
    0x03,
    0x75,
    0x04,
    0x88,
    0xd8,
    0xe6,
    0xf4, // cmp bl, 3; out 0xf4, bl
    0xcf // iret
  };

  @ParameterizedTest
  @EnumSource(names = {"KERNEL", "SPLIT", "USER"})
  void the_timer_wakes_a_processor_that_has_halted(MachineConfig.Chips chips)
      throws GuestImageException, InterruptedException {
    MachineConfig config =
        new MachineConfig(
            4 << 20,
            1,
            chips,
            Set.of(),
            true,
            false,
            Instant.EPOCH,
            b -> {},
            MachineConfig.Devices.NONE,
            true,
            null);
    try (Machine machine = new Machine(kernel, config)) {
      Ending ending = run(machine, THREE_TICKS);
      assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind(), ending.message());
      assertEquals(3, ending.code());
    }
  }

  @Test
  void a_processor_that_waits_for_the_PICs_can_be_stopped()
      throws GuestImageException, InterruptedException {
    MachineConfig config =
        new MachineConfig(
            4 << 20,
            1,
            MachineConfig.Chips.USER,
            Set.of(),
            true,
            false,
            Instant.EPOCH,
            b -> {},
            MachineConfig.Devices.NONE,
            false,
            null);
    try (Machine machine = new Machine(kernel, config)) {
      Thread stopper =
          new Thread(
              () -> {
                while (machine.lastPostCode() != 5) {
                  Thread.onSpinWait();
                }
                machine.end(Ending.of(Ending.Kind.INTERRUPTED, "it was stopped"));
              });
      stopper.setDaemon(true);
      stopper.start();
      // mov al, 5; out 0x80, al; sti; hlt
      Ending ending = run(machine, 0xb0, 0x05, 0xe6, 0x80, 0xfb, 0xf4);
      assertEquals(Ending.Kind.INTERRUPTED, ending.kind());
      stopper.join();
    }
    try (Machine machine = new Machine(kernel, config)) {
      assertEquals(Ending.Kind.HALTED, run(machine, 0xfa, 0xf4).kind(), "nothing can wake it");
    }
  }

  @Test
  void what_cannot_be_together_is_no_machine() {
    for (MachineConfig.Chips chips : MachineConfig.Chips.values()) {
      boolean user = chips == MachineConfig.Chips.USER;
      boolean timer = user || chips == MachineConfig.Chips.SPLIT;
      assertEquals(user, refused(chips, 2, false), chips + " with 2 processors");
      assertEquals(timer, refused(chips, 1, true), chips + " with the virtual clock");
    }
  }

  private static boolean refused(MachineConfig.Chips chips, int cpus, boolean virtualClock) {
    try {
      MachineConfig made =
          new MachineConfig(
              4 << 20,
              cpus,
              chips,
              Set.of(),
              true,
              virtualClock,
              Instant.EPOCH,
              b -> {},
              MachineConfig.Devices.NONE,
              false,
              null);
      return made.cpus() != cpus;
    } catch (IllegalArgumentException e) {
      return true;
    }
  }
}
