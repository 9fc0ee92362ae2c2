package org.kvm4j.vmm;

import java.util.EnumSet;
import java.util.Locale;
import java.util.Set;
import org.kvm4j.kvm.CpuidEntry;

/**
 * A feature that the kernel gives guests in software, whatever the host's processor has: it is the
 * VMM that hides it from a guest.
 *
 * <p>Source: Linux 6.1 api.rst, "KVM_GET_SUPPORTED_CPUID": x2APIC, the TSC-deadline timer and
 * IA32_TSC_ADJUST are emulated; Intel SDM volume 2A, CPUID.
 */
public enum SoftwareFeature {
  /** CPUID.01H:EDX.APIC. The others of the local APIC go with it. */
  APIC(1),
  /** CPUID.01H:ECX.X2APIC. */
  X2APIC(1),
  /** CPUID.01H:ECX.TSC_DEADLINE. */
  TSC_DEADLINE(1),
  /** CPUID.01H:ECX bit 31: the guest runs on a hypervisor. */
  HYPERVISOR(1),
  /** CPUID.07H:EBX.TSC_ADJUST. */
  TSC_ADJUST(7);

  private final int leaf;

  SoftwareFeature(int leaf) {
    this.leaf = leaf;
  }

  /**
   * What a CPU model's changes take away, in their order.
   *
   * @param cpu a model's name with changes, as in {@code kvm4j-v1,-x2apic}
   */
  public static Set<SoftwareFeature> hiddenBy(String cpu) {
    EnumSet<SoftwareFeature> hidden = EnumSet.noneOf(SoftwareFeature.class);
    String[] parts = cpu.split(",", -1);
    for (int i = 1; i < parts.length; i++) {
      String change = parts[i].strip().toUpperCase(Locale.ROOT).replace('-', '_');
      for (SoftwareFeature feature : values()) {
        if (change.equals("_" + feature.name())) {
          hidden.add(feature);
          if (feature == APIC) {
            hidden.add(X2APIC);
            hidden.add(TSC_DEADLINE);
          }
        } else if (change.equals("+" + feature.name())) {
          hidden.remove(feature);
          if (feature == X2APIC || feature == TSC_DEADLINE) {
            hidden.remove(APIC);
          }
        }
      }
    }
    return hidden;
  }

  /** Takes it out of a leaf, if it is that leaf's. */
  void hide(CpuidEntry e) {
    if (e.function != leaf || e.index != 0) {
      return;
    }
    switch (this) {
      case APIC:
        e.edx &= ~(1 << 9);
        break;
      case X2APIC:
        e.ecx &= ~(1 << 21);
        break;
      case TSC_DEADLINE:
        e.ecx &= ~(1 << 24);
        break;
      case HYPERVISOR:
        e.ecx &= ~(1 << 31);
        break;
      case TSC_ADJUST:
        e.ebx &= ~(1 << 1);
        break;
    }
  }
}
