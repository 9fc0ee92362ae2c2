package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.vmm.boot.BootOptions;
import org.kvm4j.vmm.boot.CpuMode;
import org.kvm4j.vmm.boot.FlatImage;
import org.kvm4j.vmm.boot.GuestFile;
import org.kvm4j.vmm.boot.GuestImageException;
import org.kvm4j.vmm.device.PortBus;

/** Guests in real mode that reset their machine. */
@Timeout(60)
class ResetTests {

  private final Kernel kernel = Kernels.open("emulated");

  /** The ways of a guest to reset its machine, or its processors alone. */
  private enum Way {
    PORT_92(false, 0xe4, 0x92, 0x0c, 0x01, 0xe6, 0x92), // in al, 0x92; or al, 1; out 0x92, al
    KEYBOARD_PULSE(false, 0xb0, 0xfe, 0xe6, 0x64),
    KEYBOARD_OUTPUT_PORT(false, 0xb0, 0xd1, 0xe6, 0x64, 0xb0, 0x02, 0xe6, 0x60),
    RESET_CONTROL_SOFT(false, 0xba, 0xf9, 0x0c, 0xb0, 0x04, 0xee),
    JUMP(false, 0xea, 0x00, 0x00, 0xff, 0xff), // jmp 0xffff:0
    RESET_CONTROL_HARD(true, 0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee),
    TRIPLE_FAULT(true, 0x0f, 0x01, 0x1e, 0x00, 0x05, 0xcc); // lidt [0x500]; int3

    private final boolean hard;
    private final int[] code;

    Way(boolean hard, int... code) {
      this.hard = hard;
      this.code = code;
    }
  }

  /** An INIT to itself, in x2APIC mode. */
  private static final int[] INIT = {
    0x66, 0xb9, 0x1b, 0, 0, 0, 0x0f, 0x32, 0x80, 0xcc, 0x04, 0x0f, 0x30, // IA32_APIC_BASE
    0x66, 0xb9, 0x30, 0x08, 0, 0, 0x66, 0xb8, 0x00, 0x45, 0x04, 0x00, 0x66, 0x31, 0xd2, 0x0f, 0x30
  };

  private Machine machine(int cpus, MachineConfig.Chips chips) {
    return machine(cpus, chips, MachineConfig.Devices.NONE);
  }

  private Machine machine(int cpus, MachineConfig.Chips chips, MachineConfig.Devices devices) {
    return new Machine(
        kernel,
        new MachineConfig(
            4 << 20,
            cpus,
            chips,
            Set.of(),
            false,
            false,
            Instant.EPOCH,
            b -> {},
            devices,
            false,
            null));
  }

  private static Ending run(Machine machine, boolean again, int[]... parts)
      throws GuestImageException, InterruptedException {
    int length = 0;
    for (int[] part : parts) {
      length += part.length;
    }
    byte[] bytes = new byte[length];
    int at = 0;
    for (int[] part : parts) {
      for (int b : part) {
        bytes[at++] = (byte) b;
      }
    }
    FlatImage image =
        new FlatImage(new GuestFile("guest", "test", bytes), CpuMode.REAL, 0x7c00, 0x7c00);
    if (again) {
      machine.restartWith(() -> image.load(machine.memory(), BootOptions.NONE));
    }
    machine.boot(image.load(machine.memory(), BootOptions.NONE));
    return machine.run();
  }

  /**
   * A program that resets twice, and at its third start ends with what is in port 0x92 (8 was
   * written to it) and in CMOS memory (0x40 was written to it), added.
   */
  private static int[][] thrice(Way way) {
    int[] counts = {0xfe, 0x06, 0x00, 0x06, 0x80, 0x3e, 0x00, 0x06, 0x03, 0x74, 0}; // je to the end
    int[] marks = {0xb0, 0x08, 0xe6, 0x92, 0xb0, 0x50, 0xe6, 0x70, 0xb0, 0x40, 0xe6, 0x71};
    int[] spins = {0xfb, 0xeb, 0xfe}; // sti; jmp $
    counts[10] = marks.length + way.code.length + spins.length;
    int[] ends = {
      0xb0, 0x50, 0xe6, 0x70, 0xe4, 0x71, 0x88, 0xc4, 0xe4, 0x92, 0x00, 0xe0, 0xe6, 0xf4, 0xf4
    };
    return new int[][] {counts, marks, way.code, spins, ends};
  }

  @ParameterizedTest
  @EnumSource
  void a_reset_starts_the_guest_again_and_keeps_memory(Way way)
      throws GuestImageException, InterruptedException {
    for (MachineConfig.Chips chips :
        new MachineConfig.Chips[] {MachineConfig.Chips.KERNEL, MachineConfig.Chips.USER}) {
      try (Machine machine = machine(1, chips)) {
        Ending ending = run(machine, true, thrice(way));
        assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind(), ending.message());
        int port92 = way == Way.PORT_92 ? 9 : way.hard ? 2 : 8;
        assertEquals(0x40 + port92, ending.code());
        assertEquals(3, machine.memory().getByte(0x600));
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void without_being_asked_to_start_again_a_reset_ends_the_machine(Way way)
      throws GuestImageException, InterruptedException {
    try (Machine machine = machine(1, MachineConfig.Chips.KERNEL)) {
      Ending ending = run(machine, false, thrice(way));
      assertEquals(
          way == Way.TRIPLE_FAULT ? Ending.Kind.SHUTDOWN : Ending.Kind.RESET,
          ending.kind(),
          ending.message());
      assertEquals(1, machine.memory().getByte(0x600));
    }
  }

  /** Shutdown code 0x0a, and 0:0x7c40 at 40:67, where the program ends with 7. */
  private static int[][] resumed(int[] way) {
    int[] vector = {
      0xb0, 0x0f, 0xe6, 0x70, 0xb0, 0x0a, 0xe6, 0x71, 0xc7, 0x06, 0x67, 0x04, 0x40, 0x7c, 0xc7,
      0x06, 0x69, 0x04, 0, 0
    };
    int[] rest = new int[0x40 - vector.length - way.length];
    rest[0] = 0xeb;
    rest[1] = 0xfe;
    return new int[][] {vector, way, rest, {0xb0, 0x07, 0xe6, 0xf4, 0xf4}};
  }

  @ParameterizedTest
  @EnumSource
  void firmware_goes_on_where_the_guest_has_told_it_to(Way way)
      throws GuestImageException, InterruptedException {
    try (Machine machine = machine(2, MachineConfig.Chips.KERNEL)) {
      Ending ending = run(machine, false, resumed(way.code));
      if (way.hard) {
        assertTrue(ending.kind() != Ending.Kind.DEBUG_EXIT, ending.message());
      } else {
        assertEquals(7, ending.code(), ending.message());
      }
      assertEquals(way.hard ? 0x0a : 0, shutdownCode(machine), "it is taken");
    }
  }

  private static int shutdownCode(Machine machine) {
    machine.ports().out(0x70, 1, 0x0f);
    return machine.ports().in(0x71, 1);
  }

  @Test
  void an_INIT_leads_to_the_reset_vector() throws GuestImageException, InterruptedException {
    for (MachineConfig.Chips chips :
        new MachineConfig.Chips[] {MachineConfig.Chips.KERNEL, MachineConfig.Chips.SPLIT}) {
      try (Machine machine = machine(1, chips)) {
        Ending ending = run(machine, false, resumed(INIT));
        assertEquals(7, ending.code(), ending.message());
      }
      try (Machine machine = machine(1, chips)) {
        Ending ending = run(machine, false, new int[][] {INIT, {0xeb, 0xfe}});
        assertEquals(Ending.Kind.RESET, ending.kind(), ending.message());
      }
    }
  }

  @Test
  void a_guest_that_resets_for_ever_can_be_stopped()
      throws GuestImageException, InterruptedException {
    try (Machine machine = machine(2, MachineConfig.Chips.KERNEL)) {
      Thread stopper =
          new Thread(
              () -> {
                while (machine.memory().getByte(0x600) < 5) {
                  Thread.onSpinWait();
                }
                machine.end(Ending.of(Ending.Kind.INTERRUPTED, "it was stopped"));
              });
      stopper.setDaemon(true);
      stopper.start();
      int[] counts = {0xfe, 0x06, 0x00, 0x06};
      Ending ending =
          run(machine, true, new int[][] {counts, Way.RESET_CONTROL_HARD.code, {0xeb, 0xfe}});
      assertEquals(Ending.Kind.INTERRUPTED, ending.kind(), ending.message());
      stopper.join();
    }
  }

  @Test
  void what_the_kernel_shares_with_a_guest_is_off_after_a_reset()
      throws GuestImageException, InterruptedException {
    try (Machine machine = machine(1, MachineConfig.Chips.KERNEL)) {
      // inc byte [0x600]; cmp byte [0x600], 2; mov ecx, MSR_KVM_SYSTEM_TIME_NEW; je to the end
      int[] starts = {
        0xfe, 0x06, 0x00, 0x06, 0x66, 0xb9, 0x01, 0x4d, 0x56, 0x4b, 0x80, 0x3e, 0x00, 0x06, 0x02,
        0x74, 0
      };
      // mov eax, 0x6001; xor edx, edx; wrmsr
      int[] shares = {0x66, 0xb8, 0x01, 0x60, 0, 0, 0x66, 0x31, 0xd2, 0x0f, 0x30};
      int[] reset = Way.RESET_CONTROL_HARD.code;
      int[] spins = {0xeb, 0xfe};
      starts[16] = shares.length + reset.length + spins.length;
      int[] ends = {0x0f, 0x32, 0xe6, 0xf4, 0xf4}; // rdmsr; out 0xf4, al
      Ending ending = run(machine, true, starts, shares, reset, spins, ends);
      assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind(), ending.message());
      assertEquals(0, ending.code());
    }
  }

  @Test
  void the_state_that_XSAVE_saves_is_chosen_anew_after_a_reset()
      throws GuestImageException, InterruptedException {
    try (Machine machine = machine(1, MachineConfig.Chips.KERNEL)) {
      // mov eax, cr4; or eax, OSXSAVE; mov cr4, eax; xor ecx, ecx
      int[] enables = {
        0x0f, 0x20, 0xe0, 0x66, 0x0d, 0, 0, 0x04, 0, 0x0f, 0x22, 0xe0, 0x66, 0x31, 0xc9
      };
      // inc byte [0x600]; cmp byte [0x600], 2; je to the end
      int[] counts = {0xfe, 0x06, 0x00, 0x06, 0x80, 0x3e, 0x00, 0x06, 0x02, 0x74, 0};
      // mov eax, 3; xor edx, edx; xsetbv
      int[] chooses = {0x66, 0xb8, 3, 0, 0, 0, 0x66, 0x31, 0xd2, 0x0f, 0x01, 0xd1};
      int[] reset = Way.RESET_CONTROL_HARD.code;
      int[] spins = {0xeb, 0xfe};
      counts[10] = chooses.length + reset.length + spins.length;
      int[] ends = {0x0f, 0x01, 0xd0, 0xe6, 0xf4, 0xf4}; // xgetbv; out 0xf4, al
      Ending ending = run(machine, true, enables, counts, chooses, reset, spins, ends);
      assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind(), ending.message());
      assertEquals(1, ending.code());
    }
  }

  /** What a guest can read of devices without changing it, where the chips are. */
  private static List<Long> registers(Machine machine, MachineConfig.Chips chips) {
    List<Long> values = new ArrayList<>();
    int[] ports = {0x3f9, 0x3fb, 0x3fc, 0x3fd, 0x3ff, 0x64, 0x92, 0x602, 0x604};
    for (int port : ports) {
      values.add((long) machine.ports().in(port, port >= 0x600 ? 2 : 1));
    }
    values.add((long) machine.ports().in(0xcf8, 4));
    for (int device = 0; device < 3; device++) {
      for (int register = 0; register < 256; register += 4) {
        values.add((long) config(machine, device, register));
      }
    }
    machine.ports().out(0xcf8, 4, 0);
    for (int device = 1; device < 3; device++) {
      long common = bar(machine, device);
      values.add(common);
      values.add(machine.mmio().read(common, 4)); // which features are shown
      values.add(machine.mmio().read(common + 0x14, 1)); // the device's status
      values.add(machine.mmio().read(common + 0x16, 2)); // which queue is
      values.add(machine.mmio().read(common + 0x18, 2)); // its size
    }
    machine.ports().out(0xcf8, 4, 0);
    if (chips.inUserSpace()) {
      for (int port : new int[] {0x21, 0xa1, 0x4d0, 0x4d1}) {
        values.add((long) machine.ports().in(port, 1));
      }
    }
    if (chips == MachineConfig.Chips.SPLIT) {
      machine.mmio().write(IO_APIC, 4, 0x12);
      values.add(machine.mmio().read(IO_APIC + 0x10, 4));
      machine.mmio().write(IO_APIC, 4, 0);
      values.add(machine.mmio().read(IO_APIC + 0x10, 4));
    }
    return values;
  }

  private static final long IO_APIC = 0xfec0_0000L;

  private static int config(Machine machine, int device, int register) {
    machine.ports().out(0xcf8, 4, 1 << 31 | device << 11 | register);
    return machine.ports().in(0xcfc, 4);
  }

  private static void setConfig(Machine machine, int device, int register, int value) {
    machine.ports().out(0xcf8, 4, 1 << 31 | device << 11 | register);
    machine.ports().out(0xcfc, 4, value);
  }

  /** Where a virtio device's registers are: its first base address in memory. */
  private static long bar(Machine machine, int device) {
    for (int register = 0x10; register < 0x28; register += 4) {
      int value = config(machine, device, register);
      if (value != 0) {
        return value & 0xffff_fff0L;
      }
    }
    throw new AssertionError("device " + device + " has no base address");
  }

  @ParameterizedTest
  @EnumSource(names = {"KERNEL", "SPLIT", "USER"})
  void devices_are_as_at_power_on_after_a_reset(MachineConfig.Chips chips)
      throws GuestImageException, InterruptedException {
    MachineConfig.Devices devices =
        new MachineConfig.Devices(MachineConfig.Virtio.PCI, List.of(), b -> {}, true, false);
    try (Machine machine = machine(1, chips, devices)) {
      final List<Long> before = registers(machine, chips);
      PortBus ports = machine.ports();
      ports.out(0x3f9, 1, 0x05);
      ports.out(0x3fb, 1, 0x1b);
      ports.out(0x3fc, 1, 0x0b);
      ports.out(0x3ff, 1, 0x55);
      ports.out(0x602, 2, 0x0100);
      if (chips.inUserSpace()) {
        ports.out(0x21, 1, 0x5a);
        ports.out(0xa1, 1, 0xa5);
        ports.out(0x4d0, 1, 0x20);
        ports.out(0x4d1, 1, 0x0c);
      }
      if (chips == MachineConfig.Chips.SPLIT) {
        machine.mmio().write(IO_APIC, 4, 0x12);
        machine.mmio().write(IO_APIC + 0x10, 4, 0x31);
      }
      for (int device = 1; device < 3; device++) {
        long common = bar(machine, device);
        machine.mmio().write(common, 4, 1);
        machine.mmio().write(common + 0x14, 1, 3); // ACKNOWLEDGE, DRIVER
        machine.mmio().write(common + 0x18, 2, 8);
        machine.mmio().write(common + 0x16, 2, 1);
        for (int register = 0x10; register < 0x28; register += 4) {
          if (config(machine, device, register) != 0) {
            setConfig(machine, device, register, 0xe800_0000 + (device << 20));
          }
        }
        setConfig(machine, device, 4, 0x406); // bus master, memory, no INTx
        setConfig(machine, device, 0x3c, 7);
      }
      assertNotEquals(before, registers(machine, chips));
      int[] ends = {0xe6, 0xf4, 0xf4}; // out 0xf4, al
      int[] counts = {0xfe, 0x06, 0x00, 0x06, 0x80, 0x3e, 0x00, 0x06, 0x02, 0x74, 0};
      int[] reset = Way.RESET_CONTROL_HARD.code;
      int[] spins = {0xeb, 0xfe};
      counts[10] = reset.length + spins.length;
      Ending ending = run(machine, true, counts, reset, spins, ends);
      assertEquals(Ending.Kind.DEBUG_EXIT, ending.kind(), ending.message());
      assertEquals(2, machine.memory().getByte(0x600));
      assertEquals(before, registers(machine, chips));
    }
  }
}
