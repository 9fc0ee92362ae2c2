package org.kvm4j.cpu.decode;

/**
 * The escape opcodes D8 to DF (SDM vol. 2, app. A.5, tables ). {@link OpcodeTable} says
 * how a line is read.
 *
 * <p>The register forms DC /2, DC /3, DD /1, DE /2, DF /1, DF /2 and DF /3 are not in the SDM's
 * maps; processors have executed them, since the 8087, as FCOM, FCOMP, FXCH, FCOMP, FXCH, FSTP and
 * FSTP. D9 /3 is FSTP too, DF /0 is FFREE followed by a pop.
 */
final class X87Map {
  private X87Map() {}

  static final String ONE_BYTE =
      """
      GrpF = FADD FMUL FCOM FCOMP FSUB FSUBR FDIV FDIVR
      GrpFI = FIADD FIMUL FICOM FICOMP FISUB FISUBR FIDIV FIDIVR
      D8 m GrpF Md
      D8 r /0 FADD ST,STi
      D8 r /1 FMUL ST,STi
      D8 r /2 FCOM STi
      D8 r /3 FCOMP STi
      D8 r /4 FSUB ST,STi
      D8 r /5 FSUBR ST,STi
      D8 r /6 FDIV ST,STi
      D8 r /7 FDIVR ST,STi
      D9 m /0 FLD Md
      D9 m /2 FST Md
      D9 m /3 FSTP Md
      D9 m /4 FLDENV Menv
      D9 m /5 FLDCW Mw
      D9 m /6 FNSTENV Menv
      D9 m /7 FNSTCW Mw
      D9 r /0 FLD STi
      D9 r /1 FXCH STi
      D9 =D0 FNOP
      D9 r /3 FSTP STi
      D9 =E0 FCHS
      D9 =E1 FABS
      D9 =E4 FTST
      D9 =E5 FXAM
      D9 =E8 FLD1
      D9 =E9 FLDL2T
      D9 =EA FLDL2E
      D9 =EB FLDPI
      D9 =EC FLDLG2
      D9 =ED FLDLN2
      D9 =EE FLDZ
      D9 =F0 F2XM1
      D9 =F1 FYL2X
      D9 =F2 FPTAN
      D9 =F3 FPATAN
      D9 =F4 FXTRACT
      D9 =F5 FPREM1
      D9 =F6 FDECSTP
      D9 =F7 FINCSTP
      D9 =F8 FPREM
      D9 =F9 FYL2XP1
      D9 =FA FSQRT
      D9 =FB FSINCOS
      D9 =FC FRNDINT
      D9 =FD FSCALE
      D9 =FE FSIN
      D9 =FF FCOS
      DA m GrpFI Md
      DA r /0 FCMOVB ST,STi
      DA r /1 FCMOVE ST,STi
      DA r /2 FCMOVBE ST,STi
      DA r /3 FCMOVU ST,STi
      DA =E9 FUCOMPP
      DB m /0 FILD Md
      DB m /1 FISTTP Md
      DB m /2 FIST Md
      DB m /3 FISTP Md
      DB m /5 FLD Mt
      DB m /7 FSTP Mt
      DB r /0 FCMOVNB ST,STi
      DB r /1 FCMOVNE ST,STi
      DB r /2 FCMOVNBE ST,STi
      DB r /3 FCMOVNU ST,STi
      DB =E0 FNENI
      DB =E1 FNDISI
      DB =E2 FNCLEX
      DB =E3 FNINIT
      DB =E4 FNSETPM
      DB r /5 FUCOMI ST,STi
      DB r /6 FCOMI ST,STi
      DC m GrpF Mq
      DC r /0 FADD STi,ST
      DC r /1 FMUL STi,ST
      DC r /2 FCOM STi
      DC r /3 FCOMP STi
      DC r /4 FSUBR STi,ST
      DC r /5 FSUB STi,ST
      DC r /6 FDIVR STi,ST
      DC r /7 FDIV STi,ST
      DD m /0 FLD Mq
      DD m /1 FISTTP Mq
      DD m /2 FST Mq
      DD m /3 FSTP Mq
      DD m /4 FRSTOR Mstate
      DD m /6 FNSAVE Mstate
      DD m /7 FNSTSW Mw
      DD r /0 FFREE STi
      DD r /1 FXCH STi
      DD r /2 FST STi
      DD r /3 FSTP STi
      DD r /4 FUCOM STi
      DD r /5 FUCOMP STi
      DE m GrpFI Mw
      DE r /0 FADDP STi,ST
      DE r /1 FMULP STi,ST
      DE r /2 FCOMP STi
      DE =D9 FCOMPP
      DE r /4 FSUBRP STi,ST
      DE r /5 FSUBP STi,ST
      DE r /6 FDIVRP STi,ST
      DE r /7 FDIVP STi,ST
      DF m /0 FILD Mw
      DF m /1 FISTTP Mw
      DF m /2 FIST Mw
      DF m /3 FISTP Mw
      DF m /4 FBLD Mt
      DF m /5 FILD Mq
      DF m /6 FBSTP Mt
      DF m /7 FISTP Mq
      DF r /0 FFREEP STi
      DF r /1 FXCH STi
      DF r /2 FSTP STi
      DF r /3 FSTP STi
      DF =E0 FNSTSW AX
      DF r /5 FUCOMIP ST,STi
      DF r /6 FCOMIP ST,STi
      """;
}
