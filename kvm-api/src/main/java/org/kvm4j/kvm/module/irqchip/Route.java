package org.kvm4j.kvm.module.irqchip;

import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.uapi.KvmIrqRoutingEntry;
import org.kvm4j.kvm.uapi.KvmIrqRoutingIrqchip;
import org.kvm4j.kvm.uapi.KvmIrqRoutingMsi;
import org.kvm4j.kvm.uapi.Uapi;

/** Where a global system interrupt goes: a pin of a chip, or a message. */
sealed interface Route {
  /** The GSI. */
  int gsi();

  /**
   * A pin.
   *
   * @param chip KVM_IRQCHIP_*
   * @param pin 0 to 7 on the master PIC, 8 to 15 on the slave, 0 to 23 on the I/O APIC
   */
  record Pin(int gsi, int chip, int pin) implements Route {}

  /** A message to the local APICs. */
  record Message(int gsi, int addressLow, int addressHigh, int data) implements Route {
    ApicMessage message(boolean wideIds) {
      return ApicMessage.msi(addressLow, addressHigh, data, wideIds);
    }

    /** Whether the address has bits that 32-bit IDs leave reserved. */
    boolean isInvalid(boolean wideIds) {
      return wideIds && (addressHigh & 0xff) != 0;
    }
  }

  /**
   * An entry of the interface.
   *
   * @param pins whether there are chips with pins
   * @return null if there is no such route
   */
  static @Nullable Route read(ByteBuffer b, int at, boolean pins, boolean wideIds) {
    int gsi = b.getInt(at + KvmIrqRoutingEntry.GSI);
    int type = b.getInt(at + KvmIrqRoutingEntry.TYPE);
    int flags = b.getInt(at + KvmIrqRoutingEntry.FLAGS);
    int u = at + KvmIrqRoutingEntry.U_PAD;
    if (Integer.compareUnsigned(gsi, Uapi.KVM_MAX_IRQ_ROUTES) >= 0) {
      return null;
    }
    switch (type) {
      case Uapi.KVM_IRQ_ROUTING_IRQCHIP:
        int chip = b.getInt(u + KvmIrqRoutingIrqchip.IRQCHIP);
        int pin = b.getInt(u + KvmIrqRoutingIrqchip.PIN);
        return flags == 0 && pins ? pin(gsi, chip, pin) : null;
      case Uapi.KVM_IRQ_ROUTING_MSI:
        Message m =
            new Message(
                gsi,
                b.getInt(u + KvmIrqRoutingMsi.ADDRESS_LO),
                b.getInt(u + KvmIrqRoutingMsi.ADDRESS_HI),
                b.getInt(u + KvmIrqRoutingMsi.DATA));
        boolean known = (flags & ~Uapi.KVM_MSI_VALID_DEVID) == 0;
        return known && !m.isInvalid(wideIds) ? m : null;
      default:
        // Hyper-V's and Xen's are not built.
        return null;
    }
  }

  private static @Nullable Route pin(int gsi, int chip, int pin) {
    int pins = chip == Uapi.KVM_IRQCHIP_IOAPIC ? IoApic.PINS : PicPair.PINS / 2;
    if (chip < 0 || chip >= Uapi.KVM_NR_IRQCHIPS || Integer.compareUnsigned(pin, pins) >= 0) {
      return null;
    }
    return new Pin(gsi, chip, chip == Uapi.KVM_IRQCHIP_PIC_SLAVE ? pin + 8 : pin);
  }
}
