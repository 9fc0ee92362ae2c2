package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.fpu.Float80;

/**
 * Replays what a CPU has made of x87 instructions. The recorder, which says what its output is, is
 * {@code src/test/recorders/x87.c}.
 */
class X87VectorTests {
  private static final int FLAGS = Flags.CF | Flags.PF | Flags.ZF;

  /** A value of 80 bits. */
  private record Value(int exponent, long significand) {
    static Value read(ByteBuffer from) {
      long s = from.getLong();
      return new Value(from.getShort() & 0xffff, s);
    }

    Value xor(Value other) {
      return new Value(exponent ^ other.exponent, significand ^ other.significand);
    }

    boolean isNear(Value other) {
      // A number and the next one are neighbours as 80-bit integers, but for the integer bit.
      long far = (exponent - other.exponent) * Long.MIN_VALUE + significand - other.significand;
      return Math.abs(exponent - other.exponent) <= 1 && Math.abs(far) <= 1;
    }

    @Override
    public String toString() {
      return "%04x.%016x".formatted(exponent, significand);
    }
  }

  private record State(int status, int tags, int flags, Value st0, Value st1, Value memory) {
    /**
     * With results and C1, whether they were rounded up, of another: the manual allows an error of
     * one unit in the last place.
     */
    State near(State other) {
      boolean isExact = (status & Float80.INEXACT) == 0;
      if (isExact || !st0.isNear(other.st0) || !st1.isNear(other.st1)) {
        return this;
      }
      int rounding = X87State.C1;
      int s = status & ~rounding | other.status & rounding;
      return new State(s, tags, flags, other.st0, other.st1, memory);
    }

    State withoutConditions() {
      return new State(status & ~X87State.CONDITIONS, tags, 0, st0, st1, memory);
    }

    @Override
    public String toString() {
      return "fsw %04x ftw %04x flags %02x st0 %s st1 %s m %s"
          .formatted(status, tags, flags, st0, st1, memory);
    }
  }

  /** FCOM and its kin, which set conditions or flags. */
  private static boolean isComparison(String code) {
    return COMPARISONS.contains(code);
  }

  private static final Set<String> COMPARISONS =
      Set.of(
          "d9e4", "d8d1", "d8d9", "ded9", "dde1", "dde9", "dae9", "dbf1", "dbe9", "dff1", "dfe9",
          "d817", "dc1f", "da17");

  private final TestMachine machine = new TestMachine(TestMachine.Mode.LONG);

  @Test
  void instructions_do_what_a_cpu_has_done() throws IOException {
    check("x87-zen4.bin.gz", 10000, false);
  }

  @Test
  void functions_are_within_one_unit_of_what_a_cpu_has_made_of_them() throws IOException {
    check("x87-functions-zen4.bin.gz", 5000, true);
  }

  private void check(String recording, int least, boolean near) throws IOException {
    List<String> wrong = new ArrayList<>();
    int count = replay(recording, near, wrong);
    assertTrue(count > least, "few records");
    assertEquals(
        0, wrong.size(), () -> String.join("\n", wrong.subList(0, Math.min(20, wrong.size()))));
  }

  private int replay(String recording, boolean near, List<String> wrong) throws IOException {
    ByteBuffer file;
    try (InputStream in =
        new GZIPInputStream(
            Objects.requireNonNull(X87VectorTests.class.getResourceAsStream(recording)))) {
      file = ByteBuffer.wrap(in.readAllBytes()).order(ByteOrder.LITTLE_ENDIAN);
    }
    line(file);
    String[] instructions = line(file).split(" ");
    assertEquals("", line(file));
    Value[] operands = new Value[file.getShort()];
    for (int k = 0; k < operands.length; k++) {
      operands[k] = Value.read(file);
    }
    int count = 0;
    while (file.hasRemaining()) {
      String code = instructions[file.get()];
      int control = file.getShort();
      int depth = file.get();
      int flags = file.get();
      Value a = operands[file.getShort()];
      Value b = operands[file.getShort()];
      Value m = operands[file.getShort()];
      int status = file.getShort() & 0xffff;
      int tags = file.getShort() & 0xffff;
      int flagsAfter = file.get();
      State expected =
          new State(
              status,
              tags,
              flagsAfter,
              Value.read(file).xor(a),
              Value.read(file).xor(b),
              Value.read(file).xor(m));
      State actual = execute(code, control, depth, flags, a, b, m);
      count++;
      if (isComparison(code) && (status & ~control & Float80.INVALID) != 0) {
        // By the SDM no condition is set then; the recorded CPU sets them.
        expected = expected.withoutConditions();
        actual = actual.withoutConditions();
      }
      if (near) {
        expected = expected.near(actual);
      }
      if (!actual.equals(expected)) {
        wrong.add(
            "%s (%s) fcw %04x depth %d flags %02x st0 %s st1 %s m %s%n  cpu %s%n  is  %s"
                .formatted(
                    machine.decode(code), code, control, depth, flags, a, b, m, expected, actual));
      }
    }
    return count;
  }

  private static String line(ByteBuffer from) {
    StringBuilder s = new StringBuilder();
    for (int c = from.get(); c != '\n'; c = from.get()) {
      s.append((char) c);
    }
    return s.toString();
  }

  private State execute(String code, int control, int depth, int flags, Value a, Value b, Value m) {
    Cpu cpu = machine.cpu;
    run("db e3");
    for (int n = 0; n < 8; n++) {
      X87State.setContent(cpu, n, 0x3fff, 1L << 63);
    }
    for (int n = 2; n < depth; n++) {
      run("d9 e8");
    }
    if (depth >= 2) {
      X87State.push(cpu, b.exponent, b.significand);
    }
    if (depth >= 1) {
      X87State.push(cpu, a.exponent, a.significand);
    }
    X87State.setControl(cpu, control);
    machine.memory.writeLong(machine.data, m.significand);
    machine.memory.writeShort(machine.data + 8, (short) m.exponent);
    machine.flags(flags);
    cpu.r[Cpu.RDI] = machine.data;
    cpu.rip = machine.code;
    CpuException fault = machine.execute(code);
    if (fault != null) {
      throw new AssertionError(code + ": " + fault.getMessage());
    }
    int flagsAfter = machine.flags() & FLAGS;
    long significand = machine.memory.readLong(machine.data);
    Value memory = new Value(machine.memory.readShort(machine.data + 8) & 0xffff, significand);
    cpu.rip = machine.code;
    cpu.r[Cpu.RDI] = machine.data + 0x100;
    run("dd 37");
    ByteBuffer state = ByteBuffer.wrap(machine.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    Value st0 = Value.read(state.position(0x100 + 28));
    Value st1 = Value.read(state);
    int status = state.getShort(0x104) & 0xffff;
    int tags = state.getShort(0x108) & 0xffff;
    return new State(status, tags, flagsAfter, st0, st1, memory);
  }

  private void run(String code) {
    machine.cpu.rip = machine.code;
    machine.run(code);
  }
}
