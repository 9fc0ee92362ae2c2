package org.kvm4j.vmx.instruction;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/** Nothing that is in a VMCS, and no operand, gets a Java exception out of the model. */
class VmxUnitProperties {
  private static final MinimalHypervisor.Mode[] MODES = MinimalHypervisor.Mode.values();
  private static final VmcsField[] FIELDS = VmcsField.values();

  @Property(tries = 2000)
  void any_encoding_and_address_is_answered(@ForAll long encoding, @ForAll long value) {
    MinimalHypervisor h = Shared.HYPERVISOR;
    for (long e : new long[] {encoding, encoding & 0x7fff, encoding & 0xffffffffL}) {
      h.vmx.vmread(e);
      h.vmx.vmwrite(e, value);
    }
    h.vmx.vmptrld(value);
    h.vmx.vmptrld(value & 0xfff000);
    h.vmx.invept(encoding, value);
    h.vmx.invvpid(encoding & 7, value & 0xffff, encoding);
    h.vmx.vmclear(encoding & ~0xfffL);
    h.vmx.vmptrld(MinimalHypervisor.VMCS_REGION);
  }

  private static final class Shared {
    static final MinimalHypervisor HYPERVISOR = new MinimalHypervisor();
  }

  @Property(tries = 200)
  void a_random_region_is_entered_or_refused(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h = new MinimalHypervisor();
    byte[] region = new byte[4096];
    random.nextBytes(region);
    long at = 0x70000;
    h.memory.write(at, region);
    h.memory.writeInt(at, VmxCapabilities.REVISION);
    assertEquals(InstructionError.SUCCESS, h.vmx.vmptrld(at));
    h.vmx.vmlaunch();
    h.vmx.vmresume();
  }

  /** A good guest with a few fields, and bitmaps, tables and code, made bad. */
  @Property(tries = 300)
  void a_damaged_guest_runs_or_fails(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h = new MinimalHypervisor().guest(MODES[random.nextInt(MODES.length)]);
    h.vmx.hostedByJava = random.nextBoolean();
    byte[] code = new byte[128];
    random.nextBytes(code);
    h.memory.write(MinimalHypervisor.CODE, code);
    h.primary(Controls.CPU_BASED_USE_IO_BITMAPS | Controls.CPU_BASED_USE_MSR_BITMAPS);
    for (int r = 0; r < 16; r++) {
      h.cpu.r[r] = random.nextInt(0x800000);
    }
    for (int round = 0; round < 10; round++) {
      for (int k = random.nextInt(4); k > 0; k--) {
        VmcsField field = FIELDS[random.nextInt(FIELDS.length)];
        if (field.type != VmcsField.Type.HOST && h.vmx.vmread(field.encoding) == 0) {
          long present = h.vmx.value;
          h.vmx.vmwrite(
              field.encoding,
              random.nextInt(4) == 0 ? random.nextLong() : present ^ 1L << random.nextInt(64));
        }
      }
      if (random.nextInt(4) == 0) {
        // EPT and guest tables.
        long table = MinimalHypervisor.EPT + random.nextInt(0x19000);
        h.memory.writeByte(table, (byte) random.nextInt());
      }
      h.cpu.activity = Cpu.ACTIVE;
      h.enter();
      if (h.cpu.guest != null) {
        h.engine.run(500);
      }
      if (h.cpu.guest != null) {
        h.cpu.request(Cpu.REQUEST_INIT);
        h.engine.run(500);
        h.cpu.clearRequest(Cpu.REQUEST_INIT);
      }
      if (h.cpu.guest != null || h.cpu.activity == Cpu.SHUTDOWN) {
        return;
      }
      assertNotNull(h.vmx.current());
    }
  }
}
