package org.kvm4j.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;

import java.util.HexFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Msrs;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.engine.Interpreter.Stop;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.memory.PhysicalMemory;

/** Signals from outside and activity states. SDM Vol. 3, "MP Initialization" and table 10-1. */
final class LogicalProcessorTests {
  private final PhysicalMemory memory = new PhysicalMemory(40);
  private final LogicalProcessor processor;
  private final Cpu cpu;

  LogicalProcessorTests() {
    memory.mapAt(0, 0x100000);
    processor = new LogicalProcessor(CpuProfiles.defaultProfile(), memory, Platform.NONE);
    cpu = processor.cpu;
  }

  @AfterEach
  void close() {
    processor.close();
  }

  private void code(int address, String hex) {
    byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
    memory.write(address, bytes);
  }

  /** An application processor after INIT. */
  private void waiting() {
    cpu.msr.apicBase &= ~Msrs.APIC_BASE_BSP;
    processor.init();
    assertEquals(Stop.INACTIVE, processor.engine.run(10));
    assertEquals(Cpu.WAIT_FOR_SIPI, cpu.activity);
  }

  @Test
  void an_application_processor_waits_after_init_and_starts_at_its_page() {
    waiting();
    code(0x9a000, "b0 07 f4"); // mov al, 7; hlt
    processor.startUp(0x9a);
    assertEquals(Stop.INACTIVE, processor.engine.run(10));
    assertEquals(Cpu.HALTED, cpu.activity);
    assertEquals(0x9a00, cpu.seg[Cpu.CS].selector);
    assertEquals(0x9a000, cpu.seg[Cpu.CS].base);
    assertEquals(0xffff, cpu.seg[Cpu.CS].limit);
    assertEquals(3, cpu.rip);
    assertEquals(7, cpu.r[Cpu.RAX]);
  }

  @Test
  void the_bootstrap_processor_goes_to_the_reset_vector_after_init() {
    cpu.seg[Cpu.CS].set(0, 0, 0xffff, Segment.REAL_CODE);
    cpu.rip = 0x100;
    cpu.updateMode();
    processor.init();
    assertEquals(Stop.BUDGET, processor.engine.run(1));
    assertEquals(Cpu.ACTIVE, cpu.activity);
    assertEquals(0xffff0000L, cpu.seg[Cpu.CS].base);
    assertEquals(0xfff0, cpu.rip);
  }

  @Test
  void init_keeps_caching_msrs_and_floating_point_and_resets_the_rest() {
    cpu.cr0 = 0x80050033L | ControlBits.CR0_CD;
    cpu.cr4 = 0x20;
    cpu.efer = 0xd00;
    cpu.xcr0 = 7;
    cpu.pkru = 5;
    cpu.msr.lstar = 0x1234;
    cpu.msr.tscOffset = 99;
    cpu.xsaveArea[160] = 42;
    cpu.dr[1] = 4;
    cpu.r[Cpu.RBX] = 1;
    cpu.nmiBlocked = true;
    cpu.shadow = Cpu.SHADOW_STI;
    waiting();
    assertEquals(ControlBits.CR0_CD | ControlBits.CR0_ET, cpu.cr0);
    assertEquals(0, cpu.cr4);
    assertEquals(0, cpu.efer);
    assertEquals(7, cpu.xcr0);
    assertEquals(5, cpu.pkru);
    assertEquals(0x1234, cpu.msr.lstar);
    assertEquals(99, cpu.msr.tscOffset);
    assertEquals(42, cpu.xsaveArea[160]);
    assertEquals(0, cpu.dr[1]);
    assertEquals(0, cpu.r[Cpu.RBX]);
    assertEquals(cpu.model.signature(), cpu.r[Cpu.RDX]);
    assertEquals(2, cpu.rflags());
    assertEquals(false, cpu.nmiBlocked);
    assertEquals(0, cpu.shadow);
    assertEquals(2, cpu.codeSize);
  }

  @Test
  void a_start_up_ipi_is_lost_on_a_processor_that_does_not_wait() {
    cpu.seg[Cpu.CS].set(0, 0, 0xffff, Segment.REAL_CODE);
    cpu.rip = 0x100;
    cpu.updateMode();
    code(0x100, "eb fe");
    processor.startUp(0x20);
    assertEquals(Stop.BUDGET, processor.engine.run(10));
    assertEquals(0x100, cpu.rip);
    waiting();
    assertEquals(Stop.INACTIVE, processor.engine.run(10));
    assertEquals(Cpu.WAIT_FOR_SIPI, cpu.activity);
  }

  @Test
  void the_first_of_two_start_up_ipis_counts() {
    waiting();
    code(0x20000, "eb fe");
    processor.startUp(0x20);
    processor.startUp(0x30);
    assertEquals(Stop.BUDGET, processor.engine.run(10));
    assertEquals(0x20000, cpu.seg[Cpu.CS].base);
    processor.startUp(0x30);
    assertEquals(Stop.BUDGET, processor.engine.run(10));
    assertEquals(0x20000, cpu.seg[Cpu.CS].base);
  }

  @Test
  void init_after_a_start_up_ipi_takes_it_back_and_init_before_it_goes_first() {
    waiting();
    processor.startUp(0x20);
    processor.init();
    assertEquals(Stop.INACTIVE, processor.engine.run(10));
    assertEquals(Cpu.WAIT_FOR_SIPI, cpu.activity);
    code(0x30000, "eb fe");
    processor.init();
    processor.startUp(0x30);
    assertEquals(Stop.BUDGET, processor.engine.run(10));
    assertEquals(0x30000, cpu.seg[Cpu.CS].base);
  }

  @Test
  void nothing_but_a_start_up_ipi_wakes_a_waiting_processor() {
    waiting();
    processor.nmi();
    cpu.request(Cpu.REQUEST_INTERRUPT);
    assertEquals(Stop.INACTIVE, processor.engine.run(10));
    assertEquals(Cpu.WAIT_FOR_SIPI, cpu.activity);
    // The NMI is pending still.
    memory.writeInt(8, 0x3000 << 16);
    code(0x30000, "eb fe");
    code(0x20000, "eb fe");
    processor.startUp(0x20);
    processor.engine.run(10);
    assertEquals(0x30000, cpu.seg[Cpu.CS].base);
  }

  @Test
  void shutdown_ends_by_nmi_or_init() {
    for (boolean nmi : new boolean[] {true, false}) {
      cpu.reset();
      cpu.seg[Cpu.CS].set(0, 0, 0xffff, Segment.REAL_CODE);
      cpu.idtLimit = 0;
      cpu.rip = 0x100;
      cpu.updateMode();
      code(0x100, "0f 0b");
      assertEquals(Stop.LEFT, processor.engine.run(10));
      assertEquals(Cpu.SHUTDOWN, cpu.activity);
      cpu.request(Cpu.REQUEST_INTERRUPT);
      assertEquals(Stop.INACTIVE, processor.engine.run(10));
      assertEquals(Cpu.SHUTDOWN, cpu.activity);
      cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
      if (nmi) {
        cpu.idtLimit = 0x3ff;
        memory.writeInt(8, 0x3000 << 16);
        code(0x30000, "eb fe");
        processor.nmi();
        assertEquals(Stop.BUDGET, processor.engine.run(10));
        assertEquals(0x30000, cpu.seg[Cpu.CS].base);
      } else {
        processor.init();
        assertEquals(Stop.BUDGET, processor.engine.run(1));
        assertEquals(0xfff0, cpu.rip);
      }
    }
  }

  @Test
  void an_nmi_wakes_hlt_and_is_blocked_until_iret() {
    cpu.seg[Cpu.CS].set(0, 0, 0xffff, Segment.REAL_CODE);
    cpu.rip = 0x100;
    cpu.updateMode();
    memory.writeInt(Vector.NMI * 4, 0x200);
    cpu.r[Cpu.RSP] = 0x8000;
    code(0x100, "f4 eb fd");
    code(0x200, "40 90 cf"); // inc ax; nop; iret
    assertEquals(Stop.INACTIVE, processor.engine.run(10));
    processor.nmi();
    assertEquals(Stop.BUDGET, processor.engine.run(2));
    assertEquals(0x201, cpu.rip);
    processor.nmi();
    assertEquals(Stop.BUDGET, processor.engine.run(1));
    assertEquals(0x202, cpu.rip);
    assertEquals(Stop.INACTIVE, processor.engine.run(100));
    assertEquals(2, cpu.r[Cpu.RAX]);
    assertNotEquals(true, cpu.nmiBlocked);
  }

  @Test
  void init_is_blocked_in_vmx_root_operation() {
    cpu.seg[Cpu.CS].set(0, 0, 0xffff, Segment.REAL_CODE);
    cpu.rip = 0x100;
    cpu.updateMode();
    code(0x100, "eb fe");
    memory.writeInt(0x3000, (int) processor.vmx.capabilities().basic);
    assertEquals(0, processor.vmx.vmxon(0x3000));
    processor.init();
    assertEquals(Stop.BUDGET, processor.engine.run(10));
    assertEquals(0x100, cpu.rip);
    processor.vmx.vmxoff();
    processor.engine.run(1);
    assertEquals(0xfff0, cpu.rip);
  }
}
