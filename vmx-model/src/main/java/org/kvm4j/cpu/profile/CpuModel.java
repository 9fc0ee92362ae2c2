package org.kvm4j.cpu.profile;

import java.util.EnumSet;
import java.util.Map;
import java.util.Set;

/** What instructions ask of the processor's model: its identity, features and limits. */
public interface CpuModel {

  /** Family, model and stepping, as in CPUID.1:EAX, and in EDX after reset. */
  int signature();

  /** Whether instructions that the vendors define apart are AMD's, else Intel's. */
  default boolean isAmd() {
    return false;
  }

  /** Whether the processor has the feature (as hardware, whatever CPUID is made to say). */
  boolean has(Feature feature);

  /** All features, for the decoder and for CPUID. */
  default FeatureSet features() {
    FeatureSet all = FeatureSet.none();
    for (Feature feature : Feature.values()) {
      if (has(feature)) {
        all = all.with(feature);
      }
    }
    return all;
  }

  /** MAXPHYADDR. */
  int physicalAddressBits();

  /** Width of linear addresses: 48, or 57 with LA57. */
  default int linearAddressBits() {
    return has(Feature.LA57) ? 57 : 48;
  }

  /** General-purpose performance counters, 0 to 8. */
  default int performanceCounters() {
    return has(Feature.ARCH_PERFMON) ? 4 : 0;
  }

  /** The bits that each performance counter has. */
  default int performanceCounterBits() {
    return 48;
  }

  /**
   * Last branches that model-specific registers have room for: 0, 4 as on Core 2, or 16 or 32 as
   * from Nehalem on. SDM Vol. 3, "Last Branch, Call Stack, Interrupt, and Exception Recording".
   */
  default int lastBranches() {
    return 0;
  }

  /**
   * A CPUID leaf. Bits that follow control registers (OSXSAVE, OSPKE) and the APIC's state are as
   * at reset: CPUID itself fills them in.
   *
   * @param out EAX, EBX, ECX, EDX
   */
  void cpuid(int leaf, int subleaf, int[] out);

  /** What the processor's VMX can do. */
  default Set<VmxFeature> vmxFeatures() {
    return VmxFeature.possible(this, EnumSet.allOf(VmxFeature.class));
  }

  /**
   * The bit of the TSC, 0 to 31, by whose changes the VMX-preemption timer counts down. SDM A.6
   * "Miscellaneous Data".
   */
  default int vmxTimerRate() {
    return 5;
  }

  /**
   * Values of model-specific registers that are constants of the model, by index:
   * IA32_ARCH_CAPABILITIES, IA32_MCG_CAP and the like. What is missing has the value that its owner
   * gives it.
   */
  default Map<Integer, Long> msrs() {
    return Map.of();
  }
}
