package org.kvm4j.vmm;

/** How a guest starts its machine again. */
enum Restart {
  /** The whole machine is reset. */
  HARD,
  /** The processors are: INIT. The firmware goes on where the guest has told it to, if it has. */
  SOFT,
  /** A processor has come to the reset vector by itself: after an INIT, or by a jump. */
  FIRMWARE
}
