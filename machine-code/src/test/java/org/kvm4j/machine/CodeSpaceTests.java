package org.kvm4j.machine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Objects;
import org.junit.jupiter.api.Test;

/** Code made here does what it says when it is called. */
final class CodeSpaceTests {
  private static CodeSpace space() {
    CodeSpace space = CodeSpace.get();
    assumeTrue(space != null, "no memory for machine code on this host");
    return Objects.requireNonNull(space);
  }

  private static long run(Assembler a, long context) {
    a.emit(0xc3);
    CodeSpace space = space();
    space.write(space.begin(), a.bytes());
    return CodeSpace.call(context, space.address(space.begin()));
  }

  @Test
  void code_is_called_with_its_context_and_may_use_all_registers() {
    long sum = 0;
    for (long k = 0; k < 20_000; k++) {
      Assembler a = new Assembler();
      a.address(Assembler.RAX, Assembler.RDI, Assembler.RDI, 1, (int) k);
      for (int register : new int[] {1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}) {
        a.set(register, -1 - k);
      }
      sum += run(a, 7 * k);
    }
    assertEquals(22L * 19_999 * 20_000 / 2, sum);
  }

  @Test
  void code_that_was_written_over_is_the_new_one() {
    for (int k = 0; k < 1000; k++) {
      Assembler a = new Assembler();
      a.set(Assembler.RAX, k * 0x1_0000_0001L);
      assertEquals(k * 0x1_0000_0001L, run(a, 0));
      CodeSpace space = space();
      Assembler b = new Assembler();
      b.set32(Assembler.RAX, 0);
      int at = b.position() - 4;
      run(b, 0);
      space.write32(space.begin() + at, k);
      assertEquals(k, CodeSpace.call(0, space.address(space.begin())));
    }
  }

  @Test
  void the_host_has_what_all_of_its_kind_have() {
    space();
    assertEquals(true, HostProcessor.hasEcx(13), "CMPXCHG16B");
  }
}
