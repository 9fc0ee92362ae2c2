package org.kvm4j.kvm.module.irqchip;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class TimerQueueTests {
  private long now;
  private int earlier;
  private final TimerQueue queue = new TimerQueue(() -> now, () -> earlier++);
  private final List<String> log = new ArrayList<>();

  private TimerQueue.Timer timer(String name) {
    return queue.timer(() -> log.add(name));
  }

  @Test
  void timersGoOffInTheOrderOfTheirTimesThenOfTheirMaking() {
    TimerQueue.Timer a = timer("a");
    TimerQueue.Timer b = timer("b");
    TimerQueue.Timer c = timer("c");
    c.arm(20);
    b.arm(30);
    a.arm(20);
    now = 19;
    queue.expire();
    assertEquals(List.of(), log);
    now = 30;
    queue.expire();
    assertEquals(List.of("a", "c", "b"), log);
    assertEquals(TimerQueue.NEVER, queue.next());
  }

  @Test
  void armingAgainMovesIt() {
    TimerQueue.Timer a = timer("a");
    a.arm(20);
    a.arm(40);
    assertEquals(40, queue.next());
    now = 30;
    queue.expire();
    assertEquals(List.of(), log);
    assertTrue(a.isArmed());
    a.cancel();
    assertFalse(a.isArmed());
    a.cancel();
    now = 50;
    queue.expire();
    assertEquals(List.of(), log);
  }

  @Test
  void whoWaitsIsToldWhenThereIsSomethingEarlier() {
    TimerQueue.Timer a = timer("a");
    TimerQueue.Timer b = timer("b");
    a.arm(40);
    assertEquals(1, earlier);
    b.arm(50);
    assertEquals(1, earlier);
    b.arm(30);
    assertEquals(2, earlier);
    b.cancel();
    assertEquals(2, earlier);
    assertEquals(40, queue.next());
  }

  @Test
  void oneThatArmsItselfAgainForNowDoesNotHoldUpTheOthers() {
    TimerQueue.Timer[] self = new TimerQueue.Timer[1];
    self[0] =
        queue.timer(
            () -> {
              log.add("again");
              now++;
              self[0].arm(now);
            });
    self[0].arm(10);
    now = 10;
    queue.expire();
    assertEquals(List.of("again"), log);
  }
}
