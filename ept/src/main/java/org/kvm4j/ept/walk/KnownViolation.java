package org.kvm4j.ept.walk;

import org.jspecify.annotations.Nullable;
import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.memory.WordRecord;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.PagingMode;
import org.kvm4j.ept.paging.Translation;

/**
 * An EPT violation that a walk has ended with, and all that it depends on. While that is the same,
 * another walk for the same access would end the same and set no flags, so that there is no need
 * for one: nothing that the SDM does not let a processor cache is cached, as every entry is read.
 */
public final class KnownViolation {
  private final WordRecord entries;
  private final long page;
  private final int access;
  private final PagingMode mode;
  private final long cr3;
  private final long eptp;
  private final int rights;
  private final boolean pse;
  private final int pkru;
  private final int pkrs;
  private final long pdpte;
  private final long gpa;
  private final boolean pagingStructureAccess;
  private final long qualification;
  private final boolean suppressesVe;

  private KnownViolation(
      WordRecord entries, PagingContext context, long linear, int access, Translation violation) {
    this.entries = entries;
    this.page = linear & -0x1000L;
    this.access = access;
    this.mode = context.mode;
    this.cr3 = context.cr3;
    this.eptp = context.eptp;
    this.rights = context.rights();
    this.pse = context.pse;
    this.pkru = context.pkru;
    this.pkrs = context.pkrs;
    this.pdpte = pdpte(context, linear);
    this.pagingStructureAccess = violation.pagingStructureAccess;
    this.gpa = pagingStructureAccess ? violation.gpa : violation.gpa & -0x1000L;
    this.qualification = violation.qualification;
    this.suppressesVe = violation.suppressesVe;
  }

  /** Finds out what violations depend on. One per CPU. */
  public static final class Finder {
    private final TwoDimensionalWalk walk;
    private final WordRecord read = new WordRecord();
    private final Translation found = new Translation();

    /** A finder for walks in a memory. */
    public Finder(PhysicalMemory memory) {
      walk = new TwoDimensionalWalk(memory, null, read);
    }

    /**
     * What a walk has ended with that has just been made with all its side effects.
     *
     * @param violation its outcome
     * @return null if that depends on what cannot be told of
     */
    public @Nullable KnownViolation of(
        PagingContext context, long linear, int access, Translation violation) {
      // A walk afresh may set flags that the last one, by what is cached, has not: the next sets
      // none.
      if (!isPlain(context)
          || walk.walk(context, linear, access, found)
          || walk.walk(context, linear, access, found)
          || found.outcome != Translation.EPT_VIOLATION
          || violation.outcome != Translation.EPT_VIOLATION
          || found.gpa != violation.gpa
          || found.pagingStructureAccess != violation.pagingStructureAccess
          || found.qualification != violation.qualification
          || found.suppressesVe != violation.suppressesVe) {
        return null;
      }
      WordRecord entries = read.keep();
      return entries == null
          ? null
          : new KnownViolation(entries, context, linear, access, violation);
    }
  }

  /** Whether entries and what is compared are all that translation depends on. */
  private static boolean isPlain(PagingContext c) {
    return c.log == null
        && !c.hlat
        && !c.eptPagingWrite
        && !c.subPageWrite
        && c.apicPage == -1
        && c.eptp != 0;
  }

  private static long pdpte(PagingContext c, long linear) {
    return c.mode == PagingMode.PAE ? c.pdpte[(int) (linear >>> 30) & 3] : 0;
  }

  /** Whether it is what a walk would end with. */
  public boolean holds(PhysicalMemory memory, PagingContext c, long linear, int access) {
    return (linear & -0x1000L) == page
        && access == this.access
        && c.cr3 == cr3
        && c.eptp == eptp
        && c.mode == mode
        && c.pkru == pkru
        && c.pkrs == pkrs
        && c.pse == pse
        && c.rights() == rights
        && isPlain(c)
        && pdpte(c, linear) == pdpte
        && entries.isUnchanged(memory);
  }

  /** Fills in what a walk for a linear address would have. */
  public void tell(long linear, Translation out) {
    out.outcome = Translation.EPT_VIOLATION;
    out.gpa = pagingStructureAccess ? gpa : gpa | linear & 0xfff;
    out.pagingStructureAccess = pagingStructureAccess;
    out.qualification = qualification;
    out.suppressesVe = suppressesVe;
  }
}
