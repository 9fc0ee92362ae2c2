package org.kvm4j.vmx.explain;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.kvm4j.vmx.vmcs.Control;
import org.kvm4j.vmx.vmcs.VmcsField;

/**
 * The lines of a VMCS dump as Linux's KVM module prints it to the kernel's log, as data: what
 * {@link VmcsDump} writes and reads.
 *
 * <p>A piece is text with fields in it, {@code {FIELD:DIGITS}}, in hexadecimal with that many
 * digits at least. A line is written where its condition holds. Pieces are read by themselves,
 * wherever in a line they stand, since kernels have put them together in several ways.
 *
 * <p>Source: Linux arch/x86/kvm/vmx/vmx.c {@code dump_vmcs}, and what it was in earlier kernels.
 */
final class DumpFormat {
  /** The parts of a dump, each below its heading. */
  enum Part {
    GUEST("*** Guest State ***"),
    HOST("*** Host State ***"),
    CONTROL("*** Control State ***");

    final String heading;

    Part(String heading) {
      this.heading = heading;
    }
  }

  /** When a line is written. */
  @FunctionalInterface
  interface Condition {
    boolean holds(long[] v);
  }

  /** Text with fields. */
  static final class Piece {
    private static final Pattern FIELD = Pattern.compile("\\{([A-Z0-9_]+):(\\d+)}");
    private static final Pattern SPACE = Pattern.compile(" *= *| +");

    /** What is literally in every line that has the piece. */
    private static final Pattern HEAD = Pattern.compile("^[^ ={]+");

    /** The name that a line of several fields begins with, as of a segment. */
    private static final Pattern NAME = Pattern.compile("^\\w+:(?= )");

    final String template;
    final List<VmcsField> fields = new ArrayList<>();

    /** How many digits kernels print of each, at least. */
    final List<Integer> widths = new ArrayList<>();

    /** The word that it begins with. */
    private final String head;

    private final Pattern pattern;

    /**
     * The pattern finds the piece as far as it goes: what is missing of a line that was cut short
     * are groups without a match.
     */
    Piece(String template) {
      this.template = template;
      String text = template.strip();
      Matcher first = HEAD.matcher(text);
      this.head = first.find() ? first.group() : "";
      StringBuilder regex = new StringBuilder("(?<![^\\s\\]])");
      Matcher m = FIELD.matcher(text);
      int end = 0;
      int open = 0;
      Matcher name = NAME.matcher(text);
      if (m.results().count() > 1 && name.find() && !text.startsWith(OWN)) {
        literal(regex, name.group());
        regex.append("(?=\\s|$)(?:");
        end = name.end();
        open++;
      }
      m.reset();
      while (m.find()) {
        if (!fields.isEmpty()) {
          regex.append("(?:");
          open++;
        }
        literal(regex, text.substring(end, m.start()));
        // Whatever stands there: what is no number is told. Possessive, see below.
        regex.append("([^\\s,:]*+)");
        fields.add(VmcsField.valueOf(m.group(1)));
        widths.add(Integer.parseInt(m.group(2)));
        end = m.end();
      }
      regex.append(")?+".repeat(open));
      // What KVM would have the guest see, and is in no field.
      regex.append("(?!\\s*\\((?:autoload|effective)\\))");
      this.pattern = Pattern.compile(regex.toString());
    }

    /** Text, with any number of spaces where there are some, and around an equals sign. */
    private static void literal(StringBuilder regex, String text) {
      // The reader takes numbers with 0x and without.
      String rest = text.endsWith("0x") ? text.substring(0, text.length() - 2) : text;
      Matcher m = SPACE.matcher(rest);
      int end = 0;
      while (m.find()) {
        regex.append(quoted(rest.substring(end, m.start())));
        // Possessive: nothing else begins with a space, so that no line takes long.
        regex.append(m.group().contains("=") ? "\\s*+=\\s*+" : "\\s*+");
        end = m.end();
      }
      regex.append(quoted(rest.substring(end)));
    }

    private static String quoted(String text) {
      return text.isEmpty() ? "" : Pattern.quote(text);
    }

    /** The piece with the fields' values. */
    String write(long[] v) {
      Matcher m = FIELD.matcher(template);
      StringBuilder out = new StringBuilder();
      while (m.find()) {
        long value = v[VmcsField.valueOf(m.group(1)).ordinal()];
        String digits = Long.toHexString(value);
        int width = Integer.parseInt(m.group(2));
        m.appendReplacement(out, "0".repeat(Math.max(0, width - digits.length())) + digits);
      }
      return m.appendTail(out).toString();
    }

    /** Whether a line may have it: much sooner said than where. */
    boolean mayBeIn(String line) {
      return line.contains(head);
    }

    /**
     * Finds the piece in a line; the groups of the match are what it has for the fields' values,
     * null from where it is cut short.
     */
    Matcher find(String line) {
      return pattern.matcher(line);
    }
  }

  /** A line. */
  record Line(Part part, Condition condition, List<Piece> pieces) {}

  /** How lines of kvm4j's own begin. */
  private static final String OWN = "kvm4j: ";

  private static final Condition ALWAYS = v -> true;

  private static final List<Line> LINES = new ArrayList<>();

  /** What earlier kernels print, too. */
  private static final List<Line> EARLIER = new ArrayList<>();

  static {
    guest();
    host();
    control();
    own();
    for (int k = 0; k < 4; k++) {
      EARLIER.add(
          new Line(
              Part.CONTROL,
              ALWAYS,
              List.of(new Piece("target" + k + "={CR3_TARGET_VALUE" + k + ":16}"))));
    }
  }

  private DumpFormat() {}

  /** The lines that are written, in their order. */
  static List<Line> lines() {
    return LINES;
  }

  /** All lines that are read. */
  static List<Line> known() {
    List<Line> all = new ArrayList<>(LINES);
    all.addAll(EARLIER);
    return all;
  }

  private static void line(Part part, Condition condition, String... pieces) {
    List<Piece> all = new ArrayList<>();
    for (String piece : pieces) {
      all.add(new Piece(piece));
    }
    LINES.add(new Line(part, condition, List.copyOf(all)));
  }

  /** Whether a control is 1 and in force. */
  private static Condition with(Control control) {
    return v ->
        (v[control.word.field().ordinal()] & control.mask) != 0
            && switch (control.word) {
              case SECONDARY -> with(Control.ACTIVATE_SECONDARY_CONTROLS).holds(v);
              case TERTIARY -> with(Control.ACTIVATE_TERTIARY_CONTROLS).holds(v);
              default -> true;
            };
  }

  private static Condition both(Control one, Control other) {
    return v -> with(one).holds(v) && with(other).holds(v);
  }

  private static void segment(String name, String field) {
    line(
        Part.GUEST,
        ALWAYS,
        "%-5s sel=0x{GUEST_%s_SELECTOR:4}, attr=0x{GUEST_%s_AR_BYTES:5}, limit=0x{GUEST_%s_LIMIT:8}, base=0x{GUEST_%s_BASE:16}"
            .formatted(name, field, field, field, field));
  }

  private static void table(String name) {
    line(
        Part.GUEST,
        ALWAYS,
        "%s:                           limit=0x{GUEST_%s_LIMIT:8}, base=0x{GUEST_%s_BASE:16}"
            .formatted(name, name, name));
  }

  private static void guest() {
    Part p = Part.GUEST;
    line(
        p,
        ALWAYS,
        "CR0: actual=0x{GUEST_CR0:16}, shadow=0x{CR0_READ_SHADOW:16}, gh_mask={CR0_GUEST_HOST_MASK:16}");
    line(
        p,
        ALWAYS,
        "CR4: actual=0x{GUEST_CR4:16}, shadow=0x{CR4_READ_SHADOW:16}, gh_mask={CR4_GUEST_HOST_MASK:16}");
    line(p, ALWAYS, "CR3 = 0x{GUEST_CR3:16}");
    line(p, ALWAYS, "PDPTR0 = 0x{GUEST_PDPTR0:16}", "  PDPTR1 = 0x{GUEST_PDPTR1:16}");
    line(p, ALWAYS, "PDPTR2 = 0x{GUEST_PDPTR2:16}", "  PDPTR3 = 0x{GUEST_PDPTR3:16}");
    line(p, ALWAYS, "RSP = 0x{GUEST_RSP:16}  RIP = 0x{GUEST_RIP:16}");
    line(p, ALWAYS, "RFLAGS=0x{GUEST_RFLAGS:8}", "         DR7 = 0x{GUEST_DR7:16}");
    line(
        p,
        ALWAYS,
        "Sysenter RSP={GUEST_SYSENTER_ESP:16} CS:RIP={GUEST_SYSENTER_CS:4}:{GUEST_SYSENTER_EIP:16}");
    for (String s : List.of("CS", "DS", "SS", "ES", "FS", "GS")) {
      segment(s + ":", s);
    }
    table("GDTR");
    segment("LDTR:", "LDTR");
    table("IDTR");
    segment("TR:", "TR");
    line(p, with(Control.ENTRY_LOAD_EFER), "EFER= 0x{GUEST_IA32_EFER:16}");
    line(p, with(Control.ENTRY_LOAD_PAT), "PAT = 0x{GUEST_IA32_PAT:16}");
    line(
        p,
        ALWAYS,
        "DebugCtl = 0x{GUEST_IA32_DEBUGCTL:16}",
        "  DebugExceptions = 0x{GUEST_PENDING_DBG_EXCEPTIONS:16}");
    line(
        p,
        with(Control.ENTRY_LOAD_PERF_GLOBAL_CTRL),
        "PerfGlobCtl = 0x{GUEST_IA32_PERF_GLOBAL_CTRL:16}");
    line(p, with(Control.LOAD_BNDCFGS), "BndCfgS = 0x{GUEST_BNDCFGS:16}");
    line(
        p,
        ALWAYS,
        "Interruptibility = {GUEST_INTERRUPTIBILITY_INFO:8}",
        "  ActivityState = {GUEST_ACTIVITY_STATE:8}");
    line(p, with(Control.VIRTUAL_INTERRUPT_DELIVERY), "InterruptStatus = {GUEST_INTR_STATUS:4}");
    line(
        p,
        with(Control.ENTRY_LOAD_CET),
        "S_CET = 0x{GUEST_S_CET:16},",
        " SSP = 0x{GUEST_SSP:16},",
        " SSP TABLE = 0x{GUEST_INTR_SSP_TABLE:16}");
  }

  private static void host() {
    Part p = Part.HOST;
    line(p, ALWAYS, "RIP = 0x{HOST_RIP:16}  RSP = 0x{HOST_RSP:16}");
    line(
        p,
        ALWAYS,
        "CS={HOST_CS_SELECTOR:4}",
        " SS={HOST_SS_SELECTOR:4}",
        " DS={HOST_DS_SELECTOR:4}",
        " ES={HOST_ES_SELECTOR:4}",
        " FS={HOST_FS_SELECTOR:4}",
        " GS={HOST_GS_SELECTOR:4}",
        " TR={HOST_TR_SELECTOR:4}");
    line(
        p,
        ALWAYS,
        "FSBase={HOST_FS_BASE:16}",
        " GSBase={HOST_GS_BASE:16}",
        " TRBase={HOST_TR_BASE:16}");
    line(p, ALWAYS, "GDTBase={HOST_GDTR_BASE:16}", " IDTBase={HOST_IDTR_BASE:16}");
    line(p, ALWAYS, "CR0={HOST_CR0:16}", " CR3={HOST_CR3:16}", " CR4={HOST_CR4:16}");
    line(
        p,
        ALWAYS,
        "Sysenter RSP={HOST_IA32_SYSENTER_ESP:16} CS:RIP={HOST_IA32_SYSENTER_CS:4}:{HOST_IA32_SYSENTER_EIP:16}");
    line(p, with(Control.EXIT_LOAD_EFER), "EFER= 0x{HOST_IA32_EFER:16}");
    line(p, with(Control.EXIT_LOAD_PAT), "PAT = 0x{HOST_IA32_PAT:16}");
    line(
        p,
        with(Control.EXIT_LOAD_PERF_GLOBAL_CTRL),
        "PerfGlobCtl = 0x{HOST_IA32_PERF_GLOBAL_CTRL:16}");
    line(
        p,
        with(Control.EXIT_LOAD_CET),
        "S_CET = 0x{HOST_S_CET:16},",
        " SSP = 0x{HOST_SSP:16},",
        " SSP TABLE = 0x{HOST_INTR_SSP_TABLE:16}");
  }

  private static void control() {
    Part p = Part.CONTROL;
    line(
        p,
        ALWAYS,
        "CPUBased=0x{CPU_BASED_VM_EXEC_CONTROL:8}",
        " SecondaryExec=0x{SECONDARY_VM_EXEC_CONTROL:8}",
        " TertiaryExec=0x{TERTIARY_VM_EXEC_CONTROL:16}");
    line(
        p,
        ALWAYS,
        "PinBased=0x{PIN_BASED_VM_EXEC_CONTROL:8}",
        " EntryControls={VM_ENTRY_CONTROLS:8}",
        " ExitControls={VM_EXIT_CONTROLS:8}");
    line(
        p,
        ALWAYS,
        "ExceptionBitmap={EXCEPTION_BITMAP:8}",
        " PFECmask={PAGE_FAULT_ERROR_CODE_MASK:8}",
        " PFECmatch={PAGE_FAULT_ERROR_CODE_MATCH:8}");
    line(
        p,
        ALWAYS,
        "VMEntry: intr_info={VM_ENTRY_INTR_INFO_FIELD:8} errcode={VM_ENTRY_EXCEPTION_ERROR_CODE:8} ilen={VM_ENTRY_INSTRUCTION_LEN:8}");
    line(
        p,
        ALWAYS,
        "VMExit: intr_info={VM_EXIT_INTR_INFO:8} errcode={VM_EXIT_INTR_ERROR_CODE:8} ilen={VM_EXIT_INSTRUCTION_LEN:8}");
    line(p, ALWAYS, "        reason={VM_EXIT_REASON:8} qualification={EXIT_QUALIFICATION:16}");
    line(
        p,
        ALWAYS,
        "IDTVectoring: info={IDT_VECTORING_INFO_FIELD:8} errcode={IDT_VECTORING_ERROR_CODE:8}");
    line(p, ALWAYS, "TSC Offset = 0x{TSC_OFFSET:16}");
    line(p, with(Control.USE_TSC_SCALING), "TSC Multiplier = 0x{TSC_MULTIPLIER:16}");
    line(p, with(Control.USE_TPR_SHADOW), "TPR Threshold = 0x{TPR_THRESHOLD:2}");
    line(
        p,
        both(Control.USE_TPR_SHADOW, Control.VIRTUALIZE_APIC_ACCESSES),
        "APIC-access addr = 0x{APIC_ACCESS_ADDR:16}",
        " virt-APIC addr = 0x{VIRTUAL_APIC_PAGE_ADDR:16}");
    line(
        p,
        v ->
            with(Control.USE_TPR_SHADOW).holds(v)
                && !with(Control.VIRTUALIZE_APIC_ACCESSES).holds(v),
        "virt-APIC addr = 0x{VIRTUAL_APIC_PAGE_ADDR:16}");
    line(p, with(Control.POSTED_INTERRUPTS), "PostedIntrVec = 0x{POSTED_INTR_NV:2}");
    line(p, with(Control.ENABLE_EPT), "EPT pointer = 0x{EPT_POINTER:16}");
    line(p, with(Control.PAUSE_LOOP_EXITING), "PLE Gap={PLE_GAP:8} Window={PLE_WINDOW:8}");
    line(p, with(Control.ENABLE_VPID), "Virtual processor ID = 0x{VIRTUAL_PROCESSOR_ID:4}");
    line(p, with(Control.EPT_VIOLATION_VE), "VE info address = 0x{VE_INFORMATION_ADDRESS:16}");
  }

  /** Fields that checks read and Linux does not print: lines of kvm4j's own, after all others. */
  private static void own() {
    for (String piece :
        List.of(
            "CR3TargetCount={CR3_TARGET_COUNT:8}",
            "EntryMsrLoad: count={VM_ENTRY_MSR_LOAD_COUNT:8} addr={VM_ENTRY_MSR_LOAD_ADDR:16}",
            "ExitMsrLoad: count={VM_EXIT_MSR_LOAD_COUNT:8} addr={VM_EXIT_MSR_LOAD_ADDR:16}",
            "ExitMsrStore: count={VM_EXIT_MSR_STORE_COUNT:8} addr={VM_EXIT_MSR_STORE_ADDR:16}",
            "VmcsLinkPointer={VMCS_LINK_POINTER:16}")) {
      line(Part.CONTROL, ALWAYS, OWN + piece);
    }
    line(
        Part.CONTROL,
        with(Control.ENABLE_HLAT),
        "kvm4j: HlatPointer={HLATP:16} HlatPrefixSize={HLAT_PREFIX_SIZE:4}");
    line(
        Part.CONTROL,
        with(Control.SUB_PAGE_WRITE_PERMISSIONS),
        "kvm4j: SppTablePointer={SPP_TABLE_POINTER:16}");
  }
}
