# guest mode=long address=0x100000
#
# Work without exits: the sieve of Eratosthenes up to 20,000, in memory at 2 MB.

        .include "guest.inc"

        .set    LIMIT, 20000
        .set    SIEVE, 0x200000

        .code64
        .globl  _start
_start:
        cld
        movl    $SIEVE, %edi
        movl    $LIMIT, %ecx
        movb    $1, %al
        rep stosb
        movl    $2, %ebx                # the number
        xorl    %ebp, %ebp              # how many are prime
1:      cmpb    $0, SIEVE(%rbx)
        je      3f
        incl    %ebp
        movl    %ebx, %eax
        imull   %ebx, %eax              # its multiples from its square on
2:      cmpl    $LIMIT, %eax
        jae     3f
        movb    $0, SIEVE(%rax)
        addl    %ebx, %eax
        jmp     2b
3:      incl    %ebx
        cmpl    $LIMIT, %ebx
        jb      1b

        leaq    text(%rip), %rsi
        call    print
        movl    %ebp, %eax
        movl    $10, %ecx
        leaq    digits_end(%rip), %rsi
4:      xorl    %edx, %edx
        divl    %ecx
        addb    $'0', %dl
        decq    %rsi
        movb    %dl, (%rsi)
        testl   %eax, %eax
        jnz     4b
        call    print
        hlt

        print_function %eax, 8

text:   .asciz  "Primes below 20000: "
        .skip   10
digits_end:
        .asciz  ".\n"
