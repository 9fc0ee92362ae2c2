package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmSregs2;
import org.kvm4j.kvm.uapi.StructLayout;

/** The segment, control and system registers with the PDPTRs, {@code struct kvm_sregs2}. */
public final class Sregs2 extends UapiStruct {

  public final Segment cs = new Segment();

  public final Segment ds = new Segment();

  public final Segment es = new Segment();

  public final Segment fs = new Segment();

  public final Segment gs = new Segment();

  public final Segment ss = new Segment();

  public final Segment tr = new Segment();

  public final Segment ldt = new Segment();

  public final Dtable gdt = new Dtable();

  public final Dtable idt = new Dtable();

  public long cr0;

  public long cr2;

  public long cr3;

  public long cr4;

  /** The task priority, 0 to 15. */
  public long cr8;

  public long efer;

  /** IA32_APIC_BASE. */
  public long apicBase;

  /** {@code KVM_SREGS2_FLAGS_PDPTRS_VALID} or 0. */
  public long flags;

  /** The PAE page-directory-pointer registers, if {@link #flags} say so. */
  public final long[] pdptrs = new long[4];

  @Override
  public StructLayout layout() {
    return KvmSregs2.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    cs.readFrom(memory, offset + KvmSregs2.CS);
    ds.readFrom(memory, offset + KvmSregs2.DS);
    es.readFrom(memory, offset + KvmSregs2.ES);
    fs.readFrom(memory, offset + KvmSregs2.FS);
    gs.readFrom(memory, offset + KvmSregs2.GS);
    ss.readFrom(memory, offset + KvmSregs2.SS);
    tr.readFrom(memory, offset + KvmSregs2.TR);
    ldt.readFrom(memory, offset + KvmSregs2.LDT);
    gdt.readFrom(memory, offset + KvmSregs2.GDT);
    idt.readFrom(memory, offset + KvmSregs2.IDT);
    cr0 = memory.getLong(offset + KvmSregs2.CR0);
    cr2 = memory.getLong(offset + KvmSregs2.CR2);
    cr3 = memory.getLong(offset + KvmSregs2.CR3);
    cr4 = memory.getLong(offset + KvmSregs2.CR4);
    cr8 = memory.getLong(offset + KvmSregs2.CR8);
    efer = memory.getLong(offset + KvmSregs2.EFER);
    apicBase = memory.getLong(offset + KvmSregs2.APIC_BASE);
    flags = memory.getLong(offset + KvmSregs2.FLAGS);
    readLongs(memory, offset + KvmSregs2.PDPTRS, pdptrs);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    cs.writeTo(memory, offset + KvmSregs2.CS);
    ds.writeTo(memory, offset + KvmSregs2.DS);
    es.writeTo(memory, offset + KvmSregs2.ES);
    fs.writeTo(memory, offset + KvmSregs2.FS);
    gs.writeTo(memory, offset + KvmSregs2.GS);
    ss.writeTo(memory, offset + KvmSregs2.SS);
    tr.writeTo(memory, offset + KvmSregs2.TR);
    ldt.writeTo(memory, offset + KvmSregs2.LDT);
    gdt.writeTo(memory, offset + KvmSregs2.GDT);
    idt.writeTo(memory, offset + KvmSregs2.IDT);
    memory.putLong(offset + KvmSregs2.CR0, cr0);
    memory.putLong(offset + KvmSregs2.CR2, cr2);
    memory.putLong(offset + KvmSregs2.CR3, cr3);
    memory.putLong(offset + KvmSregs2.CR4, cr4);
    memory.putLong(offset + KvmSregs2.CR8, cr8);
    memory.putLong(offset + KvmSregs2.EFER, efer);
    memory.putLong(offset + KvmSregs2.APIC_BASE, apicBase);
    memory.putLong(offset + KvmSregs2.FLAGS, flags);
    writeLongs(memory, offset + KvmSregs2.PDPTRS, pdptrs);
  }
}
