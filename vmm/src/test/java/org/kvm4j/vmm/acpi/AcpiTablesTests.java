package org.kvm4j.vmm.acpi;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.memory.HeapUserMemory;

/** The tables as a guest finds them, from the root pointer on. */
class AcpiTablesTests {

  private static final AcpiMachine.Pci PCI =
      new AcpiMachine.Pci(0xe000_0000L, 0x10_0000, 0xe100_0000L, 0x1000_0000, List.of(16, 17));

  private final GuestRam memory = HeapUserMemory.ram(0x10_0000);

  private Map<String, Long> tables(AcpiMachine machine) {
    AcpiTables.write(memory, machine);
    long rsdp = AcpiTables.ADDRESS;
    assertEquals("RSD PTR ", text(rsdp, 8));
    assertEquals(0, sum(rsdp, 20));
    assertEquals(0, sum(rsdp, 36));
    assertEquals(2, memory.getByte(rsdp + 15));
    long xsdt = memory.getLong(rsdp + 24);
    long rsdt = memory.getInt(rsdp + 16);
    assertEquals("XSDT", text(xsdt, 4));
    assertEquals("RSDT", text(rsdt, 4));
    Map<String, Long> found = new LinkedHashMap<>();
    List<Long> fromRsdt = new ArrayList<>();
    for (int i = 0; i < (memory.getInt(xsdt + 4) - 36) / 8; i++) {
      long table = memory.getLong(xsdt + 36 + 8L * i);
      found.put(text(table, 4), table);
      fromRsdt.add((long) memory.getInt(rsdt + 36 + 4L * i));
    }
    assertEquals(List.copyOf(found.values()), fromRsdt);
    long fadt = at(found, "FACP");
    found.put("DSDT", memory.getLong(fadt + 140));
    found.put("XSDT", xsdt);
    found.put("RSDT", rsdt);
    for (long table : found.values()) {
      assertEquals(0, sum(table, memory.getInt(table + 4)), text(table, 4));
    }
    found.put("FACS", (long) memory.getInt(fadt + 36));
    return found;
  }

  private static long at(Map<String, Long> tables, String name) {
    return Objects.requireNonNull(tables.get(name), name);
  }

  private static AcpiMachine machine(int cpus, AcpiMachine.VirtioMmio... virtio) {
    return new AcpiMachine(cpus, 9, 4, 8, true, PCI, List.of(virtio));
  }

  private String text(long address, int length) {
    return new String(memory.read(address, length), ISO_8859_1);
  }

  private int sum(long address, int length) {
    int sum = 0;
    for (byte b : memory.read(address, length)) {
      sum += b;
    }
    return sum & 0xff;
  }

  private String body(long table) {
    return text(table, memory.getInt(table + 4));
  }

  @Test
  void the_root_pointer_leads_to_all_tables() {
    Map<String, Long> tables = tables(machine(1));
    assertTrue(tables.keySet().containsAll(List.of("FACP", "APIC", "MCFG", "DSDT")));
    assertEquals("FACS", text(at(tables, "FACS"), 4));
    assertEquals(0, at(tables, "FACS") % 64);
    assertEquals(0xe000_0000L, memory.getLong(at(tables, "MCFG") + 44));
  }

  @Test
  void the_fadt_names_the_registers_that_there_are() {
    long fadt = at(tables(machine(1)), "FACP");
    assertEquals(276, memory.getInt(fadt + 4));
    assertEquals(9, memory.getShort(fadt + 46));
    assertEquals(0, memory.getInt(fadt + 48), "no SMI command: ACPI mode always");
    assertEquals(0x600, memory.getInt(fadt + 56));
    assertEquals(0x604, memory.getInt(fadt + 64));
    assertEquals(0x608, memory.getInt(fadt + 76));
    assertEquals(4 | 2 << 8 | 4 << 24, memory.getInt(fadt + 88));
    assertEquals(0xcf9, memory.getLong(fadt + 120), "reset register");
    assertEquals(6, memory.getByte(fadt + 128));
    assertTrue((memory.getInt(fadt + 112) & 1 << 10) != 0, "which is supported");
  }

  @Test
  void the_madt_lists_processors_and_the_override_of_the_sci() {
    long madt = at(tables(machine(3)), "APIC");
    assertEquals(0xfee0_0000, memory.getInt(madt + 36));
    for (int i = 0; i < 3; i++) {
      long entry = madt + 44 + 8L * i;
      assertEquals(0x0800 | i << 16 | i << 24, memory.getInt(entry));
      assertEquals(1, memory.getInt(entry + 4));
    }
    long ioApic = madt + 44 + 24;
    assertEquals(0x0c01, memory.getShort(ioApic));
    assertEquals(0xfec0_0000, memory.getInt(ioApic + 4));
    long override = ioApic + 12;
    assertEquals(0x0900_0a02, memory.getInt(override));
    assertEquals(9, memory.getInt(override + 4));
    assertEquals(0xd, memory.getShort(override + 8));
  }

  @Test
  void without_apics_there_is_no_madt_and_no_message_is_an_interrupt() {
    Map<String, Long> tables = tables(new AcpiMachine(1, 9, 4, 8, false, PCI, List.of()));
    assertEquals(Set.of("RSDT", "XSDT", "FACP", "FACS", "MCFG", "DSDT"), tables.keySet());
    int withoutMsi = 1 << 3;
    assertEquals(withoutMsi, memory.getShort(at(tables, "FACP") + 109) & withoutMsi);
    assertEquals(0, memory.getShort(at(tables(machine(1)), "FACP") + 109) & withoutMsi);
  }

  @Test
  void processors_past_the_255th_have_x2apic_entries() {
    long madt = at(tables(machine(300)), "APIC");
    long entry = madt + 44 + 255 * 8;
    assertEquals(0x1009, memory.getShort(entry));
    assertEquals(255, memory.getInt(entry + 4));
    assertEquals(255, memory.getInt(entry + 12));
  }

  @Test
  void the_dsdt_tells_how_to_power_off_and_what_cannot_be_found() {
    String dsdt =
        body(at(tables(machine(2, new AcpiMachine.VirtioMmio(0xfeb0_0000L, 0x200, 17))), "DSDT"));
    for (String name :
        List.of("_S3_", "_S5_", "_SB_", "PCI0", "_PRT", "COM1", "RTC_", "FWCF", "C001", "VR00")) {
      assertTrue(dsdt.contains(name), name);
    }
    assertTrue(dsdt.contains("LNRO0005"));
    // _S3: a package of one and three zeros; _S5: a package of four zeros
    assertTrue(dsdt.contains("\b\\_S3_\u0012\u0006\u0004\u0001\0\0\0"));
    assertTrue(dsdt.contains("\b\\_S5_\u0012\u0006\u0004\0\0\0\0"));
  }
}
