package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmIrqRoutingEntry;
import org.kvm4j.kvm.uapi.StructLayout;
import org.kvm4j.kvm.uapi.Uapi;

/** One entry of the interrupt routing table, {@code struct kvm_irq_routing_entry}. */
public final class IrqRoute extends UapiStruct {

  /** The global system interrupt that it routes. */
  public int gsi;

  /** {@code KVM_IRQ_ROUTING_*}. */
  public int type;

  /** {@code KVM_MSI_VALID_DEVID} or 0. */
  public int flags;

  /** Not used; kept. */
  public int pad;

  /** What goes with the type. */
  public final int[] u = new int[8];

  /** A route to a pin of an in-kernel interrupt chip ({@code KVM_IRQCHIP_*}). */
  public static IrqRoute irqchip(int gsi, int chip, int pin) {
    IrqRoute route = new IrqRoute();
    route.gsi = gsi;
    route.type = Uapi.KVM_IRQ_ROUTING_IRQCHIP;
    route.u[0] = chip;
    route.u[1] = pin;
    return route;
  }

  /** A route to a message-signalled interrupt. */
  public static IrqRoute msi(int gsi, long address, int data) {
    IrqRoute route = new IrqRoute();
    route.gsi = gsi;
    route.type = Uapi.KVM_IRQ_ROUTING_MSI;
    route.u[0] = (int) address;
    route.u[1] = (int) (address >>> 32);
    route.u[2] = data;
    return route;
  }

  @Override
  public StructLayout layout() {
    return KvmIrqRoutingEntry.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    gsi = memory.getInt(offset + KvmIrqRoutingEntry.GSI);
    type = memory.getInt(offset + KvmIrqRoutingEntry.TYPE);
    flags = memory.getInt(offset + KvmIrqRoutingEntry.FLAGS);
    pad = memory.getInt(offset + KvmIrqRoutingEntry.PAD);
    readInts(memory, offset + KvmIrqRoutingEntry.U_PAD, u);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putInt(offset + KvmIrqRoutingEntry.GSI, gsi);
    memory.putInt(offset + KvmIrqRoutingEntry.TYPE, type);
    memory.putInt(offset + KvmIrqRoutingEntry.FLAGS, flags);
    memory.putInt(offset + KvmIrqRoutingEntry.PAD, pad);
    writeInts(memory, offset + KvmIrqRoutingEntry.U_PAD, u);
  }
}
