package org.kvm4j.vmx.instruction;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.profile.CpuProfile;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.vmcs.ControlWord;
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

  private static final VmcsField[] STRUCTURES = {
    VmcsField.VIRTUAL_APIC_PAGE_ADDR,
    VmcsField.APIC_ACCESS_ADDR,
    VmcsField.PML_ADDRESS,
    VmcsField.EPTP_LIST_ADDRESS,
    VmcsField.VMREAD_BITMAP,
    VmcsField.VMWRITE_BITMAP,
    VmcsField.VE_INFORMATION_ADDRESS,
    VmcsField.PID_POINTER_TABLE,
    VmcsField.POSTED_INTR_DESC_ADDR
  };

  /** What the controls of a guest point to in memory, anywhere and full of anything. */
  @Property(tries = 400)
  void a_guest_with_random_controls_and_structures_runs_or_fails(@ForAll long seed) {
    Random random = new Random(seed);
    CpuProfile model = CpuProfiles.named("sapphire-rapids");
    MinimalHypervisor h = new MinimalHypervisor(model, VmxCapabilities.of(model));
    h.guest(MODES[random.nextInt(MODES.length)]);
    long structures = 0x600000;
    byte[] noise = new byte[0x10000];
    random.nextBytes(noise);
    h.memory.write(structures, noise);
    h.pin(Controls.PIN_BASED_EXT_INTR_MASK);
    h.primary(Controls.CPU_BASED_TPR_SHADOW | Controls.CPU_BASED_ACTIVATE_TERTIARY_CONTROLS);
    h.secondary((int) h.capabilities.allowed1(ControlWord.SECONDARY) & random.nextInt());
    h.clear(VmcsField.SECONDARY_VM_EXEC_CONTROL, random.nextBoolean() ? 1 : 1 << 4);
    h.set(VmcsField.TSC_MULTIPLIER, 1L << 48);
    h.set(
        VmcsField.TERTIARY_VM_EXEC_CONTROL,
        h.capabilities.allowed1(ControlWord.TERTIARY) & random.nextLong());
    h.set(VmcsField.VM_FUNCTION_CONTROL, random.nextInt(2));
    h.set(VmcsField.LAST_PID_POINTER_INDEX, random.nextInt(0x10000));
    for (VmcsField field : STRUCTURES) {
      boolean mapped = random.nextInt(4) != 0;
      h.set(field, mapped ? structures + 0x1000L * random.nextInt(16) : 0x3f_ffff_f000L);
    }
    // Also of the structures are guest paging structures, EPT, the stack, the list's EPT pointers.
    if (random.nextInt(3) == 0) {
      h.set(VmcsField.APIC_ACCESS_ADDR, MinimalHypervisor.EPT + 0x1000L * random.nextInt(0x30));
    }
    h.memory.writeLong(structures + 8, MinimalHypervisor.EPT | 3 << 3 | 6);
    for (int k = 0; k < 8; k++) {
      long rights = random.nextInt(10) == 0 ? random.nextInt(8) : 7;
      long suppress = (long) random.nextInt(2) << 63;
      h.memory.writeLong(
          MinimalHypervisor.EPT + 0x2000 + 8 * k, (long) k << 21 | 0xb0 | rights | suppress);
    }
    byte[] code = new byte[64];
    random.nextBytes(code);
    h.memory.write(MinimalHypervisor.CODE, code);
    h.code(0x0f, 0x01, 0xd4, 0x89, 0x03, 0x8b, 0x0b, 0x60, 0x0f, 0x30); // vmfunc; stores; wrmsr
    for (int r = 0; r < 16; r++) {
      h.cpu.r[r] = random.nextBoolean() ? random.nextInt(4) : structures + random.nextInt(0x10000);
    }
    for (int round = 0; round < 10; round++) {
      h.cpu.activity = Cpu.ACTIVE;
      h.clock.interrupt = random.nextInt(256);
      h.enter();
      if (h.cpu.guest != null) {
        h.engine.run(200);
      }
      if (h.cpu.guest != null) {
        h.cpu.request(Cpu.REQUEST_INTERRUPT);
        h.engine.run(200);
      }
      h.cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
      if (h.cpu.guest != null) {
        h.cpu.request(Cpu.REQUEST_INIT);
        h.engine.run(200);
        h.cpu.clearRequest(Cpu.REQUEST_INIT);
      }
      if (h.cpu.guest != null || h.cpu.activity == Cpu.SHUTDOWN) {
        return;
      }
      assertNotNull(h.vmx.current());
      h.set(VmcsField.GUEST_RIP, MinimalHypervisor.CODE + random.nextInt(12));
    }
  }
}
