import org.kvm4j.kvm.*;
import org.kvm4j.kvm.syscall.Kernel;

/** A VMM in a few lines: a guest in real mode adds two numbers and prints the sum. */
public class FirstVmm {
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
      (byte) 0xba, (byte) 0xf8, 0x03, // mov dx, 0x3f8
      0x00, (byte) 0xd8,              // add al, bl
      0x04, '0',                      // add al, '0'
      (byte) 0xee,                    // out dx, al
      (byte) 0xf4                     // hlt
    };
    try (kernel; Kvm kvm = Kvm.open(kernel); Vm vm = kvm.createVm()) {
      GuestMemory memory = new GuestMemory(vm);
      memory.add(0, 0, 0x10000, 0); // slot 0: 64 KB at guest-physical 0
      memory.write(0x1000, code);
      Vcpu vcpu = vm.createVcpu(0);
      Sregs sregs = vcpu.getSregs();
      sregs.cs.setRealMode(0);
      vcpu.setSregs(sregs);
      Regs regs = vcpu.getRegs();
      regs.rip = 0x1000;
      regs.rax = 2;
      regs.rbx = 3;
      vcpu.setRegs(regs);
      for (Exit exit = vcpu.run(); !(exit instanceof Exit.Hlt); exit = vcpu.run()) {
        System.out.println(exit instanceof Exit.IoOut out ? "port: " + (char) out.value() : exit);
      }
    }
  }
}
