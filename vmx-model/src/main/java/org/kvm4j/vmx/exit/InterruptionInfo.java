package org.kvm4j.vmx.exit;

/**
 * The format of VM-entry and VM-exit interruption information and of IDT-vectoring information.
 *
 * <p>Source: SDM 25.8.3 "VM-Entry Controls for Event Injection", 25.9.2 "Information for VM Exits
 * Due to Vectored Events", 25.9.3 "Information for VM Exits That Occur During Event Delivery".
 */
public final class InterruptionInfo {
  public static final int VECTOR_MASK = 0xff;
  public static final int TYPE_SHIFT = 8;
  public static final int TYPE_MASK = 7 << TYPE_SHIFT;

  /** An error code is delivered, or is valid. */
  public static final int ERROR_CODE = 1 << 11;

  /** VM-exit interruption information: NMI unblocking due to IRET. */
  public static final int NMI_UNBLOCKING = 1 << 12;

  public static final int VALID = 1 << 31;

  public static final int EXTERNAL_INTERRUPT = 0;
  public static final int NMI = 2;
  public static final int HARDWARE_EXCEPTION = 3;
  public static final int SOFTWARE_INTERRUPT = 4;
  public static final int PRIVILEGED_SOFTWARE_EXCEPTION = 5;
  public static final int SOFTWARE_EXCEPTION = 6;

  /** VM entry only: vector 0 makes a monitor-trap-flag exit pending. */
  public static final int OTHER_EVENT = 7;

  private static final String[] TYPES = {
    "external interrupt",
    "reserved",
    "NMI",
    "hardware exception",
    "software interrupt",
    "privileged software exception",
    "software exception",
    "other event"
  };

  private InterruptionInfo() {}

  /** A valid field. */
  public static int of(int type, int vector, boolean errorCode) {
    return VALID | (errorCode ? ERROR_CODE : 0) | type << TYPE_SHIFT | vector;
  }

  public static boolean isValid(int info) {
    return info < 0;
  }

  public static int vector(int info) {
    return info & VECTOR_MASK;
  }

  public static int type(int info) {
    return info >> TYPE_SHIFT & 7;
  }

  public static boolean hasErrorCode(int info) {
    return (info & ERROR_CODE) != 0;
  }

  /** Whether events of the type come from an instruction, whose length then counts. */
  public static boolean isSoftware(int type) {
    return type == SOFTWARE_INTERRUPT
        || type == PRIVILEGED_SOFTWARE_EXCEPTION
        || type == SOFTWARE_EXCEPTION;
  }

  /** For messages: {@code "hardware exception, vector 14, error code"}. */
  public static String describe(int info) {
    if (!isValid(info)) {
      return "none";
    }
    return TYPES[type(info)]
        + ", vector "
        + vector(info)
        + (hasErrorCode(info) ? ", error code" : "")
        + ((info & NMI_UNBLOCKING) != 0 ? ", NMI unblocking" : "");
  }
}
