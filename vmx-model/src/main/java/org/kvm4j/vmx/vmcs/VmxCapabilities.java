package org.kvm4j.vmx.vmcs;

import java.util.Set;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.VmxFeature;
import org.kvm4j.cpu.semantics.ControlRegisters;

/**
 * What a processor's VMX can do: the values of the IA32_VMX_* MSRs, from which VM entry's checks,
 * the existence of VMCS fields and the instructions' behaviour follow. It never changes; {@code
 * with} and {@code without} give variants.
 *
 * <p>Source: SDM appendix A "VMX Capability Reporting Facility".
 */
public final class VmxCapabilities {
  public static final int IA32_FEATURE_CONTROL = 0x3a;
  public static final int IA32_VMX_BASIC = 0x480;
  public static final int IA32_VMX_PINBASED_CTLS = 0x481;
  public static final int IA32_VMX_PROCBASED_CTLS = 0x482;
  public static final int IA32_VMX_EXIT_CTLS = 0x483;
  public static final int IA32_VMX_ENTRY_CTLS = 0x484;
  public static final int IA32_VMX_MISC = 0x485;
  public static final int IA32_VMX_CR0_FIXED0 = 0x486;
  public static final int IA32_VMX_CR0_FIXED1 = 0x487;
  public static final int IA32_VMX_CR4_FIXED0 = 0x488;
  public static final int IA32_VMX_CR4_FIXED1 = 0x489;
  public static final int IA32_VMX_VMCS_ENUM = 0x48a;
  public static final int IA32_VMX_PROCBASED_CTLS2 = 0x48b;
  public static final int IA32_VMX_EPT_VPID_CAP = 0x48c;
  public static final int IA32_VMX_TRUE_PINBASED_CTLS = 0x48d;
  public static final int IA32_VMX_TRUE_PROCBASED_CTLS = 0x48e;
  public static final int IA32_VMX_TRUE_EXIT_CTLS = 0x48f;
  public static final int IA32_VMX_TRUE_ENTRY_CTLS = 0x490;
  public static final int IA32_VMX_VMFUNC = 0x491;
  public static final int IA32_VMX_PROCBASED_CTLS3 = 0x492;
  public static final int IA32_VMX_EXIT_CTLS2 = 0x493;

  /** The VMCS revision identifier: names the layout of {@link Vmcs} in memory. */
  public static final int REVISION = 0x4b34_0001;

  // IA32_VMX_BASIC. SDM A.1 "Basic VMX Information".
  public static final long BASIC_INS_OUTS_INFORMATION = 1L << 54;
  public static final long BASIC_TRUE_CONTROLS = 1L << 55;

  /** Any hardware exception may be injected with or without an error code. */
  public static final long BASIC_ANY_ERROR_CODE = 1L << 56;

  // IA32_VMX_MISC. SDM A.6 "Miscellaneous Data".
  public static final long MISC_STORES_LMA = 1 << 5;
  public static final long MISC_ACTIVITY_HLT = 1 << 6;
  public static final long MISC_ACTIVITY_SHUTDOWN = 1 << 7;
  public static final long MISC_ACTIVITY_WAIT_SIPI = 1 << 8;
  public static final long MISC_VMWRITE_ANY_FIELD = 1 << 29;
  public static final long MISC_INJECT_LENGTH_0 = 1 << 30;

  // IA32_VMX_EPT_VPID_CAP. SDM A.10 "VPID and EPT Capabilities".
  public static final long EPT_EXECUTE_ONLY = 1;
  public static final long EPT_PAGE_WALK_4 = 1 << 6;
  public static final long EPT_PAGE_WALK_5 = 1 << 7;
  public static final long EPT_UC = 1 << 8;
  public static final long EPT_WB = 1 << 14;
  public static final long EPT_2M = 1 << 16;
  public static final long EPT_1G = 1 << 17;
  public static final long EPT_INVEPT = 1 << 20;
  public static final long EPT_ACCESSED_DIRTY = 1 << 21;
  public static final long EPT_ADVANCED_INFORMATION = 1 << 22;
  public static final long EPT_SUPERVISOR_SHADOW_STACK = 1 << 23;
  public static final long EPT_INVEPT_SINGLE = 1 << 25;
  public static final long EPT_INVEPT_ALL = 1 << 26;
  public static final long VPID_INVVPID = 1L << 32;
  public static final long VPID_INDIVIDUAL_ADDRESS = 1L << 40;
  public static final long VPID_SINGLE_CONTEXT = 1L << 41;
  public static final long VPID_ALL_CONTEXTS = 1L << 42;
  public static final long VPID_SINGLE_CONTEXT_KEEP_GLOBALS = 1L << 43;

  /** Bits 53:48: the maximum HLAT prefix size is 1. */
  public static final long MAXIMUM_HLAT_PREFIX_1 = 1L << 48;

  /** IA32_FEATURE_CONTROL: lock, VMXON in SMX operation, VMXON outside of it. */
  public static final long FEATURE_CONTROL_LOCK = 1;

  public static final long FEATURE_CONTROL_VMXON_IN_SMX = 2;
  public static final long FEATURE_CONTROL_VMXON = 4;

  private static final ControlWord[] WORDS = ControlWord.values();

  /** By ordinal of {@link ControlWord}: bits that may be 1, those fixed to 1 included. */
  private final long[] allowed1;

  /** By ordinal of {@link ControlWord}: bits that must be 1 (TRUE MSRs, where there are any). */
  private final long[] required1;

  /** MAXPHYADDR. */
  public final int physicalAddressBits;

  public final long basic;
  public final long misc;
  public final long cr0Fixed0;
  public final long cr0Fixed1;
  public final long cr4Fixed0;
  public final long cr4Fixed1;
  public final long eptVpid;

  private VmxCapabilities(
      long[] allowed1,
      long[] required1,
      int physicalAddressBits,
      long basic,
      long misc,
      long cr0Fixed0,
      long cr0Fixed1,
      long cr4Fixed0,
      long cr4Fixed1,
      long eptVpid) {
    this.allowed1 = allowed1;
    this.required1 = required1;
    this.physicalAddressBits = physicalAddressBits;
    this.basic = basic;
    this.misc = misc;
    this.cr0Fixed0 = cr0Fixed0;
    this.cr0Fixed1 = cr0Fixed1;
    this.cr4Fixed0 = cr4Fixed0;
    this.cr4Fixed1 = cr4Fixed1;
    this.eptVpid = eptVpid;
  }

  /** What the features of a processor's model say. */
  public static VmxCapabilities of(CpuModel model) {
    long[] allowed1 = new long[WORDS.length];
    long[] required1 = new long[WORDS.length];
    for (ControlWord word : WORDS) {
      allowed1[word.ordinal()] = word.fixed1 | word.default1;
      required1[word.ordinal()] = word.default1;
    }
    Set<VmxFeature> features = model.vmxFeatures();
    long basic = REVISION | (long) Vmcs.REGION_SIZE << 32 | 6L << 50;
    long misc = model.vmxTimerRate() | 4 << 16;
    long eptVpid = features.contains(VmxFeature.EPT) ? EPT_UC | EPT_WB : 0;
    if (features.contains(VmxFeature.HLAT)) {
      eptVpid |= MAXIMUM_HLAT_PREFIX_1;
    }
    for (VmxFeature feature : features) {
      long mask = 1L << feature.bit;
      switch (feature.word) {
        case BASIC -> basic |= mask;
        case MISC -> misc |= mask;
        case EPT_VPID -> eptVpid |= mask;
        default -> {
          int word = controls(feature.word).ordinal();
          allowed1[word] |= mask;
          required1[word] &= ~mask;
        }
      }
    }
    if (features.contains(VmxFeature.ENTRY_IA32E_MODE)) {
      allowed1[ControlWord.VM_EXIT.ordinal()] |= Control.HOST_ADDRESS_SPACE_SIZE.mask;
    }
    return new VmxCapabilities(
        allowed1,
        required1,
        model.physicalAddressBits(),
        basic,
        misc,
        ControlBits.CR0_PE | ControlBits.CR0_NE | ControlBits.CR0_PG,
        0xffffffffL,
        ControlBits.CR4_VMXE,
        ControlRegisters.cr4Defined(model) | ControlBits.CR4_VMXE,
        eptVpid);
  }

  private static ControlWord controls(VmxFeature.Word word) {
    return switch (word) {
      case PIN_BASED -> ControlWord.PIN_BASED;
      case PROCESSOR_BASED -> ControlWord.PROCESSOR_BASED;
      case SECONDARY -> ControlWord.SECONDARY;
      case TERTIARY -> ControlWord.TERTIARY;
      case VM_FUNCTION -> ControlWord.VM_FUNCTION;
      case VM_EXIT -> ControlWord.VM_EXIT;
      case VM_ENTRY -> ControlWord.VM_ENTRY;
      case BASIC, MISC, EPT_VPID -> throw new IllegalArgumentException(word + " has no controls");
    };
  }

  /** These capabilities with more controls that may be 1. */
  public VmxCapabilities with(Control... controls) {
    long[] more = allowed1.clone();
    for (Control control : controls) {
      more[control.word.ordinal()] |= control.mask;
    }
    return copy(more, basic, misc, cr4Fixed1, eptVpid);
  }

  /** These capabilities with controls that must be 0. */
  public VmxCapabilities without(Control... controls) {
    long[] fewer = allowed1.clone();
    for (Control control : controls) {
      fewer[control.word.ordinal()] &= ~(control.mask & ~control.word.default1);
    }
    return copy(fewer, basic, misc, cr4Fixed1, eptVpid);
  }

  /** These capabilities with another IA32_VMX_EPT_VPID_CAP. */
  public VmxCapabilities withEptVpid(long value) {
    return copy(allowed1, basic, misc, cr4Fixed1, value);
  }

  /** These capabilities with another IA32_VMX_MISC. */
  public VmxCapabilities withMisc(long value) {
    return copy(allowed1, basic, value, cr4Fixed1, eptVpid);
  }

  /** These capabilities with another IA32_VMX_BASIC. */
  public VmxCapabilities withBasic(long value) {
    return copy(allowed1, value, misc, cr4Fixed1, eptVpid);
  }

  /** These capabilities with another IA32_VMX_CR4_FIXED1. */
  public VmxCapabilities withCr4Fixed1(long value) {
    return copy(allowed1, basic, misc, value, eptVpid);
  }

  private VmxCapabilities copy(
      long[] allowed1, long basic, long misc, long cr4Fixed1, long eptVpid) {
    return new VmxCapabilities(
        allowed1,
        required1,
        physicalAddressBits,
        basic,
        misc,
        cr0Fixed0,
        cr0Fixed1,
        cr4Fixed0,
        cr4Fixed1,
        eptVpid);
  }

  /** Whether the control may be 1. */
  public boolean allows(Control control) {
    return (allowed1[control.word.ordinal()] & control.mask) != 0;
  }

  /** Bits of a word of controls that may be 1. */
  public long allowed1(ControlWord word) {
    return allowed1[word.ordinal()];
  }

  /** Bits of a word of controls that must be 1. */
  public long required1(ControlWord word) {
    return (basic & BASIC_TRUE_CONTROLS) != 0 ? required1[word.ordinal()] : word.default1;
  }

  /** Bits that no physical address has. */
  public long physicalAddressReserved() {
    return -1L << physicalAddressBits;
  }

  /** The number of CR3-target values. */
  public int cr3Targets() {
    return (int) (misc >> 16) & 0x1ff;
  }

  /** The recommended maximum of entries in each MSR list. */
  public int maxMsrListEntries() {
    return 512 * ((int) (misc >> 25 & 7) + 1);
  }

  /** The VMX-preemption timer counts down when this bit of the TSC changes. */
  public int preemptionTimerShift() {
    return (int) misc & 31;
  }

  /** Whether the processor has this capability MSR. */
  public boolean hasMsr(int index) {
    return switch (index) {
      case IA32_VMX_PROCBASED_CTLS2 -> allows(Control.ACTIVATE_SECONDARY_CONTROLS);
      case IA32_VMX_EPT_VPID_CAP -> allows(Control.ENABLE_EPT) || allows(Control.ENABLE_VPID);
      case IA32_VMX_TRUE_PINBASED_CTLS,
          IA32_VMX_TRUE_PROCBASED_CTLS,
          IA32_VMX_TRUE_EXIT_CTLS,
          IA32_VMX_TRUE_ENTRY_CTLS ->
          (basic & BASIC_TRUE_CONTROLS) != 0;
      case IA32_VMX_VMFUNC -> allows(Control.ENABLE_VM_FUNCTIONS);
      case IA32_VMX_PROCBASED_CTLS3 -> allows(Control.ACTIVATE_TERTIARY_CONTROLS);
      case IA32_VMX_EXIT_CTLS2 -> allows(Control.ACTIVATE_SECONDARY_EXIT_CONTROLS);
      default -> index >= IA32_VMX_BASIC && index <= IA32_VMX_VMCS_ENUM;
    };
  }

  /** The value of a capability MSR; 0 if there is none. See {@link #hasMsr}. */
  public long msr(int index) {
    if (!hasMsr(index)) {
      return 0;
    }
    return switch (index) {
      case IA32_VMX_BASIC -> basic;
      case IA32_VMX_PINBASED_CTLS -> pair(ControlWord.PIN_BASED, false);
      case IA32_VMX_PROCBASED_CTLS -> pair(ControlWord.PROCESSOR_BASED, false);
      case IA32_VMX_EXIT_CTLS -> pair(ControlWord.VM_EXIT, false);
      case IA32_VMX_ENTRY_CTLS -> pair(ControlWord.VM_ENTRY, false);
      case IA32_VMX_MISC -> misc;
      case IA32_VMX_CR0_FIXED0 -> cr0Fixed0;
      case IA32_VMX_CR0_FIXED1 -> cr0Fixed1;
      case IA32_VMX_CR4_FIXED0 -> cr4Fixed0;
      case IA32_VMX_CR4_FIXED1 -> cr4Fixed1;
      case IA32_VMX_VMCS_ENUM -> (long) highestIndex() << 1;
      case IA32_VMX_PROCBASED_CTLS2 -> pair(ControlWord.SECONDARY, true);
      case IA32_VMX_EPT_VPID_CAP -> eptVpid;
      case IA32_VMX_TRUE_PINBASED_CTLS -> pair(ControlWord.PIN_BASED, true);
      case IA32_VMX_TRUE_PROCBASED_CTLS -> pair(ControlWord.PROCESSOR_BASED, true);
      case IA32_VMX_TRUE_EXIT_CTLS -> pair(ControlWord.VM_EXIT, true);
      case IA32_VMX_TRUE_ENTRY_CTLS -> pair(ControlWord.VM_ENTRY, true);
      case IA32_VMX_VMFUNC -> allowed1(ControlWord.VM_FUNCTION);
      case IA32_VMX_PROCBASED_CTLS3 -> allowed1(ControlWord.TERTIARY);
      case IA32_VMX_EXIT_CTLS2 -> allowed1(ControlWord.SECONDARY_VM_EXIT);
      default -> 0;
    };
  }

  private long pair(ControlWord word, boolean isTrue) {
    return (isTrue ? required1[word.ordinal()] : word.default1) | allowed1(word) << 32;
  }

  /** The highest index of any field that exists. SDM A.9 "VMCS Enumeration". */
  private int highestIndex() {
    int highest = 0;
    for (VmcsField field : VmcsField.values()) {
      if (field.exists(this)) {
        highest = Math.max(highest, field.index);
      }
    }
    return highest;
  }
}
