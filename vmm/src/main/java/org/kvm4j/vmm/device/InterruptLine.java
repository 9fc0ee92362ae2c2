package org.kvm4j.vmm.device;

/** A wire from a device to an interrupt chip. */
@FunctionalInterface
public interface InterruptLine {

  /** A wire that ends nowhere: there is no chip. */
  InterruptLine NONE = level -> {};

  /** Sets the wire's level; called on changes only. */
  void set(boolean level);
}
