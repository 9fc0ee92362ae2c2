package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;

/** The engines of the emulated processors, by their names. */
class EngineTests {
  private static Kernel kernel(String engine) {
    return new EmulatedKernelProvider().open(KernelOptions.NONE.with(KernelOptions.ENGINE, engine));
  }

  @ParameterizedTest
  @ValueSource(strings = {"interpreter", "translator", "machine-code"})
  void aLoopInLongModeGivesTheSameOnEachEngine(String engine) {
    byte[] code = {
      (byte) 0xb9,
      0x10,
      0x27,
      0,
      0, // mov ecx, 10000
      0x48,
      0x01,
      (byte) 0xc8, // add rax, rcx
      (byte) 0x83,
      (byte) 0xe9,
      1, // sub ecx, 1
      0x75,
      (byte) 0xf8, // jnz to the addition
      (byte) 0xf4 // hlt
    };
    try (Kernel kernel = kernel(engine);
        Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm()) {
      GuestMemory memory = new GuestMemory(vm);
      memory.add(0, 0, 0x10000, 0);
      memory.write(0x1000, code);
      memory.putLong(0x4000, 0x5000 | 3);
      memory.putLong(0x5000, 0x6000 | 3);
      memory.putLong(0x6000, 0x83);
      Vcpu vcpu = vm.createVcpu(0);
      vcpu.setCpuid2(kvm.getSupportedCpuid());
      Sregs sregs = vcpu.getSregs();
      FlatSegments.set(sregs);
      sregs.cs.l = 1;
      sregs.cs.db = 0;
      sregs.cr3 = 0x4000;
      sregs.cr4 |= 0x20;
      sregs.efer |= 0x500;
      sregs.cr0 |= 0x8000_0001L;
      vcpu.setSregs(sregs);
      Regs regs = new Regs();
      regs.rip = 0x1000;
      regs.rflags = 2;
      vcpu.setRegs(regs);
      assertInstanceOf(Exit.Hlt.class, vcpu.run());
      assertEquals(10000L * 10001 / 2, vcpu.getRegs().rax);
      assertEquals(0x46, vcpu.getRegs().rflags, "RFLAGS of the last subtraction");
    }
  }

  @Test
  void anUnknownEngineIsRefusedWithThoseThereAre() {
    IllegalArgumentException refusal =
        assertThrows(IllegalArgumentException.class, () -> kernel("t0").close());
    assertTrue(
        refusal.toString().contains("machine-code, translator, interpreter"), refusal::toString);
  }
}
