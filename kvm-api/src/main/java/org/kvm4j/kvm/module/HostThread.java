package org.kvm4j.kvm.module;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * A thread of the user process, as the kernel knows it: whom a kick signal goes to. A signal ends
 * the KVM_RUN that the thread is in; outside of one its handler has run and nothing is left of it.
 */
final class HostThread {
  private static final AtomicInteger NEXT = new AtomicInteger(1000);

  final int id = NEXT.incrementAndGet();
  final Thread thread = Thread.currentThread();

  /** The vCPU whose KVM_RUN the thread is in. */
  private final AtomicReference<@Nullable VirtualCpu> running = new AtomicReference<>();

  private final AtomicBoolean signalled = new AtomicBoolean();

  /**
   * The thread's KVM_RUN begins. A full fence has to follow: who sets {@code immediate_exit} and
   * then finds no one to signal relies on its being read after this.
   */
  void enter(VirtualCpu vcpu) {
    signalled.setPlain(false);
    running.setRelease(vcpu);
  }

  void leave() {
    running.setRelease(null);
  }

  boolean signalPending() {
    return signalled.get();
  }

  void signal() {
    VirtualCpu vcpu = running.get();
    if (vcpu != null) {
      signalled.set(true);
      vcpu.kick();
    }
  }
}
