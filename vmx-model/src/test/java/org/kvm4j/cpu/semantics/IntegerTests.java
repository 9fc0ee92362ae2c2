package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.semantics.TestMachine.Mode;

/** Arithmetic, logic, bits and moves as instructions: operand kinds, sizes and extension. */
final class IntegerTests {
  private final TestMachine m = new TestMachine(Mode.LONG);
  private final long[] r = m.cpu.r;

  private void assertFault(int vector, String bytes) {
    String before = m.state();
    CpuException e = m.execute(bytes);
    assertNotNull(e, bytes);
    assertEquals(vector, e.vector, bytes);
    assertEquals(before, m.state(), bytes);
  }

  @Test
  void operandsOf32BitsZeroExtendAndSmallerOnesDoNot() {
    r[Cpu.RAX] = -1;
    r[Cpu.RBX] = 1;
    m.run("66 01 d8");
    assertEquals(0xffffffffffff0000L, r[Cpu.RAX]);
    m.run("00 d8");
    assertEquals(0xffffffffffff0001L, r[Cpu.RAX]);
    m.run("01 d8");
    assertEquals(0xffff0002L, r[Cpu.RAX]);
    m.run("00 dc");
    assertEquals(0xffff0102L, r[Cpu.RAX]);
  }

  @Test
  void byteImmediatesAreSignExtended() {
    r[Cpu.RAX] = 5;
    m.run("48 83 c0 fe");
    assertEquals(3, r[Cpu.RAX]);
    m.run("48 6b c8 80");
    assertEquals(-384, r[Cpu.RCX]);
    m.run("48 83 e0 ff");
    assertEquals(3, r[Cpu.RAX]);
    m.run("48 c7 c0 00 00 00 80");
    assertEquals(Integer.MIN_VALUE, r[Cpu.RAX]);
    m.run("48 b8 11 22 33 44 55 66 77 88");
    assertEquals(0x8877665544332211L, r[Cpu.RAX]);
  }

  @Test
  void readsAndWritesMemoryOfEachAddressingForm() {
    r[Cpu.RBX] = m.data;
    r[Cpu.RSI] = 4;
    m.run("c7 44 b3 10 78 56 34 12");
    assertEquals(0x12345678, m.memory.readInt(m.data + 0x20));
    m.run("03 44 73 18");
    assertEquals(0x12345678, r[Cpu.RAX]);
    // RIP-relative: from the end of the instruction.
    m.cpu.rip = m.data - 0x100;
    m.run("8b 0d 1a 01 00 00");
    assertEquals(0x12345678, r[Cpu.RCX]);
    m.run("67 8b 14 b3");
    assertEquals(0, r[Cpu.RDX]);
    r[Cpu.RBX] = 0x5500000000L | m.data;
    m.run("67 8b 54 b3 10");
    assertEquals(0x12345678, r[Cpu.RDX]);
  }

  @Test
  void segmentsOfDataAreAddedAndChecked() {
    TestMachine p = new TestMachine(Mode.PROTECTED16);
    p.segment(Cpu.GS, 0x20000, 0xfff, Segment.REAL_DATA);
    p.memory.writeShort(0x20ffe, (short) 0x1234);
    p.cpu.r[Cpu.RBX] = 0xffe;
    p.run("65 8b 07");
    assertEquals(0x1234, p.cpu.r[Cpu.RAX]);
    p.cpu.r[Cpu.RBX] = 0xfff;
    CpuException e = p.execute("65 8b 07");
    assertNotNull(e);
    assertEquals(Vector.GP, e.vector);
    p.segment(Cpu.GS, 0x20000, 0xfff, Segment.REAL_CODE & ~Segment.WRITABLE_OR_READABLE);
    p.cpu.r[Cpu.RBX] = 0;
    e = p.execute("65 8b 07");
    assertNotNull(e);
    assertEquals(Vector.GP, e.vector);
    p.cpu.r[Cpu.RBP] = 0xffff;
    e = p.execute("8b 46 00");
    assertNotNull(e);
    assertEquals(Vector.SS, e.vector);
    TestMachine l = new TestMachine(Mode.LONG);
    l.segment(Cpu.FS, l.data, 0, 0);
    l.memory.writeLong(l.data + 8, 0x5a);
    l.cpu.r[Cpu.RBX] = 8;
    l.run("64 8b 03");
    assertEquals(0x5a, l.cpu.r[Cpu.RAX]);
  }

  @Test
  void loadsEffectiveAddresses() {
    r[Cpu.RBX] = 0x1_0000_0010L;
    r[Cpu.RSI] = 0x20;
    m.run("48 8d 44 f3 ff");
    assertEquals(0x1_0000_010fL, r[Cpu.RAX]);
    m.run("8d 44 f3 ff");
    assertEquals(0x10f, r[Cpu.RAX]);
    m.run("67 48 8d 44 f3 ff");
    assertEquals(0x10f, r[Cpu.RAX]);
    r[Cpu.RAX] = -1;
    m.run("66 8d 44 f3 ff");
    assertEquals(0xffffffffffff010fL, r[Cpu.RAX]);
  }

  @Test
  void extendsTheAccumulator() {
    r[Cpu.RAX] = 0x1122334455667780L;
    m.run("66 98");
    assertEquals(0x112233445566ff80L, r[Cpu.RAX]);
    m.run("98");
    assertEquals(0xffffff80L, r[Cpu.RAX]);
    m.run("48 98");
    assertEquals(-128, r[Cpu.RAX]);
    r[Cpu.RDX] = 0x5555555555555555L;
    m.run("66 99");
    assertEquals(0x555555555555ffffL, r[Cpu.RDX]);
    m.run("99");
    assertEquals(0xffffffffL, r[Cpu.RDX]);
    m.run("48 99");
    assertEquals(-1, r[Cpu.RDX]);
  }

  @Test
  void multipliesAndDividesInRegisterPairs() {
    r[Cpu.RAX] = 0x1234567890abcdefL;
    r[Cpu.RCX] = 0xfedcba0987654321L;
    m.run("48 f7 e1");
    assertEquals(0xc24a442fe55618cfL, r[Cpu.RAX]);
    assertEquals(0x121fa000a3723a57L, r[Cpu.RDX]);
    m.run("48 f7 f1");
    assertEquals(0x1234567890abcdefL, r[Cpu.RAX]);
    assertEquals(0, r[Cpu.RDX]);
    r[Cpu.RAX] = 0x7777_0000_ffffL;
    r[Cpu.RDX] = 0x7777_0000_0000L;
    r[Cpu.RCX] = 16;
    m.run("66 f7 f1");
    assertEquals(0x7777_0000_0fffL, r[Cpu.RAX]);
    assertEquals(0x7777_0000_000fL, r[Cpu.RDX]);
    r[Cpu.RAX] = 0xaa_01ffL;
    m.run("f6 f1");
    assertEquals(0xaa_0f1fL, r[Cpu.RAX]);
    r[Cpu.RAX] = -7;
    r[Cpu.RDX] = -1;
    r[Cpu.RCX] = 2;
    m.run("f7 f9");
    assertEquals(0xfffffffdL, r[Cpu.RAX]);
    assertEquals(0xffffffffL, r[Cpu.RDX]);
  }

  @Test
  void divisionFaultsForZeroAndOverflow() {
    r[Cpu.RAX] = 1;
    r[Cpu.RDX] = 1;
    for (String bytes :
        new String[] {
          "f6 f1", "66 f7 f1", "f7 f1", "48 f7 f1", "f6 f9", "66 f7 f9", "f7 f9", "48 f7 f9"
        }) {
      r[Cpu.RCX] = 0;
      assertFault(Vector.DE, bytes);
    }
    r[Cpu.RCX] = 1;
    assertFault(Vector.DE, "f7 f1");
    assertFault(Vector.DE, "48 f7 f9");
    r[Cpu.RAX] = Long.MIN_VALUE;
    r[Cpu.RDX] = -1;
    r[Cpu.RCX] = -1;
    assertFault(Vector.DE, "48 f7 f9");
  }

  @Test
  void bitOffsetsInRegistersReachBeyondTheOperand() {
    r[Cpu.RDI] = m.data + 0x100;
    r[Cpu.RCX] = -9;
    m.run("48 0f ab 0f");
    assertEquals((byte) 0x80, m.memory.readByte(m.data + 0xfe));
    m.run("0f a3 0f");
    assertEquals(Flags.CF, m.flags() & Flags.CF);
    m.run("48 0f b3 0f");
    assertEquals(0, m.memory.readByte(m.data + 0xfe));
    r[Cpu.RCX] = 0x800;
    m.run("0f bb 0f");
    assertEquals(1, m.memory.readByte(m.data + 0x200));
    // 16 bits of offset are signed.
    r[Cpu.RCX] = 0xfff0;
    m.run("66 0f bb 0f");
    assertEquals(1, m.memory.readByte(m.data + 0xfe));
    // An immediate stays inside.
    m.run("0f ba 2f 21");
    assertEquals(2, m.memory.readByte(m.data + 0x100));
    // In a register too.
    r[Cpu.RAX] = 0;
    r[Cpu.RCX] = 65;
    m.run("48 0f ab c8");
    assertEquals(2, r[Cpu.RAX]);
  }

  @Test
  void bitScanOfZeroKeepsTheDestination() {
    r[Cpu.RAX] = 0x1122334455667788L;
    m.run("0f bc c1");
    assertEquals(0x1122334455667788L, r[Cpu.RAX]);
    assertEquals(Flags.ZF | Flags.PF, m.flags());
    m.run("f3 0f bc c1");
    assertEquals(32, r[Cpu.RAX]);
    assertEquals(Flags.CF, m.flags());
  }

  @Test
  void shiftCountsOfZeroChangeNoFlags() {
    r[Cpu.RAX] = -1;
    for (String bytes :
        new String[] {"c0 e0 20", "c1 e8 20", "d3 f8", "66 d3 c0", "0f a5 c8", "d3 d0"}) {
      m.flags(Flags.ARITHMETIC & ~Flags.ZF);
      m.run(bytes);
      assertEquals(Flags.ARITHMETIC & ~Flags.ZF, m.flags(), bytes);
    }
    assertEquals(0xffffffffL, r[Cpu.RAX]);
  }

  @Test
  void conditionalMovesReadAndExtendInAnyCase() {
    r[Cpu.RAX] = -1;
    r[Cpu.RCX] = 5;
    m.run("0f 44 c1");
    assertEquals(0xffffffffL, r[Cpu.RAX]);
    m.run("0f 45 c1");
    assertEquals(5, r[Cpu.RAX]);
    r[Cpu.RDI] = m.unmapped;
    assertFault(Vector.PF, "0f 44 07");
    m.run("0f 94 c4");
    assertEquals(5, r[Cpu.RAX]);
    m.run("0f 95 c4");
    assertEquals(0x105, r[Cpu.RAX]);
  }

  @Test
  void movesWithExtensionAndInOtherByteOrders() {
    r[Cpu.RCX] = 0xfedcba98_8182f3f4L;
    m.run("0f b6 c5");
    assertEquals(0xf3, r[Cpu.RAX]);
    m.run("48 0f be c1");
    assertEquals(-12, r[Cpu.RAX]);
    m.run("0f bf c1");
    assertEquals(0xfffff3f4L, r[Cpu.RAX]);
    m.run("48 63 c1");
    assertEquals(0xffffffff_8182f3f4L, r[Cpu.RAX]);
    m.run("0f c8");
    assertEquals(0xf4f38281L, r[Cpu.RAX]);
    m.run("48 0f c8");
    assertEquals(0x8182f3f400000000L, r[Cpu.RAX]);
    r[Cpu.RDI] = m.data;
    m.run("66 0f 38 f1 0f");
    assertEquals((short) 0xf4f3, m.memory.readShort(m.data));
    m.run("48 0f 38 f1 0f");
    m.run("48 0f 38 f0 07");
    assertEquals(r[Cpu.RCX], r[Cpu.RAX]);
    m.run("48 0f c3 0f");
    assertEquals(r[Cpu.RCX], m.memory.readLong(m.data));
  }

  @Test
  void translatesThroughATable() {
    r[Cpu.RBX] = m.data;
    r[Cpu.RAX] = 0x1280;
    m.memory.writeByte(m.data + 0x80, (byte) 0xcd);
    m.run("d7");
    assertEquals(0x12cd, r[Cpu.RAX]);
    TestMachine p = new TestMachine(Mode.REAL);
    p.cpu.r[Cpu.RBX] = 0xfff0;
    p.cpu.r[Cpu.RAX] = 0x20;
    p.memory.writeByte(0x10, (byte) 0xab);
    p.run("d7");
    assertEquals(0xab, p.cpu.r[Cpu.RAX]);
  }

  @Test
  void vectorPrefixedInstructionsTakeThreeOperands() {
    r[Cpu.RCX] = 0xff00ff00ff00ff00L;
    r[Cpu.RBX] = 0x0123456789abcdefL;
    r[Cpu.RDX] = r[Cpu.RBX];
    m.run("c4 e2 f0 f2 c3");
    assertEquals(0x0023006700ab00efL, r[Cpu.RAX]);
    m.run("c4 e2 f3 f6 c3");
    assertEquals(0x0001_4b66_dc33_f6acL, r[Cpu.RAX]);
    assertEquals(0xdca5e20890f2a521L, r[Cpu.RCX]);
    r[Cpu.RCX] = 0x0804;
    m.run("c4 e2 f0 f7 c3");
    assertEquals(0xde, r[Cpu.RAX]);
    m.run("c4 e2 f1 f7 c3");
    assertEquals(0x123456789abcdef0L, r[Cpu.RAX]);
    m.run("c4 e3 fb f0 c3 08");
    assertEquals(0xef0123456789abcdL, r[Cpu.RAX]);
  }

  @Test
  void adjustsDecimals() {
    TestMachine p = new TestMachine(Mode.REAL);
    long[] q = p.cpu.r;
    q[Cpu.RAX] = 0x79;
    q[Cpu.RBX] = 0x35;
    p.run("00 d8");
    p.run("27");
    assertEquals(0x14, q[Cpu.RAX]);
    assertEquals(Flags.CF, p.flags() & Flags.CF);
    q[Cpu.RAX] = 0x35;
    q[Cpu.RBX] = 0x47;
    p.run("28 d8");
    p.run("2f");
    assertEquals(0x88, q[Cpu.RAX]);
    assertEquals(Flags.CF, p.flags() & Flags.CF);
    q[Cpu.RAX] = 0x020f;
    p.flags(0);
    p.run("37");
    assertEquals(0x0305, q[Cpu.RAX]);
    q[Cpu.RAX] = 0x02ff;
    p.flags(0);
    p.run("3f");
    assertEquals(0x0109, q[Cpu.RAX]);
    q[Cpu.RAX] = 0x3f;
    p.run("d4 0a");
    assertEquals(0x0603, q[Cpu.RAX]);
    p.run("d5 0a");
    assertEquals(0x3f, q[Cpu.RAX]);
    CpuException e = p.execute("d4 00");
    assertNotNull(e);
    assertEquals(Vector.DE, e.vector);
  }

  @Test
  void movesFlagsAndAh() {
    m.flags(Flags.ARITHMETIC);
    m.run("9f");
    assertEquals(0xd700, r[Cpu.RAX]);
    m.run("f8");
    m.run("9e");
    assertEquals(Flags.ARITHMETIC, m.flags());
    r[Cpu.RAX] = 0;
    m.run("9e");
    assertEquals(Flags.OF, m.flags());
    m.run("f5");
    assertEquals(Flags.OF | Flags.CF, m.flags());
    m.run("fd");
    assertEquals(Flags.DF, m.cpu.rflags() & Flags.DF);
    m.run("fc");
    assertEquals(0, m.cpu.rflags() & Flags.DF);
    TestMachine p = new TestMachine(Mode.REAL);
    p.flags(Flags.CF);
    p.run("d6");
    assertEquals(0xff, p.cpu.r[Cpu.RAX]);
  }

  @Test
  void hintsTouchNothingAndFlushesDo() {
    r[Cpu.RDI] = m.unmapped;
    for (String bytes : new String[] {"0f 1f 07", "0f 18 07", "0f 0d 0f", "0f 18 1f"}) {
      m.run(bytes);
    }
    assertFault(Vector.PF, "0f ae 3f");
    assertFault(Vector.PF, "66 0f ae 37");
    r[Cpu.RDI] = m.readOnly;
    m.run("0f ae 3f");
    for (String bytes : new String[] {"0f ae e8", "0f ae f0", "0f ae f8", "90"}) {
      m.run(bytes);
    }
  }

  @Test
  void clearsACacheLine() {
    m.memory.fill(m.data, 0x200, (byte) 0xff);
    r[Cpu.RAX] = m.data + 0x7b;
    m.run("0f 01 fc");
    assertEquals(-1, m.memory.readLong(m.data + 0x38));
    assertEquals(0, m.memory.readLong(m.data + 0x40));
    assertEquals(0, m.memory.readLong(m.data + 0x78));
    assertEquals(-1, m.memory.readLong(m.data + 0x80));
  }

  @Test
  void movesSixtyFourBytesAtOnce() {
    byte[] line = new byte[64];
    for (int k = 0; k < 64; k++) {
      line[k] = (byte) (k + 1);
    }
    m.memory.write(m.data + 0xfe3, line);
    r[Cpu.RDI] = m.data + 0xfe3;
    r[Cpu.RAX] = m.data + 0x40;
    m.run("66 0f 38 f8 07");
    byte[] copy = new byte[64];
    m.memory.read(m.data + 0x40, copy);
    org.junit.jupiter.api.Assertions.assertArrayEquals(line, copy);
    r[Cpu.RAX] = m.data + 0x44;
    assertFault(Vector.GP, "66 0f 38 f8 07");
    r[Cpu.RAX] = m.readOnly;
    assertFault(Vector.PF, "66 0f 38 f8 07");
  }

  @Test
  void randomNumbersSetCarryAlone() {
    r[Cpu.RAX] = -1;
    m.flags(Flags.ARITHMETIC & ~Flags.CF);
    m.run("0f c7 f0");
    assertEquals(0, r[Cpu.RAX]);
    assertEquals(Flags.CF, m.flags());
  }

  @Test
  void undefinedInstructionsFault() {
    for (String bytes : new String[] {"0f 0b", "0f b9 c0", "0f ff c0"}) {
      assertFault(Vector.UD, bytes);
    }
    assertNull(m.execute("90"));
  }
}
