package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.MsrEntry;
import org.kvm4j.kvm.Statistic;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.uapi.KvmCap;
import org.kvm4j.kvm.uapi.Uapi;

/** The system descriptor, and the lives of descriptors. */
class SystemTests extends KvmContract {

  /** What the first stage of every kernel has. */
  private static final List<KvmCap> BASIC =
      List.of(
          KvmCap.KVM_CAP_USER_MEMORY,
          KvmCap.KVM_CAP_EXT_CPUID,
          KvmCap.KVM_CAP_NR_VCPUS,
          KvmCap.KVM_CAP_NR_MEMSLOTS,
          KvmCap.KVM_CAP_MP_STATE,
          KvmCap.KVM_CAP_COALESCED_MMIO,
          KvmCap.KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
          KvmCap.KVM_CAP_USER_NMI,
          KvmCap.KVM_CAP_SET_GUEST_DEBUG,
          KvmCap.KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
          KvmCap.KVM_CAP_IOEVENTFD,
          KvmCap.KVM_CAP_VCPU_EVENTS,
          KvmCap.KVM_CAP_DEBUGREGS,
          KvmCap.KVM_CAP_ENABLE_CAP,
          KvmCap.KVM_CAP_XSAVE,
          KvmCap.KVM_CAP_XCRS,
          KvmCap.KVM_CAP_GET_TSC_KHZ,
          KvmCap.KVM_CAP_MAX_VCPUS,
          KvmCap.KVM_CAP_SYNC_REGS,
          KvmCap.KVM_CAP_READONLY_MEM,
          KvmCap.KVM_CAP_ENABLE_CAP_VM,
          KvmCap.KVM_CAP_CHECK_EXTENSION_VM,
          KvmCap.KVM_CAP_MAX_VCPU_ID,
          KvmCap.KVM_CAP_IMMEDIATE_EXIT,
          KvmCap.KVM_CAP_COALESCED_PIO,
          KvmCap.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
          KvmCap.KVM_CAP_X86_USER_SPACE_MSR,
          KvmCap.KVM_CAP_X86_MSR_FILTER,
          KvmCap.KVM_CAP_SREGS2,
          KvmCap.KVM_CAP_XSAVE2);

  @EachBackend
  void theApiIsVersion12AndTheMappingHoldsRunPortsAndRing() {
    assertEquals(12, kvm.getApiVersion());
    assertTrue(kvm.getVcpuMmapSize() >= 3 * 4096 && kvm.getVcpuMmapSize() % 4096 == 0);
  }

  @EachBackend
  void theBasicCapabilitiesAreThere() {
    for (KvmCap cap : BASIC) {
      backend.needs(kvm, cap);
    }
    assertEquals(2, kvm.checkExtension(KvmCap.KVM_CAP_COALESCED_MMIO), "the ring's page");
    assertEquals(7, kvm.checkExtension(KvmCap.KVM_CAP_SYNC_REGS));
    assertEquals(3, kvm.checkExtension(KvmCap.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2));
    assertTrue(kvm.checkExtension(KvmCap.KVM_CAP_NR_MEMSLOTS) >= 32);
    assertTrue(kvm.checkExtension(KvmCap.KVM_CAP_XSAVE2) >= 4096);
  }

  @EachBackend
  void unknownCapabilitiesAreZero() {
    for (int number : new int[] {255, 1000, 0x7fff_ffff, -1}) {
      assertEquals(0, kvm.checkExtension(number));
    }
  }

  @EachBackend
  void theSupportedCpuidHasTheBasicLeavesOnce() {
    List<CpuidEntry> entries = kvm.getSupportedCpuid();
    Set<List<Integer>> seen = new HashSet<>();
    for (CpuidEntry entry : entries) {
      assertTrue(seen.add(List.of(entry.function, entry.index)), entry::toString);
    }
    for (int leaf : new int[] {0, 1, 7, 0xd, 0x8000_0000, 0x8000_0001, 0x8000_0008}) {
      assertTrue(entries.stream().anyMatch(e -> e.function == leaf), () -> "leaf " + leaf);
    }
    CpuidEntry hypervisor =
        entries.stream().filter(e -> e.function == 0x4000_0000).findFirst().orElseThrow();
    assertEquals(0x4b4d564b, hypervisor.ebx, "KVMK");
  }

  @EachBackend
  void msrListsAreTheirMsrsOnce() {
    int[] msrs = kvm.getMsrIndexList();
    assertEquals(msrs.length, Arrays.stream(msrs).distinct().count());
    Set<Integer> set = new HashSet<>();
    Arrays.stream(msrs).forEach(set::add);
    for (int msr : new int[] {0x10, 0x174, 0x175, 0x176, 0x277, 0xc000_0081, 0xc000_0102}) {
      assertTrue(set.contains(msr), () -> "MSR 0x" + Integer.toHexString(msr));
    }
  }

  @EachBackend
  void featureMsrsCanBeRead() {
    backend.needs(kvm, KvmCap.KVM_CAP_GET_MSR_FEATURES);
    for (int msr : kvm.getMsrFeatureIndexList()) {
      MsrEntry entry = new MsrEntry(msr, 0);
      assertEquals(1, kvm.getMsrs(List.of(entry)), entry::toString);
    }
  }

  @EachBackend
  void aVcpuRunsOnWhenItsVmAndTheSystemAreClosed() {
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xf4);
    guest.vm.close();
    kvm.close();
    guest.run(Exit.IoOut.class);
    guest.run(Exit.Hlt.class);
    assertEquals(RealModeGuest.CODE + 3, guest.rip());
  }

  @EachBackend
  void vmsKeepTheirMemoryApart() {
    RealModeGuest one = new RealModeGuest(kvm, 0xc6, 0x06, 0x00, 0x30, 0x11, 0xf4);
    RealModeGuest two = new RealModeGuest(kvm, 0xc6, 0x06, 0x00, 0x30, 0x22, 0xf4);
    one.run(Exit.Hlt.class);
    two.run(Exit.Hlt.class);
    assertEquals(0x11, one.memory.getByte(0x3000));
    assertEquals(0x22, two.memory.getByte(0x3000));
  }

  @EachBackend
  void statisticsCountExits() {
    backend.needs(kvm, KvmCap.KVM_CAP_BINARY_STATS_FD);
    RealModeGuest guest = new RealModeGuest(kvm, 0xe6, 0x10, 0xeb, 0xfc); // out; jmp back
    for (int i = 0; i < 10; i++) {
      guest.run(Exit.IoOut.class);
    }
    Statistic exits =
        guest.vcpu.readStatistics().stream()
            .filter(s -> s.name().equals("exits"))
            .findFirst()
            .orElseThrow();
    assertTrue(exits.value() >= 10, exits::toString);
    assertEquals(Uapi.KVM_STATS_TYPE_CUMULATIVE, exits.type());
    assertTrue(guest.vm.readStatistics().size() > 1);
  }

  @EachBackend
  void manySystemsVmsAndVcpusComeAndGo() {
    for (int i = 0; i < 20; i++) {
      try (Kvm other = Kvm.open(kernel);
          Vm vm = other.createVm();
          Vcpu first = vm.createVcpu(0);
          Vcpu second = vm.createVcpu(1)) {
        assertFalse(first.fd() == second.fd());
      }
    }
  }
}
