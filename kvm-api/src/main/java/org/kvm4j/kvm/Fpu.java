package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmFpu;
import org.kvm4j.kvm.uapi.StructLayout;

/** The x87 and SSE registers, {@code struct kvm_fpu}. */
public final class Fpu extends UapiStruct {

  /** ST0 to ST7, 16 bytes each, of which 10 are used. */
  public final byte[] fpr = new byte[128];

  public int fcw;

  public int fsw;

  /** The abridged tag word: a bit is set for a register that is not empty. */
  public int ftwx;

  /** Not used; kept. */
  public int pad1;

  public int lastOpcode;

  public long lastIp;

  public long lastDp;

  /** XMM0 to XMM15, 16 bytes each. */
  public final byte[] xmm = new byte[256];

  public int mxcsr;

  /** Not used; kept. */
  public int pad2;

  @Override
  public StructLayout layout() {
    return KvmFpu.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    memory.read(offset + KvmFpu.FPR, fpr, 0, fpr.length);
    fcw = u16(memory, offset + KvmFpu.FCW);
    fsw = u16(memory, offset + KvmFpu.FSW);
    ftwx = u8(memory, offset + KvmFpu.FTWX);
    pad1 = u8(memory, offset + KvmFpu.PAD1);
    lastOpcode = u16(memory, offset + KvmFpu.LAST_OPCODE);
    lastIp = memory.getLong(offset + KvmFpu.LAST_IP);
    lastDp = memory.getLong(offset + KvmFpu.LAST_DP);
    memory.read(offset + KvmFpu.XMM, xmm, 0, xmm.length);
    mxcsr = memory.getInt(offset + KvmFpu.MXCSR);
    pad2 = memory.getInt(offset + KvmFpu.PAD2);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.write(offset + KvmFpu.FPR, fpr, 0, fpr.length);
    putU16(memory, offset + KvmFpu.FCW, fcw, "fcw");
    putU16(memory, offset + KvmFpu.FSW, fsw, "fsw");
    putU8(memory, offset + KvmFpu.FTWX, ftwx, "ftwx");
    putU8(memory, offset + KvmFpu.PAD1, pad1, "pad1");
    putU16(memory, offset + KvmFpu.LAST_OPCODE, lastOpcode, "last_opcode");
    memory.putLong(offset + KvmFpu.LAST_IP, lastIp);
    memory.putLong(offset + KvmFpu.LAST_DP, lastDp);
    memory.write(offset + KvmFpu.XMM, xmm, 0, xmm.length);
    memory.putInt(offset + KvmFpu.MXCSR, mxcsr);
    memory.putInt(offset + KvmFpu.PAD2, pad2);
  }
}
