package org.kvm4j.vmm;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.CpuidEntry;

/**
 * The CPUID of a processor of the machine: what the kernel supports, with the processor's number in
 * it.
 *
 * <p>Source: Intel SDM volume 2A, CPUID; Linux 6.1 api.rst, "KVM_GET_SUPPORTED_CPUID", which tells
 * what user space must fill in.
 */
final class GuestCpuid {

  private static final int FEATURES = 0x1;
  private static final int CACHES = 0x4;
  private static final int TOPOLOGY = 0xb;
  private static final int TOPOLOGY_V2 = 0x1f;
  private static final int HYPERVISOR = 0x4000_0000;

  private static final int ECX_X2APIC = 1 << 21;
  private static final int ECX_TSC_DEADLINE = 1 << 24;
  private static final int ECX_HYPERVISOR = 1 << 31;
  private static final int EDX_HTT = 1 << 28;

  private GuestCpuid() {}

  /**
   * @param supported by the kernel; not changed
   * @param id the processor's number
   * @param cpus how many there are
   * @param kernelChips whether there are local APICs in the kernel
   */
  static List<CpuidEntry> of(List<CpuidEntry> supported, int id, int cpus, boolean kernelChips) {
    boolean hypervisor = supported.stream().anyMatch(e -> e.function == HYPERVISOR);
    List<CpuidEntry> entries = new ArrayList<>(supported.size());
    for (CpuidEntry s : supported) {
      CpuidEntry e = new CpuidEntry(s.function, s.index, s.flags, s.eax, s.ebx, s.ecx, s.edx);
      switch (e.function) {
        case FEATURES:
          e.ebx = (e.ebx & 0xffff) | Math.min(cpus, 255) << 16 | (id & 0xff) << 24;
          e.edx = cpus > 1 ? e.edx | EDX_HTT : e.edx & ~EDX_HTT;
          if (!kernelChips) {
            // Both are features of the local APIC.
            e.ecx &= ~(ECX_X2APIC | ECX_TSC_DEADLINE);
          }
          if (hypervisor) {
            e.ecx |= ECX_HYPERVISOR;
          }
          break;
        case CACHES:
          if ((e.eax & 0x1f) != 0) {
            // Bits 31 to 26: cores in the package, less one.
            e.eax = (e.eax & 0x03ff_ffff) | Math.min(cpus - 1, 63) << 26;
          }
          break;
        case TOPOLOGY:
        case TOPOLOGY_V2:
          e.edx = id;
          break;
        default:
          break;
      }
      entries.add(e);
    }
    return entries;
  }
}
