package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.CpuidEntry;

class GuestCpuidTests {

  private static final List<CpuidEntry> SUPPORTED =
      List.of(
          new CpuidEntry(0, 0, 0, 0x1f, 1, 2, 3),
          new CpuidEntry(1, 0, 0, 0x806ec, 0x0710_0800, 0x0120_2203, 0x1000_0001),
          new CpuidEntry(4, 0, 1, 0x1c00_4121, 0, 0, 0),
          new CpuidEntry(4, 3, 1, 0, 0, 0, 0),
          new CpuidEntry(0xb, 0, 1, 1, 2, 0x100, 0x55),
          new CpuidEntry(0x4000_0000, 0, 0, 0x4000_0001, 0, 0, 0));

  private static CpuidEntry entry(List<CpuidEntry> entries, int function) {
    return entries.stream().filter(e -> e.function == function).findFirst().orElseThrow();
  }

  @Test
  void each_processor_has_its_number() {
    List<CpuidEntry> entries = GuestCpuid.of(SUPPORTED, 2, 4, true);
    assertEquals(0x0204_0800, entry(entries, 1).ebx);
    assertEquals(0x1000_0001, entry(entries, 1).edx);
    assertEquals(2, entry(entries, 0xb).edx);
    assertEquals(3, entry(entries, 4).eax >>> 26);
    assertEquals(0x55, entry(SUPPORTED, 0xb).edx, "the kernel's list is as it was");
  }

  @Test
  void one_processor_has_no_threads() {
    List<CpuidEntry> entries = GuestCpuid.of(SUPPORTED, 0, 1, true);
    assertEquals(0x0001_0800, entry(entries, 1).ebx);
    assertEquals(0x0000_0001, entry(entries, 1).edx);
    assertEquals(0, entry(entries, 4).eax >>> 26);
  }

  @Test
  void without_local_APICs_their_features_are_not_told() {
    assertEquals(0x8120_2203, entry(GuestCpuid.of(SUPPORTED, 0, 1, true), 1).ecx);
    assertEquals(0x8000_2203, entry(GuestCpuid.of(SUPPORTED, 0, 1, false), 1).ecx);
  }
}
