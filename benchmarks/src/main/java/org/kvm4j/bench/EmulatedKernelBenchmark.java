package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.uapi.Caps;
import org.kvm4j.kvm.uapi.Ioctls;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The emulated kernel: what {@link NativeKernelBenchmark} measures of the machine's own. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@SuppressWarnings("NullAway.Init") // set up by JMH
public class EmulatedKernelBenchmark {
  private ExitLoop guest;
  private int fd;
  private final Regs regs = new Regs();

  /** Makes the guest. */
  @Setup
  public void open() {
    guest = new ExitLoop("emulated", ExitLoop.OUT, 0);
    fd = guest.vcpu.fd();
  }

  /** Ends the guest. */
  @TearDown
  public void close() {
    guest.close();
  }

  /**
   * {@code KVM_RUN} of a guest that does nothing but OUT: VM entry, two instructions, VM exit.
   * Through the typed handle, without the exit as a value.
   */
  @Benchmark
  public int outExit() {
    return guest.vcpu.runRaw();
  }

  /** The same, with the exit as a value. */
  @Benchmark
  public Object outExitAsValue() {
    return guest.vcpu.run();
  }

  /** The same by the system call itself. */
  @Benchmark
  public int outExitBySystemCall() {
    return guest.kernel.ioctl(fd, Ioctls.KVM_RUN, 0);
  }

  /** An ioctl that does next to nothing. */
  @Benchmark
  public int checkExtension() {
    return guest.kvm.checkExtension(Caps.KVM_CAP_IRQCHIP);
  }

  /** An ioctl that gives a structure. */
  @Benchmark
  public Regs getRegs() {
    guest.vcpu.getRegs(regs);
    return regs;
  }
}
