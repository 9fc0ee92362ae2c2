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
import org.kvm4j.cpu.core.Vector;

/** MXCSR and its exceptions, where {@link SimdFloatVectorTests} cannot go from user mode. */
class SimdControlTests {
  private static final String DIVPS = "0f 5e c1";
  private static final String VDIVPS = "c5 fc 5e c1";
  private static final String VCVTPS2PH = "c4 e3 7d 1d 0f 04";
  private static final int ZERO_DIVIDE = 4;
  private static final int UNMASKED = 0;

  private static TestMachine machine() {
    TestMachine m = new TestMachine(TestMachine.Mode.LONG);
    m.cpu.cr4 |= ControlBits.CR4_OSFXSR | ControlBits.CR4_OSXMMEXCPT | ControlBits.CR4_OSXSAVE;
    m.cpu.xcr0 = 7;
    m.run("db e3");
    m.cpu.r[Cpu.RDI] = m.data;
    for (int k = 0; k < 4; k++) {
      VectorState.set(m.cpu, 0, k, 0x3f8000003f800000L);
    }
    return m;
  }

  private static int vector(TestMachine m, String code) {
    CpuException e = m.execute(code);
    assertNotNull(e, code);
    return e.vector;
  }

  @ParameterizedTest
  @ValueSource(strings = {DIVPS, VDIVPS})
  void an_unmasked_exception_is_xm_or_ud_and_is_entered_before_it_is_taken(String code) {
    for (boolean handled : new boolean[] {true, false}) {
      TestMachine m = machine();
      VectorState.setMxcsr(m.cpu, UNMASKED);
      if (!handled) {
        m.cpu.cr4 &= ~ControlBits.CR4_OSXMMEXCPT;
      }
      assertEquals(handled ? Vector.XM : Vector.UD, vector(m, code));
      assertEquals(ZERO_DIVIDE, VectorState.mxcsr(m.cpu));
      assertEquals(0x3f8000003f800000L, VectorState.get(m.cpu, 0, 0), "nothing is written");
    }
  }

  @Test
  void exceptions_of_before_do_not_trap() {
    TestMachine m = machine();
    VectorState.setMxcsr(m.cpu, ZERO_DIVIDE);
    m.run("0f 58 c0");
    assertEquals(ZERO_DIVIDE, VectorState.mxcsr(m.cpu));
  }

  @ParameterizedTest
  @CsvSource({"0f ae 17,0f ae 5f 08", "c5 f8 ae 17,c5 f8 ae 5f 08"})
  void mxcsr_is_loaded_and_stored_and_has_reserved_bits(String load, String store) {
    TestMachine m = machine();
    m.memory.writeInt(m.data, 0xffff);
    m.run(load);
    m.run(store);
    assertEquals(0xffff, m.memory.readInt(m.data + 8));
    for (int bit = 16; bit < 32; bit++) {
      m.memory.writeInt(m.data, 1 << bit);
      assertEquals(Vector.GP, vector(m, load));
    }
    assertEquals(0xffff, VectorState.mxcsr(m.cpu));
  }

  @Test
  void mxcsr_is_vector_state() {
    TestMachine m = machine();
    m.cpu.cr0 |= ControlBits.CR0_TS;
    assertEquals(Vector.NM, vector(m, "0f ae 17"));
    assertEquals(Vector.NM, vector(m, "c5 f8 ae 1f"));
    m.cpu.cr4 &= ~ControlBits.CR4_OSFXSR;
    assertEquals(Vector.UD, vector(m, "0f ae 17"));
  }

  @Test
  void a_store_that_faults_enters_no_exceptions() {
    TestMachine m = machine();
    VectorState.setMxcsr(m.cpu, 0x1f80);
    VectorState.set(m.cpu, 1, 0, 0x3f8000013f800001L);
    m.cpu.r[Cpu.RDI] = m.readOnly;
    assertEquals(Vector.PF, vector(m, VCVTPS2PH));
    assertEquals(0x1f80, VectorState.mxcsr(m.cpu));
    VectorState.setMxcsr(m.cpu, UNMASKED);
    assertEquals(Vector.PF, vector(m, VCVTPS2PH), "the fault goes before the exception");
    assertEquals(UNMASKED, VectorState.mxcsr(m.cpu));
    m.cpu.r[Cpu.RDI] = m.data;
    assertEquals(Vector.XM, vector(m, VCVTPS2PH));
    assertEquals(0, m.memory.readLong(m.data));
  }

  @Test
  void a_conversion_with_an_mmx_register_waits_for_the_fpu_and_one_from_memory_does_not() {
    TestMachine m = machine();
    X87State.setControl(m.cpu, 0x37b);
    X87State.setStatus(m.cpu, 4);
    assertEquals(Vector.MF, vector(m, "0f 2a c2"));
    assertEquals(Vector.MF, vector(m, "66 0f 2c c0"));
    assertNull(m.execute("66 0f 2a 07"));
    // CR4.OSFXSR goes before.
    m.cpu.cr4 &= ~ControlBits.CR4_OSFXSR;
    assertEquals(Vector.UD, vector(m, "0f 2c 07"));
  }
}
