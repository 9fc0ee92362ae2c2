package org.kvm4j.kvm.module;

import java.util.concurrent.atomic.AtomicInteger;
import org.kvm4j.cpu.profile.CpuModel;
import org.kvm4j.cpu.profile.CpuProfiles;
import org.kvm4j.ept.memory.FrameAllocator;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.kvm.module.vendor.VmxVcpu;

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

  /** Nanoseconds of the host's clock since the machine was made. */
  long nanoTime() {
    return System.nanoTime() - epoch;
  }

  /** A VPID for a new virtual CPU: 1 to 65535, then again from 1. */
  int newVpid() {
    return 1 + nextVpid.getAndIncrement() % 65535;
  }
}
