#!/usr/bin/env python3
"""Writes the forms that the recorder runs, as source for GNU as: code, and a table of what to vary.

A form is a few bytes of code (almost always one instruction), the registers, flags and memory
that get a new value for each vector, and the flags that the SDM leaves undefined after it.
"""
CF, PF, AF, ZF, SF, OF, DF = 1, 4, 0x10, 0x40, 0x80, 0x800, 0x400
ARITH = CF | PF | AF | ZF | SF | OF
FLAGS = 16
MEMORY = 0x100

# The state that every vector starts from; recorder.c has the same numbers.
WINDOW = 0x20f80  # 256 bytes, a page boundary in the middle
RSI = 0x40  # offsets into the window
RDI = 0xc0
RSP = 0xb0
RBP = 5

NAMES = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"]
LOW = ["al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil"]
SUFFIX = {1: "b", 2: "w", 4: "l", 8: "q"}
AX, CX, DX, BX, SP, BP, SI, DI = range(8)


def r(n, size):
    if n >= 8:
        return "%%r%d%s" % (n, {1: "b", 2: "w", 4: "d", 8: ""}[size])
    if size == 1:
        return "%" + LOW[n]
    return "%" + {2: "", 4: "e", 8: "r"}[size] + NAMES[n]


# ---- what to vary: (target, width, kind, lo, hi) ----
VALUE, COUNT, RANGE, SIGN, FLAG_BITS = range(5)


def v(n, width=8):
    """A register with a value of any kind."""
    return (n, width, VALUE, 0, 0)


def m(offset, size):
    return (MEMORY + offset, size, VALUE, 0, 0)


def count(n):
    return (n, 8, COUNT, 0, 0)


def between(n, lo, hi, width=8):
    return (n, width, RANGE, lo, hi)


def high(n):
    """The upper half of a dividend: mostly 0 or -1."""
    return (n, 8, SIGN, 0, 0)


def flags(mask=ARITH):
    return (FLAGS, 4, FLAG_BITS, mask, 0)


forms = []
names = set()


def emit(bits, name, code, vary, undefined, n):
    name = "%s [%d]" % (name, bits)
    assert name not in names, name
    names.add(name)
    assert len(vary) <= 6, name
    forms.append((bits, name, code, vary, undefined, n))


def f64(name, code, vary=(), undefined=0, n=16, fl=ARITH):
    emit(64, name, code, list(vary) + [flags(fl)], undefined, n)


def f32(name, code, vary=(), undefined=0, n=10, fl=ARITH):
    emit(32, name, code, list(vary) + [flags(fl)], undefined, n)


def both(name, code, vary=(), undefined=0, n=16, size=1, fl=ARITH):
    """In both modes, unless it has a 64-bit operand; P stands for the pointer prefix, r or e."""
    f64(name, code.replace("%P", "%r"), vary, undefined, n, fl)
    if size < 8 and not any(k in code for k in ("%r", "sil", "dil", "bpl", "spl")):
        f32(name, code.replace("%P", "%e"), vary, undefined, (n + 1) // 2, fl)


turn = 0
SHAPES = [
    ("(%Psi)", RSI),
    ("0x13(%Psi)", RSI + 0x13),
    ("(%Psi,%Pbp,4)", RSI + RBP * 4),
    ("-0x20(%Psi,%Pbp,8)", RSI - 0x20 + RBP * 8),
    ("0x3d(%Psi)", RSI + 0x3d),
    ("0x20f90(,%Pbp,1)", 0x10 + RBP),
    ("0x3f(%Psi)", RSI + 0x3f),
]


def mem():
    """A memory operand, another kind each time, and its offset into the window."""
    global turn
    turn += 1
    return SHAPES[turn % len(SHAPES)]


def sizes(lowest=1):
    return [s for s in (1, 2, 4, 8) if s >= lowest]


def imms(size):
    return {
        1: ["$0x5a", "$-1", "$0x80"],
        2: ["$0x1234", "$-2", "$0x7fff"],
        4: ["$0x12345678", "$-0x7654321", "$0x80000000"],
        8: ["$0x12345678", "$-0x7654321", "$-0x80000000"],
    }[size]


def opcode_forms(op, number):
    """ADD, OR, ADC, SBB, AND, SUB, XOR, CMP in all their encodings."""
    undefined = AF if op in ("and", "or", "xor") else 0
    for s in sizes():
        x = SUFFIX[s]
        a, b = r(AX, s), r(BX, s)
        both(f"{op}{x} r,r", f"{op}{x} {b},{a}", [v(AX), v(BX)], undefined, 32, s)
        both(f"{op}{x} r,r (load)", f"{{load}} {op}{x} {r(DX, s)},{r(CX, s)}",
             [v(CX), v(DX)], undefined, 16, s)
        both(f"{op}{x} r,same", f"{op}{x} {a},{a}", [v(AX)], undefined, 8, s)
        if s == 8:
            f64(f"{op}{x} r9,r12", f"{op}{x} %r12,%r9", [v(9), v(12)], undefined)
        if s == 4:
            f64(f"{op}{x} r9,r12", f"{op}{x} %r12d,%r9d", [v(9), v(12)], undefined)
        if s == 1:
            both(f"{op}b ah,cl", f"{op}b %cl,%ah", [v(AX), v(CX)], undefined, 16)
            both(f"{op}b dl,bh", f"{op}b %bh,%dl", [v(DX), v(BX)], undefined, 16)
            both(f"{op}b ch,imm", f"{op}b $0x7f,%ch", [v(CX)], undefined, 8)
            f64(f"{op}b sil,r8b", f"{op}b %r8b,%sil", [v(SI), v(8)], undefined)
            f64(f"{op}b dil,imm", f"{op}b $0x81,%dil", [v(DI)], undefined, 8)
        for k, imm in enumerate(imms(s)):
            both(f"{op}{x} r,imm{k}", f"{op}{x} {imm},{r(BX, s)}", [v(BX)], undefined, 12, s)
        both(f"{op}{x} acc,imm", f"{op}{x} {imms(s)[0]},{a}", [v(AX)], undefined, 8, s)
        if s > 1:
            both(f"{op}{x} r,imm8", f"{op}{x} $-3,{r(DX, s)}", [v(DX)], undefined, 12, s)
            both(f"{op}{x} r,1", f"{op}{x} $1,{r(DX, s)}", [v(DX)], undefined, 8, s)
        t, o = mem()
        both(f"{op}{x} r,m", f"{op}{x} {t},{b}", [v(BX), m(o, s)], undefined, 16, s)
        t, o = mem()
        both(f"{op}{x} m,r", f"{op}{x} {b},{t}", [v(BX), m(o, s)], undefined, 16, s)
        t, o = mem()
        both(f"{op}{x} m,imm", f"{op}{x} {imms(s)[1]},{t}", [m(o, s)], undefined, 10, s)
        if s > 1:
            t, o = mem()
            both(f"{op}{x} m,imm8", f"{op}{x} $0x7f,{t}", [m(o, s)], undefined, 10, s)
        if op != "cmp":
            t, o = mem()
            both(f"lock {op}{x} m,r", f"lock {op}{x} {b},{t}", [v(BX), m(o, s)], undefined, 8, s)
            both(f"lock {op}{x} m,imm", f"lock {op}{x} $5,{t}", [m(o, s)], undefined, 6, s)
    f32(f"{op}b r,imm (82)", f".byte 0x82,{0xc3 + number * 8},0x71", [v(BX)], undefined)


for k, op in enumerate(["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"]):
    opcode_forms(op, k)

for s in sizes():
    x = SUFFIX[s]
    both(f"test{x} r,r", f"test{x} {r(BX, s)},{r(AX, s)}", [v(AX), v(BX)], AF, 16, s)
    both(f"test{x} r,same", f"test{x} {r(DX, s)},{r(DX, s)}", [v(DX)], AF, 12, s)
    both(f"test{x} r,imm", f"test{x} {imms(s)[2]},{r(BX, s)}", [v(BX)], AF, 12, s)
    both(f"test{x} acc,imm", f"test{x} {imms(s)[0]},{r(AX, s)}", [v(AX)], AF, 8, s)
    t, o = mem()
    both(f"test{x} m,r", f"test{x} {r(BX, s)},{t}", [v(BX), m(o, s)], AF, 12, s)
    t, o = mem()
    both(f"test{x} m,imm", f"test{x} {imms(s)[0]},{t}", [m(o, s)], AF, 8, s)
both("testb ah,dh", "testb %dh,%ah", [v(AX), v(DX)], AF)
both("testb (F6 /1) bl,imm", ".byte 0xf6,0xcb,0x93", [v(BX)], AF, 8)
both("testl (F7 /1) ebx,imm", ".byte 0xf7,0xcb,0x93,0x81,0x11,0xf0", [v(BX)], AF, 8)

for op in ("inc", "dec", "neg", "not"):
    for s in sizes():
        x = SUFFIX[s]
        both(f"{op}{x} r", f"{op}{x} {r(BX, s)}", [v(BX)], 0, 20, s)
        t, o = mem()
        both(f"{op}{x} m", f"{op}{x} {t}", [m(o, s)], 0, 16, s)
        both(f"lock {op}{x} m", f"lock {op}{x} {t}", [m(o, s)], 0, 6, s)
    both(f"{op}b ah", f"{op}b %ah", [v(AX)], 0, 12)
for k, (s, p) in enumerate([(2, "0x66,"), (4, "")]):
    f32(f"inc{SUFFIX[s]} r (40)", f".byte {p}0x42", [v(DX)])
    f32(f"dec{SUFFIX[s]} r (48)", f".byte {p}0x4a", [v(DX)])

for op in ("rol", "ror", "rcl", "rcr", "shl", "shr", "sar"):
    rotate = op[0] == "r"
    for s in sizes():
        x = SUFFIX[s]
        one = 0 if rotate else AF
        many = OF if rotate else AF | OF | (CF if s < 4 and op != "sar" else 0)
        both(f"{op}{x} r,1", f"{op}{x} {r(BX, s)}", [v(BX)], one, 16, s)
        both(f"{op}{x} r,cl", f"{op}{x} %cl,{r(BX, s)}", [v(BX), count(CX)], many, 48, s)
        for n in sorted({0, 4, s * 8 - 1, s * 8, s * 8 + 1, 0x1f, 0xc3}):
            both(f"{op}{x} r,{n}", f"{op}{x} ${n},{r(DX, s)}", [v(DX)], many, 8, s)
        t, o = mem()
        both(f"{op}{x} m,1", f"{op}{x} {t}", [m(o, s)], one, 8, s)
        t, o = mem()
        both(f"{op}{x} m,cl", f"{op}{x} %cl,{t}", [m(o, s), count(CX)], many, 24, s)
        t, o = mem()
        both(f"{op}{x} m,3", f"{op}{x} $3,{t}", [m(o, s)], many, 8, s)
    both(f"{op}b ah,cl", f"{op}b %cl,%ah", [v(AX), count(CX)], OF if rotate else AF | OF | CF, 24)
    # C0/C1 with an immediate of 1, which the assembler would make D0/D1.
    e = {"rol": 0, "ror": 1, "rcl": 2, "rcr": 3, "shl": 4, "shr": 5, "sar": 7}[op]
    both(f"{op}b bl,1 (C0)", f".byte 0xc0,{0xc3 + e * 8},1", [v(BX)], 0 if rotate else AF, 8)
    both(f"{op}l ebx,1 (C1)", f".byte 0xc1,{0xc3 + e * 8},1", [v(BX)], 0 if rotate else AF, 8)
    f64(f"{op}q rbx,1 (C1)", f".byte 0x48,0xc1,{0xc3 + e * 8},1", [v(BX)], 0 if rotate else AF, 8)
both("shll /6 ebx,cl", ".byte 0xd3,0xf3", [v(BX), count(CX)], AF | OF, 12)
both("shlb /6 bl,5", ".byte 0xc0,0xf3,5", [v(BX)], AF | OF | CF, 12)

for op in ("shld", "shrd"):
    for s in (2, 4, 8):
        x = SUFFIX[s]
        u = ARITH if s == 2 else AF | OF
        a, b = r(AX, s), r(BX, s)
        both(f"{op}{x} r,r,cl", f"{op}{x} %cl,{b},{a}", [v(AX), v(BX), count(CX)], u, 48, s)
        for n in (0, 1, 5, s * 8 - 1, s * 8 + 3):
            both(f"{op}{x} r,r,{n}", f"{op}{x} ${n},{b},{a}", [v(AX), v(BX)],
                 AF if n == 1 else u, 12, s)
        t, o = mem()
        both(f"{op}{x} m,r,cl", f"{op}{x} %cl,{b},{t}", [m(o, s), v(BX), count(CX)], u, 16, s)
        t, o = mem()
        both(f"{op}{x} m,r,7", f"{op}{x} $7,{b},{t}", [m(o, s), v(BX)], u, 8, s)

PRODUCT = SF | ZF | AF | PF
for s in sizes():
    x = SUFFIX[s]
    for op in ("mul", "imul", "div", "idiv"):
        divide = "div" in op
        u = ARITH if divide else PRODUCT
        upper = [high(DX)] if divide and s > 1 else [v(DX)]
        lower = [between(AX, 0, 0x3ff)] if divide and s == 1 else [v(AX)]
        both(f"{op}{x} r", f"{op}{x} {r(BX, s)}", lower + upper + [v(BX)], u, 40, s)
        if divide:
            both(f"{op}{x} any", f"{op}{x} {r(CX, s)}", [v(AX), v(DX), v(CX)], u, 24, s)
            both(f"{op}{x} small", f"{op}{x} {r(CX, s)}",
                 [v(AX), between(DX, -2, 2), between(CX, -6, 6)], u, 24, s)
        t, o = mem()
        both(f"{op}{x} m", f"{op}{x} {t}", lower + upper + [m(o, s)], u, 16, s)
    if s > 1:
        a, b = r(AX, s), r(BX, s)
        both(f"imul{x} r,r", f"imul{x} {b},{a}", [v(AX), v(BX)], PRODUCT, 32, s)
        t, o = mem()
        both(f"imul{x} r,m", f"imul{x} {t},{a}", [v(AX), m(o, s)], PRODUCT, 12, s)
        both(f"imul{x} r,r,imm8", f"imul{x} $-7,{b},{a}", [v(BX)], PRODUCT, 16, s)
        both(f"imul{x} r,r,imm", f"imul{x} {imms(s)[0]},{b},{a}", [v(BX)], PRODUCT, 16, s)
        t, o = mem()
        both(f"imul{x} r,m,imm8", f"imul{x} $100,{t},{a}", [m(o, s)], PRODUCT, 8, s)
        both(f"imul{x} r,m,imm", f"imul{x} {imms(s)[1]},{t},{a}", [m(o, s)], PRODUCT, 8, s)
both("mulb ah", "mulb %ah", [v(AX)], PRODUCT)
both("divb bh", "divb %bh", [between(AX, 0, 0x1fff), v(BX)], ARITH, 24)

BITS = OF | SF | AF | PF
for op in ("bt", "bts", "btr", "btc"):
    for s in (2, 4, 8):
        x = SUFFIX[s]
        both(f"{op}{x} r,r", f"{op}{x} {r(BX, s)},{r(AX, s)}", [v(AX), v(BX)], BITS, 24, s)
        for n in (0, 5, s * 8 - 1, s * 8 + 2):
            both(f"{op}{x} r,{n}", f"{op}{x} ${n},{r(AX, s)}", [v(AX)], BITS, 8, s)
        t, o = mem()
        both(f"{op}{x} m,5", f"{op}{x} $5,{t}", [m(o, s)], BITS, 8, s)
        both(f"{op}{x} m,0xd9", f"{op}{x} $0xd9,{t}", [m(o, s)], BITS, 8, s)
        # Bit offsets outside of the operand: the window has 0x40 bytes before and more after.
        both(f"{op}{x} m,r", f"{op}{x} {r(BX, s)},(%Psi)",
             [between(BX, -0x40 * 8, 0x80 * 8 - 1)], BITS, 40, s)
        if op != "bt":
            both(f"lock {op}{x} m,r", f"lock {op}{x} {r(BX, s)},0x10(%Psi)",
                 [between(BX, -0x40 * 8, 0x40 * 8 - 1)], BITS, 12, s)
            both(f"lock {op}{x} m,3", f"lock {op}{x} $3,{t}", [m(o, s)], BITS, 4, s)
    f64(f"{op}l m,r (a32)", f"{op}l %ebx,-0x10(%esi)", [between(BX, -0x30 * 8, 0x40 * 8)], BITS)

SCAN = CF | OF | SF | AF | PF
for op, u in (("bsf", SCAN), ("bsr", SCAN), ("tzcnt", BITS), ("lzcnt", BITS), ("popcnt", 0)):
    for s in (2, 4, 8):
        x = SUFFIX[s]
        both(f"{op}{x} r,r", f"{op}{x} {r(BX, s)},{r(AX, s)}", [v(AX), v(BX)], u, 32, s)
        both(f"{op}{x} r,zero", f"{op}{x} {r(BX, s)},{r(AX, s)}",
             [v(AX), between(BX, 0, 0)], u, 4, s)
        t, o = mem()
        both(f"{op}{x} r,m", f"{op}{x} {t},{r(AX, s)}", [v(AX), m(o, s)], u, 12, s)
both("bswapl", "bswapl %ebx", [v(BX)], 0, 8)
f64("bswapq", "bswapq %rbx", [v(BX)], 0, 8)
f64("bswapq r10", "bswapq %r10", [v(10)], 0, 8)
both("bswapw", ".byte 0x66,0x0f,0xcb", [v(BX)], 0, 8)

# ---- moves ----
for s in sizes():
    x = SUFFIX[s]
    both(f"mov{x} r,r", f"mov{x} {r(BX, s)},{r(AX, s)}", [v(AX), v(BX)], 0, 6, s)
    both(f"mov{x} r,r (load)", f"{{load}} mov{x} {r(BX, s)},{r(AX, s)}", [v(AX), v(BX)], 0, 6, s)
    both(f"mov{x} r,imm", f"mov{x} {imms(s)[1]},{r(BX, s)}", [v(BX)], 0, 4, s)
    for _ in range(2):
        t, o = mem()
        both(f"mov{x} r,m {t}", f"mov{x} {t},{r(BX, s)}", [v(BX), m(o, s)], 0, 6, s)
        t, o = mem()
        both(f"mov{x} m,r {t}", f"mov{x} {r(BX, s)},{t}", [v(BX)], 0, 6, s)
    t, o = mem()
    both(f"mov{x} m,imm", f"mov{x} {imms(s)[0]},{t}", [], 0, 4, s)
    f64(f"movabs{x} acc,m", f"movabs 0x20fc1,{r(AX, s)}", [v(AX), m(0x41, s)], 0, 4)
    f64(f"movabs{x} m,acc", f"movabs {r(AX, s)},0x20fc1", [v(AX)], 0, 4)
    if s < 8:
        f32(f"mov{x} acc,moffs", f"mov{x} 0x20fc1,{r(AX, s)}", [v(AX)], 0, 4)
        f32(f"mov{x} moffs,acc", f"mov{x} {r(AX, s)},0x20fc1", [v(AX)], 0, 4)
    f64(f"mov{x} r,rip", f"mov{x} 0x2fc8(%rip),{r(DX, s)}", [v(DX)], 0, 4)
    f64(f"mov{x} rip,r", f"mov{x} {r(DX, s)},0x2fc8(%rip)", [v(DX)], 0, 4)
    f64(f"add{x} r,rip", f"add{x} 0x2fc3(%rip),{r(DX, s)}", [v(DX)], 0, 6)
    f64(f"mov{x} r,gs:disp", f"mov{x} %gs:0x31,{r(DX, s)}", [v(DX)], 0, 4)
    f64(f"mov{x} gs:(r),r", f"mov{x} {r(DX, s)},%gs:4(%rbp)", [v(DX)], 0, 4)
    f64(f"add{x} gs:(r,r),r", f"add{x} {r(DX, s)},%gs:(%rbp,%rbp,4)", [v(DX)], 0, 4)
    f64(f"mov{x} r,(a32)", f"mov{x} -0x11(%esi,%ebp,2),{r(DX, s)}", [v(DX)], 0, 4)
    f64(f"mov{x} (a32),r", f"mov{x} {r(DX, s)},0x11(%esi)", [v(DX)], 0, 4)
    f64(f"mov{x} rsp-based", f"mov{x} -8(%rsp),{r(DX, s)}", [v(DX)], 0, 4)
    f64(f"mov{x} to rsp-based", f"mov{x} {r(DX, s)},3(%rsp,%rbp,2)", [v(DX)], 0, 4)
    f64(f"mov{x} r13", f"mov{x} (%r13),{r(11, s)}", [between(13, WINDOW + 0x10, WINDOW + 0xd0)], 0, 4)
    f64(f"mov{x} r12", f"mov{x} {r(11, s)},(%r12,%rbp,8)", [between(12, WINDOW, WINDOW + 0xd0), v(11)], 0, 4)
both("movb ah,bl", "movb %bl,%ah", [v(AX), v(BX)], 0, 4)
both("movb dh,m", "movb (%Psi),%dh", [v(DX)], 0, 4)
both("movb m,ch", "movb %ch,(%Psi)", [v(CX)], 0, 4)
f64("movabsq imm64", "movabsq $0x1122334455667788,%rbx", [v(BX)], 0, 4)
f64("movl to r15", "movl %eax,%r15d", [v(AX), v(15)], 0, 4)
for op in ("movz", "movs"):
    for a in (1, 2):
        for s in [z for z in (2, 4, 8) if z > a]:
            x = SUFFIX[a] + SUFFIX[s]
            both(f"{op}{x} r,r", f"{op}{x} {r(BX, a)},{r(AX, s)}", [v(AX), v(BX)], 0, 10, s)
            t, o = mem()
            both(f"{op}{x} r,m", f"{op}{x} {t},{r(AX, s)}", [v(AX), m(o, a)], 0, 10, s)
    both(f"{op}bl ah", f"{op}bl %ah,%edx", [v(AX), v(DX)], 0, 8)
    f64(f"{op}bq sil", f"{op}bq %sil,%rdx", [v(SI), v(DX)], 0, 8)
    both(f"{op}ww r,r", f".byte 0x66,0x0f,{0xb7 if op == 'movz' else 0xbf},0xc3", [v(AX), v(BX)], 0, 4)
f64("movslq r,r", "movslq %ebx,%rax", [v(AX), v(BX)], 0, 10)
f64("movslq r,m", "movslq 0x13(%rsi),%rax", [v(AX), m(RSI + 0x13, 4)], 0, 10)
f64("movsxd 32,32", ".byte 0x63,0xc3", [v(AX), v(BX)], 0, 6)
f64("movsxd 16,16", ".byte 0x66,0x63,0xc3", [v(AX), v(BX)], 0, 6)
for op, code, s in (("cbtw", "cbtw", 1), ("cwtl", "cwtl", 1), ("cltq", "cltq", 8),
                    ("cwtd", "cwtd", 1), ("cltd", "cltd", 1), ("cqto", "cqto", 8)):
    both(op, code, [v(AX), v(DX)], 0, 12, s)
both("movntil", "movnti %ebx,5(%Psi)", [v(BX)], 0, 4)
f64("movntiq", "movnti %rbx,5(%rsi)", [v(BX)], 0, 4)
for s in (2, 4, 8):
    x = SUFFIX[s]
    t, o = mem()
    both(f"movbe{x} r,m", f"movbe{x} {t},{r(AX, s)}", [v(AX), m(o, s)], 0, 8, s)
    both(f"movbe{x} m,r", f"movbe{x} {r(AX, s)},{t}", [v(AX)], 0, 8, s)

CC = ["o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"]
for c in CC:
    for s in (2, 4, 8):
        x = SUFFIX[s]
        both(f"cmov{c}{x} r,r", f"cmov{c}{x} {r(BX, s)},{r(AX, s)}", [v(AX), v(BX)], 0, 16, s)
        t, o = mem()
        both(f"cmov{c}{x} r,m", f"cmov{c}{x} {t},{r(AX, s)}", [v(AX), m(o, s)], 0, 6, s)
    both(f"set{c} r", f"set{c} %bl", [v(BX)], 0, 16)
    both(f"set{c} ah", f"set{c} %ah", [v(AX)], 0, 6)
    t, o = mem()
    both(f"set{c} m", f"set{c} {t}", [], 0, 8)
    both(f"j{c} short", f"j{c} 1f; movb $0x77,%al; 1:", [v(AX)], 0, 16)
    both(f"j{c} near", f"j{c} 1f; movb $0x77,%al; .fill 130,1,0x90; 1:", [v(AX)], 0, 6)

# A comparison and what depends on it, which an engine may treat as one.
for op in ("cmp", "sub", "add", "test", "and"):
    for c in CC:
        for x, s in (("l", 4), ("b", 1)):
            both(f"{op}{x};j{c}", f"{op}{x} {r(BX, s)},{r(AX, s)}; j{c} 1f; incl %edx; 1:",
                 [v(AX), v(BX)], AF if op in ("test", "and") else 0, 12)
        f64(f"{op}q;j{c}", f"{op}q %rbx,%rax; j{c} 1f; incl %edx; 1:",
            [v(AX), v(BX)], AF if op in ("test", "and") else 0, 12)
for op in ("inc", "dec", "shl", "shr", "neg"):
    u = AF if op[0] == "s" else 0
    for c in ("b", "e", "be", "s", "p", "l", "le", "o"):
        both(f"{op}l;set{c}", f"{op}l %eax; set{c} %bl", [v(AX)], u, 10)
        f64(f"{op}q;cmov{c}", f"{op}q %rax; cmov{c}q %rbx,%rdx", [v(AX), v(BX)], u, 10)
for op in ("adc", "sbb", "rcl", "rcr"):
    for s in (1, 4, 8):
        x = SUFFIX[s]
        rest = f"{op}{x} {r(BX, s)},{r(DX, s)}" if op in ("adc", "sbb") else f"{op}{x} {r(DX, s)}"
        for before in ("add", "sub", "neg", "inc"):
            one = f"{before}{x} {r(AX, s)}" if before in ("neg", "inc") else \
                f"{before}{x} {r(CX, s)},{r(AX, s)}"
            both(f"{before}{x};{op}{x}", f"{one}; {rest}", [v(AX), v(BX), v(CX), v(DX)], 0, 10, s)

# ---- exchanges ----
for s in sizes():
    x = SUFFIX[s]
    both(f"xchg{x} r,r", f"xchg{x} {r(BX, s)},{r(CX, s)}", [v(BX), v(CX)], 0, 6, s)
    t, o = mem()
    both(f"xchg{x} m,r", f"xchg{x} {r(BX, s)},{t}", [v(BX), m(o, s)], 0, 6, s)
    if s > 1:
        both(f"xchg{x} acc,r", f"xchg{x} {r(DX, s)},{r(AX, s)}", [v(AX), v(DX)], 0, 6, s)
    both(f"xadd{x} r,r", f"xadd{x} {r(BX, s)},{r(AX, s)}", [v(AX), v(BX)], 0, 16, s)
    both(f"xadd{x} r,same", f"xadd{x} {r(BX, s)},{r(BX, s)}", [v(BX)], 0, 6, s)
    t, o = mem()
    both(f"xadd{x} m,r", f"xadd{x} {r(BX, s)},{t}", [v(BX), m(o, s)], 0, 8, s)
    both(f"lock xadd{x} m,r", f"lock xadd{x} {r(BX, s)},{t}", [v(BX), m(o, s)], 0, 8, s)
    both(f"cmpxchg{x} r,r", f"cmpxchg{x} {r(BX, s)},{r(CX, s)}", [v(AX), v(CX), v(BX)], 0, 24, s)
    t, o = mem()
    both(f"cmpxchg{x} m,r", f"cmpxchg{x} {r(BX, s)},{t}", [v(AX), m(o, s), v(BX)], 0, 12, s)
    both(f"lock cmpxchg{x} m,r", f"lock cmpxchg{x} {r(BX, s)},{t}", [v(AX), m(o, s), v(BX)], 0, 12, s)
both("xchgb ah,bl", "xchgb %ah,%bl", [v(AX), v(BX)], 0, 4)
f64("xchgl acc,r8", "xchgl %eax,%r8d", [v(AX), v(8)], 0, 4)
both("nop", "nop", [v(AX)], 0, 2)
both("pause", "pause", [v(AX)], 0, 2)
both("nopl m", "nopl 0x5(%Psi)", [], 0, 2)
for p in ("", "lock "):
    both(f"{p}cmpxchg8b", f"{p}cmpxchg8b 4(%Psi)",
         [(AX, 4, VALUE, 0, 0), m(RSI + 4, 4), (DX, 4, VALUE, 0, 0), m(RSI + 8, 4), v(BX)], 0, 32)
    f64(f"{p}cmpxchg8b equal", f"{p}cmpxchg8b 4(%rsi)",
        [between(AX, 7, 8), between(MEMORY + RSI + 4, 7, 8, 4), between(DX, -1, 0),
         between(MEMORY + RSI + 8, -1, 0, 4), v(CX)], 0, 32)
    f64(f"{p}cmpxchg16b", f"{p}cmpxchg16b (%rsi)",
        [between(AX, 7, 8), between(MEMORY + RSI, 7, 8), between(DX, -1, 0),
         between(MEMORY + RSI + 8, -1, 0), v(CX)], 0, 32)
f64("cmpxchg16b misaligned", "cmpxchg16b 8(%rsi)", [v(AX)], 0, 2)

# ---- flags ----
for op in ("clc", "stc", "cmc", "cld", "std"):
    both(op, op, [], 0, 12, 1, ARITH | DF)
both("lahf", "lahf", [v(AX)], 0, 24)
both("sahf", "sahf", [v(AX)], 0, 24)
USER = ARITH | DF
f64("pushfq", "pushfq", [], 0, 12, USER)
f64("pushfw", "pushfw", [], 0, 8, USER)
f32("pushfl", "pushfl", [], 0, 12, USER)
f32("pushfw", "pushfw", [], 0, 8, USER)
# Not TF, which would trap; AC only where nothing misaligned follows. IF, IOPL, VM, RF, VIF and VIP
# are written too: a program may not change them.
IMAGE = USER | 0x4000 | 0x40000 | 0x200000
for bits, op, width in ((64, "popfq", 8), (64, "popfw", 2), (32, "popfl", 4), (32, "popfw", 2)):
    image = IMAGE | 0x3002 if width == 2 else IMAGE | 0x1b3002
    (f64 if bits == 64 else f32)(
        op, op, [(MEMORY + RSP, width, FLAG_BITS, image & (0xffff if width == 2 else -1), 1)],
        0, 24, USER)

# ---- strings ----
STRING_FLAGS = ARITH | DF
pointers = [between(SI, WINDOW + 0x30, WINDOW + 0xc8), between(DI, WINDOW + 0x30, WINDOW + 0xc8)]
for s in sizes():
    x = SUFFIX[s]
    some = between(CX, 0, 0x30 // s)
    for op in ("movs", "cmps", "stos", "lods", "scas"):
        vary = {
            "movs": pointers, "cmps": pointers, "stos": [v(AX), pointers[1]],
            "lods": [v(AX), pointers[0]], "scas": [v(AX), pointers[1]]}[op]
        both(f"{op}{x}", f"{op}{x}", vary, 0, 16, s, STRING_FLAGS)
        prefixes = ["repe ", "repne "] if op in ("cmps", "scas") else ["rep "]
        for p in prefixes:
            both(f"{p}{op}{x}", f"{p}{op}{x}", vary + [some], 0, 24, s, STRING_FLAGS)
        f64(f"{op}{x} a32", f"addr32 {op}{x}", vary, 0, 6, STRING_FLAGS)
        f64(f"rep {op}{x} a32", f"addr32 {prefixes[0]}{op}{x}",
            vary + [between(CX, 0, 0x30 // s)], 0, 8, STRING_FLAGS)
    # Equal bytes, so that REPE does not end at once; and overlapping moves.
    both(f"repe cmps{x} equal", f"repe cmps{x}",
         [between(SI, WINDOW + 0x80, WINDOW + 0x80), between(DI, WINDOW + 0x80, WINDOW + 0x80), some],
         0, 8, s, STRING_FLAGS)
    both(f"rep movs{x} overlap up", f"rep movs{x}",
         [between(SI, WINDOW + 0x50, WINDOW + 0x54), between(DI, WINDOW + 0x50, WINDOW + 0x5c), some],
         0, 16, s, ARITH)
    both(f"rep movs{x} overlap down", f"rep movs{x}",
         [between(SI, WINDOW + 0xa8, WINDOW + 0xac), between(DI, WINDOW + 0xa0, WINDOW + 0xaf), some],
         0, 16, s, STRING_FLAGS)
f64("rep movsq of cx with a32", "addr32 rep movsq", [between(CX, 0x100000000, 0x100000004)], 0, 4)
both("repne scasb find", "repne scasb",
     [between(AX, 0, 0xff), between(DI, WINDOW + 0x10, WINDOW + 0x10), between(CX, 0, 0xe0)], 0, 24)
both("xlatb", "xlatb", [v(AX), between(BX, WINDOW, WINDOW)], 0, 8)
both("jecxz or jrcxz", ".byte 0xe3,0x02; movb $0x55,%al", [v(AX), between(CX, 0, 1)], 0, 6)
f64("jecxz", "jecxz 1f; movb $0x55,%al; 1:", [v(AX), between(CX, 0xffffffff, 0x100000001)], 0, 8)
f32("jcxz", "jcxz 1f; movb $0x55,%al; 1:", [v(AX), between(CX, 0xffff, 0x10001)], 0, 8)
for op in ("loop", "loope", "loopne"):
    both(op, f"xorl %eax,%eax; 1: incl %eax; cmpl $5,%eax; {op} 1b", [between(CX, 1, 9)], 0, 10)
    both(f"{op} once", f"{op} 1f; movb $0x55,%al; 1:", [v(AX), between(CX, 0, 2)], 0, 10)
f64("loop a32", "addr32 loop 1f; movb $0x55,%al; 1:", [between(CX, 0, 0x100000001), v(AX)], 0, 10)
f32("loop a16", "addr16 loop 1f; movb $0x55,%al; 1:", [between(CX, 0, 0x10001), v(AX)], 0, 10)

# ---- BMI1, BMI2, ADX, CRC32 ----
for s in (4, 8):
    x = SUFFIX[s]
    a, b, c, d = r(AX, s), r(BX, s), r(CX, s), r(DX, s)
    for op, u in (("andn", AF | PF), ("pdep", 0), ("pext", 0)):
        both(f"{op}{x} r,r,r", f"{op} {b},{c},{a}", [v(BX), v(CX)], u, 24, s)
        t, o = mem()
        both(f"{op}{x} r,r,m", f"{op} {t},{c},{a}", [m(o, s), v(CX)], u, 8, s)
    for op in ("blsr", "blsmsk", "blsi"):
        both(f"{op}{x} r,r", f"{op} {b},{a}", [v(BX)], AF | PF, 24, s)
        t, o = mem()
        both(f"{op}{x} r,m", f"{op} {t},{a}", [m(o, s)], AF | PF, 8, s)
    both(f"bextr{x} r,r,r", f"bextr {c},{b},{a}", [v(BX), count(CX)], AF | SF | PF, 32, s)
    both(f"bextr{x} field", f"bextr {c},{b},{a}", [v(BX), between(CX, 0, 0x4fff)], AF | SF | PF, 32, s)
    both(f"bextr{x} r,m,r", f"bextr {c},(%Psi),{a}", [m(RSI, s), between(CX, 0, 0x2fff)],
         AF | SF | PF, 12, s)
    both(f"bzhi{x} r,r,r", f"bzhi {c},{b},{a}", [v(BX), count(CX)], AF | PF, 32, s)
    both(f"bzhi{x} r,m,r", f"bzhi {c},(%Psi),{a}", [m(RSI, s), count(CX)], AF | PF, 8, s)
    for op in ("sarx", "shlx", "shrx"):
        both(f"{op}{x} r,r,r", f"{op} {c},{b},{a}", [v(BX), count(CX)], 0, 16, s)
        both(f"{op}{x} r,m,r", f"{op} {c},(%Psi),{a}", [m(RSI, s), count(CX)], 0, 6, s)
    for n in (0, 13, 33):
        both(f"rorx{x} r,r,{n}", f"rorx ${n},{b},{a}", [v(BX)], 0, 6, s)
    both(f"rorx{x} r,m,9", f"rorx $9,3(%Psi),{a}", [m(RSI + 3, s)], 0, 6, s)
    both(f"mulx{x} r,r,r", f"mulx {b},{c},{a}", [v(BX), v(DX)], 0, 16, s)
    both(f"mulx{x} r,same,r", f"mulx {b},{a},{a}", [v(BX), v(DX)], 0, 6, s)
    both(f"mulx{x} r,r,m", f"mulx 3(%Psi),{c},{a}", [m(RSI + 3, s), v(DX)], 0, 6, s)
    for op in ("adcx", "adox"):
        both(f"{op}{x} r,r", f"{op} {b},{a}", [v(AX), v(BX)], 0, 24, s)
        both(f"{op}{x} r,m", f"{op} 3(%Psi),{a}", [v(AX), m(RSI + 3, s)], 0, 8, s)
for s in sizes():
    both(f"crc32{SUFFIX[s]} r,r", f"crc32{SUFFIX[s]} {r(BX, s)},{r(AX, max(s, 4))}", [v(AX), v(BX)], 0, 10, s)
    both(f"crc32{SUFFIX[s]} r,m", f"crc32{SUFFIX[s]} 3(%Psi),{r(AX, max(s, 4))}", [v(AX), m(RSI + 3, s)], 0, 6, s)
f64("crc32b to 64", "crc32b %bl,%rax", [v(AX), v(BX)], 0, 8)

# ---- addresses ----
for s in (2, 4, 8):
    x = SUFFIX[s]
    for k, t in enumerate(["(%rbx)", "0x12(%rbx)", "-0x12345(%rbx,%rcx,8)", "(%rcx,%rbx,2)",
                           "0x7fffffff(,%rcx,4)", "(%ebx)", "-5(%ebx,%ecx,8)", "0x12345678",
                           "0x40(%rip)", "(%rbx,%rcx,1)"]):
        f64(f"lea{x} {t}", f"lea{x} {t},{r(AX, s)}", [v(AX), v(BX), v(CX)], 0, 6)
    if s < 8:
        for t in ["(%ebx)", "-5(%ebx,%ecx,8)", "0x12345678(,%ecx,2)", "(%bx)", "3(%bx,%si)", "0x1234",
                  "-2(%bp,%di)"]:
            f32(f"lea{x} {t}", f"lea{x} {t},{r(AX, s)}", [v(AX), v(BX), v(CX)], 0, 6)
f64("lea r13,r12", "leaq 0x10(%r13,%r12,4),%r14", [v(13), v(12)], 0, 6)

# ---- stack ----
stack = between(SP, WINDOW + 0x70, WINDOW + 0xc0)
f64("pushq r", "pushq %rbx", [v(BX), stack], 0, 8)
f64("pushq rsp", "pushq %rsp", [stack], 0, 4)
f64("pushq r9", "pushq %r9", [v(9), stack], 0, 4)
f64("pushw r", "pushw %bx", [v(BX), stack], 0, 6)
f64("pushq m", "pushq 3(%rsi)", [m(RSI + 3, 8), stack], 0, 4)
f64("pushw m", "pushw 3(%rsi)", [m(RSI + 3, 2), stack], 0, 4)
f64("pushq (rsp)", "pushq 8(%rsp)", [stack], 0, 4)
f64("popq r", "popq %rbx", [v(BX), stack], 0, 8)
f64("popq rsp", "popq %rsp", [(MEMORY + RSP, 8, RANGE, WINDOW, WINDOW + 0xc0)], 0, 4)
f64("popw sp", "popw %sp", [(MEMORY + RSP, 2, RANGE, 0xf80, 0xfc0)], 0, 4)
f64("popq r15", "popq %r15", [stack], 0, 4)
f64("popw r", "popw %bx", [v(BX), stack], 0, 6)
f64("popq m", "popq 3(%rsi)", [stack], 0, 4)
f64("popw m", "popw 3(%rsi)", [stack], 0, 4)
f64("popq (rsp)", "popq 8(%rsp)", [stack], 0, 4)
f32("pushl r", "pushl %ebx", [v(BX), stack], 0, 8)
f32("pushl esp", "pushl %esp", [stack], 0, 4)
f32("pushw r", "pushw %bx", [v(BX), stack], 0, 6)
f32("pushl m", "pushl 3(%esi)", [m(RSI + 3, 4), stack], 0, 4)
f32("popl r", "popl %ebx", [v(BX), stack], 0, 8)
f32("popl esp", "popl %esp", [(MEMORY + RSP, 4, RANGE, WINDOW, WINDOW + 0xc0)], 0, 4)
f32("popw r", "popw %bx", [v(BX), stack], 0, 6)
f32("popl m", "popl 3(%esi)", [stack], 0, 4)
f32("popl (esp)", "popl 8(%esp)", [stack], 0, 4)
f32("pushal", "pushal", [v(AX), v(BX), v(CX), v(DX), stack], 0, 6)
f32("pushaw", "pushaw", [v(AX), v(BX), v(CX), v(DX), stack], 0, 6)
f32("popal", "popal", [stack], 0, 6)
f32("popaw", "popaw", [stack], 0, 6)
for imm in ("$5", "$-5", "$0x12345678"):
    f64(f"pushq {imm}", f"pushq {imm}", [stack], 0, 4)
    f32(f"pushl {imm}", f"pushl {imm}", [stack], 0, 4)
both("pushw imm", "pushw $0x1234", [stack], 0, 4)
both("pushw imm8", "pushw $-3", [stack], 0, 4)
frame = between(BP, WINDOW + 0x60, WINDOW + 0xe0)
for level in (0, 1, 2, 3):
    for size in (0, 0x11):
        both(f"enter {size},{level}", f"enter ${size},${level}", [frame, stack], 0, 6)
both("enterw 4,1", ".byte 0x66,0xc8,4,0,1", [frame, stack], 0, 6)
both("enterw 4,0", ".byte 0x66,0xc8,4,0,0", [frame, stack], 0, 6)
both("leave", "leave", [frame], 0, 6)
both("leavew", ".byte 0x66,0xc9", [frame, stack], 0, 6)
both("call;ret", "call 1f; incl %eax; jmp 2f; 1: incl %ebx; ret; 2:", [v(AX), v(BX), stack], 0, 6)
both("call;ret 8", "call 1f; incl %eax; jmp 2f; 1: incl %ebx; ret $8; 2:", [v(AX), v(BX), stack], 0, 6)
# An address is taken by a call: the code is always at the same place, but the assembler does not
# know it.
both("jmp r", "call 1f; incl %eax; jmp 2f; 1: pop %Pdx; jmp *%Pdx; 2:", [v(AX), stack], 0, 6)
both("call r", "call 1f; incl %eax; jmp 2f; 1: pop %Pdx; call *%Pdx; 2:", [v(AX), stack], 0, 6)
both("jmp m", "call 1f; incl %eax; jmp 2f; 1: pop (%Psi); jmp *(%Psi); 2:", [v(AX), stack], 0, 6)
both("call m", "call 1f; incl %eax; jmp 2f; 1: pop 5(%Psi); call *5(%Psi); 2:", [v(AX), stack], 0, 6)

# ---- only below 64-bit mode ----
f32("daa", "daa", [v(AX)], OF, 64)
f32("das", "das", [v(AX)], OF, 64)
f32("aaa", "aaa", [v(AX)], OF | SF | ZF | PF, 64)
f32("aas", "aas", [v(AX)], OF | SF | ZF | PF, 64)
for base in (10, 16, 7, 0xff, 1):
    f32(f"aam {base}", f"aam ${base}", [v(AX)], OF | AF | CF, 16)
for base in (10, 16, 7, 0xff, 0):
    f32(f"aad {base}", f"aad ${base}", [v(AX)], OF | AF | CF, 24)
f32("aam 0", "aam $0", [v(AX)], ARITH, 4)
f32("salc", ".byte 0xd6", [v(AX)], 0, 8)
f32("arpl r,r", "arpl %bx,%ax", [v(AX), v(BX)], 0, 16)
f32("arpl m,r", "arpl %bx,5(%esi)", [m(RSI + 5, 2), v(BX)], 0, 12)
f32("boundl", "boundl %eax,(%esi)", [between(AX, -3, 8), between(MEMORY + RSI, -2, 1, 4),
                                     between(MEMORY + RSI + 4, 2, 6, 4)], 0, 24)
f32("boundw", "boundw %ax,(%esi)", [between(AX, -3, 8), between(MEMORY + RSI, -2, 1, 2),
                                    between(MEMORY + RSI + 2, 2, 6, 2)], 0, 24)
f32("into", "into", [], 0, 12)
for seg in ("ds", "es"):
    f32(f"push {seg}", f"pushl %{seg}", [stack], 0, 2)
    f32(f"pop {seg}", f"popl %{seg}", [(MEMORY + RSP, 4, RANGE, 0x2b, 0x2b)], 0, 2)
    f32(f"l{seg}", f"l{seg} 2(%esi),%ebx", [v(BX), (MEMORY + RSI + 6, 2, RANGE, 0x2b, 0x2b)], 0, 4)
both("movl r,es", "movl %es,%eax", [v(AX)], 0, 2)
both("movw r,es", "movw %es,%ax", [v(AX)], 0, 2)
both("movw m,es", "movw %es,(%Psi)", [], 0, 2)

# ---- encodings ----
f64("66 REX.W add", ".byte 0x66,0x48,0x01,0xd8", [v(AX), v(BX)], 0, 6)
f64("REX before 66 is ignored", ".byte 0x48,0x66,0x01,0xd8", [v(AX), v(BX)], 0, 6)
f64("REX alone: spl", ".byte 0x40,0x00,0xe3", [v(BX)], 0, 6)
f64("F2 add", ".byte 0xf2,0x01,0xd8", [v(AX), v(BX)], 0, 6)
f64("SIB without index", ".byte 0x48,0x8b,0x04,0x26", [v(AX)], 0, 4)
f64("xchg r8,rax (41 90)", ".byte 0x49,0x90", [v(AX), v(8)], 0, 4)
f64("CS prefix", ".byte 0x2e,0x8b,0x06", [v(AX)], 0, 4)
f64("ud2", "ud2", [], 0, 2)
f64("lock on a register", ".byte 0xf0,0x01,0xd8", [v(AX)], 0, 2)
f64("aaa is undefined", ".byte 0x37", [v(AX)], 0, 2)
f64("non-canonical", "movl (%rbx),%eax", [between(BX, 0x800000000000, 0x800000000fff)], 0, 4)
f64("non-canonical stack", "movl (%rsp,%rbx),%eax", [between(BX, 0x800000000000, 0x800000000fff)], 0, 4)
f64("hlt", "hlt", [], 0, 2)
f64("cli", "cli", [], 0, 2)
f64("unmapped", "addl %eax,(%rbx)", [v(AX), between(BX, 0x700000, 0x700fff)], 0, 4)
f64("rep movsb into a hole", "rep movsb",
    [between(SI, WINDOW + 0x80, WINDOW + 0x80), between(DI, 0x21ff8, 0x21ffc), between(CX, 6, 12)], 0, 6)
f64("rep stosq into a hole", "rep stosq", [between(DI, 0x21fe0, 0x21ff8), between(CX, 6, 12)], 0, 6)
f64("push into a hole", "pushq %rax", [between(SP, 0x20004, 0x20008), v(AX)], 0, 6)

# Segment overrides of CS, DS, ES and SS do not even change which fault it is.
far = [v(AX), between(BX, 0x800000000000, 0x800000000fff)]
f64("ss: non-canonical", ".byte 0x36; movl (%rbx),%eax", far, 0, 4)
f64("ds: non-canonical stack", ".byte 0x3e; movl (%rsp,%rbx),%eax", far, 0, 4)
f64("es: non-canonical stack", ".byte 0x26; movl (%rsp,%rbx),%eax", far, 0, 4)
for prefix in (0x66, 0xf2, 0xf3):
    f64(f"movntil with {prefix:x}", f".byte {prefix:#x}; movnti %ebx,5(%rsi)", [v(BX)], 0, 2)
f64("lock nopl m", ".byte 0xf0; nopl 5(%rsi)", [v(BX)], 0, 2)
f64("lock 0F 19 m", ".byte 0xf0,0x0f,0x19,0x37", [v(BX)], 0, 2)
f64("0F 19 r", ".byte 0x0f,0x19,0xda", [v(BX)], 0, 2)
f64("0F 1D r", ".byte 0x0f,0x1d,0xea", [v(BX)], 0, 2)
# A count of nothing in ECX: what becomes of the upper halves.
for op in ("rep movsl", "rep movsb", "rep stosl", "rep lodsl", "repe cmpsl", "repne scasl"):
    f64(f"{op} a32 of none", f"addr32 {op}",
        [v(SI), v(DI), between(CX, 0x100000000, 0x100000000)], 0, 4)
    f64(f"{op} of none", op, [v(SI), v(DI), between(CX, 0, 0)], 0, 4)
# Two operands that fault, each its own way: which does first.
hole, nowhere = 0x700000, 0x800000000000
for op in ("cmpsb", "movsb"):
    f64(f"{op} (hole), (non-canonical)", op, [between(SI, hole, hole), between(DI, nowhere, nowhere)], 0, 2)
    f64(f"{op} (non-canonical), (hole)", op, [between(SI, nowhere, nowhere), between(DI, hole, hole)], 0, 2)


def main():
    print("# Written by forms.py.")
    for k, (bits, name, code, _, _, _) in enumerate(forms):
        print(".section .forms,\"a\"\n.code%d\nS%d: %s\nE%d:" % (bits, k, code, k))
    print(".code64\n.section .rodata\n.global form_table\n.global form_count\n.balign 8\nform_table:")
    for k, (bits, name, code, vary, undefined, n) in enumerate(forms):
        print(".quad N%d,S%d,E%d\n.long %d,%d,%d,%d" % (k, k, k, bits, undefined, n, len(vary)))
        for j in range(7):
            t = vary[j] if j < len(vary) else (0, 0, 0, 0, 0)
            print(".short %d\n.byte %d,%d\n.long 0\n.quad %d,%d" % t)
    print("form_count: .long %d" % len(forms))
    for k, form in enumerate(forms):
        print('N%d: .asciz "%s"' % (k, form[1]))
    print('.section .note.GNU-stack,"",@progbits')


main()
