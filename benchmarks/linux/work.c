/*
 * The first process of a Linux guest that does system work when asked to.
 *
 * A line "NAME COUNT WORKERS" on the serial port has as many processes do the work so often each, and is answered by
 * "NAME COUNT WORKERS NS", the time in ns by the guest's own clock. With the argument "end" it ends
 * at once: it is its own program to execute.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 1024 };

static void check(int ok, const char *what) {
  if (!ok) {
    perror(what);
    reboot(RB_AUTOBOOT);
  }
}

/* The null system call. */
static void syscalls(long count) {
  while (count-- > 0) {
    syscall(SYS_getppid);
  }
}

/* A byte to another process and back, through two pipes: two context switches each. */
static void pipes(long count) {
  int there[2], back[2];
  char byte = 0;
  check(pipe(there) == 0 && pipe(back) == 0, "pipe");
  pid_t child = fork();
  check(child >= 0, "fork");
  if (child == 0) {
    for (long k = count; k > 0; k--) {
      check(read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1, "pipe");
    }
    _exit(0);
  }
  for (long k = count; k > 0; k--) {
    check(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1, "pipe");
  }
  waitpid(child, 0, 0);
  close(there[0]);
  close(there[1]);
  close(back[0]);
  close(back[1]);
}

/* A process that executes a program, which ends. */
static void forks(long count) {
  while (count-- > 0) {
    pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
      execl("/init", "/init", "end", (char *)0);
      _exit(1);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0, "exec");
  }
}

/* The first touch of a page; with the mapping and unmapping of 1,024 of them. */
static void faults(long count) {
  while (count > 0) {
    long pages = count < PAGES ? count : PAGES;
    char *at = mmap(0, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(at != MAP_FAILED, "mmap");
    madvise(at, PAGES * PAGE, MADV_NOHUGEPAGE);
    for (long k = 0; k < pages; k++) {
      at[k * PAGE] = 1;
    }
    munmap(at, PAGES * PAGE);
    count -= pages;
  }
}

/* A thousand steps of a generator of numbers: no system work at all. */
static void computes(long count) {
  volatile uint64_t result;
  uint64_t x = 88172645463325252u;
  for (long k = count * 1000; k > 0; k--) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
  }
  result = x;
  (void)result;
}

static const struct {
  const char *name;
  void (*work)(long count);
} WORKS[] = {
    {"syscall", syscalls}, {"pipe", pipes}, {"forkexec", forks}, {"fault", faults}, {"compute", computes},
};

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t measure(void (*work)(long), long count, int workers) {
  uint64_t start = now();
  if (workers == 1) {
    work(count);
  } else {
    for (int k = 0; k < workers; k++) {
      pid_t child = fork();
      check(child >= 0, "fork");
      if (child == 0) {
        work(count);
        _exit(0);
      }
    }
    for (int k = 0; k < workers; k++) {
      int status;
      check(wait(&status) > 0 && status == 0, "worker");
    }
  }
  return now() - start;
}

int main(int argc, char **argv) {
  /* The kernel gives init what it does not know of its own command line. */
  if (argc > 1 && strcmp(argv[1], "end") == 0) {
    return 0;
  }
  mkdir("/dev", 0755);
  mknod("/dev/ttyS0", S_IFCHR | 0600, makedev(4, 64));
  int tty = open("/dev/ttyS0", O_RDWR | O_NOCTTY);
  struct termios raw;
  tcgetattr(tty, &raw);
  cfmakeraw(&raw);
  tcsetattr(tty, TCSANOW, &raw);
  dup2(tty, 2);
  FILE *in = fdopen(tty, "r");
  dprintf(tty, "\nready\n");
  char line[128], name[32];
  long count;
  int workers;
  while (fgets(line, sizeof line, in)) {
    if (sscanf(line, "%31s %ld %d", name, &count, &workers) != 3) {
      dprintf(tty, "what is %s\n", line);
      continue;
    }
    for (size_t k = 0; k < sizeof WORKS / sizeof *WORKS; k++) {
      if (strcmp(WORKS[k].name, name) == 0) {
        uint64_t took = measure(WORKS[k].work, count, workers);
        dprintf(tty, "%s %ld %d %llu\n", name, count, workers, (unsigned long long)took);
      }
    }
  }
  reboot(RB_POWER_OFF);
}
