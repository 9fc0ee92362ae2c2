package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.testing.SystemMachine;

/**
 * The pointers to the last x87 instruction and operand, as each instruction stores them. SDM Vol.
 * 1, 8.1.8 "x87 FPU Instruction and Data (Operand) Pointers", 10.5.1.1 "x87 State".
 */
final class X87PointerTests {
  private static final String DEPRECATED = "kvm4j-v1,+fxsr,+xsave";
  private static final String KEPT = "kvm4j-v1,-fpu_cs_ds_deprecated,+fxsr,+xsave";
  private static final int AREA = SystemMachine.DATA + 0x100;

  /** 64-bit mode after an x87 instruction at 1_0004_0000H with an unmasked fault of its operand. */
  private static SystemMachine machine(String model) {
    SystemMachine m = SystemMachine.long64(0, model);
    m.cpu.cr4 |= ControlBits.CR4_OSXSAVE;
    m.cpu.r[Cpu.RDI] = AREA;
    m.cpu.r[Cpu.RAX] = 1;
    m.execute("db e3");
    X87State.setControl(m.cpu, 0x37e);
    // FADD with a signalling NaN: the data pointer is noted.
    m.cpu.r[Cpu.RSI] = SystemMachine.DATA;
    m.memory.writeInt(SystemMachine.DATA, 0x7f800001);
    m.execute("d9 e8");
    m.execute("d8 06");
    X87State.setInstructionPointer(m.cpu, 0x1_2345_6789L);
    X87State.setDataPointer(m.cpu, 0x2_3456_789aL);
    return m;
  }

  @ParameterizedTest
  @ValueSource(strings = {"0f ae 07", "0f ae 27"})
  void without_rex_w_pointers_have_32_bits_and_a_selector(String save) {
    SystemMachine m = machine(KEPT);
    m.execute(save);
    assertEquals((long) SystemMachine.LONG0 << 32 | 0x2345_6789L, m.memory.readLong(AREA + 8));
    assertEquals((long) SystemMachine.DATA0 << 32 | 0x3456_789aL, m.memory.readLong(AREA + 16));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0f ae 07", "0f ae 27"})
  void selectors_are_0_where_they_are_deprecated(String save) {
    SystemMachine m = machine(DEPRECATED);
    m.execute(save);
    assertEquals(0x2345_6789L, m.memory.readLong(AREA + 8));
    assertEquals(0x3456_789aL, m.memory.readLong(AREA + 16));
  }

  @ParameterizedTest
  @ValueSource(strings = {"48 0f ae 07", "48 0f ae 27"})
  void with_rex_w_pointers_have_64_bits(String save) {
    SystemMachine m = machine(KEPT);
    m.execute(save);
    assertEquals(0x1_2345_6789L, m.memory.readLong(AREA + 8));
    assertEquals(0x2_3456_789aL, m.memory.readLong(AREA + 16));
  }

  @Test
  void what_was_stored_is_loaded_again() {
    SystemMachine m = machine(KEPT);
    m.execute("0f ae 07");
    m.execute("db e3");
    assertEquals(0, m.cpu.fpuCs);
    m.execute("0f ae 0f");
    assertEquals(0x2345_6789L, X87State.instructionPointer(m.cpu));
    assertEquals(0x3456_789aL, X87State.dataPointer(m.cpu));
    assertEquals(SystemMachine.LONG0, m.cpu.fpuCs);
    assertEquals(SystemMachine.DATA0, m.cpu.fpuDs);
    m.execute("48 0f ae 07");
    m.execute("48 0f ae 0f");
    assertEquals(0x2345_6789L, X87State.instructionPointer(m.cpu));
    assertEquals(0, m.cpu.fpuCs);
  }

  @Test
  void selectors_in_the_image_are_ignored_where_they_are_deprecated() {
    SystemMachine m = machine(DEPRECATED);
    m.execute("0f ae 07");
    m.memory.writeShort(AREA + 12, (short) 0x1234);
    m.execute("0f ae 0f");
    assertEquals(0, m.cpu.fpuCs);
  }

  @Test
  void the_environment_has_selectors_in_protected_mode() {
    SystemMachine m = machine(KEPT);
    int opcode = X87State.opcode(m.cpu);
    m.execute("d9 37"); // fnstenv
    assertEquals(0x2345_6789, m.memory.readInt(AREA + 12));
    assertEquals(opcode << 16 | SystemMachine.LONG0, m.memory.readInt(AREA + 16));
    assertEquals(0x3456_789a, m.memory.readInt(AREA + 20));
    assertEquals(0xffff0000 | SystemMachine.DATA0, m.memory.readInt(AREA + 24));
    m.execute("db e3");
    m.execute("d9 27"); // fldenv
    assertEquals(SystemMachine.LONG0, m.cpu.fpuCs);
    assertEquals(SystemMachine.DATA0, m.cpu.fpuDs);
    m.execute("66 d9 37");
    assertEquals(SystemMachine.LONG0, m.memory.readShort(AREA + 8));
    assertEquals(SystemMachine.DATA0, m.memory.readShort(AREA + 12));
  }

  @Test
  void the_environment_has_linear_addresses_in_real_address_mode() {
    SystemMachine m = machine(KEPT);
    m.cpu.fpuCs = 0xf123;
    X87State.setInstructionPointer(m.cpu, 0x4567);
    m.cpu.cr0 &= ~(ControlBits.CR0_PE | ControlBits.CR0_PG);
    m.cpu.efer = 0;
    m.cpu.seg[Cpu.CS].set(0x4000, SystemMachine.CODE, 0xffff, Segment.REAL_CODE);
    m.cpu.seg[Cpu.DS].set(0x5000, SystemMachine.DATA, 0xffff, Segment.REAL_DATA);
    m.cpu.rip = 0;
    m.cpu.r[Cpu.RDI] = AREA - SystemMachine.DATA;
    m.cpu.updateMode();
    m.execute("d9 35");
    assertEquals(0x5797, m.memory.readShort(AREA + 6));
    assertEquals(0xf000, m.memory.readShort(AREA + 8) & 0xf000);
  }
}
