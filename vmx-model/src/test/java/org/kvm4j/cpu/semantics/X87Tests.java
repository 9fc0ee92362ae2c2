package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Vector;

/**
 * What {@link X87VectorTests} cannot record in user mode: availability, #MF, environments, faults.
 */
class X87Tests {
  private static TestMachine machine(TestMachine.Mode mode) {
    TestMachine m = new TestMachine(mode);
    m.run("db e3");
    m.cpu.r[Cpu.RDI] = m.data;
    return m;
  }

  /** ModR/M for memory at DI, EDI or RDI with a digit. */
  private static String memory(TestMachine m, String opcode, int digit) {
    return "%s %02x".formatted(opcode, digit << 3 | (m.mode.codeSize == 2 ? 5 : 7));
  }

  private static int vector(TestMachine m, String code) {
    CpuException e = m.execute(code);
    assertNotNull(e, code);
    return e.vector;
  }

  @Test
  void a_task_whose_state_is_elsewhere_gets_nm() {
    for (long bit : new long[] {ControlBits.CR0_TS, ControlBits.CR0_EM}) {
      TestMachine m = machine(TestMachine.Mode.LONG);
      m.cpu.cr0 |= bit;
      for (String code : new String[] {"d8 c1", "d9 e8", "db e3", "df e0", "dd 37", "d9 f7"}) {
        assertEquals(Vector.NM, vector(m, code), code);
      }
      // WAIT looks at TS and MP alone.
      assertEquals(bit == ControlBits.CR0_TS, m.execute("9b") != null);
    }
  }

  @Test
  void an_unmasked_exception_is_reported_by_the_next_instruction_that_waits() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    m.memory.writeShort(m.data, (short) 0x37b);
    m.run("d9 2f");
    m.run("d9 ee");
    m.run("d9 e8");
    long division = m.cpu.rip;
    m.run("d8 f1");
    assertEquals(0xb084, X87State.status(m.cpu));
    assertEquals(0x3fff, X87State.exponent(m.cpu, 0), "the operand stays");
    assertEquals(division, X87State.instructionPointer(m.cpu));
    assertEquals(0xf1, X87State.opcode(m.cpu));
    for (String code : new String[] {"d9 e8", "9b", "d9 d0", "d9 2f", "d9 f7", "dd 27"}) {
      assertEquals(Vector.MF, vector(m, code), code);
    }
    m.run("df e0");
    assertEquals(0xb084, m.cpu.r[Cpu.RAX] & 0xffff);
    m.run("d9 7f 10");
    m.cpu.cr0 &= ~ControlBits.CR0_NE;
    m.run("9b");
    m.cpu.cr0 |= ControlBits.CR0_NE;
    m.run("db e2");
    assertEquals(0x3000, X87State.status(m.cpu));
    m.run("9b");
  }

  @Test
  void masks_decide_whether_an_exception_waits() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    m.run("d9 e8");
    m.run("d9 ee");
    m.run("de f9");
    assertEquals(0x3804, X87State.status(m.cpu));
    m.memory.writeShort(m.data, (short) 0x37b);
    m.run("d9 2f");
    assertEquals(0xb884, X87State.status(m.cpu));
    // FNSTENV masks all of them.
    m.run("d9 77 10");
    assertEquals(0x3804, X87State.status(m.cpu));
    assertEquals(0x37f, X87State.control(m.cpu));
    assertEquals(0xffff037b, m.memory.readInt(m.data + 0x10));
    assertEquals(0xffffb884, m.memory.readInt(m.data + 0x14));
  }

  @Test
  void unmasked_exceptions_note_operand_and_opcode() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    m.memory.writeShort(m.data, (short) 0x37b);
    m.run("d9 2f");
    m.run("d9 e8");
    m.run("d8 77 20");
    assertEquals(m.data + 0x20, X87State.dataPointer(m.cpu));
    assertEquals(0x77, X87State.opcode(m.cpu));
  }

  @ParameterizedTest
  @EnumSource(TestMachine.Mode.class)
  void environments_in_both_sizes(TestMachine.Mode mode) {
    TestMachine m = machine(mode);
    m.run("d9 e8");
    m.run("d9 ee");
    X87State.setInstructionPointer(m.cpu, 0x12345678L);
    X87State.setDataPointer(m.cpu, 0x0abcdef0L);
    X87State.setOpcode(m.cpu, 0x123);
    boolean real = mode == TestMachine.Mode.REAL;
    boolean small = mode.codeSize == 2;
    String wide = small ? "66 " : "";
    String narrow = small ? "" : "66 ";

    m.run(wide + memory(m, "d9", 6));
    int[] words = new int[7];
    for (int k = 0; k < 7; k++) {
      words[k] = m.memory.readInt(m.data + 4 * k);
    }
    int tags = 0xffff1fff;
    assertArrayEquals(
        real
            ? new int[] {
              0xffff037f, 0xffff3000, tags, 0xffff5678, 0x01234123, 0xffffdef0, 0x00abc000
            }
            : new int[] {
              0xffff037f, 0xffff3000, tags, 0x12345678, 0x01230000, 0x0abcdef0, 0xffff0000
            },
        words);

    byte[] before = m.cpu.xsaveArea.clone();
    m.run("db e3");
    m.run(wide + memory(m, "d9", 4));
    assertArrayEquals(before, m.cpu.xsaveArea);

    m.memory.fill(m.data, 32, (byte) 0x55);
    m.run(narrow + memory(m, "d9", 6));
    for (int k = 0; k < 7; k++) {
      words[k] = m.memory.readShort(m.data + 2 * k) & 0xffff;
    }
    assertArrayEquals(
        real
            ? new int[] {0x37f, 0x3000, 0x1fff, 0x5678, 0x4123, 0xdef0, 0xc000}
            : new int[] {0x37f, 0x3000, 0x1fff, 0x5678, 0, 0xdef0, 0},
        words);
    assertEquals(0x5555, m.memory.readShort(m.data + 14));
  }

  @ParameterizedTest
  @EnumSource(TestMachine.Mode.class)
  void the_state_comes_back(TestMachine.Mode mode) {
    TestMachine m = machine(mode);
    for (String code : new String[] {"d9 e8", "d9 eb", "d9 ee", "d9 e0", "d9 f7", "dd c2"}) {
      m.run(code);
    }
    byte[] before = m.cpu.xsaveArea.clone();
    m.run(memory(m, "dd", 6));
    assertEquals(0x37f, X87State.control(m.cpu));
    assertEquals(0, X87State.status(m.cpu));
    assertEquals(0, X87State.tags(m.cpu));
    m.run("d9 ec");
    m.run(memory(m, "dd", 4));
    if (mode.codeSize == 2) {
      // The opcode and the upper half of the pointers are not in 16-bit formats.
      System.arraycopy(m.cpu.xsaveArea, 6, before, 6, 18);
    }
    assertArrayEquals(before, m.cpu.xsaveArea);
  }

  @ParameterizedTest
  @CsvSource({
    "d9 eb, 4000, c90fdaa22168c234, c90fdaa22168c235, c90fdaa22168c235",
    "d9 e9, 4000, d49a784bcd1b8afe, d49a784bcd1b8afe, d49a784bcd1b8aff"
  })
  void constants_are_rounded(String code, String exponent, String down, String near, String up) {
    TestMachine m = machine(TestMachine.Mode.LONG);
    String[] expected = {near, down, up, down};
    for (int rounding = 0; rounding < 4; rounding++) {
      X87State.setControl(m.cpu, 0x37f | rounding << 10);
      m.run(code);
      assertEquals(Integer.parseInt(exponent, 16), X87State.exponent(m.cpu, 0));
      assertEquals(Long.parseUnsignedLong(expected[rounding], 16), X87State.significand(m.cpu, 0));
    }
  }

  @Test
  void a_fault_comes_before_any_change() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    m.run("d9 eb");
    m.run("d9 e8");
    for (int opcode = 0xd8; opcode < 0xe0; opcode++) {
      for (int digit = 0; digit < 8; digit++) {
        String code = memory(m, "%02x".formatted(opcode), digit);
        if (!m.decode(code).isValid()) {
          continue;
        }
        for (int across = 0; across < 2; across++) {
          m.cpu.r[Cpu.RDI] = m.unmapped - across;
          byte[] before = m.cpu.xsaveArea.clone();
          String state = m.state();
          assertEquals(Vector.PF, vector(m, code), code);
          assertArrayEquals(before, m.cpu.xsaveArea, code);
          assertEquals(state, m.state(), code);
        }
      }
    }
  }

  @Test
  void instructions_of_older_coprocessors_do_nothing() {
    TestMachine m = machine(TestMachine.Mode.LONG);
    byte[] before = m.cpu.xsaveArea.clone();
    for (String code : new String[] {"db e0", "db e1", "db e4", "d9 d0"}) {
      assertNull(m.execute(code), code);
    }
    assertArrayEquals(before, m.cpu.xsaveArea);
  }
}
