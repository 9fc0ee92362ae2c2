package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.uapi.KvmIrqRoutingEntry;
import org.kvm4j.kvm.uapi.Uapi;

/** Routes of global system interrupts, and the split chip. */
class RoutingTests {
  private static int[] pin(int gsi, int chip, int pin) {
    return new int[] {gsi, Uapi.KVM_IRQ_ROUTING_IRQCHIP, 0, 0, chip, pin};
  }

  private static int[] msi(int gsi, int addressLow, int data) {
    return new int[] {gsi, Uapi.KVM_IRQ_ROUTING_MSI, 0, 0, addressLow, 0, data};
  }

  private static boolean set(Rig rig, int[]... entries) {
    ByteBuffer b = Rig.buffer(entries.length * KvmIrqRoutingEntry.SIZEOF);
    for (int i = 0; i < entries.length; i++) {
      for (int k = 0; k < entries[i].length; k++) {
        b.putInt(i * KvmIrqRoutingEntry.SIZEOF + k * 4, entries[i][k]);
      }
    }
    return rig.chips.setRoutes(b, entries.length);
  }

  private final Rig rig = new Rig(1).initPics();
  private final Rig.Processor cpu = rig.cpu(0).enable();

  @Test
  void theStandardTable() {
    rig.redirect(3, 0x43);
    rig.redirect(23, 0x57);
    assertEquals(2, rig.pulse(3), "PIC and I/O APIC");
    assertEquals(1, rig.pulse(23));
    assertEquals(-1, rig.pulse(24));
    assertEquals(-1, rig.pulse(-1));
    assertEquals(-1, rig.pulse(9999));
  }

  @Test
  void aNewTableReplacesTheOld() {
    rig.redirect(7, 0x47);
    assertTrue(set(rig, pin(100, 2, 7), pin(100, 1, 3), msi(101, 0xfee00000, 0x61)));
    assertEquals(-1, rig.pulse(7));
    assertEquals(2, rig.pulse(100));
    assertEquals(0x47, cpu.serve());
    assertEquals(0x2b, rig.chips.acknowledgePic());
    assertEquals(1, rig.pulse(101));
    assertEquals(0x61, cpu.serve());
    assertEquals(-1, rig.chips.setLine(0, 101, false, false), "a message has no low level");
    assertTrue(set(rig));
    assertEquals(-1, rig.pulse(100));
  }

  @Test
  void tablesThatCannotBeAreRefusedAndChangeNothing() {
    rig.redirect(3, 0x43);
    assertFalse(set(rig, pin(4096, 2, 0)), "GSI");
    assertFalse(set(rig, pin(-1, 2, 0)));
    assertFalse(set(rig, pin(0, 3, 0)), "chip");
    assertFalse(set(rig, pin(0, -1, 0)));
    assertFalse(set(rig, pin(0, 2, 24)), "pin");
    assertFalse(set(rig, pin(0, 0, 8)));
    assertFalse(set(rig, pin(0, 1, -1)));
    assertFalse(set(rig, pin(0, 2, 1), pin(0, 2, 2)), "twice to one chip");
    assertFalse(set(rig, pin(0, 2, 1), msi(0, 0, 0)), "pin and message");
    assertFalse(set(rig, msi(0, 0, 0), msi(0, 0, 0)));
    assertFalse(set(rig, new int[] {0, 3, 0, 0}), "type");
    assertFalse(set(rig, new int[] {0, 4, 0, 0}));
    assertFalse(set(rig, new int[] {0, 1, 1, 0, 2, 0}), "flags");
    assertFalse(set(rig, new int[] {0, 2, 2, 0}));
    assertTrue(rig.pulse(3) > 0);
    assertTrue(set(rig, new int[] {0, 2, Uapi.KVM_MSI_VALID_DEVID, 7}));
  }

  @Test
  void aSplitChipHasMessagesAlone() {
    Rig split = new Rig(1, true, 24);
    assertFalse(split.chips.hasPorts(0x20, 1));
    assertFalse(split.chips.hasMemory(IoApic.DEFAULT_ADDRESS, 4));
    assertEquals(-1, split.pulse(3));
    assertFalse(set(split, pin(3, 2, 3)));
    assertTrue(set(split, msi(3, 0xfee00000, 0x8041), msi(30, 0xfee00000, 0x8042)));
    Rig.Processor p = split.cpu(0).enable();
    p.news.clear();
    split.pulse(3);
    split.pulse(30);
    assertEquals(0x42, p.serve());
    assertEquals(0x41, p.serve());
    assertEquals(
        List.of("wake", "wake", "end 65"),
        p.news,
        "ends of reserved GSIs' levels go to user space");
  }

  @Test
  void userSpaceHearsOfTheEndOfALevelWhoseDestinationWasChangedMeanwhile() {
    Rig split = new Rig(2, true, 24);
    Rig.Processor first = split.cpu(0).enable();
    Rig.Processor second = split.cpu(1).enable();
    assertTrue(set(split, msi(3, 0xfee00000, 0x8041), msi(4, 0xfee00000, 0x8042)));
    split.pulse(3);
    assertEquals(0x41, first.apic.acknowledge(), "in service");
    split.pulse(4);
    assertTrue(set(split, msi(3, 0xfee01000, 0x8041), msi(4, 0xfee01000, 0x8042)));
    first.news.clear();
    second.news.clear();
    first.apic.end();
    assertEquals(0x42, first.serve(), "was requested already");
    assertEquals(List.of("end 65", "end 66"), first.news);
    split.pulse(3);
    assertEquals(0x41, second.serve());
    assertEquals(List.of("wake", "end 65"), second.news);
    // An edge of the same vector, which nobody waits for.
    split.chips.signal(0xfee00000, 0, 0x41);
    first.news.clear();
    assertEquals(0x41, first.serve());
    assertEquals(List.of(), first.news);
  }

  @Test
  void aSplitChipsLocalApicsCanSuppressEndsOfInterrupts() {
    Rig.Processor p = new Rig(1, true, 24).cpu(0);
    assertEquals(0x1050014, p.read(ApicPage.VERSION));
    p.write(ApicPage.SPURIOUS, -1);
    assertEquals(0x13ff, p.read(ApicPage.SPURIOUS));
  }
}
