package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmCpuidEntry2;
import org.kvm4j.kvm.uapi.StructLayout;

/** One leaf or subleaf of CPUID, {@code struct kvm_cpuid_entry2}. */
public final class CpuidEntry extends UapiStruct {

  /** The leaf: EAX on input. */
  public int function;

  /** The subleaf: ECX on input, if {@link #flags} say that it matters. */
  public int index;

  /** {@code KVM_CPUID_FLAG_*}. */
  public int flags;

  public int eax;

  public int ebx;

  public int ecx;

  public int edx;

  /** Not used; kept. */
  public final int[] padding = new int[3];

  /** An empty entry. */
  public CpuidEntry() {}

  /** An entry with its four results. */
  public CpuidEntry(int function, int index, int flags, int eax, int ebx, int ecx, int edx) {
    this.function = function;
    this.index = index;
    this.flags = flags;
    this.eax = eax;
    this.ebx = ebx;
    this.ecx = ecx;
    this.edx = edx;
  }

  @Override
  public StructLayout layout() {
    return KvmCpuidEntry2.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    function = memory.getInt(offset + KvmCpuidEntry2.FUNCTION);
    index = memory.getInt(offset + KvmCpuidEntry2.INDEX);
    flags = memory.getInt(offset + KvmCpuidEntry2.FLAGS);
    eax = memory.getInt(offset + KvmCpuidEntry2.EAX);
    ebx = memory.getInt(offset + KvmCpuidEntry2.EBX);
    ecx = memory.getInt(offset + KvmCpuidEntry2.ECX);
    edx = memory.getInt(offset + KvmCpuidEntry2.EDX);
    readInts(memory, offset + KvmCpuidEntry2.PADDING, padding);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    memory.putInt(offset + KvmCpuidEntry2.FUNCTION, function);
    memory.putInt(offset + KvmCpuidEntry2.INDEX, index);
    memory.putInt(offset + KvmCpuidEntry2.FLAGS, flags);
    memory.putInt(offset + KvmCpuidEntry2.EAX, eax);
    memory.putInt(offset + KvmCpuidEntry2.EBX, ebx);
    memory.putInt(offset + KvmCpuidEntry2.ECX, ecx);
    memory.putInt(offset + KvmCpuidEntry2.EDX, edx);
    writeInts(memory, offset + KvmCpuidEntry2.PADDING, padding);
  }
}
