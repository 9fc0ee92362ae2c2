package org.kvm4j.kvm.module.pv;

/**
 * What a guest may use: bits of EAX of leaf 4000_0001H. Source: Linux 6.1
 * Documentation/virt/kvm/x86/cpuid.rst; kvm_para.h.
 */
public enum KvmFeature {
  /** kvmclock by the old MSRs. */
  CLOCKSOURCE(0),
  NOP_IO_DELAY(1),
  /** kvmclock by the new MSRs. */
  CLOCKSOURCE2(3),
  ASYNC_PF(4),
  STEAL_TIME(5),
  PV_EOI(6),
  PV_UNHALT(7),
  PV_TLB_FLUSH(9),
  ASYNC_PF_VMEXIT(10),
  PV_SEND_IPI(11),
  POLL_CONTROL(12),
  PV_SCHED_YIELD(13),
  ASYNC_PF_INT(14),
  /** The clocks of all virtual CPUs agree where PVCLOCK_TSC_STABLE_BIT says so. */
  CLOCKSOURCE_STABLE_BIT(24);

  public final int mask;

  KvmFeature(int bit) {
    mask = 1 << bit;
  }

  /** EAX of the leaf with all of them: what KVM_GET_SUPPORTED_CPUID tells. */
  public static int all() {
    int bits = 0;
    for (KvmFeature f : values()) {
      bits |= f.mask;
    }
    return bits;
  }
}
