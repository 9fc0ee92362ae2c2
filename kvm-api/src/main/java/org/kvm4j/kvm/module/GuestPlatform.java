package org.kvm4j.kvm.module;

import java.util.SplittableRandom;
import org.kvm4j.cpu.core.Platform;

/**
 * What the logical processor of a virtual CPU has around it. Its ports and devices are never
 * reached: the guest's accesses exit. Time is the VM's.
 */
class GuestPlatform implements Platform {
  private final VmTime time;
  private final SplittableRandom random;

  /**
   * @param id of the virtual CPU: under the virtual clock it has the same random numbers in each
   *     run, and others than the rest
   */
  GuestPlatform(HostMachine machine, VmTime time, int id) {
    this.time = time;
    this.random =
        machine.clock() == MachineClock.HOST
            ? new SplittableRandom()
            : new SplittableRandom(1 + id);
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
  public boolean isTscOfHost() {
    return time.isOfHost();
  }

  @Override
  public long tscEpoch() {
    return time.epoch();
  }

  @Override
  public long nanoTime() {
    return time.now();
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
