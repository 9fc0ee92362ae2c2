package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;
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
  private static final Pattern CPU = Pattern.compile("kvm4j: CPU (\\S+)");
  private static final Pattern TITLE = Pattern.compile("VMCS (\\S+), last attempted VM-entry");
  private static final Pattern HARDWARE_ERROR =
      Pattern.compile("(KVM: )?entry failed, hardware error 0x([0-9a-fA-F]{1,8})\\b");
  private static final Pattern NUMBER =
      Pattern.compile("(?:0[xX])?+([0-9a-fA-F]++)(?![0-9a-zA-Z_])");

  /** Of what is no number, no more than this many characters are told. */
  private static final int MOST_TOLD = 40;

  private static final Pattern MSR_LIST = Pattern.compile("MSR (guest|host) (autoload|autostore):");
  private static final Pattern MSR =
      Pattern.compile("\\d+: msr=0x[0-9a-fA-F]{1,8} value=0x[0-9a-fA-F]{1,16}");

  /** The fields' values by ordinal; those that are not {@link #isKnown known} are 0. */
  public final long[] v = new long[VmcsField.COUNT];

  private final BitSet known = new BitSet();
  private final List<String> problems = new ArrayList<>();
  private String cpu = "";
  private int line;
  private OptionalInt hardwareError = OptionalInt.empty();

  private VmcsDump(int line) {
    this.line = line;
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

  /** What of the dump could not be read, or makes no sense, a line each. */
  public List<String> problems() {
    return problems;
  }

  private void set(VmcsField field, String text, int at) {
    Matcher m = NUMBER.matcher(text);
    if (!m.lookingAt()) {
      problems.add(
          "line %d: '%s' for %s is no number in hexadecimal".formatted(at, told(text), field));
      return;
    }
    String digits = m.group(1);
    boolean fits = digits.length() <= 16;
    long value = fits ? Long.parseUnsignedLong(digits, 16) : 0;
    if (!fits || (value & ~field.width.mask) != 0) {
      problems.add(
          "line %d: %s has %d bits, and 0x%s does not fit"
              .formatted(at, field, field.width.bits, told(digits).toLowerCase(Locale.ROOT)));
      return;
    }
    if (isKnown(field) && v[field.ordinal()] != value) {
      problems.add(
          "line %d: %s is 0x%x now, and was 0x%x before"
              .formatted(at, field, value, v[field.ordinal()]));
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
  private boolean isContradicted(OptionalInt error) {
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
  private void count(VmcsField field) {
    v[field.ordinal()]++;
    known.set(field.ordinal());
  }

  /**
   * Reads all dumps in a text.
   *
   * @return in their order; empty if there is none
   */
  public static List<VmcsDump> parse(String text) {
    List<VmcsDump> dumps = new ArrayList<>();
    Reader reader = new Reader();
    int number = 0;
    for (String line : text.split("\\R", -1)) {
      number++;
      VmcsDump begun = reader.read(line, number);
      if (begun != null) {
        dumps.add(begun);
      }
    }
    reader.end();
    for (VmcsDump dump : dumps) {
      if (dump.isContradicted(dump.hardwareError)) {
        dump.problems.add(
            "hardware error 0x%x, as the dump has exit reason 0x%x: the line is not of this dump"
                .formatted(dump.hardwareError.getAsInt(), dump.v[Vmcs.VM_EXIT_REASON]));
        dump.hardwareError = OptionalInt.empty();
      }
    }
    return dumps;
  }

  /** Goes through the lines of a text. */
  private static final class Reader {
    private static final List<DumpFormat.Line> LINES = DumpFormat.known();

    private String cpu = "";
    private int title;
    private OptionalInt hardwareError = OptionalInt.empty();
    private @Nullable VmcsDump dump;
    private DumpFormat.Part part = DumpFormat.Part.GUEST;
    private @Nullable VmcsField list;

    /** Reads a line; the dump that begins with it, or null. */
    @Nullable VmcsDump read(String line, int number) {
      if (line.contains(DumpFormat.Part.GUEST.heading)) {
        dump = new VmcsDump(title != 0 ? title : number);
        dump.cpu = cpu;
        dump.hardwareError = hardwareError;
        title = 0;
        cpu = "";
        hardwareError = OptionalInt.empty();
        part = DumpFormat.Part.GUEST;
        list = null;
        return dump;
      }
      for (DumpFormat.Part next : DumpFormat.Part.values()) {
        if (line.contains(next.heading)) {
          part = next;
          list = null;
          return null;
        }
      }
      Matcher m = CPU.matcher(line);
      if (m.find()) {
        cpu = m.group(1);
      } else if (TITLE.matcher(line).find()) {
        title = number;
      }
      m = HARDWARE_ERROR.matcher(line);
      if (m.find()) {
        OptionalInt found = OptionalInt.of(Integer.parseUnsignedInt(m.group(2), 16));
        // QEMU tells it when the kernel has printed the dump, kvm4j before the dump.
        if (m.group(1) == null || !giveTo(dump, found)) {
          hardwareError = found;
        }
      }
      if (dump != null) {
        read(dump, line, number);
      }
      return null;
    }

    /** Gives what the last line of an error says to the last dump, if no other follows it. */
    void end() {
      giveTo(dump, hardwareError);
    }

    /** Gives a dump that has no line of an error one, unless its own exit reason is against it. */
    private static boolean giveTo(@Nullable VmcsDump dump, OptionalInt error) {
      if (dump == null || dump.hardwareError.isPresent() || dump.isContradicted(error)) {
        return false;
      }
      dump.hardwareError = error;
      return true;
    }

    private void read(VmcsDump dump, String line, int number) {
      Matcher m = MSR_LIST.matcher(line);
      if (m.find()) {
        list =
            m.group(2).equals("autostore")
                ? VmcsField.VM_EXIT_MSR_STORE_COUNT
                : m.group(1).equals("guest")
                    ? VmcsField.VM_ENTRY_MSR_LOAD_COUNT
                    : VmcsField.VM_EXIT_MSR_LOAD_COUNT;
        return;
      }
      if (list != null && MSR.matcher(line).find()) {
        dump.count(list);
        return;
      }
      list = null;
      for (DumpFormat.Line known : LINES) {
        if (known.part() != part) {
          continue;
        }
        for (DumpFormat.Piece piece : known.pieces()) {
          m = piece.find(line);
          while (m.find()) {
            for (int k = 0; k < piece.fields.size(); k++) {
              dump.set(piece.fields.get(k), m.group(k + 1), number);
            }
          }
        }
      }
    }
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
