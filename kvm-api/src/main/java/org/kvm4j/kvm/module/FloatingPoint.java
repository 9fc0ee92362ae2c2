package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.StateComponent;
import org.kvm4j.kvm.uapi.KvmFpu;
import org.kvm4j.kvm.uapi.KvmXcr;
import org.kvm4j.kvm.uapi.KvmXcrs;

/**
 * What XSAVE manages of a virtual CPU: KVM_GET_FPU, KVM_GET_XSAVE, KVM_GET_XCRS and their
 * opposites. The layout of struct kvm_xsave is {@link XsaveState}'s.
 */
final class FloatingPoint {
  private final VirtualCpu vcpu;
  private final UserSpace user;
  private final Cpu cpu;

  FloatingPoint(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.user = vcpu.user();
    this.cpu = vcpu.vendor().cpu();
  }

  private int out(long argument, ByteBuffer b) {
    return user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  /** KVM_GET_FPU. */
  int getFpu(long argument) {
    ByteBuffer b = UserSpace.struct(KvmFpu.SIZEOF);
    ByteBuffer x = area();
    for (int i = 0; i < 8; i++) {
      b.put(KvmFpu.FPR + i * 16, cpu.xsaveArea, 32 + i * 16, 16);
    }
    b.putShort(KvmFpu.FCW, x.getShort(0));
    b.putShort(KvmFpu.FSW, x.getShort(2));
    b.put(KvmFpu.FTWX, x.get(4));
    b.putShort(KvmFpu.LAST_OPCODE, x.getShort(6));
    b.putLong(KvmFpu.LAST_IP, x.getLong(8));
    b.putLong(KvmFpu.LAST_DP, x.getLong(16));
    b.put(KvmFpu.XMM, cpu.xsaveArea, 160, 256);
    return out(argument, b);
  }

  /** KVM_SET_FPU. */
  int setFpu(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmFpu.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    ByteBuffer x = area();
    x.put(32, b.array(), KvmFpu.FPR, 128);
    x.putShort(0, b.getShort(KvmFpu.FCW));
    x.putShort(2, b.getShort(KvmFpu.FSW));
    x.put(4, b.get(KvmFpu.FTWX));
    x.putShort(6, b.getShort(KvmFpu.LAST_OPCODE));
    x.putLong(8, b.getLong(KvmFpu.LAST_IP));
    x.putLong(16, b.getLong(KvmFpu.LAST_DP));
    x.put(160, b.array(), KvmFpu.XMM, 256);
    return 0;
  }

  private ByteBuffer area() {
    return ByteBuffer.wrap(cpu.xsaveArea).order(ByteOrder.LITTLE_ENDIAN);
  }

  /** KVM_GET_XSAVE and, as long as there is no state beyond 4 KB, KVM_GET_XSAVE2. */
  int getXsave(long argument) {
    return out(argument, ByteBuffer.wrap(XsaveState.get(cpu)));
  }

  /** KVM_SET_XSAVE. */
  int setXsave(long argument) {
    ByteBuffer b = user.copyIn(argument, StateComponent.AREA_SIZE);
    if (b == null) {
      return Results.EFAULT;
    }
    return XsaveState.set(cpu, b.array()) ? 0 : Results.EINVAL;
  }

  /** KVM_GET_XCRS. */
  int getXcrs(long argument) {
    ByteBuffer b = UserSpace.struct(KvmXcrs.SIZEOF);
    b.putInt(KvmXcrs.NR_XCRS, 1);
    b.putLong(KvmXcrs.XCRS + KvmXcr.VALUE, cpu.xcr0);
    return out(argument, b);
  }

  /** KVM_SET_XCRS. */
  int setXcrs(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmXcrs.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    int n = b.getInt(KvmXcrs.NR_XCRS);
    if (n < 0 || n > 16 || b.getInt(KvmXcrs.FLAGS) != 0) {
      return vcpu.refuse(
          String.format(
              "%d registers of at most 16, flags 0x%x of none", n, b.getInt(KvmXcrs.FLAGS)));
    }
    for (int i = 0; i < n; i++) {
      int at = KvmXcrs.XCRS + i * KvmXcr.SIZEOF;
      if (b.getInt(at + KvmXcr.XCR) == 0) {
        long value = b.getLong(at + KvmXcr.VALUE);
        if (!vcpu.cpuid.allowsXcr0(vcpu.machine().model(), value)) {
          return vcpu.refuse(vcpu.cpuid.whyNotXcr0(vcpu.machine().model(), value));
        }
        cpu.xcr0 = value;
        break;
      }
    }
    return 0;
  }
}
