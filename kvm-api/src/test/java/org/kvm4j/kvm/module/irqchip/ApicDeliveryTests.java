package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.kvm4j.kvm.module.irqchip.ApicPage.*;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Whom a message is for: IPIs and messages of devices, all destination modes. */
class ApicDeliveryTests {
  private static final int LOGICAL = 0x800;
  private static final int LOWEST = 0x100;

  private Rig rig = enabled(4);

  private static Rig enabled(int count) {
    Rig rig = new Rig(count);
    for (int i = 0; i < count; i++) {
      rig.cpu(i).enable();
    }
    return rig;
  }

  /** An IPI from the first processor in xAPIC mode: who got it. */
  private List<Integer> ipi(int command, int destination) {
    rig.cpu(0).write(ICR_HIGH, destination << 24);
    rig.cpu(0).write(ICR, command);
    return takers();
  }

  private List<Integer> wideIpi(long command, int destination) {
    assertTrue(rig.cpu(0).apic.writeMsr(0x830, command | (long) destination << 32));
    return takers();
  }

  private List<Integer> msi(int low, int high, int data) {
    rig.chips.signal(0xfee00000 | low, high, data);
    return takers();
  }

  private List<Integer> takers() {
    List<Integer> list = new ArrayList<>();
    for (int i = 0; i < rig.processors.size(); i++) {
      if (rig.cpu(i).serve() != NONE) {
        list.add(i);
      }
    }
    return list;
  }

  private void flat() {
    for (int i = 0; i < rig.processors.size(); i++) {
      rig.cpu(i).write(LOGICAL_DESTINATION, 1 << i + 24);
    }
  }

  private void clusters() {
    for (int i = 0; i < rig.processors.size(); i++) {
      rig.cpu(i).write(DESTINATION_FORMAT, 0);
      rig.cpu(i).write(LOGICAL_DESTINATION, (i / 2 << 4 | 1 << i % 2) << 24);
    }
  }

  private void widen() {
    rig.processors.forEach(Rig.Processor::widen);
  }

  @Test
  void physicalDestinations() {
    assertEquals(List.of(2), ipi(0x40, 2));
    assertEquals(List.of(0), ipi(0x40, 0));
    assertEquals(List.of(), ipi(0x40, 7));
    assertEquals(List.of(0, 1, 2, 3), ipi(0x40, 0xff));
  }

  @Test
  void physicalDestinationsFollowTheIdRegister() {
    rig.cpu(2).write(ID, 9 << 24);
    assertEquals(List.of(), ipi(0x40, 2));
    assertEquals(List.of(2), ipi(0x40, 9));
  }

  @Test
  void oneIdOfTwoReachesBoth() {
    rig.cpu(2).write(ID, 1 << 24);
    assertEquals(List.of(1, 2), ipi(0x40, 1));
    assertEquals(List.of(), ipi(0x40, 2));
    assertEquals(List.of(1), msi(1 << 12, 0, 0x140), "lowest priority chooses by the vector");
    assertEquals(List.of(2), msi(1 << 12, 0, 0x141));
    rig.cpu(2).write(ID, 2 << 24);
    assertEquals(List.of(1), ipi(0x40, 1));
  }

  @Test
  void shorthands() {
    assertEquals(List.of(0), ipi(0x40 | 1 << 18, 3));
    assertEquals(List.of(0, 1, 2, 3), ipi(0x40 | 2 << 18, 3));
    assertEquals(List.of(1, 2, 3), ipi(0x40 | 3 << 18, 3));
  }

  @Test
  void flatLogicalDestinations() {
    flat();
    assertEquals(List.of(1, 3), ipi(0x40 | LOGICAL, 0x0a));
    assertEquals(List.of(), ipi(0x40 | LOGICAL, 0x10));
    assertEquals(List.of(0, 1, 2, 3), ipi(0x40 | LOGICAL, 0xff));
  }

  @Test
  void logicalIdsOfSeveralBitsAndOfSeveralProcessors() {
    flat();
    rig.cpu(2).write(LOGICAL_DESTINATION, 0x42 << 24);
    assertEquals(List.of(1, 2), ipi(0x40 | LOGICAL, 0x02));
    assertEquals(List.of(2), ipi(0x40 | LOGICAL, 0x40));
    assertEquals(List.of(0, 2), ipi(0x40 | LOGICAL, 0x41));
    assertEquals(List.of(2), ipi(0x41 | LOGICAL | LOWEST, 0x02), "one of the two");
    clusters();
    rig.cpu(1).write(LOGICAL_DESTINATION, 0x13 << 24);
    assertEquals(List.of(1, 3), ipi(0x40 | LOGICAL, 0x12));
    assertEquals(List.of(1, 2), ipi(0x40 | LOGICAL, 0x11));
    assertEquals(List.of(0), ipi(0x40 | LOGICAL, 0x03));
  }

  @Test
  void clusteredLogicalDestinations() {
    clusters();
    assertEquals(List.of(0, 1), ipi(0x40 | LOGICAL, 0x03));
    assertEquals(List.of(3), ipi(0x40 | LOGICAL, 0x12));
    assertEquals(List.of(), ipi(0x40 | LOGICAL, 0x23));
    assertEquals(List.of(0, 1, 2, 3), ipi(0x40 | LOGICAL, 0xff));
  }

  @Test
  void bothLogicalModelsAtOnce() {
    flat();
    rig.cpu(3).write(DESTINATION_FORMAT, 0);
    rig.cpu(3).write(LOGICAL_DESTINATION, 0x12 << 24);
    assertEquals(List.of(1), ipi(0x40 | LOGICAL, 0x02));
    assertEquals(List.of(1, 3), ipi(0x40 | LOGICAL, 0x12));
  }

  @Test
  void lowestPriorityChoosesOneByTheVector() {
    flat();
    assertEquals(List.of(0), ipi(0x40 | LOGICAL | LOWEST, 0x0f));
    assertEquals(List.of(1), ipi(0x41 | LOGICAL | LOWEST, 0x0f));
    assertEquals(List.of(3), ipi(0x43 | LOGICAL | LOWEST, 0x0f));
    assertEquals(List.of(3), ipi(0x41 | LOGICAL | LOWEST, 0x0a));
    assertEquals(List.of(2), ipi(0x42 | LOGICAL | LOWEST, 0xff), "of all that are there");
    rig.cpu(2).write(SPURIOUS, 0xff);
    assertEquals(List.of(3), ipi(0x41 | LOGICAL | LOWEST, 0xff), "of all that are enabled");
  }

  @Test
  void x2apicDestinations() {
    rig = enabled(4);
    rig.add(0x123).enable();
    widen();
    assertEquals(List.of(2), wideIpi(0x40, 2));
    assertEquals(List.of(4), wideIpi(0x40, 0x123));
    assertEquals(List.of(), wideIpi(0x40, 0xff));
    assertEquals(List.of(0, 1, 2, 3, 4), wideIpi(0x40, -1));
    assertEquals(List.of(1, 3), wideIpi(0x40 | LOGICAL, 0x0000000a));
    assertEquals(List.of(4), wideIpi(0x40 | LOGICAL, 0x00120008));
    assertEquals(List.of(), wideIpi(0x40 | LOGICAL, 0x00120001));
    assertEquals(List.of(), wideIpi(0x40 | LOGICAL, 0x00130008));
    assertEquals(List.of(), wideIpi(0x40 | LOGICAL, 0x7fff0001));
    assertEquals(List.of(1, 2, 3, 4), wideIpi(0x40 | 3 << 18, 0));
  }

  @Test
  void xapicAndX2apicAtOnce() {
    flat();
    rig.cpu(2).widen();
    rig.cpu(3).widen();
    assertEquals(List.of(2), ipi(0x40, 2));
    assertEquals(List.of(1), ipi(0x40 | LOGICAL, 0x02));
    assertEquals(List.of(0, 1), ipi(0x40, 0xff), "32-bit IDs have another broadcast");
  }

  @Test
  void messagesOfDevices() {
    flat();
    assertEquals(List.of(2), msi(2 << 12, 0, 0x40));
    assertEquals(List.of(1, 2), msi(6 << 12 | 4, 0, 0x40));
    assertEquals(List.of(1), msi(6 << 12 | 4, 0, 0x140), "lowest priority");
    assertEquals(List.of(1), msi(6 << 12 | 4 | 8, 0, 0x40), "redirection hint");
    assertEquals(List.of(0, 1, 2, 3), msi(0xff << 12, 0, 0x40));
    assertEquals(List.of(0, 1, 2, 3), msi(0xff << 12, 0, 0x140), "no lowest of a broadcast");
  }

  @Test
  void devicesReachX2apicsWith8Bits() {
    widen();
    assertEquals(List.of(2), msi(2 << 12, 0, 0x40));
    assertEquals(List.of(0, 1, 2, 3), msi(0xff << 12, 0, 0x40), "a broadcast");
    rig.chips.setX2apicApi(false, true);
    assertEquals(List.of(), msi(0xff << 12, 0, 0x40), "the ID 255");
  }

  @Test
  void devicesReachX2apicsWith32Bits() {
    rig.add(0x123).enable();
    widen();
    rig.chips.setX2apicApi(true, true);
    assertEquals(List.of(4), msi(0x23 << 12, 0x100, 0x40));
    assertEquals(List.of(0, 1, 2, 3, 4), msi(0xff << 12, 0xffffff00, 0x40));
    assertTrue(rig.chips.isInvalidAddress(1));
    assertEquals(false, rig.chips.isInvalidAddress(0x100));
  }

  @Test
  void otherDeliveryModes() {
    rig.processors.forEach(p -> p.news.clear());
    ipi(0x400 | 0x4000, 1);
    assertEquals(List.of("nmi", "wake"), rig.cpu(1).news);
    ipi(0x500 | 0x4000 | 0x8000, 2);
    assertTrue(rig.cpu(2).apic.takeInit());
    ipi(0x500 | 0x8000, 2);
    assertEquals(false, rig.cpu(2).apic.takeInit());
    ipi(0x600 | 0x99, 2);
    assertEquals(0x99, rig.cpu(2).apic.takeStartup());
    ipi(0x300, 3);
    assertEquals(List.of("unhalt", "wake"), rig.cpu(3).news);
  }

  @Test
  void onesThatAreOffOrGoneAreNotThere() {
    assertTrue(rig.cpu(1).apic.setBase(LocalApic.DEFAULT_BASE, false));
    rig.chips.removeApic(rig.cpu(3).apic);
    assertEquals(List.of(), ipi(0x40, 1));
    assertEquals(List.of(0, 2), ipi(0x40, 0xff));
  }

  @Test
  void howManyTookIt() {
    flat();
    assertEquals(1, rig.chips.signal(0xfee00000 | 2 << 12, 0, 0x40));
    assertEquals(2, rig.chips.signal(0xfee00000 | 6 << 12 | 4, 0, 0x40));
    assertEquals(0, rig.chips.signal(0xfee00000 | 9 << 12, 0, 0x40));
    rig.cpu(2).write(SPURIOUS, 0xff);
    assertEquals(0, rig.chips.signal(0xfee00000 | 2 << 12, 0, 0x40));
    assertEquals(3, rig.chips.signal(0xfee00000 | 0xff << 12, 0, 0x40));
    assertEquals(-1, new Rig(0).chips.signal(0xfee00000 | 0xff << 12, 0, 0x40));
  }
}
