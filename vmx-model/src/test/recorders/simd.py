#!/usr/bin/env python3
"""Writes the vector instructions that simd.c runs, as source for GNU as: code, and what operands each gets.

One instruction is one form. Operands are chosen by kind, one letter for each of the eight that simd.c
describes: a any, n small counts, t strings, d and q places of 4 and 8 bytes, p either.
"""
forms = []
seen = set()


def form(code, kinds="aaaaaaaa", n=16):
    assert code not in seen, code
    seen.add(code)
    forms.append((code, kinds, n))


def sse(op, kinds="aaaaaaaa", imm="", size=16, n=16, unaligned=True):
    """Two operands, with 16 bytes of memory aligned or not, with less anywhere."""
    form(f"{op} {imm}%xmm1,%xmm0", kinds, n)
    form(f"{op} {imm}%xmm2,%xmm2", kinds, 4)
    form(f"{op} {imm}%xmm3,%xmm11", kinds, 4)
    form(f"{op} {imm}(%rdi),%xmm3", kinds, n // 2)
    if unaligned:
        form(f"{op} {imm}{'0x11' if size == 16 else '0x1d'}(%rdi),%xmm3", kinds, 3)


def mmx(op, kinds="aaaaaaaa", imm="", n=16):
    form(f"{op} {imm}%mm1,%mm0", kinds, n)
    form(f"{op} {imm}%mm2,%mm2", kinds, 3)
    form(f"{op} {imm}0x1d(%rdi),%mm3", kinds, n // 2)


def vex(op, kinds="aaaaaaaa", imm="", wide=True, n=12):
    """Three operands, 128 and 256 bits."""
    for r in ["x", "y"] if wide else ["x"]:
        form(f"v{op} {imm}%{r}mm2,%{r}mm1,%{r}mm0", kinds, n)
        form(f"v{op} {imm}%{r}mm1,%{r}mm3,%{r}mm12", kinds, 3)
        form(f"v{op} {imm}0x11(%rdi),%{r}mm1,%{r}mm9", kinds, n // 2)


def vex2(op, kinds="aaaaaaaa", imm="", wide=True, n=12):
    """Two operands."""
    for r in ["x", "y"] if wide else ["x"]:
        form(f"v{op} {imm}%{r}mm2,%{r}mm0", kinds, n)
        form(f"v{op} {imm}%{r}mm1,%{r}mm13", kinds, 3)
        form(f"v{op} {imm}0x11(%rdi),%{r}mm9", kinds, n // 2)


# ---- arithmetic of elements ----
for op in """packsswb pcmpgtb pcmpgtw pcmpgtd packuswb punpckhbw punpckhwd punpckhdq packssdw punpcklbw punpcklwd
    punpckldq pcmpeqb pcmpeqw pcmpeqd paddq pmullw psubusb psubusw pminub pand paddusb paddusw pmaxub pandn pavgb pavgw
    pmulhuw pmulhw psubsb psubsw pminsw por paddsb paddsw pmaxsw pxor pmuludq pmaddwd psadbw psubb psubw psubd psubq
    paddb paddw paddd pshufb phaddw phaddd phaddsw pmaddubsw phsubw phsubd phsubsw psignb psignw psignd
    pmulhrsw""".split():
    mmx(op)
    sse(op)
    vex(op)
for op in """punpcklqdq punpckhqdq pmuldq pcmpeqq packusdw pcmpgtq pminsb pminsd pminuw pminud pmaxsb pmaxsd pmaxuw
    pmaxud pmulld""".split():
    sse(op)
    vex(op)
for op in "andps andpd andnps andnpd orps orpd xorps xorpd unpcklps unpcklpd unpckhps unpckhpd".split():
    sse(op, n=6)
    vex(op, n=6)
for op in "pabsb pabsw pabsd".split():
    mmx(op)
    sse(op)
    vex2(op)

# ---- shifts ----
for op in "psllw pslld psllq psrlw psrld psrlq psraw psrad".split():
    mmx(op, "annnnnnn", n=20)
    sse(op, "annnnnaa", n=20)
    form(f"v{op} %xmm2,%xmm1,%xmm0", "aannnnaa", 16)
    form(f"v{op} %xmm2,%ymm1,%ymm0", "aannnnaa", 16)
    form(f"v{op} 0x11(%rdi),%ymm1,%ymm10", "aannnnaa", 8)
    for imm in (0, 1, 7, 15, 16, 31, 32, 63, 64, 255):
        form(f"{op} ${imm},%mm1", n=3)
        form(f"{op} ${imm},%xmm1", n=4)
        form(f"v{op} ${imm},%xmm1,%xmm14", n=2)
        form(f"v{op} ${imm},%ymm1,%ymm2", n=3)
for op in ("pslldq", "psrldq"):
    for imm in (0, 1, 5, 8, 15, 16, 200):
        form(f"{op} ${imm},%xmm1", n=4)
        form(f"v{op} ${imm},%xmm1,%xmm0", n=2)
        form(f"v{op} ${imm},%ymm1,%ymm0", n=4)
for op in "psllvd psllvq psrlvd psrlvq psravd".split():
    vex(op, "aannnnaa", n=20)
    form(f"v{op} %ymm3,%ymm1,%ymm4", n=8)

# ---- shuffles ----
IMMS = (0, 0x1b, 0x4e, 0xd8, 0xff, 0x93)
for imm in IMMS:
    mmx("pshufw", imm=f"${imm},", n=4)
    for op in "pshufd pshuflw pshufhw".split():
        sse(op, imm=f"${imm},", n=4)
        vex2(op, imm=f"${imm},", n=4)
    for op in "shufps shufpd blendps blendpd pblendw".split():
        sse(op, imm=f"${imm},", n=4)
        vex(op, imm=f"${imm},", n=4)
    vex("pblendd", imm=f"${imm},", n=4)
    vex2("permilps", imm=f"${imm},", n=4)
    vex2("permilpd", imm=f"${imm},", n=4)
    for op in ("permq", "permpd"):
        form(f"v{op} ${imm},%ymm1,%ymm0", n=4)
        form(f"v{op} ${imm},0x11(%rdi),%ymm9", n=2)
for imm in (0, 1, 5, 7, 8, 11, 15, 16, 17, 25, 31, 32, 77, 255):
    mmx("palignr", imm=f"${imm},", n=4)
    sse("palignr", imm=f"${imm},", n=4)
    vex("palignr", imm=f"${imm},", n=4)
for imm in (0, 1, 2, 3, 4, 7, 0x10, 0x2b, 0x35, 0xff):
    sse("mpsadbw", imm=f"${imm},", n=6)
    vex("mpsadbw", imm=f"${imm},", n=6)
for imm in (0x00, 0x01, 0x13, 0x20, 0x31, 0x08, 0x83, 0x88, 0xff, 0x02):
    for op in ("perm2f128", "perm2i128"):
        form(f"v{op} ${imm},%ymm2,%ymm1,%ymm0", n=3)
        form(f"v{op} ${imm},0x11(%rdi),%ymm1,%ymm9", n=2)
for op in ("permilps", "permilpd"):
    vex(op)
for op in ("permd", "permps"):
    form(f"v{op} %ymm2,%ymm1,%ymm0", n=12)
    form(f"v{op} 0x11(%rdi),%ymm1,%ymm9", n=6)
for op in "movsldup movshdup".split():
    sse(op)
    vex2(op)
sse("movddup", size=8)
vex2("movddup")
for op in "pblendvb blendvps blendvpd".split():
    form(f"{op} %xmm0,%xmm2,%xmm1", n=16)
    form(f"{op} %xmm0,(%rdi),%xmm1", n=8)
    form(f"{op} %xmm0,8(%rdi),%xmm1", n=2)
    for r in "xy":
        form(f"v{op} %{r}mm3,%{r}mm2,%{r}mm1,%{r}mm0", n=12)
        form(f"v{op} %{r}mm3,0x11(%rdi),%{r}mm1,%{r}mm10", n=6)
sse("phminposuw", n=30)
vex2("phminposuw", wide=False)

# ---- widening, broadcasts, halves ----
for op, size in [("xbw", 8), ("xbd", 4), ("xbq", 2), ("xwd", 8), ("xwq", 4), ("xdq", 8)]:
    for sign in "sz":
        sse(f"pmov{sign}{op}", size=size)
        form(f"vpmov{sign}{op} %xmm2,%xmm0", n=8)
        form(f"vpmov{sign}{op} %xmm2,%ymm0", n=12)
        form(f"vpmov{sign}{op} 0x1d(%rdi),%xmm9", n=6)
        form(f"vpmov{sign}{op} 0x1d(%rdi),%ymm9", n=6)
for op in "pbroadcastb pbroadcastw pbroadcastd pbroadcastq broadcastss".split():
    for r in "xy":
        form(f"v{op} %xmm2,%{r}mm0", n=6)
        form(f"v{op} 0x1d(%rdi),%{r}mm9", n=6)
form("vbroadcastsd %xmm2,%ymm0", n=6)
for op in "broadcastsd broadcastf128 broadcasti128".split():
    form(f"v{op} 0x1d(%rdi),%ymm9", n=6)
for t in "fi":
    for imm in (0, 1, 0xfe, 0xff):
        form(f"vinsert{t}128 ${imm},%xmm2,%ymm1,%ymm0", n=3)
        form(f"vinsert{t}128 ${imm},0x11(%rdi),%ymm1,%ymm9", n=3)
        form(f"vextract{t}128 ${imm},%ymm1,%xmm2", n=3)
        form(f"vextract{t}128 ${imm},%ymm1,0x11(%rdi)", n=3)

# ---- moves ----
for op in "movups movupd movaps movapd movdqa movdqu".split():
    form(f"{op} %xmm1,%xmm0", n=3)
    form(f"{{store}} {op} %xmm1,%xmm2", n=3)
    for at in ("", "0x11"):
        form(f"{op} {at}(%rdi),%xmm0", n=3)
        form(f"{op} %xmm1,{at}(%rdi)", n=3)
        for r in "xy":
            form(f"v{op} {at}(%rdi),%{r}mm0", n=3)
            form(f"v{op} %{r}mm1,{at}(%rdi)", n=3)
    form(f"v{op} 16(%rdi),%ymm0", n=3)
    for r in "xy":
        form(f"v{op} %{r}mm1,%{r}mm9", n=3)
        form(f"{{store}} v{op} %{r}mm1,%{r}mm2", n=3)
for op in "movntps movntpd movntdq".split():
    for at in ("", "0x10", "0x11"):
        form(f"{op} %xmm1,{at}(%rdi)", n=3)
        for r in "xy":
            form(f"v{op} %{r}mm1,{at}(%rdi)", n=3)
for at in ("", "0x10", "0x11"):
    for op in ("movntdqa", "lddqu"):
        form(f"{op} {at}(%rdi),%xmm0", n=3)
        for r in "xy":
            form(f"v{op} {at}(%rdi),%{r}mm0", n=3)
form("movntq %mm1,0x1d(%rdi)", n=4)
form("movq %mm1,%mm0", n=4)
form("{store} movq %mm1,%mm2", n=4)
form("movq 0x1d(%rdi),%mm0", n=4)
form("movq %mm0,0x1d(%rdi)", n=4)
form("movd %ecx,%mm0", n=4)
form("movd 0x1e(%rdi),%mm0", n=4)
form("movd %mm2,%edx", n=4)
form("movd %mm2,0x1e(%rdi)", n=4)
form("movq %rcx,%mm0", n=4)
form("movq %mm3,%r10", n=4)
form("movq2dq %mm1,%xmm0", n=4)
form("movdq2q %xmm1,%mm0", n=4)
for v in ("", "v"):
    form(f"{v}movd %ecx,%xmm0", n=4)
    form(f"{v}movd 0x1e(%rdi),%xmm0", n=4)
    form(f"{v}movd %xmm1,%edx", n=4)
    form(f"{v}movd %xmm1,0x1e(%rdi)", n=4)
    form(f"{v}movq %rcx,%xmm0", n=4)
    form(f"{v}movq %xmm1,%rdx", n=4)
    form(f"{v}movq %xmm1,%xmm0", n=4)
    form(f"{v}movq 0x1d(%rdi),%xmm9", n=4)
    form(f"{v}movq %xmm3,0x1d(%rdi)", n=4)
    for s in "sd":
        form(f"{v}movs{s} 0x1e(%rdi),%xmm0", n=4)
        form(f"{v}movs{s} %xmm1,0x1e(%rdi)", n=4)
        form(f"{v}movlp{s} %xmm1,0x1d(%rdi)", n=4)
        form(f"{v}movhp{s} %xmm1,0x1d(%rdi)", n=4)
        form(f"{v}movmskp{s} %xmm1,%edx", n=6)
    form(f"{v}pmovmskb %xmm1,%edx", n=12)
form("pmovmskb %mm1,%edx", n=12)
form("vpmovmskb %ymm1,%r10d", n=12)
form("vmovmskps %ymm1,%edx", n=6)
form("vmovmskpd %ymm1,%edx", n=6)
for s in "sd":
    form(f"movs{s} %xmm1,%xmm0", n=4)
    form(f"{{store}} movs{s} %xmm1,%xmm2", n=4)
    form(f"vmovs{s} %xmm2,%xmm1,%xmm0", n=4)
    form(f"{{store}} vmovs{s} %xmm2,%xmm1,%xmm3", n=4)
    for h in "lh":
        form(f"mov{h}p{s} 0x1d(%rdi),%xmm0", n=4)
        form(f"vmov{h}p{s} 0x1d(%rdi),%xmm1,%xmm0", n=4)
for op in ("movhlps", "movlhps"):
    form(f"{op} %xmm1,%xmm0", n=4)
    form(f"v{op} %xmm2,%xmm1,%xmm0", n=4)
for v, d in (("", ""), ("v", "%xmm3,")):
    for imm in (0, 3, 7, 13, 255):
        form(f"{v}pinsrb ${imm},%ecx,{d}%xmm0", n=3)
        form(f"{v}pinsrb ${imm},0x1f(%rdi),{d}%xmm0", n=3)
        form(f"{v}pinsrw ${imm},%ecx,{d}%xmm0", n=3)
        form(f"{v}pinsrw ${imm},0x1f(%rdi),{d}%xmm0", n=3)
        form(f"{v}pinsrd ${imm},%ecx,{d}%xmm0", n=3)
        form(f"{v}pinsrd ${imm},0x1f(%rdi),{d}%xmm0", n=3)
        form(f"{v}pinsrq ${imm},%rcx,{d}%xmm0", n=3)
        form(f"{v}pinsrq ${imm},0x1d(%rdi),{d}%xmm0", n=3)
        for s in "bwd":
            form(f"{v}pextr{s} ${imm},%xmm1,%edx", n=3)
            form(f"{v}pextr{s} ${imm},%xmm1,0x1f(%rdi)", n=3)
        form(f"{{store}} {v}pextrw ${imm},%xmm1,%edx", n=3)
        form(f"{v}pextrq ${imm},%xmm1,%rdx", n=3)
        form(f"{v}pextrq ${imm},%xmm1,0x1d(%rdi)", n=3)
        form(f"{v}extractps ${imm},%xmm1,%edx", n=3)
        form(f"{v}extractps ${imm},%xmm1,0x1e(%rdi)", n=3)
    for imm in (0, 0x4a, 0x9f, 0xd0, 0xe5, 0x31):
        form(f"{v}insertps ${imm},%xmm1,{d}%xmm0", n=4)
        form(f"{v}insertps ${imm},0x1e(%rdi),{d}%xmm0", n=4)
for imm in (0, 1, 2, 3, 255):
    form(f"pinsrw ${imm},%ecx,%mm0", n=3)
    form(f"pinsrw ${imm},0x1f(%rdi),%mm0", n=3)
    form(f"pextrw ${imm},%mm1,%edx", n=3)
form("emms", n=6)
form("vzeroupper", n=2)
form("vzeroall", n=2)

# ---- tests ----
for op in ("ptest", "vptest", "vtestps", "vtestpd"):
    for r in "xy" if op[0] == "v" else "x":
        form(f"{op} %{r}mm1,%{r}mm0", n=24)
        form(f"{op} %{r}mm1,%{r}mm1", n=6)
        form(f"{op} (%rdi),%{r}mm0", n=10)

# ---- masked moves and gathers ----
for op in "vmaskmovps vmaskmovpd vpmaskmovd vpmaskmovq".split():
    for r in "xy":
        for at in ("0x11(%rdi)", "8(%rsi)"):
            form(f"{op} {at},%{r}mm1,%{r}mm2", n=10)
            form(f"{op} %{r}mm2,%{r}mm1,{at}", n=10)
form("maskmovq %mm1,%mm0", n=12)
form("maskmovdqu %xmm1,%xmm0", n=12)
form("vmaskmovdqu %xmm1,%xmm0", n=12)
GATHERS = """vpgatherdd d x x, vpgatherdd d y y, vpgatherdq d x x, vpgatherdq d x y, vpgatherqd q x x, vpgatherqd q y x,
    vpgatherqq q x x, vpgatherqq q y y, vgatherdps d x x, vgatherdps d y y, vgatherdpd d x x, vgatherdpd d x y,
    vgatherqps q x x, vgatherqps q y x, vgatherqpd q x x, vgatherqpd q y y"""
for op, index, i, v in [gather.split() for gather in GATHERS.split(",")]:
    for at in (f"1(%rdi,%{i}mm2,1)", f"-3(%rdi,%{i}mm2,2)", f"(%rsi,%{i}mm2,4)", f"8(%rsi,%{i}mm2,8)"):
        form(f"{op} %{v}mm1,{at},%{v}mm0", f"aa{index}aaaaa", n=8)

# ---- strings ----
for imm in range(0x80):
    for v in ("", "v"):
        n = 6 if not v else 1
        for op in ("pcmpistri", "pcmpistrm"):
            form(f"{v}{op} ${imm},%xmm1,%xmm2", "ttttttaa", n)
        for op in ("pcmpestri", "pcmpestrm"):
            form(f"{v}{op} ${imm},%xmm1,%xmm2", "tttttttn", n)
for v in ("", "v"):
    for op in ("pcmpistri", "pcmpistrm", "pcmpestri", "pcmpestrm"):
        form(f"{v}{op} $0x8c,0x11(%rdi),%xmm2", "ttttttan", 12)
    for op in ("pcmpestriq", "pcmpestrmq"):
        form(f"{v}{op} $0x0c,%xmm1,%xmm2", "ttttttan", 16)
        form(f"{v}{op} $0x01,%xmm1,%xmm2", "ttttttaa", 16)

# ---- AES, polynomials, SHA ----
for op in "aesenc aesenclast aesdec aesdeclast".split():
    sse(op)
    vex(op)
sse("aesimc")
vex2("aesimc", wide=False)
for imm in (0, 1, 0x1b, 0x80, 0xff):
    sse("aeskeygenassist", imm=f"${imm},", n=6)
    vex2("aeskeygenassist", imm=f"${imm},", wide=False, n=6)
for imm in (0, 1, 0x10, 0x11, 0xee, 0xff):
    sse("pclmulqdq", imm=f"${imm},", n=8)
    vex("pclmulqdq", imm=f"${imm},", n=8)
sse("gf2p8mulb")
vex("gf2p8mulb")
for op in ("gf2p8affineqb", "gf2p8affineinvqb"):
    for imm in (0, 0x63, 0xa5):
        sse(op, imm=f"${imm},", n=8)
        vex(op, imm=f"${imm},", n=8)
# Zen 4 asks for no alignment of SHA's memory operands; by the SDM they are as others.
for op in "sha1nexte sha1msg1 sha1msg2 sha256msg1 sha256msg2".split():
    sse(op, unaligned=False)
for imm in (0, 1, 2, 3, 0xfe):
    sse("sha1rnds4", imm=f"${imm},", n=8, unaligned=False)
form("sha256rnds2 %xmm0,%xmm2,%xmm1", n=24)
form("sha256rnds2 %xmm0,(%rdi),%xmm3", n=8)


def main():
    print("# Written by simd.py.")
    for k, (code, _, _) in enumerate(forms):
        print(f'.section .forms,"a"\nS{k}: {code}\nE{k}:')
    print(".section .rodata\n.global form_table\n.global form_count\n.balign 8\nform_table:")
    for k, (_, kinds, n) in enumerate(forms):
        print(f".quad S{k},E{k},K{k}\n.long {n},0")
    print(f"form_count: .long {len(forms)}")
    for k, (_, kinds, _) in enumerate(forms):
        print(f'K{k}: .asciz "{kinds}"')
    print('.section .note.GNU-stack,"",@progbits')


main()
