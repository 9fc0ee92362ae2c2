package org.kvm4j.vmm.irqchip;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.kvm.IrqRoute;
import org.kvm4j.kvm.KvmException;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Errno;

/**
 * The kernel's local APICs, as an I/O APIC in user space reaches them. The table of routes tells
 * the kernel of each pin's message, by which it finds the ends to tell of.
 *
 * <p>Source: Linux 6.1 api.rst, "KVM_CAP_SPLIT_IRQCHIP": the first routes are the I/O APIC's pins.
 */
public final class KernelBus implements IoApic.Bus {

  private final Vm vm;
  private final @Nullable Message[] messages = new Message[IoApic.PINS];

  private record Message(long address, int data) {}

  /**
   * @param vm one with a split interrupt chip
   */
  public KernelBus(Vm vm) {
    this.vm = vm;
  }

  @Override
  public void route(int pin, long address, int data) {
    Message message = new Message(address, data);
    if (message.equals(messages[pin])) {
      return;
    }
    messages[pin] = message;
    List<IrqRoute> routes = new ArrayList<>();
    for (int gsi = 0; gsi < IoApic.PINS; gsi++) {
      Message m = messages[gsi];
      if (m != null) {
        routes.add(IrqRoute.msi(gsi, m.address, m.data));
      }
    }
    vm.setGsiRouting(routes);
  }

  @Override
  public boolean send(int pin) {
    Message m = messages[pin];
    return m != null && send(vm, m.address, m.data);
  }

  /**
   * Sends a message-signalled interrupt, wherever the guest has it go.
   *
   * @return whether a processor took it
   */
  public static boolean send(Vm vm, long address, int data) {
    try {
      return vm.signalMsi(address, data) > 0;
    } catch (KvmException e) {
      if (e.is(Errno.EPERM)) {
        return false; // there is no such processor
      }
      throw e;
    }
  }
}
