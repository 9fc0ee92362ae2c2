package org.kvm4j.kvm.syscall;

import java.util.OptionalInt;
import java.util.OptionalLong;

/** Tells in words what fields of a VMCS say. What it returns are lines, for people. */
public interface Explainer {

  /**
   * Explains every VMCS dump in a text, as Linux's KVM module prints them to the kernel's log:
   * which checks of VM entry it fails, with values and the nearest that would pass, and its last VM
   * exit.
   *
   * @param text a log, with or without times before its lines
   * @param cpu the CPU model that it is of, as for {@link KernelOptions#CPU}; empty to go by what
   *     the dump says
   * @throws IllegalArgumentException if there is no dump in it or no such CPU model; the message is
   *     one line
   */
  String dump(String text, String cpu);

  /** Explains VM-exit information. */
  String exit(ExitFields fields);

  /**
   * Fields of VM-exit information that somebody has: those that are not known are empty.
   *
   * @param reason exit reason (32 bits)
   * @param qualification exit qualification (64 bits)
   * @param interruption VM-exit interruption information (32 bits)
   * @param interruptionError VM-exit interruption error code (32 bits)
   * @param vectoring IDT-vectoring information (32 bits)
   * @param vectoringError IDT-vectoring error code (32 bits)
   * @param instruction VM-exit instruction information (32 bits)
   * @param instructionError VM-instruction error (32 bits)
   */
  record ExitFields(
      OptionalInt reason,
      OptionalLong qualification,
      OptionalInt interruption,
      OptionalInt interruptionError,
      OptionalInt vectoring,
      OptionalInt vectoringError,
      OptionalInt instruction,
      OptionalInt instructionError) {}
}
