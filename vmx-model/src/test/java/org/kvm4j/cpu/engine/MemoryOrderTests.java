package org.kvm4j.cpu.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.ControlBits;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;
import org.kvm4j.cpu.core.Segment;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.memory.PhysicalMemory;

/**
 * What processors that run at the same time may see of one another's stores: the litmus tests of
 * SDM Vol. 3, "Examples Illustrating the Memory-Ordering Principles". Each round has two variables
 * of its own, x and y, that are 0 before it; processors wait for one another before each.
 */
final class MemoryOrderTests {
  private static final int ROUNDS = 5_000;
  private static final int CODE = 0x1000;
  private static final int CODE_SIZE = 0x100;
  private static final int BARRIER = 0x8000;
  private static final int VARIABLES = 0x10_0000;
  private static final int STRIDE = 128;
  private static final int RESULTS = VARIABLES + ROUNDS * STRIDE;

  private static final int FLAT_DATA = Segment.G | Segment.DB | Segment.REAL_DATA;
  private static final int FLAT_CODE = Segment.G | Segment.DB | Segment.REAL_CODE;

  // Bodies. x is at [esi], y at [esi+64]; results go to eax and edx, 0 at first.
  private static final String X_IS_1 = "c7 06 01 00 00 00";
  private static final String Y_IS_1 = "c7 46 40 01 00 00 00";
  private static final String X_IS_2 = "c7 06 02 00 00 00";
  private static final String Y_IS_2 = "c7 46 40 02 00 00 00";
  private static final String EAX_IS_X = "8b 06";
  private static final String EAX_IS_Y = "8b 46 40";
  private static final String EDX_IS_X = "8b 16";
  private static final String EDX_IS_Y = "8b 56 40";
  private static final String MFENCE = "0f ae f0";
  private static final String LOCKED = "f0 83 04 24 00"; // lock add dword [esp], 0
  private static final String XCHG_X = "bd 01 00 00 00 87 2e"; // mov ebp, 1; xchg [esi], ebp
  private static final String XCHG_Y = "bd 01 00 00 00 87 6e 40";

  private final PhysicalMemory memory = new PhysicalMemory(40);
  private final List<LogicalProcessor> processors = new ArrayList<>();

  MemoryOrderTests() {
    memory.mapAt(0, 0x80_0000);
  }

  @AfterEach
  void close() {
    processors.forEach(LogicalProcessor::close);
  }

  /** What the processors' EAX and EDX were after a round. */
  private interface Outcome {
    boolean matches(int[] eax, int[] edx);
  }

  /** A processor in flat 32-bit mode, about to run a body in each round. */
  private LogicalProcessor processor(int number, int processors, String body) {
    String loop =
        "f0 ff 03" // lock inc dword [ebx]
            + "83 44 24 04 %02x".formatted(processors) // add dword [esp+4], processors
            + "8b 6c 24 04" // mov ebp, [esp+4]
            + "39 2b 72 fc" // cmp [ebx], ebp; jb
            + "31 c0 31 d2" // xor eax, eax; xor edx, edx
            + body.replace(" ", "")
            + "89 07 89 57 04" // mov [edi], eax; mov [edi+4], edx
            + "81 c6 80 00 00 00" // add esi, 128
            + "83 c7 08 49"; // add edi, 8; dec ecx
    byte[] code = HexFormat.of().parseHex(loop.replace(" ", ""));
    int at = CODE + number * CODE_SIZE;
    memory.write(at, code);
    memory.write(at + code.length, new byte[] {0x0f, (byte) 0x85});
    memory.writeInt(at + code.length + 2, -(code.length + 6)); // jnz to the start
    memory.writeByte(at + code.length + 6, (byte) 0xf4); // hlt
    assertTrue(code.length + 7 <= CODE_SIZE);

    LogicalProcessor p = new LogicalProcessor(CpuProfiles.defaultProfile(), memory, Platform.NONE);
    Cpu c = p.cpu;
    c.cr0 |= ControlBits.CR0_PE;
    for (int s = Cpu.ES; s <= Cpu.GS; s++) {
      c.seg[s].set(0x10, 0, 0xffff_ffff, FLAT_DATA);
    }
    c.seg[Cpu.CS].set(0x08, 0, 0xffff_ffff, FLAT_CODE);
    c.rip = at;
    c.r[Cpu.RBX] = BARRIER;
    c.r[Cpu.RSP] = BARRIER + 0x1000 + number * 0x100;
    c.r[Cpu.RSI] = VARIABLES;
    c.r[Cpu.RDI] = results(number);
    c.r[Cpu.RCX] = ROUNDS;
    c.updateMode();
    return p;
  }

  private static int results(int number) {
    return RESULTS + number * ROUNDS * 8;
  }

  /** Runs the bodies and returns how often an outcome was seen. */
  private int count(Outcome outcome, String... bodies) throws Exception {
    for (int i = 0; i < bodies.length; i++) {
      processors.add(processor(i, bodies.length, bodies[i]));
    }
    run();
    int[] eax = new int[bodies.length];
    int[] edx = new int[bodies.length];
    int seen = 0;
    for (int round = 0; round < ROUNDS; round++) {
      for (int i = 0; i < bodies.length; i++) {
        eax[i] = memory.readInt(results(i) + 8L * round);
        edx[i] = memory.readInt(results(i) + 8L * round + 4);
      }
      if (outcome.matches(eax, edx)) {
        seen++;
      }
    }
    return seen;
  }

  /** Runs all processors to their HLT. */
  private void run() throws ExecutionException, InterruptedException, TimeoutException {
    ExecutorService threads = Executors.newFixedThreadPool(processors.size());
    try {
      List<CompletableFuture<Void>> ends = new ArrayList<>();
      for (LogicalProcessor p : processors) {
        ends.add(CompletableFuture.runAsync(() -> runToHalt(p), threads));
      }
      for (CompletableFuture<Void> end : ends) {
        end.get(240, TimeUnit.SECONDS);
      }
    } finally {
      processors.forEach(LogicalProcessor::kick);
      threads.shutdownNow();
    }
  }

  private static void runToHalt(LogicalProcessor p) {
    while (p.cpu.activity == Cpu.ACTIVE) {
      Interpreter.Stop s = p.engine.run(2_000);
      if (s == Interpreter.Stop.KICKED) {
        return;
      }
      // More processors than the host has: let another one go on.
      Thread.yield();
    }
  }

  private void forbids(Outcome outcome, String... bodies) throws Exception {
    assertEquals(0, count(outcome, bodies));
  }

  @Test
  void stores_are_seen_in_their_order() throws Exception {
    forbids((eax, edx) -> eax[1] == 1 && edx[1] == 0, X_IS_1 + Y_IS_1, EAX_IS_Y + EDX_IS_X);
  }

  @Test
  void a_store_does_not_go_before_an_older_load() throws Exception {
    forbids((eax, edx) -> eax[0] == 1 && eax[1] == 1, EAX_IS_X + Y_IS_1, EAX_IS_Y + X_IS_1);
  }

  @Test
  void a_fence_keeps_a_load_behind_an_older_store() throws Exception {
    forbids(
        (eax, edx) -> eax[0] == 0 && eax[1] == 0,
        X_IS_1 + MFENCE + EAX_IS_Y,
        Y_IS_1 + MFENCE + EAX_IS_X);
  }

  @Test
  void a_locked_instruction_keeps_a_load_behind_an_older_store() throws Exception {
    forbids(
        (eax, edx) -> eax[0] == 0 && eax[1] == 0,
        X_IS_1 + LOCKED + EAX_IS_Y,
        Y_IS_1 + LOCKED + EAX_IS_X);
  }

  @Test
  void an_exchange_keeps_a_load_behind_itself() throws Exception {
    forbids((eax, edx) -> eax[0] == 0 && eax[1] == 0, XCHG_X + EAX_IS_Y, XCHG_Y + EAX_IS_X);
  }

  @Test
  void a_processor_sees_its_own_store_at_once() throws Exception {
    forbids(
        (eax, edx) -> eax[0] == 0 || eax[1] == 0,
        X_IS_1 + EAX_IS_X + EDX_IS_Y,
        Y_IS_1 + EAX_IS_Y + EDX_IS_X);
  }

  @Test
  void loads_of_one_variable_do_not_go_back() throws Exception {
    forbids((eax, edx) -> eax[1] == 1 && edx[1] == 0, X_IS_1, EAX_IS_X + EDX_IS_X);
  }

  @Test
  void stores_of_two_processors_have_one_order() throws Exception {
    // 2+2W: with both in order, x and y cannot both end with what was stored first.
    forbids(
        (eax, edx) -> eax[0] == 1 && edx[0] == 1 && eax[1] == 1 && edx[1] == 1,
        X_IS_1 + Y_IS_2 + wait2() + EAX_IS_X + EDX_IS_Y,
        Y_IS_1 + X_IS_2 + wait2() + EAX_IS_X + EDX_IS_Y);
  }

  /** A second meeting within a round. */
  private static String wait2() {
    return "f0 ff 03" + "83 44 24 04 02" + "8b 6c 24 04" + "39 2b 72 fc";
  }

  @Test
  void a_store_seen_by_one_that_then_stores_is_seen_with_that_store() throws Exception {
    // S: x=2; y=1 | r=y; x=1. If r is 1 then x ends as 1.
    forbids(
        (eax, edx) -> edx[1] == 2 && eax[1] == 1,
        X_IS_2 + Y_IS_1 + wait2(),
        EAX_IS_Y + X_IS_1 + wait2() + EDX_IS_X);
  }

  @Test
  void locked_updates_lose_nothing() throws Exception {
    String add = "f0 ff 05 00 90 00 00"; // lock inc dword [0x9000]
    count((eax, edx) -> true, add, add);
    assertEquals(2 * ROUNDS, memory.readInt(0x9000));
  }

  @Test
  void a_locked_update_of_a_byte_leaves_its_neighbours_alone() throws Exception {
    // lock inc byte [0x9000] | inc byte [0x9001]: a locked update leaves the bytes around it alone.
    count((eax, edx) -> true, "f0 fe 05 00 90 00 00", "fe 05 01 90 00 00");
    assertEquals(ROUNDS & 0xff, memory.readByte(0x9000) & 0xff);
    assertEquals(ROUNDS & 0xff, memory.readByte(0x9001) & 0xff);
  }
}
