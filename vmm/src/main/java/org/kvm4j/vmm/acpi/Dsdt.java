package org.kvm4j.vmm.acpi;

import java.util.ArrayList;
import java.util.List;
import org.kvm4j.vmm.device.AcpiPowerManagement;
import org.kvm4j.vmm.device.CmosRtc;
import org.kvm4j.vmm.device.FwCfg;
import org.kvm4j.vmm.device.Uart16550;
import org.kvm4j.vmm.pci.PciConfigPorts;

/**
 * What the differentiated system description table says in byte code: how to sleep and to power
 * off, and which devices there are that cannot be found by looking.
 *
 * <p>Source: ACPI Specification 6.4, section 6, "Device Configuration", and 7.4.2, "\_Sx states".
 */
final class Dsdt {

  private Dsdt() {}

  /** The table's contents, behind its header. */
  static byte[] of(AcpiMachine machine) {
    List<byte[]> devices = new ArrayList<>();
    for (int i = 0; i < machine.cpus(); i++) {
      devices.add(processor(i));
    }
    devices.add(pci(machine.pci()));
    devices.add(
        device(
            "COM1",
            Aml.eisaId("PNP0501"),
            Resources.ports(Uart16550.COM1, Uart16550.PORTS),
            Resources.isaInterrupt(machine.serialIrq())));
    devices.add(
        device(
            "RTC",
            Aml.eisaId("PNP0B00"),
            Resources.ports(CmosRtc.PORT, CmosRtc.PORTS),
            Resources.isaInterrupt(machine.clockIrq())));
    devices.add(device("FWCF", Aml.string("QEMU0002"), Resources.ports(FwCfg.PORT, FwCfg.PORTS)));
    int i = 0;
    for (AcpiMachine.VirtioMmio virtio : machine.virtio()) {
      devices.add(virtio(i++, virtio));
    }
    return Aml.join(
        sleepState("\\_S3", AcpiPowerManagement.SLP_TYP_S3),
        sleepState("\\_S5", AcpiPowerManagement.SLP_TYP_S5),
        Aml.scope("\\_SB", devices.toArray(byte[][]::new)));
  }

  /** What to write into the power management control registers, a and b, for a sleep state. */
  private static byte[] sleepState(String name, int type) {
    byte[] zero = Aml.integer(0);
    return Aml.name(name, Aml.packageOf(Aml.integer(type), zero, zero, zero));
  }

  private static byte[] processor(int id) {
    return Aml.device(
        String.format("C%03X", id),
        Aml.name("_HID", Aml.string("ACPI0007")),
        Aml.name("_UID", Aml.integer(id)));
  }

  private static byte[] device(String name, byte[] id, byte[]... resources) {
    return Aml.device(name, Aml.name("_HID", id), Aml.name("_CRS", Resources.template(resources)));
  }

  private static byte[] virtio(int index, AcpiMachine.VirtioMmio virtio) {
    return Aml.device(
        String.format("VR%02X", index),
        Aml.name("_HID", Aml.string("LNRO0005")),
        Aml.name("_UID", Aml.integer(index)),
        Aml.name("_CCA", Aml.integer(1)),
        Aml.name(
            "_CRS",
            Resources.template(
                Resources.memory(virtio.address(), virtio.size()),
                Resources.levelInterrupt(virtio.gsi()))));
  }

  private static byte[] pci(AcpiMachine.Pci pci) {
    int configFirst = PciConfigPorts.PORT;
    int configLast = configFirst + PciConfigPorts.PORTS - 1;
    return Aml.device(
        "PCI0",
        Aml.name("_HID", Aml.eisaId("PNP0A03")),
        Aml.name("_UID", Aml.integer(0)),
        Aml.name("_BBN", Aml.integer(0)),
        Aml.name(
            "_CRS",
            Resources.template(
                Resources.busRange(0, 0),
                Resources.ports(configFirst, PciConfigPorts.PORTS),
                Resources.portRange(0, configFirst - 1),
                Resources.portRange(configLast + 1, 0xffff),
                Resources.memoryRange(pci.windowAddress(), pci.windowSize()))),
        Aml.name("_PRT", interrupts(pci)),
        // Addresses that belong to nobody else.
        Aml.device(
            "MBRD",
            Aml.name("_HID", Aml.eisaId("PNP0C02")),
            Aml.name(
                "_CRS",
                Resources.template(
                    Resources.ports(AcpiPowerManagement.PORT, AcpiPowerManagement.PORTS),
                    Resources.memory(pci.configAddress(), pci.configSize())))));
  }

  /** Section 6.2.13, "_PRT (PCI Routing Table)": which interrupt each device's pin A gives. */
  private static byte[] interrupts(AcpiMachine.Pci pci) {
    List<byte[]> entries = new ArrayList<>();
    for (int device = 1; device < 32; device++) {
      byte[] anyFunction = Aml.integer((long) device << 16 | 0xffff);
      byte[] pinA = Aml.integer(0);
      byte[] noLink = Aml.integer(0);
      entries.add(Aml.packageOf(anyFunction, pinA, noLink, Aml.integer(pci.gsi(device))));
    }
    return Aml.packageOf(entries);
  }
}
