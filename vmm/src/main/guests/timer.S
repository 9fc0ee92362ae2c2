# guest mode=protected address=0x100000
#
# Time: the PIT's counter 2 counts 10 ms down while the time-stamp counter runs; then the time-stamp counter
# alone measures as long again. How many rounds that takes depends on the machine; what is printed does not.

        .include "guest.inc"

        .set    TICKS, 11932            # 10 ms at 1.193182 MHz

        .code32
        .globl  _start
_start:
        inb     $0x61, %al
        andb    $~2, %al                # no sound
        orb     $1, %al                 # the gate: count
        outb    %al, $0x61
        movb    $0xb0, %al              # counter 2, both bytes, mode 0: one shot
        outb    %al, $0x43
        movb    $TICKS & 0xff, %al
        outb    %al, $0x42
        movb    $TICKS >> 8, %al
        outb    %al, $0x42

        rdtsc
        movl    %eax, %esi
        movl    %edx, %edi
1:      inb     $0x61, %al
        testb   $0x20, %al              # the counter's output
        jz      1b
        rdtsc
        subl    %esi, %eax
        sbbl    %edi, %edx
        movl    %eax, %ebp              # cycles in 10 ms
        orl     %edx, %eax
        jz      stopped

        movl    $pit, %esi
        call    print

        rdtsc
        movl    %eax, %esi
2:      pause
        rdtsc
        subl    %esi, %eax
        cmpl    %ebp, %eax
        jb      2b
        movl    $tsc, %esi
        call    print
        hlt

stopped:
        movl    $still, %esi
        call    print
        hlt

        print_function %eax, 8

pit:    .asciz  "10 ms by the PIT, and the TSC went on.\n"
tsc:    .asciz  "As long again by the TSC alone.\n"
still:  .asciz  "The TSC stands still.\n"
