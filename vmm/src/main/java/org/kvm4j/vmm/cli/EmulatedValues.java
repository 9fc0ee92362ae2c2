package org.kvm4j.vmm.cli;

import java.util.Iterator;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.KernelOptions;

/**
 * The values that the emulated kernel knows of an option, the default first: for help and
 * completion.
 */
abstract class EmulatedValues implements Iterable<String> {

  private final String option;

  private EmulatedValues(String option) {
    this.option = option;
  }

  @Override
  public Iterator<String> iterator() {
    return Kernels.providers().stream()
        .filter(provider -> provider.name().equals(Backends.EMULATED))
        .flatMap(provider -> provider.optionValues(option).stream())
        .iterator();
  }

  /** The CPU models that {@code --cpu} knows. */
  static final class CpuModels extends EmulatedValues {
    CpuModels() {
      super(KernelOptions.CPU);
    }
  }

  /** The engines that {@code --engine} knows. */
  static final class Engines extends EmulatedValues {
    Engines() {
      super(KernelOptions.ENGINE);
    }
  }
}
