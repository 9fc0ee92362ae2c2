/* CRC-32 by table over 512 KiB, eight times: loads that depend on each other, shifts, XOR. */
#include "guest.h"

#define LENGTH (512 << 10)

static u32 table[256];
static u8 data[LENGTH];

u32 round_of_work(void) {
  if (!table[1]) {
    u32 x = 1;
    for (u32 i = 0; i < 256; i++) {
      u32 c = i;
      for (int k = 0; k < 8; k++) {
        c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
      }
      table[i] = c;
    }
    for (u32 i = 0; i < LENGTH; i++) {
      x = x * 1103515245u + 12345u;
      data[i] = (u8)(x >> 16);
    }
  }
  u32 crc = ~0u;
  for (int pass = 0; pass < 8; pass++) {
    for (u32 i = 0; i < LENGTH; i++) {
      crc = table[(crc ^ data[i]) & 0xff] ^ crc >> 8;
    }
  }
  return ~crc;
}
