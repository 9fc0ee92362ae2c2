package org.kvm4j.cpu.decode;

/**
 * The integer and system instructions of the one-byte map and of the maps 0F, 0F 38 and 0F 3A (SDM
 * vol. 2, app. A, tables ). {@link OpcodeTable} says how a line is read.
 */
final class IntegerMaps {
  private IntegerMaps() {}

  /** The one-byte map (table A-2) and its groups (table A-6). */
  static final String ONE_BYTE =
      """
      Grp1 = ADD OR ADC SBB AND SUB XOR CMP
      Grp2 = ROL ROR RCL RCR SHL SHR SHL SAR
      00*8 Grp1 Eb,Gb
      01*8 Grp1 Ev,Gv
      02*8 Grp1 Gb,Eb
      03*8 Grp1 Gv,Ev
      04*8 Grp1 AL,Ib
      05*8 Grp1 rAX,Iz
      06 i64 PUSH ES
      07 i64 POP ES
      0E i64 PUSH CS
      16 i64 PUSH SS
      17 i64 POP SS
      1E i64 PUSH DS
      1F i64 POP DS
      27 i64 DAA
      2F i64 DAS
      37 i64 AAA
      3F i64 AAS
      40+ i64 INC Zv
      48+ i64 DEC Zv
      50+ d64 PUSH Zv
      58+ d64 POP Zv
      60 i64 PUSHA
      61 i64 POPA
      62 i64 BOUND Gv,Ma
      63 i64 ARPL Ew,Gw
      63 o64 MOVSXD Gv,Ez
      68 d64 PUSH Iz
      69 IMUL Gv,Ev,Iz
      6A d64 PUSH sIb
      6B IMUL Gv,Ev,sIb
      6C INS Yb,DX
      6D INS Yz,DX
      6E OUTS DX,Xb
      6F OUTS DX,Xz
      70+c f64 JCC Jb
      80 Grp1 Eb,Ib
      81 Grp1 Ev,Iz
      82 i64 Grp1 Eb,Ib
      83 Grp1 Ev,sIb
      84 TEST Eb,Gb
      85 TEST Ev,Gv
      86 XCHG Eb,Gb
      87 XCHG Ev,Gv
      88 MOV Eb,Gb
      89 MOV Ev,Gv
      8A MOV Gb,Eb
      8B MOV Gv,Ev
      8C r MOV Rv,Sw
      8C m MOV Mw,Sw
      8D LEA Gv,M
      8E MOV Sw,Ew
      8F /0 d64 POP Ev
      90+ XCHG Zv,rAX
      90 B0 NOP
      90 F3 B0 PAUSE
      98 CBW
      99 CWD
      9A i64 CALL_FAR Ap
      9B WAIT
      9C d64 PUSHF
      9D d64 POPF
      9E i64 SAHF
      9E o64 SAHF ;LAHF_LM
      9F i64 LAHF
      9F o64 LAHF ;LAHF_LM
      A0 MOV AL,Ob
      A1 MOV rAX,Ov
      A2 MOV Ob,AL
      A3 MOV Ov,rAX
      A4 MOVS Yb,Xb
      A5 MOVS Yv,Xv
      A6 CMPS Xb,Yb
      A7 CMPS Xv,Yv
      A8 TEST AL,Ib
      A9 TEST rAX,Iz
      AA STOS Yb,AL
      AB STOS Yv,rAX
      AC LODS AL,Xb
      AD LODS rAX,Xv
      AE SCAS AL,Yb
      AF SCAS rAX,Yv
      B0+ MOV Zb,Ib
      B8+ MOV Zv,Iv
      C0 Grp2 Eb,Ib
      C1 Grp2 Ev,Ib
      C2 f64 RET_NEAR Iw
      C3 f64 RET_NEAR
      C4 i64 LES Gz,Mp
      C5 i64 LDS Gz,Mp
      C6 /0 MOV Eb,Ib
      C6 =F8 XABORT Ib
      C7 /0 MOV Ev,Iz
      C7 =F8 XBEGIN Jz
      C8 d64 ENTER Iw,Ib
      C9 d64 LEAVE
      CA RET_FAR Iw
      CB RET_FAR
      CC INT3
      CD INT Ib
      CE i64 INTO
      CF IRET
      D0 Grp2 Eb,1
      D1 Grp2 Ev,1
      D2 Grp2 Eb,CL
      D3 Grp2 Ev,CL
      D4 i64 AAM Ib
      D5 i64 AAD Ib
      D6 i64 SALC
      D7 XLAT (rBX)b
      E0 f64 LOOPNE Jb
      E1 f64 LOOPE Jb
      E2 f64 LOOP Jb
      E3 f64 JCXZ Jb
      E4 IN AL,Ib
      E5 IN eAX,Ib
      E6 OUT Ib,AL
      E7 OUT Ib,eAX
      E8 f64 CALL_NEAR Jz
      E9 f64 JMP_NEAR Jz
      EA i64 JMP_FAR Ap
      EB f64 JMP_NEAR Jb
      EC IN AL,DX
      ED IN eAX,DX
      EE OUT DX,AL
      EF OUT DX,eAX
      F1 INT1
      F4 HLT
      F5 CMC
      F6 /0 TEST Eb,Ib
      F6 /1 TEST Eb,Ib
      F6 /2 NOT Eb
      F6 /3 NEG Eb
      F6 /4 MUL Eb
      F6 /5 IMUL Eb
      F6 /6 DIV Eb
      F6 /7 IDIV Eb
      F7 /0 TEST Ev,Iz
      F7 /1 TEST Ev,Iz
      F7 /2 NOT Ev
      F7 /3 NEG Ev
      F7 /4 MUL Ev
      F7 /5 IMUL Ev
      F7 /6 DIV Ev
      F7 /7 IDIV Ev
      F8 CLC
      F9 STC
      FA CLI
      FB STI
      FC CLD
      FD STD
      FE /0 INC Eb
      FE /1 DEC Eb
      FF /0 INC Ev
      FF /1 DEC Ev
      FF /2 f64 CALL_NEAR Ev
      FF /3 CALL_FAR Mp
      FF /4 f64 JMP_NEAR Ev
      FF /5 JMP_FAR Mp
      FF /6 d64 PUSH Ev
      """;

  /** The map 0F (table A-3) and its groups (table A-6). */
  static final String TWO_BYTE =
      """
      Grp8 = - - - - BT BTS BTR BTC
      00 r /0 SLDT Rv
      00 m /0 SLDT Mw
      00 r /1 STR Rv
      00 m /1 STR Mw
      00 /2 LLDT Ew
      00 /3 LTR Ew
      00 /4 VERR Ew
      00 /5 VERW Ew
      01 m /0 f64 SGDT Ms
      01 m /1 f64 SIDT Ms
      01 m /2 f64 LGDT Ms
      01 m /3 f64 LIDT Ms
      01 m /4 SMSW Mw
      01 r /4 SMSW Rv
      01 /6 LMSW Ew
      01 m /7 INVLPG M
      01 =C0 NP ENCLV
      01 =C1 NP VMCALL
      01 =C2 NP VMLAUNCH
      01 =C3 NP VMRESUME
      01 =C4 NP VMXOFF
      01 =C5 NP PCONFIG
      01 =C8 NP MONITOR
      01 =C9 NP MWAIT
      01 =CA NP CLAC
      01 =CB NP STAC
      01 =CF NP ENCLS
      01 =D0 NP XGETBV
      01 =D1 NP XSETBV
      01 =D4 NP VMFUNC
      01 =D5 NP XEND
      01 =D6 NP XTEST
      01 =D7 NP ENCLU
      01 =D8 VMRUN
      01 =D9 VMMCALL
      01 =DA VMLOAD
      01 =DB VMSAVE
      01 =DC STGI
      01 =DD CLGI
      01 =DE SKINIT
      01 =DF INVLPGA
      01 =E8 NP SERIALIZE
      01 =E8 F3 SETSSBSY
      01 =EA F3 SAVEPREVSSP
      01 F3 m /5 RSTORSSP Mq
      01 =EE NP RDPKRU
      01 =EF NP WRPKRU
      01 =F8 o64 SWAPGS
      01 =F9 RDTSCP
      01 =FA NP MONITORX
      01 =FB NP MWAITX
      01 =FC CLZERO
      01 =FD NP RDPRU
      02 LAR Gv,Ew
      03 LSL Gv,Ew
      05 f64 SYSCALL
      06 CLTS
      07 SYSRET
      08 INVD
      09 WBINVD
      09 F3 WBNOINVD
      0B UD2
      0D NOP Ev ;LM
      0D m /0 PREFETCH Mb
      0D m /1 PREFETCHW Mb
      0D m /2 PREFETCHWT1 Mb
      18 NOP Ev
      18 m /0 PREFETCHNTA Mb
      18 m /1 PREFETCHT0 Mb
      18 m /2 PREFETCHT1 Mb
      18 m /3 PREFETCHT2 Mb
      19 NOP Ev
      1A NOP Ev
      1B NOP Ev
      1C NOP Ev
      1C NP m /0 CLDEMOTE Mb
      1D NOP Ev
      1E NOP Ev
      1E F3 r /1 RDSSP Ry
      1E F3 =FA ENDBR64
      1E F3 =FB ENDBR32
      1F NOP Ev
      20 f64 modrm=r MOV Rn,Cn
      21 f64 modrm=r MOV Rn,Dn
      22 f64 modrm=r MOV Cn,Rn
      23 f64 modrm=r MOV Dn,Rn
      30 WRMSR
      31 RDTSC
      32 RDMSR
      33 RDPMC
      34 SYSENTER
      35 SYSEXIT
      37 NP GETSEC
      40+c CMOVCC Gv,Ev
      78 NP f64 VMREAD En,Gn
      79 NP f64 VMWRITE Gn,En
      80+c f64 JCC Jz
      90+c SETCC Eb
      A0 d64 PUSH FS
      A1 d64 POP FS
      A2 CPUID
      A3 BT Ev,Gv
      A4 SHLD Ev,Gv,Ib
      A5 SHLD Ev,Gv,CL
      A8 d64 PUSH GS
      A9 d64 POP GS
      AA RSM
      AB BTS Ev,Gv
      AC SHRD Ev,Gv,Ib
      AD SHRD Ev,Gv,CL
      AE NP m /0 FXSAVE Mfx
      AE NP m /1 FXRSTOR Mfx
      AE NP m /2 LDMXCSR Md
      AE NP m /3 STMXCSR Md
      AE NP m /4 XSAVE M
      AE NP m /5 XRSTOR M
      AE NP m /6 XSAVEOPT M
      AE NP m /7 CLFLUSH Mb
      AE 66 m /7 CLFLUSHOPT Mb
      AE 66 m /6 CLWB Mb
      AE NP r /5 LFENCE
      AE NP r /6 MFENCE
      AE NP r /7 SFENCE
      AE F3 r /0 o64 RDFSBASE Ry
      AE F3 r /1 o64 RDGSBASE Ry
      AE F3 r /2 o64 WRFSBASE Ry
      AE F3 r /3 o64 WRGSBASE Ry
      AE F3 r /5 INCSSP Ry
      AE F3 m /6 CLRSSBSY Mq
      AE 66 r /6 TPAUSE Rd
      AE F3 r /6 UMONITOR Rj
      AE F2 r /6 UMWAIT Rd
      AF IMUL Gv,Ev
      B0 CMPXCHG Eb,Gb
      B1 CMPXCHG Ev,Gv
      B2 LSS Gv,Mp
      B3 BTR Ev,Gv
      B4 LFS Gv,Mp
      B5 LGS Gv,Mp
      B6 MOVZX Gv,Eb
      B7 MOVZX Gv,Ew
      B8 F3 POPCNT Gv,Ev
      B9 UD1 Gv,Ev
      BA Grp8 Ev,Ib
      BB BTC Ev,Gv
      BC BSF Gv,Ev
      BC F3 TZCNT Gv,Ev
      BD BSR Gv,Ev
      BD F3 LZCNT Gv,Ev
      BE MOVSX Gv,Eb
      BF MOVSX Gv,Ew
      C0 XADD Eb,Gb
      C1 XADD Ev,Gv
      C3 NP MOVNTI My,Gy
      C7 m /1 W0 CMPXCHG8B Mq
      C7 m /1 W1 CMPXCHG16B Mdq
      C7 NP m /3 XRSTORS M
      C7 NP m /4 XSAVEC M
      C7 NP m /5 XSAVES M
      C7 NP m /6 VMPTRLD Mq
      C7 66 m /6 VMCLEAR Mq
      C7 F3 m /6 VMXON Mq
      C7 NP m /7 VMPTRST Mq
      C7 NP r /6 RDRAND Rv
      C7 66 r /6 RDRAND Rv
      C7 NP r /7 RDSEED Rv
      C7 66 r /7 RDSEED Rv
      C7 F3 r /7 f64 RDPID Rn
      C8+ BSWAP Zv
      FF UD0 Gv,Ev
      """;

  /** The map 0F 38 (table A-4). */
  static final String THREE_BYTE_38 =
      """
      80 66 f64 INVEPT Gn,Mdq
      81 66 f64 INVVPID Gn,Mdq
      82 66 f64 INVPCID Gn,Mdq
      F0 NP MOVBE Gv,Mv
      F0 66 MOVBE Gv,Mv
      F1 NP MOVBE Mv,Gv
      F1 66 MOVBE Mv,Gv
      F0 F2 CRC32 Gy,Eb
      F1 F2 CRC32 Gy,Ev
      F5 66 WRUSS My,Gy
      F6 NP WRSS My,Gy
      F6 66 ADCX Gy,Ey
      F6 F3 ADOX Gy,Ey
      F8 66 MOVDIR64B Gj,Mzz
      F9 NP MOVDIRI My,Gy
      """;

  /** Map 2 of VEX (0F 38): BMI1 and BMI2 (tables, group 17). */
  static final String VEX_38 =
      """
      F2 NP L0 ANDN Gy,By,Ey
      F3 NP L0 /1 BLSR By,Ey
      F3 NP L0 /2 BLSMSK By,Ey
      F3 NP L0 /3 BLSI By,Ey
      F5 NP L0 BZHI Gy,Ey,By
      F5 F3 L0 PEXT Gy,By,Ey
      F5 F2 L0 PDEP Gy,By,Ey
      F6 F2 L0 MULX Gy,By,Ey
      F7 NP L0 BEXTR Gy,Ey,By
      F7 66 L0 SHLX Gy,Ey,By
      F7 F3 L0 SARX Gy,Ey,By
      F7 F2 L0 SHRX Gy,Ey,By
      """;

  /** Map 3 of VEX (0F 3A): RORX. */
  static final String VEX_3A =
      """
      F0 F2 L0 RORX Gy,Ey,Ib
      """;
}
