package org.kvm4j.cpu.semantics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.testing.SystemMachine;
import org.kvm4j.cpu.testing.SystemMachine.Fault;

/** Random pointers under random control bits, against the SDM's words taken bit by bit. */
final class LinearAddressMaskingProperties {
  private static boolean bit(long value, int number) {
    return (value >>> number & 1) == 1;
  }

  /** The address that a pointer stands for; null if it is not canonical. */
  private static @Nullable Long reference(
      long pointer, boolean u48, boolean u57, boolean supervisor, boolean la57) {
    int firstOfMetadata = 63;
    if (bit(pointer, 63)) {
      if (supervisor) {
        firstOfMetadata = la57 ? 57 : 48;
      }
    } else if (u57) {
      firstOfMetadata = 57;
    } else if (u48) {
      firstOfMetadata = 48;
    }
    long address = pointer;
    for (int i = firstOfMetadata; i < 63; i++) {
      boolean copied = bit(pointer, firstOfMetadata - 1);
      address = copied ? address | 1L << i : address & ~(1L << i);
    }
    for (int i = la57 ? 57 : 48; i < 64; i++) {
      if (bit(address, i) != bit(address, la57 ? 56 : 47)) {
        return null;
      }
    }
    return address;
  }

  @Property(tries = 2000)
  void a_pointer_faults_or_stands_for_the_address_that_its_bits_say(@ForAll long seed) {
    Random random = new Random(seed);
    SystemMachine m = SystemMachine.long64(random.nextBoolean() ? 0 : 3, "sierra-forest,+apic");
    boolean u48 = random.nextBoolean();
    boolean u57 = random.nextBoolean();
    boolean supervisor = random.nextBoolean();
    boolean la57 = random.nextBoolean();
    if (la57) {
      // One more level above the tables that there are.
      long top = 0x28000;
      m.memory.writeLong(top, m.cpu.cr3 | 7);
      m.cpu.cr3 = top;
    }
    m.cpu.cr3 |= (u48 ? ControlBits.CR3_LAM_U48 : 0) | (u57 ? ControlBits.CR3_LAM_U57 : 0);
    m.cpu.cr4 |= (supervisor ? ControlBits.CR4_LAM_SUP : 0) | (la57 ? ControlBits.CR4_LA57 : 0);
    m.cpu.updateMode();
    for (int k = 0; k < 8; k++) {
      // A small address in either half, with some of its upper bits turned over.
      long pointer = random.nextInt(0x400000) & ~7L;
      if (random.nextBoolean()) {
        pointer -= 0x8000_0000L;
      }
      for (int n = random.nextInt(4); n > 0; n--) {
        pointer ^= 1L << 45 + random.nextInt(19);
      }
      if (random.nextBoolean()) {
        pointer ^= (random.nextLong() & 0x7fff) << 48;
      }
      m.cpu.r[Cpu.RDI] = pointer;
      m.cpu.r[Cpu.RAX] = 0; // so that nothing in memory changes
      Fault fault = m.fault(random.nextBoolean() ? "48 8b 07" : "48 01 07");
      Long address = reference(pointer, u48, u57, supervisor, la57);
      if (address == null) {
        assertEquals(Fault.of(Vector.GP, 0), fault, () -> Long.toHexString(m.cpu.r[Cpu.RDI]));
      } else if (address < 0 || address >= 0x400000) {
        assertNotNull(fault);
        assertEquals(Vector.PF, fault.vector());
        assertEquals(address, fault.payload());
      } else {
        assertNull(fault);
      }
    }
  }
}
