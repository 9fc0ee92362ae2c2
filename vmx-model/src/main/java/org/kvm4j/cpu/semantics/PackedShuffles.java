package org.kvm4j.cpu.semantics;

import static org.kvm4j.cpu.semantics.PackedMath.put;
import static org.kvm4j.cpu.semantics.PackedMath.saturateSigned;
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
    unpack(
        LaneWords::unpackLowBytes, LaneWords::unpackHighBytes, Opcode.PUNPCKLBW, Opcode.PUNPCKHBW);
    unpack(
        LaneWords::unpackLowWords, LaneWords::unpackHighWords, Opcode.PUNPCKLWD, Opcode.PUNPCKHWD);
    unpack(
        LaneWords::unpackLowDoublewords,
        LaneWords::unpackHighDoublewords,
        Opcode.PUNPCKLDQ,
        Opcode.PUNPCKHDQ);
    unpack(
        LaneWords::unpackLowDoublewords,
        LaneWords::unpackHighDoublewords,
        Opcode.UNPCKLPS,
        Opcode.UNPCKHPS);
    both((v, at, w, imm) -> unpackWords(v, at >> 6, 0), Opcode.PUNPCKLQDQ, Opcode.UNPCKLPD);
    both((v, at, w, imm) -> unpackWords(v, at >> 6, 1), Opcode.PUNPCKHQDQ, Opcode.UNPCKHPD);
    pack(LaneWords::packSignedBytes, Opcode.PACKSSWB);
    pack(LaneWords::packSignedWords, Opcode.PACKSSDW);
    pack(LaneWords::packUnsignedBytes, Opcode.PACKUSWB);
    pack(LaneWords::packUnsignedWords, Opcode.PACKUSDW);
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

    one((v, at, w, imm) -> v.d[0] = LaneWords.words(v.b[0], imm), Opcode.PSHUFW);
    one((v, at, w, imm) -> permuteSingles(v, at >> 6, imm), Opcode.PSHUFD);
    one((v, at, w, imm) -> permuteHalf(v, at >> 6, 0, imm), Opcode.PSHUFLW);
    one((v, at, w, imm) -> permuteHalf(v, at >> 6, 1, imm), Opcode.PSHUFHW);
    one((v, at, w, imm) -> permuteSingles(v, at >> 6, 0xa0), Opcode.MOVSLDUP);
    one((v, at, w, imm) -> permuteSingles(v, at >> 6, 0xf5), Opcode.MOVSHDUP);
    one((v, at, w, imm) -> permuteDoubles(v, at, w, 0), Opcode.MOVDDUP);
    one(PackedShuffles::minimumPosition, Opcode.PHMINPOSUW);

    permutation(
        (v, at, w, imm) -> permuteSingles(v, at >> 6, imm),
        PackedShuffles::permuteSinglesBy,
        Opcode.VPERMILPS);
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

  /** Enters the instructions that interleave the elements of lower and of upper halves. */
  private static void unpack(
      LongBinaryOperator lower, LongBinaryOperator upper, Opcode ofLow, Opcode ofHigh) {
    both((v, at, width, imm) -> unpack(v, at >> 6, width, 0, lower, upper), ofLow);
    both((v, at, width, imm) -> unpack(v, at >> 6, width, 1, lower, upper), ofHigh);
  }

  /** An MMX register is both halves of its lane; of others one word is. */
  private static void unpack(
      VectorUnit v,
      int lane,
      int width,
      int half,
      LongBinaryOperator lower,
      LongBinaryOperator upper) {
    if (width == 64) {
      v.d[0] = (half == 0 ? lower : upper).applyAsLong(v.a[0], v.b[0]);
    } else {
      long a = v.a[lane + half];
      long b = v.b[lane + half];
      v.d[lane] = lower.applyAsLong(a, b);
      v.d[lane + 1] = upper.applyAsLong(a, b);
    }
  }

  private static void unpackWords(VectorUnit v, int lane, int half) {
    v.d[lane] = v.a[lane + half];
    v.d[lane + 1] = v.b[lane + half];
  }

  /** Enters an instruction that makes elements narrower: those of a, then those of b. */
  private static void pack(LongBinaryOperator operation, Opcode opcode) {
    both(
        (v, at, width, imm) -> {
          int lane = at >> 6;
          if (width == 64) {
            v.d[0] = operation.applyAsLong(v.a[0], v.b[0]);
          } else {
            v.d[lane] = operation.applyAsLong(v.a[lane], v.a[lane + 1]);
            v.d[lane + 1] = operation.applyAsLong(v.b[lane], v.b[lane + 1]);
          }
        },
        opcode);
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

  private static void permuteSingles(VectorUnit v, int lane, int order) {
    long low = v.b[lane];
    long high = v.b[lane + 1];
    v.d[lane] = LaneWords.doublewords(low, high, order);
    v.d[lane + 1] = LaneWords.doublewords(low, high, order >> 4);
  }

  /** PSHUFLW, PSHUFHW: the words of one half; the other half is copied. */
  private static void permuteHalf(VectorUnit v, int lane, int half, int imm) {
    v.d[lane + half] = LaneWords.words(v.b[lane + half], imm);
    v.d[lane + 1 - half] = v.b[lane + 1 - half];
  }

  /** In an MMX register bit 3 of an index counts for nothing. */
  private static void shuffleBytes(VectorUnit v, int at, int width, int imm) {
    int lane = at >> 6;
    if (width == 64) {
      v.d[0] = LaneWords.bytes(v.a[0], v.a[0], v.b[0]);
    } else {
      v.d[lane] = LaneWords.bytes(v.a[lane], v.a[lane + 1], v.b[lane]);
      v.d[lane + 1] = LaneWords.bytes(v.a[lane], v.a[lane + 1], v.b[lane + 1]);
    }
  }

  private static void align(VectorUnit v, int at, int width, int imm) {
    int lane = at >> 6;
    if (width == 64) {
      v.d[0] = LaneWords.alignLow(0, 0, v.b[0], v.a[0], imm);
    } else {
      v.d[lane] = LaneWords.alignLow(v.a[lane], v.a[lane + 1], v.b[lane], v.b[lane + 1], imm);
      v.d[lane + 1] = LaneWords.alignHigh(v.a[lane], v.a[lane + 1], v.b[lane], v.b[lane + 1], imm);
    }
  }

  private static void shuffleSingles(VectorUnit v, int at, int width, int imm) {
    int lane = at >> 6;
    v.d[lane] = LaneWords.doublewords(v.a[lane], v.a[lane + 1], imm);
    v.d[lane + 1] = LaneWords.doublewords(v.b[lane], v.b[lane + 1], imm >> 4);
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
