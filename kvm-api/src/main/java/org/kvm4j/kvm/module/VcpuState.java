package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.*;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.StateComponent;
import org.kvm4j.cpu.semantics.ControlRegisters;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.kvm.module.irqchip.LocalApic;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.uapi.KvmCpuid;
import org.kvm4j.kvm.uapi.KvmCpuid2;
import org.kvm4j.kvm.uapi.KvmCpuidEntry;
import org.kvm4j.kvm.uapi.KvmCpuidEntry2;
import org.kvm4j.kvm.uapi.KvmDebugregs;
import org.kvm4j.kvm.uapi.KvmDeviceAttr;
import org.kvm4j.kvm.uapi.KvmDtable;
import org.kvm4j.kvm.uapi.KvmEnableCap;
import org.kvm4j.kvm.uapi.KvmFpu;
import org.kvm4j.kvm.uapi.KvmGuestDebug;
import org.kvm4j.kvm.uapi.KvmRegs;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.KvmSegment;
import org.kvm4j.kvm.uapi.KvmSregs;
import org.kvm4j.kvm.uapi.KvmSregs2;
import org.kvm4j.kvm.uapi.KvmSyncRegs;
import org.kvm4j.kvm.uapi.KvmTranslation;
import org.kvm4j.kvm.uapi.KvmVcpuEvents;
import org.kvm4j.kvm.uapi.KvmXcr;
import org.kvm4j.kvm.uapi.KvmXcrs;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * The ioctls of a virtual CPU that read and write its state. Source: Linux 6.1 kvm_vcpu_ioctl and
 * kvm_arch_vcpu_ioctl.
 */
final class VcpuState {
  private static final long LONG_MODE = ControlBits.EFER_LME | ControlBits.EFER_LMA;

  /** General registers in the order of struct kvm_regs. */
  private static final int[] REGS = {
    Cpu.RAX, Cpu.RBX, Cpu.RCX, Cpu.RDX, Cpu.RSI, Cpu.RDI, Cpu.RSP, Cpu.RBP, 8, 9, 10, 11, 12, 13,
    14, 15
  };

  /** Segments in the order of struct kvm_sregs. */
  private static final int[] SEGMENTS = {
    Cpu.CS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS, Cpu.SS, Cpu.TR, Cpu.LDTR
  };

  private final VirtualCpu vcpu;
  private final VmFile vm;
  private final UserSpace user;
  private final VendorVcpu vendor;
  private final Cpu cpu;
  private final ApicIoctls apicIoctls;
  private final Segment scratch = new Segment();

  VcpuState(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.vm = vcpu.vm;
    this.user = vcpu.user();
    this.vendor = vcpu.vendor();
    this.cpu = vendor.cpu();
    this.apicIoctls = new ApicIoctls(vcpu);
  }

  int ioctl(int request, long argument) {
    if (ApicIoctls.has(request)) {
      return apicIoctls.ioctl(request, argument);
    }
    switch (request) {
      case KVM_GET_REGS:
        {
          ByteBuffer b = UserSpace.struct(KvmRegs.SIZEOF);
          getRegs(b, 0);
          return out(argument, b);
        }
      case KVM_SET_REGS:
        {
          ByteBuffer b = user.copyIn(argument, KvmRegs.SIZEOF);
          if (b == null) {
            return Results.EFAULT;
          }
          setRegs(b, 0);
          return 0;
        }
      case KVM_GET_SREGS:
        {
          ByteBuffer b = UserSpace.struct(KvmSregs.SIZEOF);
          getSregs(b, 0);
          return out(argument, b);
        }
      case KVM_SET_SREGS:
        {
          ByteBuffer b = user.copyIn(argument, KvmSregs.SIZEOF);
          return b == null ? Results.EFAULT : setSregs(b, 0);
        }
      case KVM_GET_SREGS2:
        return getSregs2(argument);
      case KVM_SET_SREGS2:
        return setSregs2(argument);
      case KVM_GET_FPU:
        return getFpu(argument);
      case KVM_SET_FPU:
        return setFpu(argument);
      case KVM_GET_XSAVE:
      case KVM_GET_XSAVE2:
        {
          return out(argument, ByteBuffer.wrap(XsaveState.get(cpu)));
        }
      case KVM_SET_XSAVE:
        return setXsave(argument);
      case KVM_GET_XCRS:
        {
          ByteBuffer b = UserSpace.struct(KvmXcrs.SIZEOF);
          b.putInt(KvmXcrs.NR_XCRS, 1);
          b.putLong(KvmXcrs.XCRS + KvmXcr.VALUE, cpu.xcr0);
          return out(argument, b);
        }
      case KVM_SET_XCRS:
        return setXcrs(argument);
      case KVM_GET_DEBUGREGS:
        {
          ByteBuffer b = UserSpace.struct(KvmDebugregs.SIZEOF);
          for (int i = 0; i < 4; i++) {
            b.putLong(KvmDebugregs.DB + i * 8, vcpu.debug.guestDr(i));
          }
          b.putLong(KvmDebugregs.DR6, cpu.dr6);
          b.putLong(KvmDebugregs.DR7, vcpu.debug.guestDr7());
          return out(argument, b);
        }
      case KVM_SET_DEBUGREGS:
        return setDebugregs(argument);
      case KVM_GET_MSRS:
        return VcpuMsrs.copyMsrs(user, argument, (i, v) -> VcpuMsrs.read(vcpu, i, v, true));
      case KVM_SET_MSRS:
        return VcpuMsrs.setMsrs(user, argument, (i, v) -> VcpuMsrs.write(vcpu, i, v[0], true));
      case KVM_SET_CPUID2:
        return setCpuid2(argument);
      case KVM_GET_CPUID2:
        return getCpuid2(argument);
      case KVM_SET_CPUID:
        return setCpuid(argument);
      case KVM_GET_VCPU_EVENTS:
        {
          ByteBuffer b = UserSpace.struct(KvmVcpuEvents.SIZEOF);
          vcpu.events.get(b, 0, vm);
          return out(argument, b);
        }
      case KVM_SET_VCPU_EVENTS:
        {
          ByteBuffer b = user.copyIn(argument, KvmVcpuEvents.SIZEOF);
          return b == null ? Results.EFAULT : vcpu.events.set(b, 0, vm);
        }
      case KVM_TRANSLATE:
        return translate(argument);
      case KVM_SET_GUEST_DEBUG:
        {
          ByteBuffer b = user.copyIn(argument, KvmGuestDebug.SIZEOF);
          return b == null ? Results.EFAULT : vcpu.debug.set(b);
        }
      case KVM_SET_SIGNAL_MASK:
        return setSignalMask(argument);
      case KVM_GET_TSC_KHZ:
        return MachineClock.TSC_KHZ;
      case KVM_SET_TSC_KHZ:
        return argument == 0 || (int) argument == MachineClock.TSC_KHZ ? 0 : Results.EINVAL;
      case KVM_ENABLE_CAP:
        // The capabilities of a vCPU are Hyper-V's and paravirtual ones, which are not built.
        return user.copyIn(argument, KvmEnableCap.SIZEOF) == null ? Results.EFAULT : Results.EINVAL;
      case KVM_HAS_DEVICE_ATTR:
      case KVM_GET_DEVICE_ATTR:
      case KVM_SET_DEVICE_ATTR:
        return attribute(request, argument);
      case KVM_GET_STATS_FD:
        return vm.kernel.install(StatsFile.of(vcpu, user));
      default:
        return Results.EINVAL;
    }
  }

  private int out(long argument, ByteBuffer b) {
    return user.copyOut(argument, b) ? 0 : Results.EFAULT;
  }

  private CpuModel model() {
    return vcpu.machine().model();
  }

  boolean is64Bit() {
    if ((vendor.efer() & ControlBits.EFER_LMA) == 0) {
      return false;
    }
    vendor.segment(Cpu.CS, scratch);
    return (scratch.ar & Segment.L) != 0;
  }

  /** CS base plus RIP. */
  long linearRip() {
    long rip = vendor.rip();
    vendor.segment(Cpu.CS, scratch);
    if ((vendor.efer() & ControlBits.EFER_LMA) != 0 && (scratch.ar & Segment.L) != 0) {
      return rip;
    }
    return scratch.base + rip & 0xffffffffL;
  }

  int cpl() {
    if ((vendor.cr0() & ControlBits.CR0_PE) == 0) {
      return 0;
    }
    vendor.segment(Cpu.SS, scratch);
    return scratch.dpl();
  }

  // ---- registers ----

  private void getRegs(ByteBuffer b, int at) {
    for (int i = 0; i < REGS.length; i++) {
      b.putLong(at + i * 8, REGS[i] == Cpu.RSP ? vendor.rsp() : cpu.r[REGS[i]]);
    }
    b.putLong(at + KvmRegs.RIP, vendor.rip());
    b.putLong(at + KvmRegs.RFLAGS, vcpu.debug.rflags());
  }

  private void setRegs(ByteBuffer b, int at) {
    for (int i = 0; i < REGS.length; i++) {
      if (REGS[i] == Cpu.RSP) {
        vendor.setRsp(b.getLong(at + i * 8));
      } else {
        cpu.r[REGS[i]] = b.getLong(at + i * 8);
      }
    }
    vendor.setRip(b.getLong(at + KvmRegs.RIP));
    vcpu.debug.setRflags(b.getLong(at + KvmRegs.RFLAGS) | 2);
    vcpu.events.exceptionPending = false;
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

  private void getSregsCommon(ByteBuffer b, int at) {
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

  private void getSregs(ByteBuffer b, int at) {
    getSregsCommon(b, at);
    VcpuEvents e = vcpu.events;
    if (e.interruptInjected && !e.interruptSoft) {
      int word = at + KvmSregs.INTERRUPT_BITMAP + e.interrupt / 64 * 8;
      b.putLong(word, 1L << e.interrupt % 64);
    }
  }

  /** The rules of kvm_is_valid_sregs. */
  private boolean validSregs(ByteBuffer b, int at) {
    long cr0 = b.getLong(at + KvmSregs.CR0);
    long cr3 = b.getLong(at + KvmSregs.CR3);
    long cr4 = b.getLong(at + KvmSregs.CR4);
    long efer = b.getLong(at + KvmSregs.EFER);
    boolean paging = (cr0 & ControlBits.CR0_PG) != 0;
    if ((efer & ControlBits.EFER_LME) != 0 && paging) {
      if ((cr4 & ControlBits.CR4_PAE) == 0 || (efer & ControlBits.EFER_LMA) == 0) {
        return false;
      }
      if ((cr3 & -1L << model().physicalAddressBits()) != 0) {
        return false;
      }
    } else if ((efer & ControlBits.EFER_LMA) != 0 || b.get(at + KvmSregs.CS + KvmSegment.L) != 0) {
      return false;
    }
    if ((cr4 & (~ControlRegisters.cr4Defined(model()) | vcpu.cpuid.reservedCr4())) != 0) {
      return false;
    }
    // The kernel runs where there is long mode; a model of ours may lack it.
    if ((efer & LONG_MODE & ~VcpuMsrs.definedEfer(model()::has)) != 0) {
      return false;
    }
    if (cr0 >>> 32 != 0) {
      return false;
    }
    if (paging && (cr0 & ControlBits.CR0_PE) == 0) {
      return false;
    }
    return (cr0 & ControlBits.CR0_NW) == 0 || (cr0 & ControlBits.CR0_CD) != 0;
  }

  private int setSregsCommon(ByteBuffer b, int at) {
    if (!validSregs(b, at)) {
      return Results.EINVAL;
    }
    if (!vcpu.interrupts.setBase(b.getLong(at + KvmSregs.APIC_BASE), true)) {
      return Results.EINVAL;
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

  /**
   * INIT: caching, the states that XSAVE manages, the time-stamp counter and MSRs stay. SDM table
   * 10-1 "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT".
   */
  void init() {
    final long caching = vendor.cr0() & (ControlBits.CR0_CD | ControlBits.CR0_NW);
    final long pat = vendor.switchedMsr(VcpuMsrs.PAT);
    vendor.reset();
    vendor.setCr0(ControlBits.CR0_ET | caching);
    vendor.setSwitchedMsr(VcpuMsrs.PAT, pat);
    Arrays.fill(cpu.r, 0, 16, 0);
    VcpuCpuid.Entry version = vcpu.cpuid.find(1, 0);
    cpu.r[Cpu.RDX] = version == null ? 0x600 : version.eax & 0xffffffffL;
    for (int i = 0; i < 4; i++) {
      vcpu.debug.setGuestDr(i, 0);
    }
    vcpu.debug.setGuestDr7(0x400);
    vcpu.debug.setRflags(2);
    cpu.dr6 = 0xffff0ff0L;
    cpu.cr2 = 0;
  }

  /** A startup interrupt: execution begins at the start of a page. */
  void startUp(int vector) {
    vendor.segment(Cpu.CS, scratch);
    scratch.set(vector << 8, (long) vector << 12, scratch.limit, scratch.ar);
    vendor.setSegment(Cpu.CS, scratch);
    vendor.setRip(0);
  }

  private boolean paePaging() {
    return (vendor.cr0() & ControlBits.CR0_PG) != 0
        && (vendor.cr4() & ControlBits.CR4_PAE) != 0
        && (vendor.efer() & ControlBits.EFER_LMA) == 0;
  }

  private int setSregs(ByteBuffer b, int at) {
    int r = setSregsCommon(b, at);
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
    MemorySlot s = vm.slots.at(table);
    long hpa = s == null ? -1 : user.physical(s.hva(table), 32);
    for (int i = 0; i < 4; i++) {
      vendor.setPdpte(i, hpa < 0 ? 0 : user.memory().readLong(hpa + i * 8));
    }
  }

  private int getSregs2(long argument) {
    ByteBuffer b = UserSpace.struct(KvmSregs2.SIZEOF);
    getSregsCommon(b, 0);
    if (paePaging()) {
      // KVM_SREGS2_FLAGS_PDPTRS_VALID.
      b.putLong(KvmSregs2.FLAGS, 1);
      for (int i = 0; i < 4; i++) {
        b.putLong(KvmSregs2.PDPTRS + i * 8, vendor.pdpte(i));
      }
    }
    return out(argument, b);
  }

  private int setSregs2(long argument) {
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
    if ((flags & ~1L) != 0 || ((flags & 1) != 0 && !pae)) {
      return Results.EINVAL;
    }
    int r = setSregsCommon(b, 0);
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

  // ---- floating point ----

  private int getFpu(long argument) {
    ByteBuffer b = UserSpace.struct(KvmFpu.SIZEOF);
    ByteBuffer x = area();
    for (int i = 0; i < 8; i++) {
      b.put(KvmFpu.FPR + i * 16, cpu.xsaveArea, 32 + i * 16, 16);
    }
    b.putShort(KvmFpu.FCW, x.getShort(0));
    b.putShort(KvmFpu.FSW, x.getShort(2));
    b.put(KvmFpu.FTWX, x.get(4));
    b.putShort(KvmFpu.LAST_OPCODE, x.getShort(6));
    b.putLong(KvmFpu.LAST_IP, x.getLong(8));
    b.putLong(KvmFpu.LAST_DP, x.getLong(16));
    b.put(KvmFpu.XMM, cpu.xsaveArea, 160, 256);
    return out(argument, b);
  }

  private int setFpu(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmFpu.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    ByteBuffer x = area();
    x.put(32, b.array(), KvmFpu.FPR, 128);
    x.putShort(0, b.getShort(KvmFpu.FCW));
    x.putShort(2, b.getShort(KvmFpu.FSW));
    x.put(4, b.get(KvmFpu.FTWX));
    x.putShort(6, b.getShort(KvmFpu.LAST_OPCODE));
    x.putLong(8, b.getLong(KvmFpu.LAST_IP));
    x.putLong(16, b.getLong(KvmFpu.LAST_DP));
    x.put(160, b.array(), KvmFpu.XMM, 256);
    return 0;
  }

  private ByteBuffer area() {
    return ByteBuffer.wrap(cpu.xsaveArea).order(java.nio.ByteOrder.LITTLE_ENDIAN);
  }

  private int setXsave(long argument) {
    ByteBuffer b = user.copyIn(argument, StateComponent.AREA_SIZE);
    if (b == null) {
      return Results.EFAULT;
    }
    return XsaveState.set(cpu, b.array()) ? 0 : Results.EINVAL;
  }

  private int setXcrs(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmXcrs.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    int n = b.getInt(KvmXcrs.NR_XCRS);
    if (n < 0 || n > 16 || b.getInt(KvmXcrs.FLAGS) != 0) {
      return Results.EINVAL;
    }
    for (int i = 0; i < n; i++) {
      int at = KvmXcrs.XCRS + i * KvmXcr.SIZEOF;
      if (b.getInt(at + KvmXcr.XCR) == 0) {
        long value = b.getLong(at + KvmXcr.VALUE);
        if (!vcpu.cpuid.allowsXcr0(model(), value)) {
          return Results.EINVAL;
        }
        cpu.xcr0 = value;
        break;
      }
    }
    return 0;
  }

  private int setDebugregs(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmDebugregs.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    long dr6 = b.getLong(KvmDebugregs.DR6);
    long dr7 = b.getLong(KvmDebugregs.DR7);
    if (b.getLong(KvmDebugregs.FLAGS) != 0 || dr6 >>> 32 != 0 || dr7 >>> 32 != 0) {
      return Results.EINVAL;
    }
    for (int i = 0; i < 4; i++) {
      vcpu.debug.setGuestDr(i, b.getLong(KvmDebugregs.DB + i * 8));
    }
    cpu.dr6 = dr6;
    vcpu.debug.setGuestDr7(dr7);
    return 0;
  }

  // ---- CPUID ----

  private int setCpuid2(long argument) {
    ByteBuffer head = user.copyIn(argument, KvmCpuid2.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    int n = head.getInt(KvmCpuid2.NENT);
    if (Integer.compareUnsigned(n, VcpuCpuid.MAX_ENTRIES) > 0) {
      return Results.E2BIG;
    }
    ByteBuffer b = user.copyIn(argument + KvmCpuid2.SIZEOF, n * KvmCpuidEntry2.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    return install(VcpuCpuid.read(b, n));
  }

  private int setCpuid(long argument) {
    ByteBuffer head = user.copyIn(argument, KvmCpuid.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    int n = head.getInt(KvmCpuid.NENT);
    if (Integer.compareUnsigned(n, VcpuCpuid.MAX_ENTRIES) > 0) {
      return Results.E2BIG;
    }
    ByteBuffer b = user.copyIn(argument + KvmCpuid.SIZEOF, n * KvmCpuidEntry.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    VcpuCpuid.Entry[] entries = new VcpuCpuid.Entry[n];
    for (int i = 0; i < n; i++) {
      int at = i * KvmCpuidEntry.SIZEOF;
      VcpuCpuid.Entry e = new VcpuCpuid.Entry();
      e.function = b.getInt(at + KvmCpuidEntry.FUNCTION);
      e.eax = b.getInt(at + KvmCpuidEntry.EAX);
      e.ebx = b.getInt(at + KvmCpuidEntry.EBX);
      e.ecx = b.getInt(at + KvmCpuidEntry.ECX);
      e.edx = b.getInt(at + KvmCpuidEntry.EDX);
      entries[i] = e;
    }
    return install(entries);
  }

  /** After the first KVM_RUN only the same table again. */
  private int install(VcpuCpuid.Entry[] entries) {
    if (vcpu.hasRun) {
      VcpuCpuid.Entry[] now = vcpu.cpuid.entries();
      if (now.length != entries.length) {
        return Results.EINVAL;
      }
      for (int i = 0; i < now.length; i++) {
        if (!now[i].sameAs(entries[i])) {
          return Results.EINVAL;
        }
      }
      return 0;
    }
    vcpu.cpuid.set(entries);
    vendor.setReservedCr4(vcpu.cpuid.reservedCr4());
    vcpu.interrupts.setFeatures(vcpu.cpuid.hasX2apic(), vcpu.cpuid.hasTscDeadline());
    return 0;
  }

  private int getCpuid2(long argument) {
    ByteBuffer head = user.copyIn(argument, KvmCpuid2.SIZEOF);
    if (head == null) {
      return Results.EFAULT;
    }
    VcpuCpuid.Entry[] entries = vcpu.cpuid.entries();
    if (Integer.compareUnsigned(head.getInt(KvmCpuid2.NENT), entries.length) < 0) {
      return Results.E2BIG;
    }
    ByteBuffer b = UserSpace.struct(entries.length * KvmCpuidEntry2.SIZEOF);
    VcpuCpuid.write(entries, b, 0);
    if (!user.copyOut(argument + KvmCpuid2.SIZEOF, b)) {
      return Results.EFAULT;
    }
    head.putInt(KvmCpuid2.NENT, entries.length);
    return out(argument, head);
  }

  // ---- the rest ----

  private int translate(long argument) {
    ByteBuffer b = user.copyIn(argument, KvmTranslation.SIZEOF);
    if (b == null) {
      return Results.EFAULT;
    }
    long linear = b.getLong(KvmTranslation.LINEAR_ADDRESS);
    Translation t = new Translation();
    boolean valid = false;
    // Page tables that the guest has not touched yet are mapped on the way.
    for (int tries = 0; tries < 16; tries++) {
      valid =
          vcpu.usingTables(
              () -> vcpu.emulator().translate(vendor, vcpu.nestedPointer(), linear, t));
      if (valid || t.outcome == Translation.PAGE_FAULT) {
        break;
      }
      if (!t.pagingStructureAccess) {
        // The page itself is not mapped in the nested tables: the guest's own translation is good.
        valid = true;
        break;
      }
      if (vm.memory.fault(t.gpa, false) != NestedMemory.Fault.MAPPED) {
        break;
      }
    }
    b.putLong(KvmTranslation.PHYSICAL_ADDRESS, valid ? t.gpa : -1L);
    b.put(KvmTranslation.VALID, (byte) (valid ? 1 : 0));
    // As the kernel: always these.
    b.put(KvmTranslation.WRITEABLE, (byte) 1);
    b.put(KvmTranslation.USERMODE, (byte) 0);
    return out(argument, b);
  }

  private int setSignalMask(long argument) {
    if (argument == 0) {
      return 0;
    }
    ByteBuffer b = user.copyIn(argument, 4);
    if (b == null) {
      return Results.EFAULT;
    }
    if (b.getInt(0) != 8) {
      return Results.EINVAL;
    }
    // The only signal of this process is the kick, which its mask cannot name.
    return user.copyIn(argument + 4, 8) == null ? Results.EFAULT : 0;
  }

  /** KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET. */
  private int attribute(int request, long argument) {
    ByteBuffer a = user.copyIn(argument, KvmDeviceAttr.SIZEOF);
    if (a == null) {
      return Results.EFAULT;
    }
    if (a.getInt(KvmDeviceAttr.GROUP) != 0 || a.getLong(KvmDeviceAttr.ATTR) != 0) {
      return Results.ENXIO;
    }
    long address = a.getLong(KvmDeviceAttr.ADDR);
    switch (request) {
      case KVM_HAS_DEVICE_ATTR:
        return 0;
      case KVM_GET_DEVICE_ATTR:
        return out(address, UserSpace.struct(8).putLong(0, vcpu.tscOffset()));
      default:
        ByteBuffer b = user.copyIn(address, 8);
        if (b == null) {
          return Results.EFAULT;
        }
        vcpu.setTscOffset(b.getLong(0));
        return 0;
    }
  }

  // ---- KVM_CAP_SYNC_REGS ----

  int syncIn(long dirty) {
    ByteBuffer run = vcpu.run();
    int at = KvmRun.S_REGS;
    if ((dirty & 1) != 0) {
      setRegs(run, at + KvmSyncRegs.REGS);
    }
    if ((dirty & 2) != 0) {
      int r = setSregs(run, at + KvmSyncRegs.SREGS);
      if (r != 0) {
        return Results.EINVAL;
      }
    }
    if ((dirty & 4) != 0) {
      int r = vcpu.events.set(run, at + KvmSyncRegs.EVENTS, vm);
      if (r != 0) {
        return Results.EINVAL;
      }
    }
    return 0;
  }

  void syncOut(long valid) {
    ByteBuffer run = vcpu.run();
    int at = KvmRun.S_REGS;
    if ((valid & 1) != 0) {
      getRegs(run, at + KvmSyncRegs.REGS);
    }
    if ((valid & 2) != 0) {
      for (int i = 0; i < 32; i += 8) {
        run.putLong(at + KvmSyncRegs.SREGS + KvmSregs.INTERRUPT_BITMAP + i, 0);
      }
      getSregs(run, at + KvmSyncRegs.SREGS);
    }
    if ((valid & 4) != 0) {
      vcpu.events.get(run, at + KvmSyncRegs.EVENTS, vm);
    }
  }
}
