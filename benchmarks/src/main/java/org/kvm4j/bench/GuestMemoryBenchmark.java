package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.tlb.Tlb;
import org.kvm4j.ept.tlb.TlbEntry;
import org.kvm4j.ept.tlb.TlbSpace;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** Loads and stores of 8 bytes that hit the TLB, by host-physical address, and flushes. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class GuestMemoryBenchmark {
  private static final int PAGES = 64;
  private static final int ACCESSES = 4096;
  private static final long LINEAR = 0x7f12_3400_0000L;

  private final PhysicalMemory memory = new PhysicalMemory(46);
  private final long ram = memory.map(32 << 20);
  private final Tlb tlb = new Tlb();
  private final Translation translation = new Translation();
  private TlbEntry[] entries = new TlbEntry[0];

  /** Fills the TLB. */
  @Setup
  public void fill() {
    translation.mayRead = true;
    translation.mayWrite = true;
    translation.pageShift = 12;
    translation.guestPageShift = 12;
    TlbSpace space = tlb.select(0, 0, 0);
    entries = space.user();
    for (int i = 0; i < PAGES; i++) {
      translation.hpa = ram + i * 4096L;
      translation.gpa = translation.hpa;
      tlb.fill(space, entries, LINEAR + i * 4096L, translation, memory);
    }
  }

  private static long linear(int i) {
    return LINEAR + (i * 0x9e37L & PAGES * 4096L - 8);
  }

  /** Loads by linear address. */
  @Benchmark
  @OperationsPerInvocation(ACCESSES)
  public long load() {
    long sum = 0;
    TlbEntry[] all = entries;
    for (int i = 0; i < ACCESSES; i++) {
      long linear = linear(i);
      TlbEntry e = all[TlbSpace.index(linear)];
      if ((linear & -0x1000L + 7) != e.readTag) {
        throw new IllegalStateException("miss");
      }
      sum += e.bank.getLong(e.offset + ((int) linear & 0xfff));
    }
    return sum;
  }

  /** Stores by linear address. */
  @Benchmark
  @OperationsPerInvocation(ACCESSES)
  public void store() {
    TlbEntry[] all = entries;
    for (int i = 0; i < ACCESSES; i++) {
      long linear = linear(i);
      TlbEntry e = all[TlbSpace.index(linear)];
      if ((linear & -0x1000L + 7) != e.writeTag) {
        throw new IllegalStateException("miss");
      }
      e.bank.putLong(e.offset + ((int) linear & 0xfff), i);
    }
  }

  /** Loads by host-physical address, as a hypervisor's and a device's are. */
  @Benchmark
  @OperationsPerInvocation(ACCESSES)
  public long loadPhysical() {
    long sum = 0;
    for (int i = 0; i < ACCESSES; i++) {
      sum += memory.readLong(ram + linear(i) - LINEAR);
    }
    return sum;
  }

  /** Filling 64 entries and dropping them, as a write of CR3 does. */
  @Benchmark
  @OperationsPerInvocation(PAGES)
  public void fillAndFlush() {
    fill();
    tlb.flushNonGlobal(0, 0);
  }
}
