package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.kvm.uapi.KvmX86Mce;

/**
 * The machine-check registers of a virtual CPU, and errors that user space reports through them.
 * Source: SDM 17.3 "Machine-Check MSRs"; Linux 6.1 set_msr_mce, get_msr_mce,
 * kvm_vcpu_ioctl_x86_setup_mce, kvm_vcpu_ioctl_x86_set_mce.
 */
final class MachineCheck {
  /** KVM_MAX_MCE_BANKS, and KVM_CAP_MCE. */
  static final int MAX_BANKS = 32;

  static final int P5_MC_ADDR = 0;
  static final int P5_MC_TYPE = 1;
  static final int MCG_CAP = 0x179;
  static final int MCG_STATUS = 0x17a;
  static final int MCG_CTL = 0x17b;
  static final int MC0_CTL2 = 0x280;
  static final int MC0_CTL = 0x400;
  static final int MCG_EXT_CTL = 0x4d0;

  // IA32_MCG_CAP.
  private static final long CTL_P = 1 << 8;
  private static final long CMCI_P = 1 << 10;
  private static final long SER_P = 1 << 24;

  /** The count of banks, and of extended state registers. */
  private static final long COUNTS = 0xff00ff;

  private static final long MCIP = 1 << 2;
  private static final long LMCE_ENABLE = 1;

  // IA32_MCi_CTL2.
  private static final long CMCI_ENABLE = 1 << 30;
  private static final long CMCI_THRESHOLD = 0x7fff;

  // IA32_MCi_STATUS.
  private static final long VALID = 1L << 63;
  private static final long OVERFLOW = 1L << 62;
  private static final long UNCORRECTED = 1L << 61;
  private static final long CONTEXT_CORRUPT = 1L << 57;
  private static final long SIGNALLED = 1L << 56;
  private static final long ACTION_REQUIRED = 1L << 55;

  // Registers of a bank.
  private static final int CTL = 0;
  private static final int STATUS = 1;
  private static final int ADDR = 2;
  private static final int MISC = 3;

  private final VirtualCpu vcpu;
  private final long[] banks = new long[4 * MAX_BANKS];
  private final long[] ctl2 = new long[MAX_BANKS];
  private long capabilities = MAX_BANKS;
  private long status;
  private long control;
  private long extendedControl;

  MachineCheck(VirtualCpu vcpu) {
    this.vcpu = vcpu;
  }

  /** KVM_X86_GET_MCE_CAP_SUPPORTED: AMD has no CMCI. */
  static long supported(CpuModel model) {
    return model.isAmd() ? CTL_P | SER_P : CTL_P | SER_P | CMCI_P;
  }

  private int count() {
    return (int) capabilities & 0xff;
  }

  private boolean has(long capability) {
    return (capabilities & capability) != 0;
  }

  /** KVM_X86_SETUP_MCE. */
  int setUp(long value) {
    long n = value & 0xff;
    if (n == 0 || n > MAX_BANKS || (value & ~(supported(vcpu.machine().model()) | COUNTS)) != 0) {
      return Results.EINVAL;
    }
    capabilities = value;
    if (has(CTL_P)) {
      control = -1;
    }
    for (int i = 0; i < n; i++) {
      banks[4 * i + CTL] = -1;
      if (has(CMCI_P)) {
        ctl2[i] = 0;
      }
    }
    vcpu.apicShare.setCorrectedMachineCheck(has(CMCI_P));
    return 0;
  }

  // ---- MSRs ----

  /** Whether an MSR is one of these. */
  static boolean hasMsr(int index) {
    return switch (index) {
      case P5_MC_ADDR, P5_MC_TYPE, MCG_CAP, MCG_STATUS, MCG_CTL, MCG_EXT_CTL -> true;
      default ->
          (index >= MC0_CTL2 && index < MC0_CTL2 + MAX_BANKS)
              || (index >= MC0_CTL && index < MC0_CTL + 4 * MAX_BANKS);
    };
  }

  int read(int index, long[] out, boolean host) {
    switch (index) {
      case P5_MC_ADDR, P5_MC_TYPE -> out[0] = 0;
      case MCG_CAP -> out[0] = capabilities;
      case MCG_STATUS -> out[0] = status;
      case MCG_CTL -> {
        if (!has(CTL_P) && !host) {
          return VcpuMsrs.INVALID;
        }
        out[0] = control;
      }
      case MCG_EXT_CTL -> {
        if (!host) {
          return VcpuMsrs.INVALID;
        }
        out[0] = extendedControl;
      }
      default -> {
        if (index < MC0_CTL) {
          if (index - MC0_CTL2 >= count() || (!has(CMCI_P) && !host)) {
            return VcpuMsrs.INVALID;
          }
          out[0] = ctl2[index - MC0_CTL2];
        } else if (index - MC0_CTL < 4 * count()) {
          out[0] = banks[index - MC0_CTL];
        } else {
          return VcpuMsrs.INVALID;
        }
      }
    }
    return VcpuMsrs.OK;
  }

  int write(int index, long value, boolean host) {
    return isAllowed(index, value, host) ? VcpuMsrs.OK : VcpuMsrs.INVALID;
  }

  private boolean isAllowed(int index, long value, boolean host) {
    switch (index) {
      case MCG_STATUS -> status = value;
      case MCG_CTL -> {
        if ((!has(CTL_P) && (value != 0 || !host)) || (value != 0 && value != -1)) {
          return false;
        }
        control = value;
      }
      case MCG_EXT_CTL -> {
        // IA32_FEATURE_CONTROL would have to enable local machine checks; no guest has that.
        if (!host || (value & ~LMCE_ENABLE) != 0) {
          return false;
        }
        extendedControl = value;
      }
      case P5_MC_ADDR, P5_MC_TYPE, MCG_CAP -> {
        return false;
      }
      default -> {
        return index < MC0_CTL
            ? writeCtl2(index - MC0_CTL2, value, host)
            : writeBank(index - MC0_CTL, value, host);
      }
    }
    return true;
  }

  private boolean writeCtl2(int bank, long value, boolean host) {
    if (bank >= count()
        || (!has(CMCI_P) && (value != 0 || !host))
        || (value & ~(CMCI_ENABLE | CMCI_THRESHOLD)) != 0) {
      return false;
    }
    ctl2[bank] = value;
    return true;
  }

  private boolean writeBank(int at, long value, boolean host) {
    if (at >= 4 * count()) {
      return false;
    }
    // All or nothing, but for bits 0 and 10, which kernels are known to clear.
    if (at % 4 == CTL && value != 0 && (value | 1 | 1 << 10) != -1) {
      return false;
    }
    boolean writable = host || (vcpu.hwcr & VcpuMsrs.HWCR_MC_STATUS_WRITABLE) != 0;
    if (at % 4 == STATUS && value != 0 && !writable) {
      return false;
    }
    banks[at] = value;
    return true;
  }

  // ---- errors ----

  /** KVM_X86_SET_MCE: struct kvm_x86_mce. */
  int report(ByteBuffer mce) {
    int bank = mce.get(KvmX86Mce.BANK) & 0xff;
    long error = mce.getLong(KvmX86Mce.STATUS);
    if (bank >= count() || (error & VALID) == 0) {
      return Results.EINVAL;
    }
    long global = mce.getLong(KvmX86Mce.MCG_STATUS);
    int at = 4 * bank;
    boolean uncorrected = (error & UNCORRECTED) != 0;
    if (uncorrected
        && global == 0
        && (error & (CONTEXT_CORRUPT | SIGNALLED | ACTION_REQUIRED)) == 0) {
      // Uncorrected, no action required: an interrupt if it is wanted.
      set(at, error, mce);
      status = global;
      if (has(CMCI_P) && (ctl2[bank] & CMCI_ENABLE) != 0) {
        vcpu.apicShare.signalCorrectedMachineCheck();
      }
      return 0;
    }
    if (uncorrected && ((has(CTL_P) && control != -1) || banks[at + CTL] != -1)) {
      return 0;
    }
    boolean full = (banks[at + STATUS] & VALID) != 0;
    long logged = full ? error | OVERFLOW : error;
    if (uncorrected) {
      if ((status & MCIP) != 0 || (vcpu.vendor().cr4() & ControlBits.CR4_MCE) == 0) {
        vcpu.events.tripleFault = true;
        return 0;
      }
      set(at, logged, mce);
      status = global;
      vcpu.events.queueException(Vector.MC, false, 0, false, 0);
    } else if (!full || (banks[at + STATUS] & UNCORRECTED) == 0) {
      set(at, logged, mce);
    } else {
      banks[at + STATUS] |= OVERFLOW;
    }
    return 0;
  }

  private void set(int at, long error, ByteBuffer mce) {
    banks[at + STATUS] = error;
    banks[at + ADDR] = mce.getLong(KvmX86Mce.ADDR);
    banks[at + MISC] = mce.getLong(KvmX86Mce.MISC);
  }
}
