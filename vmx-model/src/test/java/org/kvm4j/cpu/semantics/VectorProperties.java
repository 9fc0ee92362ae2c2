package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;

/** Random vector instructions in every mode: a fault that leaves no trace, or none. */
final class VectorProperties {
  /** How vector instructions begin, in hexadecimal. */
  private static final String[] STARTS = {
    "0f", "660f", "f20f", "f30f", "0f38", "660f38", "660f3a", "c5", "c4e1", "c4e2", "c4e3", "c442"
  };

  private static final Map<TestMachine.Mode, TestMachine> MACHINES =
      new EnumMap<>(TestMachine.Mode.class);

  private static TestMachine machine(TestMachine.Mode mode) {
    TestMachine m = MACHINES.computeIfAbsent(mode, TestMachine::new).reset();
    m.cpu.cr4 |= ControlBits.CR4_OSFXSR | ControlBits.CR4_OSXMMEXCPT | ControlBits.CR4_OSXSAVE;
    m.cpu.cr0 |= ControlBits.CR0_NE;
    m.cpu.xcr0 = 7;
    return m;
  }

  @Provide
  Arbitrary<Long> seeds() {
    return Arbitraries.randomValue(Random::nextLong);
  }

  @Property(tries = 2000)
  void randomVectorInstructionsFaultCleanly(@ForAll("seeds") long seed) {
    Random random = new Random(seed);
    TestMachine.Mode[] modes = TestMachine.Mode.values();
    TestMachine m = machine(modes[random.nextInt(modes.length)]);
    byte[] content = new byte[0x2000];
    random.nextBytes(content);
    m.memory.write(m.data, content);
    byte[] tail = new byte[12];
    for (int k = 0; k < 40; k++) {
      random.nextBytes(tail);
      String code = STARTS[random.nextInt(STARTS.length)] + HexFormat.of().formatHex(tail);
      Instruction i = m.decode(code);
      boolean vector = i.opcode.feature != null && i.isValid() && !i.endsBlock;
      if (vector) {
        state(m, random);
        check(m, i);
      }
    }
  }

  private static void state(TestMachine m, Random random) {
    Cpu cpu = m.cpu;
    for (int r = 0; r < 16; r++) {
      boolean place = random.nextInt(4) != 0;
      cpu.r[r] = place ? m.data + random.nextInt(0x3100) : random.nextLong();
      if (m.mode.codeSize != 8) {
        cpu.r[r] = r < 8 ? cpu.r[r] & 0xffffffffL : 0;
      }
    }
    byte[] registers = new byte[256];
    random.nextBytes(registers);
    System.arraycopy(registers, 0, cpu.xsaveArea, 160, 256);
    // Small numbers in some, for counts and indices.
    int small = random.nextInt(16);
    VectorState.setXmm(cpu, small, random.nextInt(0x80), random.nextInt(0x80));
    random.nextBytes(registers);
    System.arraycopy(registers, 0, cpu.xsaveArea, 576, 256);
    X87State.setTop(cpu, random.nextInt(8));
    X87State.setTags(cpu, random.nextInt(256));
    X87State.setControl(cpu, X87State.DEFAULT_CONTROL);
    VectorState.setMxcsr(cpu, random.nextBoolean() ? 0x1f80 : random.nextInt(0x10000));
    m.flags(random.nextInt() & (Flags.ARITHMETIC | Flags.AC));
    cpu.rip = m.code;
  }

  private static void check(TestMachine m, Instruction i) {
    String before = m.state();
    byte[] memory = m.bytes();
    byte[] area = m.cpu.xsaveArea.clone();
    CpuException e = m.execute(i);
    if (e == null) {
      return;
    }
    assertTrue(e.vector >= 0 && e.vector < 32, i::toString);
    assertEquals(before, m.state(), i::toString);
    assertArrayEquals(memory, m.bytes(), i::toString);
    // A gather keeps what it has loaded, an unmasked exception its flag in MXCSR.
    if (i.vectorIndexSize == 0 && e.vector != Vector.XM) {
      assertArrayEquals(area, m.cpu.xsaveArea, i::toString);
    }
  }
}
