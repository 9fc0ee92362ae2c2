package org.kvm4j.kvm.module;

import static org.kvm4j.kvm.uapi.Ioctls.KVM_INTERRUPT;
import static org.kvm4j.kvm.uapi.Ioctls.KVM_SET_GUEST_DEBUG;

import org.kvm4j.cpu.LogicalProcessor;
import org.kvm4j.cpu.core.Cpu;
import org.kvm4j.cpu.event.PendingEvents;
import org.kvm4j.kvm.module.vendor.BareVcpu;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * A virtual CPU that is a processor itself: what it executes runs on bare metal. Only accesses to
 * user space's devices, shutdown, and HLT where nothing could end it come back as exits;
 * interrupts, INIT and startup interrupts are the processor's own business.
 */
final class BareCpu extends VirtualCpu {
  private final BarePlatform platform;
  private final BareVcpu processor;
  private final Cpu cpu;
  private final DeviceExits exits;
  private final Completion afterMemory = this::completeMemory;
  private final Completion afterPort = this::completePort;

  private BareCpu(VmFile vm, int id, BarePlatform platform, BareVcpu processor) {
    super(vm, id, processor);
    this.platform = platform;
    this.processor = processor;
    this.cpu = processor.cpu();
    platform.connect(this);
    this.exits = new DeviceExits(this, platform.accesses());
  }

  static VirtualCpu create(VmFile vm, int id) {
    HostMachine machine = vm.kernel.machine();
    BarePlatform platform = new BarePlatform(machine, vm.time, id);
    LogicalProcessor processor =
        new LogicalProcessor(machine.model(), vm.processorMemory(), platform);
    if (machine.engine() == Engine.TRANSLATOR
        || machine.engine() == Engine.MACHINE_CODE
            && !processor.engine.makeMachineCode(vm.machineCode())) {
      processor.engine.translate();
    }
    machine.made(processor, id);
    return new BareCpu(vm, id, platform, new BareVcpu(processor)).poweredUp();
  }

  // ---- other threads ----

  @Override
  void kick() {
    cpu.request(Cpu.REQUEST_KICK);
    seat.wake();
  }

  @Override
  void wake() {
    cpu.request(Cpu.REQUEST_INTERRUPT);
    if (interrupts.hasStartEvents() || interrupts.nmiQueued()) {
      cpu.request(Cpu.REQUEST_KICK);
    }
    seat.wake();
  }

  @Override
  void timerExpired() {
    cpu.request(Cpu.REQUEST_TIMER);
    seat.wake();
  }

  // ---- what is the processor's own ----

  @Override
  String refusal(int request) {
    return switch (request) {
      case KVM_SET_GUEST_DEBUG -> "on bare metal the debug registers are the guest's alone";
      case KVM_INTERRUPT -> "on bare metal interrupts come from the interrupt chips alone";
      default -> "";
    };
  }

  /** There are no nested tables. */
  @Override
  long nestedPointer() {
    return 0;
  }

  @Override
  int mpState() {
    return switch (cpu.activity) {
      case Cpu.HALTED -> Uapi.KVM_MP_STATE_HALTED;
      case Cpu.WAIT_FOR_SIPI -> Uapi.KVM_MP_STATE_UNINITIALIZED;
      default -> Uapi.KVM_MP_STATE_RUNNABLE;
    };
  }

  @Override
  void setMpState(int state) {
    cpu.activity =
        switch (state) {
          case Uapi.KVM_MP_STATE_HALTED -> Cpu.HALTED;
          case Uapi.KVM_MP_STATE_UNINITIALIZED, Uapi.KVM_MP_STATE_INIT_RECEIVED ->
              Cpu.WAIT_FOR_SIPI;
          default -> Cpu.ACTIVE;
        };
  }

  @Override
  void acceptStartEvents() {
    if (interrupts.hasStartEvents()) {
      if (interrupts.takeInit()) {
        cpu.requestInit();
      }
      int vector = interrupts.takeStartup();
      if (vector >= 0) {
        cpu.requestStartUp(vector);
      }
    }
  }

  @Override
  boolean isIdle() {
    return cpu.activity != Cpu.ACTIVE && !hasNews();
  }

  @Override
  boolean hasNews() {
    platform.lookAtInterrupts();
    return interrupts.hasStartEvents()
        || interrupts.nmiQueued()
        || (cpu.requests() & Cpu.REQUEST_TIMER) != 0
        || PendingEvents.wakes(cpu);
  }

  @Override
  String operation() {
    return processor.operation();
  }

  // ---- running ----

  @Override
  int enterGuest() {
    long budget = seat.begin();
    if (budget == 0) {
      return Thread.currentThread().isInterrupted() ? interrupted() : 1;
    }
    acceptStartEvents();
    if (interrupts.takeNmis() > 0) {
      cpu.request(Cpu.REQUEST_NMI);
    }
    cpu.clearRequest(Cpu.REQUEST_TIMER);
    cpu.msr.apicBase = interrupts.base();
    cpu.cr8 = interrupts.cr8();
    platform.lookAtInterrupts();
    runProcessor(budget);
    return handle();
  }

  @Override
  int handle() {
    switch (exit.kind) {
      case DEVICE:
        return devices();
      case HLT:
        return inactive();
      case TRIPLE_FAULT:
        explain(processor.explanation());
        // Shutdown ends with whatever user space does to the processor.
        cpu.activity = Cpu.ACTIVE;
        return exit(Exits.KVM_EXIT_SHUTDOWN);
      default:
        return 1;
    }
  }

  /** Without a local APIC nothing but user space can end a HLT. */
  private int inactive() {
    if (interrupts.hasApic() || cpu.activity != Cpu.HALTED) {
      return 1;
    }
    cpu.activity = Cpu.ACTIVE;
    seat.rest();
    return exit(Exits.KVM_EXIT_HLT);
  }

  private int devices() {
    if (!platform.takeAsked()) {
      int r = exits.write();
      cpu.cr8 = interrupts.cr8();
      return r;
    }
    long address = platform.askedAddress();
    int size = platform.askedSize();
    return platform.askedPort()
        ? ports.exit(Uapi.KVM_EXIT_IO_IN, (int) address, size, 1, afterPort)
        : exits.read(address, size, afterMemory);
  }

  private int completeMemory() {
    return completed(exits.answer(platform.askedSize()));
  }

  private int completePort() {
    return completed(ports.get(platform.askedSize(), 0));
  }

  /** The answer is for the instruction that asked, unless user space has set another RIP since. */
  private int completed(long answer) {
    if (atSameInstruction()) {
      platform.accesses().answer(answer);
    } else {
      platform.accesses().clear();
      processor.processor().engine.forgetWaiting();
    }
    return 1;
  }
}
