package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.kvm4j.kvm.module.irqchip.ApicPage.*;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

/** The timer of the local APIC: modes, divisors, counts, state. */
class ApicTimerTests {
  private static final int PERIODIC = 1 << 17;
  private static final int DEADLINE = 2 << 17;

  private final Rig rig = new Rig(1);
  private final Rig.Processor cpu = rig.cpu(0).enable();

  private void start(int mode, int divide, int count) {
    cpu.write(LVT_TIMER, 0x30 | mode);
    cpu.write(DIVIDE_CONFIGURATION, divide);
    cpu.write(INITIAL_COUNT, count);
  }

  @Test
  void divisorsOfTheBusClock() {
    int[] divisors = {2, 4, 8, 16, -1, -1, -1, -1, 32, 64, 128, 1};
    for (int bits = 0; bits < divisors.length; bits++) {
      if (divisors[bits] > 0) {
        start(0, bits, 1000);
        rig.pass(100L * divisors[bits]);
        assertEquals(900, cpu.read(CURRENT_COUNT), "divide configuration " + bits);
      }
    }
  }

  @Test
  void oneShotInterruptsOnceExactlyAtItsTime() {
    start(0, 0xb, 1000);
    assertEquals(rig.now + 1000, rig.timers.next());
    rig.pass(999);
    assertEquals(NONE, cpu.serve());
    assertEquals(1, cpu.read(CURRENT_COUNT));
    rig.pass(1);
    assertEquals(0x30, cpu.serve());
    assertEquals(0, cpu.read(CURRENT_COUNT));
    rig.pass(1_000_000);
    assertEquals(NONE, cpu.serve());
    assertEquals(TimerQueue.NEVER, rig.timers.next());
  }

  @Test
  void aCountOf0StopsIt() {
    start(0, 0xb, 1000);
    cpu.write(INITIAL_COUNT, 0);
    assertEquals(TimerQueue.NEVER, rig.timers.next());
    assertEquals(0, cpu.read(CURRENT_COUNT));
  }

  @Test
  void periodicInterruptsAgainAndAgain() {
    start(PERIODIC, 0xb, 1_000_000);
    for (int i = 0; i < 3; i++) {
      rig.pass(999_999);
      assertEquals(NONE, cpu.serve());
      rig.pass(1);
      assertEquals(0x30, cpu.serve());
    }
    rig.pass(300_000);
    assertEquals(700_000, cpu.read(CURRENT_COUNT));
  }

  @Test
  void periodsThatWereMissedAreNotMadeUpFor() {
    start(PERIODIC, 0xb, 1_000_000);
    rig.pass(10_500_000);
    assertEquals(0x30, cpu.serve());
    assertEquals(NONE, cpu.serve());
    assertEquals(rig.now + 1_000_000, rig.timers.next());
  }

  @Test
  void shortPeriodsAreMadeLonger() {
    start(PERIODIC, 0xb, 10);
    assertEquals(rig.now + 200_000, rig.timers.next());
    rig.pass(200_000);
    assertEquals(rig.now + 200_000, rig.timers.next());
  }

  @Test
  void aMaskedTimerCountsInSilence() {
    start(0, 0xb, 1000);
    cpu.write(LVT_TIMER, 0x10030);
    rig.pass(500);
    assertEquals(500, cpu.read(CURRENT_COUNT));
    rig.pass(500);
    cpu.write(LVT_TIMER, 0x30);
    assertEquals(NONE, cpu.serve());
  }

  @Test
  void anotherDivisorStretchesWhatIsLeft() {
    start(0, 0xb, 1000);
    rig.pass(400);
    cpu.write(DIVIDE_CONFIGURATION, 1);
    assertEquals(600, cpu.read(CURRENT_COUNT));
    assertEquals(rig.now + 2400, rig.timers.next());
    rig.pass(2400);
    cpu.serve();
    cpu.write(DIVIDE_CONFIGURATION, 0xb);
    assertEquals(TimerQueue.NEVER, rig.timers.next(), "what has ended does not start again");
  }

  @Test
  void fromOneShotToPeriodicTheCountGoesOn() {
    start(0, 0xb, 1_000_000);
    rig.pass(400_000);
    cpu.write(LVT_TIMER, 0x30 | PERIODIC);
    assertEquals(600_000, cpu.read(CURRENT_COUNT));
    rig.pass(600_000);
    assertEquals(0x30, cpu.serve());
    assertEquals(rig.now + 1_000_000, rig.timers.next());
  }

  @Test
  void deadlinesOfTheTimeStampCounter() {
    cpu.tscOffset = 5000;
    cpu.write(LVT_TIMER, 0x30 | DEADLINE);
    cpu.apic.setTscDeadline(rig.now + 5000 + 300);
    assertEquals(rig.now + 5000 + 300, cpu.apic.tscDeadline());
    cpu.write(INITIAL_COUNT, 100);
    assertEquals(0, cpu.read(INITIAL_COUNT), "not in this mode");
    assertEquals(0, cpu.read(CURRENT_COUNT));
    rig.pass(299);
    assertEquals(NONE, cpu.serve());
    rig.pass(1);
    assertEquals(0x30, cpu.serve());
    assertEquals(0, cpu.apic.tscDeadline());
    cpu.apic.setTscDeadline(1);
    assertEquals(0, cpu.apic.tscDeadline());
    assertEquals(0x30, cpu.serve(), "in the past: at once, before the next instruction");
    assertEquals(TimerQueue.NEVER, rig.timers.next());
    cpu.apic.setTscDeadline(-1);
    assertEquals(TimerQueue.NEVER - 1, rig.timers.next());
    cpu.apic.setTscDeadline(0);
    assertEquals(TimerQueue.NEVER, rig.timers.next());
  }

  @Test
  void aDeadlineMovesWithTheCounter() {
    cpu.write(LVT_TIMER, 0x30 | DEADLINE);
    cpu.apic.setTscDeadline(rig.now + 1000);
    cpu.tscOffset = 400;
    cpu.apic.tscChanged();
    assertEquals(rig.now + 600, rig.timers.next());
  }

  @Test
  void leavingOrEnteringDeadlineModeStopsTheTimer() {
    cpu.apic.setTscDeadline(rig.now + 1000);
    assertEquals(0, cpu.apic.tscDeadline(), "not in this mode");
    start(0, 0xb, 1000);
    cpu.write(LVT_TIMER, 0x30 | DEADLINE);
    assertEquals(TimerQueue.NEVER, rig.timers.next());
    assertEquals(0, cpu.read(INITIAL_COUNT));
    cpu.apic.setTscDeadline(rig.now + 1000);
    cpu.write(LVT_TIMER, 0x30);
    assertEquals(TimerQueue.NEVER, rig.timers.next());
    cpu.write(LVT_TIMER, 0x30 | DEADLINE);
    assertEquals(0, cpu.apic.tscDeadline());
  }

  @Test
  void theStateCarriesTheRunningCount() {
    start(PERIODIC, 0xb, 1_000_000);
    rig.pass(400_000);
    ByteBuffer b = Rig.buffer(SIZE);
    cpu.apic.save(b, 0);
    assertEquals(600_000, b.getInt(CURRENT_COUNT));
    Rig other = new Rig(1);
    other.cpu(0).apic.load(b, 0);
    assertEquals(other.now + 600_000, other.timers.next());
    other.pass(600_000);
    assertEquals(0x30, other.cpu(0).serve());
    assertEquals(other.now + 1_000_000, other.timers.next());
    b.putInt(CURRENT_COUNT, 2_000_000);
    other.cpu(0).apic.load(b, 0);
    assertEquals(other.now + 1_000_000, other.timers.next(), "no more than the initial count");
  }

  @Test
  void resetStopsIt() {
    start(PERIODIC, 0xb, 1_000_000);
    cpu.apic.reset(true, true, true);
    assertEquals(TimerQueue.NEVER, rig.timers.next());
    assertEquals(0, cpu.read(INITIAL_COUNT));
  }
}
