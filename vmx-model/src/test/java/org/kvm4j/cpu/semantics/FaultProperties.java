package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/** An instruction that faults leaves registers, flags, RIP and memory as they were. */
final class FaultProperties {
  /** Instructions on memory at DI, EDI or RDI, whatever the operand size. */
  private static final String[] ON_MEMORY = {
    "00 07",
    "01 07",
    "02 07",
    "03 07",
    "09 07",
    "0b 07",
    "11 07",
    "13 07",
    "19 07",
    "1b 07",
    "21 07",
    "23 07",
    "29 07",
    "2b 07",
    "31 07",
    "33 07",
    "39 07",
    "3b 07",
    "80 07 11",
    "81 17 11 22 33 44",
    "83 1f 11",
    "84 07",
    "85 07",
    "86 07",
    "87 07",
    "88 07",
    "89 07",
    "8a 07",
    "8b 07",
    "8f 07",
    "c0 07 03",
    "c1 0f 03",
    "d0 17",
    "d1 1f",
    "d2 27",
    "d3 2f",
    "c1 3f 00",
    "c6 07 11",
    "c7 07 11 22 33 44",
    "f6 07 11",
    "f7 07 11 22 33 44",
    "f6 17",
    "f7 17",
    "f6 1f",
    "f7 1f",
    "f6 27",
    "f7 2f",
    "f6 37",
    "f7 3f",
    "fe 07",
    "fe 0f",
    "ff 07",
    "ff 0f",
    "ff 17",
    "ff 27",
    "ff 37",
    "69 07 11 22 33 44",
    "6b 07 11",
    "0f a3 07",
    "0f ab 07",
    "0f b3 07",
    "0f bb 07",
    "0f ba 27 03",
    "0f ba 2f 03",
    "0f ba 37 03",
    "0f ba 3f 03",
    "0f a4 07 03",
    "0f a5 07",
    "0f ac 07 03",
    "0f ad 07",
    "0f af 07",
    "0f b0 07",
    "0f b1 07",
    "0f b6 07",
    "0f b7 07",
    "0f be 07",
    "0f bf 07",
    "0f bc 07",
    "0f bd 07",
    "f3 0f bc 07",
    "f3 0f bd 07",
    "f3 0f b8 07",
    "0f c0 07",
    "0f c1 07",
    "0f c3 07",
    "0f c7 0f",
    "0f 40 07",
    "0f 44 07",
    "0f 90 07",
    "0f 95 07",
    "0f 38 f0 07",
    "0f 38 f1 07",
    "f2 0f 38 f0 07",
    "f2 0f 38 f1 07",
    "66 0f 38 f6 07",
    "f3 0f 38 f6 07",
    "0f ae 3f",
    "66 0f ae 3f",
    "66 0f ae 37",
    "f0 00 07",
    "f0 01 07",
    "f0 83 07 11",
    "f0 ff 07",
    "f0 f7 17",
    "f0 0f ab 07",
    "f0 0f c1 07",
    "f0 0f b1 07",
    "f0 0f c7 0f",
    "aa",
    "ab",
    "f3 aa",
    "f3 ab",
    "ae",
    "af",
    "f3 a6",
    "f2 af",
    "a4",
    "a5",
    "f3 a4",
    "f3 a5"
  };

  /** Those of them that only read memory: a read-only page is no obstacle. */
  private static boolean onlyReads(Instruction i) {
    if (i.kind0 == org.kvm4j.cpu.decode.OperandKind.GPR
        || i.kind0 == org.kvm4j.cpu.decode.OperandKind.GPR_HIGH) {
      return i.opcode != Opcode.XCHG && i.opcode != Opcode.XADD;
    }
    return switch (i.opcode) {
      case CMP, TEST, BT, MUL, IMUL, DIV, IDIV, PUSH, JMP_NEAR, CALL_NEAR, SCAS, CMPS -> true;
      case CLFLUSH, CLFLUSHOPT, CLWB -> true;
      default -> false;
    };
  }

  private static void randomRegisters(TestMachine m, Random random) {
    for (int k = 0; k < 16; k++) {
      if (k != Cpu.RSP) {
        m.cpu.r[k] = random.nextLong() >>> random.nextInt(64);
      }
    }
    if (m.mode.codeSize != 8) {
      for (int k = 0; k < 16; k++) {
        m.cpu.r[k] = k < 8 ? m.cpu.r[k] & 0xffffffffL : 0;
      }
    }
    m.cpu.r[Cpu.RSP] = m.data + 0x800;
    m.flags(random.nextInt() & Flags.ARITHMETIC);
    byte[] content = new byte[0x2000];
    random.nextBytes(content);
    m.memory.write(m.data, content);
  }

  private static final Map<TestMachine.Mode, TestMachine> MACHINES =
      new EnumMap<>(TestMachine.Mode.class);

  private static TestMachine machine(TestMachine.Mode mode) {
    return MACHINES.computeIfAbsent(mode, TestMachine::new).reset();
  }

  @Provide
  Arbitrary<Long> seeds() {
    return Arbitraries.randomValue(Random::nextLong);
  }

  @Property(tries = 3000)
  void aMissingPageChangesNothing(@ForAll("seeds") long seed) {
    Random random = new Random(seed);
    boolean wide = random.nextBoolean();
    TestMachine m = machine(wide ? TestMachine.Mode.LONG : TestMachine.Mode.PROTECTED32);
    randomRegisters(m, random);
    String bytes = ON_MEMORY[random.nextInt(ON_MEMORY.length)];
    if (random.nextInt(3) == 0) {
      bytes = "66" + bytes;
    } else if (wide
        && random.nextInt(3) == 0
        && bytes.indexOf("f") != 0
        && !bytes.startsWith("66")) {
      bytes = "48" + bytes;
    }
    Instruction i = m.decode(bytes);
    if (i.opcode == Opcode.INVALID) {
      return;
    }
    boolean toReadOnly = !onlyReads(i) && random.nextBoolean();
    // Some operands lie across the border, and their first part is mapped.
    int across = random.nextInt(3) == 0 ? random.nextInt(8) : 0;
    long border = toReadOnly ? m.readOnly : m.unmapped;
    m.cpu.r[Cpu.RDI] = across == 0 ? border + random.nextInt(0x800) : border - across;
    if (i.opcode == Opcode.CMPXCHG16B) {
      m.cpu.r[Cpu.RDI] &= ~15L;
    }
    m.cpu.r[Cpu.RSI] = m.data + 0x100;
    m.cpu.r[Cpu.RCX] = (m.cpu.r[Cpu.RCX] & ~0xffL) | (random.nextInt(8) + 1);
    if (i.opcode.name().startsWith("BT")) {
      m.cpu.r[Cpu.RAX] = random.nextInt(16);
    }
    String before = m.state();
    CpuException e = m.execute(i);
    if (across == 0) {
      assertNotNull(e, i::toString);
      assertEquals(Vector.PF, e.vector, i::toString);
    }
    if (e != null && !(i.isString && (i.rep || i.repne))) {
      assertEquals(before, m.state(), i::toString);
    }
  }

  /** Instructions that are not of these groups. */
  private static final EnumSet<Opcode> OTHERS =
      EnumSet.of(
          Opcode.CALL_FAR,
          Opcode.JMP_FAR,
          Opcode.RET_FAR,
          Opcode.INT,
          Opcode.INT1,
          Opcode.INT3,
          Opcode.INTO,
          Opcode.IRET,
          Opcode.SYSCALL,
          Opcode.SYSRET,
          Opcode.SYSENTER,
          Opcode.SYSEXIT,
          Opcode.IN,
          Opcode.OUT,
          Opcode.INS,
          Opcode.OUTS,
          Opcode.POPF);

  /** Random bytes as instructions in each mode: a fault or none, and nothing else. */
  @Property(tries = 1000)
  void randomInstructionsFaultCleanly(@ForAll("seeds") long seed) {
    Random random = new Random(seed);
    TestMachine.Mode[] modes = TestMachine.Mode.values();
    TestMachine m = machine(modes[random.nextInt(modes.length)]);
    byte[] code = new byte[16];
    for (int k = 0; k < 40; k++) {
      random.nextBytes(code);
      if (random.nextInt(3) == 0) {
        code[0] = 0x0f;
      }
      Instruction i = m.decode(HexFormat.of().formatHex(code));
      if (!i.isValid() || (i.endsBlock && !i.isBranch) || OTHERS.contains(i.opcode)) {
        continue;
      }
      randomRegisters(m, random);
      for (int r = 0; r < 8; r++) {
        if (random.nextBoolean()) {
          m.cpu.r[r] = m.data + random.nextInt(0x3100);
        }
      }
      m.cpu.rip = m.code;
      m.cpu.attention = random.nextInt(2);
      m.cpu.r[Cpu.RCX] &= 0xfff;
      String before = m.state();
      byte[] memory = m.bytes();
      CpuException e = m.execute(i);
      if (e != null && !(i.isString && (i.rep || i.repne))) {
        assertEquals(before, m.state(), i::toString);
        assertArrayEquals(memory, m.bytes(), i::toString);
      }
    }
  }

  @Test
  void aRepeatedInstructionKeepsTheIterationsBeforeItsFault() {
    TestMachine m = new TestMachine(TestMachine.Mode.LONG);
    m.cpu.r[Cpu.RSI] = m.data;
    m.cpu.r[Cpu.RDI] = m.readOnly - 12;
    m.cpu.r[Cpu.RCX] = 100;
    m.memory.writeLong(m.data, 0x1122334455667788L);
    CpuException e = m.execute("f3 66 a5");
    assertNotNull(e);
    assertEquals(Vector.PF, e.vector);
    assertEquals(7, e.errorCode);
    assertEquals(m.readOnly, e.payload);
    assertEquals(94, m.cpu.r[Cpu.RCX]);
    assertEquals(m.data + 12, m.cpu.r[Cpu.RSI]);
    assertEquals(m.readOnly, m.cpu.r[Cpu.RDI]);
    assertEquals(0x1122334455667788L, m.memory.readLong(m.readOnly - 12));
    assertEquals(m.code, m.cpu.rip);
  }
}
