package org.kvm4j.vmm;

import java.time.Instant;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.device.Uart16550.Sink;
import org.kvm4j.vmm.virtio.Storage;

/**
 * What a machine is made of.
 *
 * @param memorySize bytes of RAM, a multiple of 4 KB
 * @param cpus how many processors
 * @param chips where the interrupt chips and the timer are
 * @param hidden what the processors are not to have of what the kernel gives them in software
 * @param startAllCpus whether all processors start with the guest, each with its number in RDI;
 *     otherwise all but the first wait to be started by it
 * @param virtualClock whether devices follow the VM's own clock instead of the host's
 * @param bootTime what the real-time clock shows at first
 * @param serial takes what the guest sends through its serial port and debug console
 * @param devices what there is beside the devices that every machine has
 * @param statistics whether exits are counted and timed
 * @param listener sees every exit; null if nobody does
 */
public record MachineConfig(
    long memorySize,
    int cpus,
    Chips chips,
    Set<SoftwareFeature> hidden,
    boolean startAllCpus,
    boolean virtualClock,
    Instant bootTime,
    Sink serial,
    Devices devices,
    boolean statistics,
    @Nullable ExitListener listener) {

  /** Memory is made of pages of so many bytes. */
  public static final int PAGE_SIZE = 4096;

  public MachineConfig {
    hidden = Set.copyOf(hidden);
    if (memorySize <= 0 || memorySize % PAGE_SIZE != 0) {
      throw new IllegalArgumentException(memorySize + " bytes of memory are not whole pages");
    }
    if (cpus < 1 || (cpus > 1 && chips == Chips.USER)) {
      throw new IllegalArgumentException(cpus + " processors");
    }
    if (virtualClock && chips.inUserSpace()) {
      throw new IllegalArgumentException("the virtual clock wakes no timer of the VMM");
    }
  }

  /** Where interrupt chips are. */
  public enum Chips {
    /** All are the kernel's, the timer too; none where it has none. */
    KERNEL,
    /** Local APICs are the kernel's; I/O APIC, PICs and timer are the VMM's. */
    SPLIT,
    /** PICs and timer are the VMM's, and there are no local APICs: for one processor. */
    USER,
    /** There are none. */
    NONE;

    /** Whether the VMM has chips of its own, which need a clock that goes by itself. */
    public boolean inUserSpace() {
      return this == SPLIT || this == USER;
    }
  }

  /** How virtio devices are reached. */
  public enum Virtio {
    /** On the PCI bus. */
    PCI,
    /** Each by registers in memory of its own. */
    MMIO
  }

  /**
   * Devices that not every machine has.
   *
   * @param virtio how those of them are reached that are virtio devices
   * @param disks in the order in which the guest finds them
   * @param console takes what the guest sends through a virtio console; null if there is none
   * @param entropy whether there is a source of random bytes
   * @param tests whether there are the devices that kvm-unit-tests need
   */
  public record Devices(
      Virtio virtio, List<Disk> disks, @Nullable Sink console, boolean entropy, boolean tests) {

    /** None. */
    public static final Devices NONE = new Devices(Virtio.PCI, List.of(), null, false, false);

    public Devices {
      disks = List.copyOf(disks);
    }
  }

  /**
   * A disk.
   *
   * @param storage its contents; the machine closes it
   * @param serial its serial number, of which 20 bytes count
   */
  public record Disk(Storage storage, String serial) {}
}
