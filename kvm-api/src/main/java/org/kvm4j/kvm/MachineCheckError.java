package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmX86Mce;
import org.kvm4j.kvm.uapi.StructLayout;

/** An error for {@link Vcpu#setMce}, {@code struct kvm_x86_mce}. */
public final class MachineCheckError extends UapiStruct {

  /** IA32_MCi_STATUS, 64 bits; bit 63, VAL, must be set. */
  public long status;

  /** IA32_MCi_ADDR. */
  public long addr;

  /** IA32_MCi_MISC. */
  public long misc;

  /** IA32_MCG_STATUS. */
  public long mcgStatus;

  /** The bank, 8 bits. */
  public int bank;

  /** Not used; kept. */
  public final byte[] pad1 = new byte[7];

  /** Not used; kept. */
  public final long[] pad2 = new long[3];

  @Override
  public StructLayout layout() {
    return KvmX86Mce.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    status = memory.getLong(offset + KvmX86Mce.STATUS);
    addr = memory.getLong(offset + KvmX86Mce.ADDR);
    misc = memory.getLong(offset + KvmX86Mce.MISC);
    mcgStatus = memory.getLong(offset + KvmX86Mce.MCG_STATUS);
    bank = memory.getByte(offset + KvmX86Mce.BANK) & 0xff;
    memory.read(offset + KvmX86Mce.PAD1, pad1, 0, pad1.length);
    for (int i = 0; i < pad2.length; i++) {
      pad2[i] = memory.getLong(offset + KvmX86Mce.PAD2 + 8L * i);
    }
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putLong(offset + KvmX86Mce.STATUS, status);
    memory.putLong(offset + KvmX86Mce.ADDR, addr);
    memory.putLong(offset + KvmX86Mce.MISC, misc);
    memory.putLong(offset + KvmX86Mce.MCG_STATUS, mcgStatus);
    memory.putByte(offset + KvmX86Mce.BANK, (byte) bank);
    memory.write(offset + KvmX86Mce.PAD1, pad1, 0, pad1.length);
    for (int i = 0; i < pad2.length; i++) {
      memory.putLong(offset + KvmX86Mce.PAD2 + 8L * i, pad2[i]);
    }
  }
}
