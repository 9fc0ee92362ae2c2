package org.kvm4j.vmx.exit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.EPT;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.REAL;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** SDM 26.5.6 "VM Functions": VMFUNC and EPTP switching. */
class VmFunctionTests {
  private static final long LIST = 0x66000;

  /** EPT that differs from the first in its page of 2 MBytes at 4 MBytes, which it maps to 6. */
  private static final long OTHER_EPT = 0x70000;

  private static final long OTHER = OTHER_EPT | 3 << 3 | 6;
  private static final int DATA = 0x400000;
  private static final int UNDEFINED = 1 << Vector.UD;

  private final MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    guest(h, LONG);
  }

  private static void guest(MinimalHypervisor h, MinimalHypervisor.Mode mode) {
    h.guest(mode);
    h.secondary(Controls.SECONDARY_EXEC_ENABLE_VMFUNC);
    h.set(VmcsField.VM_FUNCTION_CONTROL, 1);
    h.set(VmcsField.EPTP_LIST_ADDRESS, LIST);
    h.set(VmcsField.EXCEPTION_BITMAP, UNDEFINED);
    h.memory.writeLong(OTHER_EPT, OTHER_EPT + 0x1000 | 7);
    h.memory.writeLong(OTHER_EPT + 0x1000, OTHER_EPT + 0x2000 | 7);
    for (int k = 0; k < 8; k++) {
      h.memory.writeLong(OTHER_EPT + 0x2000 + 8 * k, (k == 2 ? 3L : k) << 21 | 0xb7);
    }
    h.memory.writeLong(LIST, h.get(VmcsField.EPT_POINTER));
    h.memory.writeLong(LIST + 8 * 511, OTHER);
    h.memory.writeInt(DATA, 0x1111);
    h.memory.writeInt(DATA + 0x200000, 0x2222);
    h.cpu.r[Cpu.RAX] = 0;
    h.cpu.r[Cpu.RCX] = 511;
    h.code(
        0x8b, 0x1c, 0x25, 0x00, 0x00, 0x40, 0x00, // mov ebx, [0x400000]
        0x0f, 0x01, 0xd4, // vmfunc
        0x8b, 0x14, 0x25, 0x00, 0x00, 0x40, 0x00, // mov edx, [0x400000]
        0x31, 0xc9, // xor ecx, ecx
        0x0f, 0x01, 0xd4, // vmfunc
        0x8b, 0x34, 0x25, 0x00, 0x00, 0x40, 0x00, // mov esi, [0x400000]
        0x0f, 0x01, 0xc1); // vmcall
  }

  private void exits() {
    assertEquals(ExitReason.VMFUNC, h.run());
    assertEquals(CODE + 7, h.get(VmcsField.GUEST_RIP));
    assertEquals(3, h.length());
    assertEquals(0, h.qualification());
  }

  private void isUndefined() {
    assertEquals(ExitReason.EXCEPTION_NMI, h.run());
    assertEquals(Vector.UD, h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
    assertEquals(CODE + 7, h.get(VmcsField.GUEST_RIP));
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void switchingGoesToTheOtherTablesAndBack(boolean vpid) {
    if (!vpid) {
      h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_ENABLE_VPID);
    }
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x1111, h.cpu.r[Cpu.RBX]);
    assertEquals(0x2222, h.cpu.r[Cpu.RDX]);
    assertEquals(0x1111, h.cpu.r[Cpu.RSI]);
    assertEquals(EPT | 3 << 3 | 6, h.get(VmcsField.EPT_POINTER));
    assertEquals(0, h.get(VmcsField.EPTP_INDEX));
  }

  @Test
  void theNewPointerAndItsIndexAreInTheVmcs() {
    h.code(0x0f, 0x01, 0xd4, 0x0f, 0x01, 0xc1); // vmfunc; vmcall
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(OTHER, h.get(VmcsField.EPT_POINTER));
    assertEquals(511, h.get(VmcsField.EPTP_INDEX));
    h.skip();
    h.code(0x0f, 0x01, 0xd4, 0x0f, 0x01, 0xc1, 0x8b, 0x14, 0x25, 0, 0, 0x40, 0, 0x0f, 0x01, 0xc1);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x2222, h.cpu.r[Cpu.RDX], "the next entry goes on with it");
  }

  /** What each EPT root has cached stays until an INVEPT of that root. */
  @Test
  void cachedTranslationsAreThoseOfTheRoot() {
    assertEquals(ExitReason.VMCALL, h.run());
    h.memory.writeLong(OTHER_EPT + 0x2010, 4L << 21 | 0xb7);
    h.memory.writeInt(4 << 21, 0x3333);
    h.cpu.r[Cpu.RCX] = 511;
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x2222, h.cpu.r[Cpu.RDX], "stale");
    h.vmx.invept(1, OTHER);
    h.cpu.r[Cpu.RCX] = 511;
    h.set(VmcsField.GUEST_RIP, CODE);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x3333, h.cpu.r[Cpu.RDX]);
  }

  /** The guest's CR3 is translated anew: SDM 26.5.6.3. */
  @Test
  void theNextAccessFindsThePagingStructuresThroughTheNewTables() {
    h.memory.writeLong(OTHER_EPT + 0x2000, 0);
    assertEquals(ExitReason.EPT_VIOLATION, h.run());
    assertEquals(CODE + 10, h.get(VmcsField.GUEST_RIP));
    assertEquals(MinimalHypervisor.PAGE_TABLES, h.get(VmcsField.GUEST_PHYSICAL_ADDRESS));
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 63})
  void aFunctionThatIsNotEnabledExits(int function) {
    h.cpu.r[Cpu.RAX] = function;
    exits();
  }

  @Test
  void withoutEptpSwitchingItExits() {
    h.set(VmcsField.VM_FUNCTION_CONTROL, 0);
    exits();
  }

  @ParameterizedTest
  @ValueSource(longs = {512, 0xffffffffL})
  void anIndexBeyondTheListExits(long index) {
    h.memory.writeLong(LIST + 8 * 512, OTHER);
    h.cpu.r[Cpu.RCX] = index;
    exits();
  }

  /** Only ECX and EAX count. */
  @Test
  void upperHalvesAreIgnored() {
    h.cpu.r[Cpu.RCX] |= 1L << 32;
    h.cpu.r[Cpu.RAX] |= 1L << 32;
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x2222, h.cpu.r[Cpu.RDX]);
  }

  @ParameterizedTest
  @ValueSource(longs = {0, OTHER | 1 << 11, OTHER | 1L << 50, OTHER & ~7L | 3, OTHER & ~0x38L})
  void aPointerThatVmEntryWouldRefuseExits(long eptp) {
    h.memory.writeLong(LIST + 8 * 511, eptp);
    exits();
    assertEquals(EPT | 3 << 3 | 6, h.get(VmcsField.EPT_POINTER));
  }

  @ParameterizedTest
  @ValueSource(longs = {64, 0xffffffffL})
  void aNumberBeyond63IsUndefined(long function) {
    h.cpu.r[Cpu.RAX] = function;
    isUndefined();
  }

  @Test
  void withoutVmFunctionsItIsUndefined() {
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, Controls.SECONDARY_EXEC_ENABLE_VMFUNC);
    isUndefined();
  }

  /** It has no check of mode or privilege. */
  @Test
  void itIsExecutedInEveryModeAndRing() {
    MinimalHypervisor real = new MinimalHypervisor();
    guest(real, REAL);
    real.code(0x0f, 0x01, 0xd4, 0x0f, 0x01, 0xc1);
    assertEquals(ExitReason.VMCALL, real.run());
    assertEquals(OTHER, real.get(VmcsField.EPT_POINTER));
    h.segment(Cpu.CS, 0x33, 0, 0xffffffffL, 0xa0fb);
    h.segment(Cpu.SS, 0x2b, 0, 0xffffffffL, 0xc0f3);
    assertEquals(ExitReason.VMCALL, h.run());
    assertEquals(0x2222, h.cpu.r[Cpu.RDX]);
  }

  @Test
  void withoutVirtualizationExceptionsThereIsNoIndex() {
    VmxCapabilities less = VmxCapabilities.of(CpuProfiles.named("kvm4j-v1,-vmx-ept-violation-ve"));
    MinimalHypervisor old = new MinimalHypervisor(less);
    guest(old, LONG);
    old.code(0x0f, 0x01, 0xd4, 0x0f, 0x01, 0xc1);
    assertEquals(ExitReason.VMCALL, old.run());
    assertEquals(OTHER, old.get(VmcsField.EPT_POINTER));
    assertEquals(12, old.vmx.vmread(VmcsField.EPTP_INDEX.encoding));
  }
}
