/*
 * Records what the CPU makes of the floating-point instructions of SSE, AVX, FMA and F16C: operands and MXCSR in;
 * registers, MXCSR, flags, x87 tags and exceptions out.
 *
 *   python3 simd-float-forms.py > forms.s && cc -O1 -mno-red-zone -o simd-float simd-float.c forms.s
 *   ./simd-float [RECORDS-PER-FORM [SEED]] | gzip -9 -n > simd-float-zen4.bin.gz
 *
 * Output: a line with the CPU; a line for each form: its code in hex, the kinds of the elements of YMM0, YMM1 and
 * YMM2 (s, d, h, i, l), what is looked at beside YMM0 and MXCSR (1 RCX, 2 MM0, 4 flags), and its text; an empty line.
 * Then for each kind in this order the number of its values (2 bytes) and the values (8 each). Then records to the
 * end: form (2), MXCSR (2), a seed for each operand (2 each); then exception (1: 0 none, 19 #XM), MXCSR after (2), CF
 * PF and ZF after (1, if looked at), RCX (8, if looked at), MM0 (8), TOP and abridged tags (1 each, if looked at),
 * and YMM0 as a byte with two bits for each 8 bytes (0 as before, 1 zero, 2 as in YMM1, 3 other) and the
 * others. All little-endian.
 *
 * An element of an operand is one of its kind's values: the one that hash() names. [RDI], RAX and MM2 hold what is in
 * YMM2; the x87 stack is empty, its TOP is 3; RCX, CF, PF and ZF are 0 before.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct form {
  const unsigned char *start;
  const char *text; /* the end of the code, too */
  char kinds[3];
  unsigned char looked;
};
extern const struct form form_table[];
extern const uint32_t form_count;

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed * 0x2545f4914f6cdd1d;
}

static unsigned below(unsigned n) { return (next() >> 33) % n; }

/* ---- values ---- */

static const char kinds[] = "sdhil";
static const unsigned counts[] = {360, 360, 160, 80, 100};
static uint64_t pool[5][400];

/* A number by its fields, some of them the ones at which something happens. */
static uint64_t number(int width, int exponent_bits, unsigned k) {
  int max = (1 << exponent_bits) - 1, bias = max >> 1;
  uint64_t ones = ((uint64_t)1 << width) - 1, top = (uint64_t)1 << (width - 1);
  const struct {
    int e;
    uint64_t f;
  } special[] = {
    {0, 0}, {0, 0}, {0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, top}, {0, top + 1}, {0, ones}, {0, ones - 1}, {1, 0}, {1, 0}, {1, 1}, {1, ones},
    {2, 0}, {2, 1}, {max - 1, ones}, {max - 1, ones}, {max - 1, ones - 1}, {max - 1, 0}, {max - 2, 0}, {max - 2, ones},
    {max, 0}, {max, 0}, {max, 0}, {max, top}, {max, top}, {max, top + 1}, {max, ones}, {max, 1}, {max, top - 1}, {max, top >> 1},
    {bias, 0}, {bias, 0}, {bias, 0}, {bias, 1}, {bias, 2}, {bias, 3}, {bias, ones}, {bias, top}, {bias, top + 1}, {bias, top - 1},
    {bias - 1, 0}, {bias - 1, 1}, {bias - 1, ones}, {bias - 1, ones - 1}, {bias - 1, top}, {bias + 1, 0}, {bias + 1, top},
    {bias + 1, top >> 1}, {bias - width, 0}, {bias - width - 1, 0}, {bias - width - 1, 1}, {bias - width - 2, 0},
    {bias - width - 2, ones}, {bias + width, 0}, {bias + width, 1}, {bias + width + 1, 1}, {bias + width - 1, 1},
    {bias + width - 1, ones}, {bias / 2, 0}, {bias / 2, 1}, {bias / 2 + 1, 0}, {bias / 2 + 1, ones}, {bias + bias / 2, 0},
    {bias + bias / 2, ones}, {bias + bias / 2 + 1, 0}, {bias - bias / 2, 1}, {bias - bias / 2 - 1, ones},
    /* The ends of the integers, and of single and half precision where they are inside. */
    {bias + 31, 0}, {bias + 30, ones}, {bias + 31, top}, {bias + 31, 1}, {bias + 63, 0}, {bias + 62, ones}, {bias + 63, 1},
    {bias + 30, ones << (width > 31 ? width - 30 : 0) & ones}, {bias + 30, (ones << (width > 31 ? width - 31 : 0)) & ones},
    {bias + 31, width > 31 ? (uint64_t)1 << (width - 31) : 0}, {bias + 31, width > 31 ? (uint64_t)1 << (width - 32) : 0},
    {bias + 127, width > 24 ? ones << (width - 23) & ones : 0}, {bias + 127, width > 24 ? ones << (width - 24) & ones : 0},
    {bias + 127, width > 24 ? (ones << (width - 24) & ones) - 1 : 0}, {bias - 126, 0}, {bias - 127, ones},
    {bias - 127, width > 24 ? ones << (width - 23) & ones : 0}, {bias - 127, width > 24 ? ones << (width - 24) & ones : 0},
    {bias - 149, 0}, {bias - 150, 0}, {bias - 150, 1}, {bias - 151, ones},
    {bias + 15, ones << (width - 10) & ones}, {bias + 15, ones << (width - 11) & ones}, {bias + 15, (ones << (width - 11) & ones) - 1},
    {bias + 16, 0}, {bias - 14, 0}, {bias - 15, ones}, {bias - 15, ones << (width - 10) & ones}, {bias - 15, ones << (width - 11) & ones},
    {bias - 24, 0}, {bias - 25, 0}, {bias - 25, 1}, {bias - 26, ones}, {bias - 16, top},
  };
  int e;
  uint64_t f;
  if (k < sizeof special / sizeof *special) {
    e = special[k].e;
    f = special[k].f;
    if (e < 0 || e > max) e = bias;
  } else {
    const int around[] = {bias, bias, bias, bias, bias + 3, bias + width, bias - width, bias / 2, bias + bias / 2, 3, max - 4, width + 4, max - width};
    e = around[below(13)] + (int)below(7) - 3;
    if (e < 0) e = 0;
    if (e >= max) e = max - 1;
    f = next();
    switch (below(6)) {
      case 0: f &= ~(uint64_t)0 << below(width); break;
      case 1: f |= ~(uint64_t)0 >> (64 - below(width) - 1); break;
      case 2: f &= 7; break;
      default: break;
    }
  }
  return (f & ones) | (uint64_t)e << width | (uint64_t)below(2) << (width + exponent_bits);
}

static void make_values(void) {
  for (unsigned k = 0; k < 400; k++) pool[0][k] = number(23, 8, k);
  for (unsigned k = 0; k < 400; k++) pool[1][k] = number(52, 11, k);
  for (unsigned k = 0; k < 400; k++) pool[2][k] = number(10, 5, k);
  static const uint64_t whole[] = {0, 1, -1, 0x7fffffff, 0x80000000, 0x80000001, 0xffffff, 0x1000000, 0x1000001, 0x1000003, 0x7fffffbf,
                                   0x7fffffc0, 0x7fffff40, 0x7fffff80, 0x7fffffffffffffff, (uint64_t)1 << 63, 0x7ffffffffffffdff,
                                   0x7ffffffffffffe00, 0x20000000000001, 0x20000000000003, 0x1fffffffffffff, 0x7fffff4000000000,
                                   0x7fffffc000000000, 0x7fffffbfffffffff, 0x8000008000000001};
  for (unsigned k = 0; k < 400; k++) {
    uint64_t v = k < sizeof whole / 8 ? whole[k] : next() >> below(64);
    if (below(2)) v = -v;
    pool[3][k] = (uint32_t)v;
    pool[4][k] = v;
  }
}

static uint32_t hash(uint32_t operand, uint32_t element) {
  uint32_t x = (operand * 16 + element) * 0x9e3779b1u;
  x ^= x >> 15;
  x *= 0x85ebca77u;
  x ^= x >> 13;
  return x;
}

static void fill(unsigned char *operand, char kind, unsigned operand_seed) {
  unsigned k = strchr(kinds, kind) - kinds;
  unsigned size = kind == 'h' ? 2 : kind == 's' || kind == 'i' ? 4 : 8;
  for (unsigned n = 0; n < 32 / size; n++)
    memcpy(operand + n * size, &pool[k][hash(operand_seed, n) % counts[k]], size);
}

/* ---- execution ---- */

static unsigned char *code;
static unsigned length;
static volatile int exception;

static void fault(int number, siginfo_t *info, void *context) {
  greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
  (void)info;
  if (g[REG_RIP] != (greg_t)code) {
    signal(number, SIG_DFL); /* a bug of the recorder's */
    return;
  }
  exception = g[REG_TRAPNO];
  g[REG_RIP] = (greg_t)(code + length);
}

static void put(const void *p, size_t n) { fwrite(p, 1, n, stdout); }

static struct {
  _Alignas(32) unsigned char before[3][32], after[32], legacy[512];
} s;

int main(int argc, char **argv) {
  unsigned per_form = argc > 1 ? atoi(argv[1]) : 60;
  static unsigned brand[13];
  for (unsigned k = 0; k < 3; k++) {
    unsigned *b = brand + 4 * k;
    __get_cpuid(0x80000002 + k, b, b + 1, b + 2, b + 3);
  }
  unsigned eax = 0, ebx, ecx, edx;
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  printf("%s, signature %x\n", (char *)brand, eax);
  for (unsigned f = 0; f < form_count; f++) {
    for (const unsigned char *c = form_table[f].start; c < (const unsigned char *)form_table[f].text; c++) printf("%02x", *c);
    printf(" %.3s %d %s\n", form_table[f].kinds, form_table[f].looked, form_table[f].text);
  }
  putchar('\n');
  make_values();
  for (unsigned k = 0; k < 5; k++) {
    uint16_t n = counts[k];
    put(&n, 2);
    put(pool[k], 8 * n);
  }
  if (argc > 2) seed += strtoull(argv[2], 0, 0);
  code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGFPE, &action, NULL);
  for (uint16_t n = 0; n < form_count; n++) {
    const struct form *f = &form_table[n];
    length = (const unsigned char *)f->text - f->start;
    memcpy(code, f->start, length);
    code[length] = 0xc3;
    for (unsigned r = 0; r < per_form; r++) {
      static const unsigned masks[] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0, 0x1f, 0x2f, 0x0f, 0x37, 0x3d, 0x3e};
      unsigned mask = masks[below(12)];
      if (!below(12)) mask = below(64);
      static const unsigned sticky[] = {0, 0x20, 0x20, 0x3f, 0x22};
      unsigned rounding = below(2) ? 0 : below(4);
      uint32_t mxcsr = sticky[below(5)] | mask << 7 | rounding << 13 | (below(4) ? 0 : 0x40) | (below(4) ? 0 : 0x8000);
      uint32_t mxcsr_before = mxcsr;
      uint16_t seeds[3];
      for (unsigned k = 0; k < 3; k++) {
        seeds[k] = next() >> 40;
        fill(s.before[k], f->kinds[k], seeds[k]);
      }
      uint64_t rcx = 0, flags = 0;
      exception = 0;
      __asm__ volatile(
          "fninit; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fninit\n\t"
          "fincstp; fincstp; fincstp\n\t"
          "movq %[c], %%mm2; fninit; fincstp; fincstp; fincstp\n\t"
          "vmovdqa %[a], %%ymm0; vmovdqa %[b], %%ymm1; vmovdqa %[c], %%ymm2\n\t"
          "mov %[c], %%rax; lea %[c], %%rdi; xor %%ecx, %%ecx\n\t"
          "push $2; popfq; ldmxcsr %[mxcsr]; call *%[code]\n\t"
          "fxsave64 %[legacy]\n\t"
          "pushfq; pop %[flags]\n\t"
          "stmxcsr %[mxcsr]; ldmxcsr %[initial]\n\t"
          "vmovdqa %%ymm0, %[after]; vzeroupper; fninit\n\t"
          : [mxcsr] "+m"(mxcsr), [legacy] "=m"(s.legacy), [after] "=m"(s.after), [flags] "=&r"(flags), "=&c"(rcx)
          : [a] "m"(s.before[0]), [b] "m"(s.before[1]), [c] "m"(s.before[2]), [code] "r"(code), [initial] "m"((uint32_t){0x1f80})
          : "rax", "rdi", "memory", "cc", "xmm0", "xmm1", "xmm2");
      put(&n, 2);
      put(&mxcsr_before, 2);
      put(seeds, 6);
      unsigned char vector = exception;
      put(&vector, 1);
      put(&mxcsr, 2);
      if (f->looked & 4) putchar(flags & 0x45);
      if (f->looked & 1) put(&rcx, 8);
      if (strstr(f->text, "pi")) {
        /* Registers are saved by their place in the stack, here from TOP. */
        unsigned top = s.legacy[3] >> 3 & 7;
        if (f->looked & 2) put(s.legacy + 32 + 16 * (-top & 7), 8);
        putchar(top);
        putchar(s.legacy[4]);
      }
      int kinds_of_quads = 0;
      for (int k = 0; k < 4; k++) {
        const unsigned char *q = s.after + 8 * k;
        int kind = !memcmp(q, s.before[0] + 8 * k, 8)   ? 0
                   : !memcmp(q, "\0\0\0\0\0\0\0", 8)    ? 1
                   : !memcmp(q, s.before[1] + 8 * k, 8) ? 2
                                                        : 3;
        kinds_of_quads |= kind << 2 * k;
      }
      putchar(kinds_of_quads);
      for (int k = 0; k < 4; k++)
        if ((kinds_of_quads >> 2 * k & 3) == 3) put(s.after + 8 * k, 8);
    }
  }
  return 0;
}
