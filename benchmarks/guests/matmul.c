/* Products of matrices of single precision, four elements at once. */
#include "guest.h"

enum { N = 48 };

typedef float four __attribute__((vector_size(16)));

static float a[N][N] __attribute__((aligned(16)));
static float b[N][N] __attribute__((aligned(16)));
static float c[N][N] __attribute__((aligned(16)));

u32 round_of_work(void) {
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j++) {
      a[i][j] = (float)((i * 7 + j * 3) % 17);
      b[i][j] = (float)((i * 5 + j * 11) % 13);
    }
  }
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j += 4) {
      four sum = {0, 0, 0, 0};
      for (int k = 0; k < N; k++) {
        float one = a[i][k];
        sum += (four){one, one, one, one} * *(four *)&b[k][j];
      }
      *(four *)&c[i][j] = sum;
    }
  }
  u32 check = 0;
  for (int i = 0; i < N; i++) {
    for (int j = 0; j < N; j++) {
      check = check * 31 + (u32)(int)c[i][j];
    }
  }
  return check;
}
