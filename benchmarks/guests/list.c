/* A walk of a shuffled list of 16384 nodes (512 KiB), 200 times: one load after the other. */
#include "guest.h"

#define NODES 16384

struct node {
  struct node *next;
  u64 value;
  u64 pad[2];
};

static struct node nodes[NODES];
static u32 order[NODES];

u32 round_of_work(void) {
  if (!nodes[0].next) {
    u32 x = 7;
    for (u32 i = 0; i < NODES; i++) {
      order[i] = i;
    }
    for (u32 i = NODES - 1; i > 0; i--) {
      x = x * 1103515245u + 12345u;
      u32 k = (x >> 8) % (i + 1);
      u32 t = order[i];
      order[i] = order[k];
      order[k] = t;
    }
    for (u32 i = 0; i < NODES; i++) {
      nodes[order[i]].next = &nodes[order[(i + 1) % NODES]];
      nodes[order[i]].value = i * 2654435761u;
    }
  }
  u64 sum = 0;
  struct node *n = &nodes[0];
  for (u32 i = 0; i < 200 * NODES; i++) {
    if (n->value & 64) {
      sum += n->value;
    } else {
      sum ^= n->value;
    }
    n = n->next;
  }
  return (u32)(sum ^ sum >> 32);
}
