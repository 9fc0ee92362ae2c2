package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.syscall.Errno;

/**
 * Which bits of control registers user space may set. Source: Linux 6.1 kvm_is_valid_sregs,
 * __cr4_reserved_bits.
 */
class ControlRegisterRulesTests extends KvmContract {

  /** VME to OSXMMEXCPT. */
  private static final long ALWAYS = 0x7ff;

  /** A bit of CR4, and the feature that it needs: leaf, register (EAX to EDX: 0 to 3) and bit. */
  private record Bit(int cr4, int leaf, int register, int feature) {
    boolean isIn(List<CpuidEntry> entries) {
      for (CpuidEntry e : entries) {
        if (e.function == leaf && e.index == 0) {
          return (new int[] {e.eax, e.ebx, e.ecx, e.edx}[register] >>> feature & 1) != 0;
        }
      }
      return false;
    }
  }

  private static final List<Bit> BITS =
      List.of(
          new Bit(11, 7, 2, 2), // UMIP
          new Bit(12, 7, 2, 16), // LA57
          new Bit(13, 1, 2, 5), // VMXE
          new Bit(16, 7, 1, 0), // FSGSBASE
          new Bit(17, 1, 2, 17), // PCIDE
          new Bit(18, 1, 2, 26), // OSXSAVE
          new Bit(20, 7, 1, 7), // SMEP
          new Bit(21, 7, 1, 20), // SMAP
          new Bit(22, 7, 2, 3), // PKE
          new Bit(23, 7, 2, 7), // CET: shadow stacks
          new Bit(23, 7, 3, 20), // CET: indirect branch tracking
          new Bit(24, 7, 2, 31)); // PKS

  private static long allowed(List<CpuidEntry> entries) {
    long mask = ALWAYS;
    for (Bit bit : BITS) {
      if (bit.isIn(entries)) {
        mask |= 1L << bit.cr4;
      }
    }
    return mask;
  }

  /** The bits that are taken although they may not be, and those that are not although they may. */
  private static List<String> wrong(Vcpu vcpu, long allowed) {
    List<String> wrong = new ArrayList<>();
    Sregs before = vcpu.getSregs();
    for (int bit = 0; bit < 64; bit++) {
      Sregs sregs = vcpu.getSregs();
      sregs.cr4 = 1L << bit;
      boolean taken = true;
      try {
        vcpu.setSregs(sregs);
      } catch (KvmException e) {
        taken = false;
        if (!e.is(Errno.EINVAL) || vcpu.getSregs().cr4 != before.cr4) {
          wrong.add("CR4 bit " + bit + ": " + e.getMessage());
        }
      }
      if (taken != ((allowed >>> bit & 1) != 0)) {
        wrong.add("CR4 bit " + bit + (taken ? " taken" : " refused"));
      }
      vcpu.setSregs(before);
    }
    return wrong;
  }

  private void check(List<String> wrong) {
    if (!backend.isEmulated() && !wrong.isEmpty()) {
      backend.limit("has rules of its own: " + wrong);
    }
    assertEquals(List.of(), wrong);
  }

  @EachBackend
  void beforeCpuidIsSetTheHostsFeaturesRuleCr4() {
    Vcpu vcpu = kvm.createVm().createVcpu(0);
    check(wrong(vcpu, allowed(kvm.getSupportedCpuid())));
  }

  @EachBackend
  void theGuestsCpuidRulesCr4() {
    Vcpu vcpu = kvm.createVm().createVcpu(0);
    List<CpuidEntry> entries = new ArrayList<>(kvm.getSupportedCpuid());
    vcpu.setCpuid2(entries);
    check(wrong(vcpu, allowed(entries)));
    entries.removeIf(e -> e.function == 7);
    vcpu.setCpuid2(entries);
    check(wrong(vcpu, allowed(entries)));
    vcpu.setCpuid2(List.of());
    check(wrong(vcpu, ALWAYS));
  }

  @EachBackend
  void cr0IsThirtyTwoBitsOfCombinationsThatExist() {
    Vcpu vcpu = kvm.createVm().createVcpu(0);
    for (long cr0 : new long[] {1L << 31, 1L << 29, 1L << 32, 1L << 63}) {
      Sregs sregs = vcpu.getSregs();
      sregs.cr0 = sregs.cr0 & ~(1L << 30) | cr0;
      KvmException e = assertThrows(KvmException.class, () -> vcpu.setSregs(sregs));
      assertEquals(true, e.is(Errno.EINVAL), e::getMessage);
    }
  }
}
