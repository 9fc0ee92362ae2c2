package org.kvm4j.cpu.profile;

/**
 * A state component of the XSAVE feature set: its number, which is its bit in XCR0 or IA32_XSS, and
 * where it is in an XSAVE area of the standard format, which supervisor components are in none of.
 * SDM Vol. 1, 13.1 "XSAVE-Supported Features and State-Component Bitmaps", 13.4 "XSAVE Area"; Vol.
 * 2, CPUID leaf 0DH.
 */
public enum StateComponent {
  X87(0, 0, 160, Feature.XSAVE),
  SSE(1, 160, 256, Feature.SSE),
  AVX(2, 576, 256, Feature.AVX),
  PKRU(9, 2688, 8, Feature.PKU),
  /** IA32_U_CET and IA32_PL3_SSP. */
  CET_U(11, 16, Feature.CET_SS, Feature.CET_IBT),
  /** IA32_PL0_SSP to IA32_PL2_SSP. */
  CET_S(12, 24, Feature.CET_SS, Feature.CET_IBT);

  /** Bytes of the legacy region and the header, which every area has. */
  public static final int LEGACY_SIZE = 576;

  /** Bytes that hold every component there is in the standard format. */
  public static final int AREA_SIZE = 4096;

  private static final StateComponent[] ALL = values();

  /** The number of the component, 0 to 62. */
  public final int number;

  /** Offset in bytes in the standard format. */
  public final int offset;

  /** Bytes in either format. */
  public final int size;

  /** Whether IA32_XSS has its bit, and not XCR0. */
  public final boolean isSupervisor;

  /** Each of these brings it. */
  private final Feature[] features;

  StateComponent(int number, int offset, int size, Feature feature) {
    this(number, offset, size, false, feature);
  }

  StateComponent(int number, int size, Feature one, Feature other) {
    this(number, 0, size, true, one, other);
  }

  StateComponent(int number, int offset, int size, boolean isSupervisor, Feature... features) {
    this.number = number;
    this.offset = offset;
    this.size = size;
    this.isSupervisor = isSupervisor;
    this.features = features;
  }

  /** The component's bit in XCR0 or IA32_XSS. */
  public long bit() {
    return 1L << number;
  }

  /** Whether a bitmap has the component. */
  public boolean in(long bitmap) {
    return (bitmap >> number & 1) != 0;
  }

  /** The bits that XCR0 may have on a processor: x87 state always. */
  public static long supported(CpuModel model) {
    return X87.bit() | supported(model, false);
  }

  /** The bits that IA32_XSS may have on a processor. */
  public static long supervisor(CpuModel model) {
    return model.has(Feature.XSAVES) ? supported(model, true) : 0;
  }

  private static long supported(CpuModel model, boolean supervisor) {
    long bitmap = 0;
    for (StateComponent c : ALL) {
      for (Feature feature : c.features) {
        if (c.isSupervisor == supervisor && model.has(feature)) {
          bitmap |= c.bit();
        }
      }
    }
    return bitmap;
  }

  /**
   * Whether XCR0 may have a value. SDM Vol. 1, 13.3 "Enabling the XSAVE Feature Set".
   *
   * @param supported the bits that it may have at all
   */
  public static boolean isXcr0(long supported, long value) {
    return (value & ~supported) == 0 && X87.in(value) && (!AVX.in(value) || SSE.in(value));
  }

  /** Bytes of an area in the standard format for these components. */
  public static int standardSize(long bitmap) {
    int size = LEGACY_SIZE;
    for (StateComponent c : ALL) {
      if (c.in(bitmap) && !c.isSupervisor) {
        size = Math.max(size, c.offset + c.size);
      }
    }
    return size;
  }

  /** Bytes of an area in the compacted format for these components; none is aligned. */
  public static int compactedSize(long bitmap) {
    int size = LEGACY_SIZE;
    for (StateComponent c : ALL) {
      if (c.isExtended() && c.in(bitmap)) {
        size += c.size;
      }
    }
    return size;
  }

  /** Offset in bytes in the compacted format for these components. */
  public int compactedOffset(long bitmap) {
    return isExtended() ? compactedSize(bitmap & bit() - 1) : offset;
  }

  /** Whether it is behind the header: not x87 or SSE state. */
  public boolean isExtended() {
    return number > 1;
  }
}
