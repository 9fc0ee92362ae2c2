/* A stack machine whose instructions are functions behind pointers: indirect calls. */
#include "guest.h"

struct machine {
  const u8 *at;
  u64 *top;
  u64 locals[4];
  u64 stack[16];
  int running;
};

static void push_byte(struct machine *m) { *++m->top = *m->at++; }
static void load_local(struct machine *m) { *++m->top = m->locals[*m->at++]; }
static void store_local(struct machine *m) { m->locals[*m->at++] = *m->top--; }
static void add(struct machine *m) { m->top--; m->top[0] += m->top[1]; }
static void subtract(struct machine *m) { m->top--; m->top[0] -= m->top[1]; }
static void multiply(struct machine *m) { m->top--; m->top[0] *= m->top[1]; }
static void exclusive_or(struct machine *m) { m->top--; m->top[0] ^= m->top[1]; }
static void shift_right(struct machine *m) { m->top--; m->top[0] >>= m->top[1] & 63; }
static void jump_not_zero(struct machine *m) {
  signed char distance = (signed char)*m->at++;
  if (*m->top--) {
    m->at += distance;
  }
}
static void halt(struct machine *m) { m->running = 0; }

static void (*const operations[])(struct machine *) = {
    push_byte, load_local, store_local,   add,  subtract,
    multiply,  exclusive_or, shift_right, jump_not_zero, halt};

enum { PUSH, LOAD, STORE, ADD, SUB, MUL, XOR, SHR, JNZ, HALT };

/* while (local 0) { local 1 = (local 1 * 31 + local 0) ^ local 1 >> 7; local 0 -= 1; } */
static const u8 program[] = {
    LOAD, 1, PUSH, 31, MUL, LOAD, 0, ADD, LOAD, 1, PUSH, 7, SHR, XOR, STORE, 1,
    LOAD, 0, PUSH, 1, SUB, STORE, 0, LOAD, 0, JNZ, (u8)-27, HALT};

static struct machine machine;

u32 round_of_work(void) {
  struct machine *m = &machine;
  m->at = program;
  m->top = m->stack;
  m->locals[0] = 100000;
  m->locals[1] = 1;
  m->running = 1;
  while (m->running) {
    operations[*m->at++](m);
  }
  return (u32)(m->locals[1] ^ m->locals[1] >> 32);
}
