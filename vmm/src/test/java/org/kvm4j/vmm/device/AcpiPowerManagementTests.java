package org.kvm4j.vmm.device;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class AcpiPowerManagementTests {

  private static final int STATUS = 0;
  private static final int ENABLE = 2;
  private static final int POWER_BUTTON = 0x100;
  private static final int CLOCK = 0x400;
  private static final int WAKE = 0x8000;

  private final FakeClock clock = new FakeClock();
  private final List<Boolean> sci = new ArrayList<>();
  private int offs;
  private final List<String> sleep = new ArrayList<>();
  private final AcpiPowerManagement acpi =
      new AcpiPowerManagement(
          clock,
          sci::add,
          new AcpiPowerManagement.SleepStates() {
            @Override
            public void powerOff() {
              offs++;
            }

            @Override
            public void suspend() {
              sleep.add("suspend");
            }

            @Override
            public void wake() {
              sleep.add("wake");
            }
          });

  @Test
  void the_timer_counts_at_its_frequency() {
    int before = acpi.read(8, 4);
    clock.advance(1_000_000_000L);
    assertEquals(3_579_545 & 0xff_ffff, acpi.read(8, 4) - before & 0xff_ffff);
    clock.advance(100_000_000_000L);
    assertEquals(0, acpi.read(8, 4) >>> 24, "24 bits");
  }

  @Test
  void the_timers_carry_shows_until_it_is_cleared() {
    assertEquals(0, acpi.read(STATUS, 2) & 1);
    clock.advance(2_500_000_000L); // 2^23 ticks take 2.34 s
    assertEquals(1, acpi.read(STATUS, 2) & 1);
    acpi.write(STATUS, 2, 1);
    assertEquals(0, acpi.read(STATUS, 2) & 1);
  }

  @Test
  void writing_S5_to_the_control_register_powers_off() {
    acpi.write(4, 2, 0x0000);
    acpi.write(4, 2, 5 << 10 | 1 << 13); // another sleep state
    assertEquals(0, offs);
    acpi.write(4, 2, 1 << 13);
    assertEquals(1, offs);
    assertEquals(1, acpi.read(4, 2) & 1, "ACPI mode");
    assertEquals(0, acpi.read(4, 2) & 1 << 13, "SLP_EN reads as 0");
  }

  @Test
  void an_enabled_event_wakes_from_S3_and_says_so() {
    acpi.clockAlarm();
    acpi.write(4, 2, 1 << 10 | 1 << 13);
    assertEquals(List.of("suspend"), sleep, "the clock is not enabled");
    acpi.write(ENABLE, 2, CLOCK);
    assertEquals(List.of("suspend", "wake"), sleep);
    assertEquals(WAKE | CLOCK, acpi.read(STATUS, 2) & 0xffff);
    acpi.write(STATUS, 2, WAKE | CLOCK);
    assertEquals(0, acpi.read(STATUS, 2) & 0xffff);
    acpi.clockAlarm();
    assertEquals(2, sleep.size(), "awake already");
    acpi.write(4, 2, 1 << 10 | 1 << 13);
    assertEquals(List.of("suspend", "wake", "suspend", "wake"), sleep, "what is pending wakes");
  }

  @Test
  void the_power_button_wakes_though_it_is_not_enabled() {
    acpi.write(4, 2, 1 << 10 | 1 << 13);
    acpi.pressPowerButton();
    assertEquals(List.of("suspend", "wake"), sleep);
    assertEquals(WAKE | POWER_BUTTON, acpi.read(STATUS, 2) & 0xffff);
  }

  @Test
  void the_power_button_interrupts_if_it_is_enabled_until_it_is_cleared() {
    acpi.pressPowerButton();
    assertEquals(POWER_BUTTON, acpi.read(STATUS, 2) & 0xffff);
    assertEquals(List.of(), sci);
    acpi.write(ENABLE, 2, POWER_BUTTON);
    assertEquals(POWER_BUTTON, acpi.read(ENABLE, 2));
    acpi.pressPowerButton();
    assertEquals(List.of(true), sci);
    acpi.write(STATUS, 2, 1);
    acpi.write(STATUS, 2, POWER_BUTTON);
    assertEquals(List.of(true, false), sci);
    assertEquals(0, acpi.read(STATUS, 2) & 0xffff);
  }

  @Test
  void status_and_enable_can_be_accessed_at_once() {
    acpi.write(STATUS, 4, POWER_BUTTON << 16);
    acpi.pressPowerButton();
    assertEquals(POWER_BUTTON << 16 | POWER_BUTTON, acpi.read(STATUS, 4));
    acpi.write(STATUS, 4, POWER_BUTTON << 16 | POWER_BUTTON);
    assertEquals(POWER_BUTTON << 16, acpi.read(STATUS, 4));
    acpi.write(ENABLE, 2, 0xffff);
    assertEquals(0x0721, acpi.read(ENABLE, 2), "only events that there are");
  }
}
