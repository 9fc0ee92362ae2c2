/* Copies, fills and searches by repeated string instructions. */
#include "guest.h"

enum { SIZE = 65536 };

static u8 from[SIZE] __attribute__((aligned(4096)));
static u8 to[SIZE] __attribute__((aligned(4096)));

u32 round_of_work(void) {
  u32 sum = 0;
  for (int n = 0; n < 64; n++) {
    void *d = from;
    u64 count = SIZE;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(count) : "a"(n + 1) : "memory");
    from[SIZE - 1 - n] = 0;
    d = to;
    void *s = from;
    count = SIZE / 8;
    __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
    d = to;
    count = SIZE;
    __asm__ volatile("repne scasb" : "+D"(d), "+c"(count) : "a"(0) : "memory", "cc");
    sum = sum * 31 + (u32)count;
  }
  return sum;
}
