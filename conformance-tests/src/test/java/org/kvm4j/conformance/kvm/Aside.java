package org.kvm4j.conformance.kvm;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.kvm4j.kvm.Exit;
import org.kvm4j.kvm.Vcpu;

/** Virtual CPUs that run on threads of their own while a test does something else. */
final class Aside {
  private static final int SECONDS = 20;

  private Aside() {}

  /** Has a vCPU run; the result is the exit that it comes back with, or what was thrown. */
  static CompletableFuture<Exit> run(Vcpu vcpu) {
    CompletableFuture<Exit> result = new CompletableFuture<>();
    Thread thread =
        new Thread(
            () -> {
              try {
                result.complete(vcpu.run());
              } catch (Throwable e) {
                result.completeExceptionally(e);
              }
            });
    thread.setDaemon(true);
    thread.start();
    return result;
  }

  /** Waits for the exit, which is to come soon. */
  static Exit await(CompletableFuture<Exit> running) throws Exception {
    return running.get(SECONDS, TimeUnit.SECONDS);
  }
}
