# guest mode=long address=0x100000
#
# Software interrupts: a table of services behind INT 40h, and a breakpoint. A service finds its arguments in
# the interrupted registers, and the breakpoint's handler the address that it came from on the stack.

        .include "guest.inc"

        .set    CODE, 0x10              # the selector of the code that it starts with

        .code64
        .globl  _start
_start:
        movl    $3, %ecx
        leaq    breakpoint(%rip), %rax
        call    set_gate
        movl    $0x40, %ecx
        leaq    service(%rip), %rax
        call    set_gate
        lidt    idt_register(%rip)

        xorl    %edi, %edi              # service 0: print
        leaq    hello(%rip), %rsi
        int     $0x40

        movl    $1, %edi                # service 1: add up
        movl    $1000, %esi
        int     $0x40
        movl    %eax, %r8d
        xorl    %edi, %edi
        leaq    sum(%rip), %rsi
        int     $0x40
        movl    %r8d, %eax
        call    print_hex

        int3
after:
        leaq    newline(%rip), %rsi
        call    print
        hlt

# Puts a gate for vector ECX that leads to RAX.
set_gate:
        shll    $4, %ecx
        leaq    idt(%rip), %rdi
        addq    %rcx, %rdi
        movw    %ax, (%rdi)
        movw    $CODE, 2(%rdi)
        movw    $0x8e00, 4(%rdi)        # present, 64-bit interrupt gate
        shrq    $16, %rax
        movw    %ax, 6(%rdi)
        shrq    $16, %rax
        movl    %eax, 8(%rdi)
        ret

service:
        testl   %edi, %edi
        jnz     1f
        call    print
        iretq
1:      xorl    %eax, %eax              # the sum from 1 to ESI
2:      addl    %esi, %eax
        decl    %esi
        jnz     2b
        iretq

breakpoint:
        leaq    after(%rip), %rax
        cmpq    %rax, (%rsp)            # a trap: past INT3
        jne     1f
        leaq    trap(%rip), %rsi
        call    print
1:      iretq

        print_function %eax, 8

hello:  .asciz  "INT 40h prints this.\n"
sum:    .asciz  "INT 40h adds up: 0x"
trap:   .asciz  "\nINT3 breaks, and goes on behind itself."
newline:
        .asciz  "\n"

        .balign 16
idt_register:
        .word   0x41 * 16 - 1
        .quad   idt
idt:    .skip   0x41 * 16
