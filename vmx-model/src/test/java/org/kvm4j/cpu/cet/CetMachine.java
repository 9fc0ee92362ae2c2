package org.kvm4j.cpu.cet;

import static org.kvm4j.cpu.testing.SystemMachine.*;

import org.kvm4j.cpu.core.CetControl;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.testing.SystemMachine;

/** Machines with CET: each level has its shadow stack in a page of its own. */
final class CetMachine {
  static final String MODEL = "kvm4j-v1,+xsave,+apic,+shstk,+ibt,+cet-sss";

  /** The user's shadow stack: its page, and where it begins. */
  static final long USER_PAGE = PAGES + 0x10000;

  static final long USER = USER_PAGE + 0x800;

  /** A supervisor's shadow stack: its page, and where its token is. */
  static final long SUPERVISOR_PAGE = PAGES + 0x12000;

  static final long SUPERVISOR = SUPERVISOR_PAGE + 0x7f8;

  /** Another one in the same page, for the interrupt stack table. */
  static final long INTERRUPT = SUPERVISOR_PAGE + 0xbf8;

  /** The interrupt stack table. */
  static final int TABLE = DATA + 0x800;

  /** Present, accessed, dirty and not writable. */
  private static final int SHADOW = 0x61;

  private CetMachine() {}

  static SystemMachine long64(int cpl) {
    return prepare(SystemMachine.long64(cpl, MODEL));
  }

  static SystemMachine compatibility(int cpl) {
    return prepare(SystemMachine.compatibility(cpl, MODEL));
  }

  /** Flat 32-bit protected mode without paging, where any memory is a shadow stack. */
  static SystemMachine protected32(int cpl) {
    return prepare(SystemMachine.protected32(cpl, MODEL));
  }

  private static SystemMachine prepare(SystemMachine m) {
    Cpu c = m.cpu;
    c.cr0 |= ControlBits.CR0_WP;
    c.cr4 |= ControlBits.CR4_CET;
    if (c.longMode) {
      m.page(USER_PAGE, SHADOW | 4);
      m.page(SUPERVISOR_PAGE, SHADOW);
    }
    c.msr.uCet = CetControl.SH_STK_EN;
    c.msr.sCet = CetControl.SH_STK_EN;
    m.memory.writeLong(SUPERVISOR, SUPERVISOR);
    m.memory.writeLong(INTERRUPT, INTERRUPT);
    c.msr.plSsp[0] = SUPERVISOR;
    c.msr.interruptSspTable = TABLE;
    m.memory.writeLong(TABLE + 8, INTERRUPT);
    c.ssp = c.cpl == 3 ? USER : SUPERVISOR - 0x100;
    c.updateMode();
    return m;
  }
}
