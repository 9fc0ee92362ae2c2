package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** Metadata in pointers: CR3.LAM_U48, CR3.LAM_U57, CR4.LAM_SUP. SDM Vol. 3, "LAM". */
final class LinearAddressMaskingTests {
  private static final String MODEL = "sierra-forest,+apic";
  private static final long VALUE = 0x1122_3344_5566_7788L;

  private static final long U57 = ControlBits.CR3_LAM_U57;
  private static final long U48 = ControlBits.CR3_LAM_U48;

  /** The same memory again, at addresses of the supervisor's half. */
  private static final long HIGH = -1L << 39;

  private static SystemMachine machine(int cpl, long cr3, long cr4) {
    SystemMachine m = SystemMachine.long64(cpl, MODEL);
    long root = m.cpu.cr3;
    m.memory.writeLong(root + 511 * 8, m.memory.readLong(root));
    m.cpu.cr3 |= cr3;
    m.cpu.cr4 |= cr4;
    m.cpu.updateMode();
    m.memory.writeLong(SystemMachine.DATA, VALUE);
    return m;
  }

  /** What MOV RAX, [RDI] makes of a pointer: null if it reads the value. */
  private static @Nullable Fault load(SystemMachine m, long pointer) {
    m.cpu.r[Cpu.RDI] = pointer;
    m.cpu.r[Cpu.RAX] = 0;
    Fault fault = m.fault("48 8b 07");
    if (fault == null) {
      assertEquals(VALUE, m.cpu.r[Cpu.RAX]);
    }
    return fault;
  }

  private static void loads(SystemMachine m, long pointer) {
    assertNull(load(m, pointer), () -> Long.toHexString(pointer));
  }

  private static void faults(SystemMachine m, long pointer) {
    assertEquals(Fault.of(Vector.GP, 0), load(m, pointer), () -> Long.toHexString(pointer));
  }

  private static final int DATA = SystemMachine.DATA;

  @ParameterizedTest
  @ValueSource(ints = {0, 3})
  void LAM_U57_masks_bits_62_to_57_of_user_pointers(int cpl) {
    SystemMachine m = machine(cpl, U57, 0);
    loads(m, DATA);
    for (int bit = 57; bit <= 62; bit++) {
      loads(m, DATA | 1L << bit);
    }
    loads(m, DATA | 0x7eL << 56);
    // With 48-bit addresses, bits 56:47 have to be 0 still; bit 63 is none of the metadata.
    for (int bit = 47; bit <= 56; bit++) {
      faults(m, DATA | 1L << bit);
    }
    faults(m, DATA | 1L << 63);
    faults(m, (HIGH | DATA) & ~(1L << 57));
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3})
  void LAM_U48_masks_bits_62_to_48(int cpl) {
    SystemMachine m = machine(cpl, U48, 0);
    for (int bit = 48; bit <= 62; bit++) {
      loads(m, DATA | 1L << bit);
    }
    faults(m, DATA | 1L << 47);
    faults(m, DATA | 1L << 63);
  }

  @Test
  void LAM_U57_goes_before_LAM_U48() {
    SystemMachine m = machine(3, U48 | U57, 0);
    loads(m, DATA | 1L << 57);
    faults(m, DATA | 1L << 56);
  }

  @Test
  void LAM_SUP_masks_pointers_with_bit_63() {
    SystemMachine m = machine(0, 0, ControlBits.CR4_LAM_SUP);
    loads(m, HIGH + DATA);
    for (int bit = 48; bit <= 62; bit++) {
      loads(m, HIGH + DATA & ~(1L << bit));
    }
    faults(m, HIGH + DATA & ~(1L << 47));
    faults(m, DATA | 1L << 60);
    faults(m, HIGH + DATA & ~(1L << 63));
  }

  @Test
  void without_the_control_bits_nothing_is_masked() {
    SystemMachine m = machine(0, 0, 0);
    faults(m, DATA | 1L << 60);
    faults(m, HIGH + DATA & ~(1L << 60));
  }

  @Test
  void stores_stacks_strings_vectors_and_locked_updates_are_masked() {
    long tag = 0x55L << 56;
    SystemMachine m = machine(3, U48, 0);
    Cpu c = m.cpu;
    c.r[Cpu.RDI] = DATA + 0x100 | tag;
    c.r[Cpu.RAX] = VALUE;
    assertNull(m.fault("48 89 07")); // mov [rdi], rax
    assertEquals(VALUE, m.memory.readLong(DATA + 0x100));
    assertNull(m.fault("f0 48 ff 07")); // lock inc qword [rdi]
    assertEquals(VALUE + 1, m.memory.readLong(DATA + 0x100));
    c.r[Cpu.RDX] = 0;
    assertNull(m.fault("f0 48 0f b1 17")); // lock cmpxchg [rdi], rdx
    assertEquals(VALUE + 1, c.r[Cpu.RAX]);
    c.r[Cpu.RSI] = DATA | tag;
    c.r[Cpu.RCX] = 1;
    assertNull(m.fault("f3 48 a5")); // rep movsq
    assertEquals(VALUE, m.memory.readLong(DATA + 0x100));
    assertEquals(DATA + 0x108 | tag, c.r[Cpu.RDI]);
    c.r[Cpu.RSP] = DATA + 0x200 | tag;
    assertNull(m.fault("57")); // push rdi
    assertEquals(c.r[Cpu.RDI], m.memory.readLong(DATA + 0x1f8));
    assertNull(m.fault("ff 36")); // push qword [rsi]
    assertEquals(DATA + 0x1f0 | tag, c.r[Cpu.RSP]);
    // A page's end is crossed.
    c.r[Cpu.RDI] = SystemMachine.PAGES + 0xffc | tag;
    assertNull(m.fault("48 89 07"));
    assertEquals((int) (c.r[Cpu.RAX] >>> 32), m.memory.readInt(SystemMachine.PAGES + 0x1000));
  }

  @Test
  void a_page_fault_tells_the_address_without_metadata() {
    SystemMachine m = machine(3, U57, 0);
    long absent = SystemMachine.PAGES + 0x3000;
    m.page(absent, 0);
    Fault fault = load(m, absent | 1L << 60);
    assertNotNull(fault);
    assertEquals(Vector.PF, fault.vector());
    assertEquals(absent, fault.payload());
  }

  @Test
  void targets_of_branches_are_not_masked() {
    SystemMachine m = machine(3, U57, 0);
    m.cpu.r[Cpu.RAX] = SystemMachine.CODE | 1L << 60;
    assertEquals(Fault.of(Vector.GP, 0), m.fault("ff e0")); // jmp rax
    m.cpu.r[Cpu.RDI] = DATA | 1L << 60;
    m.memory.writeLong(DATA, SystemMachine.CODE);
    assertNull(m.fault("ff 27")); // jmp [rdi]
    assertEquals(SystemMachine.CODE, m.cpu.rip);
  }

  @Test
  void a_descriptor_of_INVPCID_has_a_plain_address_behind_a_pointer_that_is_masked() {
    SystemMachine m = machine(0, U57, 0);
    m.memory.writeLong(DATA, 0);
    m.memory.writeLong(DATA + 8, DATA);
    m.cpu.r[Cpu.RDI] = DATA | 1L << 60;
    m.cpu.r[Cpu.RAX] = 0;
    assertNull(m.fault("66 0f 38 82 07")); // invpcid rax, [rdi]
    m.memory.writeLong(DATA + 8, DATA | 1L << 60);
    assertEquals(Fault.of(Vector.GP, 0), m.fault("66 0f 38 82 07"));
    assertNull(m.fault("0f 01 3f")); // invlpg [rdi]
  }

  @Test
  void compatibility_mode_has_no_metadata() {
    SystemMachine m = SystemMachine.compatibility(3, MODEL);
    m.cpu.cr3 |= U57;
    m.cpu.updateMode();
    m.memory.writeInt(DATA, 7);
    m.cpu.r[Cpu.RDI] = DATA;
    assertNull(m.fault("8b 07"));
    assertEquals(7, m.cpu.r[Cpu.RAX]);
  }

  @Test
  void control_bits_are_reserved_without_the_feature() {
    for (String model : new String[] {MODEL, MODEL + ",-lam"}) {
      SystemMachine m = SystemMachine.long64(0, model);
      Fault expected = model.equals(MODEL) ? null : Fault.of(Vector.GP, 0);
      for (long bits : new long[] {U48, U57, U48 | U57}) {
        m.cpu.r[Cpu.RAX] = m.cpu.cr3 | bits;
        assertEquals(expected, m.fault("0f 22 d8"), model); // mov cr3, rax
      }
      m.cpu.r[Cpu.RAX] = m.cpu.cr4 | ControlBits.CR4_LAM_SUP;
      assertEquals(expected, m.fault("0f 22 e0"), model); // mov cr4, rax
    }
  }
}
