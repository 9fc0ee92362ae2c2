package org.kvm4j.kvm;

import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmCpuid;
import org.kvm4j.kvm.uapi.KvmCpuid2;
import org.kvm4j.kvm.uapi.KvmCpuidEntry;
import org.kvm4j.kvm.uapi.KvmCpuidEntry2;
import org.kvm4j.kvm.uapi.KvmExit;
import org.kvm4j.kvm.uapi.KvmInterrupt;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmMpState;
import org.kvm4j.kvm.uapi.KvmNestedState;
import org.kvm4j.kvm.uapi.KvmSignalMask;
import org.kvm4j.kvm.uapi.KvmTprAccessCtl;
import org.kvm4j.kvm.uapi.KvmTranslation;
import org.kvm4j.kvm.uapi.KvmVapicAddr;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * A virtual CPU.
 *
 * <p>For use by one thread at a time, all but {@link #kick}, which any thread may call. Another
 * thread may take over when the first has handed over (joined, or through a lock).
 *
 * <p>It works on when its {@link Vm} and {@link Kvm} are closed, as in the kernel.
 *
 * <h2>Kicks</h2>
 *
 * {@link #kick} gets the vCPU's thread out of {@code KVM_RUN}, or keeps it from staying in, without
 * a race:
 *
 * <ol>
 *   <li>The runner notes its thread id, then calls {@code KVM_RUN}; when it comes back it takes the
 *       note away.
 *   <li>A kicker notes that a kick is pending, sets {@code immediate_exit}, and then, if there is a
 *       runner, signals it. There is a full fence between the store and the look for a runner, and
 *       another between the runner's note and {@code KVM_RUN}, so that either the kicker sees the
 *       runner or the kernel sees {@code immediate_exit}. A signal that comes when the runner is
 *       not, or no longer, in {@code KVM_RUN} is lost, and does no harm: {@code immediate_exit}
 *       stays.
 *   <li>{@code KVM_RUN} that fails with EINTR takes the pending kick: it clears {@code
 *       immediate_exit}. One that ends in another exit leaves it, so the next ends at once. The
 *       runner does this under the lock that the kicker holds until its signal is sent, so that the
 *       signal of a kick that was taken does not hit a later run.
 * </ol>
 *
 * So every kick is followed by a run that is {@link Exit.Interrupted}: the one it hit, or the next
 * one, once. Several kicks before that count as one. What a kicker wrote before {@link #kick} the
 * runner sees after that run.
 */
public final class Vcpu extends Handle {

  private static final int PAGE_SIZE = 4096;
  private static final int NO_RUNNER = 0;

  private final int id;
  private final int xsaveSize;
  private final ArgumentBlock arguments;
  private final long mapping;
  private final int mappingSize;
  private final RunPage page;
  private final CoalescedRing ring;
  private final long dirtyMapping;
  private final int dirtySize;
  private final @Nullable DirtyRing dirtyRing;

  /** How many entries CPUID has, if it was set through this handle; else -1. */
  private int cpuidEntries = -1;

  // The thread that last ran the vCPU and its id in the kernel, which a system call would have to
  // get.
  private @Nullable Thread lastThread;
  private int lastThreadId;

  private final Object kickLock = new Object();
  private final AtomicInteger runner = new AtomicInteger(NO_RUNNER);

  /** Guarded by kickLock. */
  private boolean kickPending;

  /**
   * @param dirtySize of the vCPU's dirty ring in bytes; 0 if it has none
   */
  Vcpu(Vm vm, int fd, int id, int mappingSize, int dirtySize) {
    super(vm.kernel(), fd, "vCPU " + id);
    this.id = id;
    this.mappingSize = mappingSize;
    this.dirtySize = dirtySize;
    this.mapping = map(mappingSize, 0, "run page");
    if (dirtySize == 0) {
      this.dirtyMapping = 0;
      this.dirtyRing = null;
    } else {
      this.dirtyMapping =
          map(dirtySize, (long) Uapi.KVM_DIRTY_LOG_PAGE_OFFSET * PAGE_SIZE, "dirty ring");
      this.dirtyRing = new DirtyRing(kernel.memory(dirtyMapping, dirtySize));
    }
    UserMemory memory = kernel.memory(mapping, mappingSize);
    this.page = new RunPage(memory, () -> kernel.diagnosis(fd));
    this.ring =
        new CoalescedRing(
            memory.slice((long) Uapi.KVM_COALESCED_MMIO_PAGE_OFFSET * PAGE_SIZE, PAGE_SIZE));
    this.arguments = new ArgumentBlock(vm.pool());
    this.xsaveSize = vm.checkExtension(Caps.KVM_CAP_XSAVE2);
  }

  private long map(int size, long offset, String what) {
    long address =
        kernel.mmap(size, Kernel.PROT_READ | Kernel.PROT_WRITE, Kernel.MAP_SHARED, fd(), offset);
    if (isError(address)) {
      kernel.close(fd());
      throw new KvmException("mmap", (int) -address, "of vCPU " + id + "'s " + what);
    }
    return address;
  }

  /** The number that the vCPU was created with. */
  public int id() {
    return id;
  }

  /** Which VMX operation it is in, in words, where it is a processor: {@link Kernel#operation}. */
  public String operation() {
    return kernel.operation(fd());
  }

  /** The run page, to look at and answer exits without allocating. */
  public RunPage runPage() {
    return page;
  }

  /** The VM's ring of coalesced writes. */
  public CoalescedRing coalescedRing() {
    return ring;
  }

  /**
   * The pages that the vCPU has written.
   *
   * @throws IllegalStateException if the VM was not told to have rings by {@link
   *     Vm#enableDirtyRing} before the vCPU was made
   */
  public DirtyRing dirtyRing() {
    if (dirtyRing == null) {
      throw new IllegalStateException("vCPU " + id + " was made without a dirty ring");
    }
    return dirtyRing;
  }

  // --- Run

  /**
   * {@code KVM_RUN}: runs the guest until something needs user space.
   *
   * @return why it came back. EINTR gives {@link Exit.Interrupted}, EAGAIN {@link Exit.Again},
   *     EFAULT with {@code KVM_EXIT_MEMORY_FAULT} {@link Exit.MemoryFault}
   * @throws KvmException EFAULT if the guest touched a slot whose memory is not mapped; EINVAL if
   *     {@code kvm_run} or the synchronised registers hold something invalid
   */
  public Exit run() {
    int result = runRaw();
    if (result < 0) {
      if (result == Errno.EINTR.result()) {
        return new Exit.Interrupted();
      }
      if (result == Errno.EAGAIN.result()) {
        return new Exit.Again();
      }
      if (result != Errno.EFAULT.result() || page.exitReason() != Exits.KVM_EXIT_MEMORY_FAULT) {
        throw new KvmException(KvmIoctl.KVM_RUN.name(), -result, whyNotRun(result));
      }
    }
    return Exit.of(page);
  }

  private String whyNotRun(int result) {
    if (result == Errno.EFAULT.result()) {
      return "the guest touched a memory slot whose user-space memory is not mapped, or not so";
    }
    if (result == Errno.EINVAL.result()) {
      return String.format(
          "kvm_run holds something invalid: cr8 0x%x, valid registers 0x%x, dirty registers 0x%x",
          page.cr8(), page.validRegs(), page.dirtyRegs());
    }
    return "";
  }

  /**
   * {@code KVM_RUN} for loops that must not allocate: {@link #runPage} tells of the exit. It throws
   * nothing for what the kernel returns.
   *
   * @return 0, or {@code -errno}
   * @throws IllegalStateException if this is closed
   */
  public int runRaw() {
    int fd = fd();
    Thread thread = Thread.currentThread();
    if (thread != lastThread) {
      lastThreadId = kernel.gettid();
      lastThread = thread;
    }
    // A full fence lies between this and the kernel's look at immediate_exit.
    runner.set(lastThreadId);
    int result;
    try {
      result = kernel.ioctl(fd, Ioctls.KVM_RUN, 0);
    } finally {
      runner.setRelease(NO_RUNNER);
    }
    if (result == Errno.EINTR.result()) {
      takeKick();
    }
    return result;
  }

  private void takeKick() {
    synchronized (kickLock) {
      if (kickPending) {
        kickPending = false;
        page.setImmediateExit(false);
      }
    }
  }

  /**
   * Gets the vCPU's thread out of {@link #run}, or makes its next run end at once, exactly once.
   * Any thread may call it; the class's description tells how it works.
   *
   * @throws IllegalStateException if this is closed
   */
  public void kick() {
    synchronized (kickLock) {
      fd();
      kickPending = true;
      page.setImmediateExit(true);
      VarHandle.fullFence();
      int target = runner.get();
      if (target != NO_RUNNER) {
        // ESRCH: the thread has ended, and with it its run.
        kernel.kick(target);
      }
    }
  }

  /**
   * Answers {@link Exit.IoIn} of one element; the next run gives it to the guest.
   *
   * @param value its low 1, 2 or 4 bytes count
   * @throws IllegalStateException if the last exit was another
   */
  public void answerIn(int value) {
    expectIn();
    if (page.ioCount() != 1) {
      throw new IllegalStateException(
          "the guest reads " + page.ioCount() + " elements from port " + page.ioPort());
    }
    page.setIoData(0, value);
  }

  /**
   * Answers {@link Exit.IoIn}; the next run gives it to the guest.
   *
   * @param data size * count bytes
   * @throws IllegalStateException if the last exit was another
   */
  public void answerIn(byte[] data) {
    expectIn();
    if (data.length != page.ioSize() * page.ioCount()) {
      throw new IllegalArgumentException(
          String.format(
              "the guest reads %d times %d bytes, not %d bytes, from port 0x%x",
              page.ioCount(), page.ioSize(), data.length, page.ioPort()));
    }
    page.writeIoData(data, 0);
  }

  private void expectIn() {
    expect(Exits.KVM_EXIT_IO);
    if (!page.ioIsIn()) {
      throw new IllegalStateException("the guest does not read a port, it writes one");
    }
  }

  /**
   * Answers {@link Exit.MmioRead}; the next run gives it to the guest.
   *
   * @param value little endian; its low {@code length} bytes count
   * @throws IllegalStateException if the last exit was another
   */
  public void answerMmio(long value) {
    expect(Exits.KVM_EXIT_MMIO);
    if (page.mmioIsWrite()) {
      throw new IllegalStateException("the guest does not read a device's memory, it writes it");
    }
    page.setMmioData(value);
  }

  /**
   * Answers {@link Exit.RdMsr}; the next run gives it to the guest.
   *
   * @throws IllegalStateException if the last exit was another
   */
  public void answerRdMsr(long value) {
    expect(Exits.KVM_EXIT_X86_RDMSR);
    page.setMsrData(value);
    page.setMsrError(false);
  }

  /**
   * Answers {@link Exit.RdMsr} or {@link Exit.WrMsr} with #GP in the guest.
   *
   * @throws IllegalStateException if the last exit was another
   */
  public void failMsr() {
    if (page.exitReason() != Exits.KVM_EXIT_X86_WRMSR) {
      expect(Exits.KVM_EXIT_X86_RDMSR);
    }
    page.setMsrError(true);
  }

  /**
   * Answers {@link Exit.Hypercall}: what the guest finds in RAX.
   *
   * @throws IllegalStateException if the last exit was another
   */
  public void answerHypercall(long value) {
    expect(Exits.KVM_EXIT_HYPERCALL);
    page.setHypercallResult(value);
  }

  private void expect(int reason) {
    if (page.exitReason() != reason) {
      throw new IllegalStateException(
          "nothing to answer: the last exit was "
              + KvmExit.nameOf(page.exitReason())
              + ", not "
              + KvmExit.nameOf(reason));
    }
  }

  // --- Registers

  /** {@code KVM_GET_REGS}. */
  public Regs getRegs() {
    Regs regs = new Regs();
    getRegs(regs);
    return regs;
  }

  /** {@code KVM_GET_REGS} into a value that is there already. */
  public void getRegs(Regs regs) {
    get(KvmIoctl.KVM_GET_REGS, regs);
  }

  /** {@code KVM_SET_REGS}. It forgets a pending exception. */
  public void setRegs(Regs regs) {
    set(KvmIoctl.KVM_SET_REGS, regs);
  }

  /** {@code KVM_GET_SREGS}. */
  public Sregs getSregs() {
    Sregs sregs = new Sregs();
    get(KvmIoctl.KVM_GET_SREGS, sregs);
    return sregs;
  }

  /**
   * {@code KVM_SET_SREGS}.
   *
   * @throws KvmException EINVAL for control registers, EFER, IA32_APIC_BASE or CS that contradict
   *     each other or set reserved bits, such as paging without protection, or long mode without
   *     PAE
   */
  public void setSregs(Sregs sregs) {
    set(KvmIoctl.KVM_SET_SREGS, sregs);
  }

  /** {@code KVM_GET_SREGS2}. Needs {@code KVM_CAP_SREGS2}. */
  public Sregs2 getSregs2() {
    Sregs2 sregs = new Sregs2();
    get(KvmIoctl.KVM_GET_SREGS2, sregs);
    return sregs;
  }

  /**
   * {@code KVM_SET_SREGS2}. Needs {@code KVM_CAP_SREGS2}.
   *
   * @throws KvmException EINVAL as {@link #setSregs}, or for an unknown flag, or PDPTRs without PAE
   *     paging
   */
  public void setSregs2(Sregs2 sregs) {
    set(KvmIoctl.KVM_SET_SREGS2, sregs);
  }

  /** {@code KVM_GET_FPU}. */
  public Fpu getFpu() {
    Fpu fpu = new Fpu();
    get(KvmIoctl.KVM_GET_FPU, fpu);
    return fpu;
  }

  /** {@code KVM_SET_FPU}. */
  public void setFpu(Fpu fpu) {
    set(KvmIoctl.KVM_SET_FPU, fpu);
  }

  /** {@code KVM_GET_XSAVE}: 4,096 bytes. Needs {@code KVM_CAP_XSAVE}. */
  public Xsave getXsave() {
    Xsave xsave = new Xsave();
    get(KvmIoctl.KVM_GET_XSAVE, xsave);
    return xsave;
  }

  /**
   * {@code KVM_SET_XSAVE}. Needs {@code KVM_CAP_XSAVE}.
   *
   * @param xsave from {@link #getXsave} or {@link #getXsave2}
   * @throws KvmException EINVAL for components or MXCSR bits that the guest does not have
   */
  public void setXsave(Xsave xsave) {
    // The kernel reads as much as KVM_CAP_XSAVE2 tells, whatever the value has.
    UserMemory memory = arguments.zeroed(Math.max(xsave.sizeof(), xsaveSize));
    xsave.writeTo(memory, 0);
    call(KvmIoctl.KVM_SET_XSAVE, arguments.address());
  }

  /**
   * {@code KVM_GET_XSAVE2}: as many bytes as {@code KVM_CAP_XSAVE2} told when the vCPU was made, at
   * least 4,096. Needs that capability.
   *
   * @throws KvmException EINVAL if the kernel has no such ioctl
   */
  public Xsave getXsave2() {
    Xsave xsave = new Xsave(Math.max(new Xsave().sizeof(), xsaveSize));
    get(KvmIoctl.KVM_GET_XSAVE2, xsave);
    return xsave;
  }

  /** {@code KVM_GET_XCRS}. Needs {@code KVM_CAP_XCRS}. */
  public Xcrs getXcrs() {
    Xcrs xcrs = new Xcrs();
    get(KvmIoctl.KVM_GET_XCRS, xcrs);
    return xcrs;
  }

  /**
   * {@code KVM_SET_XCRS}. Needs {@code KVM_CAP_XCRS}.
   *
   * @throws KvmException EINVAL for more than 16 registers, a flag, or a value that the guest's
   *     CPUID does not allow
   */
  public void setXcrs(Xcrs xcrs) {
    set(KvmIoctl.KVM_SET_XCRS, xcrs);
  }

  /** {@code KVM_GET_DEBUGREGS}. Needs {@code KVM_CAP_DEBUGREGS}. */
  public DebugRegs getDebugRegs() {
    DebugRegs regs = new DebugRegs();
    get(KvmIoctl.KVM_GET_DEBUGREGS, regs);
    return regs;
  }

  /**
   * {@code KVM_SET_DEBUGREGS}. Needs {@code KVM_CAP_DEBUGREGS}.
   *
   * @throws KvmException EINVAL for a flag, or high bits of DR6 or DR7
   */
  public void setDebugRegs(DebugRegs regs) {
    set(KvmIoctl.KVM_SET_DEBUGREGS, regs);
  }

  /**
   * {@code KVM_GET_MSRS}, in order.
   *
   * @param entries at most 255; their indices are taken, their data set
   * @return how many were read: the kernel stops at the first that it refuses
   * @throws KvmException E2BIG for more than 255 entries
   */
  public int getMsrs(List<MsrEntry> entries) {
    return Msrs.get(this, arguments, entries);
  }

  /**
   * {@code KVM_SET_MSRS}, in order.
   *
   * @param entries at most 255
   * @return how many were set: the kernel stops at the first that it refuses
   * @throws KvmException E2BIG for more than 255 entries
   */
  public int setMsrs(List<MsrEntry> entries) {
    return Msrs.set(this, arguments, entries);
  }

  /**
   * One MSR.
   *
   * @param index its number, 32 bits
   * @throws KvmException with no error number if the kernel refuses it
   */
  public long getMsr(int index) {
    MsrEntry entry = new MsrEntry(index, 0);
    if (getMsrs(List.of(entry)) != 1) {
      throw new KvmException(
          KvmIoctl.KVM_GET_MSRS.name(),
          0,
          "MSR 0x" + Integer.toHexString(index) + " is unknown to this kernel or refused");
    }
    return entry.data;
  }

  /**
   * Sets one MSR.
   *
   * @param index its number, 32 bits
   * @throws KvmException with no error number if the kernel refuses it
   */
  public void setMsr(int index, long value) {
    if (setMsrs(List.of(new MsrEntry(index, value))) != 1) {
      throw new KvmException(
          KvmIoctl.KVM_SET_MSRS.name(),
          0,
          String.format(
              "MSR 0x%x is unknown to this kernel, or refuses the value 0x%x", index, value));
    }
  }

  /**
   * {@code KVM_SET_CPUID2}: what CPUID tells the guest. Needs {@code KVM_CAP_EXT_CPUID}.
   *
   * @param entries at most 256
   * @throws KvmException E2BIG for more entries; EINVAL once the vCPU has run, for a different list
   */
  public void setCpuid2(List<CpuidEntry> entries) {
    UserMemory memory =
        arguments.zeroed(KvmCpuid2.SIZEOF + (long) entries.size() * KvmCpuidEntry2.SIZEOF);
    Kvm.writeCpuid(memory, entries);
    call(KvmIoctl.KVM_SET_CPUID2, arguments.address(), () -> whyNotCpuid(entries.size()));
    cpuidEntries = entries.size();
  }

  private static String whyNotCpuid(int count) {
    return count > Uapi.KVM_MAX_CPUID_ENTRIES
        ? count + " entries of at most " + Uapi.KVM_MAX_CPUID_ENTRIES
        : "once the vCPU has run, CPUID can no longer change";
  }

  /**
   * {@code KVM_SET_CPUID}, which {@link #setCpuid2} replaces: leaves without subleaves.
   *
   * @param entries at most 256; their index and flags are not used
   * @throws KvmException E2BIG for more entries; EINVAL once the vCPU has run
   */
  public void setCpuid(List<CpuidEntry> entries) {
    UserMemory memory =
        arguments.zeroed(KvmCpuid.SIZEOF + (long) entries.size() * KvmCpuidEntry.SIZEOF);
    memory.putInt(KvmCpuid.NENT, entries.size());
    for (int i = 0; i < entries.size(); i++) {
      CpuidEntry entry = entries.get(i);
      long at = KvmCpuid.ENTRIES + (long) i * KvmCpuidEntry.SIZEOF;
      memory.putInt(at + KvmCpuidEntry.FUNCTION, entry.function);
      memory.putInt(at + KvmCpuidEntry.EAX, entry.eax);
      memory.putInt(at + KvmCpuidEntry.EBX, entry.ebx);
      memory.putInt(at + KvmCpuidEntry.ECX, entry.ecx);
      memory.putInt(at + KvmCpuidEntry.EDX, entry.edx);
    }
    call(KvmIoctl.KVM_SET_CPUID, arguments.address(), () -> whyNotCpuid(entries.size()));
    cpuidEntries = entries.size();
  }

  /** {@code KVM_GET_CPUID2}. Needs {@code KVM_CAP_EXT_CPUID}. */
  public List<CpuidEntry> getCpuid2() {
    UserMemory memory =
        arguments.zeroed(
            KvmCpuid2.SIZEOF + (long) Uapi.KVM_MAX_CPUID_ENTRIES * KvmCpuidEntry2.SIZEOF);
    memory.putInt(KvmCpuid2.NENT, Uapi.KVM_MAX_CPUID_ENTRIES);
    call(KvmIoctl.KVM_GET_CPUID2, arguments.address());
    int count = memory.getInt(KvmCpuid2.NENT);
    // Linux 6.1 does not write back how many it gave. Then: as many as were set here, or else as
    // many as
    // are enough (fewer fail with E2BIG).
    if (count == Uapi.KVM_MAX_CPUID_ENTRIES) {
      count = cpuidEntries >= 0 ? cpuidEntries : leastCpuidCount();
    }
    return Kvm.readCpuid(memory, count);
  }

  private int leastCpuidCount() {
    MappedMemory probe =
        MappedMemory.allocate(
            kernel, KvmCpuid2.SIZEOF + (long) Uapi.KVM_MAX_CPUID_ENTRIES * KvmCpuidEntry2.SIZEOF);
    try (probe) {
      int tooFew = -1;
      int enough = Uapi.KVM_MAX_CPUID_ENTRIES;
      while (enough - tooFew > 1) {
        int middle = (tooFew + enough) >>> 1;
        probe.memory().putInt(KvmCpuid2.NENT, middle);
        if (ioctl(Ioctls.KVM_GET_CPUID2, probe.address()) < 0) {
          tooFew = middle;
        } else {
          enough = middle;
        }
      }
      return enough;
    }
  }

  // --- Events

  /**
   * {@code KVM_INTERRUPT}: queues an external interrupt; without in-kernel interrupt chips, or with
   * only local APICs in the kernel. {@link RunPage#readyForInterruptInjection} tells when the guest
   * takes it.
   *
   * @param vector 0 to 255
   * @throws KvmException EINVAL for a greater vector; ENXIO if the PICs are in the kernel; EEXIST,
   *     with only local APICs in the kernel, if one is pending
   */
  public void interrupt(int vector) {
    UserMemory memory = arguments.zeroed(KvmInterrupt.SIZEOF);
    memory.putInt(KvmInterrupt.IRQ, vector);
    call(KvmIoctl.KVM_INTERRUPT, arguments.address(), () -> "vector " + vector);
  }

  /** {@code KVM_NMI}: queues a non-maskable interrupt. Needs {@code KVM_CAP_USER_NMI}. */
  public void nmi() {
    call(KvmIoctl.KVM_NMI, 0);
  }

  /** {@code KVM_GET_VCPU_EVENTS}. Needs {@code KVM_CAP_VCPU_EVENTS}. */
  public VcpuEvents getVcpuEvents() {
    VcpuEvents events = new VcpuEvents();
    get(KvmIoctl.KVM_GET_VCPU_EVENTS, events);
    return events;
  }

  /**
   * {@code KVM_SET_VCPU_EVENTS}. Needs {@code KVM_CAP_VCPU_EVENTS}.
   *
   * @throws KvmException EINVAL for an unknown flag, or an exception to inject with vector 2 or
   *     above 31
   */
  public void setVcpuEvents(VcpuEvents events) {
    set(KvmIoctl.KVM_SET_VCPU_EVENTS, events);
  }

  /** {@code KVM_GET_MP_STATE}. Needs {@code KVM_CAP_MP_STATE}. */
  public MpState getMpState() {
    UserMemory memory = arguments.zeroed(KvmMpState.SIZEOF);
    call(KvmIoctl.KVM_GET_MP_STATE, arguments.address());
    return new MpState(memory.getInt(KvmMpState.MP_STATE));
  }

  /**
   * {@code KVM_SET_MP_STATE}. Needs {@code KVM_CAP_MP_STATE}.
   *
   * @throws KvmException EINVAL for an unknown state, or another than RUNNABLE without in-kernel
   *     local APICs
   */
  public void setMpState(MpState state) {
    UserMemory memory = arguments.zeroed(KvmMpState.SIZEOF);
    memory.putInt(KvmMpState.MP_STATE, state.number());
    call(KvmIoctl.KVM_SET_MP_STATE, arguments.address(), state::toString);
  }

  /**
   * {@code KVM_GET_LAPIC}. Needs {@code KVM_CAP_IRQCHIP}.
   *
   * @throws KvmException EINVAL without in-kernel local APICs
   */
  public LapicState getLapic() {
    LapicState state = new LapicState();
    get(KvmIoctl.KVM_GET_LAPIC, state);
    return state;
  }

  /**
   * {@code KVM_SET_LAPIC}. Needs {@code KVM_CAP_IRQCHIP}.
   *
   * @throws KvmException EINVAL without in-kernel local APICs, or for a wrong x2APIC id
   */
  public void setLapic(LapicState state) {
    set(KvmIoctl.KVM_SET_LAPIC, state);
  }

  /**
   * {@code KVM_TPR_ACCESS_REPORTING}: whether accesses to the task priority register exit. Needs
   * {@code KVM_CAP_VAPIC}.
   */
  public void tprAccessReporting(boolean enabled) {
    UserMemory memory = arguments.zeroed(KvmTprAccessCtl.SIZEOF);
    memory.putInt(KvmTprAccessCtl.ENABLED, enabled ? 1 : 0);
    call(KvmIoctl.KVM_TPR_ACCESS_REPORTING, arguments.address());
  }

  /**
   * {@code KVM_SET_VAPIC_ADDR}: where the guest keeps a copy of the task priority. Needs {@code
   * KVM_CAP_VAPIC}.
   *
   * @param guestPhysicalAddress of 4 bytes, or 0 for none
   * @throws KvmException EINVAL without in-kernel local APICs
   */
  public void setVapicAddr(long guestPhysicalAddress) {
    UserMemory memory = arguments.zeroed(KvmVapicAddr.SIZEOF);
    memory.putLong(KvmVapicAddr.VAPIC_ADDR, guestPhysicalAddress);
    call(KvmIoctl.KVM_SET_VAPIC_ADDR, arguments.address());
  }

  /**
   * {@code KVM_X86_SETUP_MCE}: which machine-check registers the guest has. Needs {@code
   * KVM_CAP_MCE}.
   *
   * @param mcgCap for IA32_MCG_CAP, within {@link Kvm#getMceCapSupported}; banks in bits 0 to 7
   * @throws KvmException EINVAL for more banks or other bits
   */
  public void setupMce(long mcgCap) {
    UserMemory memory = arguments.zeroed(8);
    memory.putLong(0, mcgCap);
    call(
        KvmIoctl.KVM_X86_SETUP_MCE,
        arguments.address(),
        () -> "IA32_MCG_CAP 0x" + Long.toHexString(mcgCap));
  }

  /**
   * {@code KVM_X86_SET_MCE}: reports an error to the guest by its machine-check registers, and by
   * #MC or, where no action is required, the interrupt for corrected errors. Needs {@code
   * KVM_CAP_MCE}.
   *
   * @throws KvmException EINVAL if there is no such bank, or the status is not valid
   */
  public void setMce(MachineCheckError error) {
    set(KvmIoctl.KVM_X86_SET_MCE, error);
  }

  // --- Other

  /**
   * {@code KVM_TRANSLATE}: walks the guest's page tables.
   *
   * @param linearAddress 64 bits
   */
  public Translation translate(long linearAddress) {
    UserMemory memory = arguments.zeroed(KvmTranslation.SIZEOF);
    memory.putLong(KvmTranslation.LINEAR_ADDRESS, linearAddress);
    call(KvmIoctl.KVM_TRANSLATE, arguments.address());
    return new Translation(
        memory.getLong(KvmTranslation.LINEAR_ADDRESS),
        memory.getLong(KvmTranslation.PHYSICAL_ADDRESS),
        memory.getByte(KvmTranslation.VALID) != 0,
        memory.getByte(KvmTranslation.WRITEABLE) != 0,
        memory.getByte(KvmTranslation.USERMODE) != 0);
  }

  /**
   * {@code KVM_SET_GUEST_DEBUG}: single-step and breakpoints. Needs {@code
   * KVM_CAP_SET_GUEST_DEBUG}.
   *
   * @throws KvmException EBUSY for {@code KVM_GUESTDBG_INJECT_*} while an exception is pending
   */
  public void setGuestDebug(GuestDebug debug) {
    set(KvmIoctl.KVM_SET_GUEST_DEBUG, debug);
  }

  /**
   * {@code KVM_SET_SIGNAL_MASK}: which signals are blocked while the thread is in {@code KVM_RUN}.
   * {@link #kick} does not need it.
   *
   * @param signals a bit for each signal, signal n at bit n - 1
   */
  public void setSignalMask(long signals) {
    UserMemory memory = arguments.zeroed(KvmSignalMask.SIZEOF + 8);
    memory.putInt(KvmSignalMask.LEN, 8);
    memory.putLong(KvmSignalMask.SIGSET, signals);
    call(KvmIoctl.KVM_SET_SIGNAL_MASK, arguments.address());
  }

  /** {@code KVM_SET_SIGNAL_MASK} without a mask: undoes {@link #setSignalMask}. */
  public void clearSignalMask() {
    call(KvmIoctl.KVM_SET_SIGNAL_MASK, 0);
  }

  /**
   * {@code KVM_ENABLE_CAP} on the vCPU's descriptor. Needs {@code KVM_CAP_ENABLE_CAP}.
   *
   * @param capability its number, {@code Caps.KVM_CAP_*}
   * @param args up to 4, as the capability says
   * @throws KvmException EINVAL for an unknown capability or argument
   */
  public void enableCap(int capability, long... args) {
    EnableCaps.enable(this, arguments, capability, args);
  }

  /**
   * {@code KVM_GET_TSC_KHZ}. Needs {@code KVM_CAP_GET_TSC_KHZ}.
   *
   * @return the frequency of the guest's TSC in kHz
   */
  public int getTscKhz() {
    return call(KvmIoctl.KVM_GET_TSC_KHZ, 0);
  }

  /**
   * {@code KVM_SET_TSC_KHZ}. Needs {@code KVM_CAP_TSC_CONTROL}, or the host's own frequency.
   *
   * @param khz in kHz
   * @throws KvmException EINVAL for a frequency that the host cannot give
   */
  public void setTscKhz(int khz) {
    call(KvmIoctl.KVM_SET_TSC_KHZ, khz, () -> khz + " kHz");
  }

  /**
   * {@code KVM_KVMCLOCK_CTRL}: tells the guest that it was paused. Needs {@code
   * KVM_CAP_KVMCLOCK_CTRL}.
   *
   * @throws KvmException EINVAL if the guest has not switched on kvmclock
   */
  public void kvmclockCtrl() {
    call(KvmIoctl.KVM_KVMCLOCK_CTRL, 0, () -> "the guest has not switched on kvmclock");
  }

  /**
   * {@code KVM_GET_NESTED_STATE}. Needs {@code KVM_CAP_NESTED_STATE}.
   *
   * @return {@code struct kvm_nested_state} with what follows it
   * @throws KvmException EINVAL if the kernel has no such ioctl
   */
  public byte[] getNestedState() {
    UserMemory memory = arguments.zeroed(KvmNestedState.SIZEOF);
    memory.putInt(KvmNestedState.SIZE, KvmNestedState.SIZEOF);
    int result = ioctl(Ioctls.KVM_GET_NESTED_STATE, arguments.address());
    if (result == Errno.E2BIG.result()) {
      int size = memory.getInt(KvmNestedState.SIZE);
      memory = arguments.zeroed(size);
      memory.putInt(KvmNestedState.SIZE, size);
      result = ioctl(Ioctls.KVM_GET_NESTED_STATE, arguments.address());
    }
    if (result < 0) {
      throw new KvmException(KvmIoctl.KVM_GET_NESTED_STATE.name(), -result, "");
    }
    byte[] state = new byte[memory.getInt(KvmNestedState.SIZE)];
    memory.read(0, state, 0, state.length);
    return state;
  }

  /**
   * {@code KVM_SET_NESTED_STATE}. Needs {@code KVM_CAP_NESTED_STATE}.
   *
   * @param state from {@link #getNestedState}
   * @throws KvmException EINVAL for a state that is not valid, or if the kernel has no such ioctl
   */
  public void setNestedState(byte[] state) {
    arguments.zeroed(state.length).write(0, state, 0, state.length);
    call(KvmIoctl.KVM_SET_NESTED_STATE, arguments.address());
  }

  /**
   * {@code KVM_HAS_DEVICE_ATTR} on the vCPU's descriptor. Needs {@code KVM_CAP_VCPU_ATTRIBUTES}.
   *
   * @return whether there is such an attribute (the kernel says no with ENXIO)
   */
  public boolean hasDeviceAttr(int group, long attribute) {
    return DeviceAttrs.has(this, arguments, group, attribute);
  }

  /**
   * {@code KVM_GET_DEVICE_ATTR} on the vCPU's descriptor, for an attribute of 8 bytes: {@code
   * KVM_VCPU_TSC_CTRL}, {@code KVM_VCPU_TSC_OFFSET} is what is added to the host's TSC. Needs
   * {@code KVM_CAP_VCPU_ATTRIBUTES}.
   *
   * @throws KvmException ENXIO if there is no such attribute
   */
  public long getDeviceAttr(int group, long attribute) {
    return DeviceAttrs.get(this, arguments, group, attribute);
  }

  /**
   * {@code KVM_SET_DEVICE_ATTR} on the vCPU's descriptor, for an attribute of 8 bytes. Needs {@code
   * KVM_CAP_VCPU_ATTRIBUTES}.
   *
   * @throws KvmException ENXIO if there is no such attribute
   */
  public void setDeviceAttr(int group, long attribute, long value) {
    DeviceAttrs.set(this, arguments, group, attribute, value);
  }

  /**
   * {@code KVM_GET_STATS_FD} on the vCPU's descriptor, and all that it reads. Needs {@code
   * KVM_CAP_BINARY_STATS_FD}.
   *
   * @throws KvmException ENOMEM, EMFILE
   */
  public List<Statistic> readStatistics() {
    int stats = call(KvmIoctl.KVM_GET_STATS_FD, 0);
    try {
      return Statistic.read(kernel, stats);
    } finally {
      kernel.close(stats);
    }
  }

  private void get(KvmIoctl ioctl, UapiStruct value) {
    UserMemory memory = arguments.zeroed(value.sizeof());
    call(ioctl, arguments.address());
    value.readFrom(memory, 0);
  }

  private void set(KvmIoctl ioctl, UapiStruct value) {
    UserMemory memory = arguments.zeroed(value.sizeof());
    value.writeTo(memory, 0);
    int result = ioctl(ioctl.number(), arguments.address());
    if (result < 0) {
      throw failed(ioctl, result, value::toString);
    }
  }

  /**
   * Closes the vCPU's descriptor and unmaps its pages; a second time does nothing.
   *
   * @throws IllegalStateException if a thread is inside {@link #run}: kick and join it first
   */
  @Override
  public void close() {
    synchronized (kickLock) {
      if (runner.get() != NO_RUNNER) {
        throw new IllegalStateException(
            "vCPU " + id + " is running: kick it and wait for its thread before closing it");
      }
      if (closeOnce()) {
        kernel.munmap(mapping, mappingSize);
        if (dirtySize != 0) {
          kernel.munmap(dirtyMapping, dirtySize);
        }
        closeFd();
        arguments.close();
      }
    }
  }
}
