package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;

/** Repeated string instructions against a loop over an array, element by element. */
final class StringProperties {
  private static final int LENGTH = 0x2000;
  private static final TestMachine MACHINE = new TestMachine(TestMachine.Mode.LONG);
  private static final TestMachine REFERENCE = new TestMachine(TestMachine.Mode.LONG);

  @Provide
  Arbitrary<Long> seeds() {
    return Arbitraries.randomValue(Random::nextLong);
  }

  private static long load(byte[] b, int at, int size) {
    long v = 0;
    for (int k = 0; k < size; k++) {
      v |= (b[at + k] & 0xffL) << (8 * k);
    }
    return v;
  }

  private static void store(byte[] b, int at, int size, long value) {
    for (int k = 0; k < size; k++) {
      b[at + k] = (byte) (value >>> (8 * k));
    }
  }

  private static String hex(int prefix, int opcode, int size) {
    return (prefix == 0 ? "" : "%02x ".formatted(prefix))
        + (size == 2 ? "66 " : size == 8 ? "48 " : "")
        + "%02x".formatted(size == 1 ? opcode : opcode + 1);
  }

  @Property(tries = 3000)
  void movesAndStores(@ForAll("seeds") long seed) {
    Random random = new Random(seed);
    TestMachine m = MACHINE.reset();
    byte[] expected = new byte[LENGTH];
    random.nextBytes(expected);
    m.memory.write(m.data, expected);
    int size = 1 << random.nextInt(4);
    boolean down = random.nextInt(3) == 0;
    boolean move = random.nextInt(4) != 0;
    int step = down ? -size : size;
    int count = random.nextInt(random.nextBoolean() ? 20 : 0x1000 / size);
    int span = count * size;
    int from = start(random, span, down, size);
    // Often close to the source, so that what is written is read again.
    int to = start(random, span, down, size);
    if (random.nextBoolean()) {
      int near = from + random.nextInt(81) - 40;
      int low = down ? near - span + size : near;
      to = low >= 0 && low + span <= LENGTH ? near : to;
    }
    boolean code = random.nextInt(8) == 0;
    int[] codeWritten = new int[1];
    if (code) {
      m.markCode(m.data + 0x1000);
      m.cpu.mmu.codeWrites =
          (hpa, length) -> {
            assertEquals(m.data + 0x1000, hpa & ~0xfffL);
            codeWritten[0] += length;
          };
    }
    // Warm translations are what runs need; sometimes they are missing.
    if (random.nextInt(4) != 0) {
      m.cpu.mmu.probeWrite(m.data, 8);
      m.cpu.mmu.write8(m.data, expected[0]);
      m.cpu.mmu.write8(m.data + 0x1fff, expected[0x1fff]);
      codeWritten[0] = 0;
    }
    long value = random.nextLong();
    m.cpu.r[Cpu.RAX] = value;
    m.cpu.r[Cpu.RCX] = count;
    m.cpu.r[Cpu.RSI] = m.data + from;
    m.cpu.r[Cpu.RDI] = m.data + to;
    m.flags(down ? Flags.DF : 0);
    int written = 0;
    for (int k = 0; k < count; k++) {
      long v = move ? load(expected, from + k * step, size) : value;
      store(expected, to + k * step, size, v);
      for (int b = 0; b < size; b++) {
        written += to + k * step + b >= 0x1000 ? 1 : 0;
      }
    }
    assertNull(m.execute(hex(0xf3, move ? 0xa4 : 0xaa, size)));
    byte[] actual = new byte[LENGTH];
    m.memory.read(m.data, actual);
    assertArrayEquals(expected, actual);
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(m.data + to + (long) count * step, m.cpu.r[Cpu.RDI]);
    assertEquals(m.data + from + (move ? (long) count * step : 0), m.cpu.r[Cpu.RSI]);
    if (code) {
      assertEquals(written, codeWritten[0]);
    }
  }

  private static int start(Random random, int span, boolean down, int size) {
    int low = random.nextInt(LENGTH - span + 1);
    return down && span > 0 ? low + span - size : Math.min(low, LENGTH - size);
  }

  @Property(tries = 2000)
  void comparesAndScans(@ForAll("seeds") long seed) {
    Random random = new Random(seed);
    TestMachine m = MACHINE.reset();
    int size = 1 << random.nextInt(4);
    boolean down = random.nextBoolean();
    int step = down ? -size : size;
    boolean scan = random.nextBoolean();
    boolean whileEqual = random.nextBoolean();
    byte[] bytes = new byte[LENGTH];
    for (int k = 0; k < LENGTH; k++) {
      bytes[k] = (byte) (random.nextInt(whileEqual ? 40 : 2) == 0 ? 1 : 0);
    }
    m.memory.write(m.data, bytes);
    int count = random.nextInt(60);
    int from = 0x800 + random.nextInt(0x1000);
    int to = 0x800 + random.nextInt(0x1000);
    m.cpu.r[Cpu.RAX] = random.nextInt(2);
    m.cpu.r[Cpu.RCX] = count;
    m.cpu.r[Cpu.RSI] = m.data + from;
    m.cpu.r[Cpu.RDI] = m.data + to;
    int before = random.nextInt() & Flags.ARITHMETIC;
    m.flags(before | (down ? Flags.DF : 0));
    int done = 0;
    TestMachine reference = REFERENCE.reset();
    reference.flags(before);
    while (done < count) {
      long a =
          scan ? Operands.truncate(m.cpu.r[Cpu.RAX], size) : load(bytes, from + done * step, size);
      long b = load(bytes, to + done * step, size);
      Alu.sub(reference.cpu, size, a, b);
      done++;
      if ((a == b) != whileEqual) {
        break;
      }
    }
    assertNull(m.execute(hex(whileEqual ? 0xf3 : 0xf2, scan ? 0xae : 0xa6, size)));
    assertEquals(count - done, m.cpu.r[Cpu.RCX]);
    assertEquals(m.data + to + (long) done * step, m.cpu.r[Cpu.RDI]);
    assertEquals(m.data + from + (scan ? 0 : (long) done * step), m.cpu.r[Cpu.RSI]);
    assertEquals(reference.flags(), m.flags());
  }
}
