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

final class StringTests {
  @Test
  void oneElementWithoutPrefix() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.memory.writeLong(m.data, 0x1122334455667788L);
    m.cpu.r[Cpu.RSI] = m.data;
    m.cpu.r[Cpu.RDI] = m.data + 0x20;
    m.cpu.r[Cpu.RCX] = 5;
    m.run("a5");
    assertEquals(0x55667788L, m.memory.readLong(m.data + 0x20));
    assertEquals(m.data + 4, m.cpu.r[Cpu.RSI]);
    assertEquals(m.data + 0x24, m.cpu.r[Cpu.RDI]);
    assertEquals(5, m.cpu.r[Cpu.RCX]);
  }

  @Test
  void loadsIntoTheAccumulator() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.memory.writeLong(m.data, 0x8899aabbccddeeffL);
    m.cpu.r[Cpu.RAX] = -1;
    m.cpu.r[Cpu.RSI] = m.data;
    m.run("ac");
    assertEquals(-1L, m.cpu.r[Cpu.RAX]);
    m.run("66 ad");
    assertEquals(0xffffffffffffddeeL, m.cpu.r[Cpu.RAX]);
    m.run("ad");
    assertEquals(0x99aabbccL, m.cpu.r[Cpu.RAX]);
    assertEquals(m.data + 7, m.cpu.r[Cpu.RSI]);
  }

  @Test
  void countOfZeroDoesNothing() {
    TestMachine m = new TestMachine(Mode.LONG);
    for (String bytes : new String[] {"f3 a4", "f3 aa", "f3 ac", "f3 a6", "f2 ae", "67 f3 a4"}) {
      m.cpu.r[Cpu.RCX] = bytes.startsWith("67") ? 0x100000000L : 0;
      m.cpu.r[Cpu.RSI] = 0x5500000000L;
      m.cpu.r[Cpu.RDI] = 0x6600000000L;
      m.flags(Flags.ARITHMETIC);
      String before = m.state();
      long rip = m.cpu.rip;
      m.run(bytes);
      m.cpu.rip = rip;
      assertEquals(before, m.state());
    }
  }

  @Test
  void addressSize32ZeroExtendsWhatItCounts() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RCX] = 0x7700000001L;
    m.cpu.r[Cpu.RSI] = 0x5500000000L | m.data;
    m.cpu.r[Cpu.RDI] = 0x6600000000L | m.data + 8;
    m.run("67 f3 a4");
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(m.data + 1, m.cpu.r[Cpu.RSI]);
    assertEquals(m.data + 9, m.cpu.r[Cpu.RDI]);
  }

  @Test
  void indexesWrapAt16Bits() {
    TestMachine m = new TestMachine(Mode.REAL);
    m.segment(Cpu.DS, 0x1000, 0xffff, Segment.REAL_DATA);
    m.segment(Cpu.ES, 0x30000, 0xffff, Segment.REAL_DATA);
    m.memory.writeByte(0x1000 + 0xffff, (byte) 0x5a);
    m.memory.writeByte(0x1000, (byte) 0xa5);
    m.cpu.r[Cpu.RSI] = 0xdead_ffffL;
    m.cpu.r[Cpu.RDI] = 0xbeef_fffeL;
    m.cpu.r[Cpu.RCX] = 0xcafe_0003L;
    m.run("f3 a4");
    assertEquals(0xdead_0002L, m.cpu.r[Cpu.RSI]);
    assertEquals(0xbeef_0001L, m.cpu.r[Cpu.RDI]);
    assertEquals(0xcafe_0000L, m.cpu.r[Cpu.RCX]);
    assertEquals(0x5a, m.memory.readByte(0x3fffe));
    assertEquals((byte) 0xa5, m.memory.readByte(0x3ffff));
  }

  @Test
  void anElementAcrossTheLimitFaults() {
    TestMachine m = new TestMachine(Mode.REAL);
    m.cpu.r[Cpu.RDI] = 0xfffb;
    m.cpu.r[Cpu.RCX] = 10;
    CpuException e = m.execute("f3 ab");
    assertNotNull(e);
    assertEquals(Vector.GP, e.vector);
    assertEquals(8, m.cpu.r[Cpu.RCX]);
    assertEquals(0xffff, m.cpu.r[Cpu.RDI]);
  }

  @Test
  void theSourceHasItsSegmentAndTheDestinationIsInEs() {
    TestMachine m = new TestMachine(Mode.PROTECTED16);
    m.segment(Cpu.FS, 0x10000, 0xffff, Segment.REAL_DATA);
    m.segment(Cpu.ES, 0x20000, 0xffff, Segment.REAL_DATA);
    m.memory.writeShort(0x10100, (short) 0x1234);
    m.cpu.r[Cpu.RSI] = 0x100;
    m.cpu.r[Cpu.RDI] = 0x200;
    m.run("64 a5");
    assertEquals(0x1234, m.memory.readShort(0x20200));
  }

  @Test
  void attentionStopsBetweenIterations() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RSI] = m.data;
    m.cpu.r[Cpu.RDI] = m.data + 0x100;
    for (String bytes : new String[] {"f3 a4", "f3 aa", "f3 ac", "f3 a6", "f3 ae"}) {
      m.cpu.r[Cpu.RCX] = 3;
      m.cpu.r[Cpu.RAX] = 0;
      m.cpu.attention = 1;
      long rip = m.cpu.rip;
      m.run(bytes);
      assertEquals(2, m.cpu.r[Cpu.RCX], bytes);
      assertEquals(rip, m.cpu.rip, bytes);
      m.cpu.attention = 0;
      m.run(bytes);
      assertEquals(0, m.cpu.r[Cpu.RCX], bytes);
      assertEquals(rip + 2, m.cpu.rip, bytes);
    }
  }

  @Test
  void singleStepStopsAfterEachIteration() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RDI] = m.data;
    m.cpu.r[Cpu.RCX] = 2;
    m.flags(Flags.TF);
    m.run("f3 aa");
    assertEquals(1, m.cpu.r[Cpu.RCX]);
    assertEquals(m.code, m.cpu.rip);
    m.run("f3 aa");
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(m.code + 2, m.cpu.rip);
  }
}
