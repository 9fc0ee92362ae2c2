package org.kvm4j.vmm;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.kvm4j.kvm.CpuidEntry;

/**
 * The CPUID of a processor of the machine: what the kernel supports, with the processor's number in
 * it, and what the machine is made of: one package of cores with one thread each, which share the
 * third level's cache.
 *
 * <p>Source: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.4, "Extended Feature Function
 * Numbers"; Linux 6.1 api.rst, "KVM_GET_SUPPORTED_CPUID", which tells what user space must fill in.
 */
final class GuestCpuid {

  private static final int VENDOR = 0x0;
  private static final int FEATURES = 0x1;
  private static final int CACHES = 0x4;
  private static final int TOPOLOGY = 0xb;
  private static final int TOPOLOGY_V2 = 0x1f;
  private static final int HYPERVISOR = 0x4000_0000;
  private static final int KVM_FEATURES = 0x4000_0001;

  /**
   * Of KVM's features those that go by local APICs in the kernel, which refuses their MSRs without:
   * ASYNC_PF, PV_EOI, PV_UNHALT, ASYNC_PF_VMEXIT, PV_SEND_IPI, ASYNC_PF_INT. Linux 6.1 cpuid.rst.
   */
  private static final int KVM_APIC_FEATURES =
      1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 14;

  private static final int AMD_SIZES = 0x8000_0008;
  private static final int AMD_CACHES = 0x8000_001d;
  private static final int AMD_TOPOLOGY = 0x8000_001e;

  private static final int AMD_EBX = 0x6874_7541; // "Auth"

  private static final int ECX_X2APIC = 1 << 21;
  private static final int ECX_TSC_DEADLINE = 1 << 24;
  private static final int ECX_HYPERVISOR = 1 << 31;
  private static final int EDX_APIC = 1 << 9;
  private static final int EDX_FXSR = 1 << 24;
  private static final int EDX_SSE = 1 << 25;
  private static final int EDX_HTT = 1 << 28;

  // Kinds of levels in the topology leaves, ECX bits 15 to 8.
  private static final int THREADS = 1 << 8;
  private static final int CORES = 2 << 8;

  private final int id;
  private final int cpus;

  private GuestCpuid(int id, int cpus) {
    this.id = id;
    this.cpus = cpus;
  }

  /**
   * @param supported by the kernel; not changed
   * @param id the processor's number
   * @param cpus how many there are
   * @param kernelChips whether there are local APICs in the kernel
   * @param tscDeadline whether those have TSC-deadline mode, of which {@code supported} tells
   *     nothing
   * @param hidden what this guest is not to have of what the kernel gives it in software
   */
  static List<CpuidEntry> of(
      List<CpuidEntry> supported,
      int id,
      int cpus,
      boolean kernelChips,
      boolean tscDeadline,
      Set<SoftwareFeature> hidden) {
    GuestCpuid processor = new GuestCpuid(id, cpus);
    boolean hypervisor = supported.stream().anyMatch(e -> e.function == HYPERVISOR);
    boolean amd = supported.stream().anyMatch(e -> e.function == VENDOR && e.ebx == AMD_EBX);
    List<CpuidEntry> entries = new ArrayList<>(supported.size());
    for (CpuidEntry s : supported) {
      CpuidEntry e = new CpuidEntry(s.function, s.index, s.flags, s.eax, s.ebx, s.ecx, s.edx);
      switch (e.function) {
        case FEATURES:
          processor.number(e);
          if (!kernelChips) {
            e.edx &= ~EDX_APIC;
            e.ecx &= ~(ECX_X2APIC | ECX_TSC_DEADLINE);
          } else if (tscDeadline) {
            e.ecx |= ECX_TSC_DEADLINE;
          }
          if (hypervisor) {
            e.ecx |= ECX_HYPERVISOR;
          }
          break;
        case KVM_FEATURES:
          if (!kernelChips) {
            e.eax &= ~KVM_APIC_FEATURES;
          }
          break;
        case CACHES:
        case AMD_CACHES:
          processor.share(e, e.function == CACHES);
          break;
        case TOPOLOGY:
        case TOPOLOGY_V2:
          if (e.index == 0) {
            processor.topology(e, entries);
          }
          continue;
        case AMD_SIZES:
          if (amd) {
            e.ecx = (e.ecx & ~0xf0ff) | Math.min(cpus - 1, 255) | processor.idBits() << 12;
          }
          break;
        case AMD_TOPOLOGY:
          e.eax = id;
          e.ebx = id & 0xff;
          e.ecx = 0;
          break;
        default:
          break;
      }
      hidden.forEach(feature -> feature.hide(e));
      entries.add(e);
    }
    return entries;
  }

  /** Whether processors have SSE, and FXSAVE to save it. */
  static boolean hasSse(List<CpuidEntry> supported) {
    int both = EDX_FXSR | EDX_SSE;
    return supported.stream().anyMatch(e -> e.function == FEATURES && (e.edx & both) == both);
  }

  /** How many bits of an APIC id tell processors apart. */
  private int idBits() {
    return Integer.SIZE - Integer.numberOfLeadingZeros(cpus - 1);
  }

  private void number(CpuidEntry features) {
    features.ebx = (features.ebx & 0xffff) | Math.min(cpus, 255) << 16 | (id & 0xff) << 24;
    features.edx = cpus > 1 ? features.edx | EDX_HTT : features.edx & ~EDX_HTT;
  }

  /** Bits 25 to 14: how many processors share the cache; 31 to 26, on Intel's: how many cores. */
  private void share(CpuidEntry cache, boolean intel) {
    if ((cache.eax & 0x1f) == 0) {
      return; // no more caches
    }
    int level = cache.eax >> 5 & 7;
    int ids = (1 << idBits()) - 1;
    int sharing = level >= 3 ? Math.min(ids, 0xfff) : 0;
    int cores = intel ? Math.min(ids, 63) << 26 : 0;
    cache.eax = (cache.eax & 0x3fff) | sharing << 14 | cores;
  }

  /** The levels of the topology: by how many bits of the id to shift, and how many processors. */
  private void topology(CpuidEntry first, List<CpuidEntry> entries) {
    int f = first.function;
    int flags = first.flags;
    entries.add(new CpuidEntry(f, 0, flags, 0, 1, THREADS, id));
    entries.add(new CpuidEntry(f, 1, flags, idBits(), cpus, CORES | 1, id));
    entries.add(new CpuidEntry(f, 2, flags, 0, 0, 2, id));
  }
}
