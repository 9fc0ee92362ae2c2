package org.kvm4j.vmm;

import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.vmm.device.MmioBus;
import org.kvm4j.vmm.device.PortBus;
import org.kvm4j.vmm.irqchip.IoApic;
import org.kvm4j.vmm.irqchip.KernelBus;
import org.kvm4j.vmm.irqchip.PicPair;

/**
 * The interrupt chips that are the VMM's: the PICs, whose interrupts go to the first processor, and
 * beside local APICs in the kernel an I/O APIC.
 */
final class UserChips {

  private final PicPair pics;
  private final @Nullable IoApic ioApic;
  private final ExternalInterrupts external;

  /**
   * @param first the processor that the PICs' output leads to
   * @param localApics whether the kernel has local APICs, and a split chip with them
   */
  UserChips(Vm vm, Vcpu first, boolean localApics) {
    external = new ExternalInterrupts(first);
    pics = new PicPair(external::raised);
    external.connect(pics);
    ioApic = localApics ? new IoApic(new KernelBus(vm)) : null;
  }

  /** The way of the PICs' interrupts into the first processor. */
  ExternalInterrupts external() {
    return external;
  }

  /** Sets the level of a global system interrupt; of the first 16 the PICs hear too. */
  void setLine(int gsi, boolean level) {
    if (gsi < PicPair.PINS) {
      pics.set(gsi, level);
    }
    IoApic chip = ioApic;
    if (chip != null) {
      chip.set(gsi, level);
    }
  }

  /** A processor has ended a level-triggered interrupt ({@code KVM_EXIT_IOAPIC_EOI}). */
  void ended(int vector) {
    IoApic chip = ioApic;
    if (chip != null) {
      chip.ended(vector);
    }
  }

  /** As after a reset. */
  void reset() {
    pics.reset();
    IoApic chip = ioApic;
    if (chip != null) {
      chip.reset();
    }
  }

  void attach(PortBus ports, MmioBus mmio) {
    ports.attach(PicPair.MASTER_PORT, PicPair.PORTS, pics.ports(false), "PIC");
    ports.attach(PicPair.SLAVE_PORT, PicPair.PORTS, pics.ports(true), "PIC");
    ports.attach(PicPair.EDGE_LEVEL_PORT, PicPair.PORTS, pics.edgeLevelPorts(), "PIC");
    IoApic chip = ioApic;
    if (chip != null) {
      mmio.attach(IoApic.ADDRESS, IoApic.SIZE, chip, "I/O APIC");
    }
  }
}
