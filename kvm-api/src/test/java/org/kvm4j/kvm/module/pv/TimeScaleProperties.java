package org.kvm4j.kvm.module.pv;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;

/** Ticks of one frequency as ticks of another. */
class TimeScaleProperties {

  @Property
  void scaledTicksAreWithinThePrecisionOfTheMultiplier(
      @ForAll @LongRange(min = 1_000_000, max = 2_147_483_646_000L) long from,
      @ForAll @LongRange(min = 1_000_000, max = 2_147_483_646_000L) long to,
      @ForAll @LongRange(min = 0, max = 1L << 34) long ticks) {
    BigInteger exact =
        BigInteger.valueOf(ticks).multiply(BigInteger.valueOf(to)).divide(BigInteger.valueOf(from));
    long scaled = TimeScale.of(from, to).apply(ticks);
    long difference = exact.subtract(BigInteger.valueOf(scaled)).abs().longValueExact();
    // The multiplier has some 31 bits, and the frequencies lose bits below the lower one's.
    long lower = Math.min(Math.min(from, to), 1 << 30);
    long allowed =
        exact.multiply(BigInteger.valueOf(3)).divide(BigInteger.valueOf(lower)).longValueExact()
            + Math.max(1, to / from) * 4
            + 2;
    assertTrue(difference <= allowed, () -> scaled + " and not " + exact);
  }

  @Example
  void nanosecondsOfACounterOfOneGigahertzAreItsTicks() {
    TimeScale scale = TimeScale.of(TimeScale.NANOS, TimeScale.NANOS);
    assertEquals(new TimeScale(1 << 31, 1), scale);
    assertEquals(123_456_789_012L, scale.apply(123_456_789_012L));
  }
}
