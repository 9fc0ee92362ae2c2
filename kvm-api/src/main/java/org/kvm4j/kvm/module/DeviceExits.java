package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import org.kvm4j.kvm.module.emulate.DeviceAccesses;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Carries out what an instruction wrote to devices, in the module or by exits, and makes exits for
 * what it reads. Source: Linux 6.1 complete_emulated_mmio.
 */
final class DeviceExits {
  private final VirtualCpu vcpu;
  private final DeviceAccesses accesses;
  private final ByteBuffer run;
  private final Completion more = this::writeRest;
  private int index;

  DeviceExits(VirtualCpu vcpu, DeviceAccesses accesses) {
    this.vcpu = vcpu;
    this.accesses = accesses;
    this.run = vcpu.run();
  }

  /** An exit for a read of device memory. */
  int read(long address, int length, Completion then) {
    return exit(address, length, false, then);
  }

  /** What user space answered to a read of device memory. */
  long answer(int length) {
    return low(run.getLong(KvmRun.MMIO_DATA), length);
  }

  /** Carries out all writes, one exit each where they are user space's. */
  int write() {
    index = 0;
    return writeRest();
  }

  private int writeRest() {
    while (index < accesses.writes()) {
      int k = index++;
      long address = accesses.address(k);
      int length = accesses.size(k);
      long value = accesses.value(k);
      boolean port = accesses.isPort(k);
      if (vcpu.devices.write(port, address, length, value)) {
        continue;
      }
      if (port) {
        vcpu.ports.put(4, value);
        return vcpu.ports.exit(Uapi.KVM_EXIT_IO_OUT, (int) address, length, 1, more);
      }
      run.putLong(KvmRun.MMIO_DATA, low(value, length));
      return exit(address, length, true, more);
    }
    accesses.clearWrites();
    return 1;
  }

  private int exit(long address, int length, boolean write, Completion then) {
    run.putLong(KvmRun.MMIO_PHYS_ADDR, address);
    run.putInt(KvmRun.MMIO_LEN, length);
    run.put(KvmRun.MMIO_IS_WRITE, (byte) (write ? 1 : 0));
    return vcpu.exit(Exits.KVM_EXIT_MMIO, then);
  }

  /** The lowest bytes of a value. */
  static long low(long value, int bytes) {
    return bytes == 8 ? value : value & (1L << bytes * 8) - 1;
  }
}
