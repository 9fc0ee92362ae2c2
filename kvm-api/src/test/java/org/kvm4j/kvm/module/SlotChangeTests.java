package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;

/** Slots that come and go while a guest uses them. */
@Timeout(60)
class SlotChangeTests {
  private static final int CODE = 0x1000;
  private static final int SLOT = 0x10000;

  @Test
  void aGuestFindsEitherMemoryOrADevice() throws InterruptedException {
    try (EmulatedKernel kernel = new EmulatedKernel();
        Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm()) {
      GuestMemory memory = new GuestMemory(vm);
      memory.add(0, 0, SLOT, 0);
      // mov ax, 0x1000; mov ds, ax; again: inc word [0]; jmp again
      byte[] code = {
        (byte) 0xb8, 0, 0x10, (byte) 0x8e, (byte) 0xd8, (byte) 0xff, 0x06, 0, 0, (byte) 0xeb, -6
      };
      memory.write(CODE, code);
      Vcpu vcpu = vm.createVcpu(0);
      Sregs sregs = vcpu.getSregs();
      sregs.cs.setRealMode(0);
      vcpu.setSregs(sregs);
      Regs regs = new Regs();
      regs.rip = CODE;
      regs.rflags = 2;
      vcpu.setRegs(regs);
      AtomicBoolean done = new AtomicBoolean();
      Thread changes = new Thread(() -> change(vm, vcpu, done));
      changes.start();
      while (!done.get()) {
        Exit exit = vcpu.run();
        assertTrue(
            exit instanceof Exit.MmioRead
                || exit instanceof Exit.MmioWrite
                || exit instanceof Exit.Interrupted,
            exit::toString);
        if (exit instanceof Exit.MmioRead) {
          vcpu.answerMmio(0);
        }
      }
      changes.join();
    }
  }

  private static void change(Vm vm, Vcpu vcpu, AtomicBoolean done) {
    try (MappedMemory memory = MappedMemory.allocate(vm.kernel(), 0x1000)) {
      for (int i = 0; i < 20_000; i++) {
        vm.setUserMemoryRegion(1, 0, SLOT, memory);
        vm.deleteMemoryRegion(1);
      }
    } finally {
      done.set(true);
      vcpu.kick();
    }
  }
}
