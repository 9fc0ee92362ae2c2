package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmPicState;
import org.kvm4j.kvm.uapi.StructLayout;

/** One 8259A, {@code struct kvm_pic_state}. */
public final class PicState extends UapiStruct {

  public int lastIrr;

  public int irr;

  public int imr;

  public int isr;

  public int priorityAdd;

  public int irqBase;

  public int readRegSelect;

  public int poll;

  public int specialMask;

  public int initState;

  public int autoEoi;

  public int rotateOnAutoEoi;

  public int specialFullyNestedMode;

  public int init4;

  public int elcr;

  public int elcrMask;

  @Override
  public StructLayout layout() {
    return KvmPicState.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    lastIrr = u8(memory, offset + KvmPicState.LAST_IRR);
    irr = u8(memory, offset + KvmPicState.IRR);
    imr = u8(memory, offset + KvmPicState.IMR);
    isr = u8(memory, offset + KvmPicState.ISR);
    priorityAdd = u8(memory, offset + KvmPicState.PRIORITY_ADD);
    irqBase = u8(memory, offset + KvmPicState.IRQ_BASE);
    readRegSelect = u8(memory, offset + KvmPicState.READ_REG_SELECT);
    poll = u8(memory, offset + KvmPicState.POLL);
    specialMask = u8(memory, offset + KvmPicState.SPECIAL_MASK);
    initState = u8(memory, offset + KvmPicState.INIT_STATE);
    autoEoi = u8(memory, offset + KvmPicState.AUTO_EOI);
    rotateOnAutoEoi = u8(memory, offset + KvmPicState.ROTATE_ON_AUTO_EOI);
    specialFullyNestedMode = u8(memory, offset + KvmPicState.SPECIAL_FULLY_NESTED_MODE);
    init4 = u8(memory, offset + KvmPicState.INIT4);
    elcr = u8(memory, offset + KvmPicState.ELCR);
    elcrMask = u8(memory, offset + KvmPicState.ELCR_MASK);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    putU8(memory, offset + KvmPicState.LAST_IRR, lastIrr, "last_irr");
    putU8(memory, offset + KvmPicState.IRR, irr, "irr");
    putU8(memory, offset + KvmPicState.IMR, imr, "imr");
    putU8(memory, offset + KvmPicState.ISR, isr, "isr");
    putU8(memory, offset + KvmPicState.PRIORITY_ADD, priorityAdd, "priority_add");
    putU8(memory, offset + KvmPicState.IRQ_BASE, irqBase, "irq_base");
    putU8(memory, offset + KvmPicState.READ_REG_SELECT, readRegSelect, "read_reg_select");
    putU8(memory, offset + KvmPicState.POLL, poll, "poll");
    putU8(memory, offset + KvmPicState.SPECIAL_MASK, specialMask, "special_mask");
    putU8(memory, offset + KvmPicState.INIT_STATE, initState, "init_state");
    putU8(memory, offset + KvmPicState.AUTO_EOI, autoEoi, "auto_eoi");
    putU8(memory, offset + KvmPicState.ROTATE_ON_AUTO_EOI, rotateOnAutoEoi, "rotate_on_auto_eoi");
    putU8(
        memory,
        offset + KvmPicState.SPECIAL_FULLY_NESTED_MODE,
        specialFullyNestedMode,
        "special_fully_nested_mode");
    putU8(memory, offset + KvmPicState.INIT4, init4, "init4");
    putU8(memory, offset + KvmPicState.ELCR, elcr, "elcr");
    putU8(memory, offset + KvmPicState.ELCR_MASK, elcrMask, "elcr_mask");
  }
}
