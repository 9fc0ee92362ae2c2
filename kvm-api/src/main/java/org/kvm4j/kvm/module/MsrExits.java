package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.kvm.module.log.KernelLog;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmRun;

/**
 * RDMSR and WRMSR of the guest: which exit at all, the filter, and user space's say. Source: Linux
 * 6.1 kvm_emulate_rdmsr, kvm_emulate_wrmsr, vmx_msr_filter_changed.
 */
final class MsrExits {
  /** KVM_MSR_EXIT_REASON_*. */
  private static final int REASON_INVALID = 1;

  private static final int REASON_UNKNOWN = 2;
  private static final int REASON_FILTER = 4;

  /** MSRs that the guest reads and writes without an exit, unless the filter denies it. */
  private static final int[] PASSED_THROUGH = {
    VcpuMsrs.FS_BASE,
    VcpuMsrs.GS_BASE,
    VcpuMsrs.KERNEL_GS_BASE,
    VcpuMsrs.SYSENTER_CS,
    VcpuMsrs.SYSENTER_ESP,
    VcpuMsrs.SYSENTER_EIP,
    VcpuMsrs.STAR,
    VcpuMsrs.LSTAR,
    VcpuMsrs.CSTAR,
    VcpuMsrs.FMASK
  };

  private final VirtualCpu vcpu;
  private final Cpu cpu;
  private final ByteBuffer run;
  private final Completion afterRead = this::completeRead;
  private final Completion afterWrite = this::completeWrite;
  private final long[] value = new long[1];

  MsrExits(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.cpu = vcpu.vendor().cpu();
    this.run = vcpu.run();
    applyFilter();
  }

  /** Chooses which accesses exit, as the VM's filter is now. */
  void applyFilter() {
    for (int index : PASSED_THROUGH) {
      vcpu.vendor()
          .setMsrExiting(index, denied(index, MsrFilter.READ), denied(index, MsrFilter.WRITE));
    }
    vcpu.vendor().setMsrExiting(VcpuMsrs.TSC, denied(VcpuMsrs.TSC, MsrFilter.READ), true);
  }

  private boolean denied(int index, int access) {
    MsrFilter filter = vcpu.vm.msrFilter;
    return filter != null && !VcpuMsrs.isX2apic(index) && !filter.allows(index, access);
  }

  int read() {
    int index = (int) cpu.r[Cpu.RCX];
    if (denied(index, MsrFilter.READ)) {
      return refused(index, REASON_FILTER, false, 0);
    }
    int r = VcpuMsrs.read(vcpu, index, value, false);
    if (r != VcpuMsrs.OK) {
      return refused(index, reason(r), false, 0);
    }
    result(value[0]);
    vcpu.skip();
    return 1;
  }

  int write() {
    int index = (int) cpu.r[Cpu.RCX];
    long wanted = cpu.r[Cpu.RDX] << 32 | cpu.r[Cpu.RAX] & 0xffffffffL;
    if (denied(index, MsrFilter.WRITE)) {
      return refused(index, REASON_FILTER, true, wanted);
    }
    int r = VcpuMsrs.write(vcpu, index, wanted, false);
    if (r != VcpuMsrs.OK) {
      return refused(index, reason(r), true, wanted);
    }
    vcpu.skip();
    return 1;
  }

  private static int reason(int result) {
    return result == VcpuMsrs.INVALID ? REASON_INVALID : REASON_UNKNOWN;
  }

  private void result(long wide) {
    cpu.r[Cpu.RAX] = wide & 0xffffffffL;
    cpu.r[Cpu.RDX] = wide >>> 32;
  }

  private int generalProtection() {
    vcpu.events.queueException(Vector.GP, true, 0, false, 0);
    return 1;
  }

  /** An access that the module refuses: user space's, if it asked for that kind, or #GP. */
  private int refused(int index, int reason, boolean write, long wanted) {
    if ((vcpu.vm.userSpaceMsr & reason) == 0) {
      KernelLog.debug(
          () ->
              "vCPU %d: %s %x %s: #GP"
                  .formatted(
                      vcpu.id(),
                      write ? "WRMSR" : "RDMSR",
                      index,
                      reason == REASON_FILTER
                          ? "denied by the filter"
                          : reason == REASON_UNKNOWN ? "unknown" : "invalid"));
      return generalProtection();
    }
    run.put(KvmRun.MSR_ERROR, (byte) 0);
    run.putInt(KvmRun.MSR_REASON, reason);
    run.putInt(KvmRun.MSR_INDEX, index);
    run.putLong(KvmRun.MSR_DATA, wanted);
    return write
        ? vcpu.exit(Exits.KVM_EXIT_X86_WRMSR, afterWrite)
        : vcpu.exit(Exits.KVM_EXIT_X86_RDMSR, afterRead);
  }

  private int completeRead() {
    if (run.get(KvmRun.MSR_ERROR) != 0) {
      return generalProtection();
    }
    if (vcpu.atSameInstruction()) {
      result(run.getLong(KvmRun.MSR_DATA));
      vcpu.skip();
    }
    return 1;
  }

  private int completeWrite() {
    if (run.get(KvmRun.MSR_ERROR) != 0) {
      return generalProtection();
    }
    if (vcpu.atSameInstruction()) {
      vcpu.skip();
    }
    return 1;
  }
}
