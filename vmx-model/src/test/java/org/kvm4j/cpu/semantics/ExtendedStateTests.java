package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Vector;

/** XSAVE and its kin. What is written where, and the header, are as seen on a Zen 4 processor. */
class ExtendedStateTests {
  private static final String XSAVE = "48 0f ae 27";
  private static final String XSAVEOPT = "48 0f ae 37";
  private static final String XSAVEC = "48 0f c7 27";
  private static final String XRSTOR = "48 0f ae 2f";
  private static final byte FILL = (byte) 0xcc;
  private static final int AREA = 832;

  private static TestMachine machine(TestMachine.Mode mode) {
    TestMachine m = new TestMachine(mode);
    m.cpu.cr4 |= ControlBits.CR4_OSFXSR | ControlBits.CR4_OSXSAVE;
    m.cpu.xcr0 = 7;
    m.cpu.r[Cpu.RDI] = m.data;
    m.run("db e3");
    return m;
  }

  private static void use(Cpu cpu, int components, int mxcsr) {
    if ((components & 1) != 0) {
      cpu.xsaveArea[40] = 1;
    }
    for (int r = 0; r < 16; r++) {
      VectorState.set(cpu, r, 1, (components & 2) != 0 ? 0x100 + r : 0);
      VectorState.set(cpu, r, 3, (components & 4) != 0 ? 0x200 + r : 0);
    }
    VectorState.setMxcsr(cpu, mxcsr);
  }

  private static void request(Cpu cpu, long mask) {
    cpu.r[Cpu.RAX] = mask & 0xffffffffL;
    cpu.r[Cpu.RDX] = mask >>> 32;
  }

  @ParameterizedTest
  @CsvSource({
    // form, asked for, in use, MXCSR, bytes written, XSTATE_BV (204 before), XCOMP_BV
    "XSAVE, 7, 7, 1f80, 0-416 576-832, 207, 0",
    "XSAVE, 7, 0, 1f80, 0-416 576-832, 200, 0",
    "XSAVE, 1, 0, 1f80, 0-24 32-160, 204, 0",
    "XSAVE, 2, 0, 1f80, 24-32 160-416, 204, 0",
    "XSAVE, 4, 0, 1f80, 24-32 576-832, 200, 0",
    "XSAVE, 5, 7, 1f80, 0-160 576-832, 205, 0",
    "XSAVE, 0, 7, 1f80, '', 204, 0",
    "XSAVEOPT, 7, 7, 1f80, 0-416 576-832, 207, 0",
    "XSAVEOPT, 7, 0, 1f80, 24-32, 200, 0",
    "XSAVEOPT, 7, 2, 1f80, 24-32 160-416, 202, 0",
    "XSAVEOPT, 7, 4, 3f80, 24-32 576-832, 204, 0",
    "XSAVEOPT, 1, 7, 1f80, 0-24 32-160, 205, 0",
    "XSAVEOPT, 1, 0, 1f80, '', 204, 0",
    "XSAVEOPT, 4, 0, 1f80, 24-32, 200, 0",
    "XSAVEC, 7, 7, 1f80, 0-416 576-832, 7, 7",
    "XSAVEC, 7, 0, 1f80, '', 0, 7",
    "XSAVEC, 7, 0, 3f80, 24-32 160-416, 2, 7",
    "XSAVEC, 7, 4, 3f80, 24-32 160-416 576-832, 6, 7",
    "XSAVEC, 7, 1, 1f80, 0-24 32-160, 1, 7",
    "XSAVEC, 4, 7, 1f80, 576-832, 4, 4",
    "XSAVEC, 5, 4, 3f80, 576-832, 4, 5",
    "XSAVEC, 0, 7, 3f80, '', 0, 0"
  })
  void saves(String form, int mask, int used, String mxcsr, String ranges, String bv, String comp) {
    TestMachine m = machine(TestMachine.Mode.LONG);
    use(m.cpu, used, Integer.parseInt(mxcsr, 16));
    request(m.cpu, mask);
    m.memory.fill(m.data, 0x1000, FILL);
    m.memory.fill(m.data + 512, 64, (byte) 0);
    m.memory.writeLong(m.data + 512, 0x204);
    m.run(form.equals("XSAVE") ? XSAVE : form.equals("XSAVEOPT") ? XSAVEOPT : XSAVEC);
    boolean compact = form.equals("XSAVEC");
    assertEquals(Long.parseLong(bv, 16), m.memory.readLong(m.data + 512));
    assertEquals(
        Long.parseLong(comp, 16) | (compact ? 1L << 63 : 0), m.memory.readLong(m.data + 520));
    byte[] expected = new byte[0x1000];
    Arrays.fill(expected, FILL);
    for (String range : ranges.isEmpty() ? new String[0] : ranges.split(" ")) {
      int from = Integer.parseInt(range.split("-")[0]);
      int to = Integer.parseInt(range.split("-")[1]);
      System.arraycopy(m.cpu.xsaveArea, from, expected, from, to - from);
      if (from <= 28 && to >= 32) {
        // MXCSR_MASK.
        expected[28] = (byte) 0xff;
        expected[29] = (byte) 0xff;
      }
    }
    byte[] actual = new byte[0x1000];
    m.memory.read(m.data, actual);
    System.arraycopy(actual, 512, expected, 512, 64);
    assertEquals(-1, Arrays.mismatch(expected, actual), "byte");
  }

  @Test
  void what_was_compacted_comes_back_and_the_rest_is_initial() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    use(m.cpu, 6, 0x3f80);
    request(m.cpu, 4);
    m.run(XSAVEC);
    use(m.cpu, 3, 0x5f80);
    request(m.cpu, 6);
    m.run(XRSTOR);
    assertEquals(0x205, VectorState.get(m.cpu, 5, 3));
    assertEquals(0, VectorState.get(m.cpu, 5, 1));
    assertEquals(0x1f80, VectorState.mxcsr(m.cpu), "the compacted format initializes it");
    assertEquals(1, m.cpu.xsaveArea[40], "not asked for");
  }

  @Test
  void components_behind_a_gap_are_compacted() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    m.cpu.xcr0 = 0x207;
    m.cpu.pkru = 0x1234;
    request(m.cpu, 0x203);
    m.run(XSAVEC);
    assertEquals(0x1234, m.memory.readLong(m.data + 576));
    m.cpu.pkru = 0;
    m.run(XRSTOR);
    assertEquals(0x1234, m.cpu.pkru);
  }

  @Test
  void the_standard_format_loads_mxcsr_whatever_is_valid() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    use(m.cpu, 7, 0x1f80);
    m.memory.writeInt(m.data + 24, 0x3f80);
    request(m.cpu, 4);
    m.run(XRSTOR);
    assertEquals(0x3f80, VectorState.mxcsr(m.cpu));
    assertEquals(0, VectorState.get(m.cpu, 5, 3));
    assertEquals(0x105, VectorState.get(m.cpu, 5, 1));
    m.memory.writeInt(m.data + 24, 0x13f80);
    assertEquals(Vector.GP, vector(m, XRSTOR));
    request(m.cpu, 1);
    m.run(XRSTOR);
    assertEquals(0, m.cpu.xsaveArea[40]);
    assertEquals(X87State.DEFAULT_CONTROL, X87State.control(m.cpu));
  }

  @ParameterizedTest
  @CsvSource({
    // offset, value: a header that no form takes
    "512, 8",
    "520, 1",
    "528, 1",
    "520, 0x8000000000000008",
    "512, 0x8000000000000000"
  })
  void headers_are_checked(int offset, String value) {
    TestMachine m = machine(TestMachine.Mode.LONG);
    request(m.cpu, 7);
    m.memory.writeInt(m.data + 24, 0x1f80);
    m.run(XRSTOR);
    m.memory.writeLong(m.data + offset, Long.parseUnsignedLong(value.replace("0x", ""), 16));
    assertEquals(Vector.GP, vector(m, XRSTOR));
  }

  @Test
  void a_compacted_header_has_nothing_valid_that_it_has_no_place_for() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    request(m.cpu, 7);
    m.memory.writeLong(m.data + 520, 1L << 63 | 3);
    m.run(XRSTOR);
    m.memory.writeLong(m.data + 568, 1);
    assertEquals(Vector.GP, vector(m, XRSTOR));
    m.memory.writeLong(m.data + 568, 0);
    m.memory.writeLong(m.data + 512, 4);
    assertEquals(Vector.GP, vector(m, XRSTOR));
  }

  @Test
  void below_64_bits_only_eight_registers_move() {
    TestMachine m = machine(TestMachine.Mode.PROTECTED32);
    use(m.cpu, 6, 0x1f80);
    request(m.cpu, 7);
    m.memory.fill(m.data, AREA, FILL);
    m.memory.fill(m.data + 512, 64, (byte) 0);
    m.run("0f ae 27");
    assertEquals(0x207, m.memory.readLong(m.data + 576 + 7 * 16 + 8));
    assertEquals(0xccccccccccccccccL, m.memory.readLong(m.data + 576 + 8 * 16 + 8));
    assertEquals(0xccccccccccccccccL, m.memory.readLong(m.data + 160 + 8 * 16));
    m.memory.writeLong(m.data + 512, 0);
    m.run("0f ae 2f");
    assertEquals(0, VectorState.get(m.cpu, 7, 3));
    assertEquals(0x208, VectorState.get(m.cpu, 8, 3));
    assertEquals(0x108, VectorState.get(m.cpu, 8, 1));
  }

  @Test
  void pointers_of_the_fpu_have_64_bits_only_with_rex_w() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    X87State.setInstructionPointer(m.cpu, 0x123456789abcdef0L);
    X87State.setDataPointer(m.cpu, 0x2222222211111111L);
    request(m.cpu, 1);
    for (String save : new String[] {"0f ae 07", "0f ae 27"}) {
      m.run(save);
      assertEquals(0x9abcdef0L, m.memory.readLong(m.data + 8));
      assertEquals(0x11111111L, m.memory.readLong(m.data + 16));
      m.run("48 " + save);
      assertEquals(0x123456789abcdef0L, m.memory.readLong(m.data + 8));
    }
    m.run("0f ae 0f");
    assertEquals(0x9abcdef0L, X87State.instructionPointer(m.cpu));
  }

  @Test
  void areas_are_aligned_and_available() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    request(m.cpu, 7);
    m.cpu.r[Cpu.RDI] = m.data + 32;
    assertEquals(Vector.GP, vector(m, XSAVE));
    assertEquals(Vector.GP, vector(m, XRSTOR));
    m.cpu.cr0 |= ControlBits.CR0_TS;
    assertEquals(Vector.NM, vector(m, XSAVE));
    m.cpu.cr4 &= ~ControlBits.CR4_OSXSAVE;
    assertEquals(Vector.UD, vector(m, XSAVE));
  }

  private static int vector(TestMachine m, String code) {
    CpuException e = m.execute(code);
    assertNotNull(e, code);
    return e.vector;
  }
}
