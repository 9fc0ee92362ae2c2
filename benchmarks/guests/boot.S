# Multiboot 1 to long mode: one image for QEMU's -kernel, kvm4j's --kernel and GRUB.
# Maps the first GiB with 2 MiB pages, loads a stack and calls guest_main(command line).

        .set    FLAGS, 0x00000002               # the loader gives memory sizes
        .set    MAGIC, 0x1badb002

        .section .multiboot, "a"
        .align  4
        .long   MAGIC, FLAGS, -(MAGIC + FLAGS)

        .section .text.boot, "ax"
        .code32
        .globl  _start
_start:
        cli
        movl    %ebx, %esi                      # multiboot information
        movl    $pml4, %edi
        xorl    %eax, %eax
        movl    $(3 * 4096 / 4), %ecx
        cld
        rep stosl
        movl    $(pdpt + 3), pml4
        movl    $(pd + 3), pdpt
        movl    $pd, %edi
        movl    $0x83, %eax                     # present, writable, 2 MiB
1:      movl    %eax, (%edi)
        addl    $8, %edi
        addl    $0x200000, %eax
        cmpl    $0x40000083, %eax
        jne     1b

        movl    %cr4, %eax
        orl     $0x620, %eax                    # PAE, OSFXSR, OSXMMEXCPT
        movl    %eax, %cr4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx               # EFER
        rdmsr
        orl     $0x100, %eax                    # LME
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000001, %eax               # PG, PE
        movl    %eax, %cr0
        lgdt    gdt_pointer
        ljmp    $8, $long_mode

        .code64
long_mode:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    $stack_top, %esp
        xorl    %ebp, %ebp
        xorl    %edi, %edi
        testl   $4, (%rsi)                      # is there a command line?
        jz      2f
        movl    16(%rsi), %edi
2:      call    guest_main
3:      cli
        hlt
        jmp     3b

        .section .rodata
        .align  8
gdt:    .quad   0
        .quad   0x00af9b000000ffff              # 64-bit code
        .quad   0x00cf93000000ffff              # data
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt

        .bss
        .align  4096
pml4:   .skip   4096
pdpt:   .skip   4096
pd:     .skip   4096
        .skip   65536
stack_top:
        .section .note.GNU-stack, "", @progbits
