package org.kvm4j.kvm.module.vendor;

/**
 * The first sixteen bytes of code at the guest's RIP, as {@link VendorVcpu#executedCode} has it.
 */
public final class ExecutedCode {
  /** Bytes 7:0, the first one lowest. */
  public long low;

  /** Bytes 15:8. */
  public long high;

  /** The default operand size of the code segment in bytes: 2 or 4, or 8 in 64-bit mode. */
  public int codeSize;
}
