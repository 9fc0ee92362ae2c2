# guest mode=long address=0x100000
#
# A device in memory, at 0xd0000000: each access to its registers is an exit. What is written to its data
# register comes out again. It is read and written by 1, 4 and 8 bytes, and by an instruction that does both.

        .include "guest.inc"

        .set    ECHO, 0xd0000000
        .set    DATA, 8
        .set    COUNT, 16

        .code64
        .globl  _start
_start:
        movl    $ECHO, %ebp
        movl    (%rbp), %eax            # its identity
        movl    %eax, word(%rip)
        leaq    identity(%rip), %rsi
        call    print
        leaq    word(%rip), %rsi
        call    print

        movabs  $0x6465726f7272696d, %rax  # "mirrored"
        movq    %rax, DATA(%rbp)        # 8 bytes
        movb    $'!', DATA(%rbp)        # and one
        leaq    holds(%rip), %rsi
        call    print
        movl    COUNT(%rbp), %eax
        movl    %eax, %r8d
        call    print_hex
        leaq    line(%rip), %rdi
1:      movb    DATA(%rbp), %al         # byte for byte
        stosb
        decl    %r8d
        jnz     1b
        leaq    bytes(%rip), %rsi
        call    print
        leaq    line(%rip), %rsi
        call    print

        movl    $41, DATA(%rbp)
        incl    DATA(%rbp)              # a read, then a write
        leaq    increment(%rip), %rsi
        call    print
        movl    DATA(%rbp), %eax
        call    print_hex
        leaq    newline(%rip), %rsi
        call    print
        hlt

        print_function %eax, 2

identity:
        .asciz  "The device says "
holds:  .asciz  ".\nIt holds 0x"
bytes:  .asciz  " bytes: "
increment:
        .asciz  "41 incremented in the device: 0x"
newline:
        .asciz  ".\n"
word:   .long   0
        .byte   0
line:   .skip   9
        .asciz  "\n"
