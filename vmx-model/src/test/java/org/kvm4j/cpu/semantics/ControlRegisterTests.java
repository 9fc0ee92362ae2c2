package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.kvm4j.cpu.core.ControlBits.*;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.core.VirtualizationUnit;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.event.DebugUnit;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;
import org.kvm4j.ept.paging.PagingMode;

/** Control and debug registers: what may be written, and what follows. */
class ControlRegisterTests {
  private static final Fault GP = Fault.of(Vector.GP, 0);

  private static @Nullable Fault write(SystemMachine m, int cr, long value) {
    m.cpu.r[Cpu.RAX] = value;
    String hex = "0f22%02x".formatted(0xc0 | (cr & 7) << 3);
    return m.fault(cr >= 8 ? "44" + hex : hex);
  }

  private static long read(SystemMachine m, int cr) {
    String hex = "0f20%02x".formatted(0xc0 | (cr & 7) << 3);
    m.execute(cr >= 8 ? "44" + hex : hex);
    return m.cpu.r[Cpu.RAX];
  }

  @Nested
  class Cr0 {
    @Test
    void pg_needs_pe_and_nw_needs_cd() {
      SystemMachine m = SystemMachine.protected32(0);
      assertEquals(GP, write(m, 0, CR0_PG));
      assertEquals(GP, write(m, 0, CR0_PE | CR0_NW));
      assertNull(write(m, 0, CR0_PE | CR0_NW | CR0_CD));
      assertEquals(CR0_PE | CR0_NW | CR0_CD | CR0_ET, read(m, 0));
    }

    @Test
    void reserved_bits_below_32_are_ignored_and_above_are_gp() {
      SystemMachine m = SystemMachine.protected32(0);
      assertNull(write(m, 0, CR0_PE | 0x1ffaffc0L));
      assertEquals(CR0_PE | CR0_ET, m.cpu.cr0);
      m = SystemMachine.long64(0);
      assertEquals(GP, write(m, 0, m.cpu.cr0 | 1L << 32));
    }

    @Test
    void turning_paging_on_with_lme_enters_ia_32e_mode() {
      SystemMachine m = SystemMachine.protected32(0);
      m.cpu.efer = EFER_LME;
      m.cpu.cr3 = 0x20000;
      assertEquals(GP, write(m, 0, CR0_PE | CR0_PG));
      m.cpu.cr4 = CR4_PAE;
      assertNull(write(m, 0, CR0_PE | CR0_PG));
      assertEquals(EFER_LME | EFER_LMA, m.cpu.efer);
      assertEquals(PagingMode.LEVEL4, m.cpu.pagingMode());
      assertEquals(4, m.cpu.codeSize);
      assertNull(write(m, 0, CR0_PE));
      assertEquals(EFER_LME, m.cpu.efer);
    }

    @Test
    void ia_32e_mode_is_not_entered_from_a_segment_with_l_or_a_16_bit_task() {
      SystemMachine m = SystemMachine.protected32(0);
      m.cpu.efer = EFER_LME;
      m.cpu.cr4 = CR4_PAE;
      m.cpu.seg[Cpu.TR].ar = 0x83;
      assertEquals(GP, write(m, 0, CR0_PE | CR0_PG));
      m.cpu.seg[Cpu.TR].ar = 0x8b;
      m.load(Cpu.CS, LONG0);
      assertEquals(GP, write(m, 0, CR0_PE | CR0_PG));
    }

    @Test
    void paging_stays_on_in_64_bit_mode_and_with_pcide() {
      SystemMachine m = SystemMachine.long64(0);
      assertEquals(GP, write(m, 0, CR0_PE));
      m = SystemMachine.compatibility(0);
      m.cpu.cr4 |= CR4_PCIDE;
      assertEquals(GP, write(m, 0, CR0_PE));
      m.cpu.cr4 &= ~CR4_PCIDE;
      assertNull(write(m, 0, CR0_PE));
    }

    @Test
    void pae_paging_loads_four_checked_entries() {
      SystemMachine m = SystemMachine.protected32(0);
      m.cpu.cr4 = CR4_PAE;
      m.cpu.cr3 = DATA;
      m.memory.writeLong(DATA, 0x20000 | 3);
      assertEquals(GP, write(m, 0, CR0_PE | CR0_PG));
      m.memory.writeLong(DATA, 0x20000 | 1);
      assertNull(write(m, 0, CR0_PE | CR0_PG));
      assertEquals(PagingMode.PAE, m.cpu.pagingMode());
      assertEquals(0x20001, m.cpu.mmu.context.pdpte[0]);
    }

    @Test
    void lmsw_sets_pe_and_cannot_clear_it() {
      SystemMachine m = SystemMachine.real();
      m.cpu.r[Cpu.RAX] = 0xffff;
      m.execute("0f01f0");
      assertEquals(0x6000001fL, m.cpu.cr0);
      m.cpu.r[Cpu.RAX] = 0;
      m.execute("0f01f0");
      assertEquals(0x60000011L, m.cpu.cr0);
      m.execute("0f01e1");
      assertEquals(0x11, m.cpu.r[Cpu.RCX]);
    }

    @Test
    void clts_clears_ts() {
      SystemMachine m = SystemMachine.protected32(0);
      m.cpu.cr0 |= CR0_TS;
      m.execute("0f06");
      assertEquals(0, m.cpu.cr0 & CR0_TS);
      assertEquals(GP, SystemMachine.protected32(3).fault("0f06"));
    }
  }

  @Nested
  class Cr3 {
    @Test
    void bits_above_the_physical_width_are_gp() {
      SystemMachine m = SystemMachine.long64(0);
      assertEquals(GP, write(m, 3, 1L << 46));
      assertEquals(GP, write(m, 3, m.cpu.cr3 | 1L << 63));
      assertNull(write(m, 3, m.cpu.cr3));
    }

    @Test
    void bit_63_keeps_the_translations_of_a_pcid() {
      SystemMachine m = SystemMachine.long64(0);
      assertNull(write(m, 4, CR4_PAE | CR4_PCIDE));
      m.cpu.mmu.read8(PAGES);
      m.memory.writeLong(0x23000, 0);
      assertNull(write(m, 3, 0x20000 | 1L << 63));
      assertEquals(0x20000, m.cpu.cr3);
      m.cpu.mmu.read8(PAGES);
      assertNull(write(m, 3, 0x20001));
      assertNull(write(m, 3, 0x20000 | 1L << 63));
      m.cpu.mmu.read8(PAGES);
      assertNull(write(m, 3, 0x20000));
      assertEquals(Vector.PF, m.faultVector("8a042500002000"));
    }

    @Test
    void a_write_drops_what_is_not_global() {
      SystemMachine m = SystemMachine.paged32(0);
      m.cpu.mmu.read8(PAGES);
      m.memory.writeInt(0x21000 + (PAGES >> 12) * 4, 0);
      assertNull(m.fault("8a0500002000"));
      assertNull(write(m, 3, m.cpu.cr3));
      assertEquals(Vector.PF, m.faultVector("8a0500002000"));
    }
  }

  @Nested
  class Cr4 {
    @Test
    void reserved_bits_follow_the_features() {
      SystemMachine m = SystemMachine.protected32(0);
      for (int bit = 0; bit < 32; bit++) {
        long value = 1L << bit;
        boolean defined =
            bit <= 13 || bit == 16 || bit == 18 || bit == 20 || bit == 21 || bit == 22 || bit == 24;
        assertEquals(defined ? null : GP, write(m, 4, value), "bit " + bit);
        m.cpu.cr4 = 0;
      }
    }

    @Test
    void pae_and_la57_are_fixed_in_ia_32e_mode() {
      SystemMachine m = SystemMachine.long64(0);
      assertEquals(GP, write(m, 4, 0));
      assertEquals(GP, write(m, 4, CR4_PAE | CR4_LA57));
      assertEquals(GP, write(m, 4, CR4_PAE | 1L << 32));
    }

    @Test
    void pcide_needs_ia_32e_mode_and_pcid_0() {
      SystemMachine m = SystemMachine.paged32(0);
      assertEquals(GP, write(m, 4, CR4_PCIDE));
      m = SystemMachine.long64(0);
      m.cpu.cr3 |= 0x18;
      assertEquals(GP, write(m, 4, CR4_PAE | CR4_PCIDE));
      m.cpu.cr3 &= ~0xfffL;
      assertNull(write(m, 4, CR4_PAE | CR4_PCIDE));
    }
  }

  @Nested
  class Cr8AndOthers {
    @Test
    void cr8_has_four_bits() {
      SystemMachine m = SystemMachine.long64(0);
      assertNull(write(m, 8, 15));
      assertEquals(15, m.cpu.cr8);
      assertEquals(15, read(m, 8));
      assertEquals(GP, write(m, 8, 16));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 5, 6, 7, 9, 15})
    void others_are_undefined(int cr) {
      SystemMachine m = SystemMachine.long64(0);
      assertEquals(Fault.of(Vector.UD), write(m, cr, 0));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 2, 3, 4, 8})
    void level_3_gets_gp(int cr) {
      SystemMachine m = SystemMachine.long64(3);
      assertEquals(GP, write(m, cr, 0));
      assertEquals(GP, m.fault(cr == 8 ? "440f20c0" : "0f20%02x".formatted(0xc0 | cr << 3)));
    }
  }

  @Nested
  class InVmxOperation {
    private SystemMachine machine() {
      SystemMachine m = SystemMachine.long64(0);
      m.cpu.cr4 |= CR4_VMXE;
      m.cpu.cr0 |= CR0_NE;
      m.cpu.virtualization =
          new VirtualizationUnit() {
            @Override
            public void execute(Instruction i) {}

            @Override
            public String faultCause(Opcode opcode) {
              return "";
            }

            @Override
            public boolean inVmxOperation() {
              return true;
            }

            @Override
            public long cr0FixedOnes() {
              return CR0_PG | CR0_PE | CR0_NE;
            }

            @Override
            public long cr4FixedOnes() {
              return CR4_VMXE;
            }

            @Override
            public boolean readMsr(int index, long[] out) {
              return false;
            }

            @Override
            public boolean writeMsr(int index, long value) {
              return false;
            }
          };
      return m;
    }

    @Test
    void fixed_bits_stay_set() {
      SystemMachine m = machine();
      assertEquals(GP, write(m, 0, m.cpu.cr0 & ~CR0_NE));
      assertEquals(GP, write(m, 4, m.cpu.cr4 & ~CR4_VMXE));
      assertNull(write(m, 0, m.cpu.cr0 | CR0_TS));
    }
  }

  @Nested
  class Guests {
    @Test
    void exits_come_before_the_value_is_checked() {
      SystemMachine m = SystemMachine.protected32(0);
      List<String> calls = m.guest("movToCr", "movFromCr", "lmsw");
      assertNull(write(m, 0, CR0_PG));
      assertNull(write(m, 4, 1 << 30));
      assertNull(m.fault("0f20d8"));
      assertNull(m.fault("0f01f0"));
      assertEquals(4, calls.size());
      assertEquals(0, m.cpu.cr4);
      calls.clear();
      m.cpu.cpl = 3;
      assertEquals(GP, write(m, 0, 0));
      assertEquals(List.of(), calls);
    }

    @Test
    void mov_dr_exits_before_everything() {
      SystemMachine m = SystemMachine.protected32(3);
      m.cpu.cr4 |= CR4_DE;
      m.guest("movDr");
      assertNull(m.fault("0f23e0"));
      assertNull(m.fault("0f21e0"));
    }
  }

  @Nested
  class Debug {
    @Test
    void dr4_and_dr5_are_aliases_unless_de() {
      SystemMachine m = SystemMachine.protected32(0);
      m.cpu.r[Cpu.RAX] = 0x12345678;
      m.execute("0f23e8");
      assertEquals(0x12340678 & 0xffff23ffL | 0x400, m.cpu.dr7);
      m.execute("0f21f9");
      assertEquals(m.cpu.dr7, m.cpu.r[Cpu.RCX]);
      m.cpu.cr4 |= CR4_DE;
      assertEquals(Fault.of(Vector.UD), m.fault("0f23e8"));
      m.cpu.cpl = 3;
      assertEquals(Fault.of(Vector.UD), m.fault("0f23e8"));
      assertEquals(GP, m.fault("0f23f8"));
    }

    @Test
    void fixed_bits_keep_their_values() {
      SystemMachine m = SystemMachine.long64(0);
      m.cpu.r[Cpu.RAX] = 0xffffffffL;
      m.execute("0f23f0");
      m.execute("0f23f8");
      assertEquals(0xffffefffL, m.cpu.dr6);
      assertEquals(0xffff27ffL, m.cpu.dr7);
      m.cpu.dr7 = 0x400;
      m.cpu.r[Cpu.RAX] = 0;
      m.execute("0f23f0");
      m.execute("0f23f8");
      assertEquals(0xffff0ff0L, m.cpu.dr6);
      assertEquals(0x400L, m.cpu.dr7);
      m.cpu.r[Cpu.RAX] = 1L << 32;
      assertEquals(GP, m.fault("0f23f0"));
      assertEquals(GP, m.fault("0f23f8"));
      assertNull(m.fault("0f23c0"));
      assertEquals(1L << 32, m.cpu.dr[0]);
    }

    @Test
    void general_detect_is_a_debug_exception_before_the_access() {
      SystemMachine m = SystemMachine.protected32(0);
      m.cpu.dr7 |= 1 << 13;
      assertEquals(new Fault(Vector.DB, false, 0, DebugUnit.BD), m.fault("0f21c0"));
    }
  }

  @Nested
  class FlagsTests {
    @Test
    void cli_and_sti_need_iopl() {
      SystemMachine m = SystemMachine.protected32(3);
      assertEquals(GP, m.fault("fa"));
      assertEquals(GP, m.fault("fb"));
      m.cpu.flagsRest |= Flags.IOPL;
      m.execute("fb");
      assertNotEquals(0, m.cpu.flagsRest & Flags.IF);
      assertEquals(Cpu.SHADOW_STI, m.cpu.shadow);
      m.cpu.shadow = 0;
      m.execute("fb");
      assertEquals(0, m.cpu.shadow);
      m.execute("fa");
      assertEquals(0, m.cpu.flagsRest & Flags.IF);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void virtual_interrupts(boolean v86) {
      SystemMachine m = v86 ? SystemMachine.v86(0) : SystemMachine.protected32(3);
      assertEquals(GP, m.fault("fa"));
      m.cpu.cr4 |= v86 ? CR4_PVI : CR4_VME;
      assertEquals(GP, m.fault("fa"));
      m.cpu.cr4 |= CR4_VME | CR4_PVI;
      m.execute("fb");
      assertEquals(Flags.VIF, m.cpu.flagsRest & (Flags.VIF | Flags.IF));
      assertEquals(0, m.cpu.shadow);
      m.execute("fa");
      assertEquals(0, m.cpu.flagsRest & Flags.VIF);
      m.cpu.flagsRest |= Flags.VIP;
      assertEquals(GP, m.fault("fb"));
      assertNull(m.fault("fa"));
    }

    @Test
    void pushf_and_popf_in_virtual_8086_mode() {
      SystemMachine m = SystemMachine.v86(0);
      assertEquals(GP, m.fault("9c"));
      assertEquals(GP, m.fault("9d"));
      m.cpu.cr4 |= CR4_VME;
      assertEquals(GP, m.fault("669c"));
      m.cpu.flagsRest |= Flags.VIF;
      m.execute("9c");
      assertEquals(Flags.IOPL | Flags.IF | 2, m.stack(0, 2) & ~Flags.ARITHMETIC);
      m.execute("9d");
      assertEquals(Flags.VIF | Flags.VM | 2, m.cpu.flagsRest);
      assertEquals(GP, m.fault("669d"));
      m.memory.writeShort(STACK3, (short) Flags.TF);
      assertEquals(GP, m.fault("9d"));
    }

    @Test
    void popf_by_privilege() {
      SystemMachine m = SystemMachine.protected32(0);
      m.cpu.flagsRest |= Flags.VIF | Flags.RF;
      m.cpu.r[Cpu.RSP] -= 4;
      m.memory.writeInt(STACK0 - 4, -1);
      m.execute("9d");
      int user = Flags.ARITHMETIC | Flags.TF | Flags.DF | Flags.NT | Flags.AC | Flags.ID | 2;
      assertEquals(user | Flags.IF | Flags.IOPL | Flags.VIF, m.cpu.rflags());
      m = SystemMachine.protected32(3);
      m.cpu.r[Cpu.RSP] -= 4;
      m.memory.writeInt(STACK3 - 4, -1);
      m.execute("9d");
      assertEquals(user, m.cpu.rflags());
      m.execute("9c");
      assertEquals(user, m.stack(0, 4));
    }

    @Test
    void stac_and_clac() {
      SystemMachine m = SystemMachine.protected32(0);
      m.execute("0f01cb");
      assertEquals(Flags.AC, m.cpu.flagsRest & Flags.AC);
      m.execute("0f01ca");
      assertEquals(0, m.cpu.flagsRest & Flags.AC);
      assertEquals(Fault.of(Vector.UD), SystemMachine.protected32(3).fault("0f01cb"));
    }
  }
}
