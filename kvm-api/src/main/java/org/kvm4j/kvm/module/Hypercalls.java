package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.kvm.module.emulate.Emulator;
import org.kvm4j.kvm.module.irqchip.InterruptChips;
import org.kvm4j.kvm.module.pv.KvmFeature;
import org.kvm4j.kvm.module.vendor.VmExit;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The calls of a guest by VMCALL. Source: Linux 6.1 kvm_emulate_hypercall;
 * Documentation/virt/kvm/x86/hypercalls.rst.
 */
final class Hypercalls {
  private static final int VAPIC_POLL_IRQ = 1;
  private static final int KICK_CPU = 5;
  private static final int CLOCK_PAIRING = 9;
  private static final int SEND_IPI = 10;
  private static final int SCHED_YIELD = 11;
  private static final int MAP_GPA_RANGE = 12;

  /** The calls that may exit to user space: KVM_CAP_EXIT_HYPERCALL. */
  static final int EXITS = 1 << MAP_GPA_RANGE;

  private static final long EPERM = -1;
  private static final long EFAULT = -14;
  private static final long EINVAL = -22;
  private static final long EOPNOTSUPP = -95;
  private static final long ENOSYS = -1000;

  private static final int WALL_CLOCK = 0;
  private static final long NANOS = 1_000_000_000;

  private final VirtualCpu vcpu;
  private final VmFile vm;
  private final Cpu cpu;
  private final Completion afterExit = this::complete;

  Hypercalls(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.vm = vcpu.vm;
    this.cpu = vcpu.vendor().cpu();
  }

  private long argument(int register, boolean wide) {
    return wide ? cpu.r[register] : cpu.r[register] & 0xffffffffL;
  }

  /** Carries out the call at the guest's RIP. */
  int call() {
    boolean wide = vcpu.in64BitMode();
    long nr = argument(Cpu.RAX, wide);
    if (vcpu.cpl() != 0) {
      return result(EPERM);
    }
    long a0 = argument(Cpu.RBX, wide);
    long a1 = argument(Cpu.RCX, wide);
    long a2 = argument(Cpu.RDX, wide);
    if (nr < 0 || nr > MAP_GPA_RANGE) {
      return result(ENOSYS);
    }
    VcpuPv pv = vcpu.pv;
    switch ((int) nr) {
      case VAPIC_POLL_IRQ:
        return result(0);
      case KICK_CPU:
        return result(pv.has(KvmFeature.PV_UNHALT) ? kick((int) a1) : ENOSYS);
      case CLOCK_PAIRING:
        return result(pairClocks(a0, a1));
      case SEND_IPI:
        return result(
            pv.has(KvmFeature.PV_SEND_IPI)
                ? send(a0, a1, (int) a2, argument(Cpu.RSI, wide), wide)
                : ENOSYS);
      case SCHED_YIELD:
        if (!pv.has(KvmFeature.PV_SCHED_YIELD)) {
          return result(ENOSYS);
        }
        vcpu.yieldTo((int) a0);
        return result(0);
      case MAP_GPA_RANGE:
        return mapRange(a0, a1, a2, wide);
      default:
        return result(ENOSYS);
    }
  }

  /**
   * #UD. VT-x knows nothing of VMMCALL: the guest's other vendor's instruction becomes its host's
   * (KVM_X86_QUIRK_FIX_HYPERCALL_INSN), and that of a host that is AMD's by CPUID alone is carried
   * out.
   */
  int undefined(VmExit exit) {
    Emulator emulator = vcpu.emulator();
    int own = vcpu.machine().model().isAmd() ? Emulator.VMMCALL : Emulator.VMCALL;
    int found = vcpu.usingTables(() -> emulator.hypercall(vcpu.vendor(), vcpu.nestedPointer()));
    if (found == own) {
      exit.instructionLength = 3;
      return call();
    }
    if (found < 0 || (vm.disabledQuirks & Uapi.KVM_X86_QUIRK_FIX_HYPERCALL_INSN) != 0) {
      vcpu.events.queueException(Vector.UD, false, 0, false, 0);
      return 1;
    }
    return vcpu.emulation().putHypercall(own);
  }

  private int result(long value) {
    cpu.r[Cpu.RAX] = vcpu.in64BitMode() ? value : value & 0xffffffffL;
    vcpu.skip();
    return 1;
  }

  private long kick(int apicId) {
    InterruptChips chips = vm.chips();
    if (chips != null) {
      chips.kick(apicId);
      vcpu.yieldTo(apicId);
    }
    return 0;
  }

  private long send(long low, long high, int first, long command, boolean wide) {
    InterruptChips chips = vm.chips();
    // To physical destinations without a shorthand.
    if ((command & 0xc0800) != 0) {
      return EINVAL;
    }
    return chips == null ? EOPNOTSUPP : chips.sendTo(low, high, first, (int) command, wide);
  }

  /** The real time, and the guest's time-stamp counter at the same moment. */
  private long pairClocks(long gpa, long clock) {
    if (clock != WALL_CLOCK) {
      return EOPNOTSUPP;
    }
    long now = vm.time.now();
    long real = vm.time.realTime();
    byte[] pairing = new byte[64];
    ByteBuffer.wrap(pairing)
        .order(ByteOrder.LITTLE_ENDIAN)
        .putLong(0, real / NANOS)
        .putLong(8, real % NANOS)
        .putLong(16, vcpu.tsc.at(now));
    return vm.guestPhysical.write(gpa, pairing) ? 0 : EFAULT;
  }

  private int mapRange(long gpa, long pages, long attributes, boolean wide) {
    if ((vm.exitingHypercalls & 1 << MAP_GPA_RANGE) == 0) {
      return result(ENOSYS);
    }
    long first = gpa >>> 12;
    if ((gpa & 0xfff) != 0 || pages == 0 || Long.compareUnsigned(first + pages, first) <= 0) {
      return result(EINVAL);
    }
    ByteBuffer run = vcpu.run();
    run.putLong(KvmRun.HYPERCALL_NR, MAP_GPA_RANGE);
    run.putLong(KvmRun.HYPERCALL_ARGS, gpa);
    run.putLong(KvmRun.HYPERCALL_ARGS + 8, pages);
    run.putLong(KvmRun.HYPERCALL_ARGS + 16, attributes);
    run.putInt(KvmRun.HYPERCALL_LONGMODE, wide ? 1 : 0);
    return vcpu.exit(Exits.KVM_EXIT_HYPERCALL, afterExit);
  }

  private int complete() {
    if (vcpu.atSameInstruction()) {
      return result(vcpu.run().getLong(KvmRun.HYPERCALL_RET));
    }
    return 1;
  }
}
