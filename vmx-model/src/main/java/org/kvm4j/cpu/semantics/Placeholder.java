package org.kvm4j.cpu.semantics;

/** Lets the module export this package until its first real class comes: delete it then. */
final class Placeholder {
  private Placeholder() {}
}
