package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.StateComponent;

/**
 * Extended state as KVM_GET_XSAVE and KVM_SET_XSAVE have it: an XSAVE area in the standard format.
 * Source: Linux 6.1 arch/x86/kernel/fpu/xstate.c, copy_xstate_to_uabi_buf and copy_uabi_to_xstate.
 */
final class XsaveState {
  private static final int MXCSR = 24;
  private static final int DEFINED_MXCSR = 0xffff;
  private static final int DEFAULT_MXCSR = 0x1f80;
  private static final short DEFAULT_CONTROL = 0x37f;
  private static final int XSTATE_BV = 512;
  private static final int LEGACY = (int) (StateComponent.X87.bit() | StateComponent.SSE.bit());

  private XsaveState() {}

  /** What can be got and set: x87 and SSE state even of a processor without XSAVE. */
  private static long components(Cpu cpu) {
    return StateComponent.supported(cpu.model) | LEGACY;
  }

  /** The state of a processor, every component of it valid. */
  static byte[] get(Cpu cpu) {
    byte[] area = cpu.xsaveArea.clone();
    ByteBuffer b = ByteBuffer.wrap(area).order(ByteOrder.LITTLE_ENDIAN);
    long components = components(cpu);
    b.putLong(XSTATE_BV, components);
    if (StateComponent.PKRU.in(components)) {
      b.putInt(StateComponent.PKRU.offset, cpu.pkru);
    }
    return area;
  }

  /**
   * Sets the state of a processor; what is not valid in the area becomes initial.
   *
   * @return false, and nothing is changed, if header or MXCSR have what cannot be
   */
  static boolean set(Cpu cpu, byte[] area) {
    ByteBuffer from = ByteBuffer.wrap(area).order(ByteOrder.LITTLE_ENDIAN);
    long valid = from.getLong(XSTATE_BV);
    if ((valid & ~components(cpu)) != 0) {
      return false;
    }
    for (int k = XSTATE_BV + 8; k < StateComponent.LEGACY_SIZE; k += 8) {
      if (from.getLong(k) != 0) {
        return false;
      }
    }
    boolean hasMxcsr = (valid & (LEGACY | StateComponent.AVX.bit())) != 0;
    int mxcsr = hasMxcsr ? from.getInt(MXCSR) : DEFAULT_MXCSR;
    if ((mxcsr & ~DEFINED_MXCSR) != 0) {
      return false;
    }
    ByteBuffer to = ByteBuffer.wrap(cpu.xsaveArea).order(ByteOrder.LITTLE_ENDIAN);
    for (StateComponent c : StateComponent.values()) {
      if (c.isSupervisor) {
        // User space has its registers by themselves.
        continue;
      }
      if (c == StateComponent.PKRU) {
        cpu.pkru = c.in(valid) ? from.getInt(c.offset) : 0;
      } else if (c.in(valid)) {
        to.put(c.offset, area, c.offset, c.size);
      } else {
        Arrays.fill(cpu.xsaveArea, c.offset, c.offset + c.size, (byte) 0);
      }
    }
    if (!StateComponent.X87.in(valid)) {
      to.putShort(0, DEFAULT_CONTROL);
    }
    to.putInt(MXCSR, mxcsr);
    return true;
  }
}
