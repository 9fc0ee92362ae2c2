/* The Mandelbrot set in double precision: a few registers, many multiplications. */
#include "guest.h"

enum { SIZE = 48, MOST = 100 };

u32 round_of_work(void) {
  u32 sum = 0;
  for (int py = 0; py < SIZE; py++) {
    for (int px = 0; px < SIZE; px++) {
      double cx = px * (3.0 / SIZE) - 2.0, cy = py * (2.0 / SIZE) - 1.0;
      double x = 0, y = 0;
      int n = 0;
      while (n < MOST && x * x + y * y < 4.0) {
        double t = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = t;
        n++;
      }
      sum = sum * 31 + (u32)n;
    }
  }
  return sum;
}
