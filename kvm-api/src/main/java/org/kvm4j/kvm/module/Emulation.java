package org.kvm4j.kvm.module;

import java.nio.ByteBuffer;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.kvm4j.cpu.core.Flags;
import org.kvm4j.cpu.core.Vector;
import org.kvm4j.cpu.decode.Instruction;
import org.kvm4j.kvm.module.emulate.DeviceAccesses;
import org.kvm4j.kvm.module.emulate.Emulator;
import org.kvm4j.kvm.module.emulate.PlainMoves;
import org.kvm4j.kvm.module.vendor.ExecutedCode;
import org.kvm4j.kvm.module.vendor.VendorVcpu;
import org.kvm4j.kvm.module.vendor.VmExit;
import org.kvm4j.kvm.uapi.Exits;
import org.kvm4j.kvm.uapi.KvmRun;
import org.kvm4j.kvm.uapi.Uapi;

/**
 * Exits that end in an instruction of the guest carried out by software: accesses to devices in
 * memory, string instructions on ports, task switches. What it needs of user space it asks for by
 * exits, and goes on with the answers. Source: Linux 6.1 handle_ept_violation,
 * x86_emulate_instruction, complete_emulated_mmio, kvm_task_switch.
 */
final class Emulation {
  private final VirtualCpu vcpu;
  private final VmFile vm;
  private final VendorVcpu vendor;
  private final Emulator emulator;
  private final VmExit exit;
  private final ByteBuffer run;
  private final DeviceAccesses accesses;
  private final DeviceExits devices;
  private final long nested;
  private final PlainMoves moves;
  private final ExecutedCode code = new ExecutedCode();
  private final Completion afterLoad = this::completeLoad;
  private final Completion afterDeviceRead = this::completeDeviceRead;
  private final Completion afterStringIn = this::completeStringIn;

  private int size;
  private int count;

  /** The load from device memory that waits for user space's answer. */
  private @Nullable Instruction load;

  Emulation(VirtualCpu vcpu, Emulator emulator, VmExit exit) {
    this.vcpu = vcpu;
    this.vm = vcpu.vm;
    this.vendor = vcpu.vendor();
    this.emulator = emulator;
    this.exit = exit;
    this.run = vcpu.run();
    this.accesses = emulator.accesses();
    this.devices = new DeviceExits(vcpu, accesses);
    this.nested = vcpu.nestedPointer();
    this.moves = new PlainMoves(vcpu.machine().model());
  }

  /** The guest touched a device's memory: by an instruction, or while an event is delivered. */
  int deviceAccess() {
    if (exit.vectoring) {
      if (exit.linearValid) {
        vcpu.explain(
            String.format(
                "the delivery of vector %d (0x%x) to the guest: %s",
                exit.vectoringVector,
                exit.vectoringVector,
                vcpu.usingTables(
                    () -> emulator.explain(vendor, nested, exit.linear, exit.gpa, exit.fetch))));
      }
      return vcpu.internalError(
          Uapi.KVM_INTERNAL_ERROR_DELIVERY_EV,
          1L << 31 | exit.vectoringType << 8 | exit.vectoringVector,
          exit.reason,
          exit.qualification,
          exit.gpa,
          vcpu.id());
    }
    vcpu.takeExitTime();
    Instruction move = plainMove();
    return move == null ? emulate() : access(move);
  }

  /**
   * The instruction that exited, if all that is left of it is to move data between a register and
   * one device; null if it is for the emulator. A trap after it is; so is what may have begun on
   * another page, in which case the address that exited is the first of its page.
   */
  private @Nullable Instruction plainMove() {
    if (!exit.translated || exit.fetch || (vendor.rflags() & Flags.TF) != 0) {
      return null;
    }
    Instruction known = vendor.violator();
    if (known != null) {
      return known;
    }
    Instruction move = vcpu.executedCode(code) ? moves.find(code) : null;
    if (move == null || PlainMoves.isStore(move) != exit.write) {
      return null;
    }
    int inPage = (int) exit.linear & 0xfff;
    int bytes = PlainMoves.size(move);
    boolean whole =
        inPage + bytes <= 0x1000
            && (inPage != 0 || bytes == 1 || moves.offsetInPage(vendor, move) == 0);
    return whole ? move : null;
  }

  /** Carries out a plain move between a register and a device. */
  private int access(Instruction move) {
    vcpu.stats.emulated++;
    int bytes = PlainMoves.size(move);
    exit.instructionLength = move.length;
    if (PlainMoves.isStore(move)) {
      accesses.begin();
      accesses.write(false, exit.gpa, bytes, DeviceExits.low(moves.source(vendor, move), bytes));
      vcpu.skip();
      return devices.write();
    }
    if (vcpu.devices.read(false, exit.gpa, bytes)) {
      return loaded(move, vcpu.devices.value());
    }
    load = move;
    return devices.read(exit.gpa, bytes, afterLoad);
  }

  private int loaded(Instruction move, long value) {
    moves.setDestination(vendor, move, DeviceExits.low(value, PlainMoves.size(move)));
    vcpu.skip();
    return 1;
  }

  /** Emulates the instruction at the guest's RIP, as far as it goes without user space. */
  int emulate() {
    MemorySlot[] slots = vm.slots.snapshot();
    while (true) {
      vcpu.stats.emulated++;
      switch (vcpu.usingTables(() -> emulator.emulate(vendor, nested))) {
        case DONE:
          vcpu.steppedByEmulation();
          return devices.write();
        case NOT_MAPPED:
          {
            NestedMemory.Fault f = vm.memory.fault(emulator.accessAddress, emulator.accessWrite);
            if (f == NestedMemory.Fault.BAD_ADDRESS) {
              return Results.EFAULT;
            }
            if (f == NestedMemory.Fault.DEVICE) {
              return failed(slots);
            }
            break;
          }
        case DEVICE_READ:
          size = emulator.accessSize;
          if (vcpu.devices.read(false, emulator.accessAddress, size)) {
            accesses.answer(DeviceExits.low(vcpu.devices.value(), size));
            break;
          }
          return devices.read(emulator.accessAddress, size, afterDeviceRead);
        case PORT_IN:
          size = emulator.accessSize;
          count = emulator.accessCount;
          if (readPorts()) {
            break;
          }
          return vcpu.ports.exit(
              Uapi.KVM_EXIT_IO_IN, (int) emulator.accessAddress, size, count, afterStringIn);
        case EXCEPTION:
          accesses.clear();
          raise();
          return 1;
        default:
          return failed(slots);
      }
    }
  }

  /**
   * What could not be carried out, unless memory and devices have changed places in the meantime:
   * then the guest tries again with what is there now.
   *
   * @param slots those when it began
   */
  private int failed(MemorySlot[] slots) {
    accesses.clear();
    return vm.slots.snapshot() == slots ? failed() : 1;
  }

  /** Puts a hypercall instruction in place of another at the guest's RIP. */
  int putHypercall(int last) {
    while (true) {
      switch (vcpu.usingTables(() -> emulator.putHypercall(vendor, nested, last))) {
        case DONE:
          return devices.write();
        case EXCEPTION:
          raise();
          return 1;
        case NOT_MAPPED:
          if (vm.memory.fault(emulator.accessAddress, true) == NestedMemory.Fault.MAPPED) {
            break;
          }
          return failed();
        default:
          return failed();
      }
    }
  }

  /** Queues the exception that the emulator has met. */
  private void raise() {
    vcpu.events.queueException(
        emulator.vector,
        emulator.hasErrorCode,
        emulator.errorCode,
        emulator.vector == Vector.PF || emulator.vector == Vector.DB,
        emulator.payload);
  }

  /** The elements of an INS whose port is the module's own; false if it is user space's. */
  private boolean readPorts() {
    int done = 0;
    while (done < count
        && accesses.room() > 0
        && vcpu.devices.read(true, emulator.accessAddress, size)) {
      accesses.answer(DeviceExits.low(vcpu.devices.value(), size));
      done++;
    }
    return done > 0;
  }

  // ---- user space's answers ----

  /**
   * Whether the answer is for the instruction that asked. Where user space has set another RIP in
   * between, it is forgotten: the instruction there must not get it.
   */
  private boolean stillWanted() {
    if (vcpu.atSameInstruction()) {
      return true;
    }
    accesses.clear();
    return false;
  }

  private int completeLoad() {
    Instruction move = Objects.requireNonNull(load);
    load = null;
    return stillWanted() ? loaded(move, devices.answer(PlainMoves.size(move))) : 1;
  }

  private int completeDeviceRead() {
    if (!stillWanted()) {
      return 1;
    }
    accesses.answer(devices.answer(size));
    return emulate();
  }

  private int completeStringIn() {
    if (!stillWanted()) {
      return 1;
    }
    for (int i = 0; i < count && accesses.room() > 0; i++) {
      accesses.answer(vcpu.ports.get(size, i));
    }
    return emulate();
  }

  // ---- failure ----

  /**
   * #UD for a user program of the guest, an exit for its kernel, which finds the instruction again
   * at each KVM_RUN, as measured on a host. Linux 6.1 handle_emulation_failure.
   */
  private int failed() {
    byte[] bytes = emulator.instructionBytes();
    if (vcpu.cpl() != 0 && !vm.exitOnEmulationFailure) {
      vcpu.events.queueException(Vector.UD, false, 0, false, 0);
      return 1;
    }
    if (emulator.lack() != Emulator.Lack.NOTHING) {
      boolean fetch = emulator.lack() == Emulator.Lack.CODE;
      vcpu.explain(
          vcpu.usingTables(
              () ->
                  emulator.explain(
                      vendor, nested, emulator.faultLinear(), emulator.accessAddress, fetch)));
    }
    run.putInt(KvmRun.EMULATION_FAILURE_SUBERROR, Uapi.KVM_INTERNAL_ERROR_EMULATION);
    int at;
    run.putLong(KvmRun.EMULATION_FAILURE_FLAGS, 0);
    if (bytes.length > 0) {
      run.putLong(
          KvmRun.EMULATION_FAILURE_FLAGS, Uapi.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
      run.put(KvmRun.EMULATION_FAILURE_INSN_SIZE, (byte) bytes.length);
      for (int i = 0; i < 15; i++) {
        run.put(KvmRun.EMULATION_FAILURE_INSN_BYTES + i, i < bytes.length ? bytes[i] : (byte) 0x90);
      }
      at = 3;
    } else {
      at = 1;
    }
    long[] info = {exit.reason, exit.qualification, 0, 0, 0};
    for (long word : info) {
      run.putLong(KvmRun.INTERNAL_DATA + at++ * 8, word);
    }
    run.putInt(KvmRun.EMULATION_FAILURE_NDATA, at);
    return vcpu.exit(Exits.KVM_EXIT_INTERNAL_ERROR);
  }

  // ---- task switches ----

  /** Hardware does not switch tasks in a guest: the whole of it is done here. */
  int taskSwitch() {
    if ((exit.qualification >>> 30 & 3) == 3 && exit.vectoring) {
      vcpu.events.forgetInjected();
      return deliverThroughTaskGate();
    }
    return emulate();
  }

  private int deliverThroughTaskGate() {
    while (true) {
      Emulator.Outcome o =
          vcpu.usingTables(
              () ->
                  emulator.deliver(
                      vendor,
                      nested,
                      exit.vectoringType,
                      exit.vectoringVector,
                      exit.vectoringHasErrorCode,
                      exit.vectoringErrorCode,
                      exit.vectoringLength));
      switch (o) {
        case DONE:
          return 1;
        case NOT_MAPPED:
          if (vm.memory.fault(emulator.accessAddress, emulator.accessWrite)
              == NestedMemory.Fault.MAPPED) {
            break;
          }
          return failed();
        default:
          return failed();
      }
    }
  }
}
