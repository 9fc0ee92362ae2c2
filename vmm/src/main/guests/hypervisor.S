# guest mode=long address=0x100000 bare-metal
#
# A hypervisor, as small as one can be: VMXON, a VMCS, VMLAUNCH of a guest, its exits handled, VMXOFF. The guest is
# the code at guest: below, in the same mode and page tables. It asks CPUID, which always exits; writes its text to a
# port, four characters at a time, which the hypervisor prints; and touches a page that EPT does not map, until the
# hypervisor maps it.
#
# hypervisor-broken.S is the same with two mistakes, which it mends when it hears of them.

        .include "guest.inc"

        # Where what VMX needs in memory is: a page each. Memory is zero at the start.
        .set    VMXON_REGION, 0x110000
        .set    VMCS, 0x111000
        .set    EPT_PML4, 0x112000
        .set    EPT_PDPT, 0x113000
        .set    EPT_PD, 0x114000
        .set    HOST_STACK, 0x116000
        .set    GUEST_STACK, 0x118000
        .set    TSS, 0x11a000
        .set    UNMAPPED, 0x200000      # beyond the first 2 MB, which is all that EPT maps at first

        .set    TEXT_PORT, 0x500        # the guest's: four characters, the last ones 0 at the end

        # Encodings of VMCS fields. SDM appendix B.
        .set    GUEST_RIP, 0x681e
        .set    GUEST_RFLAGS, 0x6820
        .set    GUEST_PHYSICAL_ADDRESS, 0x2400
        .set    CR3_TARGET_COUNT, 0x400a
        .set    VM_INSTRUCTION_ERROR, 0x4400
        .set    VM_EXIT_REASON, 0x4402
        .set    VM_EXIT_INSTRUCTION_LEN, 0x440c

        .code64
        .globl  _start
_start:
        # Segments of its own: a VM exit loads TR, which must not be null.
        lgdt    gdt_register(%rip)
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    %ax, %fs
        movw    %ax, %gs
        pushq   $0x08
        leaq    1f(%rip), %rax
        pushq   %rax
        lretq
1:      movw    $0x18, %ax
        ltr     %ax

        # 1. CPUID.1:ECX.VMX, IA32_FEATURE_CONTROL, CR4.VMXE. SDM 24.7 "Enabling and Entering VMX Operation".
        movl    $1, %eax
        cpuid
        btl     $5, %ecx
        jnc     no_vmx
        movl    $0x3a, %ecx
        rdmsr
        testb   $1, %al
        jnz     1f                      # locked already
        orl     $5, %eax                # locked, with VMXON outside of SMX operation
        wrmsr
1:      movq    %cr4, %rax
        btsq    $13, %rax
        movq    %rax, %cr4

        # 2. Both regions begin with the VMCS revision identifier, of IA32_VMX_BASIC.
        movl    $0x480, %ecx
        rdmsr
        movl    %eax, VMXON_REGION
        movl    %eax, VMCS
        vmxon   vmxon_pointer(%rip)
        jbe     failed
        leaq    in_root(%rip), %rsi
        call    print

        # 3. The VMCS: made clear, made current, filled.
        vmclear vmcs_pointer(%rip)
        jbe     failed
        vmptrld vmcs_pointer(%rip)
        jbe     failed
        call    write_controls
        call    write_registers
        leaq    fields(%rip), %rsi
        call    write_fields

        # 4. EPT: a PML4, a page-directory-pointer table, a page directory with one page of 2 MB, write-back.
        movq    $EPT_PDPT + 7, EPT_PML4
        movq    $EPT_PD + 7, EPT_PDPT
        movq    $0xb7, EPT_PD

launch:
        vmlaunch
        # It comes here if it fails: VMfail.
        jmp     failed

# Where VM exits come to: HOST_RIP. The guest's general registers are in the processor.
exited:
        pushq   %rdi
        pushq   %rsi
        pushq   %rbx
        pushq   %rdx
        pushq   %rcx
        pushq   %rax
        incl    exits(%rip)
        movl    $VM_EXIT_REASON, %edx
        vmread  %rdx, %rax
        testl   %eax, %eax
        js      entry_failed            # bit 31
        cmpw    $10, %ax
        je      cpuid_exit
        cmpw    $30, %ax
        je      port_exit
        cmpw    $48, %ax
        je      ept_exit
        cmpw    $12, %ax
        je      hlt_exit
        movq    %rax, %rdi
        leaq    unexpected(%rip), %rsi
        jmp     give_up

# CPUID: leaf 0x40000000 is ours.
cpuid_exit:
        movl    (%rsp), %eax
        cmpl    $0x40000000, %eax
        je      1f
        movl    8(%rsp), %ecx
        cpuid
        jmp     2f
1:      movl    name(%rip), %ebx
        movl    name+4(%rip), %ecx
        movl    name+8(%rip), %edx
2:      movq    %rax, (%rsp)
        movq    %rcx, 8(%rsp)
        movq    %rdx, 16(%rsp)
        movq    %rbx, 24(%rsp)
        jmp     skip

# OUT of EAX: the guest's text, from where its RAX is on the stack.
port_exit:
        movl    $0, 4(%rsp)
        movq    %rsp, %rsi
        call    print

# The guest goes on behind the instruction that exited.
skip:
        movl    $VM_EXIT_INSTRUCTION_LEN, %edx
        vmread  %rdx, %rcx
        movl    $GUEST_RIP, %edx
        vmread  %rdx, %rax
        addq    %rcx, %rax
        vmwrite %rax, %rdx
resume:
        popq    %rax
        popq    %rcx
        popq    %rdx
        popq    %rbx
        popq    %rsi
        popq    %rdi
        vmresume
        jmp     failed

# EPT violation: the page is mapped, and the instruction done again.
ept_exit:
        leaq    violation(%rip), %rsi
        call    print
        movl    $GUEST_PHYSICAL_ADDRESS, %edx
        vmread  %rdx, %rax
        movq    %rax, %rdi
        call    print_hex
        leaq    mapped(%rip), %rsi
        call    print
        movq    %rdi, %rax
        shrq    $21, %rax
        movq    %rax, %rcx
        shlq    $21, %rcx
        orq     $0xb7, %rcx
        movq    %rcx, EPT_PD(,%rax,8)
        jmp     resume

# HLT: the guest is done.
hlt_exit:
        leaq    halted(%rip), %rsi
        call    print
        movl    exits(%rip), %eax
        call    print_hex
        leaq    exits_text(%rip), %rsi
        call    print
        vmxoff
        jbe     failed
        leaq    left(%rip), %rsi
        call    print
        xorl    %eax, %eax
        outb    %al, $DEBUG_EXIT

# VMfail. The current VMCS has the error's number, if there is one.
failed:
        movl    $VM_INSTRUCTION_ERROR, %edx
        vmread  %rdx, %rdi
        leaq    vmfail(%rip), %rsi
        .ifdef  BROKEN
        call    print_number
        movl    $CR3_TARGET_COUNT, %edx # mended
        xorl    %eax, %eax
        vmwrite %rax, %rdx
        jmp     launch
        .else
        jmp     give_up
        .endif

# A VM exit that is a failed entry: the guest's state passed no check.
entry_failed:
        movq    %rax, %rdi
        leaq    entry_failure(%rip), %rsi
        .ifdef  BROKEN
        call    print_number
        addq    $6 * 8, %rsp
        movl    $GUEST_RFLAGS, %edx     # mended: bit 1 is always 1
        movl    $2, %eax
        vmwrite %rax, %rdx
        jmp     launch
        .endif

# Prints the text at RSI and RDI, and ends with an error.
give_up:
        call    print_number
        movb    $1, %al
        outb    %al, $DEBUG_EXIT
no_vmx:
        leaq    without_vmx(%rip), %rsi
        xorl    %edi, %edi
        jmp     give_up

print_number:
        call    print
        movq    %rdi, %rax
        call    print_hex
        leaq    newline(%rip), %rsi
        jmp     print

# Controls: what is wanted, and what the capability MSRs ask for. SDM A.2 "Reserved Controls and Default Settings".
write_controls:
        movl    $0x480, %ecx            # IA32_VMX_BASIC
        rdmsr
        xorl    %edi, %edi
        btl     $55 - 32, %edx          # are there the TRUE MSRs, of controls that may be 0 after all?
        jnc     1f
        movl    $0x48d - 0x481, %edi    # how far they are from the others
1:      leaq    controls(%rip), %rsi
2:      movl    (%rsi), %ecx
        cmpl    $0x48b, %ecx
        je      3f
        addl    %edi, %ecx
        call    write_control
        jmp     2b
3:      testl   %eax, %eax              # the primary controls, written last: bit 31 activates the secondary ones
        js      write_control
        ret

# Writes the controls of the table's row at RSI, of the MSR in ECX; EAX is what is written, RSI the next row.
write_control:
        rdmsr                           # EAX: what must be 1, EDX: what may be 1
        orl     8(%rsi), %eax
        andl    %edx, %eax
        movl    4(%rsi), %edx           # the field
        vmwrite %rax, %rdx
        addq    $12, %rsi
        ret

controls:                               # capability MSR, field, what is wanted
        .long   0x481, 0x4000, 0                        # pin-based
        .long   0x483, 0x400c, 1 << 21 | 1 << 20 | 1 << 9  # IA32_EFER is loaded and saved, 64-bit host
        .long   0x484, 0x4012, 1 << 15 | 1 << 9         # IA32_EFER is loaded, IA-32e mode guest
        .long   0x482, 0x4002, 1 << 31 | 1 << 24 | 1 << 7  # secondary controls, all ports and HLT exit
        .long   0x48b, 0x401e, 1 << 1                   # EPT, if there are secondary controls

# The guest has the host's control registers and IA32_EFER.
write_registers:
        movq    %cr0, %rax
        movl    $0x6c00, %edx           # HOST_CR0
        vmwrite %rax, %rdx
        movl    $0x6800, %edx           # GUEST_CR0
        vmwrite %rax, %rdx
        movq    %cr3, %rax
        movl    $0x6c02, %edx
        vmwrite %rax, %rdx
        movl    $0x6802, %edx
        vmwrite %rax, %rdx
        movq    %cr4, %rax
        movl    $0x6c04, %edx
        vmwrite %rax, %rdx
        movl    $0x6804, %edx
        vmwrite %rax, %rdx
        movl    $0xc0000080, %ecx
        rdmsr
        movl    $0x2c02, %edx           # HOST_IA32_EFER
        vmwrite %rax, %rdx
        movl    $0x2806, %edx           # GUEST_IA32_EFER
        vmwrite %rax, %rdx
        ret

# Writes the fields of the table at RSI.
write_fields:
1:      movl    (%rsi), %edx
        testl   %edx, %edx
        jz      2f
        movq    4(%rsi), %rax
        vmwrite %rax, %rdx
        addq    $12, %rsi
        jmp     1b
2:      ret

        .macro  field encoding, value
        .long   \encoding
        .quad   \value
        .endm

        .macro  segment number, selector, limit, rights
        field   (0x0800 + 2 * \number), \selector
        field   (0x4800 + 2 * \number), \limit
        field   (0x4814 + 2 * \number), \rights
        field   (0x6806 + 2 * \number), 0       # base
        .endm

fields:
        field   0x201a, (EPT_PML4 + 0x1e)       # EPT_POINTER: 4 levels, write-back
        field   0x2800, -1                      # VMCS_LINK_POINTER: none
        .ifdef  BROKEN
        field   CR3_TARGET_COUNT, 5             # 4 there are
        field   GUEST_RFLAGS, 0                 # bit 1 is 0
        .else
        field   GUEST_RFLAGS, 2
        .endif
        segment 0, 0x10, 0xffffffff, 0xc093     # ES
        segment 1, 0x08, 0xffffffff, 0xa09b     # CS: 64-bit code
        segment 2, 0x10, 0xffffffff, 0xc093     # SS
        segment 3, 0x10, 0xffffffff, 0xc093     # DS
        segment 4, 0x10, 0xffffffff, 0xc093     # FS
        segment 5, 0x10, 0xffffffff, 0xc093     # GS
        segment 6, 0, 0, 0x10000                # LDTR: unusable
        segment 7, 0x18, 0x67, 0x8b             # TR: busy
        field   GUEST_RIP, guest
        field   0x681c, GUEST_STACK             # GUEST_RSP
        field   0x681a, 0x400                   # GUEST_DR7
        field   0x0c00, 0x10                    # HOST_ES_SELECTOR
        field   0x0c02, 0x08                    # HOST_CS_SELECTOR
        field   0x0c04, 0x10                    # HOST_SS_SELECTOR
        field   0x0c06, 0x10                    # HOST_DS_SELECTOR
        field   0x0c08, 0x10                    # HOST_FS_SELECTOR
        field   0x0c0a, 0x10                    # HOST_GS_SELECTOR
        field   0x0c0c, 0x18                    # HOST_TR_SELECTOR
        field   0x6c0a, TSS                     # HOST_TR_BASE
        field   0x6c0c, gdt                     # HOST_GDTR_BASE
        field   0x6c14, HOST_STACK              # HOST_RSP
        field   0x6c16, exited                  # HOST_RIP
        .long   0

# ---- the guest

guest:
        movl    $0x40000000, %eax
        cpuid
        movl    %ebx, hears(%rip)
        movl    %ecx, hears+4(%rip)
        movl    %edx, hears+8(%rip)
        leaq    hello(%rip), %rsi
        call    say
        movl    $UNMAPPED, %edi
        movb    $'4', (%rdi)            # EPT violation: nothing is there
        movb    (%rdi), %al
        movb    %al, page(%rip)
        leaq    bye(%rip), %rsi
        call    say
        hlt

# The guest's text at RSI.
say:    movw    $TEXT_PORT, %dx
1:      movl    (%rsi), %eax
        outl    %eax, %dx
        addq    $4, %rsi
        shrl    $24, %eax
        jnz     1b
        ret

        print_function %eax, 8

in_root:
        .asciz  "Hypervisor: in VMX root operation.\n"
violation:
        .asciz  "Hypervisor: EPT violation at 0x"
mapped: .asciz  ", which is mapped now.\n"
halted: .asciz  "Hypervisor: the guest halts after 0x"
exits_text:
        .asciz  " exits.\n"
left:   .asciz  "Hypervisor: VMX operation left.\n"
vmfail: .asciz  "Hypervisor: VMfail, error 0x"
entry_failure:
        .asciz  "Hypervisor: the entry failed, exit reason 0x"
unexpected:
        .asciz  "Hypervisor: unexpected exit reason 0x"
without_vmx:
        .asciz  "This processor has no VMX.\n"
newline:
        .asciz  "\n"
name:   .ascii  "kvm4j's demo"
        .balign 4, 0
hello:  .ascii  "Guest: I run on "
hears:  .space  12
        .asciz  ".\n"
        .balign 4, 0
bye:    .ascii  "Guest: memory is there, and says "
page:   .space  1
        .asciz  "2.\n"

        .balign 8, 0
exits:  .long   0
        .balign 8
vmxon_pointer:
        .quad   VMXON_REGION
vmcs_pointer:
        .quad   VMCS
gdt:    .quad   0
        .quad   0x00af9b000000ffff      # 0x08: 64-bit code
        .quad   0x00cf93000000ffff      # 0x10: data
        .word   0x67, TSS & 0xffff      # 0x18: the TSS
        .byte   TSS >> 16, 0x89, 0, 0
        .quad   0
gdt_register:
        .word   . - gdt - 1
        .quad   gdt

