package org.kvm4j.kvm.module;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.syscall.Kernel;

/** Eventfds that are closed while somebody waits for them. */
class EventFileTests {
  private static final int SEMAPHORE = 1;

  private static void closedWhileReading(int flags) throws Exception {
    try (EmulatedKernel kernel = new EmulatedKernel();
        MappedMemory memory = MappedMemory.allocate(kernel, 4096)) {
      int fd = kernel.eventfd(0, flags);
      CompletableFuture<Long> read = new CompletableFuture<>();
      Thread reader = new Thread(() -> read.complete(kernel.read(fd, memory.address(), 8)));
      reader.start();
      awaitWaiting(reader);
      kernel.close(fd);
      assertEquals(Results.EBADF, read.get(20, TimeUnit.SECONDS).intValue());
    }
  }

  private static void awaitWaiting(Thread t) {
    while (t.getState() != Thread.State.WAITING) {
      Thread.onSpinWait();
    }
  }

  @Test
  void aReaderThatWaitsReadsNothingFromAClosedOne() throws Exception {
    closedWhileReading(0);
    closedWhileReading(SEMAPHORE);
  }

  @Test
  void aWriterThatWaitsAddsNothingToAClosedOne() throws Exception {
    try (EmulatedKernel kernel = new EmulatedKernel();
        MappedMemory memory = MappedMemory.allocate(kernel, 4096)) {
      int fd = kernel.eventfd(0, Kernel.EFD_CLOEXEC);
      memory.memory().putLong(0, -2);
      assertEquals(8, kernel.write(fd, memory.address(), 8));
      CompletableFuture<Long> written = new CompletableFuture<>();
      Thread writer = new Thread(() -> written.complete(kernel.write(fd, memory.address(), 8)));
      writer.start();
      awaitWaiting(writer);
      kernel.close(fd);
      assertEquals(Results.EBADF, written.get(20, TimeUnit.SECONDS).intValue());
    }
  }
}
