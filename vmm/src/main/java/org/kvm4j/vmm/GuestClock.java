package org.kvm4j.vmm;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.ClockData;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.vmm.device.VmClock;

/**
 * The time that the guest itself sees, for devices to live in: the VM's clock where the kernel
 * gives it, else the time-stamp counter of the processor whose exit is being handled.
 */
final class GuestClock implements VmClock {

  private static final int IA32_TIME_STAMP_COUNTER = 0x10;
  private static final long NANOS_PER_MILLI = 1_000_000;

  private final Vm vm;
  private final List<Vcpu> vcpus;
  private final boolean vmClock;
  private final int tscKhz;

  /** Which vCPU this thread runs. A vCPU's registers are for its own thread. */
  @SuppressWarnings("ThreadLocalUsage") // One for each machine.
  private final ThreadLocal<@Nullable Vcpu> current = new ThreadLocal<>();

  GuestClock(Vm vm, List<Vcpu> vcpus) {
    this.vm = vm;
    this.vcpus = vcpus;
    this.vmClock = vm.checkExtension(Caps.KVM_CAP_ADJUST_CLOCK) > 0;
    this.tscKhz = vcpus.get(0).getTscKhz();
  }

  /** This thread runs the vCPU from now on. */
  void enter(Vcpu vcpu) {
    current.set(vcpu);
  }

  @Override
  public long nanos() {
    if (vmClock) {
      return vm.getClock().clock;
    }
    Vcpu vcpu = current.get();
    long tsc = (vcpu == null ? vcpus.get(0) : vcpu).getMsr(IA32_TIME_STAMP_COUNTER);
    return nanos(tsc, tscKhz);
  }

  /**
   * Lets time pass while no vCPU runs.
   *
   * @param nanos how much
   */
  void pass(long nanos) {
    if (vmClock) {
      ClockData data = new ClockData();
      data.clock = vm.getClock().clock + nanos;
      vm.setClock(data);
    }
    for (Vcpu vcpu : vcpus) {
      long tsc = vcpu.getMsr(IA32_TIME_STAMP_COUNTER);
      vcpu.setMsr(IA32_TIME_STAMP_COUNTER, tsc + ticks(nanos, tscKhz));
    }
  }

  static long ticks(long nanos, int khz) {
    return nanos / NANOS_PER_MILLI * khz + nanos % NANOS_PER_MILLI * khz / NANOS_PER_MILLI;
  }

  static long nanos(long tsc, int khz) {
    return tsc / khz * NANOS_PER_MILLI + tsc % khz * NANOS_PER_MILLI / khz;
  }
}
