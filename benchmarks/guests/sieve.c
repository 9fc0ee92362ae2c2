/* The sieve of Eratosthenes over 2 MiB: byte stores with a stride. */
#include "guest.h"

#define LIMIT (2 << 20)

static u8 composite[LIMIT];

u32 round_of_work(void) {
  u32 sum = 0;
  for (u32 i = 0; i < LIMIT; i++) {
    composite[i] = 0;
  }
  for (u32 i = 2; i < LIMIT; i++) {
    if (composite[i]) {
      continue;
    }
    sum = sum * 31 + i;
    for (u64 k = (u64)i * i; k < LIMIT; k += i) {
      composite[k] = 1;
    }
  }
  return sum;
}
