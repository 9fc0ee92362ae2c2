/* Copies, fills and searches by SSE2, 16 bytes at once. */
#include "guest.h"

enum { SIZE = 65536 };

typedef long long two __attribute__((vector_size(16)));
typedef char bytes __attribute__((vector_size(16)));

static u8 from[SIZE] __attribute__((aligned(4096)));
static u8 to[SIZE] __attribute__((aligned(4096)));

u32 round_of_work(void) {
  u32 sum = 0;
  for (int n = 0; n < 16; n++) {
    long long pattern = 0x0101010101010101LL * (n + 1);
    for (int k = 0; k < SIZE; k += 16) {
      *(two *)&from[k] = (two){pattern, pattern};
    }
    from[SIZE - 1 - n] = 0;
    for (int k = 0; k < SIZE; k += 16) {
      *(two *)&to[k] = *(two *)&from[k];
    }
    const bytes zero = {0};
    int at = 0;
    for (;; at += 16) {
      int mask = __builtin_ia32_pmovmskb128(*(bytes *)&to[at] == zero);
      if (mask) {
        at += __builtin_ctz((u32)mask);
        break;
      }
    }
    sum = sum * 31 + (u32)at;
  }
  return sum;
}
