package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmIrqchip;
import org.kvm4j.kvm.uapi.StructLayout;

/** The state of an in-kernel interrupt chip, {@code struct kvm_irqchip}. */
public final class Irqchip extends UapiStruct {

  /** {@code KVM_IRQCHIP_PIC_MASTER}, {@code _PIC_SLAVE} or {@code _IOAPIC}. */
  public int chipId;

  /** Not used; kept. */
  public int pad;

  /** The chip's state, as its kind has it. */
  public final byte[] chip = new byte[512];

  /** The state as that of a PIC. */
  public PicState pic() {
    PicState state = new PicState();
    state.readFrom(new HeapMemory(chip), 0);
    return state;
  }

  /** Makes the state that of a PIC. */
  public void setPic(PicState state) {
    state.writeTo(new HeapMemory(chip), 0);
  }

  /** The state as that of the I/O APIC. */
  public IoapicState ioapic() {
    IoapicState state = new IoapicState();
    state.readFrom(new HeapMemory(chip), 0);
    return state;
  }

  /** Makes the state that of the I/O APIC. */
  public void setIoapic(IoapicState state) {
    state.writeTo(new HeapMemory(chip), 0);
  }

  @Override
  public StructLayout layout() {
    return KvmIrqchip.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    chipId = memory.getInt(offset + KvmIrqchip.CHIP_ID);
    pad = memory.getInt(offset + KvmIrqchip.PAD);
    memory.read(offset + KvmIrqchip.CHIP_DUMMY, chip, 0, chip.length);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putInt(offset + KvmIrqchip.CHIP_ID, chipId);
    memory.putInt(offset + KvmIrqchip.PAD, pad);
    memory.write(offset + KvmIrqchip.CHIP_DUMMY, chip, 0, chip.length);
  }
}
