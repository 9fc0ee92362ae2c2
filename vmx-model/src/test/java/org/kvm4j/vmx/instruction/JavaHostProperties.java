package org.kvm4j.vmx.instruction;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * A hypervisor in Java sees by VMREAD what one on the processor sees, though the guest's registers
 * stay in the processor between exit and entry.
 */
class JavaHostProperties {
  private static final MinimalHypervisor.Mode[] MODES = MinimalHypervisor.Mode.values();
  private static final VmcsField[] FIELDS = VmcsField.values();

  /** Fields that both have to agree on: all but what depends on the host's own registers. */
  private static void assertSameFields(MinimalHypervisor plain, MinimalHypervisor java) {
    for (VmcsField field : FIELDS) {
      if (plain.vmx.exists(field.ordinal())) {
        assertEquals(
            Long.toHexString(plain.get(field)), Long.toHexString(java.get(field)), field.name());
      }
    }
  }

  private static MinimalHypervisor make(
      boolean java, MinimalHypervisor.Mode mode, byte[] code, long[] registers) {
    MinimalHypervisor h = new MinimalHypervisor().guest(mode);
    h.vmx.hostedByJava = java;
    h.memory.write(MinimalHypervisor.CODE, code);
    h.primary(Controls.CPU_BASED_UNCOND_IO_EXITING | Controls.CPU_BASED_HLT_EXITING);
    h.set(VmcsField.EXCEPTION_BITMAP, 0xffffffffL);
    System.arraycopy(registers, 0, h.cpu.r, 0, 16);
    return h;
  }

  private static void step(MinimalHypervisor h) {
    h.enter();
    if (h.cpu.guest != null) {
      h.engine.run(300);
    }
    if (h.cpu.guest != null) {
      h.cpu.request(Cpu.REQUEST_INIT);
      h.engine.run(300);
      h.cpu.clearRequest(Cpu.REQUEST_INIT);
    }
  }

  @Property(tries = 200)
  void both_kinds_of_host_see_the_same_guest(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor.Mode mode = MODES[random.nextInt(MODES.length)];
    byte[] code = new byte[192];
    random.nextBytes(code);
    for (int k = 0; k < code.length - 4; k += 8) {
      // OUT and CPUID, so that most exits come soon.
      if (random.nextBoolean()) {
        code[k] = (byte) 0xe6;
      }
    }
    long[] registers = new long[16];
    for (int r = 0; r < 16; r++) {
      registers[r] = random.nextInt(0x400000);
    }
    MinimalHypervisor plain = make(false, mode, code, registers);
    MinimalHypervisor java = make(true, mode, code, registers);
    for (int round = 0; round < 12; round++) {
      step(plain);
      step(java);
      if (random.nextInt(3) == 0) {
        assertSameFields(plain, java);
      }
      for (int r = 0; r < 16; r++) {
        if (r != Cpu.RSP) {
          assertEquals(plain.cpu.r[r], java.cpu.r[r]);
        }
      }
      if (plain.cpu.guest != null || plain.cpu.activity == Cpu.SHUTDOWN) {
        break;
      }
      // The hypervisor changes something, the same in both.
      long rip = plain.get(VmcsField.GUEST_RIP) & ~0xffL | random.nextInt(180);
      plain.set(VmcsField.GUEST_RIP, rip);
      java.set(VmcsField.GUEST_RIP, rip);
      for (int k = random.nextInt(3); k > 0; k--) {
        VmcsField field = FIELDS[random.nextInt(FIELDS.length)];
        if (plain.vmx.exists(field.ordinal()) && field.type == VmcsField.Type.GUEST) {
          long value = plain.get(field) ^ 1L << random.nextInt(24);
          plain.set(field, value);
          java.set(field, value);
        }
      }
      plain.set(VmcsField.GUEST_ACTIVITY_STATE, 0);
      java.set(VmcsField.GUEST_ACTIVITY_STATE, 0);
      if (random.nextInt(6) == 0) {
        int type = random.nextBoolean() ? 3 : 0;
        long info = 0x80000000L | type << 8 | (type == 3 ? 6 : 0x30);
        plain.set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, info);
        java.set(VmcsField.VM_ENTRY_INTR_INFO_FIELD, info);
      }
    }
    assertSameFields(plain, java);
  }
}
