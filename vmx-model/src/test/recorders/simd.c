/*
 * Records what the CPU makes of vector instructions, at CPL 3: the whole XSAVE image (x87 and MMX registers, XMM,
 * YMM, MXCSR), general registers, RFLAGS and memory in and out. The instructions are those of simd.py:
 *
 *   python3 simd.py > simd.s && cc -O1 -static -no-pie -mno-red-zone -o simd simd.c simd.s && ./simd | gzip -9n > simd-zen4.bin.gz
 *
 * Output, little-endian: a line of text, the CPU. The number of operands (2 bytes) and 32 bytes each. The number of
 * forms (2), and each form: its length (1) and code, the number of vectors (1), and each vector: the numbers of 8
 * operands (1 each), then the exception (1; ff for none), then the number of runs of bytes that changed (1), each:
 * its offset in the state (2), its length (1), its bytes.
 *
 * The state is an XSAVE image of 832 bytes in the standard format, 16 general registers, RFLAGS (8 bytes), and 128
 * bytes of memory at RDI - 64. Before an instruction operand 0 to 3 are in YMM0 to YMM3; 4 and 5 at RDI and behind
 * it, 0 and 1 before it; 6 in MM0 to MM3; 7 in RAX, RCX, RDX, RBX. The other registers are as fill() makes them.
 * x87: TOP and tags follow from the operands' numbers. RDI is 32 below a page boundary and a multiple of 32; RSI is
 * 32 below the end of what can be read, where nothing is mapped.
 *
 * Not compared, and 0 in the state: the x87 FPU's last instruction, opcode and operand, MXCSR_MASK, all that is
 * reserved, the XSAVE header.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define CODE 0x10000UL
#define DATA 0x20000UL
#define RDI (DATA + 0x1000 - 32)
#define RSI (DATA + 0x3000 - 32)
#define IMAGE 832
#define MEMORY 128
#define FLAGS 0x202
#define ARITHMETIC 0x8d5

struct form {
  const uint8_t *start, *end;
  const char *kinds; /* of each operand: see pick() */
  uint32_t vectors, pad;
};
extern const struct form form_table[];
extern const uint32_t form_count;

struct state {
  uint8_t image[IMAGE];
  uint64_t r[16], flags;
  uint8_t memory[MEMORY];
} __attribute__((packed, aligned(64)));

/* Static and below 2 GiB: the thunk has absolute addresses. */
__attribute__((used, aligned(64))) struct state in, out;
__attribute__((used)) uint64_t host_rsp;
void enter(void), leave(void);
asm(".text\n.global enter, leave\n"
    "enter:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rsp, host_rsp\n"
    "  mov $7, %eax; xor %edx, %edx; xrstor64 in\n"
    "  pushq in+960; popfq\n"
    "  mov in+832, %rax; mov in+840, %rcx; mov in+848, %rdx; mov in+856, %rbx\n"
    "  mov in+872, %rbp; mov in+880, %rsi; mov in+888, %rdi\n"
    "  mov in+896, %r8; mov in+904, %r9; mov in+912, %r10; mov in+920, %r11\n"
    "  mov in+928, %r12; mov in+936, %r13; mov in+944, %r14; mov in+952, %r15\n"
    "  push $0x10000; ret\n"
    "leave:\n"
    "  mov %rax, out+832; mov %rcx, out+840; mov %rdx, out+848; mov %rbx, out+856\n"
    "  mov %rbp, out+872; mov %rsi, out+880; mov %rdi, out+888\n"
    "  mov %r8, out+896; mov %r9, out+904; mov %r10, out+912; mov %r11, out+920\n"
    "  mov %r12, out+928; mov %r13, out+936; mov %r14, out+944; mov %r15, out+952\n"
    "  pushfq; popq out+960\n"
    "  mov $7, %eax; xor %edx, %edx; xsave64 out\n"
    "  fninit; vzeroupper; pushq $0x1f80; ldmxcsr (%rsp)\n"
    "  mov host_rsp, %rsp\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "  ret\n");

static volatile int exception;
static sigjmp_buf back;

static void fault(int number, siginfo_t *info, void *context) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
  (void)info;
  if (m->gregs[REG_RIP] < (greg_t)CODE || m->gregs[REG_RIP] >= (greg_t)CODE + 4096) {
    signal(number, SIG_DFL); /* a bug of the recorder's */
    return;
  }
  memcpy(out.image, m->fpregs, IMAGE);
  for (int i = 0; i < 16; i++) {
    out.r[i] = m->gregs[order[i]];
  }
  out.flags = m->gregs[REG_EFL];
  exception = m->gregs[REG_TRAPNO];
  siglongjmp(back, 1);
}

/* ---- operands ---- */

#define OPERANDS 240
static uint8_t operands[OPERANDS][32];
static uint64_t seed = 0x123456789;

static uint64_t random64(void) { /* SplitMix64 */
  uint64_t z = seed += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static uint64_t below(uint64_t n) { return (random64() >> 16) % n; }

/* The kinds of operands, by number. */
enum { ZERO = 0, ONES = 1, CORNERS = 2, RANDOM = 80, COUNTS = 140, TEXT = 180, PLACES = 220 };

static void make_operands(void) {
  static const uint64_t corners[] = {0, 1, 2, 0x7f, 0x80, 0x81, 0xff, 0x7fff, 0x8000, 0x8001, 0xffff, 0x7fffffff,
    0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffffffe};
  for (int n = 0; n < OPERANDS; n++) {
    uint8_t *to = operands[n];
    if (n == ZERO || n == ONES) {
      memset(to, n == ZERO ? 0 : 0xff, 32);
    } else if (n < RANDOM) { /* elements of one size, all corners of it, some of them equal */
      int size = 1 << n % 4;
      for (int k = 0; k < 32; k += size) {
        uint64_t c = corners[below(sizeof corners / sizeof *corners)];
        if (below(3) == 0) {
          c = 1ULL << (size * 8 - 1);
          c -= below(3) == 0;
        }
        memcpy(to + k, &c, size);
      }
      if (n % 5 == 0) {
        memcpy(to + 16, to, 16);
      }
    } else if (n < COUNTS) {
      for (int k = 0; k < 32; k += 8) {
        uint64_t value = random64();
        memcpy(to + k, &value, 8);
      }
    } else if (n < TEXT) { /* counts: small numbers in elements of one size */
      int size = 1 << n % 4;
      memset(to, 0, 32);
      for (int k = 0; k < 32; k += size) {
        to[k] = below(n % 3 ? 20 : 70);
      }
    } else if (n < PLACES) { /* strings over few characters, some ended */
      int size = n % 2 + 1;
      memset(to, 0, 32);
      for (int k = 0; k < 32; k += size) {
        uint64_t c = n % 4 < 2 ? 'a' + below(4) : below(5) ? 0x70 + below(32) : 0x7ff0 + below(32);
        memcpy(to + k, &c, size);
      }
      if (below(3)) {
        memset(to + below(16 / size) * size, 0, size);
      }
      if (below(3)) {
        memset(to + 16 + below(16 / size) * size, 0, size);
      }
    } else { /* places for gathers: small signed numbers of 4 or 8 bytes */
      for (int k = 0; k < 32; k += 4 << n % 2) {
        int64_t place = (int64_t)below(64) - 48;
        memcpy(to + k, &place, 4 << n % 2);
      }
    }
  }
}

static int pick(char kind) {
  switch (kind) {
    case 'n': return COUNTS + below(TEXT - COUNTS);
    case 't': return TEXT + below(PLACES - TEXT);
    case 'p': return PLACES + below(2) + 2 * below((OPERANDS - PLACES) / 2);
    case 'q': return PLACES + 1 + 2 * below((OPERANDS - PLACES) / 2); /* of 8 bytes */
    case 'd': return PLACES + 2 * below((OPERANDS - PLACES) / 2); /* of 4 bytes */
    default:
      switch (below(8)) {
        case 0: return below(2);
        case 1: return COUNTS + below(TEXT - COUNTS);
        case 2: case 3: return RANDOM + below(COUNTS - RANDOM);
        default: return CORNERS + below(RANDOM - CORNERS);
      }
  }
}

/* ---- the state ---- */

static void fill(struct state *s, const uint8_t *choice) {
  memset(s, 0, sizeof *s);
  for (int k = 0; k < IMAGE; k++) {
    s->image[k] = (k * 37 + 11) & 0xff;
  }
  memset(s->image, 0, 32);
  memset(s->image + 416, 0, 160);
  s->image[0] = 0x7f;
  s->image[1] = 3;
  s->image[3] = (choice[0] & 7) << 3; /* TOP */
  s->image[4] = choice[1];            /* tags */
  s->image[24] = 0x80;
  s->image[25] = 0x1f;
  s->image[512] = 7;
  for (int k = 0; k < 4; k++) {
    memcpy(s->image + 160 + 16 * k, operands[choice[k]], 16);
    memcpy(s->image + 576 + 16 * k, operands[choice[k]] + 16, 16);
  }
  for (int k = 0; k < 8; k++) {
    uint8_t *st = s->image + 32 + 16 * k;
    memset(st + 10, 0, 6);
    int physical = (k + choice[0]) & 7;
    if (physical < 4) {
      memcpy(st, operands[choice[6]] + 8 * physical, 8);
    }
  }
  for (int k = 0; k < 16; k++) {
    s->r[k] = 0x1111111111111111 * (uint64_t)k;
  }
  memcpy(s->r, operands[choice[7]], 32);
  s->r[4] = 0;
  s->r[6] = RSI;
  s->r[7] = RDI;
  s->flags = FLAGS | ((choice[0] & 1) ? ARITHMETIC : 0);
  memcpy(s->memory, operands[choice[0]], 32);
  memcpy(s->memory + 32, operands[choice[1]], 32);
  memcpy(s->memory + 64, operands[choice[4]], 32);
  memcpy(s->memory + 96, operands[choice[5]], 32);
}

/* What is not compared. */
static void normalize(struct state *s) {
  memset(s->image + 6, 0, 18);
  memset(s->image + 28, 0, 4);
  memset(s->image + 416, 0, 160);
  s->image[3] &= 0x7f;
  s->r[4] = 0;
  s->flags &= 0xcd5;
}

static void put(uint64_t value, int width) {
  for (int k = 0; k < width; k++) {
    putchar(value >> 8 * k & 0xff);
  }
}

static void one(const struct form *f) {
  uint8_t choice[8];
  for (int k = 0; k < 8; k++) {
    choice[k] = pick(f->kinds[k]);
  }
  fwrite(choice, 8, 1, stdout);
  fill(&in, choice);
  memset(&out, 0, sizeof out);
  uint8_t *window = (uint8_t *)RDI - 64;
  memcpy(window, in.memory, MEMORY);
  exception = 0xff;
  if (!sigsetjmp(back, 1)) {
    enter();
  }
  memcpy(out.memory, window, MEMORY);
  normalize(&in);
  normalize(&out);
  put(exception, 1);
  const uint8_t *a = (uint8_t *)&in, *b = (uint8_t *)&out;
  int size = IMAGE + 17 * 8 + MEMORY;
  for (int write = 0, runs = 0; write < 2; write++) {
    if (write) {
      put(runs, 1);
    }
    for (int i = 0; i < size; i++) {
      int length = 0;
      while (i + length < size && length < 255 && a[i + length] != b[i + length]) {
        length++;
      }
      /* A few bytes that are the same do not end a run. */
      for (int gap = 1; length && gap < 4; gap++) {
        if (i + length + gap < size && length + gap < 250 && a[i + length + gap] != b[i + length + gap]) {
          length += gap;
          while (i + length < size && length < 255 && a[i + length] != b[i + length]) {
            length++;
          }
          gap = 0;
        }
      }
      if (length) {
        runs++;
        if (write) {
          put(i, 2);
          put(length, 1);
          fwrite(b + i, length, 1, stdout);
        }
        i += length - 1;
      }
    }
  }
}

int main(void) {
  uint8_t *code = mmap((void *)CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  uint8_t *data = mmap((void *)DATA, 0x3000, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (code != (void *)CODE || data != (void *)DATA) {
    perror("mmap at fixed low addresses");
    return 1;
  }
  mprotect(data + 0x2000, 0x1000, PROT_READ);
  static uint8_t alternate[65536];
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
    sigaction(signals[i], &action, NULL);
  }
  unsigned brand[13] = {0}, a, b, c, d;
  for (int k = 0; k < 3; k++) {
    __cpuid(0x80000002 + k, brand[4 * k], brand[4 * k + 1], brand[4 * k + 2], brand[4 * k + 3]);
  }
  __cpuid(1, a, b, c, d);
  printf("%s, signature %x\n", (char *)brand, a);
  make_operands();
  put(OPERANDS, 2);
  fwrite(operands, sizeof operands, 1, stdout);
  put(form_count, 2);
  for (uint32_t k = 0; k < form_count; k++) {
    const struct form *f = &form_table[k];
    int length = f->end - f->start;
    put(length, 1);
    fwrite(f->start, length, 1, stdout);
    put(f->vectors, 1);
    memcpy(code, f->start, length);
    code[length] = 0xe9; /* jmp leave */
    int32_t distance = (int32_t)((uint64_t)leave - (CODE + length + 5));
    memcpy(code + length + 1, &distance, 4);
    seed = 0xcbf29ce484222325;
    for (const uint8_t *p = f->start; p < f->end; p++) {
      seed = (seed ^ *p) * 0x100000001b3;
    }
    for (uint32_t i = 0; i < f->vectors; i++) {
      one(f);
    }
  }
  return fflush(stdout) ? 1 : 0;
}
