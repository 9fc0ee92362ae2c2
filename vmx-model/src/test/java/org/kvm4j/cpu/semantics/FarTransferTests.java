package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** JMP, CALL and RET far, IRET, and the fast system calls, frame by frame. */
class FarTransferTests {

  private static final String AMD = "genoa";

  /** A far pointer ptr16:32 in hexadecimal, behind an opcode byte. */
  private static String far(String opcode, int selector, int offset) {
    return "%s%08x%04x"
        .formatted(
            opcode, Integer.reverseBytes(offset), Short.reverseBytes((short) selector) & 0xffff);
  }

  private static String jmp(int selector, int offset) {
    return far("ea", selector, offset);
  }

  private static String call(int selector, int offset) {
    return far("9a", selector, offset);
  }

  @Nested
  class Real {
    @Test
    void jmp_loads_cs_and_keeps_the_limit() {
      SystemMachine m = SystemMachine.real();
      m.cpu.seg[Cpu.CS].limit = 0xfffff;
      m.execute("ea34120050");
      assertEquals(0x5000, m.cpu.seg[Cpu.CS].selector);
      assertEquals(0x50000, m.cpu.seg[Cpu.CS].base);
      assertEquals(0xfffff, m.cpu.seg[Cpu.CS].limit);
      assertEquals(0x1234, m.cpu.rip);
    }

    @Test
    void call_and_ret_are_a_round_trip() {
      SystemMachine m = SystemMachine.real();
      m.execute("9a34120050");
      assertEquals(0xffc, m.cpu.r[Cpu.RSP]);
      assertEquals(5, m.stack(0, 2));
      assertEquals(CODE >> 4, m.stack(1, 2));
      m.execute("ca0400");
      assertEquals(5, m.cpu.rip);
      assertEquals(CODE, m.cpu.seg[Cpu.CS].base);
      assertEquals(0x1004, m.cpu.r[Cpu.RSP]);
    }

    @Test
    void a_target_past_the_limit_is_gp() {
      SystemMachine m = SystemMachine.real();
      assertEquals(Fault.of(Vector.GP, 0), m.fault("66ea000001000050"));
    }

    @Test
    void iret_takes_all_flags_but_the_virtual_ones() {
      SystemMachine m = SystemMachine.real();
      m.cpu.r[Cpu.RSP] = 0xffa;
      m.memory.writeShort(STACK0 + 0xffa, (short) 0x100);
      m.memory.writeShort(STACK0 + 0xffc, (short) 0x5000);
      m.memory.writeShort(STACK0 + 0xffe, (short) 0xffff);
      m.execute("cf");
      assertEquals(0x7fd7, m.cpu.rflags());
      assertEquals(0x1000, m.cpu.r[Cpu.RSP]);
    }
  }

  @Nested
  class Direct {
    @ParameterizedTest
    @CsvSource({
      "0, 0x08, , ", // same level
      "0, 0x0b, 13, 0x08", // RPL above CPL
      "3, 0x08, 13, 0x08", // DPL below CPL
      "3, 0x18, , ", // RPL below CPL does not matter
      "0, 0x1b, 13, 0x18", // DPL above CPL
      "3, 0x58, , ", // conforming of a lower DPL
      "3, 0x5b, , ",
      "0, 0x61, 13, 0x60",
      "0, 0x10, 13, 0x10", // data
      "0, 0x70, 11, 0x70", // not present
      "0, 0x00, 13, 0x00",
      "0, 0x03, 13, 0x00",
      "0, 0x200, 13, 0x200", // past the limit
      "0, 0x0c, 13, 0x0c", // no LDT
      "0, 0x48, 13, 0x48", // an LDT's descriptor
      "0, 0x38, 13, 0x38" // a busy TSS
    })
    void jmp_and_call_check_the_code_segment(
        int cpl, String selector, Integer vector, String code) {
      int s = Integer.decode(selector);
      Fault expected = vector == null ? null : Fault.of(vector, Integer.decode(code));
      SystemMachine m = SystemMachine.protected32(cpl);
      assertEquals(expected, m.fault(jmp(s, 0x1234)));
      if (expected == null) {
        assertEquals(0x1234, m.cpu.rip);
        assertEquals(s & ~3 | cpl, m.cpu.seg[Cpu.CS].selector);
        assertEquals(cpl, m.cpu.cpl);
      }
      m = SystemMachine.protected32(cpl);
      long rsp = m.cpu.r[Cpu.RSP];
      int cs = m.cpu.seg[Cpu.CS].selector;
      assertEquals(expected, m.fault(call(s, 0x1234)));
      if (expected == null) {
        assertEquals(rsp - 8, m.cpu.r[Cpu.RSP]);
        assertEquals(CODE + 7, m.stack(0, 4));
        assertEquals(cs, m.stack(1, 4));
      } else {
        assertEquals(rsp, m.cpu.r[Cpu.RSP]);
        assertEquals(CODE, m.cpu.rip);
      }
    }

    @Test
    void a_target_past_the_limit_is_gp_0_after_the_stack() {
      SystemMachine m = SystemMachine.protected32(0);
      m.gdt(FREE, segment(0, 0xfff, 0x409b));
      assertEquals(Fault.of(Vector.GP, 0), m.fault(jmp(FREE, 0x1000)));
      assertNull(m.fault(jmp(FREE, 0xfff)));
      m = SystemMachine.protected32(0);
      m.gdt(FREE, segment(0, 0xfff, 0x409b));
      m.cpu.seg[Cpu.SS].limit = 0xfff;
      assertEquals(Fault.of(Vector.SS, 0), m.fault(call(FREE, 0x1000)));
    }

    @Test
    void compatibility_mode_reaches_64_bit_code_and_back() {
      SystemMachine m = SystemMachine.compatibility(0);
      m.execute(jmp(LONG0, CODE));
      assertEquals(8, m.cpu.codeSize);
      m.memory.writeInt(DATA, CODE);
      m.memory.writeShort(DATA + 4, (short) CODE0);
      m.execute("ff2c2500000500");
      assertEquals(4, m.cpu.codeSize);
      assertEquals(CODE, m.cpu.rip);
    }

    @Test
    void code_with_l_and_d_is_gp_in_ia_32e_mode_alone() {
      SystemMachine m = SystemMachine.compatibility(0);
      m.gdt(FREE, segment(0, 0xfffff, 0xe09b));
      assertEquals(Fault.of(Vector.GP, FREE), m.fault(jmp(FREE, 0)));
      m = SystemMachine.protected32(0);
      m.gdt(FREE, segment(0, 0xfffff, 0xe09b));
      assertNull(m.fault(jmp(FREE, 0)));
    }

    @Test
    void the_accessed_bit_is_set() {
      SystemMachine m = SystemMachine.protected32(0);
      m.gdt(FREE, segment(0, 0xfffff, 0xc09a));
      m.execute(jmp(FREE, 0));
      assertEquals(0x9b, m.gdtAccess(FREE));
      assertEquals(0xc09b, m.cpu.seg[Cpu.CS].ar);
    }
  }

  @Nested
  class Gates {
    @Test
    void a_call_to_an_inner_level_copies_parameters() {
      SystemMachine m = SystemMachine.protected32(3);
      m.gdt(FREE, gate(CODE0, 0x1234, 0xec, 2));
      m.cpu.r[Cpu.RSP] = STACK3 - 8;
      m.memory.writeInt(STACK3 - 8, 0x11111111);
      m.memory.writeInt(STACK3 - 4, 0x22222222);
      m.execute(call(FREE | 3, 0xdead));
      assertEquals(0x1234, m.cpu.rip);
      assertEquals(0, m.cpu.cpl);
      assertEquals(CODE0, m.cpu.seg[Cpu.CS].selector);
      assertEquals(DATA0, m.cpu.seg[Cpu.SS].selector);
      assertEquals(STACK0 - 24, m.cpu.r[Cpu.RSP]);
      long[] frame = {CODE + 7, CODE3, 0x11111111, 0x22222222, STACK3 - 8, DATA3};
      for (int k = 0; k < frame.length; k++) {
        assertEquals(frame[k], m.stack(k, 4), "slot " + k);
      }
      // RET 8 goes back and takes the parameters off both stacks.
      m.execute("ca0800");
      assertEquals(CODE + 7, m.cpu.rip);
      assertEquals(3, m.cpu.cpl);
      assertEquals(STACK3, m.cpu.r[Cpu.RSP]);
      assertEquals(DATA3, m.cpu.seg[Cpu.SS].selector);
    }

    @Test
    void a_16_bit_gate_pushes_words() {
      SystemMachine m = SystemMachine.protected32(3);
      m.gdt(FREE, gate(CODE0, 0x51234, 0xe4, 1));
      m.execute(call(FREE, 0));
      assertEquals(0x1234, m.cpu.rip);
      assertEquals(STACK0 - 10, m.cpu.r[Cpu.RSP]);
      assertEquals(CODE + 7 & 0xffff, m.stack(0, 2));
      assertEquals(CODE3, m.stack(1, 2));
      assertEquals(DATA3, m.stack(4, 2));
    }

    @Test
    void jmp_through_a_gate_stays_at_its_level() {
      SystemMachine m = SystemMachine.protected32(0);
      m.gdt(FREE, gate(CODE0, 0x1234, 0x8c, 0));
      m.execute(jmp(FREE, 0));
      assertEquals(0x1234, m.cpu.rip);
      m = SystemMachine.protected32(3);
      m.gdt(FREE, gate(CODE0, 0x1234, 0xec, 0));
      assertEquals(Fault.of(Vector.GP, CODE0), m.fault(jmp(FREE, 0)));
      m.gdt(FREE, gate(CONFORMING0, 0x1234, 0xec, 0));
      assertNull(m.fault(jmp(FREE, 0)));
      assertEquals(3, m.cpu.cpl);
    }

    @ParameterizedTest
    @CsvSource({
      // gate's access, RPL, target, vector, error code
      "0x8c, 0, 0x08, 13, 0xb0", // gate DPL below CPL
      "0xcc, 3, 0x08, 13, 0xb0", // gate DPL below RPL
      "0x6c, 0, 0x08, 11, 0xb0", // gate not present
      "0xec, 0, 0x00, 13, 0x00",
      "0xec, 0, 0x200, 13, 0x200",
      "0xec, 0, 0x10, 13, 0x10",
      "0xec, 0, 0x70, 11, 0x70",
    })
    void checks_of_the_gate_and_its_code(
        String access, int rpl, String target, int vector, String code) {
      SystemMachine m = SystemMachine.protected32(3);
      m.gdt(FREE, gate(Integer.decode(target), 0x1234, Integer.decode(access), 0));
      Fault expected = Fault.of(vector, Integer.decode(code));
      assertEquals(expected, m.fault(call(FREE | rpl, 0)));
      assertEquals(STACK3, m.cpu.r[Cpu.RSP]);
    }

    @ParameterizedTest
    @CsvSource({
      "0, 10, 0",
      "0x200, 10, 0x200",
      "0x11, 10, 0x10",
      "0x68, 10, 0x68",
      "0x08, 10, 0x08",
      "0x78, 12, 0x78"
    })
    void checks_of_the_inner_stack(String ss, int vector, String code) {
      SystemMachine m = SystemMachine.protected32(3);
      m.gdt(FREE, gate(CODE0, 0x1234, 0xec, 0));
      m.memory.writeInt(TSS + 8, Integer.decode(ss));
      assertEquals(Fault.of(vector, Integer.decode(code)), m.fault(call(FREE, 0)));
    }

    @Test
    void a_64_bit_gate_takes_16_bytes_and_gives_a_null_stack_segment() {
      SystemMachine m = SystemMachine.compatibility(3);
      m.gdt(FREE, gate(LONG0, CODE, 0xec, 5));
      m.gdt(FREE + 8, 0);
      m.execute(call(FREE, 0));
      assertEquals(0, m.cpu.cpl);
      assertEquals(8, m.cpu.codeSize);
      assertEquals(STACK0 - 32, m.cpu.r[Cpu.RSP]);
      long[] frame = {CODE + 7, CODE3, STACK3, DATA3};
      for (int k = 0; k < frame.length; k++) {
        assertEquals(frame[k], m.stack(k, 8), "slot " + k);
      }
      assertTrue(m.cpu.seg[Cpu.SS].unusable());
      m.execute("48cb");
      assertEquals(3, m.cpu.cpl);
      assertEquals(4, m.cpu.codeSize);
      assertEquals(STACK3, m.cpu.r[Cpu.RSP]);
    }

    @Test
    void a_64_bit_gate_whose_upper_type_is_not_0_is_gp() {
      SystemMachine m = SystemMachine.compatibility(3);
      m.gdt(FREE, gate(LONG0, CODE, 0xec, 0));
      m.gdt(FREE + 8, 1L << 40);
      assertEquals(Fault.of(Vector.GP, FREE), m.fault(call(FREE, 0)));
      m.gdt(FREE + 8, 0);
      m.gdt(FREE, gate(CODE0, CODE, 0xec, 0));
      assertEquals(Fault.of(Vector.GP, CODE0), m.fault(call(FREE, 0)));
      // 16-bit gates and tasks are gone.
      m.gdt(FREE, gate(LONG0, CODE, 0xe4, 0));
      assertEquals(Fault.of(Vector.GP, FREE), m.fault(call(FREE, 0)));
      m.gdt(FREE, gate(TASK2, 0, 0xe5, 0));
      assertEquals(Fault.of(Vector.GP, FREE), m.fault(call(FREE, 0)));
    }
  }

  @Nested
  class Returns {
    private SystemMachine frame(int cpl, int size, long... values) {
      SystemMachine m = SystemMachine.protected32(cpl);
      return frame(m, size, values);
    }

    private SystemMachine frame(SystemMachine m, int size, long... values) {
      m.cpu.r[Cpu.RSP] -= (long) values.length * size;
      for (int k = 0; k < values.length; k++) {
        long at = m.cpu.r[Cpu.RSP] + (long) k * size;
        if (size == 8) {
          m.memory.writeLong(at, values[k]);
        } else {
          m.memory.writeInt(at, (int) values[k]);
        }
      }
      return m;
    }

    @ParameterizedTest
    @CsvSource({
      "0, 0x00, 13, 0x00",
      "0, 0x200, 13, 0x200",
      "3, 0x08, 13, 0x08", // RPL below CPL
      "0, 0x10, 13, 0x10",
      "0, 0x70, 11, 0x70",
      "0, 0x0b, 13, 0x08", // DPL is not RPL
      "0, 0x18, 13, 0x18",
      "0, 0x58, , ", // conforming
      "1, 0x5b, , "
    })
    void ret_checks_the_code_segment(int cpl, String cs, Integer vector, String code) {
      Fault expected = vector == null ? null : Fault.of(vector, Integer.decode(code));
      SystemMachine m = frame(cpl, 4, 0x1234, Integer.decode(cs), STACK3, DATA3, 0, 0);
      assertEquals(expected, m.fault("cb"));
      m = frame(cpl, 4, 0x1234, Integer.decode(cs), 2, STACK3, DATA3, 0);
      assertEquals(expected, m.fault("cf"));
    }

    @ParameterizedTest
    @CsvSource({
      "0x00, 13, 0x00",
      "0x200, 13, 0x200",
      "0x10, 13, 0x10", // RPL is not that of CS
      "0x13, 13, 0x10", // DPL is not
      "0x1b, 13, 0x18", // code
      "0x93, 13, 0x90", // read-only
    })
    void a_return_to_an_outer_level_checks_the_stack_segment(String ss, int vector, String code) {
      Fault expected = Fault.of(vector, Integer.decode(code));
      SystemMachine m = frame(0, 4, 0x1234, CODE3, STACK3, Integer.decode(ss));
      assertEquals(expected, m.fault("cb"));
      m = frame(0, 4, 0x1234, CODE3, 2, STACK3, Integer.decode(ss));
      assertEquals(expected, m.fault("cf"));
    }

    @Test
    void a_stack_segment_that_is_not_present_is_ss() {
      SystemMachine m = frame(0, 4, 0x1234, CODE3, STACK3, FREE | 3);
      m.gdt(FREE, segment(0, 0xfffff, 0xc073));
      assertEquals(Fault.of(Vector.SS, FREE), m.fault("cb"));
    }

    @Test
    void data_segments_that_the_outer_level_may_not_use_become_null() {
      SystemMachine m = frame(0, 4, 0x1234, CODE3, STACK3, DATA3);
      m.load(Cpu.DS, DATA0);
      m.load(Cpu.ES, DATA3);
      m.load(Cpu.FS, CONFORMING0);
      m.load(Cpu.GS, CODE0);
      m.execute("cb");
      assertTrue(m.cpu.seg[Cpu.DS].unusable());
      assertEquals(0, m.cpu.seg[Cpu.DS].selector);
      assertFalse(m.cpu.seg[Cpu.ES].unusable());
      assertFalse(m.cpu.seg[Cpu.FS].unusable());
      assertTrue(m.cpu.seg[Cpu.GS].unusable());
    }

    @Test
    void a_16_bit_outer_stack_keeps_the_upper_half_of_esp() {
      SystemMachine m = frame(0, 4, 0x1234, CODE3, 0x77771000, FREE | 3);
      m.gdt(FREE, segment(0, 0xffff, 0x00f3));
      long before = m.cpu.r[Cpu.RSP];
      m.execute("ca0200".replace("0200", "0000"));
      assertEquals(before & ~0xffffL | 0x1000, m.cpu.r[Cpu.RSP]);
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "1, 0", "1, 1", "3, 0", "3, 3"})
    void iret_changes_if_and_iopl_by_privilege(int cpl, int iopl) {
      int cs = cpl == 0 ? CODE0 : cpl == 1 ? CODE1 : CODE3;
      SystemMachine m = frame(cpl, 4, 0x1234, cs, 0x003fffff & ~Flags.VM & ~Flags.NT);
      m.cpu.flagsRest |= iopl << 12;
      m.execute("cf");
      int all = Flags.ARITHMETIC | Flags.TF | Flags.DF | Flags.RF | Flags.AC | Flags.ID | 2;
      if (cpl <= iopl) {
        all |= Flags.IF;
      }
      all |= cpl == 0 ? Flags.IOPL | Flags.VIF | Flags.VIP : iopl << 12;
      assertEquals(all, m.cpu.rflags());
    }

    @Test
    void a_16_bit_iret_leaves_the_upper_flags() {
      SystemMachine m = SystemMachine.protected32(0);
      m.cpu.flagsRest |= Flags.AC | Flags.ID | Flags.VIF;
      m.cpu.r[Cpu.RSP] -= 6;
      m.memory.writeShort(STACK0 - 6, (short) 0x1234);
      m.memory.writeShort(STACK0 - 4, (short) CODE0);
      m.memory.writeShort(STACK0 - 2, (short) 2);
      m.execute("66cf");
      assertEquals(Flags.AC | Flags.ID | Flags.VIF | 2, m.cpu.rflags());
      assertEquals(0x1234, m.cpu.rip);
    }

    @Test
    void iret_to_virtual_8086_mode_takes_nine_words() {
      SystemMachine m =
          frame(0, 4, 0x1234, 0x5000, Flags.VM | Flags.IOPL | 2, 0x8000, 1, 2, 3, 4, 5);
      m.execute("cf");
      assertTrue(m.cpu.v86);
      assertEquals(3, m.cpu.cpl);
      assertEquals(0x1234, m.cpu.rip);
      assertEquals(0x8000, m.cpu.r[Cpu.RSP]);
      int[] selectors = {2, 0x5000, 1, 3, 4, 5};
      for (int s = 0; s < 6; s++) {
        assertEquals(selectors[s], m.cpu.seg[s].selector);
        assertEquals((long) selectors[s] << 4, m.cpu.seg[s].base);
        assertEquals(0xffff, m.cpu.seg[s].limit);
      }
    }

    @Test
    void vm_in_the_image_means_nothing_outside_of_level_0() {
      SystemMachine m = frame(3, 4, 0x1234, CODE3, Flags.VM | 2, 0, 0);
      m.execute("cf");
      assertFalse(m.cpu.v86);
    }

    @Test
    void iret_in_64_bit_mode_always_takes_ss_and_rsp() {
      SystemMachine m =
          frame(SystemMachine.long64(0), 8, CODE, LONG0, 2, 0x1234567812345678L, DATA0);
      m.execute("48cf");
      assertEquals(0x1234567812345678L, m.cpu.r[Cpu.RSP]);
      assertEquals(DATA0, m.cpu.seg[Cpu.SS].selector);
    }

    @Test
    void a_segment_dropped_on_the_way_out_keeps_its_base() {
      SystemMachine m = frame(SystemMachine.long64(0), 8, CODE, LONG3, 2, STACK3, DATA3);
      m.cpu.seg[Cpu.GS].set(DATA0, 0x123456789000L, 0xffffffffL, 0xc093);
      m.execute("48cf");
      assertEquals(0, m.cpu.seg[Cpu.GS].selector);
      assertTrue(m.cpu.seg[Cpu.GS].unusable());
      assertEquals(0x123456789000L, m.cpu.seg[Cpu.GS].base);
      assertEquals(0x123456789000L, m.cpu.r[Cpu.GS_BASE]);
    }

    @Test
    void a_null_ss_is_for_64_bit_code_below_level_3() {
      SystemMachine m = frame(SystemMachine.long64(0), 8, CODE, LONG0, 2, STACK0, 0);
      m.execute("48cf");
      assertTrue(m.cpu.seg[Cpu.SS].unusable());
      m = frame(SystemMachine.long64(0), 8, CODE, LONG3, 2, STACK0, 3);
      assertEquals(Fault.of(Vector.GP, 0), m.fault("48cf"));
      m = frame(SystemMachine.long64(0), 8, CODE, CODE0, 2, STACK0, 0);
      assertEquals(Fault.of(Vector.GP, 0), m.fault("48cf"));
    }

    @Test
    void a_return_address_that_is_not_canonical_is_gp_0() {
      SystemMachine m = frame(SystemMachine.long64(0), 8, 1L << 47, LONG3, 2, STACK0, DATA3);
      assertEquals(Fault.of(Vector.GP, 0), m.fault("48cf"));
      m = frame(SystemMachine.long64(0), 8, 1L << 47, LONG3, STACK0, DATA3);
      assertEquals(Fault.of(Vector.GP, 0), m.fault("48cb"));
    }

    @Test
    void nt_in_ia_32e_mode_is_gp_0() {
      SystemMachine m = frame(SystemMachine.long64(0), 8, CODE, LONG0, 2, STACK0, DATA0);
      m.cpu.flagsRest |= Flags.NT;
      assertEquals(Fault.of(Vector.GP, 0), m.fault("48cf"));
    }

    @Test
    void iret_from_64_bit_mode_to_compatibility_mode_at_level_3() {
      SystemMachine m = frame(SystemMachine.long64(0), 8, 0x1234, CODE3, 2, STACK3, DATA3);
      m.execute("48cf");
      assertEquals(4, m.cpu.codeSize);
      assertEquals(3, m.cpu.cpl);
      assertEquals(STACK3, m.cpu.r[Cpu.RSP]);
    }

    @Test
    void iret_unblocks_nmis_even_if_it_faults() {
      SystemMachine m = frame(0, 4, 0x1234, 0, 2);
      m.cpu.nmiBlocked = true;
      assertEquals(Fault.of(Vector.GP, 0), m.fault("cf"));
      assertFalse(m.cpu.nmiBlocked);
      assertTrue(m.cpu.iretUnblockedNmi);
      m = frame(0, 4, 0x1234, CODE0, 2);
      m.cpu.nmiBlocked = true;
      m.execute("cf");
      assertFalse(m.cpu.nmiBlocked);
      assertFalse(m.cpu.iretUnblockedNmi);
      m = frame(0, 4, 0x1234, CODE0, 2);
      m.cpu.nmiBlocked = true;
      m.guest("iretUnblocksNmi");
      m.execute("cf");
      assertTrue(m.cpu.nmiBlocked);
    }
  }

  @Nested
  class Virtual8086 {
    @Test
    void iret_needs_iopl_3_or_vme() {
      SystemMachine m = SystemMachine.v86(0);
      assertEquals(Fault.of(Vector.GP, 0), m.fault("cf"));
      m.cpu.cr4 |= ControlBits.CR4_VME;
      assertEquals(Fault.of(Vector.GP, 0), m.fault("66cf"));
      assertNull(m.fault("cf"));
    }

    @Test
    void iret_with_vme_moves_if_to_vif() {
      SystemMachine m = SystemMachine.v86(0);
      m.cpu.cr4 |= ControlBits.CR4_VME;
      m.cpu.r[Cpu.RSP] = 0xffa;
      int at = STACK3 - 0x1000 + 0xffa;
      m.memory.writeShort(at, (short) 0x10);
      m.memory.writeShort(at + 2, (short) 0x20);
      m.memory.writeShort(at + 4, (short) (Flags.IF | Flags.IOPL | 2));
      m.execute("cf");
      assertEquals(Flags.VM | Flags.VIF | 2, m.cpu.rflags());
      assertEquals(0x200, m.cpu.seg[Cpu.CS].base);
      m.cpu.r[Cpu.RSP] = 0xffa;
      m.memory.writeShort(at + 4, (short) (Flags.TF | 2));
      assertEquals(Fault.of(Vector.GP, 0), m.fault("cf"));
      m.memory.writeShort(at + 4, (short) (Flags.IF | 2));
      m.cpu.flagsRest |= Flags.VIP;
      assertEquals(Fault.of(Vector.GP, 0), m.fault("cf"));
    }
  }

  @Nested
  class SystemCalls {
    @Test
    void syscall_and_sysret() {
      SystemMachine m = SystemMachine.long64(3);
      m.cpu.msr.star = 0x0023_0028_00000000L;
      m.cpu.msr.lstar = 0xffff800000001234L;
      m.cpu.msr.fmask = Flags.IF | Flags.TF;
      m.cpu.flagsRest |= Flags.IF | Flags.TF | Flags.DF;
      m.execute("0f05");
      assertEquals(0xffff800000001234L, m.cpu.rip);
      assertEquals(CODE + 2, m.cpu.r[Cpu.RCX]);
      assertEquals(Flags.IF | Flags.TF | Flags.DF, m.cpu.r[11] & 0x700);
      assertEquals(Flags.DF | 2, m.cpu.flagsRest);
      assertEquals(0x28, m.cpu.seg[Cpu.CS].selector);
      assertEquals(0x30, m.cpu.seg[Cpu.SS].selector);
      assertEquals(0, m.cpu.cpl);
      m.cpu.rip = CODE;
      m.execute("480f07");
      assertEquals(CODE + 2, m.cpu.rip);
      assertEquals(0x33, m.cpu.seg[Cpu.CS].selector);
      assertEquals(0x2b, m.cpu.seg[Cpu.SS].selector);
      assertEquals(3, m.cpu.cpl);
      assertEquals(Flags.IF | Flags.TF | Flags.DF | 2, m.cpu.flagsRest);
    }

    @Test
    void sysret_to_32_bit_code() {
      SystemMachine m = SystemMachine.long64(0);
      m.cpu.msr.star = 0x0023_0028_00000000L;
      m.cpu.r[Cpu.RCX] = 0x1_0000_1234L;
      m.execute("0f07");
      assertEquals(0x1234, m.cpu.rip);
      assertEquals(0x23, m.cpu.seg[Cpu.CS].selector);
      assertEquals(4, m.cpu.codeSize);
    }

    @Test
    void syscall_is_undefined_outside_of_64_bit_mode_or_without_sce() {
      assertEquals(Fault.of(Vector.UD), SystemMachine.compatibility(3).fault("0f05"));
      SystemMachine m = SystemMachine.long64(3);
      assertEquals(Fault.of(Vector.GP, 0), m.fault("480f07"));
      m.cpu.efer &= ~ControlBits.EFER_SCE;
      assertEquals(Fault.of(Vector.UD), m.fault("0f05"));
      assertEquals(Fault.of(Vector.UD), m.fault("480f07"));
    }

    @Test
    void amds_syscall_works_in_compatibility_mode() {
      SystemMachine m = SystemMachine.compatibility(3, AMD);
      m.cpu.msr.star = 0x0023_0028_00000000L;
      m.cpu.msr.cstar = 0x123456789L;
      m.cpu.msr.fmask = Flags.TF;
      m.cpu.flagsRest |= Flags.TF;
      int flags = (int) m.cpu.rflags();
      m.execute("0f05");
      assertEquals(0x123456789L, m.cpu.rip);
      assertEquals(CODE + 2, m.cpu.r[Cpu.RCX]);
      assertEquals(flags, m.cpu.r[11]);
      assertEquals(8, m.cpu.codeSize);
      assertEquals(0, m.cpu.cpl);
      assertEquals(0, m.cpu.flagsRest & Flags.TF);
      m.execute("0f07");
      assertEquals(CODE + 2, m.cpu.rip);
      assertEquals(4, m.cpu.codeSize);
      assertEquals(flags, m.cpu.rflags());
    }

    @Test
    void amds_syscall_works_in_legacy_mode() {
      SystemMachine m = SystemMachine.protected32(3, AMD);
      m.cpu.efer |= ControlBits.EFER_SCE;
      m.cpu.msr.star = 0x001b_0008_00001234L;
      m.cpu.flagsRest |= Flags.IF;
      m.execute("0f05");
      assertEquals(0x1234, m.cpu.rip);
      assertEquals(CODE + 2, m.cpu.r[Cpu.RCX]);
      assertEquals(CODE0, m.cpu.seg[Cpu.CS].selector);
      assertEquals(CODE0 + 8, m.cpu.seg[Cpu.SS].selector);
      assertEquals(4, m.cpu.codeSize);
      assertEquals(0, m.cpu.flagsRest & Flags.IF);
      m.execute("0f07");
      assertEquals(CODE + 2, m.cpu.rip);
      assertEquals(CODE3, m.cpu.seg[Cpu.CS].selector);
      assertEquals(3, m.cpu.cpl);
      assertEquals(Flags.IF, m.cpu.flagsRest & Flags.IF);
    }

    @Test
    void amds_sysret_takes_any_address_and_its_long_mode_has_no_sysenter() {
      SystemMachine m = SystemMachine.long64(0, AMD);
      m.cpu.r[Cpu.RCX] = 1L << 60;
      m.cpu.r[11] = 2;
      m.execute("480f07");
      assertEquals(1L << 60, m.cpu.rip);
      assertEquals(3, m.cpu.cpl);
      m = SystemMachine.long64(0, AMD);
      m.cpu.msr.sysenterCs = CODE0;
      assertEquals(Fault.of(Vector.UD), m.fault("0f34"));
      assertEquals(Fault.of(Vector.UD), m.fault("0f35"));
    }

    @Test
    void sysret_to_an_address_that_is_not_canonical_is_gp_0() {
      SystemMachine m = SystemMachine.long64(0);
      m.cpu.r[Cpu.RCX] = 1L << 47;
      assertEquals(Fault.of(Vector.GP, 0), m.fault("480f07"));
      assertEquals(0, m.cpu.cpl);
    }

    @Test
    void sysenter_and_sysexit() {
      SystemMachine m = SystemMachine.protected32(3);
      assertEquals(Fault.of(Vector.GP, 0), m.fault("0f34"));
      m.cpu.msr.sysenterCs = CODE0;
      m.cpu.msr.sysenterEip = 0x1234;
      m.cpu.msr.sysenterEsp = STACK0;
      m.cpu.flagsRest |= Flags.IF;
      m.execute("0f34");
      assertEquals(0x1234, m.cpu.rip);
      assertEquals(STACK0, m.cpu.r[Cpu.RSP]);
      assertEquals(CODE0, m.cpu.seg[Cpu.CS].selector);
      assertEquals(CODE0 + 8, m.cpu.seg[Cpu.SS].selector);
      assertEquals(2, m.cpu.flagsRest);
      assertEquals(Segment.DB, m.cpu.seg[Cpu.CS].ar & (Segment.DB | Segment.L));
      m.cpu.r[Cpu.RCX] = STACK3;
      m.cpu.r[Cpu.RDX] = CODE;
      m.execute("0f35");
      assertEquals(CODE, m.cpu.rip);
      assertEquals(CODE0 + 16 | 3, m.cpu.seg[Cpu.CS].selector);
      assertEquals(3, m.cpu.cpl);
      assertEquals(Fault.of(Vector.GP, 0), m.fault("0f35"));
    }
  }
}
