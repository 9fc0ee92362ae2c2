package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.kvm4j.vmx.exit.ExitReason;
import org.kvm4j.vmx.vmcs.Vmcs;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * A VMCS as far as a dump in the kernel's log tells of it: the fields that it has, and no others.
 *
 * <p>Lines may have whatever a log puts before them: times, host names, the module's name.
 *
 * <p>Source: see {@link DumpFormat}.
 */
public final class VmcsDump {
  private static final String CPU_LINE = "kvm4j: CPU ";
  private static final Pattern NUMBER =
      Pattern.compile("(?:0[xX])?+([0-9a-fA-F]++)(?![0-9a-zA-Z_])");

  /** Of what is no number, no more than this many characters are told. */
  private static final int MOST_TOLD = 40;

  /** The fields' values by ordinal; those that are not {@link #isKnown known} are 0. */
  public final long[] v = new long[VmcsField.COUNT];

  private final BitSet known = new BitSet();
  private final List<Problem> problems = new ArrayList<>();
  private final String cpu;
  private final int line;
  private OptionalInt hardwareError = OptionalInt.empty();

  /**
   * What of a dump could not be read, or makes no sense.
   *
   * @param line its line's number, from 1; 0 if it is of no one line
   */
  record Problem(int line, String words) {
    @Override
    public String toString() {
      return line == 0 ? words : "line " + line + ": " + words;
    }
  }

  VmcsDump(int line, String cpu) {
    this.line = line;
    this.cpu = cpu;
  }

  /** Whether the dump has the field. */
  public boolean isKnown(VmcsField field) {
    return known.get(field.ordinal());
  }

  /** Whether the dump has no field, nor anything that is to be one: headings alone. */
  boolean isEmpty() {
    return known.isEmpty() && problems.isEmpty();
  }

  /** The CPU model that the dump is of; empty if it does not say. */
  public String cpu() {
    return cpu;
  }

  /** The number of the dump's first line in its text, from 1. */
  public int line() {
    return line;
  }

  /**
   * What the text around the dump says of how the entry failed, if it does: a VM-instruction error
   * number, or an exit reason with bit 31.
   */
  public OptionalInt hardwareError() {
    return hardwareError;
  }

  void setHardwareError(OptionalInt error) {
    hardwareError = error;
  }

  /** What of the dump could not be read, or makes no sense. */
  List<Problem> problems() {
    return problems;
  }

  void problem(int at, String words) {
    problems.add(new Problem(at, words));
  }

  /**
   * Sets a field to what a line has for it.
   *
   * @param at the line's number
   */
  void set(VmcsField field, String text, int at) {
    Matcher m = NUMBER.matcher(text);
    if (!m.lookingAt()) {
      problem(at, "'%s' for %s is no number in hexadecimal".formatted(told(text), field));
      return;
    }
    String digits = m.group(1);
    boolean fits = digits.length() <= 16;
    long value = fits ? Long.parseUnsignedLong(digits, 16) : 0;
    if (!fits || (value & ~field.width.mask) != 0) {
      problem(
          at,
          "%s has %d bits, and 0x%s does not fit"
              .formatted(field, field.width.bits, told(digits).toLowerCase(Locale.ROOT)));
      return;
    }
    if (isKnown(field) && v[field.ordinal()] != value) {
      problem(
          at, "%s is 0x%x now, and was 0x%x before".formatted(field, value, v[field.ordinal()]));
    }
    v[field.ordinal()] = value;
    known.set(field.ordinal());
  }

  /**
   * Whether the exit reason of the dump says otherwise than an error: it is that of an entry that
   * failed with a VM exit, and another; or the error is one, and the dump has none. After a VMfail
   * the field has the reason of the last VM exit, whatever it was. SDM 31.2 "Conventions", 27.8
   * "VM-Entry Failures During or After Loading Guest State".
   */
  boolean isContradicted(OptionalInt error) {
    if (error.isEmpty() || !isKnown(VmcsField.VM_EXIT_REASON)) {
      return false;
    }
    int reason = (int) v[Vmcs.VM_EXIT_REASON];
    return ((reason | error.getAsInt()) & ExitReason.ENTRY_FAILURE) != 0
        && reason != error.getAsInt();
  }

  private static String told(String text) {
    return text.length() <= MOST_TOLD ? text : text.substring(0, MOST_TOLD) + "...";
  }

  /** Notes one more entry of an MSR list, which the dump counts by listing them. */
  void count(VmcsField field) {
    v[field.ordinal()]++;
    known.set(field.ordinal());
  }

  /** Takes a line of an error away that cannot be this dump's, and tells of it. */
  void refuseContradiction() {
    if (isContradicted(hardwareError)) {
      problem(
          0,
          "hardware error 0x%x, as the dump has exit reason 0x%x: the line is not of this dump"
              .formatted(hardwareError.getAsInt(), v[Vmcs.VM_EXIT_REASON]));
      hardwareError = OptionalInt.empty();
    }
  }

  /** The fields that are not the same in another dump, or that only one of the two has. */
  List<VmcsField> differences(VmcsDump other) {
    return Arrays.stream(VmcsField.values())
        .filter(
            f ->
                isKnown(f) != other.isKnown(f)
                    || (isKnown(f) && v[f.ordinal()] != other.v[f.ordinal()]))
        .toList();
  }

  /**
   * Reads all dumps in a text.
   *
   * @return in their order; empty if there is none
   */
  public static List<VmcsDump> parse(String text) {
    List<VmcsDump> dumps = new ArrayList<>();
    DumpReader reader =
        new DumpReader(
            new DumpReader.Sink() {
              @Override
              public void dump(VmcsDump dump) {
                dumps.add(dump);
              }

              @Override
              public void late(int line, int error) {}
            });
    text.lines().forEach(reader::line);
    reader.pause();
    return dumps;
  }

  /**
   * A dump of a VMCS in the kernel's format, and lines before it with the processor's model and how
   * the entry failed.
   *
   * @param cpu name of the CPU model; empty if it has none
   * @param processor number of the processor that tried to enter
   * @param hardwareError a VM-instruction error number, or an exit reason with bit 31; 0 for none
   */
  public static String write(Vmcs vmcs, String cpu, int processor, int hardwareError) {
    StringBuilder text = new StringBuilder();
    if (hardwareError != 0) {
      text.append("entry failed, hardware error 0x%x\n".formatted(hardwareError));
    }
    if (!cpu.isEmpty()) {
      text.append(CPU_LINE).append(cpu).append('\n');
    }
    text.append(
        "VMCS %016x, last attempted VM-entry on CPU %d\n".formatted(vmcs.address, processor));
    vmcs.complete();
    DumpFormat.Part part = null;
    for (DumpFormat.Line line : DumpFormat.lines()) {
      if (line.part() != part) {
        part = line.part();
        text.append(part.heading).append('\n');
      }
      if (line.condition().holds(vmcs.v)) {
        line.pieces().forEach(piece -> text.append(piece.write(vmcs.v)));
        text.append('\n');
      }
    }
    return text.toString();
  }
}
