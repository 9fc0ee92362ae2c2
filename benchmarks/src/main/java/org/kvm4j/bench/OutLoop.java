package org.kvm4j.bench;

import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;

/** A guest in real mode that does nothing but OUT, on a kernel of choice. */
final class OutLoop implements AutoCloseable {
  private static final int CODE_AT = 0x1000;
  private static final int MEMORY = 0x10000;

  /** out 0x10, al; jmp to it. */
  private static final byte[] CODE = {(byte) 0xe6, 0x10, (byte) 0xeb, (byte) 0xfc};

  final Kernel kernel;
  final Kvm kvm;
  final Vcpu vcpu;
  private final Vm vm;

  /**
   * @param backend {@code "emulated"} or {@code "native"}
   */
  OutLoop(String backend) {
    kernel = Kernels.open(backend);
    kvm = Kvm.open(kernel);
    vm = kvm.createVm();
    GuestMemory memory = new GuestMemory(vm);
    memory.add(0, 0, MEMORY, 0);
    memory.write(CODE_AT, CODE);
    vcpu = vm.createVcpu(0);
    Sregs sregs = vcpu.getSregs();
    sregs.cs.setRealMode(0);
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
