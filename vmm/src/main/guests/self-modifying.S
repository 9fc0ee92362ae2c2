# guest mode=protected address=0x100000
#
# Code that changes itself: an operand, again and again; the very next instruction; a function that is
# copied, called, replaced by another and called again.

        .include "guest.inc"

        .code32
        .globl  _start
_start:
        movl    $operand, %esi
        call    print
        movl    $10, %ecx
        movw    $COM1, %dx
patched:
        movb    $'a', %al               # its operand goes from 'a' to 'j'
        outb    %al, %dx
        incb    patched + 1
        loop    patched

        movl    $next, %esi
        call    print
        movb    $0x43, 1f               # INC EBX
        xorl    %ebx, %ebx
1:      .byte   0x4b                    # DEC EBX, as it was assembled
        incl    %ebx
        leal    '0'(%ebx), %eax
        movw    $COM1, %dx
        outb    %al, %dx

        movl    $copied, %esi
        call    print
        movl    $seven, %esi
        call    install
        call    *%ebp
        outb    %al, %dx
        movb    $',', %al
        outb    %al, %dx
        movl    $eight, %esi
        call    install
        call    *%ebp
        outb    %al, %dx
        movb    $'\n', %al
        outb    %al, %dx
        xorl    %eax, %eax
        movw    $DEBUG_EXIT, %dx
        outl    %eax, %dx
1:      hlt
        jmp     1b

# Copies the function at ESI to where the other was.
install:
        movl    $0x20000, %edi
        movl    %edi, %ebp
        movl    $seven_end - seven, %ecx
        rep movsb
        ret

seven:  movb    $'7', %al
        nop
        ret
seven_end:
eight:  movb    $'8', %al
        nop
        ret

        print_function %eax, 8

operand:
        .asciz  "An operand that counts: "
next:   .asciz  "\nThe next instruction, changed: 1 + 1 = "
copied: .asciz  "\nOne address, two functions: "
