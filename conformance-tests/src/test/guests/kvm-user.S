# guest address=0x400000
#
# A VMM as small as one can be, and the first process of a Linux that it is tested on: a static ELF program without a
# library, as /init of an initial RAM disk. It loads the kernel's KVM modules, runs each of the guests in /guests/0,
# /guests/1 and so on by the ioctls of /dev/kvm, prints what they print, and powers off.
#
# A guest's file is struct kvm_regs, struct kvm_sregs, a line of 64 bytes to print before the guest runs (filled up
# with zeros), and pieces of its memory: address and length in 8 bytes each, and the bytes. Ports are COM1's transmit
# register, and 0xf4, a write to which ends the guest; at 0xd0000000 is a device in memory that gives back what it was
# given. How a guest ended is told by the number of its exit, "f4" for the port.

        # System calls. Linux arch/x86/entry/syscalls/syscall_64.tbl.
        .set    SYS_read, 0
        .set    SYS_write, 1
        .set    SYS_open, 2
        .set    SYS_close, 3
        .set    SYS_mmap, 9
        .set    SYS_munmap, 11
        .set    SYS_ioctl, 16
        .set    SYS_mount, 165
        .set    SYS_reboot, 169
        .set    SYS_finit_module, 313

        .set    O_RDWR, 2
        .set    PROT_READ_WRITE, 3
        .set    MAP_SHARED, 1
        .set    MAP_PRIVATE_ANONYMOUS, 0x22

        # Requests. Linux include/uapi/linux/kvm.h.
        .set    KVM_CREATE_VM, 0xae01
        .set    KVM_GET_VCPU_MMAP_SIZE, 0xae04
        .set    KVM_GET_SUPPORTED_CPUID, 0xc008ae05
        .set    KVM_CREATE_VCPU, 0xae41
        .set    KVM_SET_USER_MEMORY_REGION, 0x4020ae46
        .set    KVM_SET_TSS_ADDR, 0xae47
        .set    KVM_RUN, 0xae80
        .set    KVM_SET_REGS, 0x4090ae82
        .set    KVM_SET_SREGS, 0x4138ae84
        .set    KVM_SET_CPUID2, 0x4008ae90

        .set    KVM_EXIT_IO, 2
        .set    KVM_EXIT_MMIO, 6

        # struct kvm_run.
        .set    exit_reason, 8
        .set    io_direction, 32        # 1 is out
        .set    io_size, 33
        .set    io_port, 34
        .set    io_count, 36
        .set    io_data_offset, 40
        .set    mmio_address, 32
        .set    mmio_data, 40
        .set    mmio_length, 48
        .set    mmio_is_write, 52

        .set    COM1, 0x3f8
        .set    DEBUG_EXIT, 0xf4
        .set    ECHO, 0xd0000000

        .set    REGS_SIZE, 144
        .set    SREGS_SIZE, 312
        .set    TITLE_SIZE, 64
        .set    MEMORY_SIZE, 0x1000000
        .set    TSS_ADDRESS, 0xfffbd000 # three pages that KVM needs of processors without unrestricted guests
        .set    CPUID_ENTRIES, 256

        .set    BASE, 0x400000

        .code64
        .globl  _start
_start:
        # ELF header and one program header. System V ABI, "ELF Header".
        .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0
        .quad   0
        .short  2, 62                   # an executable, for x86-64
        .long   1
        .quad   begin
        .quad   program_header - _start, 0
        .long   0
        .short  64, 56, 1, 64, 0, 0
program_header:
        .long   1, 7                    # loaded; read, written, executed
        .quad   0, BASE, BASE
        .quad   end - _start
        .quad   end - _start + BSS_SIZE
        .quad   0x1000

# Calls the kernel; below zero is an error.
        .macro  call_kernel number
        movl    $\number, %eax
        syscall
        testq   %rax, %rax
        .endm

# The same where an error is the end: it is told with the line of this source.
        .macro  need number
        call_kernel \number
        movl    $1000f, %ebp
        js      failed
        .pushsection .text, 1
1000:   .asciz  "\number"
        .popsection
        .endm

        .macro  ioctl fd, request
        movl    \fd, %edi
        movl    $\request, %esi
        movl    $SYS_ioctl, %eax
        syscall
        movl    $1000f, %ebp
        testq   %rax, %rax
        js      failed
        .pushsection .text, 1
1000:   .asciz  "\request"
        .popsection
        .endm

begin:
        movl    $devtmpfs, %edi
        movl    $dev, %esi
        movl    $devtmpfs, %edx
        xorl    %r10d, %r10d
        xorl    %r8d, %r8d
        need    SYS_mount

        movl    $modules, %ebx
1:      movq    %rbx, %rdi              # a module's name, then its parameters
        xorl    %esi, %esi              # to be read alone: who could write it could not have it run
        need    SYS_open
        movl    %eax, %r15d
2:      incq    %rbx
        cmpb    $0, -1(%rbx)
        jne     2b
        movl    %eax, %edi
        movq    %rbx, %rsi
        xorl    %edx, %edx
        need    SYS_finit_module
        movl    %r15d, %edi
        need    SYS_close
3:      incq    %rbx
        cmpb    $0, -1(%rbx)
        jne     3b
        cmpb    $0, (%rbx)
        jne     1b

        movl    $kvm, %edi
        movl    $O_RDWR, %esi
        need    SYS_open
        movl    %eax, kvm_fd
        ioctl   kvm_fd, KVM_GET_VCPU_MMAP_SIZE
        movl    %eax, run_size
        movl    $CPUID_ENTRIES, cpuid
        movl    $cpuid, %edx
        ioctl   kvm_fd, KVM_GET_SUPPORTED_CPUID

next_guest:
        movl    $guest, %edi
        xorl    %esi, %esi
        call_kernel SYS_open
        js      power_off               # that was the last
        incb    guest_number
        movl    %eax, %r15d             # the file

        xorl    %edx, %edx
        ioctl   kvm_fd, KVM_CREATE_VM
        movl    %eax, vm_fd
        movl    $TSS_ADDRESS, %edx
        ioctl   vm_fd, KVM_SET_TSS_ADDR
        xorl    %edx, %edx
        ioctl   vm_fd, KVM_CREATE_VCPU
        movl    %eax, vcpu_fd

        movl    $MEMORY_SIZE, %esi
        movl    $MAP_PRIVATE_ANONYMOUS, %r10d
        movl    $-1, %r8d
        call    map
        movq    %rax, %r13              # the guest's memory
        movq    %rax, region_memory
        movl    $region, %edx
        ioctl   vm_fd, KVM_SET_USER_MEMORY_REGION
        movl    run_size, %esi
        movl    $MAP_SHARED, %r10d
        movl    vcpu_fd, %r8d
        call    map
        movq    %rax, %r14              # struct kvm_run

        movl    $REGS_SIZE + SREGS_SIZE + TITLE_SIZE, %edx
        movl    $regs, %esi
        call    read
        movl    $title, %esi
        call    print
1:      movl    $16, %edx
        movl    $piece, %esi
        call    read
        testl   %eax, %eax
        jz      2f
        movq    piece, %rsi
        addq    %r13, %rsi
        movq    piece + 8, %rdx
        call    read
        jmp     1b
2:      movl    %r15d, %edi
        need    SYS_close

        movl    $cpuid, %edx
        ioctl   vcpu_fd, KVM_SET_CPUID2
        movl    $sregs, %edx
        ioctl   vcpu_fd, KVM_SET_SREGS
        movl    $regs, %edx
        ioctl   vcpu_fd, KVM_SET_REGS

run:
        xorl    %edx, %edx
        ioctl   vcpu_fd, KVM_RUN
        movl    exit_reason(%r14), %eax
        cmpl    $KVM_EXIT_IO, %eax
        je      port
        cmpl    $KVM_EXIT_MMIO, %eax
        je      device

guest_ends:                             # with the number in EAX
        movl    $ended_number, %edi
        movl    $2, %ecx
        call    hexadecimal
        movl    $ended, %esi
        call    print
        movq    %r13, %rdi
        movl    $MEMORY_SIZE, %esi
        need    SYS_munmap
        movq    %r14, %rdi
        movl    run_size, %esi
        need    SYS_munmap
        movl    vcpu_fd, %edi
        need    SYS_close
        movl    vm_fd, %edi
        need    SYS_close
        jmp     next_guest

port:
        movq    io_data_offset(%r14), %rsi
        addq    %r14, %rsi
        movzbl  io_size(%r14), %edx
        imull   io_count(%r14), %edx
        cmpb    $1, io_direction(%r14)
        jne     1f
        movl    $DEBUG_EXIT, %eax
        cmpw    %ax, io_port(%r14)
        je      guest_ends
        cmpw    $COM1, io_port(%r14)
        jne     run
        call    write
        jmp     run
1:      movq    %rsi, %rdi              # no port can be read
        movl    %edx, %ecx
        movb    $-1, %al
        rep stosb
        jmp     run

# The device: its identity at 0, what it was given at 8, and how many bytes that are at 16.
device:
        movq    mmio_address(%r14), %rax
        movl    $ECHO, %edx
        subq    %rdx, %rax
        movl    mmio_length(%r14), %ecx
        cmpb    $0, mmio_is_write(%r14)
        je      1f
        cmpl    $8, %eax
        jne     run
        leaq    mmio_data(%r14), %rsi
        movl    held, %edi
        addl    %ecx, held
        addl    $echo, %edi
        rep movsb
        jmp     run
1:      movq    $0, mmio_data(%r14)
        cmpl    $8, %eax
        je      2f
        movl    $0x4f484345, %edx       # "ECHO"
        cmpl    $16, %eax
        cmovel  held, %edx
        movl    %edx, mmio_data(%r14)
        jmp     run
2:      subl    %ecx, held
        movl    $echo, %esi
        leaq    mmio_data(%r14), %rdi
        rep movsb
        movl    $echo, %edi
        movl    $32, %ecx
        rep movsb                       # the others move up
        jmp     run

# Maps RSI bytes, of file R8D with flags R10D.
map:
        xorl    %edi, %edi
        movl    $PROT_READ_WRITE, %edx
        xorl    %r9d, %r9d
        need    SYS_mmap
        ret

# Reads RDX bytes of the guest's file to RSI, or as many as are left; EAX is how many.
read:
        movl    %r15d, %edi
        need    SYS_read
        ret

# Prints the string at ESI.
print:
        movl    %esi, %edx
1:      incl    %edx
        cmpb    $0, -1(%rdx)
        jne     1b
        subl    %esi, %edx
        decl    %edx
# Prints RDX bytes at RSI.
write:
        movl    $1, %edi
        movl    $SYS_write, %eax
        syscall
        ret

# Writes EAX in ECX hexadecimal digits to EDI.
hexadecimal:
        movl    %eax, %edx
        andl    $15, %edx
        movb    digits(%rdx), %dl
        movb    %dl, -1(%rdi, %rcx)
        shrl    $4, %eax
        decl    %ecx
        jnz     hexadecimal
        ret

# Tells of the call whose name EBP has, and of its error in EAX.
failed:
        movl    $error_number, %edi
        movl    $8, %ecx
        call    hexadecimal
        movl    %ebp, %esi
        call    print
        movl    $error, %esi
        call    print

power_off:
        movl    $0xfee1dead, %edi       # reboot(2)
        movl    $672274793, %esi
        movl    $0x4321fedc, %edx
        movl    $SYS_reboot, %eax
        syscall
        jmp     power_off

dev:    .asciz  "/dev"
devtmpfs:
        .asciz  "devtmpfs"
modules:
        .asciz  "/kvm/irqbypass.ko", ""
        .asciz  "/kvm/kvm.ko", ""
        .asciz  "/kvm/kvm-intel.ko", "dump_invalid_vmcs=1"
        .byte   0
kvm:    .asciz  "/dev/kvm"
guest:  .ascii  "/guests/"
guest_number:
        .asciz  "0"
digits: .ascii  "0123456789abcdef"
ended:  .ascii  "end of the guest: exit "
ended_number:
        .asciz  "..\n"
error:  .ascii  " failed: "
error_number:
        .asciz  "........\n"

        .balign 8
region: .long   0, 0                    # struct kvm_userspace_memory_region
        .quad   0, MEMORY_SIZE
region_memory:
        .quad   0
        .subsection 2
        .balign 16
end:
        # What follows is zero when the program starts, and not in the file.
        .set    kvm_fd, end
        .set    vm_fd, kvm_fd + 4
        .set    vcpu_fd, vm_fd + 4
        .set    run_size, vcpu_fd + 4
        .set    held, run_size + 4
        .set    piece, end + 32
        .set    echo, piece + 16
        .set    regs, echo + 128
        .set    sregs, regs + REGS_SIZE
        .set    title, sregs + SREGS_SIZE
        .set    cpuid, title + TITLE_SIZE
        .set    BSS_SIZE, 32 + 16 + 128 + REGS_SIZE + SREGS_SIZE + TITLE_SIZE + 8 + 40 * CPUID_ENTRIES
