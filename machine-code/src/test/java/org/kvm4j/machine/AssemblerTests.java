package org.kvm4j.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.kvm4j.machine.Assembler.*;

import java.util.HexFormat;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

/** Encodings, as the SDM's volume 2 has them. */
final class AssemblerTests {
  private static void is(String bytes, Consumer<Assembler> code) {
    Assembler a = new Assembler();
    code.accept(a);
    assertEquals(bytes, HexFormat.ofDelimiter(" ").formatHex(a.bytes()));
  }

  @Test
  void registers_have_the_prefixes_that_they_need() {
    is("48 89 d8", a -> a.move(RAX, RBX));
    is("4d 89 e7", a -> a.move(R15, R12));
    is("01 d8", a -> a.registers(4, 0x01, RBX, RAX));
    is("66 01 d8", a -> a.registers(2, 0x01, RBX, RAX));
    is("00 d8", a -> a.registers(1, 0x00, RBX, RAX));
    is("40 00 f0", a -> a.registers(1, 0x00, RSI, RAX)); // sil, not dh
    is("40 00 c7", a -> a.registers(1, 0x00, RAX, RDI));
    is("80 e0 01", a -> a.immediate(1, 4, RAX, 1)); // an extension, no register
    is("0f 90 e0", a -> a.registers(1, 0x0f90, 4, RAX));
    is("f3 48 0f b8 c3", a -> a.registers(0xf3, 8, 0x0fb8, RAX, RBX));
    is("66 0f 38 00 c1", a -> a.registers(0x66, 4, 0x0f3800, 0, 1));
  }

  @Test
  void memory_operands_have_the_forms_that_registers_allow() {
    is("48 8b 03", a -> a.load(RAX, RBX, 0));
    is("48 8b 45 00", a -> a.load(RAX, RBP, 0));
    is("49 8b 45 00", a -> a.load(RAX, R13, 0));
    is("49 8b 04 24", a -> a.load(RAX, R12, 0));
    is("49 8b 47 80", a -> a.load(RAX, R15, -128));
    is("49 8b 87 80 00 00 00", a -> a.load(RAX, R15, 128));
    is("4b 8b 44 35 00", a -> a.memory(0, 8, 0x8b, RAX, R13, R14, 0, 0));
    is("48 8d 04 9d 10 00 00 00", a -> a.address(RAX, NONE, RBX, 2, 16));
    is("48 8d 04 25 10 00 00 00", a -> a.address(RAX, NONE, NONE, 0, 16));
    is("4a 8d 44 fb 10", a -> a.address(RAX, RBX, R15, 3, 16));
  }

  @Test
  void values_are_set_in_as_few_bytes_as_they_need() {
    is("b8 ff ff ff ff", a -> a.set(RAX, 0xffffffffL));
    is("49 c7 c5 ff ff ff ff", a -> a.set(R13, -1));
    is("48 b8 00 00 00 00 01 00 00 00", a -> a.set(RAX, 1L << 32));
    is("48 83 c4 08", a -> a.immediate(8, 0, RSP, 8));
    is("48 81 c4 80 00 00 00", a -> a.immediate(8, 0, RSP, 128));
    is("66 81 c3 80 00", a -> a.immediate(2, 0, RBX, 128));
  }

  @Test
  void jumps_lead_where_they_are_bound() {
    is(
        "0f 84 02 00 00 00 eb 00 e9 f3 ff ff ff",
        a -> {
          int first = a.jump(E);
          int second = a.jumpShort();
          a.bind(first);
          a.bindShort(second);
          a.bind(a.jump(), 0);
        });
    Assembler a = new Assembler();
    int jump = a.jumpShort(NE);
    for (int k = 0; k < 200; k++) {
      a.emit(0x90);
    }
    assertThrows(IllegalStateException.class, () -> a.bindShort(jump));
  }

  @Test
  void jumps_between_two_parts_lead_where_they_are_bound_wherever_the_second_part_goes() {
    Assembler a = new Assembler();
    int there = a.jump(E);
    int back = a.position();
    a.emit(0x90);
    int within = a.jump();
    a.bind(within);
    a.beginPart();
    a.bind(there);
    a.bind(a.jump(NE), back);
    a.addressOf(R11, back);
    int inPart = a.jump();
    a.bind(inPart);
    a.part(0x100);
    assertEquals(
        "0f 84 06 01 00 00 90 e9 00 00 00 00"
            + " 0f 85 f4 fe ff ff 4c 8d 1d ed fe ff ff e9 00 00 00 00",
        HexFormat.ofDelimiter(" ").formatHex(a.bytes()));
  }

  @Test
  void code_that_begins_anew_has_one_part_again() {
    Assembler a = new Assembler();
    int there = a.jump();
    a.beginPart();
    a.bind(there);
    a.clear();
    a.bind(a.jump());
    a.part(0x100);
    assertEquals("e9 00 00 00 00", HexFormat.ofDelimiter(" ").formatHex(a.bytes()));
  }
}
