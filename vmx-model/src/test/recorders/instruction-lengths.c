/*
 * Records what the CPU makes of bytes as instructions, in CPL 3: how many bytes it fetches, and whether it
 * raises #UD. The bytes are put at the end of a page, first one of them, then two, and so on; the
 * page after it is not mapped. While the CPU needs more bytes it faults on that page.
 *
 *   cc -O1 -o instruction-lengths instruction-lengths.c
 *   ./instruction-lengths 64|32|16 < hex > result
 *
 * Input: lines of up to 16 bytes in hex. Output: the number of bytes fetched, the signal
 * (TRAP: executed; ILL: #UD; SEGV: #PF or #GP; BUS, FPE), its si_code and si_addr. Leave out of the
 * input what enters the kernel (SYSCALL, SYSENTER, INT) or is emulated by it (SGDT, SIDT, SLDT, STR, SMSW under
 * UMIP). Needs Linux on x86-64 with modify_ldt.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define CODE 0x10000000UL
#define DATA 0x20000000UL
#define PAGE 0x1000UL

static unsigned char *code;
static pid_t child;
static struct user_regs_struct initial;

static void spawn(void) {
  child = fork();
  if (child == 0) {
    mmap((void *)(CODE + PAGE), PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mprotect((void *)CODE, PAGE, PROT_READ | PROT_EXEC);
    mmap((void *)(DATA - 0x10000), 0x20000, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    struct user_desc segment = {0};
    segment.base_addr = CODE;
    segment.limit = 0xffff;
    segment.contents = 2; /* code */
    segment.useable = 1;
    if (syscall(SYS_modify_ldt, 0x11, &segment, sizeof segment)) perror("modify_ldt");
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL);
  ptrace(PTRACE_GETREGS, child, 0, &initial);
}

static const char *name(int signal) {
  switch (signal) {
    case SIGTRAP: return "TRAP";
    case SIGILL: return "ILL";
    case SIGSEGV: return "SEGV";
    case SIGBUS: return "BUS";
    case SIGFPE: return "FPE";
    default: return "OTHER";
  }
}

int main(int argc, char **argv) {
  int mode = argc > 1 ? atoi(argv[1]) : 64;
  code = mmap((void *)CODE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (code == MAP_FAILED) {
    perror("mmap");
    return 1;
  }
  spawn();
  char line[256];
  while (fgets(line, sizeof line, stdin)) {
    unsigned char bytes[16] = {0};
    for (int i = 0; i < 16; i++) {
      unsigned value;
      if (sscanf(line + 2 * i, "%2x", &value) != 1) break;
      bytes[i] = value;
    }
    char result[64] = "none";
    int n;
    for (n = 1; n <= 16; n++) {
      memcpy(code + PAGE - n, bytes, n);
      struct user_regs_struct r = initial;
      r.rax = r.rbx = r.rcx = r.rdx = r.rsi = r.rdi = r.rbp = DATA;
      r.r8 = r.r9 = r.r10 = r.r11 = r.r12 = r.r13 = r.r14 = r.r15 = DATA;
      r.rsp = DATA + 0x100;
      r.eflags = 0x202;
      r.orig_rax = -1;
      r.rip = CODE + PAGE - n;
      if (mode != 64) r.ds = r.es = 0x2b;
      if (mode == 32) r.cs = 0x23;
      if (mode == 16) {
        r.cs = 7; /* the first entry of the LDT */
        r.rip = PAGE - n;
      }
      if (ptrace(PTRACE_SETREGS, child, 0, &r)) {
        perror("PTRACE_SETREGS");
        return 1;
      }
      ptrace(PTRACE_SINGLESTEP, child, 0, 0);
      int status;
      waitpid(child, &status, 0);
      if (!WIFSTOPPED(status)) {
        strcpy(result, "EXIT 0 0");
        spawn();
        break;
      }
      siginfo_t info = {0};
      ptrace(PTRACE_GETSIGINFO, child, 0, &info);
      int signal = WSTOPSIG(status);
      if (signal == SIGSEGV && (unsigned long)info.si_addr == CODE + PAGE) continue;
      snprintf(result, sizeof result, "%s %d %lx", name(signal), info.si_code,
               (unsigned long)info.si_addr);
      break;
    }
    printf("%d %s\n", n, result);
  }
  kill(child, SIGKILL);
  return 0;
}
