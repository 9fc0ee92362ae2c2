package org.kvm4j.vmm;

import java.time.Instant;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.device.Uart16550.Sink;
import org.kvm4j.vmm.virtio.Storage;

/**
 * What a machine is made of.
 *
 * @param memorySize bytes of RAM, a multiple of 4 KB
 * @param cpus how many processors
 * @param kernelChips whether the kernel's own interrupt chips and timer are used, where it has them
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
    boolean kernelChips,
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
    if (memorySize <= 0 || memorySize % PAGE_SIZE != 0) {
      throw new IllegalArgumentException(memorySize + " bytes of memory are not whole pages");
    }
    if (cpus < 1) {
      throw new IllegalArgumentException(cpus + " processors");
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
