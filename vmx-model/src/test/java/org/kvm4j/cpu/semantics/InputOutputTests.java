package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** Ports: permission, exits, and repeated transfers that can be taken up again. */
class InputOutputTests {
  private static final Fault GP = Fault.of(Vector.GP, 0);

  @Test
  void in_and_out_of_each_size() {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RAX] = 0xaabbccdd11223344L;
    m.cpu.r[Cpu.RDX] = 0xffff1234L;
    m.execute("e660");
    m.execute("66ef");
    m.execute("ef");
    m.execute("ec");
    assertEquals(0xaabbccdd11223378L, m.cpu.r[Cpu.RAX]);
    m.execute("66ed");
    assertEquals(0xaabbccdd11225678L, m.cpu.r[Cpu.RAX]);
    m.execute("e5ff");
    assertEquals(0x12345678, m.cpu.r[Cpu.RAX]);
    assertEquals(
        List.of(
            "out 60/1=44",
            "out 1234/2=3344",
            "out 1234/4=11223344",
            "in 1234/1",
            "in 1234/2",
            "in ff/4"),
        m.ports);
  }

  @ParameterizedTest
  @CsvSource({
    // port, size, bits set in the map, allowed
    "0x60, 1, 0, true",
    "0x60, 1, 0x60, false",
    "0x60, 2, 0x61, false",
    "0x60, 2, 0x62, true",
    "0x67, 4, 0x6a, false",
    "0x67, 4, 0x6b, true",
    "0x67, 1, 0x68, true"
  })
  void the_bit_map_decides_above_iopl(String port, int size, String denied, boolean allowed) {
    for (SystemMachine m :
        new SystemMachine[] {SystemMachine.protected32(3), SystemMachine.v86(3)}) {
      int bit = Integer.decode(denied);
      if (bit != 0) {
        m.memory.writeByte(TSS + 0x100 + bit / 8, (byte) (1 << bit % 8));
      }
      m.cpu.r[Cpu.RDX] = Integer.decode(port);
      boolean word = m.cpu.v86 == (size == 4);
      String hex = size == 1 ? "ec" : word ? "66ed" : "ed";
      assertEquals(allowed ? null : GP, m.fault(hex));
      m.ports.clear();
    }
  }

  @Test
  void iopl_opens_all_ports_in_protected_mode_alone() {
    SystemMachine m = SystemMachine.protected32(3);
    m.cpu.seg[Cpu.TR].limit = 0x67;
    assertEquals(GP, m.fault("ec"));
    m.cpu.flagsRest |= Flags.IOPL;
    assertNull(m.fault("ec"));
    m = SystemMachine.v86(3);
    m.cpu.seg[Cpu.TR].limit = 0x67;
    assertEquals(GP, m.fault("ec"));
  }

  @Test
  void two_bytes_of_the_map_must_be_within_the_tss() {
    SystemMachine m = SystemMachine.protected32(3);
    m.cpu.r[Cpu.RDX] = 0;
    m.cpu.seg[Cpu.TR].limit = 0x100;
    assertEquals(GP, m.fault("ec"));
    m.cpu.seg[Cpu.TR].limit = 0x101;
    assertNull(m.fault("ec"));
    m.cpu.seg[Cpu.TR].ar = 0x83;
    assertEquals(GP, m.fault("ec"));
  }

  @Test
  void ins_repeats_and_stops_for_attention() {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.r[Cpu.RDX] = 0x1f0;
    m.cpu.r[Cpu.RCX] = 3;
    m.cpu.r[Cpu.RDI] = DATA;
    m.execute("f36d");
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(DATA + 12, m.cpu.r[Cpu.RDI]);
    assertEquals(0x12345678, m.read(DATA + 8, 4));
    m.cpu.r[Cpu.RCX] = 3;
    m.cpu.attention = 1;
    long at = m.cpu.rip;
    m.execute("f36d");
    assertEquals(2, m.cpu.r[Cpu.RCX]);
    assertEquals(at, m.cpu.rip);
    m.execute("f36d");
    m.execute("f36d");
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(at + 2, m.cpu.rip);
    assertEquals(6, m.ports.size());
  }

  @Test
  void outs_goes_down_with_df_and_faults_before_the_port() {
    SystemMachine m = SystemMachine.protected32(0);
    m.cpu.flagsRest |= Flags.DF;
    m.cpu.r[Cpu.RDX] = 0;
    m.cpu.r[Cpu.RSI] = DATA + 1;
    m.cpu.r[Cpu.RCX] = 2;
    m.memory.writeShort(DATA, (short) 0x2211);
    m.execute("f36e");
    assertEquals(List.of("out 0/1=22", "out 0/1=11"), m.ports);
    assertEquals(DATA - 1, m.cpu.r[Cpu.RSI]);
    m.ports.clear();
    m.cpu.seg[Cpu.DS].limit = 0xfff;
    m.cpu.r[Cpu.RCX] = 2;
    assertEquals(GP, m.fault("f36e"));
    assertEquals(2, m.cpu.r[Cpu.RCX]);
    assertEquals(List.of(), m.ports);
  }

  @Test
  void a_page_fault_in_the_middle_of_ins_keeps_what_was_done() {
    SystemMachine m = SystemMachine.paged32(0);
    m.page(PAGES + 0x1000, 0);
    m.cpu.r[Cpu.RDI] = PAGES + 0xffe;
    m.cpu.r[Cpu.RCX] = 4;
    Fault f = m.fault("f36c");
    assertEquals(new Fault(Vector.PF, true, 2, PAGES + 0x1000), f);
    assertEquals(2, m.cpu.r[Cpu.RCX]);
    assertEquals(2, m.ports.size());
  }

  @Test
  void a_count_of_0_does_nothing() {
    SystemMachine m = SystemMachine.protected32(3);
    m.cpu.seg[Cpu.TR].limit = 0x67;
    assertNull(m.fault("f36c"));
    assertEquals(List.of(), m.ports);
  }

  @Test
  void a_guest_exits_after_the_permission_and_before_the_operand() {
    SystemMachine m = SystemMachine.protected32(3);
    List<String> calls = m.guest("io");
    m.cpu.seg[Cpu.TR].limit = 0x67;
    assertEquals(GP, m.fault("ec"));
    assertEquals(List.of(), calls);
    m.cpu.flagsRest |= Flags.IOPL;
    m.cpu.r[Cpu.RDX] = 0x3f8;
    m.cpu.r[Cpu.RCX] = 7;
    m.cpu.r[Cpu.RDI] = DATA;
    m.cpu.seg[Cpu.ES].limit = 0;
    assertNull(m.fault("f36d"));
    assertEquals(List.of("io 1016 4 true true true " + DATA), calls);
    assertEquals(List.of(), m.ports);
    assertEquals(7, m.cpu.r[Cpu.RCX]);
  }
}
