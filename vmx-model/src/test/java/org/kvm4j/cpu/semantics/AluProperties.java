package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.math.BigInteger;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Assertions;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;

/**
 * {@link Alu} against formulations that share nothing with it: whole numbers of any size for
 * arithmetic, one step after the other for shifts, and flags as booleans.
 */
final class AluProperties {
  private static final BigInteger ONE = BigInteger.ONE;

  /** Values that are likely to be at a limit of some size, and any. */
  @Provide
  Arbitrary<Long> values() {
    return Arbitraries.randomValue(AluProperties::value);
  }

  private static long value(Random random) {
    long any = random.nextLong();
    return switch (random.nextInt(6)) {
      case 0 -> random.nextInt(9) - 4;
      case 1 -> (1L << random.nextInt(64)) + random.nextInt(3) - 1;
      case 2 -> any >> random.nextInt(64);
      case 3 -> any | 0x80L << random.nextInt(57);
      default -> any;
    };
  }

  @Provide
  Arbitrary<Integer> flags() {
    return Arbitraries.randomValue(Random::nextInt);
  }

  private static final TestMachine MACHINE = new TestMachine(TestMachine.Mode.REAL);

  private final Cpu cpu = MACHINE.cpu;

  // The flags of the reference.
  private boolean of;
  private boolean sf;
  private boolean zf;
  private boolean af;
  private boolean pf;
  private boolean cf;

  private void begin(int flags) {
    of = (flags & Flags.OF) != 0;
    sf = (flags & Flags.SF) != 0;
    zf = (flags & Flags.ZF) != 0;
    af = (flags & Flags.AF) != 0;
    pf = (flags & Flags.PF) != 0;
    cf = (flags & Flags.CF) != 0;
    cpu.setLazyFlags(flags);
  }

  private String expectedFlags() {
    return text(of, sf, zf, af, pf, cf);
  }

  private String actualFlags() {
    String read = text(cpu.of(), cpu.sf(), cpu.zf(), cpu.af(), cpu.pf(), cpu.cf());
    int f = cpu.lazyFlags();
    assertEquals(
        read,
        text(
            (f & Flags.OF) != 0,
            (f & Flags.SF) != 0,
            (f & Flags.ZF) != 0,
            (f & Flags.AF) != 0,
            (f & Flags.PF) != 0,
            (f & Flags.CF) != 0));
    return read;
  }

  private static String text(
      boolean of, boolean sf, boolean zf, boolean af, boolean pf, boolean cf) {
    return (of ? "O" : "-")
        + (sf ? "S" : "-")
        + (zf ? "Z" : "-")
        + (af ? "A" : "-")
        + (pf ? "P" : "-")
        + (cf ? "C" : "-");
  }

  private void check(long expected, long actual) {
    assertEquals(Long.toHexString(expected), Long.toHexString(actual));
    assertEquals(expectedFlags(), actualFlags());
  }

  private void result(BigInteger value, int bits) {
    zf = value.signum() == 0;
    sf = value.testBit(bits - 1);
    pf = value.and(BigInteger.valueOf(0xff)).bitCount() % 2 == 0;
  }

  private static BigInteger unsigned(long value, int bits) {
    return modulo(BigInteger.valueOf(value), bits);
  }

  private static BigInteger signed(long value, int bits) {
    return signed(unsigned(value, bits), bits);
  }

  private static BigInteger signed(BigInteger value, int bits) {
    return value.testBit(bits - 1) ? value.subtract(ONE.shiftLeft(bits)) : value;
  }

  private static BigInteger modulo(BigInteger value, int bits) {
    return value.mod(ONE.shiftLeft(bits));
  }

  private static boolean fits(BigInteger value, int bits) {
    return value.bitLength() < bits;
  }

  // ---- addition and subtraction ----

  /** a + sign * (b + in), with all flags. */
  private long sum(long a, long b, int sign, boolean in, int bits) {
    BigInteger c = in ? ONE : BigInteger.ZERO;
    BigInteger s = BigInteger.valueOf(sign);
    BigInteger wide = unsigned(a, bits).add(unsigned(b, bits).add(c).multiply(s));
    BigInteger exact = signed(a, bits).add(signed(b, bits).add(c).multiply(s));
    BigInteger nibble = unsigned(a, 4).add(unsigned(b, 4).add(c).multiply(s));
    BigInteger value = modulo(wide, bits);
    result(value, bits);
    cf = !value.equals(wide);
    of = !fits(exact, bits);
    af = !modulo(nibble, 4).equals(nibble);
    return value.longValue();
  }

  @Property(tries = 3000)
  void addsAndSubtracts(
      @ForAll("values") long a,
      @ForAll("values") long b,
      @ForAll("flags") int flags,
      @ForAll @IntRange(max = 3) int log) {
    int size = 1 << log;
    int bits = size * 8;
    begin(flags);
    check(sum(a, b, 1, false, bits), Alu.add(cpu, size, a, b));
    begin(flags);
    check(sum(a, b, -1, false, bits), Alu.sub(cpu, size, a, b));
    begin(flags);
    check(sum(a, b, 1, cf, bits), Alu.adc(cpu, size, a, b));
    begin(flags);
    check(sum(a, b, -1, cf, bits), Alu.sbb(cpu, size, a, b));
    begin(flags);
    check(sum(0, a, -1, false, bits), Alu.neg(cpu, size, a));
    begin(flags);
    boolean carry = cf;
    long expected = sum(a, 1, 1, false, bits);
    cf = carry;
    check(expected, Alu.inc(cpu, size, a));
    begin(flags);
    expected = sum(a, 1, -1, false, bits);
    cf = carry;
    check(expected, Alu.dec(cpu, size, a));
  }

  @Property(tries = 3000)
  void addsWithOneFlagOfTwo(
      @ForAll("values") long a, @ForAll("values") long b, @ForAll("flags") int flags) {
    for (int bits = 32; bits <= 64; bits += 32) {
      begin(flags);
      BigInteger wide = unsigned(a, bits).add(unsigned(b, bits)).add(cf ? ONE : BigInteger.ZERO);
      cf = wide.testBit(bits);
      check(
          modulo(wide, bits).longValue(),
          bits == 64 ? Alu.adcx64(cpu, a, b) : Alu.adcx32(cpu, (int) a, (int) b) & 0xffffffffL);
      begin(flags);
      wide = unsigned(a, bits).add(unsigned(b, bits)).add(of ? ONE : BigInteger.ZERO);
      of = wide.testBit(bits);
      check(
          modulo(wide, bits).longValue(),
          bits == 64 ? Alu.adox64(cpu, a, b) : Alu.adox32(cpu, (int) a, (int) b) & 0xffffffffL);
    }
  }

  @Property(tries = 1000)
  void computesLogic(
      @ForAll("values") long a,
      @ForAll("values") long b,
      @ForAll("flags") int flags,
      @ForAll @IntRange(max = 3) int log) {
    int size = 1 << log;
    int bits = size * 8;
    logic(unsigned(a, bits).and(unsigned(b, bits)), bits, flags, () -> Alu.and(cpu, size, a, b));
    logic(unsigned(a, bits).or(unsigned(b, bits)), bits, flags, () -> Alu.or(cpu, size, a, b));
    logic(unsigned(a, bits).xor(unsigned(b, bits)), bits, flags, () -> Alu.xor(cpu, size, a, b));
  }

  private void logic(
      BigInteger expected, int bits, int flags, java.util.function.LongSupplier actual) {
    begin(flags);
    result(expected, bits);
    of = false;
    cf = false;
    af = false;
    check(expected.longValue(), actual.getAsLong());
  }

  // ---- shifts, one bit at a time ----

  private enum Shift {
    SHL,
    SHR,
    SAR,
    ROL,
    ROR,
    RCL,
    RCR
  }

  private BigInteger step(Shift shift, BigInteger a, int bits) {
    boolean top = a.testBit(bits - 1);
    boolean low = a.testBit(0);
    BigInteger left = modulo(a.shiftLeft(1), bits);
    BigInteger right = a.shiftRight(1);
    boolean in =
        switch (shift) {
          case SHL, SHR -> false;
          case SAR, ROL -> top;
          case ROR -> low;
          case RCL, RCR -> cf;
        };
    boolean isLeft = shift == Shift.SHL || shift == Shift.ROL || shift == Shift.RCL;
    BigInteger value = isLeft ? left : right;
    if (in) {
      value = value.setBit(isLeft ? 0 : bits - 1);
    }
    cf = isLeft ? top : low;
    // What the SDM defines for a count of 1 holds for the last step of any count.
    of = isLeft ? cf != value.testBit(bits - 1) : top != value.testBit(bits - 1);
    return value;
  }

  @Property(tries = 3000)
  void shiftsAndRotates(
      @ForAll("values") long a,
      @ForAll @IntRange(max = 255) int count,
      @ForAll("flags") int flags,
      @ForAll @IntRange(max = 3) int log) {
    int size = 1 << log;
    int bits = size * 8;
    int n = count & (bits == 64 ? 63 : 31);
    for (Shift shift : Shift.values()) {
      begin(flags);
      BigInteger value = unsigned(a, bits);
      for (int k = 0; k < n; k++) {
        value = step(shift, value, bits);
      }
      if (n > 0 && (shift == Shift.SHL || shift == Shift.SHR || shift == Shift.SAR)) {
        result(value, bits);
        af = true;
      }
      long actual =
          switch (shift) {
            case SHL -> Alu.shl(cpu, size, a, count);
            case SHR -> Alu.shr(cpu, size, a, count);
            case SAR -> Alu.sar(cpu, size, a, count);
            case ROL -> Alu.rol(cpu, size, a, count);
            case ROR -> Alu.ror(cpu, size, a, count);
            case RCL -> Alu.rcl(cpu, size, a, count);
            case RCR -> Alu.rcr(cpu, size, a, count);
          };
      if (n == 0) {
        actual = Operands.truncate(actual, size);
      }
      check(value.longValue(), actual);
    }
  }

  @Property(tries = 3000)
  void shiftsTwoOperands(
      @ForAll("values") long a,
      @ForAll("values") long b,
      @ForAll @IntRange(max = 255) int count,
      @ForAll("flags") int flags,
      @ForAll @IntRange(min = 1, max = 3) int log) {
    int size = 1 << log;
    int bits = size * 8;
    int n = count & (bits == 64 ? 63 : 31);
    begin(flags);
    BigInteger value = unsigned(a, bits);
    BigInteger alone = value;
    BigInteger fill = unsigned(b, bits);
    for (int k = 0; k < n; k++) {
      // CF and OF come from the first operand alone.
      alone = step(Shift.SHL, alone, bits);
      value = modulo(value.shiftLeft(1), bits);
      if (fill.testBit(bits - 1 - k % bits)) {
        value = value.setBit(0);
      }
    }
    if (n > 0) {
      result(value, bits);
      af = true;
    }
    check(value.longValue(), Operands.truncate(Alu.shld(cpu, size, a, b, count), size));

    begin(flags);
    value = unsigned(a, bits);
    alone = value;
    for (int k = 0; k < n; k++) {
      alone = step(Shift.SHR, alone, bits);
      value = value.shiftRight(1);
      if (fill.testBit(k % bits)) {
        value = value.setBit(bits - 1);
      }
    }
    if (n > 0) {
      result(value, bits);
      of = value.testBit(bits - 1) != value.testBit(bits - 2);
      af = true;
    }
    check(value.longValue(), Operands.truncate(Alu.shrd(cpu, size, a, b, count), size));
  }

  // ---- multiplication and division ----

  @Property(tries = 3000)
  void multiplies(@ForAll("values") long a, @ForAll("values") long b, @ForAll("flags") int flags) {
    for (int bits = 8; bits <= 64; bits *= 2) {
      begin(flags);
      BigInteger product = unsigned(a, bits).multiply(unsigned(b, bits));
      cf = product.bitLength() > bits;
      of = cf;
      switch (bits) {
        case 8 -> check(product.longValue(), Alu.mul8(cpu, (int) a, (int) b));
        case 16 -> check(product.intValue(), Alu.mul16(cpu, (int) a, (int) b));
        case 32 -> check(product.longValue(), Alu.mul32(cpu, (int) a, (int) b));
        default -> check(product.shiftRight(64).longValue(), Alu.mulHigh64(cpu, a, b));
      }
      begin(flags);
      product = signed(a, bits).multiply(signed(b, bits));
      cf = !fits(product, bits);
      of = cf;
      switch (bits) {
        case 8 -> check(product.longValue() & 0xffff, Alu.imul8(cpu, (int) a, (int) b));
        case 16 -> check(product.intValue(), Alu.imul16(cpu, (int) a, (int) b));
        case 32 -> check(product.longValue(), Alu.imul32(cpu, (int) a, (int) b));
        default -> {
          check(product.shiftRight(64).longValue(), Alu.imulHigh64(cpu, a, b));
          check(product.longValue(), Alu.imul64(cpu, a, b));
        }
      }
    }
  }

  /** Division of a dividend of twice the size; null stands for #DE. */
  private void divides(BigInteger dividend, BigInteger divisor, int bits, boolean signed) {
    BigInteger low = modulo(dividend, bits);
    BigInteger high = modulo(dividend.shiftRight(bits), bits);
    long l = low.longValue();
    long h = high.longValue();
    int d = divisor.intValue();
    long both = modulo(dividend, 2 * bits).longValue();
    BigInteger[] expected = null;
    if (divisor.signum() != 0) {
      expected = dividend.divideAndRemainder(divisor);
      boolean fits = signed ? fits(expected[0], bits) : expected[0].bitLength() <= bits;
      expected = fits ? expected : null;
    }
    org.junit.jupiter.api.function.ThrowingSupplier<long[]> actual =
        switch (bits) {
          case 8 ->
              () -> split(signed ? Alu.idiv8(cpu, (int) both, d) : Alu.div8(cpu, (int) both, d), 8);
          case 16 ->
              () ->
                  split(
                      signed ? Alu.idiv16(cpu, (int) both, d) : Alu.div16(cpu, (int) both, d), 16);
          case 32 -> () -> split(signed ? Alu.idiv32(cpu, both, d) : Alu.div32(cpu, both, d), 32);
          default ->
              () -> {
                long dd = divisor.longValue();
                long q = signed ? Alu.idiv64(cpu, h, l, dd) : Alu.div64(cpu, h, l, dd);
                return new long[] {q, l - q * dd};
              };
        };
    if (expected == null) {
      CpuException e = assertThrows(CpuException.class, actual::get);
      assertEquals(Vector.DE, e.vector);
      assertEquals(expectedFlags(), actualFlags());
    } else {
      long[] got = Assertions.assertDoesNotThrow(actual);
      assertEquals(modulo(expected[0], bits).longValue(), got[0], "quotient");
      assertEquals(modulo(expected[1], bits).longValue(), got[1], "remainder");
      sf = false;
      zf = false;
      pf = false;
      af = true;
      assertEquals(expectedFlags(), actualFlags());
    }
  }

  private static long[] split(long both, int bits) {
    return new long[] {both & (1L << bits) - 1, both >>> bits & (1L << bits) - 1};
  }

  @Property(tries = 3000)
  void divides(
      @ForAll("values") long high,
      @ForAll("values") long low,
      @ForAll("values") long divisor,
      @ForAll("flags") int flags) {
    for (int bits = 8; bits <= 64; bits *= 2) {
      BigInteger u = unsigned(high, bits).shiftLeft(bits).add(unsigned(low, bits));
      begin(flags);
      divides(u, unsigned(divisor, bits), bits, false);
      begin(flags);
      divides(signed(u, 2 * bits), signed(divisor, bits), bits, true);
      // A quotient that is likely to fit.
      BigInteger v = unsigned(low, bits).multiply(unsigned(divisor, bits)).add(ONE);
      begin(flags);
      divides(v, unsigned(divisor, bits), bits, false);
      v = signed(low, bits).multiply(signed(divisor, bits)).add(signed(high, bits / 2));
      begin(flags);
      divides(signed(modulo(v, 2 * bits), 2 * bits), signed(divisor, bits), bits, true);
    }
  }

  // ---- bits ----

  private void zeroAndParity(boolean zero, boolean evenParity) {
    of = false;
    sf = false;
    af = false;
    cf = false;
    zf = zero;
    pf = evenParity;
  }

  @Property(tries = 2000)
  void scansAndCounts(
      @ForAll("values") long a,
      @ForAll @IntRange(max = 63) int shift,
      @ForAll("flags") int flags,
      @ForAll @IntRange(min = 1, max = 3) int log) {
    int bits = 8 << log;
    BigInteger value = unsigned(a >>> shift, bits);
    long v = value.longValue();
    int first = value.getLowestSetBit();
    int last = value.bitLength() - 1;
    begin(flags);
    zeroAndParity(first < 0, first < 0 || Integer.bitCount(first) % 2 == 0);
    check(first, Alu.bsf(cpu, v));
    begin(flags);
    zeroAndParity(last < 0, last < 0 || Integer.bitCount(last) % 2 == 0);
    check(last, Alu.bsr(cpu, v));
    begin(flags);
    boolean overflow = of;
    int trailing = first < 0 ? bits : first;
    zeroAndParity(trailing == 0, false);
    of = overflow;
    cf = first < 0;
    check(trailing, Alu.tzcnt(cpu, v, bits));
    begin(flags);
    int leading = bits - 1 - last;
    zeroAndParity(leading == 0, false);
    of = overflow;
    cf = first < 0;
    check(leading, Alu.lzcnt(cpu, v, bits));
    begin(flags);
    zeroAndParity(first < 0, false);
    check(value.bitCount(), Alu.popcnt(cpu, v));
  }

  @Property(tries = 2000)
  void extractsBits(
      @ForAll("values") long a,
      @ForAll @IntRange(max = 255) int start,
      @ForAll @IntRange(max = 255) int length,
      @ForAll("flags") int flags) {
    for (int bits = 32; bits <= 64; bits += 32) {
      BigInteger value = unsigned(a, bits);
      BigInteger expected = modulo(value.shiftRight(start), length);
      begin(flags);
      result(expected, bits);
      sf = false;
      of = false;
      cf = false;
      af = true;
      check(expected.longValue(), Alu.bextr(cpu, value.longValue(), length << 8 | start));
      begin(flags);
      expected = start < bits ? modulo(value, start) : value;
      result(expected, bits);
      of = false;
      af = false;
      cf = start >= bits;
      check(
          expected.longValue(),
          bits == 64 ? Alu.bzhi64(cpu, a, start) : Alu.bzhi32(cpu, (int) a, start) & 0xffffffffL);
    }
  }

  @Property(tries = 1000)
  void isolatesTheLowestBit(
      @ForAll("values") long a, @ForAll @IntRange(max = 63) int shift, @ForAll("flags") int flags) {
    long v = a << shift;
    for (int bits = 32; bits <= 64; bits += 32) {
      BigInteger value = unsigned(v, bits);
      int first = value.getLowestSetBit();
      lowest(
          first < 0 ? BigInteger.ZERO : ONE.shiftLeft(first),
          first >= 0,
          bits,
          flags,
          () -> bitsOf(Alu.blsi64(cpu, v)),
          () -> bitsOf(Alu.blsi32(cpu, (int) v)));
      lowest(
          first < 0 ? value : value.clearBit(first),
          first < 0,
          bits,
          flags,
          () -> bitsOf(Alu.blsr64(cpu, v)),
          () -> bitsOf(Alu.blsr32(cpu, (int) v)));
      lowest(
          ONE.shiftLeft(first < 0 ? bits : first + 1).subtract(ONE),
          first < 0,
          bits,
          flags,
          () -> bitsOf(Alu.blsmsk64(cpu, v)),
          () -> bitsOf(Alu.blsmsk32(cpu, (int) v)));
    }
  }

  private static long bitsOf(long value) {
    return value;
  }

  private static long bitsOf(int value) {
    return value & 0xffffffffL;
  }

  private void lowest(
      BigInteger expected,
      boolean carry,
      int bits,
      int flags,
      java.util.function.LongSupplier wide,
      java.util.function.LongSupplier narrow) {
    begin(flags);
    result(expected, bits);
    of = false;
    af = false;
    cf = carry;
    check(expected.longValue(), bits == 64 ? wide.getAsLong() : narrow.getAsLong());
  }

  @Property(tries = 1000)
  void depositsAndExtracts(@ForAll("values") long value, @ForAll("values") long mask) {
    long deposited = 0;
    long extracted = 0;
    int k = 0;
    for (int bit = 0; bit < 64; bit++) {
      if ((mask >>> bit & 1) != 0) {
        deposited |= (value >>> k & 1) << bit;
        extracted |= (value >>> bit & 1) << k;
        k++;
      }
    }
    assertEquals(deposited, WideMath.deposit(value, mask));
    assertEquals(extracted, WideMath.extract(value, mask));
  }

  @Property(tries = 1000)
  void accumulatesCrc32c(@ForAll("flags") int crc, @ForAll("values") long value) {
    for (int size = 1; size <= 8; size *= 2) {
      java.util.zip.CRC32C reference = new java.util.zip.CRC32C();
      byte[] bytes =
          java.nio.ByteBuffer.allocate(8)
              .order(java.nio.ByteOrder.LITTLE_ENDIAN)
              .putLong(value)
              .array();
      reference.update(bytes, 0, size);
      // The library begins with all ones and inverts the result.
      assertEquals((int) reference.getValue(), ~Crc32c.accumulate(-1, value, size));
      // The code is linear.
      assertEquals(
          Crc32c.accumulate(crc, value, size),
          Crc32c.accumulate(crc, 0, size) ^ Crc32c.accumulate(0, value, size));
    }
  }

  @Property(tries = 1000)
  void testsABit(
      @ForAll("values") long value,
      @ForAll @IntRange(max = 63) int bit,
      @ForAll("flags") int flags) {
    begin(flags);
    cf = BigInteger.valueOf(value).testBit(bit);
    Alu.bt(cpu, value, bit);
    assertEquals(expectedFlags(), actualFlags());
  }
}
