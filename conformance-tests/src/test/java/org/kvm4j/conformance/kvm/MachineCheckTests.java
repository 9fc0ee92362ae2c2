package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.conformance.kvm.RealModeCode.*;

import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.MachineCheckError;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.uapi.KvmCap;

/** The machine-check registers of guests, and errors that user space reports to them. */
class MachineCheckTests extends KvmContract {
  private static final int MCG_CAP = 0x179;
  private static final int MCG_STATUS = 0x17a;
  private static final int MCG_CTL = 0x17b;
  private static final int MC2_CTL2 = 0x282;
  private static final int MC2_CTL = 0x408;
  private static final int MC2_STATUS = 0x409;
  private static final int MC2_ADDR = 0x40a;
  private static final int MC2_MISC = 0x40b;

  private static final long CTL_P = 1 << 8;
  private static final long CMCI_P = 1 << 10;
  private static final long VALID = 1L << 63;
  private static final long OVERFLOW = 1L << 62;
  private static final long UNCORRECTED = 1L << 61;
  private static final long CONTEXT_CORRUPT = 1L << 57;
  private static final long MCIP = 4;
  private static final long CR4_MCE = 1 << 6;
  private static final int MACHINE_CHECK = 18;
  private static final int LVT_CMCI = 0x2f0;
  private static final int SPURIOUS = 0xf0;
  private static final int IRR = 0x200;

  private RealModeGuest guest(int... code) {
    backend.needs(kvm, KvmCap.KVM_CAP_MCE);
    RealModeGuest guest = new RealModeGuest(kvm, code);
    guest.vcpu.setupMce(CTL_P | 10);
    return guest;
  }

  private static MachineCheckError error(long status) {
    MachineCheckError error = new MachineCheckError();
    error.bank = 2;
    error.status = status;
    error.addr = 0x1234000;
    error.misc = 0x8c;
    return error;
  }

  @EachBackend
  void banksAreSetUp() {
    RealModeGuest guest = guest(HLT);
    assertEquals(CTL_P | 10, guest.vcpu.getMsr(MCG_CAP));
    assertEquals(-1, guest.vcpu.getMsr(MCG_CTL));
    assertEquals(-1, guest.vcpu.getMsr(MC2_CTL));
    assertEquals(0, guest.vcpu.getMsr(MC2_STATUS));
    assertThrows(KvmException.class, () -> guest.vcpu.getMsr(0x400 + 4 * 10), "an 11th bank");
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(MCG_CTL, 1));
    assertThrows(KvmException.class, () -> guest.vcpu.setMsr(MC2_CTL, 2));
    guest.vcpu.setMsr(MC2_CTL, 0);
    guest.vcpu.setMsr(MC2_STATUS, 5);
    assertEquals(5, guest.vcpu.getMsr(MC2_STATUS), "user space restores it");
  }

  @EachBackend
  void banksThatCannotBeAreRefused() {
    RealModeGuest guest = guest(HLT);
    assertEquals(32, kvm.checkExtension(KvmCap.KVM_CAP_MCE));
    long supported = kvm.getMceCapSupported();
    assertEquals(CTL_P, supported & CTL_P);
    guest.vcpu.setupMce(supported | 32);
    refused(Errno.EINVAL, () -> guest.vcpu.setupMce(33));
    refused(Errno.EINVAL, () -> guest.vcpu.setupMce(CTL_P));
    refused(Errno.EINVAL, () -> guest.vcpu.setupMce(1 << 9 | 10));
  }

  @EachBackend
  void guestMayOnlyClearAStatus() {
    RealModeGuest guest =
        guest(join(wrmsr(MC2_STATUS, 0), out(0x10), wrmsr(MC2_STATUS, 1), out(0x11), HLT));
    guest.vcpu.setMsr(MC2_STATUS, 5);
    assertEquals(0x10, guest.run(Exit.IoOut.class).port());
    assertEquals(0, guest.vcpu.getMsr(MC2_STATUS));
    assertTrue(RealModeGuest.isStray(guest.run(), 13), "#GP");
  }

  @EachBackend
  void correctedErrorsAreLogged() {
    RealModeGuest guest = guest(HLT);
    guest.vcpu.setMce(error(VALID | 7));
    assertEquals(VALID | 7, guest.vcpu.getMsr(MC2_STATUS));
    assertEquals(0x1234000, guest.vcpu.getMsr(MC2_ADDR));
    assertEquals(0x8c, guest.vcpu.getMsr(MC2_MISC));
    guest.vcpu.setMce(error(VALID | 8));
    assertEquals(VALID | OVERFLOW | 8, guest.vcpu.getMsr(MC2_STATUS));
    guest.vcpu.setMsr(MC2_STATUS, VALID | UNCORRECTED | 9);
    guest.vcpu.setMce(error(VALID | 8));
    assertEquals(
        VALID | OVERFLOW | UNCORRECTED | 9,
        guest.vcpu.getMsr(MC2_STATUS),
        "an uncorrected one is kept");
    refused(Errno.EINVAL, () -> guest.vcpu.setMce(error(7)));
    MachineCheckError elsewhere = error(VALID);
    elsewhere.bank = 10;
    refused(Errno.EINVAL, () -> guest.vcpu.setMce(elsewhere));
  }

  @EachBackend
  void uncorrectedErrorIsAMachineCheck() {
    RealModeGuest guest = guest(HLT);
    guest.sregs(s -> s.cr4 |= CR4_MCE);
    MachineCheckError error = error(VALID | UNCORRECTED | CONTEXT_CORRUPT | 3);
    error.mcgStatus = MCIP | 1;
    guest.vcpu.setMce(error);
    assertEquals(MCIP | 1, guest.vcpu.getMsr(MCG_STATUS));
    assertTrue(RealModeGuest.isStray(guest.run(), MACHINE_CHECK));
    guest.vcpu.setMce(error);
    assertInstanceOf(Exit.Shutdown.class, guest.run(), "one during another");
  }

  @EachBackend
  void uncorrectedErrorWithoutHandlingShutsDown() {
    RealModeGuest guest = guest(HLT);
    guest.vcpu.setMce(error(VALID | UNCORRECTED | CONTEXT_CORRUPT));
    assertInstanceOf(Exit.Shutdown.class, guest.run());
  }

  @EachBackend
  void disabledErrorsAreDropped() {
    RealModeGuest guest = guest(HLT);
    guest.vcpu.setMsr(MC2_CTL, 0);
    guest.vcpu.setMce(error(VALID | UNCORRECTED | CONTEXT_CORRUPT));
    assertEquals(0, guest.vcpu.getMsr(MC2_STATUS));
    guest.run(Exit.Hlt.class);
  }

  @EachBackend
  void errorWithoutRequiredActionInterrupts() {
    backend.needs(kvm, KvmCap.KVM_CAP_MCE, KvmCap.KVM_CAP_IRQCHIP);
    if ((kvm.getMceCapSupported() & CMCI_P) == 0) {
      backend.limit("has no interrupts for corrected errors");
    }
    RealModeGuest guest = new RealModeGuest(kvm, vm -> vm.createIrqchip(), 0, HLT);
    Vcpu vcpu = guest.vcpu;
    vcpu.setupMce(CTL_P | CMCI_P | 10);
    LapicState lapic = vcpu.getLapic();
    lapic.setRegister(SPURIOUS, 0x1ff);
    lapic.setRegister(LVT_CMCI, 0x45);
    vcpu.setLapic(lapic);
    vcpu.setMce(error(VALID | UNCORRECTED));
    assertEquals(VALID | UNCORRECTED, vcpu.getMsr(MC2_STATUS));
    assertEquals(0, vcpu.getLapic().register(IRR + 0x20), "not wanted");
    vcpu.setMsr(MC2_CTL2, 1 << 30);
    vcpu.setMce(error(VALID | UNCORRECTED));
    assertEquals(1 << 5, vcpu.getLapic().register(IRR + 0x20));
  }
}
