package org.kvm4j.kvm.module.irqchip;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What the local APICs of a VM are on: finds whom a message is for. Source: SDM 12.6.2 "Determining
 * IPI Destination", 12.12.10 "Logical Destination Mode in x2APIC"; where KVM chooses, Linux 6.1
 * kvm_irq_delivery_to_apic, kvm_recalculate_apic_map.
 */
final class ApicBus {
  private static final int BROADCAST = 0xff;
  private static final int WIDE_BROADCAST = -1;

  /** KVM_X2APIC_API_USE_32BIT_IDS. */
  boolean wideIds;

  /** KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK. */
  boolean wideBroadcastOnly;

  private final List<LocalApic> apics = new ArrayList<>();
  private @Nullable Map map;

  void add(LocalApic apic) {
    apics.add(apic);
    changed();
  }

  void remove(LocalApic apic) {
    apics.remove(apic);
    changed();
  }

  List<LocalApic> apics() {
    return apics;
  }

  /** An ID, a mode or an enable bit has changed. */
  void changed() {
    map = null;
  }

  /**
   * Takes a message to its destinations.
   *
   * @param source whose ICR it comes from; null if it is a device's
   * @param accepted gets those that took it; null if nobody wants to know
   * @return how many took it; -1 if nobody is meant
   */
  int deliver(@Nullable LocalApic source, ApicMessage m, @Nullable List<LocalApic> accepted) {
    if (m.shorthand() == ApicMessage.SELF) {
      return source == null ? 0 : give(source, m, accepted);
    }
    if (m.shorthand() == ApicMessage.NO_SHORTHAND && !isBroadcast(source, m)) {
      Map known = map();
      if (!m.logical()) {
        if (!known.isShared(m.destination())) {
          LocalApic a = known.physical(m.destination());
          return a == null ? 0 : give(a, m, accepted);
        }
        return Math.max(0, deliverToAll(source, m, accepted));
      }
      @Nullable LocalApic[] cluster = known.cluster(m.destination());
      if (cluster != null) {
        return deliverLogical(m, cluster, known.mask(m.destination()), accepted);
      }
    }
    return deliverToAll(source, m, accepted);
  }

  private int give(LocalApic a, ApicMessage m, @Nullable List<LocalApic> accepted) {
    boolean taken = a.accept(m.mode(), m.vector(), m.level(), m.levelTriggered());
    if (taken && accepted != null) {
      accepted.add(a);
    }
    return taken ? 1 : 0;
  }

  private boolean isBroadcast(@Nullable LocalApic source, ApicMessage m) {
    if (wideBroadcastOnly) {
      return m.destination() == WIDE_BROADCAST
          || (m.destination() == BROADCAST && map().mode != Map.WIDE);
    }
    boolean wide = source != null && source.isWide();
    return m.destination() == (wide ? WIDE_BROADCAST : BROADCAST);
  }

  private int deliverLogical(
      ApicMessage m, @Nullable LocalApic[] cluster, int mask, @Nullable List<LocalApic> accepted) {
    int members = mask;
    if (m.toOne() && members != 0) {
      // The vector chooses among those that are addressed, whether they exist or not.
      for (int skip = m.vector() % Integer.bitCount(mask); skip > 0; skip--) {
        members &= members - 1;
      }
      members = Integer.lowestOneBit(members);
    }
    int n = 0;
    for (; members != 0; members &= members - 1) {
      LocalApic a = cluster[Integer.numberOfTrailingZeros(members)];
      if (a != null) {
        n += give(a, m, accepted);
      }
    }
    return n;
  }

  private int deliverToAll(
      @Nullable LocalApic source, ApicMessage m, @Nullable List<LocalApic> accepted) {
    if (!m.logical() && m.destination() == BROADCAST && m.toOne()) {
      m = m.withMode(ApicMessage.FIXED);
    }
    boolean toOne = m.toOne();
    List<LocalApic> candidates = new ArrayList<>();
    int r = -1;
    for (LocalApic a : apics) {
      if (!a.isPresent() || !matches(source, a, m)) {
        continue;
      }
      if (!toOne) {
        r = Math.max(r, 0) + give(a, m, accepted);
      } else if (a.isSoftwareEnabled()) {
        candidates.add(a);
      }
    }
    if (candidates.isEmpty()) {
      return r;
    }
    return give(candidates.get(m.vector() % candidates.size()), m, accepted);
  }

  /** Whether a message is for a local APIC. */
  boolean matches(@Nullable LocalApic source, LocalApic target, ApicMessage m) {
    switch (m.shorthand()) {
      case ApicMessage.SELF:
        return source == target;
      case ApicMessage.ALL:
        return true;
      case ApicMessage.ALL_BUT_SELF:
        return source != target;
      default:
    }
    int destination = m.destination();
    if (source == null && !wideBroadcastOnly && destination == BROADCAST && target.isWide()) {
      // The I/O APIC and messages have 8 bits, and 32 are meant.
      destination = WIDE_BROADCAST;
    }
    if (destination == (target.isWide() ? WIDE_BROADCAST : BROADCAST)) {
      return true;
    }
    return m.logical() ? target.isLogically(destination) : target.isPhysically(destination);
  }

  // ---- paravirtual calls ----

  /** Who has a physical ID; null if nobody. */
  @Nullable LocalApic physical(int id) {
    return map().physical(id);
  }

  /**
   * An interrupt for each processor of a set of physical IDs.
   *
   * @param set a bit for each ID from the first on
   * @param command as in the ICR, to physical destinations
   * @return how many took it
   */
  int sendToSet(long set, int first, int command) {
    ApicMessage m = ApicMessage.command(command, 0);
    int n = 0;
    for (long left = set; left != 0; left &= left - 1) {
      long id = (first & 0xffffffffL) + Long.numberOfTrailingZeros(left);
      LocalApic a = id >>> 32 != 0 ? null : map().physical((int) id);
      if (a != null) {
        n += give(a, m, null);
      }
    }
    return n;
  }

  // ---- the map ----

  private Map map() {
    Map known = map;
    if (known == null) {
      known = new Map(apics);
      map = known;
    }
    return known;
  }

  /** Who has which ID, for messages that need not ask all. */
  private static final class Map {
    static final int FLAT = 1;
    static final int CLUSTER = 2;
    static final int WIDE = 4;
    static final int IRREGULAR = 8;

    private final @Nullable LocalApic[] physical;

    /** xAPIC IDs, which guests can write, that several have. */
    private final BitSet shared = new BitSet();

    private final @Nullable LocalApic[][] logical;
    private final int size;

    /**
     * Which models of logical destination are in use; the map has them if it is one alone, and each
     * bit of an ID is one processor's.
     */
    private int mode;

    Map(List<LocalApic> apics) {
      int max = BROADCAST;
      for (LocalApic a : apics) {
        max = Math.max(max, a.isPresent() ? a.wideId() : 0);
      }
      size = max + 1;
      physical = new @Nullable LocalApic[size];
      for (LocalApic a : apics) {
        if (a.isPresent() && a.isSoftwareEnabled()) {
          mode |= a.isWide() ? WIDE : a.logicalId() == 0 ? 0 : a.isFlat() ? FLAT : CLUSTER;
        }
      }
      logical = new @Nullable LocalApic[mode == WIDE ? size + 15 >> 4 : 16][16];
      for (LocalApic a : apics) {
        if (a.isPresent()) {
          enter(a);
        }
      }
    }

    private void enter(LocalApic a) {
      if (a.isWide() || a.wideId() > 0xff) {
        physical[a.wideId()] = a;
      }
      if (!a.isWide()) {
        LocalApic other = physical[a.narrowId()];
        if (other == null) {
          physical[a.narrowId()] = a;
        } else if (other != a) {
          shared.set(a.narrowId());
        }
      }
      if (!a.isWide() && !a.isSoftwareEnabled()) {
        return;
      }
      int id = a.logicalId();
      @Nullable LocalApic[] cluster = cluster(id);
      int mask = cluster == null ? 0 : mask(id);
      if (cluster != null && mask != 0) {
        int bit = Integer.numberOfTrailingZeros(mask);
        if ((mask & mask - 1) != 0 || cluster[bit] != null) {
          mode |= IRREGULAR;
        }
        cluster[bit] = a;
      }
    }

    /** Whether several have an ID. */
    boolean isShared(int id) {
      return id >= 0 && shared.get(id);
    }

    @Nullable LocalApic physical(int id) {
      return Integer.compareUnsigned(id, size) < 0 ? physical[id] : null;
    }

    /** Those that a logical destination may name; null if the map cannot tell. */
    @Nullable LocalApic @Nullable [] cluster(int destination) {
      switch (mode) {
        case FLAT:
          return logical[0];
        case CLUSTER:
          return logical[destination >> 4 & 15];
        case WIDE:
          int n = destination >>> 16;
          return n < logical.length ? logical[n] : NOBODY;
        default:
          return null;
      }
    }

    private static final @Nullable LocalApic[] NOBODY = new @Nullable LocalApic[16];

    /** Those of a cluster that a logical destination names. */
    int mask(int destination) {
      switch (mode) {
        case FLAT:
          return destination & 0xff;
        case CLUSTER:
          return destination & 0xf;
        default:
          int first = destination >>> 16 << 4;
          int members = first < size ? Math.min(16, size - first) : 0;
          return destination & (1 << members) - 1;
      }
    }
  }
}
