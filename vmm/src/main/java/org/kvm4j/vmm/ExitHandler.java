package org.kvm4j.vmm;

import java.util.HexFormat;
import java.util.function.IntConsumer;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.RunPage;
import org.kvm4j.kvm.uapi.KvmExit;
import org.kvm4j.vmm.device.MmioBus;
import org.kvm4j.vmm.device.PortBus;

/**
 * What the machine does about exits. Ports and memory-mapped devices are answered by the buses; the
 * rest ends the machine, or a processor.
 *
 * <p>{@link #handleExit} takes an exit as a value. {@link #handlePort} and {@link #handleMmio} do
 * the same for the two frequent ones straight from a vCPU's run page, and allocate nothing.
 */
public final class ExitHandler {

  // KVM_SYSTEM_EVENT_*, Linux 6.1 include/uapi/linux/kvm.h.
  private static final int SYSTEM_EVENT_SHUTDOWN = 1;
  private static final int SYSTEM_EVENT_RESET = 2;

  private final PortBus ports;
  private final MmioBus mmio;
  private final IntConsumer ended;

  /**
   * @param ports the devices behind ports
   * @param mmio the devices in memory
   * @param ended takes the vectors of interrupts whose ends an I/O APIC in user space is to hear of
   */
  public ExitHandler(PortBus ports, MmioBus mmio, IntConsumer ended) {
    this.ports = ports;
    this.mmio = mmio;
    this.ended = ended;
  }

  /** Handles any exit. */
  public Outcome handleExit(Exit exit) {
    if (exit instanceof Exit.IoOut out) {
      for (int i = 0; i < out.count(); i++) {
        ports.out(
            out.port(), out.size(), (int) out.data().getLittleEndian(i * out.size(), out.size()));
      }
      return Outcome.RESUME;
    }
    if (exit instanceof Exit.IoIn in) {
      byte[] data = new byte[in.size() * in.count()];
      for (int i = 0; i < in.count(); i++) {
        int value = ports.in(in.port(), in.size());
        for (int b = 0; b < in.size(); b++) {
          data[i * in.size() + b] = (byte) (value >>> (8 * b));
        }
      }
      return new Outcome.PortData(data);
    }
    if (exit instanceof Exit.MmioWrite write) {
      mmio.write(write.address(), write.length(), write.data());
      return Outcome.RESUME;
    }
    if (exit instanceof Exit.MmioRead read) {
      return new Outcome.MmioData(mmio.read(read.address(), read.length()));
    }
    if (exit instanceof Exit.IoapicEoi eoi) {
      ended.accept(eoi.vector());
      return Outcome.RESUME;
    }
    if (exit instanceof Exit.Hlt) {
      return new Outcome.Halt();
    }
    if (exit instanceof Exit.Interrupted
        || exit instanceof Exit.Again
        || exit instanceof Exit.Intr
        || exit instanceof Exit.IrqWindowOpen
        || exit instanceof Exit.SetTpr
        || exit instanceof Exit.BusLock) {
      return Outcome.RESUME;
    }
    return new Outcome.End(ending(exit));
  }

  /** Handles {@code KVM_EXIT_IO}: answers what the guest reads in the run page. */
  public void handlePort(RunPage page) {
    int port = page.ioPort();
    int size = page.ioSize();
    int count = page.ioCount();
    if (page.ioIsIn()) {
      for (int i = 0; i < count; i++) {
        page.setIoData(i, ports.in(port, size));
      }
    } else {
      for (int i = 0; i < count; i++) {
        ports.out(port, size, page.ioData(i));
      }
    }
  }

  /** Handles {@code KVM_EXIT_MMIO}: answers what the guest reads in the run page. */
  public void handleMmio(RunPage page) {
    if (page.mmioIsWrite()) {
      mmio.write(page.mmioAddress(), page.mmioLength(), page.mmioData());
    } else {
      page.setMmioData(mmio.read(page.mmioAddress(), page.mmioLength()));
    }
  }

  private static Ending ending(Exit exit) {
    if (exit instanceof Exit.Shutdown shutdown) {
      String why = shutdown.diagnosis();
      return Ending.of(
          Ending.Kind.SHUTDOWN,
          why.startsWith("VMX abort")
              ? "the guest shut down: " + why
              : "the guest shut down (triple fault)" + (why.isEmpty() ? "" : ": " + why));
    }
    if (exit instanceof Exit.SystemEvent event) {
      switch (event.type()) {
        case SYSTEM_EVENT_SHUTDOWN:
          return Ending.of(Ending.Kind.POWERED_OFF, "the guest powered off");
        case SYSTEM_EVENT_RESET:
          return Ending.of(Ending.Kind.RESET, "the guest reset the machine");
        default:
          return Ending.of(
              Ending.Kind.INTERNAL_ERROR,
              "the kernel reports system event " + event.type() + ", data " + event.data());
      }
    }
    if (exit instanceof Exit.InternalError error) {
      StringBuilder text =
          new StringBuilder("the kernel cannot run the guest on: internal error, ");
      text.append(error.suberrorName());
      if (!error.diagnosis().isEmpty()) {
        text.append(": ").append(error.diagnosis());
      } else if (error.instruction().length() > 0) {
        text.append(", at instruction ").append(error.instruction());
      } else if (!error.data().isEmpty()) {
        text.append(", data");
        for (long value : error.data()) {
          text.append(" 0x").append(HexFormat.of().toHexDigits(value).replaceFirst("^0+(?!$)", ""));
        }
      }
      return Ending.of(Ending.Kind.INTERNAL_ERROR, text.toString());
    }
    if (exit instanceof Exit.FailEntry entry) {
      return Ending.of(
          Ending.Kind.INTERNAL_ERROR,
          entry.diagnosis().isEmpty()
              ? String.format(
                  "the processor refuses to enter the guest: reason 0x%x", entry.hardwareReason())
              : entry.diagnosis());
    }
    return Ending.of(
        Ending.Kind.INTERNAL_ERROR,
        "the VMM cannot handle " + KvmExit.nameOf(exit.reason()) + ": " + exit);
  }
}
