package org.kvm4j.vmx.entry;

import java.util.List;
import org.kvm4j.vmx.entry.EntryChecks.CheckBuilder;
import org.kvm4j.vmx.entry.EntryChecks.Section;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** Checks on the VMX controls. SDM 27.2.1 "Checks on VMX Controls". */
final class ControlChecks {
  private final List<CheckBuilder> checks;

  private ControlChecks(List<CheckBuilder> checks) {
    this.checks = checks;
  }

  static void add(List<CheckBuilder> checks) {
    ControlChecks all = new ControlChecks(checks);
    all.execution();
    all.virtualApic();
    all.ipis();
    all.ept();
    all.hlat();
    all.exit();
    all.entry();
    all.injection();
  }

  private CheckBuilder check(Section section, String id, String statement) {
    CheckBuilder builder = new CheckBuilder(EntryCheck.Group.CONTROL, section, id, statement);
    checks.add(builder);
    return builder;
  }

  private CheckBuilder execution(String id, String statement) {
    return check(Section.EXECUTION_CONTROLS, id, statement);
  }

  private void reserved(Section section, String id, ControlWord word) {
    VmcsField field = word.field();
    check(
            section,
            id,
            "Reserved bits of the "
                + word.title
                + " are set as the capability MSR "
                + Integer.toHexString(word.trueMsr).toUpperCase(java.util.Locale.ROOT)
                + "H says.")
        .reads(field)
        .passes(c -> c.isAllowed(word, c.v[field.ordinal()]))
        .nearest(c -> c.nearestAllowed(word, c.v[field.ordinal()]));
  }

  /** The address is aligned and within the physical-address width, if a condition holds. */
  private CheckBuilder address(
      CheckBuilder builder, VmcsField field, long alignMask, EntryCheck.Predicate if_) {
    int f = field.ordinal();
    return builder
        .reads(field)
        .passes(c -> !if_.passes(c) || c.isPhysical(c.v[f], alignMask))
        .nearest(c -> c.nearestPhysical(c.v[f], alignMask));
  }

  private void execution() {
    reserved(Section.EXECUTION_CONTROLS, "CONTROL_PIN_RESERVED", ControlWord.PIN_BASED);
    reserved(Section.EXECUTION_CONTROLS, "CONTROL_PRIMARY_RESERVED", ControlWord.PROCESSOR_BASED);
    execution(
            "CONTROL_SECONDARY_RESERVED",
            "If secondary controls are activated, their reserved bits are 0 as the capability MSR"
                + " says.")
        .readsSecondary()
        .passes(
            c ->
                !c.primary(Controls.CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
                    || c.isAllowed(ControlWord.SECONDARY, c.v[Vmcs.SECONDARY_VM_EXEC_CONTROL]))
        .nearest(c -> c.nearestAllowed(ControlWord.SECONDARY, c.v[Vmcs.SECONDARY_VM_EXEC_CONTROL]));
    execution(
            "CONTROL_TERTIARY_RESERVED",
            "If tertiary controls are activated, their reserved bits are 0 as the capability MSR"
                + " says.")
        .reads(VmcsField.TERTIARY_VM_EXEC_CONTROL, VmcsField.CPU_BASED_VM_EXEC_CONTROL)
        .passes(
            c ->
                !c.primary(Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS)
                    || c.isAllowed(ControlWord.TERTIARY, c.v[Vmcs.TERTIARY_VM_EXEC_CONTROL]))
        .nearest(c -> c.nearestAllowed(ControlWord.TERTIARY, c.v[Vmcs.TERTIARY_VM_EXEC_CONTROL]));
    execution(
            "CONTROL_CR3_TARGET_COUNT",
            "The CR3-target count is not greater than the number of CR3-target values (4).")
        .reads(VmcsField.CR3_TARGET_COUNT)
        .passes(c -> c.v[Vmcs.CR3_TARGET_COUNT] <= c.capabilities.cr3Targets())
        .nearest(c -> c.capabilities.cr3Targets());
    ioBitmap("CONTROL_IO_BITMAP_A", VmcsField.IO_BITMAP_A);
    ioBitmap("CONTROL_IO_BITMAP_B", VmcsField.IO_BITMAP_B);
    address(
            execution(
                "CONTROL_MSR_BITMAP",
                "If MSR bitmaps are used, their address is 4-KByte aligned and within the"
                    + " physical-address width."),
            VmcsField.MSR_BITMAP,
            0xfff,
            c -> c.primary(Controls.CPU_BASED_USE_MSR_BITMAPS))
        .reads(VmcsField.CPU_BASED_VM_EXEC_CONTROL);
    execution("CONTROL_VIRTUAL_NMIS", "If NMI exiting is 0, virtual NMIs is 0.")
        .reads(VmcsField.PIN_BASED_VM_EXEC_CONTROL)
        .passes(
            c -> c.pin(Controls.PIN_BASED_NMI_EXITING) || !c.pin(Controls.PIN_BASED_VIRTUAL_NMIS))
        .nearest(c -> c.v[Vmcs.PIN_BASED_VM_EXEC_CONTROL] | Controls.PIN_BASED_NMI_EXITING);
    execution("CONTROL_NMI_WINDOW", "If virtual NMIs is 0, NMI-window exiting is 0.")
        .reads(VmcsField.CPU_BASED_VM_EXEC_CONTROL, VmcsField.PIN_BASED_VM_EXEC_CONTROL)
        .passes(
            c ->
                c.pin(Controls.PIN_BASED_VIRTUAL_NMIS)
                    || !c.primary(Controls.CPU_BASED_NMI_WINDOW_EXITING))
        .nearest(
            c ->
                c.v[Vmcs.CPU_BASED_VM_EXEC_CONTROL]
                    & ~(long) Controls.CPU_BASED_NMI_WINDOW_EXITING);
    execution("CONTROL_VPID", "If VPIDs are enabled, the VPID is not 0000H.")
        .reads(VmcsField.VIRTUAL_PROCESSOR_ID)
        .readsSecondary()
        .passes(
            c ->
                !c.secondary(Controls.SECONDARY_EXEC_ENABLE_VPID)
                    || c.v[Vmcs.VIRTUAL_PROCESSOR_ID] != 0)
        .nearest(c -> 1);
    execution("CONTROL_TSC_MULTIPLIER", "If TSC scaling is used, the TSC multiplier is not 0.")
        .reads(VmcsField.TSC_MULTIPLIER)
        .readsSecondary()
        .passes(
            c -> !c.secondary(Controls.SECONDARY_EXEC_TSC_SCALING) || c.v[Vmcs.TSC_MULTIPLIER] != 0)
        .nearest(c -> 1L << 48);
    shadowBitmap("CONTROL_VMREAD_BITMAP", VmcsField.VMREAD_BITMAP);
    shadowBitmap("CONTROL_VMWRITE_BITMAP", VmcsField.VMWRITE_BITMAP);
  }

  private void ioBitmap(String id, VmcsField field) {
    address(
            execution(
                id,
                "If I/O bitmaps are used, the address is 4-KByte aligned and within the"
                    + " physical-address width."),
            field,
            0xfff,
            c -> c.primary(Controls.CPU_BASED_USE_IO_BITMAPS))
        .reads(VmcsField.CPU_BASED_VM_EXEC_CONTROL);
  }

  private void shadowBitmap(String id, VmcsField field) {
    address(
            execution(
                id,
                "If VMCS shadowing is 1, the bitmap's address is 4-KByte aligned and within the"
                    + " physical-address width."),
            field,
            0xfff,
            c -> c.secondary(Controls.SECONDARY_EXEC_SHADOW_VMCS))
        .readsSecondary();
  }

  private void virtualApic() {
    address(
            execution(
                "CONTROL_VIRTUAL_APIC_ADDRESS",
                "If the TPR shadow is used, the virtual-APIC address is 4-KByte aligned and within"
                    + " the physical-address width."),
            VmcsField.VIRTUAL_APIC_PAGE_ADDR,
            0xfff,
            c -> c.primary(Controls.CPU_BASED_TPR_SHADOW))
        .reads(VmcsField.CPU_BASED_VM_EXEC_CONTROL);
    execution(
            "CONTROL_TPR_THRESHOLD_RESERVED",
            "If the TPR shadow is used without virtual-interrupt delivery, bits 31:4 of the TPR"
                + " threshold are 0.")
        .reads(VmcsField.TPR_THRESHOLD, VmcsField.CPU_BASED_VM_EXEC_CONTROL)
        .readsSecondary()
        .passes(
            c ->
                !c.primary(Controls.CPU_BASED_TPR_SHADOW)
                    || c.secondary(Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
                    || c.v[Vmcs.TPR_THRESHOLD] >>> 4 == 0)
        .nearest(c -> c.v[Vmcs.TPR_THRESHOLD] & 15);
    execution(
            "CONTROL_TPR_THRESHOLD_VTPR",
            "If the TPR shadow is used without APIC-access virtualization and virtual-interrupt"
                + " delivery, the TPR threshold is not above bits 7:4 of VTPR.")
        .reads(
            VmcsField.TPR_THRESHOLD,
            VmcsField.VIRTUAL_APIC_PAGE_ADDR,
            VmcsField.CPU_BASED_VM_EXEC_CONTROL)
        .readsSecondary()
        .always()
        .passes(
            c ->
                !c.primary(Controls.CPU_BASED_TPR_SHADOW)
                    || c.secondary(
                        Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES
                            | Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
                    || (c.v[Vmcs.TPR_THRESHOLD] & 15) <= vtprClass(c))
        .nearest(ControlChecks::vtprClass);
    address(
            execution(
                "CONTROL_APIC_ACCESS_ADDRESS",
                "If APIC accesses are virtualized, the APIC-access address is 4-KByte aligned and"
                    + " within the physical-address width."),
            VmcsField.APIC_ACCESS_ADDR,
            0xfff,
            c -> c.secondary(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES))
        .readsSecondary();
    execution(
            "CONTROL_APIC_WITHOUT_TPR_SHADOW",
            "If the TPR shadow is not used, virtualize x2APIC mode, APIC-register virtualization,"
                + " virtual-interrupt delivery and IPI virtualization are 0.")
        .readsSecondary()
        .reads(VmcsField.CPU_BASED_VM_EXEC_CONTROL, VmcsField.TERTIARY_VM_EXEC_CONTROL)
        .passes(
            c ->
                c.primary(Controls.CPU_BASED_TPR_SHADOW)
                    || !c.secondary(
                            Controls.SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE
                                | Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT
                                | Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
                        && !c.tertiary(Controls.TERTIARY_EXEC_IPI_VIRT));
    execution(
            "CONTROL_X2APIC_AND_APIC_ACCESSES",
            "If x2APIC mode is virtualized, APIC accesses are not.")
        .readsSecondary()
        .passes(
            c ->
                !c.secondary(Controls.SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
                    || !c.secondary(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES));
    execution(
            "CONTROL_VIRTUAL_INTERRUPTS",
            "If virtual-interrupt delivery is 1, external-interrupt exiting is 1.")
        .reads(VmcsField.PIN_BASED_VM_EXEC_CONTROL)
        .readsSecondary()
        .passes(
            c ->
                !c.secondary(Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
                    || c.pin(Controls.PIN_BASED_EXT_INTR_MASK))
        .nearest(c -> c.v[Vmcs.PIN_BASED_VM_EXEC_CONTROL] | Controls.PIN_BASED_EXT_INTR_MASK);
    execution(
            "CONTROL_POSTED_INTERRUPTS",
            "If posted interrupts are processed, virtual-interrupt delivery and acknowledge interrupt"
                + " on exit are 1, and bits 15:8 of the notification vector are 0.")
        .reads(
            VmcsField.PIN_BASED_VM_EXEC_CONTROL,
            VmcsField.VM_EXIT_CONTROLS,
            VmcsField.POSTED_INTR_NV)
        .readsSecondary()
        .passes(
            c ->
                !c.pin(Controls.PIN_BASED_POSTED_INTR)
                    || c.secondary(Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)
                        && c.exit(Controls.VM_EXIT_ACK_INTR_ON_EXIT)
                        && c.v[Vmcs.POSTED_INTR_NV] >>> 8 == 0);
    address(
            execution(
                "CONTROL_POSTED_INTERRUPT_DESCRIPTOR",
                "If posted interrupts are processed, the descriptor's address is 64-byte aligned and"
                    + " within the physical-address width."),
            VmcsField.POSTED_INTR_DESC_ADDR,
            0x3f,
            c -> c.pin(Controls.PIN_BASED_POSTED_INTR))
        .reads(VmcsField.PIN_BASED_VM_EXEC_CONTROL);
  }

  private void ipis() {
    address(
            execution(
                "CONTROL_PID_POINTER_TABLE",
                "If IPIs are virtualized, the PID-pointer table's address is 8-byte aligned and within"
                    + " the physical-address width."),
            VmcsField.PID_POINTER_TABLE,
            7,
            c -> c.tertiary(Controls.TERTIARY_EXEC_IPI_VIRT))
        .reads(VmcsField.CPU_BASED_VM_EXEC_CONTROL, VmcsField.TERTIARY_VM_EXEC_CONTROL);
    execution(
            "CONTROL_PID_POINTER_TABLE_END",
            "If IPIs are virtualized, the last entry of the PID-pointer table is within the"
                + " physical-address width.")
        .reads(
            VmcsField.LAST_PID_POINTER_INDEX,
            VmcsField.PID_POINTER_TABLE,
            VmcsField.CPU_BASED_VM_EXEC_CONTROL,
            VmcsField.TERTIARY_VM_EXEC_CONTROL)
        .passes(
            c ->
                !c.tertiary(Controls.TERTIARY_EXEC_IPI_VIRT)
                    || c.isPhysical(
                        c.v[Vmcs.PID_POINTER_TABLE] + 8 * c.v[Vmcs.LAST_PID_POINTER_INDEX], 0))
        .nearest(c -> 0);
  }

  private static int vtprClass(EntryContext c) {
    return c.readByte(c.v[Vmcs.VIRTUAL_APIC_PAGE_ADDR] + 0x80) >> 4 & 15;
  }

  private void eptp(String id, String statement, EntryCheck.Predicate rule) {
    execution(id, statement)
        .reads(VmcsField.EPT_POINTER)
        .readsSecondary()
        .passes(c -> !c.secondary(Controls.SECONDARY_EXEC_ENABLE_EPT) || rule.passes(c));
  }

  private void needsEpt(String id, String what, int control) {
    execution(id, "If " + what + " is 1, EPT is enabled.")
        .readsSecondary()
        .passes(c -> !c.secondary(control) || c.secondary(Controls.SECONDARY_EXEC_ENABLE_EPT))
        .nearest(c -> c.v[Vmcs.SECONDARY_VM_EXEC_CONTROL] | Controls.SECONDARY_EXEC_ENABLE_EPT);
  }

  private void needsEpt(String id, String what, long tertiary) {
    execution(id, "If " + what + " is 1, EPT is enabled.")
        .readsSecondary()
        .reads(VmcsField.TERTIARY_VM_EXEC_CONTROL)
        .passes(c -> !c.tertiary(tertiary) || c.secondary(Controls.SECONDARY_EXEC_ENABLE_EPT));
  }

  private void hlat() {
    needsEpt("CONTROL_HLAT_NEEDS_EPT", "enable HLAT", Controls.TERTIARY_EXEC_ENABLE_HLAT);
    needsEpt(
        "CONTROL_PAGING_WRITE_NEEDS_EPT",
        "EPT paging-write control",
        Controls.TERTIARY_EXEC_EPT_PAGING_WRITE);
    needsEpt(
        "CONTROL_GUEST_PAGING_VERIFICATION_NEEDS_EPT",
        "guest-paging verification",
        Controls.TERTIARY_EXEC_GUEST_PAGING_VERIFICATION);
    address(
            execution(
                "CONTROL_HLATP",
                "If HLAT is enabled, bits 2:0 and 11:5 of the HLAT pointer are 0, and its address is"
                    + " within the physical-address width."),
            VmcsField.HLATP,
            0xfe7,
            c -> c.tertiary(Controls.TERTIARY_EXEC_ENABLE_HLAT))
        .reads(VmcsField.CPU_BASED_VM_EXEC_CONTROL, VmcsField.TERTIARY_VM_EXEC_CONTROL);
  }

  /** Whether an EPTP would let VM entry pass: INVEPT asks the same. */
  static boolean isEptp(EntryContext c, long eptp) {
    return isEptpMemoryType(c, eptp)
        && isEptpWalkLength(c, eptp)
        && isEptpAccessedDirty(c, eptp)
        && isEptpReserved(c, eptp);
  }

  private static boolean isEptpMemoryType(EntryContext c, long eptp) {
    long type = eptp & 7;
    return type == 0 && (c.capabilities.eptVpid & VmxCapabilities.EPT_UC) != 0
        || type == 6 && (c.capabilities.eptVpid & VmxCapabilities.EPT_WB) != 0;
  }

  private static boolean isEptpWalkLength(EntryContext c, long eptp) {
    long length = eptp >> 3 & 7;
    return length == 3 && (c.capabilities.eptVpid & VmxCapabilities.EPT_PAGE_WALK_4) != 0
        || length == 4 && (c.capabilities.eptVpid & VmxCapabilities.EPT_PAGE_WALK_5) != 0;
  }

  private static boolean isEptpAccessedDirty(EntryContext c, long eptp) {
    return (eptp & 1 << 6) == 0
        || (c.capabilities.eptVpid & VmxCapabilities.EPT_ACCESSED_DIRTY) != 0;
  }

  private static boolean isEptpReserved(EntryContext c, long eptp) {
    long reserved = 0xf00 | c.physicalReserved();
    if ((c.capabilities.eptVpid & VmxCapabilities.EPT_SUPERVISOR_SHADOW_STACK) == 0) {
      reserved |= 0x80;
    }
    return (eptp & reserved) == 0;
  }

  private void ept() {
    eptp(
        "CONTROL_EPTP_MEMORY_TYPE",
        "If EPT is enabled, bits 2:0 of the EPTP are a memory type that the processor supports for"
            + " EPT: 0 (UC) or 6 (WB).",
        c -> isEptpMemoryType(c, c.v[Vmcs.EPT_POINTER]));
    eptp(
        "CONTROL_EPTP_WALK_LENGTH",
        "If EPT is enabled, bits 5:3 of the EPTP are 1 less than a page-walk length that the"
            + " processor supports: 3 (or 4).",
        c -> isEptpWalkLength(c, c.v[Vmcs.EPT_POINTER]));
    eptp(
        "CONTROL_EPTP_ACCESSED_DIRTY",
        "If EPT is enabled, bit 6 of the EPTP is 0 unless the processor supports accessed and dirty"
            + " flags for EPT.",
        c -> isEptpAccessedDirty(c, c.v[Vmcs.EPT_POINTER]));
    eptp(
        "CONTROL_EPTP_RESERVED",
        "If EPT is enabled, reserved bits of the EPTP (11:8, 7 without supervisor shadow-stack"
            + " control, and those beyond the physical-address width)"
            + " are 0.",
        c -> isEptpReserved(c, c.v[Vmcs.EPT_POINTER]));
    needsEpt("CONTROL_PML_NEEDS_EPT", "enable PML", Controls.SECONDARY_EXEC_ENABLE_PML);
    address(
            execution(
                "CONTROL_PML_ADDRESS",
                "If PML is enabled, the PML address is 4-KByte aligned and within the"
                    + " physical-address width."),
            VmcsField.PML_ADDRESS,
            0xfff,
            c -> c.secondary(Controls.SECONDARY_EXEC_ENABLE_PML))
        .readsSecondary();
    needsEpt(
        "CONTROL_UNRESTRICTED_NEEDS_EPT",
        "unrestricted guest",
        Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST);
    needsEpt(
        "CONTROL_MODE_BASED_EXECUTE_NEEDS_EPT",
        "mode-based execute control for EPT",
        Controls.SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
    needsEpt(
        "CONTROL_SPP_NEEDS_EPT",
        "sub-page write permissions for EPT",
        Controls.SECONDARY_EXEC_SUB_PAGE_WRITE);
    address(
            execution(
                "CONTROL_SPP_ADDRESS",
                "If sub-page write permissions are used, the SPPTP is 4-KByte aligned and within the"
                    + " physical-address width."),
            VmcsField.SPP_TABLE_POINTER,
            0xfff,
            c -> c.secondary(Controls.SECONDARY_EXEC_SUB_PAGE_WRITE))
        .readsSecondary();
    execution(
            "CONTROL_VM_FUNCTION_RESERVED",
            "If VM functions are enabled, reserved bits of the VM-function controls are 0.")
        .reads(VmcsField.VM_FUNCTION_CONTROL)
        .readsSecondary()
        .passes(
            c ->
                !c.secondary(Controls.SECONDARY_EXEC_ENABLE_VMFUNC)
                    || c.isAllowed(ControlWord.VM_FUNCTION, c.v[Vmcs.VM_FUNCTION_CONTROL]))
        .nearest(c -> c.nearestAllowed(ControlWord.VM_FUNCTION, c.v[Vmcs.VM_FUNCTION_CONTROL]));
    execution(
            "CONTROL_EPTP_SWITCHING",
            "If EPTP switching is 1, EPT is enabled and the EPTP-list address is 4-KByte aligned and"
                + " within the physical-address width.")
        .reads(VmcsField.EPTP_LIST_ADDRESS, VmcsField.VM_FUNCTION_CONTROL)
        .readsSecondary()
        .passes(
            c ->
                !c.secondary(Controls.SECONDARY_EXEC_ENABLE_VMFUNC)
                    || (c.v[Vmcs.VM_FUNCTION_CONTROL] & Controls.VM_FUNCTION_EPTP_SWITCHING) == 0
                    || c.secondary(Controls.SECONDARY_EXEC_ENABLE_EPT)
                        && c.isPhysical(c.v[Vmcs.EPTP_LIST_ADDRESS], 0xfff));
    address(
            execution(
                "CONTROL_VE_ADDRESS",
                "If EPT-violation #VE is 1, the virtualization-exception information address is"
                    + " 4-KByte aligned and within the physical-address width."),
            VmcsField.VE_INFORMATION_ADDRESS,
            0xfff,
            c -> c.secondary(Controls.SECONDARY_EXEC_EPT_VIOLATION_VE))
        .readsSecondary();
  }

  /** An MSR area: count 0, or aligned to 16 bytes and all of it within the physical width. */
  private void msrArea(Section section, String id, VmcsField address, VmcsField count) {
    int a = address.ordinal();
    int n = count.ordinal();
    check(
            section,
            id,
            "If the count is not 0, the address of the MSR area is 16-byte aligned, and the area is"
                + " within the physical-address width.")
        .reads(address, count)
        .passes(
            c ->
                c.v[n] == 0
                    || c.isPhysical(c.v[a], 15) && c.isPhysical(c.v[a] + c.v[n] * 16 - 1, 0))
        .nearest(c -> c.nearestPhysical(c.v[a], 15));
  }

  private void exit() {
    Section s = Section.EXIT_CONTROLS;
    reserved(s, "CONTROL_EXIT_RESERVED", ControlWord.VM_EXIT);
    check(
            s,
            "CONTROL_SECONDARY_EXIT_RESERVED",
            "If secondary VM-exit controls are activated, their reserved bits are 0 as the capability"
                + " MSR says.")
        .reads(VmcsField.SECONDARY_VM_EXIT_CONTROLS, VmcsField.VM_EXIT_CONTROLS)
        .passes(
            c ->
                !c.exit(Controls.VM_EXIT_ACTIVATE_SECONDARY_CONTROLS)
                    || c.isAllowed(
                        ControlWord.SECONDARY_VM_EXIT, c.v[Vmcs.SECONDARY_VM_EXIT_CONTROLS]))
        .nearest(
            c ->
                c.nearestAllowed(
                    ControlWord.SECONDARY_VM_EXIT, c.v[Vmcs.SECONDARY_VM_EXIT_CONTROLS]));
    check(
            s,
            "CONTROL_SAVE_PREEMPTION_TIMER",
            "If the VMX-preemption timer is not activated, save VMX-preemption timer value is 0.")
        .reads(VmcsField.VM_EXIT_CONTROLS, VmcsField.PIN_BASED_VM_EXEC_CONTROL)
        .passes(
            c ->
                c.pin(Controls.PIN_BASED_VMX_PREEMPTION_TIMER)
                    || !c.exit(Controls.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER))
        .nearest(
            c -> c.v[Vmcs.VM_EXIT_CONTROLS] & ~(long) Controls.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER);
    msrArea(
        s,
        "CONTROL_EXIT_MSR_STORE",
        VmcsField.VM_EXIT_MSR_STORE_ADDR,
        VmcsField.VM_EXIT_MSR_STORE_COUNT);
    msrArea(
        s,
        "CONTROL_EXIT_MSR_LOAD",
        VmcsField.VM_EXIT_MSR_LOAD_ADDR,
        VmcsField.VM_EXIT_MSR_LOAD_COUNT);
  }

  private void entry() {
    Section s = Section.ENTRY_CONTROLS;
    reserved(s, "CONTROL_ENTRY_RESERVED", ControlWord.VM_ENTRY);
    check(
            s,
            "CONTROL_ENTRY_SMM",
            "Outside of SMM, entry to SMM and deactivate dual-monitor treatment are 0.")
        .reads(VmcsField.VM_ENTRY_CONTROLS)
        .passes(c -> !c.entry(Controls.VM_ENTRY_SMM | Controls.VM_ENTRY_DEACT_DUAL_MONITOR))
        .nearest(
            c ->
                c.v[Vmcs.VM_ENTRY_CONTROLS]
                    & ~(long) (Controls.VM_ENTRY_SMM | Controls.VM_ENTRY_DEACT_DUAL_MONITOR));
    msrArea(
        s,
        "CONTROL_ENTRY_MSR_LOAD",
        VmcsField.VM_ENTRY_MSR_LOAD_ADDR,
        VmcsField.VM_ENTRY_MSR_LOAD_COUNT);
  }

  private CheckBuilder injected(String id, String statement, EntryCheck.Predicate rule) {
    return check(Section.ENTRY_CONTROLS, id, "If an event is injected, " + statement)
        .reads(VmcsField.VM_ENTRY_INTR_INFO_FIELD)
        .passes(c -> !c.injects() || rule.passes(c));
  }

  private void injection() {
    injected(
        "CONTROL_INJECTION_TYPE",
        "its type is not reserved: not 1, and 7 (other event) only with the monitor trap flag.",
        c -> {
          int type = InterruptionInfo.type(c.intrInfo());
          return type != 1
              && (type != InterruptionInfo.OTHER_EVENT || c.allows(Control.MONITOR_TRAP_FLAG));
        });
    injected(
        "CONTROL_INJECTION_VECTOR",
        "its vector fits its type: 2 for an NMI, at most 31 for a hardware exception, 0 for other"
            + " events.",
        c -> {
          int vector = InterruptionInfo.vector(c.intrInfo());
          return switch (InterruptionInfo.type(c.intrInfo())) {
            case InterruptionInfo.NMI -> vector == 2;
            case InterruptionInfo.HARDWARE_EXCEPTION -> vector <= 31;
            case InterruptionInfo.OTHER_EVENT -> vector == 0;
            default -> true;
          };
        });
    injected(
            "CONTROL_INJECTION_DELIVERS_CODE",
            "an error code is delivered if and only if it is a hardware exception that has one"
                + " (vectors 8, 10 to 14, 17, and 21 with CET) and the guest is in protected mode.",
            c -> {
              int info = c.intrInfo();
              boolean deliver = InterruptionInfo.hasErrorCode(info);
              boolean possible =
                  InterruptionInfo.type(info) == InterruptionInfo.HARDWARE_EXCEPTION
                      && (!c.unrestricted() || (c.v[Vmcs.GUEST_CR0] & 1) != 0);
              if (!possible) {
                return !deliver;
              }
              return (c.capabilities.basic & VmxCapabilities.BASIC_ANY_ERROR_CODE) != 0
                  || deliver == c.hasErrorCode(InterruptionInfo.vector(info));
            })
        .reads(VmcsField.GUEST_CR0)
        .readsSecondary()
        .nearest(c -> c.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] ^ InterruptionInfo.ERROR_CODE);
    injected(
            "CONTROL_INJECTION_RESERVED",
            "bits 30:12 of the interruption information are 0.",
            c -> (c.intrInfo() & 0x7ffff000) == 0)
        .nearest(c -> c.v[Vmcs.VM_ENTRY_INTR_INFO_FIELD] & ~0x7ffff000L);
    injected(
            "CONTROL_INJECTION_ERROR_CODE",
            "and an error code is delivered, bits 31:16 of the error code are 0.",
            c ->
                !InterruptionInfo.hasErrorCode(c.intrInfo())
                    || c.v[Vmcs.VM_ENTRY_EXCEPTION_ERROR_CODE] >>> 16 == 0)
        .reads(VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE);
    injected(
            "CONTROL_INJECTION_LENGTH",
            "and it is a software interrupt or exception, the instruction length is 1 to 15 (or 0"
                + " where the processor allows it).",
            c -> {
              if (!InterruptionInfo.isSoftware(InterruptionInfo.type(c.intrInfo()))) {
                return true;
              }
              long length = c.v[Vmcs.VM_ENTRY_INSTRUCTION_LEN];
              return length <= 15
                  && (length != 0
                      || (c.capabilities.misc & VmxCapabilities.MISC_INJECT_LENGTH_0) != 0);
            })
        .reads(VmcsField.VM_ENTRY_INSTRUCTION_LEN);
  }
}
