package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalInt;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * Finds VMCS dumps in the lines of a log, and hands each over once all of it is read: when the next
 * begins, at the end, or when nothing more comes.
 *
 * <p>Source: see {@link DumpFormat}.
 */
final class DumpReader {
  /** Takes what is found. */
  interface Sink {
    /** A dump, all of it. */
    void dump(VmcsDump dump);

    /**
     * A line that tells how an entry failed, of a dump that was handed over before.
     *
     * @param line its number, from 1
     * @param error a VM-instruction error number, or an exit reason with bit 31
     */
    void late(int line, int error);
  }

  private static final Pattern CPU = Pattern.compile("kvm4j: CPU (\\S+)");
  private static final Pattern TITLE = Pattern.compile("VMCS (\\S+), last attempted VM-entry");
  private static final Pattern HARDWARE_ERROR =
      Pattern.compile("(KVM: )?entry failed, hardware error 0x([0-9a-fA-F]{1,8})\\b");
  private static final Pattern MSR_LIST = Pattern.compile("MSR (guest|host) (autoload|autostore):");
  private static final Pattern MSR =
      Pattern.compile("\\d+: msr=0x[0-9a-fA-F]{1,8} value=0x[0-9a-fA-F]{1,16}");
  private static final List<DumpFormat.Line> LINES = DumpFormat.known();

  private final Sink sink;

  private int number;
  private String cpu = "";
  private int title;
  private OptionalInt hardwareError = OptionalInt.empty();

  /** What is being read. */
  private @Nullable VmcsDump dump;

  /** The last dump was handed over before the next began, and has no line of an error. */
  private boolean waitsForError;

  private DumpFormat.Part part = DumpFormat.Part.GUEST;
  private @Nullable VmcsField list;

  DumpReader(Sink sink) {
    this.sink = sink;
  }

  /** Reads the next line, without its end. */
  void line(String line) {
    number++;
    if (line.contains(DumpFormat.Part.GUEST.heading)) {
      begin();
      return;
    }
    for (DumpFormat.Part next : DumpFormat.Part.values()) {
      if (line.contains(next.heading)) {
        part = next;
        list = null;
        return;
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
      // QEMU tells it when the kernel has printed the dump, kvm4j before the dump.
      error(Integer.parseUnsignedInt(m.group(2), 16), m.group(1) != null);
    }
    if (dump != null) {
      fields(dump, line);
    }
  }

  private void begin() {
    handOver();
    dump = new VmcsDump(title != 0 ? title : number, cpu);
    dump.setHardwareError(hardwareError);
    title = 0;
    cpu = "";
    hardwareError = OptionalInt.empty();
    waitsForError = false;
    part = DumpFormat.Part.GUEST;
    list = null;
  }

  private void error(int error, boolean behindDump) {
    if (behindDump && dump == null && waitsForError) {
      waitsForError = false;
      sink.late(number, error);
    } else if (!behindDump || !giveTo(dump, OptionalInt.of(error))) {
      hardwareError = OptionalInt.of(error);
    }
  }

  /** Gives a dump that has no line of an error one, unless its own exit reason is against it. */
  private static boolean giveTo(@Nullable VmcsDump dump, OptionalInt error) {
    if (dump == null || dump.hardwareError().isPresent() || dump.isContradicted(error)) {
      return false;
    }
    dump.setHardwareError(error);
    return true;
  }

  /** Nothing more has come for a while: the dump that was read last is all there. */
  void pause() {
    if (dump != null) {
      // What the last line of an error says, no other dump following it.
      if (giveTo(dump, hardwareError)) {
        hardwareError = OptionalInt.empty();
      }
      waitsForError = dump.hardwareError().isEmpty();
      handOver();
    }
  }

  private void handOver() {
    VmcsDump whole = dump;
    if (whole != null) {
      dump = null;
      whole.refuseContradiction();
      sink.dump(whole);
    }
  }

  private void fields(VmcsDump dump, String line) {
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
    List<Found> found = new ArrayList<>();
    for (Place place : places(line)) {
      DumpFormat.Piece piece = place.piece;
      MatchResult match = place.match;
      int k = 0;
      while (k < piece.fields.size() && match.group(k + 1) != null) {
        found.add(
            new Found(
                piece.fields.get(k), match.group(k + 1), piece.widths.get(k), match.end(k + 1)));
        k++;
      }
      if (k < piece.fields.size()) {
        dump.problem(
            number,
            "cut short, without "
                + piece.fields.subList(k, piece.fields.size()).stream()
                    .map(VmcsField::toString)
                    .collect(Collectors.joining(", ")));
      }
    }
    boolean padded = found.stream().anyMatch(f -> f.digits() >= f.width());
    int end = line.stripTrailing().length();
    for (Found f : found) {
      if (f.end == end && f.isCut(padded)) {
        dump.problem(
            number,
            "%s is cut short, with %d of %d digits: '%s'"
                .formatted(f.field, f.digits(), f.width, f.text));
      } else {
        dump.set(f.field, f.text, number);
      }
    }
  }

  /** Where in a line which piece is: of those at one place the first to begin, and the longest. */
  private List<Place> places(String line) {
    List<Place> all = new ArrayList<>();
    for (DumpFormat.Line known : LINES) {
      if (known.part() == part) {
        for (DumpFormat.Piece piece : known.pieces()) {
          if (piece.mayBeIn(line)) {
            piece.find(line).results().forEach(match -> all.add(new Place(piece, match)));
          }
        }
      }
    }
    all.sort(
        Comparator.<Place>comparingInt(place -> place.match.start())
            .thenComparing(place -> place.match.end(), Comparator.reverseOrder()));
    List<Place> apart = new ArrayList<>();
    int end = 0;
    for (Place place : all) {
      if (place.match.start() >= end) {
        apart.add(place);
        end = place.match.end();
      }
    }
    return apart;
  }

  /** A piece in a line. */
  private record Place(DumpFormat.Piece piece, MatchResult match) {}

  /**
   * What a line has for a field.
   *
   * @param width how many digits kernels print, at least
   * @param end where in the line it ends
   */
  private record Found(VmcsField field, String text, int width, int end) {
    private static final Pattern NUMBER = Pattern.compile("(?:0[xX])?([0-9a-fA-F]+)");

    /** How many digits it has; 0 if it is no number. */
    int digits() {
      Matcher m = NUMBER.matcher(text);
      return m.matches() ? m.group(1).length() : 0;
    }

    /**
     * Whether, at the end of its line, it lacks digits: kernels print zeros before a number, so
     * that one with fewer digits has lost its last, unless it was written by hand.
     *
     * @param padded whether the line has a number of all its digits
     */
    boolean isCut(boolean padded) {
      int digits = digits();
      return digits > 0
          && digits < width
          && (padded || (digits > 1 && text.charAt(text.length() - digits) == '0'));
    }
  }
}
