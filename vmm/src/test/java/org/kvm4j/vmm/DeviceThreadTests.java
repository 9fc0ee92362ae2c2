package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class DeviceThreadTests {

  private final List<Object> log = Collections.synchronizedList(new ArrayList<>());

  @Test
  void work_is_done_in_order_and_before_it_closes() {
    try (DeviceThread thread = new DeviceThread("test-device", log::add)) {
      for (int i = 0; i < 100; i++) {
        int number = i;
        thread.execute(() -> log.add(number));
      }
    }
    assertEquals(IntStream.range(0, 100).boxed().collect(Collectors.toList()), log);
    assertFalse(
        Thread.getAllStackTraces().keySet().stream()
            .anyMatch(t -> t.getName().equals("test-device")));
  }

  @Test
  void what_fails_is_told_and_nothing_follows() {
    IllegalStateException failure = new IllegalStateException("broken");
    try (DeviceThread thread = new DeviceThread("test-device", log::add)) {
      thread.execute(
          () -> {
            throw failure;
          });
      thread.execute(() -> log.add("more"));
    }
    assertEquals(List.of(failure), log);
  }
}
