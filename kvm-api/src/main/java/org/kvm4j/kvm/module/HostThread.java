package org.kvm4j.kvm.module;

import java.util.concurrent.atomic.AtomicInteger;
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
  private volatile @Nullable VirtualCpu running;

  private volatile boolean signalled;

  void enter(VirtualCpu vcpu) {
    signalled = false;
    running = vcpu;
  }

  void leave() {
    running = null;
  }

  boolean signalPending() {
    return signalled;
  }

  void signal() {
    VirtualCpu vcpu = running;
    if (vcpu != null) {
      signalled = true;
      vcpu.kick();
    }
  }
}
