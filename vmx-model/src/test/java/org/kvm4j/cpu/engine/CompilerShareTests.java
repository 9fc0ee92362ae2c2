package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** What the JVM's compiler is given to do, by a clock of the test's own. */
class CompilerShareTests {
  private static final long SECOND = 1_000_000_000;

  @Test
  void whatHasBeenSavedUpIsSpentAtOnceAndTheRestByTheTimeThatGoesBy() {
    CompilerShare share = new CompilerShare(0);
    assertTrue(share.isOpen(0));
    int regions = 0;
    while (share.isOpen(0)) {
      share.spend(100);
      regions++;
    }
    assertTrue(regions > 1 && regions < 20, regions + " regions at once");

    int later = 0;
    for (long now = 0; now < 10 * SECOND; now += SECOND / 1000) {
      if (share.isOpen(now)) {
        share.spend(100);
        later++;
      }
    }
    int processors = Runtime.getRuntime().availableProcessors();
    assertTrue(
        later >= 50 * processors && later <= 100 * processors, later + " regions in ten seconds");
  }

  @Test
  void onlyWhatIsExecutedOftenInAShortTimeIsFrequent() {
    assertFalse(CompilerShare.isFrequent(0, 5));
    assertTrue(CompilerShare.isFrequent(1000, 1000));
    assertTrue(CompilerShare.isFrequent(1000, 1000 + CompilerShare.PACE));
    assertFalse(CompilerShare.isFrequent(1000, 1001 + CompilerShare.PACE));
    // The clock's milliseconds overflow after some weeks.
    assertTrue(CompilerShare.isFrequent(Integer.MAX_VALUE, Integer.MIN_VALUE + 10));
  }
}
