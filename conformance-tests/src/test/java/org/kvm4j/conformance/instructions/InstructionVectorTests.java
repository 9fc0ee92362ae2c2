package org.kvm4j.conformance.instructions;

import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.kvm4j.conformance.instructions.BareProcessor.Way;
import org.kvm4j.conformance.instructions.Vectors.Form;
import org.kvm4j.conformance.instructions.Vectors.Vector;

/**
 * Every integer instruction and operand size does what a real processor did with it, as recorded in
 * {@code vectors/integer.bin.gz} by {@code src/recorder}: registers, flags, memory, exceptions.
 */
@SuppressWarnings("NullAway.Init") // Set before all tests.
final class InstructionVectorTests {
  /** Differences shown of a form; there are rarely two reasons for them. */
  private static final int SHOWN = 5;

  /**
   * A push of a segment register with a 32-bit operand, which writes a zero-extended selector on
   * AMD's processors, and 16 bits here as on recent ones of Intel's: SDM Vol. 2, "PUSH" allows
   * both.
   */
  private static final Set<String> SELECTOR_PUSHES = Set.of("push ds [32]", "push es [32]");

  private static Vectors vectors;
  private static BareProcessor processor;

  @BeforeAll
  static void load() {
    vectors = Vectors.load();
    processor = new BareProcessor(vectors);
  }

  @AfterAll
  static void close() {
    processor.close();
  }

  /**
   * Flags that the SDM leaves undefined are as processors of AMD's family 19h leave them; vectors
   * of others say nothing about them.
   */
  private static int comparedFlags(Form form) {
    return vectors.processor.contains("AuthenticAMD family 25 ") ? -1 : ~form.undefined();
  }

  @TestFactory
  Stream<DynamicTest> inBlocks() {
    return vectors.forms.stream()
        .map(form -> DynamicTest.dynamicTest(form.name(), () -> replay(form, Way.BLOCKS)));
  }

  @TestFactory
  Stream<DynamicTest> stepByStep() {
    return vectors.forms.stream()
        .map(form -> DynamicTest.dynamicTest(form.name(), () -> replay(form, Way.STEPS)));
  }

  private static void replay(Form form, Way way) {
    processor.load(form);
    List<String> wrong = new ArrayList<>();
    int different = 0;
    for (Vector vector : form.vectors()) {
      State after = processor.run(vector.before(), way);
      State expected = vector.after();
      if (SELECTOR_PUSHES.contains(form.name())) {
        expected = expected.copy();
        int upper = (int) (expected.r[4] - vectors.window) + 2;
        System.arraycopy(vector.before().memory, upper, expected.memory, upper, 2);
      }
      List<String> differences = expected.differences(after, comparedFlags(form), form.registers());
      if (!differences.isEmpty() && different++ < SHOWN) {
        wrong.add("with " + vector.inputs() + ": " + String.join("; ", differences));
      }
    }
    if (different > 0) {
      fail(
          "%s: %d of %d vectors of %s differ%n  %s"
              .formatted(
                  form,
                  different,
                  form.vectors().size(),
                  vectors.processor,
                  String.join("%n  ".formatted(), wrong)));
    }
  }

  /** A change to the recorder that drops instructions is seen. */
  @Test
  void everyInstructionIsRecorded() {
    Set<String> recorded = new HashSet<>();
    for (Form form : vectors.forms) {
      for (String word : form.name().split("[ ;]")) {
        recorded.add(word);
      }
    }
    List<String> missing = new ArrayList<>();
    for (String name : INSTRUCTIONS.split("\\s+")) {
      boolean sized = name.endsWith("*");
      String stem = sized ? name.substring(0, name.length() - 1) : name;
      for (String size : sized ? new String[] {"b", "w", "l", "q"} : new String[] {""}) {
        if (!recorded.contains(stem + size)) {
          missing.add(stem + size);
        }
      }
    }
    assertTrue(missing.isEmpty(), () -> "not recorded: " + missing);
  }

  private static final String INSTRUCTIONS =
      """
      add* or* adc* sbb* and* sub* xor* cmp* test* inc* dec* neg* not* \
      rol* ror* rcl* rcr* shl* shr* sar* shldw shldl shldq shrdw shrdl shrdq \
      mul* imul* div* idiv* btw btl btq btsw btsl btsq btrw btrl btrq btcw btcl btcq \
      bsfw bsfl bsfq bsrw bsrl bsrq tzcntw tzcntl tzcntq lzcntw lzcntl lzcntq \
      popcntw popcntl popcntq bswapl bswapq mov* movzbw movzbl movzbq movzwl movzwq \
      movsbw movsbl movsbq movswl movswq movslq cbtw cwtl cltq cwtd cltd cqto movbew movbel movbeq \
      xchg* xadd* cmpxchg* cmpxchg8b cmpxchg16b clc stc cmc cld std lahf sahf \
      pushfq pushfl pushfw popfq popfl popfw movs* cmps* stos* lods* scas* xlatb loop loope loopne \
      jcxz jecxz andnl andnq pdepl pdepq pextl pextq blsrl blsrq blsmskl blsmskq blsil blsiq \
      bextrl bextrq bzhil bzhiq sarxl sarxq shlxl shlxq shrxl shrxq rorxl rorxq mulxl mulxq \
      adcxl adcxq adoxl adoxq crc32* leaw leal leaq pushq pushl pushw popq popl popw pushal popal \
      enter leave call jmp daa das aaa aas aam aad arpl boundl boundw into movntil movntiq \
      seto setno setb setae sete setne setbe seta sets setns setp setnp setl setge setle setg \
      jo jno jb jae je jne jbe ja js jns jp jnp jl jge jle jg \
      cmovow cmovnol cmovbq cmovaew cmovel cmovneq cmovbew cmoval cmovsq cmovnsw cmovpl cmovnpq \
      cmovlw cmovgel cmovleq cmovgw\
      """;
}
