package org.kvm4j.cpu.profile;

import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/**
 * A CPU as users describe it: a model's name and changes to the model, in their order, with commas
 * between. Upper and lower case are the same, and so are hyphens, underscores and dots in names.
 */
final class CpuDescription {
  private static final String CHANGES =
      "changes are +FEATURE, -FEATURE, phys-bits=N, vmx-timer-rate=N";

  /** Other names of features: those of QEMU and Linux. */
  private static final Map<String, Feature> ALIASES =
      Map.of("shstk", Feature.CET_SS, "ibt", Feature.CET_IBT);

  /** What is a number, in decimal. */
  private enum Property {
    PHYS_BITS(
        "the width of physical addresses in bits", 32, 52, CpuProfile::withPhysicalAddressBits),
    VMX_TIMER_RATE("the rate of the VMX-preemption timer", 0, 31, CpuProfile::withVmxTimerRate);

    private final String meaning;
    private final int least;
    private final int most;
    private final BiFunction<CpuProfile, Integer, CpuProfile> change;

    Property(
        String meaning, int least, int most, BiFunction<CpuProfile, Integer, CpuProfile> change) {
      this.meaning = meaning;
      this.least = least;
      this.most = most;
      this.change = change;
    }

    static @Nullable Property of(String name) {
      for (Property p : values()) {
        if (p.toString().equals(hyphened(name))) {
          return p;
        }
      }
      return null;
    }

    /**
     * The number that a text is.
     *
     * @throws IllegalArgumentException if it is none, or out of range
     */
    int parse(String text) {
      int number = text.matches("[0-9]{1,9}") ? Integer.parseInt(text) : -1;
      if (number < least || number > most) {
        throw wrong(
            "%s, %s, is a number from %d to %d, not '%s'", this, meaning, least, most, text);
      }
      return number;
    }

    @Override
    public String toString() {
      return hyphened(name());
    }
  }

  private final Set<Property> given = EnumSet.noneOf(Property.class);
  private CpuProfile profile;

  private CpuDescription(CpuProfile model) {
    profile = model;
  }

  /**
   * The CPU that a text describes.
   *
   * @throws IllegalArgumentException with a line for users that names the part that is wrong
   */
  static CpuProfile parse(String text) {
    String[] parts = text.split(",", -1);
    CpuDescription description = new CpuDescription(model(parts[0].strip()));
    for (int k = 1; k < parts.length; k++) {
      description.change(parts[k].strip());
    }
    return description.checked();
  }

  private static CpuProfile model(String name) {
    Set<String> names = CpuProfiles.names();
    String all = "there are: " + String.join(", ", names);
    if (name.isEmpty() || isSigned(name)) {
      throw wrong("the name of a CPU comes first; %s", all);
    }
    CpuProfile model = CpuProfiles.model(name.toLowerCase(Locale.ROOT));
    if (model == null) {
      throw wrong("unknown CPU '%s'; %s", name, nearest(name, names, all));
    }
    return model;
  }

  private void change(String change) {
    boolean signed = isSigned(change);
    String name = signed ? change.substring(1) : change;
    int end = name.indexOf('=');
    Property property = Property.of(end < 0 ? name : name.substring(0, end));
    if (property != null) {
      if (signed) {
        throw wrong("%s=N has neither + nor - before it, as '%s' has", property, change);
      }
      set(property, end < 0 ? "" : name.substring(end + 1));
    } else if (name.isEmpty() || !signed && end >= 0) {
      throw wrong("'%s' is no change; %s", change, CHANGES);
    } else if (!signed) {
      throw wrong("'%s' has neither + nor - before it; %s", change, CHANGES);
    } else {
      boolean add = change.charAt(0) == '+';
      if (VmxFeature.isName(hyphened(name))) {
        changeVmx(add, name);
      } else {
        changeFeature(add, name);
      }
    }
  }

  private void set(Property property, String number) {
    int value = property.parse(number);
    if (!given.add(property)) {
      throw wrong("%s is given twice", property);
    }
    profile = property.change.apply(profile, value);
  }

  private void changeFeature(boolean add, String name) {
    Feature feature = feature(name);
    if (add) {
      if (!CpuProfiles.isBuilt(feature)) {
        throw notBuilt(name);
      }
      checkVendor(name, FeatureRules.vendor(feature));
      profile = profile.with(feature);
    } else if (profile.reported().has(feature)) {
      profile = profile.without(feature);
    }
  }

  private void changeVmx(boolean add, String name) {
    VmxFeature feature = VmxFeature.of(hyphened(name));
    if (feature == null && !VmxFeature.isNotBuilt(hyphened(name))) {
      throw unknown(name, VmxFeature.names());
    }
    boolean vmx = profile.reported().has(Feature.VMX);
    if (add) {
      if (feature == null) {
        throw notBuilt(name);
      }
      checkVendor(name, FeatureRules.vendor(Feature.VMX));
      if (!vmx) {
        throw wrong("CPU feature '%s' needs vmx, which the CPU has not", name);
      }
      profile = profile.with(feature);
    } else if (feature != null && vmx) {
      profile = profile.without(feature);
    }
  }

  /** Refuses a feature of the other vendor's, of whose processors none is like the result. */
  private void checkVendor(String feature, @Nullable String vendor) {
    if (vendor != null && !vendor.equals(profile.vendor())) {
      throw wrong(
          "CPU feature '%s' is %s's alone, and %s is %s's",
          feature, shortName(vendor), profile, shortName(profile.vendor()));
    }
  }

  private static String shortName(String vendor) {
    return vendor.equals(CpuProfile.AMD) ? "AMD" : "Intel";
  }

  /** What is there, if all that was given of it has a meaning. */
  private CpuProfile checked() {
    if (given.contains(Property.VMX_TIMER_RATE)
        && !(profile.reported().has(Feature.VMX)
            && profile.vmxFeatures().contains(VmxFeature.PREEMPTION_TIMER))) {
      throw wrong("%s is given, and the CPU has no VMX-preemption timer", Property.VMX_TIMER_RATE);
    }
    return profile;
  }

  private static Feature feature(String name) {
    Feature alias = ALIASES.get(underscored(name));
    if (alias != null) {
      return alias;
    }
    List<String> names = new ArrayList<>(ALIASES.keySet());
    for (Feature f : Feature.values()) {
      String known = underscored(f.name());
      if (known.equals(underscored(name))) {
        return f;
      }
      names.add(known);
    }
    names.addAll(VmxFeature.names()); // perhaps one without its vmx-
    throw unknown(name, names);
  }

  // ---- words ----

  private static boolean isSigned(String text) {
    return text.startsWith("+") || text.startsWith("-");
  }

  private static String underscored(String name) {
    return name.toLowerCase(Locale.ROOT).replace('-', '_').replace('.', '_');
  }

  private static String hyphened(String name) {
    return underscored(name).replace('_', '-');
  }

  private static IllegalArgumentException wrong(String format, Object... arguments) {
    return new IllegalArgumentException(format.formatted(arguments));
  }

  private static IllegalArgumentException notBuilt(String feature) {
    return wrong("CPU feature '%s' is not built", feature);
  }

  private static IllegalArgumentException unknown(String feature, Collection<String> known) {
    // As QEMU also writes them.
    String name = feature.replaceFirst("=.*", "");
    return wrong(
        "unknown CPU feature '%s'; %s", feature, nearest(name, known, "NAME,+? lists all"));
  }

  /** The name that was perhaps meant, as a question, or other words if none is like it. */
  private static String nearest(String wrong, Collection<String> known, String otherwise) {
    String name = wrong.toLowerCase(Locale.ROOT);
    String best = null;
    int least = Integer.MAX_VALUE;
    for (String k : known) {
      int distance = distance(name, k);
      boolean like =
          distance <= Math.max(1, name.length() / 3) || name.length() >= 3 && k.contains(name);
      if (like && distance < least) {
        least = distance;
        best = k;
      }
    }
    return best == null ? otherwise : "did you mean %s?".formatted(best);
  }

  /** Levenshtein's distance, with a swap of neighbours as one step. */
  private static int distance(String a, String b) {
    int[][] d = new int[a.length() + 1][b.length() + 1];
    for (int i = 0; i <= a.length(); i++) {
      for (int j = 0; j <= b.length(); j++) {
        if (i == 0 || j == 0) {
          d[i][j] = i + j;
          continue;
        }
        boolean same = a.charAt(i - 1) == b.charAt(j - 1);
        int least = Math.min(d[i - 1][j - 1] + (same ? 0 : 1), d[i - 1][j] + 1);
        d[i][j] = Math.min(least, d[i][j - 1] + 1);
        if (i > 1
            && j > 1
            && a.charAt(i - 1) == b.charAt(j - 2)
            && a.charAt(i - 2) == b.charAt(j - 1)) {
          d[i][j] = Math.min(d[i][j], d[i - 2][j - 2] + 1);
        }
      }
    }
    return d[a.length()][b.length()];
  }
}
