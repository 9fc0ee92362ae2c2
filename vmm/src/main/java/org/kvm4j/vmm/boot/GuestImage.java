package org.kvm4j.vmm.boot;

import org.kvm4j.vmm.memory.GuestRam;

/** A guest's program, checked and ready to be loaded. */
public sealed interface GuestImage permits LinuxImage, MultibootImage, FlatImage {

  /** The mode that its first processor starts in. */
  CpuMode mode();

  /** What kind it is and how it starts, in a few words. */
  String describe();

  /**
   * Loads it into memory, with all that its boot protocol gives it.
   *
   * @return the state in which the first processor starts
   * @throws GuestImageException if it does not fit, or does not take what it is given
   */
  BootState load(GuestRam memory, BootOptions options) throws GuestImageException;
}
