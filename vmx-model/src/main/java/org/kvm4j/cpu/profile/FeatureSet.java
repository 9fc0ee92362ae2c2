package org.kvm4j.cpu.profile;

import java.util.Collection;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** An unchangeable set of CPUID features: what a CPU model offers. */
public final class FeatureSet {
  private static final FeatureSet NONE = new FeatureSet(EnumSet.noneOf(Feature.class));
  private static final FeatureSet ALL = new FeatureSet(EnumSet.allOf(Feature.class));

  private final Set<Feature> features;

  /** The same as bits by ordinal: asked by instructions, and at each VM exit. */
  private final long[] words = new long[(Feature.values().length + 63) / 64];

  private FeatureSet(EnumSet<Feature> features) {
    this.features = Collections.unmodifiableSet(features);
    for (Feature feature : features) {
      words[feature.ordinal() >> 6] |= 1L << feature.ordinal();
    }
  }

  /** Returns the set without any feature: what the 80386 executes. */
  public static FeatureSet none() {
    return NONE;
  }

  /** Returns the set of every feature that is known by name. */
  public static FeatureSet all() {
    return ALL;
  }

  /**
   * Returns the set of these features.
   *
   * @param features the features; later changes to the collection do not show
   */
  public static FeatureSet of(Collection<Feature> features) {
    EnumSet<Feature> copy = EnumSet.noneOf(Feature.class);
    copy.addAll(features);
    return new FeatureSet(copy);
  }

  /**
   * Returns the set of these features.
   *
   * @param features the features
   */
  public static FeatureSet of(Feature... features) {
    EnumSet<Feature> copy = EnumSet.noneOf(Feature.class);
    Collections.addAll(copy, features);
    return new FeatureSet(copy);
  }

  /**
   * Returns this set with more features.
   *
   * @param more the features to add
   */
  public FeatureSet with(Feature... more) {
    EnumSet<Feature> copy = copy();
    Collections.addAll(copy, more);
    return new FeatureSet(copy);
  }

  /**
   * Returns this set with fewer features.
   *
   * @param fewer the features to leave out
   */
  public FeatureSet without(Feature... fewer) {
    EnumSet<Feature> copy = copy();
    for (Feature feature : fewer) {
      copy.remove(feature);
    }
    return new FeatureSet(copy);
  }

  /**
   * Returns whether the set has a feature.
   *
   * @param feature the feature asked for
   */
  public boolean has(Feature feature) {
    return (words[feature.ordinal() >> 6] & 1L << feature.ordinal()) != 0;
  }

  /**
   * Returns the bits that the set has in one register of one CPUID leaf.
   *
   * @param leaf the CPUID leaf
   * @param subleaf the sub-leaf
   * @param register the output register
   */
  public int bits(int leaf, int subleaf, Feature.Register register) {
    int bits = 0;
    for (Feature feature : features) {
      if (feature.leaf == leaf && feature.subleaf == subleaf && feature.register == register) {
        bits |= feature.mask();
      }
    }
    return bits;
  }

  /** Returns the features as an unchangeable set, in the order of {@link Feature}. */
  public Set<Feature> asSet() {
    return features;
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof FeatureSet && features.equals(((FeatureSet) other).features);
  }

  @Override
  public int hashCode() {
    return features.hashCode();
  }

  @Override
  public String toString() {
    return features.toString();
  }

  private EnumSet<Feature> copy() {
    EnumSet<Feature> copy = EnumSet.noneOf(Feature.class);
    copy.addAll(features);
    return copy;
  }
}
