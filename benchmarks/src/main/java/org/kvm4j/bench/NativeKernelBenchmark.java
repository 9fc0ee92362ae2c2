package org.kvm4j.bench;

import java.util.concurrent.TimeUnit;
import org.kvm4j.kvm.MappedMemory;
import org.kvm4j.kvm.Regs;
import org.kvm4j.kvm.syscall.UserMemory;
import org.kvm4j.kvm.uapi.Caps;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * The machine's own {@code /dev/kvm} through the bridge. Against a C program: {@code
 * benchmarks/native-roundtrip}.
 */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@SuppressWarnings("NullAway.Init") // set up by JMH
public class NativeKernelBenchmark {
  private static final int PAGES = 16;
  private static final int MASK = PAGES * 4096 - 1;

  private ExitLoop guest;
  private MappedMemory mapped;
  private UserMemory memory;
  private final Regs regs = new Regs();
  private final byte[] page = new byte[4096];
  private int index;

  /** Makes the guest and some memory. */
  @Setup
  public void open() {
    guest = new ExitLoop("native", ExitLoop.OUT, 0);
    mapped = MappedMemory.allocate(guest.kernel, PAGES * 4096L);
    memory = mapped.memory();
  }

  /** Ends the guest. */
  @TearDown
  public void close() {
    mapped.close();
    guest.close();
  }

  /** {@code KVM_RUN} of a guest that does nothing but OUT, without the exit as a value. */
  @Benchmark
  public int outExit() {
    return guest.vcpu.runRaw();
  }

  /** The same, with the exit as a value. */
  @Benchmark
  public Object outExitAsValue() {
    return guest.vcpu.run();
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

  /** A load from user-space memory, at addresses that need not be aligned. */
  @Benchmark
  public long loadLong() {
    index += 13;
    return memory.getLong(index & (MASK - 7));
  }

  /** A store to user-space memory. */
  @Benchmark
  public void storeInt() {
    index += 13;
    memory.putInt(index & (MASK - 3), index);
  }

  /** A page out of user-space memory. */
  @Benchmark
  public byte[] readPage() {
    memory.read(0, page, 0, page.length);
    return page;
  }
}
