package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.semantics.ControlRegisters;
import org.kvm4j.kvm.uapi.KvmSegment;
import org.kvm4j.kvm.uapi.KvmSregs;

/**
 * What KVM_SET_SREGS takes, and which rule a refused value broke. Source: Linux 6.1
 * arch/x86/kvm/x86.c, kvm_is_valid_sregs.
 */
final class SregsRules {
  private static final long LONG_MODE = ControlBits.EFER_LME | ControlBits.EFER_LMA;

  private SregsRules() {}

  /**
   * The first rule that the values break, in words.
   *
   * @param b holds a struct kvm_sregs, or the beginning of a struct kvm_sregs2
   * @param at where in it
   * @param model the host's processor
   * @param reservedCr4 bits of CR4 that the vCPU's CPUID does not allow
   * @return "" if they break none
   */
  static String broken(ByteBuffer b, int at, CpuModel model, long reservedCr4) {
    long cr0 = b.getLong(at + KvmSregs.CR0);
    long cr3 = b.getLong(at + KvmSregs.CR3);
    long cr4 = b.getLong(at + KvmSregs.CR4);
    long efer = b.getLong(at + KvmSregs.EFER);
    boolean paging = (cr0 & ControlBits.CR0_PG) != 0;
    if ((efer & ControlBits.EFER_LME) != 0 && paging) {
      if ((cr4 & ControlBits.CR4_PAE) == 0) {
        return words("EFER.LME and CR0.PG need CR4.PAE, and CR4 is 0x%x", cr4);
      }
      if ((efer & ControlBits.EFER_LMA) == 0) {
        return words("EFER.LME and CR0.PG mean EFER.LMA, and EFER is 0x%x", efer);
      }
      int bits = model.physicalAddressBits();
      if ((cr3 & ControlRegisters.cr3Reserved(model)) != 0) {
        return words("CR3 0x%x is wider than the %d bits of a physical address", cr3, bits);
      }
    } else if ((efer & ControlBits.EFER_LMA) != 0) {
      return words("EFER.LMA needs EFER.LME and CR0.PG: EFER is 0x%x, CR0 0x%x", efer, cr0);
    } else if (b.get(at + KvmSregs.CS + KvmSegment.L) != 0) {
      return words(
          "a 64-bit code segment (CS.L) needs EFER.LME, EFER.LMA and CR0.PG: EFER is 0x%x, CR0 0x%x",
          efer, cr0);
    }
    long unknown = cr4 & ~ControlRegisters.cr4Defined(model);
    if (unknown != 0) {
      return words("the CPU model has no %s", ControlRegisters.cr4Names(unknown));
    }
    if ((cr4 & reservedCr4) != 0) {
      return words(
          "the CPUID of the vCPU does not allow %s (KVM_SET_CPUID2)",
          ControlRegisters.cr4Names(cr4 & reservedCr4));
    }
    // The kernel runs where there is long mode; a model of ours may lack it.
    if ((efer & LONG_MODE & ~VcpuMsrs.definedEfer(model::has)) != 0) {
      return words("the CPU model has no long mode, and EFER is 0x%x", efer);
    }
    if (cr0 >>> 32 != 0) {
      return words("CR0 0x%x has bits above 31", cr0);
    }
    if (paging && (cr0 & ControlBits.CR0_PE) == 0) {
      return words("CR0.PG needs CR0.PE, and CR0 is 0x%x", cr0);
    }
    if ((cr0 & ControlBits.CR0_NW) != 0 && (cr0 & ControlBits.CR0_CD) == 0) {
      return words("CR0.NW needs CR0.CD, and CR0 is 0x%x", cr0);
    }
    return "";
  }

  private static String words(String format, Object... values) {
    return String.format(format, values);
  }
}
