package org.kvm4j.cpu.semantics;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.fpu.Comparison;
import org.kvm4j.cpu.fpu.PlainFloat;
import org.kvm4j.cpu.fpu.SimdConversions;
import org.kvm4j.cpu.fpu.SimdFloat;

/**
 * The frequent instructions of SSE and SSE2 without VEX, once their operands are at hand: what
 * translated code calls. Registers are numbers of XMM registers, words are 64 bits, the lowest
 * first. Whoever calls these has called {@link #begin}, and fetched what is in memory.
 *
 * <p>The same as {@link SimdArithmetic}, {@link SimdConvert} and {@link VectorMoves} do by an
 * instruction's operands; what is computed is {@link SimdFloat}'s matter for both.
 */
public final class SseOperations {
  private SseOperations() {}

  /** #UD or #NM if SSE cannot be used now. */
  public static void begin(Cpu c) {
    VectorOperands.beginSse(c);
  }

  /** SSE cannot be used now: {@link #begin} throws why. */
  public static final int UNUSABLE = -1;

  /** {@link #UNUSABLE}, or where Java's arithmetic serves: {@link PlainFloat#mode}. */
  public static int mode(Cpu c) {
    return VectorOperands.isSseUsable(c) ? PlainFloat.mode(VectorState.mxcsr(c)) : UNUSABLE;
  }

  // ---- registers and memory ----

  public static long low(Cpu c, int register) {
    return VectorState.get(c, register, 0);
  }

  public static long high(Cpu c, int register) {
    return VectorState.get(c, register, 1);
  }

  /** Sets a register. */
  public static void set(Cpu c, int register, long low, long high) {
    VectorState.setXmm(c, register, low, high);
  }

  /** Sets the lower word, or all of what a scalar instruction of double precision changes. */
  public static void setLow(Cpu c, int register, long low) {
    VectorState.set(c, register, 0, low);
  }

  /** Sets the lowest 32 bits. */
  public static void setLowest(Cpu c, int register, long low) {
    VectorState.set(c, register, 0, low(c, register) & ~0xffffffffL | low & 0xffffffffL);
  }

  /**
   * Fetches 16 bytes, which are the words {@link #fetched} then.
   *
   * @param aligned whether a linear address that is no multiple of 16 is #GP(0)
   */
  public static void fetch(Cpu c, long linear, boolean aligned) {
    checkAlignment(c, linear, aligned);
    c.mmu.readWords(linear, 16, c.vector.b);
  }

  /** An address that is not canonical is the access' own fault, which knows the segment. */
  private static void checkAlignment(Cpu c, long linear, boolean aligned) {
    if (aligned && (linear & 15) != 0 && c.isCanonical(c.masked(linear))) {
      throw c.gp(0);
    }
  }

  public static long fetched(Cpu c, int word) {
    return c.vector.b[word];
  }

  // ---- arithmetic: the first source is the destination ----

  private static int upper(long word) {
    return (int) (word >>> 32);
  }

  public static void addDouble(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = f.add(low(c, d), b);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  public static void addSingle(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = f.add((int) low(c, d), (int) b);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  public static void addDoubles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long h = f.add(high(c, d), high);
    long l = f.add(low(c, d), low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, l, h);
  }

  public static void addSingles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long l = low(c, d);
    long h = high(c, d);
    int r3 = f.add(upper(h), upper(high));
    int r2 = f.add((int) h, (int) high);
    int r1 = f.add(upper(l), upper(low));
    int r0 = f.add((int) l, (int) low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, SimdArithmetic.pack(r0, r1), SimdArithmetic.pack(r2, r3));
  }

  public static void subtractDouble(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = f.subtract(low(c, d), b);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  public static void subtractSingle(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = f.subtract((int) low(c, d), (int) b);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  public static void subtractDoubles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long h = f.subtract(high(c, d), high);
    long l = f.subtract(low(c, d), low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, l, h);
  }

  public static void subtractSingles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long l = low(c, d);
    long h = high(c, d);
    int r3 = f.subtract(upper(h), upper(high));
    int r2 = f.subtract((int) h, (int) high);
    int r1 = f.subtract(upper(l), upper(low));
    int r0 = f.subtract((int) l, (int) low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, SimdArithmetic.pack(r0, r1), SimdArithmetic.pack(r2, r3));
  }

  public static void multiplyDouble(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = f.multiply(low(c, d), b);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  public static void multiplySingle(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = f.multiply((int) low(c, d), (int) b);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  public static void multiplyDoubles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long h = f.multiply(high(c, d), high);
    long l = f.multiply(low(c, d), low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, l, h);
  }

  public static void multiplySingles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long l = low(c, d);
    long h = high(c, d);
    int r3 = f.multiply(upper(h), upper(high));
    int r2 = f.multiply((int) h, (int) high);
    int r1 = f.multiply(upper(l), upper(low));
    int r0 = f.multiply((int) l, (int) low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, SimdArithmetic.pack(r0, r1), SimdArithmetic.pack(r2, r3));
  }

  public static void divideDouble(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = f.divide(low(c, d), b);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  public static void divideSingle(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = f.divide((int) low(c, d), (int) b);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  public static void divideDoubles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long h = f.divide(high(c, d), high);
    long l = f.divide(low(c, d), low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, l, h);
  }

  public static void divideSingles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long l = low(c, d);
    long h = high(c, d);
    int r3 = f.divide(upper(h), upper(high));
    int r2 = f.divide((int) h, (int) high);
    int r1 = f.divide(upper(l), upper(low));
    int r0 = f.divide((int) l, (int) low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, SimdArithmetic.pack(r0, r1), SimdArithmetic.pack(r2, r3));
  }

  public static void minDouble(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = f.min(low(c, d), b);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  public static void minSingle(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = f.min((int) low(c, d), (int) b);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  public static void minDoubles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long h = f.min(high(c, d), high);
    long l = f.min(low(c, d), low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, l, h);
  }

  public static void minSingles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long l = low(c, d);
    long h = high(c, d);
    int r3 = f.min(upper(h), upper(high));
    int r2 = f.min((int) h, (int) high);
    int r1 = f.min(upper(l), upper(low));
    int r0 = f.min((int) l, (int) low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, SimdArithmetic.pack(r0, r1), SimdArithmetic.pack(r2, r3));
  }

  public static void maxDouble(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = f.max(low(c, d), b);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  public static void maxSingle(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = f.max((int) low(c, d), (int) b);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  public static void maxDoubles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long h = f.max(high(c, d), high);
    long l = f.max(low(c, d), low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, l, h);
  }

  public static void maxSingles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long l = low(c, d);
    long h = high(c, d);
    int r3 = f.max(upper(h), upper(high));
    int r2 = f.max((int) h, (int) high);
    int r1 = f.max(upper(l), upper(low));
    int r0 = f.max((int) l, (int) low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, SimdArithmetic.pack(r0, r1), SimdArithmetic.pack(r2, r3));
  }

  public static void squareRootDouble(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = f.squareRoot(b);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  public static void squareRootSingle(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = f.squareRoot((int) b);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  public static void squareRootDoubles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    long h = f.squareRoot(high);
    long l = f.squareRoot(low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, l, h);
  }

  public static void squareRootSingles(Cpu c, int d, long low, long high) {
    SimdFloat f = SimdControl.begin(c);
    int r3 = f.squareRoot(upper(high));
    int r2 = f.squareRoot((int) high);
    int r1 = f.squareRoot(upper(low));
    int r0 = f.squareRoot((int) low);
    SimdControl.settle(c, f);
    VectorState.setXmm(c, d, SimdArithmetic.pack(r0, r1), SimdArithmetic.pack(r2, r3));
  }

  // ---- conversions ----

  /** CVTSI2SD; the integer is sign-extended. */
  public static void integerToDouble(Cpu c, int d, long integer) {
    SimdFloat f = SimdControl.begin(c);
    long r = SimdConversions.toDouble(f, integer);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  /** CVTSI2SS; the integer is sign-extended. */
  public static void integerToSingle(Cpu c, int d, long integer) {
    SimdFloat f = SimdControl.begin(c);
    int r = SimdConversions.toSingle(f, integer);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  /** CVTSD2SS. */
  public static void narrow(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = SimdConversions.narrow(f, b);
    SimdControl.settle(c, f);
    setLowest(c, d, r);
  }

  /** CVTSS2SD. */
  public static void widen(Cpu c, int d, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = SimdConversions.widen(f, (int) b);
    SimdControl.settle(c, f);
    setLow(c, d, r);
  }

  /** CVTTSD2SI of 32 bits. */
  public static long doubleToInt(Cpu c, long b) {
    SimdFloat f = SimdControl.begin(c);
    int r = SimdConversions.truncateToInt(f, b);
    SimdControl.settle(c, f);
    return r;
  }

  /** CVTTSD2SI of 64 bits. */
  public static long doubleToLong(Cpu c, long b) {
    SimdFloat f = SimdControl.begin(c);
    long r = SimdConversions.truncateToLong(f, b);
    SimdControl.settle(c, f);
    return r;
  }

  // ---- comparison ----

  /** COMISD and UCOMISD: sets all flags. */
  public static void compareDouble(Cpu c, int a, long b, boolean signals) {
    SimdFloat f = SimdControl.begin(c);
    int outcome = f.compare(low(c, a), b, signals);
    SimdControl.settle(c, f);
    c.setLazyFlags(flags(outcome));
  }

  /**
   * As {@link #compareDouble} of numbers that compare as Java compares them.
   *
   * @return false if one of them is none of those; nothing has happened then
   */
  public static boolean comparePlain(Cpu c, long a, long b) {
    if (!PlainFloat.isOrdered(a, b)) {
      return false;
    }
    double x = Double.longBitsToDouble(a);
    double y = Double.longBitsToDouble(b);
    c.setLazyFlags(x < y ? Flags.CF : x > y ? 0 : Flags.ZF);
    return true;
  }

  /** COMISS and UCOMISS: sets all flags. */
  public static void compareSingle(Cpu c, int a, long b, boolean signals) {
    SimdFloat f = SimdControl.begin(c);
    int outcome = f.compare((int) low(c, a), (int) b, signals);
    SimdControl.settle(c, f);
    c.setLazyFlags(flags(outcome));
  }

  /** The flags that a comparison gives. */
  static int flags(int outcome) {
    return switch (outcome) {
      case Comparison.LESS -> Flags.CF;
      case Comparison.EQUAL -> Flags.ZF;
      case Comparison.GREATER -> 0;
      default -> Flags.ZF | Flags.PF | Flags.CF;
    };
  }
}
