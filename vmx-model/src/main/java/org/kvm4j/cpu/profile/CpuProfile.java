package org.kvm4j.cpu.profile;

import java.util.Collections;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * A CPU model as data: identity, features, widths, caches, constant MSRs; and the CPUID leaves that
 * follow from them. SDM Vol. 2, "CPUID—CPU Identification". Unchangeable.
 */
public final class CpuProfile implements CpuModel {
  /** The vendor of Intel's processors, as leaf 0 spells it. */
  public static final String INTEL = "GenuineIntel";

  /** The vendor of AMD's processors. */
  public static final String AMD = "AuthenticAMD";

  private final String name;
  private final String vendor;
  private final String brand;
  private final String purpose;
  private final int signature;
  private final int physicalAddressBits;
  private final FeatureSet features;

  /** Features that the processor has and CPUID does not tell of. */
  private final FeatureSet hidden;

  /** Features of VMX, whether or not the features of CPUID that they need are there. */
  private final Set<VmxFeature> vmx;

  /** Those of them that the features of CPUID allow, once they have been asked for. */
  private volatile @Nullable Set<VmxFeature> possible;

  private final int vmxTimerRate;
  private final Map<Integer, Long> msrs;
  private final int counters;
  private final int counterBits;
  private final int lastBranches;
  private final int[][] caches;
  private final CpuidLeaves leaves;

  private CpuProfile(Builder from) {
    name = from.name;
    vendor = from.vendor;
    brand = from.brand;
    purpose = from.purpose;
    signature = from.signature;
    physicalAddressBits = from.physicalAddressBits;
    features = from.features;
    hidden = from.hidden;
    vmx = from.vmx;
    vmxTimerRate = from.vmxTimerRate;
    msrs = Collections.unmodifiableMap(new TreeMap<>(from.msrs));
    counters = from.counters;
    counterBits = from.counterBits;
    lastBranches = from.lastBranches;
    caches = from.caches;
    leaves = new CpuidLeaves(this, caches);
  }

  // ---- making ----

  /** A profile in the making. */
  static final class Builder {
    private final String name;
    private String vendor = INTEL;
    private String brand = "";
    private String purpose = "";
    private int signature;
    private int physicalAddressBits = 36;
    private FeatureSet features = FeatureSet.none();
    private FeatureSet hidden = FeatureSet.none();
    private Set<VmxFeature> vmx = EnumSet.allOf(VmxFeature.class);
    private int vmxTimerRate = 5;
    private Map<Integer, Long> msrs = Map.of();
    private int counters = 4;
    private int counterBits = 48;
    private int lastBranches;
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

    Builder purpose(String purpose) {
      this.purpose = purpose;
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

    Builder features(FeatureSet all) {
      features = all;
      return this;
    }

    Builder hidden(FeatureSet all) {
      hidden = all;
      return this;
    }

    /** What VMX can do, where that is not all that is built. */
    Builder vmx(Set<VmxFeature> all) {
      vmx = EnumSet.copyOf(all);
      return this;
    }

    /** The VMX-preemption timer's rate, where it is not that of Intel's processors. */
    Builder vmxTimerRate(int rate) {
      vmxTimerRate = rate;
      return this;
    }

    Builder msr(int index, long value) {
      TreeMap<Integer, Long> all = new TreeMap<>(msrs);
      all.put(index, value);
      msrs = all;
      return this;
    }

    /** General-purpose performance counters, if there are any, and the bits of each counter. */
    Builder counters(int number, int bits) {
      counters = number;
      counterBits = bits;
      return this;
    }

    /** Last branches that there are registers for. */
    Builder lastBranches(int number) {
      lastBranches = number;
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
    b.purpose = purpose;
    b.signature = signature;
    b.physicalAddressBits = physicalAddressBits;
    b.features = features;
    b.hidden = hidden;
    b.vmx = vmx;
    b.vmxTimerRate = vmxTimerRate;
    b.msrs = msrs;
    b.counters = counters;
    b.counterBits = counterBits;
    b.lastBranches = lastBranches;
    b.caches = caches;
    return b;
  }

  /** This profile with a feature that CPUID tells of, and with all that it needs. */
  public CpuProfile with(Feature feature) {
    Feature[] more = FeatureRules.withNeeds(feature).toArray(new Feature[0]);
    Builder b = copy();
    b.features = features.with(more);
    b.hidden = hidden.without(more);
    return b.build();
  }

  /** This profile without a feature, told of or not, and without all that need it. */
  public CpuProfile without(Feature feature) {
    Feature[] fewer = FeatureRules.withNeeders(feature).toArray(new Feature[0]);
    Builder b = copy();
    b.features = features.without(fewer);
    b.hidden = hidden.without(fewer);
    return b.build();
  }

  /** This profile with a feature of VMX, and with all of VMX and of CPUID that it needs. */
  public CpuProfile with(VmxFeature feature) {
    Builder b = copy();
    EnumSet<VmxFeature> more = EnumSet.copyOf(vmx);
    more.addAll(feature.withNeeds());
    b.vmx = more;
    CpuProfile profile = b.build();
    for (Feature needed : feature.cpuidNeeds()) {
      profile = profile.has(needed) ? profile : profile.with(needed);
    }
    return profile;
  }

  /** This profile without a feature of VMX and all that need it. */
  public CpuProfile without(VmxFeature feature) {
    Builder b = copy();
    EnumSet<VmxFeature> fewer = EnumSet.copyOf(vmx);
    fewer.removeAll(feature.withNeeders());
    b.vmx = fewer;
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

  /** This profile with another rate of the VMX-preemption timer, 0 to 31. */
  public CpuProfile withVmxTimerRate(int rate) {
    return copy().vmxTimerRate(rate).build();
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

  /** What it is for and mainly has, for users: a line without a full stop. */
  public String purpose() {
    return purpose;
  }

  @Override
  public boolean isAmd() {
    return vendor.equals(AMD);
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
  public Set<VmxFeature> vmxFeatures() {
    Set<VmxFeature> all = possible;
    if (all == null) {
      all = VmxFeature.possible(this, vmx);
      possible = all;
    }
    return all;
  }

  @Override
  public int vmxTimerRate() {
    return vmxTimerRate;
  }

  @Override
  public int physicalAddressBits() {
    return physicalAddressBits;
  }

  @Override
  public int performanceCounters() {
    return has(Feature.ARCH_PERFMON) ? counters : 0;
  }

  @Override
  public int performanceCounterBits() {
    return counterBits;
  }

  @Override
  public int lastBranches() {
    return lastBranches;
  }

  @Override
  public Map<Integer, Long> msrs() {
    return msrs;
  }

  @Override
  public void cpuid(int leaf, int subleaf, int[] out) {
    leaves.get(leaf, subleaf, out);
  }

  @Override
  public String toString() {
    return name;
  }
}
