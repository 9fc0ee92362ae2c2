package org.kvm4j.vmx.explain;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.EnumSet;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * Random VMCS regions, bitmaps and tables: whatever they hold, a guest is entered, exits or is
 * refused; everything that is told of it can be told, and no Java exception comes out.
 */
class FuzzedVmcsProperties {
  private static final MinimalHypervisor.Mode[] MODES = MinimalHypervisor.Mode.values();
  private static final Control[] CONTROLS = Control.values();

  /** Fields that lead to memory, or count what is there. */
  private static final VmcsField[] POINTERS = {
    VmcsField.IO_BITMAP_A,
    VmcsField.IO_BITMAP_B,
    VmcsField.MSR_BITMAP,
    VmcsField.VM_EXIT_MSR_STORE_ADDR,
    VmcsField.VM_EXIT_MSR_LOAD_ADDR,
    VmcsField.VM_ENTRY_MSR_LOAD_ADDR,
    VmcsField.PML_ADDRESS,
    VmcsField.VIRTUAL_APIC_PAGE_ADDR,
    VmcsField.APIC_ACCESS_ADDR,
    VmcsField.POSTED_INTR_DESC_ADDR,
    VmcsField.EPT_POINTER,
    VmcsField.EPTP_LIST_ADDRESS,
    VmcsField.VMREAD_BITMAP,
    VmcsField.VMWRITE_BITMAP,
    VmcsField.VE_INFORMATION_ADDRESS,
    VmcsField.VMCS_LINK_POINTER,
    VmcsField.GUEST_CR3,
    VmcsField.GUEST_GDTR_BASE,
    VmcsField.GUEST_IDTR_BASE,
    VmcsField.GUEST_TR_BASE
  };

  private final StringBuilder told = new StringBuilder();

  private MinimalHypervisor hypervisor(Random random) {
    MinimalHypervisor h = new MinimalHypervisor().guest(MODES[random.nextInt(MODES.length)]);
    told.setLength(0);
    h.vmx.observe(
        new VmxTrace(
            h.cpu,
            h.vmx,
            0,
            "kvm4j-v1",
            EnumSet.allOf(VmxTrace.Category.class),
            line -> told.append(line).append('\n')));
    byte[] code = new byte[256];
    random.nextBytes(code);
    // What exits, so that guests do not only fault: CPUID, OUT, VMCALL, VMREAD, RDMSR, INT.
    byte[][] exits = {
      {0x0f, (byte) 0xa2},
      {(byte) 0xe6, 0x10},
      {0x0f, 0x01, (byte) 0xc1},
      {0x0f, 0x78, (byte) 0xc1},
      {0x0f, 0x32},
      {(byte) 0xcd, 0x30},
      {0x0f, 0x01, (byte) 0xd4}
    };
    for (int at = 0; at < 250; at += 1 + random.nextInt(12)) {
      byte[] one = exits[random.nextInt(exits.length)];
      System.arraycopy(one, 0, code, at, one.length);
    }
    h.memory.write(MinimalHypervisor.CODE, code);
    for (int page = 0x5000; page <= 0xa000; page += 0x1000) {
      byte[] bytes = new byte[4096];
      if (random.nextBoolean()) {
        random.nextBytes(bytes);
      }
      if (page != MinimalHypervisor.LINKED_VMCS) {
        h.memory.write(page, bytes);
      }
    }
    for (int r = 0; r < 16; r++) {
      h.cpu.r[r] = random.nextBoolean() ? random.nextInt(0x800000) : random.nextLong();
    }
    return h;
  }

  private static long address(Random random) {
    return switch (random.nextInt(6)) {
      case 0 -> random.nextLong();
      case 1 -> -1;
      case 2 -> random.nextLong() & 0xffff_ffff_f000L;
      default -> (long) random.nextInt(0x60) << 12;
    };
  }

  private void runs(MinimalHypervisor h, Random random) {
    h.cpu.activity = Cpu.ACTIVE;
    h.enter();
    if (h.cpu.guest != null) {
      h.engine.run(300);
    }
    if (h.cpu.guest != null) {
      h.cpu.request(Cpu.REQUEST_INIT);
      h.engine.run(300);
      h.cpu.clearRequest(Cpu.REQUEST_INIT);
    }
    if (random.nextInt(4) == 0) {
      h.clock.tsc += random.nextInt(100_000);
    }
  }

  @Property(tries = 120)
  void controls_and_pointers(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h = hypervisor(random);
    for (int round = 0; round < 8; round++) {
      for (int k = random.nextInt(5); k > 0; k--) {
        Control control = CONTROLS[random.nextInt(CONTROLS.length)];
        if (h.capabilities.allows(control) && h.vmx.exists(control.word.field().ordinal())) {
          if (control.word == ControlWord.SECONDARY) {
            h.secondary((int) control.mask);
          } else {
            h.vmcs()
                .write(control.word.field(), h.vmcs().read(control.word.field()) ^ control.mask);
          }
        }
      }
      for (int k = random.nextInt(4); k > 0; k--) {
        VmcsField field = POINTERS[random.nextInt(POINTERS.length)];
        if (h.vmx.exists(field.ordinal())) {
          h.set(field, address(random));
        }
      }
      if (random.nextInt(5) == 0) {
        h.set(VmcsField.VM_ENTRY_MSR_LOAD_COUNT, random.nextInt(600));
        h.set(VmcsField.VM_EXIT_MSR_STORE_COUNT, random.nextInt(600));
      }
      runs(h, random);
      if (h.cpu.guest != null || h.cpu.activity == Cpu.SHUTDOWN) {
        break;
      }
    }
    explainable(h);
  }

  @Property(tries = 80)
  void whole_regions(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h = hypervisor(random);
    // Of the region only the revision identifier is right; or a good one has some bytes changed.
    byte[] region = new byte[Vmcs.REGION_SIZE];
    h.vmcs().store(h.memory);
    h.memory.read(MinimalHypervisor.VMCS_REGION, region);
    boolean wild = random.nextInt(4) == 0;
    for (int k = wild ? 4096 : random.nextInt(6); k > 0; k--) {
      region[16 + random.nextInt(4080)] = (byte) random.nextInt();
    }
    long at = 0x70000;
    h.memory.write(at, region);
    assertTrue(h.vmx.vmptrld(at) == 0);
    for (int round = 0; round < 4; round++) {
      runs(h, random);
      if (h.cpu.guest != null || h.cpu.activity == Cpu.SHUTDOWN) {
        break;
      }
    }
    explainable(h);
  }

  /** Whatever the VMCS holds, its dump can be written, read and explained. */
  private void explainable(MinimalHypervisor h) {
    Vmcs vmcs = h.vmx.current();
    if (vmcs != null && h.cpu.guest == null) {
      String text = VmcsDump.write(vmcs, "kvm4j-v1", 0, 0);
      assertTrue(VmcsDump.parse(text).get(0).problems().isEmpty());
      explain(text, "");
      assertNotNull(
          ExitExplanation.instruction(
              (int) vmcs.read(Vmcs.VM_EXIT_REASON), (int) vmcs.read(Vmcs.VMX_INSTRUCTION_INFO)));
      assertNotNull(ExitReason.describe((int) vmcs.read(Vmcs.VM_EXIT_REASON)));
    }
    assertTrue(told.length() > 0);
  }

  /** Any text may be given as a dump. */
  @Property(tries = 80)
  void damaged_dumps(@ForAll long seed) {
    Random random = new Random(seed);
    MinimalHypervisor h = new MinimalHypervisor().guest(MODES[random.nextInt(MODES.length)]);
    StringBuilder text = new StringBuilder(VmcsDump.write(h.vmcs(), "", 0, random.nextInt(9)));
    for (int k = random.nextInt(60); k > 0; k--) {
      int at = random.nextInt(text.length());
      switch (random.nextInt(4)) {
        case 0 -> text.setCharAt(at, (char) (32 + random.nextInt(95)));
        case 1 -> text.deleteCharAt(at);
        case 2 -> text.insert(at, Integer.toHexString(random.nextInt()));
        default -> text.insert(at, '\n');
      }
    }
    VmcsDump.parse(text.toString()).forEach(dump -> assertNotNull(dump.problems()));
    explain(text.toString(), "kvm4j-v1");
  }

  private static void explain(String text, String cpu) {
    StringBuilder out = new StringBuilder();
    DumpReports reports = new DumpReports(cpu, (text.length() & 1) != 0, out::append);
    text.lines().forEach(reports::line);
    if (!VmcsDump.parse(text).stream().allMatch(VmcsDump::isEmpty)) {
      reports.end();
      assertTrue(out.length() > 0);
    }
  }
}
