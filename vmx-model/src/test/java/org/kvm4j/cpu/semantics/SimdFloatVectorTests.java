package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;

/**
 * Replays what a CPU has made of the floating-point instructions of SSE, AVX, FMA and F16C, bit by
 * bit. The recorder, which says what its output is, is {@code src/test/recorders/simd-float.c}. A
 * longer recording that is not compressed can be given by the system property {@code
 * simd-float.vectors}.
 */
class SimdFloatVectorTests {
  private static final int NONE = 0;
  private static final String KINDS = "sdhil";
  private static final int RCX = 1;
  private static final int MM0 = 2;
  private static final int FLAGS = 4;
  private static final int SHOWN = 20;

  private record Form(String code, String kinds, int looked, String text) {
    boolean usesMmx() {
      return text.contains("pi");
    }
  }

  /** What is looked at after an instruction; what is not is 0. */
  private record State(
      int exception, int mxcsr, int flags, long rcx, long mm0, int top, int tags, String ymm0) {
    @Override
    public String toString() {
      return "exception %d mxcsr %04x flags %02x rcx %x mm0 %x top %d tags %02x ymm0 %s"
          .formatted(exception, mxcsr, flags, rcx, mm0, top, tags, ymm0);
    }
  }

  private final TestMachine machine = new TestMachine(TestMachine.Mode.LONG);
  private final ByteBuffer file = file();
  private final List<Form> forms = new ArrayList<>();
  private final long[][] values = new long[KINDS.length()][];

  private static ByteBuffer file() {
    String path = System.getProperty("simd-float.vectors");
    try (InputStream in =
        path != null
            ? Files.newInputStream(Path.of(path))
            : new GZIPInputStream(
                Objects.requireNonNull(
                    SimdFloatVectorTests.class.getResourceAsStream("simd-float-zen4.bin.gz")))) {
      return ByteBuffer.wrap(in.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
    } catch (IOException e) {
      throw new AssertionError(e);
    }
  }

  @Test
  void instructions_do_what_a_cpu_has_done() {
    line();
    for (String line = line(); !line.isEmpty(); line = line()) {
      String[] words = line.split(" ", 4);
      forms.add(new Form(words[0], words[1], Integer.parseInt(words[2]), words[3]));
    }
    for (int k = 0; k < values.length; k++) {
      values[k] = new long[file.getShort()];
      for (int n = 0; n < values[k].length; n++) {
        values[k][n] = file.getLong();
      }
    }
    machine.cpu.cr4 |=
        ControlBits.CR4_OSFXSR | ControlBits.CR4_OSXMMEXCPT | ControlBits.CR4_OSXSAVE;
    machine.cpu.xcr0 = 7;
    List<String> wrong = new ArrayList<>();
    int count = 0;
    while (file.hasRemaining()) {
      count++;
      replay(wrong);
    }
    assertTrue(count > 10000, "few records");
    assertEquals(
        0, wrong.size(), () -> String.join("\n", wrong.subList(0, Math.min(SHOWN, wrong.size()))));
  }

  private String line() {
    StringBuilder s = new StringBuilder();
    for (int c = file.get(); c != '\n'; c = file.get()) {
      s.append((char) c);
    }
    return s.toString();
  }

  private static int hash(int operand, int element) {
    int x = (operand * 16 + element) * 0x9e3779b1;
    x ^= x >>> 15;
    x *= 0x85ebca77;
    return x ^ x >>> 13;
  }

  private long[] operand(char kind, int seed) {
    long[] of = values[KINDS.indexOf(kind)];
    int size = kind == 'h' ? 2 : kind == 's' || kind == 'i' ? 4 : 8;
    long[] words = new long[4];
    for (int n = 0; n < 32 / size; n++) {
      long value = of[Integer.remainderUnsigned(hash(seed, n), of.length)];
      words[n * size / 8] |= value << n * size % 8 * 8;
    }
    return words;
  }

  private void replay(List<String> wrong) {
    Form form = forms.get(file.getShort());
    int mxcsr = file.getShort() & 0xffff;
    long[][] operands = new long[3][];
    for (int k = 0; k < 3; k++) {
      operands[k] = operand(form.kinds.charAt(k), file.getShort() & 0xffff);
    }
    State expected = expected(form, operands);
    State actual = execute(form, mxcsr, operands);
    if (!actual.equals(expected)) {
      wrong.add(
          "%s (%s) mxcsr %04x ymm0 %s ymm1 %s ymm2 %s%n  cpu %s%n  is  %s"
              .formatted(
                  form.text,
                  form.code,
                  mxcsr,
                  text(operands[0]),
                  text(operands[1]),
                  text(operands[2]),
                  expected,
                  actual));
    }
  }

  private State expected(Form form, long[][] operands) {
    int exception = file.get();
    int mxcsr = file.getShort() & 0xffff;
    int flags = (form.looked & FLAGS) != 0 ? file.get() & 0xff : 0;
    long rcx = (form.looked & RCX) != 0 ? file.getLong() : 0;
    long mm0 = (form.looked & MM0) != 0 ? file.getLong() : 0;
    int top = form.usesMmx() ? file.get() : 0;
    int tags = form.usesMmx() ? file.get() & 0xff : 0;
    int kinds = file.get();
    long[] ymm0 = new long[4];
    for (int k = 0; k < 4; k++) {
      ymm0[k] =
          switch (kinds >> 2 * k & 3) {
            case 0 -> operands[0][k];
            case 1 -> 0;
            case 2 -> operands[1][k];
            default -> file.getLong();
          };
    }
    return new State(exception, mxcsr, flags, rcx, mm0, top, tags, text(ymm0));
  }

  private State execute(Form form, int mxcsr, long[][] operands) {
    Cpu cpu = machine.cpu;
    for (int k = 0; k < 4; k++) {
      for (int reg = 0; reg < 3; reg++) {
        VectorState.set(cpu, reg, k, operands[reg][k]);
      }
      machine.memory.writeLong(machine.data + 8 * k, operands[2][k]);
    }
    VectorState.setMxcsr(cpu, mxcsr);
    X87State.setControl(cpu, X87State.DEFAULT_CONTROL);
    X87State.setStatus(cpu, 0);
    X87State.setTop(cpu, 3);
    for (int mm = 0; mm < 8; mm++) {
      X87State.setContent(cpu, mm - 3 & 7, 0, mm == 2 ? operands[2][0] : 1L << 63);
    }
    X87State.setTags(cpu, 0);
    Arrays.fill(cpu.r, 0);
    cpu.r[Cpu.RAX] = operands[2][0];
    cpu.r[Cpu.RDI] = machine.data;
    machine.flags(0);
    cpu.rip = machine.code;
    CpuException fault = machine.execute(form.code);
    long[] ymm0 = new long[4];
    for (int k = 0; k < 4; k++) {
      ymm0[k] = VectorState.get(cpu, 0, k);
    }
    return new State(
        fault == null ? NONE : fault.vector,
        VectorState.mxcsr(cpu),
        (form.looked & FLAGS) != 0 ? machine.flags() & (Flags.CF | Flags.PF | Flags.ZF) : 0,
        (form.looked & RCX) != 0 ? cpu.r[Cpu.RCX] : 0,
        (form.looked & MM0) != 0 ? VectorState.mmx(cpu, 0) : 0,
        form.usesMmx() ? X87State.top(cpu) : 0,
        form.usesMmx() ? X87State.tags(cpu) : 0,
        text(ymm0));
  }

  private static String text(long[] ymm) {
    return "%016x %016x %016x %016x".formatted(ymm[3], ymm[2], ymm[1], ymm[0]);
  }
}
