package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.uapi.KvmIoapicState;
import org.kvm4j.kvm.uapi.Uapi;

/** The I/O APIC, with the local APICs that it sends to. */
class IoApicTests {
  private static final long LEVEL = 1 << 15;
  private static final long MASK = 1 << 16;
  private static final long REMOTE_IRR = 1 << 14;

  private final Rig rig = new Rig(2);
  private final Rig.Processor cpu = rig.cpu(0).enable();

  private static long to(int id) {
    return (long) id << 56;
  }

  @Test
  void registersAfterReset() {
    assertEquals(0x170011, rig.readIoApic(1));
    assertEquals(0, rig.readIoApic(0));
    for (int pin = 0; pin < 24; pin++) {
      assertEquals(MASK, rig.redirection(pin));
    }
    assertEquals(-1, rig.readIoApic(0x40), "past the last pin");
    assertEquals(-1, rig.readIoApic(3));
  }

  @Test
  void registersKeepWhatTheyHave() {
    rig.writeIoApic(0, -1);
    assertEquals(0x0f000000, rig.readIoApic(0));
    assertEquals(0x0f000000, rig.readIoApic(2), "arbitration ID");
    rig.writeIoApic(2, 0);
    rig.writeIoApic(1, 0);
    rig.writeIoApic(0x40, 0);
    assertEquals(0x170011, rig.readIoApic(1));
    rig.redirect(5, -1);
    assertEquals(-1L & ~REMOTE_IRR & ~0x1000L, rig.redirection(5), "read-only bits");
  }

  @Test
  void accessesOfOtherSizesAndPlaces() {
    long at = IoApic.DEFAULT_ADDRESS;
    rig.chips.writeMemory(at, 1, 0x1234501);
    assertEquals(1, rig.chips.readMemory(at, 4));
    assertEquals(0x170011, rig.chips.readMemory(at + 0x10, 8));
    assertEquals(0x11, rig.chips.readMemory(at + 0x10, 2));
    assertEquals(0, rig.chips.readMemory(at + 0x20, 4));
    assertTrue(rig.chips.hasMemory(at + 0xfc, 4));
    assertFalse(rig.chips.hasMemory(at + 0xfe, 4));
    assertFalse(rig.chips.hasMemory(at + 0x100, 4));
    assertFalse(rig.chips.hasMemory(at - 1, 4));
  }

  @Test
  void anEdgeInterruptsOnce() {
    rig.redirect(4, 0x44 | to(0));
    assertEquals(1, rig.line(4, true) - 1, "the PIC takes it, too");
    assertEquals(0x44, cpu.serve());
    rig.line(4, true);
    assertEquals(ApicPage.NONE, cpu.serve());
    rig.line(4, false);
    rig.line(4, true);
    assertEquals(0x44, cpu.serve());
  }

  @Test
  void anEdgeUnderTheMaskIsLost() {
    rig.redirect(20, 0x44 | MASK);
    assertEquals(-1, rig.line(20, true));
    rig.redirect(20, 0x44);
    assertEquals(ApicPage.NONE, cpu.serve());
    assertEquals(0, rig.line(20, true), "no new edge: coalesced");
    rig.line(20, false);
    assertEquals(1, rig.line(20, true));
    assertEquals(0x44, cpu.serve());
  }

  @Test
  void aLevelComesAgainAtItsEnd() {
    rig.redirect(20, 0x44 | LEVEL);
    assertEquals(1, rig.line(20, true));
    assertEquals(REMOTE_IRR, rig.redirection(20) & REMOTE_IRR);
    assertEquals(-1, rig.line(20, true), "waits for its end");
    assertEquals(0x44, cpu.apic.acknowledge());
    assertEquals(ApicPage.NONE, cpu.apic.pending());
    cpu.apic.end();
    assertEquals(0x44, cpu.apic.acknowledge(), "still up");
    rig.line(20, false);
    cpu.apic.end();
    assertEquals(0, rig.redirection(20) & REMOTE_IRR);
    assertEquals(ApicPage.NONE, cpu.apic.pending());
  }

  @Test
  void aLevelUnderTheMaskComesWhenItIsUnmasked() {
    rig.redirect(20, 0x44 | LEVEL | MASK);
    assertEquals(-1, rig.line(20, true));
    rig.redirect(20, 0x44 | LEVEL);
    assertEquals(0x44, cpu.apic.acknowledge());
  }

  @Test
  void switchingToEdgeEndsALevel() {
    rig.redirect(20, 0x44 | LEVEL);
    rig.line(20, true);
    rig.redirect(20, 0x44 | MASK);
    assertEquals(0, rig.redirection(20) & REMOTE_IRR);
    rig.redirect(20, 0x44 | LEVEL | MASK);
    rig.redirect(20, 0x44 | LEVEL);
    assertEquals(REMOTE_IRR, rig.redirection(20) & REMOTE_IRR);
  }

  @Test
  void twoSourcesHoldUpOneLevel() {
    rig.redirect(20, 0x44 | LEVEL);
    rig.chips.setLine(InterruptChips.USER, 20, true, false);
    rig.chips.setLine(InterruptChips.RESAMPLED, 20, true, false);
    rig.chips.setLine(InterruptChips.USER, 20, false, false);
    cpu.apic.acknowledge();
    cpu.apic.end();
    assertEquals(0x44, cpu.apic.acknowledge());
    rig.chips.setLine(InterruptChips.RESAMPLED, 20, false, false);
    cpu.apic.end();
    assertEquals(ApicPage.NONE, cpu.apic.pending());
  }

  @Test
  void aStormWaitsSoThatTheGuestGetsOn() {
    rig.redirect(20, 0x44 | LEVEL);
    rig.line(20, true);
    int served = 0;
    while (cpu.serve() != ApicPage.NONE) {
      served++;
    }
    assertEquals(10_000, served);
    rig.pass(10_000_000);
    assertEquals(0x44, cpu.apic.acknowledge());
  }

  @Test
  void acknowledgementsAreHeard() {
    int[] heard = new int[1];
    rig.chips.onAcknowledge(20, () -> heard[0]++);
    rig.redirect(20, 0x44 | LEVEL);
    rig.line(20, true);
    cpu.apic.acknowledge();
    assertEquals(0, heard[0]);
    cpu.apic.end();
    assertEquals(1, heard[0]);
    rig.redirect(20, 0x44);
    rig.line(20, false);
    rig.line(20, true);
    cpu.serve();
    assertEquals(2, heard[0], "of edges, too");
  }

  @Test
  void whoeverLowersTheLevelAtTheEndStopsIt() {
    rig.chips.onAcknowledge(
        20, () -> rig.chips.setLine(InterruptChips.RESAMPLED, 20, false, false));
    rig.redirect(20, 0x44 | LEVEL);
    rig.chips.setLine(InterruptChips.RESAMPLED, 20, true, false);
    assertEquals(0x44, cpu.serve());
    assertEquals(ApicPage.NONE, cpu.apic.pending());
  }

  @Test
  void interruptsOfTheClockAreCoalescedUntilAllHaveEndedThem() {
    rig.cpu(1).enable();
    rig.redirect(8, 0x48 | to(0xff));
    assertEquals(3, rig.pulse(8));
    assertEquals(0, rig.pulse(8));
    cpu.serve();
    assertEquals(0, rig.pulse(8));
    rig.cpu(1).serve();
    assertTrue(rig.pulse(8) > 0);
    cpu.serve();
    rig.chips.removeApic(rig.cpu(1).apic);
    assertTrue(rig.pulse(8) > 0, "one that is gone ends nothing");
  }

  @Test
  void lazyEndsAreForInterruptsThatNobodyWaitsFor() {
    rig.redirect(20, 0x44 | LEVEL);
    rig.redirect(21, 0x45);
    rig.pulse(21);
    assertFalse(cpu.apic.canEndLazily(), "nothing is in service");
    cpu.apic.acknowledge();
    assertTrue(cpu.apic.canEndLazily());
    rig.line(20, true);
    assertFalse(cpu.apic.canEndLazily(), "another is to follow");
    cpu.apic.end();
    cpu.apic.acknowledge();
    assertFalse(cpu.apic.canEndLazily(), "level-triggered");
  }

  @Test
  void theStateGoesOutAndInAgain() {
    rig.redirect(4, 0x44);
    rig.redirect(5, 0x55 | LEVEL | to(1));
    rig.redirect(20, 0x66 | MASK);
    rig.line(4, true);
    rig.line(5, true);
    rig.line(20, true);
    ByteBuffer b = rig.ioApicState();
    assertEquals(IoApic.DEFAULT_ADDRESS, b.getLong(KvmIoapicState.BASE_ADDRESS));
    assertEquals(0x38, b.getInt(KvmIoapicState.IOREGSEL));
    assertEquals(
        1 << 5 | 1 << 20, b.getInt(KvmIoapicState.IRR), "edges that were delivered are over");
    assertEquals(0x44, b.getLong(KvmIoapicState.REDIRTBL + 4 * 8));
    assertEquals(0x55 | LEVEL | to(1), b.getLong(KvmIoapicState.REDIRTBL + 5 * 8));
    Rig other = new Rig(2);
    other.cpu(1).enable();
    other.chips.load(Uapi.KVM_IRQCHIP_IOAPIC, b, 0);
    assertEquals(0x55, other.cpu(1).serve(), "what is up interrupts anew");
    ByteBuffer c = other.ioApicState();
    assertEquals(b.getInt(KvmIoapicState.IRR), c.getInt(KvmIoapicState.IRR));
  }

  @Test
  void aStateThatMovesTheRegistersHidesThem() {
    ByteBuffer b = rig.ioApicState();
    b.putLong(KvmIoapicState.BASE_ADDRESS, 0xfed00000L);
    rig.chips.load(Uapi.KVM_IRQCHIP_IOAPIC, b, 0);
    assertFalse(rig.chips.hasMemory(IoApic.DEFAULT_ADDRESS, 4));
    assertFalse(rig.chips.hasMemory(0xfed00000L, 4));
  }

  @Test
  void anyStateIsTakenWithoutHarm() {
    ByteBuffer b = Rig.buffer(512);
    for (int fill = 0; fill < 256; fill += 15) {
      java.util.Arrays.fill(b.array(), (byte) fill);
      rig.chips.load(Uapi.KVM_IRQCHIP_IOAPIC, b, 0);
      for (int gsi = 0; gsi < 24; gsi++) {
        rig.pulse(gsi);
      }
      for (int i = 0; i < 300; i++) {
        cpu.serve();
      }
      rig.readIoApic(fill);
    }
  }
}
