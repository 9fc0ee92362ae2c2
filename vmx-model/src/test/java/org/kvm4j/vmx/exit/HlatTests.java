package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.EPT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.PAE;
import static org.kvm4j.vmx.MinimalHypervisor.PAGE_TABLES;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.tlb.Tlb;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * HLAT paging, EPT paging-write control and guest-paging verification of a guest: SDM 4.5.1
 * "Ordinary Paging and HLAT Paging", 29.2 "Hypervisor-Managed Linear-Address Translation (HLAT)",
 * 29.3.3.2 "EPT Violations".
 */
class HlatTests {
  private static final long HLAT = 0x68000;
  private static final long EPT_PAGES = 0x60000;
  private static final long DATA = 0x400000;
  private static final long OTHER = 0x600000;
  private static final long RESTART = 1 << 11;
  private static final long PWA = 1L << 58;
  private static final long VERIFY = 1L << 57;
  private static final long DATA_ENTRY = EPT + 0x2000 + 8 * (DATA >> 21);
  private static final long OTHER_ENTRY = EPT + 0x2000 + 8 * (OTHER >> 21);

  private final MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    h.guest(LONG);
    // The hypervisor's tables: DATA leads to OTHER, all else is restarted.
    h.memory.writeLong(HLAT, HLAT + 0x1000 | 7);
    h.memory.writeLong(HLAT + 0x1000, HLAT + 0x2000 | 7);
    for (int k = 0; k < 512; k++) {
      h.memory.writeLong(HLAT + 0x2000 + 8 * k, 7 | RESTART);
    }
    h.memory.writeLong(HLAT + 0x2000 + 8 * (DATA >> 21), OTHER | 0x87);
    h.memory.writeInt(DATA + 8, 0x11);
    h.memory.writeInt(OTHER + 8, 0x22);
    h.set(VmcsField.HLATP, HLAT);
    h.code(0x8b, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00, 0x0f, 0x01, 0xc1); // mov eax, [DATA+8]; vmcall
  }

  private void tertiary(long controls) {
    h.primary(Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
    h.set(VmcsField.TERTIARY_VM_EXEC_CONTROL, controls);
  }

  private void enableHlat() {
    tertiary(Controls.TERTIARY_EXEC_ENABLE_HLAT);
  }

  private void reads(int value) {
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(value, h.cpu.r[Cpu.RAX]);
  }

  // ---- HLAT

  @Test
  void theHypervisorsTablesTranslate() {
    enableHlat();
    reads(0x22);
    assertFalse(h.cpu.mmu.context.hlat, "not in root operation");
  }

  @Test
  void theGuestCannotChangeWhatTheyTranslate() {
    enableHlat();
    h.memory.writeLong(PAGE_TABLES + 0x2000 + 8 * (DATA >> 21), DATA | 0x87);
    h.code(
        0x8b, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00, // mov eax, [DATA+8]
        0x0f, 0x20, 0xd9, // mov rcx, cr3
        0x0f, 0x22, 0xd9, // mov cr3, rcx
        0x8b, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00, 0x0f, 0x01, 0xc1);
    reads(0x22);
  }

  @Test
  void withoutTheControlTheFieldsAreIgnored() {
    reads(0x11);
    tertiary(Controls.TERTIARY_EXEC_ENABLE_HLAT);
    h.clear(VmcsField.CPU_BASED_VM_EXEC_CONTROL, Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
    reads(0x11);
  }

  @Test
  void aPrefixSizeLeavesLowAddressesToTheGuest() {
    enableHlat();
    h.set(VmcsField.HLAT_PREFIX_SIZE, 1);
    reads(0x11);
  }

  @Test
  void paePagingIsOrdinaryPaging() {
    MinimalHypervisor pae = new MinimalHypervisor();
    pae.guest(PAE);
    pae.memory.writeInt(DATA + 8, 0x11);
    pae.primary(Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
    pae.set(VmcsField.TERTIARY_VM_EXEC_CONTROL, Controls.TERTIARY_EXEC_ENABLE_HLAT);
    pae.code(0xa1, 0x08, 0x00, 0x40, 0x00, 0x0f, 0x01, 0xc1); // mov eax, [DATA+8]; vmcall
    assertEquals(ExitReason.VMCALL, pae.run());
    assertEquals(0x11, pae.cpu.r[Cpu.RAX]);
  }

  @Test
  void pageFaultsTellOfHlatPaging() {
    enableHlat();
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.PF);
    h.memory.writeLong(HLAT + 0x2000 + 8 * (DATA >> 21), 0);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x80, h.get(VmcsField.VM_EXIT_INTR_ERROR_CODE));
    assertEquals(DATA + 8, h.qualification());
    // Not for a violation of rights, nor for ordinary paging.
    h.memory.writeLong(HLAT + 0x2000 + 8 * (DATA >> 21), 7 | RESTART);
    h.memory.writeLong(PAGE_TABLES + 0x2000 + 8 * (DATA >> 21), 0);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0, h.get(VmcsField.VM_EXIT_INTR_ERROR_CODE));
    h.memory.writeLong(HLAT + 0x2000 + 8 * (DATA >> 21), OTHER | 0x85);
    h.code(0x89, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00); // mov [DATA+8], eax
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(3, h.get(VmcsField.VM_EXIT_INTR_ERROR_CODE));
  }

  /** With VPIDs what was cached stays, as it does when CR3's tables change: INVVPID is due. */
  @Test
  void whatWasCachedStaysUntilItIsInvalidated() {
    reads(0x11);
    enableHlat();
    reads(0x11);
    h.cpu.mmu.tlb.invvpid(Tlb.INVVPID_CONTEXT, 1, 0);
    reads(0x22);
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_ENABLE_VPID);
    reads(0x22);
    tertiary(0);
    reads(0x11);
  }

  @Test
  void translatedAddressesAreThoseOfTheTables() {
    enableHlat();
    h.memory.writeLong(OTHER_ENTRY, 0);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(OTHER + 8, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(DATA + 8, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
    assertEquals(0x181, h.qualification() & 0x1ff);
    h.memory.writeLong(OTHER_ENTRY, OTHER | 0xb7);
    // The structures are walked to through EPT.
    h.set(VmcsField.HLATP, DATA);
    h.memory.writeLong(DATA_ENTRY, 0);
    h.cpu.mmu.flushAll();
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(DATA, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(0x81, h.qualification() & 0x1ff);
  }

  // ---- Paging writes and verification

  /** The first 2 MBytes in pages of their own, so that the guest's tables can be told apart. */
  private void smallPages() {
    for (int k = 0; k < 512; k++) {
      h.memory.writeLong(EPT_PAGES + 8 * k, (long) k << 12 | 0x37);
    }
    h.memory.writeLong(EPT + 0x2000, EPT_PAGES | 7);
  }

  private void table(int level, long clear, long set) {
    long at = EPT_PAGES + 8 * (PAGE_TABLES + 0x1000 * (3 - level) >> 12);
    h.memory.writeLong(at, h.memory.readLong(at) & ~clear | set);
  }

  @Test
  void tablesOfTheGuestMayBeReadOnlyToIt() {
    smallPages();
    h.set(VmcsField.EPT_POINTER, EPT | 0x40 | 3 << 3 | 6);
    table(1, 2, 0);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(PAGE_TABLES + 0x2000, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS) & -4096L);
    assertEquals(0xab, h.qualification(), "a read and a write of a paging structure");
    table(1, 0, PWA);
    assertEquals(ExitReason.EPT_VIOLATION, h.run(), "the control is 0");
    tertiary(Controls.TERTIARY_EXEC_EPT_PAGING_WRITE);
    reads(0x11);
    assertTrue((h.memory.readLong(PAGE_TABLES + 0x2000 + 8 * (DATA >> 21)) & 0x20) != 0);
    // The guest itself writes there no more than before.
    h.code(0x89, 0x04, 0x25, 0x08, 0x20, 0x02, 0x00); // mov [PAGE_TABLES + 0x2008], eax
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(0x1aa, h.qualification() & 0x1ff);
  }

  private void verify() {
    smallPages();
    for (int level = 3; level >= 1; level--) {
      table(level, 0, PWA);
    }
    h.memory.writeLong(DATA_ENTRY, DATA | 0xb7 | VERIFY);
    tertiary(
        Controls.TERTIARY_EXEC_EPT_PAGING_WRITE | Controls.TERTIARY_EXEC_GUEST_PAGING_VERIFICATION);
  }

  @Test
  void aPageIsReachedThroughVerifiedTablesAlone() {
    verify();
    reads(0x11);
    table(2, PWA, 0);
    reads(0x11); // Cached: as with other rights, INVEPT is due.
    h.cpu.mmu.tlb.invept(Tlb.INVEPT_CONTEXT, EPT);
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(DATA + 8, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(DATA + 8, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
    assertEquals(0x8181 | 0x38 | 0x600, h.qualification());
    // The violation has invalidated what it was about.
    table(2, 0, PWA);
    reads(0x11);
  }

  @Test
  void verificationNeedsPagingWriteControl() {
    verify();
    table(2, PWA, 0);
    tertiary(Controls.TERTIARY_EXEC_GUEST_PAGING_VERIFICATION);
    reads(0x11);
  }

  /** The hypervisor's tables are verified, the guest's are not: an alias of a page is found out. */
  @Test
  void anAliasOfAPageExits() {
    verify();
    for (int level = 3; level >= 1; level--) {
      table(level, PWA, 0);
      long at = EPT_PAGES + 8 * (HLAT + 0x1000 * (3 - level) >> 12);
      h.memory.writeLong(at, h.memory.readLong(at) | PWA);
    }
    tertiary(
        Controls.TERTIARY_EXEC_ENABLE_HLAT
            | Controls.TERTIARY_EXEC_EPT_PAGING_WRITE
            | Controls.TERTIARY_EXEC_GUEST_PAGING_VERIFICATION);
    h.memory.writeLong(HLAT + 0x2000 + 8 * (DATA >> 21), DATA | 0x87);
    reads(0x11);
    h.memory.writeLong(PAGE_TABLES + 0x2000 + 8 * (OTHER >> 21), DATA | 0x87);
    h.code(0x8b, 0x04, 0x25, 0x08, 0x00, 0x60, 0x00); // mov eax, [OTHER+8]
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(OTHER + 8, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
    assertEquals(DATA + 8, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertTrue((h.qualification() & 0x8000) != 0);
  }

  /** SDM 26.5.7.1 "Convertible EPT Violations". */
  @Test
  void aFailedVerificationIsConvertible() {
    verify();
    table(3, PWA, 0);
    h.secondary(Controls.SECONDARY_EXEC_EPT_VIOLATION_VE);
    h.set(VmcsField.VE_INFORMATION_ADDRESS, 0x66000);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.VE);
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(0x87b9, h.memory.readLong(0x66008));
    h.memory.writeInt(0x66004, 0);
    h.memory.writeLong(DATA_ENTRY, DATA | 0xb7 | VERIFY | 1L << 63);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
  }

  // ---- Capabilities

  @Test
  void capabilitiesAndFieldsGoWithTheFeature() {
    VmxCapabilities all = h.capabilities;
    assertEquals(0xe, all.msr(VmxCapabilities.IA32_VMX_PROCBASED_CTLS3) & 0xe);
    assertEquals(1, all.eptVpid >>> 48 & 0x3f, "the maximum HLAT prefix size");
    VmxCapabilities none = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-hlat"));
    assertEquals(0xc, none.msr(VmxCapabilities.IA32_VMX_PROCBASED_CTLS3) & 0xe);
    assertEquals(0, none.eptVpid >>> 48);
    assertFalse(VmcsField.HLATP.exists(none));
    assertFalse(VmcsField.HLAT_PREFIX_SIZE.exists(none));
    assertTrue(VmcsField.HLATP.exists(all));
    none = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-ept-paging-write"));
    assertEquals(0x2, none.msr(VmxCapabilities.IA32_VMX_PROCBASED_CTLS3) & 0xe, "verification too");
    none = VmxCapabilities.of(CpuProfiles.named("skylake-server"));
    assertFalse(VmcsField.HLATP.exists(none));
  }
}
