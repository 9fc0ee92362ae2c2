package org.kvm4j.host;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.kvm4j.kvm.syscall.Kernel;
import org.kvm4j.kvm.syscall.UserMemory;

class UnmapRaceTests {
  private static final long SIZE = 1 << 16;
  private static final int ROUNDS = 300;

  @Test
  @Timeout(60)
  void memory_that_is_unmapped_while_in_use_gives_errors_and_no_crash() throws Exception {
    try (Kernel kernel = RealMachine.kernelOrSkip()) {
      AtomicReference<UserMemory> current = new AtomicReference<>(map(kernel));
      ExecutorService pool = Executors.newFixedThreadPool(3);
      List<Future<Long>> users = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        int kind = i;
        users.add(pool.submit((Callable<Long>) () -> use(current, kind)));
      }
      for (int i = 0; i < ROUNDS; i++) {
        UserMemory old = current.getAndSet(map(kernel));
        assertEquals(0, kernel.munmap(old.address(), SIZE));
      }
      current.set(null);
      for (Future<Long> user : users) {
        assertTrue(user.get() > 0, "this thread never met memory that was unmapped");
      }
      pool.shutdown();
    }
  }

  private static UserMemory map(Kernel kernel) {
    long address =
        kernel.mmap(
            SIZE,
            Kernel.PROT_READ | Kernel.PROT_WRITE,
            Kernel.MAP_PRIVATE | Kernel.MAP_ANONYMOUS,
            -1,
            0);
    return kernel.memory(address, SIZE);
  }

  /** Uses the memory until there is none any more; counts the errors. */
  private static long use(AtomicReference<UserMemory> current, int kind) {
    long errors = 0;
    byte[] block = new byte[(int) SIZE];
    while (true) {
      try {
        UserMemory m = current.get();
        if (m == null) {
          return errors;
        }
        switch (kind) {
          case 0:
            for (long offset = 0; offset < SIZE; offset += 8) {
              m.putLong(offset, m.getLong(offset) + 1);
            }
            break;
          case 1:
            m.read(0, block, 0, block.length);
            m.write(0, block, 0, block.length);
            break;
          default:
            m.fill(0, SIZE, (byte) kind);
        }
      } catch (IllegalStateException e) {
        errors++;
      }
    }
  }
}
