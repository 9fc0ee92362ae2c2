package org.kvm4j.cpu.engine;

import java.lang.invoke.MethodHandles;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.ept.memory.PhysicalMemory;

/** Makes regions of hot blocks: chooses them, has them written as bytecode, and loads that. */
final class Translator {
  private static final MethodHandles.Lookup LOOKUP = MethodHandles.lookup();

  /** How many times as often a block has to be executed that is within a region already. */
  private static final int WITHIN = 8;

  /** For how many regions a processor that had none for long may have them at once. */
  private static final int SAVED = 8;

  private final Interpreter engine;
  private final Decoder decoder;
  private final PhysicalMemory memory;
  private long regions;

  /** Instructions that must be executed for each region; 0 for all regions at once. */
  private final long price;

  private long credit;
  private long lastExecuted;

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

  Translator(Interpreter engine, Decoder decoder, PhysicalMemory memory, long price) {
    this.price = price;
    this.credit = SAVED * price;
    this.engine = engine;
    this.decoder = decoder;
    this.memory = memory;
  }

  /** Regions made so far. */
  long regions() {
    return regions;
  }

  /**
   * Whether it is time for one more region. The JVM's compilers take some milliseconds for each: so
   * long a program must have run since, or they drown, and what is translated waits for them in the
   * JVM's own interpreter.
   *
   * @param executed instructions that the processor has executed
   */
  boolean isTimeForOne(long executed) {
    if (price == 0) {
      return true;
    }
    credit = Math.min(credit + executed - lastExecuted, SAVED * price);
    lastExecuted = executed;
    if (credit < price) {
      return false;
    }
    credit -= price;
    return true;
  }

  /** Makes a region that starts with a block, and lets the block run it, if that can be done. */
  void translate(Block first) {
    if ((first.modeKey & 15) != 8) {
      return;
    }
    ByteBuffer bank = memory.bank(first.page.hpa);
    if (bank == null) {
      return;
    }
    int base = (int) first.page.hpa & PhysicalMemory.BANK_MASK;
    for (int most = RegionPlan.MOST_BLOCKS; most > 0; most /= 2) {
      RegionPlan plan = new RegionPlan(decoder, bank, base, first, most);
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
