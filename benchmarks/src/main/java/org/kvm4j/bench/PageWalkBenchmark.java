package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.kvm4j.ept.memory.FrameAllocator;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.nested.EptBuilder;
import org.kvm4j.ept.nested.EptEntry;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.GuestEntry;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.tlb.Tlb;
import org.kvm4j.ept.tlb.TlbSpace;
import org.kvm4j.ept.walk.TwoDimensionalWalk;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** Warm walks over 512 pages in 4-level paging, and what the TLB adds to one. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class PageWalkBenchmark {
  private static final int SIZE = 64 << 20;
  private static final int PAGES = 512;
  private static final long LINEAR = 0x7f12_3400_0000L;

  /** EPT with pages of this size: {@code 4K} makes the full walk of 24 loads. */
  @Param({"none", "4K", "2M"})
  String ept = "4K";

  /** Whether EPT accessed and dirty flags are enabled. */
  @Param({"false", "true"})
  boolean flags;

  private final PhysicalMemory memory = new PhysicalMemory(46);
  private final PagingContext context = new PagingContext();
  private final Translation found = new Translation();
  private final Tlb tlb = new Tlb();
  private final TwoDimensionalWalk walk = new TwoDimensionalWalk(memory);
  private final TwoDimensionalWalk cachedWalk = new TwoDimensionalWalk(memory, tlb.guestPhysical());
  private TlbSpace space = tlb.select(0, 0, 0);
  private int page;

  /** Builds the tables. */
  @Setup
  public void build() {
    long base = 0;
    if (ept.equals("none")) {
      memory.mapAt(0, SIZE);
    } else {
      base = memory.map(SIZE);
      EptBuilder builder =
          new EptBuilder(new FrameAllocator(memory), 4, flags, ept.equals("4K") ? 12 : 21);
      builder.map(0, base, SIZE, EptEntry.ALL, EptEntry.WRITE_BACK);
      context.eptp = builder.eptp();
    }
    context.mode = PagingMode.LEVEL4;
    context.wp = true;
    context.nxe = true;
    context.cr3 = 0x10_0000;
    long nextTable = 0x10_1000;
    long bits = GuestEntry.PRESENT | GuestEntry.WRITABLE | GuestEntry.USER;
    for (int i = 0; i < PAGES; i++) {
      long linear = LINEAR + i * 4096L;
      long table = context.cr3;
      for (int shift = 39; shift > 12; shift -= 9) {
        long at = base + table + (linear >>> shift & 511) * 8;
        if (memory.readLong(at) == 0) {
          memory.writeLong(at, nextTable | bits);
          nextTable += 4096;
        }
        table = memory.readLong(at) & GuestEntry.ADDRESS;
      }
      memory.writeLong(base + table + (linear >>> 12 & 511) * 8, 0x200_0000 + i * 4096L | bits);
    }
    for (int i = 0; i < PAGES; i++) {
      walkOnce(walk, Access.USER | Access.WRITE);
    }
    space = tlb.select(0, context.eptp, 0);
  }

  private long walkOnce(TwoDimensionalWalk walker, int access) {
    page = page + 1 & PAGES - 1;
    if (!walker.walk(context, LINEAR + page * 4096L, access, found)) {
      throw new IllegalStateException(found.toString());
    }
    return found.hpa;
  }

  /** Every table is read, EPT's for each of the guest's entries. */
  @Benchmark
  public long fullWalk() {
    return walkOnce(walk, Access.USER);
  }

  /** Where the guest's tables are is cached, as a CPU has it. */
  @Benchmark
  public long walkWithGuestPhysicalCache() {
    return walkOnce(cachedWalk, Access.USER);
  }

  /** What a TLB miss costs. */
  @Benchmark
  public boolean miss() {
    walkOnce(cachedWalk, Access.USER);
    return tlb.fill(space, space.user(), LINEAR + page * 4096L, found, memory);
  }
}
