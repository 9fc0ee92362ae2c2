package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.kvm4j.cpu.testing.SystemMachine.*;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.testing.SystemMachine;

/** Indirect branch tracking. SDM Vol. 1, "Indirect Branch Tracking". */
class BranchTrackingTests {
  private static final String MODEL = "kvm4j-v1,+xsave,+apic,+shstk,+ibt";
  private static final int TARGET = CODE + 0x100;
  private static final String ENDBR64 = "f3 0f 1e fa";
  private static final String ENDBR32 = "f3 0f 1e fb";
  private static final String NOP_HLT = " 90 f4";

  private static final String JMP_RAX = "ff e0";

  private static SystemMachine machine(SystemMachine m) {
    m.cpu.cr4 |= ControlBits.CR4_CET;
    m.cpu.msr.sCet = CetControl.ENDBR_EN;
    m.cpu.msr.uCet = CetControl.ENDBR_EN;
    m.cpu.updateMode();
    m.idt(m.cpu.longMode ? LONG0 : CODE0, 0xee);
    for (int v = 0; v < 256; v++) {
      Code.put(m, handler(v), (m.cpu.longMode ? ENDBR64 : ENDBR32) + " f4");
    }
    m.cpu.r[Cpu.RAX] = TARGET;
    m.cpu.r[Cpu.RBX] = DATA;
    m.memory.writeLong(DATA, TARGET);
    return m;
  }

  private static SystemMachine long64(int cpl) {
    return machine(SystemMachine.long64(cpl, MODEL));
  }

  /** Runs to HLT: the vector whose handler was entered, or -1 if that is at the target. */
  private static int run(SystemMachine m, String code, String target) {
    Code.put(m, code);
    Code.put(m, TARGET, target);
    Interpreter engine = Code.engine(m);
    engine.run(1000);
    long at = m.cpu.rip - HANDLERS - 5;
    return at >= 0 && at < 0x1000 ? (int) at / 16 : -1;
  }

  @ParameterizedTest
  @ValueSource(strings = {"ff e0", "ff d0", "ff 23", "ff 13"})
  void a_near_indirect_branch_has_to_lead_to_ENDBRANCH(String branch) {
    SystemMachine m = long64(0);
    assertEquals(-1, run(m, branch, ENDBR64 + NOP_HLT));
    assertEquals(TARGET + 6, m.cpu.rip);
    assertEquals(CetControl.ENDBR_EN, m.cpu.msr.sCet);
    m = long64(0);
    assertEquals(Vector.CP, run(m, branch, "90 f4"));
    assertEquals(3, m.stack(0, 8));
    assertEquals(TARGET, m.stack(1, 8));
  }

  @Test
  void direct_branches_and_returns_are_not_tracked() {
    SystemMachine m = long64(0);
    m.cpu.r[Cpu.RSP] -= 8;
    m.memory.writeLong(m.cpu.r[Cpu.RSP], TARGET);
    assertEquals(-1, run(m, "c3", "90 f4"));
    assertEquals(-1, run(long64(0), "e9 fb000000", "90 f4"));
    assertEquals(-1, run(long64(0), "e8 fb000000", "90 f4"));
    m = long64(0);
    m.cpu.setLazyFlags(Flags.ZF);
    assertEquals(-1, run(m, "0f 84 fa000000", "90 f4"));
  }

  @Test
  void ENDBRANCH_is_the_one_of_the_mode() {
    assertEquals(Vector.CP, run(long64(0), JMP_RAX, ENDBR32 + NOP_HLT));
    SystemMachine m = machine(SystemMachine.compatibility(0, MODEL));
    assertEquals(-1, run(m, JMP_RAX, ENDBR32 + NOP_HLT));
    m = machine(SystemMachine.protected32(0, MODEL));
    assertEquals(Vector.CP, run(m, JMP_RAX, ENDBR64 + NOP_HLT));
    assertEquals(3, m.stack(0, 4));
    // Elsewhere the other one is a NOP.
    assertEquals(-1, run(long64(0), JMP_RAX, ENDBR64 + ENDBR32 + NOP_HLT));
  }

  @ParameterizedTest
  @CsvSource({"0x14, -1", "0x4, 21"})
  void the_prefix_3E_is_heeded_where_that_is_enabled(String control, int vector) {
    SystemMachine m = long64(0);
    m.cpu.msr.sCet = Integer.decode(control);
    m.cpu.updateMode();
    assertEquals(vector, run(m, "3e ff e0", "90 f4"));
    m = long64(0);
    m.cpu.msr.sCet = Integer.decode(control);
    m.cpu.updateMode();
    assertEquals(vector, run(m, "3e ff 13", "90 f4"));
    m = long64(0);
    m.cpu.msr.sCet = Integer.decode(control);
    assertEquals(Vector.CP, run(m, "ff e0", "90 f4"));
  }

  @Test
  void tracking_comes_before_what_the_instruction_faults_with_but_not_before_its_fetch() {
    assertEquals(Vector.CP, run(long64(0), JMP_RAX, "0f 0b"));
    assertEquals(Vector.BP, run(long64(0), JMP_RAX, "cc"));
    SystemMachine m = long64(0);
    m.cpu.r[Cpu.RAX] = PAGES;
    m.page(PAGES, 0);
    assertEquals(Vector.PF, run(m, JMP_RAX, "90 f4"));
    m = long64(0);
    m.cpu.msr.uCet = CetControl.ENDBR_EN | CetControl.TRACKER;
    m.cpu.r[Cpu.RAX] = PAGES + 0xffe;
    m.page(PAGES + 0x1000, 0);
    m.memory.writeShort(PAGES + 0xffe, (short) 0x0ff3);
    assertEquals(Vector.PF, run(m, JMP_RAX, "90 f4"));
  }

  @Test
  void the_users_tracker_is_the_users() {
    SystemMachine m = long64(3);
    assertEquals(Vector.CP, run(m, JMP_RAX, "90 f4"));
    assertEquals(CetControl.ENDBR_EN | CetControl.TRACKER, m.cpu.msr.uCet);
    assertEquals(CetControl.ENDBR_EN, m.cpu.msr.sCet);
    assertEquals(3, m.stack(0, 8));
    // IRET goes back to a tracker that waits.
    m = long64(0);
    m.cpu.msr.uCet |= CetControl.TRACKER;
    m.cpu.r[Cpu.RSP] -= 40;
    long[] frame = {TARGET, LONG3, 2, STACK3, DATA3};
    for (int k = 0; k < 5; k++) {
      m.memory.writeLong(m.cpu.r[Cpu.RSP] + 8 * k, frame[k]);
    }
    assertEquals(Vector.CP, run(m, "48 cf", "90 f4"));
    assertEquals(TARGET, m.stack(1, 8));
  }

  @Test
  void system_calls_and_events_are_tracked() {
    SystemMachine m = long64(3);
    m.cpu.msr.star = (long) CODE0 << 32;
    m.cpu.msr.lstar = TARGET;
    assertEquals(Vector.CP, run(m, "0f 05", "90 f4"));
    m = long64(3);
    m.cpu.msr.star = (long) CODE0 << 32;
    m.cpu.msr.lstar = TARGET;
    m.cpu.msr.sCet |= CetControl.SUPPRESS;
    assertEquals(-1, run(m, "0f 05", ENDBR64 + NOP_HLT));
    assertEquals(CetControl.ENDBR_EN, m.cpu.msr.sCet);
    m = long64(3);
    Code.put(m, handler(0x80), "90 f4");
    assertEquals(Vector.CP, run(m, "cd 80", "90 f4"));
    assertEquals(handler(0x80), m.stack(1, 8));
  }

  @Test
  void far_transfers_are_tracked_whatever_their_prefix() {
    SystemMachine m = long64(0);
    m.cpu.msr.sCet |= CetControl.NO_TRACK_EN;
    m.memory.writeShort(DATA + 8, (short) LONG0);
    assertEquals(Vector.CP, run(m, "3e 48 ff 2b", "90 f4"));
    m = long64(0);
    m.memory.writeShort(DATA + 8, (short) LONG0);
    assertEquals(Vector.CP, run(m, "48 ff 1b", "90 f4"));
  }

  @Test
  void legacy_code_pages_suppress_tracking() {
    int bitmap = DATA + 0x1000;
    for (boolean legacy : new boolean[] {false, true}) {
      for (boolean keeps : new boolean[] {false, true}) {
        SystemMachine m = long64(0);
        m.cpu.msr.sCet |= CetControl.LEG_IW_EN | bitmap;
        m.cpu.msr.sCet |= keeps ? CetControl.SUPPRESS_DIS : 0;
        m.memory.writeByte(bitmap + (TARGET >> 15), (byte) (legacy ? 1 << (TARGET >> 12 & 7) : 0));
        // The second branch is not tracked where the first has suppressed that.
        int second = legacy && !keeps ? -1 : Vector.CP;
        m.cpu.r[Cpu.RCX] = DATA + 0x100;
        Code.put(m, DATA + 0x100, "90 f4");
        m.memory.writeByte(bitmap + (DATA >> 15), (byte) 0);
        assertEquals(second, run(m, JMP_RAX, "90 ff e1"), legacy + " " + keeps);
        if (legacy && !keeps) {
          assertEquals(CetControl.SUPPRESS, m.cpu.msr.sCet & CetControl.SUPPRESS);
          assertEquals(DATA + 0x102, m.cpu.rip);
        }
      }
    }
    // ENDBRANCH ends it.
    SystemMachine m = long64(0);
    m.cpu.msr.sCet |= CetControl.SUPPRESS;
    m.cpu.r[Cpu.RCX] = DATA + 0x100;
    Code.put(m, DATA + 0x100, "90 f4");
    assertEquals(Vector.CP, run(m, JMP_RAX, ENDBR64 + "90 ff e1"));
  }

  @Test
  void an_interrupt_between_a_branch_and_its_target_finds_the_tracker_waiting() {
    SystemMachine m = long64(3);
    Code.put(m, JMP_RAX);
    Code.put(m, TARGET, ENDBR64 + NOP_HLT);
    Interpreter engine = Code.engine(m);
    engine.run(1);
    assertEquals(TARGET, m.cpu.rip);
    assertEquals(CetControl.ENDBR_EN | CetControl.TRACKER, m.cpu.msr.uCet);
    engine.run(1);
    assertEquals(CetControl.ENDBR_EN, m.cpu.msr.uCet);
  }

  @Test
  void without_tracking_ENDBRANCH_does_nothing() {
    SystemMachine m = long64(0);
    m.cpu.msr.sCet = CetControl.TRACKER;
    m.cpu.updateMode();
    assertEquals(-1, run(m, JMP_RAX, ENDBR64 + ENDBR32 + "f3 0f 1e c8 90 f4"));
    assertEquals(CetControl.TRACKER, m.cpu.msr.sCet);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void a_loop_of_indirect_calls_does_the_same_translated(boolean translated) {
    SystemMachine m = long64(0);
    // 1: call *rax; dec ecx; jnz 1b; jmp *rdx
    Code.put(m, "ff d0 ff c9 75 fa ff e2");
    Code.put(m, TARGET, ENDBR64 + "48 ff c6 c3");
    m.cpu.r[Cpu.RCX] = 1000;
    m.cpu.r[Cpu.RDX] = TARGET + 4;
    Interpreter engine = Code.engine(m);
    if (translated) {
      engine.translate(0, null);
    }
    engine.run(100_000);
    assertEquals(1000, m.cpu.r[Cpu.RSI]);
    assertEquals(0, m.cpu.r[Cpu.RCX]);
    assertEquals(HANDLERS + Vector.CP * 16 + 5, m.cpu.rip);
    assertEquals(TARGET + 4, m.stack(1, 8));
    // Each turn is six instructions; then come the branch and the two of the handler.
    assertEquals(6003, m.cpu.retired());
  }
}
