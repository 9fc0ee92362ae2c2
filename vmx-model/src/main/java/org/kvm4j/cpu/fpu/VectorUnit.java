package org.kvm4j.cpu.fpu;

/**
 * The operands of a vector instruction while it executes, as 64-bit words with the lowest first: up
 * to three sources and the result. An MMX register is one word, XMM two, YMM four.
 */
public final class VectorUnit {
  /** The first source; the destination as it was, where that is a source. */
  public final long[] a = new long[4];

  /** The second source. */
  public final long[] b = new long[4];

  /** The third source. */
  public final long[] c = new long[4];

  /** The result. */
  public final long[] d = new long[4];
}
