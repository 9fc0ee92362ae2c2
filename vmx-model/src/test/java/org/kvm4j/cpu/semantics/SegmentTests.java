package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** Loads of segment registers, descriptor-table registers, and queries of descriptors. */
class SegmentTests {
  private static final String MOV_DS_AX = "8ed8";
  private static final String MOV_SS_AX = "8ed0";

  @ParameterizedTest
  @CsvSource({
    "0, 0x10, , ",
    "0, 0x13, 13, 0x10", // RPL above DPL
    "3, 0x10, 13, 0x10", // CPL above DPL
    "3, 0x20, , ", // RPL below CPL
    "0, 0x23, , ",
    "3, 0x58, , ", // readable conforming code at any level
    "3, 0x08, 13, 0x08",
    "0, 0x98, 13, 0x98", // execute-only
    "0, 0x90, , ",
    "0, 0x78, 11, 0x78",
    "0, 0x48, 13, 0x48", // a system descriptor
    "0, 0x200, 13, 0x200",
    "0, 0x1f8, 13, 0x1f8", // an empty one
    "0, 0x0c, 13, 0x0c" // no LDT
  })
  void ds(int cpl, String selector, Integer vector, String code) {
    int s = Integer.decode(selector);
    SystemMachine m = SystemMachine.protected32(cpl);
    m.cpu.r[Cpu.RAX] = s;
    assertEquals(
        vector == null ? null : Fault.of(vector, Integer.decode(code)), m.fault(MOV_DS_AX));
    if (vector == null) {
      assertEquals(s, m.cpu.seg[Cpu.DS].selector);
    } else {
      assertFalse(m.cpu.seg[Cpu.DS].unusable());
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3})
  void a_null_data_segment_loads_and_faults_when_used(int selector) {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RAX] = selector;
    assertNull(m.fault(MOV_DS_AX));
    assertEquals(Fault.of(Vector.GP, 0), m.fault("8a00"));
    assertEquals(selector, m.cpu.seg[Cpu.DS].selector);
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0x10, , ",
    "0, 0, 13, 0",
    "0, 0x13, 13, 0x10",
    "0, 0x20, 13, 0x20",
    "0, 0x23, 13, 0x20",
    "3, 0x23, , ",
    "3, 0x20, 13, 0x20",
    "3, 0x93, 13, 0x90",
    "0, 0x08, 13, 0x08",
    "0, 0x78, 12, 0x78",
    "0, 0x200, 13, 0x200"
  })
  void ss(int cpl, String selector, Integer vector, String code) {
    SystemMachine m = SystemMachine.protected32(cpl);
    m.cpu.r[Cpu.RAX] = Integer.decode(selector);
    assertEquals(
        vector == null ? null : Fault.of(vector, Integer.decode(code)), m.fault(MOV_SS_AX));
    assertEquals(vector == null ? Cpu.SHADOW_MOV_SS : 0, m.cpu.shadow);
  }

  @Test
  void a_null_ss_in_64_bit_mode_is_for_levels_below_3_with_their_rpl() {
    SystemMachine m = SystemMachine.long64(0);
    m.cpu.r[Cpu.RAX] = 0;
    assertNull(m.fault(MOV_SS_AX));
    m.cpu.r[Cpu.RAX] = 1;
    assertEquals(Fault.of(Vector.GP, 0), m.fault(MOV_SS_AX));
    m = SystemMachine.long64(3);
    m.cpu.r[Cpu.RAX] = 3;
    assertEquals(Fault.of(Vector.GP, 0), m.fault(MOV_SS_AX));
  }

  @Test
  void mov_to_cs_is_undefined() {
    assertEquals(Fault.of(Vector.UD), SystemMachine.protected32(0).fault("8ec8"));
  }

  @Test
  void the_accessed_bit_is_set_in_a_read_only_table_only_by_a_fault() {
    SystemMachine m = SystemMachine.paged32(0);
    m.cpu.gdtBase = PAGES;
    m.memory.writeLong(PAGES + FREE, segment(0, 0xfffff, 0xc092));
    m.cpu.r[Cpu.RAX] = FREE;
    m.page(PAGES, 5);
    Fault f = m.fault(MOV_DS_AX);
    assertEquals(new Fault(Vector.PF, true, 3, PAGES + FREE + 5), f);
    assertEquals(DATA0, m.cpu.seg[Cpu.DS].selector);
    m.page(PAGES, 7);
    assertNull(m.fault(MOV_DS_AX));
    assertEquals(0x93, m.memory.readByte(PAGES + FREE + 5) & 0xff);
  }

  @Test
  void the_table_is_read_with_supervisor_rights() {
    SystemMachine m = SystemMachine.paged32(3);
    m.cpu.gdtBase = PAGES;
    m.memory.writeLong(PAGES + DATA3 - 3, segment(0, 0xfffff, 0xc0f3));
    m.page(PAGES, 3);
    m.cpu.r[Cpu.RAX] = DATA3;
    assertNull(m.fault(MOV_DS_AX));
    m.page(PAGES, 2);
    assertEquals(new Fault(Vector.PF, true, 0, PAGES + 0x20), m.fault(MOV_DS_AX));
  }

  @Test
  void segments_come_from_the_local_table_too() {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RAX] = LOCAL;
    m.execute("0f00d0");
    m.memory.writeLong(LDT + 8, segment(0x5000, 0xff, 0x4093));
    m.cpu.r[Cpu.RAX] = 0x0c;
    assertNull(m.fault(MOV_DS_AX));
    assertEquals(0x5000, m.cpu.seg[Cpu.DS].base);
    m.cpu.r[Cpu.RAX] = 0x104;
    assertEquals(Fault.of(Vector.GP, 0x104), m.fault(MOV_DS_AX));
    m.cpu.r[Cpu.RAX] = 0;
    m.execute("0f00d0");
    m.cpu.r[Cpu.RAX] = 0x0c;
    assertEquals(Fault.of(Vector.GP, 0x0c), m.fault(MOV_DS_AX));
  }

  @Test
  void real_mode_loads_change_selector_and_base_alone() {
    SystemMachine m = SystemMachine.real();
    m.cpu.seg[Cpu.DS].set(0, 0, 0xffffffffL, 0xc093);
    m.cpu.r[Cpu.RAX] = 0x1234;
    m.execute(MOV_DS_AX);
    assertEquals(0x12340, m.cpu.seg[Cpu.DS].base);
    assertEquals(0xffffffffL, m.cpu.seg[Cpu.DS].limit);
  }

  @Test
  void far_pointers_load_both_or_nothing() {
    SystemMachine m = SystemMachine.protected32(0);
    m.memory.writeInt(DATA, 0x12345678);
    m.memory.writeShort(DATA + 4, (short) DATA3);
    m.execute("c40d00000500");
    assertEquals(0x12345678, m.cpu.r[Cpu.RCX]);
    assertEquals(DATA3, m.cpu.seg[Cpu.ES].selector);
    m.memory.writeInt(DATA, 0);
    m.memory.writeShort(DATA + 4, (short) ABSENT_DATA);
    assertEquals(Fault.of(Vector.NP, ABSENT_DATA), m.fault("c40d00000500"));
    assertEquals(0x12345678, m.cpu.r[Cpu.RCX]);
    m.memory.writeShort(DATA + 4, (short) DATA0);
    m.execute("0fb22500000500");
    assertEquals(0, m.cpu.r[Cpu.RSP]);
    assertEquals(0, m.cpu.shadow);
  }

  @Test
  void push_and_pop_of_segments() {
    SystemMachine m = SystemMachine.protected32(0);
    m.memory.writeInt(STACK0 - 4, -1);
    m.execute("0fa0");
    assertEquals(STACK0 - 4, m.cpu.r[Cpu.RSP]);
    assertEquals(0xffff0000L | DATA0, m.stack(0, 4));
    m.memory.writeInt(STACK0 - 4, DATA3);
    m.execute("0fa1");
    assertEquals(STACK0, m.cpu.r[Cpu.RSP]);
    assertEquals(DATA3, m.cpu.seg[Cpu.FS].selector);
    m.memory.writeInt(STACK0, ABSENT_DATA);
    assertEquals(Fault.of(Vector.SS, ABSENT_DATA), m.fault("17"));
    assertEquals(STACK0, m.cpu.r[Cpu.RSP]);
    m.memory.writeInt(STACK0, DATA0);
    m.execute("17");
    assertEquals(Cpu.SHADOW_MOV_SS, m.cpu.shadow);
  }

  // ---- queries ----

  private boolean zf(SystemMachine m, String hex, int selector) {
    m.cpu.r[Cpu.RAX] = selector;
    m.cpu.rip = CODE;
    m.execute(hex);
    return m.cpu.zf();
  }

  @Test
  void lar_and_lsl_see_what_is_visible() {
    SystemMachine m = SystemMachine.protected32(3);
    String lar = "0f02c8";
    String lsl = "0f03c8";
    assertTrue(zf(m, lar, DATA3));
    assertEquals(0xcff300, m.cpu.r[Cpu.RCX]);
    assertTrue(zf(m, lsl, DATA3));
    assertEquals(0xffffffffL, m.cpu.r[Cpu.RCX]);
    assertFalse(zf(m, lar, DATA0));
    assertEquals(0xffffffffL, m.cpu.r[Cpu.RCX]);
    assertTrue(zf(m, lar, CONFORMING0));
    assertFalse(zf(m, lar, 0));
    assertFalse(zf(m, lar, 0x200));
    m = SystemMachine.protected32(0);
    assertTrue(zf(m, lar, TASK));
    assertTrue(zf(m, lsl, TASK));
    assertEquals(0xfff, m.cpu.r[Cpu.RCX]);
    assertTrue(zf(m, lar, ABSENT_CODE));
    assertFalse(zf(m, lar, CODE3 & ~3 | 3) && zf(m, lar, CODE0 | 3));
    for (int type = 0; type < 16; type++) {
      m.gdt(FREE, segment(0, 0x123, 0x80 | type));
      boolean larKnows = List.of(1, 2, 3, 4, 5, 9, 11, 12).contains(type);
      boolean lslKnows = List.of(1, 2, 3, 9, 11).contains(type);
      assertEquals(larKnows, zf(m, lar, FREE), "type " + type);
      assertEquals(lslKnows, zf(m, lsl, FREE), "type " + type);
    }
    m = SystemMachine.long64(0);
    for (int type = 0; type < 16; type++) {
      m.gdt(FREE, segment(0, 0x123, 0x80 | type));
      assertEquals(List.of(2, 9, 11, 12).contains(type), zf(m, lar, FREE), "type " + type);
      assertEquals(List.of(2, 9, 11).contains(type), zf(m, lsl, FREE), "type " + type);
    }
  }

  @Test
  void verr_and_verw() {
    SystemMachine m = SystemMachine.protected32(3);
    String verr = "0f00e0";
    String verw = "0f00e8";
    assertTrue(zf(m, verr, DATA3));
    assertTrue(zf(m, verw, DATA3));
    assertFalse(zf(m, verr, DATA0));
    assertTrue(zf(m, verr, CODE3));
    assertFalse(zf(m, verw, CODE3));
    assertTrue(zf(m, verr, CONFORMING0));
    assertTrue(zf(m, verr, READ_ONLY));
    assertFalse(zf(m, verw, READ_ONLY));
    assertFalse(zf(m, verr, 0));
    assertEquals(Fault.of(Vector.UD), SystemMachine.real().fault(verr));
    assertEquals(Fault.of(Vector.UD), SystemMachine.v86(3).fault(verr));
  }

  @Test
  void arpl_raises_the_rpl() {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RCX] = 3;
    m.cpu.r[Cpu.RAX] = 0xffff0010L;
    m.execute("63c8");
    assertTrue(m.cpu.zf());
    assertEquals(0xffff0013L, m.cpu.r[Cpu.RAX]);
    m.execute("63c8");
    assertFalse(m.cpu.zf());
    assertEquals(Fault.of(Vector.UD), SystemMachine.real().fault("63c8"));
  }

  // ---- LDTR, TR, GDTR, IDTR ----

  @ParameterizedTest
  @CsvSource({"0x10, 13, 0x10", "0x200, 13, 0x200", "0x0c, 13, 0x0c", "0xb0, 11, 0xb0"})
  void lldt_faults(String selector, int vector, String code) {
    SystemMachine m = SystemMachine.protected32(0);
    m.gdt(FREE, segment(0, 0xff, 0x0002));
    m.cpu.r[Cpu.RAX] = Integer.decode(selector);
    assertEquals(Fault.of(vector, Integer.decode(code)), m.fault("0f00d0"));
  }

  @ParameterizedTest
  @CsvSource({"0, 13, 0", "0x10, 13, 0x10", "0x200, 13, 0x200", "0x38, 13, 0x38", "0xb0, 11, 0xb0"})
  void ltr_faults(String selector, int vector, String code) {
    SystemMachine m = SystemMachine.protected32(0);
    m.gdt(FREE, segment(TSS2, 0x67, 0x0009));
    m.cpu.r[Cpu.RAX] = Integer.decode(selector);
    assertEquals(Fault.of(vector, Integer.decode(code)), m.fault("0f00d8"));
  }

  @Test
  void ltr_makes_the_task_busy() {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RAX] = TASK2;
    m.execute("0f00d8");
    assertEquals(0x8b, m.gdtAccess(TASK2));
    assertEquals(TSS2, m.cpu.seg[Cpu.TR].base);
    m = SystemMachine.long64(0);
    m.gdt(FREE, segment(0x12345678, 0x67, 0x0089));
    m.gdt(FREE + 8, 0xffff8000L);
    m.cpu.r[Cpu.RAX] = FREE;
    m.execute("0f00d8");
    assertEquals(0xffff800012345678L, m.cpu.seg[Cpu.TR].base);
    m.gdt(FREE, segment(0x12345678, 0x67, 0x0081));
    assertEquals(Fault.of(Vector.GP, FREE), m.fault("0f00d8"));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0f00d0", "0f00d8", "0f011500000500", "0f011d00000500"})
  void loads_of_system_registers_need_level_0(String hex) {
    assertEquals(Fault.of(Vector.GP, 0), SystemMachine.protected32(3).fault(hex));
  }

  @ParameterizedTest
  @ValueSource(strings = {"0f00c0", "0f00c8", "0f010500000500", "0f010d00000500", "0f01e0"})
  void stores_of_system_registers_heed_umip(String hex) {
    SystemMachine m = SystemMachine.protected32(3);
    assertNull(m.fault(hex));
    m.cpu.cr4 |= ControlBits.CR4_UMIP;
    assertEquals(Fault.of(Vector.GP, 0), m.fault(hex));
    m = SystemMachine.protected32(0);
    m.cpu.cr4 |= ControlBits.CR4_UMIP;
    assertNull(m.fault(hex));
  }

  @Test
  void gdtr_and_idtr() {
    SystemMachine m = SystemMachine.protected32(0);
    m.memory.writeShort(DATA, (short) 0x1234);
    m.memory.writeInt(DATA + 2, 0x9abcdef0);
    m.execute("0f011500000500");
    assertEquals(0x1234, m.cpu.gdtLimit);
    assertEquals(0x9abcdef0L, m.cpu.gdtBase);
    m.execute("660f011d00000500");
    assertEquals(0xbcdef0L, m.cpu.idtBase);
    m.execute("660f010510000500");
    assertEquals(0x1234, m.read(DATA + 16, 2));
    assertEquals(0x9abcdef0L, m.read(DATA + 18, 4));
    m = SystemMachine.long64(0);
    m.memory.writeLong(DATA + 2, 1L << 56);
    assertEquals(Fault.of(Vector.GP, 0), m.fault("0f01142500000500"));
    // What five-level paging could reach, without it.
    m.memory.writeShort(DATA, (short) -1);
    m.memory.writeLong(DATA + 2, 1L << 55);
    m.execute("0f01142500000500");
    assertEquals(1L << 55, m.cpu.gdtBase);
    m.cpu.r[Cpu.RAX] = DATA0;
    assertEquals(Fault.of(Vector.GP, 0), m.fault("8ed8"));
    m.memory.writeLong(DATA + 2, -4096);
    m.execute("0f01142500000500");
    assertEquals(-4096, m.cpu.gdtBase);
  }

  @Test
  void swapgs_and_bases() {
    SystemMachine m = SystemMachine.long64(0);
    m.cpu.seg[Cpu.GS].base = 0x1000;
    m.cpu.msr.kernelGsBase = 0xffff800000000000L;
    m.execute("0f01f8");
    assertEquals(0xffff800000000000L, m.cpu.seg[Cpu.GS].base);
    assertEquals(0xffff800000000000L, m.cpu.r[Cpu.GS_BASE]);
    assertEquals(0x1000, m.cpu.msr.kernelGsBase);
    assertEquals(Fault.of(Vector.UD), m.fault("f3480faec0"));
    m.cpu.cr4 |= ControlBits.CR4_FSGSBASE;
    m.cpu.r[Cpu.RAX] = 0xffff900000000000L;
    m.execute("f3480faed0");
    assertEquals(0xffff900000000000L, m.cpu.seg[Cpu.FS].base);
    m.execute("f30faec1");
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    m.cpu.r[Cpu.RAX] = 1L << 56;
    assertEquals(Fault.of(Vector.GP, 0), m.fault("f3480faed0"));
    m.cpu.r[Cpu.RAX] = 1L << 55;
    m.execute("f3480faed0");
    assertEquals(1L << 55, m.cpu.seg[Cpu.FS].base);
    assertEquals(Fault.of(Vector.GP, 0), SystemMachine.long64(3).fault("0f01f8"));
    assertEquals(Segment.S, m.cpu.seg[Cpu.FS].ar & Segment.S);
  }

  @Test
  void guests_exit_after_privilege_and_before_operands() {
    SystemMachine m = SystemMachine.protected32(0);
    List<String> calls = m.guest("descriptorTable");
    m.load(Cpu.DS, EXECUTE_ONLY);
    m.cpu.seg[Cpu.DS].ar |= Segment.UNUSABLE;
    for (String hex :
        new String[] {
          "0f00d0",
          "0f00d8",
          "0f00c0",
          "0f00c8",
          "0f011500000500",
          "0f011d00000500",
          "0f010500000500",
          "0f010d00000500"
        }) {
      assertNull(m.fault(hex));
    }
    assertEquals(8, calls.size());
  }
}
