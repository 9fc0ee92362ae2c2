package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Device;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.MsrEntry;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmCpuid2;
import org.kvm4j.kvm.uapi.KvmCpuidEntry2;
import org.kvm4j.kvm.uapi.Uapi;

/** Switches, limits and devices of a VM. Source: Linux 6.1 kvm_vm_ioctl_enable_cap and around. */
class VmSettingsTests extends KvmContract {

  private static final int PLATFORM_INFO = 0xce;
  private static final int MISC_ENABLE = 0x1a0;

  /** In ECX of CPUID leaf 1. */
  private static final int MWAIT = 1 << 3;

  private static final int MISC_FEATURES_ENABLES = 0x140;

  // --- How many vCPUs

  @EachBackend
  void theLimitOfVcpuIdsIsSetOnceBeforeTheFirst() {
    backend.needs(kvm, KvmCap.KVM_CAP_MAX_VCPU_ID);
    Vm vm = kvm.createVm();
    int most = kvm.checkExtension(Caps.KVM_CAP_MAX_VCPU_ID);
    refused(Errno.EINVAL, () -> vm.enableCap(Caps.KVM_CAP_MAX_VCPU_ID, most + 1L));
    vm.enableCap(Caps.KVM_CAP_MAX_VCPU_ID, 2);
    vm.enableCap(Caps.KVM_CAP_MAX_VCPU_ID, 2);
    refused(Errno.EINVAL, () -> vm.enableCap(Caps.KVM_CAP_MAX_VCPU_ID, 3));
    refused(Errno.EINVAL, () -> vm.createVcpu(2));
    assertEquals(1, vm.createVcpu(1).id());
    Vm other = kvm.createVm();
    other.createVcpu(most - 1);
    refused(Errno.EINVAL, () -> other.enableCap(Caps.KVM_CAP_MAX_VCPU_ID, 2));
  }

  // --- Quirks

  @EachBackend
  void onlyKnownQuirksCanBeDisabled() {
    backend.needs(kvm, KvmCap.KVM_CAP_DISABLE_QUIRKS2);
    int known = kvm.checkExtension(Caps.KVM_CAP_DISABLE_QUIRKS2);
    assertEquals(0x7f, known & 0x7f);
    Vm vm = kvm.createVm();
    vm.enableCap(Caps.KVM_CAP_DISABLE_QUIRKS2, known);
    vm.enableCap(Caps.KVM_CAP_DISABLE_QUIRKS2, Uapi.KVM_X86_QUIRK_OUT_7E_INC_RIP);
    vm.enableCap(Caps.KVM_CAP_DISABLE_QUIRKS2, 0);
    for (int bit = 0; bit < 64; bit++) {
      long quirk = 1L << bit;
      if ((quirk & known) == 0) {
        refused(Errno.EINVAL, () -> vm.enableCap(Caps.KVM_CAP_DISABLE_QUIRKS2, quirk));
      }
    }
  }

  /** mwait, cpuid of leaf 1, out 0x10, al. */
  private RealModeGuest mwaitGuest(long disabledQuirks) {
    backend.needs(kvm, KvmCap.KVM_CAP_DISABLE_QUIRKS2);
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0x0f, 0x01, 0xc9, 0x66, 0xb8, 1, 0, 0, 0, 0x0f, 0xa2, 0xe6, 0x10, 0xf4);
    guest.vm.enableCap(Caps.KVM_CAP_DISABLE_QUIRKS2, disabledQuirks);
    List<CpuidEntry> entries = kvm.getSupportedCpuid();
    entries.stream().filter(e -> e.function == 1).forEach(e -> e.ecx &= ~MWAIT);
    guest.vcpu.setCpuid2(entries);
    return guest;
  }

  @EachBackend
  void mwaitIsUndefinedWithoutCpuidsWordOnlyWithoutTheQuirk() {
    if (!backend.isEmulated()) {
      backend.limit("may let the guest's MWAIT through to the processor");
    }
    assertEquals(0x10, mwaitGuest(0).run(Exit.IoOut.class).port());
    RealModeGuest guest = mwaitGuest(Uapi.KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS);
    assertTrue(RealModeGuest.isStray(guest.run(), 6));
  }

  @EachBackend
  void miscEnableSwitchesMwaitOnlyWithoutTheQuirk() {
    for (boolean quirk : new boolean[] {true, false}) {
      RealModeGuest guest = mwaitGuest(quirk ? 0 : Uapi.KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT);
      guest.regs(r -> r.rip = RealModeGuest.CODE + 3);
      guest.vcpu.setMsr(MISC_ENABLE, guest.vcpu.getMsr(MISC_ENABLE) | 1 << 18);
      guest.run(Exit.IoOut.class);
      long told = guest.vcpu.getRegs().rcx & MWAIT;
      if (!backend.isEmulated() && told != (quirk ? 0 : MWAIT)) {
        backend.limit("does not let IA32_MISC_ENABLE switch MWAIT in CPUID");
      }
      assertEquals(quirk ? 0 : MWAIT, told);
    }
  }

  @EachBackend
  void switchesRefuseUnknownArguments() {
    Vm vm = kvm.createVm();
    refused(Errno.EINVAL, () -> vm.enableCap(Caps.KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2));
    refused(Errno.EINVAL, () -> vm.enableCap(Caps.KVM_CAP_HALT_POLL, 1L << 32));
    vm.enableCap(Caps.KVM_CAP_HALT_POLL, 1000);
    refused(Errno.EINVAL, () -> vm.enableCap(Caps.KVM_CAP_PMU_CAPABILITY, 1L << 40));
    refused(Errno.EINVAL, () -> vm.enableCap(Caps.KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, 0));
  }

  // --- Shadow pages and performance counters

  @EachBackend
  void theNumberOfMmuPagesIsWhatWasAskedFor() {
    backend.needs(kvm, KvmCap.KVM_CAP_MMU_SHADOW_CACHE_CONTROL);
    Vm vm = new RealModeGuest(kvm).vm;
    int pages = vm.ioctl(Ioctls.KVM_GET_NR_MMU_PAGES, 0);
    if (pages == Errno.ENOTTY.result()) {
      backend.limit("has KVM_GET_NR_MMU_PAGES no more");
    }
    assertTrue(pages >= 64, () -> pages + " pages");
    assertEquals(Errno.EINVAL.result(), vm.ioctl(Ioctls.KVM_SET_NR_MMU_PAGES, 63));
    assertEquals(0, vm.ioctl(Ioctls.KVM_SET_NR_MMU_PAGES, 1234));
    assertEquals(1234, vm.ioctl(Ioctls.KVM_GET_NR_MMU_PAGES, 0));
  }

  @EachBackend
  void aFilterOfEventsIsChecked() {
    backend.needs(kvm, KvmCap.KVM_CAP_PMU_EVENT_FILTER);
    Vm vm = kvm.createVm();
    assertEquals(0, filter(vm, Uapi.KVM_PMU_EVENT_ALLOW, 300, 0));
    assertEquals(0, filter(vm, Uapi.KVM_PMU_EVENT_DENY, 0, 0));
    assertEquals(Errno.EINVAL.result(), filter(vm, 2, 1, 0));
    assertEquals(Errno.EINVAL.result(), filter(vm, Uapi.KVM_PMU_EVENT_ALLOW, 1, 0x80));
    assertEquals(Errno.E2BIG.result(), filter(vm, Uapi.KVM_PMU_EVENT_ALLOW, 301, 0));
  }

  private int filter(Vm vm, int action, int events, int flags) {
    try (MappedMemory argument = MappedMemory.allocate(kernel, 4096)) {
      argument.memory().putInt(0, action);
      argument.memory().putInt(4, events);
      argument.memory().putInt(12, flags);
      return vm.ioctl(Ioctls.KVM_SET_PMU_EVENT_FILTER, argument.address());
    }
  }

  // --- CPUID that is emulated

  @EachBackend
  void emulatedCpuidWantsCleanPadding() {
    backend.needs(kvm, KvmCap.KVM_CAP_EXT_EMUL_CPUID);
    assertTrue(kvm.getEmulatedCpuid().stream().anyMatch(e -> e.function == 1));
    try (MappedMemory argument = MappedMemory.allocate(kernel, 0x4000)) {
      UserMemory memory = argument.memory();
      for (int nent : new int[] {0, 1}) {
        memory.putInt(KvmCpuid2.NENT, nent);
        assertEquals(
            Errno.E2BIG.result(), kvm.ioctl(Ioctls.KVM_GET_EMULATED_CPUID, argument.address()));
      }
      memory.putInt(KvmCpuid2.NENT, 8);
      memory.putInt(KvmCpuid2.SIZEOF + 7 * KvmCpuidEntry2.SIZEOF + KvmCpuidEntry2.PADDING + 8, 1);
      assertEquals(
          Errno.EINVAL.result(), kvm.ioctl(Ioctls.KVM_GET_EMULATED_CPUID, argument.address()));
      memory.putInt(KvmCpuid2.NENT, 7);
      assertEquals(0, kvm.ioctl(Ioctls.KVM_GET_EMULATED_CPUID, argument.address()));
    }
  }

  // --- Devices

  @EachBackend
  void theOnlyDeviceIsThatOfVfio() {
    backend.needs(kvm, KvmCap.KVM_CAP_DEVICE_CTRL);
    Vm vm = kvm.createVm();
    for (int type = 0; type < 20; type++) {
      int wanted = type;
      assertEquals(type == Uapi.KVM_DEV_TYPE_VFIO, vm.hasDevice(type));
      if (type != Uapi.KVM_DEV_TYPE_VFIO) {
        refused(Errno.ENODEV, () -> vm.createDevice(wanted));
      }
    }
    Device device = vm.createDevice(Uapi.KVM_DEV_TYPE_VFIO);
    refused(Errno.EBUSY, () -> vm.createDevice(Uapi.KVM_DEV_TYPE_VFIO));
    assertTrue(device.hasAttr(1, 1));
    assertTrue(device.hasAttr(1, 2));
    assertFalse(device.hasAttr(1, 9));
    assertFalse(device.hasAttr(0, 1));
    refused(Errno.EBADF, () -> device.setAttr(1, 1, 9999));
    refused(Errno.EINVAL, () -> device.setAttr(1, 1, kvm.fd()));
    refused(Errno.ENOENT, () -> device.setAttr(1, 2, kvm.fd()));
    refused(Errno.ENXIO, () -> device.setAttr(7, 2, kvm.fd()));
    refused(Errno.EPERM, () -> device.getAttr(1, 1));
    assertEquals(Errno.EFAULT.result(), device.ioctl(Ioctls.KVM_HAS_DEVICE_ATTR, 8));
    assertEquals(Errno.ENOTTY.result(), device.ioctl(Ioctls.KVM_RUN, 0));
    vm.close();
    assertTrue(device.hasAttr(1, 1), "a device keeps its VM");
    device.close();
  }

  // --- MSR_PLATFORM_INFO and CPUID faulting

  @EachBackend
  void userSpaceDecidesWhetherTheGuestReadsPlatformInfo() {
    backend.needs(kvm, KvmCap.KVM_CAP_MSR_PLATFORM_INFO);
    // mov ecx, PLATFORM_INFO; rdmsr; out 0x10, al; hlt
    RealModeGuest guest =
        new RealModeGuest(kvm, 0x66, 0xb9, PLATFORM_INFO, 0, 0, 0, 0x0f, 0x32, 0xe6, 0x10, 0xf4);
    guest.vcpu.setMsr(PLATFORM_INFO, 1L << 31 | 0x1234);
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
    if (guest.vcpu.getRegs().rax != (1L << 31 | 0x1234)) {
      backend.limit("gives the guest its own MSR_PLATFORM_INFO");
    }
    guest.vm.enableCap(Caps.KVM_CAP_MSR_PLATFORM_INFO, 0);
    guest.regs(r -> r.rip = RealModeGuest.CODE);
    assertTrue(RealModeGuest.isStray(guest.run(), 13));
    assertEquals(1L << 31 | 0x1234, guest.vcpu.getMsr(PLATFORM_INFO));
  }

  @EachBackend
  void cpuidFaultsInProgramsWhereTheGuestsKernelWantsIt() {
    // cpuid; out 0x10, al; in 32-bit code at CPL 3 with IOPL 3 and no interrupt table.
    RealModeGuest guest = new RealModeGuest(kvm, 0x0f, 0xa2, 0xe6, 0x10, 0xf4);
    Sregs sregs = guest.vcpu.getSregs();
    sregs.cr0 |= 1;
    for (var s : List.of(sregs.cs, sregs.ss)) {
      s.selector = 0x1b;
      s.limit = -1;
      s.g = 1;
      s.db = 1;
      s.s = 1;
      s.present = 1;
      s.dpl = 3;
      s.type = 3;
    }
    sregs.cs.type = 11;
    sregs.idt.limit = 0;
    guest.vcpu.setSregs(sregs);
    guest.regs(r -> r.rflags = 0x3002);
    guest.run(Exit.IoOut.class);
    if (guest.vcpu.setMsrs(List.of(new MsrEntry(MISC_FEATURES_ENABLES, 1))) == 0) {
      backend.limit("has no CPUID faulting");
    }
    guest.vcpu.setSregs(sregs);
    guest.regs(r -> r.rip = RealModeGuest.CODE);
    guest.run(Exit.Shutdown.class);
    if (!backend.isEmulated()) {
      return; // Recent kernels let user space set both MSRs to anything.
    }
    // Once it is on, it cannot be said to be missing.
    assertEquals(0, guest.vcpu.setMsrs(List.of(new MsrEntry(PLATFORM_INFO, 0))));
    assertEquals(0, guest.vcpu.setMsrs(List.of(new MsrEntry(MISC_FEATURES_ENABLES, 2))));
    guest.vcpu.setMsr(MISC_FEATURES_ENABLES, 0);
    guest.vcpu.setMsr(PLATFORM_INFO, 0);
    assertEquals(0, guest.vcpu.setMsrs(List.of(new MsrEntry(MISC_FEATURES_ENABLES, 1))));
  }
}
