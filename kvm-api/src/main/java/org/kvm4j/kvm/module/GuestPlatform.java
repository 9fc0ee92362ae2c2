package org.kvm4j.kvm.module;

import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.Platform;

/**
 * What the logical processor of a virtual CPU has around it. Its ports and devices are never
 * reached: the guest's accesses exit. Time is the machine's.
 */
final class GuestPlatform implements Platform {
  private final HostMachine machine;
  private final SplittableRandom random;
  private @Nullable Cpu cpu;

  GuestPlatform(HostMachine machine) {
    this.machine = machine;
    this.random =
        machine.clock() == MachineClock.HOST ? new SplittableRandom() : new SplittableRandom(1);
  }

  void attach(Cpu cpu) {
    this.cpu = cpu;
  }

  @Override
  public int portRead(int port, int size) {
    return -1;
  }

  @Override
  public void portWrite(int port, int size, int value) {}

  @Override
  public long deviceRead(long hpa, int size) {
    return -1;
  }

  @Override
  public void deviceWrite(long hpa, int size, long value) {}

  @Override
  public long tsc() {
    return nanoTime();
  }

  @Override
  public long nanoTime() {
    Cpu c = cpu;
    return machine.nanoTime(c == null ? 0 : c.elapsed());
  }

  @Override
  public long random() {
    return random.nextLong();
  }

  @Override
  public int acknowledgeInterrupt() {
    return -1;
  }

  @Override
  public void taskPriorityChanged(int cr8) {}
}
