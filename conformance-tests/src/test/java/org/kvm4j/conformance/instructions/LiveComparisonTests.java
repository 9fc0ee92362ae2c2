package org.kvm4j.conformance.instructions;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.kvm4j.conformance.instructions.Vectors.Form;
import org.kvm4j.conformance.instructions.Vectors.Item;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelProvider;

/**
 * One guest at CPL 3 on this machine's kernel and on the emulated one: random instructions with
 * random operands leave the same registers, flags and memory, and fault alike.
 *
 * <p>The sample is another one each time; {@code -Dkvm4j.live.seed} repeats one, {@code
 * -Dkvm4j.live.forms} takes more than usual.
 */
@SuppressWarnings("NullAway.Init") // Set before all tests.
final class LiveComparisonTests {
  private static final int VECTORS = 4;

  /** CF, PF, AF, ZF, SF, DF, OF: the others may be the kernel's business at CPL 3. */
  private static final int COMPARED_FLAGS = 0xcd5;

  /**
   * Forms that may not be the processor's there: they read a selector, and a kernel that runs CPL 3
   * natively may have another one; or they raise #UD, #SS or #GP, and a kernel may emulate what
   * did.
   */
  private static boolean isTheKernels(Form form) {
    return form.name().matches("mov[lw] [rm],es .*")
        || form.vectors().stream()
            .map(v -> v.after().exception)
            .anyMatch(e -> e == 6 || e == 12 || e == 13);
  }

  /**
   * Forms with two operands of which each faults in its own way: which one is first is a model's
   * affair (CMPS read RDI's first where the recordings were made, RSI's first on an EPYC of family
   * 26), as SDM volume 3, section 6.9 leaves the order within a class of faults open.
   */
  private static boolean hasTwoFaults(Form form) {
    return form.name().contains("(non-canonical)") && form.name().contains("(hole)");
  }

  /**
   * Forms of which processors of another vendor than that of the recordings make something else:
   * double shifts of 16 bits by more than 16, which the SDM leaves undefined, and repeated
   * instructions with ECX = 0, where Intel's clear the upper half of RCX all the same (seen on a
   * Xeon of model 207).
   */
  private static boolean isTheVendors(Form form) {
    return form.name().matches("sh[lr]dw .*|rep.* a32 .*");
  }

  private static boolean isRecordedVendor() {
    try {
      return Files.readString(Path.of("/proc/cpuinfo")).contains("AuthenticAMD");
    } catch (IOException e) {
      return false;
    }
  }

  private static final long SEED = Long.getLong("kvm4j.live.seed", System.nanoTime());

  private static Vectors vectors;
  private static List<Form> sample;
  private static UserModeGuest emulated;
  private static UserModeGuest machine;

  @BeforeAll
  static void start() {
    vectors = Vectors.load();
    Kernel kernel = open("native");
    machine = new UserModeGuest(kernel, vectors);
    probe();
    emulated = new UserModeGuest(open("emulated"), vectors);
    boolean recordedVendor = isRecordedVendor();
    List<Form> forms =
        vectors.forms.stream()
            .filter(f -> f.mode() == 64 && !isTheKernels(f) && !hasTwoFaults(f))
            .filter(f -> recordedVendor || !isTheVendors(f))
            .collect(Collectors.toList());
    Collections.shuffle(forms, new Random(SEED));
    sample = forms.subList(0, Math.min(forms.size(), Integer.getInteger("kvm4j.live.forms", 400)));
  }

  private static Kernel open(String name) {
    KernelProvider provider =
        Kernels.providers().stream().filter(p -> p.name().equals(name)).findFirst().orElse(null);
    if (provider == null) {
      return abort(name + ": no provider of this kernel on the class path");
    }
    provider.unavailable().ifPresent(why -> abort(name + ": " + why.reason()));
    return provider.open();
  }

  /** Skips all if this machine's kernel does not run a guest at CPL 3. */
  private static void probe() {
    Form nop =
        vectors.forms.stream().filter(f -> f.name().equals("nop [64]")).findFirst().orElseThrow();
    machine.load(nop);
    State before = nop.vectors().get(0).before();
    State after = machine.run(before);
    if (after == null || after.exception != State.NONE || after.r[0] != before.r[0]) {
      machine.close();
      abort("native: no 64-bit guest at CPL 3 here, but " + machine.lastExit);
    }
  }

  @AfterAll
  static void stop() {
    if (emulated != null) {
      emulated.close();
      machine.close();
    }
  }

  @TestFactory
  Stream<DynamicTest> agree() {
    return sample.stream().map(form -> DynamicTest.dynamicTest(form.name(), () -> compare(form)));
  }

  private static void compare(Form form) {
    Random random = new Random(SEED ^ form.name().hashCode());
    machine.load(form);
    emulated.load(form);
    List<String> wrong = new ArrayList<>();
    for (int i = 0; i < VECTORS; i++) {
      State before = form.vectors().get(random.nextInt(form.vectors().size())).before().copy();
      StringBuilder inputs = new StringBuilder("flags=" + State.flagNames(before.flags));
      for (Item item : form.items()) {
        if (item.any() && random.nextBoolean()) {
          before.set(item, random.nextLong());
        }
        if (item.target() < Vectors.FLAGS) {
          inputs.append(
              ", %s=%#x".formatted(State.registerName(item.target()), before.r[item.target()]));
        }
      }
      State expected = machine.run(before);
      State after = emulated.run(before);
      if (expected == null) {
        throw new AssertionError(
            form + " with " + inputs + ": the machine left with " + machine.lastExit);
      }
      assertNotNull(after, () -> form + " with " + inputs + ": left with " + emulated.lastExit);
      // The processor here may be any: only what the SDM defines.
      List<String> differences =
          expected.differences(after, COMPARED_FLAGS & ~form.undefined(), 16);
      if (!differences.isEmpty()) {
        wrong.add("with " + inputs + ": " + String.join("; ", differences));
      }
    }
    if (!wrong.isEmpty()) {
      fail("%s, seed %d:%n  %s".formatted(form, SEED, String.join("%n  ".formatted(), wrong)));
    }
  }
}
