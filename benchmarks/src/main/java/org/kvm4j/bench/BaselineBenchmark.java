package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** What the machine and JMH themselves cost: read the other figures against these. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class BaselineBenchmark {
  private final byte[] memory = new byte[4096];
  private int index;

  /** An empty method. */
  @Benchmark
  public void nothing() {}

  /** One bounds-checked load from a page-sized array. */
  @Benchmark
  public byte loadByte() {
    return memory[index++ & 4095];
  }

  /** The cost of reading the clock that virtual time is compared with. */
  @Benchmark
  public long readClock() {
    return System.nanoTime();
  }
}
