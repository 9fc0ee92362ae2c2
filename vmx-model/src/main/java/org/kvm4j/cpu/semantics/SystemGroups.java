package org.kvm4j.cpu.semantics;

/** Enters the handlers of system instructions. */
final class SystemGroups {
  private SystemGroups() {}

  static void register() {}
}
