package org.kvm4j.ept.walk;

import org.kvm4j.ept.memory.PhysicalMemory;
import org.kvm4j.ept.paging.PagingContext;
import org.kvm4j.ept.paging.Translation;

/** Translates addresses. One per CPU: it keeps scratch values between calls. */
public final class TwoDimensionalWalk {
  private final PhysicalMemory memory;

  /** A walker of tables in a host-physical memory. */
  public TwoDimensionalWalk(PhysicalMemory memory) {
    this.memory = memory;
  }

  /** Linear to host-physical. Returns whether the outcome is OK. */
  public boolean walk(PagingContext context, long linear, int access, Translation out) {
    throw new UnsupportedOperationException("not built yet " + memory);
  }

  /** Guest-physical to host-physical. Returns whether the outcome is OK. */
  public boolean nested(PagingContext context, long gpa, int access, Translation out) {
    throw new UnsupportedOperationException("not built yet");
  }

  /**
   * Reads the four PDPTEs that CR3 refers to. False with an EPT outcome if EPT does not let them be
   * read, with {@link Translation#PAGE_FAULT} if a reserved bit is set (the CPU raises a
   * general-protection exception).
   */
  public boolean loadPdptes(PagingContext context, long cr3, long[] out, Translation translation) {
    throw new UnsupportedOperationException("not built yet");
  }
}
