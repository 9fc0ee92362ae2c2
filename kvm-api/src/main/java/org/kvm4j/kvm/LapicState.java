package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmLapicState;
import org.kvm4j.kvm.uapi.StructLayout;

/** The local APIC's register page, {@code struct kvm_lapic_state}. */
public final class LapicState extends UapiStruct {

  /** The first 1,024 bytes of the page. */
  public final byte[] regs = new byte[1024];

  /**
   * A register.
   *
   * @param register its offset in the page, in bytes, such as 0x20 for the ID
   */
  public int register(int register) {
    return new HeapMemory(regs).getInt(register);
  }

  /** Sets a register. */
  public void setRegister(int register, int value) {
    new HeapMemory(regs).putInt(register, value);
  }

  @Override
  public StructLayout layout() {
    return KvmLapicState.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    memory.read(offset + KvmLapicState.REGS, regs, 0, regs.length);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.write(offset + KvmLapicState.REGS, regs, 0, regs.length);
  }
}
