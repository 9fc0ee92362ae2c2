# The little of a BIOS that a boot loader's 16-bit code calls. It lies at F000:0000. The VMM fills in what it
# knows of memory and points the interrupt vectors at the handlers (Bios.java).

        .code16
        .globl  _start
_start:
        .word   vectors                 # 0x00: the offsets of 256 handlers
map_count:
        .word   0                       # 0x02: ranges in the memory map
extended_kb:
        .word   0                       # 0x04: memory from 1M to 16M in KB
extended_64kb:
        .word   0                       # 0x06: memory from 16M in units of 64 KB
        .org    0x10
map:
        .skip   16 * 20                 # 0x10: base, length, type

        .set    COM1, 0x3f8

        .org    0x200

# The flags that INT pushed, from the top of a frame with BP pushed: IP +2, CS +4, FLAGS +6.
        .macro  set_carry
        pushw   %bp
        movw    %sp, %bp
        orw     $1, 6(%bp)
        popw    %bp
        .endm
        .macro  clear_carry
        pushw   %bp
        movw    %sp, %bp
        andw    $~1, 6(%bp)
        popw    %bp
        .endm

nothing:
        iretw

# INT 10h: of the screen there is the teletype, on the serial port.
video:
        cmpb    $0x0e, %ah
        je      teletype
        cmpb    $0x03, %ah
        je      cursor
        cmpb    $0x0f, %ah
        je      mode
        cmpb    $0x4f, %ah              # VESA: not supported
        jne     1f
        movw    $0x0100, %ax
1:      iretw
teletype:
        pushw   %ax
        pushw   %dx
        movb    %al, %ah
        movw    $COM1 + 5, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        movw    $COM1, %dx
        movb    %ah, %al
        outb    %al, %dx
        popw    %dx
        popw    %ax
        iretw
cursor:
        xorw    %cx, %cx
        xorw    %dx, %dx
        iretw
mode:
        movw    $0x5003, %ax            # 80 columns, mode 3
        movb    $0, %bh
        iretw

# INT 11h: equipment: a serial port.
equipment:
        movw    $0x0200, %ax
        iretw

# INT 12h: kilobytes of low memory.
low_memory:
        movw    $639, %ax
        iretw

# INT 13h: no disks.
disk:
        movb    $0x01, %ah
        set_carry
        iretw

# INT 15h: memory and A20.
system:
        cmpw    $0xe820, %ax
        je      e820
        cmpw    $0xe801, %ax
        je      e801
        cmpb    $0x88, %ah
        je      extended
        cmpb    $0x24, %ah
        je      a20
        movb    $0x86, %ah
        set_carry
        iretw

e820:
        cmpl    $0x534d4150, %edx       # "SMAP"
        jne     bad
        cmpl    $20, %ecx
        jb      bad
        pushl   %esi
        pushl   %edi
        movzwl  %cs:map_count, %esi
        cmpl    %esi, %ebx
        jae     1f
        pushw   %ds
        pushw   %cs
        popw    %ds
        leaw    (%ebx,%ebx,4), %si      # 20 times the number
        shlw    $2, %si
        addw    $map, %si
        movw    $20, %cx
        cld
        rep movsb
        popw    %ds
        popl    %edi
        popl    %esi
        movl    $0x534d4150, %eax
        movl    $20, %ecx
        incl    %ebx
        cmpw    %cs:map_count, %bx
        jb      2f
        xorl    %ebx, %ebx              # that was the last
2:      clear_carry
        iretw
1:      popl    %edi
        popl    %esi
bad:
        movb    $0x86, %ah
        set_carry
        iretw

e801:
        movw    %cs:extended_kb, %ax
        movw    %cs:extended_64kb, %bx
        movw    %ax, %cx
        movw    %bx, %dx
        clear_carry
        iretw

extended:
        movw    %cs:extended_kb, %ax
        clear_carry
        iretw

a20:
        cmpb    $0x02, %al              # 2402h asks: enabled
        jne     1f
        movb    $0x01, %al
1:      cmpb    $0x03, %al              # 2403h asks: by the keyboard controller and port 92h
        jne     1f
        movw    $0x0003, %bx
1:      movb    $0, %ah
        clear_carry
        iretw

# INT 16h: nobody types. Waiting for a key gives one that is none.
keyboard:
        testb   $0x01, %ah
        jnz     1f
        xorw    %ax, %ax
        iretw
1:      xorw    %ax, %ax
        pushw   %bp
        movw    %sp, %bp
        orw     $0x40, 6(%bp)           # ZF: no key
        popw    %bp
        iretw

# INT 19h: there is nothing to boot from.
boot:
        cli
        hlt
        jmp     boot

# INT 1Ah: ticks since midnight: none.
time:
        testb   %ah, %ah
        jnz     1f
        xorw    %ax, %ax
        xorw    %cx, %cx
        xorw    %dx, %dx
        clear_carry
        iretw
1:      set_carry
        iretw

        .balign 2
vectors:
        .rept   0x10
        .word   nothing
        .endr
        .word   video, equipment, low_memory, disk      # 10h
        .word   nothing, system, keyboard, nothing      # 14h
        .word   nothing, boot, time, nothing            # 18h
        .rept   0x100 - 0x1c
        .word   nothing
        .endr
