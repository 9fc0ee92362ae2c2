package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.kvm4j.kvm.Handle;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.KvmIoctl;
import org.kvm4j.kvm.uapi.KvmIoctl.DataFlow;
import org.kvm4j.kvm.uapi.KvmIoctl.FdKind;

/** Every ioctl that takes a structure, with arguments that are none. */
class IoctlArgumentTests extends KvmContract {

  /** Unmapped everywhere. */
  private static final long BAD = 8;

  /** What is refused before its argument is looked at, on a VM with chips, a PIT and a vCPU. */
  private static final Map<KvmIoctl, Errno> BEFORE =
      Map.of(KvmIoctl.KVM_SET_IDENTITY_MAP_ADDR, Errno.EINVAL);

  private Map<FdKind, Handle> machine() {
    backend.needs(kvm, KvmCap.KVM_CAP_IRQCHIP);
    Vm vm = kvm.createVm();
    vm.createIrqchip();
    vm.createPit2(0);
    Vcpu vcpu = vm.createVcpu(0);
    return Map.of(FdKind.SYSTEM, kvm, FdKind.VM, vm, FdKind.VCPU, vcpu);
  }

  /** What the kernel says it has, of the tiers that are to be there. */
  private boolean isThere(KvmIoctl ioctl) {
    return ioctl.tier() != KvmIoctl.Tier.C
        && (ioctl.capabilities().isEmpty()
            || ioctl.capabilities().stream().anyMatch(cap -> kvm.checkExtension(cap) != 0));
  }

  private interface Call {
    void on(KvmIoctl ioctl, Handle handle, String name);
  }

  private void eachWithStructure(Call call) {
    Map<FdKind, Handle> handles = machine();
    for (KvmIoctl ioctl : KvmIoctl.values()) {
      DataFlow flow = ioctl.dataFlow();
      boolean pointer = flow == DataFlow.IN || flow == DataFlow.OUT || flow == DataFlow.IN_OUT;
      for (FdKind kind : ioctl.fdKinds()) {
        boolean missing = kind == FdKind.VM && ioctl.name().endsWith("_DEVICE_ATTR");
        Handle handle = handles.get(kind);
        if (pointer && handle != null && !missing && isThere(ioctl)) {
          call.on(ioctl, handle, ioctl + " on " + kind);
        }
      }
    }
  }

  @EachBackend
  void anAddressWhereNothingIsMappedIsAFault() {
    List<String> wrong = new ArrayList<>();
    eachWithStructure(
        (ioctl, handle, name) -> {
          for (long address : new long[] {BAD, -8, 0x7fff_ffff_fff8L}) {
            int result = handle.ioctl(ioctl.number(), address);
            int expected = BEFORE.getOrDefault(ioctl, Errno.EFAULT).result();
            if (result != expected) {
              wrong.add(name + " at " + Long.toHexString(address) + ": " + Errno.nameOf(result));
            }
          }
        });
    assertEquals(List.of(), wrong);
  }

  /** The emulated kernel maps nothing behind what is mapped, so that it can be told there. */
  @EachBackend
  void aStructureThatEndsBehindItsMappingIsAFault() {
    if (!backend.isEmulated()) {
      backend.limit("may have mapped something else behind");
    }
    List<String> wrong = new ArrayList<>();
    MappedMemory page = MappedMemory.allocate(kernel, 4096);
    eachWithStructure(
        (ioctl, handle, name) -> {
          page.memory().fill(0, 4096, (byte) 0);
          int size = ioctl.argumentSize();
          if (size < 2) {
            return;
          }
          int result = handle.ioctl(ioctl.number(), page.address() + 4096 - size + 1);
          int expected = BEFORE.getOrDefault(ioctl, Errno.EFAULT).result();
          if (result != expected) {
            wrong.add(name + ": " + (result < 0 ? Errno.nameOf(result) : "" + result));
          }
        });
    assertEquals(List.of(), wrong);
  }

  @EachBackend
  void capabilitiesBeyondTheKnownAreZero() {
    for (long number : new long[] {-1, 300, 10_000, 1L << 31, 1L << 32, Long.MIN_VALUE}) {
      assertEquals(0, kvm.ioctl(KvmIoctl.KVM_CHECK_EXTENSION.number(), number), () -> "" + number);
    }
    assertEquals(0, kvm.checkExtension(Caps.KVM_CAP_MSI_DEVID));
  }
}
