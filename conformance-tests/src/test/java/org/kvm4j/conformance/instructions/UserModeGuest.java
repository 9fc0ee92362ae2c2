package org.kvm4j.conformance.instructions;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;
import org.kvm4j.conformance.instructions.Vectors.Form;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;

/**
 * A guest of either kernel that runs code in 64-bit mode at CPL 3, in the pages that the recorder
 * had. The code ends with a store to device memory, and so does every exception's handler.
 */
final class UserModeGuest implements AutoCloseable {
  private static final int USER_PAGE = 7;
  private static final int KERNEL_PAGE = 3;
  private static final int TABLES = 0x100000;
  private static final int GDT = 0x108000;
  private static final int IDT = 0x109000;
  private static final int TSS = 0x10a000;
  private static final int HANDLERS = 0x10b000;
  private static final int STACK = 0x10c000;
  private static final int STACK_TOP = STACK + 0x1000;

  /** Where device memory is, and its linear address. */
  private static final long DEVICE = 0xfe000000L;

  private static final int DEVICE_LINEAR = 0x40000;
  private static final int DONE = 0xfff;

  private static final int KERNEL_CODE = 0x08;
  private static final int KERNEL_DATA = 0x10;
  private static final int USER_DATA = 0x2b;
  private static final int USER_CODE = 0x33;
  private static final int TASK = 0x40;

  /** Of the exceptions that there are. */
  private static final int VECTORS = 32;

  private static final int WITH_ERROR_CODE = 1 << 8 | 0x1f << 10 | 1 << 17 | 1 << 21 | 3 << 29;

  private final Kernel kernel;
  private final Kvm kvm;
  private final Vm vm;
  private final GuestMemory memory;
  private final Vcpu vcpu;
  private final Sregs userMode;
  private final long code;
  private final long window;
  private int length;
  private boolean leftUserMode = true;

  UserModeGuest(Kernel kernel, Vectors vectors) {
    this.kernel = kernel;
    code = vectors.code;
    window = vectors.window;
    kvm = Kvm.open(kernel);
    vm = kvm.createVm();
    memory = new GuestMemory(vm);
    memory.add(0, 0, 0x200000, 0);
    tables();
    vcpu = vm.createVcpu(0);
    vcpu.setCpuid2(kvm.getSupportedCpuid());
    userMode = vcpu.getSregs();
    registers(userMode);
  }

  private void tables() {
    memory.putLong(TABLES, TABLES + 0x1000 | USER_PAGE);
    memory.putLong(TABLES + 0x1000, TABLES + 0x2000 | USER_PAGE);
    memory.putLong(TABLES + 0x2000, TABLES + 0x3000 | USER_PAGE);
    long data = window & ~0xfffL;
    for (long page : new long[] {code, data, data + 0x1000}) {
      page(page, page | USER_PAGE);
    }
    page(DEVICE_LINEAR, DEVICE | USER_PAGE);
    for (int page : new int[] {GDT, IDT, TSS, HANDLERS, STACK}) {
      page(page, page | KERNEL_PAGE);
    }
    memory.putLong(GDT + KERNEL_CODE, 0x00af9b000000ffffL);
    memory.putLong(GDT + KERNEL_DATA, 0x00cf93000000ffffL);
    memory.putLong(GDT + (USER_DATA & ~7), 0x00cff3000000ffffL);
    memory.putLong(GDT + (USER_CODE & ~7), 0x00affb000000ffffL);
    memory.putLong(GDT + TASK, 0x67L | (TSS & 0xffffffL) << 16 | 0x8bL << 40);
    memory.putLong(TSS + 4, STACK_TOP);
    memory.putShort(TSS + 0x66, (short) 0x68);
    for (int v = 0; v < VECTORS; v++) {
      int handler = HANDLERS + v * 16;
      // #BP and #OF may come from CPL 3; the others do as faults.
      long type = v == 3 || v == 4 ? 0xeeL : 0x8eL;
      memory.putLong(
          IDT + v * 16L,
          (handler & 0xffff) | (KERNEL_CODE << 16) | (type << 40) | ((long) (handler >> 16) << 48));
      memory.putLong(IDT + v * 16L + 8, 0);
      memory.write(handler, store(v));
    }
  }

  private void page(long linear, long entry) {
    memory.putLong(TABLES + 0x3000 + (linear >> 12) * 8, entry);
  }

  /** movb $0, [device + offset], which changes no register and no flag. */
  private static byte[] store(int offset) {
    int a = DEVICE_LINEAR + offset;
    return new byte[] {
      (byte) 0xc6, 0x04, 0x25, (byte) a, (byte) (a >> 8), (byte) (a >> 16), (byte) (a >> 24), 0
    };
  }

  private void registers(Sregs s) {
    segment(s.cs, USER_CODE, 11, 0);
    s.cs.l = 1;
    s.cs.db = 0;
    segment(s.ss, USER_DATA, 3, 0);
    segment(s.ds, USER_DATA, 3, 0);
    segment(s.es, USER_DATA, 3, 0);
    segment(s.fs, USER_DATA, 3, 0);
    segment(s.gs, USER_DATA, 3, window);
    segment(s.tr, TASK, 11, TSS);
    s.tr.s = 0;
    s.tr.dpl = 0;
    s.tr.g = 0;
    s.tr.db = 0;
    s.tr.limit = 0x67;
    s.gdt.base = GDT;
    s.gdt.limit = 0x4f;
    s.idt.base = IDT;
    s.idt.limit = VECTORS * 16 - 1;
    s.cr0 = 0x80050033L; // PG, AM, WP, NE, ET, MP, PE
    s.cr3 = TABLES;
    s.cr4 = 0x620; // PAE, OSFXSR, OSXMMEXCPT
    s.efer = 0xd01; // NXE, LMA, LME, SCE
  }

  private static void segment(Segment s, int selector, int type, long base) {
    s.base = base;
    s.limit = 0xffffffff;
    s.selector = selector;
    s.type = type;
    s.present = 1;
    s.dpl = 3;
    s.db = 1;
    s.s = 1;
    s.l = 0;
    s.g = 1;
    s.unusable = 0;
  }

  /** Puts code where {@link #run} runs it. */
  void load(Form form) {
    length = form.code().length;
    byte[] all = Arrays.copyOf(form.code(), length + 8);
    System.arraycopy(store(DONE), 0, all, length, 8);
    memory.write(code, all);
  }

  /**
   * Runs what was loaded to its end or an exception.
   *
   * @return null if the guest left in another way: see {@link #lastExit}
   */
  @Nullable State run(State before) {
    if (leftUserMode) {
      vcpu.setSregs(userMode);
      leftUserMode = false;
    }
    memory.write(window & ~0xfffL, new byte[0x2000]);
    memory.write(window, before.memory);
    Regs regs = new Regs();
    regs.rax = before.r[0];
    regs.rcx = before.r[1];
    regs.rdx = before.r[2];
    regs.rbx = before.r[3];
    regs.rsp = before.r[4];
    regs.rbp = before.r[5];
    regs.rsi = before.r[6];
    regs.rdi = before.r[7];
    regs.r8 = before.r[8];
    regs.r9 = before.r[9];
    regs.r10 = before.r[10];
    regs.r11 = before.r[11];
    regs.r12 = before.r[12];
    regs.r13 = before.r[13];
    regs.r14 = before.r[14];
    regs.r15 = before.r[15];
    regs.rflags = before.flags;
    regs.rip = before.rip;
    vcpu.setRegs(regs);
    lastExit = vcpu.run();
    if (!(lastExit instanceof Exit.MmioWrite)) {
      leftUserMode = true;
      return null;
    }
    int offset = (int) (((Exit.MmioWrite) lastExit).address() - DEVICE);
    vcpu.getRegs(regs);
    State after = new State(new byte[before.memory.length]);
    long[] r = {
      regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi,
      regs.r8, regs.r9, regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15
    };
    System.arraycopy(r, 0, after.r, 0, 16);
    if (offset == DONE) {
      after.flags = (int) regs.rflags;
      // A backend may leave before or after the store; that is not what is tested here.
      after.rip = code + length;
    } else {
      leftUserMode = true;
      after.exception = offset;
      long frame = regs.rsp + ((WITH_ERROR_CODE >> offset & 1) != 0 ? 8 : 0);
      after.rip = memory.getLong(frame);
      after.flags = (int) memory.getLong(frame + 16);
      after.r[4] = memory.getLong(frame + 24);
    }
    memory.read(window, after.memory, 0, after.memory.length);
    return after;
  }

  /** How the last run ended. */
  Exit lastExit = new Exit.Hlt();

  @Override
  public void close() {
    kernel.close();
  }
}
