package org.kvm4j.kvm;

import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.KvmSregs;
import org.kvm4j.kvm.uapi.StructLayout;

/** The segment, control and system registers, {@code struct kvm_sregs}. */
public final class Sregs extends UapiStruct {

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

  /** At most one bit: the external interrupt that is acknowledged but not yet injected. */
  public final long[] interruptBitmap = new long[4];

  @Override
  public StructLayout layout() {
    return KvmSregs.LAYOUT;
  }

  @Override
  public void readFrom(UserMemory memory, long offset) {
    cs.readFrom(memory, offset + KvmSregs.CS);
    ds.readFrom(memory, offset + KvmSregs.DS);
    es.readFrom(memory, offset + KvmSregs.ES);
    fs.readFrom(memory, offset + KvmSregs.FS);
    gs.readFrom(memory, offset + KvmSregs.GS);
    ss.readFrom(memory, offset + KvmSregs.SS);
    tr.readFrom(memory, offset + KvmSregs.TR);
    ldt.readFrom(memory, offset + KvmSregs.LDT);
    gdt.readFrom(memory, offset + KvmSregs.GDT);
    idt.readFrom(memory, offset + KvmSregs.IDT);
    cr0 = memory.getLong(offset + KvmSregs.CR0);
    cr2 = memory.getLong(offset + KvmSregs.CR2);
    cr3 = memory.getLong(offset + KvmSregs.CR3);
    cr4 = memory.getLong(offset + KvmSregs.CR4);
    cr8 = memory.getLong(offset + KvmSregs.CR8);
    efer = memory.getLong(offset + KvmSregs.EFER);
    apicBase = memory.getLong(offset + KvmSregs.APIC_BASE);
    readLongs(memory, offset + KvmSregs.INTERRUPT_BITMAP, interruptBitmap);
  }

  @Override
  public void writeTo(UserMemory memory, long offset) {
    cs.writeTo(memory, offset + KvmSregs.CS);
    ds.writeTo(memory, offset + KvmSregs.DS);
    es.writeTo(memory, offset + KvmSregs.ES);
    fs.writeTo(memory, offset + KvmSregs.FS);
    gs.writeTo(memory, offset + KvmSregs.GS);
    ss.writeTo(memory, offset + KvmSregs.SS);
    tr.writeTo(memory, offset + KvmSregs.TR);
    ldt.writeTo(memory, offset + KvmSregs.LDT);
    gdt.writeTo(memory, offset + KvmSregs.GDT);
    idt.writeTo(memory, offset + KvmSregs.IDT);
    memory.putLong(offset + KvmSregs.CR0, cr0);
    memory.putLong(offset + KvmSregs.CR2, cr2);
    memory.putLong(offset + KvmSregs.CR3, cr3);
    memory.putLong(offset + KvmSregs.CR4, cr4);
    memory.putLong(offset + KvmSregs.CR8, cr8);
    memory.putLong(offset + KvmSregs.EFER, efer);
    memory.putLong(offset + KvmSregs.APIC_BASE, apicBase);
    writeLongs(memory, offset + KvmSregs.INTERRUPT_BITMAP, interruptBitmap);
  }
}
