package org.kvm4j.vmx.entry;

import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PAE;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PROTECTED;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.REAL;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.UNPAGED;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.V86;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** For each entry check, states that are one step away from a guest that enters and fail it. */
final class EntryCheckCases {
  /**
   * A state that fails a check.
   *
   * @param id of the check
   * @param mode the guest to begin with, which enters
   * @param prepare makes a state that still enters
   * @param breaks makes it fail
   * @param first whether no check before this one fails
   */
  record Case(
      String id,
      MinimalHypervisor.Mode mode,
      Consumer<MinimalHypervisor> prepare,
      Consumer<MinimalHypervisor> breaks,
      boolean first) {
    @Override
    public String toString() {
      return id;
    }
  }

  private static final List<Case> CASES = new ArrayList<>();

  /** Every control that has a name, and what would keep checks from failing not. */
  static VmxCapabilities everything() {
    VmxCapabilities all = VmxCapabilities.of(CpuProfiles.defaultProfile());
    return all.with(Control.values())
        .withBasic(all.basic & ~VmxCapabilities.BASIC_ANY_ERROR_CODE)
        .withEptVpid(all.eptVpid & ~VmxCapabilities.EPT_SUPERVISOR_SHADOW_STACK);
  }

  private static void fails(
      String id, MinimalHypervisor.Mode mode, Consumer<MinimalHypervisor> breaks) {
    CASES.add(new Case(id, mode, h -> {}, breaks, true));
  }

  private static void fails(
      String id,
      MinimalHypervisor.Mode mode,
      Consumer<MinimalHypervisor> prepare,
      Consumer<MinimalHypervisor> breaks) {
    CASES.add(new Case(id, mode, prepare, breaks, true));
  }

  /** A check that cannot be the first to fail, as another states the same and more. */
  private static void failsToo(
      String id, MinimalHypervisor.Mode mode, Consumer<MinimalHypervisor> breaks) {
    CASES.add(new Case(id, mode, h -> {}, breaks, false));
  }

  static List<Case> all() {
    return CASES;
  }

  private static final String[] SEGMENTS = {"ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR"};

  private static final long BEYOND = 1L << 52;
  private static final long NON_CANONICAL = 1L << 60;

  static {
    controls();
    virtualApic();
    ept();
    exitAndEntryControls();
    injection();
    hostState();
    addressSpace();
    guestRegisters();
    guestSegments();
    segmentRights();
    guestRest();
  }

  private EntryCheckCases() {}

  private static void address(
      String id, VmcsField field, Consumer<MinimalHypervisor> enable, long misaligned) {
    fails(id, LONG, enable, h -> h.set(field, h.get(field) | misaligned));
    fails(id, LONG, enable, h -> h.set(field, h.get(field) | BEYOND));
  }

  private static void controls() {
    fails("CONTROL_PIN_RESERVED", LONG, h -> h.clear(VmcsField.PIN_BASED_VM_EXEC_CONTROL, 2));
    fails("CONTROL_PIN_RESERVED", LONG, h -> h.pin(1 << 20));
    fails("CONTROL_PRIMARY_RESERVED", LONG, h -> h.clear(VmcsField.CPU_BASED_VM_EXEC_CONTROL, 2));
    fails("CONTROL_PRIMARY_RESERVED", LONG, h -> h.primary(1));
    fails("CONTROL_SECONDARY_RESERVED", LONG, h -> h.secondary(1 << 29));
    fails(
        "CONTROL_TERTIARY_RESERVED",
        LONG,
        h -> h.primary(Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS),
        h -> h.set(VmcsField.TERTIARY_VM_EXEC_CONTROL, 1L << 63));
    fails("CONTROL_CR3_TARGET_COUNT", LONG, h -> h.set(VmcsField.CR3_TARGET_COUNT, 5));
    Consumer<MinimalHypervisor> io = h -> h.primary(Controls.CPU_BASED_USE_IO_BITMAPS);
    address("CONTROL_IO_BITMAP_A", VmcsField.IO_BITMAP_A, io, 0x800);
    address("CONTROL_IO_BITMAP_B", VmcsField.IO_BITMAP_B, io, 1);
    address(
        "CONTROL_MSR_BITMAP",
        VmcsField.MSR_BITMAP,
        h -> h.primary(Controls.CPU_BASED_USE_MSR_BITMAPS),
        0x800);
    fails("CONTROL_VIRTUAL_NMIS", LONG, h -> h.pin(Controls.PIN_BASED_VIRTUAL_NMIS));
    fails("CONTROL_NMI_WINDOW", LONG, h -> h.primary(Controls.CPU_BASED_NMI_WINDOW_EXITING));
    fails("CONTROL_VPID", LONG, h -> h.set(VmcsField.VIRTUAL_PROCESSOR_ID, 0));
    fails("CONTROL_TSC_MULTIPLIER", LONG, h -> h.secondary(Controls.SECONDARY_EXEC_TSC_SCALING));
    Consumer<MinimalHypervisor> shadow = h -> h.secondary(Controls.SECONDARY_EXEC_SHADOW_VMCS);
    address("CONTROL_VMREAD_BITMAP", VmcsField.VMREAD_BITMAP, shadow, 4);
    address("CONTROL_VMWRITE_BITMAP", VmcsField.VMWRITE_BITMAP, shadow, 4);
  }

  private static void virtualApic() {
    Consumer<MinimalHypervisor> shadow = h -> h.primary(Controls.CPU_BASED_TPR_SHADOW);
    address("CONTROL_VIRTUAL_APIC_ADDRESS", VmcsField.VIRTUAL_APIC_PAGE_ADDR, shadow, 0x10);
    fails(
        "CONTROL_TPR_THRESHOLD_RESERVED", LONG, shadow, h -> h.set(VmcsField.TPR_THRESHOLD, 0x10));
    fails(
        "CONTROL_TPR_THRESHOLD_VTPR",
        LONG,
        h -> {
          shadow.accept(h);
          h.set(VmcsField.VIRTUAL_APIC_PAGE_ADDR, 0xa000);
          h.memory.writeByte(0xa080, (byte) 0x50);
          h.set(VmcsField.TPR_THRESHOLD, 5);
        },
        h -> h.set(VmcsField.TPR_THRESHOLD, 6));
    fails(
        "CONTROL_TPR_THRESHOLD_VTPR",
        LONG,
        h -> {
          shadow.accept(h);
          h.set(VmcsField.VIRTUAL_APIC_PAGE_ADDR, 0xa000);
          h.memory.writeByte(0xa080, (byte) 0x50);
          h.set(VmcsField.TPR_THRESHOLD, 5);
        },
        h -> h.memory.writeByte(0xa080, (byte) 0x4f));
    address(
        "CONTROL_APIC_ACCESS_ADDRESS",
        VmcsField.APIC_ACCESS_ADDR,
        h -> h.secondary(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES),
        0x800);
    fails(
        "CONTROL_APIC_WITHOUT_TPR_SHADOW",
        LONG,
        h -> h.secondary(Controls.SECONDARY_EXEC_APIC_REGISTER_VIRT));
    fails(
        "CONTROL_X2APIC_AND_APIC_ACCESSES",
        LONG,
        shadow,
        h ->
            h.secondary(
                Controls.SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE
                    | Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES));
    fails(
        "CONTROL_VIRTUAL_INTERRUPTS",
        LONG,
        shadow,
        h -> h.secondary(Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY));
    Consumer<MinimalHypervisor> posted =
        h -> {
          shadow.accept(h);
          h.pin(Controls.PIN_BASED_EXT_INTR_MASK | Controls.PIN_BASED_POSTED_INTR);
          h.secondary(Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY);
          h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_ACK_INTR_ON_EXIT);
        };
    fails(
        "CONTROL_POSTED_INTERRUPTS",
        LONG,
        posted,
        h -> h.clear(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_ACK_INTR_ON_EXIT));
    fails("CONTROL_POSTED_INTERRUPTS", LONG, posted, h -> h.set(VmcsField.POSTED_INTR_NV, 0x100));
    address("CONTROL_POSTED_INTERRUPT_DESCRIPTOR", VmcsField.POSTED_INTR_DESC_ADDR, posted, 0x20);
    Consumer<MinimalHypervisor> ipis =
        h -> {
          shadow.accept(h);
          h.primary(Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
          h.set(VmcsField.TERTIARY_VM_EXEC_CONTROL, Controls.TERTIARY_EXEC_IPI_VIRT);
          h.set(VmcsField.PID_POINTER_TABLE, 0xb008);
          h.set(VmcsField.LAST_PID_POINTER_INDEX, 0xffff);
        };
    fails(
        "CONTROL_APIC_WITHOUT_TPR_SHADOW",
        LONG,
        ipis,
        h -> h.clear(VmcsField.CPU_BASED_VM_EXEC_CONTROL, Controls.CPU_BASED_TPR_SHADOW));
    address("CONTROL_PID_POINTER_TABLE", VmcsField.PID_POINTER_TABLE, ipis, 4);
    fails(
        "CONTROL_PID_POINTER_TABLE_END",
        LONG,
        ipis,
        h -> h.set(VmcsField.PID_POINTER_TABLE, (1L << h.model.physicalAddressBits()) - 8));
  }

  private static void tertiary(MinimalHypervisor h, long controls) {
    h.primary(Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
    h.set(VmcsField.TERTIARY_VM_EXEC_CONTROL, controls);
  }

  private static void hlat() {
    fails(
        "CONTROL_HLAT_NEEDS_EPT",
        LONG,
        EntryCheckCases::withoutEpt,
        h -> tertiary(h, Controls.TERTIARY_EXEC_ENABLE_HLAT));
    fails(
        "CONTROL_PAGING_WRITE_NEEDS_EPT",
        LONG,
        EntryCheckCases::withoutEpt,
        h -> tertiary(h, Controls.TERTIARY_EXEC_EPT_PAGING_WRITE));
    fails(
        "CONTROL_GUEST_PAGING_VERIFICATION_NEEDS_EPT",
        LONG,
        EntryCheckCases::withoutEpt,
        h -> tertiary(h, Controls.TERTIARY_EXEC_GUEST_PAGING_VERIFICATION));
    Consumer<MinimalHypervisor> enabled =
        h -> {
          tertiary(h, Controls.TERTIARY_EXEC_ENABLE_HLAT);
          // PWT and PCD may be anything.
          h.set(VmcsField.HLATP, MinimalHypervisor.PAGE_TABLES | 0x18);
        };
    for (long bit : new long[] {1, 4, 0x20, 0x800}) {
      address("CONTROL_HLATP", VmcsField.HLATP, enabled, bit);
    }
  }

  private static void withoutEpt(MinimalHypervisor h) {
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_ENABLE_EPT);
  }

  private static void ept() {
    VmcsField eptp = VmcsField.EPT_POINTER;
    fails("CONTROL_EPTP_MEMORY_TYPE", LONG, h -> h.set(eptp, h.get(eptp) & ~7L | 4));
    fails("CONTROL_EPTP_WALK_LENGTH", LONG, h -> h.set(eptp, h.get(eptp) & ~0x38L | 2 << 3));
    fails("CONTROL_EPTP_RESERVED", LONG, h -> h.or(eptp, 1 << 7));
    fails("CONTROL_EPTP_RESERVED", LONG, h -> h.or(eptp, 1 << 11));
    fails("CONTROL_EPTP_RESERVED", LONG, h -> h.or(eptp, BEYOND));
    fails(
        "CONTROL_PML_NEEDS_EPT",
        LONG,
        EntryCheckCases::withoutEpt,
        h -> h.secondary(Controls.SECONDARY_EXEC_ENABLE_PML));
    address(
        "CONTROL_PML_ADDRESS",
        VmcsField.PML_ADDRESS,
        h -> h.secondary(Controls.SECONDARY_EXEC_ENABLE_PML),
        0x800);
    fails("CONTROL_UNRESTRICTED_NEEDS_EPT", REAL, EntryCheckCases::withoutEpt);
    fails(
        "CONTROL_MODE_BASED_EXECUTE_NEEDS_EPT",
        LONG,
        EntryCheckCases::withoutEpt,
        h -> h.secondary(Controls.SECONDARY_EXEC_MODE_BASED_EPT_EXEC));
    fails(
        "CONTROL_SPP_NEEDS_EPT",
        LONG,
        EntryCheckCases::withoutEpt,
        h -> h.secondary(Controls.SECONDARY_EXEC_SUB_PAGE_WRITE));
    address(
        "CONTROL_SPP_ADDRESS",
        VmcsField.SPP_TABLE_POINTER,
        h -> h.secondary(Controls.SECONDARY_EXEC_SUB_PAGE_WRITE),
        1);
    hlat();
    Consumer<MinimalHypervisor> functions = h -> h.secondary(Controls.SECONDARY_EXEC_ENABLE_VMFUNC);
    fails(
        "CONTROL_VM_FUNCTION_RESERVED",
        LONG,
        functions,
        h -> h.set(VmcsField.VM_FUNCTION_CONTROL, 2));
    fails(
        "CONTROL_EPTP_SWITCHING",
        LONG,
        h -> {
          functions.accept(h);
          h.set(VmcsField.VM_FUNCTION_CONTROL, 1);
        },
        h -> h.set(VmcsField.EPTP_LIST_ADDRESS, 0x800));
    fails(
        "CONTROL_EPTP_SWITCHING",
        LONG,
        h -> {
          functions.accept(h);
          h.set(VmcsField.VM_FUNCTION_CONTROL, 1);
        },
        EntryCheckCases::withoutEpt);
    address(
        "CONTROL_VE_ADDRESS",
        VmcsField.VE_INFORMATION_ADDRESS,
        h -> h.secondary(Controls.SECONDARY_EXEC_EPT_VIOLATION_VE),
        0x800);
  }

  private static void msrArea(String id, VmcsField address, VmcsField count) {
    Consumer<MinimalHypervisor> one =
        h -> {
          h.set(address, MinimalHypervisor.MSR_AREA);
          h.memory.writeLong(MinimalHypervisor.MSR_AREA, 0xc000_0082L);
          h.set(count, 1);
        };
    fails(id, LONG, one, h -> h.or(address, 8));
    fails(id, LONG, one, h -> h.or(address, BEYOND));
    fails(
        id,
        LONG,
        one,
        h -> {
          h.set(address, (1L << h.model.physicalAddressBits()) - 16);
          h.set(count, 2);
        });
  }

  private static void exitAndEntryControls() {
    fails("CONTROL_EXIT_RESERVED", LONG, h -> h.clear(VmcsField.VM_EXIT_CONTROLS, 1));
    fails(
        "CONTROL_SECONDARY_EXIT_RESERVED",
        LONG,
        h ->
            h.or(
                VmcsField.VM_EXIT_CONTROLS,
                Controls.VM_EXIT_ACTIVATE_SECONDARY_CONTROLS & 0xffffffffL),
        h -> h.set(VmcsField.SECONDARY_VM_EXIT_CONTROLS, 1 << 20));
    fails(
        "CONTROL_SAVE_PREEMPTION_TIMER",
        LONG,
        h -> h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER));
    msrArea(
        "CONTROL_EXIT_MSR_STORE",
        VmcsField.VM_EXIT_MSR_STORE_ADDR,
        VmcsField.VM_EXIT_MSR_STORE_COUNT);
    msrArea(
        "CONTROL_EXIT_MSR_LOAD", VmcsField.VM_EXIT_MSR_LOAD_ADDR, VmcsField.VM_EXIT_MSR_LOAD_COUNT);
    fails("CONTROL_ENTRY_RESERVED", LONG, h -> h.clear(VmcsField.VM_ENTRY_CONTROLS, 1));
    fails("CONTROL_ENTRY_RESERVED", LONG, h -> h.or(VmcsField.VM_ENTRY_CONTROLS, 1 << 30));
    fails("CONTROL_ENTRY_SMM", LONG, h -> h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_SMM));
    msrArea(
        "CONTROL_ENTRY_MSR_LOAD",
        VmcsField.VM_ENTRY_MSR_LOAD_ADDR,
        VmcsField.VM_ENTRY_MSR_LOAD_COUNT);
  }

  private static void injects(String id, MinimalHypervisor.Mode mode, long info) {
    fails(id, mode, h -> h.set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000000L | info));
  }

  private static void injection() {
    injects("CONTROL_INJECTION_TYPE", LONG, 1 << 8);
    injects("CONTROL_INJECTION_VECTOR", LONG, 2 << 8 | 3);
    injects("CONTROL_INJECTION_VECTOR", LONG, 3 << 8 | 32);
    injects("CONTROL_INJECTION_VECTOR", LONG, 7 << 8 | 1);
    // #GP without an error code, #UD with one, an interrupt with one, #GP with one in real mode.
    injects("CONTROL_INJECTION_DELIVERS_CODE", LONG, 3 << 8 | 13);
    injects("CONTROL_INJECTION_DELIVERS_CODE", LONG, 3 << 8 | 6 | 1 << 11);
    injects("CONTROL_INJECTION_DELIVERS_CODE", LONG, 4 << 8 | 13 | 1 << 11);
    injects("CONTROL_INJECTION_DELIVERS_CODE", REAL, 3 << 8 | 13 | 1 << 11);
    injects("CONTROL_INJECTION_RESERVED", LONG, 3 << 8 | 6 | 1 << 12);
    injects("CONTROL_INJECTION_RESERVED", LONG, 3 << 8 | 6 | 1 << 30);
    fails(
        "CONTROL_INJECTION_ERROR_CODE",
        LONG,
        h -> {
          h.set(VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE, 1 << 16);
          h.set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000000L | 3 << 8 | 1 << 11 | 13);
        });
    fails(
        "CONTROL_INJECTION_LENGTH",
        LONG,
        h -> {
          h.set(VmcsField.VM_ENTRY_INSTRUCTION_LEN, 16);
          h.set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000000L | 4 << 8 | 0x80);
        });
  }

  private static void hostState() {
    fails("HOST_CR0_FIXED", LONG, h -> h.clear(VmcsField.HOST_CR0, 1 << 5));
    fails("HOST_CR0_FIXED", LONG, h -> h.or(VmcsField.HOST_CR0, 1L << 32));
    fails("HOST_CR4_FIXED", LONG, h -> h.clear(VmcsField.HOST_CR4, 1 << 13));
    fails("HOST_CR4_FIXED", LONG, h -> h.or(VmcsField.HOST_CR4, 1 << 15));
    fails(
        "HOST_CR4_CET",
        LONG,
        h -> h.or(VmcsField.HOST_CR4, 1 << 23).clear(VmcsField.HOST_CR0, 1 << 16));
    fails("HOST_CR3_WIDTH", LONG, h -> h.or(VmcsField.HOST_CR3, BEYOND));
    fails(
        "HOST_IA32_SYSENTER_ESP_CANONICAL",
        LONG,
        h -> h.set(VmcsField.HOST_IA32_SYSENTER_ESP, NON_CANONICAL));
    fails(
        "HOST_IA32_SYSENTER_EIP_CANONICAL",
        LONG,
        h -> h.set(VmcsField.HOST_IA32_SYSENTER_EIP, NON_CANONICAL));
    fails("HOST_IA32_PAT_TYPES", LONG, h -> h.set(VmcsField.HOST_IA32_PAT, 2));
    fails("HOST_IA32_PAT_TYPES", LONG, h -> h.set(VmcsField.HOST_IA32_PAT, 0x08L << 56));
    fails("HOST_IA32_EFER_RESERVED", LONG, h -> h.or(VmcsField.HOST_IA32_EFER, 2));
    fails("HOST_IA32_EFER_LMA", LONG, h -> h.clear(VmcsField.HOST_IA32_EFER, 0x400));
    fails("HOST_IA32_EFER_LMA", LONG, h -> h.clear(VmcsField.HOST_IA32_EFER, 0x100));
    for (long bit : new long[] {1L << 4, 1L << 35}) {
      fails(
          "HOST_IA32_PERF_GLOBAL_CTRL_RESERVED",
          LONG,
          h -> h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL),
          h -> h.set(VmcsField.HOST_IA32_PERF_GLOBAL_CTRL, bit));
    }
    fails(
        "HOST_IA32_PKRS_RESERVED",
        LONG,
        h -> h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_LOAD_IA32_PKRS),
        h -> h.set(VmcsField.HOST_IA32_PKRS, 1L << 32));
    Consumer<MinimalHypervisor> cet =
        h -> h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_LOAD_CET_STATE);
    for (long bits : new long[] {0x40, 0x200, 0xc00}) {
      fails("HOST_S_CET_BITS", LONG, cet, h -> h.set(VmcsField.HOST_S_CET, bits));
    }
    fails("HOST_SSP_ALIGNED", LONG, cet, h -> h.set(VmcsField.HOST_SSP, 0x1002));
    fails(
        "HOST_INTR_SSP_TABLE_CANONICAL",
        LONG,
        cet,
        h -> h.set(VmcsField.HOST_INTR_SSP_TABLE, NON_CANONICAL));
    fails(
        "HOST_32BIT_S_CET",
        PROTECTED,
        h -> {
          host32(h);
          cet.accept(h);
        },
        h -> h.set(VmcsField.HOST_S_CET, 1L << 32));
    fails(
        "HOST_32BIT_SSP",
        PROTECTED,
        h -> {
          host32(h);
          cet.accept(h);
        },
        h -> h.set(VmcsField.HOST_SSP, 1L << 32));
    fails("HOST_64BIT_S_CET", LONG, cet, h -> h.set(VmcsField.HOST_S_CET, NON_CANONICAL));
    fails("HOST_64BIT_SSP", LONG, cet, h -> h.set(VmcsField.HOST_SSP, NON_CANONICAL));
    for (VmcsField field :
        List.of(
            VmcsField.HOST_CS_SELECTOR,
            VmcsField.HOST_SS_SELECTOR,
            VmcsField.HOST_DS_SELECTOR,
            VmcsField.HOST_ES_SELECTOR,
            VmcsField.HOST_FS_SELECTOR,
            VmcsField.HOST_GS_SELECTOR,
            VmcsField.HOST_TR_SELECTOR)) {
      for (int bit = 0; bit < 3; bit++) {
        long mask = 1 << bit;
        fails(field + "_RPL_TI", LONG, h -> h.or(field, mask));
      }
    }
    fails("HOST_CS_SELECTOR_NULL", LONG, h -> h.set(VmcsField.HOST_CS_SELECTOR, 0));
    fails("HOST_TR_SELECTOR_NULL", LONG, h -> h.set(VmcsField.HOST_TR_SELECTOR, 0));
    fails(
        "HOST_SS_SELECTOR_NULL",
        PROTECTED,
        EntryCheckCases::host32,
        h -> h.set(VmcsField.HOST_SS_SELECTOR, 0));
    for (VmcsField field :
        List.of(
            VmcsField.HOST_FS_BASE,
            VmcsField.HOST_GS_BASE,
            VmcsField.HOST_GDTR_BASE,
            VmcsField.HOST_IDTR_BASE,
            VmcsField.HOST_TR_BASE)) {
      fails(field + "_CANONICAL", LONG, h -> h.set(field, NON_CANONICAL));
    }
  }

  /** A host outside of IA-32e mode. */
  static void host32(MinimalHypervisor h) {
    h.cpu.cr0 = 0x80050033L;
    h.cpu.cr3 = MinimalHypervisor.PAGE_TABLE_32;
    h.cpu.cr4 = 0x2010;
    h.cpu.efer = 0;
    h.cpu.seg[Cpu.CS].set(0x18, 0, 0xffffffffL, 0xc09b);
    h.cpu.updateMode();
    h.clear(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE);
    h.set(VmcsField.HOST_IA32_EFER, 0);
    h.set(VmcsField.HOST_CR4, 0x2010);
    h.set(VmcsField.HOST_CR3, MinimalHypervisor.PAGE_TABLE_32);
    h.set(VmcsField.HOST_CS_SELECTOR, 0x18);
  }

  private static void addressSpace() {
    fails(
        "HOST_OUTSIDE_IA32E",
        PROTECTED,
        EntryCheckCases::host32,
        h -> {
          h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE);
          h.set(VmcsField.HOST_IA32_EFER, 0x500);
        });
    fails(
        "HOST_OUTSIDE_IA32E",
        PROTECTED,
        EntryCheckCases::host32,
        h -> h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_IA32E_MODE));
    fails(
        "HOST_IN_IA32E",
        PROTECTED,
        h -> {
          h.clear(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE);
          h.set(VmcsField.HOST_IA32_EFER, 0);
        });
    failsToo(
        "HOST_32BIT_GUEST",
        LONG,
        h -> h.clear(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE));
    fails(
        "HOST_32BIT_PCIDE",
        PROTECTED,
        EntryCheckCases::host32,
        h -> h.or(VmcsField.HOST_CR4, 1 << 17));
    fails(
        "HOST_32BIT_RIP",
        PROTECTED,
        EntryCheckCases::host32,
        h -> h.set(VmcsField.HOST_RIP, 1L << 32));
    fails("HOST_64BIT_PAE", LONG, h -> h.clear(VmcsField.HOST_CR4, 1 << 5));
    fails("HOST_64BIT_RIP", LONG, h -> h.set(VmcsField.HOST_RIP, NON_CANONICAL));
  }

  private static void guestRegisters() {
    fails("GUEST_CR0_FIXED", LONG, h -> h.clear(VmcsField.GUEST_CR0, 1 << 5));
    fails("GUEST_CR0_FIXED", LONG, h -> h.or(VmcsField.GUEST_CR0, 1L << 32));
    fails("GUEST_CR0_FIXED", PROTECTED, h -> h.clear(VmcsField.GUEST_CR0, 1L << 31));
    fails("GUEST_CR0_PG_PE", REAL, h -> h.or(VmcsField.GUEST_CR0, 1L << 31));
    fails("GUEST_CR4_FIXED", LONG, h -> h.clear(VmcsField.GUEST_CR4, 1 << 13));
    fails("GUEST_CR4_FIXED", LONG, h -> h.or(VmcsField.GUEST_CR4, 1 << 15));
    fails(
        "GUEST_CR4_CET",
        LONG,
        h -> h.or(VmcsField.GUEST_CR4, 1 << 23).clear(VmcsField.GUEST_CR0, 1 << 16));
    fails("GUEST_IA32_DEBUGCTL_RESERVED", LONG, h -> h.set(VmcsField.GUEST_IA32_DEBUGCTL, 1 << 5));
    fails("GUEST_IA32E_PAGING", LONG, h -> h.clear(VmcsField.GUEST_CR4, 1 << 5));
    fails("GUEST_CR4_PCIDE", PROTECTED, h -> h.or(VmcsField.GUEST_CR4, 1 << 17));
    fails("GUEST_CR3_WIDTH", LONG, h -> h.or(VmcsField.GUEST_CR3, BEYOND));
    fails("GUEST_DR7_RESERVED", LONG, h -> h.set(VmcsField.GUEST_DR7, 1L << 32));
    fails(
        "GUEST_SYSENTER_ESP_CANONICAL",
        LONG,
        h -> h.set(VmcsField.GUEST_SYSENTER_ESP, NON_CANONICAL));
    fails(
        "GUEST_SYSENTER_EIP_CANONICAL",
        LONG,
        h -> h.set(VmcsField.GUEST_SYSENTER_EIP, NON_CANONICAL));
    fails("GUEST_IA32_PAT_TYPES", LONG, h -> h.set(VmcsField.GUEST_IA32_PAT, 3 << 8));
    fails("GUEST_IA32_EFER_RESERVED", LONG, h -> h.or(VmcsField.GUEST_IA32_EFER, 1 << 9));
    fails("GUEST_IA32_EFER_LMA", LONG, h -> h.clear(VmcsField.GUEST_IA32_EFER, 0x400));
    fails("GUEST_IA32_EFER_LMA", PROTECTED, h -> h.or(VmcsField.GUEST_IA32_EFER, 0x500));
    fails("GUEST_IA32_EFER_LME", LONG, h -> h.clear(VmcsField.GUEST_IA32_EFER, 0x100));
    for (long bit : new long[] {1L << 31, 1L << 63}) {
      fails(
          "GUEST_IA32_PERF_GLOBAL_CTRL_RESERVED",
          LONG,
          h -> h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL),
          h -> h.set(VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL, bit));
    }
    fails(
        "GUEST_IA32_PKRS_RESERVED",
        LONG,
        h -> h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_IA32_PKRS),
        h -> h.set(VmcsField.GUEST_IA32_PKRS, 1L << 40));
    Consumer<MinimalHypervisor> cet =
        h -> h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_CET_STATE);
    for (long bits : new long[] {0x40, 0x200, 0xc00}) {
      fails("GUEST_S_CET_BITS", LONG, cet, h -> h.set(VmcsField.GUEST_S_CET, bits));
    }
    fails("GUEST_S_CET_CANONICAL", LONG, cet, h -> h.set(VmcsField.GUEST_S_CET, NON_CANONICAL));
    fails(
        "GUEST_INTR_SSP_TABLE_CANONICAL",
        LONG,
        cet,
        h -> h.set(VmcsField.GUEST_INTR_SSP_TABLE, NON_CANONICAL));
    fails("GUEST_SSP_ALIGNED", LONG, cet, h -> h.set(VmcsField.GUEST_SSP, 0x1002));
    fails("GUEST_SSP_WIDTH", LONG, cet, h -> h.set(VmcsField.GUEST_SSP, NON_CANONICAL));
  }

  private static VmcsField base(int s) {
    return VmcsField.at(VmcsField.GUEST_ES_BASE.ordinal() + s);
  }

  private static VmcsField limit(int s) {
    return VmcsField.at(VmcsField.GUEST_ES_LIMIT.ordinal() + s);
  }

  private static VmcsField ar(int s) {
    return VmcsField.at(VmcsField.GUEST_ES_AR_BYTES.ordinal() + s);
  }

  private static void usableLdtr(MinimalHypervisor h) {
    h.segment(Cpu.LDTR, 0x28, MinimalHypervisor.TSS, 0xfff, 0x82);
  }

  private static void guestSegments() {
    fails("GUEST_TR_SELECTOR_TI", LONG, h -> h.or(VmcsField.GUEST_TR_SELECTOR, 4));
    fails(
        "GUEST_LDTR_SELECTOR_TI",
        LONG,
        EntryCheckCases::usableLdtr,
        h -> h.or(VmcsField.GUEST_LDTR_SELECTOR, 4));
    fails("GUEST_SS_SELECTOR_RPL", LONG, h -> h.or(VmcsField.GUEST_SS_SELECTOR, 3));
    for (int s = 0; s < 6; s++) {
      VmcsField base = base(s);
      VmcsField limit = limit(s);
      VmcsField ar = ar(s);
      fails("GUEST_" + SEGMENTS[s] + "_BASE_V86", V86, h -> h.set(base, h.get(base) + 16));
      fails("GUEST_" + SEGMENTS[s] + "_LIMIT_V86", V86, h -> h.set(limit, 0xfffff));
      fails("GUEST_" + SEGMENTS[s] + "_AR_V86", V86, h -> h.set(ar, 0x93));
    }
    for (VmcsField field :
        List.of(VmcsField.GUEST_TR_BASE, VmcsField.GUEST_FS_BASE, VmcsField.GUEST_GS_BASE)) {
      fails(field + "_CANONICAL", LONG, h -> h.set(field, NON_CANONICAL));
    }
    fails(
        "GUEST_LDTR_BASE_CANONICAL",
        LONG,
        EntryCheckCases::usableLdtr,
        h -> h.set(VmcsField.GUEST_LDTR_BASE, NON_CANONICAL));
    fails("GUEST_CS_BASE_WIDTH", LONG, h -> h.set(VmcsField.GUEST_CS_BASE, 1L << 32));
    for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES}) {
      VmcsField base = base(s);
      fails("GUEST_" + SEGMENTS[s] + "_BASE_WIDTH", LONG, h -> h.set(base, 1L << 32));
    }
  }

  private static void segmentRights() {
    fails("GUEST_CS_AR_TYPE", LONG, h -> h.set(VmcsField.GUEST_CS_AR_BYTES, 0xa09a));
    fails("GUEST_CS_AR_TYPE", LONG, h -> h.set(VmcsField.GUEST_CS_AR_BYTES, 0xa093));
    fails("GUEST_SS_AR_TYPE", LONG, h -> h.set(VmcsField.GUEST_SS_AR_BYTES, 0xc091));
    fails("GUEST_SS_AR_TYPE", LONG, h -> h.set(VmcsField.GUEST_SS_AR_BYTES, 0xc09b));
    for (int s : new int[] {Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      VmcsField ar = ar(s);
      fails("GUEST_" + SEGMENTS[s] + "_AR_TYPE", LONG, h -> h.set(ar, 0xc092));
      fails("GUEST_" + SEGMENTS[s] + "_AR_TYPE", LONG, h -> h.set(ar, 0xc099));
      // A selector with RPL 3 in a data segment of DPL 0.
      VmcsField selector = VmcsField.at(VmcsField.GUEST_ES_SELECTOR.ordinal() + s);
      fails("GUEST_" + SEGMENTS[s] + "_AR_DPL", LONG, h -> h.or(selector, 3));
    }
    for (int s = 0; s < 6; s++) {
      VmcsField ar = ar(s);
      VmcsField limit = limit(s);
      String name = "GUEST_" + SEGMENTS[s] + "_AR_";
      fails(name + "S", LONG, h -> h.clear(ar, Segment.S));
      fails(name + "P", LONG, h -> h.clear(ar, Segment.P));
      fails(name + "RESERVED", LONG, h -> h.or(ar, 1 << 8));
      fails(name + "RESERVED", LONG, h -> h.or(ar, 1 << 17));
      fails(name + "G", LONG, h -> h.clear(ar, Segment.G));
      fails(name + "G", LONG, h -> h.set(limit, 0xffffffe));
    }
    fails(
        "GUEST_CS_AR_DPL",
        LONG,
        h -> {
          h.set(VmcsField.GUEST_CS_AR_BYTES, 0xa0fb);
        });
    fails(
        "GUEST_CS_AR_DPL",
        LONG,
        h -> {
          // Conforming code of DPL 3 with a stack of DPL 0.
          h.set(VmcsField.GUEST_CS_AR_BYTES, 0xa0ff);
        });
    fails(
        "GUEST_SS_AR_DPL_RPL",
        LONG,
        h -> {
          h.or(VmcsField.GUEST_SS_SELECTOR, 3);
          h.or(VmcsField.GUEST_CS_SELECTOR, 3);
        });
    fails(
        "GUEST_SS_AR_DPL_ZERO",
        REAL,
        h -> {
          h.set(VmcsField.GUEST_SS_AR_BYTES, 0xf3);
          h.set(VmcsField.GUEST_CS_AR_BYTES, 0xfb);
        });
    fails("GUEST_CS_AR_DB", LONG, h -> h.or(VmcsField.GUEST_CS_AR_BYTES, Segment.DB));

    fails("GUEST_TR_AR_TYPE", LONG, h -> h.set(VmcsField.GUEST_TR_AR_BYTES, 0x83));
    fails("GUEST_TR_AR_TYPE", PROTECTED, h -> h.set(VmcsField.GUEST_TR_AR_BYTES, 0x89));
    fails("GUEST_TR_AR_S", LONG, h -> h.or(VmcsField.GUEST_TR_AR_BYTES, Segment.S));
    fails("GUEST_TR_AR_P", LONG, h -> h.clear(VmcsField.GUEST_TR_AR_BYTES, Segment.P));
    fails("GUEST_TR_AR_RESERVED", LONG, h -> h.or(VmcsField.GUEST_TR_AR_BYTES, 1 << 11));
    fails("GUEST_TR_AR_G", LONG, h -> h.or(VmcsField.GUEST_TR_AR_BYTES, Segment.G));
    fails("GUEST_TR_AR_G", LONG, h -> h.set(VmcsField.GUEST_TR_LIMIT, 0x100000));
    fails("GUEST_TR_AR_USABLE", LONG, h -> h.or(VmcsField.GUEST_TR_AR_BYTES, Segment.UNUSABLE));
    VmcsField ldtr = VmcsField.GUEST_LDTR_AR_BYTES;
    fails("GUEST_LDTR_AR_TYPE", LONG, EntryCheckCases::usableLdtr, h -> h.set(ldtr, 0x83));
    fails("GUEST_LDTR_AR_S", LONG, EntryCheckCases::usableLdtr, h -> h.or(ldtr, Segment.S));
    fails("GUEST_LDTR_AR_P", LONG, EntryCheckCases::usableLdtr, h -> h.clear(ldtr, Segment.P));
    fails("GUEST_LDTR_AR_RESERVED", LONG, EntryCheckCases::usableLdtr, h -> h.or(ldtr, 1 << 9));
    fails(
        "GUEST_LDTR_AR_G",
        LONG,
        h -> {
          usableLdtr(h);
          h.set(VmcsField.GUEST_LDTR_LIMIT, 0x67);
        },
        h -> h.or(ldtr, Segment.G));
    fails(
        "GUEST_LDTR_AR_G",
        LONG,
        EntryCheckCases::usableLdtr,
        h -> h.set(VmcsField.GUEST_LDTR_LIMIT, 0x100000));
  }

  private static void guestRest() {
    fails("GUEST_GDTR_BASE_CANONICAL", LONG, h -> h.set(VmcsField.GUEST_GDTR_BASE, NON_CANONICAL));
    fails("GUEST_IDTR_BASE_CANONICAL", LONG, h -> h.set(VmcsField.GUEST_IDTR_BASE, NON_CANONICAL));
    fails("GUEST_GDTR_LIMIT_WIDTH", LONG, h -> h.set(VmcsField.GUEST_GDTR_LIMIT, 0x10000));
    fails("GUEST_IDTR_LIMIT_WIDTH", LONG, h -> h.set(VmcsField.GUEST_IDTR_LIMIT, 0x10000));
    fails("GUEST_RIP_WIDTH", PROTECTED, h -> h.set(VmcsField.GUEST_RIP, 1L << 32));
    fails("GUEST_RIP_CANONICAL", LONG, h -> h.set(VmcsField.GUEST_RIP, NON_CANONICAL));
    for (int bit : new int[] {3, 5, 15, 22, 63}) {
      fails("GUEST_RFLAGS_RESERVED", LONG, h -> h.or(VmcsField.GUEST_RFLAGS, 1L << bit));
    }
    fails("GUEST_RFLAGS_RESERVED", LONG, h -> h.clear(VmcsField.GUEST_RFLAGS, 2));
    failsToo("GUEST_RFLAGS_VM", LONG, h -> h.or(VmcsField.GUEST_RFLAGS, 1 << 17));
    failsToo(
        "GUEST_RFLAGS_VM",
        UNPAGED,
        h -> h.clear(VmcsField.GUEST_CR0, 1).or(VmcsField.GUEST_RFLAGS, 1 << 17));
    injects("GUEST_RFLAGS_IF", LONG, 0x20);

    VmcsField activity = VmcsField.GUEST_ACTIVITY_STATE;
    VmcsField blocking = VmcsField.GUEST_INTERRUPTIBILITY_INFO;
    fails("GUEST_ACTIVITY_SUPPORTED", LONG, h -> h.set(activity, 4));
    fails(
        "GUEST_ACTIVITY_HLT_CPL",
        LONG,
        h -> {
          h.segment(Cpu.CS, 0xb, 0, 0xffffffffL, 0xa0fb);
          h.segment(Cpu.SS, 0x13, 0, 0xffffffffL, 0xc0f3);
        },
        h -> h.set(activity, 1));
    fails(
        "GUEST_ACTIVITY_BLOCKING",
        LONG,
        h -> h.or(VmcsField.GUEST_RFLAGS, 0x200).set(blocking, 1).set(activity, 2));
    fails(
        "GUEST_ACTIVITY_INJECTION",
        LONG,
        h -> h.set(activity, 1).set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000000L | 3 << 8 | 6));
    fails(
        "GUEST_ACTIVITY_INJECTION",
        LONG,
        h -> h.set(activity, 3).set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000000L | 2 << 8 | 2));

    fails("GUEST_INTERRUPTIBILITY_RESERVED", LONG, h -> h.set(blocking, 1 << 5));
    fails("GUEST_INTERRUPTIBILITY_RESERVED", LONG, h -> h.set(blocking, 1 << 4));
    fails(
        "GUEST_INTERRUPTIBILITY_STI_MOV_SS",
        LONG,
        h -> h.or(VmcsField.GUEST_RFLAGS, 0x200).set(blocking, 3));
    fails("GUEST_INTERRUPTIBILITY_STI_IF", LONG, h -> h.set(blocking, 1));
    fails(
        "GUEST_INTERRUPTIBILITY_INTERRUPT",
        LONG,
        h ->
            h.or(VmcsField.GUEST_RFLAGS, 0x200)
                .set(blocking, 1)
                .set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000020L));
    fails(
        "GUEST_INTERRUPTIBILITY_NMI_MOV_SS",
        LONG,
        h -> h.set(blocking, 2).set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000202L));
    fails("GUEST_INTERRUPTIBILITY_SMI", LONG, h -> h.set(blocking, 4));
    fails(
        "GUEST_INTERRUPTIBILITY_VIRTUAL_NMI",
        LONG,
        h -> h.pin(Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS),
        h -> h.set(blocking, 8).set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000202L));

    VmcsField pending = VmcsField.GUEST_PENDING_DBG_EXCEPTIONS;
    fails("GUEST_PENDING_DEBUG_RESERVED", LONG, h -> h.set(pending, 1 << 4));
    fails("GUEST_PENDING_DEBUG_RESERVED", LONG, h -> h.set(pending, 1 << 13));
    fails(
        "GUEST_PENDING_DEBUG_BS", LONG, h -> h.set(blocking, 2).or(VmcsField.GUEST_RFLAGS, 0x100));
    fails("GUEST_PENDING_DEBUG_BS", LONG, h -> h.set(blocking, 2).set(pending, 1 << 14));

    VmcsField link = VmcsField.VMCS_LINK_POINTER;
    fails("GUEST_LINK_POINTER_ADDRESS", LONG, h -> h.set(link, 0x9800));
    fails("GUEST_LINK_POINTER_ADDRESS", LONG, h -> h.set(link, BEYOND | 0x9000));
    fails(
        "GUEST_LINK_POINTER_REVISION",
        LONG,
        h -> h.set(link, MinimalHypervisor.LINKED_VMCS),
        h -> h.memory.writeInt(MinimalHypervisor.LINKED_VMCS, 5));
    fails("GUEST_LINK_POINTER_CURRENT", LONG, h -> h.set(link, MinimalHypervisor.VMCS_REGION));

    fails("GUEST_PDPTES_FIELDS", PAE, h -> h.set(VmcsField.GUEST_PDPTR1, 0x1001 | 2));
    fails("GUEST_PDPTES_FIELDS", PAE, h -> h.set(VmcsField.GUEST_PDPTR3, 1 | BEYOND));
    fails(
        "GUEST_PDPTES_MEMORY",
        PAE,
        EntryCheckCases::withoutEpt,
        h -> h.memory.writeLong(MinimalHypervisor.PAE_TABLE + 8, 3));
  }
}
