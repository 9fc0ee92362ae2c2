package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.PackedMath.put;
import static org.kvm4j.cpu.semantics.PackedMath.saturateSigned;
import static org.kvm4j.cpu.semantics.PackedMath.saturateUnsigned;
import static org.kvm4j.cpu.semantics.PackedMath.sign;
import static org.kvm4j.cpu.semantics.PackedMath.zero;
import static org.kvm4j.cpu.semantics.VectorLanes.both;
import static org.kvm4j.cpu.semantics.VectorLanes.one;

import java.util.function.LongBinaryOperator;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.decode.OperandKind;
import org.kvm4j.cpu.fpu.VectorUnit;
import org.kvm4j.cpu.semantics.VectorLanes.Lane;

/**
 * Vector instructions that move elements within lanes: packing, unpacking, shuffles, blends,
 * horizontal sums. SDM Vol. 2, each instruction's page.
 */
final class PackedShuffles {
  private PackedShuffles() {}

  static void register() {
    both(unpack(8, 0), Opcode.PUNPCKLBW);
    both(unpack(16, 0), Opcode.PUNPCKLWD);
    both(unpack(32, 0), Opcode.PUNPCKLDQ, Opcode.UNPCKLPS);
    both(unpack(64, 0), Opcode.PUNPCKLQDQ, Opcode.UNPCKLPD);
    both(unpack(8, 1), Opcode.PUNPCKHBW);
    both(unpack(16, 1), Opcode.PUNPCKHWD);
    both(unpack(32, 1), Opcode.PUNPCKHDQ, Opcode.UNPCKHPS);
    both(unpack(64, 1), Opcode.PUNPCKHQDQ, Opcode.UNPCKHPD);
    both(narrow(8, (value, bits) -> saturateSigned(value, (int) bits)), Opcode.PACKSSWB);
    both(narrow(16, (value, bits) -> saturateSigned(value, (int) bits)), Opcode.PACKSSDW);
    both(narrow(8, (value, bits) -> saturateUnsigned(value, (int) bits)), Opcode.PACKUSWB);
    both(narrow(16, (value, bits) -> saturateUnsigned(value, (int) bits)), Opcode.PACKUSDW);
    both(horizontal(16, Long::sum), Opcode.PHADDW);
    both(horizontal(32, Long::sum), Opcode.PHADDD);
    both(horizontal(16, (x, y) -> saturateSigned(x + y, 16)), Opcode.PHADDSW);
    both(horizontal(16, (x, y) -> x - y), Opcode.PHSUBW);
    both(horizontal(32, (x, y) -> x - y), Opcode.PHSUBD);
    both(horizontal(16, (x, y) -> saturateSigned(x - y, 16)), Opcode.PHSUBSW);
    both(PackedShuffles::shuffleBytes, Opcode.PSHUFB);
    both(PackedShuffles::align, Opcode.PALIGNR);
    both(PackedShuffles::shuffleSingles, Opcode.SHUFPS);
    both(PackedShuffles::shuffleDoubles, Opcode.SHUFPD);
    both(PackedShuffles::differences, Opcode.MPSADBW);
    both((v, at, w, imm) -> blend(v, at, 32, imm >> at / 32), Opcode.BLENDPS, Opcode.VPBLENDD);
    both((v, at, w, imm) -> blend(v, at, 64, imm >> at / 64), Opcode.BLENDPD);
    both((v, at, w, imm) -> blend(v, at, 16, imm), Opcode.PBLENDW);

    one(permute(16), Opcode.PSHUFW);
    one(permute(32), Opcode.PSHUFD);
    one((v, at, w, imm) -> permuteHalf(v, at, 0, imm), Opcode.PSHUFLW);
    one((v, at, w, imm) -> permuteHalf(v, at, 1, imm), Opcode.PSHUFHW);
    one((v, at, w, imm) -> permute(v, at, 32, 0xa0), Opcode.MOVSLDUP);
    one((v, at, w, imm) -> permute(v, at, 32, 0xf5), Opcode.MOVSHDUP);
    one((v, at, w, imm) -> permute(v, at, 64, 0), Opcode.MOVDDUP);
    one(PackedShuffles::minimumPosition, Opcode.PHMINPOSUW);

    permutation(permute(32), PackedShuffles::permuteSinglesBy, Opcode.VPERMILPS);
    permutation(PackedShuffles::permuteDoubles, PackedShuffles::permuteDoublesBy, Opcode.VPERMILPD);
    blendBySign(8, Opcode.PBLENDVB);
    blendBySign(32, Opcode.BLENDVPS);
    blendBySign(64, Opcode.BLENDVPD);
  }

  // ---- entering ----

  /** Enters a permutation by an immediate or by a second source. */
  private static void permutation(Lane byImmediate, Lane bySource, Opcode opcode) {
    Handlers.putVectorOnly(
        opcode,
        (c, i) -> {
          if (i.kind2 == OperandKind.IMMEDIATE) {
            VectorOperands.read1(c, i, c.vector.b);
            VectorLanes.apply(c, i, byImmediate);
          } else {
            VectorOperands.sources(c, i);
            VectorLanes.apply(c, i, bySource);
          }
        });
  }

  /** Enters a blend by the highest bits of XMM0, or with VEX of operand 3. */
  private static void blendBySign(int bits, Opcode opcode) {
    Handlers.putVector(
        opcode,
        (c, i) -> {
          VectorUnit v = VectorOperands.sources(c, i);
          if (i.vex) {
            VectorOperands.read3(c, i, v.c);
          } else {
            VectorOperands.read2(c, i, v.c);
          }
          for (int at = 64 * VectorOperands.words(i) - bits; at >= 0; at -= bits) {
            put(v.d, at, bits, zero(sign(v.c, at, bits) < 0 ? v.b : v.a, at, bits));
          }
          VectorOperands.write0(c, i, v.d);
        });
  }

  // ---- packing and unpacking ----

  /** Interleaves the elements of one half, 0 or 1, of each source. */
  private static Lane unpack(int bits, int half) {
    return (v, at, width, imm) -> {
      int from = at + half * width / 2;
      for (int k = 0; k < width; k += 2 * bits) {
        put(v.d, at + k, bits, zero(v.a, from + k / 2, bits));
        put(v.d, at + k + bits, bits, zero(v.b, from + k / 2, bits));
      }
    };
  }

  /** Elements of twice the size, signed, made so many bits narrow: those of a, then those of b. */
  private static Lane narrow(int bits, LongBinaryOperator saturate) {
    return (v, at, width, imm) -> {
      for (int k = 0; k < width / 2; k += bits) {
        put(v.d, at + k, bits, saturate.applyAsLong(sign(v.a, at + 2 * k, 2 * bits), bits));
        put(
            v.d,
            at + width / 2 + k,
            bits,
            saturate.applyAsLong(sign(v.b, at + 2 * k, 2 * bits), bits));
      }
    };
  }

  /** Pairs of neighbours through a function: those of a, then those of b. */
  private static Lane horizontal(int bits, LongBinaryOperator f) {
    return (v, at, width, imm) -> {
      for (int k = 0; k < width / 2; k += bits) {
        int from = at + 2 * k;
        put(v.d, at + k, bits, f.applyAsLong(sign(v.a, from, bits), sign(v.a, from + bits, bits)));
        put(
            v.d,
            at + width / 2 + k,
            bits,
            f.applyAsLong(sign(v.b, from, bits), sign(v.b, from + bits, bits)));
      }
    };
  }

  // ---- shuffles ----

  private static Lane permute(int bits) {
    return (v, at, width, imm) -> {
      for (int k = 0; k < 4; k++) {
        put(v.d, at + k * bits, bits, zero(v.b, at + (imm >> 2 * k & 3) * bits, bits));
      }
    };
  }

  /** A permutation of a whole lane that is known beforehand: two bits for each element. */
  private static void permute(VectorUnit v, int at, int bits, int order) {
    for (int k = 0; k < 128 / bits; k++) {
      put(v.d, at + k * bits, bits, zero(v.b, at + (order >> 2 * k & 3) * bits, bits));
    }
  }

  /** PSHUFLW, PSHUFHW: the words of one half; the other half is copied. */
  private static void permuteHalf(VectorUnit v, int at, int half, int imm) {
    permute(16).apply(v, at + 64 * half, 64, imm);
    int other = (at >> 6) + 1 - half;
    v.d[other] = v.b[other];
  }

  private static void shuffleBytes(VectorUnit v, int at, int width, int imm) {
    for (int k = at; k < at + width; k += 8) {
      long index = zero(v.b, k, 8);
      long value = index >= 0x80 ? 0 : zero(v.a, at + ((int) index * 8 & width - 1), 8);
      put(v.d, k, 8, value);
    }
  }

  /** PALIGNR: both sources, a above b, shifted right by bytes. */
  private static void align(VectorUnit v, int at, int width, int imm) {
    for (int k = 0; k < width; k += 8) {
      int from = k + imm * 8;
      long value =
          from < width
              ? zero(v.b, at + from, 8)
              : from < 2 * width ? zero(v.a, at + from - width, 8) : 0;
      put(v.d, at + k, 8, value);
    }
  }

  private static void shuffleSingles(VectorUnit v, int at, int width, int imm) {
    for (int k = 0; k < 4; k++) {
      put(v.d, at + 32 * k, 32, zero(k < 2 ? v.a : v.b, at + 32 * (imm >> 2 * k & 3), 32));
    }
  }

  private static void shuffleDoubles(VectorUnit v, int at, int width, int imm) {
    int lane = at >> 6;
    v.d[lane] = v.a[lane + (imm >> lane & 1)];
    v.d[lane + 1] = v.b[lane + (imm >> lane + 1 & 1)];
  }

  private static void permuteDoubles(VectorUnit v, int at, int width, int imm) {
    int lane = at >> 6;
    v.d[lane] = v.b[lane + (imm >> lane & 1)];
    v.d[lane + 1] = v.b[lane + (imm >> lane + 1 & 1)];
  }

  private static void permuteSinglesBy(VectorUnit v, int at, int width, int imm) {
    for (int k = at; k < at + 128; k += 32) {
      put(v.d, k, 32, zero(v.a, at + 32 * (int) (zero(v.b, k, 32) & 3), 32));
    }
  }

  private static void permuteDoublesBy(VectorUnit v, int at, int width, int imm) {
    int lane = at >> 6;
    for (int k = lane; k < lane + 2; k++) {
      v.d[k] = v.a[lane + (int) (v.b[k] >> 1 & 1)];
    }
  }

  private static void blend(VectorUnit v, int at, int bits, int choice) {
    for (int k = 0; k < 128 / bits; k++) {
      put(v.d, at + k * bits, bits, zero((choice >> k & 1) != 0 ? v.b : v.a, at + k * bits, bits));
    }
  }

  // ---- sums and minima ----

  /**
   * MPSADBW: four bytes of b against four bytes of a at eight successive places. The immediate has
   * three bits for each lane.
   */
  private static void differences(VectorUnit v, int at, int width, int imm) {
    int choice = imm >> (at == 0 ? 0 : 3);
    int a = at + (choice >> 2 & 1) * 32;
    int b = at + (choice & 3) * 32;
    for (int k = 0; k < 8; k++) {
      long sum = 0;
      for (int j = 0; j < 32; j += 8) {
        sum += Math.abs(zero(v.a, a + 8 * k + j, 8) - zero(v.b, b + j, 8));
      }
      put(v.d, at + 16 * k, 16, sum);
    }
  }

  /** PHMINPOSUW: the least word and the first place where it is. */
  private static void minimumPosition(VectorUnit v, int at, int width, int imm) {
    long least = 0xffff;
    long place = 0;
    for (int k = 7; k >= 0; k--) {
      long value = zero(v.b, 16 * k, 16);
      if (value <= least) {
        least = value;
        place = k;
      }
    }
    v.d[0] = place << 16 | least;
    v.d[1] = 0;
  }
}
