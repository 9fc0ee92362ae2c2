package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.function.Consumer;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.UapiStruct;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmCpuid2;
import org.kvm4j.kvm.uapi.KvmCreateDevice;
import org.kvm4j.kvm.uapi.KvmDeviceAttr;
import org.kvm4j.kvm.uapi.KvmDirtyLog;
import org.kvm4j.kvm.uapi.KvmEnableCap;
import org.kvm4j.kvm.uapi.KvmGuestDebug;
import org.kvm4j.kvm.uapi.KvmInterrupt;
import org.kvm4j.kvm.uapi.KvmIoeventfd;
import org.kvm4j.kvm.uapi.KvmIrqLevel;
import org.kvm4j.kvm.uapi.KvmIrqRouting;
import org.kvm4j.kvm.uapi.KvmIrqRoutingEntry;
import org.kvm4j.kvm.uapi.KvmIrqchip;
import org.kvm4j.kvm.uapi.KvmIrqfd;
import org.kvm4j.kvm.uapi.KvmMpState;
import org.kvm4j.kvm.uapi.KvmMsi;
import org.kvm4j.kvm.uapi.KvmMsrEntry;
import org.kvm4j.kvm.uapi.KvmMsrs;
import org.kvm4j.kvm.uapi.KvmPitConfig;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.KvmUserspaceMemoryRegion;
import org.kvm4j.kvm.uapi.KvmVcpuEvents;
import org.kvm4j.kvm.uapi.KvmXcr;
import org.kvm4j.kvm.uapi.KvmXcrs;

/** Descriptors and memory for one row. */
final class ErrnoReplay {
  static final long GPA = 0x10_0000;
  static final long SLOT_SIZE = 0x4000;

  final Kernel kernel;
  final int system;
  private int vm = -1;
  private int vcpu = -1;

  /** Whether the VM has interrupt chips in the kernel; set before the first use of it. */
  boolean irqchip;

  final MappedMemory memory;
  final MappedMemory argument;

  ErrnoReplay(Kernel kernel) {
    this.kernel = kernel;
    system = kernel.open("/dev/kvm", Kernel.O_RDWR | Kernel.O_CLOEXEC);
    memory = MappedMemory.allocate(kernel, 0x10000);
    argument = MappedMemory.allocate(kernel, 0x10000);
  }

  int vm() {
    if (vm < 0) {
      vm = mustBe(kernel.ioctl(system, Ioctls.KVM_CREATE_VM, 0));
      if (irqchip) {
        mustBe(kernel.ioctl(vm, Ioctls.KVM_CREATE_IRQCHIP, 0));
      }
    }
    return vm;
  }

  int vcpu() {
    if (vcpu < 0) {
      vcpu = mustBe(kernel.ioctl(vm(), Ioctls.KVM_CREATE_VCPU, 0));
    }
    return vcpu;
  }

  /** Gives the vCPU the CPUID that the kernel supports. */
  void vcpuWithCpuid() {
    mustBe(setSupportedCpuid());
  }

  int setSupportedCpuid() {
    zeroed(0x4000).putInt(KvmCpuid2.NENT, 256);
    mustBe(system(Ioctls.KVM_GET_SUPPORTED_CPUID, argument.address()));
    return vcpu(Ioctls.KVM_SET_CPUID2, argument.address());
  }

  private static int mustBe(int result) {
    assertTrue(result >= 0, () -> "setting up: " + Errno.nameOf(result));
    return result;
  }

  int system(int request, long value) {
    return kernel.ioctl(system, request, value);
  }

  int vm(int request, long value) {
    return kernel.ioctl(vm(), request, value);
  }

  int vcpu(int request, long value) {
    return kernel.ioctl(vcpu(), request, value);
  }

  /** The argument block, of which that many bytes are 0. */
  UserMemory zeroed(int size) {
    argument.memory().fill(0, size, (byte) 0);
    return argument.memory();
  }

  int region(int slot, int flags, long gpa, long size, long hva) {
    UserMemory region = zeroed(KvmUserspaceMemoryRegion.SIZEOF);
    region.putInt(KvmUserspaceMemoryRegion.SLOT, slot);
    region.putInt(KvmUserspaceMemoryRegion.FLAGS, flags);
    region.putLong(KvmUserspaceMemoryRegion.GUEST_PHYS_ADDR, gpa);
    region.putLong(KvmUserspaceMemoryRegion.MEMORY_SIZE, size);
    region.putLong(KvmUserspaceMemoryRegion.USERSPACE_ADDR, hva);
    return vm(Ioctls.KVM_SET_USER_MEMORY_REGION, argument.address());
  }

  /** Slot 9, from {@link #GPA} on. */
  int slot9() {
    return region(9, 0, GPA, SLOT_SIZE, memory.address());
  }

  int extension(int capability) {
    return system(Ioctls.KVM_CHECK_EXTENSION, capability);
  }

  int dirtyLog(int slot, long bitmap) {
    UserMemory log = zeroed(KvmDirtyLog.SIZEOF);
    log.putInt(KvmDirtyLog.SLOT, slot);
    log.putLong(KvmDirtyLog.DIRTY_BITMAP, bitmap);
    return vm(Ioctls.KVM_GET_DIRTY_LOG, argument.address());
  }

  int ioeventfd(int length, int fd, int flags) {
    UserMemory event = zeroed(KvmIoeventfd.SIZEOF);
    event.putLong(KvmIoeventfd.ADDR, 0x1000);
    event.putInt(KvmIoeventfd.LEN, length);
    event.putInt(KvmIoeventfd.FD, fd);
    event.putInt(KvmIoeventfd.FLAGS, flags);
    return vm(Ioctls.KVM_IOEVENTFD, argument.address());
  }

  int irqfd(int fd, int flags) {
    UserMemory irqfd = zeroed(KvmIrqfd.SIZEOF);
    irqfd.putInt(KvmIrqfd.FD, fd);
    irqfd.putInt(KvmIrqfd.GSI, 5);
    irqfd.putInt(KvmIrqfd.FLAGS, flags);
    return vm(Ioctls.KVM_IRQFD, argument.address());
  }

  int irqLine(int request, int gsi) {
    UserMemory level = zeroed(KvmIrqLevel.SIZEOF);
    level.putInt(KvmIrqLevel.IRQ, gsi);
    level.putInt(KvmIrqLevel.LEVEL, 1);
    return vm(request, argument.address());
  }

  int irqchip(int request, int chip) {
    zeroed(KvmIrqchip.SIZEOF).putInt(KvmIrqchip.CHIP_ID, chip);
    return vm(request, argument.address());
  }

  int routing(int count, int flags, int type, int chip) {
    UserMemory table = zeroed(KvmIrqRouting.SIZEOF + 10 * KvmIrqRoutingEntry.SIZEOF);
    table.putInt(KvmIrqRouting.NR, count);
    table.putInt(KvmIrqRouting.FLAGS, flags);
    table.putInt(KvmIrqRouting.ENTRIES + KvmIrqRoutingEntry.TYPE, type);
    table.putInt(KvmIrqRouting.ENTRIES + KvmIrqRoutingEntry.U_IRQCHIP, chip);
    return vm(Ioctls.KVM_SET_GSI_ROUTING, argument.address());
  }

  int msi(int flags) {
    UserMemory msi = zeroed(KvmMsi.SIZEOF);
    msi.putInt(KvmMsi.ADDRESS_LO, 0xfee0_0000);
    msi.putInt(KvmMsi.DATA, 0x41);
    msi.putInt(KvmMsi.FLAGS, flags);
    return vm(Ioctls.KVM_SIGNAL_MSI, argument.address());
  }

  int pit(int flags) {
    zeroed(KvmPitConfig.SIZEOF).putInt(KvmPitConfig.FLAGS, flags);
    return vm(Ioctls.KVM_CREATE_PIT2, argument.address());
  }

  int enableCap(int fd, int capability, int flags, long argument0) {
    UserMemory cap = zeroed(KvmEnableCap.SIZEOF);
    cap.putInt(KvmEnableCap.CAP, capability);
    cap.putInt(KvmEnableCap.FLAGS, flags);
    cap.putLong(KvmEnableCap.ARGS, argument0);
    return kernel.ioctl(fd, Ioctls.KVM_ENABLE_CAP, argument.address());
  }

  int mpState(int state) {
    zeroed(KvmMpState.SIZEOF).putInt(KvmMpState.MP_STATE, state);
    return vcpu(Ioctls.KVM_SET_MP_STATE, argument.address());
  }

  int msrs(int fd, int request, int count, int index) {
    UserMemory msrs = zeroed(KvmMsrs.SIZEOF + 300 * KvmMsrEntry.SIZEOF);
    msrs.putInt(KvmMsrs.NMSRS, count);
    msrs.putInt(KvmMsrs.ENTRIES + KvmMsrEntry.INDEX, index);
    return kernel.ioctl(fd, request, argument.address());
  }

  int cpuid(int request, int count) {
    zeroed(0x4000).putInt(KvmCpuid2.NENT, count);
    return vcpu(request, argument.address());
  }

  int interrupt(int vector) {
    zeroed(KvmInterrupt.SIZEOF).putInt(KvmInterrupt.IRQ, vector);
    return vcpu(Ioctls.KVM_INTERRUPT, argument.address());
  }

  int events(int flags, int exception) {
    UserMemory events = zeroed(KvmVcpuEvents.SIZEOF);
    if (exception >= 0) {
      events.putByte(KvmVcpuEvents.EXCEPTION_INJECTED, (byte) 1);
      events.putByte(KvmVcpuEvents.EXCEPTION_NR, (byte) exception);
    }
    events.putInt(KvmVcpuEvents.FLAGS, flags);
    return vcpu(Ioctls.KVM_SET_VCPU_EVENTS, argument.address());
  }

  int xcr0(int count, long value) {
    vcpuWithCpuid();
    UserMemory xcrs = zeroed(KvmXcrs.SIZEOF);
    xcrs.putInt(KvmXcrs.NR_XCRS, count);
    xcrs.putLong(KvmXcrs.XCRS + KvmXcr.VALUE, value);
    return vcpu(Ioctls.KVM_SET_XCRS, argument.address());
  }

  int guestDebug(int control) {
    zeroed(KvmGuestDebug.SIZEOF).putInt(KvmGuestDebug.CONTROL, control);
    return vcpu(Ioctls.KVM_SET_GUEST_DEBUG, argument.address());
  }

  int hasAttribute(int fd, int group) {
    zeroed(KvmDeviceAttr.SIZEOF).putInt(KvmDeviceAttr.GROUP, group);
    return kernel.ioctl(fd, Ioctls.KVM_HAS_DEVICE_ATTR, argument.address());
  }

  int device(int type, int flags) {
    UserMemory device = zeroed(KvmCreateDevice.SIZEOF);
    device.putInt(KvmCreateDevice.TYPE, type);
    device.putInt(KvmCreateDevice.FLAGS, flags);
    return vm(Ioctls.KVM_CREATE_DEVICE, argument.address());
  }

  int eventfd() {
    return mustBe(kernel.eventfd(0, 0));
  }

  int sregs(Consumer<Sregs> change) {
    vcpuWithCpuid();
    Sregs sregs = new Sregs();
    mustBe(vcpu(Ioctls.KVM_GET_SREGS, argument.address()));
    sregs.readFrom(argument.memory(), 0);
    change.accept(sregs);
    put(sregs);
    return vcpu(Ioctls.KVM_SET_SREGS, argument.address());
  }

  void put(UapiStruct value) {
    value.writeTo(argument.memory(), 0);
  }

  static void longMode(Sregs sregs) {
    sregs.cr0 = 0x8000_0011L;
    sregs.cr4 |= 0x20;
    sregs.efer |= 0x500;
    sregs.cr3 = 0x1000;
    sregs.cs.l = 1;
    sregs.cs.db = 0;
    sregs.cs.type = 11;
  }

  /** Runs a guest that halts. */
  void runOnce(Runnable before) {
    assertEquals(0, region(0, 0, 0, 0x10000, memory.address()));
    memory.memory().putByte(0x1000, (byte) 0xf4);
    before.run();
    Sregs sregs = new Sregs();
    mustBe(vcpu(Ioctls.KVM_GET_SREGS, argument.address()));
    sregs.readFrom(argument.memory(), 0);
    sregs.cs.setRealMode(0);
    put(sregs);
    mustBe(vcpu(Ioctls.KVM_SET_SREGS, argument.address()));
    UserMemory regs = zeroed(KvmRegs.SIZEOF);
    regs.putLong(KvmRegs.RIP, 0x1000);
    regs.putLong(KvmRegs.RFLAGS, 2);
    mustBe(vcpu(Ioctls.KVM_SET_REGS, argument.address()));
    mustBe(vcpu(Ioctls.KVM_RUN, 0));
  }

  long args() {
    return argument.address();
  }
}
