/* Recursive Fibonacci: calls, returns and the stack. */
#include "guest.h"

static u32 __attribute__((noinline)) fib(u32 n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

u32 round_of_work(void) {
  return fib(27);
}
