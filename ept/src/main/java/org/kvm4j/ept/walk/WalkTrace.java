package org.kvm4j.ept.walk;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.nested.EptEntry;
import org.kvm4j.ept.nested.EptMisconfiguration;
import org.kvm4j.ept.nested.EptPointer;
import org.kvm4j.ept.nested.EptViolation;
import org.kvm4j.ept.nested.SubPages;
import org.kvm4j.ept.paging.Access;
import org.kvm4j.ept.paging.GuestEntry;
import org.kvm4j.ept.paging.PageFault;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/**
 * A walk told entry by entry, for error messages: where each entry is, its value, what its bits
 * mean, and why the walk ends where it does. It changes nothing in memory.
 */
public final class WalkTrace {
  /** Whose paging structure an entry belongs to. */
  public enum Dimension {
    /** The guest's paging. */
    GUEST,
    /** EPT. */
    EPT,
    /** The sub-page permission table. */
    SPP
  }

  /**
   * One entry.
   *
   * @param dimension whose entry it is
   * @param name its name in the SDM: PML4E, PDPTE, PDE, PTE; SSPL4E to SSPL2E and the permission
   *     vector
   * @param shift log2 of what it covers
   * @param address where it is: guest-physical for the guest's, host-physical for the others'
   * @param value what it holds
   * @param meaning its bits in words
   */
  public record Step(
      Dimension dimension, String name, int shift, long address, long value, String meaning) {}

  private final PhysicalMemory memory;
  private final PagingContext context;
  private final List<Step> steps = new ArrayList<>();
  private final StringBuilder text = new StringBuilder();
  private final Translation result = new Translation();
  private String conclusion = "";
  private String unreadable = "";
  private long unreadableAt = -1;
  private long eptRights;

  /** Whether the leaf of the last guest-physical address has paging-write access. */
  private boolean eptPagingWrite;

  /** Whether the processor may update guest paging structures there although writes are denied. */
  private boolean eptUpdates;

  /** The first guest paging-structure entry in a page without paging-write access. */
  private String unverified = "";

  private WalkTrace(PhysicalMemory memory, PagingContext context) {
    this.memory = memory;
    this.context = context;
  }

  /**
   * Traces the translation of a linear address.
   *
   * @param access bits of {@link Access}
   */
  public static WalkTrace of(
      PhysicalMemory memory, PagingContext context, long linear, int access) {
    WalkTrace trace = new WalkTrace(memory, context);
    trace.header("linear %#x".formatted(linear), access);
    new TwoDimensionalWalk(memory)
        .walk(context, linear, access | Access.NO_SIDE_EFFECTS, trace.result);
    trace.guest(linear, access);
    trace.conclude();
    return trace;
  }

  /** Traces the translation of a guest-physical address through EPT. */
  public static WalkTrace ofGuestPhysical(
      PhysicalMemory memory, PagingContext context, long gpa, int access) {
    WalkTrace trace = new WalkTrace(memory, context);
    trace.header("guest-physical %#x".formatted(gpa), access);
    new TwoDimensionalWalk(memory)
        .nested(context, gpa, access | Access.NO_SIDE_EFFECTS, trace.result);
    trace.ept(gpa);
    trace.conclude();
    return trace;
  }

  /** The entries in the order in which a processor reads them. */
  public List<Step> steps() {
    return List.copyOf(steps);
  }

  /** What the walk comes to, as if no accessed or dirty flag were left to be set. */
  public Translation result() {
    return result;
  }

  /** The last line of the text: what the walk comes to, and why. */
  public String conclusion() {
    return conclusion;
  }

  /**
   * The guest's entry that the walk cannot read, since EPT does not translate its address, such as
   * {@code PDPTE at gpa 0x5000}; "" if there is none.
   */
  public String unreadable() {
    return unreadable;
  }

  /** The guest-physical address of that entry; -1 if there is none. */
  public long unreadableAt() {
    return unreadableAt;
  }

  /** The whole trace, one line for each entry. */
  @Override
  public String toString() {
    return text.toString();
  }

  // ---- The guest's paging

  private void guest(long linear, int access) {
    if (context.mode == PagingMode.NONE) {
      ept(linear);
      subPages(access);
      return;
    }
    boolean wide = context.mode != PagingMode.BITS32;
    boolean hlat = false;
    long table;
    int shift;
    switch (context.mode) {
      case BITS32 -> {
        table = context.cr3 & 0xffff_f000L;
        shift = 22;
      }
      case PAE -> {
        int index = (int) (linear >>> 30) & 3;
        long pdpte = context.pdpte[index];
        line(
            "  PDPTE%d register = %#018x (%s)",
            index, pdpte, (pdpte & GuestEntry.PRESENT) != 0 ? "P" : "not present");
        if ((pdpte & GuestEntry.PRESENT) == 0) {
          return;
        }
        table = pdpte & addressMask();
        shift = 21;
      }
      default -> {
        hlat = context.isHlat(linear);
        table = (hlat ? context.hlatp : context.cr3) & addressMask();
        shift = topShift();
      }
    }
    while (true) {
      int width = wide ? 9 : 10;
      long gpa = table + (linear >>> shift & (1L << width) - 1) * (wide ? 8 : 4);
      long hpa = ept(gpa);
      if (hpa < 0) {
        unreadable = "%s at gpa %#x".formatted(name(shift), gpa);
        unreadableAt = gpa;
        return;
      }
      long entry = wide ? memory.readLong(hpa) : memory.readInt(hpa) & 0xffff_ffffL;
      boolean leaf = isLeaf(entry, shift);
      String meaning =
          GuestEntry.describe(entry, leaf, wide)
              + (hlat && (entry & GuestEntry.RESTART) != 0 ? ", restart" : "")
              + problem(entry, shift, leaf)
              + marks(entry, leaf && !(hlat && (entry & GuestEntry.RESTART) != 0), access);
      String name = name(shift);
      if (!eptPagingWrite && unverified.isEmpty()) {
        unverified = name;
      }
      steps.add(new Step(Dimension.GUEST, name, shift, gpa, entry, meaning));
      line(
          "  %-5s at %s %#x = %s (%s)",
          name,
          context.eptp != 0 ? "gpa" : "hpa",
          gpa,
          wide ? "%#018x".formatted(entry) : "%#010x".formatted(entry),
          meaning);
      if ((entry & GuestEntry.PRESENT) == 0 || reservedBits(entry, shift, leaf) != 0) {
        return;
      }
      if (hlat && (entry & GuestEntry.RESTART) != 0) {
        line("  HLAT paging is restarted as ordinary paging, CR3 %#x", context.cr3);
        hlat = false;
        unverified = "";
        table = context.cr3 & addressMask();
        shift = topShift();
        continue;
      }
      if (leaf) {
        if (result.outcome != Translation.PAGE_FAULT) {
          ept(result.gpa);
          subPages(access);
        }
        if (result.outcome == Translation.EPT_VIOLATION
            && (result.qualification & EptViolation.GUEST_PAGING_VERIFICATION) != 0) {
          line(
              "      guest paging is to be verified, and the %s is in a page without paging-write access",
              unverified);
        }
        return;
      }
      table = wide ? entry & GuestEntry.ADDRESS : entry & 0xffff_f000L;
      shift = wide ? shift - 9 : 12;
    }
  }

  private int topShift() {
    return context.mode == PagingMode.LEVEL5 ? 48 : 39;
  }

  private long addressMask() {
    return GuestEntry.ADDRESS & (1L << context.physicalBits) - 1;
  }

  private boolean isLeaf(long entry, int shift) {
    boolean pageSize = (entry & GuestEntry.PAGE_SIZE) != 0;
    return switch (shift) {
      case 12 -> true;
      case 21 -> pageSize;
      case 22 -> pageSize && context.pse;
      case 30 -> pageSize && context.pages1g;
      default -> false;
    };
  }

  private long reservedBits(long entry, int shift, boolean leaf) {
    if (context.mode == PagingMode.BITS32) {
      return leaf && shift == 22 ? entry & GuestEntry.reserved4m(context) : 0;
    }
    return entry & GuestEntry.reserved(context, shift, leaf);
  }

  private String problem(long entry, int shift, boolean leaf) {
    if ((entry & GuestEntry.PRESENT) == 0) {
      return "";
    }
    long reserved = reservedBits(entry, shift, leaf);
    return reserved == 0 ? "" : "; RESERVED BITS SET: %#x".formatted(reserved);
  }

  /** What a processor would have to write to the entry. */
  private String marks(long entry, boolean leaf, int access) {
    if ((entry & GuestEntry.PRESENT) == 0 || (access & Access.NO_SIDE_EFFECTS) != 0) {
      return "";
    }
    boolean accessed = (entry & GuestEntry.ACCESSED) == 0;
    boolean dirty = leaf && (access & Access.WRITE) != 0 && (entry & GuestEntry.DIRTY) == 0;
    if (!accessed && !dirty) {
      return "";
    }
    return "; to be set:"
        + (accessed ? " A" : "")
        + (dirty ? " D" : "")
        + (context.eptp != 0 && (eptRights & EptEntry.WRITE) == 0 && !eptUpdates
            ? ", WHICH EPT DOES NOT ALLOW"
            : "");
  }

  // ---- EPT

  /** Traces one translation; the host-physical address, or -1 where there is none. */
  private long ept(long gpa) {
    if (context.eptp == 0) {
      return gpa;
    }
    eptRights = 0;
    eptPagingWrite = false;
    eptUpdates = false;
    int shift = 12 + 9 * (EptPointer.levels(context.eptp) - 1);
    if (gpa >>> shift + 9 != 0) {
      line(
          "      gpa %#x is beyond what the EPT page-walk length of %d reaches",
          gpa, EptPointer.levels(context.eptp));
      return -1;
    }
    long table = EptPointer.root(context.eptp);
    long rights = -1;
    while (true) {
      long where = table + (gpa >>> shift & 0x1ff) * 8;
      long entry = memory.readLong(where);
      boolean present = EptEntry.isPresent(entry, context.modeBasedExecute);
      EptMisconfiguration broken = present ? EptMisconfiguration.of(entry, shift, context) : null;
      String meaning =
          EptEntry.describe(entry, shift, context)
              + (memory.isBacked(where, 8) ? "" : "; NO MEMORY THERE")
              + (broken == null ? "" : "; MISCONFIGURED: " + broken.text());
      String name = name(shift);
      steps.add(new Step(Dimension.EPT, name, shift, where, entry, meaning));
      line("      EPT %-5s at hpa %#x = %#018x (%s)", name, where, entry, meaning);
      if (!present || broken != null) {
        return -1;
      }
      long tables = rights;
      rights &= entry;
      if (EptEntry.isLeaf(entry, shift)) {
        eptRights = rights;
        eptPagingWrite = (entry & EptEntry.PAGING_WRITE) != 0;
        eptUpdates = context.eptPagingWrite && eptPagingWrite && (tables & EptEntry.WRITE) != 0;
        long offset = (1L << shift) - 1;
        long hpa = entry & EptEntry.ADDRESS & ~offset | gpa & offset;
        line(
            "      gpa %#x is hpa %#x, %s%s%s%s%s",
            gpa,
            hpa,
            (rights & EptEntry.READ) != 0 ? "r" : "-",
            (rights & EptEntry.WRITE) != 0 ? "w" : "-",
            (rights & EptEntry.EXECUTE) != 0 ? "x" : "-",
            !context.modeBasedExecute ? "" : (rights & EptEntry.EXECUTE_USER) != 0 ? "u" : "-",
            memory.isBacked(hpa, 1) ? "" : ", no memory there");
        return hpa;
      }
      table = entry & EptEntry.ADDRESS;
      shift -= 9;
    }
  }

  /** Traces what sub-page write permissions say of a write that the last leaf refuses. */
  private void subPages(int access) {
    Step leaf = steps.isEmpty() ? null : steps.get(steps.size() - 1);
    if (!context.subPageWrite
        || (access & Access.WRITE) == 0
        || leaf == null
        || leaf.dimension != Dimension.EPT
        || leaf.shift != 12
        || (leaf.value & EptEntry.SUB_PAGE_WRITE) == 0
        || (eptRights & EptEntry.WRITE) != 0) {
      return;
    }
    long gpa = result.gpa;
    long table = context.sppTable & EptEntry.ADDRESS;
    for (int shift = SubPages.TOP; shift > 12; shift -= 9) {
      long where = SubPages.entryAt(table, gpa, shift);
      long entry = memory.readLong(where);
      boolean valid = (entry & SubPages.VALID) != 0;
      boolean bad = valid && SubPages.isReserved(entry, context.physicalBits);
      step(
          "SSPL%dE".formatted((shift - 3) / 9),
          shift,
          where,
          entry,
          !valid
              ? "not valid: " + SubPages.Outcome.MISS.words()
              : bad ? SubPages.Outcome.MISCONFIGURED.words() : "valid");
      if (!valid || bad) {
        return;
      }
      table = entry & EptEntry.ADDRESS;
    }
    long where = SubPages.entryAt(table, gpa, 12);
    long vector = memory.readLong(where);
    step(
        "vector",
        12,
        where,
        vector,
        "sub-page %d: %s"
            .formatted(
                gpa >>> 7 & 31, SubPages.allows(vector, gpa, Access.length(access)).words()));
  }

  private void step(String name, int shift, long where, long entry, String meaning) {
    steps.add(new Step(Dimension.SPP, name, shift, where, entry, meaning));
    line("      SPP %-6s at hpa %#x = %#018x (%s)", name, where, entry, meaning);
  }

  // ---- Text

  private static String name(int shift) {
    return switch (shift) {
      case 48 -> "PML5E";
      case 39 -> "PML4E";
      case 30 -> "PDPTE";
      case 21, 22 -> "PDE";
      default -> "PTE";
    };
  }

  private void header(String what, int access) {
    line(
        "%s, %s, paging %s%s%s%s%s%s%s%s%s%s",
        what,
        Access.describe(access),
        context.mode,
        context.mode == PagingMode.NONE ? "" : ", CR3 %#x".formatted(context.cr3) + hlat(),
        flag(context.wp, "WP"),
        flag(context.smep, "SMEP"),
        flag(context.smap, "SMAP"),
        flag(context.nxe, "NXE"),
        context.pke ? ", PKRU %#x".formatted(context.pkru) : "",
        context.pks ? ", PKRS %#x".formatted(context.pkrs) : "",
        context.eptp == 0 ? ", no EPT" : ", EPTP %#x".formatted(context.eptp),
        flag(context.modeBasedExecute, "mode-based execute")
            + flag(context.eptPagingWrite, "paging-write control")
            + flag(context.guestPagingVerification, "guest-paging verification")
            + (context.subPageWrite ? ", SPPTP %#x".formatted(context.sppTable) : ""));
  }

  private String hlat() {
    return context.hlat
        ? ", HLATP %#x for %s"
            .formatted(
                context.hlatp,
                context.hlatPrefixSize == 0 ? "all addresses" : "addresses with bit 63 set")
        : "";
  }

  private static String flag(boolean set, String name) {
    return set ? ", " + name : "";
  }

  private void conclude() {
    String backed =
        result.outcome == Translation.OK && !memory.isBacked(result.hpa, 1)
            ? ", where there is no memory"
            : "";
    conclusion =
        switch (result.outcome) {
          case Translation.EPT_VIOLATION ->
              "EPT violation at gpa %#x, qualification %s"
                  .formatted(result.gpa, EptViolation.describe(result.qualification));
          case Translation.PAGE_FAULT ->
              "page fault, error code " + PageFault.describe(result.errorCode);
          default -> result + backed;
        };
    line("  => %s", conclusion);
  }

  private void line(String format, @Nullable Object... arguments) {
    text.append(format.formatted(arguments)).append('\n');
  }
}
