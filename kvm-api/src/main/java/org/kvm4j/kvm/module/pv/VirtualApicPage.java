package org.kvm4j.kvm.module.pv;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.module.irqchip.LocalApic;

/**
 * A word of memory by which a guest whose accesses to the task-priority register user space has
 * patched reads and writes it without an exit. Source: Linux 6.1 kvm_lapic_set_vapic_addr,
 * kvm_lapic_sync_to_vapic, kvm_lapic_sync_from_vapic.
 */
public final class VirtualApicPage {
  private final SharedMemory memory;
  private final byte[] word = new byte[4];
  private final ByteBuffer summary = VmKvmClock.buffer(word);
  private long address;

  public VirtualApicPage(SharedMemory memory) {
    this.memory = memory;
  }

  /**
   * KVM_SET_VAPIC_ADDR.
   *
   * @param gpa 0 for none
   * @return false if there is no memory
   */
  public boolean setAddress(long gpa) {
    if (gpa != 0 && !memory.has(gpa, 4)) {
      return false;
    }
    address = gpa;
    return true;
  }

  public boolean isOn() {
    return address != 0;
  }

  /** Before an entry; the chips' lock is held. */
  public void show(LocalApic apic) {
    if (isOn()) {
      summary.putInt(0, apic.summary());
      memory.write(address, word);
    }
  }

  /** After an exit; the chips' lock is held. */
  public void take(LocalApic apic) {
    if (isOn()) {
      int priority = memory.readByte(address);
      if (priority >= 0) {
        apic.setTaskPriority(priority);
      }
    }
  }
}
