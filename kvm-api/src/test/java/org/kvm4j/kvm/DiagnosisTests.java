package org.kvm4j.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.kvm.module.EmulatedKernel;
import org.kvm4j.kvm.module.EmulatedKernelProvider;
import org.kvm4j.kvm.syscall.Errno;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.uapi.Ioctls;
import org.kvm4j.kvm.uapi.Uapi;

/** What the emulated kernel says of exits that end a guest, and of calls that it refuses. */
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
        "0f 0b | #UD at RIP 0x5000 (0f 0b: ud2) -> #GP(0x33: IDT entry 6) -> #GP(0x6b: IDT entry"
            + " 13) = #DF -> #GP(0x43: IDT entry 8)",
        "48 89 1c 25 00 00 40 00 | #PF(0x2, CR2 0x400000) at RIP 0x5000 (48 89 1c 25 00 00 40 00:"
            + " mov QWORD PTR ds:0x400000,rbx) -> #GP(0x73: IDT entry 14) = #DF -> #GP(0x43: IDT"
            + " entry 8)",
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

  private String internalError(String code) {
    Exit.InternalError exit = assertInstanceOf(Exit.InternalError.class, run(code));
    assertEquals(exit.diagnosis(), vcpu.runPage().diagnosis());
    assertTrue(
        exit.diagnosis().isEmpty() || exit.toString().contains(exit.diagnosis()), exit::toString);
    return exit.diagnosis();
  }

  @Test
  void paging_structures_where_no_memory_is() {
    longMode(0);
    sregs.cr3 = 0x1_0000_0000L;
    assertEquals(
        "the walk of linear 0x5000 from CR3 0x100000000 comes to a PML4E at gpa 0x100000000,"
            + " where no memory slot is",
        internalError("90"));
    longMode(0);
    memory.write(0x1000, new byte[] {0x23}); // accessed
    memory.write(0x2000, new byte[] {0x23, 0, 0, 1}); // a page directory at 16 MB
    assertEquals(
        "the walk of linear 0x5000 from CR3 0x1000, PML4E at gpa 0x1000 = 0x2023, PDPTE at gpa"
            + " 0x2000 = 0x1000023 comes to a PDE at gpa 0x1000000, where no memory slot is",
        internalError("90"));
  }

  @Test
  void a_walk_for_data_where_no_memory_is() {
    longMode(0);
    memory.write(0x2008, new byte[] {3, 0, 0, 1}); // the second gigabyte's directory at 16 MB
    // mov eax, [0x40000000]
    String words = internalError("8b 04 25 00 00 00 40");
    assertTrue(words.startsWith("the walk of linear 0x40000000 from CR3 0x1000, "), words);
    assertTrue(words.endsWith("comes to a PDE at gpa 0x1000000, where no memory slot is"), words);
  }

  @Test
  void the_delivery_of_an_exception_where_no_memory_is() {
    longMode(0);
    memory.write(0x2008, new byte[] {3, 0, 0, 1});
    sregs.idt.base = 0x4000_0000L;
    sregs.idt.limit = 0xfff;
    String words = internalError("0f 0b");
    assertTrue(
        words.startsWith(
            "the delivery of vector 6 (0x6) to the guest: the walk of linear 0x40000060 from CR3"),
        words);
  }

  @Test
  void paging_structures_in_read_only_memory_that_has_to_be_written() {
    longMode(0);
    memory.add(1, 0x20000, 0x1000, Uapi.KVM_MEM_READONLY);
    memory.write(0x20000, new byte[] {3, 0x20}); // not accessed
    sregs.cr3 = 0x20000;
    assertEquals(
        "the walk of linear 0x5000 from CR3 0x20000 has to write gpa 0x20000, in a read-only memory"
            + " slot",
        internalError("90"));
  }

  @Test
  void code_where_no_memory_is() {
    // jmp 0x2000:0
    assertEquals(
        "code at linear 0x20000 is gpa 0x20000, where no memory slot is",
        internalError("ea 00 00 00 20"));
  }

  private String refused(Runnable call) {
    KvmException e = assertThrows(KvmException.class, call::run);
    assertEquals(Errno.EINVAL.number(), e.errno());
    return e.detail();
  }

  @Test
  void system_registers_that_are_refused_say_which_rule_they_break() {
    longMode(0);
    sregs.cr4 = 0;
    assertEquals(
        "EFER.LME and CR0.PG need CR4.PAE, and CR4 is 0x0", refused(() -> vcpu.setSregs(sregs)));
    longMode(1L << 30);
    assertEquals("the CPU model has no CR4 bits 0x40000000", refused(() -> vcpu.setSregs(sregs)));
    longMode(0);
    sregs.efer = 0x100;
    assertEquals(
        "EFER.LME and CR0.PG mean EFER.LMA, and EFER is 0x100",
        refused(() -> vcpu.setSregs(sregs)));
    sregs.efer = 0;
    assertEquals(
        "a 64-bit code segment (CS.L) needs EFER.LME, EFER.LMA and CR0.PG: EFER is 0x0, CR0"
            + " 0x80000011",
        refused(() -> vcpu.setSregs(sregs)));
    sregs.cs.l = 0;
    sregs.cr0 = 0x80000010L;
    assertEquals("CR0.PG needs CR0.PE, and CR0 is 0x80000010", refused(() -> vcpu.setSregs(sregs)));
    sregs.cr0 = 0x20000011L;
    assertEquals("CR0.NW needs CR0.CD, and CR0 is 0x20000011", refused(() -> vcpu.setSregs(sregs)));
    sregs.cr0 = 0x11;
    sregs.apicBase = 1;
    assertTrue(refused(() -> vcpu.setSregs(sregs)).startsWith("IA32_APIC_BASE may not be 0x1: "));
  }

  @Test
  void features_that_cpuid_does_not_tell_of_are_named() {
    vcpu.setCpuid2(List.of(new CpuidEntry(0, 0, 0, 1, 0, 0, 0)));
    longMode(1 << 20 | 1 << 21);
    assertEquals(
        "the CPUID of the vCPU does not allow CR4.SMEP, CR4.SMAP (KVM_SET_CPUID2)",
        refused(() -> vcpu.setSregs(sregs)));
  }

  @Test
  void a_processor_without_long_mode_says_so() {
    try (Kernel small =
            new EmulatedKernelProvider().open(KernelOptions.NONE.with("cpu", "kvm4j-32"));
        Kvm its = Kvm.open(small);
        Vm machine = its.createVm();
        Vcpu processor = machine.createVcpu(0)) {
      longMode(0);
      assertEquals(
          "the CPU model has no long mode, and EFER is 0x500",
          refused(() -> processor.setSregs(sregs)));
    }
  }

  @Test
  void other_calls_that_are_refused_say_why() {
    vcpu.setCpuid2(kvm.getSupportedCpuid());
    assertEquals("XCR0 0x2: bit 0, x87, must be 1", refused(() -> vcpu.setXcrs(Xcrs.ofXcr0(2))));
    assertTrue(
        refused(() -> vcpu.setXcrs(Xcrs.ofXcr0(1L << 62)))
            .startsWith(
                "XCR0 0x4000000000000000: the CPU model and CPUID leaf 0xd of the vCPU allow"));
    run("f4");
    assertEquals(
        "the vCPU has run and its CPUID cannot change: entry 0, leaf 0x0, is another",
        refused(
            () -> {
              List<CpuidEntry> other = kvm.getSupportedCpuid();
              other.get(0).ebx = 7;
              vcpu.setCpuid2(other);
            }));
    // A call without words of the kernel's does not get those of the one before.
    assertEquals(Errno.EFAULT.result(), vcpu.ioctl(Ioctls.KVM_SET_REGS, 0));
    assertEquals("", kernel.diagnosis(vcpu.fd()));
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
