package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.kvm.module.irqchip.LocalApic;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.uapi.KvmDtable;
import org.kvm4j.kvm.uapi.KvmSegment;
import org.kvm4j.kvm.uapi.KvmSregs;
import org.kvm4j.kvm.uapi.KvmSregs2;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Segments, descriptor tables, control registers and EFER of a virtual CPU: KVM_GET_SREGS to
 * KVM_SET_SREGS2. Source: Linux 6.1 __get_sregs, __set_sregs_common. What may be set: {@link
 * SregsRules}.
 */
final class SystemRegisters {
  /** Segments in the order of struct kvm_sregs. */
  private static final int[] SEGMENTS = {
    Cpu.CS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS, Cpu.SS, Cpu.TR, Cpu.LDTR
  };

  private final VirtualCpu vcpu;
  private final UserSpace user;
  private final VendorVcpu vendor;
  private final Cpu cpu;
  private final Segment scratch = new Segment();

  SystemRegisters(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.user = vcpu.user();
    this.vendor = vcpu.vendor();
    this.cpu = vendor.cpu();
  }

  /** KVM_GET_SREGS. */
  int get(long argument) {
    ByteBuffer b = UserSpace.struct(KvmSregs.SIZEOF);
    get(b, 0);
    return out(argument, b);
  }

  /** KVM_SET_SREGS. */
  int set(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmSregs.SIZEOF);
    return b == null ? Results.EFAULT : set(b, 0);
  }

  private int out(long argument, ByteBuffer b) {
    return user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  private CpuModel model() {
    return vcpu.machine().model();
  }

  private void getSegment(ByteBuffer b, int at, int s) {
    vendor.segment(s, scratch);
    Segment d = scratch;
    boolean unusable = d.unusable();
    b.putLong(at + KvmSegment.BASE, d.base);
    b.putInt(at + KvmSegment.LIMIT, (int) d.limit);
    b.putShort(at + KvmSegment.SELECTOR, (short) d.selector);
    b.put(at + KvmSegment.TYPE, (byte) d.type());
    b.put(at + KvmSegment.PRESENT, (byte) (!unusable && (d.ar & Segment.P) != 0 ? 1 : 0));
    b.put(at + KvmSegment.DPL, (byte) d.dpl());
    b.put(at + KvmSegment.DB, bit(d.ar, Segment.DB));
    b.put(at + KvmSegment.S, bit(d.ar, Segment.S));
    b.put(at + KvmSegment.L, bit(d.ar, Segment.L));
    b.put(at + KvmSegment.G, bit(d.ar, Segment.G));
    b.put(at + KvmSegment.AVL, bit(d.ar, Segment.AVL));
    b.put(at + KvmSegment.UNUSABLE, (byte) (unusable ? 1 : 0));
  }

  private static byte bit(int word, int mask) {
    return (byte) ((word & mask) != 0 ? 1 : 0);
  }

  private void setSegment(ByteBuffer b, int at, int s) {
    int ar = b.get(at + KvmSegment.TYPE) & 15;
    ar |= (b.get(at + KvmSegment.S) & 1) << 4;
    ar |= (b.get(at + KvmSegment.DPL) & 3) << 5;
    boolean present = (b.get(at + KvmSegment.PRESENT) & 1) != 0;
    if (present) {
      ar |= Segment.P;
    }
    ar |= (b.get(at + KvmSegment.AVL) & 1) << 12;
    ar |= (b.get(at + KvmSegment.L) & 1) << 13;
    ar |= (b.get(at + KvmSegment.DB) & 1) << 14;
    ar |= (b.get(at + KvmSegment.G) & 1) << 15;
    if (b.get(at + KvmSegment.UNUSABLE) != 0 || !present) {
      ar |= Segment.UNUSABLE;
    }
    // The accessed bit of code and data cannot be clear in a usable segment of a running guest;
    // busy TSS.
    if (s == Cpu.TR && (ar & 15) == 9) {
      ar |= 2;
    } else if (s <= Cpu.GS && (ar & Segment.UNUSABLE) == 0 && s != Cpu.LDTR) {
      ar |= 1;
    }
    scratch.set(
        b.getShort(at + KvmSegment.SELECTOR) & 0xffff,
        b.getLong(at + KvmSegment.BASE),
        b.getInt(at + KvmSegment.LIMIT) & 0xffffffffL,
        ar);
    vendor.setSegment(s, scratch);
  }

  private void getCommon(ByteBuffer b, int at) {
    for (int i = 0; i < SEGMENTS.length; i++) {
      getSegment(b, at + i * KvmSegment.SIZEOF, SEGMENTS[i]);
    }
    b.putLong(at + KvmSregs.GDT + KvmDtable.BASE, vendor.gdtBase());
    b.putShort(at + KvmSregs.GDT + KvmDtable.LIMIT, (short) vendor.gdtLimit());
    b.putLong(at + KvmSregs.IDT + KvmDtable.BASE, vendor.idtBase());
    b.putShort(at + KvmSregs.IDT + KvmDtable.LIMIT, (short) vendor.idtLimit());
    b.putLong(at + KvmSregs.CR0, vendor.cr0());
    b.putLong(at + KvmSregs.CR2, cpu.cr2);
    b.putLong(at + KvmSregs.CR3, vendor.cr3());
    b.putLong(at + KvmSregs.CR4, vendor.cr4());
    b.putLong(at + KvmSregs.CR8, vcpu.cr8());
    b.putLong(at + KvmSregs.EFER, vendor.efer());
    b.putLong(at + KvmSregs.APIC_BASE, vcpu.interrupts.base());
  }

  void get(ByteBuffer b, int at) {
    getCommon(b, at);
    VcpuEvents e = vcpu.events;
    if (e.interruptInjected && !e.interruptSoft) {
      int word = at + KvmSregs.INTERRUPT_BITMAP + e.interrupt / 64 * 8;
      b.putLong(word, 1L << e.interrupt % 64);
    }
  }

  private int setCommon(ByteBuffer b, int at) {
    String broken = SregsRules.broken(b, at, model(), vcpu.cpuid.reservedCr4());
    if (!broken.isEmpty()) {
      return vcpu.refuse(broken);
    }
    long base = b.getLong(at + KvmSregs.APIC_BASE);
    if (!vcpu.interrupts.setBase(base, true)) {
      return vcpu.refuse(
          String.format(
              "IA32_APIC_BASE may not be 0x%x: reserved bits, or a mode of the local APIC that the"
                  + " vCPU does not have or cannot get into",
              base));
    }
    vendor.setIdt(
        b.getLong(at + KvmSregs.IDT + KvmDtable.BASE),
        b.getShort(at + KvmSregs.IDT + KvmDtable.LIMIT) & 0xffff);
    vendor.setGdt(
        b.getLong(at + KvmSregs.GDT + KvmDtable.BASE),
        b.getShort(at + KvmSregs.GDT + KvmDtable.LIMIT) & 0xffff);
    cpu.cr2 = b.getLong(at + KvmSregs.CR2);
    boolean flush =
        vendor.cr3() != b.getLong(at + KvmSregs.CR3)
            || vendor.cr0() != b.getLong(at + KvmSregs.CR0)
            || vendor.cr4() != b.getLong(at + KvmSregs.CR4)
            || vendor.efer() != b.getLong(at + KvmSregs.EFER);
    vendor.setCr3(b.getLong(at + KvmSregs.CR3));
    // Without a local APIC, kvm_run.cr8 rules; what does not fit is dropped as the kernel does.
    long cr8 = b.getLong(at + KvmSregs.CR8);
    if ((cr8 & ~15L) == 0) {
      vcpu.setCr8(cr8);
    }
    vendor.setEfer(b.getLong(at + KvmSregs.EFER) & VcpuMsrs.definedEfer(model()::has));
    vendor.setCr0(b.getLong(at + KvmSregs.CR0));
    vendor.setCr4(b.getLong(at + KvmSregs.CR4));
    for (int i = 0; i < SEGMENTS.length; i++) {
      setSegment(b, at + i * KvmSegment.SIZEOF, SEGMENTS[i]);
    }
    if (flush) {
      vendor.flushGuest();
    }
    if ((vcpu.interrupts.base() & LocalApic.BASE_BSP) != 0 && isAtReset()) {
      // User space that resets the processor need not wake it.
      vcpu.setMpState(Uapi.KVM_MP_STATE_RUNNABLE);
    }
    return 0;
  }

  private boolean isAtReset() {
    vendor.segment(Cpu.CS, scratch);
    return vendor.rip() == 0xfff0
        && scratch.selector == 0xf000
        && scratch.base == 0xffff0000L
        && (vendor.cr0() & ControlBits.CR0_PE) == 0;
  }

  private boolean paePaging() {
    return (vendor.cr0() & ControlBits.CR0_PG) != 0
        && (vendor.cr4() & ControlBits.CR4_PAE) != 0
        && (vendor.efer() & ControlBits.EFER_LMA) == 0;
  }

  int set(ByteBuffer b, int at) {
    int r = setCommon(b, at);
    if (r != 0) {
      return r;
    }
    if (paePaging()) {
      loadPdptes();
    }
    for (int i = 0; i < 4; i++) {
      long word = b.getLong(at + KvmSregs.INTERRUPT_BITMAP + i * 8);
      if (word != 0) {
        vcpu.events.queueInterrupt(i * 64 + Long.numberOfTrailingZeros(word));
        return 0;
      }
    }
    return 0;
  }

  /** The page-directory-pointer-table registers, from guest memory. */
  private void loadPdptes() {
    long table = vendor.cr3() & 0xffffffe0L;
    MemorySlot s = vcpu.vm.slots.at(table);
    ByteBuffer entries = s == null ? null : user.copyIn(s.hva(table), 32);
    for (int i = 0; i < 4; i++) {
      vendor.setPdpte(i, entries == null ? 0 : entries.getLong(i * 8));
    }
  }

  /** KVM_GET_SREGS2. */
  int get2(long argument) {
    ByteBuffer b = UserSpace.struct(KvmSregs2.SIZEOF);
    getCommon(b, 0);
    if (paePaging()) {
      // KVM_SREGS2_FLAGS_PDPTRS_VALID.
      b.putLong(KvmSregs2.FLAGS, 1);
      for (int i = 0; i < 4; i++) {
        b.putLong(KvmSregs2.PDPTRS + i * 8, vendor.pdpte(i));
      }
    }
    return out(argument, b);
  }

  /** KVM_SET_SREGS2. */
  int set2(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmSregs2.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    long flags = b.getLong(KvmSregs2.FLAGS);
    long cr0 = b.getLong(KvmSregs.CR0);
    long cr4 = b.getLong(KvmSregs.CR4);
    boolean pae =
        (cr0 & ControlBits.CR0_PG) != 0
            && (cr4 & ControlBits.CR4_PAE) != 0
            && (b.getLong(KvmSregs.EFER) & ControlBits.EFER_LMA) == 0;
    if ((flags & ~1L) != 0) {
      return vcpu.refuse(String.format("flags 0x%x are not known", flags));
    }
    if ((flags & 1) != 0 && !pae) {
      return vcpu.refuse(
          "KVM_SREGS2_FLAGS_PDPTRS_VALID is for PAE paging, which this state has not");
    }
    int r = setCommon(b, 0);
    if (r != 0) {
      return r;
    }
    if ((flags & 1) != 0) {
      for (int i = 0; i < 4; i++) {
        vendor.setPdpte(i, b.getLong(KvmSregs2.PDPTRS + i * 8));
      }
    } else if (paePaging()) {
      loadPdptes();
    }
    return 0;
  }
}
