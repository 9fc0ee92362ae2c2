package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;
import static org.kvm4j.vmx.MinimalHypervisor.CODE;
import static org.kvm4j.vmx.MinimalHypervisor.Mode.LONG;

import java.util.HexFormat;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.vmx.MinimalHypervisor;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Controls;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * What machine code does with the host's own clock and MXCSR, or with what it finds of the
 * processor's state beside it. The counter that Java would read is another than the host's, which
 * tells who has read it.
 */
class HostStateTests {
  private static final long BY_JAVA = 0x5_0000_0007L;
  private static final long DATA = 0x60000;
  private static final String RDTSC = "90 0f 31";
  private static final String RDTSCP = "90 0f 01 f9";
  private static final String VMCALL = "0f 01 c1";
  private static final int CR4_TSD = 4;
  private static final int CR4_OSFXSR = 1 << 9;

  private final MinimalHypervisor h = new MinimalHypervisor();

  @BeforeEach
  void guest() {
    assumeTrue(h.engine.makeMachineCode(0), "no machine code on this host or JVM");
    h.guest(LONG);
    h.or(VmcsField.GUEST_CR4, CR4_OSFXSR);
    h.set(VmcsField.EXCEPTION_BITMAP, 1 << Vector.GP | 1 << Vector.UD);
    h.clock.tsc = BY_JAVA;
    h.clock.tscOfHost = true;
    for (int k = 0; k < 16; k++) {
      if (k != Cpu.RSP) {
        h.cpu.r[k] = 0x1111_1111_1111_1111L * k;
      }
    }
  }

  private ExitReason run(String code) {
    byte[] all = HexFormat.of().parseHex((code + VMCALL).replace(" ", ""));
    h.memory.deviceWrite(CODE, all, 0, all.length);
    h.set(VmcsField.GUEST_RIP, CODE);
    return h.run(1 << 20);
  }

  /** At CPL 3, with segments as SYSRET loads them. */
  private void user() {
    h.segment(Cpu.CS, 0x2b, 0, 0xffffffffL, 0xa0fb);
    for (int s : new int[] {Cpu.SS, Cpu.DS, Cpu.ES, Cpu.FS, Cpu.GS}) {
      h.segment(s, 0x33, 0, 0xffffffffL, 0xc0f3);
    }
  }

  private long counter() {
    long[] r = h.cpu.r;
    assertEquals(0, (r[Cpu.RAX] | r[Cpu.RDX]) >>> 32);
    return r[Cpu.RDX] << 32 | r[Cpu.RAX];
  }

  // ---- the time-stamp counter ----

  @Test
  void RDTSC_is_the_hosts_clock_with_what_is_added_to_it() {
    h.primary(Controls.CPU_BASED_USE_TSC_OFFSETTING);
    for (int k = 0; k < 20; k++) {
      long offset = 1_000_000_007L * k * k;
      h.set(VmcsField.TSC_OFFSET, offset);
      h.cpu.msr.tscOffset = 13 * k;
      h.clock.tscEpoch = System.nanoTime() - 100_000L * k;
      long before = System.nanoTime();
      assertEquals(ExitReason.VMCALL, run(RDTSC));
      long after = System.nanoTime();
      long read = counter() - offset - 13 * k + h.clock.tscEpoch;
      assertTrue(before <= read && read <= after, before + " <= " + read + " <= " + after);
    }
  }

  @Test
  void RDTSC_changes_nothing_else() {
    h.set(VmcsField.GUEST_RFLAGS, 0xcd7); // all flags of arithmetic, and DF
    h.cpu.r[Cpu.RAX] = 0x3ff8_0000_0000_0000L;
    StringBuilder give = new StringBuilder("90");
    StringBuilder look = new StringBuilder();
    for (int x = 0; x < 16; x++) {
      int rex = x >= 8 ? 0x4c : 0x48;
      // movq xmm, rbx; movq [rsi + 8 * x], xmm
      give.append("66%02x0f6e%02x".formatted(rex, 0xc3 | (x & 7) << 3));
      look.append("66%02x0fd6%02x%02x".formatted(rex & ~8, 0x46 | (x & 7) << 3, 8 * x));
    }
    h.cpu.r[Cpu.RSI] = DATA;
    long[] before = h.cpu.r.clone();
    // pushfq; pop r14
    assertEquals(ExitReason.VMCALL, run(give + "0f 31" + "9c 41 5e" + look));
    for (int k = 0; k < 16; k++) {
      if (k != Cpu.RAX && k != Cpu.RDX && k != 14) {
        assertEquals(before[k], h.cpu.r[k], "register " + k);
      }
    }
    assertEquals(0xcd7, h.cpu.r[14]);
    for (int x = 0; x < 16; x++) {
      assertEquals(before[Cpu.RBX], h.memory.readLong(DATA + 8 * x), "XMM" + x);
    }
    assertTrue(counter() != BY_JAVA, "read by machine code");
  }

  @Test
  void a_clock_that_is_not_the_hosts_is_asked() {
    h.clock.tscOfHost = false;
    assertEquals(ExitReason.VMCALL, run(RDTSC));
    assertEquals(BY_JAVA, counter());
  }

  @Test
  void a_counter_with_a_scale_is_asked() {
    h.primary(Controls.CPU_BASED_USE_TSC_OFFSETTING);
    h.secondary(Controls.SECONDARY_EXEC_TSC_SCALING);
    h.set(VmcsField.TSC_MULTIPLIER, 3L << 48);
    assertEquals(ExitReason.VMCALL, run(RDTSC));
    assertEquals(3 * BY_JAVA, counter());
  }

  @Test
  void RDTSC_exits_from_when_it_is_to_exit() {
    for (int k = 0; k < 3; k++) {
      assertEquals(ExitReason.VMCALL, run(RDTSC));
      h.primary(Controls.CPU_BASED_RDTSC_EXITING);
      assertEquals(ExitReason.RDTSC, run(RDTSC));
      assertEquals(CODE + 1, h.get(VmcsField.GUEST_RIP));
      h.clear(VmcsField.CPU_BASED_VM_EXEC_CONTROL, Controls.CPU_BASED_RDTSC_EXITING);
    }
  }

  @ParameterizedTest
  @CsvSource({"false, false", "false, true", "true, false", "true, true"})
  void CR4_TSD_forbids_it_to_users(boolean user, boolean tsd) {
    if (user) {
      user();
    }
    if (tsd) {
      h.or(VmcsField.GUEST_CR4, CR4_TSD);
    }
    ExitReason expected = user && tsd ? ExitReason.EXCEPTION_NMI : ExitReason.VMCALL;
    for (String code : new String[] {RDTSC, RDTSCP}) {
      h.secondary(Controls.SECONDARY_EXEC_ENABLE_RDTSCP);
      assertEquals(expected, run(code));
      assertEquals(
          user && tsd ? CODE + 1 : CODE + code.replace(" ", "").length() / 2,
          h.get(VmcsField.GUEST_RIP));
    }
  }

  @Test
  void RDTSCP_reads_the_processors_number_too_where_it_is_an_instruction() {
    h.cpu.msr.tscAux = 0x89ab_cdefL;
    assertEquals(ExitReason.EXCEPTION_NMI, run(RDTSCP));
    assertEquals(Vector.UD, (int) h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff);
    h.secondary(Controls.SECONDARY_EXEC_ENABLE_RDTSCP);
    long before = System.nanoTime();
    assertEquals(ExitReason.VMCALL, run(RDTSCP));
    assertTrue(before <= counter() && counter() <= System.nanoTime());
    assertEquals(0x89ab_cdefL, h.cpu.r[Cpu.RCX]);
    h.primary(Controls.CPU_BASED_RDTSC_EXITING);
    assertEquals(ExitReason.RDTSCP, run(RDTSCP));
  }

  // ---- CR2 ----

  @Test
  void CR2_is_read_at_CPL_0_alone() {
    for (long value : new long[] {0x1234_5678_9abc_d000L, -1, 0}) {
      h.cpu.cr2 = value;
      // mov rax, cr2; mov r13, cr2
      assertEquals(ExitReason.VMCALL, run("90 0f 20 d0 41 0f 20 d5"));
      assertEquals(value, h.cpu.r[Cpu.RAX]);
      assertEquals(value, h.cpu.r[13]);
    }
    user();
    assertEquals(ExitReason.EXCEPTION_NMI, run("90 0f 20 d0"));
    assertEquals(CODE + 1, h.get(VmcsField.GUEST_RIP));
  }

  // ---- MXCSR ----

  /** What 2.5 is to the nearest, down, up, and cut off; and what is no value, or not masked. */
  @ParameterizedTest
  @CsvSource({
    "1f80, 2",
    "3f80, 2",
    "5f80, 3",
    "7f80, 2",
    "9fc0, 2",
    "ffff, 2",
    "1f00, 2",
    "5000, 3",
    "11f80, -1"
  })
  void LDMXCSR_and_STMXCSR(String hex, int expected) {
    int value = Integer.parseInt(hex, 16);
    h.memory.writeLong(DATA, 0x4004_0000_0000_0000L);
    h.memory.writeInt((int) DATA + 8, value);
    h.cpu.r[Cpu.RSI] = DATA;
    for (int k = 0; k < 3; k++) {
      h.cpu.r[Cpu.RAX] = -1;
      // So that the TLB has the page: mov [rsi + 16], eax; jmp over nothing
      // movsd xmm3, [rsi]; ldmxcsr [rsi + 8]; cvtsd2si rax, xmm3; stmxcsr [rsi + 12]
      ExitReason reason =
          run("89 46 10 eb 00 90 f2 0f 10 1e 0f ae 56 08 f2 48 0f 2d c3 0f ae 5e 0c");
      assertEquals(expected, h.cpu.r[Cpu.RAX]);
      if (expected < 0) {
        assertEquals(ExitReason.EXCEPTION_NMI, reason);
        assertEquals(CODE + 10, h.get(VmcsField.GUEST_RIP));
        continue;
      }
      if (reason == ExitReason.VMCALL) {
        // Inexact.
        assertEquals(value | 0x20, h.memory.readInt(DATA + 12));
      } else {
        // By a handler that is not there: #XM, not masked.
        assertEquals(0, value & 0x1000);
      }
    }
  }

  /**
   * The host takes no value but one that has been looked at: an unmasked exception, or a reserved
   * bit, would end the JVM.
   */
  @ParameterizedTest
  @CsvSource({"1f00", "11f80"})
  void LDMXCSR_of_a_word_that_another_processor_changes(String hex) throws InterruptedException {
    int good = 0x1f80;
    int bad = Integer.parseInt(hex, 16);
    h.memory.writeInt((int) DATA, good);
    AtomicBoolean over = new AtomicBoolean();
    Thread other =
        new Thread(
            () -> {
              while (!over.get()) {
                // For so short that it is mostly there at one of two looks at most.
                h.memory.writeInt((int) DATA, bad);
                h.memory.writeInt((int) DATA, good);
                for (int k = 0; k < 20; k++) {
                  Thread.onSpinWait();
                }
              }
            });
    other.start();
    h.set(VmcsField.EXCEPTION_BITMAP, 0xffffffffL);
    for (int k = 0; k < 20_000; k++) {
      h.cpu.r[Cpu.RSI] = DATA;
      // mov eax, [rsi]; mov ecx, 4096; jmp over nothing
      // ldmxcsr [rsi]; xorps xmm1, xmm1; divss xmm1, xmm1; dec ecx; jnz to ldmxcsr
      ExitReason reason =
          run("8b 06 b9 00 10 00 00 eb 00 0f ae 16 0f 57 c9 f3 0f 5e c9 ff c9 75 f2");
      if (reason == ExitReason.EXCEPTION_NMI) {
        int vector = (int) h.get(VmcsField.VM_EXIT_INTR_INFO) & 0xff;
        // #XM is #UD where CR4.OSXMMEXCPT is clear.
        assertEquals(bad == 0x1f00 ? Vector.UD : Vector.GP, vector);
      } else {
        assertEquals(ExitReason.VMCALL, reason);
      }
    }
    over.set(true);
    other.join();
  }
}
