package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.kvm.module.emulate.Emulator;
import org.kvm4j.kvm.module.irqchip.InterruptChips;
import org.kvm4j.kvm.module.irqchip.LocalApic;
import org.kvm4j.kvm.module.vendor.ExecutedCode;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.module.vendor.VmExit;
import org.kvm4j.kvm.module.vendor.VmxVcpu;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * A virtual CPU: its descriptor, KVM_RUN, and what the module does with each exit. What the other
 * ioctls read and write is in {@link VcpuState}.
 *
 * <p>One KVM_RUN: finish what user space was asked for; then again and again inject what is due,
 * enter the guest, and handle the exit, until one is user space's. Source: Linux 6.1
 * kvm_arch_vcpu_ioctl_run, vcpu_run, vcpu_enter_guest, vmx_handle_exit.
 */
class VirtualCpu extends FileObject {

  final VmFile vm;
  private final int id;
  private final UserSpace user;
  private final HostMachine machine;
  private final VcpuPages pages;

  /** Where the pages that it writes are noted; null if the VM has bitmaps. */
  final @Nullable DirtyRing dirtyRing;

  private final ByteBuffer run;
  private final VendorVcpu vendor;
  private final Cpu cpu;

  /** Made when first needed, as it is a processor by itself. */
  private @Nullable Emulator emulator;

  final VmExit exit = new VmExit();
  private final VcpuState state;
  private final ReentrantLock lock = new ReentrantLock();
  private final long nested;
  final VcpuCpuid cpuid = new VcpuCpuid();
  final CpuidFaulting cpuidFaulting = new CpuidFaulting();

  /** AMD's hardware configuration register. */
  long hwcr;

  final VcpuEvents events;
  final VcpuStats stats = new VcpuStats();
  final GuestDebug debug;
  final VcpuInterrupts interrupts;
  final PvInterrupts apicShare;
  final VcpuPv pv;
  final GuestTsc tsc;
  final MachineCheck machineCheck;
  final KernelDevices devices;
  final VmTime.Seat seat;

  private final PagesWithoutMemory withoutMemory = new PagesWithoutMemory();
  final PortIo ports;
  private final MsrExits msrs;
  private @Nullable Emulation emulation;
  private final Hypercalls hypercalls;

  /** What is left to do of the last exit to user space, and where the guest was then. */
  private Completion completion = Completion.NOTHING;

  private long completionRip;

  private volatile String diagnosis = "";

  /** What the ioctl broke that is being refused; "" if there are no words for it. */
  private String refusal = "";

  /** KVM_MP_STATE_*. */
  private int mpState;

  /** HLT does not exit. */
  private final boolean haltsInGuest;

  boolean hasRun;

  /** The descriptor is closed. */
  private volatile boolean released;

  /** Nothing of the vCPU is left. Guarded by the lock. */
  private boolean destroyed;

  private volatile boolean flushRequested;

  /**
   * Whether it uses the nested tables. Set before {@link #flushRequested} is read, which is set
   * before this is read.
   */
  private final AtomicBoolean inGuest = new AtomicBoolean();

  private volatile boolean filterChanged;

  /** The thread in its KVM_RUN, as that thread sees it; others may see anything but themselves. */
  private @Nullable HostThread thread;

  /** A virtual CPU of the machine's virtualization hardware. */
  static VirtualCpu create(VmFile vm, int id) {
    HostMachine machine = vm.kernel.machine();
    LogicalProcessor processor =
        new LogicalProcessor(
            machine.model(), vm.processorMemory(), new GuestPlatform(machine, vm.time, id));
    if (machine.engine() == Engine.TRANSLATOR
        || machine.engine() == Engine.MACHINE_CODE
            && !processor.engine.makeMachineCode(vm.machineCode())) {
      processor.engine.translate();
    }
    machine.made(processor, id);
    VmxVcpu vmx = new VmxVcpu(processor, machine.frames(), machine.newVpid());
    return new VirtualCpu(vm, id, vmx).poweredUp();
  }

  /** With local APICs only the bootstrap processor runs by itself. */
  final VirtualCpu poweredUp() {
    if (interrupts.hasApic() && vm.bootCpu() != id) {
      setMpState(Uapi.KVM_MP_STATE_UNINITIALIZED);
    }
    return this;
  }

  VirtualCpu(VmFile vm, int id, VendorVcpu vendor) {
    this.vm = vm;
    this.id = id;
    this.user = vm.user;
    this.machine = vm.kernel.machine();
    this.dirtyRing = vm.dirtyPages.newRing(machine.memory());
    this.pages = new VcpuPages(machine.memory(), vm.ringPages, dirtyRing);
    this.run = pages.run;
    this.vendor = vendor;
    this.cpu = vendor.cpu();
    this.haltsInGuest = vm.haltsInGuest();
    vendor.setHltExiting(!haltsInGuest);
    vendor.setPauseExiting(vm.pausesInGuest() ? 0 : vm.time.spinWindow(), vm.time.spinGap());
    this.seat = vm.time.seat(cpu);
    this.interrupts = new VcpuInterrupts(this);
    this.apicShare = new PvInterrupts(this);
    this.pv = new VcpuPv(this);
    this.tsc = new GuestTsc(this, vendor);
    this.machineCheck = new MachineCheck(this);
    this.devices = new KernelDevices(vm, interrupts);
    this.nested = vm.memory.pointer();
    vendor.setNestedPointer(nested);
    this.events = new VcpuEvents(vendor, interrupts);
    this.debug = new GuestDebug(this, vendor);
    this.state = new VcpuState(this);
    this.ports = new PortIo(this);
    this.msrs = new MsrExits(this);
    this.hypercalls = new Hypercalls(this);
    java.util.Arrays.fill(cpu.r, 0, 16, 0);
    cpu.r[Cpu.RDX] = machine.model().signature();
    // The kernel gives a new vCPU the state after FNINIT: FCW 037F.
    cpu.xsaveArea[0] = 0x7f;
    cpu.xsaveArea[1] = 3;
    mpState = Uapi.KVM_MP_STATE_RUNNABLE;
    hwcr = machine.model().isAmd() ? VcpuMsrs.HWCR_TSC_AT_P0 : 0;
    vendor.setExceptionBitmap(debug.exceptionBitmap());
  }

  int id() {
    return id;
  }

  VendorVcpu vendor() {
    return vendor;
  }

  HostMachine machine() {
    return machine;
  }

  UserSpace user() {
    return user;
  }

  ByteBuffer run() {
    return run;
  }

  /** The pointer to the nested page tables. */
  long nestedPointer() {
    return nested;
  }

  Emulator emulator() {
    if (emulator == null) {
      emulator = new Emulator(machine.model(), vm.processorMemory(), vm.memory::isDevice);
    }
    return emulator;
  }

  Emulation emulation() {
    if (emulation == null) {
      emulation = new Emulation(this, emulator(), exit);
    }
    return emulation;
  }

  // ---- descriptor ----

  @Override
  long mmap(long length, int protection, int flags, long offset) {
    return pages.map(user, length, protection, flags, offset);
  }

  @Override
  int ioctl(int request, long argument) {
    if (request == KVM_RUN) {
      return run(argument);
    }
    lock.lock();
    try {
      if (destroyed) {
        return Results.EBADF;
      }
      String why = refusal(request);
      int result = why.isEmpty() ? state.ioctl(request, argument) : refuse(why);
      if (result < 0) {
        diagnosis = takeRefusal();
      }
      return result;
    } finally {
      unlock();
    }
  }

  @Override
  String diagnosis() {
    return diagnosis;
  }

  /** As on Linux, a call that another thread is in keeps the file: its end is what frees it. */
  @Override
  void release() {
    released = true;
    destroyIfIdle();
  }

  /** An ioctl is over. */
  private void unlock() {
    lock.unlock();
    if (released) {
      destroyIfIdle();
    }
  }

  private void destroyIfIdle() {
    if (!lock.tryLock()) {
      return;
    }
    try {
      if (destroyed) {
        return;
      }
      destroyed = true;
      destroy();
    } finally {
      lock.unlock();
    }
    vm.release(this);
  }

  void destroy() {
    pages.release();
    interrupts.close();
    seat.close();
    vendor.close();
  }

  // ---- other threads ----

  /** Whether the calling thread is in one of the vCPU's ioctls. */
  boolean isUsedByThisThread() {
    return lock.isHeldByCurrentThread();
  }

  /** Makes a KVM_RUN look at its signals and requests. */
  void kick() {
    cpu.request(Cpu.REQUEST_INTERRUPT);
    seat.wake();
  }

  /** Makes it look at its interrupts. */
  void wake() {
    HostThread t = thread;
    if (t == null || t.thread != Thread.currentThread()) {
      cpu.request(Cpu.REQUEST_INTERRUPT);
    }
    seat.wake();
  }

  void requestFlush() {
    flushRequested = true;
    if (inGuest.get()) {
      kick();
    }
  }

  /** Does something that walks the nested tables, so that whoever changes them waits for it. */
  <T> T usingTables(java.util.function.Supplier<T> work) {
    inGuest.set(true);
    try {
      return work.get();
    } finally {
      inGuest.setRelease(false);
    }
  }

  /**
   * As {@link VendorVcpu#executedCode}, by a translation that nobody has asked to be dropped.
   *
   * @return false if it is not to be had
   */
  boolean executedCode(ExecutedCode out) {
    inGuest.set(true);
    try {
      return !flushRequested && vendor.executedCode(out);
    } finally {
      inGuest.setRelease(false);
    }
  }

  /** Waits until the vCPU no longer uses what it cached before {@link #requestFlush}. */
  void awaitFlush() {
    if (lock.isHeldByCurrentThread()) {
      return;
    }
    while (flushRequested && inGuest.get()) {
      Thread.onSpinWait();
    }
  }

  void msrFilterChanged() {
    filterChanged = true;
    kick();
  }

  /** Lets another virtual CPU run first, if it waits for its turn. */
  void yieldTo(int apicId) {
    InterruptChips chips = vm.chips();
    if (chips != null
        && chips.owner(apicId) instanceof VcpuInterrupts other
        && other != interrupts) {
      seat.yieldTo(other.vcpu().seat);
    }
  }

  /** Why the virtual CPU has not an ioctl that others have; "" if it has it. */
  String refusal(int request) {
    return "";
  }

  /** The VMX-preemption timer of what runs on the processor has expired. */
  void timerExpired() {}

  // ---- registers of the interface ----

  long cr8() {
    return interrupts.cr8();
  }

  void setCr8(long value) {
    interrupts.setCr8((int) value & 15);
    cpu.cr8 = (int) value & 15;
  }

  int mpState() {
    return mpState;
  }

  void setMpState(int state) {
    mpState = state;
  }

  // ---- KVM_RUN ----

  private int run(long argument) {
    HostThread t = vm.kernel.currentThread();
    t.enter(this);
    // A fence: immediate_exit is read after whoever signals can see that the thread is here.
    lock.lock();
    try {
      if (destroyed) {
        return Results.EBADF;
      }
      if (argument != 0) {
        return Results.EINVAL;
      }
      if (!diagnosis.isEmpty()) {
        diagnosis = "";
      }
      thread = t;
      hasRun = true;
      pv.enter();
      try {
        return enter(t);
      } finally {
        thread = null;
        cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
      }
    } finally {
      t.leave();
      unlock();
    }
  }

  private int enter(HostThread t) {
    long valid = run.getLong(KvmRun.KVM_VALID_REGS);
    int r = prepare(t, valid);
    if (r > 0) {
      r = loop(t);
    }
    if (valid != 0) {
      state.syncOut(valid);
    }
    run.put(KvmRun.IF_FLAG, (byte) ((vendor.rflags() & Flags.IF) != 0 ? 1 : 0));
    run.putLong(KvmRun.CR8, cr8());
    run.putLong(KvmRun.APIC_BASE, interrupts.base());
    boolean ready = interrupts.hasPics() || readyForInterrupt();
    run.put(KvmRun.READY_FOR_INTERRUPT_INJECTION, (byte) (ready ? 1 : 0));
    return r;
  }

  /** What comes before the guest runs; above 0 if it may. */
  private int prepare(HostThread t, long valid) {
    if (mpState == Uapi.KVM_MP_STATE_UNINITIALIZED) {
      return awaitInit(t);
    }
    long dirty = run.getLong(KvmRun.KVM_DIRTY_REGS);
    if (((valid | dirty) & ~7L) != 0) {
      return Results.EINVAL;
    }
    if (dirty != 0) {
      int r = state.syncIn(dirty);
      if (r != 0) {
        diagnosis = takeRefusal();
        return r;
      }
      run.putLong(KvmRun.KVM_DIRTY_REGS, 0);
    }
    if (!interrupts.hasApic()) {
      long wanted = run.getLong(KvmRun.CR8);
      if ((wanted & ~15L) != 0) {
        return Results.EINVAL;
      }
      setCr8(wanted);
    }
    Completion c = completion;
    completion = Completion.NOTHING;
    int r = stepped(c.complete());
    if (r > 0 && run.get(KvmRun.IMMEDIATE_EXIT) != 0) {
      seat.join(mpState == Uapi.KVM_MP_STATE_RUNNABLE);
      return Results.EINTR;
    }
    return r;
  }

  private boolean readyForInterrupt() {
    return events.interruptAllowed()
        && interrupts.acceptsExternal()
        && !events.reinjecting()
        && !events.exceptionPending;
  }

  int interrupted() {
    run.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_INTR);
    preempt();
    stats.signals++;
    return Results.EINTR;
  }

  private int loop(HostThread t) {
    while (true) {
      if (t.signalPending()) {
        return interrupted();
      }
      int r;
      if (mpState != Uapi.KVM_MP_STATE_RUNNABLE) {
        r = halt(t);
      } else {
        r = isIdle() ? idle(t) : enterGuest();
      }
      if (r <= 0) {
        return r;
      }
      if (windowWanted() && readyForInterrupt()) {
        run.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_IRQ_WINDOW_OPEN);
        return 0;
      }
    }
  }

  /** Whether user space, whose PIC it is, waits until the guest takes interrupts. */
  private boolean windowWanted() {
    return run.get(KvmRun.REQUEST_INTERRUPT_WINDOW) != 0 && !interrupts.hasPics();
  }

  /** Tells the guest that its processor is taken away, if that is between two instructions. */
  private void preempt() {
    if (exit.kind == VmExit.Kind.EXTERNAL_INTERRUPT) {
      pv.preempt();
    }
  }

  int enterGuest() {
    if (dirtyRing != null && dirtyRing.isSoftFull()) {
      return exit(Exits.KVM_EXIT_DIRTY_RING_FULL);
    }
    if (pv.tellsOfWaiting() && seat.isTurnOver()) {
      preempt();
    }
    long budget = seat.begin();
    if (budget == 0) {
      return Thread.currentThread().isInterrupted() ? interrupted() : 1;
    }
    if (filterChanged) {
      filterChanged = false;
      msrs.applyFilter();
    }
    if (interrupts.takeTaskPriorityAccess()) {
      return exit(Exits.KVM_EXIT_TPR_ACCESS);
    }
    if (events.tripleFault) {
      events.tripleFault = false;
      return exit(Exits.KVM_EXIT_SHUTDOWN);
    }
    int ended = interrupts.takeEnded();
    if (ended >= 0) {
      run.put(KvmRun.EOI_VECTOR, (byte) ended);
      return exit(Exits.KVM_EXIT_IOAPIC_EOI);
    }
    acceptStartEvents();
    if (mpState != Uapi.KVM_MP_STATE_RUNNABLE) {
      return 1;
    }
    pv.beforeEntry(seat.waited());
    events.inject(windowWanted() && interrupts.acceptsExternal(), debug.blocksInterrupts());
    int r;
    do {
      apicShare.beforeEntry();
      runProcessor(budget);
      apicShare.afterExit();
      events.complete(exit);
      r = stepped(handle());
    } while (r > 0 && exit.kind.isQuick() && mayGoOn());
    return r;
  }

  /**
   * Whether nothing has come that is looked at before an entry, after an exit of a kind that by
   * itself brings nothing else: KVM's fast path. Who has something for the virtual CPU requests its
   * attention, but for its own thread.
   */
  private boolean mayGoOn() {
    return !exit.requested
        && cpu.requests() == 0
        && seat.mayGoOn()
        && events.isQuiet()
        && !pv.isDue()
        && dirtyRing == null
        && mpState == Uapi.KVM_MP_STATE_RUNNABLE
        && !haltsInGuest;
  }

  /** Runs the processor until it exits, with the tables as they are. */
  final void runProcessor(long budget) {
    inGuest.set(true);
    if (flushRequested) {
      flushRequested = false;
      vendor.flushNested();
    }
    try {
      vendor.run(budget, exit);
    } finally {
      inGuest.setRelease(false);
    }
    stats.count(exit.kind);
    if (exit.kind.isTimed()) {
      seat.spend(VmTime.EXIT_TIME);
    }
  }

  // ---- not running ----

  /**
   * Whether a processor that is not running has something to look at. Before its start that is INIT
   * and startup interrupts alone.
   */
  private boolean hasEvents() {
    return interrupts.hasStartEvents()
        || (mpState == Uapi.KVM_MP_STATE_HALTED && (interrupts.isUnhalted() || events.wouldWake()));
  }

  /**
   * Waits until there is something to look at.
   *
   * @return false if the thread was interrupted
   */
  private boolean sleep(HostThread t) {
    seat.drowse();
    return hasEvents() || t.signalPending() || seat.sleep();
  }

  /** Whether the guest has executed a HLT that did not exit, and there is nothing for it. */
  boolean isIdle() {
    return haltsInGuest && vendor.isHalted() && !hasNews();
  }

  boolean hasNews() {
    return interrupts.hasStartEvents()
        || events.reinjecting()
        || events.tripleFault
        || events.wouldWake()
        || pv.isDue();
  }

  /** Leaves a guest that is idle alone until there is something for it. */
  private int idle(HostThread t) {
    seat.drowse();
    return hasNews() || t.signalPending() || seat.sleep() ? 1 : interrupted();
  }

  /** An application processor that has not been started: waits for INIT. */
  private int awaitInit(HostThread t) {
    if (run.get(KvmRun.IMMEDIATE_EXIT) != 0) {
      seat.join(false);
      return Results.EINTR;
    }
    while (!hasEvents() && !t.signalPending()) {
      if (!sleep(t)) {
        return interrupted();
      }
    }
    acceptStartEvents();
    return t.signalPending() ? interrupted() : Results.EAGAIN;
  }

  /** HLT, or an application processor between INIT and its start. */
  private int halt(HostThread t) {
    if (!hasEvents()) {
      if (!sleep(t)) {
        return interrupted();
      }
      if (!hasEvents()) {
        return 1;
      }
    }
    acceptStartEvents();
    if (mpState == Uapi.KVM_MP_STATE_HALTED) {
      interrupts.clearUnhalted();
      mpState = Uapi.KVM_MP_STATE_RUNNABLE;
    }
    return 1;
  }

  /** Does what INIT and startup interrupts that have come ask for. */
  void acceptStartEvents() {
    if (!interrupts.hasStartEvents()) {
      return;
    }
    if (interrupts.takeInit()) {
      init();
      boolean boot = (interrupts.base() & LocalApic.BASE_BSP) != 0;
      mpState = boot ? Uapi.KVM_MP_STATE_RUNNABLE : Uapi.KVM_MP_STATE_INIT_RECEIVED;
    }
    int vector = interrupts.takeStartup();
    if (vector >= 0 && mpState == Uapi.KVM_MP_STATE_INIT_RECEIVED) {
      state.registers.startUp(vector);
      mpState = Uapi.KVM_MP_STATE_RUNNABLE;
    }
  }

  private void init() {
    interrupts.reset();
    pv.reset();
    events.reset();
    completion = Completion.NOTHING;
    if (emulator != null) {
      emulator.accesses().clear();
    }
    state.registers.init();
    vendor.setExceptionBitmap(debug.exceptionBitmap());
    vendor.flushGuest();
  }

  // ---- for those that handle exits ----

  /** The exit that is being handled takes the guest's time after all. */
  void takeExitTime() {
    seat.spend(VmTime.EXIT_TIME);
  }

  /** An exit to user space that leaves nothing to do. */
  int exit(int reason) {
    return exit(reason, Completion.NOTHING);
  }

  /**
   * An exit to user space.
   *
   * @param reason KVM_EXIT_*
   * @param then what the next KVM_RUN has to do first
   */
  int exit(int reason, Completion then) {
    run.putInt(KvmRun.EXIT_REASON, reason);
    completion = then;
    completionRip = vendor.linearRip();
    return 0;
  }

  /** Whether the guest is still where the last exit to user space left it. */
  boolean atSameInstruction() {
    return vendor.linearRip() == completionRip;
  }

  /** Ends the instruction that exited. */
  void skip() {
    passInstruction();
    afterInstruction();
  }

  /** Goes on behind the instruction that exited, which ends the shadow of the one before it. */
  void passInstruction() {
    long rip = vendor.rip() + exit.instructionLength;
    vendor.setRip(truncateRip(rip));
    if (vendor.interruptShadow() != 0) {
      vendor.setInterruptShadow(0);
    }
  }

  private long truncateRip(long rip) {
    return vendor.is64Bit() ? rip : rip & 0xffffffffL;
  }

  /** What the end of an instruction that the module carried out brings: RF cleared, single-step. */
  private void afterInstruction() {
    long rflags = vendor.rflags();
    if ((rflags & Flags.RF) != 0) {
      vendor.setRflags(rflags & ~Flags.RF);
    }
    if ((rflags & Flags.TF) != 0) {
      if (debug.singleStepping()) {
        stepPending = true;
      } else {
        events.queueException(Vector.DB, false, 0, true, 1 << 14);
      }
    }
  }

  /** The host single-steps, and the module has just carried out an instruction. */
  private boolean stepPending;

  // ---- exits ----

  /** The end of whatever may have been a step of the host's single-stepping. */
  private int stepped(int r) {
    if (stepPending && r > 0) {
      stepPending = false;
      debug.exit(run, Vector.DB, 1 << 14 | 0xffff0ff0L);
      return 0;
    }
    return r;
  }

  /** The emulator has carried out an instruction: a trap due after it is the host's if it steps. */
  void steppedByEmulation() {
    if (debug.singleStepping() && (vendor.pendingDebug() & 1 << 14) != 0) {
      vendor.setPendingDebug(vendor.pendingDebug() & ~(1L << 14));
      stepPending = true;
    }
  }

  /** The guest touched what the nested tables do not map: a page to be mapped, or a device. */
  private int nestedViolation() {
    MemorySlot[] slots = vm.slots.snapshot();
    if (withoutMemory.has(exit.gpa, slots)) {
      return emulation().deviceAccess();
    }
    NestedMemory.Fault f = vm.memory.fault(exit.gpa, exit.write);
    if (f == NestedMemory.Fault.MAPPED) {
      return 1;
    }
    if (f == NestedMemory.Fault.BAD_ADDRESS) {
      return Results.EFAULT;
    }
    if (vm.slots.at(exit.gpa) == null) {
      withoutMemory.add(exit.gpa, slots);
    }
    return emulation().deviceAccess();
  }

  int handle() {
    switch (exit.kind) {
      case EXTERNAL_INTERRUPT, BUDGET, NMI, PREEMPTION_TIMER, MONITOR_TRAP:
        return 1;
      case INTERRUPT_WINDOW:
        vendor.setInterruptWindow(false);
        return 1;
      case NMI_WINDOW:
        vendor.setNmiWindow(false);
        return 1;
      case IO:
        return exit.string ? emulation().emulate() : ports.handle(exit);
      case NESTED_VIOLATION:
        return nestedViolation();
      case CPUID:
        return cpuid();
      case HLT:
        skip();
        if (interrupts.hasApic()) {
          mpState = Uapi.KVM_MP_STATE_HALTED;
          return 1;
        }
        seat.rest();
        return exit(Exits.KVM_EXIT_HLT);
      case RDMSR:
        return msrs.read();
      case WRMSR:
        return msrs.write();
      case CR_ACCESS:
        return crAccess();
      case DR_ACCESS:
        return debug.drAccess(run, exit, this::skip);
      case EXCEPTION:
        return exception();
      case TRIPLE_FAULT:
        diagnosis = vendor.explanation();
        return exit(Exits.KVM_EXIT_SHUTDOWN);
      case HYPERCALL:
        return hypercalls.call();
      case XSETBV:
        return xsetbv();
      case PAUSE:
        skip();
        seat.giveWay();
        return 1;
      case MONITOR, MWAIT:
        if (!vm.hasQuirk(Uapi.KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) && !hasMwait()) {
          events.queueException(Vector.UD, false, 0, false, 0);
          return 1;
        }
        skip();
        return 1;
      case INVD, WBINVD:
        skip();
        return 1;
      case RDPMC:
        events.queueException(Vector.GP, true, 0, false, 0);
        return 1;
      case VMX_INSTRUCTION:
        events.queueException(Vector.UD, false, 0, false, 0);
        return 1;
      case INVLPG, INVPCID, RDTSC, RDRAND, RDSEED, DESCRIPTOR_TABLE:
        return emulation().emulate();
      case TASK_SWITCH:
        return emulation().taskSwitch();
      case ENTRY_FAILURE:
        return entryFailure();
      default:
        return unexpected();
    }
  }

  private int cpuid() {
    if (cpuidFaulting.isOn() && cpl() != 0) {
      events.queueException(Vector.GP, true, 0, false, 0);
      return 1;
    }
    boolean features = (int) cpu.r[Cpu.RAX] == 1;
    cpuid.execute(cpu, vendor.cr4(), cpu.xcr0, interrupts.isEnabled());
    if (features && !vm.hasQuirk(Uapi.KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)) {
      long mwait = hasMwait() ? Feature.MONITOR.mask() : 0;
      cpu.r[Cpu.RCX] = cpu.r[Cpu.RCX] & ~Feature.MONITOR.mask() | mwait;
    }
    skip();
    return 1;
  }

  /** Whether the guest is told of MONITOR and MWAIT: by its CPUID, or by IA32_MISC_ENABLE. */
  private boolean hasMwait() {
    return vm.hasQuirk(Uapi.KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT)
        ? cpuid.has(Feature.MONITOR)
        : cpuid.find(1, 0) != null && (cpu.msr.miscEnable & VcpuMsrs.MISC_ENABLE_MWAIT) != 0;
  }

  private int entryFailure() {
    diagnosis = vendor.explanation();
    run.putLong(KvmRun.FAIL_ENTRY_HARDWARE_ENTRY_FAILURE_REASON, exit.reason);
    run.putInt(KvmRun.FAIL_ENTRY_CPU, id);
    return exit(Exits.KVM_EXIT_FAIL_ENTRY);
  }

  private int unexpected() {
    return internalError(
        Uapi.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, exit.reason & 0xffffffffL, id);
  }

  /**
   * EINVAL for the ioctl that is being carried out.
   *
   * @param why which rule it broke, for {@link #diagnosis}: one line
   */
  int refuse(String why) {
    refusal = why;
    return Results.EINVAL;
  }

  private String takeRefusal() {
    String why = refusal;
    refusal = "";
    return why;
  }

  /** Tells what {@link #diagnosis} is to say of the exit that is about to come. */
  void explain(String words) {
    diagnosis = words;
  }

  int internalError(int suberror, long... data) {
    run.putInt(KvmRun.INTERNAL_SUBERROR, suberror);
    run.putInt(KvmRun.INTERNAL_NDATA, data.length);
    for (int i = 0; i < data.length; i++) {
      run.putLong(KvmRun.INTERNAL_DATA + i * 8, data[i]);
    }
    return exit(Exits.KVM_EXIT_INTERNAL_ERROR);
  }

  // ---- control registers and the rest ----

  private int crAccess() {
    if (exit.register == 8) {
      if (exit.accessType == 1) {
        setGpr(exit.gpr, cr8());
        skip();
        return 1;
      }
      long value = gpr(exit.gpr);
      if ((value & ~15L) != 0) {
        events.queueException(Vector.GP, true, 0, false, 0);
        return 1;
      }
      long before = cr8();
      setCr8(value);
      skip();
      return interrupts.hasApic() || before <= value ? 1 : exit(Exits.KVM_EXIT_SET_TPR);
    }
    if (exit.register == 4 && exit.accessType == 0 && (gpr(exit.gpr) & cpuid.reservedCr4()) != 0) {
      events.queueException(Vector.GP, true, 0, false, 0);
      return 1;
    }
    return emulation().emulate();
  }

  private long gpr(int r) {
    return r == Cpu.RSP ? vendor.rsp() : cpu.r[r];
  }

  private void setGpr(int r, long value) {
    if (r == Cpu.RSP) {
      vendor.setRsp(value);
    } else {
      cpu.r[r] = value;
    }
  }

  private int exception() {
    switch (exit.vector) {
      case Vector.DB:
        return debug.debugException(run, exit);
      case Vector.UD:
        return hypercalls.undefined(exit);
      case Vector.BP:
        debug.exit(run, Vector.BP, 0);
        return 0;
      default:
        events.queueException(exit.vector, exit.hasErrorCode, exit.errorCode, false, 0);
        return 1;
    }
  }

  private int xsetbv() {
    int index = (int) cpu.r[Cpu.RCX];
    long value = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffffffffL;
    if (vendor.cpl() != 0 || index != 0 || !cpuid.allowsXcr0(machine.model(), value)) {
      events.queueException(Vector.GP, true, 0, false, 0);
      return 1;
    }
    cpu.xcr0 = value;
    skip();
    return 1;
  }

  /** The guest's code segment is a 64-bit one. */
  boolean in64BitMode() {
    return vendor.is64Bit();
  }

  int cpl() {
    return vendor.cpl();
  }

  /** CS base plus RIP. */
  long linearRip() {
    return vendor.linearRip();
  }
}
