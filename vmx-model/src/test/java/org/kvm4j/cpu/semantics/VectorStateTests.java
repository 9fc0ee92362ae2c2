package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;

/**
 * When vector instructions may run, what registers keep beside the result, and the faults of their
 * memory operands: what recorded vectors cannot hold. SDM Vol. 2, 2.4 "AVX and SSE Instruction
 * Exception Classification".
 */
class VectorStateTests {
  private static final String PXOR_MMX = "0f ef 07";
  private static final String PXOR_XMM = "66 0f ef 07";
  private static final String VPXOR_XMM = "c5 f1 ef 07";
  private static final String VPXOR_YMM = "c5 f5 ef 07";

  private static TestMachine machine() {
    TestMachine m = new TestMachine(TestMachine.Mode.LONG);
    m.cpu.cr4 |= ControlBits.CR4_OSFXSR | ControlBits.CR4_OSXSAVE;
    m.cpu.xcr0 = 7;
    m.run("db e3");
    m.cpu.r[Cpu.RDI] = m.data;
    for (int k = 0; k < 4; k++) {
      VectorState.set(m.cpu, 0, k, 0x1111111111111111L * (k + 1));
      VectorState.set(m.cpu, 1, k, 0x1111111111111111L * (k + 5));
    }
    return m;
  }

  private static int vector(TestMachine m, String code) {
    String before = m.state();
    byte[] area = m.cpu.xsaveArea.clone();
    CpuException e = m.execute(code);
    assertNotNull(e, code);
    assertEquals(before, m.state());
    assertEquals(0, java.util.Arrays.compare(area, m.cpu.xsaveArea));
    return e.vector;
  }

  @ParameterizedTest
  @ValueSource(strings = {PXOR_MMX, PXOR_XMM, VPXOR_XMM, VPXOR_YMM})
  void a_task_whose_state_is_elsewhere_gets_nm(String code) {
    TestMachine m = machine();
    m.cpu.cr0 |= ControlBits.CR0_TS;
    assertEquals(Vector.NM, vector(m, code));
  }

  @ParameterizedTest
  @CsvSource({PXOR_MMX + ",true", PXOR_XMM + ",true", VPXOR_XMM + ",false", VPXOR_YMM + ",false"})
  void emulation_makes_legacy_forms_undefined(String code, boolean undefined) {
    TestMachine m = machine();
    m.cpu.cr0 |= ControlBits.CR0_EM;
    if (undefined) {
      // #UD comes before #NM.
      m.cpu.cr0 |= ControlBits.CR0_TS;
      assertEquals(Vector.UD, vector(m, code));
    } else {
      m.run(code);
    }
  }

  @ParameterizedTest
  @CsvSource({PXOR_MMX + ",false", PXOR_XMM + ",true", VPXOR_XMM + ",false", VPXOR_YMM + ",false"})
  void legacy_sse_asks_for_osfxsr(String code, boolean undefined) {
    TestMachine m = machine();
    m.cpu.cr4 &= ~ControlBits.CR4_OSFXSR;
    if (undefined) {
      assertEquals(Vector.UD, vector(m, code));
    } else {
      m.run(code);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {VPXOR_XMM, VPXOR_YMM})
  void avx_asks_for_osxsave_and_xcr0(String code) {
    TestMachine m = machine();
    m.cpu.cr4 &= ~ControlBits.CR4_OSXSAVE;
    assertEquals(Vector.UD, vector(m, code));
    m = machine();
    m.cpu.xcr0 = 3;
    assertEquals(Vector.UD, vector(m, code));
    m.run(PXOR_XMM);
  }

  @Test
  void a_pending_x87_exception_stops_mmx_alone() {
    TestMachine m = machine();
    X87State.setControl(m.cpu, 0x37b);
    X87State.setStatus(m.cpu, 4);
    assertEquals(Vector.MF, vector(m, PXOR_MMX));
    m.run(PXOR_XMM);
    m.run(VPXOR_YMM);
    m.cpu.cr0 &= ~ControlBits.CR0_NE;
    m.run(PXOR_MMX);
  }

  @Test
  void legacy_forms_keep_the_upper_half_and_vex_forms_zero_it() {
    TestMachine m = machine();
    m.run("66 0f ef c1");
    assertEquals(0x4444444444444444L, VectorState.get(m.cpu, 0, 0));
    assertEquals(0x4444444444444444L, VectorState.get(m.cpu, 0, 1));
    assertEquals(0x3333333333333333L, VectorState.get(m.cpu, 0, 2));
    m.run("c5 f1 ef c1");
    for (int k = 0; k < 4; k++) {
      assertEquals(0, VectorState.get(m.cpu, 0, k));
    }
    m.run("c5 f5 ef c0");
    for (int k = 0; k < 4; k++) {
      assertEquals(0x1111111111111111L * (k + 5), VectorState.get(m.cpu, 0, k));
    }
  }

  @Test
  void an_mmx_instruction_makes_all_tags_valid_and_top_zero() {
    TestMachine m = machine();
    m.run("d9 e8");
    m.run("d9 e8");
    m.memory.writeLong(m.data, 5);
    // ST(1) is physical register 7, ST(0) is 6.
    assertEquals(1L << 63, VectorState.mmx(m.cpu, 7));
    m.run("0f ef 3f");
    assertEquals(0, X87State.top(m.cpu));
    assertEquals(0xff, X87State.tags(m.cpu));
    assertEquals(1L << 63 | 5, VectorState.mmx(m.cpu, 7));
    assertEquals(0xffff, X87State.exponent(m.cpu, 7));
    assertEquals(1L << 63, VectorState.mmx(m.cpu, 6));
    assertEquals(0x3fff, X87State.exponent(m.cpu, 6), "only what is written changes");
  }

  @Test
  void a_legacy_memory_operand_is_aligned_and_a_vex_one_need_not_be() {
    TestMachine m = machine();
    for (int by : new int[] {1, 4, 8}) {
      m.cpu.r[Cpu.RDI] = m.data + by;
      assertEquals(Vector.GP, vector(m, PXOR_XMM));
      m.run(VPXOR_XMM);
      m.run(VPXOR_YMM);
      m.run(PXOR_MMX);
    }
    m.cpu.r[Cpu.RDI] = m.data + 16;
    assertNull(m.execute(PXOR_XMM));
  }

  @Test
  void where_alignment_is_checked_vectors_are_to_sixteen_bytes() {
    TestMachine m = machine();
    m.flags(Flags.AC);
    m.cpu.r[Cpu.RDI] = m.data + 8;
    m.run(PXOR_MMX);
    assertEquals(Vector.GP, vector(m, PXOR_XMM));
    assertEquals(Vector.AC, vector(m, VPXOR_XMM));
    assertEquals(Vector.AC, vector(m, VPXOR_YMM));
    m.cpu.r[Cpu.RDI] = m.data + 16;
    m.run(VPXOR_YMM);
    m.cpu.r[Cpu.RDI] = m.data + 4;
    assertEquals(Vector.AC, vector(m, PXOR_MMX));
  }

  @Test
  void an_operand_across_a_page_that_is_not_there_faults_on_that_page() {
    TestMachine m = machine();
    m.cpu.r[Cpu.RDI] = m.unmapped - 8;
    CpuException e = m.execute(VPXOR_YMM);
    assertNotNull(e);
    assertEquals(Vector.PF, e.vector);
    assertEquals(m.unmapped, e.payload);
    m.memory.writeLong(m.data + 0xff8, 3);
    m.memory.writeLong(m.data + 0x1000, 4);
    m.cpu.r[Cpu.RDI] = m.data + 0xff8;
    m.run(VPXOR_YMM);
    assertEquals(0x5555555555555555L ^ 3, VectorState.get(m.cpu, 0, 0));
    assertEquals(0x6666666666666666L ^ 4, VectorState.get(m.cpu, 0, 1));
    assertEquals(0x7777777777777777L, VectorState.get(m.cpu, 0, 2));
  }
}
