package org.kvm4j.kvm.module;

import org.kvm4j.kvm.module.vendor.VmExit;

/** What a virtual CPU counts, for KVM_GET_STATS_FD. Written by its own thread alone. */
final class VcpuStats {
  final long[] exits = new long[VmExit.Kind.values().length];
  long total;
  long emulated;
  long signals;

  void count(VmExit.Kind kind) {
    total++;
    exits[kind.ordinal()]++;
  }
}
