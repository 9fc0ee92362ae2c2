package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.uapi.KvmPitChannelState;
import org.kvm4j.kvm.uapi.KvmPitState2;
import org.kvm4j.kvm.uapi.Uapi;

/** The 8254 and the speaker's port. */
class PitTests {
  /** 1,193,182 ticks. */
  private static final long SECOND = 1_000_000_000;

  private final Rig rig = new Rig(1).initPics();

  PitTests() {
    assertTrue(rig.chips.createPit(true));
  }

  /** Lets at least this many ticks pass, and less than one more. */
  private void ticks(long n) {
    rig.pass((n * SECOND + 1_193_181) / 1_193_182);
  }

  private void load(int counter, int mode, int count) {
    rig.out(0x43, counter << 6 | 0x30 | mode << 1);
    rig.out(0x40 + counter, count & 0xff, count >> 8);
  }

  private int count(int counter) {
    rig.out(0x43, counter << 6);
    return rig.in(0x40 + counter) | rig.in(0x40 + counter) << 8;
  }

  private boolean interrupted() {
    if (!rig.chips.picOutput()) {
      return false;
    }
    assertEquals(0x20, rig.chips.acknowledgePic());
    return true;
  }

  private void end() {
    rig.out(0x20, 0x20);
  }

  @Test
  void thereIsOne() {
    assertFalse(rig.chips.createPit(false));
    Rig silent = new Rig(1);
    assertFalse(silent.chips.hasPorts(0x40, 1));
    silent.chips.createPit(false);
    assertTrue(silent.chips.hasPorts(0x43, 1));
    assertFalse(silent.chips.hasPorts(0x61, 1), "the speaker is user space's");
    assertTrue(rig.chips.hasPorts(0x61, 1));
    assertFalse(rig.chips.hasPorts(0x62, 1));
    assertFalse(rig.chips.hasPorts(0x44, 1));
  }

  @Test
  void rateGeneratorInterruptsPeriodically() {
    load(0, 2, 11932);
    for (int i = 0; i < 3; i++) {
      rig.pass(9_999_000);
      assertFalse(interrupted());
      rig.pass(10_000);
      assertTrue(interrupted());
      end();
      rig.now -= 9_000;
    }
  }

  @Test
  void terminalCountInterruptsOnce() {
    load(0, 0, 1000);
    ticks(999);
    assertFalse(interrupted());
    ticks(2);
    assertTrue(interrupted());
    end();
    rig.pass(SECOND);
    assertFalse(interrupted());
  }

  @Test
  void countsGoDownAsTheirModesSay() {
    load(2, 0, 1000);
    rig.out(0x61, 1);
    ticks(100);
    assertEquals(900, count(2));
    ticks(1000);
    assertEquals(0x10000 - 100, count(2), "wraps");
    load(2, 2, 1000);
    ticks(100);
    assertEquals(900, count(2));
    ticks(1000);
    assertEquals(900, count(2), "starts again");
    load(2, 3, 1000);
    ticks(100);
    assertEquals(800, count(2), "two at a time");
    load(2, 6, 1000);
    ticks(100);
    assertEquals(900, count(2), "modes 6 and 7 are 2 and 3");
    load(2, 2, 0);
    ticks(1);
    assertEquals(0xffff, count(2), "0 is 65,536");
  }

  @Test
  void theOutputOfCounter2IsAtTheSpeakersPort() {
    rig.out(0x61, 1);
    load(2, 0, 1000);
    assertEquals(1, rig.in(0x61) & 0x2f);
    ticks(1000);
    assertEquals(0x21, rig.in(0x61) & 0x2f);
    load(2, 3, 1000);
    assertEquals(0x21, rig.in(0x61) & 0x2f, "high in the first half");
    ticks(500);
    assertEquals(1, rig.in(0x61) & 0x2f);
    rig.out(0x61, 2);
    assertEquals(2, rig.in(0x61) & 0x0f);
    load(2, 1, 1000);
    assertEquals(0x20, rig.in(0x61) & 0x20);
    ticks(1000);
    assertEquals(0, rig.in(0x61) & 0x20);
    rig.out(0x61, 1);
    assertEquals(0x20, rig.in(0x61) & 0x20, "the gate starts it again");
  }

  @Test
  void theRefreshToggles() {
    int before = rig.in(0x61) & 0x10;
    rig.pass(1 << 14);
    assertEquals(before ^ 0x10, rig.in(0x61) & 0x10);
  }

  @Test
  void bytesOfCountsOneOrBoth() {
    rig.out(0x43, 0x90 | 4); // low byte
    rig.out(0x42, 0x12);
    assertEquals(0x12, rig.in(0x42));
    rig.out(0x43, 0xa0 | 4); // high byte
    rig.out(0x42, 0x12);
    assertEquals(0x12, rig.in(0x42));
    load(2, 2, 0x1234);
    assertEquals(0x34, rig.in(0x42));
    assertEquals(0x12, rig.in(0x42));
    assertEquals(0x34, rig.in(0x42));
  }

  @Test
  void latchesHoldUntilTheyAreRead() {
    load(2, 2, 1000);
    ticks(100);
    rig.out(0x43, 0x80);
    ticks(100);
    rig.out(0x43, 0x80);
    assertEquals(900 & 0xff, rig.in(0x42));
    assertEquals(900 >> 8, rig.in(0x42));
    assertEquals(800, count(2));
  }

  @Test
  void readBackLatchesStatusAndCount() {
    load(2, 3, 1000);
    rig.out(0x43, 0xc8); // status and count of counter 2
    assertEquals(0xb6, rig.in(0x42), "output, both bytes, mode 3");
    assertEquals(1000 & 0xff, rig.in(0x42));
    assertEquals(1000 >> 8, rig.in(0x42));
    load(1, 2, 18);
    rig.out(0x43, 0xe4); // status of counter 1
    assertEquals(0x34, rig.in(0x41));
  }

  @Test
  void missedInterruptsAreGivenLater() {
    load(0, 2, 11932);
    rig.pass(35_000_000);
    assertTrue(interrupted());
    assertFalse(rig.chips.picOutput());
    end();
    assertTrue(interrupted());
    end();
    assertTrue(interrupted());
    end();
    assertFalse(rig.chips.picOutput());
  }

  @Test
  void missedInterruptsAreForgottenIfUserSpaceSaysSo() {
    rig.chips.setReinject(false);
    load(0, 2, 11932);
    rig.pass(35_000_000);
    assertTrue(interrupted());
    end();
    assertFalse(rig.chips.picOutput());
  }

  @Test
  void unmaskingForgetsWhatWasMissed() {
    rig.out(0x21, 1);
    load(0, 2, 11932);
    rig.pass(35_000_000);
    rig.out(0x21, 0);
    assertTrue(interrupted(), "the edge that is kept");
    end();
    assertFalse(rig.chips.picOutput());
  }

  @Test
  void itIsAnNmiWatchdogThroughLint0() {
    rig.cpu(0).enable().write(ApicPage.LVT_LINT0, 0x400);
    rig.cpu(0).news.clear();
    load(0, 2, 11932);
    rig.pass(10_001_000);
    assertTrue(rig.cpu(0).news.contains("nmi"));
  }

  @Test
  void theStateGoesOutAndInAgain() {
    load(0, 2, 11932);
    load(2, 3, 1000);
    rig.out(0x61, 3);
    rig.out(0x43, 0x80);
    ByteBuffer b = Rig.buffer(KvmPitState2.SIZEOF);
    assertEquals(Uapi.KVM_PIT_FLAGS_SPEAKER_DATA_ON, rig.chips.savePit(b, 0));
    assertEquals(11932, b.getInt(KvmPitChannelState.COUNT));
    assertEquals(2, b.get(KvmPitChannelState.MODE));
    int third = 2 * KvmPitChannelState.SIZEOF;
    assertEquals(1000, b.getShort(third + KvmPitChannelState.LATCHED_COUNT));
    assertEquals(3, b.get(third + KvmPitChannelState.COUNT_LATCHED));
    assertEquals(3, b.get(third + KvmPitChannelState.RW_MODE));
    assertEquals(1, b.get(third + KvmPitChannelState.GATE));
    Rig other = new Rig(1).initPics();
    other.chips.createPit(true);
    other.chips.loadPit(b, 0, 0);
    other.pass(10_001_000);
    assertTrue(other.chips.picOutput());
    assertEquals(1000 & 0xff, other.in(0x42), "the latched count");
    ByteBuffer c = Rig.buffer(KvmPitState2.SIZEOF);
    assertEquals(0, other.chips.savePit(c, 0));
    other.chips.loadPit(b, 0, null);
  }

  @Test
  void theHpetTakesCounter0sPlace() {
    load(0, 2, 11932);
    ByteBuffer b = Rig.buffer(KvmPitState2.SIZEOF);
    rig.chips.savePit(b, 0);
    rig.chips.loadPit(b, 0, Uapi.KVM_PIT_FLAGS_HPET_LEGACY);
    assertEquals(TimerQueue.NEVER, rig.timers.next());
    load(0, 2, 100);
    assertEquals(TimerQueue.NEVER, rig.timers.next());
    rig.chips.loadPit(b, 0, 0);
    rig.pass(10_001_000);
    assertTrue(rig.chips.picOutput());
  }

  @Test
  void anyStateIsTakenWithoutHarm() {
    ByteBuffer b = Rig.buffer(KvmPitState2.SIZEOF);
    for (int fill = 0; fill < 256; fill += 5) {
      Arrays.fill(b.array(), (byte) fill);
      rig.chips.loadPit(b, 0, fill);
      for (int port = 0x40; port < 0x43; port++) {
        rig.in(port);
      }
      rig.out(0x43, 0xc0, 0x00);
      rig.in(0x61);
      rig.pass(1_000_000);
    }
  }
}
