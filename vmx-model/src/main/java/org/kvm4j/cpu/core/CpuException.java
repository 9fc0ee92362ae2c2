package org.kvm4j.cpu.core;

/**
 * An architectural exception on its way from where it was found to the engine, which delivers it.
 * Each processor has one instance, thrown again and again without a stack trace.
 */
public final class CpuException extends RuntimeException {
  private static final long serialVersionUID = 1;

  public int vector;
  public boolean hasErrorCode;
  public int errorCode;

  /** The faulting linear address of a #PF; the DR6 bits of a #DB. */
  public long payload;

  /** A #GP for a non-canonical address: #SS if the instruction used the stack segment. */
  public boolean nonCanonical;

  CpuException() {
    super(null, null, false, false);
  }

  void set(int vector, boolean hasErrorCode, int errorCode) {
    this.vector = vector;
    this.hasErrorCode = hasErrorCode;
    this.errorCode = errorCode;
    this.payload = 0;
    this.nonCanonical = false;
  }

  @Override
  public String getMessage() {
    return "vector "
        + vector
        + (hasErrorCode ? " error code " + Integer.toHexString(errorCode) : "");
  }
}
