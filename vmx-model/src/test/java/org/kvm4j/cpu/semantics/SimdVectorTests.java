package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.zip.GZIPInputStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;

/**
 * Replays what a CPU has made of vector instructions. The recorder, which says what its output and
 * the state are, is {@code src/test/recorders/simd.c}.
 */
class SimdVectorTests {
  private static final int IMAGE = 832;
  private static final int REGISTERS = IMAGE;
  private static final int FLAGS = REGISTERS + 16 * 8;
  private static final int MEMORY = FLAGS + 8;
  private static final int MEMORY_SIZE = 128;
  private static final int STATE = MEMORY + MEMORY_SIZE;
  private static final int ARITHMETIC = 0x8d5;
  private static final int NO_EXCEPTION = 0xff;

  private final TestMachine machine = new TestMachine(TestMachine.Mode.LONG);
  private final Set<Opcode> seen = EnumSet.noneOf(Opcode.class);
  private byte[][] operands = {};

  @Test
  void instructions_do_what_a_cpu_has_done() throws IOException {
    machine.cpu.cr4 |= ControlBits.CR4_OSFXSR | ControlBits.CR4_OSXSAVE;
    machine.cpu.xcr0 = 7;
    List<String> wrong = new ArrayList<>();
    replay(wrong);
    assertTrue(seen.size() > 300, "few instructions");
    assertEquals(
        0, wrong.size(), () -> String.join("\n", wrong.subList(0, Math.min(40, wrong.size()))));
  }

  private void replay(List<String> wrong) throws IOException {
    ByteBuffer file;
    try (InputStream in =
        new GZIPInputStream(
            Objects.requireNonNull(
                SimdVectorTests.class.getResourceAsStream("simd-zen4.bin.gz")))) {
      file = ByteBuffer.wrap(in.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
    }
    while (file.get() != '\n') {
      // The CPU's name, for people.
    }
    operands = new byte[file.getShort()][32];
    for (byte[] operand : operands) {
      file.get(operand);
    }
    for (int forms = file.getShort() & 0xffff; forms > 0; forms--) {
      byte[] code = new byte[file.get()];
      file.get(code);
      Instruction i = machine.decode(HexFormat.of().formatHex(code));
      seen.add(i.opcode);
      String first = null;
      int different = 0;
      int vectors = file.get() & 0xff;
      for (int n = 0; n < vectors; n++) {
        byte[] choice = new byte[8];
        file.get(choice);
        String difference = replay(i, choice, file);
        if (difference != null && different++ == 0) {
          first = difference;
        }
      }
      if (first != null) {
        wrong.add(
            "%s (%s): %d of %d, %s"
                .formatted(i, HexFormat.of().formatHex(code), different, vectors, first));
      }
    }
    assertFalse(file.hasRemaining());
  }

  private @Nullable String replay(Instruction i, byte[] choice, ByteBuffer file) {
    byte[] before = before(choice);
    byte[] expected = before.clone();
    int exception = file.get() & 0xff;
    for (int runs = file.get(); runs > 0; runs--) {
      int at = file.getShort();
      file.get(expected, at, file.get() & 0xff);
    }
    byte[] after = before.clone();
    int vector = execute(i, after);
    if (vector != exception) {
      return "exception %d, not %d".formatted(vector, exception);
    }
    int at = Arrays.mismatch(expected, after);
    return at < 0 ? null : "%s%n  with %s".formatted(differences(expected, after), inputs(choice));
  }

  // ---- the state ----

  private byte[] operand(byte choice) {
    return operands[choice & 0xff];
  }

  private byte[] before(byte[] choice) {
    byte[] s = new byte[STATE];
    for (int k = 32; k < IMAGE; k++) {
      if (k < 416 || k >= 576) {
        s[k] = (byte) (k * 37 + 11);
      }
    }
    s[0] = 0x7f;
    s[1] = 3;
    s[3] = (byte) ((choice[0] & 7) << 3);
    s[4] = choice[1];
    s[24] = (byte) 0x80;
    s[25] = 0x1f;
    for (int k = 0; k < 4; k++) {
      System.arraycopy(operand(choice[k]), 0, s, 160 + 16 * k, 16);
      System.arraycopy(operand(choice[k]), 16, s, 576 + 16 * k, 16);
    }
    for (int k = 0; k < 8; k++) {
      Arrays.fill(s, 32 + 16 * k + 10, 32 + 16 * k + 16, (byte) 0);
      int physical = k + choice[0] & 7;
      if (physical < 4) {
        System.arraycopy(operand(choice[6]), 8 * physical, s, 32 + 16 * k, 8);
      }
    }
    ByteBuffer b = ByteBuffer.wrap(s).order(ByteOrder.LITTLE_ENDIAN);
    for (int k = 0; k < 16; k++) {
      b.putLong(REGISTERS + 8 * k, 0x1111111111111111L * k);
    }
    System.arraycopy(operand(choice[7]), 0, s, REGISTERS, 32);
    b.putLong(REGISTERS + 8 * Cpu.RSP, 0);
    b.putLong(REGISTERS + 8 * Cpu.RSI, machine.unmapped - 32);
    b.putLong(REGISTERS + 8 * Cpu.RDI, machine.data + 0x1000 - 32);
    b.putLong(FLAGS, (choice[0] & 1) != 0 ? ARITHMETIC : 0);
    System.arraycopy(operand(choice[0]), 0, s, MEMORY, 32);
    System.arraycopy(operand(choice[1]), 0, s, MEMORY + 32, 32);
    System.arraycopy(operand(choice[4]), 0, s, MEMORY + 64, 32);
    System.arraycopy(operand(choice[5]), 0, s, MEMORY + 96, 32);
    return s;
  }

  /** Executes from a state, which becomes the state after it; the exception. */
  private int execute(Instruction i, byte[] state) {
    Cpu cpu = machine.cpu;
    ByteBuffer b = ByteBuffer.wrap(state).order(ByteOrder.LITTLE_ENDIAN);
    System.arraycopy(state, 0, cpu.xsaveArea, 0, IMAGE);
    for (int k = 0; k < 16; k++) {
      cpu.r[k] = b.getLong(REGISTERS + 8 * k);
    }
    machine.flags(b.getLong(FLAGS));
    long window = machine.data + 0x1000 - 96;
    machine.memory.write(window, Arrays.copyOfRange(state, MEMORY, STATE));
    cpu.rip = machine.code;
    CpuException e = machine.execute(i);
    System.arraycopy(cpu.xsaveArea, 0, state, 0, IMAGE);
    for (int k = 0; k < 16; k++) {
      b.putLong(REGISTERS + 8 * k, cpu.r[k]);
    }
    b.putLong(FLAGS, cpu.lazyFlags());
    byte[] memory = new byte[MEMORY_SIZE];
    machine.memory.read(window, memory);
    System.arraycopy(memory, 0, state, MEMORY, MEMORY_SIZE);
    return e == null ? NO_EXCEPTION : e.vector;
  }

  // ---- for people ----

  private static String differences(byte[] expected, byte[] actual) {
    StringBuilder s = new StringBuilder();
    for (int at = 0; at < STATE; at += 8) {
      int end = Math.min(at + 8, STATE);
      if (!Arrays.equals(expected, at, end, actual, at, end)) {
        s.append("%s: cpu %s, is %s; ".formatted(name(at), hex(expected, at), hex(actual, at)));
      }
    }
    return s.toString();
  }

  private static String hex(byte[] state, int at) {
    return "%016x".formatted(ByteBuffer.wrap(state).order(ByteOrder.LITTLE_ENDIAN).getLong(at));
  }

  private static String name(int at) {
    if (at < 32) {
      return "fx+" + at;
    }
    if (at < 160) {
      return "st%d+%d".formatted((at - 32) / 16, at % 16);
    }
    if (at < 576) {
      return "xmm%d.%d".formatted((at - 160) / 16, at / 8 % 2);
    }
    if (at < IMAGE) {
      return "ymm%d.%d".formatted((at - 576) / 16, 2 + at / 8 % 2);
    }
    if (at < MEMORY) {
      return at < FLAGS ? "r" + (at - REGISTERS) / 8 : "flags";
    }
    return "memory+%#x".formatted(at - MEMORY);
  }

  private String inputs(byte[] choice) {
    StringBuilder s = new StringBuilder();
    String[] names = {"ymm0", "ymm1", "ymm2", "ymm3", "rdi", "rdi+32", "mm0-3", "rax,rcx,rdx,rbx"};
    for (int k = 0; k < 8; k++) {
      s.append(" %s %s".formatted(names[k], words(operand(choice[k]))));
    }
    return s.toString();
  }

  /** Highest word first. */
  private static String words(byte[] operand) {
    ByteBuffer b = ByteBuffer.wrap(operand).order(ByteOrder.LITTLE_ENDIAN);
    return "%016x.%016x.%016x.%016x"
        .formatted(b.getLong(24), b.getLong(16), b.getLong(8), b.getLong(0));
  }
}
