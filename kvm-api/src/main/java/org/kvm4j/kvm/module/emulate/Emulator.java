package org.kvm4j.kvm.module.emulate;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.CpuException;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Mmu;
import org.kvm4j.cpu.core.Msrs;
import org.kvm4j.cpu.core.NestedFault;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.decode.Decoder;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.cpu.decode.Opcode;
import org.kvm4j.cpu.engine.InstructionFetch;
import org.kvm4j.cpu.event.EventDelivery;
import org.kvm4j.cpu.msr.MsrTable;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.StateComponent;
import org.kvm4j.cpu.semantics.Handlers;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.Translation;
import org.kvm4j.ept.walk.WalkTrace;
import org.kvm4j.kvm.module.vendor.VendorVcpu;

/**
 * Emulates one guest instruction in software, with the processor model's own semantics: what
 * touches device memory, strings of port accesses, and what hardware hands over.
 *
 * <p>The instruction runs on a processor of the emulator's own, which is given the guest's state
 * and walks the guest's page tables and the nested ones. Device reads that user space has answered
 * are replayed; the first one that it has not ends the attempt, with nothing changed. Device writes
 * are collected, to be carried out when the instruction is done. A repeated string instruction
 * stops after each iteration that wrote to a device, with its registers as after that iteration.
 */
public final class Emulator {
  /** How an attempt ended. */
  public enum Outcome {
    /** Done, or one or more iterations of it: state is written back; see the collected writes. */
    DONE,
    /** A device read is needed: {@link #accessAddress} and {@link #accessSize}. */
    DEVICE_READ,
    /** Port input is needed: {@link #accessAddress}, {@link #accessSize}, {@link #accessCount}. */
    PORT_IN,
    /** The instruction raised an exception, in {@link #vector} and the fields beside it. */
    EXCEPTION,
    /** Guest-physical memory at {@link #accessAddress} has to be mapped first. */
    NOT_MAPPED,
    /** It cannot be emulated: code from device memory, or no such instruction. */
    UNHANDLEABLE
  }

  /** What an attempt lacked that could not be finished. */
  public enum Lack {
    /** Something else than memory. */
    NOTHING,
    /** The code at {@link #faultLinear}. */
    CODE,
    /** The data at {@link #faultLinear}. */
    DATA
  }

  /** Which guest-physical addresses are devices, not memory. */
  public interface Devices {
    /**
     * Whether nothing but a device can be at the address: no slot, or a write to a read-only one.
     */
    boolean claims(long gpa, boolean write);
  }

  /** The last of the three bytes of VMCALL. */
  public static final int VMCALL = 0xc1;

  /** The last of the three bytes of VMMCALL. */
  public static final int VMMCALL = 0xd9;

  private final PhysicalMemory memory;
  private final Cpu cpu;
  private final Decoder decoder;
  private final Devices devices;
  private final Ports ports = new Ports();

  private final DeviceAccesses accesses = new DeviceAccesses();

  public long accessAddress;
  public int accessSize;
  public int accessCount;

  public boolean accessWrite;

  private Lack lack = Lack.NOTHING;
  private long faultLinear;

  public int vector;
  public boolean hasErrorCode;
  public int errorCode;
  public long payload;

  private final byte[] bytes = new byte[15];
  private int byteCount;
  private @Nullable Instruction current;

  /** Thrown to give up an attempt. */
  private static final class Pending extends RuntimeException {
    private static final long serialVersionUID = 1;
    final Outcome outcome;

    Pending(Outcome outcome) {
      super(outcome.name(), null, false, false);
      this.outcome = outcome;
    }
  }

  private static final Pending NEED_READ = new Pending(Outcome.DEVICE_READ);
  private static final Pending NEED_PORT = new Pending(Outcome.PORT_IN);
  private static final Pending TOO_MANY = new Pending(Outcome.UNHANDLEABLE);

  public Emulator(CpuModel model, PhysicalMemory memory, Devices devices) {
    this.devices = devices;
    this.memory = memory;
    this.cpu = new Cpu(model, memory, ports);
    this.decoder = new Decoder(model.features());
    cpu.mmu.devices = new DeviceView();
    cpu.mmu.codeWrites = memory::notifyCodeWrite;
  }

  // ---- reads answered, writes collected ----

  /** What the instruction reads of devices and writes to them. */
  public DeviceAccesses accesses() {
    return accesses;
  }

  /** The instruction's bytes that were fetched. */
  public byte[] instructionBytes() {
    return java.util.Arrays.copyOf(bytes, byteCount);
  }

  private void collect(boolean port, long address, int size, long value) {
    if (!accesses.write(port, address, size, value)) {
      throw TOO_MANY;
    }
    // A repeated string instruction stops before its next iteration.
    cpu.attention = 1;
  }

  /** The memory that is not memory. */
  private final class DeviceView implements Mmu.DeviceMemory {
    @Override
    public boolean claims(long gpa, boolean write) {
      return devices.claims(gpa, write);
    }

    @Override
    public long read(long gpa, int size) {
      if (accesses.hasAnswer()) {
        cpu.attention = 1;
        return accesses.next();
      }
      accessAddress = gpa;
      accessSize = size;
      throw NEED_READ;
    }

    @Override
    public void write(long gpa, int size, long value) {
      collect(false, gpa, size, value);
    }
  }

  private final class Ports implements Platform {
    @Override
    public int portRead(int port, int size) {
      if (accesses.hasAnswer()) {
        if (accesses.isLast()) {
          cpu.attention = 1;
        }
        return (int) accesses.next();
      }
      accessAddress = port;
      accessSize = size;
      throw NEED_PORT;
    }

    @Override
    public void portWrite(int port, int size, int value) {
      collect(true, port, size, value & 0xffffffffL);
    }

    @Override
    public long deviceRead(long hpa, int size) {
      return -1;
    }

    @Override
    public void deviceWrite(long hpa, int size, long value) {}

    @Override
    public long tsc() {
      return 0;
    }

    @Override
    public long nanoTime() {
      return 0;
    }

    @Override
    public long random() {
      return 0;
    }

    @Override
    public int acknowledgeInterrupt() {
      return -1;
    }

    @Override
    public void taskPriorityChanged(int cr8) {}
  }

  // ---- one attempt ----

  /**
   * Emulates the instruction at the guest's RIP.
   *
   * @param v the guest's state; changed only by {@link Outcome#DONE}
   * @param nestedRoot EPTP of the guest
   */
  public Outcome emulate(VendorVcpu v, long nestedRoot) {
    load(v, nestedRoot);
    accesses.begin();
    byteCount = 0;
    cpu.attention = 0;
    cpu.repeating = false;
    cpu.left = false;
    lack = Lack.NOTHING;
    long rip = cpu.rip;
    int flags = cpu.flagsRest;
    try {
      Instruction i = decoder.decode(new Fetch(rip), cpu.codeSize);
      current = i;
      if (i.opcode == Opcode.TOO_LONG) {
        throw cpu.gp(0);
      }
      cpu.instructionRip = rip;
      cpu.rip = rip + i.length & cpu.ripMask;
      Handlers.of(i.opcode).execute(cpu, i);
      if (cpu.repeating) {
        // What an interrupt between two iterations pushes. SDM Vol. 3, "Instruction-Breakpoint
        // Exception Condition".
        cpu.flagsRest |= Flags.RF;
      } else {
        cpu.flagsRest &= ~Flags.RF;
      }
      if ((flags & Flags.TF) != 0) {
        cpu.pendingDebug |= 1 << 14;
      }
      store(v);
      accesses.clear();
      return Outcome.DONE;
    } catch (Pending p) {
      if (p.outcome != Outcome.UNHANDLEABLE && progressed(v)) {
        // Iterations before this one are done; what is pending belongs to the next.
        cpu.rip = rip;
        store(v);
        accesses.clear();
        return Outcome.DONE;
      }
      // Nothing was carried out: writes collected so far come again with the next attempt.
      Instruction i = current;
      if (p.outcome == Outcome.PORT_IN && i != null) {
        accessCount = portCount(i);
      }
      return p.outcome;
    } catch (CpuException e) {
      if (progressed(v)) {
        cpu.rip = rip;
        store(v);
        accesses.clear();
        return Outcome.DONE;
      }
      return raised(e);
    } catch (NestedFault e) {
      Translation t = e.translation;
      accessAddress = t.gpa;
      accessWrite = (t.qualification & 2) != 0;
      faultLinear = e.linear;
      lack = current == null ? Lack.CODE : Lack.DATA;
      if (current == null && devices.claims(t.gpa, false)) {
        return Outcome.UNHANDLEABLE;
      }
      if (t.outcome == Translation.EPT_MISCONFIGURATION) {
        return Outcome.UNHANDLEABLE;
      }
      return devices.claims(t.gpa, accessWrite) ? Outcome.UNHANDLEABLE : Outcome.NOT_MAPPED;
    } finally {
      current = null;
    }
  }

  /**
   * Delivers an event whose delivery the hardware left to the hypervisor: a task gate.
   *
   * @param type as in the VM-entry interruption-information field
   */
  public Outcome deliver(
      VendorVcpu v,
      long nestedRoot,
      int type,
      int eventVector,
      boolean eventHasErrorCode,
      int eventErrorCode,
      int length) {
    load(v, nestedRoot);
    accesses.begin();
    byteCount = 0;
    cpu.left = false;
    lack = Lack.NOTHING;
    try {
      EventDelivery.inject(cpu, type, eventVector, eventHasErrorCode, eventErrorCode, length);
      if (cpu.left) {
        return Outcome.UNHANDLEABLE;
      }
      store(v);
      return Outcome.DONE;
    } catch (NestedFault e) {
      accessAddress = e.translation.gpa;
      accessWrite = (e.translation.qualification & 2) != 0;
      faultLinear = e.linear;
      lack = Lack.DATA;
      return Outcome.NOT_MAPPED;
    }
  }

  /**
   * The last byte of the hypercall instruction at the guest's RIP: {@link #VMCALL} or {@link
   * #VMMCALL}; -1 if there is neither.
   */
  public int hypercall(VendorVcpu v, long nestedRoot) {
    load(v, nestedRoot);
    byteCount = 0;
    try {
      Fetch fetch = new Fetch(cpu.rip);
      if (fetch.nextByte() != 0x0f || fetch.nextByte() != 0x01) {
        return -1;
      }
      int last = fetch.nextByte();
      return last == VMCALL || last == VMMCALL ? last : -1;
    } catch (CpuException | NestedFault e) {
      return -1;
    }
  }

  /** Puts a hypercall instruction at the guest's RIP, as the guest's own store would. */
  public Outcome putHypercall(VendorVcpu v, long nestedRoot, int last) {
    load(v, nestedRoot);
    accesses.begin();
    byteCount = 0;
    long linear = cpu.codeSize == 8 ? cpu.rip : cpu.seg[Cpu.CS].base + cpu.rip & 0xffffffffL;
    try {
      cpu.mmu.write16(linear, 0x010f);
      cpu.mmu.write8(linear + 2, last);
      return Outcome.DONE;
    } catch (CpuException e) {
      return raised(e);
    } catch (NestedFault e) {
      accessAddress = e.translation.gpa;
      accessWrite = true;
      return devices.claims(accessAddress, true) ? Outcome.UNHANDLEABLE : Outcome.NOT_MAPPED;
    }
  }

  private Outcome raised(CpuException e) {
    vector = e.vector;
    hasErrorCode = e.hasErrorCode;
    errorCode = e.errorCode;
    payload = e.payload;
    return Outcome.EXCEPTION;
  }

  /** Translates a linear address of the guest for CPL 0, without any effect. */
  public boolean translate(VendorVcpu v, long nestedRoot, long linear, Translation out) {
    load(v, nestedRoot);
    return cpu.mmu.inspect(linear, 0, out);
  }

  /**
   * Why an access met no memory that it could use, for people: one line.
   *
   * @param linear the guest-linear address of the access
   * @param gpa where it failed: the guest-physical address of that, or of a paging-structure entry
   * @param fetch whether it was to be executed
   */
  public String explain(VendorVcpu v, long nestedRoot, long linear, long gpa, boolean fetch) {
    load(v, nestedRoot);
    WalkTrace walk =
        WalkTrace.of(memory, cpu.mmu.context, linear, fetch ? Access.FETCH : Access.READ);
    String there =
        devices.claims(gpa, false) ? ", where no memory slot is" : ", in a read-only memory slot";
    if (walk.unreadableAt() != gpa) {
      return walk.result().gpa >>> 12 == gpa >>> 12
          ? String.format(
              "%s at linear 0x%x is gpa 0x%x%s", fetch ? "code" : "data", linear, gpa, there)
          : String.format(
              "the walk of linear 0x%x from CR3 0x%x has to write gpa 0x%x%s",
              linear, cpu.cr3, gpa, there);
    }
    StringBuilder text = new StringBuilder();
    text.append(String.format("the walk of linear 0x%x from CR3 0x%x", linear, cpu.cr3));
    for (WalkTrace.Step step : walk.steps()) {
      if (step.dimension() == WalkTrace.Dimension.GUEST) {
        text.append(
            String.format(", %s at gpa 0x%x = 0x%x", step.name(), step.address(), step.value()));
      }
    }
    return text.append(" comes to a ").append(walk.unreadable()).append(there).toString();
  }

  /** The guest-linear address whose access ended the last attempt for want of memory. */
  public long faultLinear() {
    return faultLinear;
  }

  /** What the last attempt that could not be finished lacked. */
  public Lack lack() {
    return lack;
  }

  /** Whether a repeated string instruction has done some iterations already. */
  private boolean progressed(VendorVcpu v) {
    Instruction i = current;
    return i != null && i.isString && (i.rep || i.repne) && cpu.r[Cpu.RCX] != v.cpu().r[Cpu.RCX];
  }

  /**
   * How many elements of INS to ask user space for at once: what is left of the count, of the page
   * and of the buffer. Linux 6.1, em_in and pio_in_emulated.
   */
  private int portCount(Instruction i) {
    if (!i.isString || !i.rep) {
      return 1;
    }
    int size = accessSize;
    long mask = i.addressSize == 8 ? -1L : i.addressSize == 4 ? 0xffffffffL : 0xffffL;
    long count = cpu.r[Cpu.RCX] & mask;
    long rdi = cpu.r[Cpu.RDI] & mask;
    boolean down = (cpu.flagsRest & Flags.DF) != 0;
    long inPage = down ? rdi & 0xfff : 4096 - (rdi & 0xfff);
    long n = Math.min(Math.min(count, inPage / size), 1024 / size);
    return (int) Math.max(1, n);
  }

  /** Keeps the bytes that it fetches, for user space if the instruction cannot be emulated. */
  private final class Fetch extends InstructionFetch {
    Fetch(long rip) {
      super(cpu, rip);
    }

    @Override
    public int nextByte() {
      int b = super.nextByte();
      if (byteCount < bytes.length) {
        bytes[byteCount++] = (byte) b;
      }
      return b;
    }
  }

  // ---- the guest's state ----

  /**
   * Bytes of x87, SSE and AVX state, which no VMCS holds: FSTP to a device is an instruction too.
   */
  private static final int EXTENDED_STATE = StateComponent.AVX.offset + StateComponent.AVX.size;

  private void load(VendorVcpu v, long nestedRoot) {
    Cpu g = v.cpu();
    System.arraycopy(g.r, 0, cpu.r, 0, 16);
    cpu.r[Cpu.RSP] = v.rsp();
    cpu.rip = v.rip();
    cpu.setRflags(v.rflags());
    for (int s = Cpu.ES; s <= Cpu.TR; s++) {
      v.segment(s, cpu.seg[s]);
    }
    cpu.gdtBase = v.gdtBase();
    cpu.gdtLimit = v.gdtLimit();
    cpu.idtBase = v.idtBase();
    cpu.idtLimit = v.idtLimit();
    cpu.cr0 = v.cr0();
    cpu.cr3 = v.cr3();
    cpu.cr4 = v.cr4();
    cpu.efer = v.efer();
    System.arraycopy(g.xsaveArea, 0, cpu.xsaveArea, 0, EXTENDED_STATE);
    cpu.xcr0 = g.xcr0;
    cpu.pkru = g.pkru;
    cpu.pkrs = g.pkrs;
    loadCet(v);
    cpu.cpl = cpu.seg[Cpu.SS].dpl();
    if ((cpu.cr0 & 1) == 0) {
      cpu.cpl = 0;
    }
    cpu.shadow = v.interruptShadow();
    cpu.pendingDebug = 0;
    cpu.activity = Cpu.ACTIVE;
    cpu.dr7 = 0x400;
    for (int i = 0; i < 4; i++) {
      cpu.mmu.context.pdpte[i] = v.pdpte(i);
    }
    cpu.mmu.context.eptp = nestedRoot;
    cpu.mmu.vpid = 1;
    cpu.updateMode();
    cpu.mmu.flushAll();
  }

  /** Calls push on shadow stacks, and indirect branches are tracked, whoever carries them out. */
  private void loadCet(VendorVcpu v) {
    if ((cpu.cr4 & ControlBits.CR4_CET) == 0) {
      return;
    }
    Msrs to = cpu.msr;
    Msrs from = v.cpu().msr;
    to.uCet = from.uCet;
    to.sCet = v.switchedMsr(MsrTable.IA32_S_CET);
    to.interruptSspTable = v.switchedMsr(MsrTable.IA32_INTERRUPT_SSP_TABLE_ADDR);
    System.arraycopy(from.plSsp, 0, to.plSsp, 0, to.plSsp.length);
    cpu.ssp = v.ssp();
  }

  private void storeCet(VendorVcpu v) {
    if ((cpu.cr4 & ControlBits.CR4_CET) == 0) {
      return;
    }
    Msrs to = v.cpu().msr;
    Msrs from = cpu.msr;
    to.uCet = from.uCet;
    v.setSwitchedMsr(MsrTable.IA32_S_CET, from.sCet);
    System.arraycopy(from.plSsp, 0, to.plSsp, 0, to.plSsp.length);
    v.setSsp(cpu.ssp);
  }

  private void store(VendorVcpu v) {
    Cpu g = v.cpu();
    for (int i = 0; i < 16; i++) {
      if (i != Cpu.RSP) {
        g.r[i] = cpu.r[i];
      }
    }
    System.arraycopy(cpu.xsaveArea, 0, g.xsaveArea, 0, EXTENDED_STATE);
    g.pkru = cpu.pkru;
    storeCet(v);
    v.setRsp(cpu.r[Cpu.RSP]);
    v.setRip(cpu.rip);
    v.setRflags(cpu.rflags());
    Segment s = scratch;
    for (int k = Cpu.ES; k <= Cpu.GS; k++) {
      v.segment(k, s);
      Segment now = cpu.seg[k];
      if (s.selector != now.selector
          || s.base != now.base
          || s.limit != now.limit
          || s.ar != now.ar) {
        v.setSegment(k, now);
      }
    }
    for (int k = Cpu.LDTR; k <= Cpu.TR; k++) {
      v.segment(k, s);
      Segment now = cpu.seg[k];
      if (s.selector != now.selector || s.base != now.base || s.ar != now.ar) {
        v.setSegment(k, now);
      }
    }
    storeControl(v);
    v.setInterruptShadow(0);
    if (cpu.pendingDebug != 0) {
      v.setPendingDebug(v.pendingDebug() | cpu.pendingDebug);
    }
  }

  /** Control registers, if the instruction changed them, with the guest's translations dropped. */
  private void storeControl(VendorVcpu v) {
    boolean changed = false;
    if (cpu.efer != v.efer()) {
      v.setEfer(cpu.efer);
      changed = true;
    }
    if (cpu.cr0 != v.cr0()) {
      v.setCr0(cpu.cr0);
      changed = true;
    }
    if (cpu.cr4 != v.cr4()) {
      v.setCr4(cpu.cr4);
      changed = true;
    }
    if (cpu.cr3 != v.cr3()) {
      v.setCr3(cpu.cr3);
      changed = true;
    }
    if (changed) {
      for (int i = 0; i < 4; i++) {
        v.setPdpte(i, cpu.mmu.context.pdpte[i]);
      }
      v.flushGuest();
    }
  }

  private final Segment scratch = new Segment();
}
