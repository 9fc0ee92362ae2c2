/* Quicksort of 128 Ki numbers with a comparison by function pointer, and a check. */
#include "guest.h"

#define LENGTH (128 << 10)

static u32 array[LENGTH];

static int __attribute__((noinline)) ascending(const u32 *a, const u32 *b) {
  return *a < *b ? -1 : *a > *b;
}

int (*volatile comparison)(const u32 *, const u32 *) = ascending;

static void sort(u32 *a, long low, long high, int (*compare)(const u32 *, const u32 *)) {
  while (low < high) {
    u32 pivot = a[low + (high - low) / 2];
    long i = low;
    long k = high;
    while (i <= k) {
      while (compare(&a[i], &pivot) < 0) {
        i++;
      }
      while (compare(&a[k], &pivot) > 0) {
        k--;
      }
      if (i <= k) {
        u32 t = a[i];
        a[i] = a[k];
        a[k] = t;
        i++;
        k--;
      }
    }
    if (k - low < high - i) {
      sort(a, low, k, compare);
      low = i;
    } else {
      sort(a, i, high, compare);
      high = k;
    }
  }
}

u32 round_of_work(void) {
  u32 x = 99;
  for (u32 i = 0; i < LENGTH; i++) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    array[i] = x;
  }
  sort(array, 0, LENGTH - 1, comparison);
  u32 sum = 0;
  for (u32 i = 0; i < LENGTH; i++) {
    sum = sum * 31 + array[i];
    if (i && array[i - 1] > array[i]) {
      return 0xbad;
    }
  }
  return sum;
}
