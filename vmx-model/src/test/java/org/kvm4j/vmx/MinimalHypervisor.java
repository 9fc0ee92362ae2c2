package org.kvm4j.vmx;

import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.instruction.VmxUnit;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * A processor in VMX root operation with one VMCS, identity EPT, and guests in every mode: what a
 * hypervisor does before its first VMLAUNCH, by VMWRITE alone.
 */
public final class MinimalHypervisor {
  public static final long MEMORY = 16L << 20;
  public static final long VMXON_REGION = 0x3000;
  public static final long VMCS_REGION = 0x4000;
  public static final long IO_BITMAP_A = 0x5000;
  public static final long IO_BITMAP_B = 0x6000;
  public static final long MSR_BITMAP = 0x7000;
  public static final long MSR_AREA = 0x8000;
  public static final long LINKED_VMCS = 0x9000;
  public static final long EPT = 0x10000;
  public static final long PAGE_TABLES = 0x20000;
  public static final long PAE_TABLE = 0x24000;
  public static final long PAGE_TABLE_32 = 0x28000;
  public static final long GDT = 0x30000;
  public static final long IDT = 0x31000;
  public static final long TSS = 0x32000;
  public static final long STACK = 0x38000;
  public static final long CODE = 0x40000;
  public static final long HOST_CODE = 0x50000;
  public static final long HOST_STACK = 0x58000;

  /** The modes that a guest is made for. */
  public enum Mode {
    /** 64-bit mode, 4-level paging. */
    LONG,
    /** Protected mode, 32-bit code, PAE paging. */
    PAE,
    /** Protected mode, 32-bit code, 32-bit paging. */
    PROTECTED,
    /** Real-address mode: an unrestricted guest. */
    REAL,
    /** Protected mode without paging: an unrestricted guest. */
    UNPAGED,
    /** Virtual-8086 mode, 32-bit paging. */
    V86
  }

  public final CpuModel model;
  public final PhysicalMemory memory;
  public final Cpu cpu;
  public final VmxCapabilities capabilities;
  public final VmxUnit vmx;
  public final Interpreter engine;
  public final Clock clock;

  /** A platform whose counter is set by hand. */
  public static final class Clock implements Platform {
    public long tsc;
    public int interrupt = -1;

    /** What is said of the counter, true or not. */
    public boolean tscOfHost;

    public long tscEpoch;

    /** The ticks that the VMX-preemption timer was last started for. */
    public long timer = -1;

    /** Interrupts that were sent: destination and vector. */
    public final List<String> sent = new ArrayList<>();

    @Override
    public void sendInterrupt(int destination, int vector) {
      sent.add("%x %x".formatted(destination, vector));
    }

    @Override
    public int portRead(int port, int size) {
      return -1;
    }

    @Override
    public void portWrite(int port, int size, int value) {}

    @Override
    public long deviceRead(long hpa, int size) {
      return -1;
    }

    @Override
    public void deviceWrite(long hpa, int size, long value) {}

    @Override
    public long tsc() {
      return tsc;
    }

    @Override
    public boolean isTscOfHost() {
      return tscOfHost;
    }

    @Override
    public long tscEpoch() {
      return tscEpoch;
    }

    @Override
    public void preemptionTimerStarted(long ticks) {
      timer = ticks;
    }

    @Override
    public long nanoTime() {
      return tsc;
    }

    @Override
    public long random() {
      return 0;
    }

    @Override
    public int acknowledgeInterrupt() {
      return interrupt;
    }

    @Override
    public void taskPriorityChanged(int cr8) {}
  }

  public MinimalHypervisor() {
    this(VmxCapabilities.of(CpuProfiles.defaultProfile()));
  }

  /** With other capabilities than the model's own. */
  public MinimalHypervisor(VmxCapabilities capabilities) {
    this(CpuProfiles.defaultProfile(), capabilities);
  }

  public MinimalHypervisor(CpuModel model, VmxCapabilities capabilities) {
    this.model = model;
    memory = new PhysicalMemory(model.physicalAddressBits());
    memory.mapAt(0, MEMORY);
    clock = new Clock();
    cpu = new Cpu(model, memory, clock);
    this.capabilities = capabilities;
    vmx = new VmxUnit(cpu, capabilities);
    cpu.virtualization = vmx;
    engine = new Interpreter(cpu, new Decoder(model.features()));
    tables();
    host();
    int revision = (int) capabilities.basic & 0x7fffffff;
    memory.writeInt(VMXON_REGION, revision);
    memory.writeInt(VMCS_REGION, revision);
    memory.writeInt(LINKED_VMCS, revision);
    expect(InstructionError.SUCCESS, vmx.vmxon(VMXON_REGION));
    expect(InstructionError.SUCCESS, vmx.vmclear(VMCS_REGION));
    expect(InstructionError.SUCCESS, vmx.vmptrld(VMCS_REGION));
  }

  private static void expect(int expected, int actual) {
    if (expected != actual) {
      throw new AssertionError("expected " + expected + ", but it was " + actual);
    }
  }

  /** Identity maps: EPT with 2-MByte pages, and guest tables for three paging modes. */
  private void tables() {
    // EPT: PML4 -> PDPT -> PD, read, write, execute, WB.
    memory.writeLong(EPT, EPT + 0x1000 | 7);
    memory.writeLong(EPT + 0x1000, EPT + 0x2000 | 7);
    for (int k = 0; k < 8; k++) {
      memory.writeLong(EPT + 0x2000 + 8 * k, (long) k << 21 | 0xb7);
    }
    // 4-level: present, writable, user.
    memory.writeLong(PAGE_TABLES, PAGE_TABLES + 0x1000 | 7);
    memory.writeLong(PAGE_TABLES + 0x1000, PAGE_TABLES + 0x2000 | 7);
    for (int k = 0; k < 512; k++) {
      memory.writeLong(PAGE_TABLES + 0x2000 + 8 * k, (long) k << 21 | 0x87);
    }
    memory.writeLong(PAE_TABLE, PAGE_TABLES + 0x2000 | 1);
    // 32-bit: 4-MByte pages.
    for (int k = 0; k < 1024; k++) {
      memory.writeInt(PAGE_TABLE_32 + 4 * k, k << 22 | 0x87);
    }
    // GDT: 8 code64, 0x10 data, 0x18 code32, 0x20 TSS.
    memory.writeLong(GDT + 8, 0x00af9b000000ffffL);
    memory.writeLong(GDT + 0x10, 0x00cf93000000ffffL);
    memory.writeLong(GDT + 0x18, 0x00cf9b000000ffffL);
  }

  /** The host: 64-bit mode with identity paging, ready for VMX operation. */
  private void host() {
    cpu.cr0 = 0x80050033L;
    cpu.cr4 = 0x2020;
    cpu.cr3 = PAGE_TABLES;
    cpu.efer = 0xd00;
    cpu.seg[Cpu.CS].set(8, 0, 0xffffffffL, 0xa09b);
    for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      cpu.seg[s].set(0x10, 0, 0xffffffffL, 0xc093);
    }
    cpu.seg[Cpu.TR].set(0x20, TSS, 0x67, 0x8b);
    cpu.gdtBase = GDT;
    cpu.gdtLimit = 0xffff;
    cpu.idtBase = IDT;
    cpu.idtLimit = 0xfff;
    cpu.rip = HOST_CODE;
    cpu.r[Cpu.RSP] = HOST_STACK;
    cpu.setRflags(2);
    cpu.cpl = 0;
    cpu.msr.featureControl = 5;
    cpu.updateMode();
  }

  /** The current VMCS. */
  public Vmcs vmcs() {
    return Objects.requireNonNull(vmx.current());
  }

  /** The id of the check that the last entry failed. */
  public String failedCheck() {
    return Objects.requireNonNull(Objects.requireNonNull(vmx.lastFailure()).check()).id();
  }

  // ---- fields ----

  /** VMWRITE that has to succeed. */
  public MinimalHypervisor set(VmcsField field, long value) {
    int result = vmx.vmwrite(field.encoding, value);
    if (result != InstructionError.SUCCESS) {
      throw new AssertionError("VMWRITE " + field + ": " + result);
    }
    return this;
  }

  /** VMREAD that has to succeed. */
  public long get(VmcsField field) {
    int result = vmx.vmread(field.encoding);
    if (result != InstructionError.SUCCESS) {
      throw new AssertionError("VMREAD " + field + ": " + result);
    }
    return vmx.value;
  }

  /** Sets bits of a field. */
  public MinimalHypervisor or(VmcsField field, long bits) {
    return set(field, get(field) | bits);
  }

  /** Clears bits of a field. */
  public MinimalHypervisor clear(VmcsField field, long bits) {
    return set(field, get(field) & ~bits);
  }

  /** Sets a pin-based control. */
  public MinimalHypervisor pin(int bits) {
    return or(VmcsField.PIN_BASED_VM_EXEC_CONTROL, bits & 0xffffffffL);
  }

  /** Sets a primary processor-based control. */
  public MinimalHypervisor primary(int bits) {
    return or(VmcsField.CPU_BASED_VM_EXEC_CONTROL, bits & 0xffffffffL);
  }

  /** Sets a secondary processor-based control. */
  public MinimalHypervisor secondary(int bits) {
    primary(Controls.CPU_BASED_ACTIVATE_SECONDARY_CONTROLS);
    return or(VmcsField.SECONDARY_VM_EXEC_CONTROL, bits & 0xffffffffL);
  }

  // ---- guests ----

  /** Controls and host state that pass, and a guest in a mode, its code at {@link #CODE}. */
  public MinimalHypervisor guest(Mode mode) {
    controls();
    hostState();
    commonGuestState();
    switch (mode) {
      case LONG -> {
        set(VmcsField.GUEST_CR0, 0x80050033L);
        set(VmcsField.GUEST_CR3, PAGE_TABLES);
        set(VmcsField.GUEST_CR4, 0x2020);
        set(VmcsField.GUEST_IA32_EFER, 0xd00);
        or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_IA32E_MODE);
        segment(Cpu.CS, 8, 0, 0xffffffffL, 0xa09b);
      }
      case PAE -> {
        set(VmcsField.GUEST_CR0, 0x80050033L);
        set(VmcsField.GUEST_CR3, PAE_TABLE);
        set(VmcsField.GUEST_CR4, 0x2020);
        set(VmcsField.GUEST_PDPTR0, memory.readLong(PAE_TABLE));
        segment(Cpu.CS, 0x18, 0, 0xffffffffL, 0xc09b);
      }
      case PROTECTED -> {
        set(VmcsField.GUEST_CR0, 0x80050033L);
        set(VmcsField.GUEST_CR3, PAGE_TABLE_32);
        set(VmcsField.GUEST_CR4, 0x2010);
        segment(Cpu.CS, 0x18, 0, 0xffffffffL, 0xc09b);
      }
      case UNPAGED -> {
        secondary(Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST);
        set(VmcsField.GUEST_CR0, 0x50033L);
        segment(Cpu.CS, 0x18, 0, 0xffffffffL, 0xc09b);
      }
      case REAL -> {
        secondary(Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST);
        set(VmcsField.GUEST_CR0, 0x30);
        segment(Cpu.CS, (int) CODE >> 4, CODE, 0xffff, 0x9b);
        for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
          segment(s, 0, 0, 0xffff, 0x93);
        }
        set(VmcsField.GUEST_RIP, 0);
        set(VmcsField.GUEST_RSP, 0x7000);
        set(VmcsField.GUEST_IDTR_BASE, 0);
        set(VmcsField.GUEST_IDTR_LIMIT, 0x3ff);
      }
      case V86 -> {
        set(VmcsField.GUEST_CR0, 0x80050033L);
        set(VmcsField.GUEST_CR3, PAGE_TABLE_32);
        set(VmcsField.GUEST_CR4, 0x2010);
        set(VmcsField.GUEST_RFLAGS, 0x23002);
        segment(Cpu.CS, (int) CODE >> 4, CODE, 0xffff, 0xf3);
        for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
          segment(s, 0, 0, 0xffff, 0xf3);
        }
        set(VmcsField.GUEST_RIP, 0);
        set(VmcsField.GUEST_RSP, 0x7000);
      }
    }
    return this;
  }

  private void controls() {
    set(VmcsField.PIN_BASED_VM_EXEC_CONTROL, capabilities.required1(ControlWord.PIN_BASED));
    set(VmcsField.CPU_BASED_VM_EXEC_CONTROL, capabilities.required1(ControlWord.PROCESSOR_BASED));
    secondary(Controls.SECONDARY_EXEC_ENABLE_EPT | Controls.SECONDARY_EXEC_ENABLE_VPID);
    set(VmcsField.VIRTUAL_PROCESSOR_ID, 1);
    set(VmcsField.EPT_POINTER, EPT | 3 << 3 | 6);
    set(
        VmcsField.VM_EXIT_CONTROLS,
        capabilities.required1(ControlWord.VM_EXIT)
            | Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE
            | Controls.VM_EXIT_SAVE_DEBUG_CONTROLS
            | Controls.VM_EXIT_SAVE_IA32_EFER
            | Controls.VM_EXIT_LOAD_IA32_EFER
            | Controls.VM_EXIT_SAVE_IA32_PAT
            | Controls.VM_EXIT_LOAD_IA32_PAT);
    set(
        VmcsField.VM_ENTRY_CONTROLS,
        capabilities.required1(ControlWord.VM_ENTRY)
            | Controls.VM_ENTRY_LOAD_DEBUG_CONTROLS
            | Controls.VM_ENTRY_LOAD_IA32_EFER
            | Controls.VM_ENTRY_LOAD_IA32_PAT);
    set(VmcsField.IO_BITMAP_A, IO_BITMAP_A);
    set(VmcsField.IO_BITMAP_B, IO_BITMAP_B);
    set(VmcsField.MSR_BITMAP, MSR_BITMAP);
    set(VmcsField.VMCS_LINK_POINTER, -1);
  }

  private void hostState() {
    set(VmcsField.HOST_CR0, 0x80050033L);
    set(VmcsField.HOST_CR3, PAGE_TABLES);
    set(VmcsField.HOST_CR4, 0x2020);
    set(VmcsField.HOST_IA32_EFER, 0xd00);
    set(VmcsField.HOST_IA32_PAT, 0x0007040600070406L);
    set(VmcsField.HOST_CS_SELECTOR, 8);
    set(VmcsField.HOST_SS_SELECTOR, 0x10);
    set(VmcsField.HOST_DS_SELECTOR, 0x10);
    set(VmcsField.HOST_ES_SELECTOR, 0x10);
    set(VmcsField.HOST_FS_SELECTOR, 0x10);
    set(VmcsField.HOST_GS_SELECTOR, 0x10);
    set(VmcsField.HOST_TR_SELECTOR, 0x20);
    set(VmcsField.HOST_TR_BASE, TSS);
    set(VmcsField.HOST_GDTR_BASE, GDT);
    set(VmcsField.HOST_IDTR_BASE, IDT);
    set(VmcsField.HOST_RIP, HOST_CODE);
    set(VmcsField.HOST_RSP, HOST_STACK);
  }

  private void commonGuestState() {
    set(VmcsField.GUEST_CR4, 0x2000);
    set(VmcsField.GUEST_DR7, 0x400);
    set(VmcsField.GUEST_IA32_PAT, 0x0007040600070406L);
    for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      segment(s, 0x10, 0, 0xffffffffL, 0xc093);
    }
    segment(Cpu.LDTR, 0, 0, 0, Segment.UNUSABLE);
    segment(Cpu.TR, 0x20, TSS, 0x67, 0x8b);
    set(VmcsField.GUEST_GDTR_BASE, GDT);
    set(VmcsField.GUEST_GDTR_LIMIT, 0xfff);
    set(VmcsField.GUEST_IDTR_BASE, IDT);
    set(VmcsField.GUEST_IDTR_LIMIT, 0xfff);
    set(VmcsField.GUEST_RIP, CODE);
    set(VmcsField.GUEST_RSP, STACK);
    set(VmcsField.GUEST_RFLAGS, 2);
  }

  /** Sets a segment register of the guest. */
  public MinimalHypervisor segment(int s, int selector, long base, long limit, int ar) {
    set(VmcsField.at(VmcsField.GUEST_ES_SELECTOR.ordinal() + s), selector);
    set(VmcsField.at(VmcsField.GUEST_ES_BASE.ordinal() + s), base);
    set(VmcsField.at(VmcsField.GUEST_ES_LIMIT.ordinal() + s), limit);
    set(VmcsField.at(VmcsField.GUEST_ES_AR_BYTES.ordinal() + s), ar);
    return this;
  }

  /** Puts code where the guest begins. */
  public MinimalHypervisor code(int... bytes) {
    for (int k = 0; k < bytes.length; k++) {
      memory.writeByte(CODE + k, (byte) bytes[k]);
    }
    engine.dropAll();
    return this;
  }

  // ---- running ----

  /** VMLAUNCH, or VMRESUME of a launched VMCS. */
  public int enter() {
    return vmcs().launched ? vmx.vmresume() : vmx.vmlaunch();
  }

  /** Enters the guest and runs it to its next VM exit, whose reason is returned. */
  public ExitReason run() {
    return run(1000);
  }

  /** Enters the guest and runs it to its next VM exit within a number of instructions. */
  public ExitReason run(long budget) {
    int result = enter();
    if (result != InstructionError.SUCCESS) {
      throw new AssertionError("VM entry: error " + result + ", " + vmx.lastFailure());
    }
    if (cpu.guest != null) {
      Interpreter.Stop stop = engine.run(budget);
      if (stop != Interpreter.Stop.LEFT) {
        throw new AssertionError("no VM exit but " + stop + " at " + Long.toHexString(cpu.rip));
      }
    }
    return reason();
  }

  /** The last exit's reason. */
  public ExitReason reason() {
    ExitReason reason = ExitReason.of((int) get(VmcsField.VM_EXIT_REASON));
    if (reason == null) {
      throw new AssertionError("exit reason " + get(VmcsField.VM_EXIT_REASON));
    }
    return reason;
  }

  /** The last exit's qualification. */
  public long qualification() {
    return get(VmcsField.EXIT_QUALIFICATION);
  }

  /** The last exit's instruction length. */
  public long length() {
    return get(VmcsField.VM_EXIT_INSTRUCTION_LEN);
  }

  /**
   * In non-root operation with external-interrupt exiting: an interrupt that makes the guest exit.
   */
  public void raiseInterrupt() {
    cpu.request(Cpu.REQUEST_INTERRUPT);
  }

  /** Withdraws the interrupt. */
  public void clearInterrupt() {
    cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
  }

  /** Skips the instruction that exited. */
  public MinimalHypervisor skip() {
    return set(VmcsField.GUEST_RIP, get(VmcsField.GUEST_RIP) + length());
  }
}
