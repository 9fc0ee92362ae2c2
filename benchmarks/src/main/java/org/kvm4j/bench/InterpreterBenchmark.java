package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** Engine T0 on the benchmark guests: ns per instruction of the guest. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@SuppressWarnings("NullAway.Init") // set up by JMH
public class InterpreterBenchmark {
  private static final int INSTRUCTIONS = 10_000_000;

  /** The guest. {@code flat} is 2,000 functions in turn; the others are hot loops. */
  @Param({"sieve", "crc32", "list", "fib", "qsort", "vm", "flat"})
  String guest;

  private BareGuest bare;

  /**
   * Lets the guest get to its work; others first, so that the operations are the megamorphic calls
   * that they are on a processor that has run more than a loop.
   */
  @Setup
  public void boot() {
    for (String other : new String[] {"qsort", "vm", "flat"}) {
      try (BareGuest g = new BareGuest(other)) {
        g.run(INSTRUCTIONS);
      }
    }
    bare = new BareGuest(guest);
    bare.run(INSTRUCTIONS);
  }

  /** Ends the guest. */
  @TearDown
  public void close() {
    bare.close();
  }

  /** A slice of the guest's work. */
  @Benchmark
  @OperationsPerInvocation(INSTRUCTIONS)
  public void instructions() {
    bare.run(INSTRUCTIONS);
  }
}
