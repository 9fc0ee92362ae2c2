# guest mode=long address=0x100000
#
# Exceptions that the guest handles itself, through its own interrupt descriptor table: a division by zero, an
# undefined instruction, a selector past the descriptor table, a read and a write of a page that is not there.
# The handler prints the vector, the error code and for page faults CR2, and goes on after the instruction.

        .include "guest.inc"

        .set    CODE, 0x10              # the selector of the code that it starts with
        .set    NOWHERE, 0x123456000    # past the 4 GB that are mapped

        .code64
        .globl  _start
_start:
        leaq    idt(%rip), %rdi         # 32 gates
        leaq    stubs(%rip), %rbx
        movl    $32, %ecx
1:      movq    %rbx, %rax
        movw    %ax, (%rdi)
        movw    $CODE, 2(%rdi)
        movw    $0x8e00, 4(%rdi)        # present, 64-bit interrupt gate
        shrq    $16, %rax
        movw    %ax, 6(%rdi)
        shrq    $16, %rax
        movl    %eax, 8(%rdi)
        addq    $stub_size, %rbx
        addq    $16, %rdi
        decl    %ecx
        jnz     1b
        lidt    idt_register(%rip)

        .macro  expect_fault text
        leaq    1f(%rip), %r15          # where to go on
        leaq    2f(%rip), %rsi
        jmp     3f
2:      .asciz  "\text"
3:      call    print
        .endm

        expect_fault "1 / 0:            "
        xorl    %ecx, %ecx
        movl    $1, %eax
        xorl    %edx, %edx
        divl    %ecx
1:
        expect_fault "UD2:              "
        ud2
1:
        expect_fault "selector 0x1230:  "
        movw    $0x1230, %ax
        movw    %ax, %es
1:
        expect_fault "read of nowhere:  "
        movabs  $NOWHERE, %rax
        movl    8(%rax), %ecx
1:
        expect_fault "write to nowhere: "
        movabs  $NOWHERE, %rax
        movl    $1, 12(%rax)
1:
        leaq    done(%rip), %rsi
        call    print
        xorl    %eax, %eax
        movw    $DEBUG_EXIT, %dx
        outl    %eax, %dx
1:      hlt
        jmp     1b

# Thirty-two stubs of equal size: an error code where the processor pushes none, and the vector.
        .balign 16
        .set    stub_size, 16
stubs:
        .set    vector, 0
        .rept   32
        .balign 16
        .if     (vector != 8) && (vector != 17) && (vector != 21) && ((vector < 10) || (vector > 14))
        pushq   $0
        .endif
        pushq   $vector
        jmp     handler
        .set    vector, vector + 1
        .endr

handler:
        leaq    vector_text(%rip), %rsi
        call    print
        movq    (%rsp), %rax
        call    print_hex
        leaq    error_text(%rip), %rsi
        call    print
        movq    8(%rsp), %rax
        shrl    $8, %eax
        call    print_hex
        movq    8(%rsp), %rax
        call    print_hex
        cmpq    $14, (%rsp)
        jne     1f
        leaq    cr2_text(%rip), %rsi
        call    print
        movq    %cr2, %r8
        movl    $5, %r9d                # 40 bits
2:      leal    -1(%r9), %ecx
        shll    $3, %ecx
        movq    %r8, %rax
        shrq    %cl, %rax
        call    print_hex
        decl    %r9d
        jnz     2b
1:      leaq    newline(%rip), %rsi
        call    print
        addq    $16, %rsp
        movq    %r15, (%rsp)            # RIP
        iretq

        print_function %eax, 2

vector_text:
        .asciz  "vector 0x"
error_text:
        .asciz  ", error 0x"
cr2_text:
        .asciz  ", CR2 0x"
newline:
        .asciz  "\n"
done:   .asciz  "Five faults, all handled.\n"

        .balign 16
idt_register:
        .word   32 * 16 - 1
        .quad   idt
idt:    .skip   32 * 16
