package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.ept.memory.CodeWriteListener;

/**
 * Code that other code leads to and that is elsewhere then, or whose memory is another, interpreted
 * and translated; and marks of code pages that several processors make at once.
 */
final class MovedCodeTests {
  private static final long HERE = SystemMachine.PAGES + 0x4000;
  private static final long THERE = HERE + 0x1000;
  private static final long OTHER = HERE + 0x2000;

  static String rel(long from, long to) {
    int d = (int) (to - from);
    return "%02x %02x %02x %02x".formatted(d & 255, d >> 8 & 255, d >> 16 & 255, d >> 24 & 255);
  }

  private static void remapped(boolean translate) {
    SystemMachine m = SystemMachine.long64(0);
    Interpreter engine = Code.engine(m);
    if (translate) {
      engine.translate(30, null);
    }
    Code.put(
        m,
        HERE,
        "83 fa 01 0f 84 " + rel(HERE + 9, THERE + 0x100) + " e9 " + rel(HERE + 14, THERE + 0x200));
    Code.put(m, HERE + 0x40, "ff c9 0f 85 " + rel(HERE + 0x48, HERE) + " f4");
    int k = 1;
    for (long p : new long[] {THERE, OTHER}) {
      Code.put(m, p + 0x100, "83 c0 0" + k + " e9 " + rel(THERE + 0x108, HERE + 0x40));
      Code.put(m, p + 0x200, "90 e9 " + rel(THERE + 0x206, THERE + 0x100));
      k++;
    }
    Cpu c = m.cpu;
    c.rip = HERE;
    c.r[Cpu.RAX] = 0;
    c.r[Cpu.RDX] = 1;
    c.r[Cpu.RCX] = 5;
    engine.run(1000);
    assertEquals(5, c.r[Cpu.RAX]);
    m.map(THERE, OTHER);
    c.mmu.tlb.invalidateLinear(0, 0, THERE);
    c.activity = Cpu.ACTIVE;
    c.rip = HERE;
    c.r[Cpu.RAX] = 0;
    c.r[Cpu.RDX] = 0;
    c.r[Cpu.RCX] = 100;
    engine.run(10000);
    assertEquals(200, c.r[Cpu.RAX], "regions " + engine.regions());
  }

  @Test
  void remapped_plain() {
    remapped(false);
  }

  @Test
  void remapped_translated() {
    remapped(true);
  }

  private static void callNext(boolean translate) {
    SystemMachine m = SystemMachine.long64(0);
    Interpreter engine = Code.engine(m);
    if (translate) {
      engine.translate(3, null);
    }
    Code.put(m, HERE + 0xff8, "90 90 90 e8 00 00 00 00");
    Code.put(
        m,
        THERE,
        "58 48 8d 1d 00 00 00 00 48 01 de ff c9 0f 85 " + rel(THERE + 19, HERE + 0xff8) + " f4");
    Cpu c = m.cpu;
    c.rip = HERE + 0xff8;
    c.r[Cpu.RCX] = 100;
    engine.run(10000);
    assertEquals(0, c.r[Cpu.RCX] & 0xffffffffL, "regions " + engine.regions());
    assertEquals(Long.toHexString(THERE), Long.toHexString(c.r[Cpu.RAX]));
    assertEquals(Long.toHexString(THERE + 8), Long.toHexString(c.r[Cpu.RBX]));
    assertEquals(
        Long.toHexString(100 * (THERE + 8)),
        Long.toHexString(c.r[Cpu.RSI]),
        "regions " + engine.regions());
    assertEquals(Long.toHexString(THERE + 20), Long.toHexString(c.rip));
  }

  @Test
  void call_next_plain() {
    callNext(false);
  }

  @Test
  void call_next_translated() {
    callNext(true);
  }

  @Test
  void mark_race() {
    SystemMachine m = SystemMachine.real();
    Runnable[] meanwhile = {null};
    m.memory.addCodeWriteListener(
        new CodeWriteListener() {
          @Override
          public void codeWritten(long hpa, int length) {}

          @Override
          public void codeMarked(long hpaPage) {
            Runnable r = meanwhile[0];
            meanwhile[0] = null;
            if (r != null) {
              r.run();
            }
          }
        });
    Interpreter one = Code.engine(m);
    Cpu c2 = new Cpu(m.cpu.model, m.memory, Platform.NONE);
    Interpreter two = new Interpreter(c2, new Decoder(m.cpu.model.features()));
    Cpu c3 = new Cpu(m.cpu.model, m.memory, Platform.NONE);
    Interpreter three = new Interpreter(c3, new Decoder(m.cpu.model.features()));
    c3.mmu.write8(SystemMachine.CODE, 0x40);
    c3.mmu.write16(SystemMachine.CODE + 1, 0xfdeb);
    c2.seg[Cpu.CS].set(SystemMachine.CODE >> 4, SystemMachine.CODE, 0xffff, m.cpu.seg[Cpu.CS].ar);
    c2.updateMode();
    c2.rip = 0;
    m.cpu.rip = 0;
    meanwhile[0] =
        () -> {
          two.run(20);
          assertEquals(10, c2.r[Cpu.RAX] & 0xffff);
          c3.mmu.write8(SystemMachine.CODE, 0x48);
        };
    one.run(20);
    c2.rip = 0;
    two.run(20);
    assertEquals(0, c2.r[Cpu.RAX] & 0xffff, "DEC, not INC");
    three.close();
  }

  /** Maps a region with INC and a jump back to it, where processors are about to run. */
  private static long runsAtRegion(SystemMachine m, Cpu... processors) {
    long base = 0x800000;
    m.memory.mapAt(base, 0x10000);
    for (Cpu c : processors) {
      c.seg[Cpu.CS].set(0, base, 0xffff, 0x9b);
      c.updateMode();
      c.rip = 0;
      c.r[Cpu.RAX] = 0;
    }
    m.memory.deviceWriteInt(base, 0x00fdeb40);
    return base;
  }

  /** A region is taken away and put back: two processors have run code there. */
  @Test
  void remapped_memory() {
    SystemMachine m = SystemMachine.real();
    Interpreter one = Code.engine(m);
    Cpu c2 = new Cpu(m.cpu.model, m.memory, Platform.NONE);
    Interpreter two = new Interpreter(c2, new Decoder(m.cpu.model.features()));
    long base = runsAtRegion(m, m.cpu, c2);
    one.run(20);
    two.run(20);
    m.memory.unmap(base);
    m.memory.mapAt(base, 0x10000);
    m.memory.deviceWriteInt(base, 0x00fdeb40);
    for (Cpu c : new Cpu[] {m.cpu, c2}) {
      c.mmu.flushAll();
      c.rip = 0;
      c.r[Cpu.RAX] = 0;
    }
    one.run(20);
    assertEquals(10, m.cpu.r[Cpu.RAX]);
    assertTrue(m.memory.holdsCode(base));
    c2.seg[Cpu.CS].set(0, SystemMachine.CODE, 0xffff, 0x9b);
    c2.updateMode();
    two.run(2);
    assertTrue(m.memory.holdsCode(base), "one still has code there");
    m.memory.deviceWriteByte(base, (byte) 0x48);
    m.cpu.rip = 0;
    one.run(20);
    assertEquals(0, m.cpu.r[Cpu.RAX] & 0xffff);
  }

  /** Memory that comes and goes is marked each time, however often. */
  @Test
  void remapped_memory_again_and_again() {
    SystemMachine m = SystemMachine.real();
    Interpreter engine = Code.engine(m);
    long base = runsAtRegion(m, m.cpu);
    for (int round = 0; round < 3 * Interpreter.MOST_EMPTIED; round++) {
      for (int code : new int[] {0x00fdeb40, 0x00fdeb48}) { // inc ax, dec ax
        m.cpu.mmu.write32(base, code);
        m.cpu.rip = 0;
        m.cpu.r[Cpu.RAX] = 0;
        engine.run(20);
        assertEquals(code == 0x00fdeb40 ? 10 : 0xfff6, m.cpu.r[Cpu.RAX] & 0xffff, "round " + round);
      }
      m.memory.unmap(base);
      m.memory.mapAt(base, 0x10000);
      m.cpu.mmu.flushAll();
    }
  }

  /** The place of a call is taken by what its last target was, in its own page, elsewhere then. */
  private static void lastCalled(boolean translate) {
    SystemMachine m = SystemMachine.long64(0);
    Interpreter engine = Code.engine(m);
    if (translate) {
      engine.translate(30, null);
    }
    // cmp edx, 1; je +8; dec ecx; jnz 0; hlt; nop; nop; nop; call rbx; dec ecx; jnz 0; hlt
    Code.put(m, OTHER, "83 fa 01 74 08 ff c9 75 f7 f4 90 90 90 ff d3 ff c9 75 ed f4");
    Code.put(m, OTHER + 0x100, "83 c0 02 c3"); // add eax, 2; ret
    Code.put(m, THERE + 0x100, "83 c0 01 c3"); // add eax, 1; ret
    Cpu c = m.cpu;
    int[] rdx = {1, 0, 1};
    int[] rcx = {5, 200, 100};
    int[] rax = {5, 0, 200};
    for (int round = 0; round < 3; round++) {
      c.activity = Cpu.ACTIVE;
      c.rip = round == 0 ? OTHER : THERE;
      c.r[Cpu.RAX] = 0;
      c.r[Cpu.RBX] = THERE + 0x100;
      c.r[Cpu.RCX] = rcx[round];
      c.r[Cpu.RDX] = rdx[round];
      engine.run(10000);
      assertEquals(rax[round], c.r[Cpu.RAX], "round " + round + ", regions " + engine.regions());
      if (round == 0) {
        m.map(THERE, OTHER);
        c.mmu.tlb.invalidateLinear(0, 0, THERE);
      }
    }
  }

  @Test
  void last_called_plain() {
    lastCalled(false);
  }

  @Test
  void last_called_translated() {
    lastCalled(true);
  }

  /** A machine whose memory was taken away is closed when another has code where that was. */
  @Test
  void remapped_memory_close() {
    SystemMachine m = SystemMachine.real();
    Interpreter one = Code.engine(m);
    Cpu c2 = new Cpu(m.cpu.model, m.memory, Platform.NONE);
    Interpreter two = new Interpreter(c2, new Decoder(m.cpu.model.features()));
    long base = runsAtRegion(m, m.cpu, c2);
    one.run(20);
    m.memory.unmap(base);
    m.memory.mapAt(base, 0x10000);
    m.memory.deviceWriteInt(base, 0x00fdeb40);
    two.run(20);
    assertEquals(10, c2.r[Cpu.RAX]);
    one.close();
    m.memory.deviceWriteByte(base, (byte) 0x48);
    c2.rip = 0;
    two.run(20);
    assertEquals(0, c2.r[Cpu.RAX] & 0xffff, "DEC, not INC");
  }
}
