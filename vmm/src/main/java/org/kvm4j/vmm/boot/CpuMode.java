package org.kvm4j.vmm.boot;

import java.util.Locale;

/** The mode that a guest's first processor starts in. */
public enum CpuMode {
  /** 16-bit real mode. */
  REAL,
  /** 32-bit protected mode with flat segments, without paging. */
  PROTECTED,
  /** 64-bit mode, the first 4 GB mapped to themselves. */
  LONG;

  /** In lower case, as users write it. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}
