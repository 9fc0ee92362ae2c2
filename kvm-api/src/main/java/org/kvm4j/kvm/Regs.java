package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.StructLayout;

/** The general registers, {@code struct kvm_regs}. */
public final class Regs extends UapiStruct {

  public long rax;

  public long rbx;

  public long rcx;

  public long rdx;

  public long rsi;

  public long rdi;

  public long rsp;

  public long rbp;

  public long r8;

  public long r9;

  public long r10;

  public long r11;

  public long r12;

  public long r13;

  public long r14;

  public long r15;

  /** The instruction pointer, without the base of CS. */
  public long rip;

  /** The flags; bit 1 is always set. */
  public long rflags;

  @Override
  public StructLayout layout() {
    return KvmRegs.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    rax = memory.getLong(offset + KvmRegs.RAX);
    rbx = memory.getLong(offset + KvmRegs.RBX);
    rcx = memory.getLong(offset + KvmRegs.RCX);
    rdx = memory.getLong(offset + KvmRegs.RDX);
    rsi = memory.getLong(offset + KvmRegs.RSI);
    rdi = memory.getLong(offset + KvmRegs.RDI);
    rsp = memory.getLong(offset + KvmRegs.RSP);
    rbp = memory.getLong(offset + KvmRegs.RBP);
    r8 = memory.getLong(offset + KvmRegs.R8);
    r9 = memory.getLong(offset + KvmRegs.R9);
    r10 = memory.getLong(offset + KvmRegs.R10);
    r11 = memory.getLong(offset + KvmRegs.R11);
    r12 = memory.getLong(offset + KvmRegs.R12);
    r13 = memory.getLong(offset + KvmRegs.R13);
    r14 = memory.getLong(offset + KvmRegs.R14);
    r15 = memory.getLong(offset + KvmRegs.R15);
    rip = memory.getLong(offset + KvmRegs.RIP);
    rflags = memory.getLong(offset + KvmRegs.RFLAGS);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putLong(offset + KvmRegs.RAX, rax);
    memory.putLong(offset + KvmRegs.RBX, rbx);
    memory.putLong(offset + KvmRegs.RCX, rcx);
    memory.putLong(offset + KvmRegs.RDX, rdx);
    memory.putLong(offset + KvmRegs.RSI, rsi);
    memory.putLong(offset + KvmRegs.RDI, rdi);
    memory.putLong(offset + KvmRegs.RSP, rsp);
    memory.putLong(offset + KvmRegs.RBP, rbp);
    memory.putLong(offset + KvmRegs.R8, r8);
    memory.putLong(offset + KvmRegs.R9, r9);
    memory.putLong(offset + KvmRegs.R10, r10);
    memory.putLong(offset + KvmRegs.R11, r11);
    memory.putLong(offset + KvmRegs.R12, r12);
    memory.putLong(offset + KvmRegs.R13, r13);
    memory.putLong(offset + KvmRegs.R14, r14);
    memory.putLong(offset + KvmRegs.R15, r15);
    memory.putLong(offset + KvmRegs.RIP, rip);
    memory.putLong(offset + KvmRegs.RFLAGS, rflags);
  }
}
