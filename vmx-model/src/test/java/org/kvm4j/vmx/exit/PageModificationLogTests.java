package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.kvm4j.vmx.MinimalHypervisor.EPT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.PAGE_TABLES;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/** SDM 29.3.6 "Page-Modification Logging". */
class PageModificationLogTests {
  private static final int LOG = 0x64000;
  private static final long DIRTY = 1 << 9;

  private final MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    h.guest(LONG);
    h.or(VmcsField.EPT_POINTER, 1 << 6);
    h.secondary(Controls.SECONDARY_EXEC_ENABLE_PML);
    h.set(VmcsField.PML_ADDRESS, LOG);
    h.code(
        0x89, 0x04, 0x25, 0x08, 0x12, 0x30, 0x00, // mov [0x301208], eax
        0x89, 0x04, 0x25, 0x00, 0x40, 0x30, 0x00, // mov [0x304000], eax
        0x0f, 0x01, 0xc1);
  }

  @Test
  void aPageIsLoggedWhenItsDirtyFlagIsSet() {
    h.set(VmcsField.GUEST_PML_INDEX, 511);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(509, h.get(VmcsField.GUEST_PML_INDEX), "two pages of 2 MBytes, once each");
    assertEquals(PAGE_TABLES, h.memory.readLong(LOG + 8 * 511), "a paging structure's access");
    assertEquals(0x301000, h.memory.readLong(LOG + 8 * 510));
  }

  @Test
  void aFullLogExitsBeforeTheAccess() {
    h.set(VmcsField.GUEST_PML_INDEX, 0);
    assertEquals(ExitReason.PML_FULL, h.run());
    assertEquals(0xffff, h.get(VmcsField.GUEST_PML_INDEX));
    assertEquals(MinimalHypervisor.CODE, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.memory.readLong(EPT + 0x2008) & DIRTY);
    assertEquals(0, h.memory.readInt(0x301208));
    h.set(VmcsField.GUEST_PML_INDEX, 511);
    assertEquals(ExitReason.VMCALL, h.run());
  }
}
