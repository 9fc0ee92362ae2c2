/* What a benchmark guest gives and gets. */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

/* Does one round of the work and returns its checksum. The rounds of a guest are all alike. */
u32 round_of_work(void);

#endif
