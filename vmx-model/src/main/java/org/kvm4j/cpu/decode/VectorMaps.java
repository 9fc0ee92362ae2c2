package org.kvm4j.cpu.decode;

/**
 * MMX, SSE to SSE4.2, AES, PCLMULQDQ, SHA, GFNI, AVX, AVX2, FMA and F16C in the maps 0F, 0F 38 and
 * 0F 3A (SDM vol. 2, app. A, tables ). {@link OpcodeTable} says how a line is read.
 */
final class VectorMaps {
  private VectorMaps() {}

  /**
   * Map 0F: instructions that exist as MMX (no prefix, P and Q operands, of the feature named), as
   * SSE2 (prefix 66, V and W operands) and as AVX and AVX2 (VEX, V, H and W operands). A minus in
   * the place of the feature stands for no MMX form.
   */
  static final String PACKED =
      """
      63 PACKSSWB MMX
      64 PCMPGTB MMX
      65 PCMPGTW MMX
      66 PCMPGTD MMX
      67 PACKUSWB MMX
      68 PUNPCKHBW MMX
      69 PUNPCKHWD MMX
      6A PUNPCKHDQ MMX
      6B PACKSSDW MMX
      6C PUNPCKLQDQ -
      6D PUNPCKHQDQ -
      74 PCMPEQB MMX
      75 PCMPEQW MMX
      76 PCMPEQD MMX
      D4 PADDQ SSE2
      D5 PMULLW MMX
      D8 PSUBUSB MMX
      D9 PSUBUSW MMX
      DA PMINUB SSE
      DB PAND MMX
      DC PADDUSB MMX
      DD PADDUSW MMX
      DE PMAXUB SSE
      DF PANDN MMX
      E0 PAVGB SSE
      E3 PAVGW SSE
      E4 PMULHUW SSE
      E5 PMULHW MMX
      E8 PSUBSB MMX
      E9 PSUBSW MMX
      EA PMINSW SSE
      EB POR MMX
      EC PADDSB MMX
      ED PADDSW MMX
      EE PMAXSW SSE
      EF PXOR MMX
      F4 PMULUDQ SSE2
      F5 PMADDWD MMX
      F6 PSADBW SSE
      F8 PSUBB MMX
      F9 PSUBW MMX
      FA PSUBD MMX
      FB PSUBQ SSE2
      FC PADDB MMX
      FD PADDW MMX
      FE PADDD MMX
      """;

  /** Map 0F 38: as {@link #PACKED}, the feature being that of the SSE form too. */
  static final String PACKED_38 =
      """
      00 PSHUFB SSSE3
      01 PHADDW SSSE3
      02 PHADDD SSSE3
      03 PHADDSW SSSE3
      04 PMADDUBSW SSSE3
      05 PHSUBW SSSE3
      06 PHSUBD SSSE3
      07 PHSUBSW SSSE3
      08 PSIGNB SSSE3
      09 PSIGNW SSSE3
      0A PSIGND SSSE3
      0B PMULHRSW SSSE3
      28 PMULDQ -
      29 PCMPEQQ -
      2B PACKUSDW -
      37 PCMPGTQ -
      38 PMINSB -
      39 PMINSD -
      3A PMINUW -
      3B PMINUD -
      3C PMAXSB -
      3D PMAXSD -
      3E PMAXUW -
      3F PMAXUD -
      40 PMULLD -
      """;

  /**
   * Map 0F: arithmetic that exists as PS, PD, SS and SD, each in SSE or SSE2 and in AVX with three
   * operands.
   */
  static final String FLOAT =
      """
      58 ADD
      59 MUL
      5C SUB
      5D MIN
      5E DIV
      5F MAX
      """;

  /** Map 2 of VEX: FMA; W gives the element, so each line makes PS and PD, or SS and SD. */
  static final String FUSED =
      """
      96 VFMADDSUB132P
      97 VFMSUBADD132P
      98 VFMADD132P
      99 VFMADD132S
      9A VFMSUB132P
      9B VFMSUB132S
      9C VFNMADD132P
      9D VFNMADD132S
      9E VFNMSUB132P
      9F VFNMSUB132S
      A6 VFMADDSUB213P
      A7 VFMSUBADD213P
      A8 VFMADD213P
      A9 VFMADD213S
      AA VFMSUB213P
      AB VFMSUB213S
      AC VFNMADD213P
      AD VFNMADD213S
      AE VFNMSUB213P
      AF VFNMSUB213S
      B6 VFMADDSUB231P
      B7 VFMSUBADD231P
      B8 VFMADD231P
      B9 VFMADD231S
      BA VFMSUB231P
      BB VFMSUB231S
      BC VFNMADD231P
      BD VFNMADD231S
      BE VFNMSUB231P
      BF VFNMSUB231S
      """;

  static final String TWO_BYTE =
      """
      10 NP MOVUPS Vx,Wx
      10 66 MOVUPD Vx,Wx
      10 F3 MOVSS Vd,Wd
      10 F2 MOVSD Vq,Wq
      11 NP MOVUPS Wx,Vx
      11 66 MOVUPD Wx,Vx
      11 F3 MOVSS Wd,Vd
      11 F2 MOVSD Wq,Vq
      12 NP MOVLPS Vq,Mq
      12 NP MOVHLPS Vq,Uq
      12 66 MOVLPD Vq,Mq
      12 F3 MOVSLDUP Vx,Wx
      12 F2 MOVDDUP Vx,Wq
      13 NP MOVLPS Mq,Vq
      13 66 MOVLPD Mq,Vq
      14 NP UNPCKLPS Vx,Wx
      14 66 UNPCKLPD Vx,Wx
      15 NP UNPCKHPS Vx,Wx
      15 66 UNPCKHPD Vx,Wx
      16 NP MOVHPS Vq,Mq
      16 NP MOVLHPS Vq,Uq
      16 66 MOVHPD Vq,Mq
      16 F3 MOVSHDUP Vx,Wx
      17 NP MOVHPS Mq,Vq
      17 66 MOVHPD Mq,Vq
      28 NP MOVAPS Vx,Wx
      28 66 MOVAPD Vx,Wx
      29 NP MOVAPS Wx,Vx
      29 66 MOVAPD Wx,Vx
      2A NP CVTPI2PS Vq,Qq
      2A 66 CVTPI2PD Vx,Qq
      2A F3 CVTSI2SS Vd,Ey
      2A F2 CVTSI2SD Vq,Ey
      2B NP MOVNTPS Mx,Vx
      2B 66 MOVNTPD Mx,Vx
      2C NP CVTTPS2PI Pq,Wq
      2C 66 CVTTPD2PI Pq,Wx
      2C F3 CVTTSS2SI Gy,Wd
      2C F2 CVTTSD2SI Gy,Wq
      2D NP CVTPS2PI Pq,Wq
      2D 66 CVTPD2PI Pq,Wx
      2D F3 CVTSS2SI Gy,Wd
      2D F2 CVTSD2SI Gy,Wq
      2E NP UCOMISS Vd,Wd
      2E 66 UCOMISD Vq,Wq
      2F NP COMISS Vd,Wd
      2F 66 COMISD Vq,Wq
      50 NP MOVMSKPS Gd,Ux
      50 66 MOVMSKPD Gd,Ux
      51 NP SQRTPS Vx,Wx
      51 66 SQRTPD Vx,Wx
      51 F3 SQRTSS Vd,Wd
      51 F2 SQRTSD Vq,Wq
      52 NP RSQRTPS Vx,Wx
      52 F3 RSQRTSS Vd,Wd
      53 NP RCPPS Vx,Wx
      53 F3 RCPSS Vd,Wd
      54 NP ANDPS Vx,Wx
      54 66 ANDPD Vx,Wx
      55 NP ANDNPS Vx,Wx
      55 66 ANDNPD Vx,Wx
      56 NP ORPS Vx,Wx
      56 66 ORPD Vx,Wx
      57 NP XORPS Vx,Wx
      57 66 XORPD Vx,Wx
      5A NP CVTPS2PD Vx,Wh
      5A 66 CVTPD2PS Vx,Wx
      5A F3 CVTSS2SD Vq,Wd
      5A F2 CVTSD2SS Vd,Wq
      5B NP CVTDQ2PS Vx,Wx
      5B 66 CVTPS2DQ Vx,Wx
      5B F3 CVTTPS2DQ Vx,Wx
      60 NP PUNPCKLBW Pq,Qd
      61 NP PUNPCKLWD Pq,Qd
      62 NP PUNPCKLDQ Pq,Qd
      60 66 PUNPCKLBW Vx,Wx ;SSE2
      61 66 PUNPCKLWD Vx,Wx ;SSE2
      62 66 PUNPCKLDQ Vx,Wx ;SSE2
      6E NP W0 MOVD Pq,Ed
      6E NP W1 MOVQ Pq,Eq
      6E 66 W0 MOVD Vdq,Ed ;SSE2
      6E 66 W1 MOVQ Vdq,Eq ;SSE2
      6F NP MOVQ Pq,Qq
      6F 66 MOVDQA Vx,Wx
      6F F3 MOVDQU Vx,Wx
      70 NP PSHUFW Pq,Qq,Ib
      70 66 PSHUFD Vx,Wx,Ib
      70 F3 PSHUFHW Vx,Wx,Ib
      70 F2 PSHUFLW Vx,Wx,Ib
      71 NP /2 PSRLW Nq,Ib
      71 NP /4 PSRAW Nq,Ib
      71 NP /6 PSLLW Nq,Ib
      72 NP /2 PSRLD Nq,Ib
      72 NP /4 PSRAD Nq,Ib
      72 NP /6 PSLLD Nq,Ib
      73 NP /2 PSRLQ Nq,Ib
      73 NP /6 PSLLQ Nq,Ib
      71 66 /2 PSRLW Ux,Ib ;SSE2
      71 66 /4 PSRAW Ux,Ib ;SSE2
      71 66 /6 PSLLW Ux,Ib ;SSE2
      72 66 /2 PSRLD Ux,Ib ;SSE2
      72 66 /4 PSRAD Ux,Ib ;SSE2
      72 66 /6 PSLLD Ux,Ib ;SSE2
      73 66 /2 PSRLQ Ux,Ib ;SSE2
      73 66 /3 PSRLDQ Ux,Ib
      73 66 /6 PSLLQ Ux,Ib ;SSE2
      73 66 /7 PSLLDQ Ux,Ib
      77 NP EMMS
      7C 66 HADDPD Vx,Wx
      7C F2 HADDPS Vx,Wx
      7D 66 HSUBPD Vx,Wx
      7D F2 HSUBPS Vx,Wx
      7E NP W0 MOVD Ed,Pd
      7E NP W1 MOVQ Eq,Pq
      7E 66 W0 MOVD Ed,Vd ;SSE2
      7E 66 W1 MOVQ Eq,Vq ;SSE2
      7E F3 MOVQ Vq,Wq ;SSE2
      7F NP MOVQ Qq,Pq
      7F 66 MOVDQA Wx,Vx
      7F F3 MOVDQU Wx,Vx
      C2 NP CMPPS Vx,Wx,Ib
      C2 66 CMPPD Vx,Wx,Ib
      C2 F3 CMPSS Vd,Wd,Ib
      C2 F2 CMPSD Vq,Wq,Ib
      C4 NP PINSRW Pq,Mw,Ib
      C4 NP PINSRW Pq,Rd,Ib
      C4 66 PINSRW Vdq,Mw,Ib ;SSE2
      C4 66 PINSRW Vdq,Rd,Ib ;SSE2
      C5 NP PEXTRW Gd,Nq,Ib
      C5 66 PEXTRW Gd,Udq,Ib ;SSE2
      C6 NP SHUFPS Vx,Wx,Ib
      C6 66 SHUFPD Vx,Wx,Ib
      D0 66 ADDSUBPD Vx,Wx
      D0 F2 ADDSUBPS Vx,Wx
      D1 NP PSRLW Pq,Qq
      D2 NP PSRLD Pq,Qq
      D3 NP PSRLQ Pq,Qq
      E1 NP PSRAW Pq,Qq
      E2 NP PSRAD Pq,Qq
      F1 NP PSLLW Pq,Qq
      F2 NP PSLLD Pq,Qq
      F3 NP PSLLQ Pq,Qq
      D1 66 PSRLW Vx,Wx ;SSE2
      D2 66 PSRLD Vx,Wx ;SSE2
      D3 66 PSRLQ Vx,Wx ;SSE2
      E1 66 PSRAW Vx,Wx ;SSE2
      E2 66 PSRAD Vx,Wx ;SSE2
      F1 66 PSLLW Vx,Wx ;SSE2
      F2 66 PSLLD Vx,Wx ;SSE2
      F3 66 PSLLQ Vx,Wx ;SSE2
      D6 66 MOVQ Wq,Vq ;SSE2
      D6 F3 MOVQ2DQ Vdq,Nq
      D6 F2 MOVDQ2Q Pq,Uq
      D7 NP PMOVMSKB Gd,Nq
      D7 66 PMOVMSKB Gd,Ux ;SSE2
      E6 66 CVTTPD2DQ Vx,Wx
      E6 F3 CVTDQ2PD Vx,Wh
      E6 F2 CVTPD2DQ Vx,Wx
      E7 NP MOVNTQ Mq,Pq
      E7 66 MOVNTDQ Mx,Vx
      F0 F2 LDDQU Vx,Mx
      F7 NP MASKMOVQ Pq,Nq,(rDI)q
      F7 66 MASKMOVDQU Vdq,Udq,(rDI)dq
      """;

  static final String THREE_BYTE_38 =
      """
      10 66 PBLENDVB Vx,Wx,XMM0
      14 66 BLENDVPS Vx,Wx,XMM0
      15 66 BLENDVPD Vx,Wx,XMM0
      17 66 PTEST Vx,Wx
      1C NP PABSB Pq,Qq
      1D NP PABSW Pq,Qq
      1E NP PABSD Pq,Qq
      1C 66 PABSB Vx,Wx
      1D 66 PABSW Vx,Wx
      1E 66 PABSD Vx,Wx
      20 66 PMOVSXBW Vx,Wh
      21 66 PMOVSXBD Vx,Wk
      22 66 PMOVSXBQ Vx,We
      23 66 PMOVSXWD Vx,Wh
      24 66 PMOVSXWQ Vx,Wk
      25 66 PMOVSXDQ Vx,Wh
      2A 66 MOVNTDQA Vx,Mx
      30 66 PMOVZXBW Vx,Wh
      31 66 PMOVZXBD Vx,Wk
      32 66 PMOVZXBQ Vx,We
      33 66 PMOVZXWD Vx,Wh
      34 66 PMOVZXWQ Vx,Wk
      35 66 PMOVZXDQ Vx,Wh
      41 66 PHMINPOSUW Vx,Wx
      C8 NP SHA1NEXTE Vx,Wx
      C9 NP SHA1MSG1 Vx,Wx
      CA NP SHA1MSG2 Vx,Wx
      CB NP SHA256RNDS2 Vx,Wx,XMM0
      CC NP SHA256MSG1 Vx,Wx
      CD NP SHA256MSG2 Vx,Wx
      CF 66 GF2P8MULB Vx,Wx
      DB 66 AESIMC Vx,Wx
      DC 66 AESENC Vx,Wx
      DD 66 AESENCLAST Vx,Wx
      DE 66 AESDEC Vx,Wx
      DF 66 AESDECLAST Vx,Wx
      """;

  static final String THREE_BYTE_3A =
      """
      08 66 ROUNDPS Vx,Wx,Ib
      09 66 ROUNDPD Vx,Wx,Ib
      0A 66 ROUNDSS Vd,Wd,Ib
      0B 66 ROUNDSD Vq,Wq,Ib
      0C 66 BLENDPS Vx,Wx,Ib
      0D 66 BLENDPD Vx,Wx,Ib
      0E 66 PBLENDW Vx,Wx,Ib
      0F NP PALIGNR Pq,Qq,Ib
      0F 66 PALIGNR Vx,Wx,Ib
      14 66 PEXTRB Mb,Vdq,Ib
      14 66 PEXTRB Rd,Vdq,Ib
      15 66 PEXTRW Mw,Vdq,Ib ;SSE4_1
      15 66 PEXTRW Rd,Vdq,Ib ;SSE4_1
      16 66 W0 PEXTRD Ed,Vdq,Ib
      16 66 W1 PEXTRQ Eq,Vdq,Ib
      17 66 EXTRACTPS Ed,Vdq,Ib
      20 66 PINSRB Vdq,Mb,Ib
      20 66 PINSRB Vdq,Rd,Ib
      21 66 INSERTPS Vdq,Wd,Ib
      22 66 W0 PINSRD Vdq,Ed,Ib
      22 66 W1 PINSRQ Vdq,Eq,Ib
      40 66 DPPS Vx,Wx,Ib
      41 66 DPPD Vx,Wx,Ib
      42 66 MPSADBW Vx,Wx,Ib
      44 66 PCLMULQDQ Vx,Wx,Ib
      60 66 PCMPESTRM Vx,Wx,Ib
      61 66 PCMPESTRI Vx,Wx,Ib
      62 66 PCMPISTRM Vx,Wx,Ib
      63 66 PCMPISTRI Vx,Wx,Ib
      CC NP SHA1RNDS4 Vx,Wx,Ib
      CE 66 GF2P8AFFINEQB Vx,Wx,Ib
      CF 66 GF2P8AFFINEINVQB Vx,Wx,Ib
      DF 66 AESKEYGENASSIST Vx,Wx,Ib
      """;

  /** Map 1 of VEX. Two features separated by a bar are those of the 128-bit and 256-bit forms. */
  static final String VEX_TWO_BYTE =
      """
      10 NP VMOVUPS Vx,Wx
      10 66 VMOVUPD Vx,Wx
      10 F3 VMOVSS Vd,Md
      10 F3 VMOVSS Vdq,Hdq,Ud
      10 F2 VMOVSD Vq,Mq
      10 F2 VMOVSD Vdq,Hdq,Uq
      11 NP VMOVUPS Wx,Vx
      11 66 VMOVUPD Wx,Vx
      11 F3 VMOVSS Md,Vd
      11 F3 VMOVSS Udq,Hdq,Vd
      11 F2 VMOVSD Mq,Vq
      11 F2 VMOVSD Udq,Hdq,Vq
      12 NP L0 VMOVLPS Vdq,Hdq,Mq
      12 NP L0 VMOVHLPS Vdq,Hdq,Uq
      12 66 L0 VMOVLPD Vdq,Hdq,Mq
      12 F3 VMOVSLDUP Vx,Wx
      12 F2 L0 VMOVDDUP Vx,Wq
      12 F2 L1 VMOVDDUP Vx,Wx
      13 NP L0 VMOVLPS Mq,Vq
      13 66 L0 VMOVLPD Mq,Vq
      14 NP VUNPCKLPS Vx,Hx,Wx
      14 66 VUNPCKLPD Vx,Hx,Wx
      15 NP VUNPCKHPS Vx,Hx,Wx
      15 66 VUNPCKHPD Vx,Hx,Wx
      16 NP L0 VMOVHPS Vdq,Hdq,Mq
      16 NP L0 VMOVLHPS Vdq,Hdq,Uq
      16 66 L0 VMOVHPD Vdq,Hdq,Mq
      16 F3 VMOVSHDUP Vx,Wx
      17 NP L0 VMOVHPS Mq,Vq
      17 66 L0 VMOVHPD Mq,Vq
      28 NP VMOVAPS Vx,Wx
      28 66 VMOVAPD Vx,Wx
      29 NP VMOVAPS Wx,Vx
      29 66 VMOVAPD Wx,Vx
      2A F3 VCVTSI2SS Vdq,Hdq,Ey
      2A F2 VCVTSI2SD Vdq,Hdq,Ey
      2B NP VMOVNTPS Mx,Vx
      2B 66 VMOVNTPD Mx,Vx
      2C F3 VCVTTSS2SI Gy,Wd
      2C F2 VCVTTSD2SI Gy,Wq
      2D F3 VCVTSS2SI Gy,Wd
      2D F2 VCVTSD2SI Gy,Wq
      2E NP VUCOMISS Vd,Wd
      2E 66 VUCOMISD Vq,Wq
      2F NP VCOMISS Vd,Wd
      2F 66 VCOMISD Vq,Wq
      50 NP VMOVMSKPS Gd,Ux
      50 66 VMOVMSKPD Gd,Ux
      51 NP VSQRTPS Vx,Wx
      51 66 VSQRTPD Vx,Wx
      51 F3 VSQRTSS Vdq,Hdq,Wd
      51 F2 VSQRTSD Vdq,Hdq,Wq
      52 NP VRSQRTPS Vx,Wx
      52 F3 VRSQRTSS Vdq,Hdq,Wd
      53 NP VRCPPS Vx,Wx
      53 F3 VRCPSS Vdq,Hdq,Wd
      54 NP VANDPS Vx,Hx,Wx
      54 66 VANDPD Vx,Hx,Wx
      55 NP VANDNPS Vx,Hx,Wx
      55 66 VANDNPD Vx,Hx,Wx
      56 NP VORPS Vx,Hx,Wx
      56 66 VORPD Vx,Hx,Wx
      57 NP VXORPS Vx,Hx,Wx
      57 66 VXORPD Vx,Hx,Wx
      5A NP VCVTPS2PD Vx,Wh
      5A 66 VCVTPD2PS Vdq,Wx
      5A F3 VCVTSS2SD Vdq,Hdq,Wd
      5A F2 VCVTSD2SS Vdq,Hdq,Wq
      5B NP VCVTDQ2PS Vx,Wx
      5B 66 VCVTPS2DQ Vx,Wx
      5B F3 VCVTTPS2DQ Vx,Wx
      60 66 VPUNPCKLBW Vx,Hx,Wx ;AVX|AVX2
      61 66 VPUNPCKLWD Vx,Hx,Wx ;AVX|AVX2
      62 66 VPUNPCKLDQ Vx,Hx,Wx ;AVX|AVX2
      6E 66 L0 VMOVD Vdq,Ed
      6E 66 L0 W1 o64 VMOVQ Vdq,Eq
      6F 66 VMOVDQA Vx,Wx
      6F F3 VMOVDQU Vx,Wx
      70 66 VPSHUFD Vx,Wx,Ib ;AVX|AVX2
      70 F3 VPSHUFHW Vx,Wx,Ib ;AVX|AVX2
      70 F2 VPSHUFLW Vx,Wx,Ib ;AVX|AVX2
      71 66 /2 VPSRLW Hx,Ux,Ib ;AVX|AVX2
      71 66 /4 VPSRAW Hx,Ux,Ib ;AVX|AVX2
      71 66 /6 VPSLLW Hx,Ux,Ib ;AVX|AVX2
      72 66 /2 VPSRLD Hx,Ux,Ib ;AVX|AVX2
      72 66 /4 VPSRAD Hx,Ux,Ib ;AVX|AVX2
      72 66 /6 VPSLLD Hx,Ux,Ib ;AVX|AVX2
      73 66 /2 VPSRLQ Hx,Ux,Ib ;AVX|AVX2
      73 66 /3 VPSRLDQ Hx,Ux,Ib ;AVX|AVX2
      73 66 /6 VPSLLQ Hx,Ux,Ib ;AVX|AVX2
      73 66 /7 VPSLLDQ Hx,Ux,Ib ;AVX|AVX2
      77 NP L0 VZEROUPPER
      77 NP L1 VZEROALL
      7C 66 VHADDPD Vx,Hx,Wx
      7C F2 VHADDPS Vx,Hx,Wx
      7D 66 VHSUBPD Vx,Hx,Wx
      7D F2 VHSUBPS Vx,Hx,Wx
      7E 66 L0 VMOVD Ed,Vd
      7E 66 L0 W1 o64 VMOVQ Eq,Vq
      7E F3 L0 VMOVQ Vdq,Wq
      7F 66 VMOVDQA Wx,Vx
      7F F3 VMOVDQU Wx,Vx
      AE NP L0 /2 VLDMXCSR Md
      AE NP L0 /3 VSTMXCSR Md
      C2 NP VCMPPS Vx,Hx,Wx,Ib
      C2 66 VCMPPD Vx,Hx,Wx,Ib
      C2 F3 VCMPSS Vdq,Hdq,Wd,Ib
      C2 F2 VCMPSD Vdq,Hdq,Wq,Ib
      C4 66 L0 VPINSRW Vdq,Hdq,Mw,Ib
      C4 66 L0 VPINSRW Vdq,Hdq,Rd,Ib
      C5 66 L0 VPEXTRW Gd,Udq,Ib
      C6 NP VSHUFPS Vx,Hx,Wx,Ib
      C6 66 VSHUFPD Vx,Hx,Wx,Ib
      D0 66 VADDSUBPD Vx,Hx,Wx
      D0 F2 VADDSUBPS Vx,Hx,Wx
      D1 66 VPSRLW Vx,Hx,Wdq ;AVX|AVX2
      D2 66 VPSRLD Vx,Hx,Wdq ;AVX|AVX2
      D3 66 VPSRLQ Vx,Hx,Wdq ;AVX|AVX2
      E1 66 VPSRAW Vx,Hx,Wdq ;AVX|AVX2
      E2 66 VPSRAD Vx,Hx,Wdq ;AVX|AVX2
      F1 66 VPSLLW Vx,Hx,Wdq ;AVX|AVX2
      F2 66 VPSLLD Vx,Hx,Wdq ;AVX|AVX2
      F3 66 VPSLLQ Vx,Hx,Wdq ;AVX|AVX2
      D6 66 L0 VMOVQ Wq,Vdq
      D7 66 VPMOVMSKB Gd,Ux ;AVX|AVX2
      E6 66 VCVTTPD2DQ Vdq,Wx
      E6 F3 VCVTDQ2PD Vx,Wh
      E6 F2 VCVTPD2DQ Vdq,Wx
      E7 66 VMOVNTDQ Mx,Vx
      F0 F2 VLDDQU Vx,Mx
      F7 66 L0 VMASKMOVDQU Vdq,Udq,(rDI)dq
      """;

  /** Map 2 of VEX. */
  static final String VEX_38 =
      """
      0C 66 W0 VPERMILPS Vx,Hx,Wx
      0D 66 W0 VPERMILPD Vx,Hx,Wx
      0E 66 W0 VTESTPS Vx,Wx
      0F 66 W0 VTESTPD Vx,Wx
      13 66 W0 VCVTPH2PS Vx,Wh
      16 66 L1 W0 VPERMPS Vx,Hx,Wx
      17 66 VPTEST Vx,Wx
      18 66 W0 VBROADCASTSS Vx,Md
      18 66 W0 VBROADCASTSS Vx,Ud ;AVX2
      19 66 L1 W0 VBROADCASTSD Vx,Mq
      19 66 L1 W0 VBROADCASTSD Vx,Uq ;AVX2
      1A 66 L1 W0 VBROADCASTF128 Vx,Mdq
      1C 66 VPABSB Vx,Wx ;AVX|AVX2
      1D 66 VPABSW Vx,Wx ;AVX|AVX2
      1E 66 VPABSD Vx,Wx ;AVX|AVX2
      20 66 VPMOVSXBW Vx,Wh ;AVX|AVX2
      21 66 VPMOVSXBD Vx,Wk ;AVX|AVX2
      22 66 VPMOVSXBQ Vx,We ;AVX|AVX2
      23 66 VPMOVSXWD Vx,Wh ;AVX|AVX2
      24 66 VPMOVSXWQ Vx,Wk ;AVX|AVX2
      25 66 VPMOVSXDQ Vx,Wh ;AVX|AVX2
      2A 66 VMOVNTDQA Vx,Mx ;AVX|AVX2
      2C 66 W0 VMASKMOVPS Vx,Hx,Mx
      2D 66 W0 VMASKMOVPD Vx,Hx,Mx
      2E 66 W0 VMASKMOVPS Mx,Hx,Vx
      2F 66 W0 VMASKMOVPD Mx,Hx,Vx
      30 66 VPMOVZXBW Vx,Wh ;AVX|AVX2
      31 66 VPMOVZXBD Vx,Wk ;AVX|AVX2
      32 66 VPMOVZXBQ Vx,We ;AVX|AVX2
      33 66 VPMOVZXWD Vx,Wh ;AVX|AVX2
      34 66 VPMOVZXWQ Vx,Wk ;AVX|AVX2
      35 66 VPMOVZXDQ Vx,Wh ;AVX|AVX2
      36 66 L1 W0 VPERMD Vx,Hx,Wx
      41 66 L0 VPHMINPOSUW Vx,Wx
      45 66 W0 VPSRLVD Vx,Hx,Wx
      45 66 W1 VPSRLVQ Vx,Hx,Wx
      46 66 W0 VPSRAVD Vx,Hx,Wx
      47 66 W0 VPSLLVD Vx,Hx,Wx
      47 66 W1 VPSLLVQ Vx,Hx,Wx
      58 66 W0 VPBROADCASTD Vx,Wd
      59 66 W0 VPBROADCASTQ Vx,Wq
      5A 66 L1 W0 VBROADCASTI128 Vx,Mdq
      78 66 W0 VPBROADCASTB Vx,Wb
      79 66 W0 VPBROADCASTW Vx,Ww
      8C 66 W0 VPMASKMOVD Vx,Hx,Mx
      8C 66 W1 VPMASKMOVQ Vx,Hx,Mx
      8E 66 W0 VPMASKMOVD Mx,Hx,Vx
      8E 66 W1 VPMASKMOVQ Mx,Hx,Vx
      90 66 W0 VPGATHERDD Vx,VMxd,Hx
      90 66 W1 VPGATHERDQ Vx,VMoq,Hx
      91 66 W0 VPGATHERQD Vh,VMxd,Hh
      91 66 W1 VPGATHERQQ Vx,VMxq,Hx
      92 66 W0 VGATHERDPS Vx,VMxd,Hx
      92 66 W1 VGATHERDPD Vx,VMoq,Hx
      93 66 W0 VGATHERQPS Vh,VMxd,Hh
      93 66 W1 VGATHERQPD Vx,VMxq,Hx
      CF 66 W0 VGF2P8MULB Vx,Hx,Wx
      DB 66 L0 VAESIMC Vx,Wx
      DC 66 VAESENC Vx,Hx,Wx ;AES|VAES
      DD 66 VAESENCLAST Vx,Hx,Wx ;AES|VAES
      DE 66 VAESDEC Vx,Hx,Wx ;AES|VAES
      DF 66 VAESDECLAST Vx,Hx,Wx ;AES|VAES
      """;

  /** Map 3 of VEX. */
  static final String VEX_3A =
      """
      00 66 L1 W1 VPERMQ Vx,Wx,Ib
      01 66 L1 W1 VPERMPD Vx,Wx,Ib
      02 66 W0 VPBLENDD Vx,Hx,Wx,Ib
      04 66 W0 VPERMILPS Vx,Wx,Ib
      05 66 W0 VPERMILPD Vx,Wx,Ib
      06 66 L1 W0 VPERM2F128 Vx,Hx,Wx,Ib
      08 66 VROUNDPS Vx,Wx,Ib
      09 66 VROUNDPD Vx,Wx,Ib
      0A 66 VROUNDSS Vdq,Hdq,Wd,Ib
      0B 66 VROUNDSD Vdq,Hdq,Wq,Ib
      0C 66 VBLENDPS Vx,Hx,Wx,Ib
      0D 66 VBLENDPD Vx,Hx,Wx,Ib
      0E 66 VPBLENDW Vx,Hx,Wx,Ib ;AVX|AVX2
      0F 66 VPALIGNR Vx,Hx,Wx,Ib ;AVX|AVX2
      14 66 L0 VPEXTRB Mb,Vdq,Ib
      14 66 L0 VPEXTRB Rd,Vdq,Ib
      15 66 L0 VPEXTRW Mw,Vdq,Ib
      15 66 L0 VPEXTRW Rd,Vdq,Ib
      16 66 L0 VPEXTRD Ed,Vdq,Ib
      16 66 L0 W1 o64 VPEXTRQ Eq,Vdq,Ib
      17 66 L0 VEXTRACTPS Ed,Vdq,Ib
      18 66 L1 W0 VINSERTF128 Vx,Hx,Wdq,Ib
      19 66 L1 W0 VEXTRACTF128 Wdq,Vx,Ib
      1D 66 W0 VCVTPS2PH Wh,Vx,Ib
      20 66 L0 VPINSRB Vdq,Hdq,Mb,Ib
      20 66 L0 VPINSRB Vdq,Hdq,Rd,Ib
      21 66 L0 VINSERTPS Vdq,Hdq,Wd,Ib
      22 66 L0 VPINSRD Vdq,Hdq,Ed,Ib
      22 66 L0 W1 o64 VPINSRQ Vdq,Hdq,Eq,Ib
      38 66 L1 W0 VINSERTI128 Vx,Hx,Wdq,Ib
      39 66 L1 W0 VEXTRACTI128 Wdq,Vx,Ib
      40 66 VDPPS Vx,Hx,Wx,Ib
      41 66 L0 VDPPD Vx,Hx,Wx,Ib
      42 66 VMPSADBW Vx,Hx,Wx,Ib ;AVX|AVX2
      44 66 VPCLMULQDQ Vx,Hx,Wx,Ib ;PCLMULQDQ|VPCLMULQDQ
      46 66 L1 W0 VPERM2I128 Vx,Hx,Wx,Ib
      4A 66 W0 VBLENDVPS Vx,Hx,Wx,Lx
      4B 66 W0 VBLENDVPD Vx,Hx,Wx,Lx
      4C 66 W0 VPBLENDVB Vx,Hx,Wx,Lx ;AVX|AVX2
      60 66 L0 VPCMPESTRM Vx,Wx,Ib
      61 66 L0 VPCMPESTRI Vx,Wx,Ib
      62 66 L0 VPCMPISTRM Vx,Wx,Ib
      63 66 L0 VPCMPISTRI Vx,Wx,Ib
      CE 66 W1 VGF2P8AFFINEQB Vx,Hx,Wx,Ib
      CF 66 W1 VGF2P8AFFINEINVQB Vx,Hx,Wx,Ib
      DF 66 L0 VAESKEYGENASSIST Vx,Wx,Ib
      """;
}
