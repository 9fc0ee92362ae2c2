package org.kvm4j.kvm.syscall;

import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.function.Consumer;

/** Tells in words what fields of a VMCS say. What it returns are lines, for people. */
public interface Explainer {

  /** Reads a log, line by line. What it finds it has told as soon as it is complete. */
  interface LogReader {
    /**
     * Reads the next line, without its end.
     *
     * @throws IllegalArgumentException if a dump is complete with it whose CPU model there is not;
     *     the message is one line
     */
    void line(String line);

    /**
     * Nothing more has come for a while: what was read last counts as complete.
     *
     * @throws IllegalArgumentException as {@link #line}
     */
    void pause();

    /**
     * The log has ended.
     *
     * @throws IllegalArgumentException as {@link #line}, and if there was no dump in the log
     */
    void end();
  }

  /**
   * Explains VMCS dumps as Linux's KVM module prints them to the kernel's log: which checks of VM
   * entry each fails, with values and the nearest that would pass, and its last VM exit. Dumps of
   * which the same is to be told are told of once, and then counted.
   *
   * @param cpu the CPU model that they are of, as for {@link KernelOptions#CPU}; empty to go by
   *     what each dump says
   * @param all whether each check is listed that cannot be made for what the dump lacks; else, of
   *     many, how many lack what
   * @param out takes what there is to tell: lines with their ends
   */
  LogReader dumps(String cpu, boolean all, Consumer<String> out);

  /**
   * Explains VM-exit information.
   *
   * @throws IllegalArgumentException if there is no such exit reason or VM-instruction error; the
   *     message is one line
   */
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
