package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PROTECTED;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.REAL;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.engine.Interpreter;
import org.kvm4j.cpu.profile.CpuProfile;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.instruction.InstructionError;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** Each instruction that exits, by its control and without; what the exit records. */
class InterceptTests {
  /** An instruction after which the guest says that it has got there: VMCALL. */
  private static final int[] SENTINEL = {0x0f, 0x01, 0xc1};

  /**
   * An instruction and its exit.
   *
   * @param intercept makes it exit; null if it does in any case
   * @param passes whether without the intercept it runs through
   */
  record Intercept(
      String name,
      int[] code,
      @Nullable Consumer<MinimalHypervisor> intercept,
      ExitReason reason,
      long qualification,
      boolean passes) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static final long RAX = 0x1234000;
  private static final long RBX = 0x5678;

  private static int[] bytes(int... code) {
    return code;
  }

  private static Consumer<MinimalHypervisor> primary(int control) {
    return h -> h.primary(control);
  }

  private static Consumer<MinimalHypervisor> secondary(int control) {
    return h -> h.secondary(control);
  }

  static List<Intercept> intercepts() {
    List<Intercept> all = new ArrayList<>();
    all.add(new Intercept("CPUID", bytes(0x0f, 0xa2), null, ExitReason.CPUID, 0, false));
    all.add(new Intercept("INVD", bytes(0x0f, 0x08), null, ExitReason.INVD, 0, false));
    all.add(new Intercept("VMCALL", bytes(0x0f, 1, 0xc1), null, ExitReason.VMCALL, 0, false));
    all.add(new Intercept("VMLAUNCH", bytes(0x0f, 1, 0xc2), null, ExitReason.VMLAUNCH, 0, false));
    all.add(new Intercept("VMRESUME", bytes(0x0f, 1, 0xc3), null, ExitReason.VMRESUME, 0, false));
    all.add(new Intercept("VMXOFF", bytes(0x0f, 1, 0xc4), null, ExitReason.VMXOFF, 0, false));
    all.add(
        new Intercept(
            "VMCLEAR [RAX+8]",
            bytes(0x66, 0x0f, 0xc7, 0x70, 8),
            null,
            ExitReason.VMCLEAR,
            8,
            false));
    all.add(
        new Intercept(
            "VMPTRLD [RAX-8]", bytes(0x0f, 0xc7, 0x70, 0xf8), null, ExitReason.VMPTRLD, -8, false));
    all.add(
        new Intercept(
            "VMPTRST [RAX]", bytes(0x0f, 0xc7, 0x38), null, ExitReason.VMPTRST, 0, false));
    all.add(
        new Intercept(
            "VMXON [RIP+16]",
            bytes(0xf3, 0x0f, 0xc7, 0x35, 16, 0, 0, 0),
            null,
            ExitReason.VMXON,
            MinimalHypervisor.CODE + 8 + 16,
            false));
    all.add(
        new Intercept(
            "VMREAD RAX, RBX", bytes(0x0f, 0x78, 0xd8), null, ExitReason.VMREAD, 0, false));
    all.add(
        new Intercept(
            "VMWRITE RBX, [RAX+4]",
            bytes(0x0f, 0x79, 0x58, 4),
            null,
            ExitReason.VMWRITE,
            4,
            false));
    all.add(
        new Intercept(
            "INVEPT RCX, [RAX]",
            bytes(0x66, 0x0f, 0x38, 0x80, 8),
            null,
            ExitReason.INVEPT,
            0,
            false));
    all.add(
        new Intercept(
            "INVVPID RCX, [RAX]",
            bytes(0x66, 0x0f, 0x38, 0x81, 8),
            null,
            ExitReason.INVVPID,
            0,
            false));
    all.add(
        new Intercept(
            "HLT", bytes(0xf4), primary(Controls.CPU_BASED_HLT_EXITING), ExitReason.HLT, 0, false));
    all.add(
        new Intercept(
            "INVLPG [RAX]",
            bytes(0x0f, 0x01, 0x38),
            primary(Controls.CPU_BASED_INVLPG_EXITING),
            ExitReason.INVLPG,
            RAX,
            true));
    all.add(
        new Intercept(
            "RDPMC",
            bytes(0x0f, 0x33),
            primary(Controls.CPU_BASED_RDPMC_EXITING),
            ExitReason.RDPMC,
            0,
            false));
    all.add(
        new Intercept(
            "RDTSC",
            bytes(0x0f, 0x31),
            primary(Controls.CPU_BASED_RDTSC_EXITING),
            ExitReason.RDTSC,
            0,
            true));
    all.add(
        new Intercept(
            "RDTSCP",
            bytes(0x0f, 0x01, 0xf9),
            h ->
                h.primary(Controls.CPU_BASED_RDTSC_EXITING)
                    .secondary(Controls.SECONDARY_EXEC_ENABLE_RDTSCP),
            ExitReason.RDTSCP,
            0,
            false));
    all.add(
        new Intercept(
            "MWAIT",
            bytes(0x0f, 0x01, 0xc9),
            primary(Controls.CPU_BASED_MWAIT_EXITING),
            ExitReason.MWAIT,
            0,
            true));
    all.add(
        new Intercept(
            "MONITOR",
            bytes(0x0f, 0x01, 0xc8),
            primary(Controls.CPU_BASED_MONITOR_EXITING),
            ExitReason.MONITOR,
            0,
            false));
    all.add(
        new Intercept(
            "PAUSE",
            bytes(0xf3, 0x90),
            primary(Controls.CPU_BASED_PAUSE_EXITING),
            ExitReason.PAUSE,
            0,
            true));
    all.add(
        new Intercept(
            "WBINVD",
            bytes(0x0f, 0x09),
            secondary(Controls.SECONDARY_EXEC_WBINVD_EXITING),
            ExitReason.WBINVD,
            0,
            true));
    all.add(
        new Intercept(
            "RDRAND EAX",
            bytes(0x0f, 0xc7, 0xf0),
            secondary(Controls.SECONDARY_EXEC_RDRAND_EXITING),
            ExitReason.RDRAND,
            0,
            true));
    all.add(
        new Intercept(
            "RDSEED RBX",
            bytes(0x48, 0x0f, 0xc7, 0xfb),
            secondary(Controls.SECONDARY_EXEC_RDSEED_EXITING),
            ExitReason.RDSEED,
            0,
            true));
    all.add(
        new Intercept(
            "INVPCID RCX, [RAX+16]",
            bytes(0x66, 0x0f, 0x38, 0x82, 0x48, 16),
            h ->
                h.primary(Controls.CPU_BASED_INVLPG_EXITING)
                    .secondary(Controls.SECONDARY_EXEC_ENABLE_INVPCID),
            ExitReason.INVPCID,
            16,
            false));
    all.add(
        new Intercept(
            "MOV DR7, RBX",
            bytes(0x0f, 0x23, 0xfb),
            primary(Controls.CPU_BASED_MOV_DR_EXITING),
            ExitReason.DR_ACCESS,
            7 | 3 << 8,
            true));
    all.add(
        new Intercept(
            "MOV R9, DR0",
            bytes(0x41, 0x0f, 0x21, 0xc1),
            primary(Controls.CPU_BASED_MOV_DR_EXITING),
            ExitReason.DR_ACCESS,
            1 << 4 | 9 << 8,
            true));
    all.add(
        new Intercept(
            "MOV CR3, RBX",
            bytes(0x0f, 0x22, 0xdb),
            primary(Controls.CPU_BASED_CR3_LOAD_EXITING),
            ExitReason.CR_ACCESS,
            3 | 3 << 8,
            false));
    all.add(
        new Intercept(
            "MOV RDX, CR3",
            bytes(0x0f, 0x20, 0xda),
            primary(Controls.CPU_BASED_CR3_STORE_EXITING),
            ExitReason.CR_ACCESS,
            3 | 1 << 4 | 2 << 8,
            true));
    all.add(
        new Intercept(
            "MOV CR8, RSI",
            bytes(0x44, 0x0f, 0x22, 0xc6),
            primary(Controls.CPU_BASED_CR8_LOAD_EXITING),
            ExitReason.CR_ACCESS,
            8 | 6 << 8,
            true));
    all.add(
        new Intercept(
            "MOV RDI, CR8",
            bytes(0x44, 0x0f, 0x20, 0xc7),
            primary(Controls.CPU_BASED_CR8_STORE_EXITING),
            ExitReason.CR_ACCESS,
            8 | 1 << 4 | 7 << 8,
            true));
    all.add(
        new Intercept(
            "CLTS",
            bytes(0x0f, 0x06),
            h -> h.set(VmcsField.CR0_GUEST_HOST_MASK, 8).set(VmcsField.CR0_READ_SHADOW, 8),
            ExitReason.CR_ACCESS,
            2 << 4,
            true));
    all.add(
        new Intercept(
            "LMSW BX",
            bytes(0x0f, 0x01, 0xf3),
            h -> h.set(VmcsField.CR0_GUEST_HOST_MASK, 8),
            ExitReason.CR_ACCESS,
            3 << 4 | RBX << 16,
            true));
    all.add(
        new Intercept(
            "OUT 80H, AL",
            bytes(0xe6, 0x80),
            primary(Controls.CPU_BASED_UNCOND_IO_EXITING),
            ExitReason.IO_INSTRUCTION,
            1 << 6 | 0x80 << 16,
            true));
    all.add(
        new Intercept(
            "IN EAX, DX",
            bytes(0xed),
            primary(Controls.CPU_BASED_UNCOND_IO_EXITING),
            ExitReason.IO_INSTRUCTION,
            3 | 1 << 3 | 0x3f8 << 16,
            true));
    all.add(
        new Intercept(
            "OUTSW",
            bytes(0x66, 0x6f),
            primary(Controls.CPU_BASED_UNCOND_IO_EXITING),
            ExitReason.IO_INSTRUCTION,
            1 | 1 << 4 | 0x3f8 << 16,
            true));
    all.add(
        new Intercept(
            "REP INSB",
            bytes(0xf3, 0x6c),
            primary(Controls.CPU_BASED_UNCOND_IO_EXITING),
            ExitReason.IO_INSTRUCTION,
            1 << 3 | 1 << 4 | 1 << 5 | 0x3f8 << 16,
            true));
    all.add(
        new Intercept(
            "LGDT [RAX]",
            bytes(0x0f, 0x01, 0x10),
            secondary(Controls.SECONDARY_EXEC_DESC),
            ExitReason.GDTR_IDTR,
            0,
            false));
    all.add(
        new Intercept(
            "SIDT [RAX+RBX*2+0x100]",
            bytes(0x0f, 0x01, 0x8c, 0x58, 0, 1, 0, 0),
            secondary(Controls.SECONDARY_EXEC_DESC),
            ExitReason.GDTR_IDTR,
            0x100,
            true));
    all.add(
        new Intercept(
            "STR EBX",
            bytes(0x0f, 0x00, 0xcb),
            secondary(Controls.SECONDARY_EXEC_DESC),
            ExitReason.LDTR_TR,
            0,
            true));
    return all;
  }

  private static MinimalHypervisor hypervisor(int[] code) {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG);
    int[] all = java.util.Arrays.copyOf(code, code.length + SENTINEL.length);
    System.arraycopy(SENTINEL, 0, all, code.length, SENTINEL.length);
    h.code(all);
    h.cpu.r[Cpu.RAX] = RAX & 0xfff000;
    h.cpu.r[Cpu.RBX] = RBX;
    h.cpu.r[Cpu.RCX] = 0;
    h.cpu.r[Cpu.RDX] = 0x3f8;
    h.cpu.r[Cpu.RSI] = 8;
    h.cpu.r[Cpu.RDI] = 0x60000;
    return h;
  }

  @ParameterizedTest
  @MethodSource("intercepts")
  void exits_with_its_control(Intercept i) {
    MinimalHypervisor h = hypervisor(i.code());
    if (i.reason() == ExitReason.INVLPG) {
      h.cpu.r[Cpu.RAX] = RAX;
    }
    if (i.name().startsWith("REP")) {
      h.cpu.r[Cpu.RCX] = 5;
    }
    Consumer<MinimalHypervisor> intercept = i.intercept();
    if (intercept != null) {
      intercept.accept(h);
    }
    assertEquals(i.reason(), h.run());
    assertEquals(i.qualification(), h.qualification());
    assertEquals(i.code().length, h.length());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.get(VmcsField.VM_EXIT_INTR_INFO) >>> 31);
    assertEquals(0, h.get(VmcsField.IDT_VECTORING_INFO_FIELD) >>> 31);
    assertEquals(2, h.get(VmcsField.GUEST_RFLAGS));
    assertNull(h.cpu.guest);
    assertEquals(MinimalHypervisor.HOST_CODE, h.cpu.rip);
    // And the guest goes on behind it.
    h.skip();
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(MinimalHypervisor.CODE + i.code().length, h.get(VmcsField.GUEST_RIP));
  }

  @ParameterizedTest
  @MethodSource("intercepts")
  void runs_through_without_its_control(Intercept i) {
    if (!i.passes()) {
      return;
    }
    MinimalHypervisor h = hypervisor(i.code());
    if (i.name().startsWith("MOV DR7")) {
      h.cpu.r[Cpu.RBX] = 0x400;
    }
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(MinimalHypervisor.CODE + i.code().length, h.get(VmcsField.GUEST_RIP));
  }

  // ---- instruction information ----

  private static long information(int... code) {
    MinimalHypervisor h = hypervisor(code);
    h.secondary(Controls.SECONDARY_EXEC_DESC | Controls.SECONDARY_EXEC_RDRAND_EXITING);
    h.primary(Controls.CPU_BASED_UNCOND_IO_EXITING);
    h.run();
    return h.get(VmcsField.VMX_INSTRUCTION_INFO);
  }

  @Test
  void instruction_information_tells_registers_and_addressing() {
    // VMREAD [R12+R13*8+0x10], R9: scale 3, 64-bit, DS, index 13, base 12, reg2 9.
    assertEquals(
        3L | 2 << 7 | 3 << 15 | 13 << 18 | 12L << 23 | 9L << 28,
        information(0x47, 0x0f, 0x78, 0x4c, 0xec, 0x10));
    // VMREAD RDI, RBX: a register operand.
    assertEquals(7L << 3 | 1 << 10 | 3L << 28, information(0x0f, 0x78, 0xdf));
    // VMXON FS:[EAX] without an index: 32-bit addresses.
    assertEquals(1L << 7 | 4 << 15 | 1 << 22, information(0x64, 0x67, 0xf3, 0x0f, 0xc7, 0x30));
    // VMPTRLD [disp32]: neither base nor index.
    assertEquals(
        2L << 7 | 3 << 15 | 1 << 22 | 1 << 27, information(0x0f, 0xc7, 0x34, 0x25, 0, 0, 1, 0));
    // RDRAND R10W.
    assertEquals(10L << 3, information(0x66, 0x41, 0x0f, 0xc7, 0xf2));
    // LIDT [RAX]: identity 3.
    assertEquals(2L << 7 | 1 << 11 | 3 << 15 | 1 << 22 | 3L << 28, information(0x0f, 0x01, 0x18));
    // LLDT DX: identity 2, a register.
    assertEquals(2L << 3 | 1 << 10 | 2L << 28, information(0x0f, 0x00, 0xd2));
    // OUTSB with GS.
    assertEquals(2L << 7 | 5 << 15, information(0x65, 0x6e));
    // INVEPT RDX, [RSP].
    assertEquals(
        2L << 7 | 2 << 15 | 1 << 22 | 4L << 23 | 2L << 28,
        information(0x66, 0x0f, 0x38, 0x80, 0x14, 0x24));
  }

  @Test
  void string_io_records_the_linear_address() {
    MinimalHypervisor h = hypervisor(bytes(0x6e));
    h.primary(Controls.CPU_BASED_UNCOND_IO_EXITING);
    h.cpu.r[Cpu.RSI] = 0x61234;
    h.run();
    assertEquals(0x61234, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
  }

  // ---- I/O bitmaps ----

  private static ExitReason port(int port, int size, int... marked) {
    MinimalHypervisor h =
        hypervisor(size == 1 ? bytes(0xee) : size == 2 ? bytes(0x66, 0xef) : bytes(0xef));
    h.primary(Controls.CPU_BASED_USE_IO_BITMAPS | Controls.CPU_BASED_UNCOND_IO_EXITING);
    for (int p : marked) {
      long bitmap = p < 0x8000 ? MinimalHypervisor.IO_BITMAP_A : MinimalHypervisor.IO_BITMAP_B;
      long at = bitmap + ((p & 0x7fff) >> 3);
      h.memory.writeByte(at, (byte) (h.memory.readByte(at) | 1 << (p & 7)));
    }
    h.cpu.r[Cpu.RDX] = port;
    return h.run();
  }

  @Test
  void io_bitmaps_decide_each_port() {
    assertEquals(ExitReason.VMCALL, port(0x80, 1));
    assertEquals(ExitReason.IO_INSTRUCTION, port(0x80, 1, 0x80));
    assertEquals(ExitReason.VMCALL, port(0x80, 1, 0x81, 0x7f));
    assertEquals(ExitReason.IO_INSTRUCTION, port(0x80, 4, 0x83));
    assertEquals(ExitReason.VMCALL, port(0x80, 2, 0x82));
    assertEquals(ExitReason.IO_INSTRUCTION, port(0x7fff, 2, 0x8000));
    assertEquals(ExitReason.IO_INSTRUCTION, port(0x9000, 1, 0x9000));
    assertEquals(ExitReason.VMCALL, port(0x9000, 1, 0x1000));
    // An access that wraps around always exits.
    assertEquals(ExitReason.IO_INSTRUCTION, port(0xffff, 2));
    assertEquals(ExitReason.VMCALL, port(0xffff, 1));
  }

  // ---- MSR bitmaps ----

  private static ExitReason msr(boolean write, int index, int markedAt, int bit) {
    MinimalHypervisor h = hypervisor(write ? bytes(0x0f, 0x30) : bytes(0x0f, 0x32));
    h.primary(Controls.CPU_BASED_USE_MSR_BITMAPS);
    if (markedAt >= 0) {
      h.memory.writeByte(MinimalHypervisor.MSR_BITMAP + markedAt, (byte) (1 << bit));
    }
    h.cpu.r[Cpu.RCX] = index;
    h.cpu.r[Cpu.RAX] = 0;
    h.cpu.r[Cpu.RDX] = 0;
    return h.run();
  }

  @Test
  void msr_bitmaps_decide_each_msr() {
    assertEquals(ExitReason.VMCALL, msr(false, 0x174, -1, 0));
    assertEquals(ExitReason.MSR_READ, msr(false, 0x174, 0x174 >> 3, 4));
    assertEquals(ExitReason.VMCALL, msr(false, 0x174, 2048 + (0x174 >> 3), 4));
    assertEquals(ExitReason.MSR_WRITE, msr(true, 0x174, 2048 + (0x174 >> 3), 4));
    assertEquals(ExitReason.VMCALL, msr(true, 0x174, 0x174 >> 3, 4));
    assertEquals(ExitReason.VMCALL, msr(true, 0xc000_0082, -1, 0));
    assertEquals(ExitReason.MSR_WRITE, msr(true, 0xc000_0082, 3072 + (0x82 >> 3), 2));
    assertEquals(ExitReason.MSR_READ, msr(false, 0xc000_0082, 1024 + (0x82 >> 3), 2));
    // Beyond the bitmaps.
    assertEquals(ExitReason.MSR_READ, msr(false, 0x4000_0000, -1, 0));
    assertEquals(ExitReason.MSR_WRITE, msr(true, 0x2000, -1, 0));
  }

  @Test
  void without_bitmaps_every_msr_access_exits() {
    MinimalHypervisor h = hypervisor(bytes(0x0f, 0x32));
    h.cpu.r[Cpu.RCX] = 0x174;
    assertEquals(ExitReason.MSR_READ, h.run());
  }

  // ---- control registers ----

  private static MinimalHypervisor movToCr(int cr, long value) {
    MinimalHypervisor h = hypervisor(bytes(0x0f, 0x22, 0xc0 | cr << 3));
    h.cpu.r[Cpu.RAX] = value;
    return h;
  }

  @Test
  void a_write_of_cr0_exits_where_it_differs_from_the_shadow_in_bits_of_the_mask() {
    long cr0 = 0x80050033L;
    MinimalHypervisor h = movToCr(0, cr0 | 8);
    h.set(VmcsField.CR0_GUEST_HOST_MASK, 8).set(VmcsField.CR0_READ_SHADOW, cr0);
    assertEquals(ExitReason.CR_ACCESS, h.run());
    assertEquals(0, h.qualification());

    h = movToCr(0, cr0 | 8);
    h.set(VmcsField.CR0_GUEST_HOST_MASK, 8).set(VmcsField.CR0_READ_SHADOW, 8);
    assertEquals(ExitReason.VMCALL, h.run());
    // The bit is the host's: it keeps its value.
    assertEquals(cr0, h.get(VmcsField.GUEST_CR0));

    h = movToCr(0, cr0 | 8);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(cr0 | 8, h.get(VmcsField.GUEST_CR0));
  }

  @Test
  void a_read_of_cr0_and_cr4_sees_the_shadow() {
    // MOV RBX, CR0; MOV RCX, CR4.
    MinimalHypervisor h = hypervisor(bytes(0x0f, 0x20, 0xc3, 0x0f, 0x20, 0xe1));
    h.set(VmcsField.CR0_GUEST_HOST_MASK, 1L << 5).set(VmcsField.CR0_READ_SHADOW, 0);
    h.set(VmcsField.CR4_GUEST_HOST_MASK, 0x2080).set(VmcsField.CR4_READ_SHADOW, 0x80);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x80050013L, h.cpu.r[Cpu.RBX]);
    assertEquals(0xa0, h.cpu.r[Cpu.RCX]);
  }

  @Test
  void a_write_of_cr4_exits_by_mask_and_shadow() {
    MinimalHypervisor h = movToCr(4, 0x20a0);
    h.set(VmcsField.CR4_GUEST_HOST_MASK, 0x80).set(VmcsField.CR4_READ_SHADOW, 0);
    assertEquals(ExitReason.CR_ACCESS, h.run());
    assertEquals(4, h.qualification());
  }

  @Test
  void a_cr3_target_value_does_not_exit() {
    MinimalHypervisor h = movToCr(3, MinimalHypervisor.PAGE_TABLES);
    h.primary(Controls.CPU_BASED_CR3_LOAD_EXITING);
    h.set(VmcsField.CR3_TARGET_COUNT, 2)
        .set(VmcsField.CR3_TARGET_VALUE1, MinimalHypervisor.PAGE_TABLES);
    assertEquals(ExitReason.VMCALL, h.run());
    h = movToCr(3, MinimalHypervisor.PAGE_TABLES);
    h.primary(Controls.CPU_BASED_CR3_LOAD_EXITING);
    h.set(VmcsField.CR3_TARGET_COUNT, 1)
        .set(VmcsField.CR3_TARGET_VALUE1, MinimalHypervisor.PAGE_TABLES);
    assertEquals(ExitReason.CR_ACCESS, h.run());
  }

  // ---- instructions that a control takes away ----

  @Test
  void instructions_that_are_not_enabled_are_undefined() {
    for (int[] code :
        new int[][] {
          bytes(0x0f, 0x01, 0xf9), bytes(0x66, 0x0f, 0x38, 0x82, 0x08), bytes(0x0f, 0x01, 0xd4)
        }) {
      MinimalHypervisor h = hypervisor(code);
      h.set(VmcsField.EXCEPTION_BITMAP, 1 << 6);
      assertEquals(ExitReason.EXCEPTION_NMI, h.run());
      assertEquals(0x80000306L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    }
  }

  private static final int[] TPAUSE_ECX = {0x66, 0x0f, 0xae, 0xf1};
  private static final int[] UMWAIT_ECX = {0xf2, 0x0f, 0xae, 0xf1};
  private static final int[] UMONITOR_RCX = {0xf3, 0x0f, 0xae, 0xf1};

  /** SDM 26.3, TPAUSE, UMONITOR, UMWAIT. */
  @Test
  void user_waits_are_undefined_unless_enabled_and_exit_as_rdtsc_does() {
    CpuProfile model = CpuProfiles.named("sapphire-rapids");
    MinimalHypervisor h = new MinimalHypervisor(model, VmxCapabilities.of(model));
    for (int[] code : new int[][] {TPAUSE_ECX, UMWAIT_ECX, UMONITOR_RCX}) {
      boolean waits = code != UMONITOR_RCX;
      h.guest(LONG);
      h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE);
      h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.UD);
      h.code(code[0], code[1], code[2], code[3], 0x0f, 0x01, 0xc1);
      h.cpu.r[Cpu.RCX] = 1;
      assertEquals(ExitReason.EXCEPTION_NMI, h.run());
      h.secondary(Controls.SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE);
      assertEquals(ExitReason.VMCALL, h.run());
      h.guest(LONG);
      h.secondary(Controls.SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE);
      h.primary(Controls.CPU_BASED_RDTSC_EXITING);
      ExitReason expected = code == TPAUSE_ECX ? ExitReason.TPAUSE : ExitReason.UMWAIT;
      assertEquals(waits ? expected : ExitReason.VMCALL, h.run());
      if (waits) {
        assertEquals(4, h.length());
        assertEquals(1, h.get(VmcsField.VMX_INSTRUCTION_INFO) >> 3 & 15, "ECX");
      }
    }
  }

  /** SDM 26.3, RDMSR and WRMSR. */
  @Test
  void speculation_control_has_a_mask_and_a_shadow() {
    MinimalHypervisor h = new MinimalHypervisor();
    h.memory.fill(MinimalHypervisor.MSR_BITMAP, 4096, (byte) 0);
    h.guest(LONG);
    h.primary(Controls.CPU_BASED_USE_MSR_BITMAPS | Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
    h.set(VmcsField.TERTIARY_VM_EXEC_CONTROL, Controls.TERTIARY_EXEC_SPEC_CTRL);
    h.set(VmcsField.IA32_SPEC_CTRL_MASK, 5);
    h.set(VmcsField.IA32_SPEC_CTRL_SHADOW, 2);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.GP);
    h.cpu.msr.spec = 1;
    // mov ecx, 0x48; rdmsr; mov ebx, eax; mov eax, 6; xor edx, edx; wrmsr; rdmsr; vmcall
    h.code(
        0xb9, 0x48, 0, 0, 0, 0x0f, 0x32, 0x89, 0xc3, 0xb8, 6, 0, 0, 0, 0x31, 0xd2, 0x0f, 0x30, 0x0f,
        0x32, 0x0f, 0x01, 0xc1);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(2, h.cpu.r[Cpu.RBX]);
    assertEquals(6, h.cpu.r[Cpu.RAX]);
    assertEquals(6, h.get(VmcsField.IA32_SPEC_CTRL_SHADOW));
    assertEquals(3, h.cpu.msr.spec, "bit 0 is kept, and bit 2 not set");
    h.code(0xb9, 0x48, 0, 0, 0, 0xb8, 0, 0, 0, 0x80, 0x31, 0xd2, 0x0f, 0x30);
    h.set(VmcsField.GUEST_RIP, MinimalHypervisor.CODE);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(6, h.get(VmcsField.IA32_SPEC_CTRL_SHADOW));
    assertEquals(3, h.cpu.msr.spec);
  }

  @Test
  void tsc_offset_and_multiplier_apply_to_rdtsc() {
    MinimalHypervisor h = hypervisor(bytes(0x0f, 0x31));
    h.clock.tsc = 1000;
    h.primary(Controls.CPU_BASED_USE_TSC_OFFSETTING).set(VmcsField.TSC_OFFSET, -300);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(700, h.cpu.r[Cpu.RAX]);

    h = hypervisor(bytes(0x0f, 0x31));
    h.clock.tsc = 1L << 40;
    h.primary(Controls.CPU_BASED_USE_TSC_OFFSETTING).set(VmcsField.TSC_OFFSET, 5);
    h.secondary(Controls.SECONDARY_EXEC_TSC_SCALING).set(VmcsField.TSC_MULTIPLIER, 3L << 47);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals((3L << 39) + 5, h.cpu.r[Cpu.RDX] << 32 | h.cpu.r[Cpu.RAX]);
  }

  @Test
  void pause_loops_exit_by_gap_and_window() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0xf3, 0x90, 0xeb, 0xfc);
    h.secondary(Controls.SECONDARY_EXEC_PAUSE_LOOP_EXITING);
    h.set(VmcsField.PLE_GAP, 10).set(VmcsField.PLE_WINDOW, 100);
    assertEquals(InstructionError.SUCCESS, h.enter());
    h.clock.tsc = 1000;
    int loops = 0;
    while (h.cpu.guest != null && loops < 100) {
      h.clock.tsc += 8;
      h.engine.run(2);
      loops++;
    }
    assertEquals(ExitReason.PAUSE, h.reason());
    assertEquals(14, loops);
  }

  // ---- exceptions ----

  @Test
  void exceptions_exit_by_the_bitmap() {
    MinimalHypervisor h = hypervisor(bytes(0x0f, 0x0b));
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 6);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000306L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    // A fault's image of RFLAGS has RF.
    assertEquals(0x10002, h.get(VmcsField.GUEST_RFLAGS));
  }

  @Test
  void int3_exits_as_a_software_exception_with_its_length() {
    MinimalHypervisor h = hypervisor(bytes(0xcc));
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 3);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000603L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(1, h.length());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void int1_exits_as_a_privileged_software_exception() {
    MinimalHypervisor h = hypervisor(bytes(0xf1));
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 1);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000501L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(1, h.length());
  }

  private static MinimalHypervisor pageFault() {
    // MOV AL, [RAX] at an address that the guest's tables do not map.
    MinimalHypervisor h = hypervisor(bytes(0x8a, 0x00));
    h.cpu.r[Cpu.RAX] = 0x7f0000001234L;
    return h;
  }

  @Test
  void a_page_fault_has_its_address_as_qualification_and_leaves_cr2() {
    MinimalHypervisor h = pageFault();
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 14);
    h.cpu.cr2 = 0x77;
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000b0eL, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(0, h.get(VmcsField.VM_EXIT_INTR_ERROR_CODE));
    assertEquals(0x7f0000001234L, h.qualification());
    assertEquals(0x77, h.cpu.cr2);
  }

  @Test
  void page_faults_are_selected_by_mask_and_match() {
    // Bit 14 set: exits if (code & mask) == match.
    MinimalHypervisor h = pageFault();
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << 14).set(VmcsField.PAGE_FAULT_ERROR_CODE_MATCH, 1);
    assertEquals(ExitReason.TRIPLE_FAULT, h.run());
    // Bit 14 clear: exits if not.
    h = pageFault();
    h.set(VmcsField.PAGE_FAULT_ERROR_CODE_MASK, 1).set(VmcsField.PAGE_FAULT_ERROR_CODE_MATCH, 1);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
  }

  @Test
  void a_fault_without_a_handler_is_a_triple_fault() {
    MinimalHypervisor h = hypervisor(bytes(0x0f, 0x0b));
    h.set(VmcsField.GUEST_IDTR_LIMIT, 0);
    assertEquals(ExitReason.TRIPLE_FAULT, h.run());
    assertEquals(0, h.get(VmcsField.IDT_VECTORING_INFO_FIELD) >>> 31);
  }

  @Test
  void a_fault_in_delivery_has_idt_vectoring_information() {
    // #UD with an IDT whose limit is 0: #GP(6 * 8 + 2 + 1) in its delivery.
    MinimalHypervisor h = hypervisor(bytes(0x0f, 0x0b));
    h.set(VmcsField.GUEST_IDTR_LIMIT, 0).set(VmcsField.EXCEPTION_BITMAP, 1 << 13);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000b0dL, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(6 * 8 + 3, h.get(VmcsField.VM_EXIT_INTR_ERROR_CODE));
    assertEquals(0x80000306L, h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
  }

  @Test
  void a_double_fault_exits_without_idt_vectoring_information() {
    MinimalHypervisor h = pageFault();
    h.set(VmcsField.GUEST_IDTR_LIMIT, 0).set(VmcsField.EXCEPTION_BITMAP, 1 << 8);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000b08L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(0, h.get(VmcsField.IDT_VECTORING_INFO_FIELD) >>> 31);
  }

  @Test
  void a_software_interrupt_in_delivery_keeps_its_length_and_rip() {
    MinimalHypervisor h = hypervisor(bytes(0xcd, 0x80));
    h.set(VmcsField.GUEST_IDTR_LIMIT, 0).set(VmcsField.EXCEPTION_BITMAP, 1 << 13);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000480L, h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
    assertEquals(2, h.length());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void a_task_switch_exits_with_selector_and_source() {
    // JMP FAR 0x20:0 in protected mode: an available TSS.
    MinimalHypervisor h = new MinimalHypervisor().guest(PROTECTED);
    h.code(0xea, 0, 0, 0, 0, 0x28, 0);
    h.memory.writeLong(MinimalHypervisor.GDT + 0x28, 0x0000890320000067L);
    assertEquals(ExitReason.TASK_SWITCH, h.run());
    assertEquals(0x28 | 2L << 30, h.qualification());
    assertEquals(7, h.length());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
  }

  // ---- EPT ----

  @Test
  void an_ept_violation_records_address_and_access() {
    MinimalHypervisor h = new MinimalHypervisor().guest(REAL);
    // MOV [BX], AL at 2 MBytes: not mapped by EPT (DS.base 0x200000).
    h.segment(Cpu.DS, 0x1000, 0x200000, 0xffff, 0x93);
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000 + 8, 0);
    h.code(0x88, 0x07);
    h.cpu.r[Cpu.RBX] = 0x123;
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(0x200123, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(0x200123, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
    assertEquals(2 | 0x80 | 0x100, h.qualification() & 0x1bf);
    assertEquals(0, h.get(VmcsField.GUEST_RIP));
    // Mapped, the instruction is taken up again.
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000 + 8, 0x2000b7);
    h.code(0x88, 0x07, 0x0f, 0xa2);
    h.cpu.r[Cpu.RAX] = 0x5a;
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(0x5a, h.memory.readByte(0x200123));
  }

  @Test
  void an_ept_misconfiguration_has_no_qualification() {
    MinimalHypervisor h = new MinimalHypervisor().guest(REAL);
    h.segment(Cpu.DS, 0x1000, 0x200000, 0xffff, 0x93);
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000 + 8, 0x200000 | 0xb2);
    h.code(0x88, 0x07);
    h.cpu.r[Cpu.RBX] = 0;
    assertEquals(ExitReason.EPT_MISCONFIG, h.run());
    assertEquals(0x200000, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(0, h.qualification());
  }

  @Test
  void an_ept_violation_of_a_fetch_is_at_the_instruction() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG);
    h.set(VmcsField.GUEST_RIP, 0x400000);
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000 + 16, 0x4000b3);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(4 | 3 << 3 | 0x80 | 0x100, h.qualification() & 0x1bf);
    assertEquals(0x400000, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x400000, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
  }

  @Test
  void an_ept_violation_in_delivery_has_idt_vectoring_information() {
    // The IDT is in a page that EPT does not map.
    MinimalHypervisor h = hypervisor(bytes(0xcd, 0x21));
    h.set(VmcsField.GUEST_IDTR_BASE, 0x600000);
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000 + 24, 0);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(0x80000421L, h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
    assertEquals(2, h.length());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x600210, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
  }

  @Test
  void mode_based_execute_control_needs_its_own_bit_for_user_pages() {
    // A supervisor fetch from a user-mode page, of an EPT page that is executable for one mode
    // only.
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0x0f, 0xa2);
    h.secondary(Controls.SECONDARY_EXEC_MODE_BASED_EPT_EXEC);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(4, h.qualification() & 7);
    long user = 1 << 10;
    h.memory.writeLong(MinimalHypervisor.EPT, MinimalHypervisor.EPT + 0x1000 | 3 | user);
    h.memory.writeLong(MinimalHypervisor.EPT + 0x1000, MinimalHypervisor.EPT + 0x2000 | 3 | user);
    h.memory.writeLong(MinimalHypervisor.EPT + 0x2000, 0xb3 | user);
    h.vmx.invept(2, 0);
    assertEquals(ExitReason.CPUID, h.run());
  }

  // ---- events ----

  private static MinimalHypervisor looping() {
    return new MinimalHypervisor().guest(LONG).code(0xeb, 0xfe);
  }

  @Test
  void an_external_interrupt_exits_and_is_acknowledged_if_wanted() {
    MinimalHypervisor h = looping();
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK);
    h.clock.interrupt = 0x41;
    h.cpu.request(Cpu.REQUEST_INTERRUPT);
    assertEquals(ExitReason.EXTERNAL_INTERRUPT, h.run());
    assertEquals(0, h.get(VmcsField.VM_EXIT_INTR_INFO) >>> 31);
    assertNotEquals(0, h.cpu.requests() & Cpu.REQUEST_INTERRUPT);

    h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_ACK_INTR_ON_EXIT);
    assertEquals(ExitReason.EXTERNAL_INTERRUPT, h.run());
    assertEquals(0x80000041L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertEquals(0, h.cpu.requests() & Cpu.REQUEST_INTERRUPT);
  }

  @Test
  void an_nmi_exits_and_blocks_nmis_in_the_host() {
    MinimalHypervisor h = looping();
    h.pin(Controls.PIN_BASED_NMI_EXITING);
    h.cpu.request(Cpu.REQUEST_NMI);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80000202L, h.get(VmcsField.VM_EXIT_INTR_INFO));
    assertTrue(h.cpu.nmiBlocked);
    assertEquals(0, h.get(VmcsField.GUEST_INTERRUPTIBILITY_INFO) & 8);
  }

  @Test
  void the_interrupt_window_opens_when_interrupts_are_let_through() {
    // MOV AL, 1; STI; MOV AL, 2; JMP $: the window opens after the instruction behind STI.
    MinimalHypervisor h =
        new MinimalHypervisor().guest(LONG).code(0xb0, 1, 0xfb, 0xb0, 2, 0xeb, 0xfe);
    h.primary(Controls.CPU_BASED_INTR_WINDOW_EXITING);
    assertEquals(ExitReason.INTERRUPT_WINDOW, h.run());
    assertEquals(MinimalHypervisor.CODE + 5, h.get(VmcsField.GUEST_RIP));
    assertEquals(2, h.cpu.r[Cpu.RAX] & 0xff);
    // Open already: it exits before the first instruction.
    assertEquals(ExitReason.INTERRUPT_WINDOW, h.run());
    assertEquals(MinimalHypervisor.CODE + 5, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void the_nmi_window_opens_when_virtual_nmis_are_not_blocked() {
    MinimalHypervisor h = looping();
    h.pin(Controls.PIN_BASED_NMI_EXITING | Controls.PIN_BASED_VIRTUAL_NMIS);
    h.primary(Controls.CPU_BASED_NMI_WINDOW_EXITING);
    h.set(VmcsField.GUEST_INTERRUPTIBILITY_INFO, 8);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(Interpreter.Stop.BUDGET, h.engine.run(50));
    h.cpu.nmiBlocked = false;
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    assertEquals(ExitReason.NMI_WINDOW, h.reason());
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 5, 31})
  void the_preemption_timer_counts_and_is_saved(int rate) {
    CpuProfile model = CpuProfiles.defaultProfile().withVmxTimerRate(rate);
    MinimalHypervisor h = new MinimalHypervisor(VmxCapabilities.of(model));
    h.guest(LONG).code(0xeb, 0xfe);
    h.clock.tsc = 1L << 40;
    h.pin(Controls.PIN_BASED_VMX_PREEMPTION_TIMER | Controls.PIN_BASED_EXT_INTR_MASK);
    h.or(VmcsField.VM_EXIT_CONTROLS, Controls.VM_EXIT_SAVE_VMX_PREEMPTION_TIMER);
    h.set(VmcsField.VMX_PREEMPTION_TIMER_VALUE, 100);
    assertEquals(InstructionError.SUCCESS, h.enter());
    h.clock.tsc += 99L << rate;
    assertEquals(Interpreter.Stop.BUDGET, h.engine.run(50));
    h.raiseInterrupt();
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    assertEquals(ExitReason.EXTERNAL_INTERRUPT, h.reason());
    assertEquals(1, h.get(VmcsField.VMX_PREEMPTION_TIMER_VALUE));
    h.clearInterrupt();
    assertEquals(InstructionError.SUCCESS, h.enter());
    h.clock.tsc += 1L << rate;
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    assertEquals(ExitReason.PREEMPTION_TIMER, h.reason());
    assertEquals(0, h.get(VmcsField.VMX_PREEMPTION_TIMER_VALUE));
    // A value of 0 exits before the first instruction.
    assertEquals(ExitReason.PREEMPTION_TIMER, h.run());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 5, 31})
  void the_preemption_timer_of_the_greatest_value_is_long(int rate) {
    CpuProfile model = CpuProfiles.defaultProfile().withVmxTimerRate(rate);
    MinimalHypervisor h = new MinimalHypervisor(VmxCapabilities.of(model));
    h.guest(LONG).code(0xeb, 0xfe);
    h.clock.tsc = 1L << 40 | 1;
    h.pin(Controls.PIN_BASED_VMX_PREEMPTION_TIMER);
    h.set(VmcsField.VMX_PREEMPTION_TIMER_VALUE, 0xffffffffL);
    assertEquals(InstructionError.SUCCESS, h.enter());
    // Its first tick is the next change of the bit, here one of the TSC sooner, if not each is.
    long ticks = (0xffffffffL << rate) - (rate == 0 ? 0 : 1);
    assertEquals(ticks, h.clock.timer);
    h.clock.tsc += ticks - 1;
    assertEquals(Interpreter.Stop.BUDGET, h.engine.run(50));
    h.clock.tsc++;
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    assertEquals(ExitReason.PREEMPTION_TIMER, h.reason());
  }

  @Test
  void the_monitor_trap_flag_exits_after_each_instruction() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0xb0, 1, 0xb0, 2, 0x0f, 0xa2);
    h.primary(Controls.CPU_BASED_MONITOR_TRAP_FLAG);
    assertEquals(ExitReason.MONITOR_TRAP_FLAG, h.run());
    assertEquals(MinimalHypervisor.CODE + 2, h.get(VmcsField.GUEST_RIP));
    assertEquals(ExitReason.MONITOR_TRAP_FLAG, h.run());
    assertEquals(MinimalHypervisor.CODE + 4, h.get(VmcsField.GUEST_RIP));
    assertEquals(ExitReason.CPUID, h.run());
  }

  @Test
  void a_pending_monitor_trap_is_injected() {
    MinimalHypervisor h = looping();
    h.set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000700L);
    assertEquals(ExitReason.MONITOR_TRAP_FLAG, h.run());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.get(VmcsField.VM_ENTRY_INTR_INFO_FIELD) >>> 31);
  }

  @Test
  void init_exits() {
    MinimalHypervisor h = looping();
    h.cpu.request(Cpu.REQUEST_INIT);
    assertEquals(ExitReason.INIT_SIGNAL, h.run());
  }

  @Test
  void a_start_up_ipi_exits_in_the_wait_for_sipi_state_and_is_lost_otherwise() {
    MinimalHypervisor h = looping();
    assertEquals(InstructionError.SUCCESS, h.enter());
    h.cpu.requestStartUp(0x12);
    assertEquals(Interpreter.Stop.BUDGET, h.engine.run(50));
    h.cpu.request(Cpu.REQUEST_INIT);
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    h.set(VmcsField.GUEST_ACTIVITY_STATE, Cpu.WAIT_FOR_SIPI);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(Interpreter.Stop.INACTIVE, h.engine.run(50));
    h.cpu.requestStartUp(0x34);
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    assertEquals(ExitReason.SIPI_SIGNAL, h.reason());
    assertEquals(0x34, h.qualification());
    assertEquals(Cpu.WAIT_FOR_SIPI, h.get(VmcsField.GUEST_ACTIVITY_STATE));
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
  }

  @Test
  void init_stays_pending_in_the_wait_for_sipi_state_and_in_root_operation() {
    MinimalHypervisor h = looping();
    h.set(VmcsField.GUEST_ACTIVITY_STATE, Cpu.WAIT_FOR_SIPI);
    assertEquals(InstructionError.SUCCESS, h.enter());
    h.cpu.requestInit();
    assertEquals(Interpreter.Stop.INACTIVE, h.engine.run(50));
    h.cpu.requestStartUp(1);
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    assertEquals(ExitReason.SIPI_SIGNAL, h.reason());
    h.memory.writeShort(MinimalHypervisor.HOST_CODE, (short) 0xfeeb);
    assertEquals(Interpreter.Stop.BUDGET, h.engine.run(50));
    assertEquals(MinimalHypervisor.HOST_CODE, h.cpu.rip);
    h.set(VmcsField.GUEST_ACTIVITY_STATE, Cpu.ACTIVE);
    assertEquals(ExitReason.INIT_SIGNAL, h.run());
  }

  @Test
  void init_exits_in_hlt_and_in_shutdown() {
    for (int activity : new int[] {Cpu.HALTED, Cpu.SHUTDOWN}) {
      MinimalHypervisor h = looping();
      h.set(VmcsField.GUEST_ACTIVITY_STATE, activity);
      assertEquals(InstructionError.SUCCESS, h.enter());
      assertEquals(Interpreter.Stop.INACTIVE, h.engine.run(50));
      h.cpu.requestInit();
      assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
      assertEquals(ExitReason.INIT_SIGNAL, h.reason());
      assertEquals(activity, h.get(VmcsField.GUEST_ACTIVITY_STATE));
    }
  }

  @Test
  void external_interrupts_do_not_exit_in_shutdown_but_nmis_do() {
    MinimalHypervisor h = looping();
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK | Controls.PIN_BASED_NMI_EXITING);
    h.set(VmcsField.GUEST_ACTIVITY_STATE, Cpu.SHUTDOWN);
    assertEquals(InstructionError.SUCCESS, h.enter());
    h.raiseInterrupt();
    assertEquals(Interpreter.Stop.INACTIVE, h.engine.run(50));
    h.cpu.request(Cpu.REQUEST_NMI);
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    assertEquals(ExitReason.EXCEPTION_NMI, h.reason());
  }

  @Test
  void a_pending_monitor_trap_comes_before_debug_traps_which_stay_pending() {
    MinimalHypervisor h = looping();
    h.set(VmcsField.EXCEPTION_BITMAP, 2);
    h.set(VmcsField.GUEST_RFLAGS, 0x102);
    h.set(VmcsField.GUEST_PENDING_DBG_EXCEPTIONS, 1 << 14);
    h.set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, 0x80000700L);
    assertEquals(ExitReason.MONITOR_TRAP_FLAG, h.run());
    assertEquals(1 << 14, h.get(VmcsField.GUEST_PENDING_DBG_EXCEPTIONS));
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(1 << 14, h.qualification());
  }

  @Test
  void an_nmi_comes_before_an_interrupt_window() {
    MinimalHypervisor h = looping();
    h.pin(Controls.PIN_BASED_NMI_EXITING);
    h.primary(Controls.CPU_BASED_INTR_WINDOW_EXITING);
    h.set(VmcsField.GUEST_RFLAGS, 0x202);
    h.cpu.request(Cpu.REQUEST_NMI);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    h.cpu.nmiBlocked = false;
    assertEquals(ExitReason.INTERRUPT_WINDOW, h.run());
  }

  /** REP STOSB over 16 bytes, then CPUID. */
  private static MinimalHypervisor repeating() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0xf3, 0xaa, 0x0f, 0xa2);
    h.cpu.r[Cpu.RDI] = 0x60000;
    h.cpu.r[Cpu.RCX] = 16;
    return h;
  }

  @Test
  void the_monitor_trap_flag_exits_after_each_iteration() {
    // SDM 26.5.2 "Monitor Trap Flag".
    MinimalHypervisor h = repeating();
    h.primary(Controls.CPU_BASED_MONITOR_TRAP_FLAG);
    for (int left = 15; left >= 0; left--) {
      assertEquals(ExitReason.MONITOR_TRAP_FLAG, h.run());
      assertEquals(left, h.cpu.r[Cpu.RCX]);
      assertEquals(0x60010 - left, h.cpu.r[Cpu.RDI]);
      assertEquals(MinimalHypervisor.CODE + (left == 0 ? 2 : 0), h.get(VmcsField.GUEST_RIP));
      assertEquals(0, h.get(VmcsField.GUEST_RFLAGS) & 1 << 16);
    }
    assertEquals(ExitReason.CPUID, h.run());
  }

  @Test
  void an_interrupt_that_exits_between_iterations_saves_rf() {
    // SDM 28.3.3 "Saving RIP, RSP, RFLAGS, and SSP".
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0xf3, 0xac, 0x0f, 0xa2);
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK);
    h.cpu.r[Cpu.RAX] = 0;
    h.cpu.r[Cpu.RSI] = 0x60000;
    h.cpu.r[Cpu.RCX] = 100;
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(Interpreter.Stop.BUDGET, h.engine.run(10));
    h.raiseInterrupt();
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(10));
    assertEquals(ExitReason.EXTERNAL_INTERRUPT, h.reason());
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    assertEquals(1 << 16, h.get(VmcsField.GUEST_RFLAGS) & 1 << 16);
    h.clearInterrupt();
    assertEquals(ExitReason.CPUID, h.run());
    assertEquals(0, h.get(VmcsField.GUEST_RFLAGS) & 1 << 16);
    assertEquals(0, h.cpu.r[Cpu.RCX]);
  }

  @Test
  void hlt_without_exiting_halts_and_the_activity_state_is_saved() {
    MinimalHypervisor h = new MinimalHypervisor().guest(LONG).code(0xf4, 0x0f, 0xa2);
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK);
    assertEquals(InstructionError.SUCCESS, h.enter());
    assertEquals(Interpreter.Stop.INACTIVE, h.engine.run(50));
    h.raiseInterrupt();
    assertEquals(Interpreter.Stop.LEFT, h.engine.run(50));
    assertEquals(ExitReason.EXTERNAL_INTERRUPT, h.reason());
    assertEquals(1, h.get(VmcsField.GUEST_ACTIVITY_STATE));
    assertEquals(MinimalHypervisor.CODE + 1, h.get(VmcsField.GUEST_RIP));
    h.set(VmcsField.GUEST_ACTIVITY_STATE, 0);
    h.clearInterrupt();
    assertEquals(ExitReason.CPUID, h.run());
  }
}
