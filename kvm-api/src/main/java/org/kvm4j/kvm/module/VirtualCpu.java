package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.kvm.module.emulate.Emulator;
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
final class VirtualCpu extends FileObject {
  private static final Logger LOG = System.getLogger("org.kvm4j.kvm");

  /** Instructions between two looks at the host: far more than any guest notices. */
  private static final long SLICE = 1L << 40;

  /** What user space was asked for by the last exit. */
  private enum Completion {
    NONE,
    /** OUT: step over it. */
    PORT_OUT,
    /** IN: the data is in the port page. */
    PORT_IN,
    /** INS: the data is the emulator's. */
    STRING_IN,
    /** A device read of the emulator. */
    DEVICE_READ,
    /** Device writes of the emulator: the next one. */
    DEVICE_WRITES,
    RDMSR,
    WRMSR
  }

  final VmFile vm;
  private final int id;
  private final UserSpace user;
  private final HostMachine machine;
  private final VcpuPages pages;
  private final ByteBuffer run;
  private final GuestPlatform platform;
  private final VendorVcpu vendor;
  private final Cpu cpu;
  private final Emulator emulator;
  private final VmExit exit = new VmExit();
  private final VcpuState state;
  private final ReentrantLock lock = new ReentrantLock();
  private final long nested;
  final VcpuCpuid cpuid = new VcpuCpuid();
  final VcpuEvents events;
  final VcpuStats stats = new VcpuStats();
  final GuestDebug debug;

  private Completion completion = Completion.NONE;
  private int completionPort;
  private int completionSize;
  private int completionCount;
  private long completionRip;
  private int writeIndex;
  private int msrIndex;

  private long cr8;
  private long apicBase;
  private long tscOffset;
  int mpState = Uapi.KVM_MP_STATE_RUNNABLE;
  boolean hasRun;

  /** The descriptor is closed. */
  private volatile boolean released;

  /** Nothing of the vCPU is left. Guarded by the lock. */
  private boolean destroyed;

  private volatile boolean flushRequested;
  private volatile boolean inGuest;
  private volatile boolean filterChanged;
  private volatile @Nullable HostThread thread;

  VirtualCpu(VmFile vm, int id) {
    this.vm = vm;
    this.id = id;
    this.user = vm.user;
    this.machine = vm.kernel.machine();
    this.pages = new VcpuPages(machine.memory());
    this.run = pages.run;
    this.platform = new GuestPlatform(machine);
    LogicalProcessor processor = new LogicalProcessor(machine.model(), machine.memory(), platform);
    platform.attach(processor.cpu);
    this.vendor = new VmxVcpu(processor, machine.frames(), machine.newVpid());
    this.cpu = vendor.cpu();
    this.nested = vm.memory.pointer();
    vendor.setNestedPointer(nested);
    this.emulator = new Emulator(machine.model(), machine.memory(), vm.memory::isDevice);
    this.events = new VcpuEvents(vendor);
    this.debug = new GuestDebug(this, vendor);
    this.state = new VcpuState(this);
    java.util.Arrays.fill(cpu.r, 0, 16, 0);
    cpu.r[Cpu.RDX] = machine.model().signature();
    // The kernel gives a new vCPU the state after FNINIT: FCW 037F.
    cpu.xsaveArea[0] = 0x7f;
    cpu.xsaveArea[1] = 3;
    apicBase = 0xfee00800L | (id == 0 ? 0x100 : 0);
    setGuestTsc(0);
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
    return emulator;
  }

  // ---- descriptor ----

  @Override
  long mmap(long length, long offset) {
    if (length > VcpuPages.RESERVED) {
      return Results.EINVAL;
    }
    return pages.map(user, vm.ringPage(), length, offset);
  }

  @Override
  int ioctl(int request, long argument) {
    lock.lock();
    try {
      if (destroyed) {
        return Results.EBADF;
      }
      return request == KVM_RUN ? enter(argument) : state.ioctl(request, argument);
    } finally {
      lock.unlock();
      if (released) {
        destroyIfIdle();
      }
    }
  }

  /** As on Linux, a call that another thread is in keeps the file: its end is what frees it. */
  @Override
  void release() {
    released = true;
    destroyIfIdle();
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
    pages.free(user);
    vendor.close();
  }

  // ---- other threads ----

  /** Makes a KVM_RUN look at its signals. */
  void kick() {
    cpu.request(Cpu.REQUEST_INTERRUPT);
  }

  void requestFlush() {
    flushRequested = true;
    if (inGuest) {
      kick();
    }
  }

  /** Does something that walks the nested tables, so that whoever changes them waits for it. */
  <T> T usingTables(java.util.function.Supplier<T> work) {
    inGuest = true;
    try {
      return work.get();
    } finally {
      inGuest = false;
    }
  }

  /** Waits until the vCPU no longer uses what it cached before {@link #requestFlush}. */
  void awaitFlush() {
    if (lock.isHeldByCurrentThread()) {
      return;
    }
    while (flushRequested && inGuest) {
      Thread.onSpinWait();
    }
  }

  void msrFilterChanged() {
    filterChanged = true;
    kick();
  }

  // ---- time ----

  long guestTsc() {
    return platform.tsc() + tscOffset;
  }

  void setGuestTsc(long value) {
    setTscOffset(value - platform.tsc());
  }

  long tscOffset() {
    return tscOffset;
  }

  void setTscOffset(long offset) {
    tscOffset = offset;
    vendor.setTscOffset(offset);
  }

  // ---- registers of the interface ----

  long cr8() {
    return cr8;
  }

  void setCr8(long value) {
    cr8 = value & 15;
    cpu.cr8 = (int) cr8;
  }

  long apicBase() {
    return apicBase;
  }

  boolean setApicBase(long value) {
    long reserved = -1L << machine.model().physicalAddressBits() | 0x2ff;
    // x2APIC mode is the interrupt chips', which are not built.
    if ((value & (reserved | 0x400)) != 0) {
      return false;
    }
    apicBase = value;
    return true;
  }

  // ---- KVM_RUN ----

  private int enter(long argument) {
    if (argument != 0) {
      return Results.EINVAL;
    }
    HostThread t = vm.kernel.currentThread();
    thread = t;
    t.enter(this);
    hasRun = true;
    try {
      return enter(t);
    } finally {
      t.leave();
      thread = null;
      cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
    }
  }

  private int enter(HostThread t) {
    long valid = run.getLong(KvmRun.KVM_VALID_REGS);
    long dirty = run.getLong(KvmRun.KVM_DIRTY_REGS);
    if (((valid | dirty) & ~7L) != 0) {
      return Results.EINVAL;
    }
    if (dirty != 0) {
      int r = state.syncIn(dirty);
      if (r != 0) {
        return r;
      }
      run.putLong(KvmRun.KVM_DIRTY_REGS, 0);
    }
    long wanted = run.getLong(KvmRun.CR8);
    if ((wanted & ~15L) != 0) {
      return Results.EINVAL;
    }
    if (wanted != cr8) {
      setCr8(wanted);
    }
    int r = 1;
    if (completion != Completion.NONE) {
      r = complete();
    }
    if (r > 0) {
      r = run.get(KvmRun.IMMEDIATE_EXIT) != 0 ? Results.EINTR : loop(t);
    }
    if (valid != 0) {
      state.syncOut(valid);
    }
    run.put(KvmRun.IF_FLAG, (byte) ((vendor.rflags() & Flags.IF) != 0 ? 1 : 0));
    run.putLong(KvmRun.CR8, cr8);
    run.putLong(KvmRun.APIC_BASE, apicBase);
    run.put(KvmRun.READY_FOR_INTERRUPT_INJECTION, (byte) (readyForInterrupt() ? 1 : 0));
    return r;
  }

  private boolean readyForInterrupt() {
    return (vendor.rflags() & Flags.IF) != 0
        && vendor.interruptShadow() == 0
        && !events.reinjecting()
        && !events.exceptionPending;
  }

  private int loop(HostThread t) {
    while (true) {
      if (t.signalPending()) {
        run.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_INTR);
        stats.signals++;
        return Results.EINTR;
      }
      int r = enterGuest();
      if (r <= 0) {
        return r;
      }
      if (run.get(KvmRun.REQUEST_INTERRUPT_WINDOW) != 0 && readyForInterrupt()) {
        run.putInt(KvmRun.EXIT_REASON, Exits.KVM_EXIT_IRQ_WINDOW_OPEN);
        return 0;
      }
    }
  }

  private int enterGuest() {
    if (filterChanged) {
      filterChanged = false;
      applyMsrFilter();
    }
    if (events.tripleFault) {
      events.tripleFault = false;
      return exit(Exits.KVM_EXIT_SHUTDOWN);
    }
    events.inject();
    vendor.setInterruptWindow(run.get(KvmRun.REQUEST_INTERRUPT_WINDOW) != 0);
    inGuest = true;
    if (flushRequested) {
      flushRequested = false;
      vendor.flushNested();
    }
    try {
      vendor.run(SLICE, exit);
    } finally {
      inGuest = false;
    }
    stats.count(exit.kind);
    events.complete(exit);
    return handle();
  }

  /** An exit to user space that has no data. */
  private int exit(int reason) {
    run.putInt(KvmRun.EXIT_REASON, reason);
    return 0;
  }

  private void skip() {
    long rip = vendor.rip() + exit.instructionLength;
    vendor.setRip(truncateRip(rip));
    afterInstruction();
  }

  private long truncateRip(long rip) {
    return state.is64Bit() ? rip : rip & 0xffffffffL;
  }

  /** What the end of an instruction that the module carried out brings: no shadow, single-step. */
  private void afterInstruction() {
    if (vendor.interruptShadow() != 0) {
      vendor.setInterruptShadow(0);
    }
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

  private int handle() {
    int r = handleExit();
    if (stepPending && r > 0) {
      stepPending = false;
      debug.exit(run, Vector.DB, 1 << 14 | 0xffff0ff0L);
      return 0;
    }
    return r;
  }

  private int handleExit() {
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
        return io();
      case NESTED_VIOLATION:
        return nestedViolation();
      case CPUID:
        cpuid.execute(cpu, vendor.cr4(), cpu.xcr0);
        skip();
        return 1;
      case HLT:
        skip();
        return exit(Exits.KVM_EXIT_HLT);
      case RDMSR:
        return rdmsr();
      case WRMSR:
        return wrmsr();
      case CR_ACCESS:
        return crAccess();
      case DR_ACCESS:
        return debug.drAccess(run, exit, this::skip);
      case EXCEPTION:
        return exception();
      case TRIPLE_FAULT:
        return exit(Exits.KVM_EXIT_SHUTDOWN);
      case HYPERCALL:
        return hypercall();
      case XSETBV:
        return xsetbv();
      case INVD, WBINVD, PAUSE, MONITOR, MWAIT:
        skip();
        return 1;
      case RDPMC:
        events.queueException(Vector.GP, true, 0, false, 0);
        return 1;
      case VMX_INSTRUCTION:
        events.queueException(Vector.UD, false, 0, false, 0);
        return 1;
      case INVLPG, INVPCID, RDTSC, RDRAND, RDSEED, DESCRIPTOR_TABLE:
        return emulate();
      case TASK_SWITCH:
        return taskSwitch();
      case ENTRY_FAILURE:
        return entryFailure();
      default:
        return unexpected();
    }
  }

  private int entryFailure() {
    LOG.log(Level.WARNING, () -> "vCPU " + id + ": " + vendor.entryFailure());
    run.putLong(KvmRun.FAIL_ENTRY_HARDWARE_ENTRY_FAILURE_REASON, exit.reason);
    run.putInt(KvmRun.FAIL_ENTRY_CPU, id);
    return exit(Exits.KVM_EXIT_FAIL_ENTRY);
  }

  private int unexpected() {
    return internalError(
        Uapi.KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON, exit.reason & 0xffffffffL, id);
  }

  private int internalError(int suberror, long... data) {
    run.putInt(KvmRun.INTERNAL_SUBERROR, suberror);
    run.putInt(KvmRun.INTERNAL_NDATA, data.length);
    for (int i = 0; i < data.length; i++) {
      run.putLong(KvmRun.INTERNAL_DATA + i * 8, data[i]);
    }
    return exit(Exits.KVM_EXIT_INTERNAL_ERROR);
  }

  // ---- ports ----

  private int io() {
    if (exit.string) {
      return emulate();
    }
    int port = exit.port;
    int size = exit.size;
    if (exit.in) {
      completion = Completion.PORT_IN;
      completionSize = size;
      completionRip = vendor.rip();
      return portExit(Uapi.KVM_EXIT_IO_IN, port, size, 1);
    }
    long value = cpu.r[Cpu.RAX];
    if (vm.bus.write(true, port, size, value, vm.ring)) {
      skip();
      return 1;
    }
    int at = VcpuPages.PIO_OFFSET;
    switch (size) {
      case 1 -> run.put(at, (byte) value);
      case 2 -> run.putShort(at, (short) value);
      default -> run.putInt(at, (int) value);
    }
    if (port == 0x7e && (vm.disabledQuirks & 8) == 0) {
      skip();
    } else {
      completion = Completion.PORT_OUT;
      completionRip = vendor.rip();
    }
    return portExit(Uapi.KVM_EXIT_IO_OUT, port, size, 1);
  }

  private int portExit(int direction, int port, int size, int count) {
    run.put(KvmRun.IO_DIRECTION, (byte) direction);
    run.put(KvmRun.IO_SIZE, (byte) size);
    run.putShort(KvmRun.IO_PORT, (short) port);
    run.putInt(KvmRun.IO_COUNT, count);
    run.putLong(KvmRun.IO_DATA_OFFSET, VcpuPages.PIO_OFFSET);
    return exit(Exits.KVM_EXIT_IO);
  }

  // ---- memory and emulation ----

  private int nestedViolation() {
    NestedMemory.Fault f = vm.memory.fault(exit.gpa, exit.write);
    if (f == NestedMemory.Fault.MAPPED) {
      return 1;
    }
    if (f == NestedMemory.Fault.BAD_ADDRESS) {
      return Results.EFAULT;
    }
    if (exit.vectoring) {
      return internalError(
          Uapi.KVM_INTERNAL_ERROR_DELIVERY_EV,
          1L << 31 | exit.vectoringType << 8 | exit.vectoringVector,
          exit.reason,
          exit.qualification,
          exit.gpa,
          id);
    }
    return emulate();
  }

  /** Emulates the instruction at the guest's RIP, as far as it goes without user space. */
  private int emulate() {
    while (true) {
      stats.emulated++;
      switch (usingTables(() -> emulator.emulate(vendor, nested))) {
        case DONE:
          debugAfterEmulation();
          writeIndex = 0;
          return writeDevices();
        case NOT_MAPPED:
          {
            NestedMemory.Fault f = vm.memory.fault(emulator.accessAddress, emulator.accessWrite);
            if (f == NestedMemory.Fault.BAD_ADDRESS) {
              return Results.EFAULT;
            }
            if (f == NestedMemory.Fault.DEVICE) {
              return cannotEmulate();
            }
            break;
          }
        case DEVICE_READ:
          completion = Completion.DEVICE_READ;
          completionSize = emulator.accessSize;
          run.putLong(KvmRun.MMIO_PHYS_ADDR, emulator.accessAddress);
          run.putLong(KvmRun.MMIO_DATA, 0);
          run.putInt(KvmRun.MMIO_LEN, emulator.accessSize);
          run.put(KvmRun.MMIO_IS_WRITE, (byte) 0);
          return exit(Exits.KVM_EXIT_MMIO);
        case PORT_IN:
          completion = Completion.STRING_IN;
          completionSize = emulator.accessSize;
          completionCount = emulator.accessCount;
          return portExit(
              Uapi.KVM_EXIT_IO_IN,
              (int) emulator.accessAddress,
              emulator.accessSize,
              emulator.accessCount);
        case EXCEPTION:
          emulator.clearReplay();
          events.queueException(
              emulator.vector,
              emulator.hasErrorCode,
              emulator.errorCode,
              emulator.vector == Vector.PF || emulator.vector == Vector.DB,
              emulator.payload);
          return 1;
        default:
          emulator.clearReplay();
          return cannotEmulate();
      }
    }
  }

  private void debugAfterEmulation() {
    if (debug.singleStepping() && (vendor.pendingDebug() & 1 << 14) != 0) {
      vendor.setPendingDebug(vendor.pendingDebug() & ~(1L << 14));
      stepPending = true;
    }
  }

  /**
   * #UD for a user program of the guest, an exit for its kernel, which finds the instruction again
   * at each KVM_RUN, as measured on a host. Linux 6.1 handle_emulation_failure.
   */
  private int cannotEmulate() {
    byte[] bytes = emulator.instructionBytes();
    if (state.cpl() != 0 && !vm.exitOnEmulationFailure) {
      events.queueException(Vector.UD, false, 0, false, 0);
      return 1;
    }
    run.putInt(KvmRun.EMULATION_FAILURE_SUBERROR, Uapi.KVM_INTERNAL_ERROR_EMULATION);
    int at = 0;
    run.putLong(KvmRun.EMULATION_FAILURE_FLAGS, 0);
    if (bytes.length > 0) {
      run.putLong(
          KvmRun.EMULATION_FAILURE_FLAGS, Uapi.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
      run.put(KvmRun.EMULATION_FAILURE_INSN_SIZE, (byte) bytes.length);
      for (int i = 0; i < 15; i++) {
        run.put(KvmRun.EMULATION_FAILURE_INSN_BYTES + i, i < bytes.length ? bytes[i] : (byte) 0x90);
      }
      at = 3;
    } else {
      at = 1;
    }
    long[] info = {exit.reason, exit.qualification, 0, 0, 0};
    for (long word : info) {
      run.putLong(KvmRun.INTERNAL_DATA + at++ * 8, word);
    }
    run.putInt(KvmRun.EMULATION_FAILURE_NDATA, at);
    return exit(Exits.KVM_EXIT_INTERNAL_ERROR);
  }

  /** Carries out what the emulated instruction wrote to devices, one exit each. */
  private int writeDevices() {
    while (writeIndex < emulator.writes()) {
      int k = writeIndex++;
      long address = emulator.writeAddress(k);
      int size = emulator.writeSize(k);
      long value = emulator.writeValue(k);
      boolean port = emulator.writeIsPort(k);
      if (vm.bus.write(port, address, size, value, vm.ring)) {
        continue;
      }
      completion = Completion.DEVICE_WRITES;
      if (port) {
        run.putInt(VcpuPages.PIO_OFFSET, (int) value);
        return portExit(Uapi.KVM_EXIT_IO_OUT, (int) address, size, 1);
      }
      run.putLong(KvmRun.MMIO_PHYS_ADDR, address);
      run.putLong(KvmRun.MMIO_DATA, size == 8 ? value : value & (1L << size * 8) - 1);
      run.putInt(KvmRun.MMIO_LEN, size);
      run.put(KvmRun.MMIO_IS_WRITE, (byte) 1);
      return exit(Exits.KVM_EXIT_MMIO);
    }
    return 1;
  }

  // ---- taking up again ----

  private int complete() {
    Completion c = completion;
    completion = Completion.NONE;
    switch (c) {
      case PORT_OUT:
        if (vendor.rip() == completionRip) {
          skip();
        }
        return stepped(1);
      case PORT_IN:
        if (vendor.rip() == completionRip) {
          int at = VcpuPages.PIO_OFFSET;
          long rax = cpu.r[Cpu.RAX];
          cpu.r[Cpu.RAX] =
              switch (completionSize) {
                case 1 -> rax & ~0xffL | run.get(at) & 0xff;
                case 2 -> rax & ~0xffffL | run.getShort(at) & 0xffff;
                default -> run.getInt(at) & 0xffffffffL;
              };
          skip();
        }
        return stepped(1);
      case STRING_IN:
        for (int i = 0; i < completionCount && emulator.room() > 0; i++) {
          int at = VcpuPages.PIO_OFFSET + i * completionSize;
          emulator.answer(
              switch (completionSize) {
                case 1 -> run.get(at) & 0xff;
                case 2 -> run.getShort(at) & 0xffff;
                default -> run.getInt(at);
              });
        }
        return stepped(emulate());
      case DEVICE_READ:
        {
          long value = run.getLong(KvmRun.MMIO_DATA);
          emulator.answer(completionSize == 8 ? value : value & (1L << completionSize * 8) - 1);
          return stepped(emulate());
        }
      case DEVICE_WRITES:
        return stepped(writeDevices());
      case RDMSR:
        if (run.get(KvmRun.MSR_ERROR) != 0) {
          events.queueException(Vector.GP, true, 0, false, 0);
        } else {
          returnMsr(run.getLong(KvmRun.MSR_DATA));
          skip();
        }
        return stepped(1);
      case WRMSR:
        if (run.get(KvmRun.MSR_ERROR) != 0) {
          events.queueException(Vector.GP, true, 0, false, 0);
        } else {
          skip();
        }
        return stepped(1);
      default:
        return 1;
    }
  }

  private int stepped(int r) {
    if (stepPending && r > 0) {
      stepPending = false;
      debug.exit(run, Vector.DB, 1 << 14 | 0xffff0ff0L);
      return 0;
    }
    return r;
  }

  // ---- MSRs ----

  private int rdmsr() {
    int index = (int) cpu.r[Cpu.RCX];
    MsrFilter f = vm.msrFilter;
    if (f != null && !f.allows(index, MsrFilter.READ)) {
      return msrRefused(index, 4, false, 0);
    }
    long[] out = msrValue;
    int r = VcpuMsrs.read(this, index, out);
    if (r != VcpuMsrs.OK) {
      return msrRefused(index, r == VcpuMsrs.INVALID ? 1 : 2, false, 0);
    }
    returnMsr(out[0]);
    skip();
    return 1;
  }

  private final long[] msrValue = new long[1];

  private void returnMsr(long value) {
    cpu.r[Cpu.RAX] = value & 0xffffffffL;
    cpu.r[Cpu.RDX] = value >>> 32;
  }

  private int wrmsr() {
    int index = (int) cpu.r[Cpu.RCX];
    long value = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffffffffL;
    MsrFilter f = vm.msrFilter;
    if (f != null && !f.allows(index, MsrFilter.WRITE)) {
      return msrRefused(index, 4, true, value);
    }
    int r = VcpuMsrs.write(this, index, value, false);
    if (r != VcpuMsrs.OK) {
      return msrRefused(index, r == VcpuMsrs.INVALID ? 1 : 2, true, value);
    }
    skip();
    return 1;
  }

  /**
   * An MSR access that the module refuses: user space's, if it asked for that kind, or #GP.
   *
   * @param reason KVM_MSR_EXIT_REASON_*: 1 invalid, 2 unknown, 4 filter
   */
  private int msrRefused(int index, int reason, boolean write, long value) {
    if ((vm.userSpaceMsr & reason) == 0) {
      LOG.log(
          Level.DEBUG,
          () ->
              "vCPU "
                  + id
                  + ": "
                  + (write ? "WRMSR " : "RDMSR ")
                  + Integer.toHexString(index)
                  + (reason == 4 ? " denied by the filter" : reason == 2 ? " unknown" : " invalid")
                  + ": #GP");
      events.queueException(Vector.GP, true, 0, false, 0);
      return 1;
    }
    msrIndex = index;
    run.put(KvmRun.MSR_ERROR, (byte) 0);
    run.putInt(KvmRun.MSR_REASON, reason);
    run.putInt(KvmRun.MSR_INDEX, msrIndex);
    run.putLong(KvmRun.MSR_DATA, value);
    completion = write ? Completion.WRMSR : Completion.RDMSR;
    return exit(write ? Exits.KVM_EXIT_X86_WRMSR : Exits.KVM_EXIT_X86_RDMSR);
  }

  /** MSRs that the guest uses without an exit, as far as the filter lets it. */
  private void applyMsrFilter() {
    MsrFilter f = vm.msrFilter;
    for (int index :
        new int[] {
          VcpuMsrs.FS_BASE,
          VcpuMsrs.GS_BASE,
          VcpuMsrs.KERNEL_GS_BASE,
          VcpuMsrs.SYSENTER_CS,
          VcpuMsrs.SYSENTER_ESP,
          VcpuMsrs.SYSENTER_EIP,
          VcpuMsrs.STAR,
          VcpuMsrs.LSTAR,
          VcpuMsrs.CSTAR,
          VcpuMsrs.FMASK
        }) {
      vendor.setMsrExiting(
          index,
          f != null && !f.allows(index, MsrFilter.READ),
          f != null && !f.allows(index, MsrFilter.WRITE));
    }
    vendor.setMsrExiting(VcpuMsrs.TSC, f != null && !f.allows(VcpuMsrs.TSC, MsrFilter.READ), true);
  }

  // ---- control registers and the rest ----

  private int crAccess() {
    if (exit.register == 8) {
      if (exit.accessType == 1) {
        setGpr(exit.gpr, cr8);
        skip();
        return 1;
      }
      long value = gpr(exit.gpr);
      if ((value & ~15L) != 0) {
        events.queueException(Vector.GP, true, 0, false, 0);
        return 1;
      }
      long before = cr8;
      setCr8(value);
      skip();
      return before <= cr8 ? 1 : exit(Exits.KVM_EXIT_SET_TPR);
    }
    if (exit.register == 4
        && exit.accessType == 0
        && (gpr(exit.gpr) & (ControlBits.CR4_VMXE | ControlBits.CR4_SMXE)) != 0) {
      // Virtual CPUs have no VMX of their own.
      events.queueException(Vector.GP, true, 0, false, 0);
      return 1;
    }
    return emulate();
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
      case Vector.BP:
        debug.exit(run, Vector.BP, 0);
        return 0;
      default:
        events.queueException(exit.vector, exit.hasErrorCode, exit.errorCode, false, 0);
        return 1;
    }
  }

  /**
   * No paravirtual calls are built but the one that needs nothing. KVM_ENOSYS is 1000, KVM_EPERM 1.
   */
  private int hypercall() {
    long nr = cpu.r[Cpu.RAX];
    if (!state.is64Bit()) {
      nr &= 0xffffffffL;
    }
    long result = state.cpl() != 0 ? -1 : nr == 1 ? 0 : -1000;
    cpu.r[Cpu.RAX] = state.is64Bit() ? result : result & 0xffffffffL;
    skip();
    return 1;
  }

  private int xsetbv() {
    int index = (int) cpu.r[Cpu.RCX];
    long value = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffffffffL;
    if (state.cpl() != 0 || index != 0 || !VcpuState.validXcr0(machine.model(), value)) {
      events.queueException(Vector.GP, true, 0, false, 0);
      return 1;
    }
    cpu.xcr0 = value;
    skip();
    return 1;
  }

  private int taskSwitch() {
    if ((exit.qualification >>> 30 & 3) == 3 && exit.vectoring) {
      events.exceptionInjected = false;
      events.interruptInjected = false;
      events.nmiInjected = false;
      return deliverThroughTaskGate();
    }
    return emulate();
  }

  private int deliverThroughTaskGate() {
    while (true) {
      Emulator.Outcome o =
          usingTables(
              () ->
                  emulator.deliver(
                      vendor,
                      nested,
                      exit.vectoringType,
                      exit.vectoringVector,
                      exit.vectoringHasErrorCode,
                      exit.vectoringErrorCode,
                      exit.vectoringLength));
      switch (o) {
        case DONE:
          return 1;
        case NOT_MAPPED:
          if (vm.memory.fault(emulator.accessAddress, emulator.accessWrite)
              == NestedMemory.Fault.MAPPED) {
            break;
          }
          return cannotEmulate();
        default:
          return cannotEmulate();
      }
    }
  }

  /** The guest's code segment is a 64-bit one. */
  boolean in64BitMode() {
    return state.is64Bit();
  }

  /** CS base plus RIP. */
  long linearRip() {
    if (state.is64Bit()) {
      return vendor.rip();
    }
    Segment cs = new Segment();
    vendor.segment(Cpu.CS, cs);
    return cs.base + vendor.rip() & 0xffffffffL;
  }
}
