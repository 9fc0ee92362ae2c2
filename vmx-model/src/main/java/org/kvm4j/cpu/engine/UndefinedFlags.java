package org.kvm4j.cpu.engine;

import org.kvm4j.machine.HostProcessor;

/**
 * Whether the host's processor leaves flags that the SDM calls undefined as {@link
 * org.kvm4j.cpu.semantics.Alu} does: Zen processors do. For others such flags are made after the
 * instruction, or it is the interpreter's.
 */
final class UndefinedFlags {
  /** {@code -Dorg.kvm4j.machine.undefined=made} does as on other processors: for tests. */
  static final boolean AS_MODELLED =
      HostProcessor.isZen() && !"made".equals(System.getProperty("org.kvm4j.machine.undefined"));

  private UndefinedFlags() {}
}
