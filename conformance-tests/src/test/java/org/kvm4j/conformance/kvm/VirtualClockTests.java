package org.kvm4j.conformance.kvm;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Kernels;
import org.kvm4j.kvm.Kvm;
import org.kvm4j.kvm.Statistic;
import org.kvm4j.kvm.Vcpu;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.KernelOptions;

/** Virtual CPUs that take turns on the virtual clock. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
@SuppressWarnings("NullAway.Init") // Set before each test.
class VirtualClockTests {
  private static final int IA32_TIME_STAMP_COUNTER = 0x10;
  private static final int PORT = 0x10;
  private static final int ROUNDS = 100;

  private Kernel kernel;
  private Kvm kvm;

  @BeforeEach
  void open() {
    kernel =
        Kernels.providers().stream()
            .filter(p -> p.name().equals("emulated"))
            .findFirst()
            .orElseThrow()
            .open(KernelOptions.NONE.with(KernelOptions.CLOCK, "virtual"));
    kvm = Kvm.open(kernel);
  }

  @AfterEach
  void close() {
    kernel.close();
  }

  private static long spins(Vcpu vcpu) {
    return vcpu.readStatistics().stream()
        .filter(s -> s.name().equals("exits_pause"))
        .mapToLong(Statistic::value)
        .findFirst()
        .orElseThrow();
  }

  /** What it takes to hand a byte to and fro between two virtual CPUs that wait with PAUSE. */
  private long handOver() throws Exception {
    RealModeGuest guest =
        new RealModeGuest(
            kvm, 0xb9, 1, 0, // mov cx, 1
            0xfe, 0x06, 0, 0x40, // next: inc byte [0x4000]
            0xf3, 0x90, // wait: pause
            0xa0, 1, 0x40, // mov al, [0x4001]
            0x3a, 0x06, 0, 0x40, // cmp al, [0x4000]
            0x75, 0xf5, // jne wait
            0xe2, 0xef, // loop next
            0xe6, PORT, // out PORT, al
            0xb9, ROUNDS, 0, // mov cx, ROUNDS
            0xeb, 0xe8); // jmp next
    guest.load(
        0x2000, 0xf3, 0x90, // wait: pause
        0xa0, 0, 0x40, // mov al, [0x4000]
        0x3a, 0x06, 1, 0x40, // cmp al, [0x4001]
        0x74, 0xf5, // je wait
        0xa2, 1, 0x40, // mov [0x4001], al
        0xeb, 0xf0); // jmp wait
    Vcpu other = guest.vm.createVcpu(1);
    other.setSregs(guest.vcpu.getSregs());
    var regs = guest.vcpu.getRegs();
    regs.rip = 0x2000;
    other.setRegs(regs);
    CompletableFuture<Exit> running = new CompletableFuture<>();
    Thread thread = new Thread(() -> running.complete(other.run()));
    thread.setDaemon(true);
    thread.start();
    guest.run(Exit.IoOut.class);
    long begun = guest.vcpu.getMsr(IA32_TIME_STAMP_COUNTER);
    guest.run(Exit.IoOut.class);
    long taken = guest.vcpu.getMsr(IA32_TIME_STAMP_COUNTER) - begun;
    other.kick();
    assertTrue(running.get(20, TimeUnit.SECONDS) instanceof Exit.Interrupted);
    assertTrue(spins(guest.vcpu) + spins(other) >= ROUNDS);
    guest.vm.close();
    return taken;
  }

  @Test
  void oneThatSpinsWithPauseGivesItsTurnAway() throws Exception {
    long taken = handOver();
    // Each round is two turns, which last 100 us where nobody gives one away.
    assertTrue(taken < ROUNDS * 20_000L, () -> "took " + taken + " ns");
  }
}
