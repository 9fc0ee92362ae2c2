package org.kvm4j.vmm.boot;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a guest is given beside its program.
 *
 * @param commandLine may be empty
 * @param initrd for Linux; null if there is none
 * @param modules for multiboot kernels, in order
 * @param acpiTables the guest-physical address of the ACPI tables' root pointer; 0 if there are
 *     none
 */
public record BootOptions(
    String commandLine, @Nullable GuestFile initrd, List<Module> modules, long acpiTables) {

  /** Nothing. */
  public static final BootOptions NONE = new BootOptions("", null, List.of());

  /**
   * A multiboot module.
   *
   * @param file its contents
   * @param arguments what follows its name in its string; may be empty
   */
  public record Module(GuestFile file, String arguments) {}

  public BootOptions {
    modules = List.copyOf(modules);
  }

  /** For a machine without ACPI tables. */
  public BootOptions(String commandLine, @Nullable GuestFile initrd, List<Module> modules) {
    this(commandLine, initrd, modules, 0);
  }

  /** The same, for a machine with ACPI tables. */
  public BootOptions withAcpiTables(long address) {
    return new BootOptions(commandLine, initrd, modules, address);
  }
}
