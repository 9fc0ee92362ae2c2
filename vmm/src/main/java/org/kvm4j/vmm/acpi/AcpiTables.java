package org.kvm4j.vmm.acpi;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.kvm4j.vmm.device.AcpiPowerManagement;
import org.kvm4j.vmm.memory.GuestRam;
import org.kvm4j.vmm.pci.PciConfigPorts;

/**
 * The ACPI tables of a machine: RSDP, RSDT, XSDT, FADT, FACS, MADT, MCFG, and the DSDT ({@link
 * Dsdt}). They lie in the part of the first megabyte that a BIOS has, where a guest that is not
 * told looks for them.
 *
 * <p>Source: ACPI Specification 6.4, section 5.2, "ACPI System Description Tables"; PCI Firmware
 * Specification 3.0, section 4.1.2, "MCFG Table Description".
 */
public final class AcpiTables {

  /** Where the first of them, the RSDP, is. */
  public static final long ADDRESS = 0xe_0000;

  /** Where what they may take ends. */
  public static final long END = 0xf_0000;

  /** Where the FACS is: the first after the RSDP. */
  private static final long FACS = ADDRESS + 0x40;

  /** The first I/O APIC's registers, and the local APICs'. */
  private static final int IO_APIC = 0xfec0_0000;

  private static final int LOCAL_APIC = 0xfee0_0000;

  private static final int HEADER_SIZE = 36;
  private static final int CHECKSUM = 9;
  private static final String OEM = "KVM4J ";
  private static final String OEM_TABLE = "KVM4J   ";

  private static final int RSDP_SIZE = 36;
  private static final int RSDP_FIRST_SIZE = 20;
  private static final int RSDP_CHECKSUM = 8;
  private static final int RSDP_EXTENDED_CHECKSUM = 32;

  private final GuestRam memory;
  private long next = ADDRESS;

  private AcpiTables(GuestRam memory) {
    this.memory = memory;
  }

  /** Writes the tables. */
  public static void write(GuestRam memory, AcpiMachine machine) {
    new AcpiTables(memory).writeAll(machine);
  }

  /**
   * Where a machine that wakes from S3 goes on, as its guest has left it: a physical address below
   * 1 MB, for real mode; 0 if there is none. Section 5.2.10, "Firmware ACPI Control Structure
   * (FACS)", Firmware_Waking_Vector.
   */
  public static long wakingVector(GuestRam memory) {
    return memory.getInt(FACS + 12) & 0xffff_ffffL;
  }

  private void writeAll(AcpiMachine machine) {
    long rsdp = reserve(RSDP_SIZE, 16);
    long facs = place(facs(), 64);
    if (facs != FACS) {
      throw new IllegalStateException("the FACS is not where it is looked for");
    }
    long dsdt = place(table("DSDT", 2, Dsdt.of(machine)), 16);
    List<Long> tables = new ArrayList<>();
    tables.add(place(fadt(machine, facs, dsdt), 16));
    if (machine.apics()) {
      tables.add(place(madt(machine), 16));
    }
    tables.add(place(mcfg(machine.pci()), 16));
    long rsdt = place(index("RSDT", tables, 4), 16);
    long xsdt = place(index("XSDT", tables, 8), 16);
    memory.write(rsdp, rsdp(rsdt, xsdt));
  }

  private long reserve(int size, int alignment) {
    long address = next + alignment - 1 & -alignment;
    next = address + size;
    if (next > END) {
      throw new IllegalStateException("the ACPI tables take more than there is for them");
    }
    return address;
  }

  private long place(byte[] table, int alignment) {
    long address = reserve(table.length, alignment);
    memory.write(address, table);
    return address;
  }

  private static ByteBuffer structure(int size) {
    return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
  }

  private static byte[] ascii(String text) {
    return text.getBytes(StandardCharsets.US_ASCII);
  }

  /** A table behind its header; all of its bytes add up to 0. */
  private static byte[] table(String signature, int revision, byte[] body) {
    ByteBuffer table = structure(HEADER_SIZE + body.length);
    table.put(ascii(signature)).putInt(table.capacity()).put((byte) revision).put((byte) 0);
    table.put(ascii(OEM)).put(ascii(OEM_TABLE)).putInt(1).put(ascii("KV4J")).putInt(1);
    table.put(body);
    table.put(CHECKSUM, checksum(table.array(), table.capacity()));
    return table.array();
  }

  private static byte checksum(byte[] bytes, int length) {
    int sum = 0;
    for (int i = 0; i < length; i++) {
      sum += bytes[i];
    }
    return (byte) -sum;
  }

  private static byte[] rsdp(long rsdt, long xsdt) {
    ByteBuffer rsdp = structure(RSDP_SIZE);
    rsdp.put(ascii("RSD PTR ")).put((byte) 0).put(ascii(OEM)).put((byte) 2);
    rsdp.putInt((int) rsdt).putInt(RSDP_SIZE).putLong(xsdt);
    rsdp.put(RSDP_CHECKSUM, checksum(rsdp.array(), RSDP_FIRST_SIZE));
    rsdp.put(RSDP_EXTENDED_CHECKSUM, checksum(rsdp.array(), RSDP_SIZE));
    return rsdp.array();
  }

  /** The table of the others, by addresses of 4 or 8 bytes. */
  private static byte[] index(String signature, List<Long> tables, int width) {
    ByteBuffer body = structure(tables.size() * width);
    for (long address : tables) {
      body.put(Aml.littleEndian(address, width));
    }
    return table(signature, 1, body.array());
  }

  /** Section 5.2.10, "Firmware ACPI Control Structure (FACS)". */
  private static byte[] facs() {
    ByteBuffer facs = structure(64);
    facs.put(ascii("FACS")).putInt(facs.capacity());
    facs.put(32, (byte) 2);
    return facs.array();
  }

  /** Section 5.2.9, "Fixed ACPI Description Table (FADT)"; offsets are the table's. */
  private static byte[] fadt(AcpiMachine machine, long facs, long dsdt) {
    int wbinvd = 1 << 0;
    int c1 = 1 << 2;
    int noSleepButton = 1 << 5;
    int resetRegister = 1 << 10;
    int legacyDevices = 1 << 0;
    int noVga = 1 << 2;
    int noMsi = machine.apics() ? 0 : 1 << 3; // whom a message would interrupt is not there
    int events = AcpiPowerManagement.PORT;
    int control = events + AcpiPowerManagement.CONTROL;
    int timer = events + AcpiPowerManagement.TIMER;

    ByteBuffer f = structure(276);
    f.putInt(36, (int) facs);
    f.putInt(40, (int) dsdt);
    f.putShort(46, (short) machine.sciIrq());
    f.putInt(56, events);
    f.putInt(64, control);
    f.putInt(76, timer);
    f.put(88, (byte) AcpiPowerManagement.EVENT_SIZE);
    f.put(89, (byte) AcpiPowerManagement.CONTROL_SIZE);
    f.put(91, (byte) AcpiPowerManagement.TIMER_SIZE);
    f.putShort(96, (short) 0x0fff); // no C2
    f.putShort(98, (short) 0x0fff); // no C3
    f.put(108, (byte) 0x32); // CMOS: the century
    f.putShort(109, (short) (legacyDevices | noVga | noMsi));
    f.putInt(112, wbinvd | c1 | noSleepButton | resetRegister);
    port(f, 116, PciConfigPorts.RESET_PORT, 1);
    f.put(128, (byte) PciConfigPorts.RESET_VALUE);
    f.put(131, (byte) 4); // the minor version: ACPI 6.4
    f.putLong(140, dsdt);
    port(f, 148, events, AcpiPowerManagement.EVENT_SIZE);
    port(f, 172, control, AcpiPowerManagement.CONTROL_SIZE);
    port(f, 208, timer, AcpiPowerManagement.TIMER_SIZE);
    byte[] body = new byte[f.capacity() - HEADER_SIZE];
    f.get(HEADER_SIZE, body);
    return table("FACP", 6, body);
  }

  /** A generic address: section 5.2.3.2, "Generic Address Structure". */
  private static void port(ByteBuffer table, int at, int port, int size) {
    table.put(at, (byte) 1); // system I/O
    table.put(at + 1, (byte) (8 * size));
    table.put(at + 3, (byte) (size == 1 ? 1 : size == 2 ? 2 : 3));
    table.putLong(at + 4, port);
  }

  /** Section 5.2.12, "Multiple APIC Description Table (MADT)". */
  private static byte[] madt(AcpiMachine machine) {
    ByteBuffer body = structure(8 + machine.cpus() * 16 + 12 + 10 + 6);
    body.putInt(LOCAL_APIC).putInt(1); // there are PICs too
    for (int i = 0; i < machine.cpus(); i++) {
      if (i < 255) {
        body.put((byte) 0).put((byte) 8).put((byte) i).put((byte) i).putInt(1);
      } else {
        body.put((byte) 9).put((byte) 16).putShort((short) 0).putInt(i).putInt(1).putInt(i);
      }
    }
    body.put((byte) 1).put((byte) 12).put((byte) 0).put((byte) 0).putInt(IO_APIC).putInt(0);
    int levelHigh = 0xd;
    body.put((byte) 2).put((byte) 10).put((byte) 0).put((byte) machine.sciIrq());
    body.putInt(machine.sciIrq()).putShort((short) levelHigh);
    // Every processor's LINT1 is NMI.
    body.put((byte) 4).put((byte) 6).put((byte) 0xff).putShort((short) 0).put((byte) 1);
    byte[] used = new byte[body.position()];
    body.get(0, used);
    return table("APIC", 5, used);
  }

  private static byte[] mcfg(AcpiMachine.Pci pci) {
    ByteBuffer body = structure(24);
    body.putLong(8, pci.configAddress()); // segment 0, bus 0 to 0
    return table("MCFG", 1, body.array());
  }
}
