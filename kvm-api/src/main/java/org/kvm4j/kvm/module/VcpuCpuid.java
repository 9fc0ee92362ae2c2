package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.StateComponent;
import org.kvm4j.cpu.profile.VmxFeature;
import org.kvm4j.cpu.semantics.ControlRegisters;
import org.kvm4j.kvm.module.pv.KvmFeature;
import org.kvm4j.kvm.uapi.KvmCpuidEntry2;

/**
 * The CPUID of a virtual CPU: the table that user space set, and what follows control registers.
 * Source: Linux 6.1 arch/x86/kvm/cpuid.c.
 */
final class VcpuCpuid {
  /** KVM_MAX_CPUID_ENTRIES. */
  static final int MAX_ENTRIES = 256;

  /** EBX of leaf 0: "Genu". */
  private static final int INTEL = 0x756e6547;

  /** KVM's leaves are from here on, or a multiple of 100H later: "KVMKVMKVM". */
  private static final int KVM_FIRST = 0x40000000;

  private static final int KVM_LAST = 0x40010000;
  private static final int KVM_EBX = 0x4b4d564b;
  private static final int KVM_ECX = 0x564b4d56;
  private static final int KVM_EDX = 0x4d;

  private static final long CR4_NEVER = ControlBits.CR4_VMXE | ControlBits.CR4_SMXE;

  private static final long CR4_BY_CPUID =
      ControlBits.CR4_OSXSAVE
          | ControlBits.CR4_SMEP
          | ControlBits.CR4_SMAP
          | ControlBits.CR4_FSGSBASE
          | ControlBits.CR4_PKE
          | ControlBits.CR4_PKS
          | ControlBits.CR4_LA57
          | ControlBits.CR4_UMIP
          | ControlBits.CR4_LAM_SUP
          | ControlBits.CR4_CET
          | ControlBits.CR4_PCIDE;

  /** KVM_CPUID_FLAG_SIGNIFCANT_INDEX. */
  private static final int SIGNIFICANT_INDEX = 1;

  /**
   * What a processor may have and a virtual CPU is not told of: nested virtualization is not built,
   * MONITOR and MWAIT do nothing in a guest, OSXSAVE follows CR4, and of TSC-deadline mode, which
   * needs a local APIC in the kernel, a capability tells. That supervisor shadow stacks are safe
   * KVM does not say. There are no performance counters.
   */
  private static final Feature[] WITHHELD = {
    Feature.VMX,
    Feature.SVM,
    Feature.MONITOR,
    Feature.OSXSAVE,
    Feature.TSC_DEADLINE,
    Feature.CET_SSS,
    Feature.PDCM
  };

  /** What virtual CPUs can have of CET if VMX has this: Linux 6.18, vmx_set_cpu_caps. */
  private static final Set<VmxFeature> CET_NEEDS =
      EnumSet.of(
          VmxFeature.ENTRY_LOAD_CET,
          VmxFeature.EXIT_LOAD_CET,
          VmxFeature.UNRESTRICTED_GUEST,
          VmxFeature.ANY_ERRCODE);

  /** Of leaf 0DH, sub-leaf 1, EAX: XSAVEC or XSAVES, which make EBX a size. */
  private static final int COMPACTION = Feature.XSAVEC.mask() | Feature.XSAVES.mask();

  /** A leaf as in {@code struct kvm_cpuid_entry2}. */
  static final class Entry {
    int function;
    int index;
    int flags;
    int eax;
    int ebx;
    int ecx;
    int edx;

    boolean sameAs(Entry o) {
      return function == o.function
          && index == o.index
          && flags == o.flags
          && eax == o.eax
          && ebx == o.ebx
          && ecx == o.ecx
          && edx == o.edx;
    }
  }

  private Entry[] entries = new Entry[0];

  /** User space has said what there is, if nothing; until then the host rules. */
  private boolean isSet;

  Entry[] entries() {
    return entries;
  }

  void set(Entry[] now) {
    isSet = true;
    entries = now;
  }

  @Nullable Entry find(int function, int index) {
    for (Entry e : entries) {
      if (e.function == function && ((e.flags & SIGNIFICANT_INDEX) == 0 || e.index == index)) {
        return e;
      }
    }
    return null;
  }

  /** MAXPHYADDR of the guest. */
  int physicalBits() {
    Entry e = find(0x80000008, 0);
    return e == null ? 36 : e.eax & 0xff;
  }

  /** Whether the guest's XCR0 may have a value: by leaf 0DH as user space set it. */
  boolean allowsXcr0(CpuModel model, long value) {
    return StateComponent.isXcr0(allowedXcr0(model), value);
  }

  /** Bits of IA32_XSS that the guest may set: by leaf 0DH as user space set it. */
  long allowedXss(CpuModel model) {
    Entry e = find(0xd, 1);
    long told = e == null ? 0 : e.ecx & 0xffffffffL | (long) e.edx << 32;
    return told & StateComponent.supervisor(model);
  }

  /** Bits of IA32_U_CET and IA32_S_CET that the guest may set. */
  long allowedCet() {
    return MsrTable.cetDefined(this::has);
  }

  private long allowedXcr0(CpuModel model) {
    Entry e = find(0xd, 0);
    long told = e == null ? 0 : e.eax & 0xffffffffL | (long) e.edx << 32;
    return StateComponent.supported(model) & told | StateComponent.X87.bit();
  }

  /** What is wrong with a value of XCR0 that is not allowed. */
  String whyNotXcr0(CpuModel model, long value) {
    long allowed = allowedXcr0(model);
    if ((value & ~allowed) != 0) {
      return String.format(
          "XCR0 0x%x: the CPU model and CPUID leaf 0xd of the vCPU allow 0x%x", value, allowed);
    }
    return String.format(
        "XCR0 0x%x: %s",
        value, StateComponent.X87.in(value) ? "AVX goes with SSE only" : "bit 0, x87, must be 1");
  }

  boolean hasX2apic() {
    Entry e = find(1, 0);
    return e != null && (e.ecx & 1 << 21) != 0;
  }

  boolean hasTscDeadline() {
    Entry e = find(1, 0);
    return e != null && (e.ecx & 1 << 24) != 0;
  }

  /**
   * The CPUID instruction of the guest: leaves out of range give the highest basic leaf on Intel,
   * zeros on AMD.
   *
   * @param apic whether IA32_APIC_BASE enables the local APIC
   */
  void execute(Cpu cpu, long cr4, long xcr0, boolean apic) {
    int function = (int) cpu.r[Cpu.RAX];
    int index = (int) cpu.r[Cpu.RCX];
    Entry e = find(function, index);
    if (e == null) {
      e = outOfRange(function, index);
    }
    int eax = 0;
    int ebx = 0;
    int ecx = 0;
    int edx = 0;
    if (e != null) {
      eax = e.eax;
      ebx = e.ebx;
      ecx = e.ecx;
      edx = e.edx;
      if (e.function == 1) {
        ecx = bit(ecx, 27, (cr4 & ControlBits.CR4_OSXSAVE) != 0);
        edx = bit(edx, 9, apic && (edx & 1 << 9) != 0);
      } else if (e.function == 7 && e.index == 0) {
        ecx = bit(ecx, 4, (cr4 & ControlBits.CR4_PKE) != 0 && (ecx & 8) != 0);
      } else if (e.function == 0xd && e.index == 0) {
        ebx = StateComponent.standardSize(xcr0);
      } else if (e.function == 0xd && e.index == 1 && (eax & COMPACTION) != 0) {
        ebx = StateComponent.compactedSize(xcr0 | cpu.xss);
      }
    }
    cpu.r[Cpu.RAX] = eax & 0xffffffffL;
    cpu.r[Cpu.RBX] = ebx & 0xffffffffL;
    cpu.r[Cpu.RCX] = ecx & 0xffffffffL;
    cpu.r[Cpu.RDX] = edx & 0xffffffffL;
  }

  private @Nullable Entry outOfRange(int function, int index) {
    Entry basic = find(function & 0x80000000, 0);
    Entry vendor = find(0, 0);
    if (vendor == null || vendor.ebx != INTEL) {
      return null;
    }
    if (basic != null && Integer.compareUnsigned(function, basic.eax) <= 0) {
      return null;
    }
    return find(vendor.eax, index);
  }

  private static int bit(int word, int bit, boolean on) {
    return on ? word | 1 << bit : word & ~(1 << bit);
  }

  // ---- what follows from the table: kvm_vcpu_after_set_cpuid ----

  /** The leaf that tells of KVM's features; null if there is none. */
  private @Nullable Entry kvmLeaf() {
    for (int f = KVM_FIRST; f < KVM_LAST; f += 0x100) {
      Entry e = find(f, 0);
      if (e != null && e.ebx == KVM_EBX && e.ecx == KVM_ECX && e.edx == KVM_EDX) {
        return find(f + 1, 0);
      }
    }
    return null;
  }

  /** KVM's features that the table tells of: EAX of leaf 4000_0001H. */
  int kvmFeatures() {
    Entry e = kvmLeaf();
    return e == null ? 0 : e.eax;
  }

  /** For guests that halt without exits, so that no other processor can end a HLT by a call. */
  static void withholdUnhalt(Entry[] table) {
    VcpuCpuid cpuid = new VcpuCpuid();
    cpuid.set(table);
    Entry e = cpuid.kvmLeaf();
    if (e != null) {
      e.eax &= ~KvmFeature.PV_UNHALT.mask;
    }
  }

  /** Whether the table tells of a feature. */
  boolean has(Feature feature) {
    Entry e = find(feature.leaf, feature.subleaf);
    if (e == null) {
      return false;
    }
    int word =
        switch (feature.register) {
          case EAX -> e.eax;
          case EBX -> e.ebx;
          case ECX -> e.ecx;
          case EDX -> e.edx;
        };
    return (word & feature.mask()) != 0;
  }

  /**
   * Bits of CR4 that the guest may not set: those of features that it does not know of, as far as
   * the kernel looks at them (__cr4_reserved_bits), and those of what virtual CPUs do not have. A
   * virtual CPU that was given no table may set what the processor has.
   */
  long reservedCr4() {
    return !isSet ? CR4_NEVER : CR4_NEVER | CR4_BY_CPUID & ~ControlRegisters.cr4Defined(this::has);
  }

  /** The model's own leaves, and the local APIC's features. */
  static Entry[] ofProcessor(CpuModel model) {
    List<Entry> list = leaves(model, List.of());
    for (Entry e : list) {
      if (e.function == 1) {
        e.edx |= Feature.APIC.mask();
        e.ecx |= Feature.X2APIC.mask();
      }
    }
    return list.toArray(new Entry[0]);
  }

  /** KVM_GET_SUPPORTED_CPUID: the model's own leaves but what is withheld, and those of KVM. */
  static Entry[] supported(CpuModel model) {
    Entry kvm = new Entry();
    kvm.function = KVM_FIRST;
    kvm.eax = KVM_FIRST + 1;
    kvm.ebx = KVM_EBX;
    kvm.ecx = KVM_ECX;
    kvm.edx = KVM_EDX;
    Entry features = new Entry();
    features.function = KVM_FIRST + 1;
    features.eax = KvmFeature.all();
    List<Entry> list = leaves(model, List.of(kvm, features));
    for (Entry e : list) {
      if (e.function == 1) {
        // The local APIC is software's, and so is its x2APIC mode.
        e.edx |= Feature.APIC.mask();
        e.ecx |= Feature.HYPERVISOR.mask() | Feature.X2APIC.mask();
      } else if (e.function == 7 && e.index == 0) {
        // So is IA32_TSC_ADJUST, by which Linux knows that it may trust the time-stamp counter.
        e.ebx |= Feature.TSC_ADJUST.mask();
        if (!model.vmxFeatures().contains(VmxFeature.ENABLE_USER_WAIT_PAUSE)) {
          e.ecx &= ~Feature.WAITPKG.mask();
        }
        if (!hasCet(model)) {
          e.ecx &= ~Feature.CET_SS.mask();
          e.edx &= ~Feature.CET_IBT.mask();
        }
      } else if (e.function == 0xd && e.index == 1 && !hasCet(model)) {
        e.ecx &= ~CET_COMPONENTS;
        if ((e.eax & COMPACTION) != 0) {
          e.ebx = StateComponent.compactedSize(StateComponent.supported(model));
        }
      } else if (e.function == 5) {
        // Of MONITOR, which is withheld.
        e.eax = 0;
        e.ebx = 0;
        e.ecx = 0;
      } else if (e.function == 0xa) {
        // Of performance counters, which no virtual CPU has.
        e.eax = 0;
        e.ebx = 0;
        e.edx = 0;
      }
      for (Feature f : WITHHELD) {
        if (f.leaf == e.function && f.subleaf == e.index) {
          switch (f.register) {
            case EAX -> e.eax &= ~f.mask();
            case EBX -> e.ebx &= ~f.mask();
            case ECX -> e.ecx &= ~f.mask();
            case EDX -> e.edx &= ~f.mask();
          }
        }
      }
    }
    if (!hasCet(model)) {
      list.removeIf(e -> e.function == 0xd && e.index > 1 && (CET_COMPONENTS >> e.index & 1) != 0);
    }
    return list.toArray(new Entry[0]);
  }

  private static final int CET_COMPONENTS =
      (int) (StateComponent.CET_U.bit() | StateComponent.CET_S.bit());

  /** Whether virtual CPUs can have CET on a processor that has it. */
  static boolean hasCet(CpuModel model) {
    return model.vmxFeatures().containsAll(CET_NEEDS);
  }

  /**
   * The model's leaves.
   *
   * @param between those that come between the basic and the extended ones
   */
  private static List<Entry> leaves(CpuModel model, List<Entry> between) {
    List<Entry> list = new ArrayList<>();
    int maxBasic = leaf(list, model, 0, 0, 0).eax;
    for (int f = 1; f <= maxBasic; f++) {
      switch (f) {
        case 2, 3, 5, 6, 9, 0xa, 1 -> leaf(list, model, f, 0, 0);
        case 4 -> caches(list, model, f);
        case 7 -> {
          int max = leaf(list, model, f, 0, SIGNIFICANT_INDEX).eax;
          for (int i = 1; i <= Math.min(max, 2); i++) {
            leaf(list, model, f, i, SIGNIFICANT_INDEX);
          }
        }
        case 0xb -> {
          leaf(list, model, f, 0, SIGNIFICANT_INDEX);
          leaf(list, model, f, 1, SIGNIFICANT_INDEX);
        }
        case 0xd -> {
          // Sizes for all components, until a virtual CPU has an XCR0 of its own.
          long all = StateComponent.supported(model) | StateComponent.supervisor(model);
          Entry sizes = leaf(list, model, f, 0, SIGNIFICANT_INDEX);
          sizes.ebx = sizes.ecx;
          Entry forms = leaf(list, model, f, 1, SIGNIFICANT_INDEX);
          if ((forms.eax & COMPACTION) != 0) {
            forms.ebx = StateComponent.compactedSize(all);
          }
          for (int i = 2; i < 63; i++) {
            Entry e = leaf(list, model, f, i, SIGNIFICANT_INDEX);
            if (e.eax == 0) {
              list.remove(list.size() - 1);
            }
          }
        }
        default -> leaf(list, model, f, 0, 0);
      }
    }
    list.addAll(between);
    int maxExtended = leaf(list, model, 0x80000000, 0, 0).eax;
    for (int f = 0x80000001; Integer.compareUnsigned(f, maxExtended) <= 0; f++) {
      if (f == 0x8000001d) {
        caches(list, model, f);
      } else {
        leaf(list, model, f, 0, 0);
      }
    }
    return list;
  }

  /** The caches of leaf 4 or 8000_001DH, up to the one that there is not. */
  private static void caches(List<Entry> list, CpuModel model, int f) {
    for (int i = 0; i < 8; i++) {
      if ((leaf(list, model, f, i, SIGNIFICANT_INDEX).eax & 0x1f) == 0) {
        break;
      }
    }
  }

  /** KVM_GET_EMULATED_CPUID: MOVBE is emulated whatever the processor has. */
  static Entry[] emulated() {
    Entry one = new Entry();
    one.function = 1;
    one.ecx = 1 << 22;
    Entry zero = new Entry();
    zero.eax = 7;
    Entry seven = new Entry();
    seven.function = 7;
    seven.flags = SIGNIFICANT_INDEX;
    return new Entry[] {zero, one, seven};
  }

  private static Entry leaf(List<Entry> list, CpuModel model, int f, int index, int flags) {
    int[] out = new int[4];
    model.cpuid(f, index, out);
    Entry e = new Entry();
    e.function = f;
    e.index = index;
    e.flags = flags;
    e.eax = out[0];
    e.ebx = out[1];
    e.ecx = out[2];
    e.edx = out[3];
    list.add(e);
    return e;
  }

  static void write(Entry[] entries, ByteBuffer out, int offset) {
    for (Entry e : entries) {
      out.putInt(offset + KvmCpuidEntry2.FUNCTION, e.function);
      out.putInt(offset + KvmCpuidEntry2.INDEX, e.index);
      out.putInt(offset + KvmCpuidEntry2.FLAGS, e.flags);
      out.putInt(offset + KvmCpuidEntry2.EAX, e.eax);
      out.putInt(offset + KvmCpuidEntry2.EBX, e.ebx);
      out.putInt(offset + KvmCpuidEntry2.ECX, e.ecx);
      out.putInt(offset + KvmCpuidEntry2.EDX, e.edx);
      offset += KvmCpuidEntry2.SIZEOF;
    }
  }

  static Entry[] read(ByteBuffer in, int count) {
    Entry[] entries = new Entry[count];
    for (int i = 0; i < count; i++) {
      int at = i * KvmCpuidEntry2.SIZEOF;
      Entry e = new Entry();
      e.function = in.getInt(at + KvmCpuidEntry2.FUNCTION);
      e.index = in.getInt(at + KvmCpuidEntry2.INDEX);
      e.flags = in.getInt(at + KvmCpuidEntry2.FLAGS);
      e.eax = in.getInt(at + KvmCpuidEntry2.EAX);
      e.ebx = in.getInt(at + KvmCpuidEntry2.EBX);
      e.ecx = in.getInt(at + KvmCpuidEntry2.ECX);
      e.edx = in.getInt(at + KvmCpuidEntry2.EDX);
      entries[i] = e;
    }
    return entries;
  }
}
