package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.kvm4j.conformance.kvm.RealModeCode.join;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.vmx.vmcs.ControlWord;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;
import org.kvm4j.vmx.vmcs.VmxCapabilities;

/**
 * A hypervisor of some hundred bytes on bare metal, in 64-bit mode: VMXON, VMLAUNCH, and for each
 * VM exit the exit reason to a port, then VMRESUME behind the instruction; after HLT of its guest
 * VMXOFF.
 */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@SuppressWarnings("NullAway.Init") // Set before each test.
class BareHypervisorTests {
  private static final int CODE = 0x1000;
  private static final int HOST_CODE = 0x2000;
  private static final int STACK = 0x3000;
  private static final int PML4 = 0x4000;
  private static final int PDPT = 0x5000;
  private static final int PD = 0x6000;
  private static final int GUEST_CODE = 0x8000;
  private static final int VMXON_REGION = 0x9000;
  private static final int VMCS_REGION = 0xa000;
  private static final int POINTERS = 0xb000;
  private static final int TABLE = 0xc000;
  private static final int TSS = 0xd000;
  private static final int GUEST_STACK = 0xf000;

  private static final int GUEST_PORT = 0x10;
  private static final int REASON_PORT = 0x11;
  private static final int INFO_PORT = 0x12;
  private static final int END_PORT = 0x13;
  private static final int VECTOR = 0x55;

  private static final int CPUID = 10;
  private static final int HLT = 12;
  private static final int EXTERNAL_INTERRUPT = 1;
  private static final int PREEMPTION_TIMER = 52;

  /** The timer counts down at every tick of the TSC. */
  private static final String RATE_0 = "kvm4j-v1,vmx-timer-rate=0";

  /** What the hypervisor leaves in ECX. */
  private static final int IA32_VMX_BASIC = 0x480;

  private final VmxCapabilities capabilities = VmxCapabilities.of(CpuProfiles.defaultProfile());
  private final List<long[]> fields = new ArrayList<>();

  /** Fields that are written after all others. */
  private final List<long[]> later = new ArrayList<>();

  private KernelOptions options = KernelOptions.NONE.with(KernelOptions.BARE_METAL, "true");
  private Kernel kernel;
  private Vm vm;
  private GuestMemory memory;
  private Vcpu vcpu;

  @AfterEach
  void close() {
    kernel.close();
  }

  private static int[] little(long value, int bytes) {
    int[] out = new int[bytes];
    for (int i = 0; i < bytes; i++) {
      out[i] = (int) (value >>> 8 * i) & 0xff;
    }
    return out;
  }

  private static int[] of(int... code) {
    return code;
  }

  /** An instruction with an absolute memory operand. */
  private static int[] at(long address, int... opcode) {
    return join(opcode, little(address, 4));
  }

  private static int[] movEdx(VmcsField field) {
    return join(of(0xba), little(field.encoding, 4));
  }

  private static int[] vmread(VmcsField field) {
    return join(movEdx(field), of(0x0f, 0x78, 0xd0)); // to RAX
  }

  private static int[] wrmsr(int index, long value) {
    return join(
        of(0xb9),
        little(index, 4),
        of(0xb8),
        little(value, 4),
        of(0xba),
        little(value >> 32, 4),
        of(0x0f, 0x30));
  }

  private void field(VmcsField field, long value) {
    fields.add(new long[] {field.encoding, value});
  }

  private void start(String clock, int pin, int primary, int exit, int... guest) {
    kernel =
        Kernels.providers().stream()
            .filter(p -> p.name().equals("emulated"))
            .findFirst()
            .orElseThrow()
            .open(options.with(KernelOptions.CLOCK, clock));
    Kvm kvm = Kvm.open(kernel);
    vm = kvm.createVm();
    vm.createIrqchip();
    memory = new GuestMemory(vm);
    memory.add(0, 0, 0x20_0000, 0);
    memory.putLong(PML4, PDPT | 3);
    memory.putLong(PDPT, PD | 3);
    memory.putLong(PD, 0x83);
    memory.putLong(POINTERS, VMXON_REGION);
    memory.putLong(POINTERS + 8, VMCS_REGION);
    memory.write(GUEST_CODE, RealModeGuest.bytes(guest));
    memory.write(CODE, RealModeGuest.bytes(hypervisor()));
    memory.write(HOST_CODE, RealModeGuest.bytes(exitHandler()));
    vmcs(pin, primary, exit);
    for (int i = 0; i < fields.size(); i++) {
      memory.putLong(TABLE + 16L * i, fields.get(i)[0]);
      memory.putLong(TABLE + 16L * i + 8, fields.get(i)[1]);
    }
    memory.putLong(TABLE + 16L * fields.size(), -1);
    vcpu = vm.createVcpu(0);
    vcpu.setCpuid2(kvm.getSupportedCpuid());
    var sregs = vcpu.getSregs();
    FlatSegments.longMode(sregs);
    sregs.cr3 = PML4;
    sregs.cr4 |= 0x20; // PAE
    sregs.efer |= 0x500; // LME, LMA
    sregs.cr0 = 0x8000_0031L; // PG, NE, ET, PE
    vcpu.setSregs(sregs);
    var regs = vcpu.getRegs();
    regs.rip = CODE;
    regs.rsp = STACK;
    regs.rflags = 2;
    vcpu.setRegs(regs);
  }

  private static int[] hypervisor() {
    return join(
        wrmsr(0x1b, 0xfee00d00L), // x2APIC mode
        wrmsr(0x80f, 0x1ff), // local APIC on
        of(0x0f, 0x20, 0xe0, 0x48, 0x0d, 0x00, 0x20, 0x00, 0x00, 0x0f, 0x22, 0xe0), // CR4.VMXE
        wrmsr(0x3a, 5),
        of(0xb9, 0x80, 0x04, 0, 0, 0x0f, 0x32), // mov ecx, IA32_VMX_BASIC; rdmsr
        at(VMXON_REGION, 0x89, 0x04, 0x25), // mov [VMXON_REGION], eax
        at(VMCS_REGION, 0x89, 0x04, 0x25),
        at(POINTERS, 0xf3, 0x0f, 0xc7, 0x34, 0x25), // vmxon
        at(POINTERS + 8, 0x66, 0x0f, 0xc7, 0x34, 0x25), // vmclear
        at(POINTERS + 8, 0x0f, 0xc7, 0x34, 0x25), // vmptrld
        of(0xbe),
        little(TABLE, 4), // mov esi, TABLE
        of(0x48, 0xad), // next: lodsq
        of(0x48, 0x89, 0xc2), // mov rdx, rax
        of(0x48, 0x83, 0xfa, 0xff), // cmp rdx, -1
        of(0x74, 0x07), // je launch
        of(0x48, 0xad), // lodsq
        of(0x0f, 0x79, 0xd0), // vmwrite rdx, rax
        of(0xeb, 0xee), // jmp next
        of(0x0f, 0x01, 0xc2), // launch: vmlaunch
        vmread(VmcsField.VM_INSTRUCTION_ERROR),
        of(0xe7, END_PORT)); // out END_PORT, eax
  }

  private static int[] exitHandler() {
    int[] advance =
        join(
            vmread(VmcsField.VM_EXIT_INTR_INFO),
            of(0xe7, INFO_PORT), // out INFO_PORT, eax
            vmread(VmcsField.GUEST_RIP),
            of(0x48, 0x89, 0xc3), // mov rbx, rax
            vmread(VmcsField.VM_EXIT_INSTRUCTION_LEN),
            of(0x48, 0x01, 0xd8), // add rax, rbx
            movEdx(VmcsField.GUEST_RIP),
            of(0x0f, 0x79, 0xd0), // vmwrite rdx, rax
            of(0x0f, 0x01, 0xc3), // vmresume
            of(0xb0, 0xef, 0xe7, END_PORT)); // mov al, 0xef; out END_PORT, eax
    return join(
        vmread(VmcsField.VM_EXIT_REASON),
        of(0xe7, REASON_PORT), // out REASON_PORT, eax
        of(0x3c, HLT), // cmp al, HLT
        of(0x74, advance.length), // je end
        advance,
        of(0x0f, 0x01, 0xc4), // end: vmxoff
        of(0x31, 0xc0, 0xe7, END_PORT), // xor eax, eax; out END_PORT, eax
        of(0xf4));
  }

  private void vmcs(int pin, int primary, int exit) {
    field(VmcsField.PIN_BASED_VM_EXEC_CONTROL, capabilities.required1(ControlWord.PIN_BASED) | pin);
    field(
        VmcsField.CPU_BASED_VM_EXEC_CONTROL,
        capabilities.required1(ControlWord.PROCESSOR_BASED) | primary & 0xffffffffL);
    field(
        VmcsField.VM_EXIT_CONTROLS,
        capabilities.required1(ControlWord.VM_EXIT) | Controls.VM_EXIT_HOST_ADDR_SPACE_SIZE | exit);
    field(
        VmcsField.VM_ENTRY_CONTROLS,
        capabilities.required1(ControlWord.VM_ENTRY) | Controls.VM_ENTRY_IA32E_MODE);
    field(VmcsField.VMCS_LINK_POINTER, -1);
    field(VmcsField.VMX_PREEMPTION_TIMER_VALUE, 1000);
    field(VmcsField.HOST_CR0, 0x8000_0031L);
    field(VmcsField.HOST_CR3, PML4);
    field(VmcsField.HOST_CR4, 0x2020);
    field(VmcsField.HOST_CS_SELECTOR, 8);
    field(VmcsField.HOST_SS_SELECTOR, 16);
    field(VmcsField.HOST_TR_SELECTOR, 24);
    field(VmcsField.HOST_TR_BASE, TSS);
    field(VmcsField.HOST_RIP, HOST_CODE);
    field(VmcsField.HOST_RSP, STACK);
    field(VmcsField.GUEST_CR0, 0x8000_0031L);
    field(VmcsField.GUEST_CR3, PML4);
    field(VmcsField.GUEST_CR4, 0x2020);
    field(VmcsField.GUEST_RIP, GUEST_CODE);
    field(VmcsField.GUEST_RSP, GUEST_STACK);
    field(VmcsField.GUEST_RFLAGS, 2);
    field(VmcsField.GUEST_DR7, 0x400);
    for (String s : new String[] {"ES", "CS", "SS", "DS", "FS", "GS"}) {
      boolean code = s.equals("CS");
      field(VmcsField.valueOf("GUEST_" + s + "_SELECTOR"), code ? 8 : 16);
      field(VmcsField.valueOf("GUEST_" + s + "_LIMIT"), 0xffffffffL);
      field(VmcsField.valueOf("GUEST_" + s + "_AR_BYTES"), code ? 0xa09b : 0xc093);
    }
    field(VmcsField.GUEST_LDTR_AR_BYTES, 0x10000);
    field(VmcsField.GUEST_TR_SELECTOR, 24);
    field(VmcsField.GUEST_TR_BASE, TSS);
    field(VmcsField.GUEST_TR_LIMIT, 0x67);
    field(VmcsField.GUEST_TR_AR_BYTES, 0x8b);
    fields.addAll(later);
    later.clear();
  }

  /** Accesses to ports come back from both, and the registers are those of one of them. */
  @Test
  void which_VMX_operation_a_processor_is_in_is_told() {
    start(
        "virtual",
        0,
        Controls.CPU_BASED_HLT_EXITING,
        0,
        0xe7,
        GUEST_PORT,
        0x0f,
        0xa2,
        0xf4); // out GUEST_PORT, eax; cpuid; hlt
    assertEquals("outside of VMX operation", vcpu.operation());
    assertEquals(GUEST_PORT, assertInstanceOf(Exit.IoOut.class, vcpu.run()).port());
    assertEquals("VMX non-root operation, current VMCS at 0xa000", vcpu.operation());
    assertEquals(REASON_PORT, assertInstanceOf(Exit.IoOut.class, vcpu.run()).port());
    assertEquals("VMX root operation, current VMCS at 0xa000", vcpu.operation());
  }

  /** Whatever a hypervisor writes to its VMCS, and whatever its guest executes. */
  @Test
  void randomFieldsAndGuestsNeverBreakOut() throws Exception {
    VmcsField[] all = VmcsField.values();
    ScheduledExecutorService kicker = Executors.newSingleThreadScheduledExecutor();
    try {
      for (int seed = 0; seed < Integer.getInteger("kvm4j.randomHypervisors", 60); seed++) {
        SplittableRandom random = new SplittableRandom(seed);
        fields.clear();
        int[] code = random.ints(64, 0, 256).toArray();
        System.arraycopy(STARTS[random.nextInt(STARTS.length)], 0, code, 0, 4);
        for (int k = random.nextInt(6); k >= 0; k--) {
          VmcsField field = all[random.nextInt(all.length)];
          if (!field.name().startsWith("HOST_RIP")) {
            long value = random.nextLong() >>> random.nextInt(64);
            later.add(new long[] {field.encoding, random.nextBoolean() ? value & -4096 : value});
          }
        }
        start(
            random.nextBoolean() ? "host" : "virtual",
            capability(ControlWord.PIN_BASED, random),
            capability(ControlWord.PROCESSOR_BASED, random),
            0,
            code);
        Vcpu running = vcpu;
        ScheduledFuture<?> kick = kicker.schedule(running::kick, 50, TimeUnit.MILLISECONDS);
        for (int i = 0; i < 60; i++) {
          Exit exit = vcpu.run();
          if (!(exit instanceof Exit.IoOut || exit instanceof Exit.IoIn)) {
            break;
          }
        }
        kick.cancel(false);
        kernel.close();
      }
    } finally {
      kicker.shutdownNow();
    }
  }

  /** Code that brings a guest into something: HLT, MOV to CR8, CPUID, STI with HLT. */
  private static final int[][] STARTS = {
    {0xf4, 0xf4, 0xf4, 0xf4}, {0x44, 0x0f, 0x22, 0xc0}, {0x0f, 0xa2, 0x0f, 0xa2},
    {0xfb, 0xf4, 0x0f, 0xa2}, {0x8b, 0x06, 0x90, 0x90}, {0x0f, 0x79, 0xd8, 0x90}
  };

  private int capability(ControlWord word, SplittableRandom random) {
    return (int) capabilities.allowed1(word) & random.nextInt() & random.nextInt();
  }

  private static void out(int port, int value, Exit exit) {
    Exit.IoOut out = assertInstanceOf(Exit.IoOut.class, exit);
    assertEquals(port, out.port(), exit::toString);
    assertEquals(value, out.value(), exit::toString);
  }

  private static Exit aside(Vcpu vcpu, Runnable meanwhile) throws Exception {
    CompletableFuture<Exit> running = Aside.run(vcpu);
    Thread.sleep(50);
    meanwhile.run();
    return Aside.await(running);
  }

  @Test
  void launchesExitsAndResumes() {
    start(
        "host",
        0,
        Controls.CPU_BASED_HLT_EXITING,
        0,
        0xb0,
        1,
        0xe6,
        GUEST_PORT, // mov al, 1; out GUEST_PORT, al
        0x0f,
        0xa2, // cpuid
        0xb0,
        2,
        0xe6,
        GUEST_PORT, // mov al, 2; out
        0xf4);
    out(GUEST_PORT, 1, vcpu.run());
    out(REASON_PORT, CPUID, vcpu.run());
    out(INFO_PORT, 0, vcpu.run());
    out(GUEST_PORT, 2, vcpu.run());
    out(REASON_PORT, HLT, vcpu.run());
    out(END_PORT, 0, vcpu.run());
  }

  @Test
  void anInterruptExitsAndIsAcknowledged() throws Exception {
    start(
        "host",
        Controls.PIN_BASED_EXT_INTR_MASK,
        Controls.CPU_BASED_HLT_EXITING,
        Controls.VM_EXIT_ACK_INTR_ON_EXIT,
        0xe6,
        GUEST_PORT,
        0xeb,
        0xfe); // jmp $
    assertInstanceOf(Exit.IoOut.class, vcpu.run());
    Exit exit = aside(vcpu, () -> vm.signalMsi(0xfee00000L, VECTOR));
    out(REASON_PORT, EXTERNAL_INTERRUPT, exit);
    out(INFO_PORT, 0x8000_0000 | VECTOR, vcpu.run());
  }

  @Test
  void anInterruptEndsAHltOfTheGuestWithAnExit() throws Exception {
    start("host", Controls.PIN_BASED_EXT_INTR_MASK, 0, 0, 0xe6, GUEST_PORT, 0xf4);
    assertInstanceOf(Exit.IoOut.class, vcpu.run());
    Exit exit = aside(vcpu, () -> vm.signalMsi(0xfee00000L, VECTOR));
    out(REASON_PORT, EXTERNAL_INTERRUPT, exit);
    out(INFO_PORT, 0, vcpu.run());
  }

  @Test
  void anNmiExits() throws Exception {
    start(
        "host",
        Controls.PIN_BASED_NMI_EXITING,
        Controls.CPU_BASED_HLT_EXITING,
        0,
        0xe6,
        GUEST_PORT,
        0xeb,
        0xfe);
    assertInstanceOf(Exit.IoOut.class, vcpu.run());
    out(REASON_PORT, 0, aside(vcpu, () -> vm.signalMsi(0xfee00000L, 0x400)));
    out(INFO_PORT, 0x8000_0202, vcpu.run());
  }

  @Test
  void thePreemptionTimerEndsALoop() throws Exception {
    for (String clock : new String[] {"host", "virtual"}) {
      fields.clear();
      start(
          clock,
          Controls.PIN_BASED_VMX_PREEMPTION_TIMER,
          Controls.CPU_BASED_HLT_EXITING,
          0,
          0xeb,
          0xfe); // jmp $
      out(REASON_PORT, PREEMPTION_TIMER, vcpu.run());
      kernel.close();
    }
  }

  @Test
  void thePreemptionTimerEndsAHlt() throws Exception {
    for (String clock : new String[] {"host", "virtual"}) {
      fields.clear();
      start(clock, Controls.PIN_BASED_VMX_PREEMPTION_TIMER, 0, 0, 0xf4); // hlt
      out(REASON_PORT, PREEMPTION_TIMER, vcpu.run());
      kernel.close();
    }
  }

  /**
   * A tick of the timer is one of the TSC then, which is an instruction under the virtual clock.
   */
  @ParameterizedTest
  @ValueSource(strings = {"interpreter", "translator", "machine-code"})
  void aTimerOfRate0ExitsAfterAnyInstruction(String engine) throws Exception {
    options = options.with(KernelOptions.CPU, RATE_0).with(KernelOptions.ENGINE, engine);
    int[] count = new int[128];
    for (int i = 0; i < count.length; i += 2) {
      count[i] = 0xff;
      count[i + 1] = 0xc1; // inc ecx
    }
    for (int ticks : new int[] {0, 1, 2, 3, 7, 16, 33, 63}) {
      fields.clear();
      later.add(new long[] {VmcsField.VMX_PREEMPTION_TIMER_VALUE.encoding, ticks});
      start("virtual", Controls.PIN_BASED_VMX_PREEMPTION_TIMER, 0, 0, count);
      out(REASON_PORT, PREEMPTION_TIMER, vcpu.run());
      assertEquals(ticks, vcpu.getRegs().rcx - IA32_VMX_BASIC, "instructions of the guest");
      kernel.close();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"host", "virtual"})
  void aTimerOfRate0EndsAHlt(String clock) throws Exception {
    options = options.with(KernelOptions.CPU, RATE_0);
    for (int ticks : new int[] {0, 1, 2, 3, 100, 100_000}) {
      fields.clear();
      later.add(new long[] {VmcsField.VMX_PREEMPTION_TIMER_VALUE.encoding, ticks});
      start(clock, Controls.PIN_BASED_VMX_PREEMPTION_TIMER, 0, 0, 0xf4, 0xeb, 0xfd); // hlt; jmp
      out(REASON_PORT, PREEMPTION_TIMER, vcpu.run());
      kernel.close();
    }
  }
}
