package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.core.ControlBits.*;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.msr.Msr;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** CPUID, MSRs, counters, TLB invalidation, waiting, and extended state. */
class ProcessorInstructionTests {
  private static final Fault GP = Fault.of(Vector.GP, 0);
  private static final Fault UD = Fault.of(Vector.UD);
  private static final Fault NM = Fault.of(Vector.NM);

  private static @Nullable Fault wrmsr(SystemMachine m, int index, long value) {
    m.cpu.r[Cpu.RCX] = index & 0xffffffffL;
    m.cpu.r[Cpu.RAX] = value & 0xffffffffL;
    m.cpu.r[Cpu.RDX] = value >>> 32;
    return m.fault("0f30");
  }

  private static long rdmsr(SystemMachine m, int index) {
    m.cpu.r[Cpu.RCX] = index & 0xffffffffL;
    m.execute("0f32");
    return m.cpu.r[Cpu.RDX] << 32 | m.cpu.r[Cpu.RAX];
  }

  // ---- privilege ----

  @ParameterizedTest
  @ValueSource(strings = {"f4", "0f08", "0f09", "0f30", "0f32", "0f0138", "0f06"})
  void level_0_alone(String hex) {
    SystemMachine m = SystemMachine.protected32(3);
    List<String> calls = m.guest("instruction", "rdmsr", "wrmsr", "invlpg", "clts");
    assertEquals(GP, m.fault(hex));
    assertEquals(List.of(), calls);
    m = SystemMachine.protected32(0);
    calls = m.guest("instruction", "rdmsr", "wrmsr", "invlpg", "clts");
    assertNull(m.fault(hex));
    assertEquals(1, calls.size());
    assertEquals(Cpu.ACTIVE, m.cpu.activity);
  }

  @Test
  void hlt_halts() {
    SystemMachine m = SystemMachine.protected32(0);
    m.execute("f4");
    assertEquals(Cpu.HALTED, m.cpu.activity);
    assertEquals(CODE + 1, m.cpu.rip);
  }

  @Test
  void vmx_instructions_without_vmx_are_undefined() {
    assertEquals(UD, SystemMachine.protected32(0).fault("0f01c1"));
    assertEquals(UD, SystemMachine.protected32(0).fault("0f01c2"));
  }

  // ---- counters ----

  @Test
  void the_time_stamp_counter_follows_offset_and_adjust() {
    SystemMachine m = SystemMachine.protected32(3);
    m.tsc = 0x1_2345_6789L;
    m.execute("0f31");
    assertEquals(0x23456789, m.cpu.r[Cpu.RAX]);
    assertEquals(1, m.cpu.r[Cpu.RDX]);
    m.cpu.cr4 |= CR4_TSD;
    assertEquals(GP, m.fault("0f31"));
    assertEquals(GP, m.fault("0f01f9"));
    m = SystemMachine.protected32(0);
    m.cpu.cr4 |= CR4_TSD;
    m.cpu.msr.tscAux = 77;
    m.execute("0f01f9");
    assertEquals(77, m.cpu.r[Cpu.RCX]);
    assertNull(wrmsr(m, MsrTable.IA32_TIME_STAMP_COUNTER, 5000));
    assertEquals(4000, rdmsr(m, MsrTable.IA32_TSC_ADJUST));
    m.tsc += 10;
    assertEquals(5010, rdmsr(m, MsrTable.IA32_TIME_STAMP_COUNTER));
    assertNull(wrmsr(m, MsrTable.IA32_TSC_ADJUST, 0));
    assertEquals(1010, rdmsr(m, MsrTable.IA32_TIME_STAMP_COUNTER));
  }

  @Test
  void rdpmc_at_cpl_3_needs_pce() {
    SystemMachine m = SystemMachine.protected32(3);
    assertEquals(GP, m.fault("0f33"));
    m.cpu.cr4 |= CR4_PCE;
    assertNull(m.fault("0f33"));
    assertNull(SystemMachine.protected32(0).fault("0f33"));
    assertNull(SystemMachine.real().fault("0f33"));
    assertEquals(GP, SystemMachine.v86(3).fault("0f33"));
  }

  @ParameterizedTest
  @CsvSource({
    // ECX, counter (# for none)
    "0, IA32_PMC0",
    "3, IA32_PMC3",
    "4, #",
    "32, #",
    "64, #",
    "0x40000000, IA32_FIXED_CTR0",
    "0x40000002, IA32_FIXED_CTR2",
    "0x40000003, #",
    "0x40000020, #",
    "0x20000000, #",
    "0x80000000, #",
    "0xffffffff, #"
  })
  void rdpmc_names_a_counter_by_type_and_index(String ecx, String counter) {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RCX] = Long.decode(ecx);
    if (counter.equals("#")) {
      assertEquals(GP, m.fault("0f33"));
      return;
    }
    Msr msr = MsrTable.all().stream().filter(r -> r.name.equals(counter)).findFirst().orElseThrow();
    assertTrue(MsrTable.write(m.cpu, msr.index, 0x81234567L));
    m.execute("0f33");
    assertEquals(0x81234567L, m.cpu.r[Cpu.RAX]);
    assertEquals(counter.startsWith("IA32_PMC") ? 0xffff : 0, m.cpu.r[Cpu.RDX], "sign, to 48 bits");
  }

  @Test
  void rdpmc_has_no_counters_where_there_are_none() {
    assertEquals(GP, SystemMachine.protected32(0, "kvm4j-v1,-arch_perfmon").fault("0f33"));
  }

  @ParameterizedTest
  @CsvSource({
    // model, registers of it, none of it
    "kvm4j-v1, 0x680 0x69f 0x6c0 0x6df 0x1c8 0x1c9, 0x40 0x60",
    "haswell, 0x680 0x68f 0x6c0 0x6cf 0x1c8 0x1c9, 0x690 0x6d0 0x40",
    "conroe, 0x40 0x43 0x60 0x63 0x1c9, 0x44 0x1c8 0x680 0x6c0",
    "sapphire-rapids, 0x48, 0x680 0x6c0 0x1c8 0x1c9"
  })
  void registers_of_last_branches_are_those_of_the_model(String model, String some, String none) {
    SystemMachine m = SystemMachine.protected32(0, model);
    for (String index : some.split(" ", -1)) {
      assertNull(wrmsr(m, Integer.decode(index), 3), index);
      assertEquals(3, rdmsr(m, Integer.decode(index)), index);
    }
    for (String index : none.split(" ", -1)) {
      assertEquals(GP, wrmsr(m, Integer.decode(index), 0), index);
    }
    m.cpu.reset();
    assertEquals(0, rdmsr(m, Integer.decode(some.split(" ", -1)[0])));
  }

  @Test
  void the_whole_of_a_counter_is_written_only_where_that_is_told() {
    SystemMachine m = SystemMachine.protected32(0);
    assertEquals(1 << 13, rdmsr(m, MsrTable.IA32_PERF_CAPABILITIES));
    assertNull(wrmsr(m, MsrTable.IA32_A_PMC0 + 3, 0x123456789abcL));
    assertEquals(0x123456789abcL, rdmsr(m, MsrTable.IA32_PMC0 + 3));
    assertNull(wrmsr(m, MsrTable.IA32_PMC0 + 3, 0x7fff_0000_1234L), "bits 63:32 are ignored");
    assertEquals(0x1234, rdmsr(m, MsrTable.IA32_A_PMC0 + 3));

    m = SystemMachine.protected32(0, "conroe");
    assertEquals(0, rdmsr(m, MsrTable.IA32_PERF_CAPABILITIES));
    assertEquals(GP, wrmsr(m, MsrTable.IA32_A_PMC0, 0));
    assertNull(wrmsr(m, MsrTable.IA32_PMC0 + 1, 0xffffffffL));
    assertEquals((1L << 40) - 1, rdmsr(m, MsrTable.IA32_PMC0 + 1));
    assertEquals(GP, wrmsr(m, MsrTable.IA32_PMC0 + 2, 0));
    assertEquals(GP, wrmsr(m, MsrTable.IA32_FIXED_CTR0, 1L << 40));
    assertEquals(GP, wrmsr(m, MsrTable.IA32_PERF_GLOBAL_CTRL, 4));
  }

  @Test
  void controls_that_are_0_take_instructions_away_before_all_else() {
    SystemMachine m = SystemMachine.long64(3);
    m.guest("isUndefined");
    m.cpu.cr4 |= CR4_TSD;
    assertEquals(UD, m.fault("0f01f9"));
    assertEquals(UD, m.fault("660f38820425000005" + "00"));
    assertEquals(UD, m.fault("f30fc7f8"));
  }

  // ---- MSRs ----

  @ParameterizedTest
  @CsvSource({
    // index, accepted, refused (# for none)
    "IA32_EFER, 0x901, 0x1000",
    "IA32_EFER, 0x0, 0x2",
    "IA32_LSTAR, 0xff00000000000000, 0x100000000000000",
    "IA32_SYSENTER_ESP, 0xffffffffffffff, 0x100000000000000",
    "IA32_FMASK, 0xffffffff, 0x100000000",
    "IA32_TSC_AUX, 0xffffffff, 0x100000000",
    "IA32_KERNEL_GS_BASE, 0x1000, 0x8000000000000000",
    "IA32_PAT, 0x0706050401000706, 0x0000000000000002",
    "IA32_PAT, 0, 0x0800000000000000",
    "IA32_MTRR_DEF_TYPE, 0xc06, 0x2",
    "IA32_MTRR_DEF_TYPE, 0, 0x1000",
    "IA32_MTRR_PHYSBASE0, 0x3ffffffff006, 0x400000000000",
    "IA32_MTRR_PHYSBASE0, 0, 0x100",
    "IA32_MTRR_PHYSMASK0, 0x3ffffffff800, 0x400",
    "IA32_MTRR_FIX64K_00000, 0x0606060606060606, 0x0300000000000000",
    "IA32_APIC_BASE, 0xfee00900, 0xfee00901",
    "IA32_MISC_ENABLE, 0x41881, 0x2",
    "IA32_DEBUGCTL, 0x1003, 0x40",
    "IA32_PMC0, 0x7fffffff, #",
    "IA32_A_PMC3, 0xffffffffffff, 0x1000000000000",
    "IA32_FIXED_CTR2, 0xffffffffffff, 0x1000000000000",
    "IA32_PERFEVTSEL0, 0xffdfffff, 0x200000",
    "IA32_PERFEVTSEL3, 0, 0x100000000",
    "IA32_FIXED_CTR_CTRL, 0xbbb, 0x4",
    "IA32_FIXED_CTR_CTRL, 0, 0x1000",
    "IA32_PERF_GLOBAL_CTRL, 0x70000000f, 0x10",
    "IA32_PERF_GLOBAL_CTRL, 0, 0x800000000",
    "IA32_PERF_GLOBAL_OVF_CTRL, 0, 0x2000000000000000",
    "IA32_SPEC_CTRL, 7, 8",
    "IA32_PRED_CMD, 1, 2",
    "IA32_GS_BASE, 0xff00000000000000, 0xfe00000000000000",
    "IA32_PKRS, 0xffffffff, 0x100000000",
    "IA32_MCG_STATUS, 7, 8",
    "IA32_BIOS_SIGN_ID, 0x12345678, #"
  })
  void reserved_bits_are_gp(String name, String good, String bad) {
    SystemMachine m = SystemMachine.protected32(0);
    Msr msr = MsrTable.all().stream().filter(r -> r.name.equals(name)).findFirst().orElseThrow();
    assertNull(wrmsr(m, msr.index, parse(good)));
    if (!bad.equals("#")) {
      assertEquals(GP, wrmsr(m, msr.index, parse(bad)));
    }
    if (msr.isReadable()) {
      assertEquals(parse(good), rdmsr(m, msr.index));
    }
  }

  private static long parse(String value) {
    return value.startsWith("0x")
        ? Long.parseUnsignedLong(value.substring(2), 16)
        : Long.parseLong(value);
  }

  @ParameterizedTest
  @ValueSource(ints = {0x2, 0xc5, 0x10a + 0x1000, 0x480, 0x3a, 0x800, 0xc0000104, 0xc0010015})
  void unknown_registers_are_gp(int index) {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RCX] = index & 0xffffffffL;
    assertEquals(GP, m.fault("0f32"));
    assertEquals(GP, wrmsr(m, index, 0));
  }

  @Test
  void read_only_registers_refuse_writes() {
    SystemMachine m = SystemMachine.protected32(0);
    for (int index :
        new int[] {
          MsrTable.IA32_PLATFORM_ID,
          MsrTable.IA32_MTRRCAP,
          MsrTable.IA32_ARCH_CAPABILITIES,
          MsrTable.IA32_MCG_CAP,
          MsrTable.IA32_PERF_CAPABILITIES,
          MsrTable.IA32_PERF_GLOBAL_STATUS
        }) {
      long value = rdmsr(m, index);
      assertEquals(GP, wrmsr(m, index, value));
    }
    assertEquals(0x50a, rdmsr(m, MsrTable.IA32_MTRRCAP));
  }

  @Test
  void a_command_is_not_read() {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RCX] = MsrTable.IA32_PRED_CMD;
    assertEquals(GP, m.fault("0f32"));
  }

  @Test
  void lme_does_not_change_while_paging_and_lma_not_at_all() {
    SystemMachine m = SystemMachine.long64(0);
    assertEquals(GP, wrmsr(m, MsrTable.IA32_EFER, EFER_SCE));
    assertNull(wrmsr(m, MsrTable.IA32_EFER, EFER_LME));
    assertEquals(EFER_LME | EFER_LMA, rdmsr(m, MsrTable.IA32_EFER));
  }

  @Test
  void every_readable_row_of_the_table_is_read_and_named_once() {
    SystemMachine m = SystemMachine.protected32(0);
    long[] value = new long[1];
    for (Msr msr : MsrTable.all()) {
      if (msr.isOn(m.cpu.model) && msr.index != 0x3a && msr.index >>> 8 != 4) {
        assertEquals(msr.isReadable(), MsrTable.read(m.cpu, msr.index, value), msr.toString());
      }
      assertNotEquals("", msr.source);
    }
    assertEquals(
        MsrTable.all().size(), MsrTable.all().stream().map(r -> r.name).distinct().count());
  }

  @Test
  void the_fs_base_is_an_msr() {
    SystemMachine m = SystemMachine.long64(0);
    assertNull(wrmsr(m, MsrTable.IA32_FS_BASE, 0xffff800000001000L));
    assertEquals(0xffff800000001000L, m.cpu.seg[Cpu.FS].base);
    assertEquals(0xffff800000001000L, m.cpu.r[Cpu.FS_BASE]);
  }

  // ---- CPUID ----

  @Test
  void cpuid_follows_control_registers() {
    SystemMachine m = SystemMachine.protected32(3);
    m.cpu.r[Cpu.RAX] = 0xffffffff00000001L;
    m.execute("0fa2");
    assertEquals(0x606a6, m.cpu.r[Cpu.RAX]);
    assertEquals(0, m.cpu.r[Cpu.RCX] & 1 << 27);
    m.cpu.cr4 |= CR4_OSXSAVE | CR4_PKE;
    m.cpu.r[Cpu.RAX] = 1;
    m.execute("0fa2");
    assertNotEquals(0, m.cpu.r[Cpu.RCX] & 1 << 27);
    m.cpu.r[Cpu.RAX] = 7;
    m.cpu.r[Cpu.RCX] = 0;
    m.execute("0fa2");
    assertNotEquals(0, m.cpu.r[Cpu.RCX] & 1 << 4);
  }

  // ---- TLB ----

  @Test
  void a_stale_translation_lives_until_invlpg() {
    SystemMachine m = SystemMachine.paged32(0);
    String load = "8a0500002000";
    m.execute(load);
    m.memory.writeInt(0x21000 + (PAGES >> 12) * 4, 0);
    assertNull(m.fault(load));
    assertNull(m.fault("0f013d00102000"));
    assertNull(m.fault(load));
    assertNull(m.fault("0f013d00002000"));
    assertEquals(Vector.PF, m.faultVector(load));
  }

  @ParameterizedTest
  @CsvSource({
    // type, low, address, fault
    "0, 0, 0x200000, ",
    "1, 0, 0, ",
    "2, 0, 0, ",
    "3, 0, 0, ",
    "4, 0, 0, 13",
    "0, 0x1000, 0, 13",
    "0, 0, 0x80000000000000, ",
    "0, 0, 0x100000000000000, 13",
    "1, 0, 0x100000000000000, ",
    "0, 5, 0, 13",
    "2, 5, 0, "
  })
  void invpcid(long type, String low, String linear, Integer vector) {
    SystemMachine m = SystemMachine.long64(0);
    m.cpu.r[Cpu.RAX] = type;
    m.memory.writeLong(DATA, Long.decode(low));
    m.memory.writeLong(DATA + 8, Long.decode(linear));
    assertEquals(vector == null ? null : GP, m.fault("660f3882042500000500"));
  }

  // ---- waiting ----

  @Test
  void user_waits_end_at_once() {
    String tpause = "660faef1";
    String umwait = "f20faef1";
    String umonitor = "f30faef0";
    SystemMachine m = SystemMachine.long64(3, "sapphire-rapids");
    for (String wait : new String[] {tpause, umwait}) {
      m.cpu.r[Cpu.RCX] = 1;
      m.cpu.setLazyFlags(Flags.ARITHMETIC);
      assertNull(m.fault(wait));
      assertEquals(0, m.cpu.rflags() & Flags.ARITHMETIC, "not ended by IA32_UMWAIT_CONTROL");
      m.cpu.r[Cpu.RCX] = 2;
      assertEquals(GP, m.fault(wait));
      m.cpu.r[Cpu.RCX] = 0;
      m.cpu.cr4 |= ControlBits.CR4_TSD;
      assertEquals(GP, m.fault(wait));
      m.cpu.cr4 &= ~ControlBits.CR4_TSD;
    }
    m.cpu.r[Cpu.RAX] = 1L << 60;
    assertEquals(GP, m.fault(umonitor), "an address that is not canonical");
    assertEquals(UD, SystemMachine.long64(3).fault(tpause));
  }

  @Test
  void monitor_and_mwait() {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RAX] = DATA;
    m.cpu.r[Cpu.RCX] = 0;
    assertNull(m.fault("0f01c8"));
    assertNull(m.fault("0f01c9"));
    m.cpu.r[Cpu.RCX] = 1;
    assertEquals(GP, m.fault("0f01c8"));
    m.cpu.r[Cpu.RCX] = 2;
    assertEquals(GP, m.fault("0f01c9"));
    assertEquals(UD, SystemMachine.protected32(3).fault("0f01c8"));
    m.cpu.msr.miscEnable &= ~(1L << 18);
    assertEquals(UD, m.fault("0f01c8"));
  }

  @Test
  void wait_needs_both_mp_and_ts() {
    SystemMachine m = SystemMachine.protected32(3);
    m.cpu.cr0 |= CR0_TS;
    assertNull(m.fault("9b"));
    m.cpu.cr0 |= CR0_MP;
    assertEquals(NM, m.fault("9b"));
  }

  // ---- protection keys, XCR0, extended state ----

  @Test
  void pkru() {
    SystemMachine m = SystemMachine.long64(3);
    assertEquals(UD, m.fault("0f01ee"));
    m.cpu.cr4 |= CR4_PKE;
    m.cpu.r[Cpu.RAX] = 0x55555554L;
    m.cpu.r[Cpu.RCX] = 0;
    m.cpu.r[Cpu.RDX] = 0;
    assertNull(m.fault("0f01ef"));
    m.cpu.r[Cpu.RDX] = 1;
    assertEquals(GP, m.fault("0f01ef"));
    m.execute("0f01ee");
    assertEquals(0x55555554L, m.cpu.r[Cpu.RAX]);
    assertEquals(0, m.cpu.r[Cpu.RDX]);
    m.cpu.r[Cpu.RCX] = 1;
    assertEquals(GP, m.fault("0f01ee"));
  }

  @Test
  void xsetbv_takes_only_components_that_are_there() {
    SystemMachine m = SystemMachine.protected32(0);
    assertEquals(UD, m.fault("0f01d1"));
    m.cpu.cr4 |= CR4_OSXSAVE;
    m.cpu.r[Cpu.RCX] = 0;
    m.cpu.r[Cpu.RDX] = 0;
    for (long[] row : new long[][] {{1, 1}, {3, 1}, {0x203, 1}, {2, 0}, {5, 0}, {7, 0}, {9, 0}}) {
      m.cpu.r[Cpu.RAX] = row[0];
      assertEquals(row[1] != 0 ? null : GP, m.fault("0f01d1"), "XCR0 " + row[0]);
    }
    m.execute("0f01d0");
    assertEquals(0x203, m.cpu.r[Cpu.RAX]);
    m.cpu.r[Cpu.RCX] = 1;
    assertEquals(GP, m.fault("0f01d1"));
  }

  @Test
  void fxsave_and_fxrstor_are_a_round_trip() {
    SystemMachine m = SystemMachine.long64(3);
    for (int k = 0; k < 416; k++) {
      m.cpu.xsaveArea[k] = (byte) (k * 7);
    }
    m.cpu.xsaveArea[24] = (byte) 0x80;
    m.cpu.xsaveArea[25] = 0x1f;
    m.cpu.xsaveArea[26] = 0;
    m.cpu.xsaveArea[27] = 0;
    byte[] before = m.cpu.xsaveArea.clone();
    m.execute("480fae042500000500");
    assertEquals(0xffff, m.read(DATA + 28, 4));
    java.util.Arrays.fill(m.cpu.xsaveArea, (byte) 0);
    m.execute("480fae0c2500000500");
    for (int k = 0; k < 416; k++) {
      if (k < 28 || k >= 32) {
        assertEquals(before[k], m.cpu.xsaveArea[k], "byte " + k);
      }
    }
    assertEquals(GP, m.fault("0fae042508000500"));
    m.memory.writeInt(DATA + 24, 0x10000);
    assertEquals(GP, m.fault("480fae0c2500000500"));
    m.cpu.cr0 |= CR0_TS;
    assertEquals(NM, m.fault("480fae042500000500"));
  }

  @Test
  void xsave_and_xrstor_move_what_is_asked_for() {
    SystemMachine m = SystemMachine.long64(3);
    String xsave = "0fae242500000500";
    String xrstor = "0fae2c2500000500";
    assertEquals(UD, m.fault(xsave));
    m.cpu.cr4 |= CR4_OSXSAVE | CR4_PKE;
    m.cpu.xcr0 = 0x203;
    m.cpu.pkru = 0x1234;
    m.cpu.xsaveArea[200] = 5;
    m.cpu.r[Cpu.RAX] = 0x202;
    m.cpu.r[Cpu.RDX] = -1;
    m.memory.writeLong(DATA + 512, 1);
    m.execute(xsave);
    assertEquals(0x203, m.read(DATA + 512, 8));
    assertEquals(5, m.read(DATA + 200, 1));
    assertEquals(0x1234, m.read(DATA + 2688, 8));
    m.cpu.pkru = 0;
    m.cpu.xsaveArea[200] = 0;
    m.execute(xrstor);
    assertEquals(0x1234, m.cpu.pkru);
    assertEquals(5, m.cpu.xsaveArea[200]);
    m.memory.writeLong(DATA + 512, 0);
    m.execute(xrstor);
    assertEquals(0, m.cpu.pkru);
    assertEquals(0, m.cpu.xsaveArea[200]);
    m.memory.writeLong(DATA + 512, 4);
    assertEquals(GP, m.fault(xrstor));
    m.memory.writeLong(DATA + 512, 0);
    m.memory.writeLong(DATA + 520, 1);
    assertEquals(GP, m.fault(xrstor));
    assertEquals(GP, m.fault("0fae242520000500"));
  }
}
