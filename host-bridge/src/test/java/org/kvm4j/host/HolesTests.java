package org.kvm4j.host;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.BitSet;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/** The unmapped parts of a mapping, against a plain set of pages. */
class HolesTests {
  private static final int PAGES = 24;

  @Property
  void holes_are_what_was_punched(@ForAll("ranges") List<int[]> ranges) {
    NativeMapping mapping = new NativeMapping(0x10000, PAGES, true, true);
    BitSet gone = new BitSet();
    for (int[] range : ranges) {
      if (gone.cardinality() == PAGES) {
        return; // a mapping that is dead is not punched again
      }
      gone.set(range[0], range[1]);
      assertEquals(gone.cardinality() == PAGES, mapping.punch(range[0], range[1]));
      for (int from = 0; from < PAGES; from++) {
        for (int to = from + 1; to <= PAGES; to++) {
          int next = gone.nextSetBit(from);
          assertEquals(next >= 0 && next < to, mapping.unmapped(from, to));
        }
      }
    }
  }

  @Provide
  Arbitrary<List<int[]>> ranges() {
    Arbitrary<Integer> bound = Arbitraries.integers().between(0, PAGES - 1);
    return Combinators.combine(bound, bound)
        .as((a, b) -> new int[] {Math.min(a, b), Math.max(a, b) + 1})
        .list()
        .ofMaxSize(8);
  }
}
