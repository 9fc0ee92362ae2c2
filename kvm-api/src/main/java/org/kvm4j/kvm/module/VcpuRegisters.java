package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.uapi.KvmRegs;

/**
 * The general registers, RIP and RFLAGS of a virtual CPU, what follows from them and the code
 * segment, and what INIT and a startup interrupt do to them.
 */
final class VcpuRegisters {
  /** General registers in the order of struct kvm_regs. */
  private static final int[] REGS = {
    Cpu.RAX, Cpu.RBX, Cpu.RCX, Cpu.RDX, Cpu.RSI, Cpu.RDI, Cpu.RSP, Cpu.RBP, 8, 9, 10, 11, 12, 13,
    14, 15
  };

  private final VirtualCpu vcpu;
  private final UserSpace user;
  private final VendorVcpu vendor;
  private final Cpu cpu;
  private final Segment scratch = new Segment();

  VcpuRegisters(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.user = vcpu.user();
    this.vendor = vcpu.vendor();
    this.cpu = vendor.cpu();
  }

  /** KVM_GET_REGS. */
  int get(long argument) {
    ByteBuffer b = UserSpace.struct(KvmRegs.SIZEOF);
    get(b, 0);
    return user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  /** KVM_SET_REGS. */
  int set(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmRegs.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    set(b, 0);
    return 0;
  }

  void get(ByteBuffer b, int at) {
    for (int i = 0; i < REGS.length; i++) {
      b.putLong(at + i * 8, REGS[i] == Cpu.RSP ? vendor.rsp() : cpu.r[REGS[i]]);
    }
    b.putLong(at + KvmRegs.RIP, vendor.rip());
    b.putLong(at + KvmRegs.RFLAGS, vcpu.debug.rflags());
  }

  void set(ByteBuffer b, int at) {
    for (int i = 0; i < REGS.length; i++) {
      if (REGS[i] == Cpu.RSP) {
        vendor.setRsp(b.getLong(at + i * 8));
      } else {
        cpu.r[REGS[i]] = b.getLong(at + i * 8);
      }
    }
    vendor.setRip(b.getLong(at + KvmRegs.RIP));
    vcpu.debug.setRflags(b.getLong(at + KvmRegs.RFLAGS) | 2);
    vcpu.events.exceptionPending = false;
  }

  /**
   * INIT: caching, the states that XSAVE manages, the time-stamp counter and MSRs stay, but for
   * those of CET. SDM table 10-1 "IA-32 and Intel 64 Processor States Following Power-up, Reset, or
   * INIT".
   */
  void init() {
    final long caching = vendor.cr0() & (ControlBits.CR0_CD | ControlBits.CR0_NW);
    final long pat = vendor.switchedMsr(VcpuMsrs.PAT);
    vendor.reset();
    vendor.setCr0(ControlBits.CR0_ET | caching);
    vendor.setSwitchedMsr(VcpuMsrs.PAT, pat);
    Arrays.fill(cpu.r, 0, 16, 0);
    VcpuCpuid.Entry version = vcpu.cpuid.find(1, 0);
    cpu.r[Cpu.RDX] = version == null ? 0x600 : version.eax & 0xffffffffL;
    for (int i = 0; i < 4; i++) {
      vcpu.debug.setGuestDr(i, 0);
    }
    vcpu.debug.setGuestDr7(0x400);
    vcpu.debug.setRflags(2);
    cpu.msr.resetCet();
    cpu.dr6 = 0xffff0ff0L;
    cpu.cr2 = 0;
  }

  /** A startup interrupt: execution begins at the start of a page. */
  void startUp(int vector) {
    vendor.segment(Cpu.CS, scratch);
    scratch.set(vector << 8, (long) vector << 12, scratch.limit, scratch.ar);
    vendor.setSegment(Cpu.CS, scratch);
    vendor.setRip(0);
  }
}
