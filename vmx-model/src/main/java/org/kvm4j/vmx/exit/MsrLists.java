package org.kvm4j.vmx.exit;

import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * The lists of MSRs that VM entries and VM exits load and store: 16 bytes an entry, index in bits
 * 31:0, reserved bits 63:32, value in bits 127:64.
 *
 * <p>Source: SDM 25.7.2 "VM-Exit Controls for MSRs", 27.4 "Loading MSRs", 28.4 "Saving MSRs", 28.6
 * "Loading MSRs".
 */
public final class MsrLists {
  private static final int IA32_SMM_MONITOR_CTL = 0x9b;
  private static final int IA32_SMBASE = 0x9e;

  /** Where entries beyond the recommended maximum stop being looked at. */
  private static final int LIMIT = 1 << 16;

  private final Cpu cpu;
  private final long[] scratch = new long[1];

  /** The entry that failed: its MSR. */
  public int failedIndex;

  /** The entry that failed: its value. */
  public long failedValue;

  public MsrLists(Cpu cpu) {
    this.cpu = cpu;
  }

  /**
   * Loads the MSRs of a list.
   *
   * @return 0, or the number of the entry that failed, from 1; what precedes it stays loaded
   */
  public int load(long address, long count) {
    PhysicalMemory memory = cpu.mmu.memory;
    for (int k = 0; k < count; k++) {
      long at = address + 16L * k;
      long head = memory.readLong(at);
      long value = memory.readLong(at + 8);
      int index = (int) head;
      if (k >= LIMIT || head >>> 32 != 0 || !mayLoad(index) || !MsrTable.write(cpu, index, value)) {
        failedIndex = index;
        failedValue = value;
        return k + 1;
      }
    }
    return 0;
  }

  private static boolean mayLoad(int index) {
    return index != MsrTable.IA32_FS_BASE
        && index != MsrTable.IA32_GS_BASE
        && index != IA32_SMM_MONITOR_CTL
        && index != MsrTable.IA32_BIOS_UPDT_TRIG
        && index >>> 8 != 8;
  }

  /**
   * Stores MSRs into a list.
   *
   * @return 0, or the number of the entry that failed, from 1
   */
  public int store(long address, long count) {
    PhysicalMemory memory = cpu.mmu.memory;
    for (int k = 0; k < count; k++) {
      long at = address + 16L * k;
      long head = memory.readLong(at);
      int index = (int) head;
      if (k >= LIMIT
          || head >>> 32 != 0
          || index >>> 8 == 8
          || index == IA32_SMBASE
          || !read(index)) {
        return k + 1;
      }
      memory.writeLong(at + 8, scratch[0]);
    }
    return 0;
  }

  /** Reads an MSR; the time-stamp counter is the host's. */
  private boolean read(int index) {
    if (index == MsrTable.IA32_TIME_STAMP_COUNTER) {
      scratch[0] = cpu.platform.tsc() + cpu.msr.tscOffset;
      return true;
    }
    return MsrTable.read(cpu, index, scratch);
  }
}
