package org.kvm4j.vmm.cli;

import java.util.Iterator;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.KernelOptions;

/** The CPU models that {@code --cpu} knows, the default first: for help and completion. */
final class CpuModels implements Iterable<String> {

  @Override
  public Iterator<String> iterator() {
    return Kernels.providers().stream()
        .filter(provider -> provider.name().equals(Backends.EMULATED))
        .flatMap(provider -> provider.optionValues(KernelOptions.CPU).stream())
        .iterator();
  }
}
