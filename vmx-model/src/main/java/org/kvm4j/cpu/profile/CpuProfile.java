package org.kvm4j.cpu.profile;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;

/**
 * A CPU model as data: identity, features, widths, caches, constant MSRs; and the CPUID leaves that
 * follow from them. SDM Vol. 2, "CPUID—CPU Identification". Unchangeable.
 */
public final class CpuProfile implements CpuModel {
  private static final int LAST_BASIC = 0xd;
  private static final int LAST_EXTENDED = 0x80000008;
  private static final int LINE = 64;

  private final String name;
  private final String vendor;
  private final String brand;
  private final int signature;
  private final int physicalAddressBits;
  private final FeatureSet features;

  /** Features that the processor has and CPUID does not tell of. */
  private final FeatureSet hidden;

  private final Map<Integer, Long> msrs;
  private final int[][] caches;

  private CpuProfile(Builder from) {
    name = from.name;
    vendor = from.vendor;
    brand = from.brand;
    signature = from.signature;
    physicalAddressBits = from.physicalAddressBits;
    features = from.features;
    hidden = from.hidden;
    msrs = Collections.unmodifiableMap(new TreeMap<>(from.msrs));
    caches = from.caches;
  }

  // ---- making ----

  /** A profile in the making. */
  static final class Builder {
    private final String name;
    private String vendor = "GenuineIntel";
    private String brand = "";
    private int signature;
    private int physicalAddressBits = 36;
    private FeatureSet features = FeatureSet.none();
    private FeatureSet hidden = FeatureSet.none();
    private Map<Integer, Long> msrs = Map.of();
    private int[][] caches = {};

    Builder(String name) {
      this.name = name;
    }

    Builder vendor(String vendor) {
      if (vendor.length() != 12) {
        throw new IllegalArgumentException("vendor '" + vendor + "' has not 12 characters");
      }
      this.vendor = vendor;
      return this;
    }

    Builder brand(String brand) {
      if (brand.length() > 47) {
        throw new IllegalArgumentException("brand '" + brand + "' has more than 47 characters");
      }
      this.brand = brand;
      return this;
    }

    Builder signature(int family, int model, int stepping) {
      int extended = family > 15 ? family - 15 : 0;
      signature =
          extended << 20
              | model >> 4 << 16
              | (family - extended) << 8
              | (model & 15) << 4
              | stepping;
      return this;
    }

    Builder physicalAddressBits(int bits) {
      physicalAddressBits = bits;
      return this;
    }

    Builder features(Feature... all) {
      features = FeatureSet.of(all);
      return this;
    }

    Builder hidden(Feature... all) {
      hidden = FeatureSet.of(all);
      return this;
    }

    Builder msr(int index, long value) {
      TreeMap<Integer, Long> all = new TreeMap<>(msrs);
      all.put(index, value);
      msrs = all;
      return this;
    }

    /** Caches of leaf 4: type (1 data, 2 instruction, 3 unified), level, ways, sets. */
    Builder caches(int[]... caches) {
      this.caches = caches;
      return this;
    }

    CpuProfile build() {
      return new CpuProfile(this);
    }
  }

  private Builder copy() {
    Builder b = new Builder(name);
    b.vendor = vendor;
    b.brand = brand;
    b.signature = signature;
    b.physicalAddressBits = physicalAddressBits;
    b.features = features;
    b.hidden = hidden;
    b.msrs = msrs;
    b.caches = caches;
    return b;
  }

  /** This profile with a feature that CPUID tells of. */
  public CpuProfile with(Feature feature) {
    Builder b = copy();
    b.features = features.with(feature);
    b.hidden = hidden.without(feature);
    return b.build();
  }

  /** This profile without a feature, told of or not. */
  public CpuProfile without(Feature feature) {
    Builder b = copy();
    b.features = features.without(feature);
    b.hidden = hidden.without(feature);
    return b.build();
  }

  /** This profile with the value of a constant MSR: a capability, for example. */
  public CpuProfile withMsr(int index, long value) {
    return copy().msr(index, value).build();
  }

  /** This profile with another MAXPHYADDR, 32 to 52 bits. */
  public CpuProfile withPhysicalAddressBits(int bits) {
    return copy().physicalAddressBits(bits).build();
  }

  // ---- identity ----

  /** The name that it is known by. */
  public String name() {
    return name;
  }

  /** The 12 characters of leaf 0. */
  public String vendor() {
    return vendor;
  }

  /** The brand string, without padding. */
  public String brand() {
    return brand;
  }

  @Override
  public int signature() {
    return signature;
  }

  @Override
  public boolean has(Feature feature) {
    return features.has(feature) || hidden.has(feature);
  }

  @Override
  public FeatureSet features() {
    return features.with(hidden.asSet().toArray(new Feature[0]));
  }

  /** The features that CPUID tells of. */
  public FeatureSet reported() {
    return features;
  }

  @Override
  public int physicalAddressBits() {
    return physicalAddressBits;
  }

  @Override
  public Map<Integer, Long> msrs() {
    return msrs;
  }

  // ---- CPUID ----

  @Override
  public void cpuid(int leaf, int subleaf, int[] out) {
    Arrays.fill(out, 0, 4, 0);
    int from = leaf;
    boolean basic = Integer.compareUnsigned(leaf, LAST_BASIC) <= 0;
    boolean extended = leaf < 0 && leaf <= LAST_EXTENDED;
    if (!basic && !extended) {
      // Beyond the last leaf a processor of this vendor gives the last basic one.
      from = LAST_BASIC;
    }
    switch (from) {
      case 0 -> {
        out[0] = LAST_BASIC;
        out[1] = text(vendor, 0);
        out[3] = text(vendor, 4);
        out[2] = text(vendor, 8);
      }
      case 1 -> {
        out[0] = signature;
        // CLFLUSH line size in 8-byte units, one logical processor.
        out[1] = LINE / 8 << 8 | 1 << 16;
        out[2] = bits(1, 0, Feature.Register.ECX);
        out[3] = bits(1, 0, Feature.Register.EDX);
      }
      case 2 -> {
        // Caches: see leaf 4; 64-byte prefetch.
        out[0] = 0x00feff01;
        out[1] = 0xf0;
      }
      case 4 -> cache(subleaf, out);
      case 5 -> {
        if (has(Feature.MONITOR)) {
          out[0] = LINE;
          out[1] = LINE;
          out[2] = 3;
        }
      }
      case 7 -> features7(subleaf, out);
      case 0xb -> topology(subleaf, out);
      case 0xd -> xsave(subleaf, out);
      case 0x80000000 -> out[0] = LAST_EXTENDED;
      case 0x80000001 -> {
        out[2] = bits(from, 0, Feature.Register.ECX);
        out[3] = bits(from, 0, Feature.Register.EDX);
      }
      case 0x80000002, 0x80000003, 0x80000004 -> {
        for (int k = 0; k < 4; k++) {
          out[k] = text(brand, (from - 0x80000002) * 16 + k * 4);
        }
      }
      case 0x80000006 -> {
        for (int[] c : caches) {
          if (c[1] == 2) {
            out[2] = c[2] * c[3] * LINE / 1024 << 16 | 6 << 12 | LINE;
          }
        }
      }
      case 0x80000007 -> {
        out[1] = bits(from, 0, Feature.Register.EBX);
        out[3] = bits(from, 0, Feature.Register.EDX);
      }
      case 0x80000008 -> {
        out[0] = physicalAddressBits | (has(Feature.LM) ? linearAddressBits() : 32) << 8;
        out[1] = bits(from, 0, Feature.Register.EBX);
      }
      default -> {}
    }
  }

  private int bits(int leaf, int subleaf, Feature.Register register) {
    return features.bits(leaf, subleaf, register);
  }

  /** Four characters as a register has them; NUL beyond the end. */
  private static int text(String text, int at) {
    byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
    int value = 0;
    for (int k = 3; k >= 0; k--) {
      value = value << 8 | (at + k < bytes.length ? bytes[at + k] & 0xff : 0);
    }
    return value;
  }

  private void cache(int subleaf, int[] out) {
    if (subleaf < 0 || subleaf >= caches.length) {
      return;
    }
    int[] c = caches[subleaf];
    // Self-initializing, one sharer, one core.
    out[0] = c[0] | c[1] << 5 | 1 << 8;
    out[1] = LINE - 1 | c[2] - 1 << 22;
    out[2] = c[3] - 1;
  }

  private void features7(int subleaf, int[] out) {
    if (subleaf != 0 && subleaf != 1) {
      return;
    }
    out[1] = bits(7, subleaf, Feature.Register.EBX);
    out[2] = bits(7, subleaf, Feature.Register.ECX);
    out[3] = bits(7, subleaf, Feature.Register.EDX);
    if (subleaf == 0) {
      out[0] = features.asSet().stream().anyMatch(f -> f.leaf == 7 && f.subleaf == 1) ? 1 : 0;
    } else {
      out[0] = bits(7, 1, Feature.Register.EAX);
    }
  }

  /** One thread, one core, APIC ID 0. */
  private static void topology(int subleaf, int[] out) {
    out[2] = subleaf & 0xff;
    if (subleaf == 0 || subleaf == 1) {
      out[1] = 1;
      out[2] |= subleaf + 1 << 8;
    }
  }

  private void xsave(int subleaf, int[] out) {
    if (!features.has(Feature.XSAVE)) {
      return;
    }
    if (subleaf == 1) {
      out[0] = bits(0xd, 1, Feature.Register.EAX);
      return;
    }
    long supported = StateComponent.supported(this);
    if (subleaf == 0) {
      out[0] = (int) supported;
      // As after reset; CPUID puts the size for XCR0 here.
      out[1] = StateComponent.LEGACY_SIZE;
      out[2] = StateComponent.standardSize(supported);
    }
    for (StateComponent c : StateComponent.values()) {
      if (c.isExtended() && c.number == subleaf && c.in(supported)) {
        out[0] = c.size;
        out[1] = c.offset;
      }
    }
  }

  @Override
  public String toString() {
    return name;
  }
}
