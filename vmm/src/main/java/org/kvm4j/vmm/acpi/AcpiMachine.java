package org.kvm4j.vmm.acpi;

import java.util.List;

/**
 * What the tables tell of a machine.
 *
 * @param cpus how many processors; their numbers are their APICs'
 * @param sciIrq the interrupt of power management, level-triggered
 * @param serialIrq the first serial port's interrupt
 * @param clockIrq the real-time clock's interrupt
 * @param apics whether there are local APICs and an I/O APIC, beside the PICs
 * @param pci the PCI bus
 * @param virtio virtio devices that are not on it
 */
public record AcpiMachine(
    int cpus,
    int sciIrq,
    int serialIrq,
    int clockIrq,
    boolean apics,
    Pci pci,
    List<VirtioMmio> virtio) {

  public AcpiMachine {
    virtio = List.copyOf(virtio);
  }

  /**
   * PCI bus 0.
   *
   * @param configAddress where its configuration space is in memory
   * @param configSize of that, in bytes
   * @param windowAddress where its devices' memory is
   * @param windowSize of that, in bytes
   * @param gsis to which global system interrupts its devices' pins A lead: device n's to the nth,
   *     round and round
   */
  public record Pci(
      long configAddress,
      long configSize,
      long windowAddress,
      long windowSize,
      List<Integer> gsis) {
    public Pci {
      gsis = List.copyOf(gsis);
    }

    /** Where a device's pin A leads. */
    public int gsi(int device) {
      return gsis.get(device % gsis.size());
    }
  }

  /**
   * A virtio device behind memory-mapped registers.
   *
   * @param address of its registers
   * @param size of those, in bytes
   * @param gsi its interrupt, level-triggered
   */
  public record VirtioMmio(long address, long size, int gsi) {}
}
