package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Caps.*;
import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.engine.SharedCode;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.module.irqchip.InterruptChips;
import org.kvm4j.kvm.module.pv.VmKvmClock;
import org.kvm4j.kvm.uapi.KvmClearDirtyLog;
import org.kvm4j.kvm.uapi.KvmCoalescedMmioZone;
import org.kvm4j.kvm.uapi.KvmCreateDevice;
import org.kvm4j.kvm.uapi.KvmDirtyLog;
import org.kvm4j.kvm.uapi.KvmEnableCap;
import org.kvm4j.kvm.uapi.KvmIoeventfd;
import org.kvm4j.kvm.uapi.KvmUserspaceMemoryRegion;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * A virtual machine: its memory slots, virtual CPUs and VM ioctls. Source: Linux 6.1 kvm_vm_ioctl.
 */
final class VmFile extends FileObject {
  private static final int KVM_MSR_EXIT_REASON_MASK = 7;

  final EmulatedKernel kernel;
  final UserSpace user;
  final MemorySlots slots;
  final NestedMemory memory;

  /** What changes of slots change: the nested tables, or on bare metal physical memory. */
  private final MemorySlots.Change changes;

  /** The machine's physical memory on bare metal. */
  private final PhysicalMemory processorMemory;

  private final SharedCode machineCode;

  final DirtyPages dirtyPages;
  final GuestPhysical guestPhysical;
  final IoBus bus;
  final VmTime time;
  final VmKvmClock clock;
  final TscSync tscs;
  private final ClockIoctls clockIoctls;
  private final ChipIoctls chips;
  final CopyOnWriteArrayList<VirtualCpu> vcpus = new CopyOnWriteArrayList<>();

  /** The VM lives as long as its descriptor or one of its vCPUs'. */
  private int references = 1;

  private boolean vcpuCreated;

  /** KVM_SET_BOOT_CPU_ID. */
  private volatile int bootCpu;

  private boolean manualProtect;
  private boolean initiallySet;
  private boolean vfioCreated;
  private final UserSpace.Notifier notifier;
  final VmSettings settings = new VmSettings();

  /** KVM_CAP_X86_USER_SPACE_MSR: which MSR faults go to user space. */
  volatile int userSpaceMsr;

  volatile @Nullable MsrFilter msrFilter;
  volatile boolean exceptionPayload;
  volatile boolean tripleFaultEvent;
  volatile boolean exitOnEmulationFailure;
  volatile long disabledQuirks;

  /** KVM_CAP_EXIT_HYPERCALL: a bit for each call that is user space's. */
  volatile int exitingHypercalls;

  /** KVM_CAP_X86_DISABLE_EXITS. */
  private volatile int disabledExits;

  volatile int defaultTscKhz = MachineClock.TSC_KHZ;

  /** The VM's ring of coalesced accesses: a page that every vCPU maps. */
  final FilePages ringPages;

  final ByteBuffer ring;

  private VmFile(EmulatedKernel kernel) {
    this.kernel = kernel;
    this.user = kernel.user();
    this.slots = new MemorySlots(kernel.machine().model().physicalAddressBits());
    this.dirtyPages = new DirtyPages(vcpus);
    this.memory = new NestedMemory(kernel.machine(), user, slots, dirtyPages, this::flushAll);
    if (kernel.machine().isBare()) {
      processorMemory = new PhysicalMemory(kernel.machine().model().physicalAddressBits());
      changes = new PhysicalSlots(user, processorMemory, this::flushAll);
    } else {
      processorMemory = kernel.machine().memory();
      changes = memory;
    }
    this.machineCode = new SharedCode(processorMemory);
    this.guestPhysical = new GuestPhysical(slots, user, dirtyPages);
    this.bus = new IoBus(kernel);
    this.time = VmTime.of(kernel.machine());
    this.clock = new VmKvmClock(time, guestPhysical);
    this.tscs = new TscSync(time);
    this.clockIoctls = new ClockIoctls(this);
    this.chips = new ChipIoctls(kernel, time);
    this.ringPages = new FilePages(kernel.machine().memory(), 1);
    this.ring = ringPages.content;
    this.notifier = memory::unmapped;
    user.addNotifier(notifier);
  }

  static int create(EmulatedKernel kernel) {
    VmFile vm = new VmFile(kernel);
    int fd = kernel.install(vm);
    if (fd < 0) {
      vm.release();
    }
    return fd;
  }

  /** The memory that the virtual CPUs' processors are connected to. */
  PhysicalMemory processorMemory() {
    return processorMemory;
  }

  /** The machine code of the VM's processors. */
  SharedCode machineCode() {
    return machineCode;
  }

  @Override
  String diagnosis() {
    return slots.refusal();
  }

  /** The in-kernel interrupt chips, if the VM has any. */
  @Nullable InterruptChips chips() {
    return chips.chips();
  }

  /**
   * Whether the VM behaves in one of the old ways.
   *
   * @param quirk {@code KVM_X86_QUIRK_*}
   */
  boolean hasQuirk(int quirk) {
    return (disabledQuirks & quirk) == 0;
  }

  /** The ID of the bootstrap processor. */
  int bootCpu() {
    return bootCpu;
  }

  /** Makes every vCPU drop what it cached of the nested tables, and waits until none uses it. */
  private void flushAll() {
    for (VirtualCpu v : vcpus) {
      v.requestFlush();
    }
    for (VirtualCpu v : vcpus) {
      v.awaitFlush();
    }
  }

  @Override
  int ioctl(int request, long argument) {
    if (ChipIoctls.has(request)) {
      return chips.ioctl(request, argument);
    }
    switch (request) {
      case KVM_CREATE_VCPU:
        return createVcpu(argument);
      case KVM_CHECK_EXTENSION:
        return Capabilities.value(kernel.machine(), argument);
      case KVM_SET_USER_MEMORY_REGION:
        return setMemory(argument);
      case KVM_GET_DIRTY_LOG:
        return getDirtyLog(argument);
      case KVM_CLEAR_DIRTY_LOG:
        return clearDirtyLog(argument);
      case KVM_RESET_DIRTY_RINGS:
        return dirtyPages.useRings() ? memory.resetRings(vcpus) : Results.EINVAL;
      case KVM_ENABLE_CAP:
        return enableCap(argument);
      case KVM_IOEVENTFD:
        {
          ByteBuffer a = user.copyIn(argument, KvmIoeventfd.SIZEOF);
          return a == null ? Results.EFAULT : bus.ioeventfd(a);
        }
      case KVM_REGISTER_COALESCED_MMIO:
        {
          ByteBuffer a = user.copyIn(argument, KvmCoalescedMmioZone.SIZEOF);
          return a == null ? Results.EFAULT : bus.register(a);
        }
      case KVM_UNREGISTER_COALESCED_MMIO:
        {
          ByteBuffer a = user.copyIn(argument, KvmCoalescedMmioZone.SIZEOF);
          return a == null ? Results.EFAULT : bus.unregister(a);
        }
      case KVM_X86_SET_MSR_FILTER:
        {
          MsrFilter.Parsed p = MsrFilter.parse(user, argument);
          if (p.error() == 0) {
            msrFilter = p.filter();
            for (VirtualCpu v : vcpus) {
              v.msrFilterChanged();
            }
          }
          return p.error();
        }
      case KVM_SET_TSS_ADDR:
        // Unrestricted guests need no TSS of the hypervisor's: the address is checked and kept.
        return Long.compareUnsigned(argument & 0xffffffffL, 0xffffffffL - 3 * 4096) > 0
            ? Results.EINVAL
            : 0;
      case KVM_SET_IDENTITY_MAP_ADDR:
        if (vcpuCreated) {
          return Results.EINVAL;
        }
        return user.physical(argument, 8) < 0 ? Results.EFAULT : 0;
      case KVM_SET_BOOT_CPU_ID:
        if (vcpuCreated) {
          return Results.EBUSY;
        }
        bootCpu = (int) argument;
        return 0;
      case KVM_CREATE_DEVICE:
        return createDevice(argument);
      case KVM_SET_NR_MMU_PAGES:
        return settings.setMmuPages(argument);
      case KVM_GET_NR_MMU_PAGES:
        return settings.mmuPages(slots);
      case KVM_SET_PMU_EVENT_FILTER:
        return VmSettings.filterEvents(user, argument);
      case KVM_GET_CLOCK:
        return clockIoctls.get(argument);
      case KVM_SET_CLOCK:
        return clockIoctls.set(argument);
      case KVM_SET_TSC_KHZ:
        return setTscKhz(argument);
      case KVM_GET_TSC_KHZ:
        return defaultTscKhz;
      case KVM_GET_STATS_FD:
        return kernel.install(StatsFile.of(this, user));
      case KVM_CREATE_IRQCHIP:
        return createChips();
      default:
        return Results.ENOTTY;
    }
  }

  private synchronized int createChips() {
    return chips.create(vcpuCreated);
  }

  private synchronized int useDirtyRings(long size) {
    return dirtyPages.setRingSize(size, vcpuCreated);
  }

  private synchronized int splitChips(long pins) {
    return chips.split(pins, vcpuCreated);
  }

  private int setX2apicApi(long flags) {
    long known = Uapi.KVM_X2APIC_API_USE_32BIT_IDS | Uapi.KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
    if ((flags & ~known) != 0) {
      return Results.EINVAL;
    }
    chips.setX2apicApi(
        (flags & Uapi.KVM_X2APIC_API_USE_32BIT_IDS) != 0,
        (flags & Uapi.KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK) != 0);
    return 0;
  }

  private synchronized int createVcpu(long id) {
    if (Long.compareUnsigned(id, Capabilities.MAX_VCPU_ID) >= 0
        || vcpus.size() >= Capabilities.MAX_VCPUS
        || id >= settings.fixVcpuIds()) {
      return Results.EINVAL;
    }
    if (references == 0) {
      return Results.EBADF;
    }
    for (VirtualCpu v : vcpus) {
      if (v.id() == (int) id) {
        return Results.EEXIST;
      }
    }
    VirtualCpu v =
        kernel.machine().isBare()
            ? BareCpu.create(this, (int) id)
            : VirtualCpu.create(this, (int) id);
    int fd = kernel.install(v);
    if (fd < 0) {
      v.destroy();
      return fd;
    }
    vcpus.add(v);
    v.tsc.start();
    references++;
    vcpuCreated = true;
    return fd;
  }

  private synchronized int createDevice(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmCreateDevice.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    if (a.getInt(KvmCreateDevice.TYPE) != Uapi.KVM_DEV_TYPE_VFIO) {
      return Results.ENODEV;
    }
    if ((a.getInt(KvmCreateDevice.FLAGS) & Uapi.KVM_CREATE_DEVICE_TEST) == 0) {
      if (vfioCreated) {
        return Results.EBUSY;
      }
      int fd = kernel.install(new VfioDevice(this));
      if (fd < 0) {
        return fd;
      }
      vfioCreated = true;
      references++;
      a.putInt(KvmCreateDevice.FD, fd);
    }
    return user.copyOut(argument, a) ? 0 : Results.EFAULT;
  }

  private int setMemory(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmUserspaceMemoryRegion.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    int slot = a.getInt(KvmUserspaceMemoryRegion.SLOT);
    int flags = a.getInt(KvmUserspaceMemoryRegion.FLAGS);
    int r =
        slots.set(
            slot,
            flags,
            a.getLong(KvmUserspaceMemoryRegion.GUEST_PHYS_ADDR),
            a.getLong(KvmUserspaceMemoryRegion.MEMORY_SIZE),
            a.getLong(KvmUserspaceMemoryRegion.USERSPACE_ADDR),
            changes);
    if (r == 0 && initiallySet && (flags & Uapi.KVM_MEM_LOG_DIRTY_PAGES) != 0) {
      MemorySlot s = slots.byId(slot);
      if (s != null) {
        NestedMemory.setAll(s);
      }
    }
    return r;
  }

  private int getDirtyLog(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmDirtyLog.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    if (dirtyPages.useRings()) {
      return Results.ENXIO;
    }
    int slot = a.getInt(KvmDirtyLog.SLOT);
    if (slot >>> 16 != 0 || (slot & 0xffff) >= MemorySlots.COUNT) {
      return Results.EINVAL;
    }
    MemorySlot s = slots.byId(slot);
    if (s == null || !s.logsDirty()) {
      return Results.ENOENT;
    }
    long target = a.getLong(KvmDirtyLog.DIRTY_BITMAP);
    int bytes = s.dirty.length * 8;
    if (user.physical(target, bytes) < 0) {
      return Results.EFAULT;
    }
    if (!changes.tracksDirty()) {
      NestedMemory.setAll(s);
    }
    long[] bits = memory.takeDirty(s, !manualProtect);
    ByteBuffer out = UserSpace.struct(bytes);
    for (int i = 0; i < bits.length; i++) {
      out.putLong(i * 8, bits[i]);
    }
    return user.copyOut(target, out) ? 0 : Results.EFAULT;
  }

  private int clearDirtyLog(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmClearDirtyLog.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    if (dirtyPages.useRings()) {
      return Results.ENXIO;
    }
    int slot = a.getInt(KvmClearDirtyLog.SLOT);
    if (slot >>> 16 != 0 || (slot & 0xffff) >= MemorySlots.COUNT) {
      return Results.EINVAL;
    }
    long first = a.getLong(KvmClearDirtyLog.FIRST_PAGE);
    long count = a.getInt(KvmClearDirtyLog.NUM_PAGES) & 0xffffffffL;
    if ((first & 63) != 0) {
      return Results.EINVAL;
    }
    MemorySlot s = slots.byId(slot);
    if (s == null || !s.logsDirty()) {
      return Results.ENOENT;
    }
    if (Long.compareUnsigned(first, s.pages()) > 0
        || count > s.pages() - first
        || (count < s.pages() - first && (count & 63) != 0)) {
      return Results.EINVAL;
    }
    int words = (int) ((count + 63) / 64);
    ByteBuffer in = user.copyIn(a.getLong(KvmClearDirtyLog.DIRTY_BITMAP), words * 8);
    if (in == null) {
      return Results.EFAULT;
    }
    long[] bits = new long[words];
    for (int i = 0; i < words; i++) {
      bits[i] = in.getLong(i * 8);
    }
    memory.clearDirty(s, first, bits);
    return 0;
  }

  private int enableCap(long argument) {
    ByteBuffer a = user.copyIn(argument, KvmEnableCap.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    if (a.getInt(KvmEnableCap.FLAGS) != 0) {
      return Results.EINVAL;
    }
    long arg = a.getLong(KvmEnableCap.ARGS);
    switch (a.getInt(KvmEnableCap.CAP)) {
      case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
        if ((arg & ~3L) != 0 || arg == 2) {
          return Results.EINVAL;
        }
        manualProtect = (arg & 1) != 0;
        initiallySet = (arg & 2) != 0;
        return 0;
      case KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
        return useDirtyRings(arg);
      case KVM_CAP_X86_USER_SPACE_MSR:
        if ((arg & ~(long) KVM_MSR_EXIT_REASON_MASK) != 0) {
          return Results.EINVAL;
        }
        userSpaceMsr = (int) arg;
        return 0;
      case KVM_CAP_EXCEPTION_PAYLOAD:
        exceptionPayload = arg != 0;
        return 0;
      case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
        tripleFaultEvent = arg != 0;
        return 0;
      case KVM_CAP_EXIT_ON_EMULATION_FAILURE:
        if ((arg & ~1L) != 0) {
          return Results.EINVAL;
        }
        exitOnEmulationFailure = arg != 0;
        return 0;
      case KVM_CAP_DISABLE_QUIRKS2:
        if ((arg & ~(long) VmSettings.QUIRKS) != 0) {
          return Results.EINVAL;
        }
        disabledQuirks = arg;
        return 0;
      case KVM_CAP_DISABLE_QUIRKS:
        disabledQuirks = arg;
        return 0;
      case KVM_CAP_SPLIT_IRQCHIP:
        return splitChips(arg);
      case KVM_CAP_X2APIC_API:
        return setX2apicApi(arg);
      case KVM_CAP_EXIT_HYPERCALL:
        if ((arg & ~(long) Hypercalls.EXITS) != 0) {
          return Results.EINVAL;
        }
        exitingHypercalls = (int) arg;
        return 0;
      case KVM_CAP_X86_DISABLE_EXITS:
        return disableExits(arg);
      default:
        return settings.enable(a.getInt(KvmEnableCap.CAP), arg, vcpuCreated);
    }
  }

  /** For vCPUs to come. */
  private int setTscKhz(long argument) {
    int khz = (int) argument;
    if (!GuestTsc.isPossible(kernel.machine().scalesTsc(), khz)) {
      return Results.EINVAL;
    }
    defaultTscKhz = khz == 0 ? MachineClock.TSC_KHZ : khz;
    return 0;
  }

  private synchronized int disableExits(long which) {
    if ((which & ~(long) Capabilities.DISABLE_EXITS_VALID) != 0 || vcpuCreated) {
      return Results.EINVAL;
    }
    disabledExits |= (int) which;
    return 0;
  }

  /** Whether loops of PAUSE do not exit. */
  boolean pausesInGuest() {
    return (disabledExits & Uapi.KVM_X86_DISABLE_EXITS_PAUSE) != 0;
  }

  /** Whether HLT does not exit. */
  boolean haltsInGuest() {
    return (disabledExits & Uapi.KVM_X86_DISABLE_EXITS_HLT) != 0;
  }

  synchronized void release(VirtualCpu v) {
    vcpus.remove(v);
    unreference();
  }

  @Override
  synchronized void release() {
    unreference();
  }

  /** A file that keeps the VM is gone. */
  synchronized void unreference() {
    if (--references == 0) {
      user.removeNotifier(notifier);
      chips.close();
      time.close();
      for (MemorySlot slot : slots.snapshot()) {
        changes.closed(slot);
      }
      memory.close();
      ringPages.release();
    }
  }
}
