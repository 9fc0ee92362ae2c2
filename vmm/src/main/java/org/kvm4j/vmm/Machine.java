package org.kvm4j.vmm;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Irqchip;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.MsrEntry;
import org.kvm4j.kvm.PicState;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Statistic;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Uapi;
import org.kvm4j.vmm.boot.BootState;
import org.kvm4j.vmm.boot.GuestImageException;
import org.kvm4j.vmm.device.MmioBus;
import org.kvm4j.vmm.device.PortBus;
import org.kvm4j.vmm.device.ResetVector;
import org.kvm4j.vmm.device.VmClock;
import org.kvm4j.vmm.irqchip.IoApic;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.virtio.VirtioConsole;

/**
 * The reference machine: memory, processors and the devices of a small PC, on a kernel's {@code
 * /dev/kvm}.
 *
 * <p>Its life: construct it, load a guest into {@link #memory}, {@link #boot}, {@link #run}, {@link
 * #close}. {@link #end} stops it from any thread.
 */
public final class Machine implements AutoCloseable {

  /** Where Intel hosts have three pages and one for real-mode guests: below the end of 4 GB. */
  private static final int TSS_ADDRESS = 0xfffb_d000;

  private static final long IDENTITY_MAP_ADDRESS = 0xfffb_c000L;

  // SDM 13.11.2.1 "IA32_MTRR_DEF_TYPE MSR".
  private static final int MTRR_DEF_TYPE = 0x2ff;
  private static final int MTRR_ENABLED = 1 << 11;
  private static final int WRITE_BACK = 6;

  /** The name under which the emulated kernel gives the instructions that a vCPU retired. */
  private static final String INSTRUCTIONS = "instructions";

  /** The slot of the page of the reset vector; those before are RAM. */
  private static final int RESET_SLOT = 2;

  private final MachineConfig config;
  private final boolean kernelTimer;

  /** Where the chips are, in the end. */
  private final MachineConfig.Chips chips;

  private final @Nullable UserChips userChips;
  private final Deque<AutoCloseable> open = new ArrayDeque<>();
  private final Vm vm;
  private final GuestRam memory;

  /** The end of 4 GB, where processors start after INIT. */
  private final MappedMemory resetPage;

  private final List<Vcpu> vcpus = new ArrayList<>();
  private boolean sse;
  private volatile Board board;
  private final @Nullable GuestClock guestClock;
  private final Firmware firmware;

  private final List<ExitStatistics> statistics = new ArrayList<>();

  private final AtomicReference<@Nullable Ending> ending = new AtomicReference<>();
  private final AtomicInteger runningCpus = new AtomicInteger();
  private final Suspension suspension =
      new Suspension(
          this::vcpuThreads,
          this::running,
          new Suspension.Steps() {
            @Override
            public void asleep() {
              passSleep();
            }

            @Override
            public void wake() {
              resume();
            }
          });
  private final CountDownLatch ended = new CountDownLatch(1);

  /** That the vCPUs' threads are to end for the machine to go on otherwise. */
  private final AtomicReference<@Nullable Restart> restart = new AtomicReference<>();

  /** That they are to end, for that or for good. */
  private volatile CountDownLatch stop = new CountDownLatch(1);

  /** Loads a guest. */
  @FunctionalInterface
  public interface Loader {
    /**
     * Loads it into the machine's memory.
     *
     * @return how it starts
     */
    BootState load() throws GuestImageException;
  }

  /** The vCPUs whose threads have not come to the kernel yet. */
  private volatile CountDownLatch toCome = new CountDownLatch(0);

  private volatile @Nullable Throwable failure;
  private long wallNanos;

  /**
   * Makes the machine.
   *
   * @param kernel stays open when the machine is closed
   * @throws KvmException if the kernel refuses any of it
   */
  public Machine(Kernel kernel, MachineConfig config) {
    this.config = config;
    boolean made = false;
    try {
      config.devices().disks().forEach(disk -> opened(disk.storage()));
      Kvm kvm = opened(Kvm.open(kernel));
      vm = opened(kvm.createVm());
      chips = chips(kvm);
      if (kvm.checkExtension(Caps.KVM_CAP_SET_TSS_ADDR) > 0) {
        vm.setTssAddr(TSS_ADDRESS);
      }
      if (kvm.checkExtension(Caps.KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0) {
        vm.setIdentityMapAddr(IDENTITY_MAP_ADDRESS);
      }
      boolean kernelChips = chips == MachineConfig.Chips.KERNEL;
      if (kernelChips) {
        vm.createIrqchip();
        initializePics();
      } else if (chips == MachineConfig.Chips.SPLIT) {
        vm.enableCap(Caps.KVM_CAP_SPLIT_IRQCHIP, IoApic.PINS);
      }
      memory = makeMemory(kernel);
      resetPage = opened(MappedMemory.allocate(kernel, MachineConfig.PAGE_SIZE));
      vm.setUserMemoryRegion(
          RESET_SLOT, 0, ResetVector.PAGE, MachineConfig.PAGE_SIZE, resetPage.address());
      boolean kernelTimer = kernelChips && kvm.checkExtension(Caps.KVM_CAP_PIT2) > 0;
      if (kernelTimer) {
        vm.createPit2(Uapi.KVM_PIT_SPEAKER_DUMMY);
      }
      makeVcpus(kvm);
      userChips = chips.inUserSpace() ? new UserChips(vm, vcpus.get(0), localApics()) : null;
      firmware =
          new Firmware(
              memory,
              vcpus,
              kvm.getMsrIndexList(),
              new PowerOnState(vm, vcpus, kernelChips, localApics(), kernelTimer),
              userChips);
      guestClock = config.virtualClock() ? new GuestClock(vm, vcpus) : null;
      this.kernelTimer = kernelTimer;
      board = opened(makeBoard());
      made = true;
    } finally {
      if (!made) {
        close();
      }
    }
  }

  private Board makeBoard() {
    resetPage.memory().write(ResetVector.OFFSET, ResetVector.code(), 0, ResetVector.code().length);
    if (memory.contains(ResetVector.LOW, 16)) {
      memory.write(ResetVector.LOW, ResetVector.code());
    }
    GuestClock clock = guestClock;
    return new Board(
        config,
        vm,
        chips,
        userChips,
        kernelTimer,
        memory,
        clock != null ? clock : VmClock.host(),
        new Board.Surroundings() {
          @Override
          public void reset(Restart how) {
            Machine.this.reset(how);
          }

          @Override
          public void end(Ending ending) {
            Machine.this.end(ending);
          }

          @Override
          public void suspend() {
            Machine.this.suspend();
          }

          @Override
          public void wake() {
            suspension.wake();
          }

          @Override
          public void failed(Throwable cause) {
            Machine.this.failed(cause);
          }
        });
  }

  private MachineConfig.Chips chips(Kvm kvm) {
    if (config.chips() != MachineConfig.Chips.KERNEL
        || kvm.checkExtension(Caps.KVM_CAP_IRQCHIP) > 0) {
      return config.chips();
    }
    return config.startAllCpus() || config.cpus() > 1 || config.virtualClock()
        ? MachineConfig.Chips.NONE
        : MachineConfig.Chips.USER;
  }

  /** Whether the kernel has local APICs. */
  private boolean localApics() {
    return chips == MachineConfig.Chips.KERNEL || chips == MachineConfig.Chips.SPLIT;
  }

  private <T extends AutoCloseable> T opened(T resource) {
    open.push(resource);
    return resource;
  }

  private GuestRam makeMemory(Kernel kernel) {
    long lowSize = GuestRam.lowSize(config.memorySize());
    long highSize = GuestRam.highSize(config.memorySize());
    MappedMemory low = opened(MappedMemory.allocate(kernel, lowSize));
    vm.setUserMemoryRegion(0, 0, 0, lowSize, low.address());
    if (highSize == 0) {
      return new GuestRam(low.memory(), null);
    }
    MappedMemory high = opened(MappedMemory.allocate(kernel, highSize));
    vm.setUserMemoryRegion(1, 0, GuestRam.HOLE_END, highSize, high.address());
    return new GuestRam(low.memory(), high.memory());
  }

  /**
   * Has the interrupts of the two PICs where a BIOS puts them, for guests that do not initialize
   * them: vectors 0x08 to 0x0f and 0x70 to 0x77.
   */
  private void initializePics() {
    int[] chips = {Uapi.KVM_IRQCHIP_PIC_MASTER, Uapi.KVM_IRQCHIP_PIC_SLAVE};
    int[] vectors = {0x08, 0x70};
    for (int i = 0; i < chips.length; i++) {
      Irqchip chip = vm.getIrqchip(chips[i]);
      PicState state = chip.pic();
      state.irqBase = vectors[i];
      state.init4 = 1; // ICW4 was given
      chip.setPic(state);
      vm.setIrqchip(chip);
    }
  }

  private void makeVcpus(Kvm kvm) {
    List<CpuidEntry> supported = kvm.getSupportedCpuid();
    sse = GuestCpuid.hasSse(supported);
    boolean tscDeadline = localApics() && kvm.checkExtension(Caps.KVM_CAP_TSC_DEADLINE_TIMER) > 0;
    for (int i = 0; i < config.cpus(); i++) {
      Vcpu vcpu = opened(vm.createVcpu(i));
      vcpu.setCpuid2(
          GuestCpuid.of(supported, i, config.cpus(), localApics(), tscDeadline, config.hidden()));
      vcpus.add(vcpu);
    }
  }

  /** The guest's memory. */
  public GuestRam memory() {
    return memory;
  }

  /**
   * The guest-physical address of the ACPI tables' root pointer; 0 if there is not memory enough
   * for tables.
   */
  public long acpiTables() {
    return board.acpiTables();
  }

  /**
   * Gives the guest a byte of input, 0 to 255, through its virtio console, or its serial port if it
   * has none; waits until there is room for it. Bytes that the devices hold when the machine is
   * reset are lost.
   */
  public void receive(int value) throws InterruptedException {
    VirtioConsole port = board.console();
    if (port != null) {
      port.receive(value);
    } else {
      board.serial().receive(value);
    }
  }

  /** The machine's virtio console, until the next reset; null if it has none. */
  public @Nullable VirtioConsole console() {
    return board.console();
  }

  /** Asks the guest to power off, as one who presses the power button for a moment. */
  public void pressPowerButton() {
    board.power().pressPowerButton();
  }

  /** The devices behind ports. */
  public PortBus ports() {
    return board.ports();
  }

  /** The devices in memory. */
  public MmioBus mmio() {
    return board.mmio();
  }

  /** The last code that the guest wrote to port 0x80; -1 if none. */
  public int lastPostCode() {
    return board.post().lastCode();
  }

  /** Sets the processors to where the guest starts. */
  public void boot(BootState state) {
    for (Vcpu vcpu : vcpus) {
      // As firmware leaves it; a processor that has no MTRRs takes none.
      vcpu.setMsrs(List.of(new MsrEntry(MTRR_DEF_TYPE, MTRR_ENABLED | WRITE_BACK)));
      if (vcpu.id() > 0 && !config.startAllCpus()) {
        continue;
      }
      Sregs sregs = vcpu.getSregs();
      state.applyTo(sregs, sse);
      vcpu.setSregs(sregs);
      Regs regs = state.regs();
      regs.rdi = vcpu.id();
      vcpu.setRegs(regs);
    }
  }

  /**
   * Runs the guest until it ends, or {@link #end} stops it.
   *
   * @return why it ended
   * @throws InterruptedException if this thread is interrupted; the machine is stopped then
   */
  public Ending run() throws InterruptedException {
    long started = System.nanoTime();
    try {
      while (true) {
        List<Thread> threads = startVcpus();
        try {
          stop.await();
        } catch (InterruptedException e) {
          end(Ending.of(Ending.Kind.INTERRUPTED, "stopped"));
          throw e;
        } finally {
          join(threads);
        }
        Ending result = ending.get();
        if (result != null) {
          return result;
        }
        restart();
      }
    } finally {
      wallNanos = System.nanoTime() - started;
    }
  }

  private List<Thread> startVcpus() {
    List<Thread> threads = new ArrayList<>();
    ExitHandler handler = new ExitHandler(board.ports(), board.mmio(), this::endedInterrupt);
    for (Vcpu vcpu : vcpus) {
      // Without local APICs in the kernel nothing can start a processor that waits.
      if (vcpu.id() > 0 && !config.startAllCpus() && !localApics()) {
        continue;
      }
      ExitStatistics counters = config.statistics() ? new ExitStatistics() : null;
      if (counters != null) {
        statistics.add(counters);
      }
      threads.add(
          new Thread(
              new VcpuLoop(this, vcpu, handler, counters, config.listener(), external(vcpu)),
              "vcpu-" + vcpu.id()));
    }
    runningCpus.set(threads.size());
    toCome = new CountDownLatch(threads.size());
    threads.forEach(Thread::start);
    return threads;
  }

  /** Has a reset load the guest anew, and not end the machine. To be said before {@link #boot}. */
  public void restartWith(Loader again) {
    firmware.restartWith(again);
  }

  /** The guest resets the machine. */
  private void reset(Restart how) {
    if (!firmware.restarts(how, board.realTimeClock())) {
      endByReset();
    } else if (restart.compareAndSet(null, how)) {
      suspension.ended(); // a processor may wait there for this one, whose thread ends now
      kickAll();
      stop.countDown();
    }
  }

  /** Does what firmware does after a reset. No vCPU's thread runs. */
  private void restart() {
    Restart how = restart.get();
    suspension.cancel();
    if (how == null || !firmware.resumesAfterReset(how, board.realTimeClock())) {
      if (firmware.startsAnew()) {
        startAnew(how == Restart.HARD);
      } else { // another processor has changed the shutdown code since
        endByReset();
      }
    }
    stop = new CountDownLatch(1);
    restart.set(null);
    if (ending.get() != null) {
      stop.countDown(); // it came before there was a new one to count down
    }
  }

  private void endByReset() {
    end(Ending.of(Ending.Kind.RESET, "the guest reset the machine"));
  }

  private void startAnew(boolean all) {
    Board before = board;
    before.close();
    before.lowerLines();
    firmware.reset();
    Board after = makeBoard();
    after.keep(before, all);
    open.remove(before);
    board = opened(after);
    try {
      boot(firmware.load());
    } catch (GuestImageException e) {
      end(Ending.of(Ending.Kind.FAILURE, "after the reset: " + e.getMessage()));
    }
  }

  /** Waits for the vCPUs' threads, and kicks them again should they not come. */
  private void join(List<Thread> threads) {
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join(1000);
          if (thread.isAlive()) {
            kickAll();
          }
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /**
   * Stops the machine. The first reason given counts.
   *
   * @param reason why
   */
  public void end(Ending reason) {
    if (ending.compareAndSet(null, reason)) {
      kickAll();
      suspension.ended();
      ended.countDown();
      stop.countDown();
    }
  }

  private void endedInterrupt(int vector) {
    UserChips mine = userChips;
    if (mine != null) {
      mine.ended(vector);
    }
  }

  private @Nullable ExternalInterrupts external(Vcpu vcpu) {
    UserChips mine = userChips;
    return mine != null && mine.external().vcpu() == vcpu ? mine.external() : null;
  }

  private void kickAll() {
    UserChips mine = userChips;
    if (mine != null) {
      mine.external().nudge();
    }
    for (Vcpu vcpu : vcpus) {
      try {
        vcpu.kick();
      } catch (IllegalStateException e) {
        // Closed: it does not run.
      }
    }
  }

  /**
   * Waits until the machine has been told to stop.
   *
   * @return false if it has not, when the time is over
   */
  public boolean awaitEnd(Duration time) throws InterruptedException {
    return ended.await(time.toNanos(), TimeUnit.NANOSECONDS);
  }

  /**
   * A vCPU's thread starts. Under the virtual clock nothing may depend on which one starts first:
   * the kernel is to know all before any enters the guest.
   */
  void entered(Vcpu vcpu) throws InterruptedException {
    if (guestClock != null) {
      guestClock.enter(vcpu);
      try {
        vcpu.kick(); // so that this run ends at once
        vcpu.runRaw();
      } finally {
        toCome.countDown();
      }
      toCome.await();
    }
  }

  boolean running() {
    return ending.get() == null && restart.get() == null;
  }

  /** Whether a vCPU is to run on; while the machine sleeps, its thread waits here. */
  boolean runs(Vcpu vcpu) {
    if (suspension.isRequested()) {
      suspension.sleep(vcpu);
    }
    return running();
  }

  /** Whether it neither has ended nor is to go to sleep. */
  boolean isAwake() {
    return running() && !suspension.isRequested();
  }

  private int vcpuThreads() {
    return runningCpus.get();
  }

  /** Sleep state S3. Processors of which some have ended cannot come together for it. */
  private void suspend() {
    if (localApics() || config.cpus() == 1) {
      suspension.request();
      kickAll();
    }
  }

  /** Under the virtual clock nothing else lets time pass while the machine sleeps. */
  private void passSleep() {
    GuestClock clock = guestClock;
    if (clock != null) {
      board.realTimeClock().passToInterrupt(clock::pass);
    }
  }

  /**
   * What firmware does: processors as after a reset, and the first goes on where the guest said.
   */
  private void resume() {
    if (!firmware.resumesAfterSleep(board.acpiTables() != 0)) {
      end(Ending.of(Ending.Kind.RESET, "the guest woke from S3 without a waking vector"));
    }
  }

  /** What a vCPU's exit says ends the machine; a triple fault resets it as others do. */
  void exited(Ending reason) {
    boolean resets = reason.kind() == Ending.Kind.SHUTDOWN || reason.kind() == Ending.Kind.RESET;
    if (resets && firmware.startsAnew()) {
      reset(Restart.HARD);
    } else {
      end(reason);
    }
  }

  /** A processor halted. When all have, nothing will ever happen again. */
  void halted() {
    if (runningCpus.decrementAndGet() == 0) {
      end(Ending.of(Ending.Kind.HALTED, "the guest halted"));
    }
  }

  /** Something in the VMM itself failed: it ends the machine. */
  void failed(Throwable cause) {
    failure = cause;
    end(Ending.of(Ending.Kind.FAILURE, "the VMM failed: " + cause));
  }

  /** What failed in the VMM, if {@link Ending.Kind#FAILURE} ended the machine. */
  public @Nullable Throwable failure() {
    return failure;
  }

  /** The exits of all processors; all 0 if they were not to be counted. */
  public ExitStatistics statistics() {
    ExitStatistics sum = new ExitStatistics();
    statistics.forEach(sum::add);
    return sum;
  }

  /** The processors' registers, in words. For when the machine has stopped. */
  public String describeCpus() {
    StringBuilder text = new StringBuilder();
    for (Vcpu vcpu : vcpus) {
      text.append(CpuDump.describe(vcpu)).append('\n');
    }
    return text.toString();
  }

  /** ns that {@link #run} took. */
  public long wallNanos() {
    return wallNanos;
  }

  /**
   * What the kernel itself counts, summed over all processors: its statistics' single values by
   * their names; empty if it has none.
   */
  public Map<String, Long> kernelStatistics() {
    Map<String, Long> sums = new LinkedHashMap<>();
    try {
      for (Vcpu vcpu : vcpus) {
        for (Statistic statistic : vcpu.readStatistics()) {
          if (statistic.values().length == 1) {
            sums.merge(statistic.name(), statistic.value(), Long::sum);
          }
        }
      }
    } catch (KvmException e) {
      return Map.of();
    }
    return sums;
  }

  /** The instructions that all processors retired, if the kernel counts them. */
  public OptionalLong instructions() {
    Long count = kernelStatistics().get(INSTRUCTIONS);
    return count == null ? OptionalLong.empty() : OptionalLong.of(count);
  }

  @Override
  public void close() {
    while (!open.isEmpty()) {
      try {
        open.pop().close();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    }
  }
}
