package org.kvm4j.vmm;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.CpuidEntry;

class GuestCpuidTests {

  private static final List<CpuidEntry> SUPPORTED =
      List.of(
          new CpuidEntry(0, 0, 0, 0x1f, 1, 2, 3),
          new CpuidEntry(1, 0, 0, 0x806ec, 0x0710_0800, 0x0020_2203, 0x1000_0201),
          new CpuidEntry(4, 0, 1, 0x1c00_4121, 0, 0, 0),
          new CpuidEntry(4, 2, 1, 0x1c00_4163, 0, 0, 0),
          new CpuidEntry(4, 3, 1, 0, 0, 0, 0),
          new CpuidEntry(0xb, 0, 1, 1, 2, 0x100, 0x55),
          new CpuidEntry(0xb, 1, 1, 7, 9, 0x201, 0x55),
          new CpuidEntry(0x4000_0000, 0, 0, 0x4000_0001, 0, 0, 0),
          new CpuidEntry(0x8000_0008, 0, 0, 0x3030, 0, 0x6007, 0));

  private static CpuidEntry entry(List<CpuidEntry> entries, int function, int index) {
    return entries.stream()
        .filter(e -> e.function == function && e.index == index)
        .findFirst()
        .orElseThrow();
  }

  private static CpuidEntry entry(List<CpuidEntry> entries, int function) {
    return entry(entries, function, 0);
  }

  private static List<CpuidEntry> of(int id, int cpus) {
    return GuestCpuid.of(SUPPORTED, id, cpus, true, true, Set.of());
  }

  private static String words(CpuidEntry e) {
    return String.format("%x %x %x %x", e.eax, e.ebx, e.ecx, e.edx);
  }

  @Test
  void each_processor_has_its_number() {
    List<CpuidEntry> entries = of(2, 4);
    assertEquals(0x0204_0800, entry(entries, 1).ebx);
    assertEquals(0x1000_0201, entry(entries, 1).edx);
    assertEquals(0x55, entry(SUPPORTED, 0xb).edx, "the kernel's list is as it was");
  }

  @Test
  void one_processor_has_no_threads() {
    List<CpuidEntry> entries = of(0, 1);
    assertEquals(0x0001_0800, entry(entries, 1).ebx);
    assertEquals(0x0000_0201, entry(entries, 1).edx);
    assertEquals(0x0000_0121, entry(entries, 4).eax);
    assertEquals("0 1 201 0", words(entry(entries, 0xb, 1)));
  }

  @Test
  void the_topology_is_one_package_of_cores() {
    List<CpuidEntry> entries = of(2, 3);
    assertEquals("0 1 100 2", words(entry(entries, 0xb, 0)));
    assertEquals("2 3 201 2", words(entry(entries, 0xb, 1)));
    assertEquals("0 0 2 2", words(entry(entries, 0xb, 2)));
    assertEquals(1, entries.stream().filter(e -> e.function == 0xb && e.index == 1).count());
  }

  @Test
  void the_cores_share_the_third_levels_cache() {
    List<CpuidEntry> entries = of(0, 3);
    assertEquals(0x0c00_0121, entry(entries, 4, 0).eax);
    assertEquals(0x0c00_c163, entry(entries, 4, 2).eax);
    assertEquals(0, entry(entries, 4, 3).eax);
  }

  @Test
  void AMDs_leaves_tell_the_same() {
    assertEquals(0x6007, entry(of(0, 4), 0x8000_0008).ecx, "not on others");
    List<CpuidEntry> amd =
        List.of(
            new CpuidEntry(0, 0, 0, 0x10, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
            new CpuidEntry(0x8000_0008, 0, 0, 0x3030, 0, 0x6007, 0),
            new CpuidEntry(0x8000_001e, 0, 0, 9, 9, 9, 0));
    List<CpuidEntry> entries = GuestCpuid.of(amd, 5, 6, true, false, Set.of());
    assertEquals(0x3005, entry(entries, 0x8000_0008).ecx);
    assertEquals("5 5 0 0", words(entry(entries, 0x8000_001e)));
  }

  @Test
  void local_APICs_features_are_told_where_the_kernel_has_them() {
    assertEquals(0x8120_2203, entry(GuestCpuid.of(SUPPORTED, 0, 1, true, true, Set.of()), 1).ecx);
    assertEquals(0x8020_2203, entry(GuestCpuid.of(SUPPORTED, 0, 1, true, false, Set.of()), 1).ecx);
    CpuidEntry without = entry(GuestCpuid.of(SUPPORTED, 0, 1, false, true, Set.of()), 1);
    assertEquals(0x8000_2203, without.ecx);
    assertEquals(1, without.edx);
  }

  @Test
  void kvms_features_that_need_local_APICs_in_the_kernel_go_with_those() {
    List<CpuidEntry> supported = List.of(new CpuidEntry(0x4000_0001, 0, 0, 0x0100_ffff, 0, 0, 0));
    assertEquals(
        0x0100_ffff, entry(GuestCpuid.of(supported, 0, 1, true, true, Set.of()), 0x4000_0001).eax);
    assertEquals(
        0x0100_b32f,
        entry(GuestCpuid.of(supported, 0, 1, false, false, Set.of()), 0x4000_0001).eax);
  }

  @Test
  void what_a_model_is_without_is_hidden_though_the_kernel_gives_it() {
    assertEquals(
        Set.of(SoftwareFeature.X2APIC), SoftwareFeature.hiddenBy("kvm4j-v1,-x2apic,+avx2"));
    assertEquals(Set.of(), SoftwareFeature.hiddenBy("kvm4j-v1,-apic,+x2apic,+tsc_deadline"));
    Set<SoftwareFeature> hidden = SoftwareFeature.hiddenBy("x,-apic,-hypervisor,-tsc_adjust");
    assertEquals(Set.of(SoftwareFeature.values()), hidden);

    List<CpuidEntry> supported =
        List.of(SUPPORTED.get(1), new CpuidEntry(7, 0, 1, 0, 0x0000_0003, 0x20_0000, 0x200));
    List<CpuidEntry> narrow =
        GuestCpuid.of(supported, 0, 1, true, true, Set.of(SoftwareFeature.X2APIC));
    assertEquals(0x0100_2203, entry(narrow, 1).ecx);
    List<CpuidEntry> entries = GuestCpuid.of(supported, 0, 1, true, true, hidden);
    assertEquals(0x0000_2203, entry(entries, 1).ecx);
    assertEquals(1, entry(entries, 1).edx);
    assertEquals("0 1 200000 200", words(entry(entries, 7)));
  }
}
