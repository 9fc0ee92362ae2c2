# guest mode=real address=0x7c00
#
# Real mode: 16-bit code at 0000:7C00, as a boot sector. It prints to the serial port with OUT and with
# REP OUTSB, adds up through a segment register, and halts.

        .include "guest.inc"

        .code16
        .globl  _start
_start:
        cld
        movw    $hello, %si
        movw    $COM1, %dx
1:      lodsb                           # one OUT, and so one exit, for each letter
        testb   %al, %al
        jz      2f
        outb    %al, %dx
        jmp     1b

2:      movw    $0x2000, %ax            # a segment: address 0x20000
        movw    %ax, %es
        xorw    %di, %di
        movw    $1, %ax
        movw    $100, %cx
3:      stosw                           # 1, 2, ... 100
        incw    %ax
        loop    3b
        xorw    %bx, %bx
        movw    $100, %cx
        xorw    %si, %si
4:      addw    %es:(%si), %bx
        addw    $2, %si
        loop    4b

        cmpw    $5050, %bx
        jne     5f
        movw    $sum, %si
        movw    $sum_end - sum, %cx
        rep outsb                       # a string of OUTs
5:      hlt

hello:  .asciz  "Hello from real mode.\n"
sum:    .ascii  "1 + 2 + ... + 100 = 5050, in segment 2000h.\n"
sum_end:
