package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.semantics.TestMachine.Mode;

/** Alignment checks at CPL 3 with CR0.AM and EFLAGS.AC. */
final class AlignmentTests {
  private static TestMachine machine() {
    TestMachine m = new TestMachine(Mode.LONG);
    m.cpu.cr0 |= ControlBits.CR0_AM;
    m.cpu.r[Cpu.RSP] = m.data + 0x80;
    m.cpu.r[Cpu.RDI] = m.data + 2;
    m.cpu.r[Cpu.RSI] = m.data + 0x41;
    m.flags(Flags.AC);
    return m;
  }

  @Test
  void misalignedAccessesFaultBeforeAnythingElse() {
    TestMachine m = machine();
    for (long at : new long[] {m.data + 2, m.readOnly + 2, m.unmapped + 2, m.unmapped - 2}) {
      m.cpu.r[Cpu.RDI] = at;
      for (String bytes :
          new String[] {"8b 07", "89 07", "01 07", "f0 01 07", "87 07", "48 ff 37", "0f a3 0f"}) {
        String before = m.state();
        CpuException e = m.execute(bytes);
        assertNotNull(e, bytes);
        assertEquals(Vector.AC, e.vector, bytes);
        assertEquals(0, e.errorCode, bytes);
        assertEquals(before, m.state(), bytes);
      }
    }
  }

  @Test
  void alignedAccessesPass() {
    TestMachine m = machine();
    m.memory.writeLong(m.data, 0x1122334455667788L);
    m.run("66 8b 07");
    assertEquals(0x5566, m.cpu.r[Cpu.RAX]);
    m.run("66 f0 ff 07");
    assertEquals(0x1122334455677788L, m.memory.readLong(m.data));
    m.run("8a 06");
    m.cpu.r[Cpu.RCX] = 9;
    m.run("f3 a4");
    assertEquals(m.data + 11, m.cpu.r[Cpu.RDI]);
    m.run("50");
    m.run("0f ae 3f");
  }

  @Test
  void stringsAreCheckedByElement() {
    TestMachine m = machine();
    m.cpu.r[Cpu.RSI] = m.data + 0x40;
    CpuException e = m.execute("a5");
    assertNotNull(e);
    assertEquals(Vector.AC, e.vector);
  }

  @Test
  void onlyAtCpl3WithBothBits() {
    TestMachine m = machine();
    m.flags(0);
    m.run("8b 07");
    m.flags(Flags.AC);
    m.cpu.cr0 &= ~ControlBits.CR0_AM;
    m.cpu.updateMode();
    m.run("8b 07");
    m.cpu.cr0 |= ControlBits.CR0_AM;
    m.cpu.cpl = 0;
    m.cpu.updateMode();
    m.run("8b 07");
  }

  @Test
  void anAddressThatIsNotCanonicalFaultsFirst() {
    TestMachine m = machine();
    m.cpu.r[Cpu.RDI] = 0x1000000000000001L;
    CpuException e = m.execute("8b 07");
    assertNotNull(e);
    assertEquals(Vector.GP, e.vector);
  }
}
