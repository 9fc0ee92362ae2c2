/* The planets' movement in double precision: SSE2 arithmetic, square roots and divisions. */
#include "guest.h"

enum { BODIES = 5 };

struct body {
  double x[3], v[3], mass;
};

static const struct body start[BODIES] = {
    {{0, 0, 0}, {0, 0, 0}, 39.47841760435743},
    {{4.841, -1.160, -0.103}, {0.606, 2.811, -0.025}, 0.0376},
    {{8.343, 4.124, -0.403}, {-1.010, 1.825, 0.008}, 0.0112},
    {{12.894, -15.111, -0.223}, {1.082, 0.868, -0.010}, 0.0017},
    {{15.379, -25.919, 0.179}, {0.979, 0.594, -0.034}, 0.0020}};

static double root(double x) {
  __asm__("sqrtsd %0, %0" : "+x"(x));
  return x;
}

static void advance(struct body *b, double dt) {
  for (int i = 0; i < BODIES; i++) {
    for (int j = i + 1; j < BODIES; j++) {
      double d[3], square = 0;
      for (int k = 0; k < 3; k++) {
        d[k] = b[i].x[k] - b[j].x[k];
        square += d[k] * d[k];
      }
      double magnitude = dt / (square * root(square));
      for (int k = 0; k < 3; k++) {
        b[i].v[k] -= d[k] * b[j].mass * magnitude;
        b[j].v[k] += d[k] * b[i].mass * magnitude;
      }
    }
  }
  for (int i = 0; i < BODIES; i++) {
    for (int k = 0; k < 3; k++) {
      b[i].x[k] += dt * b[i].v[k];
    }
  }
}

u32 round_of_work(void) {
  struct body b[BODIES];
  for (int i = 0; i < BODIES; i++) {
    b[i] = start[i];
  }
  for (int n = 0; n < 2000; n++) {
    advance(b, 0.001);
  }
  return (u32)(long)(b[1].x[0] * 1e6) ^ (u32)(long)(b[4].x[1] * 1e6);
}
