package org.kvm4j.cpu.core;

import org.kvm4j.cpu.profile.Feature;

/** What instructions ask of the processor's model: its identity, features and limits. */
public interface CpuModel {

  /** Family, model and stepping, as in CPUID.1:EAX, and in EDX after reset. */
  int signature();

  /** Whether the processor has the feature (as hardware, whatever CPUID is made to say). */
  boolean has(Feature feature);

  /** MAXPHYADDR. */
  int physicalAddressBits();

  /**
   * A CPUID leaf.
   *
   * @param out EAX, EBX, ECX, EDX
   */
  void cpuid(int leaf, int subleaf, int[] out);
}
