package org.kvm4j.bench;

import java.util.HexFormat;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;

/** A guest in real mode that does the same again and again, on a kernel of choice. */
final class ExitLoop implements AutoCloseable {
  private static final int CODE_AT = 0x1000;
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

  @Override
  public void close() {
    kernel.close();
  }
}
