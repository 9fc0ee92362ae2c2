package org.kvm4j.kvm.syscall;

import java.util.List;
import java.util.Optional;

/** Finds kernels through {@link java.util.ServiceLoader}. */
public interface KernelProvider {

  /** The name that {@code --backend} takes: {@code "emulated"} or {@code "native"}. */
  String name();

  /**
   * Why this kernel cannot be used on this machine, and what to do about it; empty if it can (as
   * far as can be told without running a guest).
   */
  Optional<Unavailable> unavailable();

  /**
   * Loads the native libraries that its kernels need, which opening one would do: for programs that
   * have something else to do meanwhile. What fails shows when a kernel is opened.
   */
  default void load() {}

  /**
   * A new kernel.
   *
   * @throws IllegalStateException with the reason, if it cannot be opened
   */
  Kernel open();

  /**
   * A new kernel, with options. A kernel that takes no options, as the machine's own, refuses all
   * of them.
   *
   * @param options those of {@link KernelOptions} that this kernel knows
   * @throws IllegalArgumentException if it does not know an option, or not the value given for it;
   *     the message is one line that names both
   * @throws IllegalStateException with the reason, if it cannot be opened
   */
  default Kernel open(KernelOptions options) {
    for (String option : options.asMap().keySet()) {
      throw new IllegalArgumentException(
          "the " + name() + " kernel has no option \"" + option + "\": its machine is as it is");
    }
    return open();
  }

  /**
   * The values that an option can have, for help, completion and to name what was perhaps meant.
   *
   * @param option one of {@link KernelOptions}
   * @return in the order in which they are to be shown; empty if this kernel does not know the
   *     option
   */
  default List<String> optionValues(String option) {
    return List.of();
  }

  /**
   * What a value of an option is, for help: of {@link KernelOptions#CPU} whose processor, what it
   * is for and mainly has, in a line; of {@link KernelOptions#CPU_FEATURE}, where the value is a
   * CPU's description, the names of all features that CPUID tells of, with spaces between.
   *
   * @return empty if there are no words for it
   * @throws IllegalArgumentException if the option does not have this value; the message is a line
   */
  default String describe(String option, String value) {
    return "";
  }

  /** Who explains fields of a VMCS by the rules of this kernel's processors; empty for nobody. */
  default Optional<Explainer> explainer() {
    return Optional.empty();
  }

  /**
   * @param reason one line: what is missing or forbidden
   * @param remedy one line: what a user can do about it
   */
  record Unavailable(String reason, String remedy) {}
}
