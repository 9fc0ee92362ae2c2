package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.syscall.Errno;

/**
 * What the CPUID that user space sets keeps a guest from. Source: Linux 6.1
 * kvm_vcpu_after_set_cpuid, kvm_set_msr_common, __kvm_valid_efer.
 */
class GuestCpuidTests extends KvmContract {

  private static final int GP_PORT = 13;
  private static final int EFER = 0xc0000080;
  private static final int TSC_AUX = 0xc0000103;
  private static final int SPEC_CTRL = 0x48;
  private static final int PRED_CMD = 0x49;

  /** A feature, as CPUID tells of it: leaf, register (EAX to EDX: 0 to 3) and bit. */
  private enum Told {
    FSGSBASE(7, 1, 0),
    SMEP(7, 1, 7),
    SMAP(7, 1, 20),
    UMIP(7, 2, 2),
    PKU(7, 2, 3),
    LA57(7, 2, 16),
    PKS(7, 2, 31),
    RDPID(7, 2, 22),
    IBRS_IBPB(7, 3, 26),
    XSAVE(1, 2, 26),
    NX(0x80000001, 3, 20),
    RDTSCP(0x80000001, 3, 27),
    AMD_IBPB(0x80000008, 1, 12),
    AMD_IBRS(0x80000008, 1, 14),
    AMD_STIBP(0x80000008, 1, 15),
    AMD_SSBD(0x80000008, 1, 24);

    private final int leaf;
    private final int register;
    private final int mask;

    Told(int leaf, int register, int bit) {
      this.leaf = leaf;
      this.register = register;
      this.mask = 1 << bit;
    }

    boolean isIn(List<CpuidEntry> entries) {
      return entries.stream().anyMatch(e -> e.function == leaf && e.index == 0 && has(e));
    }

    private boolean has(CpuidEntry e) {
      int[] words = {e.eax, e.ebx, e.ecx, e.edx};
      return (words[register] & mask) != 0;
    }

    private void takeFrom(CpuidEntry e) {
      if (e.function != leaf || e.index != 0) {
        return;
      }
      switch (register) {
        case 1 -> e.ebx &= ~mask;
        case 2 -> e.ecx &= ~mask;
        default -> e.edx &= ~mask;
      }
    }
  }

  private List<CpuidEntry> without(Told... features) {
    List<CpuidEntry> entries = new ArrayList<>(kvm.getSupportedCpuid());
    for (Told feature : features) {
      entries.forEach(feature::takeFrom);
    }
    return entries;
  }

  private RealModeGuest guest(List<CpuidEntry> cpuid, int... code) {
    RealModeGuest guest = new RealModeGuest(kvm, code);
    guest.memory.putInt(13 * 4L, 0x2000);
    guest.load(0x2000, 0xe6, GP_PORT, 0xf4); // out 13, al; hlt
    guest.vcpu.setCpuid2(cpuid);
    return guest;
  }

  private RealModeGuest cr4Guest(List<CpuidEntry> cpuid, int bit) {
    int cr4 = 1 << bit;
    return guest(
        cpuid,
        0x66,
        0xb8,
        cr4,
        cr4 >> 8,
        cr4 >> 16,
        cr4 >>> 24, // mov eax, cr4
        0x0f,
        0x22,
        0xe0, // mov cr4, eax
        0x0f,
        0x20,
        0xe1, // mov ecx, cr4
        0xe6,
        0x10,
        0xf4); // out 0x10, al; hlt
  }

  private RealModeGuest wrmsrGuest(List<CpuidEntry> cpuid, int msr, int value) {
    return guest(
        cpuid,
        0x66,
        0xb9,
        msr,
        msr >> 8,
        msr >> 16,
        msr >>> 24, // mov ecx, msr
        0x66,
        0xb8,
        value,
        value >> 8,
        value >> 16,
        value >>> 24, // mov eax, value
        0x66,
        0x31,
        0xd2, // xor edx, edx
        0x0f,
        0x30, // wrmsr
        0xe6,
        0x10,
        0xf4); // out 0x10, al; hlt
  }

  private static int port(RealModeGuest guest) {
    return guest.run(Exit.IoOut.class).port();
  }

  @EachBackend
  void aBitOfCr4NeedsItsFeature() {
    Told[] features = {
      Told.FSGSBASE, Told.SMEP, Told.SMAP, Told.UMIP, Told.PKU, Told.LA57, Told.XSAVE, Told.PKS
    };
    int[] bits = {16, 20, 21, 11, 22, 12, 18, 24};
    List<CpuidEntry> all = kvm.getSupportedCpuid();
    for (int i = 0; i < bits.length; i++) {
      if (!features[i].isIn(all)) {
        continue;
      }
      RealModeGuest guest = cr4Guest(all, bits[i]);
      assertEquals(0x10, port(guest), features[i].name());
      assertEquals(1L << bits[i], guest.vcpu.getRegs().rcx, features[i].name());
      assertEquals(1L << bits[i], guest.vcpu.getSregs().cr4, features[i].name());

      guest = cr4Guest(without(features[i]), bits[i]);
      assertFaults(guest, "CR4 bit of " + features[i]);
      assertEquals(0, guest.vcpu.getSregs().cr4, features[i].name());
      Sregs sregs = guest.vcpu.getSregs();
      sregs.cr4 = 1L << bits[i];
      RealModeGuest refusing = guest;
      refused(Errno.EINVAL, () -> refusing.vcpu.setSregs(sregs));
    }
  }

  @EachBackend
  void nxNeedsItsFeature() {
    assumeTrue(Told.NX.isIn(kvm.getSupportedCpuid()), "no NX");
    assertEquals(0x10, port(wrmsrGuest(kvm.getSupportedCpuid(), EFER, 0x800)));
    RealModeGuest guest = wrmsrGuest(without(Told.NX), EFER, 0x800);
    assertFaults(guest, "IA32_EFER.NXE");
    assertEquals(0, guest.vcpu.getSregs().efer);
    assertEquals(0x10, port(wrmsrGuest(without(Told.NX), EFER, 1)));
  }

  @EachBackend
  void anMsrNeedsItsFeature() {
    assertGuarded(TSC_AUX, 5, Told.RDTSCP, Told.RDPID);
    assertGuarded(SPEC_CTRL, 0, Told.IBRS_IBPB, Told.AMD_IBRS, Told.AMD_STIBP, Told.AMD_SSBD);
    assertGuarded(PRED_CMD, 1, Told.IBRS_IBPB, Told.AMD_IBPB);
  }

  private void assertGuarded(int msr, int value, Told... features) {
    List<CpuidEntry> all = kvm.getSupportedCpuid();
    boolean told = false;
    for (Told feature : features) {
      told |= feature.isIn(all);
    }
    if (told) {
      assertNotEquals(GP_PORT, port(wrmsrGuest(all, msr, value)), () -> "MSR " + msr);
    }
    assertFaults(wrmsrGuest(without(features), msr, value), "MSR 0x" + Integer.toHexString(msr));
  }

  private void assertFaults(RealModeGuest guest, String what) {
    int port = port(guest);
    if (port != GP_PORT && !backend.isEmulated()) {
      backend.limit("leaves the guest what CPUID hides: " + what);
    }
    assertEquals(GP_PORT, port, what);
  }
}
