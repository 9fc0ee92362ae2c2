package org.kvm4j.cpu.engine;

import java.lang.invoke.MethodHandles;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.ept.memory.PhysicalMemory;

/** Makes regions of hot blocks: chooses them, has them written as bytecode, and loads that. */
final class Translator {
  private static final MethodHandles.Lookup LOOKUP = MethodHandles.lookup();

  /** How many times as often a block has to be executed that is within a region already. */
  private static final int WITHIN = 8;

  private final Interpreter engine;
  private final Decoder decoder;
  private final PhysicalMemory memory;
  private long regions;

  /** What regions are paid from; null for all regions at once. */
  private final @Nullable CompilerShare share;

  /*
   * The JVM's quick compiler makes of a call of a final method of a class that it does not know yet one for a single
   * class of receivers, and looks up all others anew each time: Block.exec must not be compiled before Region is there.
   */
  static {
    try {
      LOOKUP.ensureInitialized(Region.class);
    } catch (IllegalAccessException e) {
      throw new IllegalStateException(e);
    }
  }

  Translator(
      Interpreter engine, Decoder decoder, PhysicalMemory memory, @Nullable CompilerShare share) {
    this.share = share;
    this.engine = engine;
    this.decoder = decoder;
    this.memory = memory;
  }

  /** Regions made so far. */
  long regions() {
    return regions;
  }

  /** Whether a block that has been executed often was so within a short time. */
  boolean isFrequent(Block b) {
    if (share == null) {
      return true;
    }
    int now = (int) (System.nanoTime() / 1_000_000) | 1;
    int since = b.since;
    b.since = now;
    return CompilerShare.isFrequent(since, now);
  }

  /** Whether it is time for one more region. */
  boolean isTimeForOne() {
    return share == null || share.isOpen(System.nanoTime());
  }

  /**
   * Makes a region that starts with a block, and lets the block run it, if that can be done.
   *
   * @param page linear address of the block's page
   */
  void translate(Block first, long page) {
    if ((first.modeKey & 15) != 8 || (first.modeKey & Cpu.KEY_SHADOW_STACK) != 0) {
      return;
    }
    for (int most = RegionPlan.MOST_BLOCKS; most > 0; most /= 2) {
      RegionPlan plan = new RegionPlan(decoder, memory, first, page, most);
      if (plan.parts.isEmpty()) {
        return;
      }
      byte[] code = new RegionWriter(plan).write();
      if (code != null) {
        install(first, plan, code);
        return;
      }
    }
  }

  private void install(Block first, RegionPlan plan, byte[] code) {
    List<Op> ops = new ArrayList<>();
    List<Op> ends = new ArrayList<>();
    List<Block> blocks = new ArrayList<>();
    for (RegionPlan.Part p : plan.parts) {
      ops.addAll(List.of(p.ops));
      ends.add(p.end);
      blocks.add(p.block);
    }
    Region region;
    try {
      Class<?> made = LOOKUP.defineHiddenClass(code, true).lookupClass();
      region =
          (Region)
              made.getDeclaredConstructor(
                      Interpreter.class,
                      Op[].class,
                      Op[].class,
                      byte[].class,
                      Block[].class,
                      int.class)
                  .newInstance(
                      engine,
                      ops.toArray(new Op[0]),
                      ends.toArray(new Op[0]),
                      plan.kinds,
                      blocks.toArray(new Block[0]),
                      ops.size());
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException("a region cannot be loaded", e);
    }
    regions++;
    if (share != null) {
      share.spend(ops.size());
    }
    for (RegionPlan.Part p : plan.parts) {
      p.block.addRegion(region);
      if (p.block.heat > 0 && p.call == null) {
        // It is in a region now: one of its own only if it is often entered otherwise.
        p.block.heat = engine.heat * WITHIN;
      }
    }
    first.page.addRegion(region);
    first.region = region;
  }
}
