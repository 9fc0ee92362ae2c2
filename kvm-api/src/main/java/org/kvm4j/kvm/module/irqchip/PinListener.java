package org.kvm4j.kvm.module.irqchip;

/**
 * Told by the PICs and the I/O APIC of what the guest does with their pins. A chip is {@code
 * KVM_IRQCHIP_*}; the pins of the slave PIC are 8 to 15.
 */
interface PinListener {
  /** The guest has acknowledged the interrupt of a pin, or ended it. */
  void acknowledged(int chip, int pin);

  /** The guest has masked a pin, or unmasked it. */
  void masked(int chip, int pin, boolean mask);

  /** Nobody listens. */
  PinListener NONE =
      new PinListener() {
        @Override
        public void acknowledged(int chip, int pin) {}

        @Override
        public void masked(int chip, int pin, boolean mask) {}
      };
}
