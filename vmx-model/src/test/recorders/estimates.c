/*
 * Records what RCPSS and RSQRTSS give, and checks that it is a table: of the upper 12 bits of the fraction, and for
 * RSQRTSS of the exponent's parity.
 *
 *   cc -O2 -o estimates estimates.c && ./estimates > estimates-zen4.bin
 *
 * Output: three tables of 4,096 fractions of 12 bits (2 bytes each, big-endian): of reciprocals, of reciprocals of
 * square roots of numbers in [1, 2) and in [2, 4). All of them are in [1/2, 1).
 */
#include <emmintrin.h>
#include <stdint.h>
#include <stdio.h>

static uint32_t estimate(uint32_t v, int root) {
  __m128 x = _mm_castsi128_ps(_mm_cvtsi32_si128(v));
  return _mm_cvtsi128_si32(_mm_castps_si128(root ? _mm_rsqrt_ss(x) : _mm_rcp_ss(x)));
}

int main(void) {
  static uint32_t tables[3][4096];
  for (int t = 0; t < 3; t++) {
    for (uint32_t k = 0; k < 4096; k++) {
      uint32_t r = estimate((t == 2 ? 128u : 127u) << 23 | k << 11, t > 0);
      if (r >> 23 != 126 || (r & 0x7ff) != 0) {
        fprintf(stderr, "table %d, entry %x: %08x\n", t, k, r);
        return 1;
      }
      tables[t][k] = r >> 11 & 0xfff;
      putchar(tables[t][k] >> 8);
      putchar(tables[t][k] & 0xff);
    }
  }
  /* Every positive normal number. */
  for (uint32_t v = 1 << 23; v < 255u << 23; v++) {
    int exponent = v >> 23, reciprocal = 253 - exponent, root = 126 - ((exponent - 127) >> 1);
    uint32_t k = v >> 11 & 0xfff;
    uint32_t r = reciprocal < 1 ? 0 : (uint32_t)reciprocal << 23 | tables[0][k] << 11;
    uint32_t s = (uint32_t)root << 23 | tables[exponent & 1 ? 1 : 2][k] << 11;
    if (estimate(v, 0) != r || estimate(v, 1) != s) {
      fprintf(stderr, "%08x is not as its table says\n", v);
      return 1;
    }
  }
  return 0;
}
