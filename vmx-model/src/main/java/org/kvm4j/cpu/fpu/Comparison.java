package org.kvm4j.cpu.fpu;

/**
 * How two numbers of SSE or AVX compare, and which predicates of CMPPS and its kin that makes true.
 * SDM Vol. 2, CMPPD, table 3-1 "Comparison Predicate for CMPPD and CMPPS Instructions".
 */
public final class Comparison {
  /** How two numbers compare: one of these. */
  public static final int LESS = 1;

  public static final int EQUAL = 2;
  public static final int GREATER = 4;
  public static final int UNORDERED = 8;

  /** The outcomes for which each of the first 16 predicates is true. */
  private static final int[] TRUE_FOR = {
    EQUAL,
    LESS,
    LESS | EQUAL,
    UNORDERED,
    LESS | GREATER | UNORDERED,
    EQUAL | GREATER | UNORDERED,
    GREATER | UNORDERED,
    LESS | EQUAL | GREATER,
    EQUAL | UNORDERED,
    LESS | UNORDERED,
    LESS | EQUAL | UNORDERED,
    0,
    LESS | GREATER,
    EQUAL | GREATER,
    GREATER,
    LESS | EQUAL | GREATER | UNORDERED
  };

  /** A bit for each of the first 16 that signals; the second 16 are the same the other way. */
  private static final int SIGNALS = 0b0110_0110_0110_0110;

  /**
   * Whether a predicate is true of an outcome of a comparison.
   *
   * @param predicate 0 to 31
   */
  public static boolean isTrue(int predicate, int outcome) {
    return (TRUE_FOR[predicate & 15] & outcome) != 0;
  }

  /** Whether a QNaN is an invalid operation for a predicate, 0 to 31. */
  public static boolean signals(int predicate) {
    return (SIGNALS >> (predicate & 15) & 1) != predicate >> 4;
  }

  private Comparison() {}
}
