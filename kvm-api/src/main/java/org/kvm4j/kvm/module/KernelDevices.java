package org.kvm4j.kvm.module;

import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.module.irqchip.InterruptChips;

/**
 * What a virtual CPU's accesses to ports and device memory reach in the module before user space
 * sees them: its local APIC, the VM's chips, eventfds and coalesced zones. Source: Linux 6.1
 * vcpu_mmio_read, vcpu_mmio_write, kernel_pio.
 */
final class KernelDevices {
  private final VmFile vm;
  private final VcpuInterrupts interrupts;
  private long value;

  KernelDevices(VmFile vm, VcpuInterrupts interrupts) {
    this.vm = vm;
    this.interrupts = interrupts;
  }

  /**
   * A write by the guest.
   *
   * @param length in bytes: 1, 2, 4 or 8
   * @return whether it is done, and user space need not see it
   */
  boolean write(boolean pio, long address, int length, long data) {
    InterruptChips chips = vm.chips();
    if (chips != null) {
      if (pio && chips.hasPorts((int) address, length)) {
        chips.writePort((int) address, length, (int) data);
        return true;
      }
      if (!pio && interrupts.hasMemory(address)) {
        interrupts.writeMemory(address, length, data);
        return true;
      }
      if (!pio && chips.hasMemory(address, length)) {
        chips.writeMemory(address, length, data);
        return true;
      }
    }
    return vm.bus.write(pio, address, length, data, vm.ring);
  }

  /**
   * A read by the guest, whose {@link #value} is there afterwards.
   *
   * @return whether it is done, and user space need not see it
   */
  boolean read(boolean pio, long address, int length) {
    @Nullable InterruptChips chips = vm.chips();
    if (chips == null) {
      return false;
    }
    if (pio) {
      if (!chips.hasPorts((int) address, length)) {
        return false;
      }
      value = chips.readPort((int) address, length) & 0xffffffffL;
    } else if (interrupts.hasMemory(address)) {
      value = interrupts.readMemory(address, length);
    } else if (chips.hasMemory(address, length)) {
      value = chips.readMemory(address, length);
    } else {
      return false;
    }
    return true;
  }

  /** What the last read gave; only its lowest bytes count. */
  long value() {
    return value;
  }
}
