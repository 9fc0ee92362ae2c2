package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HexFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.kvm.module.EmulatedKernel;
import org.kvm4j.kvm.uapi.Uapi;

/** What the emulated kernel says of shutdowns and failed entries, in the exits. */
class DiagnosisTests {

  private static final int CODE = 0x5000;

  private final EmulatedKernel kernel = new EmulatedKernel();
  private final Kvm kvm = Kvm.open(kernel);
  private final Vm vm = kvm.createVm();
  private final Vcpu vcpu = vm.createVcpu(0);
  private final GuestMemory memory = new GuestMemory(vm);
  private final Sregs sregs = vcpu.getSregs();

  @BeforeEach
  void setUp() {
    memory.add(0, 0, 0x10000, 0);
    sregs.cs.setRealMode(0);
    sregs.idt.limit = 0;
  }

  @AfterEach
  void close() {
    kvm.close();
    kernel.close();
  }

  private Exit run(String code) {
    memory.write(CODE, HexFormat.of().parseHex(code.replace(" ", "")));
    vcpu.setSregs(sregs);
    Regs regs = vcpu.getRegs();
    regs.rip = CODE;
    regs.rflags = 2;
    vcpu.setRegs(regs);
    return vcpu.run();
  }

  private String shutdown(String code) {
    return assertInstanceOf(Exit.Shutdown.class, run(code)).diagnosis();
  }

  /** 64-bit mode, the first 2 MB mapped to themselves, without anything else. */
  private void longMode(long cr4) {
    memory.write(0x1000, new byte[] {3, 0x20});
    memory.write(0x2000, new byte[] {3, 0x30});
    memory.write(0x3000, new byte[] {(byte) 0x83});
    sregs.cr3 = 0x1000;
    sregs.cr4 = 0x20 | cr4;
    sregs.efer = 0x500;
    sregs.cr0 = 0x80000011L;
    sregs.cs.type = 11;
    sregs.cs.s = 1;
    sregs.cs.l = 1;
    sregs.cs.db = 0;
    sregs.cs.present = 1;
    sregs.ss.unusable = 1;
  }

  @Test
  void a_real_mode_guest_without_vectors() {
    assertEquals(
        "#BP at 0000:5000 (cc: int3) -> #GP(0x1a: IDT entry 3) -> #GP(0x6b: IDT entry 13) = #DF"
            + " -> #GP(0x43: IDT entry 8)",
        shutdown("cc"));
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "0f 0b | #UD at RIP 0x5000 (0f 0b: ud2) -> #GP(0x33: IDT entry 6) -> #GP(0x6b: IDT entry 13)"
            + " = #DF -> #GP(0x43: IDT entry 8)",
        "48 89 1c 25 00 00 40 00 | #PF(0x2, CR2 0x400000) at RIP 0x5000 (48 89 1c 25 00 00 40 00: mov"
            + " QWORD PTR ds:0x400000,rbx) -> #GP(0x73: IDT entry 14) = #DF -> #GP(0x43: IDT entry 8)",
        "cd 80 | INT 0x80 at RIP 0x5000 (cd 80: int 0x80) -> #GP(0x402: IDT entry 128) ->"
            + " #GP(0x6b: IDT entry 13) = #DF -> #GP(0x43: IDT entry 8)"
      })
  void a_64_bit_guest_without_vectors(String code, String diagnosis) {
    longMode(0);
    assertEquals(diagnosis, shutdown(code));
  }

  @Test
  void code_that_cannot_be_read() {
    longMode(0);
    // mov eax, 0x400000; jmp rax
    assertTrue(
        shutdown("b8 00 00 40 00 ff e0")
            .startsWith("#PF(0x0, CR2 0x400000) at RIP 0x400000 (no code can be read there) -> "));
  }

  @ParameterizedTest
  @CsvSource({
    "0f 57 c0,0,xorps xmm0,; CR4.OSFXSR is 0",
    "c5 f8 57 c0,200,vxorps xmm0,; CR4.OSXSAVE is 0"
  })
  void what_an_instruction_lacked(String code, String cr4, String name, String hint) {
    longMode(Long.parseLong(cr4, 16));
    String diagnosis = shutdown(code);
    assertTrue(diagnosis.contains(name), diagnosis);
    boolean has = diagnosis.endsWith(hint);
    assertTrue(has || diagnosis.contains("; the CPU model has no "), diagnosis);
  }

  @Test
  void a_failed_entry_names_the_check() {
    // Blocking by STI while interrupts are off.
    VcpuEvents events = vcpu.getVcpuEvents();
    events.interruptShadow = 2; // KVM_X86_SHADOW_INT_STI
    events.flags = Uapi.KVM_VCPUEVENT_VALID_SHADOW;
    vcpu.setVcpuEvents(events);
    Exit.FailEntry exit = assertInstanceOf(Exit.FailEntry.class, run("90 f4"));
    assertTrue(exit.diagnosis().contains("GUEST_INTERRUPTIBILITY_STI_IF"), exit::toString);
    assertTrue(exit.toString().contains("GUEST_INTERRUPTIBILITY_STI_IF"), exit::toString);
    assertEquals(1, exit.diagnosis().lines().count());
  }

  @Test
  void the_next_run_has_nothing_of_it() {
    shutdown("0f 0b");
    assertEquals(new Exit.Hlt(), run("f4"));
    assertEquals("", vcpu.runPage().diagnosis());
  }

  @Test
  void what_is_no_vcpu_has_nothing_to_say() {
    assertEquals("", kernel.diagnosis(-1));
    assertEquals("", kernel.diagnosis(12345));
  }
}
