package org.kvm4j.cpu.event;

/** Lets the module export this package until its first real class comes: delete it then. */
final class Placeholder {
  private Placeholder() {}
}
