package org.kvm4j.cpu.decode;

import static org.kvm4j.cpu.decode.Opcode.Trait.BRANCH;
import static org.kvm4j.cpu.decode.Opcode.Trait.END;
import static org.kvm4j.cpu.decode.Opcode.Trait.LOCK;
import static org.kvm4j.cpu.decode.Opcode.Trait.PRIVILEGED;
import static org.kvm4j.cpu.decode.Opcode.Trait.STRING;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.profile.Feature;

/**
 * What an instruction does: one constant per mnemonic of the SDM (vol. 2), except that forms which
 * differ only in a size or a condition share one (CBW, CWDE and CDQE are {@link #CBW}; all
 * conditional jumps are {@link #JCC}).
 *
 * <p>The effect on the flags is given in the notation of the SDM, vol. 1, app. A ("EFLAGS
 * Cross-Reference"), one character for each of OF SF ZF AF PF CF TF IF DF NT RF and AC, those at
 * the end left out when untouched: {@code M} modified, {@code T} tested, {@code B} both, {@code 0}
 * and {@code 1} set so, {@code -} undefined, {@code U} modified or undefined by the operands (OF of
 * a shift by other than 1), {@code .} untouched.
 */
public enum Opcode {
  /** No instruction of this CPU: #UD. */
  INVALID("", END),
  /** Longer than 15 bytes: #GP(0) (SDM vol. 3, "Interrupt 13—General Protection Exception"). */
  TOO_LONG("", END),
  /** No instruction yet: its bytes go on past the limit. See {@link Instruction#PAST_LIMIT}. */
  PAST_LIMIT("", END),

  // Arithmetic and logic.
  ADD("MMMMMM", LOCK),
  OR("0MM-M0", LOCK),
  ADC("MMMMMB", LOCK),
  SBB("MMMMMB", LOCK),
  AND("0MM-M0", LOCK),
  SUB("MMMMMM", LOCK),
  XOR("0MM-M0", LOCK),
  CMP("MMMMMM"),
  INC("MMMMM.", LOCK),
  DEC("MMMMM.", LOCK),
  NEG("MMMMMM", LOCK),
  NOT("", LOCK),
  MUL("M----M"),
  IMUL("M----M"),
  DIV("------"),
  IDIV("------"),
  TEST("0MM-M0"),
  ADCX(Feature.ADX, ".....B"),
  ADOX(Feature.ADX, "B....."),
  AAA("---B-M"),
  AAS("---B-M"),
  AAD("-MM-M-"),
  AAM("-MM-M-"),
  DAA("-MMBMB"),
  DAS("-MMBMB"),
  CBW(""),
  CWD(""),

  // Data transfer.
  MOV(""),
  MOVZX(""),
  MOVSX(""),
  MOVSXD(""),
  MOVBE(Feature.MOVBE, ""),
  MOVNTI(Feature.SSE2, ""),
  MOVDIRI(Feature.MOVDIRI, ""),
  MOVDIR64B(Feature.MOVDIR64B, ""),
  LEA(""),
  XCHG("", LOCK),
  XADD("MMMMMM", LOCK),
  CMPXCHG("MMMMMM", LOCK),
  CMPXCHG8B(Feature.CX8, "..M...", LOCK),
  CMPXCHG16B(Feature.CMPXCHG16B, "..M...", LOCK),
  BSWAP(""),
  PUSH(""),
  POP(""),
  PUSHA(""),
  POPA(""),
  PUSHF(""),
  POPF("MMMMMMMMMMMM", END),
  XLAT(""),
  LAHF(".TTTTT"),
  SAHF(".MMMMM"),
  CMOVCC(Feature.CMOV, "T.T.TT"),
  SETCC("TTT.TT"),
  SALC(".....T"),

  // Shifts and bits.
  ROL("U....M"),
  ROR("U....M"),
  RCL("U....B"),
  RCR("U....B"),
  SHL("UMM-MM"),
  SHR("UMM-MM"),
  SAR("UMM-MM"),
  SHLD("UMM-MM"),
  SHRD("UMM-MM"),
  BT("--.--M"),
  BTS("--.--M", LOCK),
  BTR("--.--M", LOCK),
  BTC("--.--M", LOCK),
  BSF("--M---"),
  BSR("--M---"),
  TZCNT(Feature.BMI1, "--M--M"),
  LZCNT(Feature.LZCNT, "--M--M"),
  POPCNT(Feature.POPCNT, "00M000"),
  CRC32(Feature.SSE4_2, ""),
  ANDN(Feature.BMI1, "0MM--0"),
  BEXTR(Feature.BMI1, "0-M--0"),
  BLSI(Feature.BMI1, "0MM--M"),
  BLSR(Feature.BMI1, "0MM--M"),
  BLSMSK(Feature.BMI1, "0M0--M"),
  BZHI(Feature.BMI2, "0MM--M"),
  PDEP(Feature.BMI2, ""),
  PEXT(Feature.BMI2, ""),
  MULX(Feature.BMI2, ""),
  RORX(Feature.BMI2, ""),
  SARX(Feature.BMI2, ""),
  SHLX(Feature.BMI2, ""),
  SHRX(Feature.BMI2, ""),

  // Flags.
  CLC(".....0"),
  STC(".....1"),
  CMC(".....B"),
  CLD("........0"),
  STD("........1"),
  CLI(".......0", END),
  STI(".......1", END),
  CLAC(Feature.SMAP, "...........0", END | PRIVILEGED),
  STAC(Feature.SMAP, "...........1", END | PRIVILEGED),

  // Control transfer.
  CALL_NEAR("", BRANCH),
  CALL_FAR("", BRANCH),
  JMP_NEAR("", BRANCH),
  JMP_FAR("", BRANCH),
  RET_NEAR("", BRANCH),
  RET_FAR("", BRANCH),
  JCC("TTT.TT", BRANCH),
  LOOP("", BRANCH),
  LOOPE("..T...", BRANCH),
  LOOPNE("..T...", BRANCH),
  JCXZ("", BRANCH),
  ENTER(""),
  LEAVE(""),
  INT("......MM.MMM", BRANCH),
  INT1("......MM.MMM", BRANCH),
  INT3("......MM.MMM", BRANCH),
  INTO("T.....MM.MMM", BRANCH),
  IRET("MMMMMMMMMMMM", BRANCH),
  BOUND(""),
  UD0("", END),
  UD1("", END),
  UD2("", END),

  // Strings and ports.
  MOVS("........T", STRING),
  CMPS("MMMMMM..T", STRING),
  SCAS("MMMMMM..T", STRING),
  LODS("........T", STRING),
  STOS("........T", STRING),
  INS("........T", STRING | END),
  OUTS("........T", STRING | END),
  IN("", END),
  OUT("", END),

  // Segments and system tables.
  ARPL("..M..."),
  LAR("..M..."),
  LSL("..M..."),
  VERR("..M..."),
  VERW("..M..."),
  LES("", END),
  LDS("", END),
  LSS("", END),
  LFS("", END),
  LGS("", END),
  LGDT("", END | PRIVILEGED),
  LIDT("", END | PRIVILEGED),
  LLDT("", END | PRIVILEGED),
  LTR("", END | PRIVILEGED),
  SGDT("", END),
  SIDT("", END),
  SLDT("", END),
  STR("", END),
  LMSW("", END | PRIVILEGED),
  SMSW("", END),
  CLTS("", END | PRIVILEGED),
  SWAPGS(Feature.LM, "", END | PRIVILEGED),
  RDFSBASE(Feature.FSGSBASE, ""),
  RDGSBASE(Feature.FSGSBASE, ""),
  WRFSBASE(Feature.FSGSBASE, "", END),
  WRGSBASE(Feature.FSGSBASE, "", END),
  SYSCALL(Feature.SYSCALL, "MMMMMMMMMMMM", BRANCH),
  SYSRET(Feature.SYSCALL, "MMMMMMMMMMMM", BRANCH | PRIVILEGED),
  SYSENTER(Feature.SEP, ".......0", BRANCH),
  SYSEXIT(Feature.SEP, "", BRANCH | PRIVILEGED),

  // Other system instructions.
  NOP(""),
  PAUSE("", END),
  HLT("", END | PRIVILEGED),
  WAIT(""),
  CPUID("", END),
  RDTSC(Feature.TSC, "", END),
  RDTSCP(Feature.RDTSCP, "", END),
  RDPMC("", END),
  RDMSR(Feature.MSR, "", END | PRIVILEGED),
  WRMSR(Feature.MSR, "", END | PRIVILEGED),
  RDPID(Feature.RDPID, "", END),
  RDRAND(Feature.RDRAND, "00000M", END),
  RDSEED(Feature.RDSEED, "00000M", END),
  RDPRU(Feature.RDPRU, "", END),
  INVLPG("", END | PRIVILEGED),
  INVPCID(Feature.INVPCID, "", END | PRIVILEGED),
  INVD("", END | PRIVILEGED),
  WBINVD("", END | PRIVILEGED),
  WBNOINVD(Feature.WBNOINVD, "", END | PRIVILEGED),
  CLFLUSH(Feature.CLFSH, ""),
  CLFLUSHOPT(Feature.CLFLUSHOPT, ""),
  CLWB(Feature.CLWB, ""),
  CLDEMOTE(Feature.CLDEMOTE, ""),
  CLZERO(Feature.CLZERO, ""),
  PREFETCHNTA(Feature.SSE, ""),
  PREFETCHT0(Feature.SSE, ""),
  PREFETCHT1(Feature.SSE, ""),
  PREFETCHT2(Feature.SSE, ""),
  PREFETCH(Feature.PREFETCHW, ""),
  PREFETCHW(Feature.PREFETCHW, ""),
  PREFETCHWT1(Feature.PREFETCHWT1, ""),
  LFENCE(Feature.SSE2, ""),
  MFENCE(Feature.SSE2, ""),
  SFENCE(Feature.SSE, ""),
  SERIALIZE(Feature.SERIALIZE, "", END),
  MONITOR(Feature.MONITOR, "", END | PRIVILEGED),
  MWAIT(Feature.MONITOR, "", END | PRIVILEGED),
  UMONITOR(Feature.WAITPKG, "", END),
  UMWAIT(Feature.WAITPKG, "00000M", END),
  TPAUSE(Feature.WAITPKG, "00000M", END),
  XGETBV(Feature.XSAVE, ""),
  XSETBV(Feature.XSAVE, "", END | PRIVILEGED),
  FXSAVE(Feature.FXSR, ""),
  FXRSTOR(Feature.FXSR, ""),
  XSAVE(Feature.XSAVE, ""),
  XRSTOR(Feature.XSAVE, "", END),
  XSAVEOPT(Feature.XSAVEOPT, ""),
  XSAVEC(Feature.XSAVEC, ""),
  XSAVES(Feature.XSAVES, "", END | PRIVILEGED),
  XRSTORS(Feature.XSAVES, "", END | PRIVILEGED),
  RDPKRU(Feature.PKU, ""),
  WRPKRU(Feature.PKU, "", END),
  RSM("MMMMMMMMMMMM", BRANCH),
  XBEGIN(Feature.RTM, "", BRANCH),
  XEND(Feature.RTM, "", END),
  XABORT(Feature.RTM, "", BRANCH),
  XTEST(Feature.RTM, "00M000"),
  GETSEC(Feature.SMX, "", END),
  ENCLS(Feature.SGX, "MMMMMM", END | PRIVILEGED),
  ENCLU(Feature.SGX, "MMMMMM", END),
  ENCLV(Feature.SGX, "MMMMMM", END | PRIVILEGED),
  PCONFIG(Feature.PCONFIG, "00M000", END | PRIVILEGED),

  // VMX.
  VMCALL("MMMMMM", END),
  VMLAUNCH(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMRESUME(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMXON(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMXOFF(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMCLEAR(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMPTRLD(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMPTRST(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMREAD(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMWRITE(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  VMFUNC(Feature.VMX, "", END),
  INVEPT(Feature.VMX, "MMMMMM", END | PRIVILEGED),
  INVVPID(Feature.VMX, "MMMMMM", END | PRIVILEGED),

  // SVM.
  VMMCALL(Feature.SVM, "", END),
  VMRUN(Feature.SVM, "", END | PRIVILEGED),
  VMLOAD(Feature.SVM, "", END | PRIVILEGED),
  VMSAVE(Feature.SVM, "", END | PRIVILEGED),
  STGI(Feature.SVM, "", END | PRIVILEGED),
  CLGI(Feature.SVM, "", END | PRIVILEGED),
  SKINIT(Feature.SKINIT, "", END | PRIVILEGED),
  INVLPGA(Feature.SVM, "", END | PRIVILEGED);

  /** CF, in the masks of flags. */
  public static final int CF = 1;

  /** PF, in the masks of flags. */
  public static final int PF = 1 << 2;

  /** AF, in the masks of flags. */
  public static final int AF = 1 << 4;

  /** ZF, in the masks of flags. */
  public static final int ZF = 1 << 6;

  /** SF, in the masks of flags. */
  public static final int SF = 1 << 7;

  /** OF, in the masks of flags. */
  public static final int OF = 1 << 11;

  /** The feature that most forms of the instruction need, or null if the 80386 has it. */
  public final @Nullable Feature feature;

  /** The flags that the instruction may give a defined value, as bits of EFLAGS. */
  public final int definedFlags;

  /** The flags that the instruction may leave undefined, as bits of EFLAGS. */
  public final int undefinedFlags;

  /** The flags that the instruction may test, as bits of EFLAGS. */
  public final int testedFlags;

  /**
   * Whether straight-line execution must stop after the instruction: it transfers control, or may
   * change mode, privilege, paging, segments or interruptibility, or may cause a VM exit by itself.
   * {@link Instruction#endsBlock} refines this by operands.
   */
  public final boolean endsBlock;

  /** Whether the instruction transfers control. */
  public final boolean isBranch;

  /** Whether this is a string instruction, which a REP prefix repeats. */
  public final boolean isString;

  /** Whether the instruction needs CPL 0. {@link Instruction#isPrivileged} adds MOV to CR, DR. */
  public final boolean isPrivileged;

  /** Whether LOCK may precede the instruction when its destination is memory. */
  public final boolean lockable;

  Opcode(String flags) {
    this(null, flags, 0);
  }

  Opcode(String flags, int traits) {
    this(null, flags, traits);
  }

  Opcode(Feature feature, String flags) {
    this(feature, flags, 0);
  }

  Opcode(@Nullable Feature feature, String flags, int traits) {
    this.feature = feature;
    definedFlags = Trait.flags(flags, "MBU01");
    undefinedFlags = Trait.flags(flags, "-U");
    testedFlags = Trait.flags(flags, "TB");
    endsBlock = (traits & END) != 0;
    isBranch = (traits & BRANCH) == BRANCH;
    isString = (traits & STRING) != 0;
    isPrivileged = (traits & PRIVILEGED) != 0;
    lockable = (traits & LOCK) != 0;
  }

  /** The traits that the constants are declared with. */
  static final class Trait {
    static final int END = 1;
    static final int BRANCH = 2 | END;
    static final int STRING = 4;
    static final int PRIVILEGED = 8;
    static final int LOCK = 16;

    /** Bit numbers in EFLAGS of OF SF ZF AF PF CF TF IF DF NT RF AC. */
    private static final int[] COLUMNS = {11, 7, 6, 4, 2, 0, 8, 9, 10, 14, 16, 18};

    private Trait() {}

    static int flags(String row, String kinds) {
      int mask = 0;
      for (int i = 0; i < row.length(); i++) {
        if (kinds.indexOf(row.charAt(i)) >= 0) {
          mask |= 1 << COLUMNS[i];
        }
      }
      return mask;
    }
  }
}
