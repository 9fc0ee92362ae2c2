import org.kvm4j.kvm.*;
import org.kvm4j.kvm.syscall.Kernel;

/** A VMM with a device behind a port and one in memory: how reads are answered. */
public class DeviceVmm {
  public static void main(String[] arguments) {
    String backend = arguments.length > 0 ? arguments[0] : "emulated"; // or "native"
    try {
      run(Kernels.open(backend));
    } catch (KernelUnavailableException e) { // no such kernel, or not on this machine
      System.err.println(e.getMessage());
      System.exit(1);
    }
  }

  static void run(Kernel kernel) {
    byte[] code = {
      (byte) 0xb8, 0x00, 0x20,        // mov ax, 0x2000
      (byte) 0x8e, (byte) 0xd8,       // mov ds, ax
      (byte) 0xe4, 0x60,              // in al, 0x60
      0x02, 0x06, 0x00, 0x00,         // add al, [0]
      (byte) 0xa2, 0x01, 0x00,        // mov [1], al
      (byte) 0xf4                     // hlt
    };
    try (kernel;
        Kvm kvm = Kvm.open(kernel);
        Vm vm = kvm.createVm();
        Vcpu vcpu = vm.createVcpu(0)) {
      GuestMemory memory = new GuestMemory(vm);
      memory.add(0, 0, 0x10000, 0); // what lies outside of memory is a device's
      memory.write(0x1000, code);
      Sregs sregs = vcpu.getSregs();
      sregs.cs.setRealMode(0);
      vcpu.setSregs(sregs);
      Regs regs = vcpu.getRegs();
      regs.rip = 0x1000;
      vcpu.setRegs(regs);
      serve(vcpu);
    }
  }

  static void serve(Vcpu vcpu) {
    for (Exit exit = vcpu.run(); !(exit instanceof Exit.Hlt); exit = vcpu.run()) {
      if (exit instanceof Exit.IoIn in && in.count() == 1) {
        vcpu.answerIn(in.port() == 0x60 ? 40 : -1); // the guest has it when it runs on
      } else if (exit instanceof Exit.MmioRead read) {
        vcpu.answerMmio(read.address() == 0x20000 ? 2 : -1);
      } else if (exit instanceof Exit.MmioWrite write) {
        System.out.printf("0x%x: %d%n", write.address(), write.data());
      } else {
        throw new IllegalStateException(exit.toString());
      }
    }
  }
}
