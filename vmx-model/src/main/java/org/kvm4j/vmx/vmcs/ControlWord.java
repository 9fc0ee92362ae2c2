package org.kvm4j.vmx.vmcs;

/**
 * The words of control bits of a VMCS, and the capability MSRs that say which settings they may
 * have.
 *
 * <p>Source: SDM A.2 "Reserved Controls and Default Settings" to A.5 "VM-Entry Controls".
 */
public enum ControlWord {
  PIN_BASED(
      32, 0x00000016L, 0x00000016L, 0x481, 0x48d, "Pin-Based VM-Execution Controls", "25.6.1"),
  PROCESSOR_BASED(
      32,
      0x0401e172L,
      0x04006172L,
      0x482,
      0x48e,
      "Primary Processor-Based VM-Execution Controls",
      "25.6.2"),
  SECONDARY(32, 0, 0, 0x48b, 0x48b, "Secondary Processor-Based VM-Execution Controls", "25.6.2"),
  TERTIARY(64, 0, 0, 0x492, 0x492, "Tertiary Processor-Based VM-Execution Controls", "25.6.2"),
  VM_FUNCTION(64, 0, 0, 0x491, 0x491, "VM-Function Controls", "25.6.14"),
  VM_EXIT(32, 0x00036dffL, 0x00036dfbL, 0x483, 0x48f, "VM-Exit Controls", "25.7.1"),
  SECONDARY_VM_EXIT(64, 0, 0, 0x493, 0x493, "Secondary VM-Exit Controls", "25.7.1"),
  VM_ENTRY(32, 0x000011ffL, 0x000011fbL, 0x484, 0x490, "VM-Entry Controls", "25.8.1");

  /** Width in bits. A 64-bit word's MSR has allowed-1 settings alone. */
  public final int width;

  /** The default1 class: bits that {@link #msr} reports as fixed to 1. */
  public final long default1;

  /** Of the default1 class, what is fixed to 1 whatever the processor (TRUE MSR). */
  public final long fixed1;

  /**
   * The capability MSR: allowed-0 in bits 31:0 and allowed-1 in bits 63:32, or 64 allowed-1 bits.
   */
  public final int msr;

  /** The IA32_VMX_TRUE_* MSR, or {@link #msr} where there is none. */
  public final int trueMsr;

  /** The title of the SDM's section and table on the word. */
  public final String title;

  /** The number of the SDM's section on the word. */
  public final String section;

  ControlWord(
      int width, long default1, long fixed1, int msr, int trueMsr, String title, String section) {
    this.width = width;
    this.default1 = default1;
    this.fixed1 = fixed1;
    this.msr = msr;
    this.trueMsr = trueMsr;
    this.title = title;
    this.section = section;
  }

  /** The field of the VMCS that holds the word. */
  public VmcsField field() {
    return switch (this) {
      case PIN_BASED -> VmcsField.PIN_BASED_VM_EXEC_CONTROL;
      case PROCESSOR_BASED -> VmcsField.CPU_BASED_VM_EXEC_CONTROL;
      case SECONDARY -> VmcsField.SECONDARY_VM_EXEC_CONTROL;
      case TERTIARY -> VmcsField.TERTIARY_VM_EXEC_CONTROL;
      case VM_FUNCTION -> VmcsField.VM_FUNCTION_CONTROL;
      case VM_EXIT -> VmcsField.VM_EXIT_CONTROLS;
      case SECONDARY_VM_EXIT -> VmcsField.SECONDARY_VM_EXIT_CONTROLS;
      case VM_ENTRY -> VmcsField.VM_ENTRY_CONTROLS;
    };
  }
}
