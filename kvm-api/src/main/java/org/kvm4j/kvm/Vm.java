package org.kvm4j.kvm;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmClearDirtyLog;
import org.kvm4j.kvm.uapi.KvmClockData;
import org.kvm4j.kvm.uapi.KvmCoalescedMmioZone;
import org.kvm4j.kvm.uapi.KvmCreateDevice;
import org.kvm4j.kvm.uapi.KvmDirtyLog;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmIoeventfd;
import org.kvm4j.kvm.uapi.KvmIrqLevel;
import org.kvm4j.kvm.uapi.KvmIrqRouting;
import org.kvm4j.kvm.uapi.KvmIrqRoutingEntry;
import org.kvm4j.kvm.uapi.KvmIrqchip;
import org.kvm4j.kvm.uapi.KvmIrqfd;
import org.kvm4j.kvm.uapi.KvmMsi;
import org.kvm4j.kvm.uapi.KvmPitConfig;
import org.kvm4j.kvm.uapi.KvmPitState;
import org.kvm4j.kvm.uapi.KvmPitState2;
import org.kvm4j.kvm.uapi.KvmReinjectControl;
import org.kvm4j.kvm.uapi.KvmUserspaceMemoryRegion;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * A virtual machine: guest memory, interrupt chips, and vCPUs made from it.
 *
 * <p>Safe for use by several threads.
 *
 * <p>Closing it closes the VM's descriptor and no more, as close(2) does: vCPUs and devices made
 * from it go on working, since in the kernel each of them keeps the VM alive, and the VM itself
 * ends with the last of them. Close them too.
 */
public final class Vm extends Handle {

  private static final int PAGE_SIZE = 4096;

  /** KVM_MEM_MAX_NR_PAGES of Linux 6.1. */
  private static final long MAX_SLOT_PAGES = (1L << 31) - 1;

  private static final long USER_ADDRESS_END = 1L << 47;

  private final ArgumentPool pool;
  private final ArgumentBlock arguments;
  private final int vcpuMmapSize;

  /**
   * What this handle has put into the VM, so that a refusal can name the slot that is in the way.
   */
  private final TreeMap<Integer, MemorySlot> slots = new TreeMap<>();

  /** Of the vCPUs' dirty rings, in bytes; 0 if there are none. */
  private volatile int dirtyRingSize;

  Vm(Kvm kvm, int fd) {
    super(kvm.kernel(), fd, "the VM");
    pool = new ArgumentPool(kernel);
    arguments = new ArgumentBlock(pool);
    vcpuMmapSize = kvm.getVcpuMmapSize();
  }

  /** For the arguments of what belongs to the VM. */
  ArgumentPool pool() {
    return pool;
  }

  /**
   * {@code KVM_CREATE_VCPU}.
   *
   * @param id the vCPU's number, which is also its APIC id: 0 up to the value of {@code
   *     KVM_CAP_MAX_VCPU_ID}, exclusive
   * @throws KvmException EINVAL if the id is too great or there are {@code KVM_CAP_MAX_VCPUS} vCPUs
   *     already; EEXIST if there is a vCPU of that id; ENOMEM, EMFILE
   */
  public Vcpu createVcpu(int id) {
    int vcpuFd =
        call(
            KvmIoctl.KVM_CREATE_VCPU,
            Integer.toUnsignedLong(id),
            () ->
                "vCPU id "
                    + Integer.toUnsignedString(id)
                    + " of at most "
                    + check(Caps.KVM_CAP_MAX_VCPU_ID)
                    + " ids and "
                    + check(Caps.KVM_CAP_MAX_VCPUS)
                    + " vCPUs; an id can be given once");
    return new Vcpu(this, vcpuFd, id, vcpuMmapSize, dirtyRingSize);
  }

  /**
   * {@code KVM_CHECK_EXTENSION} on the VM's descriptor, where some capabilities have another value.
   * Needs {@code KVM_CAP_CHECK_EXTENSION_VM}.
   *
   * @param capability its number, {@code Caps.KVM_CAP_*}
   * @return 0 if it is missing or unknown; else positive, with the capability's meaning
   */
  public int checkExtension(int capability) {
    return check(capability);
  }

  /** {@code KVM_CHECK_EXTENSION} on the VM's descriptor. */
  public int checkExtension(KvmCap capability) {
    return check(capability.number());
  }

  /**
   * {@code KVM_ENABLE_CAP} on the VM's descriptor. Needs {@code KVM_CAP_ENABLE_CAP_VM}.
   *
   * @param capability its number, {@code Caps.KVM_CAP_*}
   * @param args up to 4, as the capability says
   * @throws KvmException EINVAL for an unknown capability or argument; EEXIST for {@code
   *     KVM_CAP_SPLIT_IRQCHIP} once there is an interrupt chip or a vCPU
   */
  public synchronized void enableCap(int capability, long... args) {
    EnableCaps.enable(this, arguments, capability, args);
  }

  // --- Memory

  /**
   * {@code KVM_SET_USER_MEMORY_REGION}: makes, moves, changes or deletes a slot of guest memory.
   *
   * <p>An existing slot may be moved to another guest-physical address, and its {@code
   * KVM_MEM_LOG_DIRTY_PAGES} may be changed; its size, its memory and {@code KVM_MEM_READONLY} may
   * not. Memory that is not mapped is accepted, and faults when the guest touches it.
   *
   * @param slot its number in bits 0 to 15 (below {@code KVM_CAP_NR_MEMSLOTS}), its address space
   *     in bits 16 to 31
   * @param flags {@code KVM_MEM_LOG_DIRTY_PAGES}, {@code KVM_MEM_READONLY}
   * @param guestPhysicalAddress in bytes, a multiple of 4,096
   * @param size in bytes, a multiple of 4,096; 0 deletes the slot
   * @param userspaceAddress of the memory, a multiple of 4,096
   * @throws KvmException EINVAL for anything not aligned, out of range, an unknown flag, a
   *     forbidden change or the deletion of a slot that is not there; EEXIST if the range overlaps
   *     another slot's; the message says which of these it was, and names the other slot
   */
  public synchronized void setUserMemoryRegion(
      int slot, int flags, long guestPhysicalAddress, long size, long userspaceAddress) {
    MemorySlot wanted = new MemorySlot(slot, flags, guestPhysicalAddress, size, userspaceAddress);
    UserMemory memory = arguments.zeroed(KvmUserspaceMemoryRegion.SIZEOF);
    memory.putInt(KvmUserspaceMemoryRegion.SLOT, slot);
    memory.putInt(KvmUserspaceMemoryRegion.FLAGS, flags);
    memory.putLong(KvmUserspaceMemoryRegion.GUEST_PHYS_ADDR, guestPhysicalAddress);
    memory.putLong(KvmUserspaceMemoryRegion.MEMORY_SIZE, size);
    memory.putLong(KvmUserspaceMemoryRegion.USERSPACE_ADDR, userspaceAddress);
    call(KvmIoctl.KVM_SET_USER_MEMORY_REGION, arguments.address(), () -> whyNotRegion(wanted));
    if (size == 0) {
      slots.remove(slot);
    } else {
      slots.put(slot, wanted);
    }
  }

  /** Makes a slot of all of some memory. */
  public void setUserMemoryRegion(
      int slot, int flags, long guestPhysicalAddress, MappedMemory memory) {
    setUserMemoryRegion(slot, flags, guestPhysicalAddress, memory.size(), memory.address());
  }

  /** Deletes a slot. */
  public void deleteMemoryRegion(int slot) {
    setUserMemoryRegion(slot, 0, 0, 0, 0);
  }

  /** The slots that were made through this handle, by number. */
  public synchronized Collection<MemorySlot> memorySlots() {
    return List.copyOf(slots.values());
  }

  private String whyNotRegion(MemorySlot wanted) {
    List<String> reasons = new ArrayList<>();
    long gpa = wanted.guestPhysicalAddress();
    long size = wanted.size();
    long hva = wanted.userspaceAddress();
    int unknownFlags = wanted.flags() & ~(Uapi.KVM_MEM_LOG_DIRTY_PAGES | Uapi.KVM_MEM_READONLY);
    if (unknownFlags != 0) {
      reasons.add(String.format("unknown flags 0x%x", unknownFlags));
    }
    if (size % PAGE_SIZE != 0) {
      reasons.add(String.format("size 0x%x is not a multiple of 4096", size));
    }
    if (gpa % PAGE_SIZE != 0) {
      reasons.add(String.format("guest-physical address 0x%x is not a multiple of 4096", gpa));
    }
    if (hva % PAGE_SIZE != 0) {
      reasons.add(String.format("user-space address 0x%x is not a multiple of 4096", hva));
    }
    if (hva < 0 || hva >= USER_ADDRESS_END || hva + size < 0 || hva + size > USER_ADDRESS_END) {
      reasons.add(
          String.format("0x%x with 0x%x bytes is not in user space's addresses", hva, size));
    }
    if (Long.compareUnsigned(gpa + size, gpa) < 0) {
      reasons.add(
          String.format("guest-physical 0x%x + 0x%x wraps past the last address", gpa, size));
    } else if (size >>> 12 > MAX_SLOT_PAGES) {
      reasons.add(String.format("0x%x bytes are more than a slot can have", size));
    }
    int spaces = Math.max(1, check(Caps.KVM_CAP_MULTI_ADDRESS_SPACE));
    if (wanted.slot() >>> 16 >= spaces) {
      reasons.add(
          "address space " + (wanted.slot() >>> 16) + " of " + spaces + " (bits 16 to 31 of slot)");
    }
    int slotCount = check(Caps.KVM_CAP_NR_MEMSLOTS);
    if ((wanted.slot() & 0xffff) >= slotCount) {
      reasons.add("slot " + (wanted.slot() & 0xffff) + " of " + slotCount);
    }
    MemorySlot existing = slots.get(wanted.slot());
    if (size == 0) {
      if (existing == null) {
        reasons.add("there is no slot " + MemorySlot.name(wanted.slot()) + " to delete");
      }
    } else {
      if (existing != null) {
        if (existing.size() != size) {
          reasons.add(
              String.format(
                  "%s cannot change its size to 0x%x: delete it first", existing.describe(), size));
        }
        if (existing.userspaceAddress() != hva) {
          reasons.add(
              String.format(
                  "%s cannot change its memory from 0x%x to 0x%x: delete it first",
                  existing.describe(), existing.userspaceAddress(), hva));
        }
        if (((existing.flags() ^ wanted.flags()) & Uapi.KVM_MEM_READONLY) != 0) {
          reasons.add(existing.describe() + " cannot change KVM_MEM_READONLY: delete it first");
        }
      }
      for (MemorySlot other : slots.values()) {
        if (other.slot() != wanted.slot()
            && other.slot() >>> 16 == wanted.slot() >>> 16
            && other.overlaps(gpa, gpa + size)) {
          reasons.add(wanted.describe() + " overlaps " + other.describe());
        }
      }
    }
    if (reasons.isEmpty()) {
      reasons.add(
          wanted.describe()
              + String.format(" at user-space address 0x%x", hva)
              + ": perhaps past the last guest-physical address that the host can map, or in"
              + " conflict with a slot that was not made through this handle");
    }
    return String.join("; ", reasons);
  }

  /**
   * {@code KVM_GET_DIRTY_LOG}: which pages of a slot were written since the last time. Without
   * {@code KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2} enabled, it also makes them clean.
   *
   * @param slot a slot with {@code KVM_MEM_LOG_DIRTY_PAGES}, number and address space
   * @throws KvmException EINVAL for a slot number out of range; ENOENT if there is no such slot or
   *     it does not log; ENXIO if the dirty ring is in use
   */
  public synchronized DirtyLog getDirtyLog(int slot) {
    MemorySlot known = slots.get(slot);
    long pages = known == null ? 0 : known.size() / PAGE_SIZE;
    int words = Math.toIntExact((pages + 63) / 64);
    UserMemory memory = arguments.zeroed(KvmDirtyLog.SIZEOF + 8L * words);
    memory.putInt(KvmDirtyLog.SLOT, slot);
    // For a slot that this handle does not know, no bitmap: the kernel must not write past the
    // block.
    memory.putLong(
        KvmDirtyLog.DIRTY_BITMAP, known == null ? 0 : arguments.address() + KvmDirtyLog.SIZEOF);
    call(KvmIoctl.KVM_GET_DIRTY_LOG, arguments.address(), () -> whyNoDirtyLog(slot, known));
    long[] bitmap = new long[words];
    UapiStruct.readLongs(memory, KvmDirtyLog.SIZEOF, bitmap);
    return new DirtyLog(bitmap, pages);
  }

  /**
   * {@code KVM_CLEAR_DIRTY_LOG}: makes pages clean. Needs {@code KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2}
   * enabled.
   *
   * @param slot number and address space
   * @param firstPage counted from the start of the slot, a multiple of 64
   * @param pages how many, a multiple of 64 unless they go to the end of the slot
   * @param bitmap a bit for each page from {@code firstPage} on: 1 makes it clean
   * @throws KvmException EINVAL for pages out of range or not aligned, or if the capability is not
   *     enabled; ENOENT if there is no such slot or it does not log; ENXIO if the dirty ring is in
   *     use
   */
  public synchronized void clearDirtyLog(int slot, long firstPage, int pages, long[] bitmap) {
    int words = (pages + 63) / 64;
    if (pages < 0 || bitmap.length < words) {
      throw new IllegalArgumentException(
          bitmap.length + " words of bitmap are not enough for " + pages + " pages");
    }
    UserMemory memory = arguments.zeroed(KvmClearDirtyLog.SIZEOF + 8L * words);
    memory.putInt(KvmClearDirtyLog.SLOT, slot);
    memory.putInt(KvmClearDirtyLog.NUM_PAGES, pages);
    memory.putLong(KvmClearDirtyLog.FIRST_PAGE, firstPage);
    memory.putLong(KvmClearDirtyLog.DIRTY_BITMAP, arguments.address() + KvmClearDirtyLog.SIZEOF);
    for (int i = 0; i < words; i++) {
      memory.putLong(KvmClearDirtyLog.SIZEOF + 8L * i, bitmap[i]);
    }
    call(
        KvmIoctl.KVM_CLEAR_DIRTY_LOG,
        arguments.address(),
        () -> {
          MemorySlot known = slots.get(slot);
          String range = String.format("pages [%d, %d) of ", firstPage, firstPage + pages);
          if (known != null && firstPage + pages > known.size() / PAGE_SIZE) {
            return range + known.describe() + ", which has " + known.size() / PAGE_SIZE + " pages";
          }
          if (firstPage % 64 != 0) {
            return range + "a slot: the first is not a multiple of 64";
          }
          return range + whyNoDirtyLog(slot, known);
        });
  }

  private static String whyNoDirtyLog(int slot, @Nullable MemorySlot known) {
    if (known == null) {
      return "slot " + MemorySlot.name(slot) + ", which was not made through this handle";
    }
    if ((known.flags() & Uapi.KVM_MEM_LOG_DIRTY_PAGES) == 0) {
      return known.describe() + ", which has no KVM_MEM_LOG_DIRTY_PAGES";
    }
    return known.describe();
  }

  /**
   * {@code KVM_ENABLE_CAP} of {@code KVM_CAP_DIRTY_LOG_RING_ACQ_REL}, or else {@code
   * KVM_CAP_DIRTY_LOG_RING}: notes written pages in a ring for each vCPU ({@link Vcpu#dirtyRing})
   * instead of bitmaps.
   *
   * @param entries of each ring, a power of two from 256 on; {@code KVM_CHECK_EXTENSION} gives the
   *     most, times {@link DirtyRing#ENTRY_SIZE}
   * @throws KvmException EINVAL for another number, once there is a vCPU, or a second time; E2BIG
   *     for too many
   */
  public synchronized void enableDirtyRing(int entries) {
    boolean ordered = check(Caps.KVM_CAP_DIRTY_LOG_RING_ACQ_REL) != 0;
    long size = (long) entries * DirtyRing.ENTRY_SIZE;
    enableCap(ordered ? Caps.KVM_CAP_DIRTY_LOG_RING_ACQ_REL : Caps.KVM_CAP_DIRTY_LOG_RING, size);
    dirtyRingSize = (int) size;
  }

  /**
   * {@code KVM_RESET_DIRTY_RINGS}: takes back what user space has harvested from the dirty rings.
   * Needs {@code KVM_CAP_DIRTY_LOG_RING} enabled.
   *
   * @return how many entries were reset
   * @throws KvmException EINVAL if the dirty ring is not in use
   */
  public int resetDirtyRings() {
    return call(KvmIoctl.KVM_RESET_DIRTY_RINGS, 0);
  }

  /**
   * {@code KVM_SET_TSS_ADDR}: gives Intel hosts three pages that real-mode guests of old CPUs need.
   * Needs {@code KVM_CAP_SET_TSS_ADDR}.
   *
   * @param guestPhysicalAddress of three pages that no slot covers, below 4 GB
   * @throws KvmException EINVAL if they end past 4 GB
   */
  public void setTssAddr(int guestPhysicalAddress) {
    call(
        KvmIoctl.KVM_SET_TSS_ADDR,
        Integer.toUnsignedLong(guestPhysicalAddress),
        () -> String.format("three pages at 0x%x do not end below 4 GB", guestPhysicalAddress));
  }

  /**
   * {@code KVM_SET_IDENTITY_MAP_ADDR}: gives Intel hosts one page for an identity map. Needs {@code
   * KVM_CAP_SET_IDENTITY_MAP_ADDR}.
   *
   * @param guestPhysicalAddress of a page that no slot covers, below 4 GB; 0 for the default,
   *     0xfffbc000
   * @throws KvmException EINVAL once there is a vCPU
   */
  public synchronized void setIdentityMapAddr(long guestPhysicalAddress) {
    UserMemory memory = arguments.zeroed(8);
    memory.putLong(0, guestPhysicalAddress);
    call(
        KvmIoctl.KVM_SET_IDENTITY_MAP_ADDR,
        arguments.address(),
        () -> "it must come before the first vCPU");
  }

  // --- Interrupts

  /**
   * {@code KVM_CREATE_IRQCHIP}: two PICs, an I/O APIC, and a local APIC for each vCPU. Needs {@code
   * KVM_CAP_IRQCHIP}.
   *
   * @throws KvmException EEXIST if there is one; EINVAL once there is a vCPU
   */
  public void createIrqchip() {
    call(KvmIoctl.KVM_CREATE_IRQCHIP, 0, () -> "it must come once, and before the first vCPU");
  }

  /**
   * {@code KVM_IRQ_LINE}: sets the level of an interrupt line. An edge is a 1 and then a 0.
   *
   * @param gsi the global system interrupt; one without a route is accepted
   * @param level 0 or 1
   * @throws KvmException ENXIO without in-kernel interrupt chips
   */
  public synchronized void irqLine(int gsi, int level) {
    UserMemory memory = arguments.zeroed(KvmIrqLevel.SIZEOF);
    memory.putInt(KvmIrqLevel.IRQ, gsi);
    memory.putInt(KvmIrqLevel.LEVEL, level);
    call(KvmIoctl.KVM_IRQ_LINE, arguments.address(), () -> irqLineWords(gsi));
  }

  /**
   * {@code KVM_IRQ_LINE_STATUS}: as {@link #irqLine}, and tells what became of it. Needs {@code
   * KVM_CAP_IRQ_INJECT_STATUS}.
   *
   * @return 0 if the interrupt was coalesced with one before, negative if it was ignored, else to
   *     how many CPUs it went
   * @throws KvmException ENXIO without in-kernel interrupt chips
   */
  public synchronized int irqLineStatus(int gsi, int level) {
    UserMemory memory = arguments.zeroed(KvmIrqLevel.SIZEOF);
    memory.putInt(KvmIrqLevel.IRQ, gsi);
    memory.putInt(KvmIrqLevel.LEVEL, level);
    call(KvmIoctl.KVM_IRQ_LINE_STATUS, arguments.address(), () -> irqLineWords(gsi));
    return memory.getInt(KvmIrqLevel.STATUS);
  }

  private static String irqLineWords(int gsi) {
    return "GSI " + gsi + "; ENXIO: there are no in-kernel interrupt chips";
  }

  /**
   * {@code KVM_GET_IRQCHIP}.
   *
   * @param chip {@code KVM_IRQCHIP_PIC_MASTER}, {@code _PIC_SLAVE} or {@code _IOAPIC}
   * @throws KvmException ENXIO without in-kernel interrupt chips; EINVAL for another chip
   */
  public synchronized Irqchip getIrqchip(int chip) {
    UserMemory memory = arguments.zeroed(KvmIrqchip.SIZEOF);
    memory.putInt(KvmIrqchip.CHIP_ID, chip);
    call(KvmIoctl.KVM_GET_IRQCHIP, arguments.address(), () -> "chip " + chip);
    Irqchip state = new Irqchip();
    state.readFrom(memory, 0);
    return state;
  }

  /**
   * {@code KVM_SET_IRQCHIP}.
   *
   * @throws KvmException ENXIO without in-kernel interrupt chips; EINVAL for an unknown chip
   */
  public synchronized void setIrqchip(Irqchip state) {
    set(KvmIoctl.KVM_SET_IRQCHIP, state);
  }

  /**
   * {@code KVM_CREATE_PIT2}: the in-kernel interval timer. Needs {@code KVM_CAP_PIT2}.
   *
   * @param flags {@code KVM_PIT_SPEAKER_DUMMY} to have it answer port 0x61, or 0
   * @throws KvmException EEXIST if there is one; ENOENT (on recent kernels) without in-kernel
   *     interrupt chips
   */
  public synchronized void createPit2(int flags) {
    UserMemory memory = arguments.zeroed(KvmPitConfig.SIZEOF);
    memory.putInt(KvmPitConfig.FLAGS, flags);
    call(KvmIoctl.KVM_CREATE_PIT2, arguments.address());
  }

  /**
   * {@code KVM_CREATE_PIT}, which {@link #createPit2} replaces. Needs {@code KVM_CAP_PIT}.
   *
   * @throws KvmException as {@link #createPit2}
   */
  public void createPit() {
    call(KvmIoctl.KVM_CREATE_PIT, 0);
  }

  /**
   * {@code KVM_GET_PIT2}. Needs {@code KVM_CAP_PIT_STATE2}.
   *
   * @throws KvmException ENXIO without an in-kernel timer
   */
  public synchronized PitState getPit2() {
    UserMemory memory = arguments.zeroed(KvmPitState2.SIZEOF);
    call(KvmIoctl.KVM_GET_PIT2, arguments.address());
    PitState state = new PitState();
    state.readFrom(memory, 0);
    return state;
  }

  /**
   * {@code KVM_SET_PIT2}. Needs {@code KVM_CAP_PIT_STATE2}.
   *
   * @throws KvmException ENXIO without an in-kernel timer
   */
  public synchronized void setPit2(PitState state) {
    set(KvmIoctl.KVM_SET_PIT2, state);
  }

  /**
   * {@code KVM_GET_PIT}: as {@link #getPit2}, without the flags. Needs {@code KVM_CAP_PIT}.
   *
   * @throws KvmException ENXIO without an in-kernel timer
   */
  public synchronized PitState getPit() {
    UserMemory memory = arguments.zeroed(KvmPitState2.SIZEOF);
    call(KvmIoctl.KVM_GET_PIT, arguments.address());
    memory.fill(KvmPitState.SIZEOF, KvmPitState2.SIZEOF - KvmPitState.SIZEOF, (byte) 0);
    PitState state = new PitState();
    state.readFrom(memory, 0);
    return state;
  }

  /**
   * {@code KVM_SET_PIT}: as {@link #setPit2}, without the flags. Needs {@code KVM_CAP_PIT}.
   *
   * @throws KvmException ENXIO without an in-kernel timer
   */
  public synchronized void setPit(PitState state) {
    set(KvmIoctl.KVM_SET_PIT, state);
  }

  /**
   * {@code KVM_REINJECT_CONTROL}: whether timer interrupts that the guest missed are given later.
   * Needs {@code KVM_CAP_REINJECT_CONTROL}.
   *
   * @throws KvmException ENXIO without an in-kernel timer
   */
  public synchronized void reinjectControl(boolean reinject) {
    UserMemory memory = arguments.zeroed(KvmReinjectControl.SIZEOF);
    memory.putByte(KvmReinjectControl.PIT_REINJECT, (byte) (reinject ? 1 : 0));
    call(KvmIoctl.KVM_REINJECT_CONTROL, arguments.address());
  }

  /**
   * {@code KVM_SET_BOOT_CPU_ID}: which vCPU is the bootstrap processor; 0 if it is not called.
   * Needs {@code KVM_CAP_SET_BOOT_CPU_ID}.
   *
   * @throws KvmException EBUSY once there is a vCPU
   */
  public void setBootCpuId(int id) {
    call(
        KvmIoctl.KVM_SET_BOOT_CPU_ID,
        Integer.toUnsignedLong(id),
        () -> "it must come before the first vCPU");
  }

  /**
   * {@code KVM_SET_GSI_ROUTING}: replaces the whole interrupt routing table. Needs {@code
   * KVM_CAP_IRQ_ROUTING}.
   *
   * @param routes at most 4,096
   * @throws KvmException EINVAL without in-kernel interrupt chips, or for too many routes, an
   *     unknown type, chip or pin, a GSI out of range, or two routes of one GSI to the same chip
   */
  public synchronized void setGsiRouting(List<IrqRoute> routes) {
    UserMemory memory =
        arguments.zeroed(KvmIrqRouting.SIZEOF + (long) routes.size() * KvmIrqRoutingEntry.SIZEOF);
    memory.putInt(KvmIrqRouting.NR, routes.size());
    for (int i = 0; i < routes.size(); i++) {
      routes.get(i).writeTo(memory, KvmIrqRouting.ENTRIES + (long) i * KvmIrqRoutingEntry.SIZEOF);
    }
    call(
        KvmIoctl.KVM_SET_GSI_ROUTING,
        arguments.address(),
        () ->
            routes.size()
                + " routes: there are no in-kernel interrupt chips, or more than "
                + Uapi.KVM_MAX_IRQ_ROUTES
                + " routes, or a type, chip, pin or GSI out of range");
  }

  /**
   * {@code KVM_IRQFD}: raises an interrupt whenever an eventfd is written, or undoes that. Needs
   * {@code KVM_CAP_IRQFD}.
   *
   * @param trigger the eventfd
   * @param gsi the global system interrupt
   * @param flags {@code KVM_IRQFD_FLAG_DEASSIGN}, {@code KVM_IRQFD_FLAG_RESAMPLE}
   * @param resample with {@code KVM_IRQFD_FLAG_RESAMPLE}, what the kernel writes when the guest
   *     acknowledges the interrupt; else null
   * @throws KvmException EINVAL without in-kernel interrupt chips or for an unknown flag; EBUSY if
   *     the eventfd has an interrupt already. To undo what was not done is no error
   */
  public synchronized void irqfd(EventFd trigger, int gsi, int flags, @Nullable EventFd resample) {
    UserMemory memory = arguments.zeroed(KvmIrqfd.SIZEOF);
    memory.putInt(KvmIrqfd.FD, trigger.fd());
    memory.putInt(KvmIrqfd.GSI, gsi);
    memory.putInt(KvmIrqfd.FLAGS, flags);
    if (resample != null) {
      memory.putInt(KvmIrqfd.RESAMPLEFD, resample.fd());
    }
    call(
        KvmIoctl.KVM_IRQFD,
        arguments.address(),
        () -> String.format("GSI %d, flags 0x%x", gsi, flags));
  }

  /**
   * {@code KVM_SIGNAL_MSI}: delivers a message-signalled interrupt. Needs {@code
   * KVM_CAP_SIGNAL_MSI}.
   *
   * @param address what the device would write to, 64 bits
   * @param data what it would write, 32 bits
   * @return above 0 if it was delivered, 0 if the guest blocked it
   * @throws KvmException EINVAL without in-kernel local APICs
   */
  public synchronized int signalMsi(long address, int data) {
    UserMemory memory = arguments.zeroed(KvmMsi.SIZEOF);
    memory.putInt(KvmMsi.ADDRESS_LO, (int) address);
    memory.putInt(KvmMsi.ADDRESS_HI, (int) (address >>> 32));
    memory.putInt(KvmMsi.DATA, data);
    return call(
        KvmIoctl.KVM_SIGNAL_MSI,
        arguments.address(),
        () -> String.format("address 0x%x, data 0x%x", address, data));
  }

  // --- Devices

  /**
   * {@code KVM_IOEVENTFD}: has the kernel write an eventfd instead of exiting when the guest writes
   * to an address, or undoes that. Needs {@code KVM_CAP_IOEVENTFD}.
   *
   * @param event the eventfd
   * @param address guest-physical, or a port with {@code KVM_IOEVENTFD_FLAG_PIO}
   * @param length of the write in bytes: 1, 2, 4, 8, or 0 for any (needs {@code
   *     KVM_CAP_IOEVENTFD_ANY_LENGTH})
   * @param flags {@code KVM_IOEVENTFD_FLAG_*}
   * @param datamatch with {@code KVM_IOEVENTFD_FLAG_DATAMATCH}, the value that must be written
   * @throws KvmException EINVAL for another length, an address range that wraps, an unknown flag,
   *     or DATAMATCH with length 0; EEXIST if the same is there; ENOENT if what is to be undone is
   *     not
   */
  public synchronized void ioeventfd(
      EventFd event, long address, int length, int flags, long datamatch) {
    UserMemory memory = arguments.zeroed(KvmIoeventfd.SIZEOF);
    memory.putLong(KvmIoeventfd.DATAMATCH, datamatch);
    memory.putLong(KvmIoeventfd.ADDR, address);
    memory.putInt(KvmIoeventfd.LEN, length);
    memory.putInt(KvmIoeventfd.FD, event.fd());
    memory.putInt(KvmIoeventfd.FLAGS, flags);
    call(
        KvmIoctl.KVM_IOEVENTFD,
        arguments.address(),
        () ->
            String.format(
                "%s 0x%x, length %d, flags 0x%x, datamatch 0x%x",
                (flags & Uapi.KVM_IOEVENTFD_FLAG_PIO) != 0 ? "port" : "address",
                address,
                length,
                flags,
                datamatch));
  }

  /**
   * {@code KVM_REGISTER_COALESCED_MMIO}: has writes to a range of addresses gathered in the ring
   * ({@link Vcpu#coalescedRing}) instead of exiting one by one. Needs {@code
   * KVM_CAP_COALESCED_MMIO}.
   *
   * @param address guest-physical
   * @param size in bytes
   */
  public void registerCoalescedMmio(long address, int size) {
    coalesced(KvmIoctl.KVM_REGISTER_COALESCED_MMIO, address, size, 0);
  }

  /** {@code KVM_UNREGISTER_COALESCED_MMIO}: undoes {@link #registerCoalescedMmio}. */
  public void unregisterCoalescedMmio(long address, int size) {
    coalesced(KvmIoctl.KVM_UNREGISTER_COALESCED_MMIO, address, size, 0);
  }

  /**
   * {@code KVM_REGISTER_COALESCED_MMIO} for ports. Needs {@code KVM_CAP_COALESCED_PIO}.
   *
   * @param port the first port
   * @param size how many ports
   */
  public void registerCoalescedPio(int port, int size) {
    coalesced(KvmIoctl.KVM_REGISTER_COALESCED_MMIO, port, size, 1);
  }

  /** {@code KVM_UNREGISTER_COALESCED_MMIO} for ports. */
  public void unregisterCoalescedPio(int port, int size) {
    coalesced(KvmIoctl.KVM_UNREGISTER_COALESCED_MMIO, port, size, 1);
  }

  private synchronized void coalesced(KvmIoctl ioctl, long address, int size, int pio) {
    UserMemory memory = arguments.zeroed(KvmCoalescedMmioZone.SIZEOF);
    memory.putLong(KvmCoalescedMmioZone.ADDR, address);
    memory.putInt(KvmCoalescedMmioZone.SIZE, size);
    memory.putInt(KvmCoalescedMmioZone.PIO, pio);
    call(
        ioctl,
        arguments.address(),
        () -> (pio != 0 ? "ports " : "addresses ") + MemorySlot.range(address, size));
  }

  /**
   * {@code KVM_CREATE_DEVICE}. Needs {@code KVM_CAP_DEVICE_CTRL}.
   *
   * @param type {@code KVM_DEV_TYPE_VFIO} is the only one of x86
   * @throws KvmException ENODEV for another type
   */
  public synchronized Device createDevice(int type) {
    UserMemory memory = arguments.zeroed(KvmCreateDevice.SIZEOF);
    memory.putInt(KvmCreateDevice.TYPE, type);
    call(KvmIoctl.KVM_CREATE_DEVICE, arguments.address(), () -> "device type " + type);
    return new Device(this, memory.getInt(KvmCreateDevice.FD), type);
  }

  /**
   * {@code KVM_CREATE_DEVICE} with {@code KVM_CREATE_DEVICE_TEST}.
   *
   * @return whether the kernel knows the type (it says no with ENODEV)
   */
  public synchronized boolean hasDevice(int type) {
    UserMemory memory = arguments.zeroed(KvmCreateDevice.SIZEOF);
    memory.putInt(KvmCreateDevice.TYPE, type);
    memory.putInt(KvmCreateDevice.FLAGS, Uapi.KVM_CREATE_DEVICE_TEST);
    int result = ioctl(KvmIoctl.KVM_CREATE_DEVICE.number(), arguments.address());
    if (result < 0 && result != Errno.ENODEV.result()) {
      throw new KvmException(
          KvmIoctl.KVM_CREATE_DEVICE.name(), -result, "test of device type " + type);
    }
    return result >= 0;
  }

  // --- Time

  /**
   * {@code KVM_GET_CLOCK}: the guest's kvmclock. Needs {@code KVM_CAP_ADJUST_CLOCK}, whose value
   * tells which flags there are.
   */
  public synchronized ClockData getClock() {
    UserMemory memory = arguments.zeroed(KvmClockData.SIZEOF);
    call(KvmIoctl.KVM_GET_CLOCK, arguments.address());
    ClockData data = new ClockData();
    data.readFrom(memory, 0);
    return data;
  }

  /**
   * {@code KVM_SET_CLOCK}. Needs {@code KVM_CAP_ADJUST_CLOCK}.
   *
   * @param data the clock in ns; with {@code KVM_CLOCK_REALTIME}, as of its {@code realtime}
   * @throws KvmException EINVAL for an unknown flag
   */
  public synchronized void setClock(ClockData data) {
    set(KvmIoctl.KVM_SET_CLOCK, data);
  }

  /**
   * {@code KVM_GET_TSC_KHZ} on the VM's descriptor: the TSC frequency of vCPUs to come. Needs
   * {@code KVM_CAP_VM_TSC_CONTROL}.
   *
   * @return in kHz
   * @throws KvmException EIO if the host's TSC is not stable
   */
  public int getTscKhz() {
    return call(KvmIoctl.KVM_GET_TSC_KHZ, 0);
  }

  /**
   * {@code KVM_SET_TSC_KHZ} on the VM's descriptor. Needs {@code KVM_CAP_VM_TSC_CONTROL}.
   *
   * @param khz in kHz
   * @throws KvmException EINVAL for a frequency that the host cannot give
   */
  public void setTscKhz(int khz) {
    call(KvmIoctl.KVM_SET_TSC_KHZ, khz, () -> khz + " kHz");
  }

  // --- Others

  /**
   * {@code KVM_X86_SET_MSR_FILTER}: replaces the filter of MSR accesses. Needs {@code
   * KVM_CAP_X86_MSR_FILTER}.
   *
   * @throws KvmException EINVAL for an unknown flag, a range that covers x2APIC's registers, or a
   *     filter that denies by default and has no range
   */
  public synchronized void setMsrFilter(MsrFilter filter) {
    filter.writeTo(arguments.zeroed(filter.sizeof()));
    call(KvmIoctl.KVM_X86_SET_MSR_FILTER, arguments.address(), filter::toString);
  }

  /**
   * {@code KVM_GET_STATS_FD} on the VM's descriptor, and all that it reads. Needs {@code
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

  private void set(KvmIoctl ioctl, UapiStruct value) {
    UserMemory memory = arguments.zeroed(value.sizeof());
    value.writeTo(memory, 0);
    call(ioctl, arguments.address(), value::toString);
  }

  @Override
  public synchronized void close() {
    if (closeOnce()) {
      closeFd();
      arguments.close();
    }
  }
}
