package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.uapi.KvmPicState;
import org.kvm4j.kvm.uapi.Uapi;

/** The pair of 8259A. */
class PicTests {
  private final Rig rig = new Rig(1).initPics();

  private int acknowledge() {
    assertTrue(rig.chips.picOutput());
    return rig.chips.acknowledgePic();
  }

  @Test
  void anEdgeGivesItsVectorOnce() {
    assertEquals(1, rig.line(3, true));
    assertEquals(0x23, acknowledge());
    assertFalse(rig.chips.picOutput());
    rig.out(0x20, 0x20);
    assertFalse(rig.chips.picOutput(), "still up, but no new edge");
    rig.line(3, false);
    rig.line(3, true);
    assertEquals(0x23, acknowledge());
  }

  @Test
  void theProcessorIsToldWhenTheOutputRises() {
    rig.cpu(0).news.clear();
    rig.pulse(3);
    rig.pulse(4);
    assertEquals(java.util.List.of("wake"), rig.cpu(0).news);
  }

  @Test
  void aLevelComesAgainUntilItIsDown() {
    rig.out(0x4d0, 0xff);
    assertEquals(0xf8, rig.in(0x4d0), "pins 0 to 2 stay edge-triggered");
    rig.line(5, true);
    assertEquals(0x25, acknowledge());
    rig.out(0x20, 0x20);
    assertEquals(0x25, acknowledge());
    rig.line(5, false);
    rig.out(0x20, 0x20);
    assertFalse(rig.chips.picOutput());
    rig.out(0x4d1, 0xff);
    assertEquals(0xde, rig.in(0x4d1), "pins 8 and 13 stay edge-triggered");
  }

  @Test
  void theSlaveIsOnPin2() {
    rig.pulse(12);
    assertEquals(0x2c, acknowledge());
    rig.out(0x20, 0x0b);
    assertEquals(4, rig.in(0x20), "ISR of the master");
    rig.out(0xa0, 0x0b);
    assertEquals(0x10, rig.in(0xa0), "ISR of the slave");
    rig.out(0xa0, 0x20);
    rig.out(0x20, 0x20);
    assertEquals(0, rig.in(0x20));
    assertEquals(0, rig.in(0xa0));
  }

  @Test
  void lowerPrioritiesWaitForTheEnd() {
    rig.pulse(4);
    assertEquals(0x24, acknowledge());
    rig.pulse(5);
    assertFalse(rig.chips.picOutput());
    rig.pulse(1);
    assertEquals(0x21, acknowledge());
    rig.out(0x20, 0x20);
    assertFalse(rig.chips.picOutput(), "4 is still in service");
    rig.out(0x20, 0x64);
    assertEquals(0x25, acknowledge());
  }

  @Test
  void maskedPinsAreRemembered() {
    rig.out(0x21, 0x08);
    assertEquals(-1, rig.pulse(3));
    assertFalse(rig.chips.picOutput());
    assertEquals(8, rig.in(0x20), "IRR");
    rig.out(0x21, 0);
    assertEquals(0x23, acknowledge());
  }

  @Test
  void aSecondEdgeBeforeTheFirstIsTakenIsCoalesced() {
    assertEquals(1, rig.pulse(6));
    assertEquals(0, rig.pulse(6));
  }

  @Test
  void rotationMakesTheServedOneLast() {
    rig.pulse(0);
    rig.pulse(1);
    assertEquals(0x20, acknowledge());
    rig.out(0x20, 0xa0); // rotate on non-specific EOI
    rig.pulse(0);
    assertEquals(0x21, acknowledge());
    rig.out(0x20, 0x20);
    assertEquals(0x20, acknowledge());
    rig.out(0x20, 0x20);
    rig.out(0x20, 0xc3); // set priority: 3 is lowest, 4 highest
    rig.pulse(1);
    rig.pulse(4);
    assertEquals(0x24, acknowledge());
    rig.out(0x20, 0xe4); // rotate on specific EOI
    assertEquals(0x21, acknowledge());
  }

  @Test
  void automaticEndsLeaveNothingInService() {
    rig.out(0x20, 0x11);
    rig.out(0x21, 0x40, 4, 3);
    rig.out(0x20, 0x80); // rotate in automatic EOI mode
    rig.pulse(1);
    assertEquals(0x41, acknowledge());
    rig.out(0x20, 0x0b);
    assertEquals(0, rig.in(0x20));
    rig.pulse(1);
    rig.pulse(3);
    assertEquals(0x43, acknowledge(), "1 is the lowest now");
  }

  @Test
  void specialFullyNestedModeLetsTheSlaveInterruptItself() {
    rig.out(0x20, 0x11);
    rig.out(0x21, 0x20, 4, 0x11);
    rig.pulse(12);
    assertEquals(0x2c, acknowledge());
    rig.pulse(9);
    assertEquals(0x29, acknowledge());
  }

  @Test
  void aPollTakesTheInterrupt() {
    rig.pulse(3);
    rig.out(0x20, 0x0c);
    assertEquals(3, rig.in(0x20));
    assertFalse(rig.chips.picOutput());
    rig.out(0x20, 0x0c);
    assertEquals(7, rig.in(0x20), "nothing to poll");
    rig.pulse(10);
    rig.out(0xa0, 0x0c);
    assertEquals(2, rig.in(0xa0));
    assertFalse(rig.chips.picOutput());
  }

  @Test
  void aRequestThatWentAwayIsSpurious() {
    rig.out(0x4d0, 0x08);
    rig.line(3, true);
    assertTrue(rig.chips.picOutput());
    rig.line(3, false);
    assertFalse(rig.chips.picOutput());
    assertEquals(0x27, rig.chips.acknowledgePic());
    rig.out(0x20, 0x0b);
    assertEquals(0, rig.in(0x20), "nothing is in service");
  }

  @Test
  void twoSourcesHoldUpOneLevel() {
    rig.out(0x4d0, 0x20);
    rig.chips.setLine(InterruptChips.USER, 5, true, false);
    rig.chips.setLine(InterruptChips.RESAMPLED, 5, true, false);
    rig.chips.setLine(InterruptChips.USER, 5, false, false);
    assertTrue(rig.chips.picOutput());
    rig.chips.setLine(InterruptChips.RESAMPLED, 5, false, false);
    assertFalse(rig.chips.picOutput());
  }

  @Test
  void initializationForgetsEdgesAndMasks() {
    rig.pulse(3);
    rig.out(0x21, 0xff);
    rig.out(0x20, 0x11);
    assertEquals(0, rig.in(0x20), "IRR");
    rig.out(0x21, 0x30, 4, 1);
    assertEquals(0, rig.in(0x21), "IMR");
  }

  @Test
  void whoIsWaitingForEdgesHearsThatInitializationDroppedThem() {
    int[] heard = new int[1];
    Runnable stop = rig.chips.onAcknowledge(3, () -> heard[0]++);
    rig.pulse(3);
    rig.out(0x20, 0x11);
    assertEquals(1, heard[0]);
    rig.out(0x21, 0x20, 4, 1);
    rig.pulse(3);
    acknowledge();
    assertEquals(1, heard[0]);
    rig.out(0x20, 0x20);
    assertEquals(2, heard[0]);
    stop.run();
    rig.pulse(3);
    acknowledge();
    rig.out(0x20, 0x20);
    assertEquals(2, heard[0]);
  }

  @Test
  void onlyBytesCount() {
    rig.chips.writePort(0x20, 2, 0x11);
    rig.pulse(3);
    assertEquals(8, rig.in(0x20));
    assertEquals(0, rig.chips.readPort(0x20, 2));
    assertTrue(rig.chips.hasPorts(0x20, 2));
    assertFalse(rig.chips.hasPorts(0x21, 2), "half of it is somebody else's");
    assertFalse(rig.chips.hasPorts(0x22, 1));
  }

  @Test
  void theStateGoesOutAndInAgain() {
    rig.out(0x4d0, 0x20);
    rig.out(0x20, 0xc2, 0x0b, 0x68, 0x80);
    rig.out(0x21, 0x41);
    rig.pulse(3);
    rig.pulse(6);
    acknowledge();
    ByteBuffer b = rig.state(Uapi.KVM_IRQCHIP_PIC_MASTER);
    assertEquals(0x40, b.get(KvmPicState.IRR));
    assertEquals(0x08, b.get(KvmPicState.ISR));
    assertEquals(0x41, b.get(KvmPicState.IMR));
    assertEquals(3, b.get(KvmPicState.PRIORITY_ADD));
    assertEquals(0x20, b.get(KvmPicState.IRQ_BASE));
    assertEquals(1, b.get(KvmPicState.READ_REG_SELECT));
    assertEquals(1, b.get(KvmPicState.SPECIAL_MASK));
    assertEquals(1, b.get(KvmPicState.ROTATE_ON_AUTO_EOI));
    assertEquals(1, b.get(KvmPicState.INIT4));
    assertEquals(0x20, b.get(KvmPicState.ELCR));
    assertEquals((byte) 0xf8, b.get(KvmPicState.ELCR_MASK));
    Rig other = new Rig(1);
    other.chips.load(Uapi.KVM_IRQCHIP_PIC_MASTER, b, 0);
    assertArrayEquals(b.array(), other.state(Uapi.KVM_IRQCHIP_PIC_MASTER).array());
  }

  @Test
  void anyStateIsTakenWithoutHarm() {
    ByteBuffer b = Rig.buffer(512);
    for (int fill = 0; fill < 256; fill += 17) {
      Arrays.fill(b.array(), (byte) fill);
      rig.chips.load(Uapi.KVM_IRQCHIP_PIC_MASTER, b, 0);
      rig.chips.load(Uapi.KVM_IRQCHIP_PIC_SLAVE, b, 0);
      for (int gsi = 0; gsi < 16; gsi++) {
        rig.pulse(gsi);
      }
      rig.chips.acknowledgePic();
      rig.out(0x20, 0x20, 0x0c, 0xa0, 0xff);
      rig.in(0x20);
      rig.out(0x21, 0, 1, 2, 3);
    }
  }
}
