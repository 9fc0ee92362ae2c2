package org.kvm4j.vmm;

import java.time.Instant;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmm.device.Uart16550;

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
    Uart16550.Sink serial,
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
}
