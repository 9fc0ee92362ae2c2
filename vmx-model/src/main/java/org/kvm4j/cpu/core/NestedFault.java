package org.kvm4j.cpu.core;

import org.kvm4j.ept.paging.Translation;

/**
 * An EPT violation or misconfiguration on its way to the engine, which turns it into a VM exit. The
 * details are in the {@link Translation}. Thrown without a stack trace.
 */
public final class NestedFault extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** What the walk found; valid until the next walk. */
  public final transient Translation translation;

  /** The guest-linear address of the access. */
  public long linear;

  /**
   * What access was to be translated, in bits of {@link org.kvm4j.ept.paging.Access}. Of an access
   * to the page of a virtual APIC the qualification tells.
   */
  public int access;

  NestedFault(Translation translation) {
    super(null, null, false, false);
    this.translation = translation;
  }
}
