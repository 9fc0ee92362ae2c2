/*
 * Runs each form of forms.py with corner and random inputs on this processor, at CPL 3, and writes
 * what it did: registers, flags, a window of memory, the exception. record.sh builds and starts it.
 *
 * The output, all numbers big-endian, strings as Java's DataInput.readUTF reads them:
 *
 *   "KVMV" u16 version=1, string processor, string date
 *   u64 r[16] (RAX RCX RDX RBX RSP RBP RSI RDI R8..R15), u32 rflags: what each vector starts from
 *   u64 code address, u64 window address, u16 window length, window bytes
 *   u32 forms, and each form:
 *     string name, u8 mode (64 or 32), u8 length, code, u32 flags that the SDM leaves undefined
 *     u8 items, each: u16 target (0..15 a register, 16 flags, 0x100+n window offset n), u8 width,
 *       u8 kind (0 any value, 1 a count, 2 a number of a range, 3 a sign, 4 flag bits)
 *     u16 vectors, each:
 *       for each item its value, in its width, instead of what the vector would start from
 *       u8 exception vector, or 0xff
 *       u32 changed: bits 0..15 registers, bit 16 flags, bit 17 rip; for each u64 (flags u32) after
 *       u8 runs of changed memory, each: u8 offset, u8 length - 1, bytes
 *
 * After code without an exception RIP is at its end; after one it is the instruction's.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x1e000UL
#define DATA 0x20000UL
#define WINDOW 0x20f80UL
#define WINDOW_SIZE 256
#define BASE_FLAGS 0x202
#define SEEN 0x3c7fd7 /* all flags but RF and VM, which an exception's image has its own way with */

struct item {
  uint16_t target;
  uint8_t width, kind;
  uint32_t pad;
  int64_t lo, hi;
};

struct form {
  const char *name;
  const uint8_t *start, *end;
  uint32_t mode, undefined, vectors, items;
  struct item item[7];
};

extern const struct form form_table[];
extern const uint32_t form_count;

struct state {
  uint64_t r[16], flags;
};

/* Static and below 2 GiB: the thunk has absolute addresses, in 32-bit code as well. */
__attribute__((used)) struct state in, out;
__attribute__((used)) uint64_t host_rsp;
__attribute__((used)) struct {
  uint32_t offset;
  uint16_t selector;
} __attribute__((packed)) far_target;
void enter(void), leave(void), resume(void);

/* in is loaded, RSP last; FAR_TARGET leads to the code, which ends with a jump to leave. */
asm(".text\n"
    ".global enter, leave, resume\n"
    "enter:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rsp, host_rsp\n"
    "  pushq in+128; popfq\n"
    "  mov in, %rax; mov in+8, %rcx; mov in+16, %rdx; mov in+24, %rbx\n"
    "  mov in+40, %rbp; mov in+48, %rsi; mov in+56, %rdi\n"
    "  mov in+64, %r8; mov in+72, %r9; mov in+80, %r10; mov in+88, %r11\n"
    "  mov in+96, %r12; mov in+104, %r13; mov in+112, %r14; mov in+120, %r15\n"
    "  mov in+32, %rsp\n"
    "  ljmpl *far_target\n"
    "leave:\n"
    "  mov %rax, out; mov %rcx, out+8; mov %rdx, out+16; mov %rbx, out+24\n"
    "  mov %rsp, out+32; mov %rbp, out+40; mov %rsi, out+48; mov %rdi, out+56\n"
    "  mov %r8, out+64; mov %r9, out+72; mov %r10, out+80; mov %r11, out+88\n"
    "  mov %r12, out+96; mov %r13, out+104; mov %r14, out+112; mov %r15, out+120\n"
    "  mov host_rsp, %rsp\n"
    "  pushfq; popq out+128\n"
    "resume:\n"
    "  mov host_rsp, %rsp\n"
    "  pushq $0x202; popfq\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "  ret\n");

static volatile int exception;
static uint64_t exception_rip;

static void fault(int number, siginfo_t *info, void *context) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                REG_R12, REG_R13, REG_R14, REG_R15};
  greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
  (void)info;
  if (g[REG_RIP] < (greg_t)CODE || g[REG_RIP] >= (greg_t)CODE + 4096) {
    signal(number, SIG_DFL); /* a bug of the recorder's */
    return;
  }
  for (int i = 0; i < 16; i++) {
    out.r[i] = g[order[i]];
  }
  out.flags = g[REG_EFL];
  exception = g[REG_TRAPNO];
  exception_rip = g[REG_RIP];
  g[REG_RIP] = (greg_t)resume;
  g[REG_EFL] = 0x202;
  g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffL) | 0x33;
}

/* ---- inputs: deterministic, from the form's name ---- */

static uint64_t seed;

static uint64_t random64(void) { /* SplitMix64 */
  uint64_t z = seed += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

static uint64_t below(uint64_t n) { return random64() % n; }

static const uint64_t corners[] = {
    0, 1, 2, 3, 7, 8, 9, 0xa, 0xf, 0x10, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x100, 0x7ffe,
    0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff, 0x10000, 0x7ffffffe, 0x7fffffff, 0x80000000,
    0x80000001, 0xfffffffe, 0xffffffff, 0x100000000, 0x7ffffffffffffffe, 0x7fffffffffffffff,
    0x8000000000000000, 0x8000000000000001, 0xfffffffffffffffe, 0xffffffffffffffff,
    0xaaaaaaaaaaaaaaaa, 0x5555555555555555, 0x9999999999999999, 0x8080808080808080};

static uint64_t a_value(uint64_t last) {
  uint64_t corner = corners[below(sizeof corners / sizeof *corners)];
  switch (below(8)) {
    case 0: case 1: return corner;
    case 2: return corner | random64() << 32;
    case 3: return (corner & 0xffff) | random64() << 16;
    case 4: return below(256);
    case 5: return below(3) ? random64() : last;
    default: return random64();
  }
}

static uint64_t pick(const struct item *t, uint64_t last) {
  switch (t->kind) {
    case 0: return a_value(last);
    case 1: /* a count: bytes above it are there and must not matter */
      return (below(2) ? below(256) : below(66)) | (below(2) ? random64() << 8 : 0);
    case 2: return (uint64_t)t->lo + below((uint64_t)t->hi - (uint64_t)t->lo + 1);
    case 3:
      switch (below(8)) {
        case 0: case 1: case 2: return 0;
        case 3: case 4: return -1;
        case 5: return a_value(last);
        default: return below(16);
      }
    default: /* flags, all and none as well */
      switch (below(6)) {
        case 0: return BASE_FLAGS;
        case 1: return BASE_FLAGS | (t->lo & 0x8d5);
        default: return (random64() & t->lo) | (t->hi ? 0 : BASE_FLAGS);
      }
  }
}

/* ---- output ---- */

static FILE *file;

static void put(uint64_t value, int width) {
  while (--width >= 0) {
    putc(value >> width * 8 & 0xff, file);
  }
}

static void put_string(const char *s) {
  put(strlen(s), 2);
  fputs(s, file);
}

static uint64_t base[16], base32[16];
static uint8_t window[WINDOW_SIZE];

static void base_state(void) {
  seed = 1;
  for (int i = 0; i < 16; i++) {
    base[i] = random64();
  }
  base[4] = WINDOW + 0xb0;
  base[5] = 5;
  base[6] = WINDOW + 0x40;
  base[7] = WINDOW + 0xc0;
  for (int i = 0; i < 8; i++) {
    base32[i] = base[i] & 0xffffffff;
  }
  for (int i = 0; i < WINDOW_SIZE; i++) {
    window[i] = random64();
  }
}

static void one(const struct form *f) {
  uint8_t *memory = (uint8_t *)WINDOW, before[WINDOW_SIZE];
  memcpy(in.r, f->mode == 64 ? base : base32, sizeof in.r);
  in.flags = BASE_FLAGS;
  memset((void *)DATA, 0, 0x2000);
  memcpy(memory, window, WINDOW_SIZE);
  uint64_t last = 0;
  for (uint32_t k = 0; k < f->items; k++) {
    const struct item *t = &f->item[k];
    uint64_t value = last = pick(t, last);
    int width = t->target < 16 && f->mode == 32 && t->width > 4 ? 4 : t->width;
    put(value, width);
    if (t->target < 16) {
      in.r[t->target] = width == 8 ? value : value & 0xffffffff;
    } else if (t->target == 16) {
      in.flags = value;
    } else {
      memcpy(memory + t->target - 0x100, &value, width);
    }
  }
  memcpy(before, memory, WINDOW_SIZE);
  exception = 0xff;
  enter();
  if (exception == 0xff) {
    exception_rip = CODE + (f->end - f->start);
  }
  out.flags &= SEEN;
  put(exception, 1);
  uint32_t changed = (out.flags != in.flags) << 16;
  if (exception != 0xff && exception_rip != CODE) {
    changed |= 1 << 17;
  }
  int registers = f->mode == 64 ? 16 : 8;
  for (int i = 0; i < registers; i++) {
    if (f->mode == 32) {
      out.r[i] &= 0xffffffff;
    }
    changed |= (out.r[i] != in.r[i]) << i;
  }
  put(changed, 4);
  for (int i = 0; i < 16; i++) {
    if (changed >> i & 1) {
      put(out.r[i], 8);
    }
  }
  if (changed >> 16 & 1) {
    put(out.flags, 4);
  }
  if (changed >> 17 & 1) {
    put(exception_rip, 8);
  }
  for (int write = 0, runs = 0; write < 2; write++) {
    if (write) {
      put(runs, 1);
    }
    for (int i = 0; i < WINDOW_SIZE; i++) {
      int length = 0;
      while (i + length < WINDOW_SIZE && memory[i + length] != before[i + length]) {
        length++;
      }
      if (length) {
        runs++;
        if (write) {
          put(i, 1);
          put(length - 1, 1);
          fwrite(memory + i, length, 1, file);
        }
        i += length;
      }
    }
  }
}

int main(int argc, char **argv) {
  if (argc != 4 || !(file = fopen(argv[3], "wb"))) {
    fprintf(stderr, "usage: recorder PROCESSOR DATE FILE\n");
    return 2;
  }
  uint8_t *code = mmap((void *)CODE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  void *data = mmap((void *)DATA, 0x2000, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (code != (void *)CODE || data != (void *)DATA) {
    perror("mmap at fixed low addresses");
    return 1;
  }
  static uint8_t alternate[65536];
  stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  int signals[] = {SIGFPE, SIGSEGV, SIGILL, SIGBUS, SIGTRAP};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) {
    sigaction(signals[i], &action, NULL);
  }
  /* Compatibility mode uses DS and ES, which are null in a 64-bit program. GS:0 is the window. */
  asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(0x2b));
  syscall(SYS_arch_prctl, 0x1001 /* ARCH_SET_GS */, WINDOW);
  base_state();

  fputs("KVMV", file);
  put(1, 2);
  put_string(argv[1]);
  put_string(argv[2]);
  for (int i = 0; i < 16; i++) {
    put(base[i], 8);
  }
  put(BASE_FLAGS, 4);
  put(CODE, 8);
  put(WINDOW, 8);
  put(WINDOW_SIZE, 2);
  fwrite(window, WINDOW_SIZE, 1, file);
  put(form_count, 4);
  uint64_t vectors = 0;
  for (uint32_t k = 0; k < form_count; k++) {
    const struct form *f = &form_table[k];
    uint32_t length = f->end - f->start;
    put_string(f->name);
    put(f->mode, 1);
    put(length, 1);
    fwrite(f->start, length, 1, file);
    put(f->undefined, 4);
    put(f->items, 1);
    for (uint32_t i = 0; i < f->items; i++) {
      const struct item *t = &f->item[i];
      put(t->target, 2);
      put(t->target < 16 && f->mode == 32 && t->width > 4 ? 4 : t->width, 1);
      put(t->kind, 1);
    }
    put(f->vectors, 2);
    if (length > 255) {
      fprintf(stderr, "%s: %u bytes\n", f->name, length);
      return 1;
    }
    memcpy(code, f->start, length);
    if (f->mode == 64) {
      code[length] = 0xe9; /* jmp leave */
      int32_t distance = (int32_t)((uint64_t)leave - (CODE + length + 5));
      memcpy(code + length + 1, &distance, 4);
    } else {
      code[length] = 0xea; /* ljmp $0x33,$leave */
      uint32_t target = (uint32_t)(uint64_t)leave;
      memcpy(code + length + 1, &target, 4);
      code[length + 5] = 0x33;
      code[length + 6] = 0;
    }
    far_target.offset = CODE;
    far_target.selector = f->mode == 64 ? 0x33 : 0x23;
    seed = 0xcbf29ce484222325;
    for (const char *c = f->name; *c; c++) {
      seed = (seed ^ (uint8_t)*c) * 0x100000001b3;
    }
    for (uint32_t i = 0; i < f->vectors; i++) {
      one(f);
    }
    vectors += f->vectors;
  }
  if (fclose(file)) {
    perror(argv[3]);
    return 1;
  }
  printf("%u forms, %lu vectors\n", form_count, vectors);
  return 0;
}
