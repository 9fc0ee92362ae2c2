package org.kvm4j.vmx.entry;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PAE;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PROTECTED;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.REAL;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.UNPAGED;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.V86;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.exit.VmxAbort;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** What VM entry loads and injects, what VM exit saves and loads, MSR lists. */
class VmEntryTests {
  private static final long HANDLER = MinimalHypervisor.CODE + 0x800;

  /** A 64-bit guest whose vectors all lead to a CPUID at {@link #HANDLER}. */
  private static MinimalHypervisor withHandlers() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0xeb, 0xfe);
    for (int vector = 0; vector < 256; vector++) {
      long at = MinimalHypervisor.IDT + 16L * vector;
      h.memory.writeLong(
          at, HANDLER & 0xffff | 8L << 16 | 0x8e00L << 32 | (HANDLER >> 16 & 0xffff) << 48);
      h.memory.writeLong(at + 8, 0);
    }
    h.memory.writeByte(HANDLER, (byte) 0x0f);
    h.memory.writeByte(HANDLER + 1, (byte) 0xa2);
    return h;
  }

  private static void inject(MinimalHypervisor h, int type, int vector, boolean code) {
    h.set(
        VmcsField.VM_ENTRY_INTR_INFO_FIELD,
        0x80000000L | (code ? 1 << 11 : 0) | type << 8 | vector);
  }

  // ---- CET ----

  /** A guest that executes CPUID, with CET state of its own and of the host's. */
  private static MinimalHypervisor withCet() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x0f, 0xa2);
    return h.set(VmcsField.GUEST_S_CET, 0x15)
        .set(VmcsField.GUEST_SSP, 0x1234)
        .set(VmcsField.GUEST_INTR_SSP_TABLE, 0x5678)
        .set(VmcsField.HOST_S_CET, 2)
        .set(VmcsField.HOST_SSP, 0x100)
        .set(VmcsField.HOST_INTR_SSP_TABLE, 0x200);
  }

  @Test
  void CET_state_is_loaded_where_that_is_asked_for_and_saved_always() {
    MinimalHypervisor h = withCet();
    h.cpu.msr.sCet = 0x20;
    h.cpu.ssp = 0x40;
    h.cpu.msr.interruptSspTable = 0x80;
    h.run();
    assertEquals(0x20, h.get(VmcsField.GUEST_S_CET));
    assertEquals(0x40, h.get(VmcsField.GUEST_SSP));
    assertEquals(0x80, h.get(VmcsField.GUEST_INTR_SSP_TABLE));
    assertEquals(0x20, h.cpu.msr.sCet);
    assertEquals(0x40, h.cpu.ssp);

    h = withCet();
    h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_CET_STATE);
    h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_LOAD_CET_STATE);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(0x15, h.cpu.msr.sCet);
    assertEquals(0x1234, h.cpu.ssp);
    assertEquals(0x5678, h.cpu.msr.interruptSspTable);
    assertFalse(h.cpu.shadowStack, "CR4.CET is 0");

    h = withCet();
    h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_CET_STATE);
    h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_LOAD_CET_STATE);
    h.or(VmcsField.GUEST_CR4, 1 << 23);
    h.run();
    assertEquals(0x15, h.get(VmcsField.GUEST_S_CET));
    assertEquals(0x1234, h.get(VmcsField.GUEST_SSP));
    assertEquals(2, h.cpu.msr.sCet);
    assertEquals(0x100, h.cpu.ssp);
    assertEquals(0x200, h.cpu.msr.interruptSspTable);
    assertFalse(h.cpu.shadowStack);
  }

  @Test
  void a_guest_that_is_entered_with_a_tracker_that_waits_has_to_begin_with_ENDBRANCH() {
    MinimalHypervisor h = withHandlers();
    h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_CET_STATE);
    h.or(VmcsField.GUEST_CR4, 1 << 23);
    h.set(VmcsField.GUEST_S_CET, 0x804);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 21);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000b15L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(3, h.get(VmcsField.VM_EXIT_INTR_ERROR_CODE));
    assertEquals(0x804, h.get(VmcsField.GUEST_S_CET));
  }

  // ---- performance counters ----

  /**
   * NOP, NOP, CPUID, with a counter that only the guest enables, and one that only the host does.
   */
  private static MinimalHypervisor withCounters() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x90, 0x90, 0x0f, 0xa2);
    h.cpu.counters.setFixedControl(0x11);
    h.cpu.counters.setGlobalControl(2L << 32);
    return h.set(VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL, 1L << 32)
        .set(VmcsField.HOST_IA32_PERF_GLOBAL_CTRL, 4L << 32);
  }

  @Test
  void counters_are_enabled_by_entry_and_exit_where_that_is_asked_for() {
    MinimalHypervisor h = withCounters();
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(2L << 32, h.cpu.counters.globalControl());
    assertEquals(1L << 32, h.get(VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL));
    assertEquals(0, h.cpu.counters.read(32));
    assertEquals(3, h.cpu.counters.read(33), "a cycle each, that of CPUID too");

    h = withCounters();
    h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL);
    h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(4L << 32, h.cpu.counters.globalControl());
    assertEquals(2, h.cpu.counters.read(32), "CPUID exits and does not retire");
    assertEquals(0, h.cpu.counters.read(33));
  }

  @Test
  void what_the_guest_enables_is_saved_where_that_is_asked_for() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG);
    h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_SAVE_IA32_PERF_GLOBAL_CTRL);
    h.primary(Controls.CPU_BASED_USE_MSR_BITMAPS);
    // mov ecx, 38fh; mov eax, 5; mov edx, 1; wrmsr; cpuid
    h.code(0xb9, 0x8f, 3, 0, 0, 0xb8, 5, 0, 0, 0, 0xba, 1, 0, 0, 0, 0x0f, 0x30, 0x0f, 0xa2);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(0x1_0000_0005L, h.get(VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL));
  }

  @Test
  void an_instruction_that_exits_is_counted_once_it_retires() {
    MinimalHypervisor h = withCounters().code(0x0f, 0x31, 0x90, 0x0f, 0xa2); // rdtsc; nop; cpuid
    h.or(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL);
    h.primary(Controls.CPU_BASED_RDTSC_EXITING);
    assertEquals(ExitReason.RDTSC, h.run());
    assertEquals(0, h.cpu.counters.read(32));
    h.clear(VmcsField.CPU_BASED_VM_EXEC_CONTROL, Controls.CPU_BASED_RDTSC_EXITING);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(2, h.cpu.counters.read(32));
  }

  // ---- loading ----

  @Test
  void guest_registers_are_loaded() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG);
    h.set(VmcsField.GUEST_SYSENTER_CS, 0x11)
        .set(VmcsField.GUEST_SYSENTER_ESP, 0x22)
        .set(VmcsField.GUEST_SYSENTER_EIP, 0x33)
        .set(VmcsField.GUEST_DR7, 0x455)
        .set(VmcsField.GUEST_IA32_DEBUGCTL, 1)
        .set(VmcsField.GUEST_IA32_PAT, 0x0606060606060606L)
        .set(VmcsField.GUEST_RFLAGS, 0x246)
        .set(VmcsField.GUEST_FS_BASE, 0x1000)
        .set(VmcsField.GUEST_GS_BASE, 0xffff_8000_0000_0000L)
        .set(VmcsField.GUEST_GDTR_LIMIT, 0x7f)
        .set(VmcsField.GUEST_ACTIVITY_STATE, 0)
        .set(VmcsField.GUEST_INTERRUPTIBILITY_INFO, 8);
    assertEquals(InstructionError.SUCCESS, h.enter());
    Cpu cpu = h.cpu;
    assertEquals(0x80050033L, cpu.cr0);
    assertEquals(MinimalHypervisor.PAGE_TABLES, cpu.cr3);
    assertEquals(0x2020, cpu.cr4);
    assertEquals(0xd00, cpu.efer);
    assertEquals(0x11, cpu.msr.sysenterCs);
    assertEquals(0x22, cpu.msr.sysenterEsp);
    assertEquals(0x33, cpu.msr.sysenterEip);
    assertEquals(0x455, cpu.dr7);
    assertEquals(1, cpu.msr.debugCtl);
    assertEquals(0x0606060606060606L, cpu.msr.pat);
    assertEquals(0x246, cpu.rflags());
    assertEquals(0x1000, cpu.seg[Cpu.FS].base);
    assertEquals(0xffff_8000_0000_0000L, cpu.seg[Cpu.GS].base);
    assertEquals(0x7f, cpu.gdtLimit);
    assertTrue(cpu.nmiBlocked);
    assertEquals(8, cpu.codeSize);
    assertEquals(1, cpu.mmu.vpid);
    assertEquals(h.get(VmcsField.EPT_POINTER), cpu.mmu.context.eptp);
    assertFalse(cpu.left);
  }

  @Test
  void the_privilege_level_is_that_of_ss() {
    MinimalHypervisor h = new MinimalHypervisor().guest(PROTECTED);
    h.segment(Cpu.CS, 0x1b, 0, 0xffffffffL, 0xc0fb);
    for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES}) {
      h.segment(s, 0x13, 0, 0xffffffffL, 0xc0f3);
    }
    h.enter();
    assertEquals(3, h.cpu.cpl);
    h = new MinimalHypervisor().guest(V86);
    h.enter();
    assertEquals(3, h.cpu.cpl);
    assertTrue(h.cpu.v86);
    h = new MinimalHypervisor().guest(REAL);
    h.enter();
    assertEquals(0, h.cpu.cpl);
    assertFalse(h.cpu.protectedMode);
  }

  @Test
  void efer_follows_the_entry_control_where_it_is_not_loaded() {
    MinimalHypervisor h = new MinimalHypervisor().guest(PROTECTED);
    h.clear(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_IA32_EFER);
    h.enter();
    assertEquals(0x800, h.cpu.efer);
    h = new MinimalHypervisor().guest(LONG);
    h.clear(VmcsField.VM_ENTRY_CONTROLS, Controls.VM_ENTRY_LOAD_IA32_EFER);
    h.enter();
    assertEquals(0xd00, h.cpu.efer);
  }

  @Test
  void pdptes_come_from_the_vmcs_with_ept_and_from_memory_without() {
    MinimalHypervisor h = new MinimalHypervisor().guest(PAE);
    h.set(VmcsField.GUEST_PDPTR2, 0x5001);
    h.enter();
    assertEquals(0x5001, h.cpu.mmu.context.pdpte[2]);
    h = new MinimalHypervisor().guest(PAE);
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_ENABLE_EPT);
    h.set(VmcsField.GUEST_PDPTR2, 0x5001);
    h.memory.writeLong(MinimalHypervisor.PAE_TABLE + 16, 0x6001);
    h.enter();
    assertEquals(0x6001, h.cpu.mmu.context.pdpte[2]);
    assertEquals(0, h.cpu.mmu.context.eptp);
  }

  @Test
  void ignored_bits_of_cr0_stay_as_the_host_has_them() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG);
    h.or(VmcsField.GUEST_CR0, 0x60000000L);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(0x80050033L, h.cpu.cr0);
  }

  // ---- host state ----

  @Test
  void an_exit_loads_the_host() {
    MinimalHypervisor h = new MinimalHypervisor().guest(PROTECTED).code(0x0f, 0xa2);
    h.set(VmcsField.HOST_FS_BASE, 0x1111)
        .set(VmcsField.HOST_GS_BASE, 0x2222)
        .set(VmcsField.HOST_DS_SELECTOR, 0)
        .set(VmcsField.HOST_IA32_SYSENTER_CS, 5)
        .set(VmcsField.HOST_IA32_SYSENTER_EIP, 6)
        .set(VmcsField.GUEST_DR7, 0x401)
        .set(VmcsField.GUEST_RFLAGS, 0x3)
        .set(VmcsField.GUEST_CR4, 0x2090);
    assertEquals(ExitReason.CPUID, h.run());
    Cpu cpu = h.cpu;
    assertEquals(0x80050033L, cpu.cr0);
    assertEquals(MinimalHypervisor.PAGE_TABLES, cpu.cr3);
    assertEquals(0x2020, cpu.cr4);
    assertEquals(0xd00, cpu.efer);
    assertEquals(0x400, cpu.dr7);
    assertEquals(0, cpu.msr.debugCtl);
    assertEquals(5, cpu.msr.sysenterCs);
    assertEquals(6, cpu.msr.sysenterEip);
    assertEquals(2, cpu.rflags());
    assertEquals(0, cpu.cpl);
    assertEquals(8, cpu.codeSize);
    assertEquals(0xa09b, cpu.seg[Cpu.CS].ar);
    assertEquals(0xc093, cpu.seg[Cpu.SS].ar);
    assertTrue(cpu.seg[Cpu.DS].unusable());
    assertTrue(cpu.seg[Cpu.LDTR].unusable());
    assertEquals(0x1111, cpu.seg[Cpu.FS].base);
    assertEquals(0x2222, cpu.seg[Cpu.GS].base);
    assertEquals(0x8b, cpu.seg[Cpu.TR].ar);
    assertEquals(0x67, cpu.seg[Cpu.TR].limit);
    assertEquals(0xffff, cpu.gdtLimit);
    assertEquals(0xffff, cpu.idtLimit);
    assertEquals(MinimalHypervisor.HOST_CODE, cpu.rip);
    assertEquals(MinimalHypervisor.HOST_STACK, cpu.r[Cpu.RSP]);
    assertEquals(0, cpu.mmu.vpid);
    assertEquals(0, cpu.mmu.context.eptp);
    assertTrue(cpu.left);
    // And what the guest had was saved.
    assertEquals(0x2090, h.get(VmcsField.GUEST_CR4));
    assertEquals(0x3, h.get(VmcsField.GUEST_RFLAGS));
    assertEquals(0x401, h.get(VmcsField.GUEST_DR7));
    assertEquals(0, h.get(VmcsField.GUEST_IA32_EFER));
  }

  @Test
  void ia32e_mode_guest_follows_an_unrestricted_guest() {
    // The guest leaves IA-32e mode by itself: MOV CR0 cannot be used in 64-bit code, so compare
    // both.
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x0f, 0xa2);
    h.secondary(Controls.SECONDARY_EXEC_UNRESTRICTED_GUEST);
    h.run();
    assertEquals(1, h.get(VmcsField.VM_ENTRY_CONTROLS) >> 9 & 1);
    h = new MinimalHypervisor().guest(REAL).code(0x0f, 0xa2);
    h.run();
    assertEquals(0, h.get(VmcsField.VM_ENTRY_CONTROLS) >> 9 & 1);
  }

  // ---- injection ----

  @ParameterizedTest
  @ValueSource(ints = {0, 2, 3, 4, 6})
  void an_injected_event_is_delivered(int type) {
    MinimalHypervisor h = withHandlers();
    int vector = type == 2 ? 2 : type == 3 ? 13 : type == 6 ? 3 : 0x80;
    h.or(VmcsField.GUEST_RFLAGS, 0x200);
    h.set(VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE, 0x18);
    h.set(VmcsField.VM_ENTRY_INSTRUCTION_LEN, 2);
    inject(h, type, vector, type == 3);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.get(VmcsField.VM_ENTRY_INTR_INFO_FIELD) >>> 31);
    long frame = MinimalHypervisor.STACK - 40 - (type == 3 ? 8 : 0);
    assertEquals(frame, h.get(VmcsField.GUEST_RSP));
    if (type == 3) {
      assertEquals(0x18, h.memory.readLong(frame));
      frame += 8;
    }
    // Software events return behind their instruction.
    assertEquals(MinimalHypervisor.CODE + (type >= 4 ? 2 : 0), h.memory.readLong(frame));
    assertEquals(8, h.memory.readLong(frame + 8));
    assertEquals(MinimalHypervisor.STACK, h.memory.readLong(frame + 24));
    assertEquals(type == 2 ? 8 : 0, h.get(VmcsField.GUEST_INTERRUPTIBILITY_INFO));
  }

  @Test
  void an_injected_event_is_not_subject_to_the_exception_bitmap() {
    MinimalHypervisor h = withHandlers();
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 6);
    inject(h, 3, 6, false);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void an_injected_page_fault_leaves_cr2() {
    MinimalHypervisor h = withHandlers();
    h.cpu.cr2 = 0x1234;
    inject(h, 3, 14, true);
    h.run();
    assertEquals(0x1234, h.cpu.cr2);
  }

  @Test
  void an_ept_violation_in_injection_keeps_the_event() {
    MinimalHypervisor h = withHandlers();
    h.set(VmcsField.GUEST_RSP, 0x600100);
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000 + 24, 0);
    h.or(VmcsField.GUEST_RFLAGS, 0x200);
    inject(h, 0, 0x33, false);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(0x80000033L, h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x600100, h.get(VmcsField.GUEST_RSP));
    // Mapped and injected again, it is delivered.
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000 + 24, 0x6000b7);
    inject(h, 0, 0x33, false);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(0x600100 - 40, h.get(VmcsField.GUEST_RSP));
  }

  @Test
  void injection_ends_the_blocking_of_the_shadow_and_the_halt() {
    MinimalHypervisor h = withHandlers();
    h.set(VmcsField.GUEST_ACTIVITY_STATE, 1).or(VmcsField.GUEST_RFLAGS, 0x200);
    inject(h, 0, 0x33, false);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(0, h.get(VmcsField.GUEST_ACTIVITY_STATE));
  }

  @Test
  void a_monitor_trap_follows_an_injected_event_before_the_handler() {
    MinimalHypervisor h = withHandlers();
    h.primary(Controls.CPU_BASED_MONITOR_TRAP_FLAG);
    h.or(VmcsField.GUEST_RFLAGS, 0x200);
    inject(h, 0, 0x33, false);
    assertEquals(ExitReason.MONITOR_TRAP_FLAG, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void pending_debug_exceptions_are_delivered_after_entry() {
    MinimalHypervisor h = withHandlers();
    h.set(VmcsField.GUEST_PENDING_DBG_EXCEPTIONS, 1 << 14);
    h.or(VmcsField.GUEST_RFLAGS, 0x100);
    h.set(VmcsField.EXCEPTION_BITMAP, 2);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000301L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(1 << 14, h.qualification());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    // They are lost when another event is injected.
    h = withHandlers();
    h.set(VmcsField.GUEST_PENDING_DBG_EXCEPTIONS, 1 << 14);
    h.set(VmcsField.EXCEPTION_BITMAP, 2);
    h.or(VmcsField.GUEST_RFLAGS, 0x300);
    inject(h, 0, 0x33, false);
    assertEquals(ExitReason.CPUID, h.run());
  }

  // ---- NMIs ----

  @Test
  void iret_ends_the_blocking_of_virtual_nmis() {
    // IRETQ to CODE + 0x100, where there is a CPUID.
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x48, 0xcf);
    h.memory.writeByte(MinimalHypervisor.CODE + 0x100, (byte) 0x0f);
    h.memory.writeByte(MinimalHypervisor.CODE + 0x101, (byte) 0xa2);
    long sp = MinimalHypervisor.STACK;
    h.memory.writeLong(sp, MinimalHypervisor.CODE + 0x100);
    h.memory.writeLong(sp + 8, 8);
    h.memory.writeLong(sp + 16, 2);
    h.memory.writeLong(sp + 24, sp);
    h.memory.writeLong(sp + 32, 0x10);
    h.pin(Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS);
    h.set(VmcsField.GUEST_INTERRUPTIBILITY_INFO, 8);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(0, h.get(VmcsField.GUEST_INTERRUPTIBILITY_INFO));
  }

  @Test
  void a_fault_of_iret_says_that_nmis_were_unblocked() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x48, 0xcf);
    h.set(VmcsField.GUEST_RSP, 0x600000);
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000 + 24, 0);
    h.pin(Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS);
    h.set(VmcsField.GUEST_INTERRUPTIBILITY_INFO, 8);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(1, h.qualification() >> 12 & 1);
  }

  // ---- MSR lists ----

  private static void list(
      MinimalHypervisor h, VmcsField address, VmcsField count, long at, long... pairs) {
    for (int k = 0; k < pairs.length; k++) {
      h.memory.writeLong(at + 8L * k, pairs[k]);
    }
    h.set(address, at).set(count, pairs.length / 2);
  }

  @Test
  void msr_lists_are_loaded_and_stored() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x0f, 0xa2);
    long area = MinimalHypervisor.MSR_AREA;
    list(
        h,
        VmcsField.VM_ENTRY_MSR_LOAD_ADDR,
        VmcsField.VM_ENTRY_MSR_LOAD_COUNT,
        area,
        0xc000_0082L,
        0x1000,
        0xc000_0084L,
        0x200);
    list(
        h,
        VmcsField.VM_EXIT_MSR_STORE_ADDR,
        VmcsField.VM_EXIT_MSR_STORE_COUNT,
        area + 0x100,
        0xc000_0082L,
        0,
        0xc000_0084L,
        0);
    list(
        h,
        VmcsField.VM_EXIT_MSR_LOAD_ADDR,
        VmcsField.VM_EXIT_MSR_LOAD_COUNT,
        area + 0x200,
        0xc000_0082L,
        0x9999);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(0x1000, h.memory.readLong(area + 0x108));
    assertEquals(0x200, h.memory.readLong(area + 0x118));
    assertEquals(0x9999, h.cpu.msr.lstar);
    assertEquals(0x200, h.cpu.msr.fmask);
  }

  @ParameterizedTest
  @ValueSource(
      longs = {
        0xc000_0100L,
        0xc000_0101L,
        0x800,
        0x8ff,
        0x9b,
        0x79,
        0x1_0000_0174L,
        0x4000_0000L,
        0x480
      })
  void an_msr_that_cannot_be_loaded_fails_the_entry(long index) {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x0f, 0xa2);
    list(
        h,
        VmcsField.VM_ENTRY_MSR_LOAD_ADDR,
        VmcsField.VM_ENTRY_MSR_LOAD_COUNT,
        MinimalHypervisor.MSR_AREA,
        0xc000_0082L,
        0x1000,
        index,
        7);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertNull(h.cpu.guest);
    assertEquals(ExitReason.MSR_LOAD_FAIL, h.reason());
    assertEquals(1, h.get(VmcsField.VM_EXIT_REASON) >>> 31);
    assertEquals(2, h.qualification());
    assertEquals(MinimalHypervisor.HOST_CODE, h.cpu.rip);
    VmEntryFailure failure = h.vmx.lastFailure();
    assertNotNull(failure);
    assertEquals(2, failure.msrEntry());
    assertEquals((int) index, failure.msrIndex());
    assertEquals(7, failure.msrValue());
    assertTrue(failure.toString().contains("MSR"));
  }

  @Test
  void a_failing_store_or_host_load_aborts() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x0f, 0xa2);
    list(
        h,
        VmcsField.VM_EXIT_MSR_STORE_ADDR,
        VmcsField.VM_EXIT_MSR_STORE_COUNT,
        MinimalHypervisor.MSR_AREA,
        0x4000_0000L,
        0);
    h.run();
    assertEquals(VmxAbort.SAVING_GUEST_MSRS, h.vmx.nonRoot().abort());
    assertEquals(Cpu.SHUTDOWN, h.cpu.activity);
    assertEquals(1, h.memory.readInt(MinimalHypervisor.VMCS_REGION + 4));

    h = new MinimalHypervisor().guest(LONG).code(0x0f, 0xa2);
    list(
        h,
        VmcsField.VM_EXIT_MSR_LOAD_ADDR,
        VmcsField.VM_EXIT_MSR_LOAD_COUNT,
        MinimalHypervisor.MSR_AREA,
        0x4000_0000L,
        0);
    h.run();
    assertEquals(VmxAbort.LOADING_HOST_MSRS, h.vmx.nonRoot().abort());
    assertEquals(4, h.memory.readInt(MinimalHypervisor.VMCS_REGION + 4));
  }

  @Test
  void segments_are_saved_as_they_are() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x0f, 0xa2);
    h.segment(Cpu.FS, 0x33, 0x12345, 0xfffff, 0x40f3 | Segment.AVL);
    h.segment(Cpu.ES, 0, 0, 0, Segment.UNUSABLE);
    h.run();
    assertEquals(0x33, h.get(VmcsField.GUEST_FS_SELECTOR));
    assertEquals(0x12345, h.get(VmcsField.GUEST_FS_BASE));
    assertEquals(0xfffff, h.get(VmcsField.GUEST_FS_LIMIT));
    assertEquals(0x50f3, h.get(VmcsField.GUEST_FS_AR_BYTES));
    assertEquals(Segment.UNUSABLE, h.get(VmcsField.GUEST_ES_AR_BYTES));
  }

  // ---- what is blocked, and when ----

  @ParameterizedTest
  @ValueSource(ints = {Cpu.ACTIVE, Cpu.HALTED, Cpu.SHUTDOWN})
  void an_NMI_window_wakes_from_what_an_NMI_wakes_from(int activity) {
    MinimalHypervisor h = withHandlers();
    h.pin(Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS);
    h.primary(Controls.CPU_BASED_NMI_WINDOW_EXITING);
    h.set(VmcsField.GUEST_ACTIVITY_STATE, activity);
    assertEquals(ExitReason.NMI_WINDOW, h.run());
    assertEquals(activity, h.get(VmcsField.GUEST_ACTIVITY_STATE));
  }

  @Test
  void an_NMI_window_does_not_end_the_wait_for_a_start_up_IPI() {
    MinimalHypervisor h = withHandlers();
    h.pin(Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS);
    h.primary(Controls.CPU_BASED_NMI_WINDOW_EXITING);
    h.set(VmcsField.GUEST_ACTIVITY_STATE, Cpu.WAIT_FOR_SIPI);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(Interpreter.Stop.INACTIVE, h.engine.run(10));
  }

  /** A TPR that is below its threshold at VM entry. */
  private static MinimalHypervisor belowThreshold(int activity) {
    MinimalHypervisor h = withHandlers();
    h.primary(Controls.CPU_BASED_TPR_SHADOW);
    h.secondary(Controls.SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES);
    h.set(VmcsField.VIRTUAL_APIC_PAGE_ADDR, 0x60000);
    h.set(VmcsField.APIC_ACCESS_ADDR, 0x61000);
    h.set(VmcsField.TPR_THRESHOLD, 5);
    return h.set(VmcsField.GUEST_ACTIVITY_STATE, activity);
  }

  @Test
  void the_exit_of_a_TPR_below_its_threshold_waits_until_the_shutdown_state_ends() {
    assertEquals(ExitReason.TPR_BELOW_THRESHOLD, belowThreshold(Cpu.ACTIVE).run());
    assertEquals(ExitReason.TPR_BELOW_THRESHOLD, belowThreshold(Cpu.HALTED).run());

    MinimalHypervisor h = belowThreshold(Cpu.SHUTDOWN);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(Interpreter.Stop.INACTIVE, h.engine.run(10));
    h.cpu.request(Cpu.REQUEST_NMI);
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(10));
    assertEquals(ExitReason.TPR_BELOW_THRESHOLD, h.reason());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertEquals(Cpu.ACTIVE, h.get(VmcsField.GUEST_ACTIVITY_STATE));

    h = belowThreshold(Cpu.WAIT_FOR_SIPI);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(Interpreter.Stop.INACTIVE, h.engine.run(10));
  }

  // ---- entries that fail ----

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void an_entry_that_fails_leaves_NMIs_blocked_or_not_as_they_were(boolean blocked) {
    MinimalHypervisor h = withHandlers();
    h.pin(Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS);
    h.set(VmcsField.GUEST_RFLAGS, 0);
    h.cpu.nmiBlocked = blocked;
    assertEquals(ExitReason.INVALID_GUEST_STATE, h.run());
    assertEquals(blocked, h.cpu.nmiBlocked);

    h = withHandlers();
    h.memory.writeLong(MinimalHypervisor.MSR_AREA, 0xc000_0100L);
    h.set(VmcsField.VM_ENTRY_MSR_LOAD_ADDR, MinimalHypervisor.MSR_AREA);
    h.set(VmcsField.VM_ENTRY_MSR_LOAD_COUNT, 1);
    h.set(VmcsField.GUEST_INTERRUPTIBILITY_INFO, blocked ? 0 : 8);
    h.cpu.nmiBlocked = blocked;
    assertEquals(ExitReason.MSR_LOAD_FAIL, h.run());
    assertEquals(blocked, h.cpu.nmiBlocked);
  }

  @Test
  void an_entry_that_a_check_of_the_guest_state_fails_leaves_the_virtual_APIC_alone() {
    MinimalHypervisor h = withHandlers();
    h.primary(Controls.CPU_BASED_TPR_SHADOW);
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK);
    h.secondary(Controls.SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY);
    h.set(VmcsField.VIRTUAL_APIC_PAGE_ADDR, 0x60000);
    h.memory.writeInt(0x60080, 0x30);
    h.memory.writeInt(0x600a0, 0x50);
    h.set(VmcsField.GUEST_RFLAGS, 0);
    assertEquals(ExitReason.INVALID_GUEST_STATE, h.run());
    assertEquals(0x50, h.memory.readInt(0x600a0));
    h.set(VmcsField.GUEST_RFLAGS, 2);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(0x30, h.memory.readInt(0x600a0));
  }

  @Test
  void a_guest_stopped_by_a_step_in_the_shadow_of_STI_has_to_have_its_step_made_pending() {
    MinimalHypervisor h = withHandlers().code(0xfb, 0x90, 0x90);
    h.set(VmcsField.GUEST_RFLAGS, 0x102);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 1);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(1, h.get(VmcsField.GUEST_INTERRUPTIBILITY_INFO));
    assertEquals(ExitReason.INVALID_GUEST_STATE, h.run());
    assertEquals("GUEST_PENDING_DEBUG_BS", h.failedCheck());
    h.set(VmcsField.GUEST_PENDING_DBG_EXCEPTIONS, 1 << 14);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
  }

  /** SDM 28.1 "Architectural State Before a VM Exit": it is active only once the exit is over. */
  @Test
  void a_trap_behind_HLT_that_exits_leaves_the_guest_in_the_HLT_state() {
    MinimalHypervisor h = withHandlers().code(0xf4, 0x90, 0x0f, 0xa2);
    h.set(VmcsField.GUEST_RFLAGS, 0x102);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 1);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(1 << 14, h.qualification());
    assertEquals(Cpu.HALTED, h.get(VmcsField.GUEST_ACTIVITY_STATE));
    assertEquals(MinimalHypervisor.CODE + 1, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.get(VmcsField.GUEST_PENDING_DBG_EXCEPTIONS));
    assertEquals(Cpu.ACTIVE, h.cpu.activity);
    // With the step taken and TF set that is a state that no guest gets into: SDM 27.3.1.5.
    assertEquals(ExitReason.INVALID_GUEST_STATE, h.run());
    assertEquals("GUEST_PENDING_DEBUG_BS", h.failedCheck());
    // The step again, pending at VM entry in the HLT state.
    h.set(VmcsField.GUEST_PENDING_DBG_EXCEPTIONS, 1 << 14);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(Cpu.HALTED, h.get(VmcsField.GUEST_ACTIVITY_STATE));
    assertEquals(MinimalHypervisor.CODE + 1, h.get(VmcsField.GUEST_RIP));
    h.set(VmcsField.GUEST_ACTIVITY_STATE, Cpu.ACTIVE);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(Cpu.ACTIVE, h.get(VmcsField.GUEST_ACTIVITY_STATE));
    assertEquals(MinimalHypervisor.CODE + 2, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void a_trap_behind_HLT_that_is_delivered_ends_the_HLT_state() {
    MinimalHypervisor h = withHandlers().code(0xf4, 0x90, 0x0f, 0xa2);
    h.set(VmcsField.GUEST_RFLAGS, 0x102);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(HANDLER, h.get(VmcsField.GUEST_RIP));
    assertEquals(Cpu.ACTIVE, h.get(VmcsField.GUEST_ACTIVITY_STATE));
    // So does one whose delivery exits.
    h = withHandlers().code(0xf4, 0x90, 0x0f, 0xa2);
    h.set(VmcsField.GUEST_RFLAGS, 0x102);
    h.set(VmcsField.GUEST_IDTR_LIMIT, 0);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 13);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000301L, h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
    assertEquals(Cpu.ACTIVE, h.get(VmcsField.GUEST_ACTIVITY_STATE));
  }

  @Test
  void a_guest_that_went_to_IA_32e_mode_is_refused_with_an_IA32_EFER_of_before() {
    MinimalHypervisor h = new MinimalHypervisor().guest(UNPAGED);
    h.clear(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_SAVE_IA32_EFER);
    h.primary(Controls.CPU_BASED_USE_MSR_BITMAPS);
    h.set(VmcsField.GUEST_CR4, 0x2020).set(VmcsField.GUEST_CR3, MinimalHypervisor.PAGE_TABLES);
    // mov ecx, c0000080h; mov eax, 100h; xor edx, edx; wrmsr; mov eax, 80050033h; mov cr0, eax
    h.code(
        0xb9, 0x80, 0, 0, 0xc0, 0xb8, 0, 1, 0, 0, 0x31, 0xd2, 0x0f, 0x30, 0xb8, 0x33, 0, 5, 0x80,
        0x0f, 0x22, 0xc0, 0x0f, 0xa2);
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(ExitReason.INVALID_GUEST_STATE, h.run());
    assertEquals("GUEST_IA32_EFER_LMA", h.failedCheck());
    h.set(VmcsField.GUEST_IA32_EFER, 0x500);
    assertEquals(ExitReason.CPUID, h.run());
  }

  // ---- RF ----

  @Test
  void RF_of_an_event_injected_in_vain_is_what_it_would_have_pushed() {
    for (int rf : new int[] {0, 1 << 16}) {
      for (int type : new int[] {3, 4}) {
        MinimalHypervisor h = withHandlers();
        h.set(VmcsField.GUEST_RFLAGS, 2 | rf);
        // The stack is beyond what EPT maps.
        h.set(VmcsField.GUEST_RSP, MinimalHypervisor.MEMORY + 0x100);
        h.set(VmcsField.VM_ENTRY_INSTRUCTION_LEN, 2);
        inject(h, type, 13, type == 3);
        assertEquals(ExitReason.EPT_VIOLATION, h.run());
        assertEquals(2 | rf, h.get(VmcsField.GUEST_RFLAGS), "type " + type);
      }
      MinimalHypervisor h = new MinimalHypervisor().guest(PROTECTED);
      h.memory.writeLong(MinimalHypervisor.IDT + 8 * 0x31, 0x8500_0028_0000L);
      h.memory.writeLong(
          MinimalHypervisor.GDT + 0x28,
          0x67L | MinimalHypervisor.TSS + 0x1000 << 16 | 0x8900L << 32);
      h.set(VmcsField.GUEST_RFLAGS, 0x202 | rf);
      inject(h, 0, 0x31, false);
      assertEquals(ExitReason.TASK_SWITCH, h.run());
      assertEquals(0x202 | rf, h.get(VmcsField.GUEST_RFLAGS));
    }
  }
}
