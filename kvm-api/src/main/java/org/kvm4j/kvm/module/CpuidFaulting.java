package org.kvm4j.kvm.module;

/**
 * CPUID faulting: a guest's kernel may have CPUID fault in its programs. Source: Linux 6.1
 * kvm_set_msr_common, MSR_PLATFORM_INFO and MSR_MISC_FEATURES_ENABLES; cpuid_fault_enabled.
 */
final class CpuidFaulting {
  /** MSR_PLATFORM_INFO. */
  static final int PLATFORM_INFO = 0xce;

  /** MSR_MISC_FEATURES_ENABLES. */
  static final int MISC_FEATURES_ENABLES = 0x140;

  /** In MSR_PLATFORM_INFO: there is such a thing. */
  private static final long SUPPORTED = 1L << 31;

  /** In MSR_MISC_FEATURES_ENABLES: it is on. */
  private static final long ON = 1;

  private long platformInfo = SUPPORTED;
  private long enables;

  /** Whether CPUID faults above CPL 0. */
  boolean isOn() {
    return (enables & ON) != 0;
  }

  long platformInfo() {
    return platformInfo;
  }

  long enables() {
    return enables;
  }

  /** Sets MSR_PLATFORM_INFO, which user space alone may; false if it refuses the value. */
  boolean setPlatformInfo(long value) {
    if ((value & SUPPORTED) == 0 && isOn()) {
      return false;
    }
    platformInfo = value;
    return true;
  }

  /** Sets MSR_MISC_FEATURES_ENABLES; false if it refuses the value. */
  boolean setEnables(long value) {
    if ((value & ~ON) != 0 || (value != 0 && (platformInfo & SUPPORTED) == 0)) {
      return false;
    }
    enables = value;
    return true;
  }
}
