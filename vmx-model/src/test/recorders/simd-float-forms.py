#!/usr/bin/env python3
"""Writes the instructions that simd-float.c records, as source for GNU as: code, and what it takes and gives.

A form is one instruction, the elements of its operands in YMM0, YMM1 and YMM2 (or [RDI], RAX, MM2), and what is
looked at after it. In the text %0, %1 and %2 stand for the three registers in the size of the form, %m for memory.
"""

S, D, H, I, L = "sdhil"  # single, double, half, int of 32 bits, of 64 bits
RCX, MM0, FLAGS = 1, 2, 4  # looked at, beside YMM0 and MXCSR

forms = []


def form(text, a=S, b=S, c=S, out=0):
    forms.append((text, a + b + c, out))


def registers(text, size):
    for n in "012":
        text = text.replace("%" + n, "%%%smm%s" % (size, n))
    return text.replace("%m", "(%rdi)")


def legacy(text, kind, c=None, out=0):
    """As it is written, source in YMM2 and in memory."""
    for source in ("%2", "%m"):
        form(registers(text.replace("%s", source), "x"), kind, kind, c or kind, out)


def vex(text, kind, c=None, out=0, sizes="xy"):
    for size in sizes:
        form(registers("v" + text.replace("%s", "%2"), size), kind, kind, c or kind, out)


def both(name, kind, scalar, immediates=None):
    """One that takes its first operand from the destination, or with VEX from another register."""
    for immediate in immediates or [None]:
        prefix = "" if immediate is None else "$%d, " % immediate
        if immediate is None or immediate < 8 or not name.startswith("cmp"):
            legacy("%s %s%%s, %%0" % (name, prefix), kind)
        vex("%s %s%%s, %%1, %%0" % (name, prefix), kind, sizes="x" if scalar else "xy")


SUFFIXES = (("ps", S, False), ("pd", D, False), ("ss", S, True), ("sd", D, True))

for suffix, kind, scalar in SUFFIXES:
    for name in "add", "sub", "mul", "div", "min", "max":
        both(name + suffix, kind, scalar)
    both("cmp" + suffix, kind, scalar, range(32))
    if scalar:
        legacy("sqrt%s %%s, %%0" % suffix, kind)
        vex("sqrt%s %%s, %%1, %%0" % suffix, kind, sizes="x")
        for n in 0, 1, 2, 3, 4, 8, 11, 12:
            legacy("round%s $%d, %%s, %%0" % (suffix, n), kind)
            vex("round%s $%d, %%s, %%1, %%0" % (suffix, n), kind, sizes="x")
        for name in "comi", "ucomi":
            legacy("%s%s %%s, %%0" % (name, suffix), kind, out=FLAGS)
            vex("%s%s %%s, %%1" % (name, suffix), kind, out=FLAGS, sizes="x")
    else:
        legacy("sqrt%s %%s, %%0" % suffix, kind)
        vex("sqrt%s %%s, %%0" % suffix, kind)
        for n in 0, 1, 2, 3, 4, 8, 11, 12:
            legacy("round%s $%d, %%s, %%0" % (suffix, n), kind)
            vex("round%s $%d, %%s, %%0" % (suffix, n), kind)
        for name in "hadd", "hsub", "addsub":
            both(name + suffix, kind, False)

both("dpps", S, False, (0xff, 0x71, 0x3f, 0x5a, 0xf1))
for n in 0x33, 0x31, 0x12, 0x23, 0x01:
    legacy("dppd $%d, %%s, %%0" % n, D)
    vex("dppd $%d, %%s, %%1, %%0" % n, D, sizes="x")

for name in "rcp", "rsqrt":
    legacy(name + "ps %s, %0", S)
    vex(name + "ps %s, %0", S)
    legacy(name + "ss %s, %0", S)
    vex(name + "ss %s, %1, %0", S, sizes="x")

for text, a, c in (("cvtps2pd %s, %0", D, S), ("cvtpd2ps %s, %0", S, D), ("cvtdq2ps %s, %0", S, I),
                   ("cvtdq2pd %s, %0", D, I), ("cvtps2dq %s, %0", I, S), ("cvttps2dq %s, %0", I, S),
                   ("cvtpd2dq %s, %0", I, D), ("cvttpd2dq %s, %0", I, D)):
    legacy(text, a, c)
    form("v" + registers(text.replace("%s", "%2"), "x"), a, a, c)
    if a == D:
        form("v" + text.replace("%s", "%%xmm2").replace("%0", "%%ymm0").replace("%%", "%"), a, a, c)
    elif c == D:
        name = text.split()[0]
        form("v%sy %%ymm2, %%xmm0" % name, a, a, c)
    else:
        form("v" + registers(text.replace("%s", "%2"), "y"), a, a, c)
legacy("cvtss2sd %s, %0", D, S)
form("vcvtss2sd %xmm2, %xmm1, %xmm0", D, D, S)
legacy("cvtsd2ss %s, %0", S, D)
form("vcvtsd2ss %xmm2, %xmm1, %xmm0", S, S, D)
for name, kind in ("ss", S), ("sd", D):
    for register, c in ("%eax", I), ("%rax", L):
        form("cvtsi2%s %s, %%xmm0" % (name, register), kind, kind, c)
        form("vcvtsi2%s %s, %%xmm1, %%xmm0" % (name, register), kind, kind, c)
    form("cvtsi2%sl (%%rdi), %%xmm0" % name, kind, kind, I)
    form("cvtsi2%sq (%%rdi), %%xmm0" % name, kind, kind, L)
    for convert in "cvt", "cvtt":
        for register in "%ecx", "%rcx":
            form("%s%s2si %%xmm2, %s" % (convert, name, register), kind, kind, kind, RCX)
            form("v%s%s2si (%%rdi), %s" % (convert, name, register), kind, kind, kind, RCX)
form("cvtpi2ps %mm2, %xmm0", S, S, I)
form("cvtpi2ps (%rdi), %xmm0", S, S, I)
form("cvtpi2pd %mm2, %xmm0", D, D, I)
form("cvtpi2pd (%rdi), %xmm0", D, D, I)
for name, kind in ("ps", S), ("pd", D):
    for convert in "cvt", "cvtt":
        form("%s%s2pi %%xmm2, %%mm0" % (convert, name), kind, kind, kind, MM0)
        form("%s%s2pi (%%rdi), %%mm0" % (convert, name), kind, kind, kind, MM0)

form("vcvtph2ps %xmm2, %xmm0", S, S, H)
form("vcvtph2ps %xmm2, %ymm0", S, S, H)
for n in range(8):
    form("vcvtps2ph $%d, %%xmm2, %%xmm0" % n, S, S, S)
    form("vcvtps2ph $%d, %%ymm2, %%xmm0" % n, S, S, S)

for order in "132", "213", "231":
    for operation in "madd", "msub", "nmadd", "nmsub":
        for suffix, kind, scalar in SUFFIXES:
            form(registers("vf%s%s%s %%2, %%1, %%0" % (operation, order, suffix), "x"), kind, kind, kind)
            if not scalar:
                form(registers("vf%s%s%s %%2, %%1, %%0" % (operation, order, suffix), "y"), kind, kind, kind)
    for operation in "maddsub", "msubadd":
        for suffix, kind in ("ps", S), ("pd", D):
            for size in "xy":
                form(registers("vf%s%s%s %%2, %%1, %%0" % (operation, order, suffix), size), kind, kind, kind)

print(".section .rodata")
for n, (text, kinds, out) in enumerate(forms):
    print("1%d: %s\n2%d: .asciz \"%s\"" % (n, text, n, text))
print(".balign 8\n.global form_table, form_count\nform_table:")
for n, (text, kinds, out) in enumerate(forms):
    print(".quad 1%db, 2%db\n.ascii \"%s\"\n.byte %d\n.balign 8" % (n, n, kinds, out))
print("form_count: .long %d" % len(forms))
