package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.kvm.ClockData;
import org.kvm4j.kvm.CpuidEntry;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.GuestMemory;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.LapicState;
import org.kvm4j.kvm.MpState;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.Sregs;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.Vm;
import org.kvm4j.kvm.syscall.KernelOptions;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Uapi;

/** What guests see of the virtual clock, to the nanosecond. */
@Timeout(60)
class VirtualClockTests {
  private static final int TSC = 0x10;
  private static final int TSC_DEADLINE = 0x6e0;
  private static final int WALL_CLOCK = 0x4b564d00;
  private static final int STEAL_TIME = 0x4b564d03;
  private static final int VECTOR = 0x41;
  private static final int CODE = 0x1000;
  private static final int HANDLER = 0x3000;
  private static final int SHARED = 0x6000;
  private static final int EXIT = 1000;
  private static final int ANSWER = 10_000;
  private static final int[] STI_HLT = {0xfb, 0xf4};
  private static final int[] OUT = {0xe6, 0x10};

  private EmulatedKernel kernel = kernel(1);
  private Kvm kvm = Kvm.open(kernel);
  private Vm vm = kvm.createVm();
  private GuestMemory memory = new GuestMemory(vm);

  private static EmulatedKernel kernel(int instructionTime) {
    return new EmulatedKernel(
        new HostMachine(CpuProfiles.defaultProfile(), MachineClock.VIRTUAL)
            .instructionTime(instructionTime));
  }

  /** The same where an instruction takes so many ns. */
  private void slower(int instructionTime) {
    close();
    kernel = kernel(instructionTime);
    kvm = Kvm.open(kernel);
    vm = kvm.createVm();
    memory = new GuestMemory(vm);
  }

  @AfterEach
  void close() {
    kernel.close();
  }

  private void load(int address, int... code) {
    for (int i = 0; i < code.length; i++) {
      memory.putByte(address + i, (byte) code[i]);
    }
  }

  /** A VM with chips and memory. */
  private void machine(Consumer<Vm> more) {
    vm.createIrqchip();
    more.accept(vm);
    memory.add(0, 0, 0x10000, 0);
  }

  /** A virtual CPU about to execute code in real mode. */
  private Vcpu vcpu(int id, int code) {
    Vcpu vcpu = vm.createVcpu(id);
    Sregs sregs = vcpu.getSregs();
    sregs.cs.setRealMode(0);
    vcpu.setSregs(sregs);
    Regs regs = new Regs();
    regs.rip = code;
    regs.rsp = 0x8000 - 0x100L * id;
    regs.rflags = 2;
    vcpu.setRegs(regs);
    return vcpu;
  }

  @Test
  void theWallClockBeginsWithTheVm() {
    machine(v -> {});
    Vcpu vcpu = vcpu(0, CODE);
    vcpu.setMsr(WALL_CLOCK, SHARED);
    assertEquals(KernelOptions.VIRTUAL_EPOCH.getEpochSecond(), memory.getInt(SHARED + 4));
    assertEquals(0, memory.getInt(SHARED + 8));
    load(CODE, OUT);
    vcpu.run();
    ClockData clock = vm.getClock();
    assertEquals(clock.clock, clock.hostTsc);
    assertEquals(
        KernelOptions.VIRTUAL_EPOCH.getEpochSecond() * 1_000_000_000L + clock.clock,
        clock.realtime);
  }

  private long untilDeadline(long ticks) {
    return untilDeadline(ticks, STI_HLT);
  }

  private long untilDeadline(long ticks, int... code) {
    load(CODE, code);
    load(HANDLER, OUT);
    memory.putInt(4L * VECTOR, HANDLER);
    Vcpu vcpu = vcpu(0, CODE);
    var entries = kvm.getSupportedCpuid();
    for (CpuidEntry e : entries) {
      if (e.function == 1) {
        e.ecx |= 1 << 24;
      }
    }
    vcpu.setCpuid2(entries);
    LapicState lapic = vcpu.getLapic();
    lapic.setRegister(0xf0, 0x1ff);
    lapic.setRegister(0x320, 2 << 17 | VECTOR);
    vcpu.setLapic(lapic);
    vcpu.setTscKhz(2_500_000);
    vcpu.setMsr(TSC_DEADLINE, vcpu.getMsr(TSC) + ticks);
    assertInstanceOf(Exit.IoOut.class, vcpu.run());
    return vm.getClock().clock;
  }

  @Test
  void deadlinesAreOfTheScaledCounter() {
    machine(v -> {});
    long nanos = untilDeadline(2_500_000);
    assertTrue(nanos >= 1_000_000 + EXIT && nanos < 1_000_100 + EXIT, () -> nanos + " ns");
  }

  @Test
  void timePassesInAHaltThatDoesNotExit() {
    machine(v -> v.enableCap(Caps.KVM_CAP_X86_DISABLE_EXITS, Uapi.KVM_X86_DISABLE_EXITS_HLT));
    long nanos = untilDeadline(2_500_000);
    assertTrue(nanos >= 1_000_000 + EXIT && nanos < 1_000_100 + EXIT, () -> nanos + " ns");
  }

  /** What a piece of code takes, the OUT behind it included, in ns. */
  private long taken(Vcpu vcpu, int... code) {
    Regs regs = vcpu.getRegs();
    regs.rip += 16; // somewhere else than the OUT that is not finished yet
    load((int) regs.rip, code);
    load((int) regs.rip + code.length, OUT);
    vcpu.setRegs(regs);
    long before = vm.getClock().clock;
    assertInstanceOf(Exit.IoOut.class, vcpu.run());
    return vm.getClock().clock - before;
  }

  @Test
  void eachExitTakesAMicrosecondWhoeverHandlesIt() {
    machine(v -> {});
    Vcpu vcpu = vcpu(0, CODE);
    taken(vcpu, 0x90); // maps the page
    assertEquals(EXIT + 1, taken(vcpu), "one that user space handles");
    assertEquals(EXIT + 4, taken(vcpu, 0x90, 0x90, 0x90), "instructions that do not exit");
    assertEquals(2 * (EXIT + 1), taken(vcpu, 0x0f, 0xa2), "CPUID, which the module handles");
    assertEquals(
        4 * (EXIT + 1), taken(vcpu, 0xe4, 0x21, 0xe6, 0x21, 0xe4, 0x21), "ports of its chips");
  }

  @Test
  void anInstructionTakesAsLongAsItIsToTake() {
    slower(50);
    machine(v -> {});
    Vcpu vcpu = vcpu(0, CODE);
    taken(vcpu, 0x90); // maps the page
    assertEquals(EXIT + 50, taken(vcpu));
    assertEquals(EXIT + 4 * 50, taken(vcpu, 0x90, 0x90, 0x90));
    assertEquals(2 * (EXIT + 50), taken(vcpu, 0x0f, 0xa2), "CPUID");
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "1001", "-1", "1.5", "", "99999999999"})
  void anInstructionsTimeHasBounds(String nanos) {
    KernelOptions options =
        KernelOptions.NONE
            .with(KernelOptions.CLOCK, "virtual")
            .with(KernelOptions.INSTRUCTION_TIME, nanos);
    IllegalArgumentException refusal =
        assertThrows(
            IllegalArgumentException.class,
            () -> new EmulatedKernelProvider().open(options).close());
    assertEquals(
        "an instruction's time is 1 to 1000 ns, not \"" + nanos + "\"", refusal.getMessage());
  }

  @Test
  void anInstructionsTimeIsNoneOfTheHostsClock() {
    KernelOptions options = KernelOptions.NONE.with(KernelOptions.INSTRUCTION_TIME, "2");
    assertThrows(
        IllegalArgumentException.class, () -> new EmulatedKernelProvider().open(options).close());
  }

  @Test
  void aDeadlineIsMetByTheFirstInstructionThatEndsAfterIt() {
    slower(70);
    machine(v -> {});
    load(HANDLER, OUT);
    long nanos = untilDeadline(2_500_000, 0xfb, 0xeb, 0xfe); // sti; jmp to itself
    assertTrue(nanos >= 1_000_000 && nanos < 1_000_000 + 5 * 70 + 2 * EXIT, () -> nanos + " ns");
  }

  @Test
  void aPageThatIsMappedOnlyNowTakesNoTime() {
    machine(v -> {});
    Vcpu vcpu = vcpu(0, CODE);
    taken(vcpu, 0x90);
    int[] store = {0xa2, 0x00, 0x70}; // mov [0x7000], al
    long first = taken(vcpu, store);
    assertEquals(first, taken(vcpu, store));
  }

  /**
   * Processor 0 ends the HLT of processor 1, which gets its turn, and takes its own up again after
   * it.
   */
  @Test
  void stolenTimeIsThatOfTheTurnsOfOthers() throws InterruptedException {
    machine(v -> {});
    load(
        CODE, 0x66, 0xb8, 5, 0, 0, 0, // mov eax, KVM_HC_KICK_CPU
        0x66, 0xb9, 1, 0, 0, 0, // mov ecx, 1
        0x0f, 0x01, 0xc1, // vmcall
        0xe6, 0x10); // out
    load(CODE + 0x100, 0xeb, 0xfe);
    final Vcpu first = vcpu(0, CODE);
    Vcpu second = vcpu(1, CODE + 0x100);
    first.setMsr(STEAL_TIME, SHARED | 1);
    second.setMsr(STEAL_TIME, SHARED + 0x40 | 1);
    second.setMpState(MpState.HALTED);
    Thread other = new Thread(second::run);
    other.start();
    while (other.getState() != Thread.State.WAITING) {
      Thread.onSpinWait();
    }
    assertInstanceOf(Exit.IoOut.class, first.run());
    long stolen = memory.getLong(SHARED);
    assertEquals(ANSWER, stolen);
    assertEquals(0, memory.getLong(SHARED + 0x40), "the other has had its turn at once");
    assertEquals(1, memory.getByte(SHARED + 0x40 + 16), "and waits for the next");
    assertEquals(0, memory.getByte(SHARED + 16));
    second.kick();
    other.join();
  }
}
