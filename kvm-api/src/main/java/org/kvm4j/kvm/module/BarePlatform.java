package org.kvm4j.kvm.module;

import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.core.DeviceAccess;
import org.kvm4j.cpu.msr.TimeStampCounter;
import org.kvm4j.kvm.module.emulate.DeviceAccesses;
import org.kvm4j.kvm.module.irqchip.TimerQueue;

/**
 * What a processor on bare metal has around it: the module's interrupt chips, and user space's
 * devices behind exits.
 *
 * <p>Devices can be accessed by an instruction that runs by itself. A read that user space has to
 * answer ends the attempt, and the instruction runs again with the answers given so far; writes are
 * kept until it is done.
 */
final class BarePlatform extends GuestPlatform {
  private static final int X2APIC_LAST = VcpuMsrs.X2APIC + 0xff;
  private static final int X2APIC_LVT_TIMER = 0x832;
  private static final int X2APIC_INITIAL_COUNT = 0x838;
  private static final int X2APIC_DIVIDE = 0x83e;

  private final DeviceAccesses accesses = new DeviceAccesses();

  @SuppressWarnings("NullAway.Init") // by connect
  private VirtualCpu vcpu;

  @SuppressWarnings("NullAway.Init") // by connect
  private Cpu cpu;

  private TimerQueue.@Nullable Timer preemptionTimer;

  /** An instruction runs by itself. */
  private boolean alone;

  /** A read that only user space can answer. */
  private boolean asked;

  private boolean askedPort;
  private long askedAddress;
  private int askedSize;

  BarePlatform(HostMachine machine, VmTime time, int id) {
    super(machine, time, id);
  }

  /** The virtual CPU is there. */
  void connect(VirtualCpu of) {
    vcpu = of;
    cpu = of.vendor().cpu();
    if (of.interrupts.hasApic()) {
      preemptionTimer = of.vm.time.timers.timer(of::timerExpired);
    }
  }

  // ---- devices ----

  DeviceAccesses accesses() {
    return accesses;
  }

  /** Whether user space has to answer a read, which is then no longer asked for. */
  boolean takeAsked() {
    boolean was = asked;
    asked = false;
    return was;
  }

  boolean askedPort() {
    return askedPort;
  }

  long askedAddress() {
    return askedAddress;
  }

  int askedSize() {
    return askedSize;
  }

  @Override
  public void beginInstruction() {
    alone = true;
    accesses.begin();
  }

  @Override
  public boolean endInstruction(boolean done) {
    alone = false;
    if (done) {
      accesses.clear();
    } else {
      accesses.clearWrites();
    }
    return asked || accesses.writes() > 0;
  }

  @Override
  public void probeDevice(long hpa) {
    if (!alone && !cpu.delivering) {
      throw DeviceAccess.AGAIN;
    }
  }

  private long read(boolean port, long address, int size) {
    if (cpu.delivering) {
      // No instruction that could be taken up again: nothing answers there.
      return -1;
    }
    if (!alone) {
      throw DeviceAccess.AGAIN;
    }
    // A repeated instruction stops after this iteration.
    cpu.attention = 1;
    if (!accesses.hasAnswer() && accesses.room() == 0) {
      return -1;
    }
    if (!answers(port, address, size)) {
      throw DeviceAccess.AGAIN;
    }
    return accesses.next();
  }

  /** Whether the next read has an answer, by the module or of user space, which else is asked. */
  private boolean answers(boolean port, long address, int size) {
    if (accesses.hasAnswer()) {
      return true;
    }
    if (vcpu.devices.read(port, address, size)) {
      accesses.answer(DeviceExits.low(vcpu.devices.value(), size));
      return true;
    }
    asked = true;
    askedPort = port;
    askedAddress = address;
    askedSize = size;
    return false;
  }

  @Override
  public boolean portsWantAlone() {
    return true;
  }

  @Override
  public boolean portAnswers(int port, int size) {
    return !alone || answers(true, port, size);
  }

  private void write(boolean port, long address, int size, long value) {
    if (alone) {
      cpu.attention = 1;
      accesses.write(port, address, size, value);
    } else if (!cpu.delivering) {
      throw DeviceAccess.AGAIN;
    }
  }

  @Override
  public int portRead(int port, int size) {
    return (int) read(true, port, size);
  }

  @Override
  public void portWrite(int port, int size, int value) {
    write(true, port, size, value & 0xffffffffL);
  }

  @Override
  public long deviceRead(long hpa, int size) {
    return DeviceExits.low(read(false, hpa, size), size);
  }

  @Override
  public void deviceWrite(long hpa, int size, long value) {
    write(false, hpa, size, value);
  }

  // ---- interrupts ----

  /** Has the processor look at its interrupts if one is due. */
  void lookAtInterrupts() {
    if (vcpu.interrupts.due()) {
      cpu.request(Cpu.REQUEST_INTERRUPT);
    }
  }

  @Override
  public boolean interruptDue() {
    if (vcpu.interrupts.due()) {
      return true;
    }
    cpu.clearRequest(Cpu.REQUEST_INTERRUPT);
    // One that has come in between asks again.
    boolean due = vcpu.interrupts.due();
    if (due) {
      cpu.request(Cpu.REQUEST_INTERRUPT);
    }
    return due;
  }

  @Override
  public int acknowledgeInterrupt() {
    int vector = vcpu.interrupts.acknowledge();
    lookAtInterrupts();
    return vector;
  }

  @Override
  public void endInterrupt() {
    vcpu.interrupts.end();
    lookAtInterrupts();
  }

  @Override
  public void sendInterrupt(int destination, int vector) {
    vcpu.interrupts.send(destination, vector);
    lookAtInterrupts();
  }

  @Override
  public void taskPriorityChanged(int cr8) {
    vcpu.interrupts.setCr8(cr8);
    lookAtInterrupts();
  }

  @Override
  public void performanceInterrupt() {
    vcpu.interrupts.performance();
    lookAtInterrupts();
  }

  @Override
  public void initialized() {
    vcpu.interrupts.reset();
    cpu.cr8 = vcpu.interrupts.cr8();
  }

  // ---- MSRs and CPUID ----

  @Override
  public boolean hasMsr(int index) {
    return index >= VcpuMsrs.X2APIC && index <= X2APIC_LAST
        || index == VcpuMsrs.APIC_BASE
        || index == VcpuMsrs.TSC_DEADLINE
        || index == VcpuMsrs.TSC
        || index == VcpuMsrs.TSC_ADJUST;
  }

  @Override
  public boolean readMsr(int index, long[] out) {
    switch (index) {
      case VcpuMsrs.APIC_BASE -> out[0] = vcpu.interrupts.base();
      case VcpuMsrs.TSC -> out[0] = TimeStampCounter.read(cpu);
      case VcpuMsrs.TSC_ADJUST -> out[0] = vcpu.tsc.adjust();
      case VcpuMsrs.TSC_DEADLINE -> {
        if (!vcpu.cpuid.hasTscDeadline()) {
          return false;
        }
        out[0] = vcpu.interrupts.tscDeadline();
      }
      default -> {
        return vcpu.interrupts.readMsr(index, out);
      }
    }
    return true;
  }

  @Override
  public boolean writeMsr(int index, long value) {
    switch (index) {
      case VcpuMsrs.APIC_BASE -> {
        if (!vcpu.interrupts.setBase(value, false)) {
          return false;
        }
        cpu.msr.apicBase = value;
      }
      case VcpuMsrs.TSC -> vcpu.tsc.write(value, false);
      case VcpuMsrs.TSC_ADJUST -> vcpu.tsc.writeAdjust(value, false);
      case VcpuMsrs.TSC_DEADLINE -> {
        if (!vcpu.cpuid.hasTscDeadline()) {
          return false;
        }
        vcpu.interrupts.setTscDeadline(value);
      }
      default -> {
        if (!vcpu.interrupts.writeMsr(index, value)) {
          return false;
        }
        cpu.cr8 = vcpu.interrupts.cr8();
      }
    }
    boolean timer =
        switch (index) {
          case VcpuMsrs.TSC,
              VcpuMsrs.TSC_ADJUST,
              VcpuMsrs.TSC_DEADLINE,
              X2APIC_LVT_TIMER,
              X2APIC_INITIAL_COUNT,
              X2APIC_DIVIDE ->
              true;
          default -> false;
        };
    if (timer) {
      // Whoever gives it its time looks at the timers anew.
      cpu.request(Cpu.REQUEST_KICK);
    }
    lookAtInterrupts();
    return true;
  }

  @Override
  public boolean cpuid(Cpu of) {
    if (vcpu.cpuid.entries().length == 0) {
      return false;
    }
    vcpu.cpuid.execute(of, of.cr4, of.xcr0, vcpu.interrupts.isEnabled());
    return true;
  }

  @Override
  public void preemptionTimerStarted(long ticks) {
    TimerQueue.Timer timer = preemptionTimer;
    if (timer != null) {
      vcpu.interrupts.lock();
      try {
        timer.arm(nanoTime() + vcpu.tsc.nanos(ticks));
      } finally {
        vcpu.interrupts.unlock();
      }
      cpu.request(Cpu.REQUEST_KICK);
    }
  }
}
