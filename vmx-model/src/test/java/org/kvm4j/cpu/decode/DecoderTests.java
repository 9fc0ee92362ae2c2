package org.kvm4j.cpu.decode;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.decode.Code.decode;
import static org.kvm4j.cpu.decode.Code.decode16;
import static org.kvm4j.cpu.decode.Code.decode32;
import static org.kvm4j.cpu.decode.Code.decode64;
import static org.kvm4j.cpu.decode.Code.text;
import static org.kvm4j.cpu.decode.Code.without;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.cpu.profile.FeatureSet;

/** Encodings chosen by hand, for the rules of SDM vol. 2, ch. 2, and app. A and B. */
class DecoderTests {

  private static void is(Opcode opcode, int length, Instruction i) {
    assertEquals(opcode, i.opcode);
    assertEquals(length, i.length);
  }

  private static void invalid(Instruction i) {
    assertEquals(Opcode.INVALID, i.opcode);
    assertFalse(i.isValid());
    assertEquals(OperandKind.NONE, i.kind0);
  }

  // Operand and address size.

  @Test
  void operandSizeFollowsModeAndPrefixes() {
    assertEquals("mov ax,bx", text(2, "89d8"));
    assertEquals("mov eax,ebx", text(2, "6689d8"));
    assertEquals("mov eax,ebx", text(4, "89d8"));
    assertEquals("mov ax,bx", text(4, "6689d8"));
    assertEquals("mov eax,ebx", text(8, "89d8"));
    assertEquals("mov ax,bx", text(8, "6689d8"));
    assertEquals("mov rax,rbx", text(8, "4889d8"));
    assertEquals("mov rax,rbx", text(8, "664889d8"));
    assertEquals(8, decode64("664889d8").operandSize);
  }

  @Test
  void stackAndNearBranchesDefaultTo64Bits() {
    assertEquals(8, decode64("50").operandSize);
    assertEquals(2, decode64("6650").operandSize);
    assertEquals(8, decode64("6a80").operandSize);
    assertEquals(8, decode64("c3").operandSize);
    assertEquals(8, decode64("66c3").operandSize);
    assertEquals(8, decode64("ffd0").operandSize);
    assertEquals(8, decode64("c9").operandSize);
    assertEquals(8, decode64("0fa0").operandSize);
    assertEquals(8, decode64("9d").operandSize);
    assertEquals(4, decode64("cb").operandSize);
    assertEquals(8, decode64("48cb").operandSize);
    assertEquals(4, decode64("cf").operandSize);
    assertEquals(8, decode64("48cf").operandSize);
    assertEquals(8, decode64("0f20c0").operandSize);
    assertEquals(8, decode64("0f0118").operandSize);
  }

  @Test
  void a66OnNearBranchesIsIgnoredIn64BitMode() {
    is(Opcode.JMP_NEAR, 6, decode64("66e901000000"));
    is(Opcode.JCC, 7, decode64("660f8401000000"));
    assertEquals(8, decode64("66e901000000").operandSize);
    is(Opcode.JMP_NEAR, 4, decode32("66e90100"));
    is(Opcode.CALL_NEAR, 6, decode16("66e801000000"));
  }

  @Test
  void byteRegistersAreHighOnesOnlyWithoutRex() {
    Instruction i = decode64("88e0");
    assertEquals(OperandKind.GPR_HIGH, i.kind1);
    assertEquals(0, i.reg1);
    assertEquals("mov al,spl", text(8, "4088e0"));
    assertEquals("mov bh,ch", text(4, "88ef"));
    assertEquals("movzx eax,dh", text(8, "0fb6c6"));
    assertEquals("movzx eax,sil", text(8, "400fb6c6"));
    assertEquals("mov ah,0x1", text(8, "b401"));
    assertEquals("mov spl,0x1", text(8, "40b401"));
    assertEquals("mov r12b,0x1", text(8, "41b401"));
  }

  @Test
  void all16BitAddressForms() {
    String[] forms = {"bx+si", "bx+di", "bp+si", "bp+di", "si", "di", "bp", "bx"};
    int[] segments = {3, 3, 2, 2, 3, 3, 2, 3};
    for (int rm = 0; rm < 8; rm++) {
      String modrm = String.format("%02x", 0x40 | rm);
      assertEquals("mov al,BYTE PTR [" + forms[rm] + "-0x2]", text(2, "8a" + modrm + "fe"));
      assertEquals(segments[rm], decode16("8a" + modrm + "fe").segment);
      modrm = String.format("%02x", 0x80 | rm);
      assertEquals("mov al,BYTE PTR [" + forms[rm] + "-0x2]", text(2, "8a" + modrm + "feff"));
    }
    Instruction absolute = decode16("8a06feff");
    assertEquals("mov al,BYTE PTR ds:0xfffe", absolute.toString());
    assertEquals(Instruction.NO_REGISTER, absolute.base);
    assertEquals(-2, absolute.displacement);
    assertEquals("mov al,BYTE PTR [bx]", text(4, "678a07"));
  }

  @Test
  void all32And64BitAddressForms() {
    assertEquals("mov eax,DWORD PTR [eax+ecx*4+0x12345678]", text(4, "8b848878563412"));
    assertEquals("mov eax,DWORD PTR [esp]", text(4, "8b0424"));
    assertEquals("mov eax,DWORD PTR ds:0x12345678", text(4, "8b0578563412"));
    assertEquals("mov eax,DWORD PTR ds:0x12345678", text(4, "8b042578563412"));
    assertEquals("mov eax,DWORD PTR [ecx*8+0x10]", text(4, "8b04cd10000000"));
    assertEquals("mov eax,DWORD PTR [rip+0x10]", text(8, "8b0510000000"));
    assertEquals("mov eax,DWORD PTR [eip+0x10]", text(8, "678b0510000000"));
    assertEquals("mov eax,DWORD PTR ds:0xffffffff80000000", text(8, "8b042500000080"));
    assertEquals("mov eax,DWORD PTR [r13+0x0]", text(8, "418b4500"));
    assertEquals("mov eax,DWORD PTR [rax+r12*1]", text(8, "428b0420"));
    assertEquals("mov eax,DWORD PTR [r12]", text(8, "418b0424"));
    Instruction i = decode64("8b0510000000");
    assertEquals(Instruction.RIP, i.base);
    assertEquals(0x10, i.displacement);
    assertEquals(Instruction.NO_REGISTER, decode64("8b0424").index);
    assertEquals(12, decode64("428b0420").index);
  }

  @Test
  void theStackSegmentIsTheDefaultOfStackRegisters() {
    assertEquals(2, decode32("8b4500").segment);
    assertEquals(2, decode32("8b0424").segment);
    assertEquals(3, decode32("8b0428").segment);
    assertEquals(3, decode32("8b042d00000000").segment);
    assertEquals(2, decode64("8b4500").segment);
    assertEquals(3, decode64("418b4500").segment);
    assertEquals(3, decode64("418b0424").segment);
    assertEquals(3, decode32("3e8b4500").segment);
  }

  @Test
  void segmentOverridesOtherThanFsAndGsAreIgnoredIn64BitMode() {
    assertEquals(0, decode32("268b00").segment);
    assertEquals(3, decode64("268b00").segment);
    assertEquals(-1, decode64("268b00").segmentOverride);
    assertEquals(4, decode64("648b00").segment);
    assertEquals(4, decode64("642e8b00").segment);
    assertEquals(1, decode32("642e8b00").segment);
    assertEquals(5, decode64("64658b00").segment);
    assertEquals(2, decode64("2e8b4500").segment);
  }

  // Prefixes.

  @Test
  void rexCountsOnlyRightBeforeTheOpcode() {
    assertEquals("mov eax,ebx", text(8, "482e89d8"));
    assertEquals("mov ax,bx", text(8, "486689d8"));
    assertEquals("mov eax,r11d", text(8, "484489d8"));
    assertEquals(0x44, decode64("484489d8").rex);
    assertEquals("inc eax", text(4, "40"));
    assertEquals("dec edi", text(4, "4f"));
  }

  @Test
  void theLastRepeatPrefixCounts() {
    assertTrue(decode32("f2f3a4").rep);
    assertFalse(decode32("f2f3a4").repne);
    assertTrue(decode32("f3f2a6").repne);
    assertEquals("addsd xmm0,xmm1", text(8, "f3f20f58c1"));
    assertEquals("addsd xmm0,xmm1", text(8, "f2660f58c1"));
    assertEquals("addpd xmm0,xmm1", text(8, "660f58c1"));
  }

  @Test
  void lockNeedsALockableOpcodeAndAMemoryDestination() {
    is(Opcode.ADD, 3, decode32("f00108"));
    assertTrue(decode32("f00108").lock);
    invalid(decode32("f001c8"));
    invalid(decode32("f00308"));
    invalid(decode32("f08b00"));
    invalid(decode32("f03908"));
    is(Opcode.OR, 4, decode32("f0800801"));
    invalid(decode32("f0803801"));
    is(Opcode.XCHG, 3, decode32("f08708"));
    is(Opcode.XADD, 4, decode32("f00fc108"));
    is(Opcode.CMPXCHG8B, 4, decode32("f00fc708"));
    is(Opcode.CMPXCHG16B, 5, decode64("f0480fc708"));
    is(Opcode.BTS, 5, decode32("f00fba2801"));
    invalid(decode32("f00fba2001"));
    is(Opcode.NOT, 3, decode32("f0f710"));
    invalid(decode32("f0f720"));
    invalid(decode32("f090"));
    invalid(decode32("f00f20c0"));
    invalid(decode32("f0f3a4"));
    invalid(decode64("f0c5f058c2"));
  }

  @Test
  void moreThan15BytesAreTooLong() {
    is(Opcode.NOP, 15, decode64("66".repeat(14) + "90"));
    is(Opcode.TOO_LONG, 15, decode64("66".repeat(15) + "90"));
    is(Opcode.TOO_LONG, 15, decode32("2e".repeat(10) + "81840500000000" + "00000000"));
    is(Opcode.TOO_LONG, 15, decode32("2e".repeat(40)));
    // The end is found before the missing opcode is.
    is(Opcode.TOO_LONG, 15, decode32("2e".repeat(10) + "f30f5884050000000090"));
  }

  @Test
  void whatGoesOnPastTheLimitAsksForMore() {
    byte[] code = Code.bytes("9048b8887766554433221190");
    Decoder decoder = new Decoder(Code.ALL);
    for (int limit = 1; limit < 11; limit++) {
      assertSame(Instruction.PAST_LIMIT, decoder.decode(code, 1, limit, 8));
    }
    Instruction i = decoder.decode(code, 1, 11, 8);
    is(Opcode.MOV, 10, i);
    assertEquals(0x1122334455667788L, i.immediate);
    assertSame(Instruction.PAST_LIMIT, decoder.decode(ByteBuffer.wrap(code), 1, 10, 8));
    assertFalse(Instruction.PAST_LIMIT.isValid());
    byte[] prefixes = Code.bytes("66".repeat(20));
    assertSame(Instruction.PAST_LIMIT, decoder.decode(prefixes, 0, 14, 8));
    assertEquals(Opcode.PAST_LIMIT, decoder.decode(prefixes, 0, 0, 8).opcode);
  }

  @Test
  void aSourceIsAskedForNoByteTooMany() {
    int[] asked = {0};
    CodeSource source =
        new CodeSource() {
          @Override
          public int nextByte() {
            if (asked[0]++ == 2) {
              throw new IllegalStateException("page fault");
            }
            return asked[0] == 1 ? 0x89 : 0xd8;
          }

          @Override
          public int position() {
            return asked[0];
          }
        };
    is(Opcode.MOV, 2, new Decoder(Code.ALL).decode(source, 8));
    assertEquals(2, asked[0]);
    asked[0] = 1;
    assertThrows(IllegalStateException.class, () -> new Decoder(Code.ALL).decode(source, 2));
  }

  // Modes.

  @Test
  void opcodesThat64BitModeLacks() {
    String[] gone = {
      "06",
      "07",
      "0e",
      "16",
      "17",
      "1e",
      "1f",
      "27",
      "2f",
      "37",
      "3f",
      "60",
      "61",
      "82c001",
      "9a000000000000",
      "ce",
      "d40a",
      "d50a",
      "d6",
      "ea000000000000"
    };
    for (String hex : gone) {
      invalid(decode64(hex));
      assertTrue(decode32(hex).isValid(), hex);
      assertTrue(decode16(hex).isValid(), hex);
    }
    invalid(decode64("6200"));
    is(Opcode.BOUND, 2, decode32("6200"));
    is(Opcode.ARPL, 2, decode32("63c8"));
    is(Opcode.MOVSXD, 3, decode64("4863c8"));
  }

  @Test
  void opcodesThatOnly64BitModeHas() {
    invalid(decode32("0f01f8"));
    is(Opcode.SWAPGS, 3, decode64("0f01f8"));
    invalid(decode32("f30faec0"));
    is(Opcode.RDFSBASE, 4, decode64("f30faec0"));
    assertEquals("wrgsbase rax", text(8, "f3480faed8"));
    is(Opcode.MOV, 4, decode64("440f20c0"));
    assertEquals("mov rax,cr8", text(8, "440f20c0"));
  }

  @Test
  void c4AndC5AreVexOnlyWhereNoLesOrLdsCouldBe() {
    is(Opcode.LES, 2, decode32("c400"));
    is(Opcode.LDS, 2, decode16("c500"));
    is(Opcode.VADDPS, 4, decode32("c5f058c2"));
    is(Opcode.VADDPS, 4, decode16("c5f058c2"));
    is(Opcode.VADDPS, 4, decode64("c5f058c2"));
    is(Opcode.VADDPS, 4, decode64("c57058c2"));
    is(Opcode.ANDN, 5, decode32("c4e278f2c1"));
    invalid(decode(2 | Decoder.REAL_MODE, "c5f058c2"));
    is(Opcode.LES, 2, decode(2 | Decoder.REAL_MODE, "c400"));
    assertEquals(2, decode(2 | Decoder.REAL_MODE, "90").codeSize);
    assertSame(Instruction.PAST_LIMIT, decode64("c400"));
  }

  @Test
  void vexTakesNoOtherPrefixBefore() {
    invalid(decode64("66c5f058c2"));
    invalid(decode64("f2c5f058c2"));
    invalid(decode64("f3c5f058c2"));
    invalid(decode64("40c5f058c2"));
    is(Opcode.VADDPS, 5, decode64("64c5f05800"));
  }

  @Test
  void vexFieldsAreShown() {
    Instruction i = decode64("c4c17558c7");
    is(Opcode.VADDPD, 5, i);
    assertTrue(i.vex);
    assertEquals(1, i.vexV);
    assertEquals(1, i.vexL);
    assertEquals(0, i.vexW);
    assertEquals(1, i.vexP);
    assertEquals(OperandKind.YMM, i.kind2);
    assertEquals(15, i.reg2);
    assertEquals(32, i.size2);
    assertEquals("vblendvps xmm0,xmm1,xmm2,xmm3", text(8, "c4e3714ac230"));
  }

  @Test
  void vexFieldsThatAFormDoesNotUseMustBeClear() {
    is(Opcode.VMOVAPS, 4, decode64("c5f828c1"));
    invalid(decode64("c5f028c1"));
    invalid(decode64("c5fc6ec0"));
    invalid(decode64("c4e27cf2c1"));
    invalid(decode64("c4e2f92cc1"));
    invalid(decode64("c4e1f901c1"));
  }

  @Test
  void gathersNeedThreeRegistersAndASib() {
    assertEquals("vpgatherdd xmm0,DWORD PTR [rax+xmm1*4],xmm2", text(8, "c4e269900488"));
    assertEquals("vpgatherdq ymm0,QWORD PTR [rax+xmm1*4],ymm2", text(8, "c4e2ed900488"));
    assertEquals("vpgatherqd xmm0,DWORD PTR [rax+ymm1*4],xmm2", text(8, "c4e26d910488"));
    assertEquals(4, decode64("c4e269900420").index);
    assertEquals(16, decode64("c4e269900420").vectorIndexSize);
    invalid(decode64("c4e2699000"));
    invalid(decode64("c4e279900488"));
    invalid(decode64("c4e271900488"));
    invalid(decode64("c4e269900480"));
  }

  // Registers that do not exist.

  @Test
  void controlDebugAndSegmentRegistersThatDoNotExistAreInvalid() {
    for (int reg = 0; reg < 8; reg++) {
      String modrm = String.format("%02x", 0xc0 | reg << 3);
      boolean exists = reg == 0 || reg == 2 || reg == 3 || reg == 4;
      assertEquals(exists, decode32("0f20" + modrm).isValid());
      assertEquals(exists, decode32("0f22" + modrm).isValid());
      assertEquals(reg == 0, decode64("440f22" + modrm).isValid());
      assertTrue(decode64("0f23" + modrm).isValid());
      assertFalse(decode64("440f23" + modrm).isValid());
      assertEquals(reg < 6, decode32("8c" + modrm).isValid());
      assertEquals(reg < 6 && reg != 1, decode32("8e" + modrm).isValid());
      assertEquals(reg < 6, decode64("448c" + modrm).isValid());
    }
    // MOV to and from CR takes any mod for 3.
    is(Opcode.MOV, 3, decode32("0f2000"));
    assertEquals("mov eax,cr0", text(4, "0f2000"));
  }

  // Features.

  @Test
  void featuresGateOpcodesAndTheirAliases() {
    is(Opcode.TZCNT, 4, decode32("f30fbcc1"));
    is(Opcode.BSF, 4, without(Feature.BMI1, 4, "f30fbcc1"));
    is(Opcode.LZCNT, 4, decode32("f30fbdc1"));
    is(Opcode.BSR, 4, without(Feature.LZCNT, 4, "f30fbdc1"));
    is(Opcode.WBNOINVD, 3, decode32("f30f09"));
    is(Opcode.WBINVD, 3, without(Feature.WBNOINVD, 4, "f30f09"));
    is(Opcode.PREFETCHW, 3, decode32("0f0d08"));
    is(Opcode.NOP, 3, without(Feature.PREFETCHW, 4, "0f0d08"));
    invalid(decode(FeatureSet.none(), 4, "0f0d08"));
    is(Opcode.CLDEMOTE, 3, decode32("0f1c00"));
    is(Opcode.NOP, 3, without(Feature.CLDEMOTE, 4, "0f1c00"));
    invalid(without(Feature.POPCNT, 4, "f30fb8c1"));
    invalid(without(Feature.CMOV, 4, "0f44c1"));
    invalid(without(Feature.MOVBE, 4, "0f38f000"));
    invalid(without(Feature.VMX, 4, "0f01c2"));
    invalid(without(Feature.LAHF_LM, 8, "9f"));
    is(Opcode.LAHF, 1, without(Feature.LAHF_LM, 4, "9f"));
    invalid(without(Feature.AVX2, 8, "c5f5fcc2"));
    is(Opcode.VPADDB, 4, without(Feature.AVX2, 8, "c5f1fcc2"));
    invalid(without(Feature.AVX, 8, "c4e271dcc2"));
    invalid(without(Feature.AES, 8, "c4e271dcc2"));
    is(Opcode.ANDN, 5, without(Feature.AVX, 8, "c4e278f2c1"));
    invalid(without(Feature.SSE2, 8, "660ffcc1"));
    is(Opcode.PADDB, 3, without(Feature.SSE2, 8, "0ffcc1"));
  }

  @Test
  void nopAndPauseAndExchangeShareAnOpcode() {
    is(Opcode.NOP, 1, decode64("90"));
    is(Opcode.NOP, 2, decode64("6690"));
    is(Opcode.NOP, 2, decode64("4890"));
    is(Opcode.PAUSE, 2, decode64("f390"));
    is(Opcode.XCHG, 2, decode64("4190"));
    is(Opcode.XCHG, 3, decode64("f34190"));
    assertEquals("xchg r8,rax", text(8, "4990"));
    is(Opcode.ENDBR64, 4, decode64("f30f1efa"));
    is(Opcode.NOP, 4, without(Feature.CET_IBT, 8, "f30f1efa"));
    is(Opcode.NOP, 5, without(Feature.CET_SS, 8, "f3480f1ec8"));
    assertEquals("endbr64", text(8, "f30f1efa"));
    assertEquals("endbr32", text(4, "f30f1efb"));
  }

  // Immediates and operands.

  @Test
  void immediatesAreExtendedAsTheInstructionDoes() {
    Instruction i = decode64("4883c0ff");
    assertEquals(-1, i.immediate);
    assertEquals(8, i.size1);
    i = decode64("4881c000000080");
    assertEquals(-0x80000000L, i.immediate);
    assertEquals(0xff, decode64("c1e0ff").immediate);
    assertEquals(1, decode64("c1e0ff").size1);
    assertEquals(0xff, decode64("cdff").immediate);
    assertEquals(0xff, decode64("e4ff").immediate);
    assertEquals(-1, decode64("6aff").immediate);
    assertEquals(8, decode64("6aff").size0);
    assertEquals(0xffff, decode64("c2ffff").immediate);
    assertEquals(1, decode64("d1e0").immediate);
    i = decode32("c8341280");
    assertEquals(0x1234, i.immediate);
    assertEquals(0x80, i.immediate2);
    assertEquals("enter 0x1234,0x80", i.toString());
    i = decode32("9a785634121000");
    assertEquals(OperandKind.FAR_POINTER, i.kind0);
    assertEquals(0x12345678, i.immediate);
    assertEquals(0x10, i.immediate2);
    assertEquals("call 0x10:0x12345678", i.toString());
    assertEquals("call 0x10:0x1234", text(2, "9a34121000"));
    i = decode32("6bc1fe");
    assertEquals("imul eax,ecx,0xfffffffe", i.toString());
  }

  @Test
  void offsetsOfMovAreAsWideAsAddresses() {
    assertEquals(0x1122334455667788L, decode64("a08877665544332211").displacement);
    assertEquals("mov al,BYTE PTR ds:0x80000000", text(8, "67a000000080"));
    assertEquals("mov eax,DWORD PTR ds:0x80000000", text(4, "a100000080"));
    assertEquals("mov ax,WORD PTR ds:0x8000", text(2, "a10080"));
    assertEquals(OperandKind.MEMORY, decode32("a300000080").kind0);
    assertEquals("mov DWORD PTR fs:0x10,eax", text(4, "64a310000000"));
  }

  @Test
  void branchesAreRelativeToTheNextInstruction() {
    assertEquals("jne 0x0", text(8, "75fe"));
    assertEquals("jne $+0x0", decode64("75fe").toString());
    assertEquals(-2, decode64("75fe").immediate);
    assertEquals(5, decode64("75fe").condition);
    assertEquals("call 0x105", text(4, "e800010000"));
    assertEquals("jmp 0xfffe", text(2, "ebfc"));
    assertEquals("jmp 0xfffffffffffffffe", text(8, "ebfc"));
    assertEquals("loop 0x12", text(8, "e210"));
    assertEquals("jrcxz 0x12", text(8, "e310"));
    assertEquals("jecxz 0x13", text(8, "67e310"));
    assertEquals("jcxz 0x12", text(2, "e310"));
    assertEquals("jmp 0x14", text(4, "66e91000"));
    assertEquals(OperandKind.RELATIVE, decode64("e800010000").kind0);
  }

  @Test
  void stringInstructionsNameTheirOperands() {
    Instruction i = decode32("f3a5");
    assertTrue(i.isString);
    assertTrue(i.rep);
    assertFalse(i.endsBlock);
    assertEquals(OperandKind.STRING_DESTINATION, i.kind0);
    assertEquals(OperandKind.STRING_SOURCE, i.kind1);
    assertEquals(4, i.size0);
    assertEquals(3, i.segment);
    assertEquals("rep movs DWORD PTR es:[edi],DWORD PTR ds:[esi]", i.toString());
    assertEquals("movs BYTE PTR es:[rdi],BYTE PTR fs:[rsi]", text(8, "64a4"));
    assertEquals("repz cmps WORD PTR ds:[si],WORD PTR es:[di]", text(2, "f3a7"));
    assertEquals("repnz scas al,BYTE PTR es:[edi]", text(4, "f2ae"));
    assertEquals("ins DWORD PTR es:[rdi],dx", text(8, "486d"));
    assertEquals("outs dx,BYTE PTR es:[si]", text(2, "266e"));
    assertEquals("xlat BYTE PTR ds:[ebx]", text(4, "d7"));
    assertTrue(decode32("6c").endsBlock);
  }

  @Test
  void sizesThatDependOnTheMode() {
    assertEquals("cwde", text(4, "98"));
    assertEquals("cdqe", text(8, "4898"));
    assertEquals("cwd", text(2, "99"));
    assertEquals("cqo", text(8, "4899"));
    assertEquals("iretq", text(8, "48cf"));
    assertEquals(6, decode32("0f0110").size0);
    assertEquals(10, decode64("0f0110").size0);
    assertEquals(6, decode32("ff18").size0);
    assertEquals(10, decode64("48ff18").size0);
    assertEquals(4, decode16("ff18").size0);
    assertEquals(8, decode32("6200").size1);
    assertEquals(28, decode32("d930").size0);
    assertEquals(14, decode16("d930").size0);
    assertEquals(108, decode32("dd30").size0);
    assertEquals("vmread rax,rcx", text(8, "0f78c8"));
    assertEquals("vmread eax,ecx", text(4, "0f78c8"));
    assertEquals("pushfq", text(8, "9c"));
  }

  @Test
  void mandatoryPrefixesChooseOpcodes() {
    is(Opcode.VMPTRLD, 3, decode32("0fc730"));
    is(Opcode.VMCLEAR, 4, decode32("660fc730"));
    is(Opcode.VMXON, 4, decode32("f30fc730"));
    is(Opcode.VMPTRST, 3, decode32("0fc738"));
    is(Opcode.RDRAND, 3, decode32("0fc7f0"));
    is(Opcode.RDRAND, 4, decode32("660fc7f0"));
    is(Opcode.RDPID, 4, decode32("f30fc7f8"));
    is(Opcode.RDSEED, 3, decode32("0fc7f8"));
    is(Opcode.CMPXCHG8B, 3, decode32("0fc708"));
    invalid(decode32("0fc7c8"));
    invalid(decode32("660f01c1"));
    invalid(decode32("f30fae00"));
    is(Opcode.LFENCE, 3, decode32("0faeef"));
    is(Opcode.CLFLUSHOPT, 4, decode32("660fae38"));
    is(Opcode.MOVBE, 4, decode32("0f38f000"));
    assertEquals("movbe ax,WORD PTR [eax]", text(4, "660f38f000"));
    assertEquals("crc32 eax,BYTE PTR [eax]", text(4, "f20f38f000"));
    assertEquals("crc32 eax,WORD PTR [eax]", text(4, "66f20f38f100"));
    assertEquals("crc32 rax,QWORD PTR [rax]", text(8, "f2480f38f100"));
    assertEquals("adox eax,ecx", text(4, "f30f38f6c1"));
    assertEquals("adcx eax,ecx", text(4, "660f38f6c1"));
    assertEquals("invept rax,XMMWORD PTR [rcx]", text(8, "660f388001"));
  }

  // Traits.

  @Test
  void blocksEndWhereControlOrTheMachineMayChange() {
    String[] ends = {
      "eb00",
      "75fe",
      "c3",
      "cc",
      "cd80",
      "f4",
      "0fa2",
      "ec",
      "0f31",
      "0f32",
      "0f22c0",
      "0f21c0",
      "0f0110",
      "0f00d8",
      "0f0138",
      "0f01c1",
      "f390",
      "0f01d1",
      "0f09",
      "0f06",
      "fb",
      "fa",
      "9d",
      "cf",
      "8ed8",
      "0fa1",
      "0fb200",
      "0f05",
      "0f34",
      "0f01cb",
      "0f01ef",
      "660f388201",
      "0faa",
      "0f01f9",
      "0f33",
      "0fc7f0",
      "0f01c8",
      "0f0b"
    };
    for (String hex : ends) {
      assertTrue(decode32(hex).endsBlock, hex);
    }
    for (String hex : new String[] {"90", "0108", "8cd8", "f3a4", "0fae00", "9c", "0f1f00", "98"}) {
      assertFalse(decode32(hex).endsBlock, hex);
    }
    assertTrue(decode32("75fe").isBranch);
    assertFalse(decode32("f4").isBranch);
    assertTrue(decode32("f4").isPrivileged);
    assertTrue(decode32("0f20c0").isPrivileged);
    assertFalse(decode32("8ed8").isPrivileged);
  }

  @Test
  void flagMasksAreThoseOfTheManual() {
    int all = Opcode.CF | Opcode.PF | Opcode.AF | Opcode.ZF | Opcode.SF | Opcode.OF;
    assertEquals(all, Opcode.ADD.definedFlags);
    assertEquals(0, Opcode.ADD.undefinedFlags);
    assertEquals(Opcode.CF, Opcode.ADC.testedFlags);
    assertEquals(all & ~Opcode.CF, Opcode.INC.definedFlags);
    assertEquals(Opcode.AF, Opcode.AND.undefinedFlags);
    assertEquals(Opcode.AF | Opcode.OF, Opcode.SHL.undefinedFlags);
    assertEquals(all, Opcode.DIV.undefinedFlags);
    assertEquals(Opcode.CF | Opcode.OF, Opcode.MUL.definedFlags);
    assertEquals(0, Opcode.MOV.definedFlags | Opcode.MOV.undefinedFlags);
    assertEquals(1 << 10, Opcode.MOVS.testedFlags);
    assertEquals(1 << 9, Opcode.STI.definedFlags);
    for (Opcode opcode : Opcode.values()) {
      int partly = opcode.definedFlags & opcode.undefinedFlags;
      assertTrue((partly & ~Opcode.OF) == 0, opcode.name());
    }
  }
}
