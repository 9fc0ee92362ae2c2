package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.testing.SystemMachine;

/** What an engine keeps of code and of stores to it has a bound, whatever a guest does. */
final class KeptCodeTests {
  private static final int JUMPS = 0x3fff;

  /** A ring of jumps, each a block of its own, of 32 KiB. */
  private static SystemMachine jumps() {
    SystemMachine m = SystemMachine.real();
    m.cpu.rip = 0;
    Code.put(m, "eb 00".repeat(JUMPS - 1) + "e9 01 80");
    return m;
  }

  @Test
  void code_that_fits_is_decoded_once() {
    SystemMachine m = jumps();
    Interpreter engine = Code.engine(m);
    engine.setHeapShare(1 << 24);
    assertEquals(Stop.BUDGET, engine.run(3 * JUMPS + 100));
    assertEquals(200, m.cpu.rip);
    assertEquals(JUMPS, engine.blocksDecoded());
  }

  @Test
  void code_without_end_is_dropped_before_it_uses_up_the_heap() {
    SystemMachine m = jumps();
    Interpreter engine = Code.engine(m);
    int share = 1 << 21;
    engine.setHeapShare(share);
    for (int i = 0; i < 3 * JUMPS; i += JUMPS / 8) {
      engine.run(JUMPS / 8);
      assertTrue(engine.kept() < share + (1 << 16), () -> engine.kept() + " bytes");
    }
    assertTrue(engine.blocksDecoded() > JUMPS);
    assertEquals(25L * (JUMPS / 8) % JUMPS * 2, m.cpu.rip);
  }

  @Test
  void processors_share_what_code_may_take() {
    SystemMachine m = jumps();
    Interpreter engine = Code.engine(m);
    Interpreter other = Code.engine(m);
    engine.setHeapShare(1 << 22);
    engine.run(JUMPS);
    assertTrue(engine.kept() < (1 << 21) + (1 << 16), () -> engine.kept() + " bytes");
    other.close();
  }

  @Test
  void stores_to_the_code_of_a_processor_that_does_not_run_do_not_pile_up() {
    SystemMachine m = SystemMachine.real();
    m.cpu.rip = 0;
    m.cpu.r[Cpu.RAX] = 0;
    Code.put(m, "40 eb fd"); // inc ax
    Interpreter engine = Code.engine(m);
    engine.run(20);
    m.cpu.rip = 0x1000;
    engine.run(1); // of zeros
    m.cpu.rip = 0;
    for (int i = 0; i < 10 * Interpreter.FOREIGN_LIMIT; i++) {
      m.memory.deviceWriteByte(SystemMachine.CODE + 0x100 + i * 0x1000 % 0x2000, (byte) i);
      assertTrue(engine.foreignWrites() <= Interpreter.FOREIGN_LIMIT);
    }
    m.memory.deviceWriteByte(SystemMachine.CODE, (byte) 0x48); // dec ax
    engine.run(20);
    assertEquals(0, m.cpu.r[Cpu.RAX] & 0xffff);
  }

  @Test
  void a_store_that_comes_again_and_again_is_kept_once() {
    SystemMachine m = SystemMachine.real();
    m.cpu.rip = 0;
    Code.put(m, "40 eb fd");
    Interpreter engine = Code.engine(m);
    engine.run(20);
    for (int i = 0; i < 100; i++) {
      m.memory.deviceWriteByte(SystemMachine.CODE + 0x800, (byte) i);
    }
    assertEquals(1, engine.foreignWrites());
    engine.run(20);
    assertEquals(0, engine.foreignWrites());
    assertEquals(1, engine.blocksDecoded());
  }

  @Test
  void stores_to_one_page_are_kept_as_one() {
    SystemMachine m = SystemMachine.real();
    m.cpu.rip = 0x10;
    Code.put(m, "90".repeat(16) + "40 eb fd");
    Interpreter engine = Code.engine(m);
    engine.run(20);
    for (int i = 0; i < 100; i++) {
      m.memory.deviceWriteByte(SystemMachine.CODE + 0x7f - i, (byte) 0x90);
    }
    assertEquals(1, engine.foreignWrites());
    m.cpu.r[Cpu.RAX] = 0;
    engine.run(20);
    assertEquals(0, m.cpu.r[Cpu.RAX], "all are NOPs now");
  }

  @Test
  void stores_to_a_page_whose_code_is_gone_are_plain_ones_again() {
    SystemMachine m = SystemMachine.real();
    m.cpu.rip = 0;
    Code.put(m, "40 eb fd");
    Interpreter engine = Code.engine(m);
    assertFalse(m.memory.holdsCode(SystemMachine.CODE));
    engine.run(20);
    assertTrue(m.memory.holdsCode(SystemMachine.CODE));
    m.cpu.rip = 0x800; // elsewhere in the page
    engine.run(1);
    m.cpu.mmu.write8(SystemMachine.CODE, 0x48);
    assertTrue(m.memory.holdsCode(SystemMachine.CODE), "of which one block is left");
    m.cpu.mmu.write8(SystemMachine.CODE + 0x800, 1);
    assertFalse(m.memory.holdsCode(SystemMachine.CODE));
    m.cpu.rip = 0;
    m.cpu.r[Cpu.RAX] = 0;
    engine.run(20);
    assertEquals(0xfff6, m.cpu.r[Cpu.RAX] & 0xffff, "ten times DEC");
    assertTrue(m.memory.holdsCode(SystemMachine.CODE));
    engine.dropAll();
    assertFalse(m.memory.holdsCode(SystemMachine.CODE));
  }

  @Test
  void a_processor_that_has_stored_to_a_page_does_so_again_after_another_ran_it() {
    SystemMachine m = SystemMachine.real();
    Cpu second = new Cpu(m.cpu.model, m.memory, Platform.NONE);
    Interpreter engine = Code.engine(m);
    Interpreter other = new Interpreter(second, new Decoder(m.cpu.model.features()));
    // The TLB of the other processor lets stores to the page pass.
    second.mmu.write8(SystemMachine.CODE, 0x40);
    second.mmu.write16(SystemMachine.CODE + 1, 0xfdeb);
    m.cpu.rip = 0;
    m.cpu.r[Cpu.RAX] = 0;
    engine.run(20);
    assertEquals(10, m.cpu.r[Cpu.RAX] & 0xffff);
    second.mmu.write8(SystemMachine.CODE, 0x48);
    m.cpu.rip = 0;
    engine.run(20);
    assertEquals(0, m.cpu.r[Cpu.RAX] & 0xffff, "DEC, not INC");
    other.close();
  }
}
