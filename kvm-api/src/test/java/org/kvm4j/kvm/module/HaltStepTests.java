package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestDebug;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Uapi;

/** Single steps over a HLT that does not exit. */
@Timeout(60)
class HaltStepTests {
  private static final int CODE = 0x1000;

  @Test
  void aStepOverAHaltThatDoesNotExitEndsIt() {
    try (EmulatedKernel kernel =
            new EmulatedKernel(
                new HostMachine(CpuProfiles.defaultProfile(), MachineClock.VIRTUAL));
        Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm()) {
      vm.createIrqchip();
      vm.enableCap(Caps.KVM_CAP_X86_DISABLE_EXITS, Uapi.KVM_X86_DISABLE_EXITS_HLT);
      GuestMemory memory = new GuestMemory(vm);
      memory.add(0, 0, 0x10000, 0);
      memory.write(CODE, new byte[] {(byte) 0xf4, (byte) 0x90, (byte) 0xe6, 0x10}); // hlt; nop; out
      Vcpu vcpu = vm.createVcpu(0);
      Sregs sregs = vcpu.getSregs();
      sregs.cs.setRealMode(0);
      vcpu.setSregs(sregs);
      Regs regs = new Regs();
      regs.rip = CODE;
      regs.rflags = 2;
      vcpu.setRegs(regs);
      GuestDebug debug = new GuestDebug();
      debug.control = Uapi.KVM_GUESTDBG_ENABLE | Uapi.KVM_GUESTDBG_SINGLESTEP;
      vcpu.setGuestDebug(debug);
      for (int offset : new int[] {1, 2}) {
        assertEquals(CODE + offset, assertInstanceOf(Exit.Debug.class, vcpu.run()).pc());
      }
      vcpu.setGuestDebug(new GuestDebug());
      assertInstanceOf(Exit.IoOut.class, vcpu.run());
    }
  }
}
