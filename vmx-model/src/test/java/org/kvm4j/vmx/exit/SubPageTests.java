package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.EPT;
import static org.kvm4j.vmx.MinimalHypervisor.IDT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.UNPAGED;
import static org.kvm4j.vmx.MinimalHypervisor.PAGE_TABLES;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.tlb.Tlb;
import org.kvm4j.ept.walk.WalkTrace;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** SDM 29.3.4 "Sub-Page Write Permissions". */
class SubPageTests {
  private static final long EPT_PAGES = 0x60000;
  private static final long SPPT = 0x68000;
  private static final long VECTORS = SPPT + 0x3000;
  private static final long DATA = 0x400000;
  private static final long SPP = 1L << 61;
  private static final long DIRTY = 1 << 9;

  private final MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    h.guest(LONG);
    tables(h);
  }

  private static void tables(MinimalHypervisor h) {
    for (int k = 0; k < 512; k++) {
      h.memory.writeLong(EPT_PAGES + 8 * k, DATA + ((long) k << 12) | (k < 2 ? SPP | 0x35 : 0x37));
    }
    h.memory.writeLong(EPT + 0x2000 + 8 * (DATA >> 21), EPT_PAGES | 7);
    h.memory.writeLong(SPPT, SPPT + 0x1000 | 1);
    h.memory.writeLong(SPPT + 0x1000, SPPT + 0x2000 | 1);
    h.memory.writeLong(SPPT + 0x2000 + 8 * (DATA >> 21), VECTORS | 1);
    h.memory.writeLong(VECTORS, 1);
    h.secondary(Controls.SECONDARY_EXEC_SUB_PAGE_WRITE);
    h.set(VmcsField.SPP_TABLE_POINTER, SPPT);
    h.cpu.r[Cpu.RAX] = 0x1234;
  }

  /** MOV of EAX to an address, then VMCALL. */
  private void writesTo(long at) {
    h.code(0x89, 0x04, 0x25, (int) at, (int) at >> 8, (int) at >> 16, 0, 0x0f, 0x01, 0xc1);
    h.set(VmcsField.GUEST_RIP, CODE);
  }

  private ExitReason writeTo(long at) {
    writesTo(at);
    return h.run();
  }

  private void expectViolation() {
    assertEquals(0x7aa, h.qualification(), "a write of a page that is r-x");
    assertEquals(CODE, h.get(VmcsField.GUEST_RIP));
  }

  // ---- What is allowed

  @Test
  void aSubPageIsWrittenThatTheVectorAllows() {
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 8));
    assertEquals(0x1234, h.memory.readInt(DATA + 8));
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0x80));
    expectViolation();
    assertEquals(DATA + 0x80, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(DATA + 0x80, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
    assertEquals(0, h.memory.readInt(DATA + 0x80));
    // What may be written is asked for at each write.
    h.memory.writeLong(VECTORS, 4);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 0x80));
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 8));
    h.memory.writeLong(VECTORS, 1L << 62);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 0xffc));
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0xf7c));
  }

  @Test
  void aWriteNeedsEachSubPageThatItTouches() {
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0x7e));
    expectViolation();
    h.memory.writeLong(VECTORS, 4);
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0x7e));
    h.memory.writeLong(VECTORS, 5);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 0x7e));
    assertEquals(0x1234, h.memory.readInt(DATA + 0x7e));
  }

  @Test
  void aWriteToTwoPagesNeedsBoth() {
    h.memory.writeLong(VECTORS, 1L << 62);
    h.memory.writeLong(VECTORS + 8, 4);
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0xffe));
    assertEquals(DATA + 0x1000, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(0, h.memory.readShort(DATA + 0xffe), "nothing is written");
    h.memory.writeLong(VECTORS + 8, 1);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 0xffe));
    assertEquals(0x1234, h.memory.readInt(DATA + 0xffe));
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 0x2000), "the others as ever");
  }

  @Test
  void withoutPagingAsWell() {
    MinimalHypervisor unpaged = new MinimalHypervisor();
    unpaged.guest(UNPAGED);
    tables(unpaged);
    unpaged.code(0xa3, 0x08, 0x00, 0x40, 0x00, 0xa3, 0x80, 0x00, 0x40, 0x00); // mov [..], eax twice
    assertEquals(ExitReason.EPT_VIOLATION, unpaged.run());
    assertEquals(DATA + 0x80, unpaged.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(0x1234, unpaged.memory.readInt(DATA + 8));
  }

  @Test
  void onlyWritesOf4KBytePagesWithTheBitAreLookedUp() {
    h.memory.writeLong(EPT_PAGES, DATA | 0x35);
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 8));
    h.memory.writeLong(EPT_PAGES, DATA | 0x35 | SPP);
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_SUB_PAGE_WRITE);
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 8));
    h.secondary(Controls.SECONDARY_EXEC_SUB_PAGE_WRITE);
    h.memory.writeLong(EPT_PAGES, DATA | 0x37 | SPP);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 0x80), "the page may be written");
    h.cpu.mmu.flushAll();
    h.memory.writeLong(EPT + 0x2000 + 8 * (DATA >> 21), EPT_PAGES | 5);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 8), "refused by another level");
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0x80));
    h.memory.writeLong(EPT + 0x2000 + 8 * (DATA >> 21), DATA | 0xb5 | SPP);
    h.cpu.mmu.flushAll();
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 8), "a page of 2 MBytes");
  }

  /** The processor's own updates of paging structures are not looked up. */
  @Test
  void paging() {
    h.memory.writeLong(DATA, h.memory.readLong(PAGE_TABLES));
    h.memory.writeLong(VECTORS, 0x5555_5555_5555_5555L);
    h.set(VmcsField.GUEST_CR3, DATA);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(0xab, h.qualification(), "to set the accessed flag");
  }

  // ---- SPP-related events

  @ParameterizedTest
  @ValueSource(longs = {SPPT, SPPT + 0x1000, SPPT + 0x2000 + 8 * (DATA >> 21)})
  void entriesThatAreNotValidAreMisses(long entry) {
    long value = h.memory.readLong(entry);
    h.memory.writeLong(entry, value & ~1L | 0xff0);
    assertEquals(ExitReason.SPP_EVENT, writeTo(DATA + 8));
    assertEquals(0x800, h.qualification());
    assertEquals(DATA + 8, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    assertEquals(DATA + 8, h.get(VmcsField.GUEST_LINEAR_ADDRESS));
    assertEquals(CODE, h.get(VmcsField.GUEST_RIP));
    assertTrue((h.get(VmcsField.GUEST_RFLAGS) & 0x10000) != 0, "RF, as of a fault");
    h.memory.writeLong(entry, value);
    assertEquals(ExitReason.VMCALL, h.run());
  }

  @ParameterizedTest
  @ValueSource(longs = {SPPT, SPPT + 0x1000, SPPT + 0x2000 + 8 * (DATA >> 21), VECTORS})
  void reservedBitsAreMisconfigurations(long entry) {
    long value = h.memory.readLong(entry);
    for (int bit : new int[] {1, 11, 63, h.model.physicalAddressBits() | 1}) {
      h.memory.writeLong(entry, value | 1L << bit);
      assertEquals(ExitReason.SPP_EVENT, writeTo(DATA + 8));
      assertEquals(0, h.qualification());
      assertEquals(DATA + 8, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    }
    h.memory.writeLong(entry, value);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 8));
  }

  @Test
  void anEventThatIsDeliveredIsTold() {
    h.memory.writeLong(SPPT, 0);
    h.memory.writeLong(IDT + 16 * 0x30, 8 << 16 | 0x8e00L << 32 | (CODE >> 16) << 48);
    h.memory.writeLong(IDT + 16 * 0x30 + 8, 0);
    h.set(VmcsField.GUEST_RSP, DATA + 0x800);
    h.set(VmcsField.GUEST_RFLAGS, 0x202);
    h.set(
        VmcsField.VM_ENTRY_INTR_INFO_FIELD,
        InterruptionInfo.of(InterruptionInfo.EXTERNAL_INTERRUPT, 0x30, false) & 0xffffffffL);
    assertEquals(ExitReason.SPP_EVENT, h.run());
    assertEquals(0x800, h.qualification());
    assertEquals(
        InterruptionInfo.of(InterruptionInfo.EXTERNAL_INTERRUPT, 0x30, false),
        (int) h.get(VmcsField.IDT_VECTORING_INFO_FIELD));
  }

  /** SDM 26.5.7.1 "Convertible EPT Violations". */
  @Test
  void violationsAreConvertibleAndEventsAreNot() {
    h.secondary(Controls.SECONDARY_EXEC_EPT_VIOLATION_VE);
    h.set(VmcsField.VE_INFORMATION_ADDRESS, 0x6e000);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.VE);
    assertEquals(ExitReason.EXCEPTION_NMI, writeTo(DATA + 0x80));
    h.memory.writeInt(0x6e004, 0);
    h.memory.writeLong(SPPT, 0);
    assertEquals(ExitReason.SPP_EVENT, writeTo(DATA + 0x80));
  }

  // ---- Flags, logs, caches

  @Test
  void whatIsWrittenIsDirtyAndLogged() {
    h.or(VmcsField.EPT_POINTER, 1 << 6);
    h.secondary(Controls.SECONDARY_EXEC_ENABLE_PML);
    h.set(VmcsField.PML_ADDRESS, 0x6c000);
    h.set(VmcsField.GUEST_PML_INDEX, 511);
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0x1080));
    assertEquals(0, h.memory.readLong(EPT_PAGES + 8) & DIRTY);
    long index = h.get(VmcsField.GUEST_PML_INDEX);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 8));
    assertEquals(DIRTY, h.memory.readLong(EPT_PAGES) & DIRTY);
    assertEquals(index - 1, h.get(VmcsField.GUEST_PML_INDEX));
    assertEquals(DATA, h.memory.readLong(0x6c000 + 8 * index));
  }

  /** What a write was let through for is not cached as a right to write the page. */
  @Test
  void translatedCodeIsRefusedToo() {
    h.code(
        0xb9, 0x00, 0x80, 0x00, 0x00, // mov ecx, 0x8000
        0x89, 0x0c, 0x25, 0x08, 0x00, 0x40, 0x00, // mov [DATA+8], ecx
        0xe2, 0xf7, // loop
        0xb9, 0x00, 0x80, 0x00, 0x00, // mov ecx, 0x8000
        0x89, 0x0c, 0x25, 0x08, 0x00, 0x40, 0x00, // mov [DATA+8], ecx
        0x81, 0xf9, 0x00, 0x10, 0x00, 0x00, // cmp ecx, 0x1000
        0x75, 0x07, // jne
        0x89, 0x0c, 0x25, 0x80, 0x00, 0x40, 0x00, // mov [DATA+0x80], ecx
        0xe2, 0xe8); // loop
    assertEquals(ExitReason.EPT_VIOLATION, h.run(1_000_000));
    assertEquals(CODE + 0x22, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x1000, h.cpu.r[Cpu.RCX]);
    assertEquals(0x1000, h.memory.readInt(DATA + 8));
  }

  /** A page that could be written stays writable until INVEPT, and is not after it. */
  @Test
  void invept() {
    h.memory.writeLong(EPT_PAGES, DATA | 0x37);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 0x80));
    h.memory.writeLong(EPT_PAGES, DATA | 0x35 | SPP);
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 0x80));
    h.cpu.mmu.tlb.invept(Tlb.INVEPT_CONTEXT, EPT);
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0x80));
    assertEquals(ExitReason.VMCALL, writeTo(DATA + 8));
  }

  @Test
  void lockedAndRepeatedWrites() {
    h.code(
        0xf0, 0x0f, 0xc1, 0x04, 0x25, 0x08, 0x00, 0x40, 0x00, // lock xadd [DATA+8], eax
        0xf0, 0x0f, 0xc1, 0x04, 0x25, 0x7e, 0x00, 0x40, 0x00);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(CODE + 9, h.get(VmcsField.GUEST_RIP));
    assertEquals(0x1234, h.memory.readInt(DATA + 8));
    h.code(0xf3, 0xaa); // rep stosb
    h.cpu.r[Cpu.RDI] = DATA + 0x40;
    h.cpu.r[Cpu.RCX] = 0x100;
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(DATA + 0x80, h.cpu.r[Cpu.RDI]);
    assertEquals(0xc0, h.cpu.r[Cpu.RCX]);
    assertEquals(DATA + 0x80, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
    // 16 bytes across two of them: none is written.
    h.memory.writeLong(DATA + 0x78, 0);
    h.memory.writeLong(0x600000, -1);
    h.code(
        0x0f, 0x10, 0x04, 0x25, 0x00, 0x00, 0x60, 0x00, // movups xmm0, [0x600000]
        0x0f, 0x11, 0x04, 0x25, 0x78, 0x00, 0x40, 0x00); // movups [DATA+0x78], xmm0
    h.set(VmcsField.GUEST_RIP, CODE);
    h.or(VmcsField.GUEST_CR4, 0x600);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(CODE + 8, h.get(VmcsField.GUEST_RIP));
    assertEquals(0, h.memory.readLong(DATA + 0x78));
  }

  // ---- Told

  @Test
  void theTraceTellsTheTable() {
    assertEquals(ExitReason.EPT_VIOLATION, writeTo(DATA + 0x80));
    h.cpu.mmu.context.eptp = EPT | 3 << 3 | 6;
    h.cpu.mmu.context.subPageWrite = true;
    String trace = WalkTrace.of(h.memory, h.cpu.mmu.context, DATA + 0x80, Access.WRITE).toString();
    assertTrue(trace.contains("sub-page write permissions"), trace);
    assertTrue(trace.contains("SPP SSPL4E at hpa 0x68000 = 0x0000000000069001 (valid)"), trace);
    assertTrue(trace.contains("SPP SSPL2E at hpa 0x6a010"), trace);
    assertTrue(trace.contains("(sub-page 1: writes are not allowed)"), trace);
    h.memory.writeLong(SPPT, 0);
    trace = WalkTrace.of(h.memory, h.cpu.mmu.context, DATA + 0x80, Access.WRITE).toString();
    assertTrue(trace.contains("SPP miss at gpa 0x400080"), trace);
    h.memory.writeLong(SPPT, 3);
    trace = WalkTrace.of(h.memory, h.cpu.mmu.context, DATA + 0x80, Access.WRITE).toString();
    assertTrue(trace.contains("SPP misconfiguration at gpa 0x400080"), trace);
    assertFalse(
        WalkTrace.of(h.memory, h.cpu.mmu.context, DATA + 0x80, Access.READ)
            .toString()
            .contains("SSPL4E"));
    h.cpu.mmu.context.leaveNonRoot();
  }

  @Test
  void capabilitiesAndFieldsGoWithTheFeature() {
    VmxCapabilities none = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-spp"));
    assertFalse(VmcsField.SPP_TABLE_POINTER.exists(none));
    assertTrue(VmcsField.SPP_TABLE_POINTER.exists(h.capabilities));
    none = VmxCapabilities.of(CpuProfiles.named("skylake-server"));
    assertFalse(VmcsField.SPP_TABLE_POINTER.exists(none));
    none = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-ept"));
    assertFalse(VmcsField.SPP_TABLE_POINTER.exists(none));
  }
}
