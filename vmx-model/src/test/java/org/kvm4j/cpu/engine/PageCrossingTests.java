package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.testing.SystemMachine;

/** Instructions that begin in one page and end in the next are decoded once, and exact still. */
final class PageCrossingTests {
  /** The page that the crossing instruction ends in. */
  private static final long SECOND = SystemMachine.PAGES + 0x5000;

  /** Where its four bytes in the first page are. */
  private static final long START = SECOND - 4;

  /** A loop of ADD RAX, imm32 (with REX.W 48 05) across the boundary, then JMP back. */
  private static SystemMachine loop(int immediate) {
    SystemMachine m = SystemMachine.long64(0);
    m.idt(SystemMachine.LONG0, 0x8e);
    for (int vector = 0; vector < 256; vector++) {
      Code.put(m, SystemMachine.handler(vector), "f4");
    }
    m.memory.writeShort(START, (short) 0x0548);
    m.memory.writeInt(START + 2, immediate);
    m.memory.writeShort(SECOND + 2, (short) 0xf8eb); // jmp START
    m.cpu.rip = START;
    return m;
  }

  @Test
  void one_is_decoded_once() {
    SystemMachine m = loop(0x00030001);
    Interpreter engine = Code.engine(m);
    assertEquals(Stop.BUDGET, engine.run(1000));
    assertEquals(500L * 0x30001, m.cpu.r[Cpu.RAX]);
    assertEquals(2, engine.blocksDecoded());
    assertEquals(1000, m.cpu.retired());
    assertEquals(START, m.cpu.rip);
  }

  @Test
  void a_store_to_either_page_is_seen() {
    for (long at : new long[] {START + 2, SECOND, SECOND + 1}) {
      SystemMachine m = loop(0);
      Interpreter engine = Code.engine(m);
      engine.run(100);
      byte[] one = {1};
      m.memory.deviceWrite(at, one, 0, 1);
      engine.run(20);
      int shift = (int) (at - START - 2) * 8;
      assertEquals(10L << shift, m.cpu.r[Cpu.RAX], "at " + at);
    }
  }

  @Test
  void a_store_behind_it_keeps_it() {
    SystemMachine m = loop(1);
    Interpreter engine = Code.engine(m);
    engine.run(100);
    byte[] one = {1};
    m.memory.deviceWrite(SECOND + 80, one, 0, 1);
    m.memory.deviceWrite(SECOND + 40, one, 0, 1);
    engine.run(100);
    assertEquals(2, engine.blocksDecoded());
    m.memory.deviceWrite(SECOND + 2, new byte[] {(byte) 0xeb}, 0, 1);
    engine.run(100);
    assertEquals(150, m.cpu.r[Cpu.RAX]);
    assertEquals(3, engine.blocksDecoded());
  }

  @Test
  void it_may_overwrite_itself() {
    // ADD DWORD [RDI], imm32 (81 07) to its own immediate, which lies across the boundary.
    SystemMachine m = loop(0x00010001);
    m.memory.writeShort(START, (short) 0x0781);
    m.cpu.r[Cpu.RDI] = START + 2;
    Interpreter engine = Code.engine(m);
    for (int k = 1; k <= 10; k++) {
      engine.run(2);
      assertEquals(0x00010001 << k, m.memory.readInt(START + 2));
    }
  }

  @Test
  void a_second_page_that_is_taken_away_faults_there() {
    SystemMachine m = loop(1);
    Interpreter engine = Code.engine(m);
    engine.run(100);
    m.page(SECOND, 0);
    assertEquals(Stop.INACTIVE, engine.run(100));
    assertEquals(Vector.PF, (m.cpu.rip - 1 - SystemMachine.HANDLERS) / 16);
    assertEquals(SECOND, m.cpu.cr2);
    assertEquals(START, m.stack(1, 8));
    assertEquals(0x10, m.stack(0, 8)); // a fetch by a supervisor, not present
    assertEquals(50, m.cpu.r[Cpu.RAX]);
    assertEquals(101, m.cpu.retired()); // and HLT
  }

  @Test
  void a_second_page_that_is_mapped_elsewhere_is_fetched_from_there() {
    SystemMachine m = loop(1);
    long other = SystemMachine.PAGES + 0x9000;
    m.memory.writeInt(other, 0xf8eb_0003);
    Interpreter engine = Code.engine(m);
    engine.run(100);
    assertEquals(50, m.cpu.r[Cpu.RAX]);
    for (int turn = 0; turn < 3; turn++) {
      m.cpu.r[Cpu.RAX] = 0;
      m.memory.writeLong(0x23000 + 5 * 8, (turn == 1 ? SECOND : other) | 7);
      m.cpu.mmu.flushAll();
      assertEquals(Stop.BUDGET, engine.run(100));
      assertEquals(50L * (turn == 1 ? 1 : 0x30001), m.cpu.r[Cpu.RAX]);
    }
    // What was dropped is forgotten by the page it ended in, too.
    byte[] zero = {0};
    m.memory.deviceWrite(SECOND, zero, 0, 1);
    m.memory.deviceWrite(other, zero, 0, 1);
    m.cpu.r[Cpu.RAX] = 0;
    engine.run(100);
    assertEquals(50L * 0x00000001, m.cpu.r[Cpu.RAX]);
  }

  @Test
  void a_branch_may_cross() {
    SystemMachine m = SystemMachine.long64(0);
    // INC ECX; JNZ rel32 (0f 85) across the boundary, back to INC; HLT
    Code.put(m, START, "ff c1 0f 85 f8 ff ff ff f4");
    m.cpu.rip = START;
    m.cpu.r[Cpu.RCX] = 0xffffff00L;
    Interpreter engine = Code.engine(m);
    assertEquals(Stop.INACTIVE, engine.run(10_000));
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(SECOND + 5, m.cpu.rip);
    assertEquals(2 * 256 + 1, m.cpu.retired());
    assertTrue(engine.blocksDecoded() <= 4);
  }

  @Test
  void rip_relative_operands_are_relative_to_its_end() {
    SystemMachine m = SystemMachine.long64(0);
    // MOV EAX, [RIP + 0x100] (8b 05 disp32); HLT
    Code.put(m, SECOND - 2, "8b 05 00 01 00 00 f4");
    m.memory.writeInt(SECOND + 4 + 0x100, 0x12345678);
    m.cpu.rip = SECOND - 2;
    assertEquals(Stop.INACTIVE, Code.engine(m).run(10));
    assertEquals(0x12345678, m.cpu.r[Cpu.RAX]);
  }

  @Test
  void in_real_mode_with_a_base_that_is_no_page() {
    SystemMachine m = SystemMachine.real();
    // At 0x40ffe by CS 0x40f0 (base 0x40f00) and IP 0xfe: ADD AX, imm16; JMP back
    m.cpu.seg[Cpu.CS].set(0x40f0, 0x40f00, 0xffff, m.cpu.seg[Cpu.CS].ar);
    m.cpu.rip = 0xfe;
    m.cpu.updateMode();
    Code.put(m, 0x40ffe, "05 34 12 eb fb");
    Interpreter engine = Code.engine(m);
    assertEquals(Stop.BUDGET, engine.run(200));
    assertEquals(100 * 0x1234 & 0xffff, m.cpu.r[Cpu.RAX]);
    assertEquals(2, engine.blocksDecoded());
  }
}
