package org.kvm4j.cpu.fpu;

import java.io.BufferedInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;

/**
 * RCPPS and RSQRTPS: reciprocals, and those of square roots, to within 1.5 * 2^-12. What they are
 * exactly is the processor's own affair (SDM Vol. 2, RCPPS): here they are those of AMD's Zen 4,
 * for every operand, from the tables that {@code src/test/recorders/estimates.c} has read out of
 * one. They raise no exception, take denormals for zeroes and flush tiny results to zero, whatever
 * MXCSR says.
 */
public final class Estimates {
  private static final String RESOURCE = "estimates-zen4.bin";
  private static final int ENTRIES = 4096;
  private static final FloatFormat SINGLE = FloatFormat.SINGLE;

  private static final short[] RECIPROCALS = new short[ENTRIES];

  /** For numbers in [1, 2) and in [2, 4). */
  private static final short[][] ROOTS = new short[2][ENTRIES];

  static {
    try (InputStream raw = Estimates.class.getResourceAsStream(RESOURCE)) {
      if (raw == null) {
        throw new IOException("no resource " + RESOURCE);
      }
      DataInputStream in = new DataInputStream(new BufferedInputStream(raw));
      read(in, RECIPROCALS);
      read(in, ROOTS[0]);
      read(in, ROOTS[1]);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private Estimates() {}

  private static void read(DataInputStream in, short[] to) throws IOException {
    for (int k = 0; k < ENTRIES; k++) {
      to[k] = in.readShort();
    }
  }

  /** The reciprocal of a number of single precision, about. */
  public static int reciprocal(int x) {
    if (SINGLE.isNan(SimdFloat.extend(x))) {
      return x | (int) SINGLE.quiet;
    }
    int sign = x & 1 << 31;
    int exponent = x >>> 23 & 0xff;
    if (exponent == 0) {
      return sign | (int) SINGLE.infinity;
    }
    int result = 2 * SINGLE.bias - 1 - exponent;
    return result < 1 ? sign : sign | result << 23 | RECIPROCALS[x >>> 11 & 0xfff] << 11;
  }

  /** The reciprocal of the square root of a number of single precision, about. */
  public static int reciprocalRoot(int x) {
    if (SINGLE.isNan(SimdFloat.extend(x))) {
      return x | (int) SINGLE.quiet;
    }
    int exponent = x >>> 23 & 0xff;
    if (exponent == 0) {
      return x & 1 << 31 | (int) SINGLE.infinity;
    }
    if (x < 0) {
      return (int) SINGLE.indefinite;
    }
    if (exponent == SINGLE.maxExponent) {
      return 0;
    }
    int power = exponent - SINGLE.bias;
    return SINGLE.bias - 1 - (power >> 1) << 23 | ROOTS[power & 1][x >>> 11 & 0xfff] << 11;
  }
}
