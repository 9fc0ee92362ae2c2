package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.kvm.uapi.KvmCpuid;
import org.kvm4j.kvm.uapi.KvmCpuid2;
import org.kvm4j.kvm.uapi.KvmCpuidEntry;
import org.kvm4j.kvm.uapi.KvmCpuidEntry2;

/** KVM_SET_CPUID, KVM_SET_CPUID2 and KVM_GET_CPUID2: the CPUID of a virtual CPU. */
final class CpuidIoctls {
  private final VirtualCpu vcpu;
  private final UserSpace user;

  CpuidIoctls(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.user = vcpu.user();
  }

  /** KVM_SET_CPUID2. */
  int set2(long argument) {
    ByteBuffer head = user.copyIn(argument, KvmCpuid2.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    int n = head.getInt(KvmCpuid2.NENT);
    if (Integer.compareUnsigned(n, VcpuCpuid.MAX_ENTRIES) > 0) {
      return Results.E2BIG;
    }
    ByteBuffer b = user.copyIn(argument + KvmCpuid2.SIZEOF, n * KvmCpuidEntry2.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    return install(VcpuCpuid.read(b, n));
  }

  /** KVM_SET_CPUID. */
  int set(long argument) {
    ByteBuffer head = user.copyIn(argument, KvmCpuid.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    int n = head.getInt(KvmCpuid.NENT);
    if (Integer.compareUnsigned(n, VcpuCpuid.MAX_ENTRIES) > 0) {
      return Results.E2BIG;
    }
    ByteBuffer b = user.copyIn(argument + KvmCpuid.SIZEOF, n * KvmCpuidEntry.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    VcpuCpuid.Entry[] entries = new VcpuCpuid.Entry[n];
    for (int i = 0; i < n; i++) {
      int at = i * KvmCpuidEntry.SIZEOF;
      VcpuCpuid.Entry e = new VcpuCpuid.Entry();
      e.function = b.getInt(at + KvmCpuidEntry.FUNCTION);
      e.eax = b.getInt(at + KvmCpuidEntry.EAX);
      e.ebx = b.getInt(at + KvmCpuidEntry.EBX);
      e.ecx = b.getInt(at + KvmCpuidEntry.ECX);
      e.edx = b.getInt(at + KvmCpuidEntry.EDX);
      entries[i] = e;
    }
    return install(entries);
  }

  /** After the first KVM_RUN only the same table again. */
  private int install(VcpuCpuid.Entry[] entries) {
    if (vcpu.vm.haltsInGuest()) {
      VcpuCpuid.withholdUnhalt(entries);
    }
    if (vcpu.hasRun) {
      VcpuCpuid.Entry[] now = vcpu.cpuid.entries();
      if (now.length != entries.length) {
        return vcpu.refuse(
            String.format(
                "the vCPU has run and its CPUID cannot change: it has %d entries, and these are %d",
                now.length, entries.length));
      }
      for (int i = 0; i < now.length; i++) {
        if (!now[i].sameAs(entries[i])) {
          return vcpu.refuse(
              String.format(
                  "the vCPU has run and its CPUID cannot change: entry %d, leaf 0x%x, is another",
                  i, entries[i].function));
        }
      }
      return 0;
    }
    vcpu.cpuid.set(entries);
    vcpu.vendor().setReservedCr4(vcpu.cpuid.reservedCr4());
    vcpu.vendor().setUserWait(vcpu.cpuid.has(Feature.WAITPKG));
    vcpu.interrupts.setFeatures(vcpu.cpuid.hasX2apic(), vcpu.cpuid.hasTscDeadline());
    return 0;
  }

  /** KVM_GET_CPUID2. */
  int get2(long argument) {
    ByteBuffer head = user.copyIn(argument, KvmCpuid2.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    VcpuCpuid.Entry[] entries = vcpu.cpuid.entries();
    if (Integer.compareUnsigned(head.getInt(KvmCpuid2.NENT), entries.length) < 0) {
      return Results.E2BIG;
    }
    ByteBuffer b = UserSpace.struct(entries.length * KvmCpuidEntry2.SIZEOF);
    VcpuCpuid.write(entries, b, 0);
    if (!user.copyOut(argument + KvmCpuid2.SIZEOF, b)) {
      return Results.EFAULT;
    }
    head.putInt(KvmCpuid2.NENT, entries.length);
    return user.copyOut(argument, head) ? 0 : Results.EFAULT;
  }
}
