package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;

/** What {@link X87VectorTests} says of the transcendental instructions only among much else. */
class X87FunctionTests {
  private static final String FPTAN = "d9 f2";
  private static final String FSINCOS = "d9 fb";
  private static final int BIAS = 0x3fff;

  private static TestMachine machine() {
    TestMachine m = new TestMachine(TestMachine.Mode.LONG);
    m.run("db e3");
    m.cpu.r[Cpu.RDI] = m.data;
    return m;
  }

  @ParameterizedTest
  @ValueSource(strings = {FPTAN, FSINCOS, "d9 fe", "d9 ff"})
  void an_argument_that_cannot_be_reduced_sets_c2_and_stays(String code) {
    for (int sign : new int[] {0, 0x8000}) {
      TestMachine m = machine();
      X87State.push(m.cpu, sign | BIAS + 63, 1L << 63);
      m.run(code);
      assertEquals(X87State.C2, X87State.status(m.cpu) & X87State.CONDITIONS);
      assertEquals(0, X87State.status(m.cpu) & X87State.EXCEPTIONS);
      assertEquals(7, X87State.top(m.cpu), "nothing is pushed");
      assertEquals(sign | BIAS + 63, X87State.exponent(m.cpu, 0));
      X87State.set(m.cpu, 0, sign | BIAS + 62, -1L);
      m.run(code);
      assertEquals(0, X87State.status(m.cpu) & X87State.C2);
      assertTrue((X87State.exponent(m.cpu, 0) & 0x7fff) <= BIAS, "reduced");
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {FPTAN, FSINCOS})
  void two_results_need_room(String code) {
    TestMachine m = machine();
    for (int n = 0; n < 8; n++) {
      m.run("d9 e8");
    }
    m.run(code);
    int expected = X87State.STACK_FAULT | X87State.C1 | 1;
    assertEquals(expected, X87State.status(m.cpu) & 0xff | X87State.status(m.cpu) & X87State.C1);
    for (int st = 0; st < 2; st++) {
      assertEquals(X87State.INDEFINITE_EXPONENT, X87State.exponent(m.cpu, st));
      assertEquals(X87State.INDEFINITE_SIGNIFICAND, X87State.significand(m.cpu, st));
    }
  }

  @Test
  void an_unmasked_zero_divide_leaves_both_operands() {
    TestMachine m = machine();
    X87State.setControl(m.cpu, 0x37b);
    m.run("d9 e8");
    m.run("d9 ee");
    m.run("d9 f1");
    assertEquals(4, X87State.status(m.cpu) & X87State.EXCEPTIONS);
    assertEquals(6, X87State.top(m.cpu));
    assertEquals(0, X87State.exponent(m.cpu, 0));
    assertEquals(BIAS, X87State.exponent(m.cpu, 1));
  }

  @Test
  void a_denormal_in_memory_does_not_keep_an_empty_register_from_being_popped() {
    TestMachine m = machine();
    X87State.setControl(m.cpu, 0x37d);
    m.memory.writeLong(m.data, 1);
    m.run("dc 1f");
    assertEquals(X87State.STACK_FAULT | 1, X87State.status(m.cpu) & 0xff);
    assertEquals(1, X87State.top(m.cpu));
  }
}
