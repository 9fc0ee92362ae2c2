package org.kvm4j.kvm.module.pv;

import java.nio.ByteBuffer;

/**
 * The interface by which a host tells a guest that a page is not there, and when it is. No page is
 * ever away here, so all that comes is what every guest gets that switches it on: that whoever
 * waits may go on. Source: Linux 6.1 kvm_pv_enable_async_pf, kvm_check_async_pf_completion;
 * Documentation/virt/kvm/x86/msr.rst.
 */
public final class AsyncPageFaults {
  private static final int ENABLED = 1;
  private static final int DELIVERY_AS_PF_VMEXIT = 4;
  private static final int DELIVERY_AS_INT = 8;
  private static final int RESERVED = 0x30;

  /** struct kvm_vcpu_pv_apf_data: flags, then the token of the page that is ready. */
  private static final int TOKEN = 4;

  private static final int ALL = -1;

  private final SharedMemory memory;
  private final byte[] word = new byte[4];
  private final ByteBuffer token = VmKvmClock.buffer(word);
  private long enable;
  private long interrupt;

  /** Whoever waits is to be woken. */
  private boolean wakeup;

  /** The guest has not acknowledged the last interrupt. */
  private boolean ready;

  public AsyncPageFaults(SharedMemory memory) {
    this.memory = memory;
  }

  /** MSR_KVM_ASYNC_PF_EN. */
  public long enable() {
    return enable;
  }

  /**
   * A write of MSR_KVM_ASYNC_PF_EN.
   *
   * @param allowed the feature bits that the guest may use
   * @param hasApic whether there is a local APIC in the kernel
   * @return false for #GP
   */
  public boolean setEnable(long value, int allowed, boolean hasApic) {
    if ((value & RESERVED) != 0
        || ((value & DELIVERY_AS_PF_VMEXIT) != 0
            && (allowed & KvmFeature.ASYNC_PF_VMEXIT.mask) == 0)
        || ((value & DELIVERY_AS_INT) != 0 && (allowed & KvmFeature.ASYNC_PF_INT.mask) == 0)) {
      return false;
    }
    if (!hasApic) {
      return value == 0;
    }
    enable = value;
    if (!isOn()) {
      wakeup = false;
      return true;
    }
    if (!memory.has(address(), 8)) {
      return false;
    }
    wakeup = true;
    return true;
  }

  private boolean isOn() {
    return (enable & (ENABLED | DELIVERY_AS_INT)) == (ENABLED | DELIVERY_AS_INT);
  }

  private long address() {
    return enable & ~0x3fL;
  }

  /** MSR_KVM_ASYNC_PF_INT. */
  public long interrupt() {
    return interrupt;
  }

  /** A write of MSR_KVM_ASYNC_PF_INT; false for #GP. */
  public boolean setInterrupt(long value, boolean hasApic) {
    if (value >>> 8 != 0 || !hasApic) {
      return false;
    }
    interrupt = value;
    return true;
  }

  /** A write of MSR_KVM_ASYNC_PF_ACK. */
  public void acknowledge(long value) {
    if ((value & 1) != 0) {
      ready = false;
    }
  }

  /** Whether {@link #takeVector} has something to do. */
  public boolean isWaking() {
    return wakeup;
  }

  /**
   * Tells the guest, if its last token is read, that all pages are there.
   *
   * @return the vector of the interrupt that it is to get; -1 if none
   */
  public int takeVector() {
    if (!wakeup || !isOn() || ready || !memory.read(address() + TOKEN, word)) {
      return -1;
    }
    if (token.getInt(0) != 0) {
      return -1;
    }
    wakeup = false;
    token.putInt(0, ALL);
    if (!memory.write(address() + TOKEN, word)) {
      return -1;
    }
    ready = true;
    return (int) interrupt;
  }

  /** INIT. */
  public void reset() {
    enable = 0;
    interrupt = 0;
    wakeup = false;
  }
}
