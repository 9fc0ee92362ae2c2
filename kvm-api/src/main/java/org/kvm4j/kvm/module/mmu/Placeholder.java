package org.kvm4j.kvm.module.mmu;

/** Lets the module export this package until its first real class comes: delete it then. */
final class Placeholder {
  private Placeholder() {}
}
