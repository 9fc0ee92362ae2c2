package org.kvm4j.cpu.cet;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.cet.CetMachine.*;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** The instructions and registers of CET. SDM Vol. 2, each instruction's page. */
class ShadowStackInstructionTests {
  private static final String RDSSPQ = "f3 48 0f 1e c8";
  private static final String INCSSPQ = "f3 48 0f ae e8";
  private static final String RSTORSSP = "f3 0f 01 2b"; // [rbx]
  private static final String SAVEPREVSSP = "f3 0f 01 ea";
  private static final String WRSSQ = "48 0f 38 f6 03"; // [rbx], rax
  private static final String WRUSSQ = "66 48 0f 38 f5 03";
  private static final String SETSSBSY = "f3 0f 01 e8";
  private static final String CLRSSBSY = "f3 0f ae 33"; // [rbx]

  private final SystemMachine m = CetMachine.long64(3);
  private final Cpu c = m.cpu;

  @Test
  void RDSSP_reads_the_pointer_and_is_a_NOP_without_shadow_stacks() {
    c.r[Cpu.RAX] = -1;
    m.execute(RDSSPQ);
    assertEquals(USER, c.r[Cpu.RAX]);
    c.ssp = 0x1_0000_1000L;
    c.r[Cpu.RAX] = -1;
    m.execute("f3 0f 1e c8");
    assertEquals(0x1000, c.r[Cpu.RAX]);
    c.msr.uCet = 0;
    c.updateMode();
    m.execute(RDSSPQ);
    assertEquals(0x1000, c.r[Cpu.RAX]);
  }

  @Test
  void INCSSP_pops_up_to_255_elements_and_touches_both_ends() {
    c.r[Cpu.RAX] = 0x103;
    m.execute(INCSSPQ);
    assertEquals(USER + 24, c.ssp);
    m.execute("f3 0f ae e8");
    assertEquals(USER + 36, c.ssp);
    c.r[Cpu.RAX] = 0;
    m.execute(INCSSPQ);
    assertEquals(USER + 36, c.ssp);
    c.ssp = USER_PAGE + 0xff8;
    c.r[Cpu.RAX] = 1;
    assertNull(m.fault(INCSSPQ));
    assertEquals(USER_PAGE + 0x1000, c.ssp);
    c.r[Cpu.RAX] = 0;
    assertEquals(Vector.PF, m.faultVector(INCSSPQ));
    c.ssp = USER_PAGE + 0xff8;
    c.r[Cpu.RAX] = 2;
    assertEquals(new Fault(Vector.PF, true, 0x45, USER_PAGE + 0x1000), m.fault(INCSSPQ));
    assertEquals(USER_PAGE + 0xff8, c.ssp);
  }

  @Test
  void a_stack_is_left_and_restored_by_its_tokens() {
    long other = USER - 0x200;
    m.memory.writeLong(other, other + 8 | 1); // a restore token
    c.r[Cpu.RBX] = other;
    c.setLazyFlags(0x8d5);
    m.execute(RSTORSSP);
    assertEquals(other, c.ssp);
    assertEquals(USER | 3, m.memory.readLong(other));
    assertEquals(0, c.lazyFlags());
    m.execute(SAVEPREVSSP);
    assertEquals(other + 8, c.ssp);
    assertEquals(USER | 1, m.memory.readLong(USER - 8));
    // And back.
    c.r[Cpu.RBX] = USER - 8;
    m.execute(RSTORSSP);
    assertEquals(USER - 8, c.ssp);
    assertEquals(other + 8 | 3, m.memory.readLong(USER - 8));
  }

  @Test
  void a_hole_for_alignment_is_told_in_CF_and_filled() {
    c.ssp = USER - 4;
    long other = USER - 0x200;
    m.memory.writeLong(other, other + 12 | 1);
    c.r[Cpu.RBX] = other;
    m.execute(RSTORSSP);
    assertEquals(Flags.CF, c.lazyFlags());
    // In 64-bit mode there is none.
    assertEquals(Fault.of(Vector.GP, 0), m.fault(SAVEPREVSSP));
    c.setLazyFlags(0);
    m.memory.writeInt(USER - 8, -1);
    m.execute(SAVEPREVSSP);
    assertEquals(0, m.read(USER - 8, 4));
    assertEquals(USER - 4 | 1, m.memory.readLong(USER - 16));
  }

  @Test
  void RSTORSSP_refuses_what_is_no_token_of_this_mode_and_place() {
    long at = USER - 0x200;
    c.r[Cpu.RBX] = at;
    for (long token : new long[] {at + 8, at + 8 | 3, at + 16 | 1, at | 1, 0}) {
      m.memory.writeLong(at, token);
      assertEquals(Fault.of(Vector.CP, 4), m.fault(RSTORSSP));
      assertEquals(token, m.memory.readLong(at));
    }
    c.r[Cpu.RBX] = at + 4;
    assertEquals(Fault.of(Vector.GP, 0), m.fault(RSTORSSP));
    c.r[Cpu.RBX] = DATA;
    assertEquals(new Fault(Vector.PF, true, 0x47, DATA), m.fault(RSTORSSP));
    c.ssp = USER - 8;
    assertEquals(Fault.of(Vector.GP, 0), m.fault(SAVEPREVSSP));
  }

  @Test
  void WRSS_needs_a_bit_of_its_own() {
    c.r[Cpu.RBX] = USER;
    c.r[Cpu.RAX] = 0x1122334455667788L;
    assertEquals(Fault.of(Vector.UD), m.fault(WRSSQ));
    c.msr.uCet |= CetControl.WR_SHSTK_EN;
    m.execute(WRSSQ);
    assertEquals(0x1122334455667788L, m.memory.readLong(USER));
    c.r[Cpu.RBX] = USER + 4;
    assertEquals(Fault.of(Vector.GP, 0), m.fault(WRSSQ));
    m.execute("0f 38 f6 03");
    assertEquals(0x5566778855667788L, m.memory.readLong(USER));
    c.r[Cpu.RBX] = DATA;
    assertEquals(new Fault(Vector.PF, true, 0x47, DATA), m.fault(WRSSQ));
    c.r[Cpu.RBX] = SUPERVISOR;
    assertEquals(new Fault(Vector.PF, true, 0x47, SUPERVISOR), m.fault(WRSSQ));
  }

  @Test
  void WRUSS_writes_as_the_user() {
    c.r[Cpu.RBX] = USER;
    assertEquals(Fault.of(Vector.GP, 0), m.fault(WRUSSQ));
    SystemMachine s = CetMachine.long64(0);
    s.cpu.msr.sCet = 0;
    s.cpu.cr4 |= ControlBits.CR4_SMAP;
    s.cpu.updateMode();
    s.cpu.r[Cpu.RBX] = USER;
    s.cpu.r[Cpu.RAX] = 99;
    s.execute(WRUSSQ);
    assertEquals(99, s.memory.readLong(USER));
    s.cpu.r[Cpu.RBX] = SUPERVISOR;
    assertEquals(new Fault(Vector.PF, true, 0x47, SUPERVISOR), s.fault(WRUSSQ));
    s.cpu.cr4 &= ~ControlBits.CR4_CET;
    assertEquals(Fault.of(Vector.UD), s.fault(WRUSSQ));
  }

  @Test
  void SETSSBSY_and_CLRSSBSY_mark_a_supervisors_shadow_stack() {
    assertEquals(Fault.of(Vector.GP, 0), m.fault(SETSSBSY));
    SystemMachine s = CetMachine.long64(0);
    s.execute(SETSSBSY);
    assertEquals(SUPERVISOR, s.cpu.ssp);
    assertEquals(SUPERVISOR | 1, s.memory.readLong(SUPERVISOR));
    assertEquals(Fault.of(Vector.CP, 5), s.fault(SETSSBSY));
    s.cpu.r[Cpu.RBX] = SUPERVISOR;
    s.execute(CLRSSBSY);
    assertEquals(0, s.cpu.ssp);
    assertFalse(s.cpu.cf());
    assertEquals(SUPERVISOR, s.memory.readLong(SUPERVISOR));
    s.execute(CLRSSBSY);
    assertTrue(s.cpu.cf());
    assertEquals(SUPERVISOR, s.memory.readLong(SUPERVISOR));
    s.cpu.r[Cpu.RBX] += 4;
    assertEquals(Fault.of(Vector.GP, 0), s.fault(CLRSSBSY));
    s.cpu.msr.plSsp[0] += 4;
    assertEquals(Fault.of(Vector.GP, 0), s.fault(SETSSBSY));
    s.cpu.msr.sCet = 0;
    s.cpu.updateMode();
    assertEquals(Fault.of(Vector.UD), s.fault(SETSSBSY));
    assertEquals(Fault.of(Vector.UD), s.fault(CLRSSBSY));
    assertEquals(Fault.of(Vector.UD), s.fault(SAVEPREVSSP));
    assertEquals(Fault.of(Vector.UD), s.fault(RSTORSSP));
    assertEquals(Fault.of(Vector.UD), s.fault(INCSSPQ));
  }

  // ---- registers ----

  private static boolean write(Cpu cpu, int msr, long value) {
    return MsrTable.write(cpu, msr, value);
  }

  @ParameterizedTest
  @CsvSource({
    "+shstk+ibt, 0x3f, true",
    "+shstk+ibt, 0x800, true",
    "+shstk+ibt, 0x400, true",
    "+shstk+ibt, 0xc00, false",
    "+shstk+ibt, 0x40, false",
    "+shstk+ibt, 0x200, false",
    "+shstk+ibt, 0x7fff00001000, true",
    "+shstk+ibt, 0x800000000001000, false",
    "+shstk-ibt, 3, true",
    "+shstk-ibt, 4, false",
    "+shstk-ibt, 0x1000, false",
    "-shstk+ibt, 1, false",
    "-shstk+ibt, 0x3c, true",
  })
  void control_registers_have_the_bits_of_the_features(String features, String value, boolean ok) {
    String model = "kvm4j-v1,+xsave," + features.substring(0, 6) + "," + features.substring(6);
    Cpu cpu = SystemMachine.long64(0, model).cpu;
    long v = Long.decode(value);
    assertEquals(ok, write(cpu, MsrTable.IA32_U_CET, v));
    assertEquals(ok, write(cpu, MsrTable.IA32_S_CET, v));
    assertEquals(ok ? v : 0, cpu.msr.uCet);
    assertEquals(ok ? v : 0, cpu.msr.sCet);
  }

  @Test
  void shadow_stack_pointers_are_aligned_and_canonical() {
    for (int n = 0; n < 4; n++) {
      int msr = MsrTable.IA32_PL0_SSP + n;
      assertTrue(write(c, msr, 0x1004));
      assertEquals(0x1004, c.msr.plSsp[n]);
      assertFalse(write(c, msr, 0x1002));
      assertFalse(write(c, msr, 1L << 60));
    }
    assertTrue(write(c, MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR, 0x1001));
    assertFalse(write(c, MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR, 1L << 60));
    Cpu without = SystemMachine.long64(0, "kvm4j-v1,-shstk,+ibt").cpu;
    assertFalse(write(without, MsrTable.IA32_PL0_SSP, 0));
    assertFalse(write(SystemMachine.long64(0, "haswell").cpu, MsrTable.IA32_U_CET, 0));
  }

  @Test
  void CR4_CET_needs_CR0_WP_and_keeps_it() {
    SystemMachine s = SystemMachine.long64(0, MODEL);
    s.cpu.r[Cpu.RAX] = s.cpu.cr0 & ~ControlBits.CR0_WP;
    s.execute("0f 22 c0");
    s.cpu.r[Cpu.RAX] = s.cpu.cr4 | ControlBits.CR4_CET;
    assertEquals(Fault.of(Vector.GP, 0), s.fault("0f 22 e0"));
    s.cpu.r[Cpu.RBX] = s.cpu.cr0 | ControlBits.CR0_WP;
    s.execute("0f 22 c3");
    s.execute("0f 22 e0");
    s.cpu.r[Cpu.RBX] &= ~ControlBits.CR0_WP;
    assertEquals(Fault.of(Vector.GP, 0), s.fault("0f 22 c3"));
  }

  @Test
  void XSAVES_and_XRSTORS_move_the_registers() {
    SystemMachine s = CetMachine.long64(0);
    Cpu p = s.cpu;
    p.cr4 |= ControlBits.CR4_OSXSAVE;
    assertFalse(write(p, MsrTable.IA32_XSS, 1 << 10));
    assertTrue(write(p, MsrTable.IA32_XSS, 3 << 11));
    p.msr.sCet = 0;
    p.msr.uCet = 0x1005;
    p.msr.plSsp[0] = 0x1000;
    p.msr.plSsp[1] = 0x1100;
    p.msr.plSsp[2] = 0x1200;
    p.msr.plSsp[3] = 0x1300;
    p.r[Cpu.RAX] = -2;
    p.r[Cpu.RDX] = -1;
    p.r[Cpu.RBX] = DATA;
    s.execute("0f c7 2b");
    assertEquals(3 << 11, s.memory.readLong(DATA + 512));
    long at = DATA + 576;
    assertEquals(0x1005, s.memory.readLong(at));
    assertEquals(0x1300, s.memory.readLong(at + 8));
    assertEquals(0x1000, s.memory.readLong(at + 16));
    assertEquals(0x1200, s.memory.readLong(at + 32));
    s.memory.writeLong(at, 0xc00);
    assertEquals(Fault.of(Vector.GP, 0), s.fault("0f c7 1b"));
    s.memory.writeLong(at, 0x2004);
    s.memory.writeLong(at + 16, 0x2001);
    assertEquals(Fault.of(Vector.GP, 0), s.fault("0f c7 1b"));
    s.memory.writeLong(at + 16, 0x2000);
    s.execute("0f c7 1b");
    assertEquals(0x2004, p.msr.uCet);
    assertEquals(0x2000, p.msr.plSsp[0]);
    assertEquals(0x1300, p.msr.plSsp[3]);
    s.memory.writeLong(DATA + 512, 0);
    s.execute("0f c7 1b");
    assertEquals(0, p.msr.uCet | p.msr.plSsp[0] | p.msr.plSsp[2] | p.msr.plSsp[3]);
  }

  @Test
  void CPUID_tells_of_features_and_of_supervisor_components() {
    int[] out = new int[4];
    CpuProfiles.named(MODEL).cpuid(7, 0, out);
    assertEquals(1 << 7, out[2] & 1 << 7);
    assertEquals(1 << 20, out[3] & 1 << 20);
    CpuProfiles.named(MODEL).cpuid(7, 1, out);
    assertEquals(1 << 18, out[3] & 1 << 18);
    CpuProfiles.named(MODEL).cpuid(0xd, 0, out);
    assertEquals(0, out[0] & 3 << 11);
    CpuProfiles.named(MODEL).cpuid(0xd, 1, out);
    assertEquals(3 << 11, out[2]);
    CpuProfiles.named(MODEL).cpuid(0xd, 11, out);
    assertEquals(16, out[0]);
    assertEquals(0, out[1]);
    assertEquals(1, out[2]);
    CpuProfiles.named(MODEL).cpuid(0xd, 12, out);
    assertEquals(24, out[0]);
    assertEquals(1, out[2]);
    CpuProfiles.named("haswell").cpuid(0xd, 11, out);
    assertEquals(0, out[0]);
  }

  @Test
  void reset_and_INIT_clear_the_registers() {
    c.msr.sCet = 1;
    c.init();
    assertEquals(0, c.ssp | c.msr.uCet | c.msr.sCet | c.msr.plSsp[0] | c.msr.interruptSspTable);
  }
}
