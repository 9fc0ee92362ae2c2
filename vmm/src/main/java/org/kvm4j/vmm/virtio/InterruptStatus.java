package org.kvm4j.vmm.virtio;

import org.kvm4j.vmm.device.InterruptLine;

/**
 * Why a device that has one interrupt line gave an interrupt; the line is up until the driver has
 * acknowledged it all.
 *
 * <p>It has a lock of its own: a driver that handles an interrupt does not wait for the device's
 * work.
 */
final class InterruptStatus {

  /** Chains were given back. */
  static final int USED = 1;

  /** Configuration space or the status has changed. */
  static final int CONFIG = 2;

  private final InterruptLine line;
  private int status;

  InterruptStatus(InterruptLine line) {
    this.line = line;
  }

  synchronized int status() {
    return status;
  }

  synchronized void raise(int bits) {
    set(status | bits);
  }

  synchronized void acknowledge(int bits) {
    set(status & ~bits);
  }

  /** Takes and acknowledges all. */
  synchronized int take() {
    int taken = status;
    set(0);
    return taken;
  }

  private void set(int next) {
    boolean changes = (next == 0) != (status == 0);
    status = next;
    if (changes) {
      line.set(next != 0);
    }
  }
}
