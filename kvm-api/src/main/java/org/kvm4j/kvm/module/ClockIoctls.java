package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.uapi.KvmClockData;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * KVM_GET_CLOCK and KVM_SET_CLOCK. Source: Linux 6.1 get_kvmclock, kvm_vm_ioctl_set_clock; api.rst,
 * "KVM_GET_CLOCK".
 */
final class ClockIoctls {
  /** KVM_CAP_ADJUST_CLOCK. */
  static final int FLAGS =
      Uapi.KVM_CLOCK_TSC_STABLE | Uapi.KVM_CLOCK_REALTIME | Uapi.KVM_CLOCK_HOST_TSC;

  private final VmFile vm;

  ClockIoctls(VmFile vm) {
    this.vm = vm;
  }

  int get(long argument) {
    ByteBuffer b = UserSpace.struct(KvmClockData.SIZEOF);
    long now = vm.time.now();
    b.putLong(KvmClockData.CLOCK, vm.clock.at(now));
    if (vm.clock.isMaster()) {
      b.putInt(KvmClockData.FLAGS, FLAGS);
      b.putLong(KvmClockData.REALTIME, vm.time.realTime());
      b.putLong(KvmClockData.HOST_TSC, now);
    }
    return vm.user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  int set(long argument) {
    ByteBuffer b = vm.user.copyIn(argument, KvmClockData.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    int flags = b.getInt(KvmClockData.FLAGS);
    if ((flags & ~FLAGS) != 0) {
      return Results.EINVAL;
    }
    long clock = b.getLong(KvmClockData.CLOCK);
    if ((flags & Uapi.KVM_CLOCK_REALTIME) != 0) {
      long passed = vm.time.realTime() - b.getLong(KvmClockData.REALTIME);
      // The clock never steps back.
      clock += Math.max(0, passed);
    }
    vm.clock.set(clock, vm.tscs.allMatch());
    for (VirtualCpu v : vm.vcpus) {
      v.pv.clockChanged();
      v.kick();
    }
    return 0;
  }
}
