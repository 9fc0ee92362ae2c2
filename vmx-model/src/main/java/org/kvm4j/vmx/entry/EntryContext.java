package org.kvm4j.vmx.entry;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.PerformanceCounters;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.Feature;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.vmx.exit.InterruptionInfo;
import org.kvm4j.vmx.exit.NonRootOperation;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * What the checks of VM entry read: the VMCS, the capabilities, the processor. Reused, mutable.
 *
 * <p>The methods are questions about {@link #v} that several checks share; each names the fields
 * that it reads, which a check that asks it has to list.
 */
public final class EntryContext {
  public final VmxCapabilities capabilities;
  private final CpuModel model;
  private final @Nullable PhysicalMemory memory;

  /** The fields of the current VMCS, by ordinal. */
  public long[] v = new long[0];

  /** The address of the current VMCS. */
  public long current;

  /** IA32_EFER.LMA of the host at the time of VM entry. */
  public boolean hostLongMode;

  /** A check has asked for memory, and there is none here. */
  private boolean missedMemory;

  private final long physicalReserved;
  private final int unusedLinearBits;
  private final long cetDefined;

  /** The bits that IA32_PERF_GLOBAL_CTRL has. */
  final long perfGlobalDefined;

  /** What the checks read where a processor enters a guest. */
  public EntryContext(Cpu cpu, VmxCapabilities capabilities) {
    this(cpu.model, cpu.mmu.memory, capabilities);
  }

  /**
   * What the checks read of a VMCS without a processor around it.
   *
   * @param memory null if there is none at hand: see {@link #takeMissedMemory}
   */
  public EntryContext(
      CpuModel model, @Nullable PhysicalMemory memory, VmxCapabilities capabilities) {
    this.model = model;
    this.memory = memory;
    this.capabilities = capabilities;
    this.physicalReserved = capabilities.physicalAddressReserved();
    this.unusedLinearBits = 64 - model.linearAddressBits();
    this.cetDefined = MsrTable.cetDefined(model);
    this.perfGlobalDefined = PerformanceCounters.defined(model);
  }

  /** The same with a copy of the fields; memory is the same memory. */
  EntryContext copy() {
    EntryContext copy = new EntryContext(model, memory, capabilities);
    copy.v = v.clone();
    copy.current = current;
    copy.hostLongMode = hostLongMode;
    return copy;
  }

  // ---- memory ----

  byte readByte(long hpa) {
    missedMemory |= memory == null;
    return memory == null ? 0 : memory.readByte(hpa);
  }

  int readInt(long hpa) {
    missedMemory |= memory == null;
    return memory == null ? 0 : memory.readInt(hpa);
  }

  long readLong(long hpa) {
    missedMemory |= memory == null;
    return memory == null ? 0 : memory.readLong(hpa);
  }

  /** Whether a check has read memory since this was asked last, and there was none. */
  public boolean takeMissedMemory() {
    boolean missed = missedMemory;
    missedMemory = false;
    return missed;
  }

  // ---- controls ----

  /** Reads CPU_BASED_VM_EXEC_CONTROL. */
  boolean primary(int mask) {
    return ((int) v[Vmcs.CPU_BASED_VM_EXEC_CONTROL] & mask) != 0;
  }

  /** Reads PIN_BASED_VM_EXEC_CONTROL. */
  boolean pin(int mask) {
    return ((int) v[Vmcs.PIN_BASED_VM_EXEC_CONTROL] & mask) != 0;
  }

  /** Reads CPU_BASED_VM_EXEC_CONTROL and SECONDARY_VM_EXEC_CONTROL. */
  boolean secondary(int mask) {
    return (NonRootOperation.secondary(v) & mask) != 0;
  }

  /** Reads CPU_BASED_VM_EXEC_CONTROL and TERTIARY_VM_EXEC_CONTROL. */
  boolean tertiary(long mask) {
    return (NonRootOperation.tertiary(v) & mask) != 0;
  }

  /** Reads VM_EXIT_CONTROLS. */
  boolean exit(int mask) {
    return ((int) v[Vmcs.VM_EXIT_CONTROLS] & mask) != 0;
  }

  /** Reads VM_ENTRY_CONTROLS. */
  boolean entry(int mask) {
    return ((int) v[Vmcs.VM_ENTRY_CONTROLS] & mask) != 0;
  }

  /** Whether a word of controls has no bit that must be 0, and all that must be 1. */
  boolean isAllowed(ControlWord word, long value) {
    long one = capabilities.required1(word);
    return (value & one) == one && (value & ~capabilities.allowed1(word)) == 0;
  }

  /** The nearest allowed setting of a word of controls. */
  long nearestAllowed(ControlWord word, long value) {
    return value & capabilities.allowed1(word) | capabilities.required1(word);
  }

  /** Reads CPU_BASED_VM_EXEC_CONTROL and SECONDARY_VM_EXEC_CONTROL. */
  boolean unrestricted() {
    return secondary(Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST);
  }

  /** Reads VM_EXIT_CONTROLS. */
  boolean host64() {
    return exit(Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE);
  }

  /** Reads VM_ENTRY_CONTROLS. */
  boolean guestIa32e() {
    return entry(Controls.VM_ENTRY_IA32E_MODE);
  }

  boolean allows(Control control) {
    return capabilities.allows(control);
  }

  // ---- injection ----

  /** Whether a hardware exception has an error code: #CP where CR4.CET may be 1. */
  boolean hasErrorCode(int vector) {
    boolean cet = (capabilities.cr4Fixed1 & ControlBits.CR4_CET) != 0;
    return ((cet ? 0x0022_7d00 : 0x0002_7d00) >> vector & 1) != 0;
  }

  /** Reads VM_ENTRY_INTR_INFO_FIELD. */
  int intrInfo() {
    return (int) v[Vmcs.VM_ENTRY_INTR_INFO_FIELD];
  }

  /** Whether an event is injected. Reads VM_ENTRY_INTR_INFO_FIELD. */
  boolean injects() {
    return InterruptionInfo.isValid(intrInfo());
  }

  /** Whether an event of the type is injected. Reads VM_ENTRY_INTR_INFO_FIELD. */
  boolean injects(int type) {
    return injects() && InterruptionInfo.type(intrInfo()) == type;
  }

  // ---- addresses ----

  /** Aligned (mask of low bits that must be 0) and within the physical-address width. */
  boolean isPhysical(long address, long alignMask) {
    return (address & (physicalReserved | alignMask)) == 0;
  }

  /** The nearest address below that is aligned and within the physical-address width. */
  long nearestPhysical(long address, long alignMask) {
    return address & ~(physicalReserved | alignMask);
  }

  long physicalReserved() {
    return physicalReserved;
  }

  /** Bits beyond the physical-address width that CR3 does not use for linear-address masking. */
  long cr3Reserved() {
    return model.has(Feature.LAM)
        ? physicalReserved & ~(ControlBits.CR3_LAM_U57 | ControlBits.CR3_LAM_U48)
        : physicalReserved;
  }

  /** Whether IA32_S_CET may have a value, as far as its bits below the bitmap's address go. */
  boolean isCet(long value) {
    return CetControl.isValid(value) && (value & ~cetDefined & 0xfff) == 0;
  }

  /** The nearest value that IA32_S_CET may have, as far as its lower bits go. */
  long nearestCet(long value) {
    long defined = value & (cetDefined | ~0xfffL);
    return CetControl.isValid(defined) ? defined : defined & ~CetControl.TRACKER;
  }

  /** Whether the address is canonical for the processor's linear-address width. */
  boolean isCanonical(long address) {
    return address << unusedLinearBits >> unusedLinearBits == address;
  }

  /** Whether the address is canonical in the paging mode that a CR4 selects. */
  boolean isCanonical(long address, long cr4) {
    int unused = (cr4 & ControlBits.CR4_LA57) != 0 ? 64 - 57 : 64 - 48;
    return address << unused >> unused == address;
  }

  /** The nearest canonical address: the lower bits, sign-extended. */
  long nearestCanonical(long address) {
    return address << unusedLinearBits >> unusedLinearBits;
  }

  /** Whether bits 63:N are identical, N being the linear-address width. */
  boolean areUpperBitsIdentical(long address) {
    long upper = address >> 64 - unusedLinearBits;
    return upper == 0 || upper == -1;
  }

  // ---- guest state ----

  /** Reads GUEST_RFLAGS. */
  boolean v86() {
    return (v[Vmcs.GUEST_RFLAGS] & Flags.VM) != 0;
  }

  /** Reads the access rights of the segment register. */
  int ar(int s) {
    return (int) v[Vmcs.GUEST_ES_AR_BYTES + s];
  }

  /** Reads the access rights of the segment register. */
  boolean usable(int s) {
    return (ar(s) & Segment.UNUSABLE) == 0;
  }

  /** Reads the access rights of the segment register. */
  int type(int s) {
    return ar(s) & 15;
  }

  /** Reads the access rights of the segment register. */
  int dpl(int s) {
    return ar(s) >> 5 & 3;
  }

  /** Reads the selector of the segment register. */
  int rpl(int s) {
    return (int) v[Vmcs.GUEST_ES_SELECTOR + s] & 3;
  }

  /** Reads the limit and the access rights of the segment register. */
  boolean granularityFits(int s) {
    int limit = (int) v[Vmcs.GUEST_ES_LIMIT + s];
    boolean g = (ar(s) & Segment.G) != 0;
    return g ? (limit & 0xfff) == 0xfff : limit >>> 20 == 0;
  }

  /** Whether the guest will use PAE paging. Reads GUEST_CR0, GUEST_CR4, VM_ENTRY_CONTROLS. */
  boolean guestPae() {
    return (v[Vmcs.GUEST_CR0] & ControlBits.CR0_PG) != 0
        && (v[Vmcs.GUEST_CR4] & ControlBits.CR4_PAE) != 0
        && !guestIa32e();
  }
}
