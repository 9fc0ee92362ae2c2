package org.kvm4j.kvm.module;

import java.util.OptionalInt;
import java.util.function.Consumer;
import org.kvm4j.kvm.syscall.Explainer;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.explain.DumpReports;
import org.kvm4j.vmx.explain.ExitExplanation;
import org.kvm4j.vmx.instruction.InstructionError;

/** Explains by the emulated processor's own rules. */
final class ModelExplainer implements Explainer {
  @Override
  public LogReader dumps(String cpu, boolean all, Consumer<String> out) {
    DumpReports reports = new DumpReports(cpu, all, out);
    return new LogReader() {
      @Override
      public void line(String line) {
        reports.line(line);
      }

      @Override
      public void pause() {
        reports.pause();
      }

      @Override
      public void end() {
        reports.end();
      }
    };
  }

  @Override
  public String exit(ExitFields f) {
    checkNumbers(f);
    StringBuilder text = new StringBuilder();
    int reason = f.reason().orElse(-1);
    f.reason().ifPresent(r -> line(text, "Exit reason", r, ExitExplanation.reason(r)));
    if (f.reason().isPresent() && f.qualification().isPresent()) {
      long q = f.qualification().getAsLong();
      String words = ExitExplanation.qualification(reason, f.interruption().orElse(0), q);
      text.append(String.format("Qualification 0x%x: %s%n", q, orNothing(words)));
    }
    interruption(text, "Interruption information", f.interruption(), f.interruptionError());
    interruption(text, "IDT-vectoring information", f.vectoring(), f.vectoringError());
    if (f.reason().isPresent() && f.instruction().isPresent()) {
      int info = f.instruction().getAsInt();
      line(
          text,
          "Instruction information",
          info,
          orNothing(ExitExplanation.instruction(reason, info)));
    }
    f.instructionError()
        .ifPresent(
            n ->
                text.append(
                    String.format(
                        "VM-instruction error %d: %s%n", n, ExitExplanation.instructionError(n))));
    return text.toString();
  }

  private static void checkNumbers(ExitFields f) {
    if (f.reason().isPresent() && ExitReason.of(f.reason().getAsInt()) == null) {
      throw new IllegalArgumentException(ExitExplanation.reason(f.reason().getAsInt()));
    }
    int error = f.instructionError().orElse(InstructionError.SUCCESS);
    if (error != InstructionError.SUCCESS && InstructionError.of(error) == null) {
      throw new IllegalArgumentException(ExitExplanation.instructionError(error));
    }
  }

  private static String orNothing(String words) {
    return words.isEmpty() ? "exits of this reason do not define it" : words;
  }

  private static void line(StringBuilder text, String name, int value, String words) {
    text.append(String.format("%s 0x%x: %s%n", name, value, words));
  }

  private static void interruption(
      StringBuilder text, String name, OptionalInt info, OptionalInt error) {
    Long code = error.isEmpty() ? null : error.getAsInt() & 0xffffffffL;
    info.ifPresent(i -> line(text, name, i, ExitExplanation.interruption(i, code)));
  }
}
