package org.kvm4j.kvm.module;

/** How the emulated processors execute code. What guests see is the same. */
public enum Engine {
  /**
   * Decoded operations, and warm code of 64-bit mode as machine code of the host's, where that is
   * x86-64 and allows it; elsewhere as {@link #TRANSLATOR}.
   */
  MACHINE_CODE,

  /** Decoded operations, and hot code of 64-bit mode translated to bytecode of the JVM's. */
  TRANSLATOR,

  /** Decoded operations, one after the other. */
  INTERPRETER;

  /** The engine where none is asked for. */
  public static final Engine DEFAULT = MACHINE_CODE;
}
