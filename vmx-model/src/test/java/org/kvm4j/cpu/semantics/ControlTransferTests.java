package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.semantics.TestMachine.Mode;

final class ControlTransferTests {
  private static TestMachine machine(Mode mode) {
    TestMachine m = new TestMachine(mode);
    m.cpu.r[Cpu.RSP] = m.data + 0x100;
    return m;
  }

  private static void assertFault(int vector, TestMachine m, String bytes) {
    String before = m.state();
    CpuException e = m.execute(bytes);
    assertNotNull(e, bytes);
    assertEquals(vector, e.vector, bytes);
    assertEquals(0, e.errorCode, bytes);
    assertEquals(before, m.state(), bytes);
  }

  @Test
  void jumpsRelativeToTheNextInstruction() {
    TestMachine m = machine(Mode.LONG);
    m.run("eb 10");
    assertEquals(m.code + 0x12, m.cpu.rip);
    m.run("eb ee");
    assertEquals(m.code + 2, m.cpu.rip);
    m.run("e9 00 00 00 80");
    assertEquals(m.code + 7 - 0x80000000L, m.cpu.rip);
  }

  @Test
  void jumpsThroughRegistersAndMemory() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RAX] = 0x7fffffffffffL;
    m.run("ff e0");
    assertEquals(0x7fffffffffffL, m.cpu.rip);
    m.cpu.r[Cpu.RBX] = m.data;
    m.memory.writeLong(m.data, 0xffff800000000000L);
    m.run("ff 23");
    assertEquals(0xffff800000000000L, m.cpu.rip);
  }

  @Test
  void a16BitOperandTruncatesTheTarget() {
    TestMachine m = machine(Mode.PROTECTED32);
    m.cpu.rip = 0x12345670;
    m.run("66 eb 10");
    assertEquals(0x5683, m.cpu.rip);
    m.cpu.r[Cpu.RAX] = 0xdeadbeefL;
    m.run("66 ff e0");
    assertEquals(0xbeef, m.cpu.rip);
    TestMachine r = new TestMachine(Mode.REAL);
    r.cpu.rip = 0xfff0;
    r.run("eb 20");
    assertEquals(0x12, r.cpu.rip);
  }

  @Test
  void targetsBeyondTheLimitFault() {
    TestMachine m = new TestMachine(Mode.PROTECTED16);
    m.segment(Cpu.CS, 0, 0x1fff, Segment.REAL_CODE);
    m.cpu.r[Cpu.RSP] = m.data;
    m.cpu.r[Cpu.RAX] = 0x2000;
    m.cpu.r[Cpu.RCX] = 5;
    m.memory.writeShort(m.data, (short) 0x2000);
    m.cpu.rip = 0x1ff0;
    assertFault(Vector.GP, m, "eb 0e");
    assertFault(Vector.GP, m, "75 0e");
    assertFault(Vector.GP, m, "e8 0d 00");
    assertFault(Vector.GP, m, "e2 0e");
    assertFault(Vector.GP, m, "ff e0");
    assertFault(Vector.GP, m, "ff d0");
    assertFault(Vector.GP, m, "c3");
    assertFault(Vector.GP, m, "66 e9 fa ff 00 00");
    m.run("eb 0d");
    assertEquals(0x1fff, m.cpu.rip);
  }

  @Test
  void targetsThatAreNotCanonicalFault() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RAX] = 0x800000000000L;
    m.memory.writeLong(m.data + 0x100, 0x800000000000L);
    assertFault(Vector.GP, m, "ff e0");
    assertFault(Vector.GP, m, "ff d0");
    assertFault(Vector.GP, m, "c3");
    assertFault(Vector.GP, m, "c2 08 00");
    m.cpu.rip = 0x7ffffffffff0L;
    assertFault(Vector.GP, m, "eb 7f");
    assertFault(Vector.GP, m, "e8 00 01 00 00");
    assertFault(Vector.GP, m, "75 7f");
  }

  @Test
  void conditionsFollowTheFlags() {
    int[][] holds = {
      {Flags.OF, 0},
      {Flags.CF, 2},
      {Flags.ZF, 4},
      {Flags.CF, 6},
      {Flags.ZF, 6},
      {Flags.SF, 8},
      {Flags.PF, 10},
      {Flags.SF, 12},
      {Flags.OF, 12},
      {Flags.ZF, 14},
      {Flags.SF, 14},
      {Flags.SF | Flags.OF | Flags.ZF, 14}
    };
    TestMachine m = machine(Mode.LONG);
    for (int[] row : holds) {
      for (int condition = row[1]; condition <= row[1] + 1; condition++) {
        boolean taken = condition == row[1];
        for (String form : new String[] {"%02x 20", "0f %02x 20 00 00 00"}) {
          int opcode = (form.startsWith("0f") ? 0x80 : 0x70) | condition;
          m.flags(row[0]);
          m.cpu.rip = m.code;
          String bytes = form.formatted(opcode);
          m.run(bytes);
          int length = m.decode(bytes).length;
          assertEquals(m.code + length + (taken ? 0x20 : 0), m.cpu.rip, bytes);
        }
      }
    }
    m.flags(Flags.SF | Flags.OF);
    m.cpu.rip = m.code;
    m.run("7d 20");
    assertEquals(m.code + 0x22, m.cpu.rip);
  }

  @Test
  void callsPushTheReturnAddressAndReturnsTakeIt() {
    TestMachine m = machine(Mode.LONG);
    m.run("e8 00 10 00 00");
    assertEquals(m.code + 0x1005, m.cpu.rip);
    assertEquals(m.code + 5, m.memory.readLong(m.data + 0xf8));
    m.run("c2 10 00");
    assertEquals(m.code + 5, m.cpu.rip);
    assertEquals(m.data + 0x110, m.cpu.r[Cpu.RSP]);
    m.cpu.r[Cpu.RBX] = m.data;
    m.memory.writeLong(m.data, 0x1000);
    m.run("ff 13");
    assertEquals(0x1000, m.cpu.rip);
    assertEquals(m.code + 7, m.memory.readLong(m.data + 0x108));
    // A call through the stack pointer reads before it pushes.
    m.memory.writeLong(m.data + 0x108, 0x2000);
    m.run("ff 14 24");
    assertEquals(0x2000, m.cpu.rip);
  }

  @Test
  void callsAndReturnsOf16And32Bits() {
    TestMachine m = machine(Mode.PROTECTED32);
    m.run("e8 f0 ff ff ff");
    assertEquals(m.code + 5 - 0x10, m.cpu.rip);
    assertEquals((int) m.code + 5, m.memory.readInt(m.data + 0xfc));
    m.run("c3");
    assertEquals(m.code + 5, m.cpu.rip);
    m.cpu.rip = 0x1234;
    m.run("66 e8 10 00");
    assertEquals(0x1248, m.cpu.rip);
    assertEquals(m.data + 0xfe, m.cpu.r[Cpu.RSP]);
    m.run("66 c3");
    assertEquals(0x1238, m.cpu.rip);
    TestMachine r = new TestMachine(Mode.REAL);
    r.cpu.r[Cpu.RSP] = 0x8000;
    r.run("66 e8 00 00 00 00");
    assertEquals(r.code + 6, r.memory.readInt(0x7ffc));
  }

  @Test
  void theStackFaultOfACallComesBeforeItsTarget() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RAX] = 0x800000000000L;
    m.cpu.r[Cpu.RSP] = m.unmapped + 8;
    CpuException e = m.execute("ff d0");
    assertNotNull(e);
    assertEquals(Vector.PF, e.vector);
    assertEquals(m.unmapped, e.payload);
  }

  @Test
  void loopsCountWithTheAddressSize() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RCX] = 0x100000001L;
    m.run("e2 10");
    assertEquals(0x100000000L, m.cpu.r[Cpu.RCX]);
    assertEquals(m.code + 0x12, m.cpu.rip);
    m.cpu.rip = m.code;
    m.cpu.r[Cpu.RCX] = 0x100000001L;
    m.run("67 e2 10");
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(m.code + 3, m.cpu.rip);
    TestMachine r = new TestMachine(Mode.REAL);
    r.cpu.r[Cpu.RCX] = 0xabcd0000L;
    r.run("e2 10");
    assertEquals(0xabcdffffL, r.cpu.r[Cpu.RCX]);
    assertEquals(r.code + 0x12, r.cpu.rip);
  }

  @Test
  void loopsTestTheZeroFlag() {
    TestMachine m = machine(Mode.LONG);
    for (int zf = 0; zf < 2; zf++) {
      for (int equal = 0; equal < 2; equal++) {
        m.cpu.r[Cpu.RCX] = 2;
        m.flags(zf == 0 ? 0 : Flags.ZF);
        m.cpu.rip = m.code;
        m.run(equal != 0 ? "e1 10" : "e0 10");
        assertEquals(m.code + (zf == equal ? 0x12 : 2), m.cpu.rip);
        assertEquals(1, m.cpu.r[Cpu.RCX]);
        assertEquals(zf * Flags.ZF, m.flags());
      }
    }
  }

  @Test
  void jumpsIfTheCounterIsZero() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RCX] = 0x100000000L;
    m.run("e3 10");
    assertEquals(m.code + 2, m.cpu.rip);
    m.cpu.rip = m.code;
    m.run("67 e3 10");
    assertEquals(m.code + 0x13, m.cpu.rip);
  }
}
