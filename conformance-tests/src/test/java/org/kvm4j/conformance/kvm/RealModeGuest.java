package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import java.util.function.Consumer;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;

/**
 * A VM with 64 KB of memory at 0 and one vCPU about to execute code at 0x1000 in real mode, all
 * segments at 0, the stack below 0x8000, interrupts off. Every interrupt vector has a handler that
 * writes the vector to {@link #STRAY_PORT} and halts, so that a guest that goes astray is soon
 * known.
 */
final class RealModeGuest {

  static final int CODE = 0x1000;
  static final int STACK = 0x8000;
  static final int MEMORY_SIZE = 0x10000;

  /** Where handlers that a test did not set tell of themselves. */
  static final int STRAY_PORT = 0xee;

  private static final int STRAY_HANDLERS = 0x500;

  /** Guest-physical addresses from here on are a hole. */
  static final long HOLE = 0x20000;

  final Vm vm;
  final GuestMemory memory;
  final Vcpu vcpu;

  RealModeGuest(Kvm kvm, int... code) {
    this(kvm, 0, code);
  }

  /**
   * @param slotFlags of the slot at 0
   * @param code bytes
   */
  RealModeGuest(Kvm kvm, int slotFlags, int[] code) {
    this(kvm, vm -> {}, slotFlags, code);
  }

  /**
   * @param beforeVcpus what the VM gets before its vCPU
   */
  RealModeGuest(Kvm kvm, Consumer<Vm> beforeVcpus, int slotFlags, int[] code) {
    vm = kvm.createVm();
    beforeVcpus.accept(vm);
    memory = new GuestMemory(vm);
    memory.add(0, 0, MEMORY_SIZE, slotFlags);
    vcpu = vm.createVcpu(0);
    for (int vector = 0; vector < 256; vector++) {
      int handler = STRAY_HANDLERS + 5 * vector;
      memory.putInt(4L * vector, handler);
      load(handler, 0xb0, vector, 0xe6, STRAY_PORT, 0xf4); // mov al, vector; out port, al; hlt
    }
    load(CODE, code);
    Sregs sregs = vcpu.getSregs();
    sregs.cs.setRealMode(0);
    sregs.ds.setRealMode(0);
    sregs.es.setRealMode(0);
    sregs.fs.setRealMode(0);
    sregs.gs.setRealMode(0);
    sregs.ss.setRealMode(0);
    vcpu.setSregs(sregs);
    Regs regs = new Regs();
    regs.rip = CODE;
    regs.rsp = STACK;
    regs.rflags = 2;
    vcpu.setRegs(regs);
  }

  /** Puts code into memory. */
  void load(long address, int... code) {
    memory.write(address, bytes(code));
  }

  static byte[] bytes(int... values) {
    byte[] bytes = new byte[values.length];
    for (int i = 0; i < values.length; i++) {
      bytes[i] = (byte) values[i];
    }
    return bytes;
  }

  /** Changes registers. */
  void regs(Consumer<Regs> change) {
    Regs regs = vcpu.getRegs();
    change.accept(regs);
    vcpu.setRegs(regs);
  }

  /** Changes segment and control registers. */
  void sregs(Consumer<Sregs> change) {
    Sregs sregs = vcpu.getSregs();
    change.accept(sregs);
    vcpu.setSregs(sregs);
  }

  /** Sets DS so that offset 0 is at an address below 1 MB. */
  void dataAt(long address) {
    sregs(s -> s.ds.setRealMode((int) (address >>> 4)));
  }

  Exit run() {
    return vcpu.run();
  }

  <T extends Exit> T run(Class<T> kind) {
    return assertInstanceOf(kind, vcpu.run());
  }

  /** Whether an exit is that of a handler that no test expects. */
  static boolean isStray(Exit exit, int vector) {
    return exit instanceof Exit.IoOut out && out.port() == STRAY_PORT && out.value() == vector;
  }

  long rip() {
    return vcpu.getRegs().rip;
  }
}
