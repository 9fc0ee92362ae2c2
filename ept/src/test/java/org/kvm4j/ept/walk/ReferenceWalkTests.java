package org.kvm4j.ept.walk;

import java.util.TreeMap;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A few of the random tables of {@link TwoDimensionalWalkProperties}, for mutation testing. */
class ReferenceWalkTests {
  @ParameterizedTest
  @ValueSource(ints = {0, 20, 40, 60, 80, 100})
  void findsWhatTheReferenceFinds(int first) {
    for (int seed = first; seed < first + 20; seed++) {
      TwoDimensionalWalkProperties.compare(seed, new TreeMap<>());
    }
  }
}
