package org.kvm4j.cpu.profile;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * The CPUID leaves that follow from a profile's data, as Intel's or AMD's processors lay them out.
 * SDM Vol. 2, "CPUID—CPU Identification"; APM Vol. 3, Appendix E "Obtaining Processor Information
 * Via the CPUID Instruction".
 */
final class CpuidLeaves {
  private static final int LAST_BASIC = 0xd;
  private static final int LAST_INTEL = 0x80000008;
  private static final int LAST_AMD = 0x80000021;
  private static final int LINE = 64;

  /** Events of performance counters that leaf 0AH tells of in EBX. */
  private static final int EVENTS = 7;

  /** LLC references and misses, branches and their mispredictions. */
  private static final int MISSING_EVENTS = 0x78;

  private static final int FIXED_COUNTERS = 3;

  /** Of 8000_0001H, EDX, on AMD: the bits that repeat those of leaf 1. */
  private static final int REPEATED = 0x0183f3ff;

  /** Caches: type (1 data, 2 instruction, 3 unified), level, ways, sets. */
  private static final int TYPE = 0;

  private static final int LEVEL = 1;
  private static final int WAYS = 2;
  private static final int SETS = 3;

  private final CpuProfile profile;
  private final FeatureSet features;
  private final int[][] caches;
  private final boolean amd;

  CpuidLeaves(CpuProfile profile, int[][] caches) {
    this.profile = profile;
    this.features = profile.reported();
    this.caches = caches;
    this.amd = profile.isAmd();
  }

  /** See {@link CpuModel#cpuid}. */
  void get(int leaf, int subleaf, int[] out) {
    Arrays.fill(out, 0, 4, 0);
    int lastExtended = amd ? LAST_AMD : LAST_INTEL;
    if (leaf < 0 && leaf <= lastExtended) {
      extended(leaf, lastExtended, subleaf, out);
    } else if (Integer.compareUnsigned(leaf, LAST_BASIC) <= 0) {
      basic(leaf, subleaf, out);
    } else if (!amd) {
      // Beyond the last leaf Intel's processors give the last basic one, AMD's zeros.
      basic(LAST_BASIC, subleaf, out);
    }
  }

  private void basic(int leaf, int subleaf, int[] out) {
    switch (leaf) {
      case 0 -> {
        out[0] = LAST_BASIC;
        vendor(out);
      }
      case 1 -> {
        out[0] = profile.signature();
        // CLFLUSH line size in 8-byte units, one logical processor.
        out[1] = LINE / 8 << 8 | 1 << 16;
        out[2] = bits(1, 0, Feature.Register.ECX);
        out[3] = bits(1, 0, Feature.Register.EDX);
      }
      case 2 -> {
        if (!amd) {
          // Caches: see leaf 4; 64-byte prefetch.
          out[0] = 0x00feff01;
          out[1] = 0xf0;
        }
      }
      case 4 -> {
        if (!amd) {
          cache(subleaf, out);
        }
      }
      case 5 -> {
        if (features.has(Feature.MONITOR)) {
          out[0] = LINE;
          out[1] = LINE;
          out[2] = 3;
        }
      }
      case 7 -> features7(subleaf, out);
      case 0xa -> performanceMonitoring(out);
      case 0xb -> topology(subleaf, out);
      case 0xd -> xsave(subleaf, out);
      default -> {}
    }
  }

  private void extended(int leaf, int last, int subleaf, int[] out) {
    switch (leaf) {
      case 0x80000000 -> {
        out[0] = last;
        if (amd) {
          vendor(out);
        }
      }
      case 0x80000001 -> {
        out[0] = amd ? profile.signature() : 0;
        out[2] = bits(leaf, 0, Feature.Register.ECX);
        out[3] = bits(leaf, 0, Feature.Register.EDX);
        if (amd) {
          out[3] |= bits(1, 0, Feature.Register.EDX) & REPEATED;
        }
      }
      case 0x80000002, 0x80000003, 0x80000004 -> {
        for (int k = 0; k < 4; k++) {
          out[k] = text(profile.brand(), (leaf - 0x80000002) * 16 + k * 4);
        }
      }
      case 0x80000005 -> {
        if (amd) {
          out[2] = firstLevel(1);
          out[3] = firstLevel(2);
        }
      }
      case 0x80000006 -> farLevels(out);
      case 0x80000007 -> {
        out[1] = bits(leaf, 0, Feature.Register.EBX);
        out[3] = bits(leaf, 0, Feature.Register.EDX);
      }
      case 0x80000008 -> {
        int linear = features.has(Feature.LM) ? profile.linearAddressBits() : 32;
        out[0] = profile.physicalAddressBits() | linear << 8;
        out[1] = bits(leaf, 0, Feature.Register.EBX);
      }
      case 0x80000021 -> {
        out[0] = bits(leaf, 0, Feature.Register.EAX);
        out[2] = bits(leaf, 0, Feature.Register.ECX);
      }
      case 0x8000001d -> {
        if (features.has(Feature.TOPOEXT)) {
          cache(subleaf, out);
          // On AMD this field is reserved: there is no count of cores here.
          out[0] &= 0x03ffffff;
        }
      }
      default -> {}
    }
  }

  private int bits(int leaf, int subleaf, Feature.Register register) {
    return features.bits(leaf, subleaf, register);
  }

  private void vendor(int[] out) {
    out[1] = text(profile.vendor(), 0);
    out[3] = text(profile.vendor(), 4);
    out[2] = text(profile.vendor(), 8);
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

  // ---- caches ----

  /** Leaf 4, and 8000_001DH on AMD. */
  private void cache(int subleaf, int[] out) {
    if (subleaf < 0 || subleaf >= caches.length) {
      return;
    }
    int[] c = caches[subleaf];
    // Self-initializing, one sharer, one core.
    out[0] = c[TYPE] | c[LEVEL] << 5 | 1 << 8;
    out[1] = LINE - 1 | c[WAYS] - 1 << 22;
    out[2] = c[SETS] - 1;
  }

  private static int kilobytes(int[] cache) {
    return cache[WAYS] * cache[SETS] * LINE / 1024;
  }

  /** The first-level cache of a type, as 8000_0005H has it. */
  private int firstLevel(int type) {
    for (int[] c : caches) {
      if (c[LEVEL] == 1 && c[TYPE] == type) {
        return kilobytes(c) << 24 | c[WAYS] << 16 | 1 << 8 | LINE;
      }
    }
    return 0;
  }

  /** 8000_0006H: the second level in ECX, on AMD the third in EDX in units of 512 KB. */
  private void farLevels(int[] out) {
    for (int[] c : caches) {
      int rest = associativity(c[WAYS]) << 12 | (amd ? 1 << 8 : 0) | LINE;
      if (c[LEVEL] == 2) {
        out[2] = kilobytes(c) << 16 | rest;
      } else if (c[LEVEL] == 3 && amd) {
        out[3] = kilobytes(c) / 512 << 18 | rest;
      }
    }
  }

  /** The encoding of associativity in 8000_0006H; 9 says that another leaf has it. */
  private static int associativity(int ways) {
    return switch (ways) {
      case 1, 2, 4 -> ways;
      case 8 -> 6;
      case 16 -> 8;
      case 32 -> 0xa;
      default -> 9;
    };
  }

  // ---- leaves of their own ----

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

  /** Counters, and which events there are not: those of caches and branches. */
  private void performanceMonitoring(int[] out) {
    int counters = profile.performanceCounters();
    if (counters > 0) {
      int bits = profile.performanceCounterBits();
      out[0] = bits(0xa, 0, Feature.Register.EAX) | counters << 8 | bits << 16 | EVENTS << 24;
      out[1] = MISSING_EVENTS;
      out[3] = FIXED_COUNTERS | bits << 5;
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
    long supported = StateComponent.supported(profile);
    long supervisor = StateComponent.supervisor(profile);
    if (subleaf == 0) {
      out[0] = (int) supported;
      // As after reset; CPUID puts the size for XCR0 here.
      out[1] = StateComponent.LEGACY_SIZE;
      out[2] = StateComponent.standardSize(supported);
    } else if (subleaf == 1) {
      out[0] = bits(0xd, 1, Feature.Register.EAX);
      out[2] = (int) supervisor;
    }
    for (StateComponent c : StateComponent.values()) {
      if (c.isExtended() && c.number == subleaf && c.in(supported | supervisor)) {
        out[0] = c.size;
        out[1] = c.offset;
        out[2] = c.isSupervisor ? 1 : 0;
      }
    }
  }
}
