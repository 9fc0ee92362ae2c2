package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.semantics.TestMachine.Mode;

final class StackTests {
  private static TestMachine machine(Mode mode) {
    TestMachine m = new TestMachine(mode);
    m.cpu.r[Cpu.RSP] = m.data + 0x100;
    return m;
  }

  @Test
  void pushesAndPopsInEachSize() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RAX] = 0x1122334455667788L;
    m.run("50");
    assertEquals(m.data + 0xf8, m.cpu.r[Cpu.RSP]);
    assertEquals(0x1122334455667788L, m.memory.readLong(m.data + 0xf8));
    m.run("66 50");
    assertEquals(m.data + 0xf6, m.cpu.r[Cpu.RSP]);
    assertEquals(0x7788, m.memory.readShort(m.data + 0xf6));
    m.cpu.r[Cpu.RBX] = -1;
    m.run("66 5b");
    assertEquals(0xffffffffffff7788L, m.cpu.r[Cpu.RBX]);
    m.run("41 58");
    assertEquals(0x1122334455667788L, m.cpu.r[8]);
    assertEquals(m.data + 0x100, m.cpu.r[Cpu.RSP]);
  }

  @Test
  void immediatesAreSignExtended() {
    TestMachine m = machine(Mode.LONG);
    m.run("6a 80");
    assertEquals(-128, m.memory.readLong(m.data + 0xf8));
    m.run("68 00 00 00 80");
    assertEquals(Integer.MIN_VALUE, m.memory.readLong(m.data + 0xf0));
    m.run("66 6a ff");
    assertEquals(-1, m.memory.readShort(m.data + 0xee));
  }

  @Test
  void pushOfTheStackPointerStoresItsOldValue() {
    TestMachine m = machine(Mode.LONG);
    m.run("54");
    assertEquals(m.data + 0x100, m.memory.readLong(m.data + 0xf8));
    m.run("ff 34 24");
    assertEquals(m.data + 0x100, m.memory.readLong(m.data + 0xf0));
  }

  @Test
  void popOfTheStackPointerTakesTheValue() {
    TestMachine m = machine(Mode.LONG);
    m.memory.writeLong(m.data + 0x100, 0x1234);
    m.run("5c");
    assertEquals(0x1234, m.cpu.r[Cpu.RSP]);
  }

  @Test
  void popAddressesMemoryWithTheNewStackPointer() {
    TestMachine m = machine(Mode.LONG);
    m.memory.writeLong(m.data + 0x100, 0x1234);
    m.run("8f 44 24 08");
    assertEquals(0x1234, m.memory.readLong(m.data + 0x110));
    assertEquals(m.data + 0x108, m.cpu.r[Cpu.RSP]);
  }

  @Test
  void popIntoReadOnlyMemoryKeepsTheStackPointer() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RSP] = m.readOnly - 8;
    CpuException e = m.execute("8f 04 24");
    assertNotNull(e);
    assertEquals(Vector.PF, e.vector);
    assertEquals(m.readOnly, e.payload);
    assertEquals(m.readOnly - 8, m.cpu.r[Cpu.RSP]);
  }

  @Test
  void theStackWrapsAt16BitsAndKeepsTheUpperHalf() {
    TestMachine m = new TestMachine(Mode.REAL);
    m.cpu.r[Cpu.RSP] = 0xdead_0000L;
    m.cpu.r[Cpu.RAX] = 0x1234;
    m.run("50");
    assertEquals(0xdead_fffeL, m.cpu.r[Cpu.RSP]);
    assertEquals(0x1234, m.memory.readShort(0xfffe));
    m.run("5b");
    assertEquals(0xdead_0000L, m.cpu.r[Cpu.RSP]);
    assertEquals(0x1234, m.cpu.r[Cpu.RBX]);
  }

  @Test
  void anAccessAcrossTheEndOfTheSegmentIsAStackFault() {
    TestMachine m = new TestMachine(Mode.REAL);
    m.cpu.r[Cpu.RSP] = 1;
    CpuException e = m.execute("50");
    assertNotNull(e);
    assertEquals(Vector.SS, e.vector);
    assertEquals(1, m.cpu.r[Cpu.RSP]);
    m.cpu.r[Cpu.RSP] = 0x1000000000000000L;
    m = machine(Mode.LONG);
    m.cpu.r[Cpu.RSP] = 0x1000000000000000L;
    e = m.execute("50");
    assertNotNull(e);
    assertEquals(Vector.SS, e.vector);
  }

  @Test
  void anExpandDownStackEndsAtItsLimit() {
    TestMachine m = new TestMachine(Mode.PROTECTED16);
    m.segment(Cpu.SS, 0, 0x4fff, Segment.REAL_DATA | Segment.EXPAND_DOWN_OR_CONFORMING);
    m.cpu.r[Cpu.RSP] = 0x5002;
    m.run("50");
    CpuException e = m.execute("50");
    assertNotNull(e);
    assertEquals(Vector.SS, e.vector);
    assertEquals(0x5000, m.cpu.r[Cpu.RSP]);
  }

  @Test
  void pushesAndPopsAll() {
    TestMachine m = machine(Mode.PROTECTED32);
    for (int k = 0; k < 8; k++) {
      if (k != Cpu.RSP) {
        m.cpu.r[k] = 0x11111111L * (k + 1);
      }
    }
    m.run("60");
    assertEquals(m.data + 0xe0, m.cpu.r[Cpu.RSP]);
    for (int k = 0; k < 8; k++) {
      int expected = k == Cpu.RSP ? (int) m.data + 0x100 : 0x11111111 * (k + 1);
      assertEquals(expected, m.memory.readInt(m.data + 0x100 - 4L * (k + 1)));
    }
    java.util.Arrays.fill(m.cpu.r, 0, 4, 0);
    java.util.Arrays.fill(m.cpu.r, 5, 8, 0);
    m.run("61");
    for (int k = 0; k < 8; k++) {
      assertEquals(k == Cpu.RSP ? m.data + 0x100 : 0x11111111L * (k + 1), m.cpu.r[k]);
    }
    m.run("66 60");
    assertEquals(m.data + 0xf0, m.cpu.r[Cpu.RSP]);
    assertEquals(0x8888, m.memory.readShort(m.data + 0xf0) & 0xffff);
    m.cpu.r[Cpu.RDI] = 0x55550000;
    m.run("66 61");
    assertEquals(0x55558888, m.cpu.r[Cpu.RDI]);
  }

  @Test
  void pushAllThatFaultsHalfwayStoresNothing() {
    TestMachine m = machine(Mode.PROTECTED32);
    // The lower half lies in what is not there.
    m.cpu.r[Cpu.RSP] = m.data + 16;
    m.cpu.r[Cpu.RAX] = 0x12345678;
    String before = m.state();
    CpuException e = m.execute("60");
    assertNotNull(e);
    assertEquals(Vector.PF, e.vector);
    assertEquals(before, m.state());
  }

  @Test
  void entersAndLeavesAFrame() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RBP] = 0x1122334455667788L;
    m.run("c8 20 00 00");
    assertEquals(m.data + 0xf8, m.cpu.r[Cpu.RBP]);
    assertEquals(m.data + 0xd8, m.cpu.r[Cpu.RSP]);
    assertEquals(0x1122334455667788L, m.memory.readLong(m.data + 0xf8));
    m.run("c9");
    assertEquals(0x1122334455667788L, m.cpu.r[Cpu.RBP]);
    assertEquals(m.data + 0x100, m.cpu.r[Cpu.RSP]);
  }

  @Test
  void copiesTheFramePointersOfEnclosingLevels() {
    TestMachine m = machine(Mode.PROTECTED32);
    m.cpu.r[Cpu.RBP] = m.data + 0x200;
    m.memory.writeInt(m.data + 0x1fc, 0x11);
    m.memory.writeInt(m.data + 0x1f8, 0x22);
    m.run("c8 10 00 03");
    assertEquals(m.data + 0xfc, m.cpu.r[Cpu.RBP]);
    assertEquals(m.data + 0xf0 - 0x10, m.cpu.r[Cpu.RSP]);
    assertEquals((int) m.data + 0x200, m.memory.readInt(m.data + 0xfc));
    assertEquals(0x11, m.memory.readInt(m.data + 0xf8));
    assertEquals(0x22, m.memory.readInt(m.data + 0xf4));
    assertEquals((int) m.data + 0xfc, m.memory.readInt(m.data + 0xf0));
    // Only five bits of the level count.
    TestMachine n = machine(Mode.PROTECTED32);
    n.run("c8 00 00 21");
    assertEquals(n.data + 0xf8, n.cpu.r[Cpu.RSP]);
  }

  @Test
  void enterWithA16BitOperandKeepsTheUpperBitsOfRbp() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RBP] = 0x1122334455667788L;
    m.run("66 c8 08 00 00");
    assertEquals(0x1122334455660000L | (m.data + 0xfe & 0xffff), m.cpu.r[Cpu.RBP]);
    assertEquals(m.data + 0xf6, m.cpu.r[Cpu.RSP]);
  }

  @Test
  void enterMakesSureThatItsRoomCanBeWritten() {
    TestMachine m = machine(Mode.LONG);
    m.cpu.r[Cpu.RSP] = m.data + 0x100;
    String before = m.state();
    CpuException e = m.execute("c8 00 01 00");
    assertNotNull(e);
    assertEquals(Vector.PF, e.vector);
    assertEquals(m.data - 8, e.payload);
    assertEquals(6, e.errorCode);
    assertEquals(before, m.state());
  }

  @Test
  void leaveKeepsTheUpperHalfOfA16BitStackPointer() {
    TestMachine m = new TestMachine(Mode.REAL);
    m.cpu.r[Cpu.RSP] = 0xaaaa_1111L;
    m.cpu.r[Cpu.RBP] = 0xbbbb_4000L;
    m.memory.writeInt(0x4000, 0x12345678);
    m.run("c9");
    assertEquals(0xaaaa_4002L, m.cpu.r[Cpu.RSP]);
    assertEquals(0xbbbb_5678L, m.cpu.r[Cpu.RBP]);
    m.cpu.r[Cpu.RBP] = 0xbbbb_4000L;
    m.run("66 c9");
    assertEquals(0xaaaa_4004L, m.cpu.r[Cpu.RSP]);
    assertEquals(0x12345678, m.cpu.r[Cpu.RBP]);
  }
}
