package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.kvm.module.vendor.VmExit;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * IN and OUT with a register, and the form of every port exit. String instructions are the {@link
 * Emulation}'s. Source: Linux 6.1 kvm_fast_pio.
 */
final class PortIo {

  private final VirtualCpu vcpu;
  private final Cpu cpu;
  private final ByteBuffer run;
  private final Completion in = this::completeIn;
  private final Completion out = this::completeOut;
  private int size;

  PortIo(VirtualCpu vcpu) {
    this.vcpu = vcpu;
    this.cpu = vcpu.vendor().cpu();
    this.run = vcpu.run();
  }

  int handle(VmExit exit) {
    int port = exit.port;
    size = exit.size;
    if (exit.in) {
      if (vcpu.devices.read(true, port, size)) {
        complete(vcpu.devices.value());
        return 1;
      }
      return exit(Uapi.KVM_EXIT_IO_IN, port, size, 1, in);
    }
    long value = cpu.r[Cpu.RAX];
    if (vcpu.devices.write(true, port, size, value)) {
      vcpu.skip();
      return 1;
    }
    put(size, value);
    if (port == 0x7e && vcpu.vm.hasQuirk(Uapi.KVM_X86_QUIRK_OUT_7E_INC_RIP)) {
      vcpu.skip();
      return exit(Uapi.KVM_EXIT_IO_OUT, port, size, 1, Completion.NOTHING);
    }
    return exit(Uapi.KVM_EXIT_IO_OUT, port, size, 1, out);
  }

  /** An exit for a port access, its data in the page after {@code kvm_run}. */
  int exit(int direction, int port, int size, int count, Completion then) {
    run.put(KvmRun.IO_DIRECTION, (byte) direction);
    run.put(KvmRun.IO_SIZE, (byte) size);
    run.putShort(KvmRun.IO_PORT, (short) port);
    run.putInt(KvmRun.IO_COUNT, count);
    run.putLong(KvmRun.IO_DATA_OFFSET, VcpuPages.PIO_OFFSET);
    return vcpu.exit(Exits.KVM_EXIT_IO, then);
  }

  /** Puts the data of an OUT where user space finds it. */
  void put(int size, long value) {
    int at = VcpuPages.PIO_OFFSET;
    switch (size) {
      case 1 -> run.put(at, (byte) value);
      case 2 -> run.putShort(at, (short) value);
      default -> run.putInt(at, (int) value);
    }
  }

  /** The element of an IN that user space left, zero-extended. */
  long get(int size, int index) {
    int at = VcpuPages.PIO_OFFSET + index * size;
    return switch (size) {
      case 1 -> run.get(at) & 0xffL;
      case 2 -> run.getShort(at) & 0xffffL;
      default -> run.getInt(at) & 0xffffffffL;
    };
  }

  private int completeOut() {
    if (vcpu.atSameInstruction()) {
      vcpu.skip();
    }
    return 1;
  }

  private int completeIn() {
    if (vcpu.atSameInstruction()) {
      complete(get(size, 0));
    }
    return 1;
  }

  /** The end of an IN: what was read into the register. */
  private void complete(long value) {
    long rax = cpu.r[Cpu.RAX];
    cpu.r[Cpu.RAX] =
        switch (size) {
          case 1 -> rax & ~0xffL | value & 0xff;
          case 2 -> rax & ~0xffffL | value & 0xffff;
          default -> value & 0xffffffffL;
        };
    vcpu.skip();
  }
}
