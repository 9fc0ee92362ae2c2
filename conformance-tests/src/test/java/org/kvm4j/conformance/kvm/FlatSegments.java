package org.kvm4j.conformance.kvm;

import org.kvm4j.kvm.Segment;
import org.kvm4j.kvm.Sregs;

/** Flat segments of 4 GBytes from 0, at CPL 0, for modes with protection. */
final class FlatSegments {
  private static final int CODE_SELECTOR = 8;
  private static final int DATA_SELECTOR = 16;

  private static final int CODE = 11; // execute, read, accessed
  private static final int DATA = 3; // read, write, accessed

  private FlatSegments() {}

  /** Sets all segments, CS to a 32-bit code segment. */
  static void protectedMode(Sregs sregs) {
    set(sregs.cs, CODE_SELECTOR, CODE);
    for (Segment segment : new Segment[] {sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss}) {
      set(segment, DATA_SELECTOR, DATA);
    }
  }

  /** Sets all segments, CS to a 64-bit code segment. */
  static void longMode(Sregs sregs) {
    protectedMode(sregs);
    sregs.cs.db = 0;
    sregs.cs.l = 1;
  }

  private static void set(Segment segment, int selector, int type) {
    segment.base = 0;
    segment.limit = 0xffff_ffff;
    segment.selector = selector;
    segment.type = type;
    segment.present = 1;
    segment.dpl = 0;
    segment.db = 1;
    segment.s = 1;
    segment.l = 0;
    segment.g = 1;
    segment.unusable = 0;
  }
}
