/*
 * The frame of every benchmark guest: runs rounds of work and tells each round's checksum on the
 * serial port, so that whoever measures sees from outside how long a round takes.
 *
 * The command line's "rounds=N" says how many (default 1, 0 for ever); then it ends by the debug
 * exit at port 0xf4, or halts.
 */
#include "guest.h"

static void out8(unsigned short port, u8 value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char *s) {
  while (*s) {
    out8(0x3f8, (u8)*s++);
  }
}

static void print_hex(u32 value) {
  for (int shift = 28; shift >= 0; shift -= 4) {
    out8(0x3f8, (u8)"0123456789abcdef"[value >> shift & 15]);
  }
}

static u64 rounds_of(const char *line) {
  static const char key[] = "rounds=";
  if (!line) {
    return 1;
  }
  for (; *line; line++) {
    int k = 0;
    while (key[k] && line[k] == key[k]) {
      k++;
    }
    if (!key[k]) {
      u64 n = 0;
      for (line += k; *line >= '0' && *line <= '9'; line++) {
        n = n * 10 + (u64)(*line - '0');
      }
      return n;
    }
  }
  return 1;
}

void guest_main(const char *command_line) {
  u64 rounds = rounds_of(command_line);
  print("start\n");
  for (u64 i = 0; rounds == 0 || i < rounds; i++) {
    u32 sum = round_of_work();
    print("round ");
    print_hex(sum);
    print("\n");
  }
  out8(0xf4, 0);
}
