package org.kvm4j.vmm;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.vmm.acpi.AcpiTables;
import org.kvm4j.vmm.boot.BootState;
import org.kvm4j.vmm.boot.GuestImageException;
import org.kvm4j.vmm.device.CmosRtc;
import org.kvm4j.vmm.memory.GuestRam;

/**
 * What firmware does when processors have been reset: it starts the guest again, or goes on where
 * the guest has told it to.
 */
final class Firmware {

  /** Where the guest tells it, in the BIOS data area, and the codes that say so. */
  private static final long RESUME_VECTOR = 0x467;

  private static final int RESUME_WITH_EOI = 0x05;
  private static final int RESUME = 0x0a;

  private final GuestRam memory;
  private final List<Vcpu> vcpus;
  private final int[] msrs;
  private final PowerOnState powerOnState;
  private final @Nullable UserChips userChips;

  /** Loads the guest anew after a reset; null if a reset ends the machine. */
  private volatile Machine.@Nullable Loader loader;

  /**
   * @param msrs those that the kernel keeps for a guest
   * @param powerOnState of a machine that has not run yet
   * @param userChips the interrupt chips that are the VMM's, if any are
   */
  Firmware(
      GuestRam memory,
      List<Vcpu> vcpus,
      int[] msrs,
      PowerOnState powerOnState,
      @Nullable UserChips userChips) {
    this.memory = memory;
    this.vcpus = vcpus;
    this.msrs = msrs;
    this.powerOnState = powerOnState;
    this.userChips = userChips;
  }

  /** Has a reset load the guest anew. The machine has not run yet. */
  void restartWith(Machine.Loader again) {
    powerOnState.rememberMsrs(msrs);
    loader = again;
  }

  /** Whether a reset loads the guest anew. */
  boolean startsAnew() {
    return loader != null;
  }

  /** Whether the machine goes on after a reset, and is not at its end. */
  boolean restarts(Restart how, CmosRtc clock) {
    return startsAnew() || (how != Restart.HARD && resumeVector(clock) >= 0);
  }

  /**
   * Goes on after a reset where the guest has told it to. No vCPU's thread runs.
   *
   * @return false if it has not
   */
  boolean resumesAfterReset(Restart how, CmosRtc clock) {
    long vector = how == Restart.HARD ? -1 : resumeVector(clock);
    clock.takeShutdownCode();
    if (vector < 0) {
      return false;
    }
    powerOnState.initialize();
    startInRealMode((int) (vector >>> 16), (int) vector & 0xffff);
    return true;
  }

  /**
   * Goes on after sleep state S3 where the guest has told it to, with processors and chips as after
   * a reset.
   *
   * @return false if it has not
   */
  boolean resumesAfterSleep(boolean hasAcpi) {
    long vector = hasAcpi ? AcpiTables.wakingVector(memory) : 0;
    if (vector == 0 || vector >= 1 << 20) {
      return false;
    }
    powerOnState.restore();
    resetUserChips();
    startInRealMode((int) (vector >> 4), (int) vector & 15);
    return true;
  }

  /** Has processors and interrupt chips as at power-on. */
  void reset() {
    powerOnState.reset();
    resetUserChips();
  }

  /** Loads the guest anew. */
  BootState load() throws GuestImageException {
    Machine.Loader again = loader;
    if (again == null) {
      throw new IllegalStateException("a reset ends this machine");
    }
    return again.load();
  }

  /**
   * Where it goes on instead of starting the guest anew, as a far pointer: segment and offset, 16
   * bits each; -1 if it does start it. So guests of the 80286 came back from protected mode, and
   * processors are started that have no startup interrupt. Source: Intel MultiProcessor
   * Specification 1.4, B.4 "Application Processor Startup", "Using INIT IPI".
   */
  private long resumeVector(CmosRtc clock) {
    int code = clock.shutdownCode();
    boolean byVector = code == RESUME_WITH_EOI || code == RESUME;
    return byVector && memory.contains(RESUME_VECTOR, 4)
        ? memory.getInt(RESUME_VECTOR) & 0xffff_ffffL
        : -1;
  }

  private void resetUserChips() {
    UserChips mine = userChips;
    if (mine != null) {
      mine.reset();
    }
  }

  private void startInRealMode(int segment, int offset) {
    Vcpu first = vcpus.get(0);
    Sregs sregs = first.getSregs();
    sregs.cs.setRealMode(segment);
    first.setSregs(sregs);
    Regs regs = first.getRegs();
    regs.rip = offset;
    first.setRegs(regs);
  }
}
