/*
 * Records what the CPU makes of x87 instructions: operands, control word and depth of the stack in; registers,
 * tags, status word, RFLAGS and memory out.
 *
 *   cc -O1 -mno-red-zone -o x87 x87.c && ./x87 | gzip -9 > x87-zen4.bin.gz
 *   ./x87 functions | gzip -9 > x87-functions-zen4.bin.gz
 *
 * With "functions" it is the transcendental instructions, with operands of their ranges; a number that follows makes
 * records by as many times more.
 *
 * Output: lines of text, the last of them empty: the CPU, the instructions in hex. Then the operands: their
 * number (2 bytes) and 10 bytes each. Then records to the end: the number of the instruction (1), control
 * word (2), registers loaded (1), CF, PF and ZF before (1), the numbers of the operands in ST(0), ST(1) and
 * memory (2 each); status word (2), tag word (2), CF, PF and ZF after (1), and ST(0), ST(1) and memory (10 each)
 * after, xor the operands in ST(0), ST(1) and memory before. All little-endian. The
 * registers that are not loaded, and with 8 those below ST(1), hold 1.
 *
 * Memory is at [RDI]. Needs x86-64; no exception is ever taken, since nothing waits.
 */
#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef unsigned char value[10];

static const char *const instructions[] = {
  /* Two registers. The first ones are the arithmetic, which gets more records. */
  "d8c1", "d8e1", "d8e9", "d8c9", "d8f1", "d8f9", "d9fa", "d9fc", "d9fd", "d9f8", "d9f5", "d917", "dd17",
  "def9", "dee9", "dce9", "d9f4", "d9e5", "d9e4", "d9e0", "d9e1", "d8d1", "d8d9", "ded9", "dde1", "dde9", "dae9",
  "dbf1", "dbe9", "dff1", "dfe9", "d9c9", "d9c1", "ddd1", "ddd9", "dac1", "dac9", "dbd1", "dbd9",
  "d9e8", "d9e9", "d9ea", "d9eb", "d9ec", "d9ed", "d9ee", "d9f6", "d9f7", "ddc1", "dfc1",
  /* Memory. */
  "d907", "dd07", "db2f", "df07", "db07", "df2f", "d91f", "dd1f", "db3f", "df17", "db17", "df1f",
  "db1f", "df3f", "df0f", "db0f", "dd0f", "df37", "d807", "dc07", "d82f", "dc37", "d83f", "da07", "de3f",
  "d817", "dc1f", "da17",
  /* A packed decimal. */
  "df27",
};
#define ARITHMETIC 13

static const char *const functions[] = {"d9f0", "d9f1", "d9f2", "d9f3", "d9f9", "d9fb", "d9fe", "d9ff"};

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t next(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed * 0x2545f4914f6cdd1d;
}

static unsigned below(unsigned n) {
  return (next() >> 33) % n;
}

static const struct {
  uint16_t e;
  uint64_t s;
} special[] = {
  {0, 0}, {0, 1}, {0, 0x7fffffffffffffff}, {0, 0x8000000000000000}, {0, 0xc000000000000001},
  {0, 0x4000000000000000}, {1, 0x8000000000000000}, {1, 0xffffffffffffffff},
  {2, 0x8000000000000000}, {0x3fff, 0x8000000000000000}, {0x3fff, 0x8000000000000001},
  {0x3ffe, 0xffffffffffffffff}, {0x3fff, 0xc000000000000000}, {0x3ffe, 0x8000000000000000},
  {0x3ffe, 0x8000000000000001}, {0x3ffd, 0xffffffffffffffff}, {0x4000, 0x8000000000000000},
  {0x4000, 0xa000000000000000}, {0x4000, 0xc000000000000000}, {0x4001, 0xa000000000000000},
  {0x7ffe, 0xffffffffffffffff}, {0x7ffe, 0x8000000000000000}, {0x7fff, 0x8000000000000000},
  {0x7fff, 0xc000000000000000}, {0x7fff, 0xc000000000000001}, {0x7fff, 0xffffffffffffffff},
  {0x7fff, 0x8000000000000001}, {0x7fff, 0xa000000000000000}, {0x7fff, 0xbfffffffffffffff},
  {0x7fff, 0}, {0x7fff, 1}, {0x7fff, 0x4000000000000000}, {0x4000, 0x4000000000000000}, {0x3fff, 0},
  {0x403e, 0x8000000000000000}, {0x403d, 0xfffffffffffffffe}, {0x403d, 0xffffffffffffffff},
  {0x403e, 0xffffffffffffffff}, {0x403f, 0x8000000000000000},
  {0x401d, 0xffffffff00000000}, {0x401e, 0x8000000000000000}, {0x401e, 0x8000000080000000},
  {0x401d, 0xfffffffe00000000}, {0x400d, 0xffff000000000000}, {0x400d, 0xfffe000000000000},
  {0x400e, 0x8000000000000000}, {0x400e, 0x8000800000000000}, {0x400e, 0x8000800000000001},
  {0x403a, 0xde0b6b3a763fffff}, {0x403a, 0xde0b6b3a76400000}, {0x403a, 0xde0b6b3a763ffff0},
  /* The ends of single precision, and its denormals. */
  {0x407e, 0xffffff0000000000}, {0x407e, 0xffffff8000000000}, {0x407e, 0xffffff7fffffffff},
  {0x3f81, 0x8000000000000000}, {0x3f80, 0xffffffffffffffff}, {0x3f80, 0xffffff0000000000},
  {0x3f80, 0xffffff8000000000}, {0x3f80, 0xfffffe0000000000}, {0x3f6a, 0x8000000000000000},
  {0x3f69, 0x8000000000000000}, {0x3f69, 0x8000000000000001}, {0x3f69, 0xc000000000000000},
  {0x3f68, 0xffffffffffffffff},
  /* And of double precision. */
  {0x43fe, 0xfffffffffffff800}, {0x43fe, 0xfffffffffffffc00}, {0x43fe, 0xfffffffffffffbff},
  {0x3c01, 0x8000000000000000}, {0x3c00, 0xffffffffffffffff}, {0x3c00, 0xfffffffffffff800},
  {0x3c00, 0xfffffffffffffc00}, {0x3c00, 0xfffffffffffff000}, {0x3bcd, 0x8000000000000000},
  {0x3bcc, 0x8000000000000000}, {0x3bcc, 0x8000000000000001}, {0x3bcb, 0xffffffffffffffff},
  /* Halves of the last bit of 24 and of 53 bits. */
  {0x3fff, 0x8000008000000000}, {0x3fff, 0x8000018000000000}, {0x3fff, 0x8000000000000400},
  {0x3fff, 0x8000000000000c00}, {0x3fff, 0xffffff8000000000}, {0x3fff, 0xfffffffffffffc00},
  {0x7ffe, 0xffffff8000000000}, {0x7ffe, 0xfffffffffffffc00},
};
#define SPECIAL (sizeof special / sizeof *special)

static value operands[2000];
static unsigned registers, memories, decimals;
static int isFunctions;

static void set(value v, uint16_t e, uint64_t s) {
  memcpy(v, &s, 8);
  memcpy(v + 8, &e, 2);
}

static uint64_t fraction(void) {
  uint64_t s = next();
  switch (below(6)) {
    case 0: s &= ~(uint64_t)0 << below(64); break;
    case 1: s |= ~(uint64_t)0 >> below(64); break;
    case 2: s &= 0xffffff8000000000; break;
    case 3: s &= 0xfffffffffffffc00; break;
    default: break;
  }
  return s | (uint64_t)1 << 63;
}

static void makeOperands(void) {
  unsigned n = 0;
  for (unsigned k = 0; k < SPECIAL; k++) {
    set(operands[n++], special[k].e, special[k].s);
    set(operands[n++], special[k].e | 0x8000, special[k].s);
  }
  while (n < 560) {
    static const int around[] = {0x3fff, 0x3fff, 0x3fff, 0x401e, 0x403e, 0x407e, 0x3f81, 0x3f6a, 0x43fe, 0x3c01, 0x3bcd,
                                 0x7ff0, 0x10,   0x1fff, 0x5fff};
    int e = around[below(15)] + (int)below(27) - 13;
    uint64_t s = fraction();
    if (e < 1) {
      s >>= 1 + below(64);
      e = 0;
    }
    set(operands[n++], (e > 0x7ffe ? 0x7ffe : e) | (below(2) ? 0x8000 : 0), s);
  }
  if (isFunctions) {
    /* Multiples of pi and what is near; ends of ranges; what is about one, and about as great or small as matters. */
    static const uint64_t halves[] = {0xc90fdaa22168c234, 0xc90fdaa22168c235, 0xc90fdaa22168c236, 0x96cbe3f9990e91a7,
                                      0x95f619980c4336f7, 0xfb53d14aa9c2f2c2, 0xb504f333f9de6484, 0xb504f333f9de6485};
    for (unsigned k = 0; k < 8; k++)
      for (int e = 0x3ffb; e < 0x4044; e += e < 0x4003 ? 1 : 9) set(operands[n++], e | (below(2) ? 0x8000 : 0), halves[k]);
    for (unsigned k = 0; k < 60; k++) set(operands[n++], 0x3fff - (k & 1), k & 1 ? -1 - (uint64_t)below(5) : ((uint64_t)1 << 63) + below(5));
    while (n < 1400) {
      int e = below(3) ? 0x3fff + (int)below(8) - 6 : 0x3fff - 140 + (int)below(210);
      set(operands[n++], e | (below(3) ? 0 : 0x8000), fraction());
    }
  }
  registers = n;
  static const uint32_t single[] = {0, 1, 0x7fffff, 0x800000, 0x3f800000, 0x7f7fffff, 0x7f800000,
                                    0x7f800001, 0x7fa00000, 0x7fc00000, 0x7fc12345, 0x400000};
  for (unsigned k = 0; k < 60; k++) {
    uint64_t v = k < 12 ? single[k] : (uint32_t)next();
    if (below(2)) v ^= 0x80000000;
    set(operands[n++], 0, v);
  }
  static const uint64_t dbl[] = {0, 1, 0xfffffffffffff, 0x10000000000000, 0x3ff0000000000000, 0x7fefffffffffffff, 0x7ff0000000000000,
                                 0x7ff0000000000001, 0x7ff4000000000000, 0x7ff8000000000000, 0x7ff8123456789abc, 0x8000000000000};
  for (unsigned k = 0; k < 60; k++) {
    uint64_t v = k < 12 ? dbl[k] : next();
    if (below(2)) v ^= (uint64_t)1 << 63;
    set(operands[n++], 0x1234, v);
  }
  for (unsigned k = 0; k < 60; k++) {
    static const uint64_t whole[] = {0, 1, -1, 0x8000, 0x7fff, 0x80000000, 0x7fffffff, 0x7fffffffffffffff, (uint64_t)1 << 63};
    set(operands[n++], 0, k < 9 ? whole[k] : next() >> below(64));
  }
  memories = n;
  for (unsigned k = 0; k < 40; k++) {
    uint64_t v = 0;
    for (unsigned d = 0; d < 16; d++) v = v << 4 | (k < 2 ? k * 9 : below(10));
    set(operands[n++], below(10) << 4 | below(10) | (below(2) ? 0x8000 : 0), k == 0 ? 0 : v);
  }
  decimals = n;
}

static void put(const void *p, size_t n) {
  fwrite(p, 1, n, stdout);
}

static void difference(const unsigned char *a, const unsigned char *b) {
  for (int k = 0; k < 10; k++) putchar(a[k] ^ b[k]);
}

int main(int argc, char **argv) {
  isFunctions = argc > 1 && !strcmp(argv[1], "functions");
  const char *const *list = isFunctions ? functions : instructions;
  unsigned count = isFunctions ? sizeof functions / sizeof *functions : sizeof instructions / sizeof *instructions;
  unsigned times = argc > 2 ? atoi(argv[2]) : 1;
  static unsigned brand[13];
  for (unsigned k = 0; k < 3; k++) {
    unsigned *b = brand + 4 * k;
    __get_cpuid(0x80000002 + k, b, b + 1, b + 2, b + 3);
  }
  unsigned eax = 0, ebx, ecx, edx;
  __get_cpuid(1, &eax, &ebx, &ecx, &edx);
  printf("%s, signature %x\n", (char *)brand, eax);
  for (unsigned k = 0; k < count; k++) printf("%s%c", list[k], k + 1 < count ? ' ' : '\n');
  putchar('\n');
  makeOperands();
  uint16_t values = decimals;
  put(&values, 2);
  put(operands, 10 * values);

  unsigned char *code =
      mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (unsigned op = 0; op < count; op++) {
    unsigned b0, b1;
    sscanf(list[op], "%2x%2x", &b0, &b1);
    code[0] = b0;
    code[1] = b1;
    code[2] = 0xc3;
    int isDecimal = b0 == 0xdf && b1 == 0x27;
    int isMemory = b1 < 0xc0;
    unsigned records = (isFunctions ? 900 : op < ARITHMETIC ? 700 : 160) * times;
    for (unsigned k = 0; k < records; k++) {
      uint16_t ia = below(3) ? below(registers) : below(2 * SPECIAL);
      uint16_t ib = below(3) ? below(registers) : below(2 * SPECIAL);
      uint16_t im = isDecimal  ? memories + below(decimals - memories)
                    : isMemory ? below(memories)
                               : 0;
      if (isMemory && !isDecimal && below(4)) im = registers + below(memories - registers);
      static const unsigned precisions[] = {0, 2, 3, 3};
      uint16_t masks = below(4) ? 0x3f : below(64);
      uint16_t fcw = 0x40 | masks | precisions[below(4)] << 8 | below(4) << 10;
      unsigned char depth = below(12) ? 2 : (unsigned char[]){0, 1, 8}[below(3)];
      uint64_t flags = 2 | (uint64_t)((below(2) ? 1 : 0) | (below(2) ? 4 : 0) | (below(2) ? 64 : 0));
      unsigned char before = flags & 0x45;
      unsigned char memory[16], state[108];
      memcpy(memory, operands[im], 10);
      __asm__ volatile("fninit; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1; fninit" ::: "memory");
      if (depth == 8) __asm__ volatile("fld1; fld1; fld1; fld1; fld1; fld1");
      if (depth >= 2) __asm__ volatile("fldt %0" ::"m"(operands[ib]));
      if (depth >= 1) __asm__ volatile("fldt %0" ::"m"(operands[ia]));
      __asm__ volatile(
          "fldcw %3\n\tpush %0\n\tpopfq\n\tcall *%2\n\tpushfq\n\tpop %0\n\tfnsave %1\n\tfninit"
          : "+r"(flags), "=m"(state)
          : "r"(code), "m"(fcw), "D"(memory)
          : "memory", "cc");
      unsigned char number = op, after = flags & 0x45;
      put(&number, 1);
      put(&fcw, 2);
      put(&depth, 1);
      put(&before, 1);
      put(&ia, 2);
      put(&ib, 2);
      put(&im, 2);
      put(state + 4, 2);
      put(state + 8, 2);
      put(&after, 1);
      difference(state + 28, operands[ia]);
      difference(state + 38, operands[ib]);
      difference(memory, operands[im]);
    }
  }
  return 0;
}
