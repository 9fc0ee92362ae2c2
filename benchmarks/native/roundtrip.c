// What the system calls of a VMM cost from C: the peer of NativeRoundTrip.java, which does the same
// through the bridge. For each line that it reads it prints one:
//   ns per KVM_RUN of a guest that does nothing but OUT, ns per KVM_CHECK_EXTENSION, ns per KVM_GET_REGS
// Usage: roundtrip [calls of each per line]
#include <err.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MEMORY = 0x10000, CODE_AT = 0x1000 };

static const unsigned char code[] = {0xe6, 0x10, 0xeb, 0xfc};  // out 0x10, al; jmp to it

// A VMM has a thread for each vCPU and more. In a process of one thread Linux looks descriptors up without counting
// references, which makes an ioctl some 60 ns cheaper than any VMM's.
static void *idle(void *nothing) {
  while (pause() < 0) {
  }
  return nothing;
}

static double nanoseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static int call(int fd, unsigned long request, void *argument, const char *name) {
  int result = ioctl(fd, request, argument);
  if (result < 0) {
    err(1, "%s", name);
  }
  return result;
}

static void *map(size_t size, int flags, int fd) {
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (memory == MAP_FAILED) {
    err(1, "mmap");
  }
  return memory;
}

int main(int argc, char **argv) {
  long calls = argc > 1 ? atol(argv[1]) : 5000;
  pthread_t second;
  if (pthread_create(&second, NULL, idle, NULL) != 0) {
    errx(1, "pthread_create");
  }
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) {
    err(1, "/dev/kvm");
  }
  int vm = call(kvm, KVM_CREATE_VM, 0, "KVM_CREATE_VM");
  unsigned char *memory = map(MEMORY, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  memcpy(memory + CODE_AT, code, sizeof code);
  struct kvm_userspace_memory_region slot = {
      .memory_size = MEMORY, .userspace_addr = (unsigned long)memory};
  call(vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
  int vcpu = call(vm, KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
  int size = call(kvm, KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE");
  volatile struct kvm_run *run = map(size, MAP_SHARED, vcpu);
  struct kvm_sregs sregs;
  call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
  struct kvm_regs regs = {.rip = CODE_AT, .rflags = 2};
  call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");

  char line[64];
  while (fgets(line, sizeof line, stdin)) {
    double start = nanoseconds();
    for (long i = 0; i < calls; i++) {
      call(vcpu, KVM_RUN, 0, "KVM_RUN");
      if (run->exit_reason != KVM_EXIT_IO || run->io.port != 0x10) {
        errx(1, "exit reason %u", run->exit_reason);
      }
    }
    double runs = nanoseconds();
    for (long i = 0; i < calls; i++) {
      call(kvm, KVM_CHECK_EXTENSION, 0, "KVM_CHECK_EXTENSION");
    }
    double checks = nanoseconds();
    for (long i = 0; i < calls; i++) {
      call(vcpu, KVM_GET_REGS, &regs, "KVM_GET_REGS");
    }
    double gets = nanoseconds();
    printf("%.1f %.1f %.1f\n", (runs - start) / calls, (checks - runs) / calls,
           (gets - checks) / calls);
    fflush(stdout);
  }
  return 0;
}
