# guest mode=real address=0x7c00
#
# From real mode to 64-bit mode, with its own page tables: the first 2 MB where they are, and once more at
# the start of the upper half of the address space. It writes through one address and reads through the other.

        .include "guest.inc"

        .set    PML4, 0x10000
        .set    PDPT, 0x11000
        .set    PD, 0x12000
        .set    ALIAS, 0xffff800000000000

        .code16
        .globl  _start
_start:
        cli
        cld
        movw    $PML4 >> 4, %ax         # three zeroed tables
        movw    %ax, %es
        xorw    %di, %di
        xorw    %ax, %ax
        movw    $3 * 4096 / 2, %cx
        rep stosw
        movl    $PDPT + 3, %es:0                # present, writable
        movl    $PDPT + 3, %es:8 * 256          # the upper half: 0xffff800000000000
        movl    $PD + 3, %es:PDPT - PML4
        movl    $0x83, %es:PD - PML4            # a page of 2 MB at 0

        movl    $0x20, %eax             # CR4.PAE
        movl    %eax, %cr4
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       # IA32_EFER
        rdmsr
        orl     $0x100, %eax            # LME
        wrmsr
        lgdt    gdt_register
        movl    %cr0, %eax
        orl     $0x80000001, %eax       # PG and PE
        movl    %eax, %cr0
        ljmp    $0x08, $long_mode

        .code64
long_mode:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x9000, %esp
        movl    $hello, %esi
        call    print

        movl    $product, %esi
        call    print
        movabs  $0x123456789abcdef0, %rax
        movabs  $0xfedcba987654321, %rcx
        mulq    %rcx                    # RDX:RAX
        movq    %rax, %r8
        movq    %rdx, %rax
        call    print_quad
        movq    %r8, %rax
        call    print_quad
        movl    $newline, %esi
        call    print

        movabs  $0x6b346d766b, %rax     # "kvm4k"
        movl    $0x20000, %edi
        movq    %rax, (%rdi)
        movabs  $ALIAS, %rbx
        movb    $'j', 4(%rbx,%rdi)      # through the alias
        movl    $alias, %esi
        call    print
        movl    %edi, %esi
        call    print
        movl    $newline, %esi
        call    print
        hlt

print_quad:
        movq    %rax, %r9
        shrq    $32, %rax
        call    print_hex
        movq    %r9, %rax
        jmp     print_hex

        print_function %eax, 8

hello:  .asciz  "Long mode: 64 bits, 4-level paging.\n"
product:
        .asciz  "64 x 64 bits = 0x"
alias:  .asciz  "One page, two addresses: "
newline:
        .asciz  "\n"

        .balign 8
gdt:    .quad   0
        .quad   0x00af9b000000ffff      # 0x08: 64-bit code
        .quad   0x00cf93000000ffff      # 0x10: data
gdt_register:
        .word   . - gdt - 1
        .long   gdt
