package org.kvm4j.kvm;

import org.kvm4j.kvm.uapi.Uapi;

/**
 * The multiprocessing state of a vCPU.
 *
 * @param number {@code KVM_MP_STATE_*}
 */
public record MpState(int number) {

  /** Runs, or can. */
  public static final MpState RUNNABLE = new MpState(Uapi.KVM_MP_STATE_RUNNABLE);

  /** An application processor that waits for INIT. */
  public static final MpState UNINITIALIZED = new MpState(Uapi.KVM_MP_STATE_UNINITIALIZED);

  /** INIT came; it waits for a start-up IPI. */
  public static final MpState INIT_RECEIVED = new MpState(Uapi.KVM_MP_STATE_INIT_RECEIVED);

  /** Executed HLT and waits for an interrupt. */
  public static final MpState HALTED = new MpState(Uapi.KVM_MP_STATE_HALTED);

  /** The start-up IPI came and will be acted upon. */
  public static final MpState SIPI_RECEIVED = new MpState(Uapi.KVM_MP_STATE_SIPI_RECEIVED);

  @Override
  public String toString() {
    switch (number) {
      case Uapi.KVM_MP_STATE_RUNNABLE:
        return "RUNNABLE";
      case Uapi.KVM_MP_STATE_UNINITIALIZED:
        return "UNINITIALIZED";
      case Uapi.KVM_MP_STATE_INIT_RECEIVED:
        return "INIT_RECEIVED";
      case Uapi.KVM_MP_STATE_HALTED:
        return "HALTED";
      case Uapi.KVM_MP_STATE_SIPI_RECEIVED:
        return "SIPI_RECEIVED";
      case Uapi.KVM_MP_STATE_AP_RESET_HOLD:
        return "AP_RESET_HOLD";
      default:
        return "MP state " + number;
    }
  }
}
