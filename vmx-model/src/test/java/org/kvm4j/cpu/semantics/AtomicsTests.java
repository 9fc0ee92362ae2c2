package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.semantics.TestMachine.Mode;

final class AtomicsTests {
  private static final long HIGH = 0xaaaaaaaa00000000L;

  @Test
  void exchangesRegisters() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RAX] = HIGH | 0x1234;
    m.cpu.r[Cpu.RBX] = HIGH | 0x5678;
    m.run("87 d8");
    assertEquals(0x5678, m.cpu.r[Cpu.RAX]);
    assertEquals(0x1234, m.cpu.r[Cpu.RBX]);
    m.run("86 e0");
    assertEquals(0x7856, m.cpu.r[Cpu.RAX]);
    m.cpu.r[8] = HIGH;
    m.run("49 90");
    assertEquals(HIGH, m.cpu.r[Cpu.RAX]);
    m.run("87 c0");
    assertEquals(0, m.cpu.r[Cpu.RAX]);
  }

  @Test
  void exchangesWithMemory() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RDI] = m.data;
    m.memory.writeLong(m.data, 0x1122334455667788L);
    m.cpu.r[Cpu.RCX] = 0xcafe;
    m.run("66 87 0f");
    assertEquals(0x7788, m.cpu.r[Cpu.RCX]);
    assertEquals(0x112233445566cafeL, m.memory.readLong(m.data));
  }

  @Test
  void addsAndExchanges() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RAX] = HIGH | 7;
    m.run("0f c1 c0");
    assertEquals(14, m.cpu.r[Cpu.RAX]);
    m.cpu.r[Cpu.RDI] = m.data;
    m.memory.writeLong(m.data, 0xffffffffL);
    m.run("f0 0f c1 07");
    assertEquals(13, m.memory.readLong(m.data));
    assertEquals(0xffffffffL, m.cpu.r[Cpu.RAX]);
    assertEquals(Flags.CF | Flags.AF, m.flags());
  }

  @Test
  void comparesAndExchangesRegisters() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RAX] = HIGH | 5;
    m.cpu.r[Cpu.RBX] = HIGH | 5;
    m.cpu.r[Cpu.RCX] = HIGH | 9;
    m.run("0f b1 cb");
    assertEquals(HIGH | 5, m.cpu.r[Cpu.RAX]);
    assertEquals(9, m.cpu.r[Cpu.RBX]);
    assertEquals(Flags.ZF | Flags.PF, m.flags());
    m.cpu.r[Cpu.RBX] = HIGH | 6;
    m.run("0f b1 cb");
    assertEquals(6, m.cpu.r[Cpu.RAX]);
    assertEquals(HIGH | 6, m.cpu.r[Cpu.RBX]);
  }

  @Test
  void comparesAndExchangesMemory() {
    for (String lock : new String[] {"", "f0 "}) {
      TestMachine m = new TestMachine(Mode.LONG);
      m.cpu.r[Cpu.RDI] = m.data;
      m.memory.writeLong(m.data, 0x1122334455667788L);
      m.cpu.r[Cpu.RAX] = 0x88;
      m.cpu.r[Cpu.RCX] = 0x99;
      m.run(lock + "0f b0 0f");
      assertEquals(0x1122334455667799L, m.memory.readLong(m.data));
      m.run(lock + "48 0f b1 0f");
      assertEquals(0x1122334455667799L, m.cpu.r[Cpu.RAX]);
      m.run(lock + "48 0f b1 0f");
      assertEquals(0x99, m.memory.readLong(m.data));
    }
  }

  @Test
  void aFailedCompareNeedsAWritablePage() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RDI] = m.readOnly;
    m.cpu.r[Cpu.RAX] = 1;
    for (String bytes : new String[] {"0f b1 0f", "0f c7 0f", "48 0f c7 0f", "f0 0f b1 0f"}) {
      CpuException e = m.execute(bytes);
      assertNotNull(e);
      assertEquals(Vector.PF, e.vector);
      assertEquals(7, e.errorCode);
    }
  }

  @Test
  void comparesAndExchangesPairs() {
    for (String lock : new String[] {"", "f0 "}) {
      TestMachine m = new TestMachine(Mode.LONG);
      m.cpu.r[Cpu.RDI] = m.data;
      m.memory.writeLong(m.data, 0x1122334455667788L);
      m.cpu.r[Cpu.RAX] = HIGH | 1;
      m.cpu.r[Cpu.RDX] = HIGH | 2;
      m.cpu.r[Cpu.RBX] = HIGH | 3;
      m.cpu.r[Cpu.RCX] = HIGH | 4;
      m.flags(Flags.CF | Flags.SF | Flags.ZF);
      m.run(lock + "0f c7 0f");
      assertEquals(Flags.CF | Flags.SF, m.flags());
      assertEquals(0x55667788, m.cpu.r[Cpu.RAX]);
      assertEquals(0x11223344, m.cpu.r[Cpu.RDX]);
      m.run(lock + "0f c7 0f");
      assertEquals(Flags.CF | Flags.SF | Flags.ZF, m.flags());
      assertEquals(0x400000003L, m.memory.readLong(m.data));
      m.memory.writeLong(m.data + 8, 0x10);
      m.run(lock + "48 0f c7 0f");
      assertEquals(0x400000003L, m.cpu.r[Cpu.RAX]);
      assertEquals(0x10, m.cpu.r[Cpu.RDX]);
      m.run(lock + "48 0f c7 0f");
      assertEquals(HIGH | 3, m.memory.readLong(m.data));
      assertEquals(HIGH | 4, m.memory.readLong(m.data + 8));
    }
  }

  @Test
  void sixteenBytesMustBeAligned() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.r[Cpu.RDI] = m.unmapped + 8;
    CpuException e = m.execute("48 0f c7 0f");
    assertNotNull(e);
    assertEquals(Vector.GP, e.vector);
  }

  /** Counts accesses to device memory. */
  private static final class Device implements Platform {
    final List<String> accesses = new ArrayList<>();
    long value = 5;

    @Override
    public long deviceRead(long hpa, int size) {
      accesses.add("r" + size);
      return value;
    }

    @Override
    public void deviceWrite(long hpa, int size, long written) {
      accesses.add("w" + size);
      value = written;
    }

    @Override
    public int portRead(int port, int size) {
      return 0;
    }

    @Override
    public void portWrite(int port, int size, int written) {}

    @Override
    public long tsc() {
      return 0;
    }

    @Override
    public long nanoTime() {
      return 0;
    }

    @Override
    public long random() {
      return 0;
    }

    @Override
    public int acknowledgeInterrupt() {
      return -1;
    }

    @Override
    public void taskPriorityChanged(int cr8) {}
  }

  @Test
  void anUpdateOfADeviceIsOneReadAndOneWrite() {
    for (String bytes :
        new String[] {
          "83 07 01",
          "f0 83 07 01",
          "87 0f",
          "0f c1 07",
          "f0 0f c1 07",
          "0f b1 0f",
          "f0 0f b1 0f",
          "f7 1f",
          "c1 27 00",
          "0f ab 0f",
          "f0 0f ab 0f",
          "0f a4 07 00"
        }) {
      Device device = new Device();
      TestMachine m = new TestMachine(Mode.PROTECTED16, device);
      m.cpu.r[Cpu.RDI] = 0x200000;
      m.segment(Cpu.DS, 0, 0xffffffffL, org.kvm4j.cpu.core.Segment.REAL_DATA);
      m.run("66 67 " + bytes);
      assertEquals(List.of("r4", "w4"), device.accesses, bytes);
    }
  }

  @Test
  void lockedUpdatesOfTwoProcessorsLoseNothing() throws InterruptedException {
    int rounds = 20_000;
    TestMachine m = new TestMachine(Mode.LONG);
    TestMachine n = new TestMachine(m);
    String[] increments = {"f0 fe 07", "66 f0 ff 07", "f0 ff 07", "f0 48 ff 07"};
    // Aligned; across the natural alignment; across a page.
    for (long at : new long[] {m.data + 0x40, m.data + 0x7d, m.data + 0x83, m.data + 0xfff}) {
      for (String bytes : increments) {
        m.memory.fill(m.data, 0x2000, (byte) 0);
        // By one thread: the machines share a decoder.
        Instruction i = m.decode(bytes);
        Thread other = new Thread(() -> increment(n, i, at, rounds));
        other.start();
        increment(m, i, at, rounds);
        other.join();
        int size = i.size0;
        long mask = size == 8 ? -1L : (1L << (size * 8)) - 1;
        assertEquals(2L * rounds & mask, m.memory.readLong(at) & mask, bytes + " at " + at);
        assertEquals(0, m.memory.readLong(at - 8));
      }
    }
  }

  private static void increment(TestMachine m, Instruction i, long at, int rounds) {
    m.cpu.r[Cpu.RDI] = at;
    for (int k = 0; k < rounds; k++) {
      m.cpu.rip = m.code;
      CpuException fault = m.execute(i);
      if (fault != null) {
        throw new AssertionError("%s at %x: %s".formatted(i, at, fault.getMessage()));
      }
    }
  }

  @Test
  void lockedExchangesOf16BytesLoseNothing() throws InterruptedException {
    int rounds = 10_000;
    TestMachine m = new TestMachine(Mode.LONG);
    TestMachine n = new TestMachine(m);
    Instruction i = m.decode("f0 48 0f c7 0f");
    Thread other = new Thread(() -> incrementPair(n, i, rounds));
    other.start();
    incrementPair(m, i, rounds);
    other.join();
    assertEquals(2L * rounds, m.memory.readLong(m.data));
    assertEquals(4L * rounds, m.memory.readLong(m.data + 8));
  }

  private static void incrementPair(TestMachine m, Instruction i, int rounds) {
    m.cpu.r[Cpu.RDI] = m.data;
    for (int k = 0; k < rounds; k++) {
      do {
        m.cpu.r[Cpu.RBX] = m.cpu.r[Cpu.RAX] + 1;
        m.cpu.r[Cpu.RCX] = m.cpu.r[Cpu.RDX] + 2;
        m.cpu.rip = m.code;
        if (m.execute(i) != null) {
          throw new AssertionError();
        }
      } while (!m.cpu.zf());
    }
  }
}
