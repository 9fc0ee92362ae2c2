package org.kvm4j.vmm;

import java.security.SecureRandom;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.MemorySlot;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.uapi.Uapi;
import org.kvm4j.vmm.acpi.AcpiMachine;
import org.kvm4j.vmm.acpi.AcpiTables;
import org.kvm4j.vmm.device.AcpiPowerManagement;
import org.kvm4j.vmm.device.CmosRtc;
import org.kvm4j.vmm.device.DebugConsolePort;
import org.kvm4j.vmm.device.DebugExitPort;
import org.kvm4j.vmm.device.EchoDevice;
import org.kvm4j.vmm.device.FwCfg;
import org.kvm4j.vmm.device.InterruptLine;
import org.kvm4j.vmm.device.KeyboardController;
import org.kvm4j.vmm.device.MmioBus;
import org.kvm4j.vmm.device.Pit8254;
import org.kvm4j.vmm.device.PortBus;
import org.kvm4j.vmm.device.PostPort;
import org.kvm4j.vmm.device.ResetVector;
import org.kvm4j.vmm.device.SharedLine;
import org.kvm4j.vmm.device.SystemControlPortA;
import org.kvm4j.vmm.device.SystemControlPortB;
import org.kvm4j.vmm.device.TestDevice;
import org.kvm4j.vmm.device.Timer;
import org.kvm4j.vmm.device.Uart16550;
import org.kvm4j.vmm.device.VmClock;
import org.kvm4j.vmm.irqchip.KernelBus;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.MemoryRange;
import org.kvm4j.vmm.pci.PciBus;
import org.kvm4j.vmm.pci.PciConfigPorts;
import org.kvm4j.vmm.pci.PciExpressConfig;
import org.kvm4j.vmm.pci.PciHostBridge;
import org.kvm4j.vmm.virtio.VirtioBlock;
import org.kvm4j.vmm.virtio.VirtioConsole;
import org.kvm4j.vmm.virtio.VirtioDevice;
import org.kvm4j.vmm.virtio.VirtioEntropy;
import org.kvm4j.vmm.virtio.VirtioMmio;
import org.kvm4j.vmm.virtio.VirtioPci;

/**
 * The machine's devices: which there are, where each is, and which interrupt it has. The ACPI
 * tables tell the guest the same.
 */
final class Board implements AutoCloseable {

  /** The pins of the kernel's I/O APIC, which are the global system interrupts. */
  private static final int GSIS = 24;

  private static final int TIMER_IRQ = 0;
  private static final int SERIAL_IRQ = 4;
  private static final int RTC_IRQ = 8;
  private static final int SCI_IRQ = 9;

  /** For what is not on the ISA bus. */
  private static final List<Integer> FREE_GSIS = List.of(16, 17, 18, 19, 20, 21, 22, 23);

  /** For the same where there are PICs alone. */
  private static final List<Integer> FREE_IRQS = List.of(10, 11, 5);

  private static final long PCI_CONFIG = 0xe000_0000L;
  private static final long PCI_WINDOW = 0xe100_0000L;
  private static final long PCI_WINDOW_END = 0xfe00_0000L;
  private static final long VIRTIO_MMIO = 0xfeb0_0000L;

  private final MachineConfig config;
  private final Vm vm;
  private final MachineConfig.Chips chips;
  private final @Nullable UserChips userChips;
  private final GuestRam memory;
  private final Surroundings machine;

  private final PortBus ports = new PortBus();
  private final MmioBus mmio = new MmioBus();
  private final PciBus pci = new PciBus(PCI_WINDOW, PCI_WINDOW_END - PCI_WINDOW);
  private final SharedLine[] lines = new SharedLine[GSIS];

  private final Uart16550 serial;
  private final SystemControlPortA portA = new SystemControlPortA(this::softReset);
  private final PostPort post = new PostPort();
  private final AcpiPowerManagement power;
  private final CmosRtc realTimeClock;
  private final InterruptLine clockInterrupt;
  private final @Nullable VirtioConsole console;

  private int virtioDevices;
  private final List<AcpiMachine.VirtioMmio> virtioMmio = new ArrayList<>();
  private final List<DeviceThread> threads = new ArrayList<>();

  /** Null under the virtual clock: nothing wakes a device there but the guest. */
  private final @Nullable DeviceTimers timers;

  /** How the devices reach the rest of the machine. */
  interface Surroundings {
    /** The guest resets the machine, or its processors. */
    void reset(Restart how);

    /** The guest ends the machine. */
    void end(Ending ending);

    /** The guest goes to sleep state S3. */
    void suspend();

    /** The guest is to wake from it. */
    void wake();

    /** A device failed. */
    void failed(Throwable cause);
  }

  /**
   * @param chips where the interrupt chips are
   * @param userChips those that are the VMM's, if any are
   * @param kernelTimer whether the kernel has the timer
   */
  Board(
      MachineConfig config,
      Vm vm,
      MachineConfig.Chips chips,
      @Nullable UserChips userChips,
      boolean kernelTimer,
      GuestRam memory,
      VmClock clock,
      Surroundings machine) {
    this.config = config;
    this.vm = vm;
    this.chips = chips;
    this.userChips = userChips;
    this.memory = memory;
    this.machine = machine;
    timers = config.virtualClock() ? null : new DeviceTimers(machine::failed);
    for (int gsi = 0; gsi < GSIS; gsi++) {
      lines[gsi] = new SharedLine(wire(gsi));
    }
    serial = new Uart16550(config.serial(), line(SERIAL_IRQ));
    power =
        new AcpiPowerManagement(
            clock,
            line(SCI_IRQ),
            new AcpiPowerManagement.SleepStates() {
              @Override
              public void powerOff() {
                machine.end(Ending.of(Ending.Kind.POWERED_OFF, "the guest powered off"));
              }

              @Override
              public void suspend() {
                machine.suspend();
              }

              @Override
              public void wake() {
                machine.wake();
              }
            });
    clockInterrupt = line(RTC_IRQ);
    realTimeClock =
        new CmosRtc(
            clock,
            config.bootTime(),
            memory.lowSize(),
            memory.highSize(),
            this::clockInterrupt,
            timers == null ? Timer.NEVER : timers);
    attachPc(clock, kernelTimer);
    attachPci();
    attachFwCfg();
    if (config.devices().tests()) {
      attachTestDevices();
    }
    console = attachVirtio();
    pci.assignAddresses();
    if (acpiTables() != 0) {
      AcpiTables.write(memory, describe());
    }
  }

  private InterruptLine wire(int gsi) {
    UserChips mine = userChips;
    if (mine != null) {
      return level -> mine.setLine(gsi, level);
    }
    return chips == MachineConfig.Chips.KERNEL
        ? level -> vm.irqLine(gsi, level ? 1 : 0)
        : InterruptLine.NONE;
  }

  private InterruptLine line(int gsi) {
    return lines[gsi].end();
  }

  /** It also is an event of power management, for a guest that sleeps. */
  private void clockInterrupt(boolean level) {
    clockInterrupt.set(level);
    if (level) {
      power.clockAlarm();
    }
  }

  private void softReset() {
    machine.reset(Restart.SOFT);
  }

  private void hardReset() {
    machine.reset(Restart.HARD);
  }

  /**
   * Takes over what a reset leaves of the devices that were there before.
   *
   * @param all whether the whole machine was reset, and not its processors alone
   */
  void keep(Board before, boolean all) {
    realTimeClock.keep(before.realTimeClock);
    VirtioConsole port = console;
    VirtioConsole old = before.console;
    if (port != null && old != null) {
      port.keepSize(old);
    }
    if (!all) {
      portA.restore(before.portA.value());
    }
  }

  /** Takes all devices from their wires. */
  void lowerLines() {
    for (int gsi = 0; gsi < GSIS; gsi++) {
      wire(gsi).set(false);
    }
  }

  private void attachPc(VmClock clock, boolean kernelTimer) {
    ports.attach(Uart16550.COM1, Uart16550.PORTS, serial, "serial port");
    if (!config.devices().tests()) { // which have a register there
      ports.attach(
          DebugConsolePort.PORT, 1, new DebugConsolePort(config.serial()), "debug console");
    }
    ports.attach(
        DebugExitPort.PORT,
        DebugExitPort.PORTS,
        new DebugExitPort(
            code ->
                machine.end(
                    new Ending(Ending.Kind.DEBUG_EXIT, code, "the guest ended with code " + code))),
        "debug exit");
    ports.attach(PostPort.PORT, 1, post, "POST codes");
    KeyboardController keyboard = new KeyboardController(this::softReset);
    ports.attach(KeyboardController.DATA_PORT, 1, keyboard.dataPort(), "keyboard");
    ports.attach(KeyboardController.COMMAND_PORT, 1, keyboard.commandPort(), "keyboard");
    ports.attach(SystemControlPortA.PORT, 1, portA, "A20 and reset");
    ports.attach(
        ResetVector.PORT,
        1,
        new ResetVector(() -> machine.reset(Restart.FIRMWARE)),
        "reset vector");
    ports.attach(CmosRtc.PORT, CmosRtc.PORTS, realTimeClock, "CMOS");
    if (!kernelTimer) {
      Pit8254 timer =
          userChips == null || timers == null
              ? new Pit8254(clock)
              : new Pit8254(clock, line(TIMER_IRQ), timers);
      ports.attach(Pit8254.PORT, Pit8254.PORTS, timer, "timer");
      ports.attach(SystemControlPortB.PORT, 1, new SystemControlPortB(timer, clock), "timer gate");
    }
    if (userChips != null) {
      userChips.attach(ports, mmio);
    }
    ports.attach(AcpiPowerManagement.PORT, AcpiPowerManagement.PORTS, power, "power management");
    mmio.attach(EchoDevice.ADDRESS, EchoDevice.SIZE, new EchoDevice(), "echo device");
  }

  private void attachPci() {
    pci.attach(0, 0, new PciHostBridge());
    ports.attach(
        PciConfigPorts.PORT,
        PciConfigPorts.PORTS,
        new PciConfigPorts(pci, this::softReset, this::hardReset),
        "PCI");
    mmio.attach(PCI_CONFIG, PciExpressConfig.SIZE, new PciExpressConfig(pci), "PCI configuration");
    mmio.attach(pci.windowStart(), pci.windowSize(), pci, "PCI devices");
    memory.reserve(new MemoryRange(PCI_CONFIG, PciExpressConfig.SIZE, MemoryRange.RESERVED));
  }

  private void attachFwCfg() {
    FwCfg firmware = new FwCfg(memory);
    firmware.put(FwCfg.RAM_SIZE, memory.size(), 8);
    firmware.put(FwCfg.CPUS, config.cpus(), 2);
    firmware.put(FwCfg.MAX_CPUS, config.cpus(), 2);
    ports.attach(FwCfg.PORT, FwCfg.PORTS, firmware, "firmware configuration");
  }

  private void attachTestDevices() {
    TestDevice tests = new TestDevice();
    ports.attach(TestDevice.PORT, TestDevice.PORTS, tests.ports(this::mapAnew), "test device");
    ports.attach(
        TestDevice.IRQ_PORT, TestDevice.IRQ_PORTS, TestDevice.lines(this::line), "test interrupts");
    mmio.attach(TestDevice.MEMORY, TestDevice.MEMORY_SIZE, tests.memory(), "test memory");
  }

  /**
   * Has the guest's next write to a page find its nested mapping wanting. The kernel write-protects
   * a slot whose changes it is to log; when it need not any more, each page gives one violation.
   */
  private void mapAnew(long address) {
    for (MemorySlot slot : vm.memorySlots()) {
      long start = slot.guestPhysicalAddress();
      if (address >= start && address < start + slot.size()) {
        for (int flags : new int[] {Uapi.KVM_MEM_LOG_DIRTY_PAGES, 0}) {
          vm.setUserMemoryRegion(slot.slot(), flags, start, slot.size(), slot.userspaceAddress());
        }
      }
    }
  }

  private @Nullable VirtioConsole attachVirtio() {
    MachineConfig.Devices devices = config.devices();
    for (MachineConfig.Disk disk : devices.disks()) {
      attachVirtio(new VirtioBlock(disk.storage(), disk.serial()));
    }
    Uart16550.Sink sink = devices.console();
    VirtioConsole port = sink == null ? null : new VirtioConsole(sink::accept, 0, 0);
    if (port != null) {
      attachVirtio(port);
    }
    if (devices.entropy()) {
      // Under the virtual clock every run is to get the same.
      attachVirtio(
          new VirtioEntropy(config.virtualClock() ? new SplittableRandom(1) : new SecureRandom()));
    }
    return port;
  }

  private void attachVirtio(VirtioDevice device) {
    int number = ++virtioDevices;
    Executor executor = executor(device);
    if (config.devices().virtio() == MachineConfig.Virtio.PCI) {
      pci.attach(
          number, 0, new VirtioPci(device, memory, executor, this::signal, line(freeGsi(number))));
      return;
    }
    long address = VIRTIO_MMIO + (long) (number - 1) * VirtioMmio.SIZE;
    int gsi = freeGsi(number);
    mmio.attach(
        address,
        VirtioMmio.SIZE,
        new VirtioMmio(device, memory, executor, line(gsi)),
        device.name());
    virtioMmio.add(new AcpiMachine.VirtioMmio(address, VirtioMmio.SIZE, gsi));
  }

  private List<Integer> freeGsis() {
    return chips == MachineConfig.Chips.USER ? FREE_IRQS : FREE_GSIS;
  }

  private int freeGsi(int number) {
    return freeGsis().get(number % freeGsis().size());
  }

  /** A thread of its own, but under the virtual clock, where all happens in the guest's time. */
  private Executor executor(VirtioDevice device) {
    if (config.virtualClock()) {
      return Runnable::run;
    }
    DeviceThread thread = new DeviceThread(device.name(), machine::failed);
    threads.add(thread);
    return thread;
  }

  private void signal(long address, int data) {
    if (chips == MachineConfig.Chips.KERNEL || chips == MachineConfig.Chips.SPLIT) {
      KernelBus.send(vm, address, data);
    }
  }

  private AcpiMachine describe() {
    return new AcpiMachine(
        config.cpus(),
        SCI_IRQ,
        SERIAL_IRQ,
        RTC_IRQ,
        chips != MachineConfig.Chips.USER,
        new AcpiMachine.Pci(
            PCI_CONFIG, PciExpressConfig.SIZE, pci.windowStart(), pci.windowSize(), freeGsis()),
        virtioMmio);
  }

  /** Where the root pointer of the ACPI tables is; 0 if there is not memory enough for them. */
  long acpiTables() {
    boolean fit = memory.contains(AcpiTables.ADDRESS, AcpiTables.END - AcpiTables.ADDRESS);
    return fit ? AcpiTables.ADDRESS : 0;
  }

  PortBus ports() {
    return ports;
  }

  MmioBus mmio() {
    return mmio;
  }

  Uart16550 serial() {
    return serial;
  }

  PostPort post() {
    return post;
  }

  CmosRtc realTimeClock() {
    return realTimeClock;
  }

  AcpiPowerManagement power() {
    return power;
  }

  /** The virtio console; null if there is none. */
  @Nullable VirtioConsole console() {
    return console;
  }

  /** Lets the devices finish what they have begun. */
  @Override
  public void close() {
    serial.detach();
    if (console != null) {
      console.detach();
    }
    if (timers != null) {
      timers.close();
    }
    threads.forEach(DeviceThread::close);
  }
}
