package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.syscall.Kernel;

/** What VMs take of the heap that have done next to nothing: one of many must be cheap. */
class IdleVmTests {
  private static final int COUNT = 200;
  private static final long MOST = 100 * 1024;

  /** out 0x10, al; jmp to it. */
  private static final byte[] OUT = HexFormat.of().parseHex("e610ebfc");

  @Test
  void aVmThatHasExitedOnceTakesLittleOfTheHeap() {
    List<Vm> kept = new ArrayList<>();
    try (Kernel kernel = Kernels.open("emulated");
        Kvm kvm = Kvm.open(kernel)) {
      // What the first ones load and compile is no VM's.
      for (int k = 0; k < 20; k++) {
        kept.add(exitedOnce(kvm));
      }
      long before = used();
      for (int k = 0; k < COUNT; k++) {
        kept.add(exitedOnce(kvm));
      }
      long each = (used() - before) / COUNT;
      assertTrue(each < MOST, () -> "a VM takes " + each + " bytes");
      assertEquals(COUNT + 20, kept.size());
    }
  }

  private static Vm exitedOnce(Kvm kvm) {
    Vm vm = kvm.createVm();
    GuestMemory memory = new GuestMemory(vm);
    memory.add(0, 0, 1 << 20, 0);
    memory.write(0x1000, OUT);
    Vcpu vcpu = vm.createVcpu(0);
    Sregs sregs = vcpu.getSregs();
    sregs.cs.setRealMode(0);
    vcpu.setSregs(sregs);
    Regs regs = new Regs();
    regs.rip = 0x1000;
    regs.rflags = 2;
    vcpu.setRegs(regs);
    assertTrue(vcpu.run() instanceof Exit.IoOut);
    return vm;
  }

  private static long used() {
    long least = Long.MAX_VALUE;
    for (int k = 0; k < 5; k++) {
      System.gc();
      Runtime r = Runtime.getRuntime();
      least = Math.min(least, r.totalMemory() - r.freeMemory());
    }
    return least;
  }
}
