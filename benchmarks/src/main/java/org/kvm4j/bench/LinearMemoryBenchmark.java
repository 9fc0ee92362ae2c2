package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.kvm4j.cpu.core.Mmu;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * A processor's loads and stores by linear address, as instructions make them: 4-level paging with
 * pages of 2 MiB, no EPT.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@SuppressWarnings("NullAway.Init") // set up by JMH
public class LinearMemoryBenchmark {
  private static final int ACCESSES = 4096;
  private static final int PAGES = 64;
  private static final long DATA = 32 << 20;

  private BareGuest guest;
  private Mmu mmu;

  /** Runs a guest into long mode. */
  @Setup
  public void boot() {
    guest = new BareGuest("fib");
    guest.run(1_000_000);
    mmu = guest.processor.cpu.mmu;
  }

  /** Ends the guest. */
  @TearDown
  public void close() {
    guest.close();
  }

  private static long linear(int i) {
    return DATA + (i * 0x9e38L & PAGES * 4096L - 8);
  }

  /** Loads of 8 bytes that hit the TLB. */
  @Benchmark
  @OperationsPerInvocation(ACCESSES)
  public long load() {
    long sum = 0;
    for (int i = 0; i < ACCESSES; i++) {
      sum += mmu.read64(linear(i));
    }
    return sum;
  }

  /** Stores of 8 bytes that hit the TLB. */
  @Benchmark
  @OperationsPerInvocation(ACCESSES)
  public void store() {
    for (int i = 0; i < ACCESSES; i++) {
      mmu.write64(linear(i), i);
    }
  }

  /** Loads that miss: a walk each, and a 64th of a flush. */
  @Benchmark
  @OperationsPerInvocation(PAGES)
  public long miss() {
    mmu.flushAll();
    long sum = 0;
    for (int i = 0; i < PAGES; i++) {
      sum += mmu.read64(DATA + i * 4096L);
    }
    return sum;
  }
}
