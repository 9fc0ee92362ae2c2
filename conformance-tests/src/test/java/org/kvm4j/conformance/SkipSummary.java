package org.kvm4j.conformance;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestExecutionResult.Status;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.TestPlan;

/**
 * Tells at the end of a test run how many tests were skipped for which reason, and writes it with
 * the tests' names to {@code target/skips.txt}, so that no skip is silent.
 */
public final class SkipSummary implements TestExecutionListener {

  private final Map<String, List<String>> testsByReason = new TreeMap<>();

  @Override
  public void executionSkipped(TestIdentifier test, String reason) {
    add(test, reason);
  }

  @Override
  public void executionFinished(TestIdentifier test, TestExecutionResult result) {
    if (result.getStatus() == Status.ABORTED) {
      add(
          test,
          result
              .getThrowable()
              .map(Throwable::getMessage)
              .map(message -> message.replaceFirst("^Assumption failed: ", ""))
              .orElse("no reason given"));
    }
  }

  private synchronized void add(TestIdentifier test, String reason) {
    testsByReason
        .computeIfAbsent(reason, r -> new ArrayList<>())
        .add(test.getLegacyReportingName());
  }

  private static String name(TestIdentifier test) {
    return test.getSource()
        .filter(MethodSource.class::isInstance)
        .map(MethodSource.class::cast)
        .map(
            source ->
                source.getClassName().replaceFirst("^org\\.kvm4j\\.", "")
                    + "."
                    + source.getMethodName()
                    + " ["
                    + test.getDisplayName()
                    + "]")
        .orElse(test.getDisplayName());
  }

  @Override
  public synchronized void testPlanExecutionFinished(TestPlan plan) {
    if (testsByReason.isEmpty()) {
      return;
    }
    StringBuilder summary = new StringBuilder("Skips by reason:\n");
    StringBuilder names = new StringBuilder();
    testsByReason.forEach(
        (reason, tests) -> {
          summary.append(String.format("%5d  %s%n", tests.size(), reason));
          names.append(String.format("%d  %s%n", tests.size(), reason));
          for (String test : tests) {
            names.append("    ").append(test).append('\n');
          }
        });
    System.out.print(summary);
    try {
      Path directory = Path.of("target");
      if (Files.isDirectory(directory)) {
        Files.writeString(directory.resolve("skips.txt"), names, UTF_8);
      }
    } catch (IOException e) {
      System.out.println("The list of skipped tests could not be written: " + e);
    }
  }
}
