# guest mode=real address=0x7c00
#
# From real mode to protected mode, by its own descriptor table. In 32 bits it multiplies what does not fit
# into 16, reads through a segment with a base, and ends through the debug exit.

        .include "guest.inc"

        .code16
        .globl  _start
_start:
        cli
        lgdt    gdt_register
        movl    %cr0, %eax
        orl     $1, %eax                # CR0.PE
        movl    %eax, %cr0
        ljmp    $0x08, $protected

        .code32
protected:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x9000, %esp
        movl    $hello, %esi
        call    print

        movl    $product, %esi
        call    print
        movl    $0x12345, %eax
        movl    $0xabcd, %ecx
        mull    %ecx                    # EDX:EAX
        call    print_hex
        movl    $newline, %esi
        call    print

        movw    $0x18, %ax              # a segment that starts at "based"
        movw    %ax, %fs
        movl    $segment, %esi
        call    print
        movb    %fs:0, %al
        movw    $COM1, %dx
        outb    %al, %dx
        movb    %fs:1, %al
        outb    %al, %dx
        movl    $newline, %esi
        call    print

        xorl    %eax, %eax
        movw    $DEBUG_EXIT, %dx
        outl    %eax, %dx
1:      hlt
        jmp     1b

        print_function %eax, 8

hello:  .asciz  "Protected mode: 32 bits, flat segments.\n"
product:
        .asciz  "0x12345 * 0xabcd = 0x"
segment:
        .asciz  "Through a segment with a base: "
newline:
        .asciz  "\n"
based:  .ascii  "OK"

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9b000000ffff      # 0x08: code, flat
        .quad   0x00cf93000000ffff      # 0x10: data, flat
        .word   1, based                # 0x18: data, two bytes from "based" on
        .byte   0, 0x93, 0x40, 0
gdt_register:
        .word   . - gdt - 1
        .long   gdt
