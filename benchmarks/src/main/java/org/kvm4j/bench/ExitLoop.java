package org.kvm4j.bench;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HexFormat;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;

/** A guest that does the same again and again, on a kernel of choice; at first in real mode. */
final class ExitLoop implements AutoCloseable {
  private static final int CODE_AT = 0x1000;
  private static final int TABLES_AT = 0x4000;
  private static final int MEMORY = 0x10000;

  /** out 0x10, al; jmp to it. */
  static final String OUT = "e610ebfc";

  final Kernel kernel;
  final Kvm kvm;
  final Vcpu vcpu;
  final Vm vm;
  final GuestMemory memory;

  /**
   * @param backend {@code "emulated"} or {@code "native"}
   * @param code in hexadecimal
   * @param dataSegment its selector in DS
   */
  ExitLoop(String backend, String code, int dataSegment) {
    kernel = Kernels.open(backend);
    kvm = Kvm.open(kernel);
    vm = kvm.createVm();
    memory = new GuestMemory(vm);
    memory.add(0, 0, MEMORY, 0);
    memory.write(CODE_AT, HexFormat.of().parseHex(code));
    vcpu = vm.createVcpu(0);
    Sregs sregs = vcpu.getSregs();
    sregs.cs.setRealMode(0);
    sregs.ds.setRealMode(dataSegment);
    vcpu.setSregs(sregs);
    Regs regs = new Regs();
    regs.rip = CODE_AT;
    regs.rflags = 2;
    vcpu.setRegs(regs);
  }

  /**
   * Has the guest run in 64-bit mode, its first GiB mapped to itself.
   *
   * @param rdi the register's value
   */
  ExitLoop in64BitMode(long rdi) {
    ByteBuffer tables = ByteBuffer.allocate(2 * 0x1000).order(ByteOrder.LITTLE_ENDIAN);
    tables.putLong(0, TABLES_AT + 0x1000 | 3);
    tables.putLong(0x1000, 1 << 7 | 3);
    memory.write(TABLES_AT, tables.array());
    Sregs sregs = vcpu.getSregs();
    sregs.cr0 = 0x80000011L;
    sregs.cr3 = TABLES_AT;
    sregs.cr4 = 0x20;
    sregs.efer = 0x500;
    setFlat(sregs.cs, 8, 11);
    sregs.cs.l = 1;
    setFlat(sregs.ds, 16, 3);
    setFlat(sregs.ss, 16, 3);
    vcpu.setSregs(sregs);
    Regs regs = vcpu.getRegs();
    regs.rdi = rdi;
    vcpu.setRegs(regs);
    return this;
  }

  private static void setFlat(Segment s, int selector, int type) {
    s.selector = selector;
    s.base = 0;
    s.limit = -1;
    s.type = type;
    s.present = 1;
    s.s = 1;
    s.g = 1;
  }

  @Override
  public void close() {
    kernel.close();
  }
}
