package org.kvm4j.vmx.exit;

/**
 * VMX-abort indicators.
 *
 * <p>Source: SDM 28.7 "VMX Aborts".
 */
public enum VmxAbort {
  SAVING_GUEST_MSRS(1, "There was a failure in saving guest MSRs"),
  HOST_PDPTES(2, "Host checking of the page-directory-pointer-table entries failed"),
  CORRUPTED_VMCS(3, "The current VMCS has been corrupted"),
  LOADING_HOST_MSRS(4, "There was a failure on loading host MSRs"),
  MACHINE_CHECK(5, "There was a machine-check event during VM exit"),
  IA32E_MODE_TO_32BIT_HOST(
      6, "The processor was in IA-32e mode and the host address-space size was 0");

  /** The value of the VMX-abort indicator. */
  public final int number;

  /** What happened. */
  public final String title;

  VmxAbort(int number, String title) {
    this.number = number;
    this.title = title;
  }

  @Override
  public String toString() {
    return "VMX abort, indicator %d: %s (SDM 28.7 \"VMX Aborts\")".formatted(number, title);
  }
}
