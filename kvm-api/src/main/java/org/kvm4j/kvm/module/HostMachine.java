package org.kvm4j.kvm.module;

import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.memory.FrameAllocator;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.module.log.KernelLog;
import org.kvm4j.kvm.module.vendor.VmxVcpu;
import org.kvm4j.vmx.explain.VmxTrace;

/**
 * The emulated physical machine that the kernel runs on: memory, the processors' model, the clock.
 * Each virtual CPU has a logical processor of its own, so a machine has as many as are asked for.
 */
public final class HostMachine {
  private final PhysicalMemory memory;
  private final FrameAllocator frames;
  private final CpuModel model;
  private final MachineClock clock;
  private final Engine engine;
  private final boolean bare;
  private final long epoch = System.nanoTime();
  private final AtomicInteger nextVpid = new AtomicInteger();
  private String modelName = "";
  private int instructionTime = 1;
  private volatile @Nullable Tracing tracing;

  /** What is told of VMX, and to whom. */
  private record Tracing(Set<VmxTrace.Category> categories, Consumer<String> sink) {}

  /** A machine of the default model on the host's clock. */
  public HostMachine() {
    this(CpuProfiles.defaultProfile(), MachineClock.HOST);
  }

  public HostMachine(CpuModel model, MachineClock clock) {
    this(model, clock, Engine.DEFAULT);
  }

  public HostMachine(CpuModel model, MachineClock clock, Engine engine) {
    this(model, clock, engine, false);
  }

  /**
   * @param bare whether what runs on the virtual CPUs is on bare metal, with no hypervisor beneath
   */
  public HostMachine(CpuModel model, MachineClock clock, Engine engine, boolean bare) {
    this.bare = bare;
    this.model = model;
    this.clock = clock;
    this.engine = engine;
    this.memory = new PhysicalMemory(model.physicalAddressBits());
    this.frames = new FrameAllocator(memory);
  }

  /**
   * The same machine.
   *
   * @param description of its CPU model, as users name it
   */
  public HostMachine named(String description) {
    modelName = description;
    return this;
  }

  /**
   * The same machine, made before any VM.
   *
   * @param nanos how long an instruction takes on the virtual clock, 1 to 1000
   */
  HostMachine instructionTime(int nanos) {
    instructionTime = nanos;
    return this;
  }

  int instructionTime() {
    return instructionTime;
  }

  /** Has VMX of processors that are made from now on told of. */
  void trace(Set<VmxTrace.Category> categories, Consumer<String> sink) {
    tracing = new Tracing(categories, sink);
  }

  /** A processor is there. On bare metal failures are logged, if nothing else is told. */
  void made(LogicalProcessor processor, int number) {
    Tracing t = tracing;
    if (t == null && bare && KernelLog.isRead()) {
      t = new Tracing(EnumSet.of(VmxTrace.Category.FAILURES), line -> KernelLog.debug(() -> line));
    }
    if (t != null) {
      processor.vmx.observe(
          new VmxTrace(processor.cpu, processor.vmx, number, modelName, t.categories(), t.sink()));
    }
  }

  public PhysicalMemory memory() {
    return memory;
  }

  /** Frames for the kernel's own structures. */
  public FrameAllocator frames() {
    return frames;
  }

  public CpuModel model() {
    return model;
  }

  /** Whether guests can have other frequencies of the time-stamp counter than the host's. */
  boolean scalesTsc() {
    return !bare && VmxVcpu.canScaleTsc(model);
  }

  /** Whether what runs on the virtual CPUs is on bare metal: they are the processors themselves. */
  boolean isBare() {
    return bare;
  }

  /** KVM_GET_SUPPORTED_CPUID. */
  VcpuCpuid.Entry[] supportedCpuid() {
    return bare ? VcpuCpuid.ofProcessor(model) : VcpuCpuid.supported(model);
  }

  public MachineClock clock() {
    return clock;
  }

  public Engine engine() {
    return engine;
  }

  /** When the machine was made, by the host's clock. */
  long epoch() {
    return epoch;
  }

  /** Nanoseconds of the host's clock since the machine was made. */
  long nanoTime() {
    return System.nanoTime() - epoch;
  }

  /** A VPID for a new virtual CPU: 1 to 65535, then again from 1. */
  int newVpid() {
    return 1 + nextVpid.getAndIncrement() % 65535;
  }
}
